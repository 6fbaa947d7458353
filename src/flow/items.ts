/** Flow and action text, split into its items: the lexical part of ovs-ofctl(8)'s "Flow Syntax". */

export interface KeyValue {
  key: string;
  value: string;
}

/**
 * Splits "a,b:c,d=e,f(g,h)->i" as ovs-ofctl does, item by item: commas and white space separate, parentheses and brackets
 * nest. What an item is can be read off `text` between the offsets, without making strings of it.
 */
export class Items {
  readonly text: string;
  /** Where the text's part ends that is split. */
  readonly end: number;
  keyStart = 0;
  keyEnd = 0;
  /** Of the key, as {@link hashWord} has it. */
  hash = 0;
  /** Equal when there is none, or an empty one. */
  valueStart = 0;
  valueEnd = 0;
  /** Where the parenthesis before an arrow closes; -1: no arrow. */
  private close = -1;
  private at: number;

  constructor(text: string, start = 0, end = text.length) {
    this.text = text;
    this.end = end;
    this.at = start;
  }

  get key(): string {
    return this.text.slice(this.keyStart, this.keyEnd);
  }

  get value(): string {
    const { text, close } = this;
    if (close < 0) return text.slice(this.valueStart, this.valueEnd);
    return `${text.slice(this.valueStart, close)})${text.slice(close + 1, this.valueEnd)}`;
  }

  /** Goes to the next item; false: there is none. */
  next(): boolean {
    const { text, end } = this;
    let { at } = this;
    while (at < end && isSeparator(text.charCodeAt(at))) at++;
    if (at >= end) return false;
    this.keyStart = at;
    if (text.charCodeAt(at) === QUOTE) at = skipQuoted(text, at, end);
    let hash = 0;
    let mark = 0;
    for (; at < end; at++) {
      mark = text.charCodeAt(at);
      if (isKeyEnd(mark)) break;
      hash = Math.imul(hash ^ mark, HASH_PRIME);
    }
    this.hash = hash;
    this.keyEnd = at;
    this.valueStart = at + 1;
    this.close = -1;
    if (at >= end || isSeparator(mark)) this.valueStart = at;
    else if (mark !== OPEN) at = scanValue(text, at + 1, end);
    else at = this.parenthesized(at);
    if (mark !== OPEN || this.close >= 0) this.valueEnd = at;
    this.at = at;
    return true;
  }

  private parenthesized(at: number): number {
    const { text, end } = this;
    const close = matchingParen(text, at, end);
    this.valueEnd = close;
    if (!text.startsWith("->", close + 1)) return close + 1;
    const stop = scanValue(text, close + 1, end);
    if (stop > close + 1) this.close = close;
    return stop;
  }
}

const QUOTE = 34;
const OPEN = 40;
const HASH_PRIME = 0x01000193;

/** {@link Items.hash} of a key. */
export function hashWord(word: string): number {
  let hash = 0;
  for (let i = 0; i < word.length; i++) hash = Math.imul(hash ^ word.charCodeAt(i), HASH_PRIME);
  return hash;
}

/** All of a text's items. */
export function keyValues(text: string): KeyValue[] {
  const out: KeyValue[] = [];
  for (const items = new Items(text); items.next(); ) out.push({ key: items.key, value: items.value });
  return out;
}

export function isSpace(c: number): boolean {
  return c === 32 || (c >= 9 && c <= 13);
}

export function isSeparator(c: number): boolean {
  return c === 44 || isSpace(c);
}

function isKeyEnd(c: number): boolean {
  return isSeparator(c) || c === 58 || c === 61 || c === 40;
}

function skipQuoted(text: string, at: number, end: number): number {
  for (at++; at < end && text[at] !== '"'; at++) if (text[at] === "\\") at++;
  return Math.min(at + 1, end);
}

function scanValue(text: string, at: number, end: number): number {
  let depth = 0;
  for (; at < end; at++) {
    const c = text.charCodeAt(at);
    if (c > 44 && c < 91) continue;
    if (depth === 0 && isSeparator(c)) return at;
    if (c === 40 || c === 91) depth++;
    else if ((c === 41 || c === 93) && --depth < 0) return at;
    else if (c === QUOTE) at = skipQuoted(text, at, end) - 1;
  }
  return at;
}

function matchingParen(text: string, at: number, end: number): number {
  let depth = 0;
  for (; at < end; at++) {
    const c = text[at];
    if (c === "(") depth++;
    else if (c === ")" && --depth === 0) return at;
  }
  return end;
}
