/** Rates from counters that were read twice, and numbers short enough for a column. */

const WRAP = 2 ** 32;

/**
 * What a counter has grown by; undefined where that cannot be known, because it is not counted or began anew. A step back
 * from the last quarter of 32 bits to the first is taken for such a counter's wrap.
 */
export function grown(now: number | undefined, before: number | undefined): number | undefined {
  if (now === undefined || before === undefined) return undefined;
  if (now >= before) return now - before;
  return before < WRAP && before >= WRAP * 0.75 && now < WRAP * 0.25 ? now + WRAP - before : undefined;
}

/** `grown` a second. */
export function rate(
  now: number | undefined,
  before: number | undefined,
  seconds: number,
): number | undefined {
  const more = grown(now, before);
  return more === undefined || !(seconds > 0) ? undefined : more / seconds;
}

/** The sum of what is known; undefined when nothing is. */
export function sum(values: Iterable<number | undefined>): number | undefined {
  let total: number | undefined;
  for (const value of values) if (value !== undefined) total = (total ?? 0) + value;
  return total;
}

const UNITS = ["", "k", "M", "G", "T", "P"];

/** At most five characters: "-", "0", "0.4", "37", "1.25k", "412M". */
export function short(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return "-";
  if (value < 0.05) return "0";
  if (value < 9.95) return value.toFixed(1).replace(/\.0$/, "");
  let unit = 0;
  // 999.5 of a unit would be shown as 1000.
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  if (unit === 0) return value.toFixed(0);
  const digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return value.toFixed(digits) + UNITS[unit];
}
