/**
 * bpf(2) without a kernel: maps are Maps, programs run in the interpreter, and the helpers do to a packet what the kernel's
 * do. Devices are numbers with a list of what was sent to them.
 */
import * as helpers from "../../../src/datapath/ebpf/asm/helpers.ts";
import * as skb from "../../../src/datapath/ebpf/asm/skb.ts";
import { swap16 } from "../../../src/datapath/ebpf/programs/layout.ts";
import {
  type EbpfLink,
  type EbpfMap,
  type EbpfProgram,
  type EbpfSystem,
  MAP_ARRAY,
  type PinFolder,
} from "../../../src/datapath/ebpf/system.ts";
import type { RecordRing } from "../../../src/datapath/ebpf/upcall-port.ts";
import type { Sending } from "../../../src/netdev/far-end.ts";
import type { BpfMapSpec } from "../../../src/sys/bpf.ts";
import { checkReachable, type Environment, interpret, Memory } from "./interpreter.ts";

export interface Skb {
  bytes: number[];
  ifindex: number;
  /** TPID << 16 | TCI beside the frame. */
  tag: number | undefined;
  /** Index of the transport checksum, when it is still to be finished. */
  partial?: number | undefined;
  gsoSize: number;
  mark: number;
  priority: number;
  type: number;
}

export function makeSkb(bytes: number[], ifindex: number, tag?: number): Skb {
  return { bytes: [...bytes], ifindex, tag, gsoSize: 0, mark: 0, priority: 0, type: 3 };
}

/** The frame with its tag in it. */
export function wire({ bytes, tag }: Skb): number[] {
  if (tag === undefined) return [...bytes];
  const at = [tag >>> 24, (tag >>> 16) & 0xff, (tag >>> 8) & 0xff, tag & 0xff];
  return [...bytes.slice(0, 12), ...at, ...bytes.slice(12)];
}

class FakeMap implements EbpfMap {
  readonly fd: number;
  readonly spec: BpfMapSpec;
  readonly entries = new Map<string, Uint8Array>();
  readonly bytes: Uint8Array;

  constructor(fd: number, spec: BpfMapSpec) {
    this.fd = fd;
    this.spec = spec;
    this.bytes = new Uint8Array(spec.type === MAP_ARRAY ? spec.valueBytes * spec.entries : 0);
  }

  update(key: Uint8Array, value: Uint8Array): boolean {
    const { keyBytes, valueBytes, entries } = this.spec;
    if (key.length !== keyBytes || value.length !== valueBytes) throw new Error(`${this.spec.name}: sizes`);
    if (!this.entries.has(key.join()) && this.entries.size >= entries) return false;
    this.entries.set(key.join(), value.slice());
    return true;
  }

  delete(key: Uint8Array): boolean {
    return this.entries.delete(key.join());
  }

  lookup(key: Uint8Array, value: Uint8Array): boolean {
    const found = this.entries.get(key.join());
    if (found !== undefined) value.set(found);
    return found !== undefined;
  }

  all(): [Uint8Array, Uint8Array][] {
    return [...this.entries].map(([key, value]) => [Uint8Array.from(key.split(","), Number), value]);
  }

  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): number {
    const { keyBytes, valueBytes } = this.spec;
    for (let i = 0; i < count; i++) {
      const key = keys.subarray(i * keyBytes, (i + 1) * keyBytes);
      if (!this.update(key, values.subarray(i * valueBytes, (i + 1) * valueBytes))) return i;
    }
    return count;
  }

  deleteBatch(keys: Uint8Array, count: number): void {
    const { keyBytes } = this.spec;
    for (let i = 0; i < count; i++) this.delete(keys.subarray(i * keyBytes, (i + 1) * keyBytes));
  }

  memory(): ArrayBuffer {
    return this.bytes.buffer as ArrayBuffer;
  }

  close(): void {}
}

const RING_BYTES = 1 << 20;

/** Records one after the other, from the start again when all have been read. */
class FakeRecords implements RecordRing {
  readonly data = new Uint8Array(RING_BYTES);
  readonly words = new Int32Array(this.data.buffer);
  private readonly waiting: { at: number; end: number }[] = [];
  private end = 0;
  private readonly copy: (address: number, bytes: Uint8Array) => void;

  constructor(copy: (address: number, bytes: Uint8Array) => void) {
    this.copy = copy;
  }

  push(record: Uint8Array): void {
    if (this.waiting.length === 0) this.end = 0;
    const end = this.end + ((record.length + 7) & ~7);
    if (end > RING_BYTES) throw new Error("the test's ring is too small");
    this.data.set(record, this.end);
    this.waiting.push({ at: this.end, end });
    this.end = end;
  }

  get room(): boolean {
    return this.waiting.length === 0 || this.end + 70_000 < RING_BYTES;
  }

  peek(): number {
    return this.waiting[0]?.at ?? -1;
  }

  pass(): void {
    this.waiting.shift();
  }

  release(): void {}

  copyTo(address: number, at: number, length: number): void {
    this.copy(address, this.data.subarray(at, at + length));
  }
}

interface Sent {
  ifindex: number;
  ingress: boolean;
  /** To the device's far end at once. */
  shortcut?: boolean;
  skb: Skb;
}

export class FakeBpf implements EbpfSystem {
  readonly processors = 2;
  readonly records: FakeRecords;
  readonly sent: Sent[] = [];
  /** 32 bits. */
  random: () => number = () => 12345;
  /** Called when a packet is about to go on to another program. */
  tailCall: () => void = () => {};
  /** CLOCK_MONOTONIC as programs see it. */
  nowNs = 1_000_000_000n;
  /** By ifindex: what runs at its hook. */
  readonly attached = new Map<number, EbpfProgram>();
  readonly devices = new Map<string, number>();
  readonly promiscuous = new Set<number>();
  /** Those of which nothing is said just pass on nothing. */
  readonly sending = new Map<number, Sending>();
  readonly listened = new Set<number>();
  /** Tells that a device may send otherwise. */
  sendingChanged: ((ifindex: number | undefined) => void) | undefined;
  /** Descriptors by their names in the bpf file system; undefined: there is none. */
  pinned: Map<string, number> | undefined = undefined;
  private readonly links = new Map<number, EbpfLink>();
  private readonly maps = new Map<number, FakeMap>();
  private readonly programs = new Map<number, Uint8Array>();
  private fds = 100;

  constructor(copy: (address: number, bytes: Uint8Array) => void) {
    this.records = new FakeRecords(copy);
  }

  createMap(spec: BpfMapSpec): EbpfMap {
    const map = new FakeMap(this.fds++, spec);
    this.maps.set(map.fd, map);
    return map;
  }

  loadProgram(_name: string, instructions: Uint8Array): EbpfProgram {
    checkReachable(instructions);
    const fd = this.fds++;
    this.programs.set(fd, instructions);
    return {
      fd,
      info: () => ({ id: fd, jitedBytes: 0, verifiedInstructions: 0 }),
      // Links and arrays hold it, too.
      close: () => {},
    };
  }

  attach(program: EbpfProgram, ifindex: number): EbpfLink {
    if (![...this.devices.values()].includes(ifindex))
      throw Object.assign(new Error("no such device"), { errno: 19 });
    this.attached.set(ifindex, program);
    const fd = this.fds++;
    const link = {
      fd,
      ifindex,
      update: (next: EbpfProgram) => void this.attached.set(ifindex, next),
      close: () => this.closeLink(fd),
    };
    this.links.set(fd, link);
    return link;
  }

  private closeLink(fd: number): void {
    const link = this.links.get(fd);
    if (link !== undefined && ![...(this.pinned?.values() ?? [])].includes(fd))
      this.attached.delete(link.ifindex);
  }

  pins(): PinFolder | string {
    const { pinned } = this;
    if (pinned === undefined) return "this test has none";
    return {
      path: "pins",
      close: () => {},
      list: () => [...new Set([...pinned.keys()].map((name) => name.replace(/\/.*/, "")))],
      pin: ({ fd }, name) => void pinned.set(name, fd),
      openMap: (name) => this.maps.get(pinned.get(name)!),
      openLink: (name) => this.links.get(pinned.get(name)!),
      remove: (name) => {
        for (const [each, fd] of [...pinned])
          if (name === "" || each === name || each.startsWith(`${name}/`)) {
            pinned.delete(each);
            this.closeLink(fd);
          }
      },
    };
  }

  setPromiscuous(ifindex: number, on: boolean): void {
    if (on) this.promiscuous.add(ifindex);
    else this.promiscuous.delete(ifindex);
  }

  ifindexOf(name: string): number {
    return this.devices.get(name) ?? 0;
  }

  sendingOf(ifindex: number): Sending {
    return this.sending.get(ifindex) ?? { mtu: 1500, farEnd: undefined };
  }

  watchSending(changed: (ifindex: number | undefined) => void): () => void {
    this.sendingChanged = changed;
    return () => {
      this.sendingChanged = undefined;
    };
  }

  listenedTo(): ReadonlySet<number> {
    return new Set(this.listened);
  }

  nowMs(): number {
    return 1000;
  }

  /** A packet at the hook of its device; what the program returned. */
  run(packet: Skb): number {
    const program = this.attached.get(packet.ifindex);
    if (program === undefined) return skb.TC_ACT_OK;
    return new Run(this, packet, this.maps, this.programs).run(this.programs.get(program.fd)!);
  }
}

/** One packet's way through programs. */
class Run implements Environment {
  readonly memory = new Memory();
  private readonly fake: FakeBpf;
  private readonly packet: Skb;
  private readonly maps: Map<number, FakeMap>;
  private readonly programs: Map<number, Uint8Array>;
  /** The frame as memory, while nothing has changed its length. */
  private frame: Uint8Array | undefined;
  private frameAddress = 0n;
  private readonly values = new Map<Uint8Array, bigint>();
  private redirected: Sent | undefined;
  private reserved: { bytes: Uint8Array; address: bigint } | undefined;

  constructor(fake: FakeBpf, packet: Skb, maps: Map<number, FakeMap>, programs: Map<number, Uint8Array>) {
    this.fake = fake;
    this.packet = packet;
    this.maps = maps;
    this.programs = programs;
  }

  run(program: Uint8Array): number {
    const result = interpret(program, this);
    this.sync();
    if (result === 7) {
      if (this.redirected === undefined) throw new Error("redirected nowhere");
      this.fake.sent.push(this.redirected);
    }
    return result;
  }

  /** What programs wrote directly becomes the packet's. */
  private sync(): void {
    if (this.frame !== undefined) this.packet.bytes = [...this.frame];
  }

  /** After a helper that may move the frame, old addresses are none any more. */
  private moved(): void {
    this.frame = undefined;
  }

  private data(): bigint {
    if (this.frame === undefined) {
      this.frame = Uint8Array.from(this.packet.bytes);
      this.frameAddress = this.memory.add(this.frame);
    }
    return this.frameAddress;
  }

  mapAddress(fd: number, value: boolean, offset: number): bigint {
    return value ? this.addressOf(this.maps.get(fd)!.bytes) + BigInt(offset) : BigInt(fd);
  }

  private addressOf(bytes: Uint8Array): bigint {
    let address = this.values.get(bytes);
    if (address === undefined) {
      address = this.memory.add(bytes);
      this.values.set(bytes, address);
    }
    return address;
  }

  loadContext(offset: number): bigint {
    const { packet } = this;
    switch (offset) {
      case skb.SKB_LEN:
        return BigInt(packet.bytes.length);
      case skb.SKB_IFINDEX:
        return BigInt(packet.ifindex);
      case skb.SKB_VLAN_PRESENT:
        return packet.tag === undefined ? 0n : 1n;
      case skb.SKB_VLAN_TCI:
        return BigInt((packet.tag ?? 0) & 0xffff);
      case skb.SKB_VLAN_PROTO:
        return BigInt(swap16((packet.tag ?? 0) >>> 16));
      case skb.SKB_DATA:
        return this.data();
      case skb.SKB_DATA_END:
        return this.data() + BigInt(packet.bytes.length);
      case skb.SKB_GSO_SIZE:
        return BigInt(packet.gsoSize);
      case skb.SKB_GSO_SEGS:
        return packet.gsoSize === 0 ? 0n : 2n;
      default:
        throw new Error(`context ${offset}`);
    }
  }

  storeContext(offset: number, value: number): void {
    if (offset === skb.SKB_MARK) this.packet.mark = value;
    else if (offset === skb.SKB_PRIORITY) this.packet.priority = value;
    else throw new Error(`write to context ${offset}`);
  }

  call(helper: number, [a, b, c, d, e]: bigint[]): bigint | Uint8Array {
    const { packet, memory } = this;
    this.sync();
    switch (helper) {
      case helpers.MAP_LOOKUP_ELEM: {
        const map = this.maps.get(Number(a))!;
        const found = map.entries.get(memory.at(b!, map.spec.keyBytes).join());
        return found === undefined ? 0n : this.addressOf(found);
      }
      case helpers.GET_SMP_PROCESSOR_ID:
        return 1n;
      case helpers.KTIME_GET_COARSE_NS:
        return 1_000_000_000n;
      case helpers.GET_PRANDOM_U32:
        return BigInt(this.fake.random());
      case helpers.KTIME_GET_NS:
        return this.fake.nowNs;
      case helpers.TAIL_CALL: {
        this.fake.tailCall();
        const slot = new Uint8Array(Uint32Array.of(Number(c)).buffer);
        const fd = this.maps.get(Number(b))!.entries.get(slot.join());
        if (fd === undefined) return -1n;
        return this.programs.get(new DataView(fd.buffer, fd.byteOffset).getUint32(0, true))!;
      }
      case helpers.REDIRECT:
        this.redirected = { ifindex: Number(a), ingress: b === 1n, skb: packet };
        return 7n;
      case helpers.REDIRECT_PEER:
        if (b !== 0n) throw new Error("flags of redirect_peer");
        this.redirected = { ifindex: Number(a), ingress: false, shortcut: true, skb: packet };
        return 7n;
      case helpers.CLONE_REDIRECT:
        this.fake.sent.push({
          ifindex: Number(b),
          ingress: c === 1n,
          skb: { ...packet, bytes: [...packet.bytes] },
        });
        this.moved();
        return 0n;
      case helpers.SKB_CHANGE_TAIL: {
        const least = packet.partial === undefined ? 14 : packet.partial + 2;
        if (Number(b) < least) return -22n;
        packet.bytes.length = Number(b);
        packet.gsoSize = 0;
        this.moved();
        return 0n;
      }
      case helpers.SKB_PULL_DATA:
        this.moved();
        return 0n;
      case helpers.SKB_CHANGE_TYPE:
        packet.type = Number(b);
        return 0n;
      case helpers.SKB_CHANGE_HEAD:
        packet.bytes.unshift(...new Array<number>(Number(b)).fill(0));
        if (packet.partial !== undefined) packet.partial += Number(b);
        this.moved();
        return 0n;
      case helpers.SKB_VLAN_PUSH:
        if (packet.tag !== undefined) {
          packet.bytes = wire(packet);
          if (packet.partial !== undefined) packet.partial += 4;
        }
        packet.tag = ((swap16(Number(b! & 0xffffn)) << 16) | Number(c! & 0xffffn)) >>> 0;
        this.moved();
        return 0n;
      case helpers.SKB_VLAN_POP:
        // The tag beside the frame, or the one in it; and the next becomes the one beside it.
        if (packet.tag === undefined) stripTag(packet);
        packet.tag = undefined;
        stripTag(packet);
        this.moved();
        return 0n;
      case helpers.SKB_STORE_BYTES: {
        const bytes = memory.at(c!, Number(d));
        packet.bytes.splice(Number(b), bytes.length, ...bytes);
        this.moved();
        return 0n;
      }
      case helpers.SKB_LOAD_BYTES:
        if (Number(b! + d!) > packet.bytes.length || d === 0n) return -14n;
        memory.at(c!, Number(d)).set(packet.bytes.slice(Number(b), Number(b! + d!)));
        return 0n;
      case helpers.L3_CSUM_REPLACE:
        this.replace(Number(b), c!, d!, Number(e));
        return 0n;
      case helpers.L4_CSUM_REPLACE:
        this.replaceTransport(Number(b), c!, d!, Number(e));
        return 0n;
      case helpers.RINGBUF_RESERVE: {
        if (!this.fake.records.room) return 0n;
        const bytes = new Uint8Array(Number(b)).fill(0xa5);
        this.reserved = { bytes, address: memory.add(bytes) };
        return this.reserved.address;
      }
      case helpers.RINGBUF_SUBMIT:
        this.fake.records.push(this.reserved!.bytes);
        return 0n;
      case helpers.RINGBUF_DISCARD:
        return 0n;
      default:
        throw new Error(`helper ${helper}`);
    }
  }

  /** RFC 1624 over words as they lie in memory. */
  private replace(at: number, before: bigint, after: bigint, size: number): void {
    const { bytes } = this.packet;
    bytes.splice(at, 2, ...mended([bytes[at]!, bytes[at + 1]!], before, after, size));
    this.moved();
  }

  private replaceTransport(at: number, before: bigint, after: bigint, flags: number): void {
    const { packet } = this;
    const { bytes } = packet;
    const pseudo = (flags & 0x10) !== 0;
    const zero = bytes[at] === 0 && bytes[at + 1] === 0;
    this.moved();
    if ((flags & 0x20) !== 0 && zero) return;
    if (packet.partial !== undefined) {
      if (!pseudo) return;
      // The field holds the sum itself, not its complement.
      const field = mended([~bytes[at]! & 0xff, ~bytes[at + 1]! & 0xff], before, after, flags & 15);
      bytes.splice(at, 2, ~field[0]! & 0xff, ~field[1]! & 0xff);
      return;
    }
    const field = mended([bytes[at]!, bytes[at + 1]!], before, after, flags & 15);
    if ((flags & 0x20) !== 0 && field[0] === 0 && field[1] === 0) field.fill(0xff);
    bytes.splice(at, 2, ...field);
  }
}

function stripTag(packet: Skb): void {
  const tpid = (packet.bytes[12]! << 8) | packet.bytes[13]!;
  if (tpid !== 0x8100 && tpid !== 0x88a8) return;
  packet.tag = ((tpid << 16) | (packet.bytes[14]! << 8) | packet.bytes[15]!) >>> 0;
  packet.bytes.splice(12, 4);
  if (packet.partial !== undefined) packet.partial -= 4;
}

/** As the kernel does with a tag on its way in. */
export function strippedSkb(bytes: number[], ifindex: number): Skb {
  const packet = makeSkb(bytes, ifindex);
  if (bytes.length >= 18) stripTag(packet);
  return packet;
}

function mended(field: number[], before: bigint, after: bigint, size: number): number[] {
  const words = (value: bigint): number[] => {
    const bytes: number[] = [];
    for (let i = 0; i < size; i++) bytes.push(Number((value >> BigInt(8 * i)) & 0xffn));
    return bytes;
  };
  const [old, fresh] = [words(before), words(after)];
  let sum = (~((field[0]! << 8) | field[1]!) & 0xffff) >>> 0;
  for (let i = 0; i < size; i += 2) {
    sum += ~((old[i]! << 8) | old[i + 1]!) & 0xffff;
    sum += (fresh[i]! << 8) | fresh[i + 1]!;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return [(~sum >>> 8) & 0xff, ~sum & 0xff];
}
