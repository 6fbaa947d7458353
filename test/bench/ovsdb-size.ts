/**
 * ovsdb-server with much in it, side by side with the peer's in one run: the time from start to the first answer with a
 * switch of 10 000 ports, resident memory with 100 000 rows and with 100 monitors on them, and what clients wait for
 * a transaction while the database is compacted.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { cpuSeconds, havePeer, type Maker, median, report, type Side, startSide } from "./side.ts";

const MAKERS: readonly Maker[] = ["ours", "peer"];
const PORTS = 10_000;
const ROWS = 100_000;
const MONITORS = 100;
const STARTS = 5;
const COMPACTIONS = 3;
const WRITERS = 4;

/** Asks one thing at a time. Replies are long: they are searched for their end, not parsed. */
class Client {
  readonly #socket: Socket;
  #tail = "";
  #wanted = "";
  #resolve: () => void = () => {};
  #head = "";

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      if (this.#head.length < 1000) this.#head += chunk.toString("latin1", 0, 1000);
      this.#tail = (this.#tail + chunk.toString("latin1")).slice(-200);
      if (this.#wanted !== "" && this.#tail.includes(this.#wanted)) {
        this.#wanted = "";
        this.#resolve();
      }
    });
    socket.on("error", () => {});
  }

  static async open(path: string): Promise<Client> {
    const socket = connect(path);
    await once(socket, "connect");
    return new Client(socket);
  }

  /** An echo behind the request tells where the answer ends. Gives the beginning of what came. */
  async call(method: string, params: readonly unknown[]): Promise<string> {
    const end = `end${Math.random()}`;
    this.#head = this.#tail = "";
    const done = new Promise<void>((resolve) => {
      this.#resolve = resolve;
    });
    this.#wanted = end;
    this.#socket.write(
      JSON.stringify({ id: 1, method, params }) + JSON.stringify({ id: end, method: "echo", params: [] }),
    );
    await done;
    if (/"error":[{"]/.test(this.#head)) throw new Error(this.#head);
    return this.#head;
  }

  close(): void {
    this.#socket.destroy();
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function fill(side: Side): Promise<Client> {
  const client = await Client.open(join(side.folder, "db.sock"));
  for (let done = 0; done < ROWS; done += 1000) {
    const rows = Array.from({ length: 1000 }, (_, i) => ({
      op: "insert",
      table: "Queue",
      row: {
        dscp: (done + i) % 64,
        external_ids: [
          "map",
          [
            ["name", `queue-${done + i}`],
            ["owner", `tenant ${i % 50}`],
          ],
        ],
      },
    }));
    await client.call("transact", ["Open_vSwitch", ...rows]);
  }
  return client;
}

async function memory(side: Side, client: Client): Promise<{ rows: number; monitors: number }> {
  await sleep(1500);
  const rows = side.residentKb("ovsdb-server");
  const monitors: Client[] = [];
  for (let i = 0; i < MONITORS; i++) {
    const monitor = await Client.open(join(side.folder, "db.sock"));
    await monitor.call("monitor_cond", ["Open_vSwitch", i, { Queue: {} }]);
    monitors.push(monitor);
  }
  for (let i = 0; i < 50; i++) {
    const where = [["dscp", "==", i]];
    await client.call("transact", [
      "Open_vSwitch",
      { op: "update", table: "Queue", where, row: { dscp: i } },
    ]);
  }
  await sleep(3000);
  const all = side.residentKb("ovsdb-server");
  for (const monitor of monitors) monitor.close();
  return { rows, monitors: all };
}

/** Milliseconds that writers wait, each for one row of its own, from the command to its end. */
async function compaction(side: Side): Promise<number[]> {
  const waits: number[] = [];
  let stopping = false;
  let seen = 0;
  const write = async (index: number): Promise<void> => {
    const client = await Client.open(join(side.folder, "db.sock"));
    const head = await client.call("transact", [
      "Open_vSwitch",
      { op: "insert", table: "Queue", row: { external_ids: ["map", [["writer", `${index}`]]] } },
    ]);
    const uuid = /\["uuid","([^"]+)"\]/.exec(head)![1]!;
    for (let i = 0; !stopping; i++) {
      const from = performance.now();
      await client.call("transact", [
        "Open_vSwitch",
        { op: "update", table: "Queue", where: [["_uuid", "==", ["uuid", uuid]]], row: { dscp: i % 64 } },
      ]);
      waits.push(performance.now() - from);
      seen++;
      await sleep(1);
    }
    client.close();
  };
  const writers = Promise.all(Array.from({ length: WRITERS }, (_, index) => write(index)));
  while (seen < 200) await sleep(10);
  waits.length = 0;
  const command = spawn(
    side.program("ovs-appctl"),
    ["-t", join(side.folder, "db.ctl"), "ovsdb-server/compact"],
    { env: side.env, stdio: "ignore" },
  );
  const [status] = (await once(command, "exit")) as [number];
  stopping = true;
  await writers;
  if (status !== 0) throw new Error(`${side.maker}: compact: exit status ${status}`);
  return waits;
}

interface Start {
  readonly ms: number;
  /** The server's own CPU milliseconds: says more where others use the machine, too. */
  readonly cpu: number;
}

async function started(side: Side, file: string): Promise<Start> {
  const socket = join(side.folder, "start.sock");
  rmSync(socket, { force: true });
  const from = performance.now();
  const child: ChildProcess = spawn(
    side.program("ovsdb-server"),
    [file, `--remote=punix:${socket}`, `--unixctl=${side.folder}/start.ctl`],
    { env: side.env, stdio: "ignore" },
  );
  for (;;) {
    if (existsSync(socket)) {
      try {
        const client = await Client.open(socket);
        await client.call("list_dbs", []);
        client.close();
        break;
      } catch {
        // Not yet listening.
      }
    }
    await sleep(1);
  }
  const ms = performance.now() - from;
  const cpu = cpuSeconds(child.pid!) * 1000;
  child.kill("SIGTERM");
  await once(child, "exit");
  return { ms, cpu };
}

async function portsFile(side: Side): Promise<string> {
  const client = await Client.open(join(side.folder, "db.sock"));
  const operations: object[] = [];
  const ports: unknown[] = [];
  for (let i = 0; i < PORTS; i++) {
    const name = `port${i}`;
    const external_ids = ["map", [["iface-id", `11111111-2222-3333-4444-${String(i).padStart(12, "0")}`]]];
    operations.push(
      { op: "insert", table: "Interface", "uuid-name": `i${i}`, row: { name, external_ids } },
      {
        op: "insert",
        table: "Port",
        "uuid-name": `p${i}`,
        row: { name, interfaces: ["named-uuid", `i${i}`] },
      },
    );
    ports.push(["named-uuid", `p${i}`]);
  }
  operations.push(
    { op: "insert", table: "Bridge", "uuid-name": "b", row: { name: "br0", ports: ["set", ports] } },
    {
      op: "mutate",
      table: "Open_vSwitch",
      where: [],
      mutations: [["bridges", "insert", ["set", [["named-uuid", "b"]]]]],
    },
  );
  await client.call("transact", ["Open_vSwitch", ...operations]);
  client.close();
  const file = join(side.folder, "ports.db");
  copyFileSync(join(side.folder, "conf.db"), file);
  return file;
}

function percentile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}

if (!havePeer()) {
  console.log("no peer to compare with (scripts/peers)");
  process.exit(0);
}
const sides: Side[] = [];
try {
  for (const maker of MAKERS) sides.push(startSide(maker, [], "database"));
  for (const side of sides) side.run("ovs-vsctl", "--no-wait", "init");
  const files = new Map<Side, string>();
  for (const side of sides) files.set(side, await portsFile(side));
  const starts: Start[][] = [[], []];
  for (let round = 0; round < STARTS; round++)
    for (const [i, side] of sides.entries()) starts[i]!.push(await started(side, files.get(side)!));
  for (const [what, title] of [
    ["ms", `start, ${PORTS} ports`],
    ["cpu", `start, ${PORTS} ports, CPU`],
  ] as const) {
    const [ours, theirs] = starts.map((list) => median(list.map((start) => start[what])));
    report(title, "ms", ours!, theirs!, "less");
  }

  const kilobytes: { rows: number; monitors: number }[] = [];
  for (const side of sides) {
    const client = await fill(side);
    kilobytes.push(await memory(side, client));
    client.close();
  }
  report(`memory, ${ROWS} rows`, "MB", kilobytes[0]!.rows / 1024, kilobytes[1]!.rows / 1024, "less");
  const withMonitors = kilobytes.map(({ monitors }) => monitors / 1024);
  report(`memory, ${ROWS} rows, ${MONITORS} monitors`, "MB", withMonitors[0]!, withMonitors[1]!, "less");

  const waits = new Map<Side, number[][]>(sides.map((side) => [side, []]));
  for (let round = 0; round < COMPACTIONS; round++)
    for (const side of sides) waits.get(side)!.push(await compaction(side));
  for (const [name, part] of [
    ["median", 0.5],
    ["p99", 0.99],
    ["longest", 1],
  ] as const) {
    const [ours, theirs] = sides.map((side) =>
      median(waits.get(side)!.map((list) => percentile(list, part))),
    );
    report(`wait during compaction, ${name}`, "ms", ours!, theirs!, "less");
  }
} finally {
  for (const side of sides) side.stop();
}
