/** What the documentation of a schema looks like: every table and column has some (a test sees to it). */

/** A text, or one with notable keys of a map column; a key may end in "*". */
export type ColumnDoc = string | { readonly text: string; readonly keys: Readonly<Record<string, string>> };

export interface TableDoc {
  readonly about: string;
  readonly columns: Readonly<Record<string, ColumnDoc>>;
}

/** The doc of a table `as const`: no column may be missing or too much. */
export type DocOf<T extends { readonly columns: object }> = {
  readonly about: string;
  readonly columns: { readonly [C in keyof T["columns"]]: ColumnDoc };
};

export const EXTERNAL_IDS =
  "Key-value pairs for whoever configures the switch from outside; Open vSwitch itself ignores keys it does not know.";
