/**
 * SHA-1 (FIPS 180-4), which database files carry for every record. By the engine's own function: node:crypto, which
 * stands in where that is missing (tests under Node), takes 15 ms to load, half of what an empty server starts in.
 */

const crypto = (): typeof import("node:crypto") => process.getBuiltinModule("node:crypto");

/** 40 hexadecimal digits. */
export const sha1: (bytes: Uint8Array) => string =
  typeof Bun === "undefined"
    ? (bytes) => crypto().hash("sha1", bytes, "hex")
    : (bytes) => Bun.SHA1.hash(bytes as Uint8Array<ArrayBuffer>, "hex");

/** The same of bytes that come in pieces. */
export interface Sha1 {
  update(bytes: Uint8Array): unknown;
  /** Once, at the end. */
  digest(form: "hex"): string;
}

export function newSha1(): Sha1 {
  return typeof Bun === "undefined" ? crypto().createHash("sha1") : new Bun.CryptoHasher("sha1");
}
