/** Matches and flows as text, and packets from flows: what the original printed for the same input. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { composePacket } from "../../src/flow/compose.ts";
import { extractFlow } from "../../src/flow/extract.ts";
import { FIELDS, fieldByName } from "../../src/flow/fields/index.ts";
import { FLOW_WORDS, W_ACTSET_OUTPUT, W_IN_PORT } from "../../src/flow/layout.ts";
import { type Match, makeMatch, matchesEqual } from "../../src/flow/match.ts";
import {
  fieldOnes,
  formatFlow,
  formatMatch,
  parseExactFlow,
  parseMatch,
  setDefaultPacketType,
  setParsed,
} from "../../src/flow/match-text.ts";
import { normalizeMatch, prerequisitesMet } from "../../src/flow/normalize.ts";
import { alignTunMetadata, setTunMetadata, widenTunMetadata } from "../../src/flow/tun-metadata.ts";

function cases(file: string): [string, string][] {
  const text = readFileSync(new URL(`data/${file}`, import.meta.url), "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.split(" => ") as [string, string]);
}

/** What test/flow/data/matches.txt says of an input. */
function print(input: string): string {
  const priority = /priority=(\d+),?/.exec(input);
  const parsed = parseMatch(input.replace(/priority=\d+,?/, ""));
  if ("error" in parsed) return `ERR ${parsed.error}`;
  const normalized = normalizeMatch(parsed.match);
  const text = formatMatch(parsed.match, { priority: priority === null ? undefined : Number(priority[1]) });
  return (normalized === undefined ? `ADD ${text}` : `NORMALIZED ${normalized.pre} TO ${text}`).trim();
}

t.test("matches print as the original prints them", async (t) => {
  for (const [input, output] of cases("matches.txt")) t.equal(print(input), output.trim(), input);
});

const maskable = FIELDS.filter(
  ({ name, isTunMetadata }) => !isTunMetadata && !/^tun_erspan|^tun_(tos|ttl|gtpu)|vlan|^ct_|^nd_/.test(name),
);

t.test("text of a match reads back as the same match", async () => {
  const shapes = [
    "tcp",
    "udp6",
    "icmp",
    "icmp6,icmp_type=135",
    "arp",
    "sctp",
    "mpls",
    "dl_type=0x894f",
    "ip",
    "ipv6",
    "",
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...shapes),
      fc.array(
        fc.tuple(fc.constantFrom(...maskable), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), fc.boolean()),
      ),
      (shape, settings) => {
        const parsed = parseMatch(shape) as { match: Match };
        const match = parsed.match;
        for (const [field, n, exact] of settings) {
          if (["eth_type", "nw_proto", "packet_type", "ip_frag", "arp_op"].includes(field.name)) continue;
          if (!prerequisitesMet(field, match.flow, match.mask)) continue;
          const bits = (1n << BigInt(field.format.startsWith("port") ? 16 : field.bits)) - 1n;
          const mask = exact || !field.maskable ? fieldOnes(field) : (n >> 3n) & bits;
          setParsed(match, field, n & mask & bits, mask);
        }
        normalizeMatch(match);
        setDefaultPacketType(match);
        const text = formatMatch(match);
        const again = parseMatch(text);
        return "match" in again && matchesEqual(again.match, match) && formatMatch(again.match) === text;
      },
    ),
    { numRuns: 500 },
  );
});

t.test("packets are composed as the original composes them, and are understood again", async (t) => {
  for (const [text, bytes] of cases("packets.txt")) {
    const parsed = parseExactFlow(text);
    if ("error" in parsed) {
      t.fail(parsed.error);
      continue;
    }
    const packet = composePacket(parsed.flow);
    t.equal(Buffer.from(packet).toString("hex"), bytes, text);
    const flow = new Int32Array(FLOW_WORDS);
    flow[W_IN_PORT] = 0xffff;
    flow[W_ACTSET_OUTPUT] = 0xfff7;
    extractFlow(packet, 0, packet.length, flow, new Int32Array(4));
    // No IPv6 fragment header, RARP addresses or length field is composed.
    if (!/^(tcp6.*frag|rarp|dl.*0x100)/.test(text)) t.equal(formatFlow(flow), formatFlow(parsed.flow), text);
    const long = composePacket(parsed.flow, { totalLength: 300 });
    t.equal(long.length, 300);
  }
});

t.test("exact flows", async (t) => {
  t.same(parseExactFlow("in_port=1,tp_dst=1"), {
    error: "in_port=1,tp_dst=1: prerequisites not met for setting tp_dst",
  });
  t.same(parseExactFlow("igmp"), { error: "igmp: unknown field igmp" });
  const { flow } = parseExactFlow("in_port=1,dl_vlan=5,tcp,tp_dst=80") as { flow: Int32Array };
  t.equal(
    formatFlow(flow),
    "tcp,in_port=1,dl_vlan=5,dl_vlan_pcp=0,vlan_tci1=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00," +
      "nw_src=0.0.0.0,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,tp_dst=80,tcp_flags=0",
  );
  t.ok(matchesEqual(makeMatch(), makeMatch()));
});

t.test(
  "tun_metadata means the same however wide it lies, and a mask of ones is a mask all the same",
  async (t) => {
    const match = (text: string): Match => (parseMatch(text) as { match: Match }).match;
    const wide = makeMatch();
    setTunMetadata(wide, fieldByName("tun_metadata1")!, 8, 0xefn, 0xffn);
    setTunMetadata(wide, fieldByName("tun_metadata0")!, 4, 0xabcdn, undefined);
    const cases: [string, Match, Match, boolean][] = [
      ["order and width", wide, match("tun_metadata0=0xabcd,tun_metadata1=0xef/0xff"), true],
      ["value", wide, match("tun_metadata0=0xabce,tun_metadata1=0xef/0xff"), false],
      ["zero", match("tun_metadata0=0"), match("tun_metadata0=0x0"), true],
      ["presence", match("tun_metadata0"), match("tun_metadata0=0"), false],
      ["mask of ones", match("tun_metadata0=0xef/0xff"), match("tun_metadata0=0xef"), false],
      ["mask of all bits", match("tun_metadata0=0xef/0xffffffff"), match("tun_metadata0=0xef"), true],
      [
        "and of a wider one",
        match("tun_metadata0=0x100000000"),
        match("tun_metadata0=0xef/0xffffffff"),
        false,
      ],
    ];
    for (const [name, a, b, want] of cases) {
      const widths = new Map();
      for (const each of [a, b]) widenTunMetadata(widths, each);
      t.equal(matchesEqual(alignTunMetadata(a, widths), alignTunMetadata(b, widths)), want, name);
    }
  },
);
