/** Tables: statistics, features, descriptions, configuration. */
import { FIELDS } from "../../flow/fields/index.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { TableFeatures, TableInstructions, TableMod, TableStats } from "../../openflow/messages.ts";
import { type Connection, ROLE_SECONDARY } from "../connections/connection.ts";
import { describeTable, type FlowTable, N_TABLES, OFPTMPEF_ALL, TBL_INTERNAL } from "../flow-table.ts";
import type { Handlers } from "./dispatch.ts";

const MAX_ENTRIES = 1_000_000;
/** OFPXMC_OPENFLOW_BASIC. */
const OXM_BASIC = 0x8000;
/** One table's features are some kilobytes, a message has 64. */
const TABLES_A_MESSAGE = 10;
const UNSPECIFIED_FLAGS = 0xffffffff;
// ofp_table_features_command.
const REPLACE = 0;
const ENABLE = 2;
const DISABLE = 3;
const INSTRUCTIONS = [
  "meter",
  "apply_actions",
  "clear_actions",
  "write_actions",
  "write_metadata",
  "goto_table",
] as const;

function shown(connection: Connection): FlowTable[] {
  return connection.ofproto.tables.filter((table) => table.id !== TBL_INTERNAL);
}

function stats(table: FlowTable): TableStats {
  return {
    table: table.id,
    active: table.shown,
    lookups: BigInt(table.matched + table.missed),
    matched: BigInt(table.matched),
  };
}

const ACTIONS = [
  "output",
  "group",
  "set_field",
  "strip_vlan",
  "push_vlan",
  "mod_nw_ttl",
  "dec_ttl",
  "set_mpls_ttl",
  "dec_mpls_ttl",
  "push_mpls",
  "pop_mpls",
  "set_queue",
];

interface FieldLists {
  match: string[];
  mask: string[];
  writable: string[];
}

/** By wire version; the same for every table. */
const fieldLists = new Map<number, FieldLists>();

/** OpenFlow 1.2 speaks of its own fields only, by bits; later versions name each field. */
function fieldsOf(version: number): FieldLists {
  let lists = fieldLists.get(version);
  if (lists === undefined) {
    const known = FIELDS.filter(
      ({ headers }) =>
        version !== 3 ||
        headers.some(({ oxmClass, ofVersion }) => oxmClass === OXM_BASIC && ofVersion <= version),
    );
    const names = (fields: typeof known) => fields.map(({ name }) => name);
    lists = {
      match: names(known),
      mask: names(known.filter(({ maskable }) => maskable)),
      writable: names(known.filter(({ writable }) => writable)),
    };
    fieldLists.set(version, lists);
  }
  return lists;
}

function instructions(table: FlowTable, version: number): TableInstructions {
  const next: number[] = [];
  for (let id = table.id + 1; id < TBL_INTERNAL; id++) next.push(id);
  const { writable } = fieldsOf(version);
  return {
    next,
    instructions: INSTRUCTIONS.filter(
      // Meters came with 1.3; 1.5 has them as actions.
      (name) =>
        (name !== "goto_table" || next.length > 0) && (name !== "meter" || (version >= 4 && version < 6)),
    ),
    writeActions: ACTIONS,
    writeSetFields: writable,
    applyActions: ACTIONS,
    applySetFields: writable,
  };
}

function features(table: FlowTable, version: number): TableFeatures {
  const all = instructions(table, version);
  const { match, mask } = fieldsOf(version);
  return {
    table: table.id,
    name: table.name ?? "",
    metadataMatch: 0xffff_ffff_ffff_ffffn,
    metadataWrite: 0xffff_ffff_ffff_ffffn,
    missConfig: -1,
    eviction: table.eviction,
    vacancy: table.vacancy,
    maxEntries: table.maxFlows ?? MAX_ENTRIES,
    nonmiss: all,
    miss: all,
    match,
    wildcard: match,
    mask,
    command: 0,
    stats: stats(table),
  };
}

function sendFeatures(connection: Connection, xid: number): void {
  const tables = shown(connection).map((table) => features(table, connection.version));
  for (let i = 0; i < tables.length; i += TABLES_A_MESSAGE) {
    const next = i + TABLES_A_MESSAGE;
    connection.send({ type: "table-features-reply", tables: tables.slice(i, next) }, xid, {
      more: next < tables.length,
    });
  }
}

/** All that a controller can change is a table's name, and only where the database gives none. */
function changeFeatures(connection: Connection, wanted: readonly TableFeatures[]): void {
  const { tables } = connection.ofproto;
  const seen = new Set<number>();
  for (const features of wanted) {
    const table = tables[features.table];
    if (table === undefined || table.id === TBL_INTERNAL) throw new OfpError("OFPTFFC_BAD_TABLE");
    if (seen.has(table.id)) throw new OfpError("NXTFFC_DUP_TABLE");
    seen.add(table.id);
    if (features.command === ENABLE || features.command === DISABLE) throw new OfpError("OFPTFFC_EPERM");
    if (table.nameIsConfigured && features.name !== "" && features.name !== table.name)
      throw new OfpError("OFPTFFC_EPERM");
    if (features.maxEntries !== (table.maxFlows ?? MAX_ENTRIES)) throw new OfpError("OFPTFFC_EPERM");
  }
  // Who replaces the whole pipeline must name all of it: tables cannot be taken away.
  const replaces = wanted.every(({ command }) => command === REPLACE);
  if (replaces && seen.size < N_TABLES - 1) throw new OfpError("OFPTFFC_EPERM");
  for (const { table: id, name } of wanted) {
    const table = tables[id]!;
    if (!table.nameIsConfigured) table.name = name === "" ? undefined : name;
  }
}

/** OpenFlow 1.4's table_mod: eviction, and what to tell about a table that fills up. */
function startTableMod(connection: Connection, message: TableMod): void {
  const { ofproto } = connection;
  const tables = message.table === 255 ? shown(connection) : [ofproto.tables[message.table]];
  if (
    message.eviction !== undefined &&
    message.evictionFlags !== UNSPECIFIED_FLAGS &&
    message.evictionFlags !== OFPTMPEF_ALL
  )
    throw new OfpError("OFPTMFC_BAD_CONFIG");
  for (const table of tables) {
    if (table === undefined || table.id === TBL_INTERNAL) throw new OfpError("OFPTMFC_BAD_TABLE");
    if (message.miss >= 0) table.miss = (["controller", "continue", "drop"] as const)[message.miss];
    if (message.eviction !== undefined) table.evictByController = message.eviction;
    if (message.vacancy === undefined) continue;
    if (!table.vacancy || table.vacancyDown !== message.vacancyDown || table.vacancyUp !== message.vacancyUp)
      table.vacancyAwaits = table.vacancyNow < message.vacancyUp ? "up" : "down";
    table.vacancy = message.vacancy;
    table.vacancyDown = message.vacancyDown;
    table.vacancyUp = message.vacancyUp;
  }
  ofproto.backer.changed();
}

export const TABLE_HANDLERS: Handlers = {
  "table-request": (connection, _message, { xid }) => {
    connection.ofproto.backer.pushStats();
    const tables = shown(connection);
    connection.send(
      {
        type: "table-reply",
        tables: tables.map(stats),
        features:
          connection.version < 4 ? tables.map((table) => features(table, connection.version)) : undefined,
      },
      xid,
    );
  },
  "table-features-request": (connection, message, { xid }) => {
    if (message.tables.length > 0) {
      if (connection.role === ROLE_SECONDARY) throw new OfpError("OFPBRC_IS_SECONDARY");
      changeFeatures(connection, message.tables);
    }
    sendFeatures(connection, xid);
  },
  "table-desc-request": (connection, _message, { xid }) => {
    connection.send({ type: "table-desc-reply", tables: shown(connection).map(describeTable) }, xid);
  },
  "table-mod": startTableMod,
};
