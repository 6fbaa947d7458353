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
  let precision = 15;
  while (precision < 17 && Number(value.toPrecision(precision)) !== value) precision++;
  // JavaScript goes over to exponents below 1e-6, C below 1e-4.
  const digits = Math.abs(value) < 1e-4 ? value.toExponential(precision - 1) : value.toPrecision(precision);
  const [mantissa, exponent] = digits.split("e") as [string, string | undefined];
  return exponent === undefined
    ? trimZeros(mantissa)
    : `${trimZeros(mantissa)}e${padExponent(Number(exponent))}`;
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
