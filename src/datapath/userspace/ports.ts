/**
 * The worker's ports: packet rings for `system` devices, tap descriptors for `internal` and `tap` ones. Hot path.
 * No error of a device is thrown or ends the loop: frames are counted as dropped, and a device that is gone stays silent
 * until main takes the port away.
 */
import { GSO_NONE, makePacket, type Packet, VNET_HEADER_LENGTH, VNET_NEEDS_CSUM } from "../packet.ts";
import { queueClass } from "../queue-class.ts";
import { JOIN_ADDED, JOIN_OTHER, JOINED_HEADER_ROOM, TcpJoin } from "./coalesce.ts";
import type { Datapath } from "./datapath.ts";
import { finishChecksum, segment } from "./gso.ts";
import type { Policer } from "./policer.ts";
import type { Scratch } from "./scratch.ts";
import {
  DROP_BAD_GSO,
  DROP_NO_ROOM,
  DROP_OVER_MTU,
  DROP_POLICED,
  DROP_PORT_DOWN,
  DROP_TX_ERROR,
  DROP_TX_QUEUE_FULL,
  N_DROPS,
} from "./shared.ts";
import {
  type DatapathSystem,
  EAGAIN,
  EBADFD,
  EINTR,
  EINVAL,
  EIO,
  EMSGSIZE,
  ENETDOWN,
  ENOBUFS,
  ENODEV,
  ENXIO,
  type PortRing,
} from "./system.ts";
import { pushVlan } from "./vlan.ts";
import { loadVnet, storeVnet } from "./vnet.ts";

/** Longest frame that stands for many segments, and its headers. */
const LARGEST_FRAME = 65535 + 64;
const TX_BATCH = 64;
/** Connections whose segments are joined at a time; and the shortest frame worth it. */
const JOINS = 4;
/** Frames queued at a time, joined ones counted singly. */
const FRAMES = 128;
const JOIN_LENGTH = 256;

/** What ports share. */
export interface PortHost {
  readonly system: DatapathSystem;
  readonly scratch: Scratch;
  readonly counters: Float64Array;
  /** Remembers to flush the port at the end of the batch. */
  queuedOn(port: RingPort): void;
  /** To be called before each packet that is handed to the datapath. */
  startPacket(): void;
  /** Takes a descriptor off epoll's list. */
  unwatch(fd: number): void;
}

function dropReason(errno: number): number {
  switch (errno) {
    case EAGAIN:
    case ENOBUFS:
      return DROP_TX_QUEUE_FULL;
    case EMSGSIZE:
      return DROP_OVER_MTU;
    case EIO:
    case ENXIO:
    case ENODEV:
    case ENETDOWN:
      return DROP_PORT_DOWN;
    default:
      return DROP_TX_ERROR;
  }
}

/**
 * Sends a frame that the kernel refused once more without offloads: checksums and segments made here.
 * @returns false when there is nothing to be finished.
 */
function sendFinished(packet: Packet, host: PortHost, send: (packet: Packet) => void): boolean {
  if (packet.gsoType !== GSO_NONE) {
    if (segment(packet, host.scratch, send) === 0) host.counters[N_DROPS + DROP_BAD_GSO]!++;
    return true;
  }
  if ((packet.vnetFlags & VNET_NEEDS_CSUM) === 0) return false;
  finishChecksum(packet);
  send(packet);
  return true;
}

export class RingPort {
  readonly odpPort: number;
  readonly ring: PortRing;
  /** Descriptor to watch. */
  readonly fd: number;
  /** Whether the host has it on its list of ports to flush. */
  listed = false;
  private readonly host: PortHost;
  private readonly packet = makePacket(new Uint8Array(0));
  // Where queued frames lie, for those that the kernel refuses; and the message that each is (part of).
  private readonly datas: Uint8Array[] = [];
  private readonly addresses = new Float64Array(FRAMES);
  private readonly offsets = new Int32Array(FRAMES);
  private readonly lengths = new Int32Array(FRAMES);
  private readonly messageOf = new Int32Array(FRAMES);
  private frames = 0;
  private readonly refused = new Uint8Array(TX_BATCH);
  // Lists of TCP segments under way.
  private readonly joins: TcpJoin[] = [];
  private activeJoins = 0;
  private nextJoin = 0;
  private mayJoin = true;
  private readonly headers = new Uint8Array(TX_BATCH * JOINED_HEADER_ROOM);
  private readonly headersAddress: number;
  /** Queued frames leave by this queue of a shaped device. */
  private priority = 0;
  private shaped = false;
  policer: Policer | undefined = undefined;
  private readonly sendAgain = (packet: Packet): void => {
    packet.priority = this.priority;
    this.output(packet);
  };

  constructor(odpPort: number, ring: PortRing, host: PortHost) {
    this.odpPort = odpPort;
    this.ring = ring;
    this.fd = ring.fd;
    this.host = host;
    for (let i = 0; i < FRAMES; i++) this.datas.push(ring.data);
    for (let i = 0; i < JOINS; i++) this.joins.push(new TcpJoin());
    this.headersAddress = host.system.addressOf(this.headers);
  }

  get ready(): boolean {
    return this.ring.ready;
  }

  /** Hands at most `budget` frames to the datapath; returns how many. The slots go back with {@link release}. */
  receive(datapath: Datapath, budget: number): number {
    const ring = this.ring;
    const packet = this.packet;
    let count = 0;
    while (count < budget && ring.next()) {
      count++;
      this.host.startPacket();
      if (ring.frame < 0) {
        this.receiveLarge(datapath);
        continue;
      }
      packet.data = ring.data;
      packet.address = ring.address;
      packet.offset = ring.frame;
      packet.floor = ring.frame - ring.headroom;
      packet.length = ring.frameLength;
      loadVnet(packet);
      packet.priority = 0;
      if (ring.frameTag !== 0) this.restoreTag(packet, ring.frameTag);
      this.receivePacket(packet, datapath);
    }
    if (ring.cut > 0) {
      this.host.counters[N_DROPS + DROP_NO_ROOM]! += ring.cut;
      ring.cut = 0;
    }
    return count;
  }

  private receivePacket(packet: Packet, datapath: Datapath): void {
    if (this.policer !== undefined && !this.policer.passes(packet, datapath.nowMs))
      this.host.counters[N_DROPS + DROP_POLICED]!++;
    else if (this.ring.frameAction) datapath.handUp(packet, this.odpPort, this.ring.frameOperand);
    else datapath.receive(packet, this.odpPort);
  }

  private receiveLarge(datapath: Datapath): void {
    const { ring, host } = this;
    const length = Math.min(Math.max(ring.frameLength, 1), LARGEST_FRAME);
    const packet = host.scratch.take(length);
    if (packet === undefined) {
      // It must not be taken for the next one.
      ring.discardLarge();
      host.counters[N_DROPS + DROP_NO_ROOM]!++;
      return;
    }
    const start = packet.address + packet.offset - VNET_HEADER_LENGTH;
    const got = ring.receiveLarge(start, length + VNET_HEADER_LENGTH) - VNET_HEADER_LENGTH;
    if (got === ring.frameLength) {
      loadVnet(packet);
      if (ring.frameTag !== 0) this.restoreTag(packet, ring.frameTag);
      this.receivePacket(packet, datapath);
    } else host.counters[N_DROPS + DROP_NO_ROOM]!++;
    host.scratch.release(packet);
  }

  /** The tag that the kernel has taken off; DEI and all. */
  private restoreTag(packet: Packet, tag: number): void {
    if (packet.length < 14) return;
    pushVlan(packet, tag);
    packet.data[packet.offset + 14] = (tag >>> 8) & 0xff;
  }

  /** epoll has something: when it is no frame it is an error (the device went down or away), which would wake for ever. */
  woken(): void {
    if (!this.ring.ready) this.ring.takeError();
  }

  release(): void {
    this.ring.release();
  }

  /** Queues a frame; its bytes and virtio header stay where they are until {@link flush}. */
  output(packet: Packet): void {
    if (this.shaped && packet.priority !== this.priority) this.changeQueue(packet.priority);
    if (this.activeJoins > 0 && this.join(packet)) return;
    storeVnet(packet);
    const ring = this.ring;
    const message = ring.queued;
    this.remember(packet, message);
    if (!this.listed) this.host.queuedOn(this);
    const start = packet.address + packet.offset - VNET_HEADER_LENGTH;
    if (ring.queue(start, packet.length + VNET_HEADER_LENGTH) || this.frames === FRAMES) this.flush();
    else if (packet.length >= JOIN_LENGTH && this.mayJoin) this.startJoin(packet, message);
  }

  /** Frames go through the device's queueing, or straight to it. */
  setShaped(shaped: boolean): void {
    if (shaped === this.shaped) return;
    this.flush();
    this.shaped = shaped;
    this.priority = 0;
    this.ring.setBypass(!shaped);
    this.ring.setPriority(0);
  }

  /** Takes over how another socket of the device was set. */
  inherit({ policer, shaped }: RingPort): void {
    this.policer = policer;
    this.shaped = shaped;
    this.ring.setBypass(!shaped);
    this.ring.setPriority(0);
  }

  private changeQueue(queue: number): void {
    this.flush();
    this.priority = queue;
    this.ring.setPriority(queueClass(queue));
  }

  private remember(packet: Packet, message: number): void {
    const index = this.frames++;
    this.datas[index] = packet.data;
    this.addresses[index] = packet.address;
    this.offsets[index] = packet.offset;
    this.lengths[index] = packet.length;
    this.messageOf[index] = message;
  }

  private startJoin(packet: Packet, message: number): void {
    const join = this.joins[this.nextJoin]!;
    if (join.active) this.endJoin(join);
    if (!join.start(packet, message)) return;
    this.activeJoins++;
    this.nextJoin = (this.nextJoin + 1) % JOINS;
  }

  /** Adds a frame to a list that is under way; false when it must be queued by itself. */
  private join(packet: Packet): boolean {
    for (let i = 0; i < JOINS; i++) {
      const join = this.joins[i]!;
      if (!join.active) continue;
      const did = join.add(packet);
      if (did === JOIN_OTHER) continue;
      if (did === JOIN_ADDED) this.addToJoin(join, packet);
      if (!join.active) this.endJoin(join);
      if (this.frames === FRAMES) this.flush();
      return did === JOIN_ADDED;
    }
    return false;
  }

  private addToJoin(join: TcpJoin, packet: Packet): void {
    const { ring } = this;
    if (join.count === 2) {
      // The first frame becomes headers of the whole (written at the end) and its payload.
      const first = this.messageFirst(join.message);
      const payload = this.addresses[first]! + this.offsets[first]! + join.headerLength;
      const header = this.headersAddress + join.message * JOINED_HEADER_ROOM;
      ring.setPiece(join.message, 0, header, VNET_HEADER_LENGTH + join.headerLength);
      ring.addPiece(join.message, 1, payload, this.lengths[first]! - join.headerLength);
    }
    storeVnet(packet);
    const payload = packet.address + packet.offset + join.headerLength;
    ring.addPiece(join.message, join.count, payload, join.payloadLength);
    this.remember(packet, join.message);
  }

  private messageFirst(message: number): number {
    let frame = 0;
    while (this.messageOf[frame] !== message) frame++;
    return frame;
  }

  /** Closes a list: its headers are written when it is one. */
  private endJoin(join: TcpJoin): void {
    join.active = false;
    this.activeJoins--;
    if (join.count > 1) join.writeHeader(this.headers, join.message * JOINED_HEADER_ROOM);
  }

  flush(): void {
    const { ring, host } = this;
    const count = ring.queued;
    if (this.activeJoins > 0) for (const join of this.joins) if (join.active) this.endJoin(join);
    let anyRefused = false;
    for (let first = 0; first < count; ) {
      const sent = ring.send(first);
      if (sent > 0) first += sent;
      else if (sent === -EINTR) continue;
      else if (sent === -EINVAL || sent === -EMSGSIZE) {
        this.refused[first++] = 1;
        anyRefused = true;
      } else {
        // A full queue or a dead device will not take the rest either.
        host.counters[N_DROPS + dropReason(-sent)]! += count - first;
        break;
      }
    }
    ring.queued = 0;
    const frames = this.frames;
    this.frames = 0;
    if (anyRefused) this.retry(frames);
  }

  /** Sends what the kernel refused as plain frames: joined ones one by one, others finished in software. */
  private retry(frames: number): void {
    const packets: Packet[] = [];
    const joined = new Uint8Array(TX_BATCH);
    for (let i = 0; i < frames; i++) {
      const message = this.messageOf[i]!;
      if (this.refused[message] === 0) continue;
      const packet = makePacket(this.datas[i]!, this.offsets[i]!, this.lengths[i]!);
      packet.address = this.addresses[i]!;
      loadVnet(packet);
      packets.push(packet);
      joined[message]!++;
      packet.gsoHeaderLength |= message << 16;
    }
    this.refused.fill(0);
    for (const packet of packets) {
      const message = packet.gsoHeaderLength >>> 16;
      packet.gsoHeaderLength &= 0xffff;
      if (joined[message]! > 1) {
        this.mayJoin = false;
        this.sendAgain(packet);
      } else if (!sendFinished(packet, this.host, this.sendAgain)) {
        this.host.counters[N_DROPS + DROP_OVER_MTU]!++;
      }
    }
    if (this.ring.queued > 0) this.flush();
  }

  close(): void {
    this.ring.close();
  }
}

export class TapPort {
  readonly odpPort: number;
  readonly fd: number;
  /** The device was deleted under us. */
  private gone = false;
  private readonly host: PortHost;
  policer: Policer | undefined = undefined;
  /** Receives only: {@link DatapathSystem.openRecords}. */
  records: RingPort | undefined = undefined;
  private readonly sendAgain = (packet: Packet): void => this.output(packet);

  constructor(odpPort: number, fd: number, host: PortHost) {
    this.odpPort = odpPort;
    this.fd = fd;
    this.host = host;
  }

  receive(datapath: Datapath, budget: number): number {
    const { host, fd } = this;
    if (this.gone) return 0;
    for (let count = 0; count < budget; count++) {
      const packet = host.scratch.take(LARGEST_FRAME);
      if (packet === undefined) return count;
      const start = packet.address + packet.offset - VNET_HEADER_LENGTH;
      const got = host.system.readTap(fd, start, LARGEST_FRAME + VNET_HEADER_LENGTH);
      if (got <= VNET_HEADER_LENGTH) {
        if (got === -EBADFD && !this.gone) this.leave();
        host.scratch.release(packet);
        return count;
      }
      host.startPacket();
      packet.length = got - VNET_HEADER_LENGTH;
      loadVnet(packet);
      if (this.policer !== undefined && !this.policer.passes(packet, datapath.nowMs))
        host.counters[N_DROPS + DROP_POLICED]!++;
      else datapath.receive(packet, this.odpPort);
      host.scratch.release(packet);
    }
    return budget;
  }

  woken(): void {}

  private leave(): void {
    this.gone = true;
    this.host.unwatch(this.fd);
  }

  output(packet: Packet): void {
    const { host } = this;
    storeVnet(packet);
    const start = packet.address + packet.offset - VNET_HEADER_LENGTH;
    const error = host.system.writeTap(this.fd, start, packet.length + VNET_HEADER_LENGTH);
    if (error === 0) return;
    if (error === -EINVAL && sendFinished(packet, host, this.sendAgain)) return;
    host.counters[N_DROPS + dropReason(-error)]!++;
  }

  close(): void {
    this.host.system.closeFd(this.fd);
  }
}
