/** The MAC learning table by itself, and the layout of a trace. */
import t from "tap";
import {
  formatTrace,
  OFT_ACTION,
  OFT_BRIDGE,
  OFT_DETAIL,
  OFT_TABLE,
  type TraceNode,
} from "../../src/ofproto/trace-nodes.ts";
import { MacLearning } from "../../src/protocols/mac-learning.ts";

function ports(table: MacLearning<string>): string {
  return [...table.entries()].map((entry) => `${entry.mac}@${entry.vlan}:${entry.port}`).join(" ");
}

t.test("learning", (t) => {
  const table = new MacLearning<string>();
  t.equal(table.learn(1, 0, "a", 0), true, "new");
  t.equal(table.learn(1, 0, "a", 10), false, "refreshed");
  t.equal(table.learn(2, 0, "a", 20), true);
  t.equal(table.learn(1, 5, "b", 30), true, "another VLAN, another entry");
  t.equal(table.learn(2, 0, "b", 40), true, "moved");
  t.equal(ports(table), "1@0:a 1@5:b 2@0:b", "least recently seen first");
  t.equal(table.moved, 1);
  t.equal(table.learned, 3);
  t.equal(table.lookup(2, 0)?.port, "b");
  t.equal(table.lookup(2, 5), undefined);
  t.end();
});

t.test("ageing", (t) => {
  const table = new MacLearning<string>();
  table.setLimits(10, 100);
  table.learn(1, 0, "a", 0);
  table.learn(2, 0, "a", 0);
  table.addStatic(3, 0, "a", 0);
  table.learn(1, 0, "a", 5000);
  t.equal(table.expire(9_999), false);
  t.equal(table.expire(10_000), true);
  t.equal(ports(table), "3@0:a 1@0:a");
  t.equal(table.expire(1e9), true);
  t.equal(ports(table), "3@0:a", "static entries stay");
  t.equal(table.expired, 2);
  t.end();
});

t.test("a full table makes room at the cost of the port that has most", (t) => {
  const table = new MacLearning<string>();
  table.setLimits(300, 4);
  table.learn(1, 0, "quiet", 0);
  for (let mac = 10; mac < 20; mac++) table.learn(mac, 0, "noisy", mac);
  t.equal(ports(table), "1@0:quiet 17@0:noisy 18@0:noisy 19@0:noisy");
  t.equal(table.evicted, 7);
  t.end();
});

t.test("static entries and flushing", (t) => {
  const table = new MacLearning<string>();
  table.learn(1, 7, "a", 0);
  t.equal(table.addStatic(1, 7, "b", 0), true, "replaces what was learned");
  t.equal(table.addStatic(1, 7, "b", 0), false);
  t.equal(table.learn(1, 7, "c", 0), false, "learning does not move it");
  t.equal(table.lookup(1, 7)?.port, "b");
  table.learn(2, 7, "b", 0);
  table.learn(3, 8, "c", 0);
  t.equal(table.flushVlan(8), true);
  t.equal(table.flush(), true);
  t.equal(ports(table), "1@7:b");
  t.equal(table.delStatic(1, 8), false);
  t.equal(table.flushPort("b").length > 0, true, "a port that goes takes its static entries along");
  t.equal(table.size, 0);
  t.equal(table.statics, 0);
  t.end();
});

t.test("gratuitous ARP holds a bond's packets off", (t) => {
  const table = new MacLearning<string>();
  table.learn(1, 0, "a", 0);
  t.equal(table.learn(1, 0, "b", 1000, true, false), true);
  t.equal(table.learn(1, 0, "bond", 2000, false, true), false);
  t.equal(table.learn(1, 0, "bond", 7000, false, true), true);
  t.end();
});

t.test("a trace's layout", (t) => {
  const node = (type: TraceNode["type"], text: string, ...subs: TraceNode[]): TraceNode => ({
    type,
    text,
    subs,
  });
  const leaf = node(OFT_ACTION, "leaf");
  const tree = [
    node(
      OFT_BRIDGE,
      "br0",
      node(
        OFT_TABLE,
        " 0. x",
        node(
          OFT_ACTION,
          "middle",
          node(OFT_TABLE, " 1. y", leaf, node(OFT_ACTION, "tail", node(OFT_TABLE, " 2. z", leaf))),
        ),
        node(OFT_ACTION, "last", node(OFT_DETAIL, "said"), node(OFT_TABLE, " 3. w", leaf)),
      ),
    ),
  ];
  const lines: string[] = [];
  formatTrace(tree, lines);
  t.equal(
    lines.join("\n"),
    `
br0
---
 0. x
    middle
     1. y
            leaf
            tail
         2. z
            leaf
    last
     -> said
 3. w
    leaf`,
  );
  t.end();
});
