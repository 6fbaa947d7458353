/**
 * The exact-match cache: whole keys of recent packets, each with the flow that a search found (upstream: EMC). Hot path.
 *
 * Two ways: a key may be in either of two neighbouring places of its hash. An entry names its flow with the flow's
 * generation, so that a deleted flow is never found here and nothing needs to be flushed. Keys with words past
 * FLOW_PACKET_WORDS (tunnels, conntrack) are left to the megaflow tables.
 */
import {
  FLOW_PACKET_WORDS,
  type Flow,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NW,
  W_RECIRC_ID,
  W_TCP_FLAGS,
  W_TP,
  W_VLAN0,
} from "../../flow/layout.ts";

const ENTRIES = 8192;
/** Words of an entry: hash, flow + 1 (0 for none), generation, unused, key. */
const STRIDE = 48;
const KEY = 4;

function step(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x9e3779b1);
  return h ^ (h >>> 15);
}

/** Over the words that tell most flows apart; the others are compared only. */
export function keyHash(key: Flow): number {
  let h = step(key[W_IN_PORT]!, key[W_RECIRC_ID]!);
  h = step(h, key[W_ETH_DST_HI]! ^ key[W_ETH_TYPE]!);
  h = step(h, key[W_ETH_DST_SRC]!);
  h = step(h, key[W_ETH_SRC_LO]! ^ key[W_VLAN0]!);
  h = step(h, key[W_IPV4_SRC]! ^ key[W_IPV6_SRC + 3]!);
  h = step(h, key[W_IPV4_DST]! ^ key[W_IPV6_DST + 3]!);
  h = step(h, key[W_IPV6_SRC + 1]! ^ key[W_IPV6_DST + 1]! ^ key[W_NW]!);
  h = step(h, key[W_TP]! ^ (key[W_TCP_FLAGS]! << 20));
  return h ^ (h >>> 16);
}

export class ExactMatchCache {
  private readonly entries = new Int32Array(ENTRIES * STRIDE);
  private readonly generations: Int32Array;

  /** `generations` has the current generation of each flow. */
  constructor(generations: Int32Array) {
    this.generations = generations;
  }

  /** The flow, or -1. */
  find(key: Flow, hash: number): number {
    const place = (hash & (ENTRIES - 1)) * STRIDE;
    const flow = this.look(place, key, hash);
    return flow >= 0 ? flow : this.look(((hash ^ 1) & (ENTRIES - 1)) * STRIDE, key, hash);
  }

  private look(place: number, key: Flow, hash: number): number {
    const entries = this.entries;
    if (entries[place] !== hash) return -1;
    const flow = entries[place + 1]! - 1;
    if (flow < 0 || this.generations[flow] !== entries[place + 2]) return -1;
    for (let word = 0, at = place + KEY; word < FLOW_PACKET_WORDS; word++, at++) {
      if (entries[at] !== key[word]) return -1;
    }
    return flow;
  }

  insert(key: Flow, hash: number, flow: number): void {
    const entries = this.entries;
    let place = (hash & (ENTRIES - 1)) * STRIDE;
    const held = entries[place + 1]! - 1;
    if (held >= 0 && this.generations[held] === entries[place + 2] && entries[place] !== hash) {
      place = ((hash ^ 1) & (ENTRIES - 1)) * STRIDE;
    }
    entries[place] = hash;
    entries[place + 1] = flow + 1;
    entries[place + 2] = this.generations[flow]!;
    for (let word = 0, at = place + KEY; word < FLOW_PACKET_WORDS; word++, at++) entries[at] = key[word]!;
  }
}
