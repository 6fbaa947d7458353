/**
 * Columns of a schema that is part of this program, made without the checks that a schema from elsewhere needs
 * (schema.ts): the compiler has made them, and cold they cost a short-lived client a third of its time.
 */
import { type Atom, compareAtoms } from "./atom.ts";
import type * as Json from "./idl-types.ts";
import type { Column } from "./schema.ts";
import type { BaseType, ColumnType } from "./type.ts";

export function ownColumn(name: string, json: Json.ColumnSchema, index: number): Column {
  const { mutable = true, ephemeral = false } = json;
  return { name, type: ownType(json.type), mutable, ephemeral, index };
}

function ownType(json: Json.ColumnType): ColumnType {
  if (typeof json === "string") return { key: ownBase(json), value: undefined, min: 1, max: 1 };
  const { key, value, min = 1, max = 1 } = json;
  return {
    key: ownBase(key),
    value: value === undefined ? undefined : ownBase(value),
    min: min as 0 | 1,
    max: max === "unlimited" ? Number.POSITIVE_INFINITY : max,
  };
}

function ownBase(json: Json.BaseType): BaseType {
  if (typeof json === "string") {
    return {
      type: json,
      enum: undefined,
      min: undefined,
      max: undefined,
      refTable: undefined,
      refType: undefined,
    };
  }
  const { type, refTable } = json;
  return {
    type,
    enum: json.enum === undefined ? undefined : ownEnum(json.enum),
    min: json.minInteger ?? json.minReal ?? json.minLength,
    max: json.maxInteger ?? json.maxReal ?? json.maxLength,
    refTable,
    refType: refTable === undefined ? undefined : (json.refType ?? "strong"),
  };
}

function ownEnum(json: unknown): readonly Atom[] {
  const choices = Array.isArray(json) && json[0] === "set" ? (json[1] as readonly Atom[]) : [json as Atom];
  return [...choices].sort(compareAtoms);
}
