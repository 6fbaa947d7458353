/**
 * `ovs-appctl dpctl/*` that look at datapaths and their ports, whatever bridges they serve (upstream: lib/dpctl). The commands
 * about flows come with the translation, in ofproto/commands.ts.
 */
import { describeError, Fatal } from "../lib/errors.ts";
import type { UnixctlCommands } from "../lib/unixctl.ts";
import type { Netdev, NetdevStats } from "../netdev/netdev.ts";
import type { NetdevRegistry } from "../netdev/registry.ts";
import type { Datapath } from "./datapaths.ts";
import type { Vswitch } from "./vswitch.ts";

export interface DpctlContext {
  vswitch: Vswitch;
  registry: NetdevRegistry;
  settled: () => Promise<void>;
}

const PROGRAM = "ovs-vswitchd";

/** "[TYPE@]NAME": a datapath by its name; undefined: the only one there is. */
function findDatapath(context: DpctlContext, name: string | undefined): Datapath {
  const all = [...context.vswitch.datapaths];
  if (name === undefined) {
    if (all.length === 1) return all[0]!;
    throw new Fatal(
      `${PROGRAM}: ${all.length === 0 ? "no datapaths exist" : "multiple datapaths, specify one"}`,
    );
  }
  const at = name.indexOf("@");
  const type = at < 0 ? "system" : name.slice(0, at);
  const found = all.find((datapath) => datapath.type === type && datapath.dpif.name === name.slice(at + 1));
  if (found === undefined) throw new Fatal(`${PROGRAM}: opening datapath (No such device)`);
  return found;
}

function describePort(netdev: Netdev | undefined, type: string): string {
  const config = [...(netdev?.config() ?? [])].map(([key, value]) => `${key}=${value}`).join(", ");
  if (type === "system") return config === "" ? "" : ` (${type}: ${config})`;
  return config === "" ? ` (${type})` : ` (${type}: ${config})`;
}

function counter(stats: NetdevStats, name: keyof NetdevStats): string {
  return stats[name] < 0 ? "?" : String(stats[name]);
}

function describeStats(stats: NetdevStats): string {
  const c = (name: keyof NetdevStats): string => counter(stats, name);
  return (
    `    RX packets:${c("rxPackets")} errors:${c("rxErrors")} dropped:${c("rxDropped")} overruns:${c("rxOverErrors")} frame:${c("rxFrameErrors")}\n` +
    `    TX packets:${c("txPackets")} errors:${c("txErrors")} dropped:${c("txDropped")} aborted:? carrier:?\n` +
    `    collisions:${c("collisions")}\n` +
    `    RX bytes:${c("rxBytes")}${scaled(stats.rxBytes)}  TX bytes:${c("txBytes")}${scaled(stats.txBytes)}\n`
  );
}

/** " (1.5 MiB)" from one KiB on. */
function scaled(bytes: number): string {
  for (const [power, unit] of [
    [4, "TiB"],
    [3, "GiB"],
    [2, "MiB"],
    [1, "KiB"],
  ] as const)
    if (bytes >= 1024 ** power) return ` (${(bytes / 1024 ** power).toFixed(1)} ${unit})`;
  return "";
}

async function show(context: DpctlContext, datapath: Datapath, statistics: boolean): Promise<string> {
  const { dpif } = datapath;
  const stats = await dpif.stats();
  let text = `${dpif.type}@${dpif.name}:\n`;
  text += `  lookups: hit:${stats.hits} missed:${stats.misses} lost:${stats.lost}\n`;
  text += `  flows: ${stats.flows}\n`;
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

  add("dpctl/dump-dps", "", 0, 0, () =>
    [...context.vswitch.datapaths].map((d) => `${d.dpif.type}@${d.dpif.name}\n`).join(""),
  );

  add("dpctl/show", "[-s] [dp...]", 0, -1, async (args) => {
    const names = args.filter((word) => word !== "-s" && word !== "--statistics");
    const statistics = names.length < args.length;
    const chosen =
      names.length > 0 ? names.map((name) => findDatapath(context, name)) : [...context.vswitch.datapaths];
    let text = "";
    for (const datapath of chosen) text += await show(context, datapath, statistics);
    return text;
  });

  // A port that no bridge claims is taken out again at once, so adding comes to trying whether it can be opened.
  add("dpctl/add-if", "dp iface...", 2, -1, async ([dp, ...ifaces]) => {
    const datapath = findDatapath(context, dp);
    for (const iface of ifaces) {
      const [name, ...options] = iface.split(",");
      const type = options.find((option) => option.startsWith("type="))?.slice(5) ?? "system";
      try {
        context.registry.close(
          context.registry.open(name!, context.registry.openType(datapath.class, type)),
          true,
        );
      } catch (error) {
        throw new Fatal(`${PROGRAM}: ${name}: failed to open network device (${describeError(error)})`);
      }
    }
    return "";
  });

  add("dpctl/del-if", "dp iface...", 2, -1, async ([dp, ...ifaces]) => {
    const datapath = findDatapath(context, dp);
    for (const name of ifaces) {
      const port = [...datapath.dpif.ports()].find(
        (p) => p.name === name || (/^\d+$/.test(name) && p.odpPort === Number(name)),
      );
      if (port === undefined) throw new Fatal(`${PROGRAM}: no port named ${name}`);
      const owner = datapath.backer.portOf(port.odpPort);
      if (owner !== undefined) await owner.ofproto.portDel(owner.ofPort);
      else await datapath.dpif.portDel(port.odpPort);
    }
    await context.settled();
    return "";
  });
}
