/** Servers that copy others, ours with Debian's: a standby of each behind the other, our relay before their server. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t, { type Test } from "tap";
import { BIN, peer, withoutPeer } from "../system/bin.ts";

const folder = mkdtempSync(join(tmpdir(), `ovsbox-peers-replication-${process.pid}-`));
const env = {
  ...process.env,
  OVS_RUNDIR: folder,
  OVS_LOGDIR: folder,
  OVS_DBDIR: folder,
  OVS_SYSCONFDIR: folder,
};
const running = new Set<ChildProcess>();
const skip = withoutPeer("ovsdb-tool", "ovsdb-client", "ovsdb-server", "ovs-appctl");

t.teardown(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

type Side = (program: string) => string;
const ours: Side = (program) => join(BIN, program);
const theirs: Side = (program) => peer(program)!;

const SCHEMA = {
  name: "P",
  version: "1.2.3",
  tables: {
    Root: {
      isRoot: true,
      columns: {
        name: { type: "string" },
        numbers: { type: { key: "integer", min: 0, max: "unlimited" } },
        map: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        leaves: { type: { key: { type: "uuid", refTable: "Leaf" }, min: 0, max: "unlimited" } },
      },
      indexes: [["name"]],
    },
    Leaf: { columns: { size: { type: "integer" } } },
    Kept: { isRoot: true, columns: { n: { type: "integer" } } },
  },
};
writeFileSync(join(folder, "schema"), JSON.stringify(SCHEMA));

function run(program: string, ...args: string[]): { status: number | null; stdout: string } {
  const { status, stdout } = spawnSync(program, args, { env, encoding: "utf8", timeout: 20_000 });
  return { status, stdout };
}

interface Server {
  readonly remote: string;
  transact(...operations: object[]): string;
  /** Rows of all tables, in no order. */
  rows(): string;
  appctl(...args: string[]): string;
  stop(): Promise<void>;
}

let count = 0;

/** A server of `side`; `database`: "file" makes an empty one. */
async function serve(side: Side, database: string, ...options: string[]): Promise<Server> {
  const name = join(folder, `s${count++}`);
  if (database === "file") {
    database = `${name}.db`;
    run(side("ovsdb-tool"), "create", database, join(folder, "schema"));
  }
  const fixed = ["--no-self-confinement", `--remote=punix:${name}`, `--unixctl=${name}.ctl`, "-vconsole:off"];
  const child = spawn(side("ovsdb-server"), [...fixed, ...options, database], { env, stdio: "ignore" });
  running.add(child);
  const gone = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  for (let i = 0; i < 1000 && !existsSync(name); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  const transact = (...operations: object[]): string =>
    run(ours("ovsdb-client"), "transact", `unix:${name}`, JSON.stringify(["P", ...operations])).stdout;
  return {
    remote: `unix:${name}`,
    transact,
    rows() {
      const columns = { Root: ["name", "numbers", "map"], Leaf: ["size"], Kept: ["n"] };
      const text = transact(
        ...Object.entries(columns).map(([table, list]) => ({
          op: "select",
          table,
          where: [],
          columns: list,
        })),
      );
      try {
        const results = JSON.parse(text) as { rows: Record<string, unknown>[] }[];
        return results
          .map(({ rows }) => rows.map((row) => JSON.stringify(row, Object.keys(row).sort())).sort())
          .join(";");
      } catch {
        return text;
      }
    },
    appctl: (...args) => run(side("ovs-appctl"), "-t", `${name}.ctl`, ...args).stdout,
    async stop() {
      child.kill("SIGTERM");
      await gone;
      running.delete(child);
    },
  };
}

async function until(t: Test, what: string, look: () => string, want: string | RegExp): Promise<void> {
  let seen = "";
  for (let i = 0; i < 100; i++) {
    seen = look();
    if (typeof want === "string" ? seen === want : want.test(seen)) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (typeof want === "string") t.equal(seen, want, what);
  else t.match(seen, want, what);
}

const STEPS: object[][] = [
  [
    { op: "insert", table: "Leaf", row: { size: 1 }, "uuid-name": "l" },
    {
      op: "insert",
      table: "Root",
      row: {
        name: "first",
        numbers: ["set", [1, 2, 3]],
        map: ["map", [["a", "b"]]],
        leaves: ["named-uuid", "l"],
      },
    },
  ],
  [
    { op: "mutate", table: "Root", where: [], mutations: [["numbers", "delete", ["set", [2]]]] },
    { op: "mutate", table: "Root", where: [], mutations: [["map", "insert", ["map", [["c", "d"]]]]] },
  ],
  [{ op: "insert", table: "Root", row: { name: "second" } }],
  [{ op: "update", table: "Root", where: [["name", "==", "first"]], row: { leaves: ["set", []] } }],
  [{ op: "delete", table: "Root", where: [["name", "==", "second"]] }],
];

/** A pair's whole life: what was there, what changes, refusals, a restart of the active one, the change of roles. */
async function standby(t: Test, activeSide: Side, backupSide: Side): Promise<void> {
  const active = await serve(activeSide, "file");
  active.transact(...STEPS[0]!);
  const backup = await serve(
    backupSide,
    "file",
    `--sync-from=${active.remote}`,
    "--sync-exclude-tables=P:Kept",
    "--active",
  );
  backup.transact({ op: "insert", table: "Root", row: { name: "goes" } });
  backup.transact({ op: "insert", table: "Kept", row: { n: 7 } });
  t.match(backup.appctl("ovsdb-server/sync-status"), /state: active/);
  backup.appctl("ovsdb-server/connect-active-ovsdb-server");
  await until(t, "copied", () => backup.rows(), `${active.rows()}{"n":7}`);
  // 3.1 says the same in another form.
  const status = (): string => backup.appctl("ovsdb-server/sync-status");
  if (backupSide === ours) {
    t.equal(status(), `database: P\nstate: backup\nreplicating: ${active.remote}\nexclude: P:Kept\n`);
  } else t.match(status(), /state: backup/);
  for (const [i, step] of STEPS.slice(1).entries()) {
    active.transact(...step);
    await until(t, `step ${i + 1}`, () => backup.rows(), `${active.rows()}{"n":7}`);
  }
  t.match(backup.transact({ op: "insert", table: "Root", row: { name: "x" } }), /read only mode/);
  await active.stop();
  if (backupSide === ours) await until(t, "noticed", status, /state: backup\nconnecting: /);
  backup.appctl("ovsdb-server/disconnect-active-ovsdb-server");
  t.match(backup.transact({ op: "insert", table: "Root", row: { name: "x" } }), /uuid/, "took over");
  await backup.stop();
}

t.test("our standby of their server", { skip }, (t) => standby(t, theirs, ours));
t.test("their standby of our server", { skip }, (t) => standby(t, ours, theirs));

/** Clients of a relay see what the source has, and write to it. */
async function relayed(t: Test, sourceSide: Side, relaySide: Side): Promise<void> {
  const source = await serve(sourceSide, "file");
  source.transact(...STEPS[0]!);
  const relay = await serve(relaySide, `relay:P:${source.remote}`);
  await until(t, "copied", () => relay.rows(), source.rows());
  for (const [i, step] of STEPS.slice(1).entries()) {
    t.notMatch(relay.transact(...step), /error/);
    t.equal(relay.rows(), source.rows(), `step ${i + 1} through the relay`);
  }
  source.transact({ op: "insert", table: "Kept", row: { n: 1 } });
  await until(t, "step at the source", () => relay.rows(), source.rows());
  t.match(relay.transact({ op: "insert", table: "Root", row: { name: "first" } }), /identical values/);
  for (const client of [ours, theirs]) {
    const { stdout } = run(client("ovsdb-client"), "-f", "csv", "dump", relay.remote, "P", "Root", "name");
    t.match(stdout, /first/, "both clients dump it");
    t.equal(run(client("ovsdb-client"), "wait", relay.remote, "P", "connected").status, 0);
  }
  await relay.stop();
  await source.stop();
}

t.test("our relay before their server", { skip }, (t) => relayed(t, theirs, ours));
t.test("their relay before our server", { skip }, (t) => relayed(t, ours, theirs));
