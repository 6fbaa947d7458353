/**
 * Properties of the codec: every message of every version survives encoding; whatever decodes can be encoded again
 * and means the same; hostile bytes are errors, never exceptions, and never grow. With OVSBOX_FULL a million of them.
 */
import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import t from "tap";
import { FIELDS, type Field } from "../../src/flow/fields/index.ts";
import { W_PACKET_TYPE, W_VLAN0 } from "../../src/flow/layout.ts";
import { type Match, matchesEqual } from "../../src/flow/match.ts";
import { formatMatch } from "../../src/flow/match-text.ts";
import { MESSAGES } from "../../src/openflow/codec.ts";
import {
  type Decoded,
  decode,
  encode,
  type Message,
  OfpError,
  type Version,
} from "../../src/openflow/index.ts";
import { matchProtocols } from "../../src/openflow/match-protocols.ts";
import type { PacketIn } from "../../src/openflow/messages.ts";
import type { MessageRow } from "../../src/openflow/msg/row.ts";
import { fieldHeader, matchFromTlvs, writeHeader } from "../../src/openflow/oxm.ts";
import { P_OF11_STD } from "../../src/openflow/protocols.ts";
import { printMessage } from "../../src/openflow/text/print.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { examples, flowExamples } from "./examples.ts";

const VERSIONS: readonly Version[] = [1, 2, 3, 4, 5, 6];
const FULL = Boolean(process.env.OVSBOX_FULL);

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

function again(d: Decoded): Uint8Array {
  return encode(d.message, d.version, { xid: d.xid, more: d.more, name: d.name, tableIds: true });
}

/** Every row of the registry, in each version that it is for, with each example of its type. */
function* rowExamples(): Generator<{ row: MessageRow; version: Version; message: Message }> {
  for (const version of VERSIONS) {
    const all = examples(version);
    for (const row of MESSAGES) {
      if (version < row.first || version > row.last) continue;
      for (const message of all) if (message.type === row.type) yield { row, version, message };
    }
  }
}

/** Bucket ids and selection methods: in Open vSwitch's form for 1.0, and in 1.5. */
function sayable(version: Version, m: Message): boolean {
  if (m.type !== "group-mod" || version === 1 || version === 6) return true;
  return m.command !== 3 && m.props.selectionMethod === "";
}

/** The example of a packet_in. */
const PACKET_IN = (version: Version): PacketIn =>
  examples(version).find((m): m is PacketIn => m.type === "packet-in")!;

/** Packet_ins with every match: theirs need no prerequisites. */
function packetIns(version: Version): Uint8Array[] {
  const name = version === 1 ? { name: "NXT_PACKET_IN" } : {};
  return flowExamples(version).flatMap((m) =>
    m.type === "flow-mod"
      ? [encode({ ...PACKET_IN(version), match: m.match }, version, { xid: 7, ...name })]
      : [],
  );
}

/** Flow_mods of `flowExamples`, packet_ins and every row's messages, encoded. */
function seeds(): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (const { row, version, message } of rowExamples()) {
    if (sayable(version, message))
      out.push(encode(message, version, { xid: 7, name: row.name, tableIds: true }));
  }
  for (const version of VERSIONS) {
    for (const m of flowExamples(version))
      out.push(encode(m, version, { xid: 7, nxm: version === 1, tableIds: true }));
    if (version !== 2) out.push(...packetIns(version));
  }
  return out;
}

t.test("every message of the registry survives, in every version and form", async (t) => {
  const seen = new Set<string>();
  const wrong: string[] = [];
  for (const { row, version, message } of rowExamples()) {
    if (!sayable(version, message)) continue;
    seen.add(`${row.name}.${version}`);
    const what = `${row.name} in ${version}`;
    const bytes = encode(message, version, { xid: 7, name: row.name, tableIds: true });
    const decoded = decode(bytes);
    if (decoded instanceof OfpError) wrong.push(`${what}: ${decoded.ofp} ${decoded.message} ${hex(bytes)}`);
    else if (decoded.name !== row.name) wrong.push(`${what} came back as ${decoded.name}`);
    else if (hex(again(decoded)) !== hex(bytes))
      wrong.push(`${what}: ${hex(bytes)} became ${hex(again(decoded))}`);
    if (/decode error/.test(printMessage(bytes))) wrong.push(`${what}: ${printMessage(bytes)}`);
  }
  for (const row of MESSAGES) {
    for (let v = row.first; v <= Math.min(row.last, 6); v++) {
      if (!seen.has(`${row.name}.${v}`)) wrong.push(`no example of ${row.name} in ${v}`);
    }
  }
  t.same(wrong, []);
});

/** What is wrong with how `bytes` decode, print and encode again; undefined: nothing. */
function trouble(bytes: Uint8Array): string | undefined {
  const decoded = decode(bytes);
  if (decoded instanceof OfpError) return undefined;
  const weight = weigh(decoded.message);
  if (weight > 4096 + 100 * bytes.length) return `${bytes.length} bytes became ${weight}`;
  const printed = printMessage(bytes);
  // A hello may come from versions that we do not speak.
  if (decoded.version < 1 || decoded.version > 6) return undefined;
  // Version 1.1 takes newer matches, too, but writes its own structure.
  if (decoded.version === 2 && !fitsFixed(decoded.message)) return undefined;
  const once = again(decoded);
  const back = decode(once);
  if (back instanceof OfpError) return `encoded again as ${hex(once)}: ${back.ofp} ${back.message}`;
  const lossy = LOSSY[decoded.message.type] ?? [];
  const even = (m: Message): unknown =>
    canonical({ ...m, ...Object.fromEntries(lossy.map((key) => [key, 0])) });
  const [was, is] = [even(decoded.message), even(back.message)];
  if (!isDeepStrictEqual(is, was)) return `${decoded.name}: ${diff(was, is)}`;
  return typeof printed === "string" ? undefined : "not printed";
}

/**
 * Evens out what has several forms with one meaning: where tunnel metadata lies, how wide "no VLAN tag" is matched,
 * Ethernet said or implied, setters of older versions and set_field, write_actions of none; and names that are no UTF-8.
 */
function canonical(value: unknown): unknown {
  if (typeof value === "string") return value.includes("\ufffd") ? "" : value;
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value) || "headers" in value)
    return value;
  if (isMatch(value)) return canonicalMatch(value);
  if (isTunnel(value)) return { type: "set_tunnel" };
  if (isLegacySet(value)) return { type: "legacy" };
  if (Array.isArray(value)) return value.filter((item) => !isEmptyWrite(item)).map(canonical);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, canonical(member)]));
}

function isMatch(value: unknown): value is Match {
  return typeof value === "object" && value !== null && "flow" in value && "mask" in value;
}

function canonicalMatch(match: Match): unknown {
  if (match.tunMetadata !== undefined) return formatMatch(match).split(",").toSorted();
  const { flow, mask } = { flow: match.flow.slice(), mask: match.mask.slice() };
  if ((mask[W_VLAN0]! & 0x1fff) === 0x1fff && flow[W_VLAN0] === 0) mask[W_VLAN0] = mask[W_VLAN0]! | 0xffff;
  if (flow[W_PACKET_TYPE] === 0) mask[W_PACKET_TYPE] = 0;
  return { flow, mask };
}

function isTunnel(value: unknown): boolean {
  const action = value as { type?: string; field?: { name: string } } | null;
  return action?.type === "set_tunnel" || (action?.type === "set_field" && action.field?.name === "tun_id");
}

/** Setters of 1.1 are taken in later versions, and written as set_field there. */
function isLegacySet(value: unknown): boolean {
  const action = value as { type?: string; field?: { name: string }; load?: boolean } | null;
  if (action?.type === "set_field") return action.load !== true && LEGACY_FIELDS.has(action.field!.name);
  return LEGACY.test(action?.type ?? "");
}

const LEGACY =
  /^set_(vlan_vid|vlan_pcp|eth_src|eth_dst|ipv4_src|ipv4_dst|ip_dscp|ip_ecn|l4_src_port|l4_dst_port|mpls_label|mpls_tc)$/;
const LEGACY_FIELDS = new Set(
  "vlan_vid vlan_pcp eth_src eth_dst ip_src ip_dst ip_dscp nw_ecn tcp_src tcp_dst udp_src udp_dst sctp_src sctp_dst mpls_label mpls_tc".split(
    " ",
  ),
);

function isEmptyWrite(value: unknown): boolean {
  const action = value as { type?: string; actions?: unknown[] } | null;
  return action?.type === "write_actions" && action.actions?.length === 0;
}

/** Members that are taken from anyone but written only with values that mean something. */
const LOSSY: Readonly<Record<string, readonly string[]>> = {
  hello: ["understood"],
  "packet-in": ["reason"],
  "port-mod": ["config", "mask"],
  "table-mod": ["vacancyDown", "vacancyUp"],
  "flow-removed": ["reason"],
  "flow-mod": ["table"],
};

/** Bytes of what was decoded, about. */
function weigh(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength + 64;
  if (typeof value === "string") return 2 * value.length;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + weigh(item), 32);
  // A field is one of the registry's.
  if (typeof value !== "object" || value === null || "headers" in value) return 8;
  return Object.values(value).reduce((sum: number, item) => sum + weigh(item), 32);
}

/** Where two values first differ: "flows.0.match.mask.5: 1 became 2". */
function diff(a: unknown, b: unknown, path = ""): string {
  const keys = (x: unknown): string[] => (typeof x === "object" && x !== null ? Object.keys(x) : []);
  for (const key of new Set([...keys(a), ...keys(b)])) {
    const x = (a as Record<string, unknown> | undefined)?.[key];
    const y = (b as Record<string, unknown> | undefined)?.[key];
    if (!isDeepStrictEqual(x, y)) return diff(x, y, path === "" ? key : `${path}.${key}`);
  }
  return `${path}: ${String(a)} became ${String(b)}`;
}

t.test("flows with every match and action survive, in every version that has them", async (t) => {
  const wrong: string[] = [];
  for (const version of VERSIONS) {
    for (const m of flowExamples(version)) {
      if (version === 2 && !fitsFixed(m)) continue;
      const bytes = encode(m, version, { xid: 7, nxm: version === 1, tableIds: true });
      const decoded = decode(bytes);
      const why = decoded instanceof OfpError ? `${decoded.ofp} ${decoded.message}` : trouble(bytes);
      if (why !== undefined) wrong.push(`${printMessage(bytes)} in ${version}: ${why}`);
    }
  }
  t.same(wrong, []);
});

/** Random TLVs of `fields`, with or without a mask. */
function tlvs(
  version: Version,
  fields: readonly { field: Field; value: bigint; mask: bigint }[],
): Uint8Array {
  const w = new Writer(256);
  for (const { field, value, mask } of fields) {
    const header = fieldHeader(field, version === 1 ? 0 : version);
    if (header === undefined || field.isTunMetadata) continue;
    const bits = (1n << BigInt(field.bits)) - 1n;
    const masked = field.maskable && mask % 2n === 0n;
    writeHeader(w, header, field.bytes, masked);
    w.big(value & bits & (masked ? mask : bits), field.bytes);
    if (masked) w.big(mask & bits, field.bytes);
  }
  return w.done();
}

t.test("the match of a packet_in survives, whether or not its fields have their prerequisites", async () => {
  const big = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n });
  fc.assert(
    fc.property(
      fc.constantFrom<Version>(1, 3, 4, 5, 6),
      fc.array(fc.record({ field: fc.constantFrom(...FIELDS), value: big, mask: big }), { maxLength: 5 }),
      (version, fields) => {
        const bytes = tlvs(version, fields);
        const name = version === 1 ? "NXT_PACKET_IN" : "OFPT_PACKET_IN";
        let match: Match;
        try {
          match = matchFromTlvs(bytes, true);
        } catch (error) {
          return error instanceof OfpError;
        }
        const sent = encode({ ...PACKET_IN(version), match }, version, { xid: 7, name });
        const decoded = decode(sent);
        return (
          !(decoded instanceof OfpError) &&
          decoded.message.type === "packet-in" &&
          matchesEqual(decoded.message.match, match)
        );
      },
    ),
    { numRuns: FULL ? 100_000 : 2000 },
  );
});

/** The match, if any, has a place in 1.1's structure. */
function fitsFixed(m: Message): boolean {
  const matches = m.type === "flow-reply" ? m.flows.map(({ match }) => match) : "match" in m ? [m.match] : [];
  return matches.every((match) => (matchProtocols(match) & P_OF11_STD) !== 0);
}

/** A seed with a few bytes changed, or cut, or joined with another, its length field mended most of the time. */
function mutate(all: readonly Uint8Array[], random: () => number): Uint8Array {
  const seed = all[random() % all.length]!;
  let bytes = seed.slice();
  switch (random() % 8) {
    case 0:
      bytes = bytes.slice(0, random() % (bytes.length + 1));
      break;
    case 1: {
      const other = all[random() % all.length]!;
      const at = random() % (bytes.length + 1);
      const from = random() % (other.length + 1);
      bytes = Uint8Array.of(...bytes.subarray(0, at), ...other.subarray(from));
      break;
    }
    case 2:
      bytes = Uint8Array.from({ length: 8 + (random() % 120) }, () => random() & 0xff);
      if (bytes.length > 1) {
        bytes[0] = 1 + (random() % 6);
        bytes[1] = random() % 36;
      }
      break;
    default:
      for (let n = 1 + (random() % 4); n > 0; n--) {
        const at = random() % bytes.length;
        bytes[at] = INTERESTING[random() % INTERESTING.length] ?? random() & 0xff;
      }
  }
  if (bytes.length >= 4 && random() % 8 !== 0) {
    bytes[2] = bytes.length >> 8;
    bytes[3] = bytes.length;
  }
  return bytes;
}

const INTERESTING: readonly (number | undefined)[] = [
  0,
  1,
  4,
  7,
  8,
  0x7f,
  0x80,
  0xff,
  undefined,
  undefined,
  undefined,
];

t.test("hostile bytes: an error value or a message that survives, never an exception", async (t) => {
  const all = seeds();
  const count = FULL ? 1_000_000 : 10_000;
  const began = process.hrtime.bigint();
  const wrong: string[] = [];
  let decoded = 0;
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      let state = seed | 1;
      const random = (): number => {
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        return state >>> 0;
      };
      for (let i = 0; i < 1000 && wrong.length < 200; i++) {
        const bytes = mutate(all, random);
        let why: string | undefined;
        try {
          if (!(decode(bytes) instanceof OfpError)) decoded++;
          why = trouble(bytes);
        } catch (error) {
          why = (error as Error).stack;
        }
        if (why !== undefined) wrong.push(`${hex(bytes)}: ${why}`);
      }
    }),
    // The short run is the same each time; the long one (1 000 000) looks for what is new.
    { numRuns: count / 1000, ...(FULL ? {} : { seed: 1 }) },
  );
  const seconds = Number(process.hrtime.bigint() - began) / 1e9;
  t.same(wrong, []);
  t.ok(decoded > count / 20, "a fair part of them decodes");
  t.comment(`${count} inputs, ${decoded} of them decoded, in ${seconds.toFixed(1)} s`);
});
