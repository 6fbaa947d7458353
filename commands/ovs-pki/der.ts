/**
 * The little of DER (X.690) that keys and signatures need beside the X.509 library: values of one definite length, read
 * into their parts and written.
 */
import { Fatal } from "../../src/lib/errors.ts";

export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const OID = 0x06;
export const SEQUENCE = 0x30;

export interface DerValue {
  readonly tag: number;
  /** With tag and length. */
  readonly whole: Uint8Array;
  readonly body: Uint8Array;
}

/** The values that lie one behind the other in `bytes`, which the views returned share. Throws {@link Fatal}. */
export function readDer(bytes: Uint8Array): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes[at]!;
    let length = bytes[at + 1] ?? 0xff;
    let body = at + 2;
    if (length > 0x80 && length <= 0x84) {
      const count = length - 0x80;
      length = 0;
      for (let i = 0; i < count; i++) length = length * 256 + (bytes[body + i] ?? 0);
      body += count;
    } else if (length >= 0x80) throw new Fatal("malformed DER");
    const end = body + length;
    if (end > bytes.length) throw new Fatal("malformed DER");
    values.push({ tag, whole: bytes.subarray(at, end), body: bytes.subarray(body, end) });
    at = end;
  }
  return values;
}

/** The parts of the one SEQUENCE that is `bytes`. */
export function readSequence(bytes: Uint8Array): DerValue[] {
  const [outer, ...rest] = readDer(bytes);
  if (outer?.tag !== SEQUENCE || rest.length > 0) throw new Fatal("malformed DER");
  return readDer(outer.body);
}

export function readInteger(value: DerValue | undefined): bigint {
  if (value?.tag !== INTEGER || value.body.length === 0) throw new Fatal("malformed DER");
  return BigInt(`0x${Buffer.from(value.body).toString("hex")}`);
}

/** Dotted numbers of an OBJECT IDENTIFIER. */
export function readOid(value: DerValue | undefined): string {
  if (value?.tag !== OID || value.body.length === 0) throw new Fatal("malformed DER");
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of value.body) {
    arc = arc * 128 + (byte & 0x7f);
    if (byte & 0x80) continue;
    arcs.push(arc);
    arc = 0;
  }
  const [both = 0, ...rest] = arcs;
  const first = Math.min(2, Math.floor(both / 40));
  return [first, both - 40 * first, ...rest].join(".");
}

/** What a BIT STRING of whole bytes holds. */
export function readBits(value: DerValue | undefined): Uint8Array {
  if (value?.tag !== BIT_STRING || value.body[0] !== 0) throw new Fatal("malformed DER");
  return value.body.subarray(1);
}

export function writeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(parts);
  if (body.length < 0x80) return Buffer.concat([Uint8Array.of(tag, body.length), body]);
  const hex = body.length.toString(16);
  const length = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  return Buffer.concat([Uint8Array.of(tag, 0x80 + length.length), length, body]);
}

/** A positive integer. */
export function writeInteger(value: bigint): Uint8Array {
  let hex = value.toString(16);
  if (hex.length % 2 === 1) hex = `0${hex}`;
  // A first bit of 1 would make it negative.
  return writeDer(INTEGER, Buffer.from(hex[0]! >= "8" ? `00${hex}` : hex, "hex"));
}

/** DER between `-----BEGIN LABEL-----` lines, in lines of 64. */
export function writePem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}

/** The blocks of `label` in a file, which may hold other text. */
export function readPem(label: RegExp, text: string): Uint8Array[] {
  const blocks: Uint8Array[] = [];
  for (const [, name, , body] of text.matchAll(/-----BEGIN ([A-Z0-9 ]+)-----(\r?\n)([^-]*)-----END \1-----/g))
    if (label.test(name!)) blocks.push(Buffer.from(body!, "base64"));
  return blocks;
}
