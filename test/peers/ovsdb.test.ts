/** Our database programs with Debian's: each one's client on the other's server, one file opened by both in turn. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BIN, peer, withoutPeer } from "../system/bin.ts";

const folder = mkdtempSync(join(tmpdir(), `ovsbox-peers-ovsdb-${process.pid}-`));
const env = {
  ...process.env,
  OVS_RUNDIR: folder,
  OVS_LOGDIR: folder,
  OVS_DBDIR: folder,
  OVS_SYSCONFDIR: folder,
};
const running = new Set<ChildProcess>();

t.teardown(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

const ours = (program: string): string => join(BIN, program);
const theirs = (program: string): string => peer(program)!;
const skip = withoutPeer("ovsdb-tool", "ovsdb-client", "ovsdb-server");

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { env, encoding: "utf8", timeout: 20_000 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${status}: ${stderr}`);
  return stdout;
}

const SCHEMA = {
  name: "P",
  version: "1.2.3",
  cksum: "1 2",
  tables: {
    Root: {
      isRoot: true,
      columns: {
        name: { type: "string" },
        numbers: { type: { key: "integer", min: 0, max: "unlimited" } },
        map: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
        one: { type: { key: "real", min: 0, max: 1 } },
        leaves: { type: { key: { type: "uuid", refTable: "Leaf" }, min: 0, max: "unlimited" } },
      },
      indexes: [["name"]],
    },
    Leaf: { columns: { size: { type: "integer" } } },
  },
};

/** Transactions that use each kind of record: inserts, differences of sets and maps, deletions, comments. */
const STEPS: unknown[][] = [
  [
    { op: "insert", table: "Leaf", row: { size: 9007199254740993n }, "uuid-name": "l" },
    {
      op: "insert",
      table: "Root",
      row: {
        name: 'é\n"',
        numbers: ["set", [3, 1]],
        map: ["map", [["a", "b"]]],
        leaves: ["named-uuid", "l"],
      },
    },
  ],
  [{ op: "update", table: "Root", where: [], row: { numbers: ["set", [1, 2]], one: 0.25 } }],
  [
    {
      op: "mutate",
      table: "Root",
      where: [],
      mutations: [
        ["map", "insert", ["map", [["c", "d"]]]],
        ["numbers", "delete", 1],
      ],
    },
    { op: "comment", comment: "two\nlines" },
  ],
  [{ op: "insert", table: "Root", row: { name: "second", map: ["map", [["x", "y"]]] } }],
  [
    {
      op: "update",
      table: "Root",
      where: [["name", "==", "second"]],
      row: { map: ["map", [["x", "z"]]], one: 7 },
    },
  ],
  [{ op: "insert", table: "Root", row: { name: "third" } }],
  [{ op: "delete", table: "Root", where: [["name", "==", "third"]] }],
  [{ op: "update", table: "Root", where: [], row: { one: ["set", []] } }],
];

const text = (operations: unknown[]): string =>
  JSON.stringify(["P", ...operations], (_key, value) =>
    typeof value === "bigint" ? `<${value}>` : value,
  ).replace(/"<(\d+)>"/g, "$1");
const ALL = text([
  { op: "select", table: "Root", where: [], columns: ["name", "numbers", "map", "one", "leaves"] },
  { op: "select", table: "Leaf", where: [], columns: ["size"] },
]);

function rows(output: string): string {
  // Order of rows and of members is nobody's promise.
  const results = JSON.parse(output.replace(/9007199254740993/g, '"big"')) as {
    rows: Record<string, unknown>[];
  }[];
  return JSON.stringify(
    results.map(({ rows: list }) => list.map((row) => JSON.stringify(row, Object.keys(row).sort())).sort()),
  );
}

t.test("one file, written by both in turn", { skip }, async (t) => {
  writeFileSync(join(folder, "schema"), JSON.stringify(SCHEMA));
  for (const [first, second] of [
    [ours, theirs],
    [theirs, ours],
  ]) {
    const db = join(folder, `turns-${first === ours ? "ours" : "theirs"}.db`);
    run(first!("ovsdb-tool"), "create", db, join(folder, "schema"));
    STEPS.forEach((step, i) => {
      const writer = i % 2 === 0 ? first! : second!;
      run(writer("ovsdb-tool"), "transact", db, text(step));
      const a = rows(run(ours("ovsdb-tool"), "query", db, ALL));
      const b = rows(run(theirs("ovsdb-tool"), "query", db, ALL));
      t.equal(a, b, `step ${i} written by ${writer === ours ? "ours" : "theirs"}`);
    });
    const state = rows(run(ours("ovsdb-tool"), "query", db, ALL));
    run(first!("ovsdb-tool"), "compact", db);
    t.equal(rows(run(second!("ovsdb-tool"), "query", db, ALL)), state, "compacted by one, read by the other");
    for (const what of ["db-name", "db-version", "db-cksum"]) {
      t.equal(run(ours("ovsdb-tool"), what, db), run(theirs("ovsdb-tool"), what, db), what);
    }
    t.equal(run(ours("ovsdb-tool"), "needs-conversion", db, join(folder, "schema")), "no\n");
  }
});

async function serve(program: string, db: string, name: string, ...options: string[]): Promise<string> {
  const socket = join(folder, name);
  const child = spawn(
    program,
    [
      "--no-self-confinement",
      `--remote=punix:${socket}`,
      `--unixctl=${socket}.ctl`,
      "-vconsole:err",
      ...options,
      db,
    ],
    {
      env,
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  running.add(child);
  child.once("exit", () => running.delete(child));
  for (let i = 0; i < 1000 && !existsSync(socket); i++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  return `unix:${socket}`;
}

async function stop(): Promise<void> {
  for (const child of running) {
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await gone;
  }
}

t.test("each one's client on the other's server", { skip }, async (t) => {
  writeFileSync(join(folder, "schema"), JSON.stringify(SCHEMA));
  for (const [label, server, client] of [
    ["their client, our server", ours, theirs],
    ["our client, their server", theirs, ours],
  ] as const) {
    await t.test(label, async (t) => {
      const db = join(folder, `${label.replace(/\W+/g, "-")}.db`);
      run(ours("ovsdb-tool"), "create", db, join(folder, "schema"));
      const remote = await serve(server("ovsdb-server"), db, label.startsWith("their") ? "s1" : "s2");
      const output = join(folder, "monitor.out");
      const pidfile = join(folder, "monitor.pid");
      run(
        "sh",
        "-c",
        `exec ${client("ovsdb-client")} --detach --no-chdir --pidfile=${pidfile} -f csv --no-headings monitor ${remote} P Root name numbers > ${output} 2>/dev/null`,
      );
      t.same(run(client("ovsdb-client"), "list-dbs", remote).trim().split("\n").sort(), ["P", "_Server"]);
      t.equal(run(client("ovsdb-client"), "get-schema-version", remote, "P"), "1.2.3\n");
      t.equal(run(client("ovsdb-client"), "get-schema-cksum", remote, "P"), "1 2\n");
      for (const step of STEPS) run(client("ovsdb-client"), "transact", remote, text(step));
      t.equal(
        rows(run(ours("ovsdb-client"), "transact", remote, ALL)),
        rows(run(theirs("ovsdb-client"), "transact", remote, ALL)),
      );
      t.match(run(client("ovsdb-client"), "dump", remote, "P", "Root", "name", "numbers"), /second +\[\]/);
      t.match(
        run(client("ovsdb-client"), "-f", "csv", "dump", remote, "P", "Leaf", "size"),
        /9007199254740993/,
      );
      t.match(readFileSync(output, "utf8"), /insert,second,\[\]/, "monitor");
      const snapshot = join(folder, "snapshot");
      run("sh", "-c", `${client("ovsdb-client")} backup ${remote} P > ${snapshot}`);
      t.equal(
        rows(run(server("ovsdb-tool"), "query", snapshot, ALL)),
        rows(run(client("ovsdb-client"), "transact", remote, ALL)),
        "a backup is a database file",
      );
      process.kill(Number(readFileSync(pidfile, "utf8")));
      await stop();
    });
  }
});

t.test("locked by one, refused by the other", { skip }, async (t) => {
  const db = join(folder, "locked.db");
  writeFileSync(join(folder, "schema"), JSON.stringify(SCHEMA));
  for (const [owner, other, name] of [
    [ours, theirs, "l1"],
    [theirs, ours, "l2"],
  ] as const) {
    rmSync(db, { force: true });
    run(ours("ovsdb-tool"), "create", db, join(folder, "schema"));
    await serve(owner("ovsdb-server"), db, name);
    t.throws(() => run(other("ovsdb-tool"), "transact", db, text(STEPS[0]!)), {
      message: /failed to lock lockfile \(Resource temporarily unavailable\)/,
    });
    await stop();
  }
});

t.test("a clustered file of theirs, read by us", { skip }, async (t) => {
  writeFileSync(join(folder, "schema"), JSON.stringify(SCHEMA));
  const raft = `unix:${join(folder, "one.raft")}`;
  const [one, two] = [join(folder, "one.db"), join(folder, "two.db")];
  run(theirs("ovsdb-tool"), "create-cluster", one, join(folder, "schema"), raft);
  run(theirs("ovsdb-tool"), "join-cluster", two, "P", `${raft}2`, raft);
  const remote = await serve(theirs("ovsdb-server"), one, "clustered");
  for (const step of STEPS) run(theirs("ovsdb-client"), "transact", remote, text(step));
  const state = rows(run(ours("ovsdb-client"), "transact", remote, ALL));
  await stop();
  for (const file of [one, two]) {
    for (const what of ["db-name", "db-sid", "db-local-address", "db-is-clustered"]) {
      t.equal(run(ours("ovsdb-tool"), what, file), run(theirs("ovsdb-tool"), what, file), what);
    }
    for (const detail of [[], ["-m"], ["-mm"]]) {
      // Columns and tables come in no order; theirs has a wrong quote.
      const show = (side: typeof ours): string[] =>
        run(side("ovsdb-tool"), ...detail, "show-log", file)
          .replace(`"P'`, '"P"')
          .split("\n")
          .sort();
      t.same(show(ours), show(theirs), `show-log ${detail}`);
    }
  }
  t.equal(run(ours("ovsdb-tool"), "db-cid", one), run(theirs("ovsdb-tool"), "db-cid", one));
  const alone = join(folder, "alone.db");
  run(ours("ovsdb-tool"), "cluster-to-standalone", alone, one);
  t.equal(rows(run(theirs("ovsdb-tool"), "query", alone, ALL)), state);
});

/** A CA, and a certificate that it has signed; undefined where there is no openssl. */
function makePki(): string[] | undefined {
  const file = (name: string): string => join(folder, name);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const steps = [
    ["req", "-x509", ...key, "-subj", "/CN=ca", "-keyout", file("cakey.pem"), "-out", file("ca.pem")],
    ["req", ...key, "-subj", "/CN=one", "-keyout", file("key.pem"), "-out", file("req.pem")],
    ["x509", "-req", "-CAcreateserial", "-in", file("req.pem"), "-CA", file("ca.pem")].concat([
      "-CAkey",
      file("cakey.pem"),
      "-out",
      file("cert.pem"),
    ]),
  ];
  for (const step of steps) if (spawnSync("openssl", step).status !== 0) return undefined;
  return ["-p", file("key.pem"), "-c", file("cert.pem"), "-C", file("ca.pem")];
}

const pki = makePki();

t.test("over TLS", { skip: skip || (pki === undefined && "no openssl") }, async (t) => {
  const db = join(folder, "tls.db");
  writeFileSync(join(folder, "schema"), JSON.stringify(SCHEMA));
  run(ours("ovsdb-tool"), "create", db, join(folder, "schema"));
  for (const [server, client] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    const log = join(folder, `tls-${server === ours ? "ours" : "theirs"}.log`);
    await serve(server("ovsdb-server"), db, "tls", "--remote=pssl:0:127.0.0.1", `--log-file=${log}`, ...pki!);
    const listening = (): string | undefined =>
      /listening on port (\d+)/.exec(readFileSync(log, "utf8"))?.[1];
    while (listening() === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
    const port = listening();
    const ask = (...options: string[]): string =>
      run(client("ovsdb-client"), ...options, "list-dbs", `ssl:127.0.0.1:${port}`);
    t.match(ask(...pki!), /^P$/m);
    for (const version of ["TLSv1.2", "TLSv1.3"]) {
      // 3.1 knows no more than 1.2 by name.
      if (client === ours || version === "TLSv1.2")
        t.match(ask(...pki!, `--ssl-protocols=${version}`), /^P$/m, version);
    }
    const foreign = [...pki!.slice(0, 4), "-C", join(folder, "cert.pem")];
    t.throws(() => ask(...foreign), /failed to connect/, "a server of another CA");
    await stop();
  }
});
