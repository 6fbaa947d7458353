/**
 * ovsdb-server side by side with Debian's, in one run: transactions a second by 1, 10 and 100 clients that insert, mutate,
 * or wait and update, each with one transaction in flight. Medians of rounds in turn; prints ratios.
 * `OVSBOX_BENCH=insert:10` runs only that one.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { havePeer, type Maker, median, report, type Side, startSide } from "./side.ts";

const MAKERS: readonly Maker[] = ["ours", "peer"];
const CLIENTS = [1, 10, 100];
const ROUNDS = 9;
const SECONDS = 0.7;

interface Answer {
  readonly error: unknown;
  readonly result: readonly ({ uuid?: readonly [string, string]; error?: string } | null)[];
}

/** The operations of a client's transaction `id`; `row`: the row that its first one has made. */
type Work = (index: number, id: number, row: string) => readonly object[];

const first = (index: number): readonly object[] => [
  {
    op: "insert",
    table: "Bridge",
    "uuid-name": "b",
    row: { name: `bench-${index}-${process.hrtime.bigint()}` },
  },
  {
    op: "mutate",
    table: "Open_vSwitch",
    where: [],
    mutations: [["bridges", "insert", ["set", [["named-uuid", "b"]]]]],
  },
];

const here = (row: string) => [["_uuid", "==", ["uuid", row]]];

const WORKS: Readonly<Record<string, Work>> = {
  /** A row of a root table, which stays. */
  insert: (index, id) => [
    { op: "insert", table: "Queue", row: { external_ids: ["map", [["n", `${index}-${id}`]]] } },
    { op: "comment", comment: "bench" },
  ],
  mutate: (_index, id, row) => [
    {
      op: "mutate",
      table: "Bridge",
      where: here(row),
      mutations: [
        ["external_ids", "delete", ["set", ["n"]]],
        ["external_ids", "insert", ["map", [["n", `${id}`]]]],
      ],
    },
  ],
  "wait and update": (_index, id, row) => [
    {
      op: "wait",
      table: "Bridge",
      timeout: 0,
      where: here(row),
      columns: ["datapath_type"],
      until: "==",
      rows: [{ datapath_type: id === 1 ? "" : `t${id - 1}` }],
    },
    { op: "update", table: "Bridge", where: here(row), row: { datapath_type: `t${id}` } },
  ],
};

/** Connects, again where the queue of the listening socket is full. */
async function opened(path: string): Promise<Socket> {
  for (let attempt = 0; ; attempt++) {
    const socket = connect(path);
    try {
      await once(socket, "connect");
      return socket;
    } catch (error) {
      if (attempt === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

interface Speed {
  /** Transactions a second. */
  readonly rate: number;
  /** The server's CPU microseconds for each: says more than the rate on a machine that others use, too. */
  readonly cost: number;
}

/** Answers are parsed and checked: what fails quickly must not count. */
async function transactions(server: Side, clients: number, work: Work): Promise<Speed> {
  let done = 0;
  let stopping = false;
  const one = async (index: number) => {
    const socket = await opened(join(server.folder, "db.sock"));
    return new Promise<void>((resolve, reject) => {
      let text = "";
      let id = 0;
      let row = "";
      const send = (operations: readonly object[]) =>
        void socket.write(
          JSON.stringify({ id, method: "transact", params: ["Open_vSwitch", ...operations] }),
        );
      socket.on("error", reject);
      socket.on("data", (chunk) => {
        text += chunk.toString();
        // One request is in flight: a whole answer is one that parses.
        if (!text.endsWith("}")) return;
        let answer: Answer;
        try {
          answer = JSON.parse(text) as Answer;
        } catch {
          return;
        }
        text = "";
        const failed = answer.error ?? answer.result.find((result) => result?.error !== undefined);
        if (failed !== null && failed !== undefined) {
          reject(new Error(`${server.maker}: ${JSON.stringify(failed)}`));
          socket.destroy();
          return;
        }
        if (row === "") row = answer.result[0]!.uuid![1];
        else done++;
        if (stopping) {
          socket.destroy();
          resolve();
        } else send(work(index, ++id, row));
      });
      send(first(index));
    });
  };
  const all = Promise.all(Array.from({ length: clients }, (_, index) => one(index)));
  const measured = (async () => {
    await new Promise((resolve) => setTimeout(resolve, 300));
    const from = done;
    const cpu = server.cpuSeconds("ovsdb-server");
    const began = performance.now();
    await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000));
    const rate = (done - from) / ((performance.now() - began) / 1000);
    const cost = ((server.cpuSeconds("ovsdb-server") - cpu) * 1e6) / (done - from);
    stopping = true;
    return { rate, cost };
  })();
  await Promise.race([all, measured]);
  const speed = await measured;
  await all;
  return speed;
}

if (!havePeer()) {
  console.log("no peer to compare with (scripts/peers)");
  process.exit(0);
}
const only = process.env.OVSBOX_BENCH;
const sides: Side[] = [];
try {
  const servers = { ours: startSide("ours", [], "database"), peer: startSide("peer", [], "database") };
  sides.push(...Object.values(servers));
  for (const side of sides) side.run("ovs-vsctl", "--no-wait", "init");
  for (const [name, work] of Object.entries(WORKS)) {
    for (const clients of CLIENTS) {
      if (only !== undefined && only !== `${name}:${clients}`) continue;
      // Not counted: ours compiles what it finds itself doing.
      for (const maker of MAKERS) await transactions(servers[maker], clients, work);
      const speeds: Record<Maker, Speed[]> = { ours: [], peer: [] };
      for (let round = 0; round < ROUNDS; round++)
        for (const maker of MAKERS) speeds[maker].push(await transactions(servers[maker], clients, work));
      const middle = (maker: Maker, what: keyof Speed) => median(speeds[maker].map((speed) => speed[what]));
      const title = `${clients} clients, ${name}`;
      report(title, "txn/s", middle("ours", "rate"), middle("peer", "rate"), "more");
      report(`${title}, CPU`, "µs/txn", middle("ours", "cost"), middle("peer", "cost"), "less");
    }
  }
} finally {
  for (const side of sides) side.stop();
}
