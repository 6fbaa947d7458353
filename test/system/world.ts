/**
 * A switch and its hosts for system tests: the daemons run in a network namespace of their own, with their files in a
 * folder of their own; each host is a namespace behind a veth pair. `close` ends and removes all of it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { BIN } from "./bin.ts";

export interface Result {
  status: number;
  stdout: string;
  stderr: string;
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The reason to skip system tests here, or false. */
export function cannotRun(...tools: string[]): string | false {
  if (process.getuid?.() !== 0) return "must be root";
  if (!existsSync(join(BIN, "ovs-vswitchd"))) return `no executable in ${BIN} (scripts/build)`;
  for (const tool of ["ip", ...tools])
    if (spawnSync("sh", ["-c", `command -v ${tool}`]).status !== 0) return `no ${tool}`;
  return false;
}

/** Those that leave a pid file and a log in the world's folder. */
const DAEMONS = ["ovs-vswitchd", "ovsdb-server", "ovsbox-snmp"] as const;
type WorldDaemon = (typeof DAEMONS)[number];

let worlds = 0;

export class World {
  readonly dir: string;
  readonly id: string;
  /** Namespace of the switch. */
  readonly netns: string;
  readonly env: Record<string, string>;
  readonly #namespaces: string[] = [];
  readonly #children: ChildProcess[] = [];

  constructor() {
    this.id = `ob${process.pid}x${++worlds}`;
    this.dir = mkdtempSync(join(tmpdir(), `${this.id}-`));
    this.netns = this.#namespace("sw");
    this.env = {
      ...(process.env as Record<string, string>),
      PATH: `${BIN}:${process.env.PATH}`,
      OVS_RUNDIR: this.dir,
      OVS_LOGDIR: this.dir,
      OVS_DBDIR: this.dir,
      OVS_SYSCONFDIR: this.dir,
    };
  }

  #namespace(name: string): string {
    const netns = `${this.id}-${name}`;
    this.command("ip", "netns", "add", netns);
    this.#namespaces.push(netns);
    // No router solicitations and the like: packets are counted.
    this.command(
      "ip",
      "netns",
      "exec",
      netns,
      "sh",
      "-c",
      "for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done; ip link set lo up",
    );
    return netns;
  }

  /** Runs a command outside of any namespace; throws when it fails. */
  command(program: string, ...args: string[]): string {
    return must([program, ...args], this.try(program, ...args));
  }

  /** The same, whatever comes of it. */
  try(program: string, ...args: string[]): Result {
    const run = spawnSync(program, args, { env: this.env, encoding: "utf8", timeout: 60_000 });
    return {
      status: run.status ?? -1,
      stdout: run.stdout ?? "",
      stderr: (run.stderr ?? "") + (run.error?.message ?? ""),
    };
  }

  /** In the namespace of a host, or with "sw" of the switch. */
  inside(host: string, ...words: string[]): string {
    return this.command("ip", "netns", "exec", `${this.id}-${host}`, ...words);
  }
  tryInside(host: string, ...words: string[]): Result {
    return this.try("ip", "netns", "exec", `${this.id}-${host}`, ...words);
  }

  /** In the background; ended by `close`. */
  background(host: string, ...words: string[]): ChildProcess {
    const child = spawn("ip", ["netns", "exec", `${this.id}-${host}`, ...words], {
      env: this.env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    return child;
  }

  vsctl(...args: string[]): string {
    return this.command("ovs-vsctl", "-t", "10", ...args);
  }
  ofctl(...args: string[]): string {
    return this.command("ovs-ofctl", "-t", "10", ...args);
  }
  appctl(...args: string[]): string {
    return this.command("ovs-appctl", "-T", "10", ...args);
  }
  /** A column as `ovs-vsctl get` prints it. */
  get(table: string, record: string, column: string): string {
    return this.vsctl("get", table, record, column).trim();
  }

  startDatabase(...options: string[]): void {
    const file = join(this.dir, "conf.db");
    if (!existsSync(file)) {
      const schema = join(this.dir, "vswitch.ovsschema");
      writeFileSync(schema, JSON.stringify(openVswitchSchema));
      this.command("ovsdb-tool", "create", file, schema);
    }
    this.inside(
      "sw",
      "ovsdb-server",
      file,
      `--remote=punix:${this.dir}/db.sock`,
      ...options,
      "--detach",
      "--no-chdir",
      "--pidfile",
      "--log-file",
      "-vconsole:off",
    );
    this.vsctl("--no-wait", "init");
  }

  startSwitch(...options: string[]): void {
    this.inside(
      "sw",
      "ovs-vswitchd",
      ...options,
      "--detach",
      "--no-chdir",
      "--pidfile",
      "--log-file",
      "-vconsole:off",
    );
  }

  /** `ovsbox up` instead of both. */
  startUp(...options: string[]): void {
    this.inside("sw", "ovsbox", "up", "--detach", "--no-chdir", "-vconsole:off", ...options);
  }

  pid(daemon: WorldDaemon): number {
    return Number(readFileSync(join(this.dir, `${daemon}.pid`), "utf8"));
  }

  log(daemon: WorldDaemon = "ovs-vswitchd"): string {
    return readFileSync(join(this.dir, `${daemon}.log`), "utf8");
  }

  /**
   * A host with `address` (with prefix length) on eth0; the switch's end is called like the host. Both ends have so many receive
   * and send queues.
   */
  host(name: string, address: string, queues = 1): void {
    const netns = this.#namespace(name);
    const counts = ["numrxqueues", String(queues), "numtxqueues", String(queues)];
    this.command(
      "ip",
      "-n",
      this.netns,
      "link",
      "add",
      "name",
      name,
      ...counts,
      "type",
      "veth",
      "peer",
      "name",
      "eth0",
      ...counts,
      "netns",
      netns,
    );
    this.command("ip", "-n", this.netns, "link", "set", "dev", name, "up");
    this.command("ip", "-n", netns, "addr", "add", address, "dev", "eth0");
    this.command("ip", "-n", netns, "link", "set", "eth0", "up");
  }

  /** Two hosts, "ha" and "hb", with a bridge of the datapath `type` between them, "" for what there is by default. */
  twoHosts(type: "" | "netdev" | "ebpf" = "netdev"): void {
    this.vsctl(
      "add-br",
      "br0",
      ...(type === "" ? [] : ["--", "set", "bridge", "br0", `datapath_type=${type}`]),
    );
    this.host("ha", "10.1.1.1/24");
    this.host("hb", "10.1.1.2/24");
    this.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
  }

  mac(host: string): string {
    return this.inside(host, "cat", "/sys/class/net/eth0/address").trim();
  }

  /** Exactly `count` echo requests and replies, or an error. */
  ping(from: string, to: string, count = 3): void {
    const before = this.#echoReplies(from);
    const result = this.tryInside(from, "ping", "-c", String(count), "-i", "0.01", "-W", "2", to);
    const sent = result.stdout.includes(`${count} packets transmitted, `);
    if (sent && result.stdout.includes(`, ${count} received`)) return;
    // After one answer ping waits for the last ones no longer than twice the longest that one took, or an interval,
    // whatever -W says. What comes later, as on a busy machine, the kernel counts all the same.
    for (let tries = 0; sent && tries < 40; tries++) {
      if (this.#echoReplies(from) - before >= count) return;
      this.command("sleep", "0.05");
    }
    throw new Error(`ping ${to} from ${from}: ${result.stdout}${result.stderr}`);
  }

  /** That have come to the host so far. */
  #echoReplies(host: string): number {
    const [names, values] = [...this.inside(host, "cat", "/proc/net/snmp").matchAll(/^Icmp: (.*)$/gm)].map(
      ([, words]) => words!.split(" "),
    );
    return Number(values![names!.indexOf("InEchoReps")]);
  }

  unreachable(from: string, to: string): boolean {
    return / 0 received/.test(this.tryInside(from, "ping", "-c", "2", "-i", "0.05", "-W", "1", to).stdout);
  }

  /** Asks again until `test` holds, at most `seconds`. */
  async until(what: string, test: () => boolean, seconds = 5): Promise<void> {
    for (const end = performance.now() + seconds * 1000; ; await sleep(20)) {
      // At least one more look after a long one.
      const late = performance.now() > end;
      if (test()) return;
      if (late) break;
    }
    throw new Error(`not within ${seconds} s: ${what}`);
  }

  async close(): Promise<void> {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const daemon of DAEMONS) {
      try {
        process.kill(this.pid(daemon), "SIGKILL");
      } catch {
        // Not running.
      }
    }
    await sleep(50);
    for (const netns of this.#namespaces) this.try("ip", "netns", "del", netns);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** `body` in a world of its own, which ends with it; the end of the switch's log is shown when it fails. */
export async function withWorld(body: (world: World) => Promise<void> | void): Promise<void> {
  const world = new World();
  try {
    await body(world);
  } catch (error) {
    if (existsSync(join(world.dir, "ovs-vswitchd.log")))
      console.error(world.log().split("\n").slice(-60).join("\n"));
    throw error;
  } finally {
    await world.close();
  }
}

/** The same, with the daemons started and two hosts joined by a bridge. */
export function withTwoHosts(
  body: (world: World) => Promise<void> | void,
  type?: "" | "netdev" | "ebpf",
): Promise<void> {
  return withWorld(async (world) => {
    world.startUp();
    world.twoHosts(type);
    await body(world);
  });
}

function must(words: string[], result: Result): string {
  if (result.status !== 0)
    throw new Error(`${words.join(" ")}: status ${result.status}\n${result.stdout}${result.stderr}`);
  return result.stdout;
}
