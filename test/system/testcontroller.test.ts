/** The executable ovs-testcontroller: command line, daemon, control socket, and a switch (ours, Debian's) under it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { BIN, peer, withoutPeer } from "./bin.ts";

const CONTROLLER = join(BIN, "ovs-testcontroller");
const skip = existsSync(CONTROLLER) ? false : `no executable in ${BIN} (scripts/build)`;

type Programs = (name: string) => string;
const ours: Programs = (name) => join(BIN, name);
const theirs: Programs = (name) => peer(name)!;

/** A folder with a switch of two dummy ports in it; all that runs ends with `close`. */
class Bench {
  readonly dir = mkdtempSync(join(tmpdir(), `ovsbox-tc-${process.pid}-`));
  readonly #children: ChildProcess[] = [];
  /** More on why something did not happen. */
  told: (() => string) | undefined;
  readonly env = {
    ...process.env,
    OVS_RUNDIR: this.dir,
    OVS_LOGDIR: this.dir,
    OVS_DBDIR: this.dir,
    OVS_SYSCONFDIR: this.dir,
    OVS_SYSLOG_METHOD: "null",
  };

  run(program: string, ...args: string[]) {
    const done = spawnSync(program, args, {
      env: this.env,
      encoding: "utf8",
      timeout: 20_000,
      cwd: this.dir,
    });
    return { status: done.status, stdout: done.stdout, stderr: done.stderr.replace(/^.*Z\|\d+\|/gm, "") };
  }
  must(program: string, ...args: string[]): string {
    const { status, stdout, stderr } = this.run(program, ...args);
    if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${status}: ${stdout}${stderr}`);
    return stdout;
  }
  start(program: string, ...args: string[]): ChildProcess {
    const child = spawn(program, args, {
      env: this.env,
      cwd: this.dir,
      stdio: ["ignore", "ignore", "ignore"],
    });
    this.#children.push(child);
    return child;
  }
  async until(what: string, test: () => boolean, seconds = 10): Promise<void> {
    for (let left = seconds * 20; left > 0; left--) {
      if (test()) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`not within ${seconds} s: ${what}\n${this.told?.() ?? ""}`);
  }
  file(name: string): string {
    return join(this.dir, name);
  }
  async close(): Promise<void> {
    const ended = this.#children.map(
      (child) =>
        new Promise((resolve) => {
          if (child.exitCode !== null || child.signalCode !== null) resolve(undefined);
          else child.once("exit", resolve);
          child.kill("SIGKILL");
        }),
    );
    await Promise.all(ended);
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** `programs` choose the switch; the bridge listens to `target`. */
  async startSwitch(programs: Programs, target: string, protocol: string): Promise<void> {
    writeFileSync(this.file("schema"), JSON.stringify(openVswitchSchema));
    this.must(programs("ovsdb-tool"), "create", "conf.db", "schema");
    this.start(
      programs("ovsdb-server"),
      "conf.db",
      `--remote=punix:${this.file("db.sock")}`,
      "-vconsole:off",
    );
    await this.until("database", () => existsSync(this.file("db.sock")));
    this.must(programs("ovs-vsctl"), "--no-wait", "init");
    this.start(
      programs("ovs-vswitchd"),
      `unix:${this.file("db.sock")}`,
      "--enable-dummy=override",
      "--disable-system",
      "-vconsole:off",
      `--unixctl=${this.file("sw.ctl")}`,
    );
    await this.until("switch", () => existsSync(this.file("sw.ctl")));
    const port = (name: string, number: number) => [
      "--",
      "add-port",
      "br0",
      name,
      "--",
      "set",
      "interface",
      name,
      "type=dummy",
      `ofport_request=${number}`,
    ];
    this.must(
      programs("ovs-vsctl"),
      "-t10",
      "add-br",
      "br0",
      "--",
      "set",
      "bridge",
      "br0",
      "datapath_type=dummy",
      "fail-mode=secure",
      `protocols=${protocol}`,
      ...port("p1", 1),
      ...port("p2", 2),
      "--",
      "set-controller",
      "br0",
      target,
    );
  }
}

t.test("command line", { skip }, async (t) => {
  const bench = new Bench();
  t.teardown(() => bench.close());
  const methods = (count: number) => Array.from({ length: count }, (_, i) => `punix:${bench.file(`l${i}`)}`);
  const nothing = "ovs-testcontroller: no active or passive switch connections\n";
  writeFileSync(bench.file("bad"), "# comment\n\nip,actions=foo\n");
  const cases: { args: string[]; status: number; stdout?: RegExp; stderr: string }[] = [
    {
      args: [],
      status: 1,
      stderr: "ovs-testcontroller: at least one vconn argument required; use --help for usage\n",
    },
    {
      args: ["foo"],
      status: 1,
      stderr: `controller|ERR|foo: connect: Address family not supported by protocol\n${nothing}`,
    },
    {
      args: ["tcp:127.0.0.1:1"],
      status: 1,
      stderr: `controller|ERR|tcp:127.0.0.1:1: connect: Connection refused\n${nothing}`,
    },
    {
      args: ["-H", "-q1", `unix:${bench.file("none")}`],
      status: 1,
      stderr:
        "ovs-testcontroller: queue IDs are incompatible with -H or --hub; not acting as hub\n" +
        `controller|ERR|unix:${bench.file("none")}: connect: No such file or directory\n${nothing}`,
    },
    { args: methods(17), status: 1, stderr: "ovs-testcontroller: max 16 passive connections\n" },
    {
      args: ["--with-flows=bad", "ptcp:"],
      status: 1,
      stderr: "ovs-testcontroller: bad:3: unknown action foo\n",
    },
    {
      args: ["--with-flows", "none", "ptcp:"],
      status: 1,
      stderr: "ovs-testcontroller: none: open failed (No such file or directory)\n",
    },
    {
      args: ["--bootstrap-ca-cert=x", "ptcp:"],
      status: 1,
      stderr: "ovs-testcontroller: unrecognized option '--bootstrap-ca-cert=x'\n",
    },
    {
      args: ["-V"],
      status: 0,
      stdout: /^ovs-testcontroller \(Open vSwitch\) 3\.7\.\d+\nOpenFlow versions 0x1:0x6\n$/,
      stderr: "",
    },
    {
      args: ["-h"],
      status: 0,
      stdout: /^ovs-testcontroller: OpenFlow controller\n[\s\S]*--max-idle=SECS/,
      stderr: "",
    },
  ];
  for (const { args, status, stdout, stderr } of cases) {
    const done = bench.run(CONTROLLER, "-vsyslog:off", ...args);
    const name = args.join(" ").slice(0, 60);
    t.equal(done.status, status, `${name}: status`);
    t.equal(done.stderr, stderr, `${name}: standard error`);
    t.match(done.stdout, stdout ?? /^$/, `${name}: standard output`);
  }
});

t.test("daemon and control socket", { skip }, async (t) => {
  const bench = new Bench();
  t.teardown(() => bench.close());
  bench.must(CONTROLLER, "--detach", "--no-chdir", "--pidfile", "--log-file", `punix:${bench.file("of")}`);
  const pid = Number(readFileSync(bench.file("ovs-testcontroller.pid"), "utf8"));
  t.teardown(() => {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Ended, as it should.
    }
  });
  t.match(
    bench.must(ours("ovs-appctl"), "-t", "ovs-testcontroller", "version"),
    /^ovs-testcontroller \(Open/,
  );
  t.match(bench.must(ours("ovs-appctl"), "-t", "ovs-testcontroller", "vlog/list"), /learning_switch/);
  const exit = bench.run(ours("ovs-appctl"), "-t", "ovs-testcontroller", "exit");
  t.equal(exit.status, 2, "the original knows no exit either");
  process.kill(pid, "SIGTERM");
  await bench.until("end", () => !existsSync(bench.file("ovs-testcontroller.pid")));
  t.notOk(existsSync(bench.file("of")), "the socket is gone");
  t.match(
    readFileSync(bench.file("ovs-testcontroller.log"), "utf8"),
    /terminating with signal 15 \(Terminated\)/,
  );
});

const A = "50:54:00:00:00:01";
const B = "50:54:00:00:00:02";
const frame = (from: string, to: string): string =>
  `eth(src=${from},dst=${to}),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)`;

/** A switch floods an unknown address by the controller's word, then forwards by a flow of its. */
async function learns(t: Test, programs: Programs, protocol: string, passive: boolean): Promise<void> {
  const bench = new Bench();
  t.teardown(() => bench.close());
  const socket = bench.file("br0.controller");
  writeFileSync(bench.file("flows"), "table=0,priority=7,udp,actions=drop\n");
  const flags = [
    "-vconsole:off",
    "-vsyslog:off",
    `--unixctl=${bench.file("tc.ctl")}`,
    "-O",
    protocol,
    "--with-flows=flows",
  ];
  if (passive) {
    bench.start(CONTROLLER, ...flags, `punix:${socket}`);
    await bench.until("listener", () => existsSync(socket));
  }
  await bench.startSwitch(programs, passive ? `unix:${socket}` : `punix:${socket}`, protocol);
  if (!passive) {
    await bench.until("listener of the switch", () => existsSync(socket));
    bench.start(CONTROLLER, ...flags, `unix:${socket}`);
  }
  const dump = (): string =>
    bench
      .must(programs("ovs-ofctl"), "-O", protocol, "--no-names", "dump-flows", "br0")
      .replace(/cookie=.*?(n_packets=\d+), .*?(?=(idle_timeout|priority|udp))/g, "$1 ");
  bench.told = dump;
  await bench.until("the flow of the file", () => /priority=7,udp/.test(dump()));
  const receive = (port: string, packet: string): string =>
    bench.must(programs("ovs-appctl"), "-t", bench.file("sw.ctl"), "netdev-dummy/receive", port, packet);
  const sent = (port: string): number =>
    Number(
      /tx pkts=(\d+)/.exec(bench.must(programs("ovs-ofctl"), "-O", protocol, "dump-ports", "br0", port))?.[1],
    );
  receive("p1", frame(A, B));
  await bench.until("flooded to p2", () => sent("2") === 1);
  t.notMatch(dump(), /dl_src/, "no flow for what is not known");
  receive("p2", frame(B, A));
  await bench.until("sent to p1", () => sent("1") === 1);
  const flow = new RegExp(`idle_timeout=60, .*icmp,in_port=2,.*dl_src=${B},dl_dst=${A},.*actions=output:1`);
  await bench.until("a flow", () => flow.test(dump()));
  receive("p2", frame(B, A));
  await bench.until("sent again", () => sent("1") === 2);
  t.pass("learned");
}

for (const protocol of ["OpenFlow10", "OpenFlow13", "OpenFlow15"]) {
  t.test(`our switch, ${protocol}`, { skip }, (t) => learns(t, ours, protocol, true));
}
t.test("our switch listens", { skip }, (t) => learns(t, ours, "OpenFlow10", false));
const noPeer =
  skip || withoutPeer("ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl", "ovs-appctl");
for (const protocol of ["OpenFlow10", "OpenFlow13"]) {
  t.test(`Debian's switch, ${protocol}`, { skip: noPeer }, (t) => learns(t, theirs, protocol, true));
}
