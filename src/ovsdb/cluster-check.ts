/**
 * `ovsdb-tool check-cluster`: what the files of a cluster's servers say must agree with itself and with each other
 * (ovsdb-tool(1); the properties are those of Raft, Ongaro and Ousterhout 2014, figure 3).
 *
 * Within a file: terms do not fall along the log, a term has one vote and one leader, what is committed stays and a
 * leader never takes back what it has. Between files: a term has one leader (Election Safety), who has everything that
 * terms before it have committed (Leader Completeness), and entries of the same index and term are the same (Log Matching).
 */
import type { ClusterHeader, ClusterRecord, Entry } from "./cluster-record.ts";
import { parseClusterHeader, parseClusterRecord } from "./cluster-record.ts";
import type { Disk } from "./disk.ts";
import { readFile } from "./file-context.ts";
import type { JsonObject } from "./json-text.ts";
import { sortedText } from "./json-text.ts";
import { LogReader } from "./log.ts";

/** What is wrong, without more ado. */
export class ClusterFault extends Error {}

interface Leader {
  readonly term: number;
  readonly server: string;
  readonly record: number;
  /** The last index of the file's log at that time. */
  readonly lastIndex: number;
}

interface Commit {
  readonly term: number;
  readonly index: number;
}

/** Throws OvsdbError or ClusterFault; `warn` gets lines about what is unusual. */
export function checkCluster(disk: Disk, paths: readonly string[], warn: (line: string) => void): void {
  const servers: ServerFile[] = [];
  for (const path of paths) {
    const reader = new LogReader(readFile(disk, path), path, "CLUSTER");
    const header = parseClusterHeader(reader.next()?.json);
    if (header.snapshot === undefined) warn(`${path} has not joined the cluster, omitting`);
    else servers.push(new ServerFile(path, header, reader));
  }
  if (servers.length === 0) throw new ClusterFault("all logs are empty");
  checkIdentities(servers);
  const show = (id: string): string =>
    servers.find((server) => server.header.serverId === id)?.path ?? short(id);
  for (const server of servers) server.read(show, warn);
  checkLeaders(servers, show);
  checkEntries(servers);
}

const short = (uuid: string): string => uuid.slice(0, 4);

function checkIdentities(servers: readonly ServerFile[]): void {
  const first = servers[0]!;
  const byId = new Map<string, ServerFile>();
  for (const server of servers) {
    const { path, header } = server;
    if (header.clusterId !== first.header.clusterId) {
      const [one, other] = [first, server].map(
        (file) => `${file.path} has cluster ID ${short(file.header.clusterId!)}`,
      );
      throw new ClusterFault(`${one} but ${other}`);
    }
    if (header.name !== first.header.name) {
      throw new ClusterFault(
        `${first.path} is named "${first.header.name}" but ${path} is named "${header.name}"`,
      );
    }
    const twin = byId.get(header.serverId);
    if (twin !== undefined) {
      throw new ClusterFault(`Duplicate server ID ${short(header.serverId)} in ${path} and ${twin.path}.`);
    }
    byId.set(header.serverId, server);
  }
}

/** One server's file: its records in order, what they say noted. */
class ServerFile {
  readonly path: string;
  readonly header: ClusterHeader;
  readonly #reader: LogReader;
  readonly leaders = new Map<number, Leader>();
  readonly commits: Commit[] = [];
  /** From the index after the snapshot's, none missing. */
  readonly entries: Entry[] = [];
  #term = 0;
  #commitIndex: number;
  readonly #votes = new Map<number, string>();

  /** `reader` has read the header, which has a snapshot. */
  constructor(path: string, header: ClusterHeader, reader: LogReader) {
    this.path = path;
    this.header = header;
    this.#reader = reader;
    this.#commitIndex = header.snapshot!.index;
  }

  get #lastIndex(): number {
    return this.header.snapshot!.index + this.entries.length;
  }

  read(show: (id: string) => string, warn: (line: string) => void): void {
    for (let i = 1, next = this.#reader.next(); next !== undefined; i++, next = this.#reader.next()) {
      const record = parseClusterRecord(next.json);
      const at = `${this.path}: record ${i}`;
      const { term, entry, vote, leader } = record;
      if (term !== undefined) this.#term = Math.max(this.#term, term);
      if (entry !== undefined) this.#checkEntry(entry, at, warn);
      else if (vote !== undefined) this.#checkVote(vote, term!, at, show);
      else if (leader !== undefined) this.#checkLeader(leader, term!, i, at, show);
      this.#checkCommit(record, at);
    }
  }

  #checkEntry(entry: Entry, at: string, warn: (line: string) => void): void {
    const { snapshot, serverId } = this.header;
    const { index, term } = entry;
    const end = this.#lastIndex + 1;
    if (index > end) throw new ClusterFault(`${at} with index ${index} skips past expected index ${end}`);
    if (index < end) {
      const what = `truncate log from ${end} to ${index} entries`;
      if (index < this.#commitIndex) {
        throw new ClusterFault(`${at} attempts to ${what}, but commit index is already ${this.#commitIndex}`);
      }
      const line = `${at} ${what.replace("truncate", "truncates")}`;
      if (this.leaders.get(this.#term)?.server === serverId)
        throw new ClusterFault(`${line} while server is leader`);
      warn(line);
    }
    this.entries.length = Math.max(0, index - snapshot!.index - 1);
    const previous = this.entries.at(-1)?.term ?? snapshot!.term;
    if (term < previous) {
      throw new ClusterFault(
        `${at} with index ${index} term ${term} precedes previous entry's term ${previous}`,
      );
    }
    // One in the snapshot's own place says nothing new.
    if (index > snapshot!.index) this.entries.push(entry);
  }

  #checkVote(vote: string, term: number, at: string, show: (id: string) => string): void {
    const before = this.#votes.get(term) ?? vote;
    if (before !== vote) {
      const what = `votes for ${show(vote)} in term ${term}`;
      throw new ClusterFault(
        `${at} ${what} but a previous record for the same term voted for ${show(before)}`,
      );
    }
    this.#votes.set(term, vote);
  }

  #checkLeader(server: string, term: number, record: number, at: string, show: (id: string) => string): void {
    const before = this.leaders.get(term);
    if (before === undefined) this.leaders.set(term, { term, server, record, lastIndex: this.#lastIndex });
    else if (before.server !== server) {
      const what = `reports leader ${show(server)} for term ${term}`;
      throw new ClusterFault(
        `${at} ${what} but record ${before.record} previously reported the leader as ${show(before.server)} in that term`,
      );
    }
  }

  #checkCommit({ commitIndex: index }: ClusterRecord, at: string): void {
    if (index === undefined) return;
    if (index < this.#commitIndex) {
      throw new ClusterFault(`${at} regresses commit index from ${this.#commitIndex} to ${index}`);
    }
    if (index > this.#lastIndex) {
      throw new ClusterFault(
        `${at} advances commit index to ${index} but last log index is ${this.#lastIndex}`,
      );
    }
    this.#commitIndex = index;
    this.commits.push({ term: this.#term, index });
  }
}

function checkLeaders(servers: readonly ServerFile[], show: (id: string) => string): void {
  const known = new Map<number, { leader: Leader; file: ServerFile }>();
  for (const file of servers) {
    for (const leader of file.leaders.values()) {
      const other = known.get(leader.term);
      if (other === undefined) known.set(leader.term, { leader, file });
      else if (other.leader.server !== leader.server) {
        const say = (path: string, id: string): string => `${path} says that the leader is ${show(id)}`;
        const both = `${say(other.file.path, other.leader.server)} and ${say(file.path, leader.server)}`;
        throw new ClusterFault(`term ${leader.term} has two different leaders: ${both}`);
      }
    }
  }
  for (const file of servers) {
    for (const leader of file.leaders.values()) {
      if (leader.server === file.header.serverId) checkComplete(file, leader, servers);
    }
  }
}

function checkComplete(file: ServerFile, leader: Leader, servers: readonly ServerFile[]): void {
  for (const { path, commits } of servers) {
    for (const { term, index } of commits) {
      if (term >= leader.term || index <= leader.lastIndex) continue;
      throw new ClusterFault(
        `leader ${file.path} for term ${leader.term} has log entries only up to index ${leader.lastIndex}, but index ${index} was committed in a previous term (e.g. by ${path})`,
      );
    }
  }
}

function checkEntries(servers: readonly ServerFile[]): void {
  const first = new Map<string, { path: string; text: string }>();
  for (const { path, entries } of servers) {
    for (const { index, term, json } of entries) {
      const text = entryText(json);
      const other = first.get(`${index} ${term}`);
      if (other === undefined) first.set(`${index} ${term}`, { path, text });
      else if (other.text !== text) {
        throw new ClusterFault(
          `log entries with index ${index} differ:\n${other.path} has ${other.text}\n${path} has ${text}`,
        );
      }
    }
  }
}

const COMPARED = ["data", "eid", "election_timer", "servers", "term"];

function entryText(json: JsonObject): string {
  return sortedText(Object.fromEntries(Object.entries(json).filter(([name]) => COMPARED.includes(name))));
}
