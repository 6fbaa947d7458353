/**
 * What a restart must not lose, as commands that bring it back: OpenFlow flows, groups and tunnel option maps of bridges
 * (in files of a folder of their own), addresses and routes of interfaces. `ovs-save` prints the commands as a shell
 * script, `ovs-ctl restart` runs them itself.
 */
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Run, runHost, runProgram } from "../programs.ts";

export type Command = readonly string[];

/** What the original saves with: bundles need at least this. */
const DEFAULT_VERSION = "OpenFlow14";
/** The first version with bundles. */
const BUNDLES_SINCE = "OpenFlow13";

/** The newest OpenFlow version that the bridge speaks, by its `protocols`. */
function bridgeVersion(bridge: string): string {
  const run = runProgram("ovs-vsctl", ["--no-wait", "get", "Bridge", bridge, "protocols"]);
  const versions = [...run.stdout.matchAll(/OpenFlow1\d/g)].map(([name]) => name).sort();
  return versions.at(-1) ?? DEFAULT_VERSION;
}

/**
 * Saves the bridges' tables into files of a new folder. The commands load them again, each bridge's flows at once; the
 * last one removes the folder. A bridge that does not answer is told of in `errors` and left out.
 */
export function saveFlows(bridges: readonly string[]): { commands: Command[]; errors: string[] } {
  const commands: Command[] = [];
  const errors: string[] = [];
  let folder: string | undefined;
  for (const bridge of bridges) {
    const version = bridgeVersion(bridge);
    const ofctl = (...args: string[]): Run => runProgram("ovs-ofctl", ["-O", version, ...args]);
    const flows = ofctl("dump-flows", "--no-names", "--no-stats", bridge);
    const groups = ofctl("dump-groups", bridge);
    if (flows.status !== 0 || groups.status !== 0) {
      errors.push((flows.stderr || groups.stderr).trim());
      continue;
    }
    folder ??= mkdtempSync(join(tmpdir(), "ovs-save."));
    const bundle = version >= BUNDLES_SINCE ? ["--bundle"] : [];
    const load = (command: string, kind: string, dump: string): void => {
      const file = join(folder!, `${bridge}.${kind}.dump`);
      writeFileSync(file, entries(dump));
      commands.push(["ovs-ofctl", "-O", version, command, bridge, file, ...bundle]);
    };
    const map = tlvMap(ofctl("dump-tlv-map", bridge).stdout);
    if (map !== "") commands.push(["ovs-ofctl", "-O", version, "add-tlv-map", bridge, map]);
    if (entries(groups.stdout) !== "") load("add-groups", "groups", groups.stdout);
    load("replace-flows", "flows", flows.stdout);
  }
  if (folder !== undefined) commands.push(["rm", "-rf", folder]);
  return { commands, errors };
}

/** The lines of a dump without its head ("OFPST_FLOW reply (OF1.4) (xid=0x2):"). */
function entries(dump: string): string {
  return dump
    .split("\n")
    .filter((line) => line.startsWith(" "))
    .map((line) => `${line.trim()}\n`)
    .join("");
}

/** `{class=0x102,type=0x80,len=4}->tun_metadata0,...` from the table that dump-tlv-map prints. */
function tlvMap(dump: string): string {
  const rows = dump.matchAll(/^\s*(0x[0-9a-f]+)\s+(0x[0-9a-f]+)\s+(\d+)\s+(tun_metadata\d+)\s*$/gm);
  return [...rows]
    .map(([, kind, type, length, field]) => `{class=${kind},type=${type},len=${length}}->${field}`)
    .join(",");
}

interface Address {
  readonly local: string;
  readonly prefixlen: number;
  readonly broadcast?: string;
  readonly scope: string;
  readonly family: string;
}
interface Link {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly Address[];
}

/** Commands of ip(8) that give interfaces their link settings, addresses and routes again, and the packet filter. */
export function saveInterfaces(interfaces: readonly string[]): { commands: Command[]; errors: string[] } {
  const commands: Command[] = [];
  const errors: string[] = [];
  for (const name of interfaces) {
    const run = runHost("ip", "-j", "addr", "show", "dev", name);
    const link = run.status === 0 ? (JSON.parse(run.stdout) as Link[])[0] : undefined;
    if (link === undefined) {
      errors.push(run.stderr.trim() || `${name}: no such interface`);
      continue;
    }
    commands.push(["ip", "link", "set", "dev", name, "mtu", String(link.mtu)]);
    if (link.address !== undefined)
      commands.push(["ip", "link", "set", "dev", name, "address", link.address]);
    if (link.flags.includes("UP")) commands.push(["ip", "link", "set", "dev", name, "up"]);
    for (const address of link.addr_info) {
      // The kernel makes link-local IPv6 addresses itself.
      if (address.family === "inet6" && address.scope === "link") continue;
      const broadcast = address.broadcast === undefined ? [] : ["brd", address.broadcast];
      const where = [
        `${address.local}/${address.prefixlen}`,
        ...broadcast,
        "scope",
        address.scope,
        "dev",
        name,
      ];
      commands.push(["ip", "addr", "replace", ...where]);
    }
    for (const family of ["-4", "-6"]) {
      const routes = runHost("ip", family, "route", "show", "dev", name).stdout.split("\n");
      // What the kernel adds itself along with an address comes back with it.
      for (const route of routes)
        if (route.trim() !== "" && !/\bproto (kernel|ra)\b/.test(route))
          commands.push(["ip", family, "route", "replace", ...route.trim().split(/\s+/), "dev", name]);
    }
  }
  return { commands, errors };
}

/** Runs the commands in order; the complaints of those that failed. */
export function restore(commands: readonly Command[]): string[] {
  const complaints: string[] = [];
  for (const [name, ...args] of commands) {
    const run = name === "ovs-ofctl" ? runProgram(name, args) : runHost(name!, ...args);
    if (run.status !== 0) complaints.push(run.stderr.trim() || `${name} ${args.join(" ")}: failed`);
  }
  return complaints;
}

/** One line of POSIX shell. */
export function shellLine(command: Command): string {
  return command
    .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(" ");
}
