/** Numbers and times for people. */

const COUNT = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const STEPS = ["", "k", "M", "G", "T", "P"] as const;

/** 12,345 */
export function count(value: number): string {
  return COUNT.format(value);
}

/** Three digits and a step of 1000: "0", "12.3 k", "4.56 G". */
export function short(value: number, unit = ""): string {
  let step = 0;
  while (value >= 999.5 && step < STEPS.length - 1) {
    value /= 1000;
    step++;
  }
  const digits =
    value === 0 || value >= 100 ? 0 : value >= 10 ? 1 : step === 0 && Number.isInteger(value) ? 0 : 2;
  const suffix = `${STEPS[step]}${unit}`;
  return suffix === "" ? value.toFixed(digits) : `${value.toFixed(digits)} ${suffix}`;
}

/** A rate; none is a quiet dash. */
export function rate(value: number, unit: string): string {
  return value < 0.05 ? "–" : short(value, unit);
}

/** "3 s", "4 min", "2 h", "5 d". */
export function age(seconds: number): string {
  if (seconds < 0) return "–";
  if (seconds < 1) return "now";
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
