/**
 * Which megaflows may take the short way to a veth device's far end (bpf_redirect_peer of bpf-helpers(7)): the frame enters the
 * other network namespace at once, without the near end's queueing and the far end's backlog.
 *
 * The kernel then takes the frame for one to the far end's own address, whatever it is, and does not look at its length; packet
 * sockets, filters and queueing at the near end never see it, nor do its counters (offload.ts counts instead). So the short
 * way is for megaflows that match the far end's address exactly, from devices with no larger MTU, and only while nobody
 * listens, shapes or filters there.
 */
import { type Flow, W_ETH_DST_HI, W_IN_PORT } from "../../flow/layout.ts";
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Sending } from "../../netdev/far-end.ts";
import type { OdpPort } from "../dpif.ts";

/** Nothing tells of packet sockets: they are looked for so often, and one device is asked about the rest of it. */
export const LOOK_MS = 250;

export interface ShortcutSystem {
  /** How a device sends. */
  sendingOf(ifindex: number): Sending;
  /** Tells of devices that may now send otherwise; undefined for all. Returns how to stop. */
  watchSending(changed: (ifindex: number | undefined) => void): () => void;
  /** Devices whose frames packet sockets see; 0 stands for all. */
  listenedTo(): ReadonlySet<number>;
}

interface Device {
  readonly odpPort: OdpPort;
  readonly ifindex: number;
  mtu: number;
  shaped: boolean;
  sending: Sending;
  /** The far end's address, as two flow words, while the short way there is open. */
  open: { readonly high: number; readonly low: number; readonly mtu: number } | undefined;
}

export class Shortcuts {
  readonly #system: ShortcutSystem;
  readonly #clock: Clock;
  readonly #changed: (port: OdpPort) => void;
  readonly #devices = new Map<OdpPort, Device>();
  #unwatch: (() => void) | undefined;
  #timer: Timer | undefined;
  #listened: ReadonlySet<number> = new Set();
  /** Places of the devices asked so far, one after the other. */
  #asked = 0;

  /** `changed`: megaflows to or from the port may have another way now. */
  constructor(system: ShortcutSystem, clock: Clock, changed: (port: OdpPort) => void) {
    this.#system = system;
    this.#clock = clock;
    this.#changed = changed;
  }

  add(odpPort: OdpPort, ifindex: number): void {
    if (this.#devices.size === 0) this.#start();
    const sending = this.#system.sendingOf(ifindex);
    const device = { odpPort, ifindex, mtu: sending.mtu, shaped: false, sending, open: undefined };
    this.#devices.set(odpPort, device);
    this.#decide(device);
  }

  remove(odpPort: OdpPort): void {
    if (this.#devices.delete(odpPort) && this.#devices.size === 0) this.close();
  }

  setShaped(odpPort: OdpPort, shaped: boolean): void {
    const device = this.#devices.get(odpPort);
    if (device === undefined) return;
    device.shaped = shaped;
    this.#look(device);
  }

  /** Whether the short way to a port is open for some frames. */
  isOpen(odpPort: OdpPort): boolean {
    return this.#devices.get(odpPort)?.open !== undefined;
  }

  /** Whether all frames of a megaflow may take the short way to port `to`. */
  takes(key: Flow, mask: Flow, to: OdpPort): boolean {
    const open = this.#devices.get(to)?.open;
    if (open === undefined || mask[W_IN_PORT] !== -1) return false;
    const from = this.#devices.get(key[W_IN_PORT]!);
    return (
      from !== undefined &&
      from.mtu <= open.mtu &&
      mask[W_ETH_DST_HI] === -1 &&
      mask[W_ETH_DST_HI + 1]! >>> 16 === 0xffff &&
      key[W_ETH_DST_HI] === open.high &&
      key[W_ETH_DST_HI + 1]! >>> 16 === open.low
    );
  }

  /** Before the last device is gone, or for good. */
  close(): void {
    this.#unwatch?.();
    this.#unwatch = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #start(): void {
    this.#unwatch = this.#system.watchSending((ifindex) => {
      for (const device of [...this.#devices.values()])
        if (ifindex === undefined || device.ifindex === ifindex) this.#ask(device);
    });
    this.#listened = this.#system.listenedTo();
    this.#timer = this.#clock.background(LOOK_MS, () => this.#tick());
  }

  #tick(): void {
    this.#timer = this.#clock.background(LOOK_MS, () => this.#tick());
    const devices = [...this.#devices.values()];
    if (devices.some(({ sending }) => sending.farEnd !== undefined)) {
      this.#listened = this.#system.listenedTo();
      for (const device of devices) this.#look(device);
    }
    this.#asked = (this.#asked + 1) % devices.length;
    this.#ask(devices[this.#asked]!);
  }

  #ask(device: Device): void {
    device.sending = this.#system.sendingOf(device.ifindex);
    this.#look(device);
  }

  #look(device: Device): void {
    const { mtu } = device;
    if (this.#decide(device) || mtu !== device.mtu) this.#changed(device.odpPort);
  }

  /** Whether something is another way now. */
  #decide(device: Device): boolean {
    const { open, ifindex, shaped, sending } = device;
    device.mtu = sending.mtu;
    const { farEnd } = sending;
    if (farEnd === undefined || shaped || this.#listened.has(ifindex) || this.#listened.has(0)) {
      device.open = undefined;
      return open !== undefined;
    }
    const view = new DataView(farEnd.address.buffer, farEnd.address.byteOffset, 6);
    const next = { high: view.getInt32(0), low: view.getUint16(4), mtu: farEnd.mtu };
    device.open = next;
    return open === undefined || open.high !== next.high || open.low !== next.low || open.mtu !== next.mtu;
  }
}
