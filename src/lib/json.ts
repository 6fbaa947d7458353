/** JSON text with exact 64-bit integers: past ±2^53 they are bigint. */
export type Json =
  | null
  | boolean
  | number
  | bigint
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };
export type JsonObject = { readonly [key: string]: Json };

/** Throws JsonError. */
export function parseJson(text: string): Json {
  void text;
  throw new Error("not implemented");
}

export class JsonError extends Error {}

export interface JsonFormat {
  /** Indented by two spaces, one member a line. */
  pretty?: boolean;
  /** Members by name. */
  sort?: boolean;
}

/** As the original writes it: no spaces, "/" not escaped, control characters as \u00XX. */
export function formatJson(value: Json, format?: JsonFormat): string {
  void [value, format];
  throw new Error("not implemented");
}

/** Cuts a byte stream of JSON texts without delimiters into texts. */
export class JsonSplitter {
  /** Calls `text` for each whole value; throws JsonError on bytes that cannot begin one. */
  push(bytes: Uint8Array, text: (text: string) => void): void {
    void [bytes, text];
  }
}
