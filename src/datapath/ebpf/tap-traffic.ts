/**
 * Packets that programs have served and that pass by their ports' own counters, summed up from their megaflows' rows: a tap's
 * packets both ways, and what goes straight to a device's far end.
 */
import type { OdpPort } from "../dpif.ts";
import type { Rows } from "./rows.ts";

/** A port whose counters a megaflow passes by as it comes in or goes out. */
export interface TapUse {
  readonly port: OdpPort;
  /** The switch sends. */
  readonly tx: boolean;
}

/** As the switch sees them. */
export interface Traffic {
  rxPackets: number;
  rxBytes: number;
  txPackets: number;
  txBytes: number;
}

interface Tapped {
  readonly taps: readonly TapUse[];
  /** What of its row has been added to their traffic. */
  packets: number;
  bytes: number;
}

export class TapTraffic {
  readonly #rows: Rows;
  /** By their rows, megaflows with such ports; and by the ports, these rows. */
  readonly #tapped = new Map<number, Tapped>();
  readonly #rowsOf = new Map<OdpPort, Set<number>>();
  readonly #traffic = new Map<OdpPort, Traffic>();

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** From now on the megaflow of this row passes by these ports' counters, once for each. */
  set(row: number, taps: readonly TapUse[]): void {
    this.remove(row);
    if (taps.length === 0) return;
    for (const { port } of taps) {
      const rows = this.#rowsOf.get(port);
      if (rows === undefined) this.#rowsOf.set(port, new Set([row]));
      else rows.add(row);
    }
    this.#tapped.set(row, { taps, packets: this.#rows.packets(row), bytes: this.#rows.bytes(row) });
  }

  remove(row: number): void {
    const tapped = this.#tapped.get(row);
    if (tapped === undefined) return;
    this.#add(row, tapped);
    this.#tapped.delete(row);
    for (const { port } of tapped.taps) {
      const rows = this.#rowsOf.get(port);
      rows?.delete(row);
      if (rows?.size === 0) this.#rowsOf.delete(port);
    }
  }

  /** Adds what a megaflow has served, since this was done last, to its taps' traffic. */
  #add(row: number, tapped: Tapped): void {
    const packets = this.#rows.packets(row);
    const bytes = this.#rows.bytes(row);
    for (const { port, tx } of tapped.taps) {
      const traffic = this.#of(port);
      traffic[tx ? "txPackets" : "rxPackets"] += packets - tapped.packets;
      traffic[tx ? "txBytes" : "rxBytes"] += bytes - tapped.bytes;
    }
    tapped.packets = packets;
    tapped.bytes = bytes;
  }

  #of(port: OdpPort): Traffic {
    let traffic = this.#traffic.get(port);
    if (traffic === undefined) {
      traffic = { rxPackets: 0, rxBytes: 0, txPackets: 0, txBytes: 0 };
      this.#traffic.set(port, traffic);
    }
    return traffic;
  }

  /** What has passed by the port's counters since it became one. */
  of(port: OdpPort): Traffic {
    for (const row of this.#rowsOf.get(port) ?? []) this.#add(row, this.#tapped.get(row)!);
    return this.#of(port);
  }

  forget(port: OdpPort): void {
    this.#traffic.delete(port);
  }
}
