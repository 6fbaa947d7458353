/**
 * Structures of export protocols described as data: a {@link Layout} names the fields in their order on the wire, and
 * both directions follow from it. Everything is in network order; `xdr-` types are those of RFC 4506 (sFlow), padded to
 * four bytes.
 */

/** Field type → the value it has in memory. */
export interface FieldValues {
  u8: number;
  u16: number;
  u32: number;
  u64: bigint;
  /** An IPv4 address as an unsigned number. */
  ipv4: number;
  /** Six bytes. */
  mac: Uint8Array;
  /** Six bytes, padded to eight. */
  "xdr-mac": Uint8Array;
  "xdr-string": string;
  "xdr-opaque": Uint8Array;
  "xdr-u32s": readonly number[];
  /** A type (1 IPv4, 2 IPv6, 0 unknown) and 4, 16 or no bytes. */
  "xdr-address": Uint8Array;
}

export type FieldType = keyof FieldValues;
export type Layout = Readonly<Record<string, FieldType>>;
export type ValuesOf<L extends Layout> = { -readonly [K in keyof L]: FieldValues[L[K]] };

/** A datagram that is not what its protocol says; `message` says where. */
export class CodecError extends Error {}

const text = new TextDecoder();
const utf8 = new TextEncoder();

/** Appends to a buffer that grows. */
export class ByteWriter {
  bytes: Uint8Array;
  view: DataView;
  length = 0;

  constructor(capacity = 2048) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes room for `count` more bytes and returns where they begin; they are zero only if never written before. */
  room(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const bytes = new Uint8Array(Math.max(this.length, this.bytes.length * 2));
      bytes.set(this.bytes.subarray(0, at));
      this.bytes = bytes;
      this.view = new DataView(bytes.buffer);
    }
    return at;
  }
  u8(value: number): void {
    const at = this.room(1);
    this.bytes[at] = value;
  }
  u16(value: number): void {
    const at = this.room(2);
    this.view.setUint16(at, value);
  }
  u32(value: number): void {
    const at = this.room(4);
    this.view.setUint32(at, value);
  }
  u64(value: bigint): void {
    const at = this.room(8);
    this.view.setBigUint64(at, value);
  }
  put(bytes: Uint8Array): void {
    const at = this.room(bytes.length);
    this.bytes.set(bytes, at);
  }
  /** `count` of the bytes from `offset` on: for a few of them faster than a view for {@link put}. */
  copy(from: Uint8Array, offset: number, count: number): void {
    const at = this.room(count);
    const { bytes } = this;
    for (let i = 0; i < count; i++) bytes[at + i] = from[offset + i]!;
  }
  zeros(count: number): void {
    const at = this.room(count);
    this.bytes.fill(0, at, at + count);
  }
  /** A length, then the bytes, padded to four. */
  xdrOpaque(bytes: Uint8Array): void {
    this.u32(bytes.length);
    this.put(bytes);
    this.zeros(-bytes.length & 3);
  }
  /** Runs `body` and writes the number of bytes that it appended into the u32 before them. */
  xdrSized(body: () => void): void {
    const at = this.room(4);
    body();
    this.view.setUint32(at, this.length - at - 4);
  }
  reset(): void {
    this.length = 0;
  }
  /** What was written; valid until the next write. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

/** Reads part of a datagram; a read past `end` throws {@link CodecError} with the name of what was read. */
export class ByteReader {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  pos: number;
  readonly end: number;
  readonly what: string;

  constructor(bytes: Uint8Array, what: string, pos = 0, end = bytes.length) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.pos = pos;
    this.end = end;
    this.what = what;
  }

  get left(): number {
    return this.end - this.pos;
  }
  private at(count: number): number {
    const at = this.pos;
    if (count < 0 || this.end - at < count) {
      throw new CodecError(`${this.what}: needs ${count} bytes at offset ${at}, has ${this.end - at}`);
    }
    this.pos += count;
    return at;
  }
  u8(): number {
    return this.bytes[this.at(1)]!;
  }
  u16(): number {
    return this.view.getUint16(this.at(2));
  }
  u32(): number {
    return this.view.getUint32(this.at(4));
  }
  u64(): bigint {
    return this.view.getBigUint64(this.at(8));
  }
  take(count: number): Uint8Array {
    const at = this.at(count);
    return this.bytes.slice(at, at + count);
  }
  /** The next `count` bytes as a reader of their own. */
  sub(count: number, what: string): ByteReader {
    const at = this.at(count);
    return new ByteReader(this.bytes, what, at, at + count);
  }
  xdrOpaque(): Uint8Array {
    const length = this.u32();
    const bytes = this.take(length);
    this.at(-length & 3);
    return bytes;
  }
}

const WRITE: { [T in FieldType]: (out: ByteWriter, value: FieldValues[T]) => void } = {
  u8: (out, value) => out.u8(value),
  u16: (out, value) => out.u16(value),
  u32: (out, value) => out.u32(value),
  u64: (out, value) => out.u64(value),
  ipv4: (out, value) => out.u32(value),
  mac: (out, value) => out.put(value),
  "xdr-mac": (out, value) => {
    out.put(value);
    out.zeros(2);
  },
  "xdr-string": (out, value) => out.xdrOpaque(utf8.encode(value)),
  "xdr-opaque": (out, value) => out.xdrOpaque(value),
  "xdr-u32s": (out, value) => {
    out.u32(value.length);
    for (const word of value) out.u32(word);
  },
  "xdr-address": (out, value) => {
    out.u32(value.length === 4 ? 1 : value.length === 16 ? 2 : 0);
    out.put(value);
  },
};

const ADDRESS_BYTES = [0, 4, 16];

const READ: { [T in FieldType]: (from: ByteReader) => FieldValues[T] } = {
  u8: (from) => from.u8(),
  u16: (from) => from.u16(),
  u32: (from) => from.u32(),
  u64: (from) => from.u64(),
  ipv4: (from) => from.u32(),
  mac: (from) => from.take(6),
  "xdr-mac": (from) => from.take(8).subarray(0, 6),
  "xdr-string": (from) => text.decode(from.xdrOpaque()),
  "xdr-opaque": (from) => from.xdrOpaque(),
  "xdr-u32s": (from) => {
    const count = from.u32();
    if (count * 4 > from.left)
      throw new CodecError(`${from.what}: ${count} words announced, fewer are there`);
    return Array.from({ length: count }, () => from.u32());
  },
  "xdr-address": (from) => {
    const type = from.u32();
    const bytes = ADDRESS_BYTES[type];
    if (bytes === undefined) throw new CodecError(`${from.what}: address type ${type}`);
    return from.take(bytes);
  },
};

/** Appends `values` in the order of `layout`. */
export function writeLayout<L extends Layout>(out: ByteWriter, layout: L, values: ValuesOf<L>): void {
  for (const name in layout) {
    const write = WRITE[layout[name]!] as (out: ByteWriter, value: unknown) => void;
    write(out, values[name]);
  }
}

/** Reads one structure. @throws CodecError when it is cut off. */
export function readLayout<L extends Layout>(from: ByteReader, layout: L): ValuesOf<L> {
  const values: Record<string, unknown> = {};
  for (const name in layout) values[name] = READ[layout[name]!](from);
  return values as ValuesOf<L>;
}
