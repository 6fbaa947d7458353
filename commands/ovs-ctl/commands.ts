/** The commands of ovs-ctl, each a few steps of the files beside this one. */

import { runHost, runProgram } from "../programs.ts";
import { type Control, daemonPid, startDaemon, stopDaemon } from "./daemons.ts";
import {
  deleteBridges,
  deleteTransientPorts,
  prepareDatabase,
  recordHostname,
  setSystemIds,
  vsctl,
} from "./database.ts";
import { enableProtocol, loadModule } from "./kernel.ts";
import { type Command, restore, saveFlows, saveInterfaces } from "./save.ts";
import { failed, tell, warning } from "./say.ts";
import type { DaemonName } from "./settings.ts";

export interface CtlCommand {
  readonly help: string;
  /** False: exit status 1. */
  readonly run: (control: Control) => boolean | Promise<boolean>;
}

const notImplemented = (control: Control, what: string): boolean => {
  control.platform.stderr(`ovs-ctl: ${what}: not implemented\n`);
  return false;
};

export const COMMANDS: Readonly<Record<string, CtlCommand>> = {
  start: { help: "start the daemons", run: start },
  stop: { help: "stop the daemons", run: stop },
  restart: { help: "stop and start them, keeping flows", run: restart },
  status: { help: "tell whether they run", run: status },
  version: { help: "print their versions", run: version },
  "load-kmod": { help: "load openvswitch.ko where there is one", run: loadModule },
  "force-reload-kmod": {
    help: "restart with the module loaded anew, keeping flows and addresses",
    run: reloadModule,
  },
  "enable-protocol": { help: "let a tunnel protocol in by iptables", run: enableProtocol },
  "delete-transient-ports": {
    help: "delete ports with other_config:transient=true",
    run: deleteTransientPorts,
  },
  "start-ovs-ipsec": {
    help: "(not implemented)",
    run: (control) => notImplemented(control, "start-ovs-ipsec"),
  },
  "stop-ovs-ipsec": {
    help: "(not implemented)",
    run: (control) => notImplemented(control, "stop-ovs-ipsec"),
  },
  "prepare-database": {
    help: "make or convert the database file (before a unit starts ovsdb-server)",
    run: prepareDatabase,
  },
  identify: { help: "say in the database which system this is, let managers in (after it)", run: identify },
  "record-hostname-if-not-set": { help: "put the host's name into the database", run: recordHostname },
};

/** Which daemons this run concerns, in the order of starting. */
function chosen({ settings }: Control): DaemonName[] {
  return (["ovsdb-server", "ovs-vswitchd"] as const).filter((name) => settings.daemons[name].run);
}

function startDatabase(control: Control): boolean {
  const { settings, say } = control;
  if (daemonPid(control, "ovsdb-server") !== undefined) {
    say("ovsdb-server is already running.");
    return true;
  }
  if (!prepareDatabase(control)) return false;
  const good = startDaemon(control, "ovsdb-server", [
    settings.dbFile,
    `--remote=punix:${settings.dbSock}`,
    "--private-key=db:Open_vSwitch,SSL,private_key",
    "--certificate=db:Open_vSwitch,SSL,certificate",
    "--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert",
  ]);
  return good && describeSystem(control);
}

function describeSystem(control: Control): boolean {
  const { settings, say } = control;
  if (!setSystemIds(control)) return false;
  if (settings.recordHostname && !recordHostname(control))
    say(warning("The host name could not be recorded"));
  if (settings.deleteBridges) deleteBridges(control);
  if (settings.deleteTransientPorts) deleteTransientPorts(control);
  return true;
}

/** What `start` does between the daemons, for units that start each themselves. */
function identify(control: Control): boolean {
  if (!describeSystem(control)) return false;
  enableManagers(control);
  return true;
}

function startForwarding(control: Control): boolean {
  const { settings, say } = control;
  loadModule(control);
  if (daemonPid(control, "ovs-vswitchd") !== undefined) {
    say("ovs-vswitchd is already running.");
    return true;
  }
  return startDaemon(control, "ovs-vswitchd", [`unix:${settings.dbSock}`]);
}

/** Last, so that managers do not see the database before the switch serves it. */
function enableManagers(control: Control): void {
  const remote = "db:Open_vSwitch,Open_vSwitch,manager_options";
  const run = runProgram("ovs-appctl", ["-t", "ovsdb-server", "ovsdb-server/add-remote", remote]);
  tell(control.say, "Enabling remote OVSDB managers", run);
}

function start(control: Control): boolean {
  const daemons = chosen(control);
  if (daemons.includes("ovsdb-server") && !startDatabase(control)) return false;
  if (daemons.includes("ovs-vswitchd") && !startForwarding(control)) return false;
  if (daemonPid(control, "ovsdb-server") !== undefined) enableManagers(control);
  return true;
}

async function stop(control: Control): Promise<boolean> {
  let good = true;
  for (const name of chosen(control).reverse()) good = (await stopDaemon(control, name)) && good;
  return good;
}

const listBridges = (control: Control): string[] =>
  vsctl(control, "list-br")
    .stdout.split("\n")
    .filter((name) => name !== "");

/**
 * The flows come back before the switch may forget those of its datapath: while other_config:flow-restore-wait is true
 * it waits for them (ovs-vswitchd.conf.db(5)). The switch is down only between the two steps in the middle.
 */
async function restart(control: Control): Promise<boolean> {
  const { say } = control;
  const daemons = chosen(control);
  if (daemonPid(control, "ovs-vswitchd") === undefined || daemonPid(control, "ovsdb-server") === undefined) {
    return (await stop(control)) && start(control);
  }
  let flows: readonly Command[] = [];
  if (daemons.includes("ovs-vswitchd") && !control.settings.deleteBridges) {
    const bridges = listBridges(control);
    if (bridges.length > 0) {
      const saved = saveFlows(bridges);
      flows = saved.commands;
      for (const error of saved.errors) say(error);
      say(saved.errors.length === 0 ? "Saving flows." : failed("Saving flows"));
    }
  }
  if (daemons.includes("ovsdb-server")) {
    if (!(await stopDaemon(control, "ovsdb-server")) || !startDatabase(control)) return false;
  }
  if (daemons.includes("ovs-vswitchd")) {
    const wait = "other_config:flow-restore-wait";
    const asked = vsctl(control, "--if-exists", "get", "Open_vSwitch", ".", wait).stdout.trim();
    const ours = flows.length > 0 && asked === "";
    if (ours) vsctl(control, "set", "Open_vSwitch", ".", `${wait}=true`);
    const good = (await stopDaemon(control, "ovs-vswitchd")) && startForwarding(control);
    if (good && flows.length > 0) {
      const complaints = restore(flows);
      for (const complaint of complaints) say(complaint);
      say(complaints.length === 0 ? "Restoring saved flows." : failed("Restoring saved flows"));
    }
    if (ours) vsctl(control, "remove", "Open_vSwitch", ".", "other_config", "flow-restore-wait");
    if (!good) return false;
  }
  enableManagers(control);
  return true;
}

function status(control: Control): boolean {
  let good = true;
  for (const name of chosen(control)) {
    const pid = daemonPid(control, name);
    control.say(pid === undefined ? `${name} is not running` : `${name} is running with pid ${pid}`);
    good &&= pid !== undefined;
  }
  return good;
}

function version(control: Control): boolean {
  let good = true;
  for (const name of chosen(control)) {
    const run = runProgram(name, ["--version"]);
    control.platform.stdout(run.stdout || `${run.stderr}`);
    good &&= run.status === 0;
  }
  return good;
}

/** Internal ports' addresses are the kernel's, which forgets them with the module. */
async function reloadModule(control: Control): Promise<boolean> {
  const { say } = control;
  const names = vsctl(control, "--bare", "--columns=name", "find", "Interface", "type=internal")
    .stdout.split("\n")
    .filter((name) => name !== "");
  const bridges = listBridges(control);
  const flows = saveFlows(bridges);
  const interfaces = saveInterfaces(names);
  for (const error of [...flows.errors, ...interfaces.errors]) say(error);
  say(`Detected internal interfaces: ${names.join(" ")}.`);
  if (!(await stop(control))) return false;
  const removed = runHost("rmmod", "openvswitch");
  if (removed.status !== 0 && removed.status !== 127) say(warning("openvswitch module could not be removed"));
  if (!start(control)) return false;
  for (const complaint of restore([...flows.commands, ...interfaces.commands])) say(complaint);
  say("Restoring interface configuration.");
  return true;
}
