/** The codec as connections use it. */
import type { OfpError } from "../../openflow/errors.ts";
import type { Decoded, Message, Version } from "../../openflow/messages.ts";

interface Codec {
  decode(bytes: Uint8Array): { ok: true; decoded: Decoded } | { ok: false; error: OfpError };
  encode(message: Message, version: Version, xid: number, more?: boolean): Uint8Array;
}

const path = "../../openflow/codec.ts";
const codec: Codec | undefined = await import(path).catch(() => undefined);

export function decode(bytes: Uint8Array): ReturnType<Codec["decode"]> {
  return codec!.decode(bytes);
}

export function encode(message: Message, version: Version, xid: number, more = false): Uint8Array {
  return codec!.encode(message, version, xid, more);
}
