/** Which datapath types there are here, and how one is opened: what forwards for each, and what does where that cannot be had. */
import type { Dpif } from "../datapath/dpif.ts";
import { EbpfDpif } from "../datapath/ebpf/dpif.ts";
import type { EbpfSystem } from "../datapath/ebpf/system.ts";
import { openKernelDpif } from "../datapath/kernel/dpif.ts";
import { openFamilies } from "../datapath/kernel/families.ts";
import type { KernelSystem } from "../datapath/kernel/system.ts";
import { openLocalDpif } from "../datapath/userspace/dpif-local.ts";
import { openWorkerDpif } from "../datapath/userspace/dpif-worker.ts";
import type { DatapathThreads, UpcallRing } from "../datapath/userspace/thread.ts";
import type { Clock } from "../lib/clock.ts";
import { describeError, osError } from "../lib/errors.ts";
import { RateLimit, vlog } from "../lib/vlog.ts";
import type { DummyMode } from "../netdev/dummy.ts";
import type { DatapathClass } from "../netdev/registry.ts";
import { IN_USERSPACE } from "./status.ts";

export interface OpenedDpif {
  dpif: Dpif;
  /** How its internal ports are opened. */
  class: DatapathClass;
  /** What forwards, and why, where the type alone does not say it; for Bridge.status. */
  forwarding?: string;
}

export interface DatapathOpener {
  /** For Open_vSwitch.datapath_types, sorted. */
  readonly types: readonly string[];
  /** `name` is "ovs-TYPE" unless given. Throws an errno error: EAFNOSUPPORT for a type that there is not. */
  open(type: string, name?: string): OpenedDpif;
  /** Ends what earlier runs have left in the kernel and no datapath that is open has claimed; devices that `keep` names stay. */
  removeLeftBehind(keep: (device: string) => boolean): void;
}

/** Programs in the kernel. */
export interface EbpfHost {
  /** Throws what keeps programs from being loaded. */
  open(): EbpfSystem;
  /** As {@link DatapathOpener.removeLeftBehind}; returns the names of the datapaths. */
  removeLeftBehind(keep: (device: string) => boolean): string[];
}

export interface OpenerOptions {
  clock: Clock;
  /** undefined: no dummies. */
  dummy: DummyMode | undefined;
  /** `--disable-system`: there is no "system", nor anything in its place. */
  disableSystem: boolean;
  threads: DatapathThreads;
  ebpf: EbpfHost;
  /** Throws what keeps the kernel from being asked. */
  openKernelSystem: () => KernelSystem;
  /** 32 random bits. */
  random: () => number;
}

const logOfproto = vlog("ofproto");
const logDpif = vlog("dpif");
const limit = new RateLimit(5, 5);

/**
 * netdev: the userspace datapath in a worker. ebpf: programs in the kernel, and where they cannot be, a userspace datapath.
 * system: openvswitch.ko, where there is none as ebpf. dummy: the same tables in this thread, which with
 * --enable-dummy=override (or =system) stand in for the others.
 */
export function datapathOpener(options: OpenerOptions): DatapathOpener {
  const { clock, dummy, disableSystem, threads, ebpf, openKernelSystem, random } = options;
  const local = (type: string, name: string): OpenedDpif => ({
    dpif: openLocalDpif({ type, name, clock, random }),
    class: "dummy",
  });
  const openWorker = (type: string, name: string, upcalls?: UpcallRing): Dpif =>
    openWorkerDpif({
      type,
      name,
      clock,
      threads:
        upcalls === undefined
          ? threads
          : {
              ...threads,
              spawn: (memory, bell, died, fault) => threads.spawn(memory, bell, died, fault, upcalls),
              // One thread reads the ring buffer.
              cores: 1,
            },
      died: (reason) => logDpif.emer(`${type}@${name}: datapath thread died (${reason})`),
      fault: (text) => logDpif.err(`${type}@${name}: defect in the datapath thread: ${text}`),
    });
  const classOf = (type: string): DatapathClass => (type === "system" ? "system" : "netdev");
  const worker = (type: string, name: string): OpenedDpif => ({
    dpif: openWorker(type, name),
    class: classOf(type),
  });
  /** By programs, or why not. */
  const programs = (type: string, name: string): OpenedDpif | string => {
    try {
      const dpif = new EbpfDpif({
        name,
        clock,
        system: ebpf.open(),
        openInner: (upcalls) => openWorker(type, name, upcalls),
        warn: (text) => logDpif.warnRl(limit, `${type}@${name}: ${text}`),
      });
      return { dpif, class: classOf(type) };
    } catch (error) {
      return whyNoEbpf(error);
    }
  };
  const programsOrWorker = (type: string, name: string): OpenedDpif => {
    const opened = programs(type, name);
    if (typeof opened !== "string") return opened;
    const forwarding = `${IN_USERSPACE}: ${opened}`;
    logDpif.warn(`${type}@${name}: ${forwarding}`);
    return { ...worker(type, name), forwarding };
  };
  /** By openvswitch.ko, or why not. */
  const kernel = (type: string, name: string): OpenedDpif | string => {
    const families = openFamilies(openKernelSystem);
    if (typeof families === "string") return families;
    const warn = (text: string): void => logDpif.warnRl(limit, `${type}@${name}: ${text}`);
    try {
      const dpif = openKernelDpif({ type, name, clock, families, warn });
      return { dpif, class: "kernel" };
    } catch (error) {
      return `the openvswitch module cannot be used (${describeError(error)})`;
    }
  };
  const system = (type: string, name: string): OpenedDpif => {
    const choose = (): OpenedDpif & { forwarding: string } => {
      const module = kernel(type, name);
      if (typeof module !== "string")
        return { ...module, forwarding: "forwarding by the kernel's openvswitch module" };
      const noModule = module;
      const opened = programs(type, name);
      return typeof opened === "string"
        ? { ...worker(type, name), forwarding: `${IN_USERSPACE}: ${noModule}, and ${opened}` }
        : { ...opened, forwarding: `forwarding by eBPF programs: ${noModule}` };
    };
    const opened = choose();
    logDpif.info(`${type}@${name}: ${opened.forwarding}`);
    return opened;
  };
  const open = new Map<string, (type: string, name: string) => OpenedDpif>();
  open.set("netdev", dummy === "override" ? local : worker);
  if (dummy !== undefined) open.set("dummy", local);
  const inKernel = dummy !== "override" && dummy !== "system" && !disableSystem;
  if (inKernel) {
    open.set("ebpf", programsOrWorker);
    open.set("system", system);
  } else if (dummy === "override" || dummy === "system") open.set("system", local);
  return {
    types: [...open.keys()].sort(),
    open(type, name = `ovs-${type}`) {
      const opener = open.get(type);
      if (opener !== undefined) return opener(type, name);
      logOfproto.warnRl(limit, `unknown datapath type ${type}`);
      throw osError("EAFNOSUPPORT");
    },
    removeLeftBehind(keep) {
      if (!inKernel || dummy !== undefined) return;
      try {
        for (const name of ebpf.removeLeftBehind(keep))
          logDpif.info(`${name}: removed what an earlier run has left in the kernel`);
      } catch (error) {
        logDpif.warn(`what an earlier run has left in the kernel stays: ${describeError(error)}`);
      }
    },
  };
}

const EPERM = 1;

function whyNoEbpf(error: unknown): string {
  const { errno, message, log } = error as { errno?: number; message: string; log?: string };
  if (errno === EPERM)
    return "programs cannot be loaded without the capabilities CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN";
  if (log === undefined) return message;
  // The verifier says why in one of its last lines, before it counts what it has done.
  const lines = log.trimEnd().split("\n");
  const reason =
    lines.findLast((line) => !/^(processed|verification time|stack depth) /.test(line)) ?? message;
  return `this kernel does not take the programs (${reason})`;
}
