/**
 * What is left in the token buckets of meters and policers, in memory that all lanes of a datapath share: a rate holds for
 * what they let through together. Hot path.
 *
 * Who looks into a bucket locks it, for some tens of nanoseconds, but only where there are several lanes. Rates are each
 * lane's own; the first lane alone fills buckets anew.
 */
import { METER_MAX_BANDS } from "../dpif.ts";

/** Meters at a time. */
export const MAX_DP_METERS = 1 << 18;
export const MAX_PORTS = 1 << 16;

/** Words of a meter: when it was filled in last, then what each band has left. */
const METER_LEVELS = 1 + METER_MAX_BANDS;
/** Words of a policer: when it was filled in last, bits, packets. */
const POLICER_LEVELS = 3;
const LEVELS = MAX_DP_METERS * METER_LEVELS + MAX_PORTS * POLICER_LEVELS;
/** Their locks, then the number of lanes. */
const LANES = MAX_DP_METERS + MAX_PORTS;
export const BUCKETS_BYTES = LEVELS * 8 + (LANES + 2) * 4;

/** Tries before the thread that holds a lock, which has lost its processor then, is waited for. */
const SPINS = 200;
const WAIT_MS = 0.1;

export class Buckets {
  readonly levels: Float64Array;
  /** This thread fills a bucket anew when its rate is set. */
  readonly fills: boolean;
  private readonly locks: Int32Array;

  /** `memory` holds BUCKETS_BYTES, at first zeros. */
  constructor(memory: ArrayBufferLike, fills: boolean) {
    this.levels = new Float64Array(memory, 0, LEVELS);
    this.locks = new Int32Array(memory, LEVELS * 8);
    this.fills = fills;
  }

  /** To be called before the thread of a further lane starts. */
  setLanes(count: number): void {
    Atomics.store(this.locks, LANES, count);
  }

  /** True when bucket `index` has been locked, which {@link unlock} must undo. */
  lock(index: number): boolean {
    if (Atomics.load(this.locks, LANES) < 2) return false;
    const { locks } = this;
    for (let spins = 0; Atomics.compareExchange(locks, index, 0, 1) !== 0; spins++)
      if (spins > SPINS) Atomics.wait(locks, index, 1, WAIT_MS);
    return true;
  }

  unlock(index: number): void {
    Atomics.store(this.locks, index, 0);
  }
}

/** Of a datapath that is one thread's. */
export function ownBuckets(): Buckets {
  return new Buckets(new ArrayBuffer(BUCKETS_BYTES), true);
}

/** Index into the levels of a meter's bucket; its lock is the meter's number. */
export function meterLevels(id: number): number {
  return id * METER_LEVELS;
}

export function policerLevels(port: number): number {
  return MAX_DP_METERS * METER_LEVELS + port * POLICER_LEVELS;
}

export function policerLock(port: number): number {
  return MAX_DP_METERS + port;
}
