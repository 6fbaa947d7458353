/** The database server's sockets, which are the engine's own in the executable (src/sys/stream-native.ts). */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import t from "tap";
import { BIN } from "./bin.ts";

const folder = mkdtempSync(join(tmpdir(), `ovsbox-sockets-${process.pid}-`));
const env = { ...process.env, OVS_RUNDIR: folder, OVS_LOGDIR: folder, OVS_DBDIR: folder };
const schema = {
  name: "db",
  tables: { t: { columns: { s: { type: "string" } }, isRoot: true } },
};
let server: ChildProcess;

async function until(what: string, ready: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !ready(); i++) await sleep(25);
  if (!ready()) throw new Error(`${what} did not happen in 5 s`);
}

const log = (): string => readFileSync(join(folder, "log"), "utf8");
const socketPath = join(folder, "db.sock");
const request = (id: number, method: string, params: unknown[]): string =>
  JSON.stringify({ id, method, params });

/** Sends `text`, shuts down this side if asked, and collects what comes until the end or `enough`. */
function talk(
  options: net.NetConnectOpts,
  text: string,
  halfClose: boolean,
  enough: (got: string) => boolean = () => false,
): Promise<{ got: string; ended: boolean }> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...options, allowHalfOpen: true });
    let got = "";
    const finish = (ended: boolean) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ got, ended });
    };
    const timer = setTimeout(() => finish(false), 5000);
    socket.on("error", reject);
    socket.on("connect", () => (halfClose ? socket.end(text) : socket.write(text)));
    socket.on("data", (bytes) => {
      got += bytes.toString();
      if (enough(got)) finish(false);
    });
    socket.on("end", () => finish(true));
  });
}

t.before(async () => {
  writeFileSync(join(folder, "schema"), JSON.stringify(schema));
  writeFileSync(socketPath, "stale");
  spawnSync(join(BIN, "ovsdb-tool"), ["create", join(folder, "db"), join(folder, "schema")], { env });
  const args = [
    join(folder, "db"),
    `--remote=punix:${socketPath}`,
    "--remote=ptcp:0:127.0.0.1",
    "--remote=ptcp:0",
    `--unixctl=${folder}/ctl`,
    `--log-file=${folder}/log`,
    "-vconsole:off",
  ];
  server = spawn("/bin/sh", ["-c", 'umask 027; exec "$0" "$@"', join(BIN, "ovsdb-server"), ...args], {
    env,
    stdio: "ignore",
  });
  await until("the server's control socket", () => existsSync(join(folder, "ctl")));
});
t.teardown(() => {
  server.kill("SIGKILL");
  rmSync(folder, { recursive: true });
});

const ports = (): number[] =>
  [...log().matchAll(/listening on port (\d+)/g)].map((match) => Number(match[1]));
const openFiles = (): number => readdirSync(`/proc/${server.pid}/fd`).length;

t.test("the socket file", async (t) => {
  const { mode } = statSync(socketPath);
  t.equal(mode & 0o170000, 0o140000, "a stale file was replaced by a socket");
  t.equal(mode & 0o777, 0o750, "0770 less umask 027");
});

t.test("tcp on one address and on all", async (t) => {
  t.equal(ports().length, 2);
  for (const port of ports()) {
    const echo = request(1, "echo", ["x"]);
    const { got } = await talk({ port, host: "127.0.0.1" }, echo, false, (text) => text.endsWith("}"));
    t.same(JSON.parse(got), { id: 1, result: ["x"], error: null });
  }
  const add = (remote: string) =>
    spawnSync(join(BIN, "ovs-appctl"), ["-t", join(folder, "ctl"), "ovsdb-server/add-remote", remote], {
      env,
    });
  add(`ptcp:${ports()[0]}:127.0.0.1`);
  add(`punix:${folder}/no/such/folder`);
  await until("complaints", () => (log().match(/listen failed/g)?.length ?? 0) >= 2);
  t.match(log(), /listen failed: Address already in use/);
  t.match(log(), /no\/such\/folder: listen failed: No such file or directory/);
});

t.test("a client that shuts down its side gets what it asked for, then the end", async (t) => {
  const before = openFiles();
  const big = "y".repeat(3_000_000);
  const texts = [request(1, "echo", ["x"]), request(1, "echo", [big])];
  for (const text of texts) {
    for (const to of [{ path: socketPath }, { port: ports()[0]!, host: "127.0.0.1" }]) {
      const { got, ended } = await talk(to, text, true);
      t.ok(ended);
      t.equal(JSON.parse(got).result[0].length, text === texts[0] ? 1 : big.length);
    }
  }
  await until("closing", () => openFiles() <= before);
  t.pass("no descriptor is left");
});

t.test("a reader that stops and goes on gets everything in order, and delays nobody", async (t) => {
  const slow = net.connect({ path: socketPath });
  const count = 40;
  const chunk = "z".repeat(200_000);
  slow.pause();
  for (let id = 0; id < count; id++) slow.write(request(id, "echo", [chunk]));
  await sleep(300);
  const { got } = await talk({ path: socketPath }, request(7, "echo", [7]), false, (text) =>
    text.endsWith("}"),
  );
  t.same(JSON.parse(got).result, [7], "another client is served");
  let text = "";
  slow.on("data", (bytes) => (text += bytes.toString()));
  slow.resume();
  await until("all answers", () => (text.match(/"error":null}/g)?.length ?? 0) === count);
  const ids = [...text.matchAll(/"id":(\d+)/g)].map((match) => Number(match[1]));
  t.same(
    ids,
    Array.from({ length: count }, (_, id) => id),
  );
  slow.destroy();
});

t.test("many at once, and abrupt ends", async (t) => {
  const before = openFiles();
  const sockets = Array.from({ length: 200 }, () => net.connect({ path: socketPath }));
  const answers = sockets.map(
    (socket) =>
      new Promise<void>((resolve, reject) => {
        socket.on("error", reject);
        socket.on("data", () => resolve());
        socket.write(request(1, "echo", []));
      }),
  );
  await Promise.all(answers);
  for (const socket of sockets) socket.destroy();
  await until("closing", () => openFiles() <= before);
  t.pass("no descriptor is left");
});

t.test("a monitor that nobody reads costs little", async (t) => {
  const count = process.env.OVSBOX_FULL ? 600 : 30;
  const lazy = net.connect({ path: socketPath });
  lazy.write(request(0, "monitor", ["db", 0, { t: {} }]));
  await new Promise((resolve) => lazy.once("data", resolve));
  lazy.pause();
  const writer = net.connect({ path: socketPath });
  let done = 0;
  writer.on("data", (bytes) => (done += bytes.toString().match(/"error":null}/g)?.length ?? 0));
  for (let i = 0; i < count; i++) {
    const row = { s: String.fromCharCode(97 + (i % 26)).repeat(1_000_000) };
    const operation = i === 0 ? { op: "insert", row } : { op: "update", where: [], row };
    writer.write(request(i, "transact", ["db", { ...operation, table: "t" }]));
    await until(`transaction ${i}`, () => done === i + 1);
  }
  const peakMb = Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))![1]) / 1024;
  t.comment(`peak resident ${Math.round(peakMb)} MB after ${count} MB of updates`);
  if (process.env.OVSBOX_FULL) t.ok(peakMb < 500, "not all the updates that were not read");
  let text = "";
  lazy.on("data", (bytes) => (text += bytes.toString()));
  lazy.resume();
  const last = String.fromCharCode(97 + ((count - 1) % 26)).repeat(1000);
  await until("the last state", () => text.endsWith(`${last}"}}}}]}`));
  const updates = text.match(/"method":"update"/g)!.length;
  t.ok(updates <= count && updates > 0, `${updates} updates`);
  lazy.destroy();
  writer.destroy();
});

t.test("hostile clients are told or dropped, and the others served", async (t) => {
  const big = "s".repeat(process.env.OVSBOX_FULL ? 100_000_000 : 10_000_000);
  const deep = 10_000;
  const nested = `${"[".repeat(deep)}${"]".repeat(deep)}`;
  const valid = request(5, "echo", []);
  const cases: [what: string, text: string | Buffer, answer: RegExp | "dropped" | "silence"][] = [
    ["another protocol", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "dropped"],
    ["bytes", Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 167) & 255)), "dropped"],
    ["open brackets", "[".repeat(deep), "dropped"],
    ["deep nesting", `{"id":1,"method":"echo","params":${nested}}`, "dropped"],
    ["a closing bracket", `]${valid}`, "dropped"],
    ["mixed brackets", `{"id":1,"method":"echo","params":[}}`, "dropped"],
    ["not a message", '{"foo":1}', "dropped"],
    ["params of a wrong kind", '{"id":1,"method":"echo","params":{}}', "dropped"],
    ["an answer that nobody asked for", '{"id":1,"result":{},"error":null}', "dropped"],
    ["half a request", valid.slice(0, -2), "silence"],
    ["half a string", valid.slice(0, 8), "silence"],
    ["bad UTF-8", Buffer.from(valid.replace("[]", '["\xff\xfe"]'), "latin1"), /"result":\["/],
    ["a NUL", request(5, "\u0000", []), "dropped"],
    ["an unknown method", request(5, "nonsense", []), /unknown method/],
    ["many in one", valid.repeat(5000), /}$/],
  ];
  const honest = net.connect({ path: socketPath });
  let heard = 0;
  honest.on("data", (bytes) => (heard += bytes.toString().match(/"error":null}/g)?.length ?? 0));
  let asked = 0;
  for (const to of [{ path: socketPath }, { port: ports()[0]!, host: "127.0.0.1" }]) {
    for (const [what, text, answer] of cases) {
      const socket = net.connect(to);
      let got = "";
      let ended = false;
      socket.on("data", (bytes) => (got += bytes.toString()));
      socket.on("error", () => {});
      socket.on("close", () => (ended = true));
      socket.write(text);
      honest.write(request(asked++, "echo", [what]));
      await until(`an answer to the honest client beside ${what}`, () => heard === asked);
      if (answer === "dropped") await until(`the end of ${what}`, () => ended);
      else if (answer !== "silence") await until(`the answer to ${what}`, () => answer.test(got));
      t.equal(ended, answer === "dropped", what);
      socket.destroy();
    }
  }
  const greedy = net.connect({ path: socketPath });
  let received = 0;
  greedy.on("data", (bytes) => (received += bytes.length));
  greedy.write(request(1, "echo", [big]));
  const answer = JSON.stringify({ id: 1, result: [big], error: null });
  await until("the answer to a long string", () => received === answer.length);
  greedy.destroy();
  honest.write(request(asked++, "echo", []));
  await until("an answer after the long string", () => heard === asked);
  honest.destroy();
});

t.test("a recorded session, replayed on a copy of the file, gives the same file", async (t) => {
  const at = (name: string): string => join(folder, name);
  const run = (name: string, ...args: string[]) =>
    spawnSync(join(BIN, name), args, { env, encoding: "utf8", timeout: 30_000 });
  mkdirSync(at("recording"));
  run("ovsdb-tool", "create", at("first.db"), at("schema"));
  copyFileSync(at("first.db"), at("second.db"));
  const insert = JSON.stringify(["db", { op: "insert", table: "t", row: { s: "recorded" } }]);
  const client = `${join(BIN, "ovsdb-client")} transact unix:${at("recorded.sock")} '${insert}'`;
  const common = [
    `--remote=punix:${at("recorded.sock")}`,
    `--unixctl=${at("recorded.ctl")}`,
    "-vconsole:off",
  ];
  const first = run(
    "ovsdb-server",
    `--record=${at("recording")}`,
    ...common,
    `--run=${client}`,
    at("first.db"),
  );
  t.match(first, { status: 0, stdout: /"uuid":\["uuid",/ });
  const second = run("ovsdb-server", `--replay=${at("recording")}`, ...common, at("second.db"));
  t.match(second, { status: 0, stderr: "" });
  const query = JSON.stringify(["db", { op: "select", table: "t", where: [], columns: ["_uuid", "s"] }]);
  const rows = ["first.db", "second.db"].map((name) => run("ovsdb-tool", "query", at(name), query).stdout);
  t.match(rows[0], /"recorded"/);
  t.equal(rows[1], rows[0], "down to the UUID");
});

t.test("the file goes away with the server", async (t) => {
  server.kill("SIGTERM");
  await until("the end", () => server.exitCode !== null || server.signalCode !== null);
  t.notOk(existsSync(socketPath));
  t.notOk(existsSync(join(folder, "ctl")));
});
