/**
 * The records of clustered database files (ovsdb(5) "Clustered Format"), checked member by member: a header, then what
 * happened to the server's Raft state. Complaints in the original's words.
 */
import { parseUuid } from "./atom.ts";
import { OvsdbError, syntaxError } from "./error.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isObject } from "./json-text.ts";
import { ObjectParser } from "./object-parser.ts";

export interface ClusterHeader {
  readonly name: string;
  readonly serverId: string;
  readonly localAddress: string;
  /** Undefined: not known yet. */
  readonly clusterId: string | undefined;
  /** Undefined: a server that has not joined yet. */
  readonly snapshot: Snapshot | undefined;
}

/** All that came before the log. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly data: Json;
}

/** One of the log; a later one with the same index takes its place, and that of all that follow. */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly json: JsonObject;
}

/** Besides an entry, what a record may tell: what is not told is undefined. */
export interface ClusterRecord {
  readonly term: number | undefined;
  readonly vote: string | undefined;
  readonly leader: string | undefined;
  readonly commitIndex: number | undefined;
  readonly entry: Entry | undefined;
}

const NOTHING: ClusterRecord = {
  term: undefined,
  vote: undefined,
  leader: undefined,
  commitIndex: undefined,
  entry: undefined,
};

// Each member is asked for once: `finish` counts.

function uuidOf(parser: ObjectParser, name: string): string {
  return checkUuid(parser, name, parser.member(name, "string") as string);
}

function optionalUuid(parser: ObjectParser, name: string): string | undefined {
  const text = parser.optional(name, "string") as string | undefined;
  return text === undefined ? undefined : checkUuid(parser, name, text);
}

function checkUuid(parser: ObjectParser, name: string, text: string): string {
  const uuid = parseUuid(text);
  if (uuid === undefined) throw parser.fail(`${name} is not a valid UUID`);
  return uuid;
}

function count(parser: ObjectParser, name: string): number {
  return Number(parser.member(name, "integer"));
}

function checkServers(json: Json): void {
  if (!isObject(json)) return;
  for (const id of Object.keys(json)) {
    if (parseUuid(id) === undefined) throw syntaxError(json, `${id} is not a UUID`);
    const address = json[id]!;
    if (typeof address !== "string") throw syntaxError(address, "server address is not string");
    if (!/^(unix|tcp|ssl):/.test(address)) {
      throw new OvsdbError("ovsdb error", `${address}: expected "tcp" or "ssl" address`);
    }
  }
}

/** Throws OvsdbError. */
export function parseClusterHeader(json: Json | undefined): ClusterHeader {
  if (json === undefined)
    throw new OvsdbError("syntax error", "Parsing raft header failed: Object expected.");
  const parser = new ObjectParser(json, "raft header");
  const name = parser.member("name", "string") as string;
  const localAddress = parser.member("local_address", "string") as string;
  const serverId = uuidOf(parser, "server_id");
  const isJoining = parser.optional("remote_addresses", "array") !== undefined;
  const clusterId = isJoining ? optionalUuid(parser, "cluster_id") : undefined;
  const snapshot = isJoining ? undefined : parseSnapshot(parser);
  const known = isJoining ? clusterId : uuidOf(parser, "cluster_id");
  parser.finish();
  return { name, serverId, localAddress, clusterId: known, snapshot };
}

function parseSnapshot(parser: ObjectParser): Snapshot {
  checkServers(parser.member("prev_servers", "object"));
  parser.optional("prev_election_timer", "integer");
  const data = parser.member("prev_data", "array");
  uuidOf(parser, "prev_eid");
  return { index: count(parser, "prev_index"), term: count(parser, "prev_term"), data };
}

/** Throws OvsdbError. */
export function parseClusterRecord(json: JsonObject): ClusterRecord {
  const parser = new ObjectParser(json, "raft log record");
  const record = recordOf(parser, json);
  parser.finish();
  return record;
}

function recordOf(parser: ObjectParser, json: JsonObject): ClusterRecord {
  parser.optional("comment", "string");
  if (parser.optional("note", "string") !== undefined) return NOTHING;
  const commitIndex = parser.optional("commit_index", "integer");
  if (commitIndex !== undefined) return { ...NOTHING, commitIndex: Number(commitIndex) };
  const term = count(parser, "term");
  const leader = optionalUuid(parser, "leader");
  if (leader !== undefined) return { ...NOTHING, term, leader };
  const vote = optionalUuid(parser, "vote");
  if (vote !== undefined) return { ...NOTHING, term, vote };
  const index = parser.optional("index", "integer");
  if (index === undefined) return { ...NOTHING, term };
  const servers = parser.optional("servers", "object");
  if (servers !== undefined) checkServers(servers);
  else if (parser.optional("data", "array") !== undefined) uuidOf(parser, "eid");
  parser.optional("election_timer", "integer");
  return { ...NOTHING, term, entry: { index: Number(index), term, json } };
}
