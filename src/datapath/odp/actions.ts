/**
 * Datapath actions as a flat Int32Array program (upstream: OVS_ACTION_ATTR_*): a sequence of
 * `[opcode, words-in-all, operands...]`, so that any opcode can be skipped and the hot loop is one dense `switch`.
 * Numbers of ports are datapath port numbers. An empty program drops.
 */

/** [OP, 3, port] */
export const ODP_OUTPUT = 0;
/** [OP, 3, tpid << 16 | tci] (tci with VLAN_CFI set): pushes an 802.1Q or 802.1ad header. */
export const ODP_PUSH_VLAN = 1;
/** [OP, 2] */
export const ODP_POP_VLAN = 2;
/**
 * [OP, 5, flow word, value, mask]: header bits of one word of the flow layout are set, checksums follow.
 * Writing an address takes one of these for each word it touches.
 */
export const ODP_SET = 3;
/**
 * [OP, 3, index]: hands a copy of the packet up with the userdata stored under `index` (controller, slow path; below 0 a
 * sample, for which nobody need be woken at once).
 */
export const ODP_USERSPACE = 4;
/** [OP, 3, bytes]: the next output sends at most so many bytes. */
export const ODP_TRUNC = 5;
/** [OP, 3, recirc_id]: classified again with that recirc_id. */
export const ODP_RECIRC = 6;
/** [OP, 3, reason]: ends processing; counted under the reason. */
export const ODP_DROP = 7;
/** [OP, 4, algorithm, basis]: sets dp_hash. */
export const ODP_HASH = 8;
/** [OP, words, nested program...]: runs on a copy. */
export const ODP_CLONE = 9;
/** [OP, words, probability (of 2^32-1), nested program...] */
export const ODP_SAMPLE = 10;
/** [OP, 3, meter id] */
export const ODP_METER = 11;
/** [OP, 4, lse, ethertype] */
export const ODP_PUSH_MPLS = 12;
/** [OP, 3, ethertype] */
export const ODP_POP_MPLS = 13;
/** [OP, words, length, nested if greater (with its word count first), nested if not] */
export const ODP_CHECK_PKT_LEN = 14;
/** [OP, CT_WORDS, ...]: connection tracking; operands at the CT_ offsets. */
export const ODP_CT = 15;
/** [OP, 2] */
export const ODP_CT_CLEAR = 16;
/** [OP, 3, port]: encapsulates and sends; see netdev tunnels; later. */
export const ODP_TUNNEL_PUSH = 17;
/** [OP, 3, port] */
export const ODP_TUNNEL_POP = 18;
/** [OP, 5, group, observation domain, observation point]: a sample for programs on this host. */
export const ODP_PSAMPLE = 24;

/** [OP, words, nested program for packets whose TTL would be 0]: decrements the TTL. The kernel's; nobody here asks for it. */
export const ODP_DEC_TTL = 25;

/** [OP, 5, words W_ETH_DST_HI to W_ETH_SRC_LO]: an Ethernet header before a packet that has none. */
export const ODP_PUSH_ETH = 19;
/** [OP, 2] */
export const ODP_POP_ETH = 20;
/** [OP, words, ...]: an NSH header before everything; operands at the NSH_ offsets. */
export const ODP_PUSH_NSH = 21;
/** [OP, 2] */
export const ODP_POP_NSH = 22;
/** [OP, 4, lse, ethertype]: a label before everything, the Ethernet header included. */
export const ODP_ADD_MPLS = 23;

// Operands of ODP_PUSH_NSH, counted from its opcode.
/** As in W_NSH_BASE. */
export const NSH_BASE = 2;
/** As in W_NSH_PATH. */
export const NSH_PATH = 3;
/** Bytes of options, for MD type 2. */
export const NSH_MD2_LENGTH = 4;
/** 4 words of context, or the options. */
export const NSH_CONTEXT = 5;

// Operands of ODP_CT, counted from its opcode.
/** CT_COMMIT and its like. */
export const CT_FLAGS = 2;
export const CT_ZONE = 3;
export const CT_MARK = 4;
export const CT_MARK_MASK = 5;
/** Most significant word first; 4 words, then 4 of the mask. */
export const CT_LABEL = 6;
export const CT_LABEL_MASK = 10;
/** 0, 21 ftp or 69 tftp. */
export const CT_ALG = 14;
/** CT_NAT_SRC and its like; looked at when CT_NAT is among the flags. */
export const CT_NAT_FLAGS = 15;
/** IPv4 in the first word, or IPv6 in all 4. */
export const CT_NAT_MIN = 16;
export const CT_NAT_MAX = 20;
/** min << 16 | max, 0 for none. */
export const CT_NAT_PORTS = 24;
/** Name of a policy of timeouts, bytes as in the text, up to a zero; 8 words. */
export const CT_TIMEOUT = 25;
export const CT_TIMEOUT_BYTES = 32;
export const CT_WORDS = 33;

export const CT_COMMIT = 1;
export const CT_FORCE = 2;
export const CT_NAT = 4;
export const CT_NAT_SRC = 1;
export const CT_NAT_DST = 2;
export const CT_NAT_PERSISTENT = 4;
export const CT_NAT_HASH = 8;
export const CT_NAT_RANDOM = 16;
export const CT_NAT_IPV4 = 32;
export const CT_NAT_IPV6 = 64;

/** The longest program to give a megaflow: as many outputs as 64 kB of netlink messages hold, with 8 bytes each. */
export const ODP_WORDS_MAX = (0x10000 / 8) * 3;

/** Name of the policy of timeouts that an ODP_CT has, "" for none. */
export function ctTimeout(program: Int32Array, at: number): string {
  let name = "";
  for (let i = 0; i < CT_TIMEOUT_BYTES; i++) {
    const byte = (program[at + CT_TIMEOUT + (i >> 2)]! >>> (24 - (i & 3) * 8)) & 0xff;
    if (byte === 0) break;
    name += String.fromCharCode(byte);
  }
  return name;
}

/** False when the name is none, or too long. */
export function setCtTimeout(program: Int32Array, at: number, name: string): boolean {
  if (!/^[\x21-\x7e]+$/.test(name) || name.length >= CT_TIMEOUT_BYTES) return false;
  for (let i = 0; i < name.length; i++) {
    const word = at + CT_TIMEOUT + (i >> 2);
    program[word] = program[word]! | (name.charCodeAt(i) << (24 - (i & 3) * 8));
  }
  return true;
}

/** Where the nested programs of the action at `at` begin, 0 when it has none. */
export function nestedStart(program: Int32Array, at: number): number {
  switch (program[at]) {
    case ODP_CLONE:
    case ODP_DEC_TTL:
      return at + 2;
    case ODP_SAMPLE:
      return at + 3;
    case ODP_CHECK_PKT_LEN:
      return at + 4;
    default:
      return 0;
  }
}

/** Grows as needed; `words.subarray(0, length)` is the program. Reused from one translation to the next. */
export class OdpActionBuilder {
  words = new Int32Array(64);
  length = 0;

  reset(): void {
    this.length = 0;
  }

  /** Appends one action without nested programs. */
  emit(opcode: number, a = 0, b = 0, c = 0, operands = 1): void {
    const size = 2 + operands;
    this.reserve(size);
    const words = this.words;
    let at = this.length;
    words[at++] = opcode;
    words[at++] = size;
    if (operands > 0) words[at++] = a;
    if (operands > 1) words[at++] = b;
    if (operands > 2) words[at++] = c;
    this.length = at;
  }

  /** Starts an action with a nested program; returns its place for {@link closeNested}. */
  openNested(opcode: number): number {
    const at = this.length;
    this.emit(opcode, 0, 0, 0, 0);
    return at;
  }

  /** Appends an action of `size` words in all, operands 0; returns where it begins. */
  emitBlank(opcode: number, size: number): number {
    this.reserve(size);
    const at = this.length;
    this.words.fill(0, at, at + size);
    this.words[at] = opcode;
    this.words[at + 1] = size;
    this.length = at + size;
    return at;
  }

  /** Appends an operand of the action being built. */
  emitWord(word: number): void {
    this.reserve(1);
    this.words[this.length++] = word;
  }

  closeNested(at: number): void {
    this.words[at + 1] = this.length - at;
  }

  /** What is last needs no copy of the packet: a clone at the end becomes what is in it. */
  unwrapLastClone(): void {
    const { words, length } = this;
    let last = 0;
    for (let at = 0; at < length; at += words[at + 1]!) last = at;
    if (length === 0 || words[last] !== ODP_CLONE) return;
    words.copyWithin(last, last + 2, length);
    this.length -= 2;
  }

  /** A copy that the caller owns. */
  take(): Int32Array {
    return this.words.slice(0, this.length);
  }

  reserve(more: number): void {
    if (this.length + more <= this.words.length) return;
    const grown = new Int32Array(Math.max(this.words.length * 2, this.length + more));
    grown.set(this.words.subarray(0, this.length));
    this.words = grown;
  }
}
