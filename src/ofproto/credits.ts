/**
 * Whom a megaflow's packets are credited to, for 100 000 megaflows at once: rules and patch ports have numbers while some
 * megaflow credits them, and a list of them is a row in one array; a megaflow holds the row's place.
 */
import type { Credit } from "./xlate/context.ts";

const FIRST_WORDS = 4096;

/** The empty list. */
const EMPTY = 0;

export class CreditLists {
  private readonly numbers = new Map<Credit, number>();
  private readonly credits: (Credit | undefined)[] = [];
  /** By number: rows that have it. */
  private readonly users: number[] = [];
  private readonly freeNumbers: number[] = [];
  /** Rows: a length, then as many numbers. */
  private rows = new Int32Array(FIRST_WORDS);
  private end = 1;
  /** By length: the first free row, whose first number is the next one's place; 0 for none. */
  private readonly freeRows: number[] = [];

  /** Places a list, for one megaflow. */
  hold(credits: readonly Credit[]): number {
    const { length } = credits;
    if (length === 0) return EMPTY;
    const row = this.takeRow(length);
    for (let i = 0; i < length; i++) {
      const number = this.numberOf(credits[i]!);
      this.users[number]!++;
      this.rows[row + 1 + i] = number;
    }
    return row;
  }

  private takeRow(length: number): number {
    const free = this.freeRows[length] ?? 0;
    if (free !== 0) {
      this.freeRows[length] = this.rows[free + 1]!;
      return free;
    }
    const row = this.end;
    this.end += 1 + length;
    if (this.end > this.rows.length) {
      const grown = new Int32Array(Math.max(this.end, this.rows.length * 2));
      grown.set(this.rows);
      this.rows = grown;
    }
    this.rows[row] = length;
    return row;
  }

  private numberOf(credit: Credit): number {
    let number = this.numbers.get(credit);
    if (number !== undefined) return number;
    number = this.freeNumbers.pop() ?? this.credits.length;
    this.credits[number] = credit;
    this.users[number] = 0;
    this.numbers.set(credit, number);
    return number;
  }

  release(row: number): void {
    if (row === EMPTY) return;
    const length = this.rows[row]!;
    for (let at = row + 1; at <= row + length; at++) {
      const number = this.rows[at]!;
      if (--this.users[number]! > 0) continue;
      this.numbers.delete(this.credits[number]!);
      this.credits[number] = undefined;
      this.freeNumbers.push(number);
    }
    while (this.freeRows.length <= length) this.freeRows.push(0);
    this.rows[row + 1] = this.freeRows[length]!;
    this.freeRows[length] = row;
  }

  push(row: number, packets: number, bytes: number, usedMs: number, tcpFlags: number): void {
    const last = row + this.rows[row]!;
    for (let at = row + 1; at <= last; at++)
      this.credits[this.rows[at]!]!.credit(packets, bytes, usedMs, tcpFlags);
  }

  /** The credits, in the order of the pipeline. */
  of(row: number): Credit[] {
    const found: Credit[] = [];
    for (let at = row + 1; at <= row + this.rows[row]!; at++) found.push(this.credits[this.rows[at]!]!);
    return found;
  }
}
