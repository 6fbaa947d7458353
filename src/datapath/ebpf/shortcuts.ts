/**
 * Which megaflows may take the short way to a veth device's far end (bpf_redirect_peer of bpf-helpers(7)): the frame enters the
 * other network namespace at once, without the near end's queueing and the far end's backlog.
 *
 * The kernel then takes the frame for one to the far end's own address, whatever it is, and does not look at its length; packet
 * sockets, filters and queueing at the near end never see it, nor do its counters (programs count instead, far-ends.ts). So
 * the short way is for frames to just that address, from devices with no larger MTU, that a megaflow does nothing else with,
 * and only while nobody listens, shapes or filters there.
 */
import type { Clock, Timer } from "../../lib/clock.ts";
import type { Sending } from "../../netdev/far-end.ts";
import type { PassingTraffic } from "../../netdev/netdev.ts";
import type { OdpPort } from "../dpif.ts";
import type { FarEnds } from "./far-ends.ts";

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

/** What a megaflow's value says of it: the far end's number, 0 for none, and its address as the wire has it. */
export interface Shortcut {
  readonly farEnd: number;
  readonly low: number;
  readonly high: number;
}

export const NO_SHORTCUT: Shortcut = { farEnd: 0, low: 0, high: 0 };

const NOTHING: PassingTraffic = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };

interface Device {
  readonly odpPort: OdpPort;
  readonly ifindex: number;
  shaped: boolean;
  sending: Sending;
  /** Of the far end, 0 until there has been one. */
  number: number;
  /** While the short way is open. */
  open: (Shortcut & { readonly mtu: number }) | undefined;
}

export class Shortcuts {
  readonly #system: ShortcutSystem;
  readonly #clock: Clock;
  readonly #farEnds: FarEnds;
  readonly #changed: (port: OdpPort) => void;
  readonly #devices = new Map<OdpPort, Device>();
  #unwatch: (() => void) | undefined;
  #timer: Timer | undefined;
  #listened: ReadonlySet<number> = new Set();
  /** Places of the devices asked so far, one after the other. */
  #asked = 0;

  /** `changed`: megaflows to or from the port may have another way now. */
  constructor(system: ShortcutSystem, clock: Clock, farEnds: FarEnds, changed: (port: OdpPort) => void) {
    this.#system = system;
    this.#clock = clock;
    this.#farEnds = farEnds;
    this.#changed = changed;
  }

  add(odpPort: OdpPort, ifindex: number): void {
    if (this.#devices.size === 0) this.#start();
    const sending = this.#system.sendingOf(ifindex);
    const device = { odpPort, ifindex, shaped: false, sending, number: 0, open: undefined };
    this.#devices.set(odpPort, device);
    this.#decide(device);
  }

  remove(odpPort: OdpPort): void {
    const device = this.#devices.get(odpPort);
    if (device === undefined) return;
    this.#farEnds.release(device.number);
    this.#devices.delete(odpPort);
    if (this.#devices.size === 0) this.close();
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

  /** For frames of port `from` that port `to` sends. */
  find(from: OdpPort, to: OdpPort): Shortcut {
    const open = this.#devices.get(to)?.open;
    const mtu = this.#devices.get(from)?.sending.mtu;
    return open === undefined || mtu === undefined || mtu > open.mtu ? NO_SHORTCUT : open;
  }

  /** What has gone the short way from a port, past its device's own counters. */
  traffic(odpPort: OdpPort): PassingTraffic {
    const number = this.#devices.get(odpPort)?.number ?? 0;
    return number === 0 ? NOTHING : this.#farEnds.traffic(number);
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
    const { mtu } = device.sending;
    device.sending = this.#system.sendingOf(device.ifindex);
    if (this.#decide(device) || mtu !== device.sending.mtu) this.#changed(device.odpPort);
  }

  #look(device: Device): void {
    if (this.#decide(device)) this.#changed(device.odpPort);
  }

  /** Whether something is another way now. */
  #decide(device: Device): boolean {
    const { open, ifindex, shaped, sending } = device;
    const { farEnd } = sending;
    const shut = farEnd === undefined || shaped || this.#listened.has(ifindex) || this.#listened.has(0);
    if (!shut && device.number === 0) device.number = this.#farEnds.take();
    if (shut || device.number === 0) {
      device.open = undefined;
      return open !== undefined;
    }
    const view = new DataView(farEnd.address.buffer, farEnd.address.byteOffset, 6);
    const [low, high] = [view.getInt32(0, true), view.getUint16(4, true)];
    device.open = { farEnd: device.number, low, high, mtu: farEnd.mtu };
    return open === undefined || open.low !== low || open.high !== high || open.mtu !== farEnd.mtu;
  }
}
