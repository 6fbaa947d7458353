/**
 * Types of the Idl: the schema as data, and one mapped type that turns a schema `as const` into row types.
 * Shapes are those of RFC 7047 section 3.2, so a server's `get_schema` reply and our own schema module are the same type.
 *
 * One form a value:
 *
 * | column                     | read                       | written                                 |
 * |----------------------------|----------------------------|-----------------------------------------|
 * | exactly one                | `T`                        | `T`                                     |
 * | at most one                | `T \| undefined`           | `T \| undefined`                        |
 * | set                        | `ReadonlySet<T>`, ordered  | any iterable of `T`                     |
 * | map                        | `ReadonlyMap<K, V>`, ordered | a Map, or an object with string keys  |
 *
 * An integer or real is `number`, an integer past ±2^53 `bigint`; a UUID a lower-case string, branded with its table
 * when it is a reference ({@link Ref}) and looked up at use (`idl.row("Port", ref)`). `undefined` in an object written
 * to a map column leaves the key out.
 */

export type AtomicType = "integer" | "real" | "boolean" | "string" | "uuid";

export interface BaseTypeObject {
  readonly type: AtomicType;
  readonly enum?: unknown;
  readonly minInteger?: number;
  readonly maxInteger?: number;
  readonly minReal?: number;
  readonly maxReal?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly refTable?: string;
  readonly refType?: "strong" | "weak";
}

export type BaseType = AtomicType | BaseTypeObject;

export interface ColumnTypeObject {
  readonly key: BaseType;
  readonly value?: BaseType;
  readonly min?: number;
  readonly max?: number | "unlimited";
}

export type ColumnType = AtomicType | ColumnTypeObject;

export interface ColumnSchema {
  readonly type: ColumnType;
  readonly ephemeral?: boolean;
  readonly mutable?: boolean;
}

export interface TableSchema {
  readonly columns: Readonly<Record<string, ColumnSchema>>;
  readonly maxRows?: number;
  readonly isRoot?: boolean;
  readonly indexes?: readonly (readonly string[])[];
}

export interface DatabaseSchema {
  readonly name: string;
  readonly version: string;
  readonly cksum?: string;
  readonly tables: Readonly<Record<string, TableSchema>>;
}

/** `number` whenever it fits 53 bits and a sign, `bigint` past that. */
export type Integer = number | bigint;

/** UUID of a row of table `T`: a plain string at run time. */
export type Ref<T extends string = string> = string & { readonly __table?: T };

export type Atom = Integer | boolean | string;
export type Value = Atom | undefined | ReadonlySet<Atom> | ReadonlyMap<Atom, Atom>;

// One mapped type deep: an atom by its base type ...
type EnumOf<E> = E extends readonly ["set", readonly (infer V)[]] ? V : E;
type AtomOf<B> = B extends "integer"
  ? Integer
  : B extends "real"
    ? number
    : B extends "boolean"
      ? boolean
      : B extends "string" | "uuid"
        ? string
        : B extends { readonly refTable: infer T extends string }
          ? Ref<T>
          : B extends { readonly enum: infer E }
            ? EnumOf<E>
            : B extends { readonly type: "integer"; readonly maxInteger: number }
              ? number
              : B extends { readonly type: infer T extends AtomicType }
                ? AtomOf<T>
                : never;

/** ... a column as it is read by its type ... */
export type ValueOf<T> = T extends AtomicType
  ? AtomOf<T>
  : T extends { readonly key: infer K; readonly value: infer V }
    ? ReadonlyMap<AtomOf<K>, AtomOf<V>>
    : T extends { readonly key: infer K; readonly min: 0; readonly max: 1 }
      ? AtomOf<K> | undefined
      : T extends { readonly key: infer K; readonly max: 1 }
        ? AtomOf<K>
        : T extends { readonly key: infer K; readonly max: number | "unlimited" }
          ? ReadonlySet<AtomOf<K>>
          : T extends { readonly key: infer K; readonly min: 0 }
            ? AtomOf<K> | undefined
            : T extends { readonly key: infer K }
              ? AtomOf<K>
              : never;

/** ... as it is written ... */
export type WriteOf<T> =
  ValueOf<T> extends ReadonlyMap<infer K, infer V>
    ? ReadonlyMap<K, V> | { readonly [key: string]: V | undefined }
    : ValueOf<T> extends ReadonlySet<infer K>
      ? Iterable<K>
      : ValueOf<T>;

export type TableName<S extends DatabaseSchema> = keyof S["tables"] & string;
export type ColumnName<S extends DatabaseSchema, T extends TableName<S>> = keyof S["tables"][T]["columns"] &
  string;

/** ... and a row: an immutable snapshot. After a change the replica holds a new object under the same `_uuid`. */
export type Row<S extends DatabaseSchema = DatabaseSchema, T extends TableName<S> = TableName<S>> = {
  readonly _uuid: Ref<T>;
} & {
  readonly [C in ColumnName<S, T>]: ValueOf<S["tables"][T]["columns"][C]["type"]>;
};

/** Columns for an insert or update; those left out keep their default or value. */
export type RowWrite<S extends DatabaseSchema, T extends TableName<S>> = {
  readonly [C in ColumnName<S, T>]?: WriteOf<S["tables"][T]["columns"][C]["type"]> | undefined;
};

/** A row of the dynamic layer, whose schema is known at run time only. */
export interface DynamicRow {
  readonly _uuid: string;
  readonly [column: string]: Value;
}
