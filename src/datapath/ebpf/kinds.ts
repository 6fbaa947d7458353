/**
 * What megaflows of one kind have in common: how programs look them up, and what programs make of a list of actions. Thousands
 * of megaflows a second are set up, nearly all of few kinds, so it is found out once for each. Hot path.
 *
 * A kind is a mask, and the key's Ethertype, tags (whether there are any), protocol, fragment bits and ingress port as far as the
 * mask has them: nothing else of a key has a say (findLookup in programs/places.ts).
 */
import {
  FLOW_DP_WORDS,
  FLOW_NW_FRAG_LATER,
  type Flow,
  VLAN_CFI,
  W_ETH_TYPE,
  W_IN_PORT,
  W_NW,
  W_VLAN0,
  W_VLAN1,
} from "../../flow/layout.ts";
import type { Action } from "./action-programs.ts";
import type { Passage } from "./passing.ts";
import type { Lookup } from "./programs/places.ts";
import type { Table } from "./table.ts";

/** Lists of actions that a kind remembers. */
const RECENT_LISTS = 4;
/** More are not worth the memory. */
const MAX_KINDS = 1024;

/** What programs make of a list of actions for megaflows of the kind. */
export interface Made {
  readonly list: Int32Array;
  /** A text says why programs cannot. */
  readonly action: Action | string;
  readonly passages: readonly Passage[];
}

export class Kind {
  /** A text says why programs cannot match on it. */
  readonly lookup: Lookup | string;
  /** Where its megaflows were last. */
  table: Table | undefined = undefined;
  private readonly mask: Int32Array;
  private readonly typeBits: number;
  private readonly type: number;
  private readonly tags: number;
  private readonly nwBits: number;
  private readonly nw: number;
  private readonly port: number;
  private readonly recent: Made[] = [];
  private oldest = 0;

  constructor(key: Flow, mask: Flow, lookup: Lookup | string) {
    this.mask = mask.slice(0, FLOW_DP_WORDS);
    this.lookup = lookup;
    this.typeBits = mask[W_ETH_TYPE]! & 0xffff;
    this.type = key[W_ETH_TYPE]! & this.typeBits;
    this.tags = tagBits(key, mask);
    this.nwBits = mask[W_NW]! & (0xff | (FLOW_NW_FRAG_LATER << 24));
    this.nw = key[W_NW]! & this.nwBits;
    this.port = key[W_IN_PORT]! & mask[W_IN_PORT]!;
  }

  has(key: Flow, mask: Flow): boolean {
    if (
      (key[W_IN_PORT]! & mask[W_IN_PORT]!) !== this.port ||
      (key[W_ETH_TYPE]! & this.typeBits) !== this.type ||
      (key[W_NW]! & this.nwBits) !== this.nw ||
      tagBits(key, mask) !== this.tags
    )
      return false;
    const own = this.mask;
    for (let word = 0; word < FLOW_DP_WORDS; word++) if (own[word] !== mask[word]) return false;
    return true;
  }

  /** undefined for a list that is not remembered. */
  made(list: Int32Array): Made | undefined {
    const { recent } = this;
    for (let i = 0; i < recent.length; i++) if (isSame(recent[i]!.list, list)) return recent[i];
    return undefined;
  }

  /** In place of one of the same list, or of the oldest. */
  remember(made: Made): void {
    const { recent } = this;
    const at = recent.findIndex(({ list }) => isSame(list, made.list));
    if (at >= 0) recent[at] = made;
    else if (recent.length < RECENT_LISTS) recent.push(made);
    else {
      recent[this.oldest] = made;
      this.oldest = (this.oldest + 1) % RECENT_LISTS;
    }
  }
}

/** Which of the two tags are there. */
function tagBits(key: Flow, mask: Flow): number {
  return (key[W_VLAN0]! & mask[W_VLAN0]! & VLAN_CFI) | ((key[W_VLAN1]! & mask[W_VLAN1]! & VLAN_CFI) << 1);
}

function isSame(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function hashMask(mask: Flow): number {
  let hash = 0;
  for (let word = 0; word < FLOW_DP_WORDS; word++) hash = (Math.imul(hash, 31) + mask[word]!) | 0;
  return hash;
}

export class Kinds {
  private readonly byMask = new Map<number, Kind[]>();
  private size = 0;
  private last: Kind | undefined;

  /** undefined for one that is to be added. */
  find(key: Flow, mask: Flow): Kind | undefined {
    if (this.last?.has(key, mask)) return this.last;
    const kinds = this.byMask.get(hashMask(mask));
    if (kinds !== undefined)
      for (let i = 0; i < kinds.length; i++)
        if (kinds[i]!.has(key, mask)) {
          this.last = kinds[i]!;
          return this.last;
        }
    return undefined;
  }

  add(key: Flow, mask: Flow, lookup: Lookup | string): Kind {
    if (this.size >= MAX_KINDS) this.clear();
    const kind = new Kind(key, mask, lookup);
    const hash = hashMask(mask);
    const kinds = this.byMask.get(hash);
    if (kinds === undefined) this.byMask.set(hash, [kind]);
    else kinds.push(kind);
    this.size++;
    this.last = kind;
    return kind;
  }

  /** Ports or meters have changed, which lookups and actions refer to. */
  clear(): void {
    this.byMask.clear();
    this.size = 0;
    this.last = undefined;
  }
}
