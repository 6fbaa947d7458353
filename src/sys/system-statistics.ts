/** Open_vSwitch.statistics: processors, load, memory, the daemons, file systems (ovs-vswitchd.conf.db(5)), from /proc. */
import fs from "node:fs";
import os from "node:os";

/** `pidfiles`: of the daemons to tell about, RUNDIR/*.pid. */
export function systemStatistics(rundir: string): Map<string, string> {
  const statistics = new Map<string, string>();
  statistics.set("cpu", String(os.cpus().length));
  statistics.set(
    "load_average",
    os
      .loadavg()
      .map((load) => load.toFixed(2))
      .join(","),
  );
  const memory = meminfo();
  const of = (name: string): number => memory.get(name) ?? 0;
  const used = of("MemTotal") - of("MemFree");
  statistics.set(
    "memory",
    [
      of("MemTotal"),
      used,
      of("Buffers") + of("Cached"),
      of("SwapTotal"),
      of("SwapTotal") - of("SwapFree"),
    ].join(","),
  );
  for (const [name, text] of daemons(rundir)) statistics.set(`process_${name}`, text);
  const systems = fileSystems();
  if (systems !== "") statistics.set("file_systems", systems);
  return statistics;
}

function read(path: string): string {
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function meminfo(): Map<string, number> {
  const values = new Map<string, number>();
  for (const match of read("/proc/meminfo").matchAll(/^(\w+):\s+(\d+)/gm))
    values.set(match[1]!, Number(match[2]));
  return values;
}

/** virtual kB, resident kB, CPU ms, crashes, ms since booted, ms since started. */
function* daemons(rundir: string): Iterable<[string, string]> {
  let names: string[] = [];
  try {
    names = fs.readdirSync(rundir).filter((name) => name.endsWith(".pid"));
  } catch {
    return;
  }
  const uptime = Number(read("/proc/uptime").split(" ")[0] ?? 0);
  for (const name of names.sort()) {
    // Our own pid file is locked, and reading it would drop the lock: we know our own number.
    const program = name.slice(0, -4);
    const pid = program === "ovs-vswitchd" ? process.pid : Number.parseInt(read(`${rundir}/${name}`), 10);
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields.length < 22) continue;
    const ticks = Number(fields[11]) + Number(fields[12]);
    const started = Number(fields[19]) / 100;
    const ageMs = Math.max(0, Math.round((uptime - started) * 1000));
    const virtualKb = Math.round(Number(fields[20]) / 1024);
    const residentKb = Number(fields[21]) * 4;
    yield [program, [virtualKb, residentKb, ticks * 10, 0, ageMs, ageMs].join(",")];
  }
}

function fileSystems(): string {
  const found: string[] = [];
  const devices = new Set<string>();
  for (const line of read("/proc/mounts").split("\n")) {
    const [device, mount, type, options] = line.split(" ");
    if (device === undefined || mount === undefined || !device.startsWith("/")) continue;
    if (devices.has(device) || type === "squashfs" || (options ?? "").split(",").includes("ro")) continue;
    devices.add(device);
    try {
      const stat = fs.statfsSync(mount);
      const kb = stat.bsize / 1024;
      const used = stat.blocks - stat.bfree;
      found.push(`${mount},${Math.round(stat.blocks * kb)},${Math.round(used * kb)}`);
    } catch {
      // Not ours to see.
    }
  }
  return found.join(" ");
}

/** What this process has used so far: processor time in ms, resident bytes. */
export function processUsage(): { userMs: number; systemMs: number; memory: number } {
  const { user, system } = process.cpuUsage();
  return {
    userMs: Math.floor(user / 1000),
    systemMs: Math.floor(system / 1000),
    memory: process.memoryUsage.rss(),
  };
}
