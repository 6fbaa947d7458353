/** Packets of taps that programs have served, which pass by the taps' own counters, summed up from their megaflows' rows. */
import type { OdpPort } from "../dpif.ts";
import type { Rows } from "./rows.ts";

/** A tap that a megaflow comes in by or goes out to. */
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
  /** By their rows, megaflows with taps. */
  readonly #tapped = new Map<number, Tapped>();
  readonly #traffic = new Map<OdpPort, Traffic>();

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** From now on the megaflow of this row has these taps, once for each. */
  set(row: number, taps: readonly TapUse[]): void {
    this.remove(row);
    if (taps.length === 0) return;
    this.#tapped.set(row, { taps, packets: this.#rows.packets(row), bytes: this.#rows.bytes(row) });
  }

  remove(row: number): void {
    const tapped = this.#tapped.get(row);
    if (tapped === undefined) return;
    this.#add(row, tapped);
    this.#tapped.delete(row);
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

  /** What programs have taken from a tap, or handed to its host, since it became a port. */
  of(port: OdpPort): Traffic {
    for (const [row, tapped] of this.#tapped) this.#add(row, tapped);
    return this.#of(port);
  }

  forget(port: OdpPort): void {
    this.#traffic.delete(port);
  }
}
