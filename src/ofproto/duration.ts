/** Time spans as OpenFlow reports them; like the original's, they are whole milliseconds. */
import type { Duration } from "../openflow/messages.ts";

/** From `sinceMs` to `nowMs`, never negative. */
export function durationSince(sinceMs: number, nowMs: number): Duration {
  const age = Math.max(0, Math.floor(nowMs - sinceMs));
  return { sec: Math.floor(age / 1000), nsec: (age % 1000) * 1_000_000 };
}
