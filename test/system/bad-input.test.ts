/** Bad input gets one clear line with the program's name, the original's exit status, and changes nothing. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { decode, OfpError, type Version } from "../../src/openflow/index.ts";
import { BAD_MESSAGES, XID } from "./bad-messages.ts";
import { BIN } from "./bin.ts";

const folder = mkdtempSync(join(tmpdir(), "ovsbox-bad-"));
const env = {
  ...process.env,
  OVS_RUNDIR: folder,
  OVS_LOGDIR: folder,
  OVS_DBDIR: folder,
  OVS_SYSCONFDIR: folder,
};
const run = (name: string, ...args: string[]) =>
  spawnSync(join(BIN, name), args, { env, encoding: "utf8", timeout: 20_000, cwd: folder });
const VERSIONS = "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15";
const daemons = ["ovsdb-server", "ovs-vswitchd"];

t.before(async () => {
  const schema = join(folder, "vswitch.ovsschema");
  writeFileSync(schema, run("ovsbox", "--schema").stdout);
  run("ovsdb-tool", "create", join(folder, "conf.db"), schema);
  const started = [
    ["ovsdb-server", join(folder, "conf.db"), `--remote=punix:${folder}/db.sock`, "--pidfile", "--no-chdir"],
    [
      "ovs-vswitchd",
      `unix:${folder}/db.sock`,
      "--pidfile",
      "--enable-dummy",
      "--disable-system",
      "-vconsole:off",
    ],
  ];
  for (const [name, ...args] of started) {
    spawn(join(BIN, name!), args, { env, cwd: folder, stdio: "ignore" }).unref();
    for (let i = 0; i < 100 && !existsSync(join(folder, `${name}.pid`)); i++) await sleep(50);
  }
  const made = run(
    "ovs-vsctl",
    "-t10",
    "add-br",
    "br0",
    "--",
    "set",
    "bridge",
    "br0",
    "datapath_type=dummy",
    `protocols=${VERSIONS}`,
  );
  if (made.status !== 0) throw new Error(`no switch to try on: ${made.stderr}`);
  run("ovs-ofctl", "del-flows", "br0");
});

t.teardown(() => {
  for (const name of daemons) {
    const pid =
      existsSync(join(folder, `${name}.pid`)) && Number(readFileSync(join(folder, `${name}.pid`), "utf8"));
    if (pid) process.kill(pid, "SIGKILL");
  }
  rmSync(folder, { recursive: true });
});

interface Case {
  name: string;
  command: [string, ...string[]];
  status: number;
  stderr: RegExp;
}

const cases: Case[] = [
  {
    name: "server: TLS files named by a database that is not there, with a remote that already listens",
    command: ["ovsdb-server", "--no-dbs", "--remote=ptcp:0:127.0.0.1", "--ca-cert=db:x,SSL,y"],
    status: 1,
    stderr:
      /failed to configure SSL\/TLS: "db:x,SSL,y": no database named x\n.*server configuration failed\n$/s,
  },
  {
    name: "vsctl: unknown command",
    command: ["ovs-vsctl", "frobnicate"],
    status: 1,
    stderr: /^ovs-vsctl: unknown command 'frobnicate'; use --help for help\n$/,
  },
  {
    name: "vsctl: unknown option",
    command: ["ovs-vsctl", "--frobnicate", "show"],
    status: 1,
    stderr: /^ovs-vsctl: unrecognized option '--frobnicate'\n$/,
  },
  {
    name: "vsctl: missing argument",
    command: ["ovs-vsctl", "add-port", "br0"],
    status: 1,
    stderr: /^ovs-vsctl: 'add-port' command requires at least 2 arguments\n$/,
  },
  {
    name: "vsctl: no such bridge",
    command: ["ovs-vsctl", "add-port", "nobr", "p0"],
    status: 1,
    stderr: /^ovs-vsctl: no bridge named nobr\n$/,
  },
  {
    name: "vsctl: no such column",
    command: ["ovs-vsctl", "set", "bridge", "br0", "colour=red"],
    status: 1,
    stderr: /^ovs-vsctl: Bridge does not contain a column whose name matches "colour"\n$/,
  },
  {
    name: "vsctl: value of the wrong type",
    command: ["ovs-vsctl", "set", "bridge", "br0", "stp_enable=maybe"],
    status: 1,
    stderr: /^ovs-vsctl: "maybe" is not a valid boolean \(use "true" or "false"\)\n$/,
  },
  {
    name: "vsctl: value out of the set",
    command: ["ovs-vsctl", "set", "bridge", "br0", "fail_mode=sometimes"],
    status: 1,
    stderr:
      /^ovs-vsctl: constraint violation: sometimes is not one of the allowed values \(\[secure, standalone\]\)\n$/,
  },
  {
    name: "vsctl: an interface that is missing",
    command: [
      "ovs-vsctl",
      "-t5",
      "add-port",
      "br0",
      "nodev0",
      "--",
      "set",
      "interface",
      "nodev0",
      "type=frobnicate",
    ],
    status: 65,
    stderr:
      /^ovs-vsctl: Error detected while setting up 'nodev0': could not open network device nodev0 \(.*\)\. {2}See ovs-vswitchd log for details\.\novs-vsctl: The default log directory is ".*"\.\n$/,
  },
  {
    name: "ofctl: unknown command",
    command: ["ovs-ofctl", "frobnicate"],
    status: 1,
    stderr: /^ovs-ofctl: unknown command 'frobnicate'; use --help for help\n$/,
  },
  {
    name: "ofctl: malformed flow",
    command: ["ovs-ofctl", "add-flow", "br0", "in_port=x,actions=drop"],
    status: 1,
    stderr: /^ovs-ofctl: x: invalid or unknown port for in_port\n$/,
  },
  {
    name: "ofctl: no actions",
    command: ["ovs-ofctl", "add-flow", "br0", "ip"],
    status: 1,
    stderr: /^ovs-ofctl: must specify an action\n$/,
  },
  {
    name: "ofctl: unknown action",
    command: ["ovs-ofctl", "add-flow", "br0", "actions=frobnicate"],
    status: 1,
    stderr: /^ovs-ofctl: unknown action frobnicate\n$/,
  },
  {
    name: "ofctl: buckets of their own in an OpenFlow without them",
    command: [
      "ovs-ofctl",
      "-O",
      "OpenFlow11",
      "insert-buckets",
      "br0",
      "group_id=1,command_bucket_id=first,bucket=drop",
    ],
    status: 1,
    stderr: /^ovs-ofctl: insert-bucket needs OpenFlow 1\.5 or later \('-O OpenFlow15'\)\n$/,
  },
  {
    name: "ofctl: no such bridge",
    command: ["ovs-ofctl", "show", "nobr"],
    status: 1,
    stderr: /^ovs-ofctl: nobr is not a bridge or a socket\n$/,
  },
  {
    name: "appctl: unknown command",
    command: ["ovs-appctl", "frobnicate"],
    status: 2,
    stderr:
      /^"frobnicate" is not a valid command \(use "list-commands" to see a list of valid commands\)\novs-appctl: ovs-vswitchd: server returned an error\n$/,
  },
  {
    name: "ovsdb-tool: schema that is not JSON",
    command: ["ovsdb-tool", "create", "x.db", "notjson"],
    status: 1,
    stderr: /^ovsdb-tool: failed to read schema: "notjson" could not be read as JSON \(.*\)\n$/,
  },
  {
    name: "ovsdb-tool: no such database",
    command: ["ovsdb-tool", "db-name", "missing.db"],
    status: 1,
    stderr: /^ovsdb-tool: I\/O error: missing\.db: open failed \(No such file or directory\)\n$/,
  },
  {
    name: "ovsdb-client: transaction that is not JSON",
    command: ["ovsdb-client", "transact", "[x"],
    status: 1,
    stderr: /^ovsdb-client: "\[x": .*\n$/,
  },
  {
    name: "ovsdb-server: database that is not one",
    command: ["ovsdb-server", "notjson", "--remote=punix:other.sock"],
    status: 1,
    stderr:
      /failed to open database 'notjson': ovsdb error: notjson: unexpected file format\n.*\novsdb-server: server configuration failed\n$/,
  },
];

t.test("each is refused, and nothing has changed", async (t) => {
  writeFileSync(join(folder, "notjson"), "This is no JSON.\n");
  const flows = run("ovs-ofctl", "dump-flows", "br0").stdout;
  for (const c of cases) {
    const [name, ...args] = c.command;
    const r = run(name, ...args);
    t.equal(r.status, c.status, `${c.name}: status`, { stderr: r.stderr });
    t.match(r.stderr, c.stderr, `${c.name}: message`);
  }
  run("ovs-vsctl", "del-port", "nodev0");
  t.notOk(existsSync(join(folder, "x.db")), "no database was made");
  t.notOk(existsSync(join(folder, "other.sock")), "no socket was made");
  t.equal(run("ovs-ofctl", "dump-flows", "br0").stdout, flows, "flows");
  t.equal(run("ovs-vsctl", "list-ports", "br0").stdout, "", "ports");
  t.equal(run("ovs-vsctl", "get", "bridge", "br0", "stp_enable").stdout, "false\n", "columns");
});

/** What the switch says to `messages` on a connection of their own, until it answers the echo request behind them. */
function replies(version: Version, messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(join(folder, "br0.mgmt"));
    const out: Uint8Array[] = [];
    let bytes = Buffer.alloc(0);
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 8 && bytes.length >= bytes.readUInt16BE(2)) {
        out.push(Uint8Array.from(bytes.subarray(0, bytes.readUInt16BE(2))));
        bytes = bytes.subarray(out.at(-1)!.length);
        if (out.at(-1)![1] !== OFPT_ECHO_REPLY) continue;
        socket.destroy();
        resolve(out);
      }
    });
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("connection closed")));
    const header = (type: number, xid: number): number[] => [version, type, 0, 8, 0, 0, 0, xid];
    socket.write(Buffer.concat([Buffer.from(header(0, 1)), ...messages, Buffer.from(header(2, 9))]));
  });
}

const OFPT_ERROR = 1;
const OFPT_ECHO_REPLY = 3;

t.test(
  "OpenFlow: each bad message gets its error with its beginning, and the connection lives",
  async (t) => {
    const wrong: string[] = [];
    for (const { name, first = 1, last = 6, error, make } of BAD_MESSAGES) {
      for (let version = first; version <= last; version++) {
        const messages = make(version as Version);
        const request = messages.at(-1)!;
        const errors = (await replies(version as Version, messages)).filter(
          (reply) => reply[1] === OFPT_ERROR,
        );
        const decoded = errors.length === 1 ? decode(errors[0]!) : undefined;
        const what = `${name} in ${version}`;
        if (decoded === undefined || decoded instanceof OfpError || decoded.message.type !== "error") {
          wrong.push(`${what}: ${errors.length} errors`);
          continue;
        }
        const { payload, error: got } = decoded.message;
        if (got !== error) wrong.push(`${what}: ${got} instead of ${error}`);
        if (decoded.version !== version || decoded.xid !== XID) wrong.push(`${what}: version or xid`);
        const enough = payload.length >= Math.min(64, request.length);
        if (!enough || Buffer.compare(payload, request.subarray(0, payload.length)) !== 0) {
          wrong.push(`${what}: ${payload.length} bytes of the message, or others`);
        }
      }
    }
    t.same(wrong, []);
  },
);

t.test("output that is lost", async (t) => {
  const to = (where: string, command: string) =>
    spawnSync("sh", ["-c", `${command} ${where}`], {
      env: { ...env, PATH: `${BIN}:${process.env.PATH}` },
      encoding: "utf8",
    });
  for (const command of ["ovs-vsctl --version", "ovsdb-client get-schema", "ovs-ofctl --help"]) {
    const run = to(">/dev/full", command);
    t.equal(run.status, 1, command);
    t.equal(run.stderr, `${command.split(" ")[0]}: standard output: No space left on device\n`);
    t.equal(to(">&-", command).status, 0, `${command}: nobody wants it`);
  }
});
