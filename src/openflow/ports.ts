/** OpenFlow port numbers: 16 bits in the switch and in 1.0, 32 on the wire from 1.1; reserved names; text. */

import { scanNumber } from "../flow/match-plain.ts";
import type { PortNames } from "../flow/match-text.ts";
import { OFPP_MAX, OFPP_NONE, type OfpPort } from "./actions.ts";
import { OfpError } from "./errors.ts";
import type { Reader, Writer } from "./wire.ts";

export { parsePort } from "../flow/match-text.ts";

const OFPP11_OFFSET = 0xffff0000;

const RESERVED: Readonly<Record<number, string>> = {
  65527: "UNSET",
  65528: "IN_PORT",
  65529: "TABLE",
  65530: "NORMAL",
  65531: "FLOOD",
  65532: "ALL",
  65533: "CONTROLLER",
  65534: "LOCAL",
  65535: "ANY",
};
const byReservedName = new Map<string, number>([["NONE", OFPP_NONE]]);
for (const [port, name] of Object.entries(RESERVED)) byReservedName.set(name, Number(port));

/** From 32 bits of 1.1 and later; throws OFPBAC_BAD_OUT_PORT for numbers that no port of ours can have. */
export function portFromWire(port: number, error = "OFPBAC_BAD_OUT_PORT"): OfpPort {
  if (port < OFPP_MAX) return port;
  if (port >= 0xffffff00) return port - OFPP11_OFFSET;
  throw new OfpError(
    error,
    `port ${port} is outside the supported range 0 through ${OFPP_MAX - 1} or 0x${(0xffffff00).toString(16)} through 0x${(0xffffffff).toString(16)}`,
    "ofp_port",
  );
}

export function portToWire(port: OfpPort): number {
  return port < OFPP_MAX ? port : port + OFPP11_OFFSET;
}

export function readPort(r: Reader, version: number, error?: string): OfpPort {
  return version === 1 ? r.u16() : portFromWire(r.u32(), error);
}

export function writePort(w: Writer, port: OfpPort, version: number): void {
  if (version === 1) w.u16(port);
  else w.u32(portToWire(port));
}

/** A JSON string when the name could be taken for something else. */
export function quoteName(name: string): string {
  return /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !byReservedName.has(name.toUpperCase())
    ? name
    : JSON.stringify(name);
}

export function formatPort(port: OfpPort, ports?: PortNames): string {
  if (port < OFPP_MAX || port >= 0x10000) {
    const name = ports?.nameOf(port);
    return name === undefined ? String(port) : quoteName(name);
  }
  return RESERVED[port] ?? String(port);
}

/** For messages: `3` or, reserved, `LOCAL`. */
export function portName(port: OfpPort): string {
  return RESERVED[port] ?? String(port);
}

/** strtoul with base 0: decimal, 0x hexadecimal, 0 octal; undefined when not wholly a number. */
export function parseUint(text: string): number | undefined {
  const plain = scanNumber(text, 0, text.length);
  if (plain >= 0) return plain;
  if (/^[1-9][0-9]*$/.test(text)) return Number(text);
  if (/^0[xX][0-9a-fA-F]+$/.test(text)) return Number.parseInt(text.slice(2), 16);
  return /^0[0-7]*$/.test(text) ? Number.parseInt(text, 8) : undefined;
}
