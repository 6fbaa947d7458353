/**
 * Meters (OpenFlow 1.3.1 section 5.7): stored, described and counted. Their bands are not enforced yet: the datapath lets
 * metered packets pass.
 */
import { OfpError } from "../openflow/errors.ts";
import type { MeterConfig, MeterMod } from "../openflow/messages.ts";

export const OFPM_MAX = 0xffff0000;
export const OFPM_SLOWPATH = 0xfffffffd;
export const OFPM_CONTROLLER = 0xfffffffe;
export const OFPM_ALL = 0xffffffff;

/** What the original's userspace datapath offers. */
export const MAX_METERS = 262_144;
export const MAX_BANDS = 8;
const BAND_DROP = 1;
/** Kinds of bands by bit, and flags of meters, that are taken. */
export const BAND_TYPES = 1 << BAND_DROP;
export const METER_FLAGS = 0xf;

const ADD = 0;
const MODIFY = 1;

export class Meter {
  readonly id: number;
  /** Number in the datapath. */
  readonly dpId: number;
  config: MeterConfig;
  readonly createdMs: number;
  packets = 0;
  bytes = 0;

  constructor(id: number, dpId: number, config: MeterConfig, createdMs: number) {
    this.id = id;
    this.dpId = dpId;
    this.config = config;
    this.createdMs = createdMs;
  }

  credit(packets: number, bytes: number): void {
    this.packets += packets;
    this.bytes += bytes;
  }
}

export class MeterTable {
  private readonly meters = new Map<number, Meter>();
  private readonly nowMs: () => number;
  private readonly dpIds: Set<number>;

  /** `dpIds`: those in use in the datapath, which several bridges share. */
  constructor(nowMs: () => number, dpIds: Set<number>) {
    this.nowMs = nowMs;
    this.dpIds = dpIds;
  }

  get(id: number): Meter | undefined {
    return this.meters.get(id);
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
    for (const meter of meters) {
      this.meters.delete(meter.id);
      this.dpIds.delete(meter.dpId);
    }
    return meters;
  }

  clear(): void {
    for (const meter of this.meters.values()) this.dpIds.delete(meter.dpId);
    this.meters.clear();
  }

  private set(mod: MeterMod): void {
    const old = this.meters.get(mod.meterId);
    if (mod.command === ADD && old !== undefined) throw new OfpError("OFPMMFC_METER_EXISTS");
    if (mod.command === MODIFY && old === undefined) throw new OfpError("OFPMMFC_UNKNOWN_METER");
    if (mod.bands.length > MAX_BANDS) throw new OfpError("OFPMMFC_OUT_OF_BANDS");
    if ((mod.flags & ~METER_FLAGS) !== 0) throw new OfpError("OFPMMFC_BAD_FLAGS");
    if (mod.bands.some((band) => band.bandType !== BAND_DROP)) throw new OfpError("OFPMMFC_BAD_BAND");
    const config: MeterConfig = { meterId: mod.meterId, flags: mod.flags, bands: mod.bands };
    if (old !== undefined) {
      old.config = config;
      return;
    }
    if (this.meters.size >= MAX_METERS) throw new OfpError("OFPMMFC_OUT_OF_METERS");
    this.meters.set(mod.meterId, new Meter(mod.meterId, this.freeDpId(), config, this.nowMs()));
  }

  private freeDpId(): number {
    let id = 0;
    while (this.dpIds.has(id)) id++;
    this.dpIds.add(id);
    return id;
  }
}
