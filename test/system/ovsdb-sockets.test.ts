/** The database server's sockets, which are the engine's own in the executable (src/sys/stream-native.ts). */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
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

t.test("the file goes away with the server", async (t) => {
  server.kill("SIGTERM");
  await until("the end", () => server.exitCode !== null || server.signalCode !== null);
  t.notOk(existsSync(socketPath));
  t.notOk(existsSync(join(folder, "ctl")));
});
