/**
 * Runs a shell script in a guest of qemu: Debian's kernel (`scripts/guest`), an initramfs of busybox, the kernel's modules that
 * are asked for, the executable under all its names, and files of the caller's. The guest speaks over its serial console; what
 * the script prints is what it has to say.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { BIN } from "../system/bin.ts";
import { type CpioFile, cpio } from "./cpio.ts";

const GUEST = process.env.OVSBOX_GUEST ?? "";

/** The reason to skip, or false. */
export function cannotBoot(): string | false {
  if (process.arch !== "x64") return "the guest is an x86-64 machine";
  if (GUEST === "" || !existsSync(join(GUEST, "kernel"))) return "no kernel for a guest (scripts/guest)";
  if (!existsSync(join(BIN, "ovs-vswitchd"))) return `no executable in ${BIN} (scripts/build)`;
  for (const tool of ["qemu-system-x86_64", "busybox", "ip"])
    if (which(tool) === undefined) return `no ${tool}`;
  return false;
}

function which(tool: string): string | undefined {
  const { status, stdout } = spawnSync("sh", ["-c", `command -v ${tool}`], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

/** A module's file with those that it needs, in the order of loading. */
function moduleFiles(names: readonly string[]): CpioFile[] {
  const folder = join(GUEST, "lib/modules", readdirSync(join(GUEST, "lib/modules"))[0]!);
  const lines = readFileSync(join(folder, "modules.dep"), "utf8").split("\n");
  const wanted = new Set<string>();
  for (const name of names) {
    const line = lines.find((each) => each.split(":")[0]!.endsWith(`/${name}.ko`));
    if (line === undefined) throw new Error(`no module ${name}`);
    const [file, needs] = line.split(":") as [string, string];
    for (const need of needs.trim().split(" ").reverse()) if (need !== "") wanted.add(need);
    wanted.add(file);
  }
  return [...wanted].map((file, i) => ({
    name: `modules/${String(i).padStart(3, "0")}-${file.slice(file.lastIndexOf("/") + 1)}`,
    bytes: readFileSync(join(folder, file)),
  }));
}

/** The shared libraries that programs are linked with, at their places. */
function libraries(programs: readonly string[]): CpioFile[] {
  const { stdout } = spawnSync("ldd", [...programs], { encoding: "utf8" });
  const paths = new Set([...stdout.matchAll(/(\/\S+) \(0x/g)].map((found) => found[1]!));
  return [...paths].map((path) => ({ name: path.slice(1), bytes: readFileSync(path) }));
}

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/ovs:/bin HOME=/ OVS_RUNDIR=/run OVS_LOGDIR=/run OVS_DBDIR=/run OVS_SYSCONFDIR=/run
mkdir -p /proc /sys /dev /run /tmp /var/run /etc
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod $module || echo "insmod $module failed"; done
ip link set lo up
for name in $(/ovs/ovsbox --applets); do ln -s ovsbox /ovs/$name; done
echo "=== begin"
sh /script
echo "=== end $?"
poweroff -f
`;

/** A program of this folder with all that it imports, for the executable as plain Bun. */
export function bundle(folder: string, name: string): Uint8Array {
  const run = spawnSync(
    resolve(import.meta.dirname, "../../node_modules/.bin/bun"),
    ["build", "--target=bun", `--outdir=${folder}`, join(import.meta.dirname, `${name}.ts`)],
    { encoding: "utf8" },
  );
  if (run.status !== 0) throw new Error(run.stderr);
  return readFileSync(join(folder, `${name}.js`));
}

export interface GuestOptions {
  /** Of the kernel, e.g. "openvswitch"; what they need comes along. */
  readonly modules: readonly string[];
  readonly files?: readonly CpioFile[];
  /** Of busybox's shell. */
  readonly script: string;
  readonly timeoutMs?: number;
}

export interface GuestResult {
  /** What the script printed, kernel messages among it. */
  readonly output: string;
  /** Exit status of the script, undefined when it came to no end. */
  readonly status: number | undefined;
}

export async function runGuest(options: GuestOptions): Promise<GuestResult> {
  const { modules, files = [], script, timeoutMs = 500_000 } = options;
  const folder = mkdtempSync(join(tmpdir(), "ovsbox-guest-"));
  const executable = join(BIN, "ovsbox");
  const text = (content: string): Uint8Array => new TextEncoder().encode(content);
  const initrd = cpio([
    { name: "init", bytes: text(INIT) },
    { name: "script", bytes: text(`ip() { /ovs/ip "$@"; }\n${script}`) },
    { name: "bin/busybox", bytes: readFileSync(which("busybox")!) },
    { name: "ovs/ovsbox", bytes: readFileSync(executable) },
    // That of busybox, which its shell prefers, makes no veth pairs.
    { name: "ovs/ip", bytes: readFileSync(which("ip")!) },
    ...libraries([executable, which("ip")!]),
    ...moduleFiles(modules),
    ...files,
  ]);
  writeFileSync(join(folder, "initrd"), initrd);
  try {
    const output = await serialConsole(join(folder, "initrd"), timeoutMs);
    const begin = output.indexOf("=== begin");
    const end = /=== end (\d+)/.exec(output);
    const until = end === null ? output.length : end.index;
    return {
      output: begin < 0 ? output : output.slice(output.indexOf("\n", begin) + 1, until),
      status: end === null ? undefined : Number(end[1]),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What a script printed in one of its parts. */
export function partOf(output: string, name: string): string {
  const start = output.indexOf(`### ${name}\n`);
  if (start < 0) return "";
  const text = output.slice(start + name.length + 5);
  const end = text.search(/^### /m);
  return end < 0 ? text : text.slice(0, end);
}

/** All that the guest says until it is off. On a busy machine its timers are late, which it must not take for broken ones. */
function serialConsole(initrd: string, timeoutMs: number): Promise<string> {
  const qemu = spawn(
    "qemu-system-x86_64",
    [
      ...["-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "1"],
      ...[
        "-kernel",
        join(GUEST, "kernel"),
        "-initrd",
        initrd,
        "-append",
        "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check",
      ],
      ...["-no-reboot", "-display", "none", "-monitor", "none", "-net", "none", "-serial", "stdio"],
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  return new Promise((resolve, reject) => {
    let output = "";
    const timer = setTimeout(() => qemu.kill("SIGKILL"), timeoutMs);
    qemu.stdout.setEncoding("utf8");
    qemu.stdout.on("data", (chunk: string) => {
      output += chunk;
    });
    qemu.on("error", reject);
    qemu.on("close", () => {
      clearTimeout(timer);
      resolve(output.replaceAll("\r", ""));
    });
  });
}
