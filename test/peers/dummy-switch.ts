/** A database and a switch of dummy devices in a folder of their own, ours or the peer's: for what needs no namespaces. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { BIN, PEERS, peer } from "../system/bin.ts";

export const SWITCH_PROGRAMS = [
  "ovs-vswitchd",
  "ovsdb-server",
  "ovsdb-tool",
  "ovs-vsctl",
  "ovs-ofctl",
  "ovs-appctl",
] as const;

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export const ours = (name: string): string => join(BIN, name);
export const theirs = (name: string): string => peer(name)!;

export class DummySwitch {
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
  readonly program: (name: string) => string;
  readonly #running: ChildProcess[] = [];

  constructor(program: (name: string) => string) {
    this.dir = mkdtempSync(join(tmpdir(), `ovsbox-peers-${process.pid}-`));
    this.program = program;
    const dir = this.dir;
    this.env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
    if (PEERS !== undefined) this.env.OVS_PKGDATADIR = join(PEERS, "usr/share/openvswitch");
  }

  run(name: string, ...args: string[]): string {
    const r = spawnSync(this.program(name), args, { env: this.env, encoding: "utf8", timeout: 60_000 });
    if (r.status !== 0) throw new Error(`${this.program(name)} ${args.join(" ")}: ${r.stdout}${r.stderr}`);
    return r.stdout;
  }

  async #start(name: string, ready: string, ...args: string[]): Promise<void> {
    this.#running.push(spawn(this.program(name), args, { env: this.env, stdio: "ignore" }));
    for (let i = 0; i < 800 && !existsSync(join(this.dir, ready)); i++) await sleep(25);
  }

  /** With a bridge br0, which has ports p1 to p3 and no flows. */
  async start(): Promise<void> {
    const schema = join(this.dir, "vswitch.ovsschema");
    writeFileSync(schema, JSON.stringify(openVswitchSchema));
    this.run("ovsdb-tool", "create", join(this.dir, "conf.db"), schema);
    await this.#start(
      "ovsdb-server",
      "db.sock",
      join(this.dir, "conf.db"),
      `--remote=punix:${this.dir}/db.sock`,
    );
    this.run("ovs-vsctl", "--no-wait", "init");
    const dummy = ["--enable-dummy=override", "--disable-system", "--pidfile", "-vconsole:off"];
    const control = `--unixctl=${this.dir}/switch.ctl`;
    await this.#start("ovs-vswitchd", "ovs-vswitchd.pid", `unix:${this.dir}/db.sock`, control, ...dummy);
    const protocols = "protocols=OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15";
    const br0 = ["set", "bridge", "br0", "datapath_type=dummy", "fail_mode=secure", protocols];
    const ports = [1, 2, 3].flatMap((n) => [
      ...["--", "add-port", "br0", `p${n}`],
      ...["--", "set", "interface", `p${n}`, "type=dummy", `ofport_request=${n}`],
    ]);
    this.run(
      "ovs-vsctl",
      "-t",
      "20",
      "add-br",
      "br0",
      "--",
      ...br0,
      "other-config:datapath-id=0000000000000042",
      ...ports,
    );
  }

  /** A command of ovs-vswitchd's. */
  appctl(...args: string[]): string {
    return this.run("ovs-appctl", "-t", `${this.dir}/switch.ctl`, ...args);
  }

  stop(): void {
    for (const child of this.#running) child.kill("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }
}
