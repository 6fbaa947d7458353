/** Tables: statistics, features, descriptions, configuration. */
import { FIELDS } from "../../flow/fields/index.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { TableDesc, TableFeatures, TableInstructions, TableStats } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import { type FlowTable, TBL_INTERNAL } from "../flow-table.ts";
import type { Handlers } from "./dispatch.ts";

const MAX_ENTRIES = 1_000_000;
/** By importance, lifetime and whatever else: how we choose what to evict. */
const OFPTMPEF_ALL = 7;
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
  let hidden = 0;
  if (table.id === 0) for (const rule of table.rules()) if (rule.hidden) hidden++;
  return {
    table: table.id,
    active: table.size - hidden,
    lookups: BigInt(table.matched + table.missed),
    matched: BigInt(table.matched),
  };
}

function instructions(table: FlowTable): TableInstructions {
  const next: number[] = [];
  for (let id = table.id + 1; id < TBL_INTERNAL; id++) next.push(id);
  const actions = [
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
  const fields = FIELDS.filter((field) => field.writable).map((field) => field.name);
  return {
    next,
    instructions: INSTRUCTIONS.filter((name) => name !== "goto_table" || next.length > 0),
    writeActions: actions,
    writeSetFields: fields,
    applyActions: actions,
    applySetFields: fields,
  };
}

function features(table: FlowTable): TableFeatures {
  const all = instructions(table);
  const matchable = FIELDS.map((field) => field.name);
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
    match: matchable,
    wildcard: matchable,
    mask: FIELDS.filter((field) => field.maskable).map((field) => field.name),
    command: 0,
    stats: stats(table),
  };
}

function describe(table: FlowTable): TableDesc {
  return {
    table: table.id,
    eviction: table.eviction,
    evictionFlags: OFPTMPEF_ALL,
    vacancy: table.vacancy,
    vacancyDown: table.vacancyDown,
    vacancyUp: table.vacancyUp,
    vacancyNow: table.maxFlows
      ? Math.floor((100 * Math.max(0, table.maxFlows - table.size)) / table.maxFlows)
      : 100,
  };
}

export const TABLE_HANDLERS: Handlers = {
  "table-request": (connection, _message, { xid }) => {
    connection.ofproto.backer.pushStats();
    const tables = shown(connection);
    connection.send(
      {
        type: "table-reply",
        tables: tables.map(stats),
        features: connection.version < 4 ? tables.map(features) : undefined,
      },
      xid,
    );
  },
  "table-features-request": (connection, message, { xid }) => {
    if (message.tables.length > 0) throw new OfpError("OFPTFFC_EPERM");
    const tables = shown(connection);
    // One table's features are some kilobytes.
    tables.forEach((table, i) => {
      const more = i < tables.length - 1;
      connection.send({ type: "table-features-reply", tables: [features(table)] }, xid, { more });
    });
  },
  "table-desc-request": (connection, _message, { xid }) => {
    connection.send({ type: "table-desc-reply", tables: shown(connection).map(describe) }, xid);
  },
  "table-mod": (connection, message) => {
    const { ofproto } = connection;
    const tables = message.table === 255 ? shown(connection) : [ofproto.tables[message.table]];
    for (const table of tables) {
      if (table === undefined || table.id === TBL_INTERNAL) throw new OfpError("OFPTMFC_BAD_TABLE");
      if (message.miss >= 0) table.miss = (["controller", "continue", "drop"] as const)[message.miss];
      if (message.eviction !== undefined) {
        table.eviction = message.eviction;
        table.evictionFlags = message.evictionFlags;
      }
      if (message.vacancy !== undefined) {
        table.vacancy = message.vacancy;
        table.vacancyDown = message.vacancyDown;
        table.vacancyUp = message.vacancyUp;
      }
    }
    ofproto.backer.changed();
  },
};
