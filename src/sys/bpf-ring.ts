/**
 * A BPF ring buffer, read by mmap (Linux Documentation/bpf/ringbuf.rst). Hot path.
 *
 *   descriptor offset 0:       consumer page, ours to write: position u64
 *   4096:                      producer page, read-only: position u64
 *   8192:                      the data, twice, so that a record is never in two pieces
 *
 *   record: | length u32, BUSY 1<<31, DISCARD 1<<30 | u32 | data ... | padded to 8 bytes
 */
import { dlopen } from "bun:ffi";
import { mapShared } from "./bpf.ts";
import { pointer } from "./ffi.ts";

const PAGE = 4096;
const HEADER = 8;
const BUSY = 1 << 31;
const DISCARD = 1 << 30;
const LENGTH = 0x3fffffff;

const { symbols: libc } = dlopen("libc.so.6", {
  memcpy: { args: ["ptr", "ptr", "u64"], returns: "ptr" },
});

export class BpfRing {
  readonly fd: number;
  /** All records; read-only. */
  readonly data: Uint8Array;
  readonly words: Int32Array;
  private readonly address: number;
  private readonly consumer: BigUint64Array;
  private readonly producer: Int32Array;
  private readonly mask: number;
  /** Low 32 bits of the position; the whole is kept for the kernel. */
  private position = 0;
  private total = 0n;
  private passed = 0;

  /** `bytes`: the map's size, a power of two. Throws an OsError. */
  constructor(fd: number, bytes: number) {
    this.fd = fd;
    this.mask = bytes - 1;
    this.consumer = new BigUint64Array(mapShared(fd, PAGE, true, 0).memory);
    const { address, memory } = mapShared(fd, PAGE + 2 * bytes, false, PAGE);
    this.producer = new Int32Array(memory, 0, 2);
    this.data = new Uint8Array(memory, PAGE, 2 * bytes);
    this.words = new Int32Array(memory, PAGE, bytes / 2);
    this.address = address + PAGE;
    this.total = this.consumer[0]!;
    this.position = Number(this.total & 0xffffffffn) | 0;
  }

  /** Index in `data` of the first record that is complete, -1 when there is none. */
  peek(): number {
    // Plain reads: Atomics fault on read-only memory. The functions around them keep them from being hoisted.
    while (this.producer[0] !== this.position) {
      const at = this.position & this.mask;
      const word = this.words[at >> 2]!;
      if ((word & BUSY) !== 0) return -1;
      if ((word & DISCARD) === 0) return at + HEADER;
      this.skip(word & LENGTH);
    }
    return -1;
  }

  /** Steps over the record at `at`, whose memory stays ours until {@link release}. */
  pass(at: number): void {
    this.skip(this.words[(at - HEADER) >> 2]! & LENGTH);
  }

  private skip(length: number): void {
    const bytes = (length + HEADER + 7) & ~7;
    this.position = (this.position + bytes) | 0;
    this.passed += bytes;
  }

  /** Gives back what was passed. */
  release(): void {
    if (this.passed === 0) return;
    this.total += BigInt(this.passed);
    this.passed = 0;
    this.consumer[0] = this.total;
  }

  /** Copies bytes of a record to a place in memory. */
  copyTo(address: number, at: number, length: number): void {
    libc.memcpy(pointer(address), pointer(this.address + at), length);
  }
}

/** Copies bytes to a place in memory. */
export function copyMemory(to: number, from: number, length: number): void {
  libc.memcpy(pointer(to), pointer(from), length);
}
