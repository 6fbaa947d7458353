/**
 * What the documentation of a schema looks like, computed from the schema: a table, a column or a key of an enumeration
 * that is left out, or one that does not exist, does not compile.
 *
 * A text is one or more sentences in plain words, no markup. `Table.column` and `Table.column:key` point elsewhere.
 */
import type { ColumnSchema, TableSchema } from "../../../ovsdb/idl-types.ts";

/** Who fills a column in. `startup` is what starts the daemons (ovs-ctl, `ovsbox up`) or integrates them into a system. */
export type Writer = "user" | "switch" | "ovsdb-server" | "startup";

/** A text, or one with the details that a column has. */
export type ColumnDoc =
  | string
  | {
      readonly text: string;
      /** Only where it is not as {@link writer} guesses. */
      readonly by?: Writer;
      /** Of a column of strings its values: all if the schema enumerates them, else those we know. Capitals stand for a part. */
      readonly values?: Readonly<Record<string, string>>;
      /** Of a map from strings its keys. Capitals, or a `*`, stand for a part of the name. */
      readonly keys?: Readonly<Record<string, string>>;
    };

export interface TableDoc {
  readonly about: string;
  readonly columns: Readonly<Record<string, ColumnDoc>>;
}

export const EXTERNAL_IDS =
  "Key-value pairs for whoever configures the switch from outside; Open vSwitch itself ignores keys it does not know.";

/** Who fills in a column: what it says, else the switch for what the database forgets at its end, else the user. */
export function writer(schema: ColumnSchema, doc: ColumnDoc): Writer {
  return (typeof doc === "string" ? undefined : doc.by) ?? (schema.ephemeral === true ? "switch" : "user");
}

/** Strings that a base type allows: those of its enumeration, else any; never, if it is of another type. */
type StringsOf<B> = B extends { readonly enum: readonly ["set", readonly (infer V extends string)[]] }
  ? V
  : B extends "string" | { readonly type: "string" }
    ? string
    : never;

type Texts<B> = [StringsOf<B>] extends [never] ? never : Readonly<Record<StringsOf<B>, string>>;

interface Words {
  readonly text: string;
  readonly by?: Writer;
}

/** A map from strings to plain values has keys to document (`external_ids` may say the usual), a column of strings values. */
type ColumnDocOf<T> = T extends { readonly key: infer K; readonly value: infer V }
  ? V extends { readonly type: "uuid" }
    ? string | Words
    : [StringsOf<K>] extends [never]
      ? string | Words
      : typeof EXTERNAL_IDS | (Words & { readonly keys: Texts<K> })
  : string | (Words & { readonly values?: Texts<T extends { readonly key: infer K } ? K : T> });

/** The documentation of a table: all of its columns and nothing else. */
export type DocOf<T extends TableSchema> = {
  readonly about: string;
  readonly columns: { readonly [C in keyof T["columns"]]: ColumnDocOf<T["columns"][C]["type"]> };
};
