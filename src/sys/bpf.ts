/**
 * bpf(2) through syscall(2): maps, programs, links. `union bpf_attr` is laid out by hand; the offsets are those of
 * include/uapi/linux/bpf.h, which the kernel never changes. Little-endian machines only.
 */
import { dlopen, ptr } from "bun:ffi";
import { errno, memoryAt, osError, libc as plain } from "./ffi.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  syscall: { args: ["i64", "i32", "ptr", "u32"], returns: "i32" },
});

const NR_BPF = process.arch === "arm64" ? 280 : 321;

// Commands.
const MAP_CREATE = 0;
const MAP_LOOKUP_ELEM = 1;
const MAP_UPDATE_ELEM = 2;
const MAP_DELETE_ELEM = 3;
const PROG_LOAD = 5;
const OBJ_PIN = 6;
const OBJ_GET = 7;
const PROG_TEST_RUN = 10;
const OBJ_GET_INFO_BY_FD = 15;
const PROG_QUERY = 16;
const MAP_LOOKUP_BATCH = 24;
const MAP_UPDATE_BATCH = 26;
const MAP_DELETE_BATCH = 27;
const LINK_CREATE = 28;
const LINK_UPDATE = 29;

const PROG_TYPE_SCHED_CLS = 3;
const TCX_INGRESS = 46;
const TCX_EGRESS = 47;

const ATTR_BYTES = 144;
const NAME_BYTES = 15;
/** Grows up to here while the verifier has more to say. */
const LOG_BYTES = 64 << 10;
const LOG_BYTES_MAX = 16 << 20;
const ENOENT = 2;
const ENOSPC = 28;

export interface BpfMapSpec {
  readonly name: string;
  readonly type: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly entries: number;
  readonly flags: number;
}

/** What the kernel has made of a program. */
export interface BpfProgramInfo {
  readonly id: number;
  readonly jitedBytes: number;
  /** Instructions that the verifier has walked through. */
  readonly verifiedInstructions: number;
}

function attributes(): { bytes: Uint8Array; view: DataView } {
  const bytes = new Uint8Array(ATTR_BYTES);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Result, or -errno. */
function bpf(command: number, bytes: Uint8Array): number {
  const result = libc.syscall(NR_BPF, command, ptr(bytes), bytes.length);
  return result >= 0 ? result : -errno();
}

function setAddress(view: DataView, at: number, bytes: ArrayBufferView, offset = 0): void {
  const address = (ptr(bytes as Uint8Array) as number) + offset;
  view.setUint32(at, address % 0x100000000, true);
  view.setUint32(at + 4, address / 0x100000000, true);
}

/** Names that the kernel takes: letters, digits, underscore and dot. */
function setName(bytes: Uint8Array, at: number, name: string): void {
  const clean = name.replace(/[^A-Za-z0-9_.]/g, "_").slice(0, NAME_BYTES);
  bytes.set(new TextEncoder().encode(clean), at);
}

function check(call: string, result: number): number {
  if (result < 0) throw osError(`bpf(${call})`, -result);
  return result;
}

function withPath(command: number, path: string, fd: number): number {
  const { bytes, view } = attributes();
  const text = new TextEncoder().encode(`${path}\0`);
  setAddress(view, 0, text);
  view.setUint32(8, fd, true);
  return bpf(command, bytes);
}

/** Something of bpf(2) with a descriptor; it lives as long as anybody holds or has pinned it. */
class BpfObject {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** What the kernel tells of it, in a struct of its kind. */
  protected information(length: number): DataView {
    const { bytes, view } = attributes();
    const info = new Uint8Array(length);
    view.setUint32(0, this.fd, true);
    view.setUint32(4, length, true);
    setAddress(view, 8, info);
    check("BPF_OBJ_GET_INFO_BY_FD", bpf(OBJ_GET_INFO_BY_FD, bytes.subarray(0, 16)));
    return new DataView(info.buffer);
  }

  close(): void {
    plain.close(this.fd);
  }
}

/** Descriptor of what is pinned under a path, or -errno. */
export function getPinned(path: string): number {
  return withPath(OBJ_GET, path, 0);
}

/** Pins what `fd` is. Throws an OsError. */
export function pinObject(fd: number, path: string): void {
  check("BPF_OBJ_PIN", withPath(OBJ_PIN, path, fd));
}

export class BpfMap extends BpfObject {
  readonly spec: BpfMapSpec;
  private readonly attr = attributes();
  /** Of a command on one element. */
  private readonly elementBytes = this.attr.bytes.subarray(0, 32);
  private readonly batchAttr = attributes();
  private readonly batchBytes = this.batchAttr.bytes.subarray(0, 56);

  constructor(fd: number, spec: BpfMapSpec) {
    super(fd);
    this.spec = spec;
    this.attr.view.setUint32(0, fd, true);
  }

  private element(command: number, key: Uint8Array, value: Uint8Array | undefined): number {
    const { view } = this.attr;
    setAddress(view, 8, key);
    if (value !== undefined) setAddress(view, 16, value);
    else {
      // What a command does not use must be 0.
      view.setUint32(16, 0, true);
      view.setUint32(20, 0, true);
    }
    return bpf(command, this.elementBytes);
  }

  /** Adds or replaces. False when the map is full; throws an OsError for anything else. */
  update(key: Uint8Array, value: Uint8Array): boolean {
    const result = this.element(MAP_UPDATE_ELEM, key, value);
    if (result === -7 /* E2BIG */ || result === -12 /* ENOMEM */) return false;
    check("BPF_MAP_UPDATE_ELEM", result);
    return true;
  }

  /** False when there is no such key. */
  delete(key: Uint8Array): boolean {
    const result = this.element(MAP_DELETE_ELEM, key, undefined);
    if (result === -ENOENT) return false;
    check("BPF_MAP_DELETE_ELEM", result);
    return true;
  }

  /** Fills in `value`; false when there is no such key. */
  lookup(key: Uint8Array, value: Uint8Array): boolean {
    const result = this.element(MAP_LOOKUP_ELEM, key, value);
    if (result === -ENOENT) return false;
    check("BPF_MAP_LOOKUP_ELEM", result);
    return true;
  }

  /** Adds or replaces `count` elements, keys and values one after the other. Returns how many; fewer when it is full. */
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): number {
    if (count === 0) return 0;
    const { view } = this.batchAttr;
    setAddress(view, 16, keys);
    setAddress(view, 24, values);
    view.setUint32(32, count, true);
    view.setUint32(36, this.fd, true);
    const result = bpf(MAP_UPDATE_BATCH, this.batchBytes);
    if (result < 0 && result !== -7 && result !== -12) check("BPF_MAP_UPDATE_BATCH", result);
    return view.getUint32(32, true);
  }

  /** Deletes those of `count` keys that are there. */
  deleteBatch(keys: Uint8Array, count: number): void {
    const { view } = this.batchAttr;
    view.setUint32(24, 0, true);
    view.setUint32(28, 0, true);
    view.setUint32(36, this.fd, true);
    for (let at = 0; at < count; ) {
      setAddress(view, 16, keys, at * this.spec.keyBytes);
      view.setUint32(32, count - at, true);
      const result = bpf(MAP_DELETE_BATCH, this.batchBytes);
      if (result < 0 && result !== -ENOENT) check("BPF_MAP_DELETE_BATCH", result);
      at += view.getUint32(32, true);
      // The kernel stops at a key that is not there.
      if (result < 0) at++;
    }
  }

  /** All elements of a hash map. */
  all(): [key: Uint8Array, value: Uint8Array][] {
    const { keyBytes, valueBytes, entries } = this.spec;
    const keys = new Uint8Array(entries * keyBytes);
    const values = new Uint8Array(entries * valueBytes);
    const count = this.lookupBatch(keys, values, entries);
    return Array.from({ length: count }, (_, i) => [
      keys.subarray(i * keyBytes, (i + 1) * keyBytes),
      values.subarray(i * valueBytes, (i + 1) * valueBytes),
    ]);
  }

  /** Reads at most `count` elements of a hash map from its start; returns how many. */
  private lookupBatch(keys: Uint8Array, values: Uint8Array, count: number): number {
    const { bytes, view } = attributes();
    const out = new Uint8Array(Math.max(8, this.spec.keyBytes));
    setAddress(view, 8, out);
    setAddress(view, 16, keys);
    setAddress(view, 24, values);
    view.setUint32(32, count, true);
    view.setUint32(36, this.fd, true);
    const result = bpf(MAP_LOOKUP_BATCH, bytes.subarray(0, 56));
    if (result < 0 && result !== -ENOENT) check("BPF_MAP_LOOKUP_BATCH", result);
    return view.getUint32(32, true);
  }

  /** The value of an array map made with BPF_F_MMAPABLE, as memory that the programs see too. For the process's life. */
  memory(): ArrayBuffer {
    const page = 4096;
    const bytes = Math.ceil((this.spec.valueBytes * this.spec.entries) / page) * page;
    return mapShared(this.fd, bytes, true, 0).memory;
  }
}

/** Maps `bytes` of a descriptor that is shared with the kernel. Throws an OsError. */
export function mapShared(
  fd: number,
  bytes: number,
  writable: boolean,
  offset: number,
): { address: number; memory: ArrayBuffer } {
  const address = plain.mmap(null, bytes, writable ? 3 : 1, 1, fd, offset) as unknown as number;
  if (address === -1 || address === 0 || address > 2 ** 53) throw osError("mmap", errno());
  return { address, memory: memoryAt(address, bytes) };
}

/** A program that did not load: the verifier's log is in the message, whole. */
export class BpfLoadError extends Error {
  readonly errno: number;
  readonly log: string;

  constructor(name: string, number: number, log: string) {
    super(`bpf(BPF_PROG_LOAD) of ${name}: errno ${number}${log === "" ? "" : `\n${log}`}`);
    this.errno = number;
    this.log = log;
  }
}

export class BpfProgram extends BpfObject {
  info(): BpfProgramInfo {
    const words = this.information(224);
    return {
      id: words.getUint32(4, true),
      jitedBytes: words.getUint32(16, true),
      verifiedInstructions: words.getUint32(216, true),
    };
  }

  /** Runs it `repeat` times on a packet: what it returned last, the mean in nanoseconds, the packet afterwards. */
  testRun(packet: Uint8Array, repeat: number, ifindex = 1): { result: number; ns: number; out: Uint8Array } {
    const { bytes, view } = attributes();
    const out = new Uint8Array(packet.length + 256);
    const context = new Uint8Array(192);
    new DataView(context.buffer).setUint32(36, ifindex, true);
    new DataView(context.buffer).setUint32(40, ifindex, true);
    view.setUint32(0, this.fd, true);
    view.setUint32(8, packet.length, true);
    view.setUint32(12, out.length, true);
    setAddress(view, 16, packet);
    setAddress(view, 24, out);
    view.setUint32(32, repeat, true);
    view.setUint32(40, context.length, true);
    setAddress(view, 48, context);
    check("BPF_PROG_TEST_RUN", bpf(PROG_TEST_RUN, bytes.subarray(0, 80)));
    return {
      result: view.getUint32(4, true),
      ns: view.getUint32(36, true),
      out: out.subarray(0, view.getUint32(12, true)),
    };
  }
}

/** A program at a device's TCX hook (Linux 6.6 or later). It goes with the last descriptor, or with the device. */
export class BpfLink extends BpfObject {
  /** Of the device that it is at; 0 when that has gone. */
  get ifindex(): number {
    // struct bpf_link_info: type, id, program, then for TCX ifindex and attach type.
    return this.information(32).getUint32(16, true);
  }

  /** Puts another program in place; no packet passes in between. */
  update(program: BpfProgram): void {
    const { bytes, view } = attributes();
    view.setUint32(0, this.fd, true);
    view.setUint32(4, program.fd, true);
    check("BPF_LINK_UPDATE", bpf(LINK_UPDATE, bytes.subarray(0, 16)));
  }
}

export function createMap(spec: BpfMapSpec): BpfMap {
  const { bytes, view } = attributes();
  view.setUint32(0, spec.type, true);
  view.setUint32(4, spec.keyBytes, true);
  view.setUint32(8, spec.valueBytes, true);
  view.setUint32(12, spec.entries, true);
  view.setUint32(16, spec.flags, true);
  setName(bytes, 28, spec.name);
  return new BpfMap(check("BPF_MAP_CREATE", bpf(MAP_CREATE, bytes.subarray(0, 72))), spec);
}

/** Loads a TC program; throws a {@link BpfLoadError}. */
export function loadProgram(name: string, instructions: Uint8Array): BpfProgram {
  const license = new TextEncoder().encode("GPL\0");
  const load = (log: Uint8Array | undefined): number => {
    const { bytes, view } = attributes();
    view.setUint32(0, PROG_TYPE_SCHED_CLS, true);
    view.setUint32(4, instructions.length / 8, true);
    setAddress(view, 8, instructions);
    setAddress(view, 16, license);
    if (log !== undefined) {
      view.setUint32(24, 1, true);
      view.setUint32(28, log.length, true);
      setAddress(view, 32, log);
    }
    setName(bytes, 48, name);
    return bpf(PROG_LOAD, bytes.subarray(0, 72));
  };
  const result = load(undefined);
  if (result >= 0) return new BpfProgram(result);
  // Once more, to be told why.
  for (let size = LOG_BYTES; size <= LOG_BYTES_MAX; size *= 4) {
    const log = new Uint8Array(size);
    const again = load(log);
    if (again >= 0) return new BpfProgram(again);
    if (again === -ENOSPC) continue;
    const end = log.indexOf(0);
    throw new BpfLoadError(name, -again, new TextDecoder().decode(log.subarray(0, end < 0 ? size : end)));
  }
  throw new BpfLoadError(name, -result, "");
}

/** Attaches a program where packets come in from a device, or leave by it. Throws an OsError. */
export function attach(program: BpfProgram, ifindex: number, egress: boolean): BpfLink {
  const { bytes, view } = attributes();
  view.setUint32(0, program.fd, true);
  view.setUint32(4, ifindex, true);
  view.setUint32(8, egress ? TCX_EGRESS : TCX_INGRESS, true);
  return new BpfLink(check("BPF_LINK_CREATE", bpf(LINK_CREATE, bytes.subarray(0, 64))));
}

/** Whether programs are attached where a device sends; false, too, where the kernel does not tell. */
export function hasEgressPrograms(ifindex: number): boolean {
  const { bytes, view } = attributes();
  view.setUint32(0, ifindex, true);
  view.setUint32(4, TCX_EGRESS, true);
  return bpf(PROG_QUERY, bytes.subarray(0, 64)) >= 0 && view.getUint32(24, true) > 0;
}
