/**
 * Logging by module, level and destination (upstream: lib/vlog). `const log = vlog("bridge")` at the top of a file;
 * levels, patterns and rate limits are kept here, output goes through the platform that {@link vlogStart} is given.
 * Command line and unixctl faces: `vlog-options.ts`, `vlog-unixctl.ts`; texts of a line: `vlog-pattern.ts`.
 */

import { absolute, dirs } from "./dirs.ts";
import { describeError } from "./errors.ts";
import { fs } from "./lazy-fs.ts";
import type { DatagramSender, Platform } from "./platform.ts";
import { compilePattern, FACILITIES, type LogRecord, type Pattern } from "./vlog-pattern.ts";

export const VLL_OFF = 0;
export const VLL_EMER = 1;
export const VLL_ERR = 2;
export const VLL_WARN = 3;
export const VLL_INFO = 4;
export const VLL_DBG = 5;
export type Level = 0 | 1 | 2 | 3 | 4 | 5;

export const LEVEL_NAMES: readonly string[] = ["OFF", "EMER", "ERR", "WARN", "INFO", "DBG"];

export const VLF_CONSOLE = 0;
export const VLF_SYSLOG = 1;
export const VLF_FILE = 2;
export type Destination = 0 | 1 | 2;

export const DESTINATION_NAMES: readonly string[] = ["console", "syslog", "file"];

/** Before the pattern on each line for a syslog daemon (RFC 3164 header). */
export const SYSLOG_PREFIX = "<%B> %D{%h %e %T} %E %A: ";
const DEFAULT_PATTERNS: readonly string[] = [
  "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
  "ovs|%05N|%c%T|%p|%m",
  "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m",
];

/** What one message costs, in tokens; `perMinute` tokens come in each millisecond. */
const MESSAGE_TOKENS = 60_000;

/** At most `perMinute` messages a minute, bursts of `burst`. One object a call site, module-level. */
export class RateLimit {
  readonly #perMs: number;
  readonly #capacity: number;
  #tokens: number;
  #filledMs = Number.NEGATIVE_INFINITY;
  dropped = 0;
  firstDroppedMs = 0;
  lastDroppedMs = 0;

  constructor(perMinute: number, burst: number) {
    this.#perMs = perMinute;
    this.#capacity = burst * MESSAGE_TOKENS;
    this.#tokens = 0;
  }

  /** Takes a message's tokens, or counts the message as dropped and returns false. */
  admit(nowMs: number): boolean {
    const elapsed = nowMs - this.#filledMs;
    if (elapsed > 0) {
      this.#tokens = Math.min(this.#capacity, this.#tokens + elapsed * this.#perMs);
      this.#filledMs = nowMs;
    }
    if (this.#tokens >= MESSAGE_TOKENS) {
      this.#tokens -= MESSAGE_TOKENS;
      return true;
    }
    if (this.dropped++ === 0) this.firstDroppedMs = nowMs;
    this.lastDroppedMs = nowMs;
    return false;
  }
}

export interface Logger {
  readonly module: string;
  emer(text: string): void;
  err(text: string): void;
  warn(text: string): void;
  info(text: string): void;
  dbg(text: string): void;
  /** The same, dropped and counted past the limit. */
  errRl(limit: RateLimit, text: string): void;
  warnRl(limit: RateLimit, text: string): void;
  infoRl(limit: RateLimit, text: string): void;
  dbgRl(limit: RateLimit, text: string): void;
  log(level: Level, text: string): void;
  logRl(level: Level, limit: RateLimit, text: string): void;
  /** Would any destination take it? Ask before building an expensive text. */
  isEnabled(level: Level): boolean;
  isDbg(): boolean;
}

class ModuleLogger implements Logger {
  readonly module: string;
  /** By destination. */
  readonly levels: Level[] = [...defaultLevels] as Level[];
  /** The most talkative of `levels`. */
  max: Level = maxLevel(this.levels);
  limited = true;

  constructor(module: string) {
    this.module = module;
  }

  emer(text: string): void {
    if (this.max >= VLL_EMER) emit(this, VLL_EMER, text);
  }
  err(text: string): void {
    if (this.max >= VLL_ERR) emit(this, VLL_ERR, text);
  }
  warn(text: string): void {
    if (this.max >= VLL_WARN) emit(this, VLL_WARN, text);
  }
  info(text: string): void {
    if (this.max >= VLL_INFO) emit(this, VLL_INFO, text);
  }
  dbg(text: string): void {
    if (this.max >= VLL_DBG) emit(this, VLL_DBG, text);
  }
  errRl(limit: RateLimit, text: string): void {
    this.logRl(VLL_ERR, limit, text);
  }
  warnRl(limit: RateLimit, text: string): void {
    this.logRl(VLL_WARN, limit, text);
  }
  infoRl(limit: RateLimit, text: string): void {
    this.logRl(VLL_INFO, limit, text);
  }
  dbgRl(limit: RateLimit, text: string): void {
    this.logRl(VLL_DBG, limit, text);
  }
  log(level: Level, text: string): void {
    if (this.max >= level) emit(this, level, text);
  }
  logRl(level: Level, limit: RateLimit, text: string): void {
    if (this.max < level) return;
    if (this.limited) {
      const now = nowMs();
      if (!limit.admit(now)) return;
      if (limit.dropped > 0) {
        const inLast = Math.round((now - limit.firstDroppedMs) / 1000);
        const ago = Math.round((now - limit.lastDroppedMs) / 1000);
        const dropped = limit.dropped;
        limit.dropped = 0;
        emit(
          this,
          level,
          `Dropped ${dropped} log messages in last ${inLast} seconds (most recently, ${ago} seconds ago) due to excessive rate`,
        );
      }
    }
    emit(this, level, text);
  }
  isEnabled(level: Level): boolean {
    return this.max >= level;
  }
  isDbg(): boolean {
    return this.max >= VLL_DBG;
  }
}

function maxLevel(levels: readonly Level[]): Level {
  return Math.max(...levels) as Level;
}

// The state of the process's log. One program has one; `ovsbox up`'s two daemons share it.
const defaultLevels: Level[] = [VLL_INFO, VLL_INFO, VLL_INFO];
const modules = new Map<string, ModuleLogger>();
const patternTexts: string[] = [...DEFAULT_PATTERNS];
const patterns: Pattern[] = patternTexts.map((text) => compilePattern(text));
const syslogHeader: Pattern = compilePattern(SYSLOG_PREFIX);
let platform: Platform | undefined;
let program = "";
let subprogram = "";
let startedMs = 0;
let serial = 0;
let facility: number | undefined;
let file: { path: string; fd: number | undefined } | undefined;
let syslog: { method: string; sender: DatagramSender | undefined } = { method: "libc", sender: undefined };
let syslogTarget: DatagramSender | undefined;
/** Messages from before vlogStart. */
let early: { logger: ModuleLogger; level: Level; text: string }[] = [];
let busy = false;

/** The one logger of module `name` (as in `vlog/set name:dbg`; the original's module names). */
export function vlog(name: string): Logger {
  let logger = modules.get(name);
  if (logger === undefined) {
    logger = new ModuleLogger(name);
    modules.set(name, logger);
  }
  return logger;
}

/** Hands in clock, streams and process facts. Before that, messages wait in memory. */
export function vlogStart(world: Platform, name: string): void {
  platform = world;
  program = name;
  startedMs = world.clock.now();
  syslog = { method: world.env.OVS_SYSLOG_METHOD || "libc", sender: undefined };
  const waiting = early;
  early = [];
  for (const { logger, level, text } of waiting) emit(logger, level, text);
}

/** "monitor" in the monitoring process: shown by %t and %T. */
export function vlogSubprogram(name: string): void {
  subprogram = name;
}

/** Of the last message. */
export function vlogSerial(): number {
  return serial;
}

/** In a process that a parent of the same program started: its log goes on where the parent's stood. */
export function vlogResume(lastSerial: number): void {
  serial = lastSerial;
}

function nowMs(): number {
  return platform === undefined ? 0 : platform.clock.now();
}

function emit(logger: ModuleLogger, level: Level, text: string): void {
  if (platform === undefined) {
    if (early.length < 1000) early.push({ logger, level, text });
    return;
  }
  // What a destination itself logs (a syslog socket that fails) must not come back here.
  if (busy) return;
  busy = true;
  try {
    const record: LogRecord = {
      program,
      subprogram,
      module: logger.module,
      level,
      serial: ++serial,
      text,
      wallMs: platform.clock.wall(),
      elapsedMs: platform.clock.now() - startedMs,
      pid: platform.pid,
      host: platform.hostname,
      facility: facility ?? FACILITIES.local0!,
    };
    const { levels } = logger;
    if (levels[VLF_CONSOLE]! >= level) platform.stderr(`${patterns[VLF_CONSOLE]!(record)}\n`);
    if (levels[VLF_SYSLOG]! >= level) emitSyslog(platform, record);
    if (levels[VLF_FILE]! >= level && file?.fd !== undefined)
      writeFile(file.fd, `${patterns[VLF_FILE]!(record)}\n`);
  } finally {
    busy = false;
  }
}

/** Text into the log file as it is (or on standard error when there is none): the last words of a crash. */
export function vlogRaw(text: string): void {
  if (file?.fd !== undefined) writeFile(file.fd, text);
  else platform?.stderr(text);
}

function writeFile(fd: number, line: string): void {
  try {
    fs().writeSync(fd, line);
  } catch {
    // A full disk must not take the daemon down.
  }
}

/** Each line of the message apart, as syslog daemons cut at newlines. */
function emitSyslog(world: Platform, record: LogRecord): void {
  syslog.sender ??= openSyslog(world, syslog.method);
  // What goes through the C library's syslog() in the original has the facility "daemon" unless told otherwise.
  const own = syslog.method === "libc" ? { ...record, facility: facility ?? FACILITIES.daemon! } : record;
  for (const line of patterns[VLF_SYSLOG]!(record).split("\n")) {
    syslog.sender.send(`${syslogHeader(own)}${line}`);
    syslogTarget?.send(`${syslogHeader(record)}${line}`);
  }
}

const NOWHERE: DatagramSender = { send: () => {} };

function openSyslog(world: Platform, method: string): DatagramSender {
  if (method === "null") return NOWHERE;
  if (method === "libc") return fs().existsSync("/dev/log") ? unixSender(world, "/dev/log") : NOWHERE;
  if (method.startsWith("unix:")) return unixSender(world, method.slice(5));
  const udp = /^udp:\[?(.*?)\]?:(\d+)$/.exec(method);
  if (udp !== null) return world.process.datagram({ host: udp[1]!, port: Number(udp[2]) }) ?? NOWHERE;
  return NOWHERE;
}

function unixSender(world: Platform, path: string): DatagramSender {
  return world.process.datagram({ path }) ?? NOWHERE;
}

/** False when the method is unknown. */
export function vlogSetSyslogMethod(method: string): boolean {
  if (!/^(libc|null|unix:.+|udp:.+:\d+)$/.test(method)) return false;
  syslog = { method, sender: undefined };
  return true;
}

/** "HOST:PORT", numeric. */
export function vlogSetSyslogTarget(target: string): void {
  const match = /^\[?(.*?)\]?(?::(\d+))?$/.exec(target)!;
  if (match[2] === undefined) {
    vlog("socket_util").err(`${target}: port must be specified`);
    return;
  }
  syslogTarget = platform?.process.datagram({ host: match[1]!, port: Number(match[2]) });
}

/** Level of `module` (undefined: all, also those still to be loaded) at `destination` (undefined: all). */
export function vlogSetLevel(
  module: string | undefined,
  destination: Destination | undefined,
  level: Level,
): void {
  const targets: Iterable<ModuleLogger> =
    module === undefined ? modules.values() : [vlog(module) as ModuleLogger];
  for (let d: Destination = 0; d < 3; d++) {
    if (destination !== undefined && d !== destination) continue;
    if (module === undefined) defaultLevels[d] = level;
    for (const logger of targets) logger.levels[d] = level;
    if (module !== undefined) continue;
    for (const logger of modules.values()) logger.levels[d] = level;
  }
  for (const logger of modules.values()) logger.max = maxLevel(logger.levels);
}

/**
 * "jsonrpc:file:dbg", "PATTERN:console:%m", "FACILITY:local0" (see `vlog/set`).
 * @returns an error text, or undefined.
 */
export function vlogSetSpec(spec: string): string | undefined {
  if (/^PATTERN(:|$)/.test(spec)) {
    const match = /^PATTERN:([^:]*)(?::(.*))?$/s.exec(spec);
    if (match === null) return "missing destination";
    const destination = DESTINATION_NAMES.indexOf(match[1]!.toLowerCase());
    if (destination < 0 && !/^any$/i.test(match[1]!)) return `unknown destination "${match[1]}"`;
    if (match[2] === undefined) return "missing pattern";
    for (let d = 0; d < 3; d++) if (destination < 0 || d === destination) setPattern(d, match[2]);
    return undefined;
  }
  if (/^FACILITY(:|$)/.test(spec)) {
    const number = FACILITIES[spec.slice(9)];
    if (number === undefined) return "invalid facility";
    facility = number;
    return undefined;
  }
  let module: string | undefined;
  let level: Level | undefined;
  let destination: Destination | undefined;
  for (const word of spec.split(/[ ,:]+/)) {
    if (word === "" || /^any$/i.test(word)) continue;
    const asLevel = LEVEL_NAMES.indexOf(word.toUpperCase());
    const asDestination = DESTINATION_NAMES.indexOf(word.toLowerCase());
    const asModule = findModule(word);
    if (asLevel >= 0) {
      if (level !== undefined) return "cannot specify multiple levels";
      level = asLevel as Level;
    } else if (asDestination >= 0) {
      if (destination !== undefined) return "cannot specify multiple destinations";
      destination = asDestination as Destination;
    } else if (asModule !== undefined) {
      if (module !== undefined) return "cannot specify multiple modules";
      module = asModule;
    } else return `no destination, level, or module "${word}"`;
  }
  vlogSetLevel(module, destination, level ?? VLL_DBG);
  return undefined;
}

/** A module's own name in its own case; "-" may stand for "_". */
export function findModule(word: string): string | undefined {
  if (modules.has(word)) return word;
  const wanted = word.toLowerCase().replaceAll("-", "_");
  for (const name of modules.keys()) if (name.toLowerCase() === wanted) return name;
  return KNOWN_MODULES.has(wanted) ? wanted : undefined;
}

/** Modules of the original that scripts name in `-v`, accepted although their code here is not loaded (yet). */
const KNOWN_MODULES: ReadonlySet<string> = new Set(
  (
    "bfd bond bridge cfm classifier collectors connmgr conntrack coverage daemon daemon_unix db_ctl_base dpctl dpdk dpif " +
    "dpif_netdev dpif_netlink dp_packet entropy fail_open fatal_signal flow hmap in_band ipf jsonrpc lacp lldp lockfile " +
    "mac_learning match memory meta_flow native_tnl netdev netdev_dummy netdev_linux netdev_offload netdev_vport netflow " +
    "netlink netlink_notifier netlink_socket nx_match odp_execute odp_util ofp_actions ofp_util ofproto ofproto_dpif " +
    "ofproto_dpif_ipfix ofproto_dpif_lsample ofproto_dpif_mirror ofproto_dpif_monitor ofproto_dpif_rid ofproto_dpif_sflow ofproto_dpif_upcall " +
    "ofproto_dpif_xlate ofctl ovsdb_client ovsdb_cs ovsdb_error ovsdb_file ovsdb_idl ovsdb_jsonrpc_server ovsdb_log " +
    "ovsdb_monitor ovsdb_server ovsdb_tool ovs_lldp ovs_rcu ovs_router ovs_thread packets pcap_file pinsched poll_loop " +
    "process raft raft_rpc rconn reconnect relay replication rstp rstp_sm sflow signals socket_util socket_util_unix " +
    "storage stp stream stream_fd stream_replay stream_ssl stream_tcp stream_unix svec system_stats table timeval tnl_arp_cache " +
    "transaction tunnel unixctl userspace_tso util uuid vconn vconn_stream vlog vsctl vswitchd xenserver"
  ).split(" "),
);

function setPattern(destination: number, text: string): void {
  patternTexts[destination] = text;
  patterns[destination] = compilePattern(text);
}

export function vlogPattern(destination: Destination): string {
  return patternTexts[destination]!;
}

/** Names and levels by destination, by name. */
export function vlogModules(): { name: string; levels: readonly Level[]; limited: boolean }[] {
  return [...modules.values()]
    .map(({ module, levels, limited }) => ({ name: module, levels, limited }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Rate limits of `module` (undefined: of all) on or off. */
export function vlogSetRateLimit(module: string | undefined, limited: boolean): void {
  for (const logger of modules.values())
    if (module === undefined || logger.module === module) logger.limited = limited;
}

const self = vlog("vlog");

/** Logs to `name` (undefined: PROGRAM.log in OVS_LOGDIR) from now on. False when it cannot be opened; that is logged. */
export function vlogSetFile(name: string | undefined): boolean {
  if (platform === undefined) throw new Error("vlogStart comes first");
  // Reopened after a daemon has left this folder: the name must not be relative.
  const path =
    name === undefined ? absolute(dirs(platform.env).log, `${program}.log`) : absolute(platform.cwd(), name);
  // A respawned daemon's parent has said it.
  return openFile(path, platform.env.OVSBOX_ROLE === undefined);
}

function openFile(path: string, announce: boolean): boolean {
  let fd: number;
  try {
    fd = fs().openSync(path, "a", 0o660);
  } catch (error) {
    self.warn(`failed to open ${path} for logging: ${describeError(error)}`);
    return false;
  }
  if (file?.fd !== undefined) fs().closeSync(file.fd);
  file = { path, fd };
  if (announce) self.info(`opened log file ${path}`);
  return true;
}

export function vlogFile(): string | undefined {
  return file?.path;
}

export function vlogCloseFile(): void {
  if (file?.fd === undefined) return;
  self.info("closing log file");
  fs().closeSync(file.fd);
  file.fd = undefined;
}

/** After log rotation. @returns an error text, or undefined. */
export function vlogReopenFile(): string | undefined {
  if (file === undefined) return "Logging to file not configured";
  if (file.fd !== undefined && sameFile(file.fd, file.path)) return undefined;
  vlogCloseFile();
  return openFile(file.path, true) ? undefined : "Failed to open log file";
}

function sameFile(fd: number, path: string): boolean {
  try {
    const [open, named] = [fs().fstatSync(fd), fs().statSync(path)];
    return open.ino === named.ino && open.dev === named.dev;
  } catch {
    return false;
  }
}
