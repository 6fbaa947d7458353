/**
 * Being a daemon: --detach, --pidfile, --monitor, --user and so on, signals, exit hooks (upstream: lib/daemon,
 * lib/fatal-signal). A main does: parse options; `const daemon = new Daemon(...)`; `start()`; set everything up; `ready()`.
 *
 * There is no fork: a process that is to go into the background starts its own command line again, with its role in
 * the environment, and waits until that one says that it is ready.
 *
 *     caller ──spawns──► monitor (with --monitor) ──spawns──► daemon
 */
import fs from "node:fs";
import path from "node:path";
import { absolute, dirs } from "./dirs.ts";
import { codeOf, describeError, Fatal } from "./errors.ts";
import type { OptionGroup } from "./getopt.ts";
import type { FileLock, Platform, SpawnedChild } from "./platform.ts";
import { feedWatchdog, notifyServiceReady } from "./sd-notify.ts";
import {
  VLF_CONSOLE,
  VLL_OFF,
  vlog,
  vlogCloseFile,
  vlogRaw,
  vlogReopenFile,
  vlogResume,
  vlogSerial,
  vlogSetLevel,
  vlogSubprogram,
} from "./vlog.ts";

const log = vlog("daemon_unix");
const signalLog = vlog("fatal_signal");

export interface DaemonOptions {
  detach: boolean;
  /** Absolute path; undefined: none. */
  pidfile: string | undefined;
  overwritePidfile: boolean;
  monitor: boolean;
  chdir: boolean;
  user: string | undefined;
  selfConfinement: boolean;
}

export function daemonOptions(
  platform: Platform,
  program: string,
): { group: OptionGroup; values: DaemonOptions } {
  const values: DaemonOptions = {
    detach: false,
    pidfile: undefined,
    overwritePidfile: false,
    monitor: false,
    chdir: true,
    user: undefined,
    selfConfinement: true,
  };
  const run = dirs(platform.env).run;
  const group: OptionGroup = {
    title: "Daemon options",
    options: [
      { long: "detach", help: "run in the background", set: () => void (values.detach = true) },
      { long: "no-chdir", help: "stay in this folder", set: () => void (values.chdir = false) },
      {
        long: "pidfile",
        arg: "optional",
        metavar: "FILE",
        help: `write the process's number to FILE (default: ${run}/${program}.pid)`,
        set: (name) => void (values.pidfile = absolute(run, name ?? `${program}.pid`)),
      },
      {
        long: "overwrite-pidfile",
        help: "start although the pid file belongs to a running process",
        set: () => void (values.overwritePidfile = true),
      },
      {
        long: "monitor",
        help: "restart the daemon when it crashes",
        set: () => void (values.monitor = true),
      },
      {
        long: "user",
        arg: "required",
        metavar: "USER[:GROUP]",
        help: "run as that user and group",
        set: (user) => void (values.user = user),
      },
      {
        long: "no-self-confinement",
        help: "let sockets and pid files be in any folder",
        set: () => void (values.selfConfinement = false),
      },
    ],
  };
  return { group, values };
}

/** The role of a process that was started by its parent, and the last serial number of the parent's log. */
const ROLE = "OVSBOX_ROLE";

/** Signals that end a program, in fatal_signal's order. */
const FATAL_SIGNALS: readonly (readonly [string, string])[] = [
  ["SIGTERM", "15 (Terminated)"],
  ["SIGINT", "2 (Interrupt)"],
  ["SIGHUP", "1 (Hangup)"],
  ["SIGALRM", "14 (Alarm clock)"],
];

/** Deaths that mean a programming error: the monitor starts the daemon again. */
const CRASHES: Readonly<Record<string, string>> = {
  SIGABRT: "Aborted",
  SIGALRM: "Alarm clock",
  SIGBUS: "Bus error",
  SIGFPE: "Floating point exception",
  SIGILL: "Illegal instruction",
  SIGPIPE: "Broken pipe",
  SIGSEGV: "Segmentation fault",
  SIGXCPU: "CPU time limit exceeded",
  SIGXFSZ: "File size limit exceeded",
};
const OTHER_SIGNALS: Readonly<Record<string, string>> = {
  SIGKILL: "Killed",
  SIGTERM: "Terminated",
  SIGINT: "Interrupt",
  SIGHUP: "Hangup",
};

/** "Killed" for SIGKILL, as the C library says it. */
export function describeSignal(signal: string): string {
  return CRASHES[signal] ?? OTHER_SIGNALS[signal] ?? signal;
}

/** A daemon that crashes again within this time waits. */
const RESTART_MS = 10_000;

type Role = "caller" | "monitor" | "daemon";

export interface DaemonSettings {
  /** Keep CAP_NET_ADMIN, CAP_NET_RAW and CAP_NET_BROADCAST under --user (the switch does). */
  accessDatapath?: boolean;
  /** SIGHUP opens the log file again (the switch does) instead of ending the program. */
  hangupReopensLog?: boolean;
}

export class Daemon {
  readonly #platform: Platform;
  readonly #program: string;
  readonly #options: DaemonOptions;
  readonly #settings: DaemonSettings;
  readonly #role: Role;
  readonly #spawned: boolean;
  #lock: FileLock | undefined;
  #title: string;

  /** Call right after the options were parsed. */
  constructor(platform: Platform, program: string, options: DaemonOptions, settings: DaemonSettings = {}) {
    this.#platform = platform;
    this.#program = program;
    this.#options = options;
    this.#settings = settings;
    this.#title = program;
    const role = daemonRole(platform);
    this.#spawned = role !== undefined;
    this.#role = role ?? "caller";
  }

  /**
   * Takes the pid file, changes the user and, with --detach or --monitor, starts the real daemon.
   * "run": this process is the daemon and goes on; "done": main returns `status`. Throws Fatal.
   */
  async start(): Promise<{ role: "run" } | { role: "done"; status: number }> {
    const { detach, monitor, pidfile, overwritePidfile } = this.#options;
    if (this.#role === "caller") {
      if (pidfile !== undefined && !overwritePidfile) this.#checkRunning(pidfile);
      if (detach) return { role: "done", status: await this.#spawnAndWait(monitor ? "monitor" : "daemon") };
    }
    if (monitor && this.#role !== "daemon") return { role: "done", status: await this.#monitor() };
    if (this.#spawned) this.#platform.process.setComm(path.basename(this.#program));
    if (this.#options.user !== undefined) this.#becomeUser(this.#options.user);
    if (pidfile !== undefined) this.#makePidfile(pidfile);
    this.#handleSignals();
    return { role: "run" };
  }

  /** Start-up has succeeded: lets the parent end, moves to "/", closes the standard descriptors. */
  ready(): void {
    feedWatchdog(this.#platform);
    if (!this.#options.monitor) notifyServiceReady(this.#platform, this.#platform.pid);
    if (!this.#spawned) return;
    if (this.#options.detach) {
      if (this.#options.chdir) this.#platform.process.chdir("/");
      this.#platform.process.notifyReady(this.#options.monitor);
      this.#closeStdio();
    } else this.#platform.process.notifyReady(this.#options.monitor);
  }

  /** Runs at exit and at a fatal signal, last registered first. Must be synchronous. */
  atExit(run: () => void): void {
    this.#platform.atExit(run);
  }

  /** Runs the hooks and ends the process. */
  exit(status: number): never {
    return this.#platform.exit(status);
  }

  #closeStdio(): void {
    vlogSetLevel(undefined, VLF_CONSOLE, VLL_OFF);
    this.#platform.process.detachStdio();
  }

  #checkRunning(pidfile: string): void {
    let holder = 0;
    try {
      holder = this.#platform.process.files.lockHolder(pidfile);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return;
      throw new Fatal(`${pidfile}: open failed (${describeError(error)}), aborting`);
    }
    if (holder !== 0) throw new Fatal(`${pidfile}: already running as pid ${holder}, aborting`);
  }

  /** Written beside its place, locked, then moved there, so that nobody sees it empty or unlocked. */
  #makePidfile(pidfile: string): void {
    const temporary = `${pidfile}.tmp`;
    let lock: FileLock | { holder: number };
    try {
      lock = this.#platform.process.files.tryLock(temporary, 0o666);
    } catch (error) {
      throw new Fatal(`${temporary}: create failed (${describeError(error)})`);
    }
    if ("holder" in lock)
      throw new Fatal(`${temporary}: fcntl(F_SETLK) failed (Resource temporarily unavailable)`);
    this.#lock = lock;
    fs.ftruncateSync(lock.fd, 0);
    fs.writeSync(lock.fd, `${this.#platform.pid}\n`);
    try {
      fs.renameSync(temporary, pidfile);
    } catch (error) {
      throw new Fatal(`failed to rename "${temporary}" to "${pidfile}" (${describeError(error)})`);
    }
    this.#platform.atExit(() => this.#removePidfile(pidfile));
  }

  /** Only while it is still ours: with --overwrite-pidfile another process may have put its own there. */
  #removePidfile(pidfile: string): void {
    try {
      if (this.#lock !== undefined && fs.fstatSync(this.#lock.fd).ino === fs.statSync(pidfile).ino)
        fs.unlinkSync(pidfile);
    } catch {
      // Gone already.
    }
  }

  #becomeUser(user: string): void {
    try {
      this.#platform.process.becomeUser(user, this.#settings.accessDatapath === true);
    } catch (error) {
      throw new Fatal(`(null): ${(error as Error).message}`);
    }
  }

  #handleSignals(): void {
    const { process } = this.#platform;
    for (const [signal, name] of FATAL_SIGNALS) {
      process.onSignal(signal, () => {
        if (signal === "SIGHUP" && this.#settings.hangupReopensLog) {
          vlogReopenFile();
          return;
        }
        signalLog.warn(`terminating with signal ${name}`);
        this.#die(signal);
      });
    }
    // A broken invariant: die as assert() would, so that a monitor starts the daemon again.
    process.onCrash((error) => {
      vlog("util").emer(error instanceof Error ? (error.stack ?? error.message) : String(error));
      process.dieOf("SIGABRT");
    });
    process.onSignal("SIGSEGV", () => {
      const text = `SIGSEGV detected, backtrace:\n${new Error("SIGSEGV").stack ?? ""}\n`;
      // The monitor logs it; without one it goes to the log as it is, as a handler of the original would write it.
      if (this.#options.monitor) process.tellParent(text);
      else vlogRaw(text);
      process.dieOf("SIGSEGV");
    });
  }

  /** Runs the exit hooks, then dies of `signal` so that the parent sees it. */
  #die(signal: string): never {
    this.#platform.runExitHooks();
    return this.#platform.process.dieOf(signal);
  }

  #spawn(role: Role, newSession: boolean): SpawnedChild {
    return this.#platform.process.respawn({ [ROLE]: `${role},${vlogSerial()}` }, newSession);
  }

  /** Starts `role` in a session of its own; resolves to this process's exit status. */
  async #spawnAndWait(role: Role): Promise<number> {
    const child = this.#spawn(role, true);
    if ((await child.ready) === "ready") {
      child.unref();
      return 0;
    }
    const { status } = await child.exit;
    // It has said on standard error why.
    return status === undefined || status === 0 ? 1 : status;
  }

  async #monitor(): Promise<number> {
    const { process } = this.#platform;
    vlogSubprogram("monitor");
    let crashes = 0;
    let status = "healthy";
    for (let first = true; ; first = false) {
      const child = this.#spawn("daemon", false);
      const startedMs = this.#platform.clock.now();
      if ((await child.ready) === "exited" && first) {
        const { status: code } = await child.exit;
        return code === undefined || code === 0 ? 1 : code;
      }
      if (first) this.#monitorReady();
      process.setTitle(`${this.#title}: monitoring pid ${child.pid} (${status})`);
      vlogCloseFile();
      const { status: code, signal } = await child.exit;
      vlogReopenFile();
      const lastWords = child.told();
      if (lastWords !== "") vlog("backtrace").warn(lastWords.trimEnd());
      const death = signal === undefined ? `exit status ${code}` : `killed (${describeSignal(signal)})`;
      if (signal === undefined || !(signal in CRASHES)) {
        log.info(`pid ${child.pid} died, ${death}, exiting`);
        return code ?? 1;
      }
      crashes++;
      status = `${crashes} crashes: pid ${child.pid} died, ${death}`;
      const left = startedMs + RESTART_MS - this.#platform.clock.now();
      if (crashes > 1 && left > 0) {
        log.warn(`${status}, waiting until 10 seconds since last restart`);
        await new Promise<void>((resolve) => void this.#platform.clock.after(left, resolve));
      }
      log.err(`${status}, restarting`);
    }
  }

  #monitorReady(): void {
    const { process } = this.#platform;
    process.setComm("monitor");
    notifyServiceReady(this.#platform, this.#platform.pid);
    if (!this.#spawned) return;
    if (this.#options.chdir) process.chdir("/");
    process.notifyReady(false);
    this.#closeStdio();
  }
}

let inherited: { role: Role; serial: number } | undefined;

/** The role our parent gave us; undefined when we were started by hand. Takes it out of the environment. */
function daemonRole(platform: Platform): Role | undefined {
  if (inherited !== undefined) return inherited.role;
  const text = platform.env[ROLE];
  if (text === undefined) return undefined;
  const [role, serial] = text.split(",");
  delete (platform.env as Record<string, string | undefined>)[ROLE];
  inherited = { role: role as Role, serial: Number(serial) };
  vlogResume(inherited.serial);
  return inherited.role;
}

/** Was this process started by its own kind to go into the background? (Then its parent has logged the start.) */
export function isRespawned(platform: Platform): boolean {
  return platform.env[ROLE] !== undefined || inherited !== undefined;
}
