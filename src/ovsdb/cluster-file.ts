/**
 * Clustered database files (ovsdb(5) "Clustered Format"), as far as they are only read: whose they are, their log as
 * text, and what the database is that they hold. A header record with a snapshot, then records of Raft's state: terms,
 * votes, log entries with `index`, what is committed.
 */
import type { ClusterHeader } from "./cluster-record.ts";
import { parseClusterHeader, parseClusterRecord } from "./cluster-record.ts";
import { convertDatabase } from "./convert.ts";
import type { Disk } from "./disk.ts";
import { OvsdbError } from "./error.ts";
import { readFile } from "./file-context.ts";
import type { Json, JsonObject } from "./json-text.ts";
import { isArray, isObject, sortedText } from "./json-text.ts";
import { LogReader } from "./log.ts";
import { applyRecord, settle } from "./record.ts";
import { schemaFromJson } from "./schema.ts";
import { LogHistory } from "./show-log.ts";
import { Database } from "./table.ts";

/** Throws OvsdbError. */
export function readClusterHeader(disk: Disk, path: string): ClusterHeader {
  return parseClusterHeader(new LogReader(readFile(disk, path), path, "CLUSTER").next()?.json);
}

/** What is stored for a snapshot or a log entry: a schema, if there is a new one, and a transaction. */
function dataOf(json: Json | undefined): { schema: JsonObject | undefined; changes: JsonObject | undefined } {
  const [schema, changes] = isArray(json) ? json : [];
  return {
    schema: isObject(schema) ? schema : undefined,
    changes: isObject(changes) ? changes : undefined,
  };
}

/** Writes `detail` as showLog does. */
export function showClusterLog(
  bytes: Uint8Array,
  name: string,
  detail: number,
  print: (text: string) => void,
): void {
  const reader = new LogReader(bytes, name, "CLUSTER");
  const history = new LogHistory(detail, print);
  for (let i = 0, record = reader.next(); record !== undefined; i++, record = reader.next()) {
    const { json } = record;
    print(`record ${i}:\n`);
    const fault = faultOf(i === 0, json);
    if (fault !== undefined) {
      print(`${fault.message}\n\n`);
      continue;
    }
    for (const [member, label, form] of i === 0 ? HEADER : STATE) {
      const value = json[member];
      if (value !== undefined) print(` ${label}: ${form(value)}\n`);
    }
    const { schema, changes } = dataOf(i === 0 ? json.prev_data : json.data);
    if (schema !== undefined) print(` ${i === 0 ? "prev_" : ""}schema: ${history.learn(schema)}\n`);
    if (changes === undefined || Object.keys(changes).length === 0) print("\n");
    else history.changes("", changes);
  }
}

function faultOf(isHeader: boolean, json: JsonObject): OvsdbError | undefined {
  try {
    if (isHeader) parseClusterHeader(json);
    else parseClusterRecord(json);
    return undefined;
  } catch (error) {
    if (error instanceof OvsdbError) return error;
    throw error;
  }
}

type Form = (value: Json) => string;
type Line = readonly [member: string, label: string, form: Form];

const plain: Form = (value) => (typeof value === "string" ? value : sortedText(value));
const quoted: Form = (value) => `"${plain(value)}"`;
/** Servers and clusters are known by the first digits of their UUIDs. */
const short: Form = (value) => plain(value).slice(0, 4);
const servers: Form = (value) =>
  isObject(value)
    ? Object.keys(value)
        .sort()
        .map((id) => `${short(id)}(${quoted(value[id]!)})`)
        .join(", ")
    : plain(value);
const list: Form = (value) => (isArray(value) ? value.map(plain).join(" ") : plain(value));

const HEADER: readonly Line[] = [
  ["name", "name", quoted],
  ["local_address", "local address", quoted],
  ["server_id", "server_id", short],
  ["remote_addresses", "remote_addresses", list],
  ["cluster_id", "cluster_id", short],
  ["prev_index", "prev_index", plain],
  ["prev_term", "prev_term", plain],
  ["prev_servers", "prev_servers", servers],
  ["prev_eid", "prev_eid", short],
];

const STATE: readonly Line[] = [
  ["term", "term", plain],
  ["index", "index", plain],
  ["servers", "servers", servers],
  ["eid", "eid", short],
  ["vote", "vote", short],
  ["leader", "leader", short],
  ["commit_index", "commit_index", plain],
  ["note", "note", quoted],
  ["comment", "comment", quoted],
];

/** The database as the log's last entry leaves it. Throws OvsdbError. */
export function clusteredDatabase(disk: Disk, path: string, uuid: () => string): Database {
  const reader = new LogReader(readFile(disk, path), path, "CLUSTER");
  const header = reader.next()!.json;
  const { schema, changes } = dataOf(header.prev_data);
  if (schema === undefined) {
    throw new OvsdbError("ovsdb error", `${path}: server has not joined its cluster, there are no data yet`);
  }
  // An entry takes the place of one with the same index, and of all that followed: another leader has decided.
  const first = Number(header.prev_index) + 1;
  const entries: JsonObject[] = [];
  for (let record = reader.next(); record !== undefined; record = reader.next()) {
    const { index } = record.json;
    if (typeof index !== "number" || index < first) continue;
    entries.length = Math.min(entries.length, index - first);
    entries.push(record.json);
  }
  let database = new Database(schemaFromJson(schema), uuid());
  if (changes !== undefined) applyRecord(database, changes);
  for (const entry of entries) {
    const next = dataOf(entry.data);
    if (next.schema !== undefined) {
      const newSchema = schemaFromJson(next.schema);
      // With data the database is written anew, without it is to be converted.
      database =
        next.changes === undefined
          ? convertDatabase(database, newSchema, uuid)
          : new Database(newSchema, uuid());
    }
    if (next.changes !== undefined) applyRecord(database, next.changes);
  }
  settle(database);
  return database;
}
