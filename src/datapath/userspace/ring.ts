/**
 * A queue of Int32 records between two threads, one of which writes and the other reads (SPSC). Hot path.
 *
 *   words:  | n | n words of record | n | ... | 0 (wrap) |        position = words written or read since the start,
 *   index = position & (size - 1)                                  modulo 2^32
 *
 * Records are contiguous: one that does not fit before the end of the buffer starts at its beginning, and a 0 tells
 * the reader to skip there. Positions live in a shared control array and are read with Atomics, since the compiler
 * may hoist plain reads out of a loop. Each side remembers what it has last seen of the other's position, and looks again only
 * when that does not do: a word that one processor writes and another reads costs both some 50 ns each time.
 */
export class SharedRing {
  readonly words: Int32Array;
  private readonly size: number;
  private readonly control: Int32Array;
  private readonly headWord: number;
  private readonly tailWord: number;
  private head: number;
  private tail: number;
  /** The other side's position as last seen. */
  private seen: number;

  /** `headWord` and `tailWord` are indices into `control`: next to write, next to read. The size is a power of two. */
  constructor(words: Int32Array, control: Int32Array, headWord: number, tailWord: number) {
    this.words = words;
    this.size = words.length;
    this.control = control;
    this.headWord = headWord;
    this.tailWord = tailWord;
    this.head = Atomics.load(control, headWord);
    this.tail = Atomics.load(control, tailWord);
    this.seen = this.tail;
  }

  /** Writer: index of room for a record of `length` words, or -1 when the ring is full. Visible after {@link commit}. */
  reserve(length: number): number {
    const size = this.size;
    let index = this.head & (size - 1);
    const skip = index + 1 + length > size ? size - index : 0;
    const room = size - skip - 1 - length;
    if (((this.head - this.seen) | 0) > room) {
      this.seen = Atomics.load(this.control, this.tailWord);
      if (((this.head - this.seen) | 0) > room) return -1;
    }
    if (skip > 0) {
      this.words[index] = 0;
      this.head = (this.head + skip) | 0;
      index = 0;
    }
    this.words[index] = length;
    this.head = (this.head + 1 + length) | 0;
    return index + 1;
  }

  commit(): void {
    Atomics.store(this.control, this.headWord, this.head);
  }

  /** Reader: index of the next record's first word (its length is the word before), or -1. */
  peek(): number {
    if (this.seen === this.tail) {
      this.seen = Atomics.load(this.control, this.headWord);
      if (this.seen === this.tail) return -1;
    }
    let index = this.tail & (this.size - 1);
    if (this.words[index] === 0) {
      this.tail = (this.tail + this.size - index) | 0;
      index = 0;
    }
    return index + 1;
  }

  /** Reader: gives the record at `index` back. */
  release(index: number): void {
    this.step(index);
    this.giveBack();
  }

  /** Reader: steps over the record at `index`, which {@link giveBack} gives back. */
  step(index: number): void {
    this.tail = (this.tail + 1 + this.words[index - 1]!) | 0;
  }

  giveBack(): void {
    Atomics.store(this.control, this.tailWord, this.tail);
  }

  /** Longest record that always fits sooner or later. */
  get longest(): number {
    return (this.size >> 1) - 1;
  }
}
