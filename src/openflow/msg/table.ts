/** Switch description, tables: statistics, features, table_mod, description. Rows of the message registry. */
import { FIELDS } from "../../flow/fields/index.ts";
import { OfpError } from "../errors.ts";
import {
  type DescReply,
  OFP12,
  type TableDesc,
  type TableDescReply,
  type TableFeatures,
  type TableFeaturesMessage,
  type TableInstructions,
  type TableMod,
  type TableReply,
  type TableStats,
  type TableStatus,
} from "../messages.ts";
import { fieldHeader, readHeader, writeHeader } from "../oxm.ts";
import type { Reader, Writer } from "../wire.ts";
import { properties, property } from "./port.ts";
import { empty, type MessageRow, message, rows } from "./row.ts";

const descReply = rows<DescReply>(
  {
    name: "OFPST_DESC reply",
    type: "desc-reply",
    kind: "reply",
    decode: (r) => ({
      type: "desc-reply",
      manufacturer: r.text(256),
      hardware: r.text(256),
      software: r.text(256),
      serial: r.text(32),
      description: r.text(256),
    }),
    encode(m, w) {
      w.text(m.manufacturer, 256);
      w.text(m.hardware, 256);
      w.text(m.software, 256);
      w.text(m.serial, 32);
      w.text(m.description, 256);
    },
  },
  [0, 1, 6, 1056, 0],
);

export function emptyInstructions(): TableInstructions {
  return {
    next: [],
    instructions: [],
    writeActions: [],
    writeSetFields: [],
    applyActions: [],
    applySetFields: [],
  };
}

export function emptyFeatures(table: number, name: string): TableFeatures {
  return {
    table,
    name,
    metadataMatch: 0n,
    metadataWrite: 0n,
    missConfig: -1,
    eviction: undefined,
    vacancy: undefined,
    maxEntries: 0,
    nonmiss: emptyInstructions(),
    miss: emptyInstructions(),
    match: [],
    wildcard: [],
    mask: [],
    command: 0,
    stats: undefined,
  };
}

/** Actions by OpenFlow number, as table features name them: [1.1 bit, 1.3 type or 0xffff]. */
const ACTION_TYPES: readonly (readonly [of11: number, name: string])[] = [
  [0, "output"],
  [22, "group"],
  [25, "set_field"],
  [1, "set_vlan_vid"],
  [2, "set_vlan_pcp"],
  [18, "strip_vlan"],
  [17, "push_vlan"],
  [3, "mod_dl_src"],
  [4, "mod_dl_dst"],
  [5, "mod_nw_src"],
  [6, "mod_nw_dst"],
  [7, "mod_nw_tos"],
  [8, "mod_nw_ecn"],
  [23, "mod_nw_ttl"],
  [9, "mod_tp_src"],
  [10, "mod_tp_dst"],
  [24, "dec_ttl"],
  [13, "set_mpls_label"],
  [14, "set_mpls_tc"],
  [15, "set_mpls_ttl"],
  [16, "dec_mpls_ttl"],
  [19, "push_mpls"],
  [20, "pop_mpls"],
  [21, "set_queue"],
];

/** In the order of the list, for a bit map of OFPAT11. */
export function actionsFromBits(bits: number): string[] {
  return ACTION_TYPES.filter(([of11]) => (bits & (1 << of11)) !== 0).map(([, name]) => name);
}

export function actionsToBits(names: readonly string[]): number {
  let bits = 0;
  for (const [of11, name] of ACTION_TYPES) if (names.includes(name)) bits |= 1 << of11;
  return bits >>> 0;
}

const OF10_ACTIONS = [
  "output",
  "set_vlan_vid",
  "set_vlan_pcp",
  "strip_vlan",
  "mod_dl_src",
  "mod_dl_dst",
  "mod_nw_src",
  "mod_nw_dst",
  "mod_nw_tos",
  "mod_tp_src",
  "mod_tp_dst",
  "enqueue",
];

/** Names of OFPAT10 bits, in the order that 3.7 prints them. */
export function actionsFrom10(bits: number): string[] {
  const order = [
    "output",
    "enqueue",
    ...OF10_ACTIONS.filter((name) => name !== "output" && name !== "enqueue"),
  ];
  return order.filter((name) => (bits & (1 << OF10_ACTIONS.indexOf(name))) !== 0);
}

const INSTRUCTIONS: readonly (readonly [number: number, name: string])[] = [
  [6, "meter"],
  [4, "apply_actions"],
  [5, "clear_actions"],
  [3, "write_actions"],
  [2, "write_metadata"],
  [1, "goto_table"],
];

/** Names of OFPIT11 bits (bit = type). */
function instructionsFromBits(bits: number): string[] {
  return INSTRUCTIONS.filter(([number]) => (bits & (1 << number)) !== 0).map(([, name]) => name);
}

/** Field sets of 1.1's and 1.2's table statistics: 1.2 numbers fields as OXM, 64 bits. */
const OXM12_FIELDS = FIELDS.flatMap((field) => {
  const header = field.headers.find((h) => h.oxmClass === 0x8000 && h.ofVersion <= OFP12);
  return header === undefined ? [] : [{ name: field.name, bit: 1n << BigInt(header.number) }];
});

function fieldsFromOxmBits(bits: bigint): string[] {
  return OXM12_FIELDS.filter(({ bit }) => (bits & bit) !== 0n).map(({ name }) => name);
}

function fieldsToOxmBits(names: readonly string[]): bigint {
  return OXM12_FIELDS.reduce((bits, { name, bit }) => (names.includes(name) ? bits | bit : bits), 0n);
}

/** OFPFW10 and OFPFMF11 bits → field names. */
const OF10_WILDCARDS: readonly (readonly [mask: number, name: string])[] = [
  [0x1, "in_port"],
  [0x4, "eth_src"],
  [0x8, "eth_dst"],
  [0x10, "eth_type"],
  [0x2, "vlan_vid"],
  [0x100000, "vlan_pcp"],
  [0x3f00, "ip_src"],
  [0xfc000, "ip_dst"],
  [0x20, "nw_proto"],
  [0x200000, "nw_tos"],
  [0x40, "tcp_src"],
  [0x80, "tcp_dst"],
];

const OF11_FIELDS: readonly (readonly [bit: number, name: string])[] = [
  [15, "metadata"],
  [0, "in_port"],
  [11, "eth_src"],
  [12, "eth_dst"],
  [3, "eth_type"],
  [1, "vlan_vid"],
  [2, "vlan_pcp"],
  [8, "mpls_label"],
  [9, "mpls_tc"],
  [13, "ip_src"],
  [14, "ip_dst"],
  [5, "nw_proto"],
  [4, "nw_tos"],
  [6, "tcp_src"],
  [7, "tcp_dst"],
];

function readTable10(r: Reader): { stats: TableStats; features: TableFeatures } {
  const table = r.u8();
  r.skip(3);
  const f = emptyFeatures(table, r.text(32));
  const wildcards = r.u32();
  f.maxEntries = r.u32();
  f.match = OF10_WILDCARDS.filter(([mask]) => (wildcards & mask) !== 0).map(([, name]) => name);
  f.wildcard = f.match;
  const stats = { table, active: r.u32(), lookups: r.u64(), matched: r.u64() };
  f.stats = stats;
  return { stats, features: f };
}

function readTable11(r: Reader): { stats: TableStats; features: TableFeatures } {
  const table = r.u8();
  r.skip(7);
  const f = emptyFeatures(table, r.text(32));
  const wildcards = r.u32();
  const match = r.u32();
  f.wildcard = OF11_FIELDS.filter(([bit]) => (wildcards & (1 << bit)) !== 0).map(([, name]) => name);
  f.match = OF11_FIELDS.filter(([bit]) => (match & (1 << bit)) !== 0).map(([, name]) => name);
  f.nonmiss.instructions = instructionsFromBits(r.u32());
  f.nonmiss.writeActions = actionsFromBits(r.u32());
  f.nonmiss.applyActions = actionsFromBits(r.u32());
  f.miss = structuredClone(f.nonmiss);
  f.missConfig = r.u32();
  f.maxEntries = r.u32();
  const stats = { table, active: r.u32(), lookups: r.u64(), matched: r.u64() };
  f.stats = stats;
  return { stats, features: f };
}

function readTable12(r: Reader): { stats: TableStats; features: TableFeatures } {
  const table = r.u8();
  r.skip(7);
  const f = emptyFeatures(table, r.text(32));
  f.match = fieldsFromOxmBits(r.u64());
  f.wildcard = fieldsFromOxmBits(r.u64());
  f.nonmiss.writeActions = actionsFromBits(r.u32());
  f.nonmiss.applyActions = actionsFromBits(r.u32());
  f.nonmiss.writeSetFields = fieldsFromOxmBits(r.u64());
  f.nonmiss.applySetFields = fieldsFromOxmBits(r.u64());
  f.metadataMatch = r.u64();
  f.metadataWrite = r.u64();
  f.nonmiss.instructions = instructionsFromBits(r.u32());
  f.miss = structuredClone(f.nonmiss);
  f.missConfig = r.u32() & 3;
  f.maxEntries = r.u32();
  const stats = { table, active: r.u32(), lookups: r.u64(), matched: r.u64() };
  f.stats = stats;
  return { stats, features: f };
}

const tableReply = rows<TableReply>(
  {
    name: "OFPST_TABLE reply",
    type: "table-reply",
    kind: "reply",
    decode(r, version) {
      const tables: TableStats[] = [];
      if (version >= 4) {
        while (r.left > 0) {
          const table = r.u8();
          r.skip(3);
          tables.push({ table, active: r.u32(), lookups: r.u64(), matched: r.u64() });
        }
        return { type: "table-reply", tables, features: undefined };
      }
      const features: TableFeatures[] = [];
      const read = version === 1 ? readTable10 : version === 2 ? readTable11 : readTable12;
      while (r.left > 0) {
        const one = read(r);
        tables.push(one.stats);
        features.push(one.features);
      }
      return { type: "table-reply", tables, features };
    },
    encode(m, w, version) {
      for (const [i, t] of m.tables.entries()) {
        writeTableStats(w, t, m.features?.[i] ?? emptyFeatures(t.table, ""), version);
      }
    },
  },
  [3, 1, 1, 0, 64],
  [3, 2, 2, 0, 88],
  [3, 3, 3, 0, 128],
  [3, 4, 6, 0, 24],
);

function writeTableStats(w: Writer, t: TableStats, f: TableFeatures, version: number): void {
  w.u8(t.table);
  if (version >= 4) {
    w.zeros(3);
    w.u32(t.active);
    w.u64(t.lookups);
    w.u64(t.matched);
    return;
  }
  w.zeros(version === 1 ? 3 : 7);
  w.text(f.name, 32);
  const bits = (list: readonly { name: string }[] | readonly string[]): bigint =>
    fieldsToOxmBits(list as string[]);
  if (version === 1) {
    let wildcards = 0;
    for (const [mask, name] of OF10_WILDCARDS) if (f.wildcard.includes(name)) wildcards |= mask;
    w.u32(wildcards);
    w.u32(f.maxEntries);
  } else if (version === 2) {
    const of11 = (names: readonly string[]): number =>
      OF11_FIELDS.reduce((sum, [bit, name]) => (names.includes(name) ? sum | (1 << bit) : sum), 0) >>> 0;
    w.u32(of11(f.wildcard));
    w.u32(of11(f.match));
    w.u32(instructionBits(f.nonmiss.instructions));
    w.u32(actionsToBits(f.nonmiss.writeActions));
    w.u32(actionsToBits(f.nonmiss.applyActions));
    w.u32(Math.max(0, f.missConfig));
    w.u32(f.maxEntries);
  } else {
    w.u64(bits(f.match));
    w.u64(bits(f.wildcard));
    w.u32(actionsToBits(f.nonmiss.writeActions));
    w.u32(actionsToBits(f.nonmiss.applyActions));
    w.u64(bits(f.nonmiss.writeSetFields));
    w.u64(bits(f.nonmiss.applySetFields));
    w.u64(f.metadataMatch);
    w.u64(f.metadataWrite);
    w.u32(instructionBits(f.nonmiss.instructions));
    w.u32(Math.max(0, f.missConfig));
    w.u32(f.maxEntries);
  }
  w.u32(t.active);
  w.u64(t.lookups);
  w.u64(t.matched);
}

function instructionBits(names: readonly string[]): number {
  let bits = 0;
  for (const [number, name] of INSTRUCTIONS) if (names.includes(name)) bits |= 1 << number;
  return bits;
}

// Table features, 1.3 up.

const P = {
  instructions: 0,
  next: 2,
  writeActions: 4,
  applyActions: 6,
  match: 8,
  wildcards: 10,
  writeSet: 12,
  applySet: 14,
} as const;

function readTableFeatures(r: Reader, version: number): TableFeatures {
  r.need(64, "OFPTFFC_BAD_LEN");
  const start = r.pos;
  const length = r.u16();
  if (length < 64 || start + length > r.end) throw new OfpError("OFPTFFC_BAD_LEN");
  const f = emptyFeatures(r.u8(), "");
  const command = r.u8();
  f.command = version >= 6 ? command : 0;
  r.skip(4); // flags of 1.5
  f.name = r.text(32);
  f.metadataMatch = r.u64();
  f.metadataWrite = r.u64();
  const capabilities = r.u32();
  f.maxEntries = r.u32();
  if (version >= 5) {
    f.eviction = (capabilities & 4) !== 0;
    f.vacancy = (capabilities & 8) !== 0;
  } else f.missConfig = -1;
  const seen = new Set<number>();
  for (const { type, data } of properties(r.sub(start + length - r.pos))) {
    seen.add(type);
    const target = type & 1 ? f.miss : f.nonmiss;
    switch (type & ~1) {
      case P.instructions:
        target.instructions = readInstructionIds(data);
        break;
      case P.next:
        target.next = Array.from(data.take(data.left));
        break;
      case P.writeActions:
        target.writeActions = readActionIds(data);
        break;
      case P.applyActions:
        target.applyActions = readActionIds(data);
        break;
      case P.match:
        readFieldIds(data, f.match, f.mask);
        break;
      case P.wildcards:
        readFieldIds(data, f.wildcard, []);
        break;
      case P.writeSet:
        readFieldIds(data, target.writeSetFields, []);
        break;
      case P.applySet:
        readFieldIds(data, target.applySetFields, []);
        break;
    }
  }
  for (const [key, type] of [
    ["instructions", P.instructions],
    ["next", P.next],
    ["writeActions", P.writeActions],
    ["applyActions", P.applyActions],
    ["writeSetFields", P.writeSet],
    ["applySetFields", P.applySet],
  ] as const) {
    if (!seen.has(type | 1)) (f.miss as unknown as Record<string, unknown>)[key] = f.nonmiss[key];
  }
  return f;
}

function readInstructionIds(data: Reader): string[] {
  const found = new Set<number>();
  while (data.left >= 4) {
    const type = data.u16();
    const length = data.u16();
    if (length < 4 || data.left + 4 < length) throw new OfpError("OFPTFFC_BAD_LEN");
    data.skip(length - 4);
    found.add(type);
  }
  return INSTRUCTIONS.filter(([number]) => found.has(number)).map(([, name]) => name);
}

function readActionIds(data: Reader): string[] {
  let bits = 0;
  while (data.left >= 4) {
    const type = data.u16();
    const length = data.u16();
    if (length < 4 || data.left + 4 < length) throw new OfpError("OFPTFFC_BAD_LEN");
    data.skip(length - 4);
    if (type < 32) bits |= 1 << type;
  }
  return actionsFromBits(bits);
}

function readFieldIds(data: Reader, out: string[], masked: string[]): void {
  const found = new Map<string, boolean>();
  while (data.left >= 4) {
    const h = readHeader(data, "OFPTFFC_BAD_LEN");
    if (h.field === undefined) continue;
    found.set(h.field.name, h.masked);
  }
  for (const field of FIELDS) {
    const mask = found.get(field.name);
    if (mask === undefined) continue;
    if (!out.includes(field.name)) out.push(field.name);
    if (mask) masked.push(field.name);
  }
}

export function writeTableFeatures(w: Writer, f: TableFeatures, version: number): void {
  const start = w.pos;
  w.u16(0);
  w.u8(f.table);
  w.u8(version >= 6 ? f.command : 0);
  w.u32(0);
  w.text(f.name, 32);
  w.u64(f.metadataMatch);
  w.u64(f.metadataWrite);
  w.u32(version >= 5 ? (f.eviction ? 4 : 0) | (f.vacancy ? 8 : 0) : 3);
  w.u32(f.maxEntries);
  const both = (type: number, body: (t: TableInstructions) => void): void => {
    property(w, type, () => body(f.nonmiss));
    property(w, type | 1, () => body(f.miss));
  };
  both(P.instructions, (t) => {
    for (const [number, name] of [...INSTRUCTIONS].sort((a, b) => a[0] - b[0])) {
      if (!t.instructions.includes(name)) continue;
      w.u16(number);
      w.u16(4);
    }
  });
  both(P.next, (t) => w.put(Uint8Array.from(t.next)));
  both(P.writeActions, (t) => writeActionIds(w, t.writeActions));
  both(P.applyActions, (t) => writeActionIds(w, t.applyActions));
  property(w, P.match, () => writeFieldIds(w, f.match, f.mask, version));
  property(w, P.wildcards, () => writeFieldIds(w, f.wildcard, [], version));
  both(P.writeSet, (t) => writeFieldIds(w, t.writeSetFields, [], version));
  both(P.applySet, (t) => writeFieldIds(w, t.applySetFields, [], version));
  w.setU16(start, w.pos - start);
}

function writeActionIds(w: Writer, names: readonly string[]): void {
  const bits = actionsToBits(names);
  for (let type = 0; type < 32; type++) {
    if (!(bits & (1 << type))) continue;
    w.u16(type);
    w.u16(4);
  }
}

function writeFieldIds(
  w: Writer,
  names: readonly string[],
  masked: readonly string[],
  version: number,
): void {
  for (const field of FIELDS) {
    if (!names.includes(field.name)) continue;
    // A field of older versions only (vlan_tci) keeps its old header: a list of names loses nothing.
    const header = fieldHeader(field, version) ?? field.headers[0];
    if (header !== undefined) writeHeader(w, header, field.bytes, masked.includes(field.name));
  }
}

const features = (kind: "request" | "reply"): MessageRow =>
  message<TableFeaturesMessage>({
    name: `OFPST_TABLE_FEATURES ${kind}`,
    type: `table-features-${kind}`,
    kind,
    number: 12,
    first: 4,
    last: 6,
    min: 0,
    unit: 1,
    decode(r, version) {
      const tables: TableFeatures[] = [];
      while (r.left > 0) tables.push(readTableFeatures(r, version));
      return { type: `table-features-${kind}`, tables };
    },
    encode(m, w, version) {
      for (const f of m.tables) writeTableFeatures(w, f, version);
    },
  });

const tableMod = rows<TableMod>(
  {
    name: "OFPT_TABLE_MOD",
    type: "table-mod",
    kind: "msg",
    decode(r, version) {
      const table = r.u8();
      r.skip(3);
      const config = r.u32();
      const m: TableMod = {
        type: "table-mod",
        table,
        miss: version < 4 ? config & 3 : -1,
        eviction: undefined,
        evictionFlags: 0xffffffff,
        vacancy: undefined,
        vacancyDown: 0,
        vacancyUp: 0,
      };
      if (version >= 5) {
        m.eviction = (config & 4) !== 0;
        m.vacancy = (config & 8) !== 0;
        readTableProps(r, m);
      }
      return m;
    },
    encode(m, w, version) {
      w.u8(m.table);
      w.zeros(3);
      if (version < 5) {
        w.u32(version < 4 ? Math.max(0, m.miss) : 0);
        return;
      }
      w.u32((m.eviction ? 4 : 0) | (m.vacancy ? 8 : 0));
      if (m.evictionFlags !== 0xffffffff) property(w, 2, () => w.u32(m.evictionFlags));
      if (m.vacancy) {
        property(w, 3, () => {
          w.u8(m.vacancyDown);
          w.u8(m.vacancyUp);
          w.u16(0);
        });
      }
    },
  },
  [17, 2, 4, 8, 0],
  [17, 5, 6, 8, 1],
);

function readTableProps(
  r: Reader,
  m: { evictionFlags: number; vacancyDown: number; vacancyUp: number; vacancyNow?: number },
): void {
  for (const { type, data } of properties(r.sub(r.left))) {
    if (type === 2) {
      data.need(4, "OFPBPC_BAD_LEN");
      m.evictionFlags = data.u32();
    } else if (type === 3) {
      data.need(3, "OFPBPC_BAD_LEN");
      m.vacancyDown = data.u8();
      m.vacancyUp = data.u8();
      if (m.vacancyNow !== undefined) m.vacancyNow = data.u8();
      if (m.vacancyUp < m.vacancyDown) throw new OfpError("OFPBPC_BAD_VALUE");
    } else throw new OfpError("OFPBPC_BAD_TYPE");
  }
}

function readTableDesc(r: Reader): TableDesc {
  r.need(8, "OFPBRC_BAD_LEN");
  const length = r.u16();
  if (length < 8 || r.left + 2 < length) throw new OfpError("OFPBRC_BAD_LEN");
  const body = r.sub(length - 2);
  const table = body.u8();
  body.skip(1);
  const config = body.u32();
  const d: TableDesc = {
    table,
    eviction: (config & 4) !== 0,
    evictionFlags: 0,
    vacancy: (config & 8) !== 0,
    vacancyDown: 0,
    vacancyUp: 0,
    vacancyNow: 0,
  };
  readTableProps(body, d);
  return d;
}

function writeTableDesc(w: Writer, d: TableDesc): void {
  const start = w.pos;
  w.u16(0);
  w.u8(d.table);
  w.u8(0);
  w.u32((d.eviction ? 4 : 0) | (d.vacancy ? 8 : 0));
  property(w, 2, () => w.u32(d.evictionFlags));
  property(w, 3, () => {
    w.u8(d.vacancyDown);
    w.u8(d.vacancyUp);
    w.u8(d.vacancyNow);
    w.u8(0);
  });
  w.setU16(start, w.pos - start);
}

const tableDesc = message<TableDescReply>({
  name: "OFPST_TABLE_DESC reply",
  type: "table-desc-reply",
  kind: "reply",
  number: 14,
  first: 5,
  last: 6,
  min: 0,
  unit: 1,
  decode(r) {
    const tables: TableDesc[] = [];
    while (r.left > 0) tables.push(readTableDesc(r));
    return { type: "table-desc-reply", tables };
  },
  encode(m, w) {
    for (const d of m.tables) writeTableDesc(w, d);
  },
});

const tableStatus = message<TableStatus>({
  name: "OFPT_TABLE_STATUS",
  type: "table-status",
  kind: "msg",
  number: 31,
  first: 5,
  last: 6,
  min: 8,
  unit: 1,
  decode(r) {
    const reason = r.u8();
    r.skip(7);
    if (reason !== 3 && reason !== 4) throw new OfpError("OFPBPC_BAD_VALUE");
    return { type: "table-status", reason, table: readTableDesc(r) };
  },
  encode(m, w) {
    w.u8(m.reason);
    w.zeros(7);
    writeTableDesc(w, m.table);
  },
});

export const TABLE_ROWS: readonly MessageRow[] = [
  ...empty("OFPST_DESC request", "desc-request", "request", [0, 1, 6]),
  ...descReply,
  ...empty("OFPST_TABLE request", "table-request", "request", [3, 1, 6]),
  ...tableReply,
  features("request"),
  features("reply"),
  ...tableMod,
  ...empty("OFPST_TABLE_DESC request", "table-desc-request", "request", [14, 5, 6]),
  tableDesc,
  tableStatus,
];
