/** Connection tracking: ct (NXAST_CT 35) with its nested nat (NXAST_NAT 36) and exec. Rows of the action registry. */
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "../../lib/ip.ts";
import type { Ct, Nat, Ofpact } from "../actions.ts";
import { OfpError } from "../errors.ts";
import type { Reader, Writer } from "../wire.ts";
import {
  type ActionRow,
  beginNx,
  checkSubfield,
  end,
  type FormatContext,
  formatSubfield,
  keyValues,
  long,
  nx,
  offsetBits,
  type ParseContext,
  parseBig,
  parseSubfield,
  readFieldHeader,
  row,
  showTable,
  subfieldOf,
  TextError,
  table,
  u16,
  writeNxFieldHeader,
} from "./row.ts";

const NX_CT_F_COMMIT = 1;
const NX_CT_F_FORCE = 2;
const NEEDS_COMMIT =
  "CT action requires commit flag if actions other than NAT without arguments are specified.";
const ALGS: Readonly<Record<string, number>> = { ftp: 21, tftp: 69 };

const ct: ActionRow<Ct> = {
  types: ["ct"],
  wire: [
    long(
      nx("CT", 35, 24, (r, c) => {
        const flags = r.u16();
        if (flags & NX_CT_F_FORCE && !(flags & NX_CT_F_COMMIT)) throw new OfpError("OFPBAC_BAD_ARGUMENT");
        let zone: Ct["zone"];
        if (r.u32At(r.pos) === 0) {
          r.skip(4);
          zone = r.u16();
        } else {
          const field = readFieldHeader(r);
          const packed = r.u16();
          const s = subfieldOf(field, packed);
          if (s.bits !== 16) throw new OfpError("OFPBAC_BAD_SET_LEN");
          zone = checkSubfield(s, false);
        }
        const recircTable = r.u8();
        r.skip(3);
        const alg = r.u16();
        const actions = c.nested(r, "ct");
        if (!(flags & NX_CT_F_COMMIT) && actions.some((a) => a.type !== "nat" || a.flags !== 0)) {
          throw new OfpError("OFPBAC_BAD_ARGUMENT", NEEDS_COMMIT, "ofp_actions");
        }
        return { type: "ct", flags, zone, alg, recircTable, actions };
      }),
    ),
  ],
  encode(a, w, version) {
    const start = beginNx(w, 35);
    w.u16(a.flags);
    if (typeof a.zone === "number") {
      w.u32(0);
      w.u16(a.zone);
    } else {
      writeNxFieldHeader(w, a.zone.field);
      w.u16(offsetBits(a.zone));
    }
    w.u8(a.recircTable);
    w.zeros(3);
    w.u16(a.alg);
    encodeNested?.(a.actions, w, version);
    end(w, start);
  },
  format(a, c) {
    const parts: string[] = [];
    if (a.flags & NX_CT_F_COMMIT) parts.push("commit");
    if (a.flags & NX_CT_F_FORCE) parts.push("force");
    if (a.recircTable !== 0xff) parts.push(`table=${showTable(a.recircTable, c)}`);
    if (typeof a.zone !== "number") parts.push(`zone=${formatSubfield(a.zone)}`);
    else if (a.zone !== 0) parts.push(`zone=${a.zone}`);
    const [first] = a.actions;
    if (first?.type === "nat") parts.push(formatNat(first));
    const exec = first?.type === "nat" ? a.actions.slice(1) : a.actions;
    if (exec.length > 0) parts.push(`exec(${c.actions(exec)})`);
    if (a.alg === 21) parts.push("alg=ftp");
    else if (a.alg === 69) parts.push("alg=tftp");
    else if (a.alg !== 0) parts.push(`alg=${a.alg}`);
    return `ct(${parts.join(",")})`;
  },
  words: { ct: parseCt },
};

let encodeNested: ((list: readonly Ofpact[], w: Writer, version: number) => void) | undefined;
export function setCtEncoder(encode: NonNullable<typeof encodeNested>): void {
  encodeNested = encode;
}

function parseCt(arg: string, c: ParseContext): void {
  const a: Ct = { type: "ct", flags: 0, zone: 0, alg: 0, recircTable: 0xff, actions: [] };
  for (const { key, value } of keyValues(arg)) {
    if (key === "commit") a.flags |= NX_CT_F_COMMIT;
    else if (key === "force") a.flags |= NX_CT_F_FORCE;
    else if (key === "table") {
      if (value === "255") throw new TextError("invalid table 0xff");
      const t = parseBig(value);
      if (t === undefined && c.tables?.numberOf(value) === undefined)
        throw new TextError(`unknown table ${value}`);
      a.recircTable = table(value, c);
    } else if (key === "zone") {
      if (parseBig(value) !== undefined) a.zone = u16(value, "zone");
      else {
        const s = parseSubfield(value);
        if (s.bits !== 16) throw new TextError(`zone ${value.includes("[") ? "" : ""}`.trim() || "bad zone");
        a.zone = s;
      }
    } else if (key === "alg") {
      a.alg = ALGS[value] ?? 0;
      if (a.alg === 0) throw new TextError(`invalid alg "${value}"`);
    } else if (key === "nat") {
      a.actions.push(parseNat(value));
    } else if (key === "exec") {
      a.actions.push(...c.nested(value, "ct"));
    } else throw new TextError(`invalid argument to "ct" action: \`${key}'`);
  }
  if (a.flags & NX_CT_F_FORCE && !(a.flags & NX_CT_F_COMMIT)) {
    throw new TextError('"force" flag requires "commit" flag.');
  }
  c.out.push(a);
}

const NAT_SRC = 1;
const NAT_DST = 2;
const NAT_PERSISTENT = 4;
const NAT_HASH = 8;
const NAT_RANDOM = 16;
/** Bytes of what the bits of range_present stand for: least and greatest IPv4 and IPv6 address, and port. */
const NAT_PARTS = [4, 4, 16, 16, 2, 2];

const nat: ActionRow<Nat> = {
  types: ["nat"],
  wire: [long(nx("NAT", 36, 16, (r) => readNat(r)))],
  encode(a, w) {
    const start = beginNx(w, 36);
    w.u16(0);
    w.u16(a.flags);
    const { min, max } = a.addresses;
    const v6 = min instanceof Uint8Array;
    let present = 0;
    if (min !== undefined) present |= v6 ? 4 : 1;
    if (max !== undefined) present |= v6 ? 8 : 2;
    if (a.protoMin !== 0 || a.protoMax !== 0) present |= 16;
    if (a.protoMax !== 0) present |= 32;
    w.u16(present);
    for (const address of [min, max]) {
      if (address instanceof Uint8Array) w.put(address);
      else if (address !== undefined) w.u32(address >>> 0);
    }
    if (a.protoMin !== 0 || a.protoMax !== 0) w.u16(a.protoMin);
    if (a.protoMax !== 0) w.u16(a.protoMax);
    end(w, start);
  },
  format: (a) => formatNat(a),
  words: {
    nat(arg, c) {
      c.out.push(parseNat(arg));
    },
  },
};

function readNat(r: Reader): Nat {
  r.skip(2);
  const flags = r.u16();
  const present = r.u16();
  const direction = flags & 3;
  const both = NAT_HASH | NAT_RANDOM;
  if (flags & ~31 || direction === 3 || (flags & both) === both) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  // Bits that are not known say nothing.
  const has = NAT_PARTS.map((_bytes, bit) => (present & (1 << bit)) !== 0);
  const [min4, max4, min6, max6, minPort, maxPort] = has;
  if ((min4 || max4) && (min6 || max6)) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  if ((max4 && !min4) || (max6 && !min6) || (maxPort && !minPort)) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  if (minPort && !min4 && !min6) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  r.need(
    NAT_PARTS.reduce((sum, bytes, bit) => sum + (has[bit] ? bytes : 0), 0),
    "OFPBAC_BAD_ARGUMENT",
  );
  const addresses: Nat["addresses"] = { min: undefined, max: undefined };
  if (min4) addresses.min = r.u32();
  if (max4) addresses.max = r.u32();
  if (min6) addresses.min = r.take(16);
  if (max6) addresses.max = r.take(16);
  const protoMin = minPort ? r.u16() : 0;
  const protoMax = maxPort ? r.u16() : 0;
  if (minPort && protoMin === 0) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  if (maxPort && protoMax < protoMin) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  if (typeof addresses.max === "number" && addresses.max < (addresses.min as number)) {
    throw new OfpError("OFPBAC_BAD_ARGUMENT");
  }
  if (addresses.max instanceof Uint8Array && compare(addresses.max, addresses.min as Uint8Array) < 0) {
    throw new OfpError("OFPBAC_BAD_ARGUMENT");
  }
  // Without a direction there is no translation to an address, whatever is there.
  if (direction === 0)
    return { type: "nat", flags, addresses: { min: undefined, max: undefined }, protoMin: 0, protoMax: 0 };
  return { type: "nat", flags, addresses, protoMin, protoMax };
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < 16; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

export function formatNat(a: Nat): string {
  if ((a.flags & 3) === 0) return "nat";
  const { min, max } = a.addresses;
  let text = a.flags & NAT_SRC ? "src" : "dst";
  const bracket = min instanceof Uint8Array && a.protoMin !== 0;
  const address = (x: number | Uint8Array): string =>
    x instanceof Uint8Array ? (bracket ? `[${formatIpv6(x)}]` : formatIpv6(x)) : formatIpv4(x);
  if (min !== undefined) {
    text += `=${address(min)}`;
    if (max !== undefined && !same(min, max)) text += `-${address(max)}`;
  }
  if (min === undefined) return `nat(${text})`;
  if (a.protoMin !== 0) {
    text += `:${a.protoMin}`;
    if (a.protoMax !== 0 && a.protoMax !== a.protoMin) text += `-${a.protoMax}`;
  }
  if (a.flags & NAT_PERSISTENT) text += ",persistent";
  if (a.flags & NAT_HASH) text += ",hash";
  if (a.flags & NAT_RANDOM) text += ",random";
  return `nat(${text})`;
}

function same(a: number | Uint8Array, b: number | Uint8Array): boolean {
  return a instanceof Uint8Array ? compare(a, b as Uint8Array) === 0 : a === b;
}

function parseNat(arg: string): Nat {
  const a: Nat = {
    type: "nat",
    flags: 0,
    addresses: { min: undefined, max: undefined },
    protoMin: 0,
    protoMax: 0,
  };
  if (arg === "") return a;
  for (const { key, value } of keyValues(arg)) {
    if (key === "src" || key === "dst") {
      if (a.flags & 3) throw new TextError('May only specify one of "src" or "dst".');
      a.flags |= key === "src" ? NAT_SRC : NAT_DST;
      if (value !== "") parseNatRange(value, a);
    } else if (key === "persistent") a.flags |= NAT_PERSISTENT;
    else if (key === "hash") a.flags |= NAT_HASH;
    else if (key === "random") a.flags |= NAT_RANDOM;
    else throw new TextError(`invalid key "${key}" in "nat" argument`);
  }
  if (a.flags !== 0 && (a.flags & 3) === 0) throw new TextError('Flags allowed only with "src" or "dst".');
  if (a.flags & NAT_HASH && a.flags & NAT_RANDOM)
    throw new TextError('Both "hash" and "random" are not allowed.');
  return a;
}

/** "ADDR[-ADDR][:PORT[-PORT]]", IPv6 in brackets when ports follow. */
function parseNatRange(text: string, a: Nat): void {
  const invalid = (): TextError => new TextError(`invalid nat range "${text}"`);
  const found =
    /^(\d+\.\d+\.\d+\.\d+)(?:-(\d+\.\d+\.\d+\.\d+))?/.exec(text) ??
    /^\[([^\]]*)\](?:-\[([^\]]*)\])?/.exec(text) ??
    /^([0-9a-fA-F:.]+)(?:-([0-9a-fA-F:.]+))?/.exec(text);
  if (found === null) throw invalid();
  let at = found[0].length;
  const ip = (s: string | undefined): number | Uint8Array | undefined =>
    s === undefined ? undefined : (parseIpv4(s) ?? parseIpv6(s));
  const min = ip(found[1]);
  let max = ip(found[2]);
  if (min === undefined || (found[2] !== undefined && max === undefined)) throw invalid();
  if (max !== undefined) {
    const order = min instanceof Uint8Array ? compare(max as Uint8Array, min) : (max as number) - min;
    if (order < 0) throw invalid();
    if (order === 0) max = undefined;
  }
  a.addresses = { min, max };
  if (text[at] === ":") {
    const ports = /^:(\d+)(?:-(\d+))?(?!-)/.exec(text.slice(at));
    if (ports === null) throw invalid();
    at += ports[0].length;
    a.protoMin = Number(ports[1]);
    a.protoMax = ports[2] === undefined ? 0 : Number(ports[2]);
    if (a.protoMin > 65535 || a.protoMax > 65535) throw invalid();
    if (ports[2] !== undefined && a.protoMax < a.protoMin) throw invalid();
  }
  if (at < text.length) {
    throw new TextError(`garbage (${text.slice(at)}) after nat range "${text}" (pos: ${at})`);
  }
}

export type { FormatContext };
export const CT_ROWS: readonly ActionRow[] = [row(ct), row(nat)];
