/** Fields that are sets of named bits: tcp_flags, ct_state, tun_flags; and the fragment field's words. */

export interface FlagSet {
  /** Name of each bit, lowest first. */
  readonly names: readonly string[];
  /** Bits that may be set. */
  readonly all: number;
  /** "TCP", "ct_state", "tunnel": in error texts. */
  readonly what: string;
}

export const TCP_FLAGS: FlagSet = {
  names: ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"],
  all: 0xfff,
  what: "TCP",
};

export const CT_STATE: FlagSet = {
  names: ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"],
  all: 0xff,
  what: "ct_state",
};

export const TUN_FLAGS: FlagSet = { names: ["oam"], all: 0x1, what: "tunnel" };

/** Tunnel flags in datapath keys, by the bits of W_TUN_FLAGS_TOS_TTL; only oam is an OpenFlow match. */
export const ODP_TUN_FLAGS: FlagSet = {
  names: ["oam", "df", "csum", "key"],
  all: 0xf,
  what: "tunnel",
};

function nameOf(set: FlagSet, bit: number): string {
  return set.names[bit] ?? `[${(1 << bit).toString(16)}]`;
}

/** "syn|ack"; `separator` between names; "0" for none. */
export function formatFlags(set: FlagSet, value: number, separator = "|"): string {
  const names: string[] = [];
  for (let bit = 0; bit < 32; bit++) if ((value & (1 << bit)) !== 0) names.push(nameOf(set, bit));
  return names.length === 0 ? "0" : names.join(separator);
}

/** "+syn-ack"; "syn|ack" when every bit counts. */
export function formatFlagsMasked(set: FlagSet, value: number, mask: number, full = set.all): string {
  if ((mask & full) === full) return formatFlags(set, value);
  let text = "";
  for (let bit = 0; bit < 32; bit++) {
    if ((mask & (1 << bit)) !== 0) text += ((value & (1 << bit)) !== 0 ? "+" : "-") + nameOf(set, bit);
  }
  return text;
}

/** Numbers, "0x12/0x12", "syn|ack" (all bits count) or "+syn-ack" (these count). */
export function parseFlags(set: FlagSet, text: string): { value: number; mask: number } | { error: string } {
  const unknown = (part: string) =>
    set.what === "ct_state"
      ? { error: `${part}: unknown ct_state flag(s)` }
      : { error: `${part}: unknown ${set.what} flag(s)` };
  const numbers = /^(0[xX][0-9a-fA-F]+|\d+)(?:\/(0[xX][0-9a-fA-F]+|\d+))?$/.exec(text);
  if (numbers !== null) {
    const value = Number(numbers[1]);
    const mask = numbers[2] === undefined ? set.all : Number(numbers[2]);
    if (value > set.all || mask > set.all) return unknown(text);
    return { value: value & mask, mask };
  }
  if (/^[+-]/.test(text)) return parseSigned(set, text, unknown);
  let value = 0;
  for (const name of text.split("|")) {
    if (name === "") continue;
    const bit = set.names.indexOf(name);
    if (bit < 0) return unknown(text);
    value |= 1 << bit;
  }
  return { value, mask: set.all };
}

function parseSigned(
  set: FlagSet,
  text: string,
  unknown: (part: string) => { error: string },
): { value: number; mask: number } | { error: string } {
  let value = 0;
  let mask = 0;
  for (const [, sign, name] of text.matchAll(/([+-])([^+-]*)/g)) {
    const bit = set.names.indexOf(name!);
    if (bit < 0) return unknown(name!);
    if ((mask & (1 << bit)) !== 0) {
      return {
        error: `${name}: Each ${set.what === "tunnel" ? "tunnel" : set.what} flag can be specified only once`,
      };
    }
    mask |= 1 << bit;
    if (sign === "+") value |= 1 << bit;
  }
  return { value, mask };
}

/** ip_frag's words: name, value, mask. */
export const FRAGMENTS: readonly (readonly [name: string, value: number, mask: number])[] = [
  ["no", 0, 3],
  ["yes", 1, 1],
  ["first", 1, 3],
  ["later", 3, 3],
  ["not_later", 0, 2],
];

export function formatFragment(value: number, mask: number): string {
  const found = FRAGMENTS.find(([, of, bits]) => of === (value & mask) && bits === mask);
  return found?.[0] ?? "<error>";
}
