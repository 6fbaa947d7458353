/**
 * What scripts/install puts where, and with --full the Debian package in a fresh Debian: installed, started by its units'
 * own command lines (this test plays the service manager), used, removed without a trace.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t, { type Test } from "tap";
import { FULL } from "./bin.ts";
import { cannotRun, sleep } from "./world.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

function run(program: string, args: string[], env: Record<string, string> = {}): string {
  const result = spawnSync(program, args, { env: { ...process.env, ...env }, encoding: "utf8" });
  if (result.status !== 0)
    throw new Error(
      `${program} ${args.join(" ")}: status ${result.status}\n${result.stdout}${result.stderr}`,
    );
  return result.stdout;
}

/** Every path below `folder`, with what a link points to, sorted. Folders of the system's that change anyway are left out. */
function listing(folder: string, without: readonly string[] = []): string[] {
  const found: string[] = [];
  const walk = (relative: string): void => {
    for (const name of readdirSync(join(folder, relative))) {
      const path = relative === "" ? name : `${relative}/${name}`;
      if (without.includes(path)) continue;
      found.push(path);
      if (lstatSync(join(folder, path)).isDirectory()) walk(path);
    }
  };
  walk("");
  return found.sort();
}

type Unit = Record<string, string[]>;

/** The settings of a unit file: systemd.syntax(7), as far as ours use it. */
function readUnit(path: string): Unit {
  const unit: Unit = {};
  for (const line of readFileSync(path, "utf8").replaceAll("\\\n", " ").split("\n")) {
    const pair = /^(\w+)=(.*)$/.exec(line);
    if (pair !== null) (unit[pair[1]!] ??= []).push(pair[2]!.trim());
  }
  return unit;
}

/** Words of a command line, variables that nobody set left out. */
const words = (line: string): string[] => line.split(/\s+/).filter((word) => !word.startsWith("$"));

t.test("scripts/install into an empty tree, and away again", { skip: cannotRun() }, async (t) => {
  const tree = mkdtempSync(join(tmpdir(), "ovsbox-tree-"));
  try {
    for (const [name, options] of [
      ["copied", []],
      ["linked", ["--symlinks"]],
    ] as const) {
      run(join(root, "scripts/install"), [...options], { DESTDIR: tree });
      t.equal(lstatSync(join(tree, "usr/bin/ovsbox")).isSymbolicLink(), name === "linked");
      for (const applet of run(join(root, "dist/ovsbox"), ["--applets"]).trim().split("\n"))
        t.ok(existsSync(join(tree, "usr/bin", applet)), applet);
      t.match(run(join(tree, "usr/bin/ovs-vsctl"), ["--version"]), /^ovs-vsctl \(Open vSwitch\)/);
      const units = readdirSync(join(tree, "usr/lib/systemd/system"));
      t.ok(units.includes("ovsdb-server.service") && units.includes("ovs-vswitchd.service"));
      for (const unit of units) {
        const {
          ExecStartPre = [],
          ExecStart = [],
          ExecStartPost = [],
          ExecReload = [],
        } = readUnit(join(tree, "usr/lib/systemd/system", unit));
        for (const line of [...ExecStartPre, ...ExecStart, ...ExecStartPost, ...ExecReload]) {
          const program = words(line)[0]!;
          t.ok(program === "/bin/true" || existsSync(join(tree, program)), `${unit}: ${program}`);
        }
      }
      run(join(root, "scripts/install"), ["--uninstall"], { DESTDIR: tree });
      t.strictSame(
        listing(tree).filter((path) => !statSync(join(tree, path)).isDirectory()),
        [],
        "nothing left",
      );
    }
  } finally {
    rmSync(tree, { recursive: true, force: true });
  }
});

/** A system's root in a folder, which `fill` makes, with its own network namespace; commands run in it by chroot. */
class Root {
  readonly dir = mkdtempSync(join(tmpdir(), "ovsbox-root-"));
  readonly netns = `obroot${process.pid}`;
  readonly #services: ChildProcess[] = [];
  readonly #mounts: string[] = [];

  make(fill: (dir: string) => void): void {
    fill(this.dir);
    for (const [kind, at] of [
      ["proc", "proc"],
      ["sysfs", "sys"],
    ] as const) {
      run("mount", ["-t", kind, kind, join(this.dir, at)]);
      this.#mounts.push(at);
    }
    run("mount", ["--bind", "/dev", join(this.dir, "dev")]);
    this.#mounts.push("dev");
    run("ip", ["netns", "add", this.netns]);
  }

  inside(...line: string[]): string {
    return run("ip", ["netns", "exec", this.netns, "chroot", this.dir, ...line]);
  }

  /** Starts a service as systemd would: its commands before, itself until it says READY=1, its commands after. */
  async service(name: string): Promise<void> {
    const unit = readUnit(join(this.dir, "usr/lib/systemd/system", `${name}.service`));
    for (const folder of ["RuntimeDirectory", "LogsDirectory", "ConfigurationDirectory"])
      for (const path of unit[folder] ?? [])
        mkdirSync(join(this.dir, { R: "run", L: "var/log", C: "etc" }[folder[0]!]!, path), {
          recursive: true,
        });
    for (const line of unit.ExecStartPre ?? []) this.inside(...words(line));
    const notify = `/run/notify-${name}`;
    const listener = spawn(
      "python3",
      [
        "-c",
        "import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nwhile b'READY=1' not in s.recv(4096): pass",
        join(this.dir, notify),
      ],
      { stdio: "inherit" },
    );
    const ready = new Promise<void>((done) => void listener.once("exit", () => done()));
    for (let left = 100; left > 0 && !existsSync(join(this.dir, notify)); left--) await sleep(50);
    const service = spawn(
      "ip",
      ["netns", "exec", this.netns, "chroot", this.dir, ...words(unit.ExecStart![0]!)],
      { stdio: "inherit", env: { ...process.env, NOTIFY_SOCKET: notify } },
    );
    this.#services.push(service);
    const patience = new AbortController();
    await Promise.race([ready, setTimeout(60_000, undefined, { signal: patience.signal }).catch(() => {})]);
    patience.abort();
    listener.kill();
    rmSync(join(this.dir, notify), { force: true });
    if (service.exitCode !== null) throw new Error(`${name}: ended with status ${service.exitCode}`);
    for (const line of unit.ExecStartPost ?? []) this.inside(...words(line));
  }

  async stopServices(): Promise<void> {
    for (const service of this.#services.splice(0).reverse()) {
      const gone = new Promise((done) => void service.once("exit", done));
      service.kill("SIGTERM");
      await gone;
    }
  }

  async close(): Promise<void> {
    await this.stopServices();
    for (const at of this.#mounts.reverse()) spawnSync("umount", ["-l", join(this.dir, at)]);
    spawnSync("ip", ["netns", "del", this.netns]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** A fresh Debian. */
function fillDebian(dir: string): void {
  run("debootstrap", ["--variant=minbase", "bookworm", dir, "http://deb.debian.org/debian"]);
}

/** One folder of programs and one of libraries, as Arch has them, with the C library that the package depends on. */
function fillArch(dir: string): void {
  for (const folder of ["usr/bin", "usr/lib", "proc", "sys", "dev", "run", "tmp", "etc", "var/log"])
    mkdirSync(join(dir, folder), { recursive: true });
  for (const [name, target] of [
    ["bin", "usr/bin"],
    ["sbin", "usr/bin"],
    ["usr/sbin", "bin"],
    ["lib", "usr/lib"],
    ["lib64", "usr/lib"],
    ["usr/lib64", "lib"],
    ["var/run", "../run"],
  ] as const)
    symlinkSync(target, join(dir, name));
  const libraries = run("ldd", [join(root, "dist/ovsbox")]).matchAll(/(?:=> )?(\/\S+) \(0x/g);
  for (const [, path] of libraries) run("cp", ["-L", path!, join(dir, "usr/lib")]);
  run("cp", ["-L", "/bin/true", join(dir, "usr/bin")]);
}

/** What dpkg itself writes. */
const DPKG = ["proc", "sys", "dev", "var/lib/dpkg", "var/log", "var/cache"];

const noDebian = cannotRun("debootstrap", "dpkg-deb", "python3");

/** Slow: a whole Debian is fetched and unpacked. */
const inDebian = async (t: Test): Promise<void> => {
  const debian = new Root();
  try {
    const deb = run(join(root, "scripts/package"), ["deb"]).trim();
    debian.make(fillDebian);
    const before = listing(debian.dir, DPKG);
    run("cp", [join(root, deb), join(debian.dir, "ovsbox.deb")]);
    debian.inside("dpkg", "-i", "/ovsbox.deb");
    rmSync(join(debian.dir, "ovsbox.deb"));
    await debian.service("ovsdb-server");
    await debian.service("ovs-vswitchd");
    debian.inside("ovs-vsctl", "-t", "10", "add-br", "br0");
    t.match(debian.inside("ovs-vsctl", "show"), /Bridge br0\n(.*\n)*\s+type: internal/);
    t.match(
      debian.inside("ovs-vsctl", "get", "Open_vSwitch", ".", "external_ids"),
      /system-id="[0-9a-f-]{36}"/,
    );
    t.match(debian.inside("ovs-ctl", "status"), /ovs-vswitchd is running/);
    await debian.stopServices();
    debian.inside("dpkg", "-P", "ovsbox");
    t.strictSame(listing(debian.dir, DPKG), before, "nothing left");
  } finally {
    await debian.close();
  }
};
if (FULL) t.test("the Debian package in a fresh Debian", { skip: noDebian, timeout: 900_000 }, inDebian);

t.test("the Arch package in a tree like Arch's", { skip: cannotRun("python3", "bash") }, async (t) => {
  const arch = new Root();
  const built = mkdtempSync(join(tmpdir(), "ovsbox-arch-"));
  try {
    arch.make(fillArch);
    const before = listing(arch.dir, ["proc", "sys", "dev"]);
    // What makepkg does once build() is over, and pacman with what comes of it.
    const script = `set -e; startdir=${built}; pkgdir=${built}/pkg; mkdir $pkgdir; . ${root}/packaging/arch/PKGBUILD; package`;
    run("bash", ["-c", script], { OVSBOX_CHECKOUT: root });
    const pkg = join(built, "pkg");
    t.notOk(existsSync(join(pkg, "usr/sbin")), "Arch has no folder usr/sbin");
    run("cp", ["-a", `${pkg}/.`, arch.dir]);
    await arch.service("ovsdb-server");
    await arch.service("ovs-vswitchd");
    arch.inside("ovs-vsctl", "-t", "10", "add-br", "br0");
    t.match(arch.inside("ovs-vsctl", "show"), /Bridge br0\n(.*\n)*\s+type: internal/);
    t.match(arch.inside("ovs-ctl", "status"), /ovs-vswitchd is running/);
    await arch.stopServices();
    for (const path of listing(pkg))
      if (!statSync(join(pkg, path), { throwIfNoEntry: false })?.isDirectory())
        rmSync(join(arch.dir, path), { force: true });
    const left = listing(arch.dir, ["proc", "sys", "dev"]).filter((path) => !before.includes(path));
    const files = left.filter((path) => !statSync(join(arch.dir, path)).isDirectory());
    t.ok(
      files.every((path) => /^(etc|var\/log|run|var\/lib)\/openvswitch\//.test(path)),
      `configuration, logs, and no more: ${files}`,
    );
  } finally {
    await arch.close();
    rmSync(built, { recursive: true, force: true });
  }
});
