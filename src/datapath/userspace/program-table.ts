/**
 * Programs of flows, equal ones kept once: 100 000 flows of few kinds are then no 100 000 objects. Found by a hash of their
 * words, and the latest without one, since flows of one kind come in a row.
 */
interface Held {
  readonly program: Int32Array;
  readonly hash: number;
  users: number;
}

export class ProgramTable {
  private readonly byHash = new Map<number, Held[]>();
  private latest: Held | undefined = undefined;

  /** The program in words `from` to `end`, exclusive, in a copy that may be kept until {@link release}. */
  hold(words: Int32Array, from: number, end: number): Int32Array {
    let held = this.latest;
    if (held === undefined || !equals(held.program, words, from, end)) {
      held = this.find(words, from, end);
      this.latest = held;
    }
    held.users++;
    return held.program;
  }

  private find(words: Int32Array, from: number, end: number): Held {
    const hash = hashOf(words, from, end);
    let same = this.byHash.get(hash);
    if (same === undefined) {
      same = [];
      this.byHash.set(hash, same);
    }
    for (const held of same) if (equals(held.program, words, from, end)) return held;
    const held = { program: words.slice(from, end), hash, users: 0 };
    same.push(held);
    return held;
  }

  /** Takes one {@link hold} back. */
  release(program: Int32Array): void {
    const hash = hashOf(program, 0, program.length);
    const same = this.byHash.get(hash);
    const held = same?.find((each) => each.program === program);
    if (same === undefined || held === undefined || --held.users > 0) return;
    if (this.latest === held) this.latest = undefined;
    if (same.length === 1) this.byHash.delete(hash);
    else same.splice(same.indexOf(held), 1);
  }
}

function equals(program: Int32Array, words: Int32Array, from: number, end: number): boolean {
  if (program.length !== end - from) return false;
  for (let i = 0; i < program.length; i++) if (program[i] !== words[from + i]) return false;
  return true;
}

function hashOf(words: Int32Array, from: number, end: number): number {
  let hash = end - from;
  for (let at = from; at < end; at++) {
    const mixed = Math.imul(hash ^ words[at]!, 0x9e3779b1);
    hash = mixed ^ (mixed >>> 15);
  }
  return hash;
}
