/**
 * ovs-vswitchd without its command line: device types, datapaths, the switch, and the commands that steer them, put together
 * from what `commands/` hands in. `ovsbox up` makes one beside a database server in the same process.
 */
import type { KernelSystem } from "../datapath/kernel/system.ts";
import { parseOdpKey } from "../datapath/odp/key-text.ts";
import type { DatapathThreads } from "../datapath/userspace/thread.ts";
import type { ProcessUsage } from "../export/bridge-exports.ts";
import { composePacket } from "../flow/compose.ts";
import type { Clock } from "../lib/clock.ts";
import { coverageStart } from "../lib/coverage.ts";
import type { ConnectUdp } from "../lib/datagram.ts";
import { makeDatagrams } from "../lib/datagram-node.ts";
import { Fatal } from "../lib/errors.ts";
import { fs } from "../lib/lazy-fs.ts";
import { formatMac } from "../lib/mac.ts";
import { type MemoryReporter, memoryCommands } from "../lib/memory.ts";
import type { Platform } from "../lib/platform.ts";
import { InFlight, SimClock, timeCommands } from "../lib/sim-clock.ts";
import type { StreamFactory } from "../lib/stream.ts";
import { TLS } from "../lib/stream-config.ts";
import type { UnixctlCommands } from "../lib/unixctl.ts";
import { type CaptureFiles, type DummyContext, type DummyMode, enableDummy } from "../netdev/dummy.ts";
import { registerDummyCommands } from "../netdev/dummy-commands.ts";
import { HostAddresses } from "../netdev/host-addresses.ts";
import { hostSettings, restoreHost, silenceHost } from "../netdev/host-stack.ts";
import { type Host, systemProvider, tapProvider } from "../netdev/linux.ts";
import { nextHopMac } from "../netdev/next-hop.ts";
import { patchProvider } from "../netdev/patch.ts";
import { TrafficControl } from "../netdev/qos/device-qos.ts";
import { NetdevRegistry } from "../netdev/registry.ts";
import { LinkTable } from "../netdev/rtnetlink.ts";
import { ofprotoCommands } from "../ofproto/commands.ts";
import type { DeviceControl } from "../sys/ethtool.ts";
import type { RouteSocket } from "../sys/netlink.ts";
import type { MovesHost } from "./address-moves.ts";
import { datapathOpener, type EbpfHost } from "./datapath-opener.ts";
import { registerDpctlCommands } from "./dpctl.ts";
import { registerDpifEbpfCommands } from "./dpif-ebpf-commands.ts";
import { registerDpifNetdevCommands } from "./dpif-netdev-commands.ts";
import { formatExports } from "./exports.ts";
import { registerLaterCommands } from "./later-commands.ts";
import { registerPortStateCommands } from "./port-state/commands.ts";
import { registerQosCommands } from "./qos-commands.ts";
import { type Identity, Vswitch } from "./vswitch.ts";

export interface VswitchdOptions {
  platform: Platform;
  /** Where the database is reached through; `ovsbox up` gives memory streams. */
  streams: StreamFactory;
  remote: string;
  commands: UnixctlCommands;
  dummy: DummyMode | undefined;
  disableSystem: boolean;
  rundir: string;
  threads: DatapathThreads;
  ebpf: EbpfHost;
  openKernelSystem: () => KernelSystem;
  /** Opened when the first device of the kernel is wanted. */
  openRouteSocket: () => RouteSocket;
  openDeviceControl: () => DeviceControl;
  captureFiles: CaptureFiles;
  connectUdp: ConnectUdp;
  systemStatistics: () => Map<string, string>;
  usage: () => ProcessUsage;
  /** As in VswitchOptions. */
  identity?: Identity;
  started: () => void;
}

export class Vswitchd {
  readonly vswitch: Vswitch;
  readonly inFlight: InFlight;
  readonly clock: Clock;
  readonly memoryReporters: MemoryReporter[] = [];
  readonly #options: VswitchdOptions;
  #host: Host | undefined;
  #moves: MovesHost | undefined;

  constructor(options: VswitchdOptions) {
    this.#options = options;
    const { platform, commands, dummy } = options;
    const inFlight = new InFlight((run) => platform.clock.soon(run));
    const clock = dummy === undefined ? platform.clock : new SimClock(platform.clock, inFlight);
    this.inFlight = inFlight;
    this.clock = clock;

    const registry = new NetdevRegistry();
    registry.register(systemProvider(() => this.#openHost()));
    for (const type of ["tap", "internal"] as const)
      registry.register(tapProvider(() => this.#openHost(), type));
    registry.register(patchProvider(clock, () => localAddress(platform)));
    if (dummy !== undefined) {
      const context: DummyContext = {
        clock,
        streams: platform.streams,
        files: options.captureFiles,
        made: 1,
      };
      enableDummy(registry, dummy, context);
    }

    this.vswitch = new Vswitch({
      remote: options.remote,
      clock,
      realNow: () => platform.clock.now(),
      streams: options.streams,
      openflowStreams: platform.streams,
      random: platform.random,
      inFlight,
      registry,
      datapaths: datapathOpener({
        clock,
        dummy,
        disableSystem: options.disableSystem,
        threads: options.threads,
        ebpf: options.ebpf,
        openKernelSystem: options.openKernelSystem,
        random: () => platform.random.u32(),
      }),
      rundir: options.rundir,
      pid: platform.pid,
      tls: TLS,
      datagrams: makeDatagrams(options.connectUdp),
      host: () => this.#openMoves(),
      usage: options.usage,
      systemStatistics: options.systemStatistics,
      nextHopMac: dummy === undefined ? hostNextHop : undefined,
      identity: options.identity,
      started: options.started,
    });

    const settled = (): Promise<void> => inFlight.idle();
    coverageStart(clock, commands);
    this.memoryReporters.push((add) => this.#reportMemory(add));
    memoryCommands(commands, this.memoryReporters);
    for (const command of ofprotoCommands(() => this.vswitch.datapaths.backers()))
      commands.register(
        command.name,
        command.usage,
        command.minArgs,
        command.maxArgs,
        async (args, reply) => {
          const { json } = command;
          try {
            if (reply.format === "json" && json !== undefined) {
              const value = await json(args);
              await settled();
              reply.okJson(value);
              return;
            }
            const text = await command.run(args);
            await settled();
            reply.ok(text);
          } catch (error) {
            throw new Fatal(error instanceof Error ? error.message : String(error));
          }
        },
      );
    commands.register("exports/show", "[bridge]", 0, 1, ([name], reply) => {
      const bridges = [...this.vswitch.bridges()].filter((one) => name === undefined || one.name === name);
      if (name !== undefined && bridges.length === 0) return reply.error("Unknown bridge");
      reply.ok(bridges.map((bridge) => formatExports(bridge.name, bridge.exporters)).join(""));
    });
    commands.register("bridge/reconnect", "[bridge]", 0, 1, ([name], reply) => {
      if (name !== undefined && this.vswitch.bridge(name) === undefined) return reply.error("Unknown bridge");
      for (const bridge of this.vswitch.bridges())
        if (name === undefined || bridge.name === name) bridge.ofproto.connections.reconnect();
      reply.ok();
    });
    registerDpctlCommands(commands, { vswitch: this.vswitch, registry, settled, clock, readFile });
    registerDpifNetdevCommands(commands, this.vswitch.datapaths);
    registerDpifEbpfCommands(commands, this.vswitch.datapaths);
    registerQosCommands(commands, this.vswitch);
    registerPortStateCommands(commands, { clock, vswitch: this.vswitch, settled, readFile });
    registerLaterCommands(commands);
    if (clock instanceof SimClock) {
      timeCommands(commands, clock);
      registerRenumber(commands, this.vswitch);
      registerDummyCommands(commands, { registry, compose, settled });
    }
  }

  start(): void {
    this.vswitch.open();
  }

  /** `cleanup`: devices and datapath ports that are ours go too. */
  async close(cleanup: boolean): Promise<void> {
    await this.vswitch.close(cleanup);
    this.#host?.links.close();
    this.#host?.traffic.close();
    this.#moves?.addresses.close();
  }

  #openMoves(): MovesHost {
    if (this.#moves === undefined) {
      const { links } = this.#openHost();
      this.#moves = {
        index: (name) => links.refresh(name)?.index,
        up: (name) => {
          links.set(name, { up: true });
        },
        addresses: new HostAddresses(this.#options.openRouteSocket()),
        settings: hostSettings,
        silence: silenceHost,
        restore: restoreHost,
      };
    }
    return this.#moves;
  }

  #openHost(): Host {
    if (this.#host === undefined) {
      const links = new LinkTable(this.#options.openRouteSocket());
      links.listen({ changed: (name) => this.vswitch.linkChanged(name) });
      this.#host = {
        clock: this.clock,
        links,
        devices: this.#options.openDeviceControl(),
        traffic: new TrafficControl(this.#options.openRouteSocket()),
      };
    }
    return this.#host;
  }

  #reportMemory(add: (name: string, count: number) => void): void {
    for (const bridge of this.vswitch.bridges()) {
      let ports = 0;
      for (const _port of bridge.ofproto.ports()) ports++;
      add("ports", ports);
    }
    for (const datapath of this.vswitch.datapaths) {
      const flows = datapath.dpif.flowCount();
      if (flows > 0) add("udpif keys", flows);
    }
  }
}

function registerRenumber(commands: UnixctlCommands, vswitch: Vswitch): void {
  commands.register(
    "dpif-dummy/change-port-number",
    "dp port new-number",
    3,
    3,
    async ([dp, name, text], reply) => {
      const backer = vswitch.datapaths
        .backers()
        .find(({ dpif }) => dpif.name === dp && dpif.type === "dummy");
      if (backer === undefined) return reply.error("unknown datapath or not a dummy");
      const number = Number(text);
      const odp = [...backer.dpif.ports()].find((port) => port.name === name);
      if (odp === undefined) return reply.error("unknown port");
      if (!/^\d+$/.test(text!) || number <= 0 || number >= 0xffffffff)
        return reply.error(`${text}: bad port number`);
      for (const other of backer.dpif.ports())
        if (other.odpPort === number) return reply.error(`${text}: port already in use`);
      for (const ofproto of backer.ofprotos.values()) {
        const port = ofproto.portStateByName(name!);
        if (port?.odpPort === odp.odpPort) await ofproto.renumber(port, number);
      }
      reply.ok();
    },
  );
}

/** Throws what node:fs throws. */
function readFile(path: string): string {
  return fs().readFileSync(path, "utf8");
}

/** Undefined where the host's tables cannot be read, too. */
function hostNextHop(address: string): string | undefined {
  try {
    return nextHopMac(readFile("/proc/net/route"), readFile("/proc/net/arp"), address);
  } catch {
    return undefined;
  }
}

/** A packet from a datapath key in text, as netdev-dummy/receive takes it. */
function compose(text: string, length: number | undefined): Uint8Array {
  const parsed = parseOdpKey(text);
  if ("error" in parsed) throw new Fatal(parsed.error);
  return composePacket(parsed.key, { totalLength: length });
}

/** Random, unicast and locally administered. */
function localAddress(platform: Platform): string {
  const bytes = platform.random.bytes(6);
  bytes[0] = (bytes[0]! & ~1) | 2;
  return formatMac(bytes);
}
