/**
 * One side of a comparison: a database and a switch in a folder of their own, ours or the peer's (Debian's Open
 * vSwitch, unpacked by scripts/peers), started and stopped by a benchmark. Runs under Bun.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BIN, PEERS, peer } from "../system/bin.ts";

export type Maker = "ours" | "peer";

export interface Side {
  readonly maker: Maker;
  readonly folder: string;
  readonly env: Record<string, string>;
  /** Absolute path of one of this side's programs. */
  program(name: string): string;
  /** Runs one of this side's programs; throws with its standard error when it fails. */
  run(name: string, ...args: string[]): string;
  pid(daemon: "ovsdb-server" | "ovs-vswitchd"): number;
  /** Resident kilobytes. */
  residentKb(daemon: "ovsdb-server" | "ovs-vswitchd"): number;
  /** User and system CPU seconds used so far. */
  cpuSeconds(daemon: "ovsdb-server" | "ovs-vswitchd"): number;
  stop(): void;
}

/** A built source tree of the original to compare with instead of Debian's packages. */
const TREE = process.env.OVS_TREE || undefined;

/** A program of the peer. */
function peerProgram(name: string): string | undefined {
  if (TREE === undefined) return peer(name);
  const folders = ["utilities", "vswitchd", "ovsdb"];
  return folders.map((folder) => join(TREE, folder, name)).find((path) => existsSync(path));
}

/** The peer's file of its data folder. */
function peerData(name: string): string {
  return TREE === undefined ? join(PEERS!, "usr/share/openvswitch", name) : join(TREE, "vswitchd", name);
}

export function program(maker: Maker, name: string): string {
  const path = maker === "ours" ? join(BIN, name) : peerProgram(name);
  if (path === undefined || !existsSync(path)) throw new Error(`${maker} lacks ${name}`);
  return path;
}

export const havePeer = (): boolean =>
  peerProgram("ovs-vswitchd") !== undefined && peerProgram("ovsdb-server") !== undefined;

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** User and system CPU seconds that a process has used so far. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Starts ovsdb-server and, unless `database` only, ovs-vswitchd with `switchArgs`. */
export function startSide(maker: Maker, switchArgs: string[] = [], only?: "database"): Side {
  const folder = mkdtempSync(join(tmpdir(), `ovsbox-bench-${maker}-`));
  const env: Record<string, string> = {
    ...(process.env as Record<string, string>),
    OVS_RUNDIR: folder,
    OVS_LOGDIR: folder,
    OVS_DBDIR: folder,
    OVS_SYSCONFDIR: folder,
  };
  if (maker === "peer" && TREE === undefined && PEERS !== undefined)
    env.OVS_PKGDATADIR = join(PEERS, "usr/share/openvswitch");
  const daemons: ChildProcess[] = [];
  const pids = new Map<string, number>();
  const run = (name: string, ...args: string[]): string => {
    const r = spawnSync(program(maker, name), args, { env, encoding: "utf8", maxBuffer: 1 << 30 });
    if (r.status !== 0)
      throw new Error(`${maker} ${name} ${args.join(" ")}: exit status ${r.status}\n${r.stderr}`);
    return r.stdout;
  };
  const start = (name: string, args: string[]): void => {
    const child = spawn(program(maker, name), args, { env, stdio: "ignore" });
    daemons.push(child);
    pids.set(name, child.pid!);
  };
  const waitFor = (what: string, ready: () => boolean): void => {
    for (let i = 0; i < 200; i++) {
      if (ready()) return;
      sleep(50);
    }
    throw new Error(`${maker}: ${what} did not come up in 10 s`);
  };
  const side: Side = {
    maker,
    folder,
    env,
    program: (name) => program(maker, name),
    run,
    pid: (daemon) => pids.get(daemon)!,
    residentKb: (daemon) =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pids.get(daemon)}/status`, "utf8"))?.[1] ?? 0),
    cpuSeconds: (daemon) => cpuSeconds(pids.get(daemon)!),
    stop: () => {
      for (const child of daemons.reverse()) child.kill("SIGTERM");
      sleep(300);
      for (const child of daemons) child.kill("SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
  try {
    const schema = join(folder, "vswitch.ovsschema");
    const text =
      maker === "ours"
        ? spawnSync(join(BIN, "ovsbox"), ["--schema"], { encoding: "utf8" }).stdout
        : readFileSync(peerData("vswitch.ovsschema"), "utf8");
    writeFileSync(schema, text);
    run("ovsdb-tool", "create", join(folder, "conf.db"), schema);
    start("ovsdb-server", [
      join(folder, "conf.db"),
      `--remote=punix:${folder}/db.sock`,
      `--unixctl=${folder}/db.ctl`,
    ]);
    waitFor("ovsdb-server", () => existsSync(join(folder, "db.sock")));
    if (only !== "database") {
      run("ovs-vsctl", "--no-wait", "init");
      start("ovs-vswitchd", [
        `unix:${folder}/db.sock`,
        `--unixctl=${folder}/vswitchd.ctl`,
        "-vconsole:off",
        ...switchArgs,
      ]);
      waitFor("ovs-vswitchd", () => existsSync(join(folder, "vswitchd.ctl")));
    }
  } catch (error) {
    side.stop();
    throw error;
  }
  return side;
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

/** Least and most. */
export function spread(values: readonly number[]): string {
  return `${Math.min(...values).toFixed(2)}..${Math.max(...values).toFixed(2)}`;
}

/** The same for rounds in turns: medians, and that of the rounds' ratios with their spread. */
export function reportRounds(
  what: string,
  unit: string,
  ours: number[],
  theirs: number[],
  better: "more" | "less",
): void {
  const ratios = ours.map((value, round) => value / theirs[round]!);
  report(what, unit, median(ours), median(theirs), better, median(ratios), ` (${spread(ratios)})`);
}

/** One line of a report: ours, the peer's and the ratio, larger meaning better for `more` and smaller for `less`. */
export function report(
  what: string,
  unit: string,
  ours: number,
  theirs: number,
  better: "more" | "less",
  ratio = ours / theirs,
  note = "",
): void {
  console.log(
    `${what.padEnd(44)} ours ${show(ours).padStart(9)}  peer ${show(theirs).padStart(9)} ${unit.padEnd(8)} ratio ${ratio.toFixed(2)}${note} (${better} is better)`,
  );
}

function show(value: number): string {
  return value >= 1000
    ? Math.round(value).toLocaleString("en").replaceAll(",", " ")
    : value.toFixed(value < 10 ? 2 : 1);
}
