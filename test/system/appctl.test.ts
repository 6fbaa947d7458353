/** Control sockets and daemon behaviour of the executable, and both against the original's programs (Debian's). */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BIN, peer, withoutPeer } from "./bin.ts";

const folder = mkdtempSync(join(tmpdir(), `ovsbox-appctl-${process.pid}-`));
const rundirs: string[] = [];

/** Ends whatever still has a pid file, then removes everything. */
t.teardown(() => {
  for (const run of rundirs) {
    const pid = pidOf(run);
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  }
  rmSync(folder, { recursive: true, force: true });
});

function pidOf(run: string): number | undefined {
  const file = join(run, "ovsdb-server.pid");
  const pid = existsSync(file) ? Number(readFileSync(file, "utf8")) : undefined;
  return pid !== undefined && existsSync(`/proc/${pid}`) ? pid : undefined;
}

/** A fresh set of folders with a small database, and the environment that points there. */
function site(name: string) {
  const run = join(folder, name);
  mkdirSync(run);
  rundirs.push(run);
  const env = { ...process.env, OVS_RUNDIR: run, OVS_LOGDIR: run, OVS_DBDIR: run, OVS_SYSCONFDIR: run };
  const schema = {
    name: "Test",
    version: "1.0.0",
    tables: { T: { columns: { n: { type: "integer" } }, isRoot: true } },
  };
  writeFileSync(join(run, "schema"), JSON.stringify(schema));
  const command = (program: string, ...args: string[]) =>
    spawnSync(program, args, { cwd: run, env, encoding: "utf8", timeout: 20_000 });
  const made = command(join(BIN, "ovsdb-tool"), "create", join(run, "db"), join(run, "schema"));
  if (made.status !== 0) throw new Error(`ovsdb-tool create: ${made.stderr}`);
  const ours = (program: string, ...args: string[]) => command(join(BIN, program), ...args);
  return { run, env, command, ours, db: join(run, "db") };
}

/** Tries every 20 ms for `ms`; the last answer counts. */
async function eventually(done: () => boolean, ms = 5000): Promise<boolean> {
  for (
    const end = Date.now() + ms;
    Date.now() < end;
    await new Promise((resolve) => setTimeout(resolve, 20))
  ) {
    if (done()) return true;
  }
  return done();
}

const exitOf = (child: ChildProcess): Promise<{ status: number | null; signal: string | null }> =>
  new Promise((resolve) => child.once("exit", (status, signal) => resolve({ status, signal })));

interface Pair {
  name: string;
  appctl: string | undefined;
  server: string | undefined;
  skip: string | false;
}

const pairs: Pair[] = [
  { name: "ours to ours", appctl: join(BIN, "ovs-appctl"), server: join(BIN, "ovsdb-server"), skip: false },
  {
    name: "the original's ovs-appctl to our daemon",
    appctl: peer("ovs-appctl"),
    server: join(BIN, "ovsdb-server"),
    skip: withoutPeer("ovs-appctl"),
  },
  {
    name: "our ovs-appctl to the original's daemon",
    appctl: join(BIN, "ovs-appctl"),
    server: peer("ovsdb-server"),
    skip: withoutPeer("ovsdb-server"),
  },
];

for (const { name, appctl, server, skip } of pairs) {
  t.test(name, { skip }, async (t) => {
    const place = site(name.replaceAll(/\W/g, "-"));
    const started = place.command(server!, "-vconsole:off", "--detach", "--pidfile", "--log-file", place.db);
    t.match(started, { status: 0, stdout: "", stderr: "" }, "starts and lets the caller go");
    const ask = (...args: string[]) => place.command(appctl!, "-t", "ovsdb-server", ...args);
    t.match(ask("version"), { status: 0, stdout: /^ovsdb-server \(Open vSwitch\) \d/, stderr: "" });
    const commands = ask("list-commands").stdout;
    t.match(commands, /^The available commands are:\n/);
    for (const command of ["exit", "coverage/show", "memory/show", "vlog/set", "vlog/list-pattern"]) {
      t.match(commands, new RegExp(`^ {2}${command} `, "m"), command);
    }
    t.match(ask("vlog/set", "unixctl:file:err"), { status: 0, stdout: "" });
    t.match(ask("vlog/list").stdout, /^unixctl {12}OFF {7}INFO {8}ERR$/m);
    // Since 3.6 the client adds the newline that its server leaves out; Debian's 3.1 is older.
    t.match(ask("vlog/set", "bogus"), {
      status: 2,
      stdout: "",
      stderr:
        /^no destination, level, or module "bogus"\n?ovs-appctl: ovsdb-server: server returned an error\n$/,
    });
    t.match(ask("frobnicate"), {
      status: 2,
      stderr: /^"frobnicate" is not a valid command/,
    });
    t.match(ask("version", "too", "many"), {
      status: 2,
      stderr: /^"version" command takes at most 0 arguments/,
    });
    t.match(ask("coverage/read-counter"), { status: 2, stderr: /requires at least 1 arguments/ });
    const pid = pidOf(place.run)!;
    const byPath = place.command(appctl!, "-t", join(place.run, `ovsdb-server.${pid}.ctl`), "version");
    t.match(byPath, { status: 0, stdout: /^ovsdb-server/ }, "a socket by its path");
    t.match(ask("exit"), { status: 0, stdout: "" });
    t.ok(await eventually(() => !existsSync(`/proc/${pid}`)), "ends");
    t.notOk(existsSync(join(place.run, "ovsdb-server.pid")), "pid file gone");
    t.notOk(existsSync(join(place.run, `ovsdb-server.${pid}.ctl`)), "control socket gone");
  });
}

t.test("ovs-appctl: errors and their exit status", async (t) => {
  const place = site("errors");
  writeFileSync(join(place.run, "dead.pid"), "4194305\n");
  const cases: [args: string[], stderr: RegExp][] = [
    [[], /^ovs-appctl: at least one non-option argument is required \(use --help for help\)\n$/],
    [["--bogus"], /^ovs-appctl: unrecognized option '--bogus'\n$/],
    [["-Tx", "version"], /^ovs-appctl: value x on -T or --timeout is invalid\n$/],
    [["-f", "xml", "version"], /^ovs-appctl: value xml on -f or --format is invalid\n$/],
    [["--pretty", "version"], /^ovs-appctl: --pretty is supported with --format json only\n$/],
    [
      ["-t", "nope", "version"],
      /\novs-appctl: cannot read pidfile ".*\/nope\.pid" \(No such file or directory\)\n$/,
    ],
    [["-t", "dead", "version"], /^ovs-appctl: cannot read pidfile ".*\/dead\.pid" \(No such process\)\n$/],
    [["-t", "/nope", "version"], /\novs-appctl: cannot connect to "\/nope" \(No such file or directory\)\n$/],
  ];
  for (const [args, stderr] of cases) {
    t.match(place.ours("ovs-appctl", ...args), { status: 1, stdout: "", stderr }, args.join(" "));
  }
  t.match(place.ours("ovs-appctl", "--version"), { status: 0, stdout: /^ovs-appctl \(Open vSwitch\) 3\.7/ });

  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(join(place.run, "silent.ctl"), resolve));
  t.teardown(() => silent.close());
  const waiting = spawn(
    join(BIN, "ovs-appctl"),
    ["-T", "1", "-t", join(place.run, "silent.ctl"), "version"],
    {
      env: place.env,
      stdio: ["ignore", "ignore", "pipe"],
    },
  );
  let said = "";
  waiting.stderr.on("data", (bytes: Uint8Array) => {
    said += bytes;
  });
  t.strictSame(await exitOf(waiting), { status: null, signal: "SIGALRM" }, "a timeout dies of SIGALRM");
  t.match(said, /\|fatal_signal\|WARN\|terminating with signal 14 \(Alarm clock\)\n$/);
});

t.test("-f json", async (t) => {
  const place = site("json");
  t.equal(place.ours("ovsdb-server", "--detach", "--pidfile", place.db).status, 0);
  const ask = (...args: string[]) => place.ours("ovs-appctl", "-t", "ovsdb-server", ...args).stdout;
  t.match(JSON.parse(ask("-f", "json", "version")), { "reply-format": "plain", reply: /^ovsdb-server/ });
  t.equal(JSON.parse(ask("-f", "json", "list-commands"))["vlog/close"], "");
  t.match(
    ask("-f", "json", "--pretty", "version"),
    /^\{\n {2}"reply": "ovsdb-server.*",\n {2}"reply-format": "plain"\}\n$/,
  );
  place.ours("ovs-appctl", "-t", "ovsdb-server", "exit");
});

t.test("daemon", async (t) => {
  const place = site("daemon");
  t.equal(place.ours("ovsdb-server", "--detach", "--pidfile", place.db).status, 0);
  const pid = pidOf(place.run)!;
  t.equal(readFileSync(`/proc/${pid}/comm`, "utf8"), "ovsdb-server\n", "comm is the applet's name");
  t.match(place.ours("ovsdb-server", "--detach", "--pidfile", place.db), {
    status: 1,
    stderr: `ovsdb-server: ${place.run}/ovsdb-server.pid: already running as pid ${pid}, aborting\n`,
  });
  t.match(place.ours("ovsdb-server", "--detach", "--pidfile=/nonexistent/x", place.db), {
    status: 1,
    stderr: /ovsdb-server: \/nonexistent\/x\.tmp: create failed \(No such file or directory\)\n$/,
  });
  process.kill(pid, "SIGTERM");
  t.ok(await eventually(() => !existsSync(`/proc/${pid}`)));
  t.notOk(existsSync(join(place.run, "ovsdb-server.pid")), "SIGTERM removes the pid file");

  const fore = spawn(join(BIN, "ovsdb-server"), ["--pidfile", place.db], { env: place.env, stdio: "ignore" });
  t.ok(await eventually(() => pidOf(place.run) === fore.pid));
  t.ok(await eventually(() => existsSync(join(place.run, `ovsdb-server.${fore.pid}.ctl`))));
  const ended = exitOf(fore);
  fore.kill("SIGTERM");
  t.strictSame(await ended, { status: null, signal: "SIGTERM" }, "and the parent sees the signal");
});

t.test("--monitor", async (t) => {
  const place = site("monitor");
  const args = ["-vconsole:off", "--detach", "--monitor", "--pidfile", "--log-file", place.db];
  t.match(place.ours("ovsdb-server", ...args), { status: 0, stderr: "" });
  const first = pidOf(place.run)!;
  const monitor = Number(/^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${first}/status`, "utf8"))![1]);
  // It takes its name after the daemon is up, so a moment after the command has returned.
  const titled = () =>
    /^ovsdb-server: monitoring pid \d+ \(/.test(readFileSync(`/proc/${monitor}/cmdline`, "utf8"));
  t.ok(await eventually(titled), "the monitor says in its command line what it watches");
  t.equal(readFileSync(`/proc/${monitor}/comm`, "utf8"), "monitor\n");
  process.kill(first, "SIGSEGV");
  t.ok(
    await eventually(() => ![undefined, first].includes(pidOf(place.run))),
    "a crashed daemon is started again",
  );
  const second = pidOf(place.run)!;
  const log = readFileSync(join(place.run, "ovsdb-server.log"), "utf8");
  t.match(log, /backtrace\(monitor\)\|WARN\|SIGSEGV detected, backtrace:\n/);
  t.match(
    log,
    new RegExp(
      `daemon_unix\\(monitor\\)\\|ERR\\|1 crashes: pid ${first} died, killed \\(Segmentation fault\\), restarting`,
    ),
  );
  process.kill(second, "SIGTERM");
  t.ok(await eventually(() => !existsSync(`/proc/${monitor}`)), "a clean end ends the monitor");
  t.match(
    readFileSync(join(place.run, "ovsdb-server.log"), "utf8"),
    new RegExp(`\\(monitor\\)\\|INFO\\|pid ${second} died, killed \\(Terminated\\), exiting\n$`),
  );
});
