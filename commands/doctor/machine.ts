/** The machine: kernel, privileges, limits, time, files of the daemons. */
import fs from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import type { Dirs } from "../../src/lib/dirs.ts";
import { describeError } from "../../src/lib/errors.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { UnixctlClient } from "../../src/lib/unixctl-client.ts";
import { loadFile } from "../../src/ovsdb/database-file.ts";
import { nodeDisk } from "../../src/ovsdb/disk-node.ts";
import { leftLabel, pinnedDatapaths } from "../../src/sys/bpf-pins.ts";
import { bad, type Finding, good, warn } from "./finding.ts";

function read(path: string): string | undefined {
  try {
    return fs.readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** capabilities(7): bit numbers. */
const CAPABILITIES: readonly (readonly [bit: number, name: string, meaning: string])[] = [
  [12, "CAP_NET_ADMIN", "devices cannot be made or set"],
  [13, "CAP_NET_RAW", "packets cannot be received or sent"],
  [39, "CAP_BPF", "programs in the kernel (datapath_type=ebpf) cannot be loaded"],
];

export function privileges(): Finding[] {
  const mask = /^CapEff:\s*([0-9a-f]+)/m.exec(read("/proc/self/status") ?? "")?.[1];
  if (mask === undefined) return [];
  const have = BigInt(`0x${mask}`);
  const missing = CAPABILITIES.filter(([bit]) => (have & (1n << BigInt(bit))) === 0n);
  if (missing.length === 0) return [good("privileges", "all that a switch needs")];
  return missing.map(([, name, meaning]) =>
    (name === "CAP_BPF" ? warn : bad)(
      "privileges",
      `no ${name}`,
      `${meaning} from here`,
      "sudo ovsbox doctor",
    ),
  );
}

export function kernel(): Finding[] {
  const found: Finding[] = [];
  const version = release();
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > 5 || (major === 5 && minor >= 11))
    found.push(good("kernel", `${version}: userspace and eBPF datapaths`));
  else
    found.push(
      warn(
        "kernel",
        `${version} is older than 5.11`,
        "it does not take the eBPF datapath's programs: packets are forwarded in userspace",
      ),
    );
  if (!fs.existsSync("/dev/net/tun"))
    found.push(
      bad(
        "kernel",
        "no /dev/net/tun",
        "bridges have no port of their own, and internal ports fail",
        "modprobe tun",
      ),
    );
  if (!/ \/sys\/fs\/bpf bpf /.test(read("/proc/mounts") ?? ""))
    found.push(
      warn(
        "kernel",
        "no BPF file system on /sys/fs/bpf",
        "an eBPF datapath ends with its daemon",
        "mount -t bpf bpf /sys/fs/bpf",
      ),
    );
  if (/^openvswitch /m.test(read("/proc/modules") ?? ""))
    found.push(
      warn(
        "kernel",
        "the module openvswitch is loaded",
        "it is not used, unless another Open vSwitch runs beside this one",
        "rmmod openvswitch",
      ),
    );
  return found;
}

/** Files that the switch needs for a port: two sockets, timers, and the database's connections beside. */
const FILES_MIN = 4096;

export function limits(daemonPid: number | undefined): Finding[] {
  const text = read(`/proc/${daemonPid ?? "self"}/limits`) ?? "";
  const files = Number(/^Max open files\s+(\d+)/m.exec(text)?.[1] ?? Number.NaN);
  if (!(files < FILES_MIN)) return [];
  return [
    warn(
      "limits",
      `${files} open files at most`,
      "a switch with many ports runs out of them",
      `ulimit -n 65536   # or LimitNOFILE= in the unit`,
    ),
  ];
}

/** A daemon's pid file: who it names, and whether that one answers. */
export async function daemon(platform: Platform, dirs: Dirs, name: string): Promise<Finding> {
  const file = join(dirs.run, `${name}.pid`);
  const text = read(file);
  if (text === undefined)
    return bad(name, "is not running", `there is no ${file}`, "ovs-ctl start   # or: ovsbox up --detach");
  const pid = Number.parseInt(text, 10);
  if (!(pid > 0) || !fs.existsSync(`/proc/${pid}`))
    return bad(
      name,
      `is not running; ${file} is left over from process ${pid}`,
      "it was killed, or the machine went down; its next start replaces the file",
      "ovs-ctl start",
    );
  const guard = new Promise<undefined>((resolve) =>
    platform.clock.background(3000, () => resolve(undefined)),
  );
  try {
    const client = await UnixctlClient.connect(platform, join(dirs.run, `${name}.${pid}.ctl`));
    const answer = await Promise.race([client.transact("version", []), guard]);
    client.close();
    if (answer === undefined)
      return bad(name, `(process ${pid}) does not answer`, "it is stuck, or very busy", `kill -ABRT ${pid}`);
    return good(name, `runs as process ${pid}`);
  } catch (error) {
    return bad(
      name,
      `runs as process ${pid}, but not its control socket (${describeError(error)})`,
      "somebody removed it, or it listens in another folder",
      `ls -l ${dirs.run}`,
    );
  }
}

/** Sockets that no process listens on any more. */
export function leftovers(dirs: Dirs): Finding[] {
  let names: string[];
  try {
    names = fs.readdirSync(dirs.run);
  } catch {
    return [];
  }
  const dead = names.filter((name) => {
    const pid = /\.(\d+)\.ctl$/.exec(name)?.[1];
    return pid !== undefined && !fs.existsSync(`/proc/${pid}`);
  });
  if (dead.length === 0) return [];
  const paths = dead.map((name) => join(dirs.run, name));
  return [
    warn(
      "sockets",
      `${dead.length} of daemons that are gone`,
      "harmless, but in the way of who looks for them",
      `rm ${paths.join(" ")}`,
    ),
  ];
}

/** Programs in the kernel that go on by what they know, while no switch runs. */
export function unattended(): Finding[] {
  return pinnedDatapaths().map((name) =>
    warn(
      leftLabel(name),
      "still forwards by the flows that it knew",
      "its ports' packets do not reach this host's network",
      `ovs-ctl start   # or, to end it: ovs-dpctl del-dp ${leftLabel(name)}`,
    ),
  );
}

const MB = 1024 * 1024;

export function database(platform: Platform, dirs: Dirs): Finding[] {
  const path = join(dirs.db, "conf.db");
  if (!fs.existsSync(path))
    return [warn("database", `there is no ${path}`, "ovs-ctl start makes it", "ovs-ctl start")];
  const found: Finding[] = [];
  try {
    const loaded = loadFile(
      nodeDisk(() => {
        throw new Error("not locked here");
      }),
      path,
      () => platform.random.uuid(),
    );
    if (loaded.torn !== undefined)
      found.push(
        warn(
          "database",
          `${path} ends in a record that was cut off: ${loaded.torn.message}`,
          "the last transaction before a crash is lost; the server goes on without it",
        ),
      );
    else found.push(good("database", `${path} is whole, ${fs.statSync(path).size} bytes`));
  } catch (error) {
    found.push(
      bad(
        "database",
        `${path} cannot be read: ${describeError(error)}`,
        "the server will not start",
        `ovsdb-tool show-log ${path}`,
      ),
    );
  }
  try {
    const { bavail, bsize } = fs.statfsSync(dirs.db);
    if (bavail * bsize < 64 * MB)
      found.push(
        bad(
          "disk",
          `${Math.floor((bavail * bsize) / MB)} MB left in ${dirs.db}`,
          "transactions fail when there is no room for them",
          "ovs-appctl -t ovsdb-server ovsdb-server/compact",
        ),
      );
  } catch {
    // Told above, if it matters.
  }
  return found;
}

/** Before this program was made. */
const EPOCH = Date.UTC(2026, 0, 1);

export function time(platform: Platform): Finding[] {
  const now = platform.clock.wall();
  if (now >= EPOCH) return [];
  return [
    bad(
      "time",
      `the clock says ${new Date(now).toISOString()}`,
      "certificates are not valid yet",
      "timedatectl set-ntp true",
    ),
  ];
}
