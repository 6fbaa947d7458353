/**
 * The cache against translation: a switch that keeps its megaflows forwards every packet exactly as one that forgets them
 * after each packet, whatever the tables, and however they change in between.
 */
import fc from "fast-check";
import t from "tap";
import { parseGroup } from "../../src/openflow/text/group-parse.ts";
import { SimSwitch } from "../sim/switch.ts";

const MACS = [
  "00:00:00:00:00:01",
  "00:00:00:00:00:02",
  "00:00:00:00:00:03",
  "01:00:5e:00:00:01",
  "01:80:c2:00:00:02",
];
const ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1", "192.168.0.1"];
const PORTS = ["1", "2", "80", "81", "65535"];
const pick = fc.constantFrom;

const packet = fc.record({
  port: pick("p1", "p2", "p3", "p4"),
  src: pick(...MACS.slice(0, 3)),
  dst: pick(...MACS),
  vlan: pick("", "dl_vlan=0,dl_vlan_pcp=2,", "dl_vlan=10,", "dl_vlan=20,dl_vlan_pcp=1,"),
  rest: fc.oneof(
    fc
      .tuple(
        pick("tcp", "udp"),
        pick(...ADDRESSES),
        pick(...ADDRESSES),
        pick("1", "64"),
        pick(...PORTS),
        pick(...PORTS),
      )
      .map(
        ([proto, a, b, ttl, s, d]) =>
          `${proto},nw_src=${a},nw_dst=${b},nw_ttl=${ttl},${proto}_src=${s},${proto}_dst=${d}`,
      ),
    fc
      .tuple(pick(...ADDRESSES), pick(...ADDRESSES))
      .map(([a, b]) => `arp,arp_op=1,arp_spa=${a},arp_tpa=${b}`),
    pick(
      "dl_type=0x88b5",
      "icmp,nw_ttl=9,icmp_type=8,icmp_code=0",
      "tcp6,ipv6_src=::1,ipv6_dst=fe80::2,nw_ttl=3",
    ),
  ),
});

const matchText = fc
  .tuple(
    pick("", "in_port=1", "in_port=2"),
    pick("", "dl_vlan=10", "dl_vlan=0xffff", "vlan_tci=0x1000/0x1000"),
    pick("", "dl_dst=00:00:00:00:00:02", "dl_src=00:00:00:00:00:01"),
    fc.oneof(
      pick("", "", "arp", "ipv6", "ip", "icmp"),
      fc
        .tuple(
          pick("ip", "tcp", "udp"),
          pick("nw_src", "nw_dst"),
          pick("10.0.0.0/8", "10.0.0.0/24", "10.0.0.2", "10.0.1.0/31"),
        )
        .map(([proto, field, prefix]) => `${proto},${field}=${prefix}`),
      pick("tcp,tcp_dst=80", "tcp,tcp_dst=80/0xfffe", "udp,udp_src=1", "arp,arp_tpa=10.0.0.2"),
    ),
  )
  .map((parts) => parts.filter((part) => part !== "").join(","));

/** Those that change headers say so themselves: none needs a prerequisite that it would be refused without. */
const action = pick(
  "1",
  "2",
  "3",
  "NORMAL",
  "FLOOD",
  "IN_PORT",
  "mod_dl_src:00:00:00:00:00:02",
  "mod_dl_dst:00:00:00:00:00:03",
  "mod_vlan_vid:20",
  "strip_vlan",
  "mod_vlan_pcp:3",
  "load:0x5->NXM_NX_REG0[]",
  "move:NXM_OF_ETH_SRC[0..15]->NXM_NX_REG1[0..15]",
  "resubmit(,1)",
  "resubmit(2,1)",
  "output:NXM_NX_REG0[0..1]",
  "dec_ttl",
  "group:1",
  "group:2",
  "push_vlan:0x8100",
  "multipath(symmetric_l4,0,modulo_n,2,0,NXM_NX_REG0[0..1])",
  "learn(table=1,priority=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[])",
);

/** Clauses of conjunctions and what they lead to: two of two clauses, each for several addresses or ports. */
const conjunctive = fc
  .record({
    priority: fc.integer({ min: 1, max: 5 }),
    id: pick(1, 2),
    clause: pick(1, 2),
    match: pick(
      "ip,nw_src=10.0.0.0/24",
      "ip,nw_dst=10.0.0.2",
      "tcp,tcp_dst=80",
      "ip,nw_src=10.0.1.0/31",
      "dl_dst=00:00:00:00:00:02",
    ),
    target: fc.boolean(),
    actions: pick("1", "2", "drop", "resubmit(,1)"),
  })
  .map(({ priority, id, clause, match, target, actions }) =>
    target
      ? `priority=${priority},conj_id=${id} actions=${actions}`
      : `priority=${priority},${match} actions=conjunction(${id},${clause}/2)`,
  );

const rule = fc
  .record({
    table: pick("", "table=1,"),
    priority: fc.integer({ min: 1, max: 5 }),
    match: matchText,
    reg: fc.boolean(),
    actions: fc.array(action, { minLength: 0, maxLength: 3 }),
  })
  .map(({ table, priority, match, reg, actions }) => {
    const own = table !== "" && reg ? "reg0=5," : "";
    return `${table}priority=${priority},${own}${match} actions=${actions.length === 0 ? "drop" : actions.join(",")}`;
  });

const anyRule = fc.oneof({ weight: 3, arbitrary: rule }, { weight: 1, arbitrary: conjunctive });

/** Buckets of group 1 (all) and 2 (indirect). */
const groupText = fc.tuple(pick(1, 2), pick("1", "2", "resubmit(,1)", "mod_dl_dst:00:00:00:00:00:03,3"));

const step = fc.oneof(
  { weight: 12, arbitrary: fc.nat(99).map((index) => ({ kind: "packet" as const, index })) },
  { weight: 1, arbitrary: anyRule.map((text) => ({ kind: "rule" as const, text })) },
  { weight: 1, arbitrary: matchText.map((text) => ({ kind: "delete" as const, text })) },
  { weight: 1, arbitrary: groupText.map(([id, text]) => ({ kind: "group" as const, id, text })) },
);

async function makeSwitch(rules: readonly string[]): Promise<SimSwitch> {
  const sim = new SimSwitch();
  await sim.warp(1000);
  await sim.addBridge("br0");
  await sim.addPort("br0", "p1");
  await sim.addPort("br0", "p2");
  await sim.addPort("br0", "p3", { vlanMode: "access", tag: 10 });
  await sim.addPort("br0", "p4", { vlanMode: "native-untagged", tag: 20, trunks: [10] });
  await sim.addBridge("br1");
  await sim.addPort("br1", "q1");
  await sim.join("br0", "pa", "br1", "pb");
  setGroup(sim, 1, "1");
  setGroup(sim, 2, "resubmit(,1)");
  for (const text of rules) sim.flowMod("br0", text);
  return sim;
}

function setGroup(sim: SimSwitch, id: number, actions: string): void {
  const buckets = id === 1 ? `bucket=actions=${actions},bucket=actions=3` : `bucket=actions=${actions}`;
  const br0 = sim.bridges.get("br0")!;
  const ADD_OR_MODIFY = 32768;
  br0.groups.apply(
    parseGroup(`group_id=${id},type=${id === 1 ? "all" : "indirect"},${buckets}`, ADD_OR_MODIFY, {}).gm,
  );
  br0.backer.changed();
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function show(out: Map<string, Uint8Array[]>): string {
  return [...out]
    .map(([name, frames]) => `${name}:${frames.map(hex).join(",")}`)
    .sort()
    .join(" ");
}

t.test("cached answers equal fresh translations", async (t) => {
  let hits = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyRule, { maxLength: 12 }),
      // Few different packets, so that they meet their megaflows again.
      fc.array(packet, { minLength: 3, maxLength: 10 }),
      fc.array(step, { minLength: 20, maxLength: 80 }),
      async (rules, packets, steps) => {
        const cached = await makeSwitch(rules);
        const fresh = await makeSwitch(rules);
        for (const each of steps) {
          if (each.kind === "packet") {
            const { port, src, dst, vlan, rest } = packets[each.index % packets.length]!;
            // A cached packet to its own source address is forwarded before the move is learned.
            const text = `dl_src=${src},dl_dst=${dst === src ? MACS[3] : dst},${vlan}${rest}`;
            const before = (await cached.dpif.stats()).hits;
            const got = show(cached.receive(port, text));
            hits += (await cached.dpif.stats()).hits - before;
            const want = show(fresh.receive(port, text));
            if (got !== want)
              throw new Error(
                `${port} ${text}\n got ${got}\nwant ${want}\n${await cached.appctl("dpif/dump-flows", "br0")}`,
              );
            // A cached packet's source is learned when its megaflow's statistics are looked at.
            await cached.backer.fullPass();
            await cached.backer.settled();
            await fresh.backer.purge();
          } else {
            for (const sim of [cached, fresh]) {
              if (each.kind === "rule") sim.flowMod("br0", each.text);
              else if (each.kind === "group") setGroup(sim, each.id, each.text);
              else sim.flowMod("br0", each.text, 3);
              await sim.backer.settled();
            }
          }
        }
        const counts = [cached, fresh].map((sim) => {
          sim.backer.pushStats();
          return [...sim.bridges.get("br0")!.tables.slice(0, 2)]
            .flatMap((table) => [...table.rules()])
            .map((each) => `${each.table} ${each.priority} ${each.packets} ${each.bytes}`)
            .sort()
            .join("\n");
        });
        if (counts[0] !== counts[1]) throw new Error(`counted ${counts[0]}\nwant ${counts[1]}`);
        await cached.close();
        await fresh.close();
      },
    ),
    { numRuns: 60, seed: 1, endOnFailure: true },
  );
  t.ok(hits > 200, `the cache was used: ${hits} hits`);
});
