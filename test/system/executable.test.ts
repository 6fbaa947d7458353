/** The one executable: dispatch by link and by word, its list of applets, and what it must not read from its folder. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { BIN } from "./bin.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

const APPLETS = [
  ...["ovs-vswitchd", "ovsdb-server", "ovsdb-client", "ovsdb-tool", "ovs-vsctl", "ovs-ofctl", "ovs-dpctl"],
  ...["ovs-appctl", "ovs-pki", "ovs-brcompatd", "ovs-testcontroller", "ovsdbmonitor", "vtep-ctl", "ovs-ctl"],
  "ovs-pcap",
];
const BUILT = [
  "ovs-vswitchd",
  "ovsdb-server",
  "ovsdb-client",
  "ovsdb-tool",
  "ovs-vsctl",
  "ovs-ofctl",
  "ovs-appctl",
];

function run(command: string, args: string[], cwd = "/") {
  return spawnSync(join(BIN, command), args, { cwd, encoding: "utf8", timeout: 20_000 });
}

t.test("ovsbox --help lists every applet", async (t) => {
  const help = run("ovsbox", ["--help"]);
  t.equal(help.status, 0);
  for (const name of APPLETS) t.match(help.stdout, new RegExp(`\\b${name}\\b`), name);
});

t.test("an unknown applet is one clear error", async (t) => {
  const wrong = run("ovsbox", ["frobnicate"]);
  t.equal(wrong.status, 1);
  t.match(wrong.stderr, /^ovsbox: .*frobnicate.*\n$/);
});

t.test("called by link, by word, and by word without ovs-", async (t) => {
  const byLink = run("ovs-vsctl", ["--version"]);
  t.match(byLink.stdout, /^ovs-vsctl \(Open vSwitch\) /);
  t.equal(run("ovsbox", ["ovs-vsctl", "--version"]).stdout, byLink.stdout);
  t.equal(run("ovsbox", ["vsctl", "--version"]).stdout, byLink.stdout);
});

t.test("ovs-pcap prints packets, of either byte order", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ovsbox-pcap-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "x.pcap");
  const little = "d4c3b2a1020004000000000000000000ee05000001000000";
  const big = "a1b2c3d40002000400000000000000000000ee0500000001";
  const captures: [hex: string, want: string][] = [
    [little, ""],
    [
      `${little}01000000000000000300000003000000010203${"01000000000000000100000001000000"}ff`,
      "010203\nff\n",
    ],
    [`${big}000000010000000000000002000000020a0b`, "0a0b\n"],
  ];
  for (const [hex, want] of captures) {
    writeFileSync(file, Buffer.from(hex, "hex"));
    t.strictSame([run("ovs-pcap", [file]).stdout, run("ovs-pcap", [file]).status], [want, 0]);
  }
  writeFileSync(file, "nonsense, and more than 24 bytes of it");
  for (const args of [[], [file, file], [file], [join(folder, "none")]]) {
    const { status, stdout, stderr } = run("ovs-pcap", args);
    t.strictSame([status, stdout], [1, ""]);
    t.match(stderr, /^ovs-pcap: .*\n$/);
  }
});

// A compiled Bun executable would run the preload of a bunfig.toml, and load the .env, of the folder it starts in.
t.test("hostile bunfig.toml and .env are not read", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ovsbox-hostile-"));
  t.teardown(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(folder, "evil.ts"), 'console.log("EVIL"); process.exit(42);\n');
  writeFileSync(join(folder, ".env"), "OVS_RUNDIR=/evil\nOVS_CTL_TIMEOUT=1\n");
  for (const name of BUILT) {
    const version = run(name, ["--version"], folder);
    t.equal(version.status, 0, `${name} --version`);
    t.notMatch(version.stdout + version.stderr, /EVIL/, name);
  }
  const show = run("ovs-vsctl", ["--timeout=1", "--db=unix:/nonexistent/db.sock", "show"], folder);
  t.notMatch(show.stdout + show.stderr, /EVIL|\/evil/, "environment of the folder's .env");
});

t.test("a fault of the process itself ends it, although SIGSEGV is listened for", (t) => {
  const bun = join(root, "node_modules/.bin/bun");
  const listen = `import { realProcess } from ${JSON.stringify(join(root, "src/sys/process.ts"))};
    realProcess.onSignal("SIGSEGV", () => { process.stdout.write("told"); realProcess.dieOf("SIGSEGV"); });`;
  const run = (code: string) => spawnSync(bun, ["-e", listen + code], { encoding: "utf8", timeout: 20_000 });
  const fault = run(`import { read } from "bun:ffi"; read.u8(8, 0);`);
  t.equal(fault.signal, "SIGSEGV", "it does not fault for ever");
  const sent = run(`process.kill(process.pid, "SIGSEGV"); setTimeout(() => {}, 10_000);`);
  t.match({ signal: sent.signal, stdout: sent.stdout }, { signal: "SIGSEGV", stdout: "told" });
  t.end();
});
