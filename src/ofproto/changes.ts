/**
 * What has changed since megaflows were last checked, so that only those are translated again that it can concern.
 *
 * A translation notes in a {@link Footprint} what it went through: a tag for each (bridge, table) where it looked a rule
 * up, and which words of the packet its actions had changed by then. A rule that comes, goes or changes concerns a
 * megaflow only when the translation looked into the rule's table, and the rule's match does not contradict the
 * megaflow in bits that the megaflow matches on and that no action had changed. Addresses learned by NORMAL are
 * compared in the same way. Everything else (ports, groups, configuration) concerns all.
 *
 * Tags are a Bloom filter of 64 bits: two tables that share one cost needless work, never a wrong answer.
 */
import type { PackedMatch } from "../flow/classifier/classifier.ts";
import {
  FLOW_PACKET_WORDS,
  type Flow,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_IN_PORT,
} from "../flow/layout.ts";

/** Past this many, changes are known by their tables only. */
const MAX_RECORDS = 48;
/** First word that a match is compared in, in_port apart: those before are metadata, which recirculation restores. */
const FIRST_WORD = W_ETH_DST_HI;

/** In place of a table's number: the addresses that NORMAL has learned. */
export const ADDRESS_TABLE = 255;

/** The tag's place, 0 to 63. Tables of one bridge below 64 have tags of their own. */
export function tagOf(bridge: number, table: number): number {
  return (bridge * 29 + table) & 63;
}

/** What a translation went through. Bits below 32 are in `lo`, the others in `hi`. */
export class Footprint {
  tagsLo = 0;
  tagsHi = 0;
  /** Words of the packet (below FLOW_PACKET_WORDS) that differed from the megaflow's key at some lookup. */
  alteredLo = 0;
  alteredHi = 0;

  reset(): void {
    this.tagsLo = 0;
    this.tagsHi = 0;
    this.alteredLo = 0;
    this.alteredHi = 0;
  }

  tag(bridge: number, table: number): void {
    const tag = tagOf(bridge, table);
    if (tag < 32) this.tagsLo |= 1 << tag;
    else this.tagsHi |= 1 << (tag - 32);
  }

  alter(word: number): void {
    if (word < 32) this.alteredLo |= 1 << word;
    else this.alteredHi |= 1 << (word - 32);
  }

  /** The table's contents decided something beyond a lookup: any change in it counts. */
  depend(bridge: number, table: number): void {
    this.tag(bridge, table);
    this.alteredLo = -1;
    this.alteredHi = -1;
  }

  /** Notes where `flow` is no longer what it began as. */
  compare(flow: Flow, original: Flow): void {
    if (flow[W_IN_PORT] !== original[W_IN_PORT]) this.alter(W_IN_PORT);
    for (let word = FIRST_WORD; word < FLOW_PACKET_WORDS; word++)
      if (flow[word] !== original[word]) this.alter(word);
  }
}

interface Change {
  readonly tag: number;
  readonly match: PackedMatch;
}

export class Changes {
  private everything = false;
  /** Tags of all changes. */
  private lo = 0;
  private hi = 0;
  /** Tags of changes that are known by their table only. */
  private wideLo = 0;
  private wideHi = 0;
  private readonly records: Change[] = [];

  get isEmpty(): boolean {
    return !this.everything && (this.lo | this.hi) === 0;
  }

  addAll(): void {
    this.everything = true;
    this.records.length = 0;
  }

  /** True when a record would tell more than {@link addTable}. */
  get hasRoom(): boolean {
    return !this.everything && this.records.length < MAX_RECORDS;
  }

  addTable(bridge: number, table: number): void {
    const tag = tagOf(bridge, table);
    this.mark(tag);
    if (tag < 32) this.wideLo |= 1 << tag;
    else this.wideHi |= 1 << (tag - 32);
  }

  addRule(bridge: number, table: number, match: PackedMatch): void {
    if (!this.hasRoom) {
      this.addTable(bridge, table);
      return;
    }
    const tag = tagOf(bridge, table);
    this.mark(tag);
    this.records.push({ tag, match });
  }

  /** `mac` is a number of 48 bits; packets to it and from it. */
  addAddress(bridge: number, mac: number): void {
    const high = Math.floor(mac / 0x10000);
    const low = mac & 0xffff;
    this.addRule(bridge, ADDRESS_TABLE, {
      words: Int32Array.of(W_ETH_DST_HI, W_ETH_DST_SRC),
      masks: Int32Array.of(-1, 0xffff0000),
      values: Int32Array.of(high, low << 16),
      tunMetadata: undefined,
    });
    this.addRule(bridge, ADDRESS_TABLE, {
      words: Int32Array.of(W_ETH_DST_SRC, W_ETH_SRC_LO),
      masks: Int32Array.of(0xffff, -1),
      values: Int32Array.of(Math.floor(mac / 0x100000000), mac % 0x100000000),
      tunMetadata: undefined,
    });
  }

  private mark(tag: number): void {
    if (tag < 32) this.lo |= 1 << tag;
    else this.hi |= 1 << (tag - 32);
  }

  /** Some change is in a table that the footprint has. Without it {@link concern} says no, too. */
  mayConcern(tagsLo: number, tagsHi: number): boolean {
    return this.everything || ((tagsLo & this.lo) | (tagsHi & this.hi)) !== 0;
  }

  /**
   * Whether a megaflow with this footprint has to be translated again. `inPort` is the OpenFlow port that stands for
   * the key's in_port, -1 when none does.
   */
  concern(
    tagsLo: number,
    tagsHi: number,
    alteredLo: number,
    alteredHi: number,
    key: Flow,
    mask: Flow,
    inPort: number,
  ): boolean {
    if (this.everything || ((tagsLo & this.wideLo) | (tagsHi & this.wideHi)) !== 0) return true;
    for (let i = 0; i < this.records.length; i++) {
      const { tag, match } = this.records[i]!;
      const seen = tag < 32 ? tagsLo & (1 << tag) : tagsHi & (1 << (tag - 32));
      if (seen !== 0 && !contradicts(match, alteredLo, alteredHi, key, mask, inPort)) return true;
    }
    return false;
  }
}

/** No packet of the megaflow had the match's values at any lookup. */
function contradicts(
  match: PackedMatch,
  alteredLo: number,
  alteredHi: number,
  key: Flow,
  mask: Flow,
  inPort: number,
): boolean {
  const { words, masks, values } = match;
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word >= FLOW_PACKET_WORDS) continue;
    if ((word < 32 ? alteredLo & (1 << word) : alteredHi & (1 << (word - 32))) !== 0) continue;
    if (word === W_IN_PORT) {
      if (inPort >= 0 && ((values[i]! ^ inPort) & masks[i]!) !== 0) return true;
    } else if (word >= FIRST_WORD && ((values[i]! ^ key[word]!) & masks[i]! & mask[word]!) !== 0) return true;
  }
  return false;
}
