/** Pieces that all printers share: hex dumps, durations, bit names, counters. */
import type { Match } from "../../flow/match.ts";
import { formatMatch, type PortNames } from "../../flow/match-text.ts";
import { formatActions, type TableNames } from "../actions/registry.ts";
import type { Ofpact } from "../actions.ts";
import { type Duration, UNKNOWN64 } from "../messages.ts";
import { type Paint, paintActions, paintMatch } from "./colors.ts";

export interface PrintOptions {
  ports?: PortNames | undefined;
  tables?: TableNames | undefined;
  /** 0 terse … 3 with raw structures and packets in hex. */
  verbosity?: number;
  /** Undefined: no colors. */
  paint?: Paint | undefined;
  /** A match to use up for what is decoded to be printed. */
  scratch?: Match | undefined;
}

/** `match` as text; `priority` undefined leaves it out. */
export function matchText(match: Match, o: PrintOptions, priority?: number): string {
  const text = formatMatch(match, { ports: o.ports, priority });
  return o.paint === undefined ? text : paintMatch(text, o.paint);
}

export function actionsText(actions: readonly Ofpact[], o: PrintOptions): string {
  const text = formatActions(actions, o);
  return o.paint === undefined ? text : paintActions(text, o.paint);
}

/**
 * 16 bytes a line: offset, hex with a dash in the middle, and, with `ascii`, characters. `dash`: a line that ends in
 * the middle shows the dash, as log lines do.
 */
export function hexDump(bytes: Uint8Array, ascii: boolean, dash = true): string {
  let out = "";
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    let line = `${at.toString(16).padStart(8, "0")}  `;
    for (let i = 0; i < row.length; i++)
      line += row[i]!.toString(16).padStart(2, "0") + (i === 7 ? "-" : " ");
    if (ascii) {
      line = `${line.padEnd(58)}|`;
      for (let i = 0; i < 16; i++) {
        const c = row[i];
        line += c === undefined ? " " : c >= 32 && c < 127 ? String.fromCharCode(c) : ".";
      }
      line += "|";
    } else {
      line = line.trimEnd();
      if (!dash && line.endsWith("-")) line = line.slice(0, -1);
    }
    out += `${line}\n`;
  }
  return out;
}

/** "5s", "5.010s", "394.174990148s". */
export function duration(d: Duration): string {
  if (d.nsec === 0) return `${d.sec}s`;
  if (d.nsec % 1000000 === 0) return `${d.sec}.${String(d.nsec / 1000000).padStart(3, "0")}s`;
  return `${d.sec}.${String(d.nsec).padStart(9, "0").replace(/0+$/, "")}s`;
}

/** Names of the set bits, then what is left in hex; `none` for no bits. */
export function bitNames(
  bits: number,
  names: readonly (readonly [bit: number, name: string])[],
  none: string,
  sep = " ",
): string {
  if (bits === 0) return none;
  const parts: string[] = [];
  let rest = bits;
  for (const [bit, name] of names) {
    if ((bits & bit) === 0) continue;
    parts.push(name);
    rest &= ~bit;
  }
  if (rest !== 0) parts.push(`0x${(rest >>> 0).toString(16)}`);
  return parts.join(sep);
}

/** "?" for a counter that is not kept. */
export function counter(value: bigint): string {
  return value === UNKNOWN64 ? "?" : String(value);
}

export function hexNumber(value: number | bigint): string {
  return value === 0 || value === 0n ? "0" : `0x${value.toString(16)}`;
}

export const FLOW_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [1, "send_flow_rem"],
  [2, "check_overlap"],
  [8, "reset_counts"],
  [16, "no_packet_counts"],
  [32, "no_byte_counts"],
  [64, "allow_hidden_fields"],
  [128, "no_readonly_table"],
];
