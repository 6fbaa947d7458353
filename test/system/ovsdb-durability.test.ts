/**
 * kill -9 of ovsdb-server in a stream of acknowledged transactions: every acknowledged row is there afterwards. (kill -9
 * leaves the page cache alone: that what is durable is also synced is shown on a simulated disk in test/ovsdb/storage.)
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BIN } from "./bin.ts";

const ROUNDS = 50;
const folder = mkdtempSync(join(tmpdir(), `ovsbox-durability-${process.pid}-`));
const env = {
  ...process.env,
  OVS_RUNDIR: folder,
  OVS_LOGDIR: folder,
  OVS_DBDIR: folder,
  OVS_SYSCONFDIR: folder,
};
let server: ChildProcess | undefined;

t.teardown(() => {
  server?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const socket = join(folder, "sock");
const db = join(folder, "db");

function startServer(): Promise<void> {
  rmSync(socket, { force: true });
  const args = ["--remote=punix:sock", "--unixctl=none", "-vconsole:err", db];
  server = spawn(join(BIN, "ovsdb-server"), args, { env, stdio: ["ignore", "ignore", "inherit"] });
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + 10_000;
    // The file is there a moment before anybody listens on it.
    const look = (): void => {
      const probe = connect(socket);
      probe.on("connect", () => {
        probe.destroy();
        resolve();
      });
      probe.on("error", () => {
        if (Date.now() > deadline) reject(new Error("server did not start"));
        else setTimeout(look, 5);
      });
    };
    look();
  });
}

/** Inserts rows as fast as replies come, some durable, until the connection is lost; the numbers acknowledged. */
function pour(from: number, killAfter: number): Promise<number[]> {
  const acknowledged: number[] = [];
  return new Promise((resolve) => {
    const client = connect(socket);
    let next = from;
    let buffer = "";
    const send = (): void => {
      const number = next++;
      const operations: unknown[] = ["T", { op: "insert", table: "Row", row: { number } }];
      if (number % 7 === 0) operations.push({ op: "commit", durable: true });
      client.write(JSON.stringify({ method: "transact", params: operations, id: number }));
    };
    client.on("connect", () => {
      // Several under way, so that the kill comes in the middle of something.
      for (let i = 0; i < 8; i++) send();
      setTimeout(() => server!.kill("SIGKILL"), killAfter);
    });
    client.on("data", (bytes) => {
      buffer += bytes.toString();
      for (let end = buffer.indexOf('"error":null}'); end >= 0; end = buffer.indexOf('"error":null}')) {
        const id = /"id":(\d+)/.exec(buffer.slice(0, end));
        acknowledged.push(Number(id![1]));
        buffer = buffer.slice(end + 13);
        send();
      }
    });
    client.on("error", () => {});
    client.on("close", () => resolve(acknowledged));
  });
}

t.test(`${ROUNDS} times kill -9`, async (t) => {
  const schema = {
    name: "T",
    version: "1.0.0",
    tables: { Row: { isRoot: true, columns: { number: { type: "integer" } }, indexes: [["number"]] } },
  };
  writeFileSync(join(folder, "schema"), JSON.stringify(schema));
  spawnSync(join(BIN, "ovsdb-tool"), ["create", db, join(folder, "schema")], { env });
  const all: number[] = [];
  let next = 0;
  for (let round = 0; round < ROUNDS; round++) {
    await startServer();
    const acknowledged = await pour(next, 5 + ((round * 13) % 60));
    all.push(...acknowledged);
    next = Math.max(next, ...acknowledged) + 100;
    await new Promise((resolve) => {
      if (server!.exitCode !== null || server!.signalCode !== null) resolve(undefined);
      else server!.once("exit", resolve);
    });
  }
  // The tool refuses a torn file: the server, started once more, is what repairs.
  await startServer();
  const query = JSON.stringify(["T", { op: "select", table: "Row", where: [], columns: ["number"] }]);
  const { stdout } = spawnSync(join(BIN, "ovsdb-client"), ["transact", `unix:${socket}`, query], { env });
  const [{ rows }] = JSON.parse(stdout.toString()) as [{ rows: { number: number }[] }];
  const there = new Set(rows.map((row) => row.number));
  const lost = all.filter((number) => !there.has(number));
  t.ok(all.length > ROUNDS * 5, `${all.length} transactions were acknowledged`);
  t.same(lost, [], "none of them is lost");
});
