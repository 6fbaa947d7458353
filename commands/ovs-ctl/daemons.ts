/** One daemon of the two: is it running, start it as the settings say, end it. */
import { type SpawnSyncOptionsWithStringEncoding, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { dirname } from "node:path";
import { dirs } from "../../src/lib/dirs.ts";
import { describeError } from "../../src/lib/errors.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { UnixctlClient } from "../../src/lib/unixctl-client.ts";
import { programPath, runHost } from "../programs.ts";
import { failed, type Say, tell } from "./say.ts";
import type { DaemonName, Settings } from "./settings.ts";

export interface Control {
  readonly platform: Platform;
  readonly settings: Settings;
  readonly say: Say;
}

/** The pid of the running daemon; undefined when its pid file is missing, stale, or names another program. */
export function daemonPid(control: Control, name: DaemonName): number | undefined {
  try {
    const file = `${dirs(control.platform.env).run}/${name}.pid`;
    const pid = Number.parseInt(readFileSync(file, "utf8"), 10);
    // The kernel keeps 15 bytes of a name.
    const comm = readFileSync(`/proc/${pid}/comm`, "utf8").trim();
    return comm === name.slice(0, 15) || comm === "valgrind" || comm === "ovsbox" ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** Starts it and waits until it is ready; says so. `args` are its own, those all daemons share are added. */
export function startDaemon(control: Control, name: DaemonName, args: readonly string[]): boolean {
  const { settings, platform, say } = control;
  const { run, log } = dirs(platform.env);
  const own = settings.daemons[name];
  for (const folder of [run, log, dirname(settings.dbFile)])
    mkdirSync(folder, { recursive: true, mode: 0o755 });
  const line = [...args, "-vconsole:emer", "-vsyslog:err", "-vfile:info"];
  if (settings.ovsUser !== undefined) line.push(`--user=${settings.ovsUser}`);
  if (!settings.selfConfinement) line.push("--no-self-confinement");
  if (name === "ovs-vswitchd" && settings.mlockall) line.push("--mlockall");
  line.push("--no-chdir", `--log-file=${log}/${name}.log`, `--pidfile=${run}/${name}.pid`);
  line.push(...own.options);
  // Under a wrapper the daemon stays in the foreground of it, as the original's does.
  const wrapped = wrap(own.wrapper, `${log}/${name}`);
  if (wrapped.length === 0) line.push("--detach");
  if (settings.monitor && wrapped.length === 0) line.push("--monitor");

  const { file, argv0 } = programPath(name);
  const options: SpawnSyncOptionsWithStringEncoding = {
    argv0,
    cwd: settings.daemonCwd,
    encoding: "utf8",
    stdio: ["ignore", "inherit", "pipe"],
  };
  // Limits, niceness and mask are inherited: this process takes them on and puts them back.
  const restore = own.umask === undefined ? undefined : process.umask(own.umask);
  renice(control, own.priority);
  raiseCoreLimit(control);
  const started =
    wrapped.length === 0
      ? spawnSync(file, line, options)
      : spawnSync(wrapped[0]!, [...wrapped.slice(1), file, ...line], { ...options, argv0: wrapped[0] });
  renice(control, own.priority === undefined ? undefined : 0);
  if (restore !== undefined) process.umask(restore);

  const stderr = started.error === undefined ? started.stderr : `${name}: ${describeError(started.error)}`;
  const good = tell(say, `Starting ${name}`, { status: started.status ?? 1, stdout: "", stderr });
  const pid = good ? daemonPid(control, name) : undefined;
  if (pid !== undefined && settings.oomScore !== undefined) {
    try {
      writeFileSync(`/proc/${pid}/oom_score_adj`, String(settings.oomScore));
    } catch (error) {
      say(failed(`Setting oom score of ${name} (${describeError(error)})`));
    }
  }
  return good;
}

function wrap(wrapper: string | undefined, log: string): string[] {
  if (wrapper === "valgrind")
    return ["valgrind", "-q", "--leak-check=full", `--log-file=${log}.valgrind.log.%p`];
  if (wrapper === "strace")
    return ["strace", "-tt", "-T", "-s", "256", "-ff", "-D", "-o", `${log}.strace.log`];
  return [];
}

function renice({ say }: Control, priority: number | undefined): void {
  if (priority === undefined) return;
  try {
    setPriority(priority);
  } catch (error) {
    if (priority !== constants.priority.PRIORITY_NORMAL)
      say(failed(`Setting niceness ${priority} (${describeError(error)})`));
  }
}

/** By prlimit(1) of util-linux, on ourselves; without it, or without the right, the limit stays. */
function raiseCoreLimit({ settings, platform }: Control): void {
  if (!settings.forceCorefiles) return;
  runHost("prlimit", "--pid", String(platform.pid), `--core=${settings.ulimitCore}:${settings.ulimitCore}`);
}

/** How long each step of {@link stopDaemon} may take. */
const EXIT_MS = 5_000;
const TERM_MS = 5_000;
const KILL_MS = 60_000;

/** Asks it to exit, then sends SIGTERM, then SIGKILL, until it is gone; says so. */
export async function stopDaemon(control: Control, name: DaemonName): Promise<boolean> {
  const { say, platform } = control;
  const pid = daemonPid(control, name);
  if (pid === undefined) {
    say(`${name} is not running.`);
    return true;
  }
  say(`Exiting ${name} (${pid}).`);
  try {
    const socket = `${dirs(platform.env).run}/${name}.${pid}.ctl`;
    const client = await UnixctlClient.connect(platform, socket);
    await client.transact("exit", []);
    client.close();
  } catch {
    // Not listening, or gone before its answer was.
  }
  if (await gone(control, pid, EXIT_MS)) return true;
  for (const [signal, ms] of [
    ["SIGTERM", TERM_MS],
    ["SIGKILL", KILL_MS],
  ] as const) {
    say(`Killing ${name} (${pid}) with ${signal}.`);
    try {
      process.kill(pid, signal);
    } catch {
      // Gone meanwhile.
    }
    if (await gone(control, pid, ms)) return true;
  }
  say(failed(`Killing ${name} (${pid})`));
  return false;
}

async function gone({ platform }: Control, pid: number, ms: number): Promise<boolean> {
  const until = platform.clock.now() + ms;
  for (let wait = 2; ; wait = Math.min(wait * 2, 250)) {
    if (!alive(pid)) return true;
    if (platform.clock.now() >= until) return false;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/** A zombie counts as gone: nobody may be there to reap it. */
function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
