/**
 * Meters in the kernel, which has those of one band that drops; others are left to userspace. Ingress policing is a meter too
 * (or two: bits and packets), which each flow of the port begins with.
 */
import { type Attribute, eachAttribute, NLM_F_ECHO, words } from "../../netdev/netlink-message.ts";
import {
  type DpMeter,
  type DpMeterStats,
  METER_KBPS,
  METER_MAX_BANDS,
  type OdpPort,
  type Policing,
} from "../dpif.ts";
import { type Families, OVS_HEADER } from "./families.ts";
import { u64 } from "./flow-stats.ts";
import * as U from "./uapi.ts";

const BAND_DROPS = 1;
const NO_BYTES = new Uint8Array(0);
/** The kernel places a meter by its number modulo a power of two from here on: those of policing are taken from the end. */
const POLICING_FROM = 1023;
const POLICING_TRIES = 512;

export class KernelMeters {
  readonly maxMeters: number;
  private readonly families: Families;
  private readonly dpIfindex: number;
  /** Those that the kernel has. */
  private readonly held = new Set<number>();
  private readonly policing = new Map<OdpPort, { limits: string; ids: number[] }>();
  /** Dropped by policing of ports that have none any more. */
  private policedBefore = 0;

  constructor(families: Families, dpIfindex: number) {
    this.families = families;
    this.dpIfindex = dpIfindex;
    this.maxMeters = this.ask();
  }

  private ask(): number {
    let most = 0;
    try {
      for (const { body } of this.families.request("ovs_meter", U.METER_CMD_FEATURES, this.dpIfindex, []))
        eachAttribute(body, OVS_HEADER, (type, value) => {
          if (type === U.METER_ATTR_MAX_METERS && value.byteLength >= 4) most = value.getUint32(0, true);
        });
    } catch {
      // Kernels before 4.15 have no meters.
    }
    return most;
  }

  /** True when the kernel has the meter now, false when userspace must do it. */
  set(id: number, meter: DpMeter): boolean {
    this.delete(id);
    const [band] = meter.bands;
    if (this.maxMeters === 0 || meter.bands.length !== 1 || band!.bandType !== BAND_DROPS) return false;
    return this.make(id, (meter.flags & METER_KBPS) !== 0, band!.rate, band!.burst);
  }

  private make(id: number, kbps: boolean, rate: number, burst: number): boolean {
    const attributes: Attribute[] = [[U.METER_ATTR_ID, words(id)]];
    if (kbps) attributes.push([U.METER_ATTR_KBPS, NO_BYTES]);
    const band: Attribute[] = [
      [U.BAND_ATTR_TYPE, words(BAND_DROPS)],
      [U.BAND_ATTR_RATE, words(rate)],
      [U.BAND_ATTR_BURST, words(burst > 0 ? burst : rate)],
    ];
    attributes.push([U.METER_ATTR_BANDS, [[0, band]]]);
    try {
      this.families.request("ovs_meter", U.METER_CMD_SET, this.dpIfindex, attributes);
    } catch {
      return false;
    }
    this.held.add(id);
    return true;
  }

  delete(id: number): void {
    if (!this.held.delete(id)) return;
    try {
      this.families.request("ovs_meter", U.METER_CMD_DEL, this.dpIfindex, [[U.METER_ATTR_ID, words(id)]]);
    } catch {
      // It is gone.
    }
  }

  /** Zeros for a meter that the kernel does not have. */
  stats(id: number, bands: number): DpMeterStats {
    const stats: DpMeterStats = { packets: 0, bytes: 0, bands: [] };
    for (let i = 0; i < Math.min(bands, METER_MAX_BANDS); i++) stats.bands.push({ packets: 0, bytes: 0 });
    if (!this.held.has(id)) return stats;
    const read = (value: DataView, into: { packets: number; bytes: number }): void => {
      if (value.byteLength < 16) return;
      into.packets = u64(value, 0);
      into.bytes = u64(value, 8);
    };
    try {
      const attributes: Attribute[] = [[U.METER_ATTR_ID, words(id)]];
      for (const { body } of this.families.request(
        "ovs_meter",
        U.METER_CMD_GET,
        this.dpIfindex,
        attributes,
        NLM_F_ECHO,
      ))
        eachAttribute(body, OVS_HEADER, (type, value) => {
          if (type === U.METER_ATTR_STATS) read(value, stats);
          else if (type === U.METER_ATTR_BANDS) {
            let band = 0;
            eachAttribute(value, 0, (_, nested) => {
              eachAttribute(nested, 0, (part, counters) => {
                const into = stats.bands[band];
                if (part === U.BAND_ATTR_STATS && into !== undefined) read(counters, into);
              });
              band++;
            });
          }
        });
    } catch {
      // It is gone.
    }
    return stats;
  }

  /** Meters that flows of the port begin with. */
  ofPort(port: OdpPort): readonly number[] {
    return this.policing.get(port)?.ids ?? [];
  }

  /** True when flows of the port must be put anew; "failed" when there could be no meter. */
  police(port: OdpPort, { kbps, burstKb, kpps, burstKpackets }: Policing): boolean | "failed" {
    const limits = kbps > 0 || kpps > 0 ? [kbps, burstKb, kpps, burstKpackets].join() : "";
    const old = this.policing.get(port);
    if (limits === (old?.limits ?? "")) return false;
    if (old !== undefined) this.unpolice(port);
    if (limits === "") return true;
    const ids: number[] = [];
    const wanted: [kbps: boolean, rate: number, burst: number][] = [];
    if (kbps > 0) wanted.push([true, kbps, burstKb]);
    if (kpps > 0) wanted.push([false, kpps * 1000, burstKpackets * 1000]);
    for (const [bits, rate, burst] of wanted) {
      const id = this.makeSomewhere(bits, rate, burst);
      if (id !== undefined) ids.push(id);
    }
    this.policing.set(port, { limits, ids });
    return ids.length === wanted.length ? true : "failed";
  }

  private makeSomewhere(kbps: boolean, rate: number, burst: number): number | undefined {
    if (this.maxMeters === 0) return undefined;
    for (let id = POLICING_FROM; id > POLICING_FROM - POLICING_TRIES; id--)
      if (!this.held.has(id) && this.make(id, kbps, rate, burst)) return id;
    return undefined;
  }

  /** The port is gone, or has no limits any more. */
  unpolice(port: OdpPort): void {
    for (const id of this.ofPort(port)) {
      this.policedBefore += this.droppedBy(id);
      this.delete(id);
    }
    this.policing.delete(port);
  }

  private droppedBy(id: number): number {
    return this.stats(id, 1).bands[0]!.packets;
  }

  /** Packets that policing has dropped. */
  policed(): number {
    let sum = this.policedBefore;
    for (const { ids } of this.policing.values()) for (const id of ids) sum += this.droppedBy(id);
    return sum;
  }
}
