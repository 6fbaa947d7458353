/** The executable ovs-ofctl: what it prints, by itself and of a switch of dummy devices. What is expected is the original's. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { DummySwitch, ours, sleep } from "../peers/dummy-switch.ts";
import { BIN, FULL } from "./bin.ts";

const OFCTL = join(BIN, "ovs-ofctl");
const skip = existsSync(OFCTL) ? false : `no executable in ${BIN} (scripts/build)`;
const folder = mkdtempSync(join(tmpdir(), `ovsbox-ofctl-${process.pid}-`));
let mine: DummySwitch | undefined;
t.teardown(() => {
  mine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A switch for the tests that want one. */
async function dummySwitch(): Promise<DummySwitch> {
  if (mine === undefined) {
    mine = new DummySwitch(ours);
    await mine.start();
  }
  return mine;
}

function ofctl(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const done = spawnSync(OFCTL, args, { cwd: folder, encoding: "utf8", timeout: 20_000 });
  return { status: done.status, stdout: done.stdout, stderr: done.stderr };
}

/** Writes lines to files and compares them. */
function diff(first: readonly string[], second: readonly string[]): string {
  for (const [name, lines] of Object.entries({ first, second })) {
    writeFileSync(join(folder, name), lines.map((line) => `${line}\n`).join(""));
  }
  return ofctl("diff-flows", "./first", "./second").stdout;
}

t.test("diff-flows keeps masks of tun_metadata that are narrower than the option", { skip }, async (t) => {
  t.equal(
    diff(
      [
        "priority=1,tun_metadata1=0xef/0xff,tun_metadata0=0xabcd,actions=drop",
        "priority=2,tun_metadata0=0x12/0xffffffff,tun_metadata3=0x12345/0xfffff,actions=drop",
        "priority=4,tun_metadata1=0xef,actions=drop",
        "priority=5,tun_metadata5=0x0/0xff,actions=drop",
        "priority=6,tun_metadata6,actions=drop",
        "priority=8,tun_metadata7=0xffff/0xffff,actions=drop",
      ],
      [
        "priority=1,tun_metadata1=0x112233445566/0xffffffffffffff,actions=drop",
        "priority=8,tun_metadata7=0xffff,actions=drop",
      ],
    ),
    `-priority=8,tun_metadata7=0xffff/0xffff actions=drop
+priority=8,tun_metadata7=0xffff actions=drop
-priority=6,tun_metadata6 actions=drop
-priority=5,tun_metadata5=0/0xff actions=drop
-priority=4,tun_metadata1=0xef actions=drop
-priority=2,tun_metadata0=0x12,tun_metadata3=0x12345/0xfffff actions=drop
-priority=1,tun_metadata0=0xabcd,tun_metadata1=0xef/0xff actions=drop
+priority=1,tun_metadata1=0x112233445566/0xffffffffffffff actions=drop
`,
  );
});

t.test("diff-flows goes by table, then by masks in order of priority", { skip }, async (t) => {
  t.equal(
    diff(
      [
        "table=2,priority=3,ip,nw_dst=10.5.0.0/16,actions=drop",
        "table=1,priority=9,ip,nw_dst=10.0.0.0/16,actions=drop",
        "table=1,priority=8,ip,nw_dst=10.7.0.0/16,actions=drop",
        "table=1,priority=0,in_port=2,actions=drop",
        "table=1,priority=6,actions=drop",
      ],
      [
        "table=1,priority=1,actions=drop",
        "table=2,priority=6,ip,nw_dst=10.8.0.0/16,actions=drop",
        "table=1,priority=5,actions=drop",
        "table=1,priority=9,ip,nw_dst=10.0.0.3,actions=drop",
      ],
    ),
    `-table=1 priority=9,ip,nw_dst=10.0.0.0/16 actions=drop
-table=1 priority=8,ip,nw_dst=10.7.0.0/16 actions=drop
+table=1 priority=9,ip,nw_dst=10.0.0.3 actions=drop
-table=1 priority=6 actions=drop
+table=1 priority=1 actions=drop
+table=1 priority=5 actions=drop
-table=1 priority=0,in_port=2 actions=drop
-table=2 priority=3,ip,nw_dst=10.5.0.0/16 actions=drop
+table=2 priority=6,ip,nw_dst=10.8.0.0/16 actions=drop
`,
  );
});

t.test("a large file is read as the same from standard input", { skip }, async (t) => {
  const lines = Array.from({ length: 10_000 }, (_, i) => {
    const fields = `priority=${i},tcp,nw_src=10.${i >> 8}.0.0/16,dl_dst=00:00:00:00:00:${(i & 255).toString(16).padStart(2, "0")}`;
    return `${fields},tp_dst=${i} actions=output:${i & 3}`;
  });
  const file = join(folder, "large");
  const input = `${lines.join("\n")}\n`;
  writeFileSync(file, input);
  const piped = spawnSync(OFCTL, ["parse-flows", "-"], { input, encoding: "utf8", maxBuffer: 1 << 24 });
  const read = spawnSync(OFCTL, ["parse-flows", file], { encoding: "utf8", maxBuffer: 1 << 24 });
  t.equal(read.status, 0);
  t.equal(read.stdout.split("\n").length, lines.length + 3);
  t.ok(read.stdout === piped.stdout);
  writeFileSync(file, `${input}tcp\n`);
  t.match(ofctl("parse-flows", file), {
    status: 1,
    stderr: `ovs-ofctl: ${file}:${lines.length + 1}: must specify an action\n`,
  });
});

// This one narrows what the lines before it could be sent in.
t.test("a later line decides how all are sent", { skip }, async (t) => {
  writeFileSync(join(folder, "mixed"), "tcp,actions=drop\nudp,reg1=2,actions=drop\n");
  const { stdout } = ofctl("parse-flows", "mixed");
  t.match(
    stdout,
    /^chosen protocol: NXM-table_id\nNXT_FLOW_MOD \(xid=0x1\): ADD tcp actions=drop\nNXT_FLOW_MOD/m,
  );
});

t.test("--color", { skip }, async (t) => {
  const flow = ["parse-flow", "tcp,actions=drop"];
  const painted = "ADD \x1b[32m\x1b[Ktcp\x1b[m\x1b[K actions=\x1b[34m\x1b[Kdrop\x1b[m\x1b[K\n";
  for (const when of ["always", "yes", "force"]) t.match(ofctl(`--color=${when}`, ...flow).stdout, painted);
  for (const when of ["=never", "=no", "=none", "", "=auto", "=tty", "=if-tty"])
    t.match(ofctl(`--color${when}`, ...flow).stdout, "ADD tcp actions=drop\n", `${when}: no terminal`);
  for (const when of ["bad", "ALWAYS", ""]) {
    const { status, stderr } = ofctl(`--color=${when}`, ...flow);
    t.equal(stderr, `ovs-ofctl: incorrect value \`${when}' for --color\n`);
    t.equal(status, 1);
  }
  t.notMatch(ofctl("--color=always", "--format=json", ...flow).stdout, "\x1b");
});

/** A monitor in the background and its control socket. */
class Monitor {
  readonly control: string;
  readonly pidfile: string;
  readonly #on: DummySwitch;

  constructor(on: DummySwitch, name: string, env: Record<string, string>, ...args: string[]) {
    this.#on = on;
    this.control = join(on.dir, `${name}.ctl`);
    this.pidfile = join(on.dir, `${name}.pid`);
    const daemon = ["--detach", "--no-chdir", `--pidfile=${this.pidfile}`, `--unixctl=${this.control}`];
    const done = spawnSync(OFCTL, [...args, ...daemon, "monitor", "br0"], {
      env: { ...on.env, ...env },
      stdio: "ignore",
      timeout: 20_000,
    });
    if (done.status !== 0) throw new Error(`monitor: ${done.status}`);
  }

  /** The reply, with "error: " before an error. */
  ask(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync(
      ours("ovs-appctl"),
      ["-T", "10", "-t", this.control, ...args],
      {
        env: this.#on.env,
        encoding: "utf8",
      },
    );
    return status === 0
      ? stdout
      : `error: ${stderr.replace(/\novs-appctl: .*server returned an error\n/s, "")}`;
  }
}

t.test("what is said to a monitor is answered as the original answers it", { skip }, async (t) => {
  const monitor = new Monitor(await dummySwitch(), "monitor", {}, "-O", "OpenFlow13");
  const packet = "packet=020000000001020000000002888800";
  const echo = "0402000800000005";
  const cases: [args: string[], want: string][] = [
    [["ofctl/packet-out", "in_port=1"], "error: must specify packet"],
    [["ofctl/packet-out", `${packet} actions=bogus`], "error: unknown action bogus"],
    [["ofctl/packet-out", `${packet} actions=output:nosuch`], "error: nosuch: output to unknown port"],
    [["ofctl/packet-out", `bogus=3 ${packet} actions=drop`], "error: unknown keyword bogus"],
    [["ofctl/packet-out", `tcp ${packet} actions=drop`], "error: field tcp missing value"],
    [
      ["ofctl/packet-out", `in_port=nosuch ${packet} actions=drop`],
      "error: nosuch is not a valid OpenFlow port",
    ],
    [
      ["ofctl/packet-out", `${packet} actions=goto_table:3`],
      "error: goto_table instruction not allowed here",
    ],
    [
      ["ofctl/packet-out", `${packet} actions=meter:3`],
      "error: PACKET_OUT actions are incompatible with the OpenFlow connection.",
    ],
    [["ofctl/packet-out", `in_port=1 ${packet}`], ""],
    [["ofctl/packet-out", `${packet} actions=output:2`], ""],
    [["ofctl/send", "zz"], "error: Trailing garbage in hex data"],
    [["ofctl/send", "0402"], "error: Message too short for OpenFlow"],
    [["ofctl/send", "0402000c00000005"], "error: Message size does not match length in OpenFlow header"],
    [["ofctl/send", echo, "0402"], "error: sent\nMessage too short for OpenFlow"],
    [["ofctl/send", echo, echo], "sent\nsent\n"],
    [["ofctl/set-output-file", "/no/such/file"], "error: No such file or directory"],
    [["ofctl/unblock"], "already unblocked\n"],
    [["ofctl/block"], ""],
    [["ofctl/block"], "already blocking\n"],
    [["ofctl/unblock"], ""],
    [["ofctl/barrier"], ""],
    [["exit"], ""],
  ];
  for (const [args, want] of cases) t.equal(monitor.ask(...args), want, args.join(" "));
});

t.test("a monitor in the background obeys --timeout, not OVS_CTL_TIMEOUT", { skip }, async (t) => {
  const on = await dummySwitch();
  const stays = new Monitor(on, "stays", { OVS_CTL_TIMEOUT: "1" });
  const goes = new Monitor(on, "goes", {}, "--timeout=1");
  for (let i = 0; i < 200 && existsSync(goes.pidfile); i++) await sleep(50);
  t.notOk(existsSync(goes.pidfile), "with its pid file");
  t.equal(stays.ask("ofctl/barrier"), "");
  t.equal(stays.ask("exit"), "");
});

t.test("every command that prints something of a switch prints one JSON object", { skip }, async (t) => {
  const on = await dummySwitch();
  const run = (version: number, ...args: string[]) =>
    spawnSync(OFCTL, ["-t", "10", "-O", `OpenFlow1${version - 1}`, ...args], {
      env: on.env,
      encoding: "utf8",
      // Table features are megabytes.
      maxBuffer: 1 << 26,
    });
  run(4, "add-flow", "br0", "table=3,priority=5,tcp,nw_src=10.0.0.0/8,idle_timeout=7000,actions=output:1");
  run(6, "add-group", "br0", "group_id=7,type=select,bucket=bucket_id:1,weight:3,output:1");
  run(4, "add-meter", "br0", "meter=3,kbps,burst,band=type=drop,rate=1000,burst_size=100");
  run(4, "add-tlv-map", "br0", "{class=0xffff,type=0,len=4}->tun_metadata0");
  const commands: [command: string, type: string, first?: number][] = [
    ["show", "features-reply"],
    ["dump-desc", "desc-reply"],
    ["dump-tables", "table-reply"],
    ["dump-table-features", "table-features-reply", 4],
    ["dump-table-desc", "table-desc-reply", 5],
    ["dump-flows", "flow-reply"],
    ["dump-aggregate", "aggregate-reply"],
    ["queue-stats", "queue-reply"],
    ["queue-get-config", "queue-get-config-reply"],
    ["dump-meters", "meter-config-reply", 4],
    ["meter-stats", "meter-reply", 4],
    ["meter-features", "meter-features-reply", 4],
    ["dump-ports", "port-reply"],
    ["dump-ports-desc", "port-desc-reply"],
    ["dump-groups", "group-desc-reply"],
    ["dump-group-stats", "group-reply"],
    ["dump-group-features", "group-features-reply"],
    ["dump-tlv-map", "nxt-tlv-table-reply"],
    ["dump-ipfix-bridge", "error"],
    ["dump-ipfix-flow", "error"],
  ];
  for (const [command, type, first = 1] of commands) {
    for (const version of FULL ? [1, 2, 3, 4, 5, 6].filter((v) => v >= first) : [first, 6]) {
      const { stdout, stderr } = run(version, "--format=json", command, "br0");
      t.equal(stdout.indexOf("\n"), stdout.length - 1, `${command}: one line`);
      const { type: got, version: spoken } = JSON.parse(stdout) as { type: string; version: string };
      t.same([got, spoken, stderr], [type, `OpenFlow1${version - 1}`, ""], `${command} in 1.${version - 1}`);
    }
  }
  t.same(JSON.parse(run(4, "--format=json", "get-frags", "br0").stdout), { frag: "normal" });
  writeFileSync(join(folder, "flows"), "table=3,priority=5,tcp,actions=drop\n");
  const different = run(4, "--format=json", "diff-flows", "br0", join(folder, "flows"));
  t.equal(different.status, 2);
  const common = { table: 3, priority: 5, cookie: "0x0", hard_timeout: 0, importance: 0 };
  t.same(JSON.parse(different.stdout), {
    type: "diff-flows",
    first: [
      { ...common, match: { tcp: true, nw_src: "10.0.0.0/8" }, idle_timeout: 7000, actions: ["output:1"] },
    ],
    second: [{ ...common, match: { tcp: true }, idle_timeout: 0, actions: [] }],
  });
});
