/** A clock that stands still, though what is to run soon does. */
import type { Clock } from "../../src/lib/clock.ts";

export const clock: Clock = {
  now: () => 5000,
  wall: () => 0,
  after: () => ({ cancel() {} }),
  background: () => ({ cancel() {} }),
  soon: (run) => void setImmediate(run),
};
