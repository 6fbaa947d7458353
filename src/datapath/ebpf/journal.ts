/**
 * What each megaflow was made for, the key of a packet, so that a later run makes it anew: memory that outlives the process,
 * one slot a row (programs/layout.ts). A process may end between any two writes, so a slot is marked as whole last, and as
 * not whole first.
 */
import { FLOW_DP_WORDS, FLOW_PACKET_WORDS, type Flow } from "../../flow/layout.ts";
import { JOURNAL_BYTES, MAX_BPF_FLOWS } from "./programs/layout.ts";

const SLOT_WORDS = JOURNAL_BYTES / 4;
/** Words of a slot before those of the key. */
const MAP_WORDS = 2;
/** In the second word, above the bits of the key's words. */
const WHOLE = 1 << 31;

export class Journal {
  readonly #words: Int32Array;

  constructor(memory: ArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  /** A key with too many words that are not 0 is left out: its packets come up again. */
  remember(row: number, key: Flow): void {
    const words = this.#words;
    const slot = row * SLOT_WORDS;
    this.forget(row);
    let to = slot + MAP_WORDS;
    let low = 0;
    let high = WHOLE;
    for (let word = 0; word < FLOW_PACKET_WORDS; word++) {
      const value = key[word]!;
      if (value === 0) continue;
      if (to === slot + SLOT_WORDS) return;
      words[to++] = value;
      if (word < 32) low |= 1 << word;
      else high |= 1 << (word - 32);
    }
    words[slot] = low;
    Atomics.store(words, slot + 1, high);
  }

  forget(row: number): void {
    Atomics.store(this.#words, row * SLOT_WORDS + 1, 0);
  }

  /** All that is remembered. */
  *all(): Generator<{ row: number; key: Flow }> {
    for (let row = 0; row < MAX_BPF_FLOWS; row++) {
      const key = this.#read(row);
      if (key !== undefined) yield { row, key };
    }
  }

  #read(row: number): Flow | undefined {
    const words = this.#words;
    const slot = row * SLOT_WORDS;
    const low = words[slot]!;
    const high = words[slot + 1]!;
    if ((high & WHOLE) === 0) return undefined;
    const key = new Int32Array(FLOW_DP_WORDS);
    let from = slot + MAP_WORDS;
    for (let word = 0; word < FLOW_PACKET_WORDS; word++)
      if (((word < 32 ? low >>> word : high >>> (word - 32)) & 1) !== 0) key[word] = words[from++]!;
    return key;
  }
}
