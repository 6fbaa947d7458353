/**
 * The ports of a datapath of lanes. Each lane sends to every port by a descriptor of its own; a device's receive queues are
 * spread over lanes: its packet sockets form a group to which the kernel gives frames by their flows (PACKET_FANOUT_HASH), so
 * that a flow's packets stay in order on one lane. A device of one queue is one lane's, and can be handed to another with its
 * ring, since threads share memory and descriptors: it goes on with the very next frame. A tap has one descriptor, which one
 * lane reads and all write.
 */
import { errnoName, osError } from "../../lib/errors.ts";
import type { Netdev } from "../../netdev/netdev.ts";
import type { DpPort, OdpPort, Policing } from "../dpif.ts";
import type { Lane, PortAnswer } from "./lane.ts";
import { chooseOdpPort } from "./port-numbers.ts";
import {
  PORT_RING,
  PORT_TAP,
  PORT_TAP_SHARED,
  REQ_CLOSE,
  REQ_PORT_ADD,
  REQ_PORT_DEL,
  REQ_PORT_GIVE,
  REQ_PORT_POLICING,
  REQ_PORT_SHAPED,
  REQ_PORT_TAKE,
  writeName,
} from "./requests.ts";
import { ENODEV, RING_ALONE, RING_DEAF, RING_NEW_GROUP } from "./system.ts";

export interface PortLanes {
  readonly lanes: readonly Lane[];
  /** Lanes that know all flows: the first so many. */
  readonly ready: number;
  /** A record for all lanes. */
  request(length: number): Lane;
  post(): void;
  settled(): Promise<void>;
  /** Sees to it that there are lanes for so many receive queues, as far as there may be. */
  grow(queues: number): Promise<void>;
  receiveQueues(device: string): number;
}

export interface WorkerPort extends DpPort {
  readonly tap: boolean;
  /** Numbers of the lanes that receive, by queue. */
  readers: number[];
  /** Value of its first lane's answer: a tap's descriptor, or the number of its sockets' group. */
  value: number;
  /** The first lane has answered. */
  open: boolean;
  shaped: boolean;
  policing: Policing | undefined;
  /** Resolves when all lanes have it, or it is gone again. */
  added: Promise<void>;
}

export class WorkerPorts {
  readonly table = new Map<OdpPort, WorkerPort>();
  private readonly host: PortLanes;
  /** Resolves when the lanes have let go of all ports that were taken away. */
  private released: Promise<void> = Promise.resolve();

  constructor(host: PortLanes) {
    this.host = host;
  }

  async add(netdev: Netdev, wanted: OdpPort | undefined): Promise<OdpPort> {
    if (netdev.local !== undefined) throw osError("EINVAL", "portAdd");
    const { name, type } = netdev;
    const odpPort = chooseOdpPort(this.table, wanted, undefined);
    const port: WorkerPort = {
      odpPort,
      name,
      type,
      tap: type === "internal" || type === "tap",
      readers: [],
      value: 0,
      open: false,
      shaped: false,
      policing: undefined,
      added: this.released,
    };
    this.table.set(odpPort, port);
    const adding = this.open(port);
    port.added = adding.then(
      () => {},
      () => {},
    );
    const errno = await adding;
    if (errno === 0) return odpPort;
    if (this.table.get(odpPort) === port) this.table.delete(odpPort);
    throw osError(errnoName(errno), "portAdd");
  }

  private async open(port: WorkerPort): Promise<number> {
    // Of ports that went before it; one that goes later may wait for this one.
    const { host, released } = this;
    const queues = port.tap ? 1 : host.receiveQueues(port.name);
    if (queues > 1) await host.grow(queues);
    // A tap is opened once at a time.
    if (host.lanes.length > 1) await released;
    if (this.table.get(port.odpPort) !== port) return ENODEV;
    port.readers = this.leastLoaded(Math.min(queues, host.ready));
    let first = await this.openFirst(port);
    if (first.errno !== 0 && port.readers.length > 1) {
      // A kernel without groups.
      port.readers.length = 1;
      first = await this.openFirst(port);
    }
    if (first.errno !== 0) return first.errno;
    port.value = first.value;
    port.open = true;
    const others = host.lanes.filter((_lane, number) => number !== port.readers[0]);
    const answers = await Promise.all(others.map((lane) => this.request(lane, port)));
    const failed = answers.find(({ errno }) => errno !== 0);
    if (failed === undefined) return 0;
    await this.release(port);
    return failed.errno;
  }

  /** How many queues each lane receives. */
  private loads(): number[] {
    const { lanes, ready } = this.host;
    const load = lanes.slice(0, ready).map(() => 0);
    for (const { readers } of this.table.values()) for (const number of readers) load[number]!++;
    return load;
  }

  /** The lanes with the fewest queues, at least one. */
  private leastLoaded(count: number): number[] {
    const load = this.loads();
    const order = load.map((_queues, number) => number).sort((a, b) => load[a]! - load[b]! || a - b);
    return order.slice(0, Math.max(1, count));
  }

  private openFirst(port: WorkerPort): Promise<PortAnswer> {
    return this.request(this.host.lanes[port.readers[0]!]!, port);
  }

  /** Asks a lane to open the port in its way. */
  private request(lane: Lane, { odpPort, name, tap, readers, open, value }: WorkerPort): Promise<PortAnswer> {
    const reads = readers.includes(this.host.lanes.indexOf(lane));
    let kind = PORT_RING;
    let operand = RING_DEAF;
    if (tap) {
      kind = open ? PORT_TAP_SHARED : PORT_TAP;
      operand = value;
    } else if (reads) operand = readers.length === 1 ? RING_ALONE : open ? value : RING_NEW_GROUP;
    const answer = lane.portAnswer(odpPort);
    const { words, at } = lane.request(5 + name.length);
    words[at] = REQ_PORT_ADD;
    words[at + 1] = odpPort;
    words[at + 2] = kind;
    words[at + 3] = operand;
    writeName(words, at + 4, name);
    lane.post();
    return answer;
  }

  /** Ports of one queue go from lanes that have most to such as have least. No frame is lost or overtaken. */
  async rebalance(): Promise<void> {
    for (const port of [...this.table.values()]) {
      if (port.tap || !port.open || port.readers.length !== 1) continue;
      const load = this.loads();
      const [to] = this.leastLoaded(1) as [number];
      if (load[port.readers[0]!]! - load[to]! < 2) continue;
      port.added = this.move(port, to);
      await port.added;
    }
  }

  private async move(port: WorkerPort, to: number): Promise<void> {
    const { lanes } = this.host;
    const source = lanes[port.readers[0]!]!;
    const { name, odpPort } = port;
    const answer = source.portAnswer(odpPort);
    const give = source.request(3 + name.length);
    give.words[give.at] = REQ_PORT_GIVE;
    give.words[give.at + 1] = odpPort;
    writeName(give.words, give.at + 2, name);
    source.post();
    const { errno, ring } = await answer;
    if (errno !== 0) return;
    const target = lanes[to]!;
    const { words, at } = target.request(2 + ring!.length);
    words[at] = REQ_PORT_TAKE;
    words[at + 1] = odpPort;
    words.set(ring!, at + 2);
    target.post();
    port.readers = [to];
    await Promise.all([source.settled(), target.settled()]);
  }

  async remove(odpPort: OdpPort): Promise<void> {
    const port = this.table.get(odpPort);
    if (port === undefined) throw osError("ENODEV", "portDel");
    this.table.delete(odpPort);
    if (this.host.lanes.length === 1) {
      this.requestRemoval(port, false);
      return this.host.settled();
    }
    this.released = Promise.all([this.released, port.added]).then(() => this.release(port));
    return this.released;
  }

  private requestRemoval({ odpPort }: WorkerPort, keepOpen: boolean): void {
    const { words, at } = this.host.request(3);
    words[at] = REQ_PORT_DEL;
    words[at + 1] = odpPort;
    words[at + 2] = keepOpen ? 1 : 0;
    this.host.post();
  }

  private async release(port: WorkerPort): Promise<void> {
    const { host } = this;
    this.requestRemoval(port, port.tap);
    await host.settled();
    if (!port.tap || !port.open) return;
    port.open = false;
    const lane = host.lanes[0]!;
    const { words, at } = lane.request(2);
    words[at] = REQ_CLOSE;
    words[at + 1] = port.value;
    lane.post();
    await lane.settled();
  }

  /** Makes the ports of a lane that has come later: it sends to them. */
  replay(lane: Lane): void {
    for (const port of this.table.values()) {
      if (!port.open) continue;
      void this.request(lane, port);
      if (port.shaped) this.requestShaped(lane, port);
      if (port.policing !== undefined) this.requestPolicing(lane, port.odpPort, port.policing);
    }
  }

  setShaped(odpPort: OdpPort, shaped: boolean): void {
    const port = this.table.get(odpPort);
    if (port === undefined) return;
    port.shaped = shaped;
    for (const lane of this.host.lanes) this.requestShaped(lane, port);
  }

  private requestShaped(lane: Lane, { odpPort, shaped }: WorkerPort): void {
    const { words, at } = lane.request(3);
    words[at] = REQ_PORT_SHAPED;
    words[at + 1] = odpPort;
    words[at + 2] = shaped ? 1 : 0;
    lane.post();
  }

  setPolicing(odpPort: OdpPort, policing: Policing): void {
    const port = this.table.get(odpPort);
    if (port === undefined) return;
    port.policing = policing;
    for (const lane of this.host.lanes) this.requestPolicing(lane, odpPort, policing);
  }

  private requestPolicing(lane: Lane, odpPort: OdpPort, policing: Policing): void {
    const { words, at } = lane.request(6);
    words[at] = REQ_PORT_POLICING;
    words[at + 1] = odpPort;
    words[at + 2] = policing.kbps;
    words[at + 3] = policing.burstKb;
    words[at + 4] = policing.kpps;
    words[at + 5] = policing.burstKpackets;
    lane.post();
  }
}
