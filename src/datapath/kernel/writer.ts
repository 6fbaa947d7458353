/**
 * Writes generic netlink messages of openvswitch.ko, one after the other, into one buffer that is sent at once. Numbers are in
 * the host's order (little-endian on all machines that there is a build for) unless a name says `be`.
 */
import { NLMSG_HEADER } from "../../netdev/netlink-message.ts";
import { OVS_HEADER } from "./families.ts";

export class NlWriter {
  bytes = new Uint8Array(16 << 10);
  length = 0;
  private view = new DataView(this.bytes.buffer);

  reset(): void {
    this.length = 0;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.length + more));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Begins a message; returns its place for {@link endMessage}. */
  beginMessage(
    type: number,
    flags: number,
    sequence: number,
    command: number,
    version: number,
    dpIfindex: number,
  ): number {
    this.reserve(NLMSG_HEADER + OVS_HEADER);
    const at = this.length;
    this.view.setUint16(at + 4, type, true);
    this.view.setUint16(at + 6, flags, true);
    this.view.setUint32(at + 8, sequence, true);
    this.view.setUint32(at + 12, 0, true);
    this.view.setUint32(at + 16, command | (version << 8), true);
    this.view.setInt32(at + 20, dpIfindex, true);
    this.length = at + NLMSG_HEADER + OVS_HEADER;
    return at;
  }

  endMessage(at: number): void {
    this.view.setUint32(at, this.length - at, true);
  }

  /** An attribute of `size` bytes, all 0 so far; returns where they begin. */
  blank(type: number, size: number): number {
    const padded = (size + 3) & ~3;
    this.reserve(4 + padded);
    const at = this.length;
    this.view.setUint16(at, 4 + size, true);
    this.view.setUint16(at + 2, type, true);
    this.bytes.fill(0, at + 4, at + 4 + padded);
    this.length = at + 4 + padded;
    return at + 4;
  }

  flag(type: number): void {
    this.blank(type, 0);
  }

  u8(type: number, value: number): void {
    this.bytes[this.blank(type, 1)] = value;
  }

  u16(type: number, value: number): void {
    this.view.setUint16(this.blank(type, 2), value, true);
  }

  u32(type: number, value: number): void {
    this.view.setUint32(this.blank(type, 4), value, true);
  }

  be16(type: number, value: number): void {
    this.view.setUint16(this.blank(type, 2), value);
  }

  /** Words as big-endian numbers. */
  be32s(type: number, words: Int32Array, from: number, count: number): void {
    const at = this.blank(type, count * 4);
    for (let i = 0; i < count; i++) this.view.setInt32(at + i * 4, words[from + i]!);
  }

  data(type: number, from: Uint8Array, start = 0, length = from.length): void {
    const at = this.blank(type, length);
    for (let i = 0; i < length; i++) this.bytes[at + i] = from[start + i]!;
  }

  /** A string with its zero. */
  text(type: number, text: string): void {
    const at = this.blank(type, text.length + 1);
    for (let i = 0; i < text.length; i++) this.bytes[at + i] = text.charCodeAt(i);
  }

  /** Begins an attribute made of attributes; returns its place for {@link close}. */
  open(type: number): number {
    this.reserve(4);
    const at = this.length;
    this.view.setUint16(at + 2, type, true);
    this.length = at + 4;
    return at;
  }

  close(at: number): void {
    this.view.setUint16(at, this.length - at, true);
  }

  /** False when the attribute at `at` is longer than netlink can say. */
  fits(at: number): boolean {
    return this.length - at < 0x10000;
  }

  /** Takes back all from `at` on. */
  cut(at: number): void {
    this.length = at;
  }

  put8(at: number, value: number): void {
    this.bytes[at] = value;
  }
  put16(at: number, value: number, big: boolean): void {
    this.view.setUint16(at, value, !big);
  }
  put32(at: number, value: number, big: boolean): void {
    this.view.setInt32(at, value, !big);
  }
}

/** What `write` writes. */
export function bytesFrom(write: (out: NlWriter) => void): Uint8Array {
  const out = new NlWriter();
  write(out);
  return out.bytes.slice(0, out.length);
}
