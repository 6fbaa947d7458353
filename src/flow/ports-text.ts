/** OpenFlow port numbers (16 bits inside, as in OpenFlow 1.0) and their names. */
import { vlog } from "../lib/vlog.ts";
import { scanDecimal } from "./match-plain.ts";

const log = vlog("ofp_port");

/** Names of ports, in both directions; absent names fall back to numbers and reserved names. */
export interface PortNames {
  numberOf(name: string): number | undefined;
  nameOf(port: number): string | undefined;
}

/** Reserved ports by name. NONE is another name of ANY. */
export const RESERVED_PORTS: readonly (readonly [name: string, port: number])[] = [
  ["UNSET", 0xfff7],
  ["IN_PORT", 0xfff8],
  ["TABLE", 0xfff9],
  ["NORMAL", 0xfffa],
  ["FLOOD", 0xfffb],
  ["ALL", 0xfffc],
  ["CONTROLLER", 0xfffd],
  ["LOCAL", 0xfffe],
  ["ANY", 0xffff],
];

const FIRST_RESERVED = 0xfff7;
/** First number of 1.0 that no port can have; on the wire of 1.1 it and those above are OFPP11_OFFSET further up. */
const OFPP_MAX = 0xff00;
const OFPP11_OFFSET = 0xffff0000;

/** A port by its number, of 1.0 or of 1.1; numbers that mean different things there are logged. */
function portNumbered(number: number): number | undefined {
  if (number < OFPP_MAX) return number;
  if (number <= 0xffff) {
    const reserved = RESERVED_PORTS.find(([, port]) => port === number);
    if (reserved !== undefined) {
      log.warn(
        `referring to port ${reserved[0]} as ${number} is deprecated for compatibility with OpenFlow 1.1 and later`,
      );
    } else {
      log.warn(
        `port ${number} is a reserved OF1.0 port number that will be translated to ${number + OFPP11_OFFSET} when talking to an OF1.1 or later controller`,
      );
    }
    return number;
  }
  if (number > 0xffffffff) return undefined;
  if (number >= OFPP_MAX + OFPP11_OFFSET) return number - OFPP11_OFFSET;
  // The original says the end of the range in hexadecimal, without a prefix.
  log.warn(`port ${number} is outside the supported range 0 through ffff or 0xffffff00 through 0xffffffff`);
  return undefined;
}

/** A decimal number, a reserved name in any case, or the name of a port (quoted as JSON when it is no plain word). */
export function parsePort(text: string, ports?: PortNames): number | undefined {
  const plain = scanDecimal(text, 0, text.length);
  if (plain >= 0 && plain < OFPP_MAX) return plain;
  if (/^\+?\d+$/.test(text)) return portNumbered(Number(text));
  if (/^-\d+$/.test(text)) {
    log.warn(`Negative value ${text} is not a valid port number.`);
    return undefined;
  }
  const upper = text.toUpperCase();
  if (upper === "NONE") return 0xffff;
  const reserved = RESERVED_PORTS.find(([name]) => name === upper);
  if (reserved !== undefined) return reserved[1];
  if (ports === undefined) return undefined;
  if (text.startsWith('"')) {
    try {
      return ports.numberOf(JSON.parse(text) as string);
    } catch {
      return undefined;
    }
  }
  return ports.numberOf(text);
}

export function formatPort(port: number, ports?: PortNames): string {
  const known = ports?.nameOf(port);
  if (port >= FIRST_RESERVED) {
    const reserved = RESERVED_PORTS.find(([, number]) => number === port);
    if (reserved !== undefined) return reserved[0];
  }
  return known === undefined ? String(port) : quotePortName(known);
}

/** As it is when it is a plain word that is not taken for a number or a reserved port, else quoted as JSON. */
export function quotePortName(name: string): string {
  const plain = /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name);
  return plain && parsePort(name) === undefined ? name : JSON.stringify(name);
}

/** Decimal, 0x hexadecimal or 0 octal with optional sign, as strtoull(3) with base 0 reads a whole text. */
export function parseInteger(text: string): bigint | undefined {
  const parts = /^([+-]?)(0[xX][0-9a-fA-F]*|\d+)$/.exec(text);
  if (parts === null) return undefined;
  const digits = parts[2]!;
  let value: bigint;
  if (/^0x$/i.test(digits)) value = 0n;
  else if (/^0[0-7]+$/.test(digits)) value = BigInt(`0o${digits.slice(1)}`);
  else if (/^0\d+$/.test(digits)) return undefined;
  else value = BigInt(digits);
  return parts[1] === "-" ? BigInt.asUintN(64, -value) : value;
}
