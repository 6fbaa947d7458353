/**
 * Text written piece by piece into one growing buffer, in UTF-8: a hundred thousand lines of a dozen pieces each are as
 * many strings less, and joining those costs more than writing their characters. Whoever makes one string of it starts
 * at {@link TextWriter.pos} and ends with {@link TextWriter.take}, so that one writer serves many in turn.
 */
export class TextWriter {
  bytes: Buffer;
  pos = 0;

  constructor(capacity = 4096) {
    this.bytes = Buffer.allocUnsafe(capacity);
  }

  /** Makes room for `count` more bytes. */
  room(count: number): void {
    if (this.pos + count > this.bytes.length) this.grow(count);
  }

  private grow(count: number): void {
    const grown = Buffer.allocUnsafe(Math.max(this.pos + count, this.bytes.length * 2));
    this.bytes.copy(grown, 0, 0, this.pos);
    this.bytes = grown;
  }

  text(text: string): void {
    const size = text.length;
    this.room(size);
    const { bytes } = this;
    let at = this.pos;
    for (let i = 0; i < size; i++) {
      const c = text.charCodeAt(i);
      if (c >= 128) {
        this.pos = at;
        this.wide(text.slice(i));
        return;
      }
      bytes[at++] = c;
    }
    this.pos = at;
  }

  private wide(text: string): void {
    this.room(text.length * 3);
    this.pos += this.bytes.write(text, this.pos);
  }

  /** One ASCII character by its code. */
  char(code: number): void {
    this.room(1);
    this.bytes[this.pos++] = code;
  }

  /** An unsigned number of up to 32 bits. */
  decimal(value: number): void {
    if (value < 10) {
      this.char(48 + value);
      return;
    }
    this.room(10);
    let size = 2;
    for (let bound = 100; value >= bound; bound *= 10) size++;
    const { bytes } = this;
    for (let at = this.pos + size - 1; at >= this.pos; at--) {
      const rest = Math.floor(value / 10);
      bytes[at] = 48 + value - rest * 10;
      value = rest;
    }
    this.pos += size;
  }

  /** The same in hexadecimal, without a prefix. */
  hex(value: number): void {
    this.room(8);
    for (let shift = value === 0 ? 0 : 28 - (Math.clz32(value) & ~3); shift >= 0; shift -= 4) {
      const digit = (value >>> shift) & 15;
      this.bytes[this.pos++] = digit < 10 ? 48 + digit : 87 + digit;
    }
  }

  /** a.b.c.d of a word. */
  ipv4(word: number): void {
    for (let shift = 24; shift >= 0; shift -= 8) {
      this.decimal((word >>> shift) & 0xff);
      if (shift > 0) this.char(46);
    }
  }

  /** What was written since `start`, which is where the next begins. */
  take(start: number): string {
    const text = this.bytes.toString("utf8", start, this.pos);
    this.pos = start;
    return text;
  }
}
