/** Patch ports: two of them, in two bridges, name each other (upstream: part of lib/netdev-vport). They move no packets. */
import type { Clock } from "../lib/clock.ts";
import { vlog } from "../lib/vlog.ts";
import { BaseNetdev, noStats } from "./base.ts";
import type { CreditPort, Netdev, NetdevConfig, NetdevProvider, NetdevStats } from "./netdev.ts";

const log = vlog("netdev_vport");

class PatchNetdev extends BaseNetdev implements CreditPort {
  override readonly credit: CreditPort = this;
  #peer: string | undefined;
  #address: string;
  readonly #stats: NetdevStats = { ...noStats(), rxPackets: 0, txPackets: 0, rxBytes: 0, txBytes: 0 };

  constructor(name: string, address: string, clock: Clock) {
    super(name, "patch", clock);
    this.#address = address;
  }

  creditRx(packets: number, bytes: number): void {
    this.#stats.rxPackets += packets;
    this.#stats.rxBytes += bytes;
  }
  creditTx(packets: number, bytes: number): void {
    this.#stats.txPackets += packets;
    this.#stats.txBytes += bytes;
  }

  override etherAddr(): string {
    return this.#address;
  }
  override setEtherAddr(address: string): string | undefined {
    this.#address = address;
    this.changed();
    return undefined;
  }
  override stats(): NetdevStats {
    return this.#stats;
  }

  override setConfig(options: NetdevConfig): string | undefined {
    const peer = options.get("peer");
    let error: string | undefined;
    if (peer === undefined || options.size !== 1) error = "patch type requires valid 'peer' argument";
    else if (peer === "") error = "patch peer must not be empty";
    else if (peer === this.name) error = "patch peer must not be self";
    if (error !== undefined) {
      log.err(`${this.name}: ${error}`);
      return `${this.name}: ${error}`;
    }
    if (peer !== this.#peer) {
      this.#peer = peer;
      this.changed();
    }
    return undefined;
  }

  override config(): Map<string, string> {
    return this.#peer === undefined ? new Map() : new Map([["peer", this.#peer]]);
  }
}

/** `address` gives a random, locally administered Ethernet address. */
export function patchProvider(clock: Clock, address: () => string): NetdevProvider {
  return { type: "patch", open: (name: string): Netdev => new PatchNetdev(name, address(), clock) };
}
