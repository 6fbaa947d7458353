/**
 * Flow protocols: an OpenFlow version with a way to write matches (upstream: ofp-protocol). A set of them is a bit
 * mask; what a flow uses narrows the set of those that can carry it.
 */
import { Fatal } from "../lib/errors.ts";
import type { Version } from "./messages.ts";

export const P_OF10_STD = 1;
export const P_OF10_STD_TID = 2;
export const P_OF10_NXM = 4;
export const P_OF10_NXM_TID = 8;
export const P_OF11_STD = 16;
export const P_OF12_OXM = 32;
export const P_OF13_OXM = 64;
export const P_OF14_OXM = 128;
export const P_OF15_OXM = 256;
export const P_ANY = 511;
export const USABLE_NXM_OXM = P_ANY & ~(P_OF10_STD | P_OF10_STD_TID | P_OF11_STD);
export const USABLE_11_UP = P_ANY & ~15;
export const USABLE_12_UP = USABLE_11_UP & ~P_OF11_STD;
export const USABLE_13_UP = USABLE_12_UP & ~P_OF12_OXM;
export const USABLE_14_UP = P_OF14_OXM | P_OF15_OXM;
export const USABLE_OF10 = 15;
/** Those that name a table in each flow_mod. */
export const USABLE_TID = P_ANY & ~(P_OF10_STD | P_OF10_NXM);

const NAMES: readonly (readonly [bit: number, name: string])[] = [
  [P_OF10_STD, "OpenFlow10-table_id"],
  [P_OF10_STD_TID, "OpenFlow10+table_id"],
  [P_OF10_NXM, "NXM-table_id"],
  [P_OF10_NXM_TID, "NXM+table_id"],
  [P_OF11_STD, "OpenFlow11"],
  [P_OF12_OXM, "OXM-OpenFlow12"],
  [P_OF13_OXM, "OXM-OpenFlow13"],
  [P_OF14_OXM, "OXM-OpenFlow14"],
  [P_OF15_OXM, "OXM-OpenFlow15"],
];

const SETS: readonly (readonly [bits: number, name: string])[] = [
  [P_ANY, "any"],
  [P_OF10_STD | P_OF10_STD_TID, "OpenFlow10"],
  [P_OF10_NXM | P_OF10_NXM_TID, "NXM"],
  [P_OF12_OXM | P_OF13_OXM | P_OF14_OXM | P_OF15_OXM, "OXM"],
];

/** "any", "OpenFlow10,NXM", ... ; "none" for the empty set. */
export function protocolsText(set: number): string {
  if (set === 0) return "none";
  const parts: string[] = [];
  while (set !== 0) {
    const group = SETS.find(([bits]) => (set & bits) === bits);
    if (group !== undefined) {
      parts.push(group[1]);
      set &= ~group[0];
      continue;
    }
    const low = set & -set;
    parts.push(NAMES.find(([bit]) => bit === low)?.[1] ?? String(low));
    set &= ~low;
  }
  return parts.join(",");
}

/** Comma-separated names → set; undefined for an unknown name. */
export function protocolsFromText(text: string): number | undefined {
  let set = 0;
  for (const word of text.split(",")) {
    const lower = word.toLowerCase();
    const found =
      NAMES.find(([, name]) => name.toLowerCase() === lower) ??
      SETS.find(([, name]) => name.toLowerCase() === lower);
    if (found === undefined) return undefined;
    set |= found[0];
  }
  return set;
}

export function protocolName(bit: number): string {
  return NAMES.find(([b]) => b === bit)?.[1] ?? "unknown";
}

export function protocolVersion(bit: number): Version {
  return bit <= P_OF10_NXM_TID ? 1 : bit === P_OF11_STD ? 2 : ((29 - Math.clz32(bit)) as Version);
}

/** The protocols of a version. */
export function versionProtocols(version: number): number {
  return version === 1 ? USABLE_OF10 : version <= 6 ? 1 << (version + 2) : 0;
}

export const VERSION_NAMES: readonly string[] = [
  "",
  "OpenFlow10",
  "OpenFlow11",
  "OpenFlow12",
  "OpenFlow13",
  "OpenFlow14",
  "OpenFlow15",
];

const VERSION_ALIASES: Readonly<Record<string, number>> = Object.fromEntries(
  VERSION_NAMES.flatMap((name, v) =>
    v === 0
      ? []
      : [
          [name.toLowerCase(), v],
          [`openflow1.${v - 1}`, v],
          [name, v],
        ],
  ),
);

export function versionByName(name: string): Version | undefined {
  return (
    (VERSION_ALIASES[name] as Version | undefined) ??
    (VERSION_ALIASES[name.toLowerCase()] as Version | undefined)
  );
}

/** The argument of `-O`: names apart by commas or blanks. A set with bit `1 << version` for each; Fatal names a wrong one. */
export function versionsFromText(text: string): number {
  let bits = 0;
  for (const word of text.split(/[ ,]+/)) {
    if (word === "") continue;
    const version = versionByName(word);
    if (version === undefined) throw new Fatal(`Unknown OpenFlow version: "${word}"`);
    bits |= 1 << version;
  }
  return bits;
}
