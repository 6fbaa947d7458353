/** Small text that commands of several ctl programs read and print. */

/** The leading integer of a text, as C's atoi: 0 if there is none. */
export function leadingInteger(text: string): number {
  return Number.parseInt(text, 10) || 0;
}

/** Sorted, one a line. */
export function lines(names: readonly string[]): string {
  return [...names]
    .sort()
    .map((name) => `${name}\n`)
    .join("");
}
