/**
 * The control plane side by side with Debian's Open vSwitch, in one run: start-up of ovs-vsctl show, transactions a
 * second into ovsdb-server, 100 000 flow-mods, resident memory. Medians; prints ratios. See README.md beside this.
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { havePeer, type Maker, median, program, report, type Side, startSide } from "./side.ts";

const MAKERS: readonly Maker[] = ["ours", "peer"];
const FLOWS = 100_000;

if (!havePeer()) {
  console.log("no peer to compare with (scripts/peers)");
  process.exit(0);
}

/** Wall milliseconds of `ovs-vsctl show` by either client, in turns, on the same server. */
function startUp(server: Side): Record<Maker, number> {
  const times: Record<Maker, number[]> = { ours: [], peer: [] };
  for (let round = 0; round < 42; round++) {
    for (const maker of MAKERS) {
      const began = performance.now();
      const r = spawnSync(program(maker, "ovs-vsctl"), ["show"], { env: server.env, encoding: "utf8" });
      if (r.status !== 0) throw new Error(r.stderr);
      if (round > 1) times[maker].push(performance.now() - began);
    }
  }
  return { ours: median(times.ours), peer: median(times.peer) };
}

/** Transactions a second: `clients` connections, each with one insert-and-delete transaction in flight. */
async function transactions(server: Side, clients: number, seconds: number): Promise<number> {
  let done = 0;
  let stopping = false;
  const one = (index: number) =>
    new Promise<void>((resolve, reject) => {
      const socket = connect(join(server.folder, "db.sock"));
      let depth = 0;
      let id = 0;
      let quoted = false;
      let escaped = false;
      const send = () => {
        id++;
        const name = `bench-${index}-${id}`;
        const row = { name, external_ids: ["map", [["client", String(index)]]] };
        socket.write(
          JSON.stringify({
            id,
            method: "transact",
            params: [
              "Open_vSwitch",
              { op: "insert", table: "Bridge", row, "uuid-name": "b" },
              { op: "mutate", table: "Open_vSwitch", where: [], mutations: [["next_cfg", "+=", 1]] },
              { op: "comment", comment: name },
            ],
          }),
        );
      };
      socket.on("connect", send);
      socket.on("error", reject);
      socket.on("data", (chunk) => {
        for (const c of chunk) {
          if (quoted) {
            if (escaped) escaped = false;
            else if (c === 0x5c) escaped = true;
            else if (c === 0x22) quoted = false;
          } else if (c === 0x22) quoted = true;
          else if (c === 0x7b) depth++;
          else if (c === 0x7d && --depth === 0) {
            done++;
            if (stopping) {
              socket.destroy();
              resolve();
            } else send();
          }
        }
      });
    });
  const all = Array.from({ length: clients }, (_, index) => one(index));
  await new Promise((resolve) => setTimeout(resolve, 500));
  const from = done;
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const rate = (done - from) / ((performance.now() - began) / 1000);
  stopping = true;
  await Promise.all(all);
  return rate;
}

function flowFile(folder: string): string {
  const lines: string[] = [];
  for (let i = 0; i < FLOWS; i++) {
    const ip = `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
    lines.push(
      `priority=${100 + (i & 7)},tcp,nw_src=${ip},tp_dst=${1 + (i % 60000)},actions=output:${1 + (i & 1)}`,
    );
  }
  const path = join(folder, "flows.txt");
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const sides: Partial<Record<Maker, Side>> = {};
try {
  const databases = { ours: startSide("ours", [], "database"), peer: startSide("peer", [], "database") };
  sides.ours = databases.ours;
  sides.peer = databases.peer;
  for (const side of Object.values(databases)) side.run("ovs-vsctl", "--no-wait", "init");
  const show = startUp(databases.peer);
  report("ovs-vsctl show, wall time", "ms", show.ours, show.peer, "less");
  for (const clients of [1, 10]) {
    const rates: Record<Maker, number[]> = { ours: [], peer: [] };
    for (let round = 0; round < 3; round++)
      for (const maker of MAKERS) rates[maker].push(await transactions(databases[maker], clients, 2));
    report(`ovsdb-server, ${clients} clients`, "txn/s", median(rates.ours), median(rates.peer), "more");
  }
  for (const side of Object.values(databases)) side.stop();

  const switches = {
    ours: startSide("ours", ["--enable-dummy", "--disable-system"]),
    peer: startSide("peer", ["--enable-dummy", "--disable-system"]),
  };
  sides.ours = switches.ours;
  sides.peer = switches.peer;
  for (const side of Object.values(switches)) {
    side.run(
      "ovs-vsctl",
      "add-br",
      "br0",
      "--",
      "set",
      "bridge",
      "br0",
      "datapath_type=dummy",
      "fail_mode=secure",
    );
  }
  report(
    "ovs-vswitchd, resident when idle",
    "kB",
    switches.ours.residentKb("ovs-vswitchd"),
    switches.peer.residentKb("ovs-vswitchd"),
    "less",
  );
  const idle = {
    ours: switches.ours.residentKb("ovs-vswitchd"),
    peer: switches.peer.residentKb("ovs-vswitchd"),
  };
  for (const client of MAKERS) {
    const rates: Record<Maker, number[]> = { ours: [], peer: [] };
    for (let round = 0; round < 3; round++) {
      for (const maker of MAKERS) {
        const side = switches[maker];
        side.run("ovs-ofctl", "del-flows", "br0");
        const file = flowFile(side.folder);
        const began = performance.now();
        const r = spawnSync(program(client, "ovs-ofctl"), ["add-flows", "br0", file], {
          env: side.env,
          encoding: "utf8",
        });
        if (r.status !== 0) throw new Error(`${client} ovs-ofctl on ${maker} switch: ${r.stderr}`);
        rates[maker].push(FLOWS / ((performance.now() - began) / 1000));
      }
    }
    report(
      `flow-mods into the switch, ${client} ovs-ofctl`,
      "flows/s",
      median(rates.ours),
      median(rates.peer),
      "more",
    );
  }
  const grown = (maker: Maker) => ((switches[maker].residentKb("ovs-vswitchd") - idle[maker]) * 1024) / FLOWS;
  report("memory a flow", "bytes", grown("ours"), grown("peer"), "less");
} finally {
  for (const side of Object.values(sides)) side?.stop();
}
