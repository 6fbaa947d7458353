/**
 * The filter above each table. Words, all of which must be found, in any case of letters:
 *
 *     word          somewhere in the row        -word      nowhere in it
 *     column=text   in that column              column>12  column<12   a number
 *
 * A word with blanks goes in double quotes.
 */
export interface Filterable<R> {
  /** All of the row's text, in lower case. */
  text(row: R): string;
  /** A column's value by its name in lower case; undefined: there is no such column. */
  column(row: R, name: string): string | number | undefined;
}

type Test<R> = (row: R, by: Filterable<R>) => boolean;

export function parseFilter<R>(filter: string): Test<R> | undefined {
  const words = filter.match(/[^\s"]*"[^"]*"?|\S+/g) ?? [];
  const tests = words
    .map((word) => parseWord<R>(word.replaceAll('"', "").toLowerCase()))
    .filter((test) => test !== undefined);
  if (tests.length === 0) return undefined;
  return (row, by) => tests.every((test) => test(row, by));
}

function parseWord<R>(word: string): Test<R> | undefined {
  if (word.startsWith("-") && word.length > 1) {
    const test = parseWord<R>(word.slice(1));
    return test === undefined ? undefined : (row, by) => !test(row, by);
  }
  if (word === "" || word === "-") return undefined;
  const match = /^([\w.-]+)([=<>])(.*)$/.exec(word);
  const anywhere: Test<R> = (row, by) => by.text(row).includes(word);
  if (match === null) return anywhere;
  const [, name, operator, wanted] = match;
  return (row, by) => {
    const value = by.column(row, name!);
    // "nw_src=10.0.0.1" is text of a match, not a column.
    if (value === undefined) return anywhere(row, by);
    if (wanted === "") return true;
    if (operator === "=") {
      return typeof value === "number" ? value === Number(wanted) : value.toLowerCase().includes(wanted!);
    }
    const number = Number(value);
    return operator === "<" ? number < Number(wanted) : number > Number(wanted);
  };
}
