/** Actions that change headers and metadata. Rows of the action registry. */
import { type Field, fieldByName, fieldByOxmName, mustField } from "../../flow/fields/index.ts";
import { formatFieldValue, parseFieldValue } from "../../flow/match-text.ts";
import { formatIpv4, parseIpv4 } from "../../lib/ip.ts";
import { formatMac, parseMac } from "../../lib/mac.ts";
import type {
  Bare,
  CheckPktLarger,
  Decap,
  DecTtl,
  DeleteField,
  Encap,
  EncapProperty,
  MplsEthertype,
  Ofpact,
  PushVlan,
  RegMove,
  SetByte,
  SetEth,
  SetField,
  SetIpv4,
  SetL4Port,
  SetMplsLabel,
  SetQueue,
  SetTunnel,
  SetVlanPcp,
  SetVlanVid,
  StackAction,
  StripVlan,
} from "../actions.ts";
import { OfpError, ONF_VENDOR } from "../errors.ts";
import { fieldProtocols } from "../match-protocols.ts";
import { ones, writeField } from "../oxm.ts";
import { portFromWire } from "../ports.ts";
import { USABLE_11_UP, USABLE_13_UP } from "../protocols.ts";
import type { Reader, Writer } from "../wire.ts";
import {
  type ActionRow,
  begin,
  beginNx,
  checkSubfield,
  end,
  formatSubfield,
  hex,
  keyValues,
  long,
  mustBeZero,
  needWritable,
  nx,
  nxHeaderBytes,
  of,
  type ParseContext,
  parseBig,
  parseSubfield,
  readFieldHeader,
  readLongFieldHeader,
  readValueHeader,
  restZero,
  row,
  scanSubfield,
  subfieldOf,
  TextError,
  u8,
  u16,
  u32,
  u64,
  within,
  writeFieldHeader,
  writeNxFieldHeader,
} from "./row.ts";

/** Puts a set_field of a whole field in the version's own form (1.2 up). */
function setWhole(w: Writer, name: string, version: number, value: bigint): void {
  const field = mustField(name);
  const start = begin(w, 25);
  writeField(w, field, version, value, ones(field.bits));
  end(w, start);
}

function fullMask(field: Field, bytes: number): bigint {
  if (field.name === "vlan_vid") return 0x1fffn;
  return field.isTunMetadata ? ones(bytes * 8) : ones(field.bits);
}

export function isWhole(a: SetField): boolean {
  return a.mask === fullMask(a.field, a.bytes);
}

/** Offset and width when the mask's ones are contiguous. */
export function maskRange(mask: bigint): { offset: number; bits: number } | undefined {
  if (mask === 0n) return undefined;
  let offset = 0;
  while (((mask >> BigInt(offset)) & 1n) === 0n) offset++;
  const top = mask >> BigInt(offset);
  const bits = top.toString(2).length;
  return top === ones(bits) ? { offset, bits } : undefined;
}

const VLAN_CFI_BIG = 0x1000n;
/** A VLAN id is set with the bit that says that there is a tag. */
const VLAN_VID_CFI = 0x1fffn;

function invalidValue(field: Field, value: bigint, mask: bigint): OfpError {
  const text = formatFieldValue(field, value, mask);
  return new OfpError(
    "OFPBAC_BAD_SET_ARGUMENT",
    `Invalid value for set field ${field.name}: ${text}`,
    "ofp_actions",
  );
}

function readSetField(r: Reader, version: number): Ofpact {
  const { field, masked, payload } = readValueHeader(r);
  const action = readSetBody(r, field, masked ? payload / 2 : payload, masked, false);
  if (masked && version < 6) throw new OfpError("OFPBAC_BAD_SET_MASK");
  return action;
}

function readSetBody(r: Reader, field: Field, bytes: number, masked: boolean, load: boolean): SetField {
  if (!field.writable) {
    throw new OfpError(
      "OFPBAC_BAD_SET_ARGUMENT",
      `destination field ${field.name} is not writable`,
      "meta_flow",
    );
  }
  if (field.isTunMetadata ? bytes > field.bytes || bytes < 1 : bytes !== field.bytes) {
    throw new OfpError("OFPBAC_BAD_SET_LEN");
  }
  r.need(masked ? bytes * 2 : bytes, "OFPBAC_BAD_LEN");
  let value = r.big(bytes);
  let mask = masked ? r.big(bytes) : ones(bytes * 8);
  if (mask === ones(bytes * 8)) mask = fullMask(field, bytes);
  if (masked && (value & ~mask) !== 0n) throw new OfpError("OFPBMC_BAD_WILDCARDS");
  if (masked && mask === 0n) throw new OfpError("OFPBAC_BAD_SET_MASK");
  if (!r.zeros(r.left)) throw new OfpError("OFPBAC_BAD_SET_ARGUMENT");
  if (field.format === "port" && field.bytes === 4) {
    value = BigInt(portFromWire(Number(value), "OFPBAC_BAD_SET_ARGUMENT"));
  }
  if (field.name === "vlan_vid") {
    if (!masked || mask === fullMask(field, bytes)) mask = VLAN_VID_CFI;
    if ((value & VLAN_CFI_BIG) === 0n) throw invalidValue(field, value, mask);
  }
  if ((value & ~mask) !== 0n) {
    throw new OfpError(masked ? "OFPBAC_BAD_SET_MASK" : "OFPBAC_BAD_SET_ARGUMENT");
  }
  return { type: "set_field", field, value, mask, bytes, load };
}

const setField: ActionRow<SetField> = {
  types: ["set_field"],
  wire: [
    { ...long(of("SET_FIELD", 25, 3, 6, 8, (r, c) => readSetField(r, c.version))) },
    within(
      1,
      5,
      nx("REG_LOAD", 7, 24, (r) => {
        const packed = r.u16();
        const field = readFieldHeader(r);
        const s = checkSubfield(subfieldOf(field, packed), true);
        const value = r.u64();
        if (s.bits < 64 && value >> BigInt(s.bits) !== 0n) throw new OfpError("OFPBAC_BAD_ARGUMENT");
        const shift = BigInt(s.offset);
        return {
          type: "set_field",
          field,
          value: value << shift,
          mask: ones(s.bits) << shift,
          bytes: field.bytes,
          load: true,
        };
      }),
    ),
    within(
      1,
      5,
      long(
        nx("REG_LOAD2", 33, 16, (r) => {
          const { field, masked, payload } = readValueHeader(r);
          return readSetBody(r, field, masked ? payload / 2 : payload, masked, false);
        }),
      ),
    ),
  ],
  encode: encodeSetField,
  format(a, c) {
    if (a.load) {
      const range = maskRange(a.mask) ?? { offset: 0, bits: a.field.bits };
      const value = (a.value & a.mask) >> BigInt(range.offset);
      return `load:${hex(value)}->${formatSubfield({ field: a.field, ...range })}`;
    }
    const mask = a.field.isTunMetadata && isWhole(a) ? ones(a.field.bits) : a.mask;
    return `set_field:${formatFieldValue(a.field, a.value, mask, c.ports)}->${a.field.name}`;
  },
  words: { load: parseLoad, set_field: parseSetField },
};

function encodeSetField(a: SetField, w: Writer, version: number): void {
  if (version >= 6 || (version >= 3 && !a.load && isWhole(a) && a.field.headers.length > 0)) {
    const start = begin(w, 25);
    const value = a.value;
    if (a.field.name === "in_port") writeField(w, a.field, version, value, a.mask, 2);
    else writeField(w, a.field, version, value, wireMask(a), a.bytes);
    end(w, start);
    return;
  }
  if (version < 3 && !a.load && encodeLegacySet(a, w, version)) return;
  encodeLoad(a, w);
}

function wireMask(a: SetField): bigint {
  return isWhole(a) ? ones(a.bytes * 8) : a.mask;
}

/** NXAST_REG_LOAD of each run of bits (64 at most), or NXAST_REG_LOAD2 where the field or mask needs it. */
function encodeLoad(a: SetField, w: Writer): void {
  if (nxHeaderBytes(a.field) > 4 || (a.field.isTunMetadata && !a.load)) {
    const start = beginNx(w, 33);
    writeField(w, a.field, 0, a.value, wireMask(a), a.bytes);
    end(w, start);
    return;
  }
  let rest = a.mask;
  let done = 0;
  const runs: { offset: number; bits: number }[] = [];
  while (rest !== 0n) {
    let offset = 0;
    while (((rest >> BigInt(offset)) & 1n) === 0n) offset++;
    let bits = 0;
    while (bits < 64 && ((rest >> BigInt(offset + bits)) & 1n) === 1n) bits++;
    runs.push({ offset, bits });
    rest &= ~(ones(bits) << BigInt(offset));
    if (++done > 128) break;
  }
  for (const run of runs) {
    const start = beginNx(w, 7);
    w.u16((run.offset << 6) | (run.bits - 1));
    writeNxFieldHeader(w, a.field);
    w.u64((a.value >> BigInt(run.offset)) & ones(run.bits));
    end(w, start);
  }
}

/** OpenFlow 1.0 and 1.1 have actions of their own for some fields. False: none for this one. */
function encodeLegacySet(a: SetField, w: Writer, version: number): boolean {
  const number = Number(a.value);
  const legacy = (action: Ofpact): boolean => {
    legacyEncode?.(action, w, version);
    return true;
  };
  const mac = (): Uint8Array => {
    const bytes = new Uint8Array(6);
    for (let i = 0; i < 6; i++) bytes[i] = Number((a.value >> BigInt(40 - 8 * i)) & 0xffn);
    return bytes;
  };
  switch (a.field.name) {
    case "vlan_tci":
      return false;
    case "vlan_vid":
    case "dl_vlan":
      return legacy({ type: "set_vlan_vid", vid: number & 0xfff, pushVlanIfNeeded: false });
    case "vlan_pcp":
    case "dl_vlan_pcp":
      return legacy({ type: "set_vlan_pcp", pcp: number, pushVlanIfNeeded: false });
    case "eth_src":
      return legacy({ type: "set_eth_src", mac: mac() });
    case "eth_dst":
      return legacy({ type: "set_eth_dst", mac: mac() });
    case "ip_src":
      return legacy({ type: "set_ipv4_src", ip: number });
    case "ip_dst":
      return legacy({ type: "set_ipv4_dst", ip: number });
    case "tcp_src":
    case "udp_src":
      return legacy({ type: "set_l4_src_port", port: number });
    case "tcp_dst":
    case "udp_dst":
      return legacy({ type: "set_l4_dst_port", port: number });
    case "ip_dscp":
      return legacy({ type: "set_ip_dscp", value: number << 2 });
    case "nw_tos":
      return legacy({ type: "set_ip_dscp", value: number & 0xfc });
    case "nw_ecn":
      return version === 2 ? legacy({ type: "set_ip_ecn", value: number }) : false;
    case "mpls_label":
      return version === 2 ? legacy({ type: "set_mpls_label", label: number }) : false;
    case "mpls_tc":
      return version === 2 ? legacy({ type: "set_mpls_tc", value: number }) : false;
  }
  return false;
}

/** Set by the registry: encodes any action. */
let legacyEncode: ((a: Ofpact, w: Writer, version: number) => void) | undefined;
export function setLegacyEncoder(encode: (a: Ofpact, w: Writer, version: number) => void): void {
  legacyEncode = encode;
}

function parseLoad(arg: string, c: ParseContext): void {
  const arrow = arg.indexOf("->");
  const text = arrow < 0 ? arg : arg.slice(0, arrow);
  if (arrow < 0) throw new TextError(`${arg}: missing \`->' following value`);
  const dst = parseSubfield(arg.slice(arrow + 2));
  if (!dst.field.writable)
    throw new TextError(`${arg}: ${dst.field.name} is read-only`.replace(`${arg}: `, ""));
  const value = parseBig(text);
  if (value === undefined) throw new TextError(`${arg}: cannot parse integer value`);
  if (value >> BigInt(dst.bits) !== 0n)
    throw new TextError(
      `${arg}: value ${formatFieldValue(dst.field, value, ones(dst.field.bits))} does not fit into ${dst.bits} bits`,
    );
  const shift = BigInt(dst.offset);
  c.out.push({
    type: "set_field",
    field: dst.field,
    value: value << shift,
    mask: ones(dst.bits) << shift,
    bytes: dst.field.bytes,
    load: true,
  });
}

function parseSetField(arg: string, c: ParseContext): void {
  const arrow = arg.indexOf("->");
  if (arrow < 0) throw new TextError(`${arg}: missing \`->'`);
  const name = arg.slice(arrow + 2);
  if (name === "") throw new TextError(`${arg}: missing field name following \`->'`);
  const field = fieldByName(name) ?? fieldByOxmName(name)?.field;
  if (field === undefined) throw new TextError(`${name} is not a valid OXM field name`);
  if (!field.writable) throw new TextError(`${name} is read-only`);
  let text = arg.slice(0, arrow).replace(/[ \t]+$/, "");
  if (text.startsWith(" ")) text = text.trimStart();
  const parsed = parseFieldValue(field, text, c.ports);
  if ("error" in parsed) throw new TextError(parsed.error);
  const bytes = field.isTunMetadata
    ? Math.max(4, Math.ceil(parsed.value.toString(16).length / 8) * 4)
    : field.bytes;
  const full = fullMask(field, bytes);
  const mask = parsed.mask & full;
  const value = parsed.value;
  if (field.name === "packet_type" || (value & ~full) !== 0n) {
    throw new TextError(`${text} is not a valid value for field ${name}`);
  }
  c.usable &= fieldProtocols(field, mask !== full);
  c.out.push({ type: "set_field", field, value: value & mask, mask, bytes, load: false });
}

const regMove: ActionRow<RegMove> = {
  types: ["reg_move"],
  wire: [
    within(1, 5, long(nx("REG_MOVE", 6, 16, (r) => readMove(r)))),
    { ...long(of("COPY_FIELD", 28, 6, 6, 24, (r) => readCopyField(r))), name: "OFPAT_COPY_FIELD" },
    {
      name: "ONFACT_RAW13_COPY_FIELD",
      vendor: ONF_VENDOR,
      number: 3200,
      first: 4,
      last: 5,
      min: 24,
      exact: false,
      decode: (r) => {
        mustBeZero(r, 2);
        return { ...readCopyField(r), onf: true };
      },
    },
  ],
  encode(a, w, version) {
    if (version >= 6) {
      const start = begin(w, 28);
      w.u16(a.dst.bits);
      w.u16(a.src.offset);
      w.u16(a.dst.offset);
      w.u16(0);
      writeFieldHeader(w, a.src.field, version);
      writeFieldHeader(w, a.dst.field, version);
      end(w, start);
      return;
    }
    if (a.onf && version >= 4) {
      const start = beginNx(w, 3200, ONF_VENDOR);
      w.u16(0);
      w.u16(a.dst.bits);
      w.u16(a.src.offset);
      w.u16(a.dst.offset);
      w.u16(0);
      writeNxFieldHeader(w, a.src.field);
      writeNxFieldHeader(w, a.dst.field);
      end(w, start);
      return;
    }
    const start = beginNx(w, 6);
    w.u16(a.dst.bits);
    w.u16(a.src.offset);
    w.u16(a.dst.offset);
    writeNxFieldHeader(w, a.src.field);
    writeNxFieldHeader(w, a.dst.field);
    end(w, start);
  },
  format: (a) => `move:${formatSubfield(a.src)}->${formatSubfield(a.dst)}`,
  words: {
    move(arg, c) {
      const { subfield: src, rest } = scanSubfield(arg);
      if (!rest.startsWith("->")) throw new TextError(`${arg}: missing \`->' following source`);
      const { subfield: dst, rest: tail } = scanSubfield(rest.slice(2));
      if (tail !== "") throw new TextError(`${arg}: trailing garbage following destination`);
      if (src.bits !== dst.bits) {
        throw new TextError(
          `${arg}: source field is ${src.bits} bits wide but destination is ${dst.bits} bits wide`,
        );
      }
      c.out.push({ type: "reg_move", src, dst });
    },
  },
};

function readMove(r: Reader): RegMove {
  const bits = r.u16();
  const srcOffset = r.u16();
  const dstOffset = r.u16();
  const srcField = readLongFieldHeader(r);
  const dstField = readLongFieldHeader(r);
  restZero(r);
  const src = checkSubfield({ field: srcField, offset: srcOffset, bits }, false);
  const dst = checkSubfield({ field: dstField, offset: dstOffset, bits }, true);
  return { type: "reg_move", src, dst };
}

function readCopyField(r: Reader): RegMove {
  const bits = r.u16();
  const srcOffset = r.u16();
  const dstOffset = r.u16();
  r.skip(2);
  const srcField = readLongFieldHeader(r);
  const dstField = readLongFieldHeader(r);
  restZero(r);
  const src = checkSubfield({ field: srcField, offset: srcOffset, bits }, false);
  const dst = checkSubfield({ field: dstField, offset: dstOffset, bits }, true);
  return { type: "reg_move", src, dst };
}

const stack: ActionRow<StackAction> = {
  types: ["stack_push", "stack_pop"],
  wire: [
    long(nx("STACK_PUSH", 27, 24, (r) => readStack(r, "stack_push"))),
    long(nx("STACK_POP", 28, 24, (r) => readStack(r, "stack_pop"))),
  ],
  encode(a, w) {
    const start = beginNx(w, a.type === "stack_push" ? 27 : 28);
    w.u16(a.subfield.offset);
    writeNxFieldHeader(w, a.subfield.field);
    w.u16(a.subfield.bits);
    w.zeros(Math.max(0, 24 - (w.pos - start)));
    end(w, start);
  },
  format: (a) => `${a.type === "stack_push" ? "push" : "pop"}:${formatSubfield(a.subfield)}`,
  words: {
    push(arg, c) {
      c.out.push({ type: "stack_push", subfield: stackSubfield(arg) });
    },
    pop(arg, c) {
      const subfield = stackSubfield(arg);
      needWritable(subfield);
      c.out.push({ type: "stack_pop", subfield });
    },
  },
};

function stackSubfield(text: string): StackAction["subfield"] {
  const { subfield, rest } = scanSubfield(text);
  if (rest !== "") throw new TextError(`${rest}: trailing garbage following push or pop`);
  return subfield;
}

function readStack(r: Reader, type: StackAction["type"]): StackAction {
  const offset = r.u16();
  const field = readLongFieldHeader(r);
  const bits = r.u16();
  restZero(r);
  return { type, subfield: checkSubfield({ field, offset, bits }, type === "stack_pop") };
}

function byteArg(r: Reader, pad: number): number {
  const value = r.u8();
  r.skip(pad);
  return value;
}

const vlanVid: ActionRow<SetVlanVid> = {
  types: ["set_vlan_vid"],
  wire: [
    of("SET_VLAN_VID", 1, 1, 1, 8, (r) => readVid(r, true)),
    of("SET_VLAN_VID", 1, 2, 6, 8, (r) => readVid(r, false)),
  ],
  encode(a, w, version) {
    if (version >= 2 && a.pushVlanIfNeeded && a.flowHasVlan !== true) encodePushVlan(w, 0x8100);
    if (version >= 3) {
      setWhole(w, "vlan_vid", version, BigInt(a.vid) | VLAN_CFI_BIG);
      return;
    }
    const start = begin(w, 1);
    w.u16(a.vid);
    end(w, start);
  },
  format: (a) => `${a.pushVlanIfNeeded ? "mod_vlan_vid" : "set_vlan_vid"}:${a.vid}`,
  words: {
    mod_vlan_vid: (arg, c) => parseVid(arg, c, true),
    set_vlan_vid: (arg, c) => parseVid(arg, c, false),
  },
};

function readVid(r: Reader, push: boolean): SetVlanVid {
  const vid = r.u16();
  if (vid & ~0xfff) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  return { type: "set_vlan_vid", vid, pushVlanIfNeeded: push };
}

function parseVid(arg: string, c: ParseContext, push: boolean): void {
  const vid = u16(arg, "VLAN VID");
  if (vid & ~0xfff) throw new TextError(`${arg}: not a valid VLAN VID`);
  c.out.push({ type: "set_vlan_vid", vid, pushVlanIfNeeded: push });
}

const vlanPcp: ActionRow<SetVlanPcp> = {
  types: ["set_vlan_pcp"],
  wire: [
    of("SET_VLAN_PCP", 2, 1, 1, 8, (r) => readPcp(r, true)),
    of("SET_VLAN_PCP", 2, 2, 6, 8, (r) => readPcp(r, false)),
  ],
  encode(a, w, version) {
    if (version >= 2 && a.pushVlanIfNeeded && a.flowHasVlan !== true) encodePushVlan(w, 0x8100);
    if (version >= 3) {
      setWhole(w, "vlan_pcp", version, BigInt(a.pcp));
      return;
    }
    const start = begin(w, 2);
    w.u8(a.pcp);
    end(w, start);
  },
  format: (a) => `${a.pushVlanIfNeeded ? "mod_vlan_pcp" : "set_vlan_pcp"}:${a.pcp}`,
  words: {
    mod_vlan_pcp: (arg, c) => parsePcp(arg, c, true),
    set_vlan_pcp: (arg, c) => parsePcp(arg, c, false),
  },
};

function readPcp(r: Reader, push: boolean): SetVlanPcp {
  const pcp = byteArg(r, 3);
  if (pcp > 7) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  return { type: "set_vlan_pcp", pcp, pushVlanIfNeeded: push };
}

function parsePcp(arg: string, c: ParseContext, push: boolean): void {
  const pcp = u8(arg, "VLAN PCP");
  if (pcp > 7) throw new TextError(`${arg}: not a valid VLAN PCP`);
  c.out.push({ type: "set_vlan_pcp", pcp, pushVlanIfNeeded: push });
}

const stripVlan: ActionRow<StripVlan> = {
  types: ["strip_vlan"],
  wire: [
    of("STRIP_VLAN", 3, 1, 1, 8, () => ({ type: "strip_vlan", pop: false })),
    of("POP_VLAN", 18, 2, 6, 8, () => ({ type: "strip_vlan", pop: true })),
  ],
  encode(_a, w, version) {
    end(w, begin(w, version === 1 ? 3 : 18));
  },
  format: (a) => (a.pop ? "pop_vlan" : "strip_vlan"),
  words: {
    strip_vlan(_arg, c) {
      c.out.push({ type: "strip_vlan", pop: false });
    },
    pop_vlan(_arg, c) {
      c.out.push({ type: "strip_vlan", pop: true });
    },
  },
};

function encodePushVlan(w: Writer, ethertype: number): void {
  const start = begin(w, 17);
  w.u16(ethertype);
  end(w, start);
}

const pushVlan: ActionRow<PushVlan> = {
  types: ["push_vlan"],
  wire: [
    of("PUSH_VLAN", 17, 2, 6, 8, (r) => {
      const ethertype = r.u16();
      if (ethertype !== 0x8100 && ethertype !== 0x88a8) throw new OfpError("OFPBAC_BAD_ARGUMENT");
      return { type: "push_vlan", ethertype };
    }),
  ],
  encode(a, w, version) {
    if (version >= 2) encodePushVlan(w, a.ethertype);
  },
  format: (a) => `push_vlan:0x${a.ethertype.toString(16).padStart(4, "0")}`,
  words: {
    push_vlan(arg, c) {
      c.usable &= USABLE_11_UP;
      const ethertype = u16(arg, "ethertype");
      if (ethertype !== 0x8100 && ethertype !== 0x88a8)
        throw new TextError(`${arg}: not a valid VLAN ethertype`);
      c.out.push({ type: "push_vlan", ethertype });
    },
  },
};

const setEth: ActionRow<SetEth> = {
  types: ["set_eth_src", "set_eth_dst"],
  wire: [
    of("SET_DL_SRC", 4, 1, 1, 16, (r) => ({ type: "set_eth_src", mac: r.take(6) })),
    of("SET_DL_SRC", 3, 2, 6, 16, (r) => ({ type: "set_eth_src", mac: r.take(6) })),
    of("SET_DL_DST", 5, 1, 1, 16, (r) => ({ type: "set_eth_dst", mac: r.take(6) })),
    of("SET_DL_DST", 4, 2, 6, 16, (r) => ({ type: "set_eth_dst", mac: r.take(6) })),
  ],
  encode(a, w, version) {
    const src = a.type === "set_eth_src";
    if (version >= 3) {
      setWhole(
        w,
        src ? "eth_src" : "eth_dst",
        version,
        a.mac.reduce((v, b) => (v << 8n) | BigInt(b), 0n),
      );
      return;
    }
    const start = begin(w, (src ? 4 : 5) - (version === 2 ? 1 : 0));
    w.put(a.mac);
    end(w, start);
  },
  format: (a) => `${a.type === "set_eth_src" ? "mod_dl_src" : "mod_dl_dst"}:${formatMac(a.mac)}`,
  words: {
    mod_dl_src: (arg, c) => parseEth("set_eth_src", arg, c),
    mod_dl_dst: (arg, c) => parseEth("set_eth_dst", arg, c),
  },
};

function parseEth(type: SetEth["type"], arg: string, c: ParseContext): void {
  const mac = parseMac(arg);
  if (mac === undefined) throw new TextError(`invalid mac address ${arg}`);
  c.out.push({ type, mac });
}

const setIp: ActionRow<SetIpv4> = {
  types: ["set_ipv4_src", "set_ipv4_dst"],
  wire: [
    of("SET_NW_SRC", 6, 1, 1, 8, (r) => ({ type: "set_ipv4_src", ip: r.u32() })),
    of("SET_NW_SRC", 5, 2, 6, 8, (r) => ({ type: "set_ipv4_src", ip: r.u32() })),
    of("SET_NW_DST", 7, 1, 1, 8, (r) => ({ type: "set_ipv4_dst", ip: r.u32() })),
    of("SET_NW_DST", 6, 2, 6, 8, (r) => ({ type: "set_ipv4_dst", ip: r.u32() })),
  ],
  encode(a, w, version) {
    const src = a.type === "set_ipv4_src";
    if (version >= 3) {
      setWhole(w, src ? "ip_src" : "ip_dst", version, BigInt(a.ip >>> 0));
      return;
    }
    const start = begin(w, (src ? 6 : 7) - (version === 2 ? 1 : 0));
    w.u32(a.ip >>> 0);
    end(w, start);
  },
  format: (a) => `${a.type === "set_ipv4_src" ? "mod_nw_src" : "mod_nw_dst"}:${formatIpv4(a.ip)}`,
  words: {
    mod_nw_src: (arg, c) => parseIp("set_ipv4_src", arg, c),
    mod_nw_dst: (arg, c) => parseIp("set_ipv4_dst", arg, c),
  },
};

function parseIp(type: SetIpv4["type"], arg: string, c: ParseContext): void {
  const ip = parseIpv4(arg);
  if (ip === undefined) throw new TextError(`invalid IP address ${arg}`);
  c.out.push({ type, ip });
}

/** Actions with one byte: [type, text word, field from 1.2, 1.0 number, 1.1 number, Nicira number, largest]. */
const BYTES: Readonly<
  Record<
    SetByte["type"],
    { word: string; field: string; of10: number; of11: number; nx: number; max: number }
  >
> = {
  set_ip_dscp: { word: "mod_nw_tos", field: "ip_dscp", of10: 8, of11: 7, nx: 0, max: 0xfc },
  set_ip_ecn: { word: "mod_nw_ecn", field: "nw_ecn", of10: 0, of11: 8, nx: 0, max: 3 },
  set_ip_ttl: { word: "mod_nw_ttl", field: "nw_ttl", of10: 0, of11: 23, nx: 0, max: 255 },
  set_mpls_tc: { word: "set_mpls_tc", field: "mpls_tc", of10: 0, of11: 14, nx: 31, max: 255 },
  set_mpls_ttl: { word: "set_mpls_ttl", field: "mpls_ttl", of10: 0, of11: 15, nx: 25, max: 255 },
};

function byteForm(type: SetByte["type"]) {
  return (r: Reader): Ofpact => {
    const value = r.u8();
    if ((value & ~BYTES[type].max) !== 0) throw new OfpError("OFPBAC_BAD_ARGUMENT");
    return { type, value };
  };
}

const setByte: ActionRow<SetByte> = {
  types: ["set_ip_dscp", "set_ip_ecn", "set_ip_ttl", "set_mpls_tc", "set_mpls_ttl"],
  wire: [
    of("SET_NW_TOS", 8, 1, 1, 8, byteForm("set_ip_dscp")),
    of("SET_NW_TOS", 7, 2, 6, 8, byteForm("set_ip_dscp")),
    of("SET_NW_ECN", 8, 2, 6, 8, byteForm("set_ip_ecn")),
    of("SET_NW_TTL", 23, 2, 6, 8, byteForm("set_ip_ttl")),
    of("SET_MPLS_TC", 14, 2, 6, 8, byteForm("set_mpls_tc")),
    of("SET_MPLS_TTL", 15, 2, 6, 8, byteForm("set_mpls_ttl")),
    within(1, 1, nx("SET_MPLS_TTL", 25, 16, byteForm("set_mpls_ttl"))),
    within(1, 1, nx("SET_MPLS_TC", 31, 16, byteForm("set_mpls_tc"))),
  ],
  encode(a, w, version) {
    const d = BYTES[a.type];
    const both = a.type === "set_ip_ttl" || a.type === "set_mpls_ttl";
    if (version >= 3 && !both) {
      const value = a.type === "set_ip_dscp" ? a.value >> 2 : a.value;
      setWhole(w, d.field, version, BigInt(value) & ones(mustField(d.field).bits));
      return;
    }
    if (version === 1 && d.of10 === 0) {
      if (d.nx !== 0) {
        const start = beginNx(w, d.nx);
        w.u8(a.value);
        end(w, start);
      } else {
        const field = mustField(d.field);
        encodeLoad(
          {
            type: "set_field",
            field,
            value: BigInt(a.value),
            mask: ones(field.bits),
            bytes: field.bytes,
            load: true,
          },
          w,
        );
      }
      return;
    }
    const start = begin(w, version === 1 ? d.of10 : d.of11);
    w.u8(a.value);
    end(w, start);
  },
  format: (a) =>
    a.type.startsWith("set_mpls") ? `${a.type}(${a.value})` : `${BYTES[a.type].word}:${a.value}`,
  words: {
    mod_nw_tos(arg, c) {
      const value = u8(arg, "TOS");
      if (value & 3) throw new TextError(`${arg}: not a valid TOS`);
      c.out.push({ type: "set_ip_dscp", value });
    },
    mod_nw_ecn(arg, c) {
      const value = u8(arg, "ECN");
      if (value > 3) throw new TextError(`${arg}: not a valid ECN`);
      c.out.push({ type: "set_ip_ecn", value });
    },
    mod_nw_ttl(arg, c) {
      c.out.push({ type: "set_ip_ttl", value: u8(arg, "TTL") });
    },
    set_mpls_tc(arg, c) {
      if (arg === "") throw new TextError("set_mpls_tc: expected tc.");
      const value = u8(arg, "TC");
      if (value > 7) throw new TextError(`${arg}: not a valid MPLS TC`);
      c.out.push({ type: "set_mpls_tc", value });
    },
    set_mpls_ttl(arg, c) {
      if (arg === "") throw new TextError("set_mpls_ttl: expected ttl.");
      c.out.push({ type: "set_mpls_ttl", value: u8(arg, "MPLS TTL") });
    },
  },
};

const setL4: ActionRow<SetL4Port> = {
  types: ["set_l4_src_port", "set_l4_dst_port"],
  wire: [
    of("SET_TP_SRC", 9, 1, 6, 8, (r) => ({ type: "set_l4_src_port", port: r.u16() })),
    of("SET_TP_DST", 10, 1, 6, 8, (r) => ({ type: "set_l4_dst_port", port: r.u16() })),
  ],
  encode(a, w, version) {
    const src = a.type === "set_l4_src_port";
    if (version >= 3) {
      setWhole(w, src ? l4Field.src : l4Field.dst, version, BigInt(a.port));
      return;
    }
    const start = begin(w, src ? 9 : 10);
    w.u16(a.port);
    end(w, start);
  },
  format: (a) => `${a.type === "set_l4_src_port" ? "mod_tp_src" : "mod_tp_dst"}:${a.port}`,
  words: {
    mod_tp_src(arg, c) {
      c.out.push({ type: "set_l4_src_port", port: u16(arg, "source port") });
    },
    mod_tp_dst(arg, c) {
      c.out.push({ type: "set_l4_dst_port", port: u16(arg, "destination port") });
    },
  },
};

/** From 1.2 a transport port is a field of its protocol: the encoder of a flow sets which (6, 17, 132). */
const l4Field = { src: "tcp_src", dst: "tcp_dst" };
export function setL4Protocol(proto: number): void {
  const name = proto === 17 ? "udp" : proto === 132 ? "sctp" : "tcp";
  l4Field.src = `${name}_src`;
  l4Field.dst = `${name}_dst`;
}

const decTtl: ActionRow<DecTtl> = {
  types: ["dec_ttl"],
  wire: [
    of("DEC_NW_TTL", 24, 2, 6, 8, () => ({ type: "dec_ttl", ids: [0], withIds: false })),
    within(
      1,
      1,
      nx("DEC_TTL", 18, 16, () => ({ type: "dec_ttl", ids: [0], withIds: false })),
    ),
    long(
      nx("DEC_TTL_CNT_IDS", 21, 16, (r) => {
        const count = r.u16();
        mustBeZero(r, 4);
        if (r.left < count * 2) throw new OfpError("OFPBAC_BAD_LEN");
        const ids: number[] = [];
        for (let i = 0; i < count; i++) ids.push(r.u16());
        return { type: "dec_ttl", ids, withIds: true };
      }),
    ),
  ],
  encode(a, w, version) {
    if (a.withIds || a.ids.length !== 1 || a.ids[0] !== 0) {
      const start = beginNx(w, 21);
      w.u16(a.ids.length);
      w.zeros(4);
      for (const id of a.ids) w.u16(id);
      end(w, start);
      return;
    }
    if (version >= 2) end(w, begin(w, 24));
    else end(w, beginNx(w, 18));
  },
  format: (a) => (a.withIds ? `dec_ttl(${a.ids.join(",")})` : "dec_ttl"),
  words: {
    dec_ttl(arg, c) {
      if (arg === "") {
        c.out.push({ type: "dec_ttl", ids: [0], withIds: false });
        return;
      }
      const ids = arg
        .split(/[, ]+/)
        .filter((s) => s !== "")
        .map((s) => Number.parseInt(s, 10) & 0xffff);
      if (ids.length === 0) throw new TextError("dec_ttl_cnt_ids: expected at least one controller id.");
      c.out.push({ type: "dec_ttl", ids, withIds: true });
    },
  },
};

const setMplsLabel: ActionRow<SetMplsLabel> = {
  types: ["set_mpls_label"],
  wire: [
    of("SET_MPLS_LABEL", 13, 2, 6, 8, (r) => ({ type: "set_mpls_label", label: r.u32() & 0xfffff })),
    within(
      1,
      1,
      nx("SET_MPLS_LABEL", 30, 16, (r) => {
        r.skip(2);
        return { type: "set_mpls_label", label: r.u32() & 0xfffff };
      }),
    ),
  ],
  encode(a, w, version) {
    if (version >= 3) {
      setWhole(w, "mpls_label", version, BigInt(a.label));
      return;
    }
    const start = version === 1 ? beginNx(w, 30) : begin(w, 13);
    if (version === 1) w.u16(0);
    w.u32(a.label);
    end(w, start);
  },
  format: (a) => `set_mpls_label(${a.label})`,
  words: {
    set_mpls_label(arg, c) {
      if (arg === "") throw new TextError("set_mpls_label: expected label.");
      const label = u32(arg);
      if (label > 0xfffff) throw new TextError(`${arg}: not a valid MPLS label`);
      c.out.push({ type: "set_mpls_label", label });
    },
  },
};

const mpls: ActionRow<MplsEthertype> = {
  types: ["push_mpls", "pop_mpls"],
  wire: [
    of("PUSH_MPLS", 19, 2, 6, 8, (r) => readPushMpls(r)),
    within(
      1,
      1,
      nx("PUSH_MPLS", 23, 16, (r) => readPushMpls(r)),
    ),
    of("POP_MPLS", 20, 2, 6, 8, (r) => ({ type: "pop_mpls", ethertype: r.u16() })),
    within(
      1,
      1,
      nx("POP_MPLS", 24, 16, (r) => ({ type: "pop_mpls", ethertype: r.u16() })),
    ),
  ],
  encode(a, w, version) {
    const push = a.type === "push_mpls";
    const start = version === 1 ? beginNx(w, push ? 23 : 24) : begin(w, push ? 19 : 20);
    w.u16(a.ethertype);
    end(w, start);
  },
  format: (a) => `${a.type}:0x${a.ethertype.toString(16).padStart(4, "0")}`,
  words: {
    push_mpls(arg, c) {
      c.out.push({ type: "push_mpls", ethertype: u16(arg, "push_mpls") });
    },
    pop_mpls(arg, c) {
      c.out.push({ type: "pop_mpls", ethertype: u16(arg, "pop_mpls") });
    },
  },
};

function readPushMpls(r: Reader): MplsEthertype {
  const ethertype = r.u16();
  if (ethertype !== 0x8847 && ethertype !== 0x8848) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  return { type: "push_mpls", ethertype };
}

const deleteField: ActionRow<DeleteField> = {
  types: ["delete_field"],
  wire: [
    long(
      nx("DELETE_FIELD", 50, 16, (r) => {
        return { type: "delete_field", field: readLongFieldHeader(r) };
      }),
    ),
  ],
  encode(a, w) {
    const start = beginNx(w, 50);
    writeNxFieldHeader(w, a.field);
    w.zeros(Math.max(0, 24 - (w.pos - start)));
    end(w, start);
  },
  format: (a) => `delete_field:${a.field.name}`,
  words: {
    delete_field(arg, c) {
      const field = fieldByName(arg) ?? fieldByOxmName(arg)?.field;
      if (field === undefined || !field.isTunMetadata)
        throw new TextError(`${arg} is not a valid OXM field name`);
      c.out.push({ type: "delete_field", field });
    },
  },
};

const PT_NSH = 0x0001894f;
const PT_USE_NEXT_PROTO = 0x0000fffe;
const ENCAPS: Readonly<Record<string, number>> = {
  ethernet: 0,
  nsh: PT_NSH,
  mpls: 0x00018847,
  mpls_mc: 0x00018848,
};
const ENCAP_NAMES = new Map(Object.entries(ENCAPS).map(([name, type]) => [type, name]));
const NSH_PROP_CLASS = 4;

/**
 * Padded to 8 bytes. An MD type is one byte, however long the property says it is; a TLV's property says a length that
 * counts the padding, as the original writes it.
 */
function readProperty(r: Reader): EncapProperty {
  const propClass = r.u16();
  const propType = r.u8();
  const length = r.u8();
  const padded = (length + 7) & ~7;
  if (length < 4 || r.left + 4 < padded) throw new OfpError("OFPBAC_BAD_LEN");
  if (propClass !== NSH_PROP_CLASS || propType < 1 || propType > 2) {
    throw new OfpError("NXBAC_UNKNOWN_ED_PROP");
  }
  const data = r.take(padded - 4);
  if (propType === 1) {
    if (padded !== 8) throw new OfpError("NXBAC_BAD_ED_PROP");
    return { propClass, propType, data: data.slice(0, 1) };
  }
  const tlv = 4 + data[3]!;
  if (length !== ((4 + tlv + 7) & ~7)) throw new OfpError("NXBAC_BAD_ED_PROP");
  return { propClass, propType, data: data.slice(0, tlv) };
}

const encap: ActionRow<Encap> = {
  types: ["encap"],
  wire: [
    within(
      4,
      6,
      long(
        nx("ENCAP", 46, 16, (r) => {
          const hdrSize = r.u16();
          const packetType = r.u32();
          if (!ENCAP_NAMES.has(packetType)) throw new OfpError("NXBAC_BAD_HEADER_TYPE");
          const properties: EncapProperty[] = [];
          while (r.left >= 4) properties.push(readProperty(r));
          return { type: "encap", packetType, hdrSize, properties };
        }),
      ),
    ),
  ],
  encode(a, w) {
    const start = beginNx(w, 46);
    w.u16(a.hdrSize);
    w.u32(a.packetType);
    for (const p of a.properties) {
      const at = w.pos;
      w.u16(p.propClass);
      w.u8(p.propType);
      w.u8(p.propType === 1 ? 5 : (4 + p.data.length + 7) & ~7);
      w.put(p.data);
      w.pad(at);
    }
    end(w, start);
  },
  format(a) {
    const name = ENCAP_NAMES.get(a.packetType) ?? String(a.packetType);
    const parts = a.properties.map((p) => {
      if (p.propType === 1) return `md_type=${p.data[0]}`;
      // The original drops leading zeros, so that its text reads back as another length.
      const value = Array.from(p.data.slice(4), (b) => b.toString(16).padStart(2, "0")).join("");
      const klass = ((p.data[0]! << 8) | p.data[1]!).toString(16).padStart(4, "0");
      return `tlv(0x${klass},${p.data[2]},${value === "" ? "0" : `0x${value}`})`;
    });
    return `encap(${name}${parts.length === 0 ? "" : `(${parts.join(",")})`})`;
  },
  words: {
    encap(arg, c) {
      c.usable &= USABLE_13_UP;
      const [item] = keyValues(arg);
      if (item === undefined) throw new TextError(`Missing encap hdr: ${arg}`);
      const packetType = ENCAPS[item.key];
      if (packetType === undefined) {
        throw new TextError(`Encap hdr not supported: ${item.value === "" ? item.key : item.value}`);
      }
      const properties = keyValues(item.value).map(({ key, value }) => parseProperty(key, value));
      c.out.push({ type: "encap", packetType, hdrSize: 0, properties });
    },
  },
};

function parseProperty(key: string, value: string): EncapProperty {
  if (key !== "md_type" && key !== "tlv") throw new TextError(`Invalid property: ${key}`);
  if (value === "") throw new TextError("Value missing for encap property");
  if (key === "md_type") {
    const type = u8(value, "md_type");
    if (type !== 1 && type !== 2) throw new TextError("invalid md_type");
    return { propClass: NSH_PROP_CLASS, propType: 1, data: Uint8Array.of(type) };
  }
  const parts = /^(0x[0-9a-fA-F]{1,4}|\d+),(0x[0-9a-fA-F]{1,2}|\d+),0x((?:[0-9a-fA-F]{2})+)$/.exec(value);
  if (parts === null) throw new TextError(`Invalid NSH TLV header: ${value}`);
  const bytes = (parts[3]!.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
  const klass = Number(parts[1]);
  const data = Uint8Array.from([klass >> 8, klass & 255, Number(parts[2]), bytes.length, ...bytes]);
  return { propClass: NSH_PROP_CLASS, propType: 2, data };
}

const decap: ActionRow<Decap> = {
  types: ["decap"],
  wire: [
    within(
      4,
      6,
      nx("DECAP", 47, 16, (r) => {
        r.skip(2);
        return { type: "decap", packetType: r.u32() };
      }),
    ),
  ],
  encode(a, w) {
    const start = beginNx(w, 47);
    w.u16(0);
    w.u32(a.packetType);
    end(w, start);
  },
  format(a) {
    if (a.packetType === PT_USE_NEXT_PROTO) return "decap()";
    return `decap(packet_type(ns=${a.packetType >>> 16},type=${hex(a.packetType & 0xffff)}))`;
  },
  words: {
    decap(arg, c) {
      c.usable &= USABLE_13_UP;
      let packetType = PT_USE_NEXT_PROTO;
      for (const { key, value } of keyValues(arg)) {
        if (key !== "packet_type") throw new TextError(`Invalid decap argument: ${key}`);
        packetType = parsePacketType(value);
      }
      c.out.push({ type: "decap", packetType });
    },
  },
};

function parsePacketType(text: string): number {
  let ns: number | undefined;
  let type: number | undefined;
  for (const { key, value } of keyValues(text)) {
    if (key === "ns") {
      ns = u16(value, "namespace");
      if (ns > 1) throw new TextError(`Unsupported ns value: ${ns}`);
    } else if (key === "type") type = u16(value, "type");
  }
  if (ns === undefined) throw new TextError("Missing packet_type attribute ns");
  if (type === undefined) throw new TextError("Missing packet_type attribute type");
  return ((ns << 16) | type) >>> 0;
}

const checkPktLarger: ActionRow<CheckPktLarger> = {
  types: ["check_pkt_larger"],
  wire: [
    long(
      nx("CHECK_PKT_LARGER", 49, 24, (r) => {
        const length = r.u16();
        const offset = r.u16();
        const field = readLongFieldHeader(r);
        restZero(r);
        return { type: "check_pkt_larger", length, dst: checkSubfield({ field, offset, bits: 1 }, true) };
      }),
    ),
  ],
  encode(a, w) {
    const start = beginNx(w, 49);
    w.u16(a.length);
    w.u16(a.dst.offset);
    writeNxFieldHeader(w, a.dst.field);
    w.zeros(Math.max(0, 24 - (w.pos - start)));
    end(w, start);
  },
  format: (a) => `check_pkt_larger(${a.length})->${formatSubfield(a.dst)}`,
  words: {
    check_pkt_larger(arg, c) {
      const match = /^\(?([^)]*)\)->(.*)$/.exec(arg);
      if (match === null)
        throw new TextError(`${arg}: missing \`->' following value`.replace(`${arg}: `, `${arg}: `));
      const length = u16(match[1]!, "check_pkt_larger");
      const dst = parseSubfield(match[2]!);
      if (dst.bits !== 1) throw new TextError("Only 1-bit destination field is allowed");
      c.out.push({ type: "check_pkt_larger", length, dst });
    },
  },
};

const setTunnel: ActionRow<SetTunnel> = {
  types: ["set_tunnel"],
  wire: [
    nx("SET_TUNNEL", 2, 16, (r) => {
      r.skip(2);
      return { type: "set_tunnel", id: BigInt(r.u32()), wide: false };
    }),
    nx("SET_TUNNEL64", 9, 24, (r) => {
      r.skip(6);
      return { type: "set_tunnel", id: r.u64(), wide: true };
    }),
  ],
  encode(a, w, version) {
    if (version >= 3) {
      setWhole(w, "tun_id", version, a.id);
      return;
    }
    if (!a.wide && a.id <= 0xffffffffn) {
      const start = beginNx(w, 2);
      w.u16(0);
      w.u32(Number(a.id));
      end(w, start);
      return;
    }
    const start = beginNx(w, 9);
    w.zeros(6);
    w.u64(a.id);
    end(w, start);
  },
  format: (a) => `set_tunnel${a.wide || a.id > 0xffffffffn ? "64" : ""}:${hex(a.id)}`,
  words: {
    set_tunnel(arg, c) {
      c.out.push({ type: "set_tunnel", id: u64(arg), wide: false });
    },
    set_tunnel64(arg, c) {
      c.out.push({ type: "set_tunnel", id: u64(arg), wide: true });
    },
  },
};

const setQueue: ActionRow<SetQueue> = {
  types: ["set_queue"],
  wire: [
    of("SET_QUEUE", 21, 2, 6, 8, (r) => ({ type: "set_queue", queue: r.u32() })),
    within(
      1,
      1,
      nx("SET_QUEUE", 4, 16, (r) => {
        r.skip(2);
        return { type: "set_queue", queue: r.u32() };
      }),
    ),
  ],
  encode(a, w, version) {
    const start = version === 1 ? beginNx(w, 4) : begin(w, 21);
    if (version === 1) w.u16(0);
    w.u32(a.queue);
    end(w, start);
  },
  format: (a) => `set_queue:${a.queue}`,
  words: {
    set_queue(arg, c) {
      c.out.push({ type: "set_queue", queue: u32(arg) });
    },
  },
};

/** Actions without arguments: [Nicira number, OpenFlow 1.1+ number or 0]. */
/** Nicira's number, the versions that have it, OpenFlow's number. */
const BARE: Readonly<
  Record<
    Exclude<Bare["type"], "clear_actions">,
    readonly [nx: number, first: number, last: number, of: number]
  >
> = {
  pop_queue: [5, 1, 6, 0],
  exit: [17, 1, 6, 0],
  dec_mpls_ttl: [26, 1, 1, 16],
  dec_nsh_ttl: [48, 4, 6, 0],
  ct_clear: [43, 1, 6, 0],
  debug_recirc: [255, 1, 6, 0],
  debug_slow: [254, 1, 6, 0],
};

const bare: ActionRow<Bare> = {
  types: ["pop_queue", "exit", "dec_mpls_ttl", "dec_nsh_ttl", "ct_clear", "debug_recirc", "debug_slow"],
  wire: [
    of("DEC_MPLS_TTL", 16, 2, 6, 8, () => ({ type: "dec_mpls_ttl" })),
    ...Object.entries(BARE).map(([type, [number, first, last]]) =>
      within(
        first,
        last,
        nx(type.toUpperCase(), number, 16, () => ({ type: type as Bare["type"] })),
      ),
    ),
  ],
  encode(a, w, version) {
    const [number, , , standard] = BARE[a.type as keyof typeof BARE];
    if (standard !== 0 && version >= 2) end(w, begin(w, standard));
    else end(w, beginNx(w, number));
  },
  format: (a) => a.type,
  words: Object.fromEntries(
    Object.keys(BARE).map((type) => [
      type,
      (_arg: string, c: ParseContext): void => {
        if (type === "dec_nsh_ttl") c.usable &= USABLE_13_UP;
        c.out.push({ type: type as Bare["type"] });
      },
    ]),
  ),
};

export const MODIFY_ROWS: readonly ActionRow[] = [
  row(setField),
  row(regMove),
  row(stack),
  row(vlanVid),
  row(vlanPcp),
  row(stripVlan),
  row(pushVlan),
  row(setEth),
  row(setIp),
  row(setByte),
  row(setL4),
  row(decTtl),
  row(setMplsLabel),
  row(mpls),
  row(deleteField),
  row(encap),
  row(decap),
  row(checkPktLarger),
  row(setTunnel),
  row(setQueue),
  row(bare),
];
