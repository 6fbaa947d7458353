/** What ovs-ctl does to the configuration database: make or convert the file, say which system this is. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { VERSION } from "../../src/lib/applet.ts";
import { dirs } from "../../src/lib/dirs.ts";
import { describeError } from "../../src/lib/errors.ts";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { renderSchema } from "../../src/vswitch/schema/render.ts";
import { type Run, runHost, runProgram } from "../programs.ts";
import type { Control } from "./daemons.ts";
import { failed, tell, warning } from "./say.ts";

/** ovs-vsctl on our database, not waiting for the switch. */
export function vsctl({ settings }: Control, ...args: string[]): Run {
  return runProgram("ovs-vsctl", [`--db=unix:${settings.dbSock}`, "--no-wait", ...args]);
}

/** Makes the database file if there is none, converts one of another schema (a copy is kept). False: cannot go on. */
export function prepareDatabase(control: Control): boolean {
  const { settings, say } = control;
  const schema = schemaFile(control);
  const tool = (...args: string[]): Run => runProgram("ovsdb-tool", ["-vconsole:off", ...args]);
  const file = settings.dbFile;
  mkdirSync(dirname(file), { recursive: true });
  const create = (): boolean => tell(say, `Creating empty database ${file}`, tool("create", file, schema));
  if (!existsSync(file)) {
    say(warning(`${file} does not exist`));
    return create();
  }
  const needs = tool("needs-conversion", file, schema);
  if (needs.status !== 0) return tell(say, `Reading ${file}`, needs);
  if (needs.stdout.trim() !== "yes") return true;
  const version = tool("db-version", file).stdout.trim();
  const checksum = tool("db-cksum", file).stdout.trim().replaceAll(/\s+/g, "-");
  const backup = `${file}.backup${version}-${checksum}`;
  try {
    copyFileSync(file, backup);
    say(`Backing up database to ${backup}.`);
  } catch (error) {
    say(failed(`Backing up database to ${backup} (${describeError(error)})`));
    return false;
  }
  // A compact file converts with no chance to fail half-way through old records.
  if (!tell(say, "Compacting database", tool("compact", file))) return false;
  if (tell(say, "Converting database schema", tool("convert", file, schema))) return true;
  say(warning("Schema conversion failed, using empty database instead"));
  rmSync(file);
  return create();
}

function schemaFile({ settings, platform }: Control): string {
  if (settings.dbSchema !== undefined) return settings.dbSchema;
  const { run, pkgdata } = dirs(platform.env);
  const installed = `${pkgdata}/vswitch.ovsschema`;
  if (existsSync(installed)) return installed;
  mkdirSync(run, { recursive: true });
  const ours = `${run}/vswitch.ovsschema`;
  writeFileSync(ours, renderSchema(openVswitchSchema));
  return ours;
}

/** Writes versions, system id and type into the Open_vSwitch row. */
export function setSystemIds(control: Control): boolean {
  const { settings, platform, say } = control;
  const set = [
    "set",
    "Open_vSwitch",
    ".",
    `db-version=${openVswitchSchema.version}`,
    `ovs-version=${VERSION}`,
  ];
  const id = systemId(control);
  if (id !== undefined) set.push(`external-ids:system-id=${quoted(id)}`);
  set.push(`external-ids:rundir=${quoted(dirs(platform.env).run)}`);
  const { type, version } = systemType(control);
  set.push(`system-type=${quoted(type)}`, `system-version=${quoted(version)}`);
  for (const pair of settings.externalIds) set.push(`external-ids:${pair}`);
  return tell(say, "Configuring Open vSwitch system IDs", vsctl(control, "--", "init", "--", ...set));
}

const quoted = (text: string): string => JSON.stringify(text);

/** As asked; "random" is made once and kept in system-id.conf, which serves when nothing is asked, too. */
function systemId(control: Control): string | undefined {
  const { settings, platform, say } = control;
  const file = `${dirs(platform.env).sysconf}/openvswitch/system-id.conf`;
  const kept = firstLine(file);
  if (settings.systemId === "random" || (settings.systemId === undefined && kept !== undefined)) {
    if (kept !== undefined) return kept;
    const id = platform.random.uuid();
    try {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `${id}\n`);
    } catch (error) {
      say(failed(`Keeping the system ID in ${file} (${describeError(error)})`));
    }
    return id;
  }
  if (settings.systemId === undefined) say(failed("system ID not configured, please use --system-id"));
  return settings.systemId;
}

/** From the options, else system-type.conf and system-version.conf, else os-release. */
function systemType({ settings, platform }: Control): { type: string; version: string } {
  const folder = `${dirs(platform.env).sysconf}/openvswitch`;
  const release = osRelease();
  const name = release.ID === undefined ? "unknown" : release.ID[0]!.toUpperCase() + release.ID.slice(1);
  const number = [release.VERSION_ID, release.VERSION_CODENAME].filter((part) => part).join("-");
  return {
    type: settings.systemType ?? firstLine(`${folder}/system-type.conf`) ?? name,
    version: settings.systemVersion ?? firstLine(`${folder}/system-version.conf`) ?? (number || "unknown"),
  };
}

/** os-release(5) */
function osRelease(): Record<string, string | undefined> {
  const found: Record<string, string> = {};
  for (const line of (read("/etc/os-release") ?? read("/usr/lib/os-release") ?? "").split("\n")) {
    const pair = /^([A-Z_]+)=(["']?)(.*)\2$/.exec(line.trim());
    if (pair !== null) found[pair[1]!] = pair[3]!;
  }
  return found;
}

/** external-ids:hostname, unless it is there already. */
export function recordHostname(control: Control): boolean {
  const { settings, platform } = control;
  const there = vsctl(control, "--if-exists", "get", "Open_vSwitch", ".", "external-ids:hostname");
  if (there.status === 0 && there.stdout.trim() !== "") return true;
  // The resolver's canonical name, by hostname(1): the engine does not tell it.
  const full = settings.fullHostname ? runHost("hostname", "-f").stdout.trim() : "";
  const name = full === "" || full === "localhost" ? platform.hostname() : full;
  return vsctl(control, "set", "Open_vSwitch", ".", `external-ids:hostname=${quoted(name)}`).status === 0;
}

/** Ports with other_config:transient=true do not outlive the daemons. */
export function deleteTransientPorts(control: Control): boolean {
  const found = vsctl(control, "--bare", "--columns=name", "find", "Port", "other_config:transient=true");
  const names = found.stdout.split("\n").filter((name) => name !== "");
  if (names.length === 0) return found.status === 0;
  const words = names.flatMap((name) => ["--", "--if-exists", "del-port", name]);
  return vsctl(control, ...words).status === 0;
}

export function deleteBridges(control: Control): void {
  const names = vsctl(control, "list-br")
    .stdout.split("\n")
    .filter((name) => name !== "");
  if (names.length > 0) vsctl(control, ...names.flatMap((name) => ["--", "--if-exists", "del-br", name]));
}

function firstLine(file: string): string | undefined {
  return read(file)?.split("\n")[0]?.trim() || undefined;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined;
  }
}
