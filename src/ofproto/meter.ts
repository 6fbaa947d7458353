/**
 * Meters (OpenFlow 1.3.1 section 5.7): the table of those that a bridge has, each with its twin in the datapath, which
 * holds packets to their rates and counts them.
 */
import type { Dpif, DpMeterStats } from "../datapath/dpif.ts";
import { METER_MAX_BANDS } from "../datapath/dpif.ts";
import { OfpError } from "../openflow/errors.ts";
import type { MeterConfig, MeterMod } from "../openflow/messages.ts";

export const OFPM_MAX = 0xffff0000;
/** Meters that no flow names: they hold for packets that flows send up, and for all that goes to controllers. */
export const OFPM_SLOWPATH = 0xfffffffd;
export const OFPM_CONTROLLER = 0xfffffffe;
export const OFPM_ALL = 0xffffffff;

export const MAX_BANDS = METER_MAX_BANDS;
const BAND_DROP = 1;
const BAND_DSCP_REMARK = 2;
/** Kinds of bands by bit, and flags of meters, that are taken. */
export const BAND_TYPES = (1 << BAND_DROP) | (1 << BAND_DSCP_REMARK);
export const METER_FLAGS = 0xf;
const FLAG_BURST = 4;

const ADD = 0;
const MODIFY = 1;

export class Meter {
  readonly id: number;
  /** Number in the datapath. */
  readonly dpId: number;
  config: MeterConfig;
  readonly createdMs: number;

  constructor(id: number, dpId: number, config: MeterConfig, createdMs: number) {
    this.id = id;
    this.dpId = dpId;
    this.config = config;
    this.createdMs = createdMs;
  }
}

export class MeterTable {
  private readonly meters = new Map<number, Meter>();
  private readonly nowMs: () => number;
  private readonly dpif: Dpif;
  private readonly dpIds: Set<number>;

  /** `dpIds`: those in use in the datapath, which several bridges share. */
  constructor(nowMs: () => number, dpif: Dpif, dpIds: Set<number>) {
    this.nowMs = nowMs;
    this.dpif = dpif;
    this.dpIds = dpIds;
  }

  get maxMeters(): number {
    return this.dpif.maxMeters;
  }

  get(id: number): Meter | undefined {
    return this.meters.get(id);
  }

  stats(meter: Meter): DpMeterStats {
    return this.dpif.meterStats(meter.dpId, meter.config.bands.length);
  }

  /** In the order of their numbers; OFPM_ALL for all. Throws OfpError for one that is not there. */
  select(id: number): Meter[] {
    if (id === OFPM_ALL) return [...this.meters.values()].sort((a, b) => a.id - b.id);
    const meter = this.meters.get(id);
    if (meter === undefined) throw new OfpError("OFPMMFC_UNKNOWN_METER");
    return [meter];
  }

  /** Throws OfpError. Answers with the meters that were deleted. */
  apply(mod: MeterMod): Meter[] {
    if (mod.command === ADD || mod.command === MODIFY) {
      this.set(mod);
      return [];
    }
    const gone = mod.meterId === OFPM_ALL ? this.select(OFPM_ALL) : [this.meters.get(mod.meterId)];
    const meters = gone.filter((meter) => meter !== undefined);
    for (const meter of meters) this.remove(meter);
    return meters;
  }

  clear(): void {
    for (const meter of [...this.meters.values()]) this.remove(meter);
  }

  private remove(meter: Meter): void {
    this.meters.delete(meter.id);
    this.dpIds.delete(meter.dpId);
    this.dpif.meterDel(meter.dpId);
  }

  private set(mod: MeterMod): void {
    const old = this.meters.get(mod.meterId);
    if (mod.command === ADD && old !== undefined) throw new OfpError("OFPMMFC_METER_EXISTS");
    if (mod.command === MODIFY && old === undefined) throw new OfpError("OFPMMFC_UNKNOWN_METER");
    if (mod.bands.length > MAX_BANDS) throw new OfpError("OFPMMFC_OUT_OF_BANDS");
    if ((mod.flags & ~METER_FLAGS) !== 0) throw new OfpError("OFPMMFC_BAD_FLAGS");
    if (mod.bands.some(({ bandType }) => bandType !== BAND_DROP && bandType !== BAND_DSCP_REMARK))
      throw new OfpError("OFPMMFC_BAD_BAND");
    const config: MeterConfig = { meterId: mod.meterId, flags: mod.flags, bands: mod.bands };
    if (old === undefined && this.dpIds.size >= this.dpif.maxMeters)
      throw new OfpError("OFPMMFC_OUT_OF_METERS");
    const meter = old ?? new Meter(mod.meterId, this.freeDpId(), config, this.nowMs());
    meter.config = config;
    this.meters.set(mod.meterId, meter);
    const hasBurst = (mod.flags & FLAG_BURST) !== 0;
    this.dpif.meterSet(meter.dpId, {
      flags: mod.flags,
      bands: mod.bands.map((band) => ({ ...band, burst: hasBurst ? band.burst : 0 })),
    });
  }

  private freeDpId(): number {
    let id = 0;
    while (this.dpIds.has(id)) id++;
    this.dpIds.add(id);
    return id;
  }
}
