/** bpf(2) for the eBPF datapath. */
import { readFileSync } from "node:fs";
import { LeftBehind } from "../src/datapath/ebpf/left-behind.ts";
import type { EbpfLink, EbpfSystem, PinFolder } from "../src/datapath/ebpf/system.ts";
import { Clsact } from "../src/netdev/clsact.ts";
import { listenedTo, sendingOf, watchSending } from "../src/netdev/far-end.ts";
import { LinkTable, setPromiscuous } from "../src/netdev/rtnetlink.ts";
import {
  attach,
  type BpfLink,
  type BpfProgram,
  createMap,
  hasEgressPrograms,
  loadProgram,
} from "../src/sys/bpf.ts";
import { type BpfPins, bpfPins, pinnedDatapaths } from "../src/sys/bpf-pins.ts";
import { ifindexOf } from "../src/sys/ffi.ts";
import { monotonicMs } from "../src/sys/monotonic.ts";
import { openRouteSocket } from "../src/sys/netlink.ts";
import type { EbpfHost } from "../src/vswitch/datapath-opener.ts";
import { attachesByFilters, Filters, removeOrphans } from "./ebpf-filters.ts";

/** Processors that there may ever be, from a list like "0-3,8". */
function possibleProcessors(): number {
  const text = readFileSync("/sys/devices/system/cpu/possible", "utf8").trim();
  return Math.max(...text.split(/[-,]/).map(Number)) + 1;
}

function asLink(link: BpfLink): EbpfLink {
  return {
    fd: link.fd,
    get ifindex() {
      return link.ifindex;
    },
    update: (next) => link.update(next as BpfProgram),
    close: () => link.close(),
  };
}

function pinFolder(pins: BpfPins): PinFolder {
  return {
    path: pins.path,
    list: () => pins.list(),
    pin: (object, name) => pins.pin(object, name),
    openMap: (name, spec) => pins.openMap(name, spec),
    openLink: (name) => {
      const link = pins.openLink(name);
      return link && asLink(link);
    },
    remove: (name) => pins.remove(name),
    close: () => pins.close(),
  };
}

export function openEbpfSystem(): EbpfSystem {
  const route = openRouteSocket();
  const clsact = new Clsact(route);
  const filters = attachesByFilters() ? new Filters(route) : undefined;
  return {
    processors: possibleProcessors(),
    createMap,
    loadProgram,
    attach: (program, ifindex, egress) =>
      filters?.attach(program as BpfProgram, ifindex, egress) ??
      asLink(attach(program as BpfProgram, ifindex, egress)),
    pins: (datapath) => {
      const pins = bpfPins(datapath);
      if (typeof pins === "string") return pins;
      const folder = pinFolder(pins);
      return filters?.pins(folder) ?? folder;
    },
    setPromiscuous: (ifindex, on) => setPromiscuous(route, ifindex, on),
    ifindexOf,
    sendingOf: (ifindex) => sendingOf(route, clsact, ifindex, hasEgressPrograms),
    watchSending: (changed) => watchSending(route, changed),
    listenedTo: () => listenedTo(readFileSync("/proc/net/packet", "utf8")),
    nowMs: monotonicMs,
  };
}

/**
 * Takes away what a datapath has left in the kernel whose switch does not run any more, with the devices that were made for it
 * but for those that `keep` names. False when there is nothing.
 */
export function removeLeftBehind(datapath: string, keep: (device: string) => boolean): boolean {
  const system = openEbpfSystem();
  const pins = system.pins(datapath);
  if (typeof pins === "string") return false;
  const left = new LeftBehind(pins, system);
  if (left.isEmpty) {
    pins.remove("");
    pins.close();
    return false;
  }
  const links = new LinkTable(openRouteSocket());
  const byIndex = new Map([...links.links()].map((link) => [link.index, link]));
  for (const { ifindex, tap } of left.ports()) {
    const link = byIndex.get(ifindex);
    if (link === undefined) continue;
    if (!tap) system.setPromiscuous(ifindex, false);
    else if (link.kind === "tun" && !keep(link.name)) links.delete(link.name);
  }
  left.close();
  pins.remove("");
  pins.close();
  links.close();
  return true;
}

export const ebpfHost: EbpfHost = {
  open: openEbpfSystem,
  removeLeftBehind(keep) {
    const names = pinnedDatapaths().filter((datapath) => removeLeftBehind(datapath, keep));
    if (attachesByFilters()) removeOrphans();
    return names;
  },
};
