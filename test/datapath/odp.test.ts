/** Datapath keys and actions as text against the original's, and actions that commit the difference of two flows. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { formatOdpActions, parseOdpActions } from "../../src/datapath/odp/action-text.ts";
import {
  ODP_POP_MPLS,
  ODP_POP_VLAN,
  ODP_PUSH_MPLS,
  ODP_PUSH_VLAN,
  ODP_SET,
  OdpActionBuilder,
} from "../../src/datapath/odp/actions.ts";
import { commitActions } from "../../src/datapath/odp/commit.ts";
import { formatOdpKey, parseOdpKey } from "../../src/datapath/odp/key-text.ts";
import {
  FLOW_DP_WORDS,
  FLOW_WORDS,
  W_ETH_TYPE,
  W_MPLS,
  W_TP,
  W_VLAN0,
  W_VLAN1,
} from "../../src/flow/layout.ts";
import { parseExactFlow } from "../../src/flow/match-text.ts";

const ports = {
  numberOf: (name: string) => (name === "p1" ? 1 : undefined),
  nameOf: (port: number) => (port === 1 ? "p1" : undefined),
};

function cases(file: string): string[][] {
  const text = readFileSync(new URL(`data/${file}`, import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.split(" => "));
}

t.test("keys", async (t) => {
  for (const [text, short, verbose] of cases("odp-keys.txt")) {
    const parsed = parseOdpKey(text!, ports);
    if ("error" in parsed) {
      t.fail(`${text}: ${parsed.error}`);
      continue;
    }
    t.equal(formatOdpKey(parsed.key, parsed.mask), short, text);
    t.equal(formatOdpKey(parsed.key, parsed.mask, { verbose: true, ports }), verbose, `${text} -m`);
    const again = parseOdpKey(short!, ports) as { key: Int32Array; mask: Int32Array };
    t.same(again.key, parsed.key, "reads back");
  }
  for (const bad of [
    "in_port(",
    "in_port(x)",
    "foo(1)",
    "eth(src=1)",
    "ipv4(src=1.2.3.4",
    "in_port(1)),eth()",
  ]) {
    t.match(parseOdpKey(bad), { error: /^syntax error at / }, bad);
  }
});

t.test("keys of real packets", async (t) => {
  for (const [kind, text] of cases("odp-dumps.txt")) {
    const parsed = parseOdpKey(text!, ports);
    if ("error" in parsed) {
      t.fail(`${text}: ${parsed.error}`);
      continue;
    }
    const mask = kind === "exact" ? undefined : parsed.mask;
    const options = kind === "verbose" ? { verbose: true, ports } : {};
    t.equal(formatOdpKey(parsed.key, mask, options), text, kind);
  }
});

t.test("neighbour discovery is shown where its type is matched whole", async (t) => {
  const before = "in_port(1),eth(),eth_type(0x86dd),ipv6(proto=58,frag=no)";
  for (const [type, shown, verbose] of [
    ["135", "icmpv6(type=135),nd(target=::2)", "icmpv6(type=135,code=0/0),nd(target=::2,"],
    ["135/0xf8", "icmpv6(type=135/0xf8)", "icmpv6(type=135/0xf8,code=0/0),nd(target=::2/::,"],
  ] as const) {
    const parsed = parseOdpKey(`${before},icmpv6(type=${type}),nd(target=::2)`);
    if ("error" in parsed) throw new Error(parsed.error);
    const { key, mask } = parsed;
    key[W_TP] = 135 << 16;
    t.equal(formatOdpKey(key, mask), `recirc_id(0),${before},${shown}`);
    const text = formatOdpKey(key, mask, { verbose: true });
    t.match(text, verbose);
    t.notMatch(text, "nd_ext");
  }
});

function parseActions(text: string): Int32Array | undefined {
  const builder = new OdpActionBuilder();
  return parseOdpActions(text, builder, { userspace: () => 0 }) === undefined ? builder.take() : undefined;
}

t.test("actions", async (t) => {
  for (const [text, printed] of cases("odp-actions.txt")) {
    const program = parseActions(text!);
    t.equal(program === undefined ? "BAD" : formatOdpActions(program), printed, text);
  }
  const key = (parseOdpKey("eth(),eth_type(0x0800),ipv4(proto=17,frag=no)") as { key: Int32Array }).key;
  const set = parseActions("set(ipv4(ttl=3)),set(udp(src=5))")!;
  t.equal(
    formatOdpActions(set, { key }),
    "set(ipv4(ttl=3)),set(udp(src=5))",
    "ports belong to the key's protocol",
  );
  const nested = "recirc(0x1),hash(l4(0)),clone(push_vlan(vid=1,pcp=0),p1),sample(sample=25.0%,actions(p1))";
  const names = new OdpActionBuilder();
  t.equal(parseOdpActions(nested, names, { ports }), undefined);
  t.equal(formatOdpActions(names.take(), { ports }), nested);
  t.match(parseOdpActions("1,bad", new OdpActionBuilder()), /bad/);
});

/** What commitActions emits between two flows, as text, with the base flow's key. */
function committed(from: string, to: string): string {
  const base = (parseExactFlow(from) as { flow: Int32Array }).flow;
  const flow = (parseExactFlow(to) as { flow: Int32Array }).flow;
  const key = base.slice();
  const builder = new OdpActionBuilder();
  commitActions(base, flow, builder, new Int32Array(FLOW_WORDS).fill(-1));
  return formatOdpActions(builder.take(), { key });
}

t.test("commit: one action a header, in the original's order", async (t) => {
  const expected: [string, string, string][] = [
    ["tcp", "tcp", "drop"],
    ["dl_type=0x1111", "dl_type=0x1111,dl_vlan=5,dl_vlan_pcp=3", "push_vlan(vid=5,pcp=3)"],
    [
      "icmp",
      "icmp,dl_dst=00:00:00:00:00:09,nw_src=9.9.9.9,nw_tos=8,nw_ttl=3,icmp_type=5",
      "set(eth(dst=00:00:00:00:00:09)),set(ipv4(src=9.9.9.9,tos=0x8,ttl=3)),set(icmp(type=5,code=0))",
    ],
    ["tcp,dl_vlan=9,nw_dst=1.1.1.1", "tcp,nw_dst=1.2.3.4", "set(ipv4(dst=1.2.3.4)),pop_vlan"],
    ["tcp,nw_ttl=9", "tcp,nw_ttl=8,pkt_mark=7", "set(ipv4(ttl=8)),set(skb_mark(0x7))"],
    [
      "arp,arp_op=1",
      "arp,arp_op=2,arp_spa=1.1.1.1,arp_sha=00:00:00:00:00:07",
      "set(arp(sip=1.1.1.1,op=2,sha=00:00:00:00:00:07))",
    ],
    ["udp6", "udp6,ipv6_src=::9,udp_src=5,ipv6_label=3", "set(ipv6(src=::9,label=0x3)),set(udp(src=5))"],
    [
      "icmp6,icmpv6_type=135,icmpv6_code=0",
      "icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=::9,nd_sll=00:00:00:00:00:05",
      "set(nd(target=::9,sll=00:00:00:00:00:05))",
    ],
    [
      "udp",
      "mpls,mpls_label=10,mpls_ttl=64,mpls_bos=1",
      "push_mpls(label=10,tc=0,ttl=64,bos=1,eth_type=0x8847)",
    ],
    ["mpls,mpls_label=4,mpls_bos=1", "dl_type=0x0800", "pop_mpls(eth_type=0x800)"],
    ["mpls,mpls_label=4,mpls_bos=1", "mpls,mpls_label=5,mpls_bos=1", "set(mpls(label=5))"],
    ["skb_priority=0", "skb_priority=5", "set(skb_priority(0x5))"],
  ];
  for (const [from, to, text] of expected) t.equal(committed(from, to), text, to);
});

t.test("commit: popping labels leaves the type that the flow has", async (t) => {
  const base = new Int32Array(FLOW_WORDS);
  base[W_ETH_TYPE] = 0x8847;
  base.set([0x4000, 0x5140], W_MPLS);
  for (const [type, labels, want] of [
    [0x8848, [0x5140], "pop_mpls(eth_type=0x8848)"],
    [0x800, [], "pop_mpls(eth_type=0x8847),pop_mpls(eth_type=0x800)"],
  ] as const) {
    const flow = new Int32Array(FLOW_WORDS);
    flow[W_ETH_TYPE] = type;
    flow.set(labels, W_MPLS);
    const builder = new OdpActionBuilder();
    commitActions(base.slice(), flow, builder, new Int32Array(FLOW_WORDS));
    t.equal(formatOdpActions(builder.take(), {}), want);
  }
});

t.test("commit: the actions turn the base flow's words into the other's", async () => {
  const word = fc.constantFrom(0, 1, 0x0a000001, -1);
  const tag = fc.constantFrom(0, 0x81001005, 0x81003006, 0x88a81005 | 0);
  const lse = fc.constantFrom(0x1000, 0x2000, 0x3040);
  const header = fc.record({
    words: fc.array(word, { minLength: 31, maxLength: 31 }),
    tags: fc.tuple(tag, tag),
    labels: fc.array(lse, { maxLength: 3 }),
  });
  const types = fc.constantFrom(0x800, 0x86dd, 0x806, 0x8847, 0x1234);
  fc.assert(
    fc.property(header, header, types, fc.constantFrom(6, 17, 1, 58, 132), (a, b, type, protocol) => {
      const build = (from: typeof a) => {
        const flow = new Int32Array(FLOW_WORDS);
        for (let i = 0; i < 31; i++) flow[12 + i] = from.words[i]!;
        flow[W_ETH_TYPE] = type;
        flow[23] = (flow[23]! & ~0xff0000ff) | protocol;
        flow[40] = (flow[40]! & 0x00ff00ff) | 0;
        flow[W_VLAN0] = from.tags[0];
        flow[W_VLAN1] = from.tags[0] === 0 ? 0 : from.tags[1];
        for (let i = 0; i < 3; i++) flow[W_MPLS + i] = 0;
        if (type === 0x8847) {
          const labels = from.labels.length === 0 ? [0x1000] : from.labels;
          labels.forEach((label, i) => {
            flow[W_MPLS + i] = label | (i === labels.length - 1 ? 0x100 : 0);
          });
        }
        return flow;
      };
      const base = build(a);
      const flow = build(b);
      const packet = base.slice();
      const builder = new OdpActionBuilder();
      const wildcards = new Int32Array(FLOW_WORDS);
      commitActions(base, flow, builder, wildcards);
      const program = builder.take();
      const changed = new Set<number>();
      for (let at = 0; at < program.length; at += program[at + 1]!) {
        run(packet, program, at);
        if (program[at] === ODP_SET) changed.add(program[at + 2]!);
      }
      if (packet[W_VLAN0] !== flow[W_VLAN0] || packet[W_VLAN1] !== flow[W_VLAN1]) return false;
      for (let i = 0; i < 3; i++) if (packet[W_MPLS + i] !== flow[W_MPLS + i]) return false;
      if (packet[W_ETH_TYPE] !== flow[W_ETH_TYPE]) return false;
      for (const at of changed) if (at !== W_MPLS && (packet[at]! ^ flow[at]!) & wildcards[at]!) return false;
      // Addresses of Ethernet, and of IP where there is IP, arrive whole.
      for (const at of [12, 13, 14]) if (packet[at] !== flow[at]) return false;
      if (type === 0x800) for (const at of [21, 22]) if (packet[at] !== flow[at]) return false;
      if (type === 0x86dd) for (let at = 24; at < 32; at++) if (packet[at] !== flow[at]) return false;
      return true;
    }),
    { numRuns: 1000 },
  );
});

/** A model of the datapath: what an action does to the words. */
function run(packet: Int32Array, program: Int32Array, at: number): void {
  const [a, b, c] = [program[at + 2]!, program[at + 3]!, program[at + 4]!];
  switch (program[at]) {
    case ODP_SET:
      packet[a] = (packet[a]! & ~c) | (b & c);
      return;
    case ODP_PUSH_VLAN:
      packet[W_VLAN1] = packet[W_VLAN0]!;
      packet[W_VLAN0] = a;
      return;
    case ODP_POP_VLAN:
      packet[W_VLAN0] = packet[W_VLAN1]!;
      packet[W_VLAN1] = 0;
      return;
    case ODP_PUSH_MPLS:
      packet.copyWithin(W_MPLS + 1, W_MPLS, W_MPLS + 2);
      packet[W_MPLS] = a;
      packet[W_ETH_TYPE] = b;
      return;
    case ODP_POP_MPLS:
      packet.copyWithin(W_MPLS, W_MPLS + 1, W_MPLS + 3);
      packet[W_MPLS + 2] = 0;
      packet[W_ETH_TYPE] = a;
      return;
    default:
      throw new Error(`unexpected action ${program[at]} in ${FLOW_DP_WORDS}`);
  }
}
