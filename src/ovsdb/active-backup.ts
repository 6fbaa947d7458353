/**
 * A server's role in an active-backup pair: whom it copies, what not, and whether it does so now (ovsdb-server(1)
 * "Active-Backup Options" and "Active-Backup Commands"). The copying itself is replication.ts.
 */
import type { UnixctlCallback } from "../lib/unixctl.ts";
import { Replication } from "./replication.ts";
import type { ServedDatabase } from "./served-database.ts";
import type { OvsdbServer } from "./server.ts";

/** What ovs-appctl can change; kept for the daemon that follows a crash. */
export interface ActiveBackupState {
  readonly source: string | undefined;
  readonly excluded: string | undefined;
  readonly backup: boolean;
}

/** One database's own settings, from a configuration file. */
export interface BackupSettings {
  readonly source: string;
  readonly backup: boolean;
  readonly excluded: readonly string[];
  readonly probeMs?: number | undefined;
  readonly maxBackoffMs?: number | undefined;
}

const DEFAULT_PROBE_MS = 60_000;

/** `DB:TABLE,...` as tables of one database. */
function excludedTables(text: string | undefined, name: string): Set<string> {
  const tables = new Set<string>();
  for (const word of (text ?? "").split(",")) {
    const at = word.indexOf(":");
    if (at > 0 && word.slice(0, at) === name) tables.add(word.slice(at + 1));
  }
  return tables;
}

export class ActiveBackup {
  readonly #server: OvsdbServer;
  #source: string | undefined;
  #excluded: string | undefined;
  #backup = false;
  #probeMs = DEFAULT_PROBE_MS;
  readonly #running = new Map<ServedDatabase, Replication>();
  /** By database; where a configuration file says who copies whom. */
  #settings: ReadonlyMap<ServedDatabase, BackupSettings> | undefined;
  /** Called when something was changed that `state` shows. */
  onChange: () => void = () => {};

  constructor(server: OvsdbServer) {
    this.#server = server;
  }

  get state(): ActiveBackupState {
    return { source: this.#source, excluded: this.#excluded, backup: this.#backup };
  }

  get source(): string | undefined {
    return this.#source;
  }

  get excluded(): string | undefined {
    return this.#excluded;
  }

  restore(state: ActiveBackupState): void {
    this.#source = state.source;
    this.#excluded = state.excluded;
    this.#backup = state.backup && state.source !== undefined;
    if (this.#backup) this.#start();
  }

  setSource(source: string): void {
    this.#source = source;
    this.onChange();
  }

  /** "" or undefined: none. */
  setExcluded(text: string | undefined): void {
    this.#excluded = text === "" ? undefined : text;
    if (this.#backup) this.#restart();
    this.onChange();
  }

  setProbe(ms: number): void {
    this.#probeMs = ms;
    for (const replication of this.#running.values()) replication.setProbe(ms);
  }

  /** Becomes a backup. False: nobody has said of whom. */
  connect(): boolean {
    if (this.#source === undefined) return false;
    this.#backup = true;
    this.#restart();
    this.#server.disconnectClients();
    this.onChange();
    return true;
  }

  /** Becomes active. */
  disconnect(): void {
    this.#stop();
    if (this.#backup) this.#server.disconnectClients();
    this.#backup = false;
    this.onChange();
  }

  /** From a configuration file: each database for itself. What has not changed is not disturbed. */
  configure(settings: ReadonlyMap<ServedDatabase, BackupSettings>): void {
    const before = this.#settings;
    this.#settings = settings;
    let changed = false;
    for (const served of new Set([...this.#running.keys(), ...settings.keys()])) {
      const now = settings.get(served);
      if (JSON.stringify(now) === JSON.stringify(before?.get(served))) continue;
      const wasBackup = this.#running.has(served);
      this.#stopOne(served);
      if (now?.backup === true) this.#startOne(served, now);
      changed ||= wasBackup !== this.#running.has(served);
    }
    if (changed) this.#server.disconnectClients();
  }

  /** The text of sync-status. */
  status(): string {
    const known = this.#settings !== undefined || this.#source !== undefined;
    const parts: string[] = [];
    for (const served of this.#replicable()) {
      const running = this.#running.get(served);
      if (!known || (this.#settings !== undefined && !this.#settings.has(served))) continue;
      parts.push(`database: ${served.name}\n${running?.status ?? "state: active\n"}`);
    }
    return parts.length === 0 ? "state: active\n" : parts.join("\n");
  }

  /** A database that came while we are a backup is copied, too; one that went is not. */
  databasesChanged(): void {
    const served = new Set(this.#server.databases.values());
    for (const one of [...this.#running.keys()]) if (!served.has(one)) this.#stopOne(one);
    if (this.#backup) this.#start();
  }

  #replicable(): ServedDatabase[] {
    return [...this.#server.databases.values()]
      .filter((served) => !served.name.startsWith("_") && served.relay === undefined)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #start(): void {
    for (const served of this.#replicable()) {
      if (this.#running.has(served)) continue;
      const excluded = [...excludedTables(this.#excluded, served.name)];
      this.#startOne(served, {
        source: this.#source!,
        backup: true,
        excluded,
        probeMs: this.#probeMs,
      });
    }
  }

  #startOne(served: ServedDatabase, settings: BackupSettings): void {
    served.readOnly = true;
    const { source, excluded, probeMs, maxBackoffMs } = settings;
    this.#running.set(
      served,
      new Replication(this.#server, served, {
        source,
        excluded: new Set(excluded),
        probeMs: probeMs ?? this.#probeMs,
        maxBackoffMs,
        failed: () => this.#failed(served),
      }),
    );
  }

  /** What cannot replicate is active: the whole server, where the pair is of servers. */
  #failed(served: ServedDatabase): void {
    if (this.#settings === undefined) this.disconnect();
    else {
      this.#stopOne(served);
      this.#server.disconnectClients();
    }
  }

  #restart(): void {
    this.#stop();
    this.#start();
  }

  #stop(): void {
    for (const served of [...this.#running.keys()]) this.#stopOne(served);
  }

  #stopOne(served: ServedDatabase): void {
    this.#running.get(served)?.close();
    if (this.#running.delete(served)) served.readOnly = false;
  }

  close(): void {
    for (const replication of this.#running.values()) replication.close();
    this.#running.clear();
  }
}

type Row = readonly [name: string, usage: string, min: number, max: number, run: UnixctlCallback];

/** The commands about replication and relays. */
export function replicationCommands(server: OvsdbServer): Row[] {
  const { backup } = server;
  const probe =
    (set: (ms: number) => void): UnixctlCallback =>
    ([word], reply) => {
      if (!/^\s*[+-]?\d+$/.test(word!)) {
        reply.error("Invalid probe interval, integer value expected");
        return;
      }
      set(Number(word));
      reply.ok();
    };
  return [
    ["ovsdb-server/sync-status", "", 0, 0, (_args, reply) => reply.ok(backup.status())],
    [
      "ovsdb-server/get-active-ovsdb-server",
      "",
      0,
      0,
      (_args, reply) => reply.ok(backup.source === undefined ? "" : `${backup.source}\n`),
    ],
    [
      "ovsdb-server/set-active-ovsdb-server",
      "",
      1,
      1,
      ([source], reply) => {
        backup.setSource(source!);
        reply.ok();
      },
    ],
    [
      "ovsdb-server/connect-active-ovsdb-server",
      "",
      0,
      0,
      (_args, reply) => {
        if (backup.connect()) reply.ok();
        else reply.ok("Unable to connect: active server is not specified.\n");
      },
    ],
    [
      "ovsdb-server/disconnect-active-ovsdb-server",
      "",
      0,
      0,
      (_args, reply) => {
        backup.disconnect();
        reply.ok();
      },
    ],
    ["ovsdb-server/set-active-ovsdb-server-probe-interval", "", 1, 1, probe((ms) => backup.setProbe(ms))],
    ["ovsdb-server/set-relay-source-probe-interval", "", 1, 1, probe((ms) => server.setRelayProbe(ms))],
    [
      "ovsdb-server/set-sync-exclude-tables",
      "",
      0,
      1,
      ([text], reply) => {
        backup.setExcluded(text);
        reply.ok();
      },
    ],
    [
      "ovsdb-server/get-sync-exclude-tables",
      "",
      0,
      0,
      (_args, reply) => reply.ok(backup.excluded === undefined ? "" : `${backup.excluded}\n`),
    ],
  ];
}
