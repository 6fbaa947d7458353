/**
 * JSON values and their text as OVSDB needs it: integers past ±2^53 are `bigint`, objects are written with sorted
 * names where the original does so (error texts, schemas, log files).
 */

import type { Json, JsonObject } from "../lib/json.ts";

export type { Json, JsonObject };

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

export function isArray(json: Json | undefined): json is readonly Json[] {
  return Array.isArray(json);
}

const PLAIN = /^[ !#-[\]-~]*$/;

/** A JSON string literal. */
export function quote(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

/**
 * A real number as the original writes it: C's %.15g where that keeps the value. Deviation: the original always
 * writes 15 digits and so loses the last bits of a double; we write as many as are needed.
 */
export function realText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value === 0 ? 0 : value);
  let digits = value.toPrecision(15);
  if (Number(digits) !== value) digits = value.toPrecision(17);
  if (Number(digits) === value && digits.length > 17) {
    const shortest = String(value);
    if (!shortest.includes("e"))
      digits = Number(value.toPrecision(16)) === value ? value.toPrecision(16) : digits;
  }
  const [mantissa, exponent] = digits.toLowerCase().split("e") as [string, string | undefined];
  if (exponent !== undefined) return `${trimZeros(mantissa)}e${padExponent(Number(exponent))}`;
  const power = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)));
  if (power < -4) {
    const [m, e] = value.toExponential(significant(digits) - 1).split("e") as [string, string];
    return `${trimZeros(m)}e${padExponent(Number(e))}`;
  }
  return trimZeros(mantissa);
}

function significant(digits: string): number {
  return Math.max(1, digits.replace(/^-?0*\.?0*/, "").replace(".", "").length);
}

function trimZeros(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function padExponent(exponent: number): string {
  const digits = String(Math.abs(exponent));
  return (exponent < 0 ? "-" : "+") + (digits.length < 2 ? `0${digits}` : digits);
}

/** JSON text with the names of every object sorted. */
export function sortedText(json: Json): string {
  return write(json, true);
}

/** JSON text in the order of the objects. */
export function jsonText(json: Json): string {
  return write(json, false);
}

function write(json: Json, sorted: boolean): string {
  switch (typeof json) {
    case "string":
      return quote(json);
    case "number":
      return Number.isSafeInteger(json) ? String(json === 0 ? 0 : json) : realText(json);
    case "bigint":
    case "boolean":
      return String(json);
  }
  if (json === null) return "null";
  if (isArray(json)) return `[${json.map((item) => write(item, sorted)).join(",")}]`;
  const names = Object.keys(json);
  if (sorted) names.sort();
  return `{${names.map((name) => `${quote(name)}:${write(json[name]!, sorted)}`).join(",")}}`;
}
