/**
 * The commands of `ovs-dpctl` that the kernel itself answers where openvswitch.ko is (upstream: lib/dpctl, lib/dpif-netlink): no
 * daemon is needed. Error texts begin as the daemon's do; `ovs-dpctl` puts its own name there.
 */
import { Families } from "../datapath/kernel/families.ts";
import { narrowMask } from "../datapath/kernel/key-codec.ts";
import type { KernelSystem } from "../datapath/kernel/system.ts";
import { KernelView } from "../datapath/kernel/view.ts";
import * as V from "../datapath/kernel/vports.ts";
import type { Clock } from "../lib/clock.ts";
import { describeError, Fatal, osError } from "../lib/errors.ts";
import { noStats } from "../netdev/base.ts";
import type { NetdevStats } from "../netdev/netdev.ts";
import { describeTunnel, TunnelDevices, tunnelConfig, tunnelOfDevice } from "../netdev/tunnel-devices.ts";
import { dpctlConntrackCommands } from "./dpctl-conntrack.ts";
import { type DpctlCommand, dpctlFlowCommands, type FlowTarget } from "./dpctl-flows.ts";
import { describeMasks, describeStats, parsePort } from "./dpctl-text.ts";

const PROGRAM = "ovs-vswitchd";
const CACHE = "masks-cache";
const NO_ACTIONS = new Int32Array(0);

const fatal = (text: string): Fatal => new Fatal(`${PROGRAM}: ${text}`);

/** "[system@]NAME", undefined for a datapath of another type. */
export function kernelName(text: string): string | undefined {
  const at = text.indexOf("@");
  if (at < 0) return text;
  return text.slice(0, at) === "system" ? text.slice(at + 1) : undefined;
}

export class KernelDpctl {
  /** By their names, "dpctl/show" and so on. */
  readonly commands = new Map<string, DpctlCommand>();
  private readonly families: Families;
  private readonly devices: TunnelDevices;

  /** Throws an errno error where the kernel has no such module. */
  constructor(system: KernelSystem, readFile: (path: string) => string) {
    this.families = new Families(system);
    this.devices = new TunnelDevices(system.openRoute());
    // Of the time alone that statistics are told in.
    const clock = { now: () => system.nowMs() } as Clock;
    const flows = dpctlFlowCommands({
      clock,
      readFile,
      find: (name): FlowTarget => ({ dpif: this.find(name), backer: undefined }),
      ufid: (dpif, flow) => (dpif as KernelView).ufid(flow),
      narrow: (key, mask) => narrowMask(key, mask, NO_ACTIONS),
    });
    const conntrack = dpctlConntrackCommands({
      exists: (name) => this.names().includes(kernelName(name) ?? ""),
      find: (name) => (name === undefined ? this.find(undefined) : this.open(name)).conntrack,
      breathe: async () => {},
    });
    for (const command of [...flows, ...conntrack, ...this.own()]) this.commands.set(command[0], command);
  }

  /** Datapaths that there are. */
  names(): string[] {
    return V.listDatapaths(this.families)
      .map(({ name }) => name)
      .sort();
  }

  private find(given: string | undefined): KernelView {
    const names = this.names();
    if (given === undefined && names.length !== 1)
      throw fatal(names.length === 0 ? "no datapaths exist" : "multiple datapaths, specify one");
    const name = given === undefined ? names[0]! : kernelName(given);
    if (name === undefined || !names.includes(name)) throw fatal("datapath not found (Invalid argument)");
    return new KernelView(this.families, name);
  }

  private open(given: string, message = "opening datapath"): KernelView {
    try {
      return new KernelView(this.families, kernelName(given) ?? given);
    } catch (error) {
      throw fatal(`${message} (${describeError(error)})`);
    }
  }

  close(): void {
    this.devices.close();
    this.families.close();
  }

  private own(): DpctlCommand[] {
    return [
      [
        "dpctl/dump-dps",
        "",
        0,
        0,
        () =>
          this.names()
            .map((name) => `system@${name}\n`)
            .join(""),
      ],
      ["dpctl/show", "[-s] [dp...]", 0, -1, (args) => this.show(args)],
      ["dpctl/add-dp", "dp [iface...]", 1, -1, ([dp, ...ifaces]) => this.addDatapath(dp!, ifaces)],
      ["dpctl/del-dp", "dp", 1, 1, ([dp]) => this.removeDatapath(dp!)],
      ["dpctl/add-if", "dp iface...", 2, -1, ([dp, ...ifaces]) => this.addPorts(dp!, ifaces)],
      ["dpctl/set-if", "dp iface...", 2, -1, ([dp, ...ifaces]) => this.setPorts(dp!, ifaces)],
      ["dpctl/del-if", "dp iface...", 2, -1, ([dp, ...ifaces]) => this.removePorts(dp!, ifaces)],
      ["dpctl/cache-get-size", "[dp]", 0, 1, ([dp]) => this.cacheSizes(dp)],
      [
        "dpctl/cache-set-size",
        "dp cache size",
        3,
        3,
        ([dp, cache, size]) => this.setCacheSize(dp!, cache!, size!),
      ],
    ];
  }

  private show(args: readonly string[]): string {
    const names = args.filter((word) => word !== "-s" && word !== "--statistics");
    const statistics = names.length < args.length;
    const views =
      names.length > 0
        ? names.map((name) => this.open(name, `opening datapath ${name} failed`))
        : this.names().map((name) => this.open(name));
    return views.map((view) => this.describe(view, statistics)).join("");
  }

  private describe(view: KernelView, statistics: boolean): string {
    const { dpIfindex, stats, cacheSize } = view.facts();
    let text = `system@${view.name}:\n`;
    text += `  lookups: hit:${stats.hits} missed:${stats.misses} lost:${stats.lost}\n`;
    text += `  flows: ${stats.flows}\n${describeMasks(stats)}`;
    if (cacheSize !== undefined) text += `  caches:\n    ${CACHE}: size:${cacheSize}\n`;
    for (const port of V.listVports(this.families, dpIfindex)) {
      text += `  port ${port.odpPort}: ${port.name}${describeType(port)}\n`;
      if (statistics) text += describeStats(statsOf(port));
    }
    return text;
  }

  private addDatapath(dp: string, ifaces: readonly string[]): string {
    try {
      V.createDatapath(this.families, kernelName(dp) ?? dp, 0);
    } catch (error) {
      throw fatal(`add_dp (${describeError(error)})`);
    }
    return this.addPorts(dp, ifaces);
  }

  private removeDatapath(dp: string): string {
    const view = this.open(dp);
    const ports = view.ports();
    try {
      V.removeDatapath(this.families, view.name);
    } catch (error) {
      throw fatal(`del_dp (${describeError(error)})`);
    }
    for (const { name } of ports) if (tunnelOfDevice(name) !== undefined) this.devices.remove(name);
    return "";
  }

  private addPorts(dp: string, ifaces: readonly string[]): string {
    const view = this.open(dp);
    const { dpIfindex } = view.facts();
    for (const iface of ifaces) {
      const { name, type, number, options } = parsePort(iface);
      const tunnel = tunnelConfig(type ?? "", options);
      const vport = V.VPORT_TYPE_NAMES.indexOf(type ?? "system");
      try {
        if (tunnel !== undefined) V.addTunnelVport(this.families, this.devices, dpIfindex, tunnel, number, 0);
        else if (vport <= 0) throw osError("EAFNOSUPPORT");
        else {
          const wanted = number === undefined ? {} : { odpPort: number };
          V.addVport(this.families, dpIfindex, { name, type: vport, ...wanted }, 0);
        }
      } catch (error) {
        throw fatal(`adding ${name} to system@${view.name} failed (${describeError(error)})`);
      }
    }
    return "";
  }

  private setPorts(dp: string, ifaces: readonly string[]): string {
    const view = this.open(dp);
    const ports = view.ports();
    for (const iface of ifaces) {
      const { name, type, number } = parsePort(iface);
      const port = ports.find((each) => each.name === name);
      if (port === undefined)
        throw fatal(`${name}: failed to query port in system@${view.name} (No such device)`);
      if (type !== undefined && type !== port.type)
        throw fatal(`${name}: can't change type from ${port.type} to ${type}`);
      if (number !== undefined && number !== port.odpPort)
        throw fatal(`${name}: can't change port number from ${port.odpPort} to ${number}`);
    }
    return "";
  }

  private removePorts(dp: string, names: readonly string[]): string {
    const view = this.open(dp);
    const { dpIfindex } = view.facts();
    for (const name of names) {
      const port = V.listVports(this.families, dpIfindex).find(
        (each) => each.name === name || (/^\d+$/.test(name) && each.odpPort === Number(name)),
      );
      if (port === undefined) throw fatal(`no port named ${name}`);
      try {
        V.removeVportAndDevice(this.families, this.devices, dpIfindex, port);
      } catch (error) {
        throw fatal(`deleting port ${name} from system@${view.name} failed (${describeError(error)})`);
      }
    }
    return "";
  }

  private cacheSizes(dp: string | undefined): string {
    const view = dp === undefined ? this.find(undefined) : this.open(dp, `Opening datapath ${dp} failed`);
    const { cacheSize } = view.facts();
    return cacheSize === undefined ? "" : `  ${CACHE}: size:${cacheSize}\n`;
  }

  private setCacheSize(dp: string, cache: string, size: string): string {
    const { name } = this.open(dp, `Opening datapath ${dp} failed`);
    if (!/^\d+$/.test(size)) throw fatal("Malformed size (Invalid argument)");
    if (cache !== CACHE) throw fatal(`Cache name "${cache}" not found on dpif (Invalid argument)`);
    try {
      V.setCacheSize(this.families, name, Number(size));
    } catch (error) {
      throw fatal(`Setting cache size failed (${describeError(error)})`);
    }
    return `Setting cache size successful, new size ${size}\n`;
  }
}

/** " (TYPE)", and what a tunnel's device tells of itself. */
function describeType(port: V.Vport): string {
  const tunnel = tunnelOfDevice(port.name);
  if (tunnel !== undefined) return ` (${describeTunnel(tunnel)})`;
  const type = V.typeOfVport(port);
  return type === "system" ? "" : ` (${type})`;
}

/** The module counts less than a device does. */
function statsOf({ stats }: V.Vport): NetdevStats {
  const [rxPackets, txPackets, rxBytes, txBytes, rxErrors, txErrors, rxDropped, txDropped] = stats;
  const known = { rxPackets, txPackets, rxBytes, txBytes, rxErrors, txErrors, rxDropped, txDropped };
  const out = noStats();
  for (const name of Object.keys(out) as (keyof NetdevStats)[])
    out[name] = (known as Partial<NetdevStats>)[name] ?? -1;
  return out;
}
