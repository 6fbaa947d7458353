/** `ovs-vswitchd`: the switch daemon (ovs-vswitchd(8)). */
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions, tlsOptions } from "../src/lib/common-options.ts";
import { Daemon, daemonOptions } from "../src/lib/daemon.ts";
import { dirs } from "../src/lib/dirs.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { UnixctlCommands, UnixctlServer } from "../src/lib/unixctl.ts";
import { vlog, vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import type { DummyMode } from "../src/netdev/dummy.ts";
import { captureFiles } from "../src/sys/capture-files.ts";
import { connectUdp } from "../src/sys/datagram-native.ts";
import { openDeviceControl } from "../src/sys/ethtool.ts";
import { openRouteSocket } from "../src/sys/netlink.ts";
import { processUsage, systemStatistics } from "../src/sys/system-statistics.ts";
import { Vswitchd } from "../src/vswitch/vswitchd.ts";
import { datapathThreads } from "./datapath-thread.ts";
import { ebpfHost } from "./ebpf-system.ts";
import { openKernelSystem } from "./kernel-system.ts";
import { realPlatform } from "./platform.ts";

const log = vlog("vswitchd");

interface Settings {
  dummy: DummyMode | undefined;
  disableSystem: boolean;
  lockMemory: boolean;
  unixctl: string | undefined;
}

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => run(platform, program, args));
}

function switchOptions(settings: Settings): OptionGroup {
  return {
    title: "Switch options",
    options: [
      {
        long: "unixctl",
        arg: "required",
        metavar: "SOCKET",
        help: "where ovs-appctl finds the daemon",
        set: (socket) => {
          settings.unixctl = socket;
        },
      },
      {
        long: "mlockall",
        help: "keep all memory from being swapped out",
        set: () => {
          settings.lockMemory = true;
        },
      },
      {
        long: "enable-dummy",
        arg: "optional",
        metavar: "WHICH",
        help: "add dummy devices and datapaths, for tests",
        set: (which) => {
          settings.dummy = which === "override" || which === "system" ? which : "";
        },
      },
      // Where the processors of dummies stand is of no interest to a datapath of one thread.
      {
        long: "dummy-numa",
        arg: "required",
        metavar: "NODES",
        help: "(for tests of the original)",
        set: () => {},
      },
      {
        long: "disable-system",
        help: "do without datapath type system",
        set: () => {
          settings.disableSystem = true;
        },
      },
      // There is no table of the system's routes yet that could be left alone.
      { long: "disable-system-route", help: "leave the system's routing table alone", set: () => {} },
      {
        long: "dpdk",
        help: "(not supported)",
        set: () => {
          throw new Fatal("DPDK is not supported");
        },
      },
    ],
  };
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  const { run: rundir } = dirs(platform.env);
  const settings: Settings = {
    dummy: undefined,
    disableSystem: false,
    lockMemory: false,
    unixctl: undefined,
  };
  const daemonGroup = daemonOptions(platform, program);
  const groups: OptionGroup[] = [
    switchOptions(settings),
    daemonGroup.group,
    tlsOptions(TLS),
    vlogOptions(),
    helpTextOptions(
      platform,
      program,
      () =>
        `${program}: Open vSwitch daemon\nusage: ${program} [OPTIONS] [DATABASE]\n` +
        `DATABASE is where ovsdb-server is reached (default: unix:${rundir}/db.sock).\n${formatOptions(groups)}`,
    ),
  ];
  const words = getopt(program, groups, args);
  if (words.length > 1) throw new Fatal("at most one non-option argument accepted; use --help for usage");
  const remote = words[0] ?? `unix:${rundir}/db.sock`;

  const daemon = new Daemon(platform, program, daemonGroup.values, {
    accessDatapath: true,
    hangupReopensLog: true,
  });
  const start = await daemon.start();
  if (start.role === "done") return start.status;
  if (settings.lockMemory) {
    const error = platform.process.lockMemory(true);
    if (error !== undefined) log.err(`mlockall failed: ${error}`);
  }

  const commands = new UnixctlCommands(program);
  const unixctl = await UnixctlServer.listen(platform, program, commands, settings.unixctl);
  const vswitchd = new Vswitchd({
    platform,
    streams: platform.streams,
    remote,
    commands,
    dummy: settings.dummy,
    disableSystem: settings.disableSystem,
    rundir,
    threads: datapathThreads,
    ebpf: ebpfHost,
    openKernelSystem,
    openRouteSocket,
    openDeviceControl,
    captureFiles,
    connectUdp,
    systemStatistics: () => systemStatistics(rundir),
    usage: processUsage,
    started: () => daemon.ready(),
  });
  commands.register("exit", "[--cleanup]", 0, 1, async (words, reply) => {
    await vswitchd.close(words[0] === "--cleanup");
    reply.ok();
    unixctl?.close();
    // The reply leaves in a later turn.
    platform.clock.after(10, () => daemon.exit(0));
  });
  vswitchd.start();
  // Lives until `exit` or a signal.
  return await new Promise<never>(() => {});
}
