/**
 * Action programs to nested OVS_ACTION_ATTR_*. Actions without operands that nest are rows of {@link SIMPLE}, which
 * `action-decode.ts` reads, too. A program may hold what the kernel (Linux 6.1) lacks: then nothing is written and the reason is told.
 */
import * as L from "../../flow/layout.ts";
import { ETH_TYPE_NSH, isMplsType } from "../../flow/packet/ethernet.ts";
import * as A from "../odp/actions.ts";
import { typeOf } from "../odp/attributes.ts";
import { queueClass } from "../queue-class.ts";
import { anyBit, writeRow } from "./key-codec.ts";
import { KEY_ETHERNET, KEY_MPLS, KEY_NSH, KEY_ROWS, ROW_OF } from "./key-table.ts";
import { anyTunnelBit, writeTunnel } from "./tunnel-codec.ts";
import type { NlWriter } from "./writer.ts";

export const ACTION_OUTPUT = 1;
export const ACTION_USERSPACE = 2;
export const ACTION_SET = 3;
export const ACTION_SAMPLE = 6;
export const ACTION_SET_MASKED = 11;
export const ACTION_CT = 12;
export const ACTION_PUSH_ETH = 14;
export const ACTION_PUSH_NSH = 17;
export const ACTION_METER = 19;
export const ACTION_CLONE = 20;
export const ACTION_CHECK_PKT_LEN = 21;
export const ACTION_DEC_TTL = 23;
export const ACTION_DROP = 24;
export const ACTION_PSAMPLE = 25;

export const USERSPACE_PID = 1;
export const USERSPACE_USERDATA = 2;
export const SAMPLE_PROBABILITY = 1;
export const SAMPLE_ACTIONS = 2;
export const DEC_TTL_ACTIONS = 1;
export const PSAMPLE_GROUP = 1;
export const PSAMPLE_COOKIE = 2;
export const CHECK_LENGTH = 1;
export const CHECK_GREATER = 2;
export const CHECK_LESS_EQUAL = 3;
export const NSH_KEY_BASE = 1;
export const NSH_KEY_MD1 = 2;
export const NSH_KEY_MD2 = 3;

// OVS_CT_ATTR_* and OVS_NAT_ATTR_*.
export const CT_ATTR_COMMIT = 1;
export const CT_ATTR_ZONE = 2;
export const CT_ATTR_MARK = 3;
export const CT_ATTR_LABELS = 4;
export const CT_ATTR_HELPER = 5;
export const CT_ATTR_NAT = 6;
export const CT_ATTR_FORCE_COMMIT = 7;
const CT_ATTR_EVENTMASK = 8;
export const CT_ATTR_TIMEOUT = 9;
/** Of IPCT_*: new, related, destroyed, mark, labels. Others (each packet of TCP changes the state) nobody listens for. */
const CT_EVENTS = 0x487;
export const NAT_IP_MIN = 3;
export const NAT_IP_MAX = 4;
export const NAT_PROTO_MIN = 5;
export const NAT_PROTO_MAX = 6;
/** [OVS_NAT_ATTR_*, bit of CT_NAT_FLAGS]: flags. */
export const NAT_FLAGS: readonly (readonly [attribute: number, bit: number])[] = [
  [1, A.CT_NAT_SRC],
  [2, A.CT_NAT_DST],
  [7, A.CT_NAT_PERSISTENT],
  [8, A.CT_NAT_HASH],
  [9, A.CT_NAT_RANDOM],
];
export const CT_HELPERS: readonly (readonly [number, string])[] = [
  [21, "ftp"],
  [69, "tftp"],
];

/** A number of a struct: its place, bytes, whether in the network's order, and from which operand's bits it comes. */
interface SimpleField {
  readonly at: number;
  readonly bytes: 2 | 4;
  readonly big: boolean;
  /** Counted from the opcode. */
  readonly operand: number;
  readonly shift: number;
}

export interface SimpleAction {
  readonly opcode: number;
  readonly attribute: number;
  readonly bytes: number;
  /** Words of the program's action. */
  readonly words: number;
  readonly fields: readonly SimpleField[];
}

const host = (at: number, operand: number): SimpleField => ({ at, bytes: 4, big: false, operand, shift: 0 });
const be32 = (at: number, operand: number): SimpleField => ({ at, bytes: 4, big: true, operand, shift: 0 });
const be16 = (at: number, operand: number, shift = 0): SimpleField => ({
  at,
  bytes: 2,
  big: true,
  operand,
  shift,
});
const simple = (
  opcode: number,
  attribute: number,
  bytes: number,
  words: number,
  ...fields: SimpleField[]
): SimpleAction => ({ opcode, attribute, bytes, words, fields });

export const SIMPLE: readonly SimpleAction[] = [
  simple(A.ODP_OUTPUT, ACTION_OUTPUT, 4, 3, host(0, 2)),
  simple(A.ODP_PUSH_VLAN, 4, 4, 3, be16(0, 2, 16), be16(2, 2)),
  simple(A.ODP_POP_VLAN, 5, 0, 2),
  simple(A.ODP_RECIRC, 7, 4, 3, host(0, 2)),
  simple(A.ODP_HASH, 8, 8, 4, host(0, 2), host(4, 3)),
  simple(A.ODP_PUSH_MPLS, 9, 8, 4, be32(0, 2), be16(4, 3)),
  simple(A.ODP_POP_MPLS, 10, 2, 3, be16(0, 2)),
  simple(A.ODP_TRUNC, 13, 4, 3, host(0, 2)),
  simple(A.ODP_POP_ETH, 15, 0, 2),
  simple(A.ODP_CT_CLEAR, 16, 0, 2),
  simple(A.ODP_POP_NSH, 18, 0, 2),
  simple(A.ODP_METER, ACTION_METER, 4, 3, host(0, 2)),
  simple(A.ODP_ADD_MPLS, 22, 8, 4, be32(0, 2), be16(4, 3)),
];
const SIMPLE_OF: readonly (SimpleAction | undefined)[] = Array.from({ length: 32 }, (_, opcode) =>
  SIMPLE.find((action) => action.opcode === opcode),
);

const HASH_L4 = 0;
/** No set of the layout's words is known to the kernel that has any other. */
const SETTABLE = KEY_ROWS.filter((row) => row.settable);

/** Actions that came after Linux 6.1. */
export interface LaterActions {
  /** 6.7 */
  readonly drop: boolean;
  /** 6.11 */
  readonly psample: boolean;
}
export const NO_LATER_ACTIONS: LaterActions = { drop: false, psample: false };

class ActionEncoder {
  private readonly out: NlWriter;
  private readonly pid: number;
  private readonly later: LaterActions;
  /** The packet's headers, as far as they decide what a set means. */
  private readonly key: L.Flow = new Int32Array(L.FLOW_DP_WORDS);
  /** What was set since the last other action. */
  private readonly value: L.Flow = new Int32Array(L.FLOW_DP_WORDS);
  private readonly mask: L.Flow = new Int32Array(L.FLOW_DP_WORDS);
  private pending = false;

  constructor(out: NlWriter, pid: number, key: L.Flow, later: LaterActions) {
    this.out = out;
    this.pid = pid;
    this.later = later;
    for (let word = 0; word < L.FLOW_DP_WORDS; word++) this.key[word] = key[word]!;
  }

  /** Why the kernel cannot do it, undefined when it can. */
  list(program: Int32Array, start: number, end: number): string | undefined {
    for (let at = start; at < end; at += program[at + 1]!) {
      if (program[at] === A.ODP_SET) {
        this.gather(program, at);
        continue;
      }
      const why = this.flush() ?? this.action(program, at);
      if (why !== undefined) return why;
      if (program[at] === A.ODP_DROP) return undefined;
    }
    return this.flush();
  }

  private gather(program: Int32Array, at: number): void {
    const word = program[at + 2]!;
    let value = program[at + 3]!;
    const mask = program[at + 4]!;
    if (word === L.W_SKB_PRIORITY) value = queueClass(value);
    this.value[word] = (this.value[word]! & ~mask) | (value & mask);
    this.mask[word] = this.mask[word]! | mask;
    this.pending = true;
  }

  private flush(): string | undefined {
    if (!this.pending) return undefined;
    this.pending = false;
    const { out, key, value, mask } = this;
    for (const row of SETTABLE) {
      if (!row.present(key) || !anyBit(row, mask)) continue;
      const at = out.open(ACTION_SET_MASKED);
      writeRow(out, row, value, mask);
      out.close(at);
      for (const { word, shift, bits } of row.pieces) mask[word] = mask[word]! & ~(bits << shift);
    }
    if (isMplsType(typeOf(key)) && mask[L.W_MPLS] !== 0) {
      const at = out.open(ACTION_SET_MASKED);
      const to = out.blank(KEY_MPLS, 8);
      out.put32(to, value[L.W_MPLS]!, true);
      out.put32(to + 4, mask[L.W_MPLS]!, true);
      out.close(at);
      mask[L.W_MPLS] = 0;
    }
    if (typeOf(key) === ETH_TYPE_NSH) this.flushNsh();
    if (anyTunnelBit(mask)) {
      const at = out.open(ACTION_SET);
      writeTunnel(out, value, undefined);
      out.close(at);
      mask.fill(0, L.W_TUN_ID_HI, L.W_TUN_GTPU);
      mask.fill(0, L.W_TUN_METADATA_PRESENT, L.FLOW_DP_WORDS);
    }
    const left = mask.findIndex((bits) => bits !== 0);
    value.fill(0);
    mask.fill(0);
    return left < 0 ? undefined : `a set of word ${left} of the flow layout`;
  }

  private flushNsh(): void {
    const { out, value, mask } = this;
    const base = mask[L.W_NSH_BASE]! | mask[L.W_NSH_PATH]!;
    let context = 0;
    for (let i = 0; i < 4; i++) context |= mask[L.W_NSH_CONTEXT + i]!;
    if ((base | context) === 0) return;
    const at = out.open(ACTION_SET_MASKED);
    const nsh = out.open(KEY_NSH);
    const put = (attribute: number, word: number, count: number): void => {
      const to = out.blank(attribute, count * 8);
      for (let i = 0; i < count; i++) {
        out.put32(to + i * 4, value[word + i]!, true);
        out.put32(to + (count + i) * 4, mask[word + i]!, true);
        mask[word + i] = 0;
      }
    };
    if (base !== 0) put(NSH_KEY_BASE, L.W_NSH_BASE, 2);
    if (context !== 0) put(NSH_KEY_MD1, L.W_NSH_CONTEXT, 4);
    out.close(nsh);
    out.close(at);
  }

  private action(program: Int32Array, at: number): string | undefined {
    const { out, key } = this;
    const opcode = program[at]!;
    const end = at + program[at + 1]!;
    const row = SIMPLE_OF[opcode];
    if (row !== undefined) {
      if (opcode === A.ODP_HASH && program[at + 2] !== HASH_L4) return "a hash other than l4";
      const to = out.blank(row.attribute, row.bytes);
      for (const field of row.fields) {
        const value = program[at + field.operand]! >>> field.shift;
        if (field.bytes === 4) out.put32(to + field.at, value, field.big);
        else out.put16(to + field.at, value & 0xffff, field.big);
      }
      reshape(key, program, at);
      return undefined;
    }
    switch (opcode) {
      case A.ODP_USERSPACE: {
        const attribute = out.open(ACTION_USERSPACE);
        out.u32(USERSPACE_PID, this.pid);
        out.u32(USERSPACE_USERDATA, program[at + 2]!);
        out.close(attribute);
        return undefined;
      }
      case A.ODP_DROP:
        // What is last is dropped anyway.
        if (this.later.drop) out.u32(ACTION_DROP, program[at + 2]!);
        return undefined;
      case A.ODP_PSAMPLE: {
        if (!this.later.psample) return `action ${opcode}`;
        const attribute = out.open(ACTION_PSAMPLE);
        out.u32(PSAMPLE_GROUP, program[at + 2]!);
        out.be32s(PSAMPLE_COOKIE, program, at + 3, 2);
        out.close(attribute);
        return undefined;
      }
      case A.ODP_DEC_TTL: {
        const attribute = out.open(ACTION_DEC_TTL);
        const why = this.nested(DEC_TTL_ACTIONS, program, at + 2, end);
        out.close(attribute);
        return why;
      }
      case A.ODP_CLONE:
        return this.nested(ACTION_CLONE, program, at + 2, end);
      case A.ODP_SAMPLE: {
        const attribute = out.open(ACTION_SAMPLE);
        out.u32(SAMPLE_PROBABILITY, program[at + 2]!);
        const why = this.nested(SAMPLE_ACTIONS, program, at + 3, end);
        out.close(attribute);
        return why;
      }
      case A.ODP_CHECK_PKT_LEN: {
        const split = at + 4 + program[at + 3]!;
        const attribute = out.open(ACTION_CHECK_PKT_LEN);
        out.u16(CHECK_LENGTH, program[at + 2]!);
        const why =
          this.nested(CHECK_GREATER, program, at + 4, split) ??
          this.nested(CHECK_LESS_EQUAL, program, split, end);
        out.close(attribute);
        return why;
      }
      case A.ODP_CT:
        writeCt(out, program, at);
        return undefined;
      case A.ODP_PUSH_ETH: {
        for (let i = 0; i < 3; i++) key[L.W_ETH_DST_HI + i] = program[at + 2 + i]!;
        key[L.W_PACKET_TYPE] = 0;
        // The same struct as a key's, without its header.
        const from = out.length;
        writeRow(out, ROW_OF[KEY_ETHERNET]!, key, undefined);
        out.put16(from + 2, ACTION_PUSH_ETH, false);
        return undefined;
      }
      case A.ODP_PUSH_NSH:
        return this.pushNsh(program, at);
      default:
        return `action ${opcode}`;
    }
  }

  /** What is changed in it stays in it. */
  private nested(attribute: number, program: Int32Array, start: number, end: number): string | undefined {
    const at = this.out.open(attribute);
    const why = new ActionEncoder(this.out, this.pid, this.key, this.later).list(program, start, end);
    this.out.close(at);
    return why;
  }

  private pushNsh(program: Int32Array, at: number): string | undefined {
    const { out, key } = this;
    const attribute = out.open(ACTION_PUSH_NSH);
    out.be32s(NSH_KEY_BASE, program, at + A.NSH_BASE, 2);
    const options = program[at + A.NSH_MD2_LENGTH]!;
    if (options === 0 && ((program[at + A.NSH_BASE]! >>> 8) & 0xff) === 1)
      out.be32s(NSH_KEY_MD1, program, at + A.NSH_CONTEXT, 4);
    else if (options > 0) out.be32s(NSH_KEY_MD2, program, at + A.NSH_CONTEXT, (options + 3) >> 2);
    out.close(attribute);
    key[L.W_ETH_TYPE] = ETH_TYPE_NSH;
    key[L.W_PACKET_TYPE] = 0x10000 | ETH_TYPE_NSH;
    return undefined;
  }
}

/** What pushes and pops make of the headers that a set may name. */
function reshape(key: L.Flow, program: Int32Array, at: number): void {
  switch (program[at]) {
    case A.ODP_PUSH_MPLS:
    case A.ODP_ADD_MPLS:
      key[L.W_ETH_TYPE] = program[at + 3]!;
      if (program[at] === A.ODP_ADD_MPLS) key[L.W_PACKET_TYPE] = 0x10000 | program[at + 3]!;
      break;
    case A.ODP_POP_MPLS:
      key[L.W_ETH_TYPE] = program[at + 2]!;
      break;
    case A.ODP_POP_ETH:
      key[L.W_PACKET_TYPE] = 0x10000 | typeOf(key);
      break;
    case A.ODP_POP_NSH:
      key[L.W_ETH_TYPE] = 0;
      break;
    default:
  }
}

function writeCt(out: NlWriter, program: Int32Array, at: number): void {
  const attribute = out.open(ACTION_CT);
  const flags = program[at + A.CT_FLAGS]!;
  if ((flags & A.CT_COMMIT) !== 0)
    out.flag((flags & A.CT_FORCE) === 0 ? CT_ATTR_COMMIT : CT_ATTR_FORCE_COMMIT);
  if ((flags & A.CT_COMMIT) !== 0) out.u32(CT_ATTR_EVENTMASK, CT_EVENTS);
  const zone = program[at + A.CT_ZONE]!;
  if (zone !== 0) out.u16(CT_ATTR_ZONE, zone);
  if (program[at + A.CT_MARK_MASK] !== 0) {
    const to = out.blank(CT_ATTR_MARK, 8);
    out.put32(to, program[at + A.CT_MARK]!, false);
    out.put32(to + 4, program[at + A.CT_MARK_MASK]!, false);
  }
  let labels = 0;
  for (let i = 0; i < 4; i++) labels |= program[at + A.CT_LABEL_MASK + i]!;
  if (labels !== 0) out.be32s(CT_ATTR_LABELS, program, at + A.CT_LABEL, 8);
  const helper = CT_HELPERS.find(([port]) => port === program[at + A.CT_ALG]);
  if (helper !== undefined) out.text(CT_ATTR_HELPER, helper[1]);
  const timeout = A.ctTimeout(program, at);
  if (timeout !== "") out.text(CT_ATTR_TIMEOUT, timeout);
  if ((flags & A.CT_NAT) !== 0) writeNat(out, program, at);
  out.close(attribute);
}

function writeNat(out: NlWriter, program: Int32Array, at: number): void {
  const attribute = out.open(CT_ATTR_NAT);
  const flags = program[at + A.CT_NAT_FLAGS]!;
  for (const [nat, bit] of NAT_FLAGS) if ((flags & bit) !== 0) out.flag(nat);
  const words = (flags & A.CT_NAT_IPV6) !== 0 ? 4 : (flags & A.CT_NAT_IPV4) !== 0 ? 1 : 0;
  if (words > 0) {
    out.be32s(NAT_IP_MIN, program, at + A.CT_NAT_MIN, words);
    out.be32s(NAT_IP_MAX, program, at + A.CT_NAT_MAX, words);
  }
  const ports = program[at + A.CT_NAT_PORTS]!;
  if (ports !== 0) {
    out.u16(NAT_PROTO_MIN, ports >>> 16);
    if ((ports & 0xffff) !== 0) out.u16(NAT_PROTO_MAX, ports & 0xffff);
  }
  out.close(attribute);
}

/**
 * Writes a program's attributes, without the one that holds them. `key`: of the packets, which tells whose header a set means;
 * `pid`: the socket that ODP_USERSPACE hands packets to; `later`: what this kernel has more than Linux 6.1. Returns why the kernel cannot do it, with nothing written.
 */
export function writeActions(
  out: NlWriter,
  program: Int32Array,
  key: L.Flow,
  pid: number,
  later = NO_LATER_ACTIONS,
): string | undefined {
  const at = out.length;
  const why = new ActionEncoder(out, pid, key, later).list(program, 0, program.length);
  if (why !== undefined) out.cut(at);
  return why;
}
