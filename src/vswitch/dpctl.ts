/**
 * `ovs-appctl dpctl/*` that look at datapaths and their ports, whatever bridges they serve (upstream: lib/dpctl). The commands
 * about flows come with the translation, in ofproto/commands.ts.
 */
import type { Clock } from "../lib/clock.ts";
import { describeError, Fatal, osError } from "../lib/errors.ts";
import type { UnixctlCommands } from "../lib/unixctl.ts";
import type { Netdev } from "../netdev/netdev.ts";
import type { NetdevRegistry } from "../netdev/registry.ts";
import type { Datapath, PlainDatapath } from "./datapaths.ts";
import { dpctlConntrackCommands } from "./dpctl-conntrack.ts";
import { dpctlFlowCommands } from "./dpctl-flows.ts";
import { describeMasks, describeStats, parsePort } from "./dpctl-text.ts";
import type { Vswitch } from "./vswitch.ts";

export interface DpctlContext {
  vswitch: Vswitch;
  registry: NetdevRegistry;
  settled: () => Promise<void>;
  clock: Clock;
  readFile: (path: string) => string;
}

const PROGRAM = "ovs-vswitchd";

type Any = Datapath | PlainDatapath;

function parseName(name: string): { type: string; name: string } {
  const at = name.indexOf("@");
  return { type: at < 0 ? "system" : name.slice(0, at), name: name.slice(at + 1) };
}

/** "[TYPE@]NAME". `message` is the error's, when there is none of that name. */
function findDatapath(context: DpctlContext, text: string, message = "opening datapath"): Any {
  const wanted = parseName(text);
  const found = context.vswitch.datapaths
    .all()
    .find((datapath) => datapath.type === wanted.type && datapath.dpif.name === wanted.name);
  if (found === undefined) {
    const known = context.vswitch.datapaths.types.includes(wanted.type);
    const reason = known ? "No such device" : "Address family not supported by protocol";
    throw new Fatal(`${PROGRAM}: ${message} (${reason})`);
  }
  return found;
}

const isCalled = (datapath: Any, name: string): boolean =>
  name === label(datapath) || name === datapath.dpif.name;

/** For commands about flows and connections, where one datapath need not be named. */
function soleDatapath(context: DpctlContext, name: string | undefined): Any {
  const all = context.vswitch.datapaths.all();
  let found: Any | undefined;
  if (name === undefined) {
    if (all.length !== 1)
      throw new Fatal(
        `${PROGRAM}: ${all.length === 0 ? "no datapaths exist" : "multiple datapaths, specify one"}`,
      );
    found = all[0];
  } else found = all.find((datapath) => isCalled(datapath, name));
  if (found === undefined) throw new Fatal(`${PROGRAM}: datapath not found (Invalid argument)`);
  return found;
}

function label(datapath: Any): string {
  return `${datapath.dpif.type}@${datapath.dpif.name}`;
}

function describePort(netdev: Netdev | undefined, type: string): string {
  const config = [...(netdev?.config() ?? [])].map(([key, value]) => `${key}=${value}`).join(", ");
  if (type === "system") return config === "" ? "" : ` (${type}: ${config})`;
  return config === "" ? ` (${type})` : ` (${type}: ${config})`;
}

async function show(context: DpctlContext, datapath: Any, statistics: boolean): Promise<string> {
  const { dpif } = datapath;
  const stats = await dpif.stats();
  let text = `${label(datapath)}:\n`;
  text += `  lookups: hit:${stats.hits} missed:${stats.misses} lost:${stats.lost}\n`;
  text += `  flows: ${stats.flows}\n`;
  if (datapath.class === "kernel") text += describeMasks(stats);
  const ports = [...dpif.ports()].sort((a, b) => a.odpPort - b.odpPort);
  for (const port of ports) {
    const netdev = context.registry.get(port.name);
    text += `  port ${port.odpPort}: ${port.name}${describePort(netdev, port.type)}\n`;
    if (statistics && netdev !== undefined) text += describeStats(netdev.stats());
  }
  return text;
}

export function registerDpctlCommands(commands: UnixctlCommands, context: DpctlContext): void {
  const add = (
    name: string,
    usage: string,
    min: number,
    max: number,
    run: (args: readonly string[]) => Promise<string> | string,
  ): void => {
    if (commands.has(name)) return;
    commands.register(name, usage, min, max, async (args, reply) => reply.ok(await run(args)));
  };

  const { datapaths } = context.vswitch;

  add("dpctl/dump-dps", "", 0, 0, () =>
    datapaths
      .all()
      .map((datapath) => `${label(datapath)}\n`)
      .join(""),
  );

  add("dpctl/show", "[-s] [dp...]", 0, -1, async (args) => {
    const names = args.filter((word) => word !== "-s" && word !== "--statistics");
    const statistics = names.length < args.length;
    const chosen =
      names.length > 0
        ? names.map((name) => findDatapath(context, name, `opening datapath ${name} failed`))
        : datapaths.all();
    let text = "";
    for (const datapath of chosen) text += await show(context, datapath, statistics);
    return text;
  });

  add("dpctl/add-dp", "dp [iface...]", 1, -1, async ([dp, ...ifaces]) => {
    const { type, name } = parseName(dp!);
    try {
      await datapaths.addPlain(type, name);
    } catch (error) {
      throw new Fatal(`${PROGRAM}: add_dp (${describeError(error)})`);
    }
    for (const iface of ifaces) await addPort(context, findDatapath(context, dp!), iface);
    return "";
  });

  add("dpctl/del-dp", "dp", 1, 1, async ([dp]) => {
    const datapath = findDatapath(context, dp!);
    try {
      await datapaths.removePlain(datapath);
    } catch (error) {
      throw new Fatal(`${PROGRAM}: del_dp (${describeError(error)})`);
    }
    return "";
  });

  add("dpctl/add-if", "dp iface...", 2, -1, async ([dp, ...ifaces]) => {
    const datapath = findDatapath(context, dp!);
    for (const iface of ifaces) await addPort(context, datapath, iface);
    return "";
  });

  add("dpctl/set-if", "dp iface...", 2, -1, ([dp, ...ifaces]) => {
    const datapath = findDatapath(context, dp!);
    for (const iface of ifaces) {
      const words = parsePort(iface);
      const port = [...datapath.dpif.ports()].find((p) => p.name === words.name);
      if (port === undefined)
        throw new Fatal(
          `${PROGRAM}: ${words.name}: failed to query port in ${label(datapath)} (No such device)`,
        );
      if (words.type !== undefined && words.type !== port.type)
        throw new Fatal(`${PROGRAM}: ${words.name}: can't change type from ${port.type} to ${words.type}`);
      if (words.number !== undefined && words.number !== port.odpPort)
        throw new Fatal(
          `${PROGRAM}: ${words.name}: can't change port number from ${port.odpPort} to ${words.number}`,
        );
      const error = context.registry.get(words.name)?.setConfig(words.options);
      if (error !== undefined) throw new Fatal(`${PROGRAM}: ${words.name}: failed to configure (${error})`);
    }
    return "";
  });

  add("dpctl/del-if", "dp iface...", 2, -1, async ([dp, ...ifaces]) => {
    const datapath = findDatapath(context, dp!);
    for (const name of ifaces) {
      const port = [...datapath.dpif.ports()].find(
        (p) => p.name === name || (/^\d+$/.test(name) && p.odpPort === Number(name)),
      );
      if (port === undefined) throw new Fatal(`${PROGRAM}: no port named ${name}`);
      if (port.odpPort === 0)
        throw new Fatal(
          `${PROGRAM}: deleting port ${name} from ${label(datapath)} failed (Invalid argument)`,
        );
      const owner = datapath.backer?.portOf(port.odpPort);
      const netdev = datapath.backer === undefined ? context.registry.get(port.name) : undefined;
      if (owner !== undefined) await owner.ofproto.portDel(owner.ofPort);
      else await datapath.dpif.portDel(port.odpPort);
      if (netdev !== undefined) context.registry.close(netdev, true);
    }
    await context.settled();
    return "";
  });

  const flows = dpctlFlowCommands({
    clock: context.clock,
    find: (name) => soleDatapath(context, name),
    readFile: context.readFile,
  });
  const conntrack = dpctlConntrackCommands({
    exists: (name) => datapaths.all().some((datapath) => isCalled(datapath, name)),
    find: (name) => soleDatapath(context, name).dpif.conntrack,
    breathe: () => new Promise<void>((resolve) => context.clock.soon(resolve)),
  });
  for (const [name, usage, min, max, run] of [...flows, ...conntrack])
    add(name, usage, min, max, async (args) => {
      const text = await run(args);
      await context.settled();
      return text;
    });

  add("dpctl/list-commands", "", 0, 0, () => {
    let text = "The available commands are:\n";
    for (const { name, usage } of commands.list("dpctl/")) text += `  ${name.padEnd(29)} ${usage}\n`;
    return text;
  });
}

/** A bridge's datapath loses a port that no bridge claims at once, so there adding comes to trying whether it can be opened. */
async function addPort(context: DpctlContext, datapath: Any, iface: string): Promise<void> {
  const words = parsePort(iface);
  const failed = (error: unknown): Fatal =>
    new Fatal(`${PROGRAM}: adding ${words.name} to ${label(datapath)} failed (${describeError(error)})`);
  const ports = [...datapath.dpif.ports()];
  if (
    datapath.backer === undefined &&
    ports.some((port) => port.name === words.name || port.odpPort === words.number)
  )
    throw failed(osError("EBUSY"));
  let netdev: Netdev;
  try {
    const type = context.registry.openType(datapath.class, words.type ?? "system");
    netdev = context.registry.open(words.name, type, datapath.class);
  } catch (error) {
    throw new Fatal(`${PROGRAM}: ${words.name}: failed to open network device (${describeError(error)})`);
  }
  netdev.setConfig(words.options);
  if (datapath.backer !== undefined) {
    context.registry.close(netdev, true);
    return;
  }
  try {
    await datapath.dpif.portAdd(netdev, words.number);
  } catch (error) {
    context.registry.close(netdev, true);
    throw failed(error);
  }
}
