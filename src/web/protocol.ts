/**
 * What the page and its server say to each other over the WebSocket: JSON texts, one value each. The page watches topics
 * and calls methods, each under a number of its own; what comes back bears that number. Types only, for both sides.
 *
 *     page → server   {watch: 3, topic}   {stop: 3}   {call: 4, method, params}
 *     server → page   {id: 3, data}  (again and again)        {id: 4, result} or {id: 4, error: "text"}
 */

import type { MacEntry } from "../lib/control-text.ts";

export type { MacEntry };

export type Topic =
  | { readonly kind: "state" }
  /** `columns` undefined: all. */
  | {
      readonly kind: "table";
      readonly system: number;
      readonly database: string;
      readonly table: string;
      readonly columns?: readonly string[];
    }
  | { readonly kind: "flows"; readonly system: number; readonly bridge: string }
  | { readonly kind: "ports"; readonly system: number; readonly bridge: string }
  | { readonly kind: "macs"; readonly system: number; readonly bridge: string }
  | { readonly kind: "datapath"; readonly system: number }
  | { readonly kind: "talkers" };

export type FromPage =
  | { readonly watch: number; readonly topic: Topic }
  | { readonly stop: number }
  | { readonly call: number; readonly method: keyof Methods; readonly params: unknown };

export type FromServer =
  | { readonly id: number; readonly data: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/** A database server and the switch beside it, as far as either is known. */
export interface SystemState {
  readonly id: number;
  /** How it was named on the command line. */
  readonly name: string;
  /** "none": only a switch is known. */
  readonly databaseState: "none" | "connecting" | "live";
  readonly databaseError?: string;
  readonly databases: readonly string[];
  /** The switch's control socket is known: datapath flows, MACs and traces can be asked for. */
  readonly hasControl: boolean;
  /** Bridges whose OpenFlow tables can be looked at. */
  readonly bridges: readonly string[];
}

export interface State {
  readonly version: string;
  readonly allowEdit: boolean;
  /** Where sFlow datagrams are received. */
  readonly sflow?: string;
  readonly systems: readonly SystemState[];
}

/** One value of a column: null for none, a string for a UUID or an integer past 2^53, an object for a map. */
export type CellAtom = string | number | boolean;
export type Cell = CellAtom | null | readonly CellAtom[] | { readonly [key: string]: CellAtom };
export type Cells = { readonly [column: string]: Cell };

/** Of topic "table". Rows of a first answer come in pieces, `reset` being in the first and `more` in all but the last. */
export interface TableData {
  readonly reset?: true;
  readonly more?: true;
  /** By UUID: whole rows, or the columns that have changed. */
  readonly set?: { readonly [uuid: string]: Cells };
  readonly gone?: readonly string[];
}

/** id, table, priority, cookie, match, actions, flags and timeouts, packets, bytes, wall time of its making in ms. */
export type FlowTuple = readonly [
  id: number,
  table: number,
  priority: number,
  cookie: string,
  match: string,
  actions: string,
  notes: string,
  packets: number,
  bytes: number,
  madeMs: number,
];

/** Of topic "flows"; pieces as in {@link TableData}. */
export interface FlowsData {
  readonly reset?: true;
  readonly more?: true;
  /** When the counters were read, in ms of wall time. */
  readonly atMs: number;
  readonly add?: readonly FlowTuple[];
  /** id, packets, bytes of each flow whose counters have changed, one after the other. */
  readonly counts?: readonly number[];
  readonly gone?: readonly number[];
  readonly error?: string;
}

/** port, name, configuration and state words, then counters. */
export type PortTuple = readonly [
  port: number,
  name: string,
  mac: string,
  config: number,
  state: number,
  speedKbps: number,
  rxPackets: number,
  txPackets: number,
  rxBytes: number,
  txBytes: number,
  rxDropped: number,
  txDropped: number,
  rxErrors: number,
  txErrors: number,
];

export interface PortsData {
  readonly atMs: number;
  readonly ports: readonly PortTuple[];
  readonly error?: string;
}

export interface MacsData {
  readonly macs: readonly MacEntry[];
  readonly error?: string;
}

/** id, datapath, key, actions, packets, bytes, seconds since last use (-1: never). */
export type MegaflowTuple = readonly [
  id: number,
  datapath: string,
  key: string,
  actions: string,
  packets: number,
  bytes: number,
  usedSec: number,
];

export interface DatapathData {
  readonly reset?: true;
  readonly more?: true;
  readonly atMs: number;
  readonly datapaths?: readonly DatapathCounts[];
  readonly add?: readonly MegaflowTuple[];
  /** id, packets, bytes, used; as in {@link FlowsData}. */
  readonly counts?: readonly number[];
  readonly gone?: readonly number[];
  readonly drops?: readonly Drop[];
  readonly error?: string;
}

export interface DatapathCounts {
  readonly name: string;
  readonly hits: number;
  readonly misses: number;
  readonly lost: number;
  readonly flows: number;
}

/** A megaflow that drops, and why. */
export interface Drop {
  readonly bridge: string;
  readonly flow: string;
  readonly packets: number;
  readonly bytes: number;
  readonly reason: string;
  readonly rule?: string | null;
}

export interface Talker {
  readonly source: string;
  readonly target: string;
  readonly protocol: string;
  /** Estimates over the last minute: samples times their rate. */
  readonly packets: number;
  readonly bytes: number;
  readonly samples: number;
}

export interface TalkersData {
  readonly atMs: number;
  readonly windowSec: number;
  readonly datagrams: number;
  readonly lost: number;
  readonly malformed: number;
  readonly agents: readonly string[];
  readonly talkers: readonly Talker[];
}

/** A step of a trace, as `ofproto/trace` with JSON gives it. */
export interface TraceStep {
  readonly type: "bridge" | "table" | "action" | "detail" | "warning" | "error" | "bucket" | "thaw";
  readonly text: string;
  readonly steps?: readonly TraceStep[];
}
export interface TracePass {
  readonly bridge: string;
  readonly flow: string;
  readonly steps: readonly TraceStep[];
  readonly final_flow: string;
  readonly megaflow: string;
  readonly datapath_actions: string;
  readonly error?: string;
  readonly recirculated?: readonly TracePass[];
}

/** A change of one row, its values in the notation of ovs-vsctl. `was`: what the editor showed, which must still hold. */
export interface RowEdit {
  readonly table: string;
  readonly uuid: string;
  readonly delete?: true;
  readonly columns: { readonly [column: string]: { readonly was: string; readonly value: string } };
}

export interface EditPreview {
  readonly changes: readonly {
    readonly table: string;
    readonly uuid: string;
    readonly column: string;
    readonly from: string;
    readonly to: string;
  }[];
  /** Why the server would refuse it. */
  readonly error?: string;
}

/** Rates of one interface, a value each for every time: from the statistics that the database has had. */
export interface History {
  readonly atMs: readonly number[];
  readonly rxBytes: readonly number[];
  readonly txBytes: readonly number[];
  readonly rxPackets: readonly number[];
  readonly txPackets: readonly number[];
}

export interface ColumnInfo {
  readonly name: string;
  /** As ovsdb-client prints it: `set of up to 4 strings`. */
  readonly type: string;
  /** Table that its UUIDs refer to. */
  readonly ref?: string;
  readonly mutable: boolean;
}
export interface TableInfo {
  readonly name: string;
  readonly isRoot: boolean;
  readonly columns: readonly ColumnInfo[];
}

/** Methods by name: what they take and give. */
export interface Methods {
  schema: { params: { system: number; database: string }; result: readonly TableInfo[] };
  rowText: {
    params: { system: number; database: string; table: string; uuid: string };
    result: { [column: string]: string };
  };
  history: { params: { system: number; name: string }; result: History };
  trace: {
    params: { system: number; bridge: string; flow: string };
    result: { document?: TracePass; text?: string };
  };
  preview: { params: { system: number; database: string; edits: readonly RowEdit[] }; result: EditPreview };
  commit: { params: { system: number; database: string; edits: readonly RowEdit[] }; result: EditPreview };
}
