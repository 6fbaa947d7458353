/**
 * The registry: {@link FIELDS} built from the rows, with look-up by name, alias, OXM name and wire header.
 * Everything that knows match fields (text, codecs, set_field, wildcards, manual page) asks here.
 */
import { W_REG0 } from "../layout.ts";
import { HEADER_ROWS, METADATA_ROWS, TUNNEL_ROWS } from "./rows.ts";
import type { Field, FieldHeader, FieldRow, Place } from "./types.ts";

export const EXPERIMENTER_CLASS = 0xffff;
export const NX_EXPERIMENTER = 0x00002320;
export const ONF_EXPERIMENTER = 0x4f4e4600;
export const NSH_EXPERIMENTER = 0x005ad650;

/** Prefix of an OXM name → its class and experimenter. */
const CLASSES: readonly (readonly [prefix: string, oxmClass: number, experimenter: number])[] = [
  ["NXM_OF_", 0x0000, 0],
  ["NXM_NX_", 0x0001, 0],
  ["OXM_OF_PKT_REG", 0x8001, 0],
  ["OXM_OF_", 0x8000, 0],
  ["ONFOXM_ET_", EXPERIMENTER_CLASS, ONF_EXPERIMENTER],
  ["NXOXM_ET_", EXPERIMENTER_CLASS, NX_EXPERIMENTER],
  ["NXOXM_NSH_", EXPERIMENTER_CLASS, NSH_EXPERIMENTER],
  ["ERICOXM_OF_", 0x1000, 0],
];

function header(text: string): FieldHeader {
  const [name, number, of, since] = text.split(" ") as [string, string, string, string];
  const found = CLASSES.find(([prefix]) => name.startsWith(prefix))!;
  return {
    name,
    oxmClass: found[1],
    number: Number(number),
    experimenter: found[2],
    ofVersion: of === "-" ? 0 : Number(of.slice(2)) + 1,
    since,
  };
}

function field(row: FieldRow, id: number): Field {
  const [word, shift, width] = row.at[0] ?? [0, 0, 0];
  const indexed = /^(?:x{0,2}reg|tun_metadata)(\d+)$/.exec(row.name);
  return {
    id,
    name: row.name,
    alias: row.alias,
    bytes: row.bytes,
    bits: row.bits,
    format: row.format,
    maskable: row.masks !== "none",
    prereq: row.needs ?? "none",
    writable: row.writable ?? false,
    onesOnly: row.onesOnly ?? false,
    of10: row.of10 ?? "no",
    of11: row.of11 ?? "no",
    headers: (row.headers ?? []).map(header),
    places: row.at,
    word,
    shift,
    wordBits: width === 32 ? -1 : ((1 << width) - 1) << shift,
    index: indexed ? Number(indexed[1]) : -1,
    isRegister: indexed !== null && !row.name.startsWith("tun"),
    isTunMetadata: indexed !== null && row.name.startsWith("tun"),
  };
}

function tunMetadataRow(n: number): FieldRow {
  const headers = [`NXM_NX_TUN_METADATA${n} ${40 + n} - 2.5`];
  return {
    name: `tun_metadata${n}`,
    bytes: 124,
    bits: 992,
    format: "hex",
    masks: "any",
    writable: true,
    headers,
    at: [],
  };
}

/** reg (1 word), xreg (2) or xxreg (4). */
function registerRow(prefix: string, words: number, n: number): FieldRow {
  const at: Place[] = [];
  for (let word = 0; word < words; word++) at.push([W_REG0 + n * words + word, 0, 32]);
  const headers = [
    words === 1
      ? wordRegisterHeader(n)
      : words === 2
        ? `OXM_OF_PKT_REG${n} ${n} 1.3 ${n < 4 ? "2.4" : n < 8 ? "2.6" : "3.7"}`
        : n < 4
          ? `NXM_NX_XXREG${n} ${111 + n} - 2.6`
          : `NXOXM_ET_XXREG${n} ${29 + n} - 3.7`,
  ];
  return {
    name: `${prefix}${n}`,
    bytes: words * 4,
    bits: words * 32,
    format: "hex",
    masks: "any",
    writable: true,
    headers,
    at,
  };
}

/** The NXM_NX class ran short of numbers: registers from 16 on are experimenter fields. */
function wordRegisterHeader(n: number): string {
  if (n >= 16) return `NXOXM_ET_REG${n} ${n + 1} - 3.7`;
  const since = n < 4 ? "1.1" : n === 4 ? "1.3" : n < 8 ? "1.7" : "2.6";
  return `NXM_NX_REG${n} ${n} - ${since}`;
}

function build(): Field[] {
  const rows: FieldRow[] = [...TUNNEL_ROWS];
  for (let n = 0; n < 64; n++) rows.push(tunMetadataRow(n));
  rows.push(...METADATA_ROWS);
  for (let n = 0; n < 32; n++) rows.push(registerRow("reg", 1, n));
  for (let n = 0; n < 16; n++) rows.push(registerRow("xreg", 2, n));
  for (let n = 0; n < 8; n++) rows.push(registerRow("xxreg", 4, n));
  rows.push(...HEADER_ROWS);
  return rows.map(field);
}

/** All fields, indexed by `Field.id`. */
export const FIELDS: readonly Field[] = build();

const byName = new Map<string, Field>();
const byOxmName = new Map<string, { field: Field; header: FieldHeader }>();
const byHeader = new Map<string, { field: Field; header: FieldHeader }>();
for (const field of FIELDS) {
  byName.set(field.name, field);
  if (field.alias !== undefined) byName.set(field.alias, field);
  for (const header of field.headers) {
    byOxmName.set(header.name, { field, header });
    byHeader.set(headerKey(header.oxmClass, header.number, header.experimenter), { field, header });
  }
}

function headerKey(oxmClass: number, number: number, experimenter: number): string {
  return `${oxmClass}.${number}.${experimenter}`;
}

/** By name or alias ("nw_src", "ip_src"). Not by OXM name. */
export function fieldByName(name: string): Field | undefined {
  return byName.get(name);
}

/** For names known to exist; throws otherwise. */
export function mustField(name: string): Field {
  const field = byName.get(name);
  if (field === undefined) throw new Error(`no such field: ${name}`);
  return field;
}

/** By the name of an NXM or OXM header, "NXM_OF_ETH_SRC". */
export function fieldByOxmName(name: string): { field: Field; header: FieldHeader } | undefined {
  return byOxmName.get(name);
}

/** By wire header; `experimenter` 0 unless the class is 0xffff. */
export function fieldByHeader(
  oxmClass: number,
  number: number,
  experimenter: number,
): { field: Field; header: FieldHeader } | undefined {
  return byHeader.get(headerKey(oxmClass, number, experimenter));
}

/**
 * The header to write for a field when speaking wire version `version` (1 … 6): the newest standard one that this
 * version has, else the extension. NXM (Nicira flow format on OpenFlow 1.0) is version 0: extensions are preferred.
 */
export function headerFor(field: Field, version: number): FieldHeader | undefined {
  let best: FieldHeader | undefined;
  for (const header of field.headers) {
    if (header.ofVersion > version) continue;
    if (best === undefined || header.ofVersion > best.ofVersion) best = header;
  }
  return best ?? field.headers[0];
}
