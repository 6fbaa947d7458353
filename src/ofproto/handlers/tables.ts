/** Tables: statistics, features, descriptions, configuration. */
import { FIELDS } from "../../flow/fields/index.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { TableDesc, TableFeatures, TableInstructions, TableStats } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import { type FlowTable, TBL_INTERNAL } from "../flow-table.ts";
import type { Handlers } from "./dispatch.ts";

const MAX_ENTRIES = 1_000_000;
/** OFPXMC_OPENFLOW_BASIC. */
const OXM_BASIC = 0x8000;
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
      (name) => (name !== "goto_table" || next.length > 0) && (name !== "meter" || version >= 4),
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
        features:
          connection.version < 4 ? tables.map((table) => features(table, connection.version)) : undefined,
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
      connection.send({ type: "table-features-reply", tables: [features(table, connection.version)] }, xid, {
        more,
      });
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
