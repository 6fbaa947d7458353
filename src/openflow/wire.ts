/**
 * Bytes in network order: {@link Reader} over a message that has been checked for length, {@link Writer} into one
 * growing buffer. Numbers are unsigned; 64 bits are bigint.
 */
import { OfpError } from "./errors.ts";

export class Reader {
  readonly bytes: Uint8Array;
  /** Absolute offsets into `bytes`. */
  pos: number;
  readonly end: number;

  constructor(bytes: Uint8Array, pos = 0, end = bytes.length) {
    this.bytes = bytes;
    this.pos = pos;
    this.end = end;
  }

  get left(): number {
    return this.end - this.pos;
  }

  /** Throws `error` unless `count` more bytes are there. Call once for a structure, then read. */
  need(count: number, error: string, log = "", module = ""): void {
    if (this.end - this.pos < count) throw new OfpError(error, log, module);
  }

  u8(): number {
    return this.bytes[this.pos++]!;
  }
  u16(): number {
    const value = this.u16At(this.pos);
    this.pos += 2;
    return value;
  }
  u32(): number {
    const value = this.u32At(this.pos);
    this.pos += 4;
    return value;
  }
  /** Numbers at an absolute offset, which move nothing. */
  u16At(at: number): number {
    const { bytes } = this;
    if (at + 2 > bytes.length) throw new RangeError("beyond the message");
    return (bytes[at]! << 8) | bytes[at + 1]!;
  }
  u32At(at: number): number {
    const { bytes } = this;
    if (at + 4 > bytes.length) throw new RangeError("beyond the message");
    return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
  }
  u64(): bigint {
    const high = this.u32();
    const low = this.u32();
    if (high === 0) return low === 0 ? 0n : BigInt(low);
    return (BigInt(high) << 32n) | BigInt(low);
  }
  /** `count` bytes as one big-endian number. */
  big(count: number): bigint {
    let value = 0n;
    for (let i = 0; i < count; i++) value = (value << 8n) | BigInt(this.bytes[this.pos + i]!);
    this.pos += count;
    return value;
  }
  skip(count: number): void {
    this.pos += count;
  }
  /** Skips bytes that must be zero; returns whether they are. */
  zeros(count: number): boolean {
    let any = 0;
    for (let i = 0; i < count; i++) any |= this.bytes[this.pos + i]!;
    this.pos += count;
    return any === 0;
  }
  /** A copy. */
  take(count: number): Uint8Array {
    const out = this.bytes.slice(this.pos, this.pos + count);
    this.pos += count;
    return out;
  }
  /** A text of at most `count` bytes that ends at the first NUL. */
  text(count: number): string {
    let length = 0;
    while (length < count && this.bytes[this.pos + length] !== 0) length++;
    const out = new TextDecoder().decode(this.bytes.subarray(this.pos, this.pos + length));
    this.pos += count;
    return out;
  }
  /** A reader of the next `count` bytes, which this one passes over. */
  sub(count: number): Reader {
    const out = new Reader(this.bytes, this.pos, this.pos + count);
    this.pos += count;
    return out;
  }
}

export class Writer {
  bytes: Uint8Array;
  view: DataView;
  pos = 0;

  constructor(capacity = 256) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes. */
  room(count: number): void {
    const needed = this.pos + count;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.pos));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
  u8(value: number): void {
    this.room(1);
    this.bytes[this.pos++] = value;
  }
  u16(value: number): void {
    this.room(2);
    this.view.setUint16(this.pos, value);
    this.pos += 2;
  }
  u32(value: number): void {
    this.room(4);
    this.view.setUint32(this.pos, value >>> 0);
    this.pos += 4;
  }
  u64(value: bigint): void {
    this.room(8);
    this.view.setBigUint64(this.pos, value);
    this.pos += 8;
  }
  /** A 64-bit counter given as a number of up to 2^53. */
  u64n(value: number): void {
    this.room(8);
    this.view.setUint32(this.pos, Math.floor(value / 0x100000000));
    this.view.setUint32(this.pos + 4, value >>> 0);
    this.pos += 8;
  }
  big(value: bigint, count: number): void {
    this.room(count);
    for (let i = count - 1; i >= 0; i--) {
      this.bytes[this.pos + i] = Number(value & 0xffn);
      value >>= 8n;
    }
    this.pos += count;
  }
  zeros(count: number): void {
    this.room(count);
    this.bytes.fill(0, this.pos, this.pos + count);
    this.pos += count;
  }
  put(bytes: Uint8Array): void {
    this.room(bytes.length);
    this.bytes.set(bytes, this.pos);
    this.pos += bytes.length;
  }
  /** `text` cut to `count - 1` bytes and padded with NULs to `count`. */
  text(text: string, count: number): void {
    const encoded = new TextEncoder().encode(text).subarray(0, count - 1);
    this.put(encoded);
    this.zeros(count - encoded.length);
  }
  /** Pads with zeros so that the length since `start` is a multiple of `unit`. */
  pad(start: number, unit = 8): void {
    const over = (this.pos - start) % unit;
    if (over !== 0) this.zeros(unit - over);
  }
  setU16(at: number, value: number): void {
    this.view.setUint16(at, value);
  }
  /** What was written, as a view that the next write may move. */
  done(): Uint8Array {
    return this.bytes.subarray(0, this.pos);
  }
}
