/**
 * Programs at devices where the kernel has no TCX links: filters of tc (src/netdev/clsact.ts) in their place. A filter stays by
 * itself; in the bpf file system a map of no use stands for each, under the name that the link would have.
 */
import { readFileSync } from "node:fs";
import { assemble } from "../src/datapath/ebpf/asm/assemble.ts";
import { exit, Mov, R0 } from "../src/datapath/ebpf/asm/instruction.ts";
import { TC_ACT_UNSPEC } from "../src/datapath/ebpf/asm/skb.ts";
import { linkName, parseLinkName } from "../src/datapath/ebpf/left-behind.ts";
import { type EbpfLink, MAP_ARRAY, type PinFolder } from "../src/datapath/ebpf/system.ts";
import { strerror } from "../src/lib/errors.ts";
import { Clsact } from "../src/netdev/clsact.ts";
import { LinkTable } from "../src/netdev/rtnetlink.ts";
import { attach, type BpfMap, type BpfProgram, createMap, loadProgram } from "../src/sys/bpf.ts";
import { pinnedDatapaths, pinnedNames } from "../src/sys/bpf-pins.ts";
import { ifindexOf, osError } from "../src/sys/ffi.ts";
import { openRouteSocket, type RouteSocket } from "../src/sys/netlink.ts";

const ENODEV = 19;
const NO_DEVICE = 0x7fffffff;
/** In a filter's name, with the number of the process that made it. */
const OURS = /^ovsbox-(\d+)$/;

let chosen: boolean | undefined;

/** Has filters be used although there are links: a test's. */
export function useFilters(): void {
  chosen = true;
}

/** Whether programs are attached by filters. False, too, where they cannot be loaded at all. */
export function attachesByFilters(): boolean {
  if (chosen !== undefined) return chosen;
  let program: BpfProgram;
  try {
    program = passProgram();
  } catch {
    return false;
  }
  try {
    attach(program, NO_DEVICE, false).close();
    chosen = false;
  } catch (error) {
    // Where there are links, only the device is missing.
    chosen = (error as { errno?: number }).errno !== ENODEV;
  }
  program.close();
  return chosen;
}

/** Leaves every packet to what comes after it. */
const passProgram = (): BpfProgram =>
  loadProgram(
    "probe",
    assemble([Mov.imm(R0, TC_ACT_UNSPEC), exit()], () => 0),
  );

class FilterLink implements EbpfLink {
  readonly fd: number;
  readonly ifindex: number;
  pinned: boolean;
  readonly #clsact: Clsact;
  readonly #egress: boolean;

  constructor(clsact: Clsact, fd: number, ifindex: number, egress: boolean, pinned: boolean) {
    this.#clsact = clsact;
    this.fd = fd;
    this.ifindex = ifindex;
    this.#egress = egress;
    this.pinned = pinned;
  }

  update(program: { readonly fd: number }): void {
    const errno = this.#clsact.put(this.ifindex, this.#egress, program.fd, `ovsbox-${process.pid}`);
    if (errno !== 0) throw osError("RTM_NEWTFILTER", errno);
  }

  close(): void {
    if (!this.pinned) this.#clsact.remove(this.ifindex, this.#egress);
  }
}

/** `attach` and the folder of pins for an EbpfSystem. */
export class Filters {
  readonly #clsact: Clsact;
  #marker: BpfMap | undefined;

  /** Throws when the kernel has no such filters either. */
  constructor(route: RouteSocket) {
    this.#clsact = new Clsact(route);
    const loopback = ifindexOf("lo");
    const program = passProgram();
    const errno = this.#clsact.put(loopback, true, program.fd, "probe");
    if (errno === 0) this.#clsact.remove(loopback, true);
    program.close();
    if (errno !== 0)
      throw new Error(
        `this kernel has neither TCX links (Linux 6.6) nor filters of kind "bpf" to attach programs by (${strerror(errno)})`,
      );
  }

  /** What stands for filters in the bpf file system. */
  #mark(): number {
    this.#marker ??= createMap({
      name: "filter",
      type: MAP_ARRAY,
      keyBytes: 4,
      valueBytes: 4,
      entries: 1,
      flags: 0,
    });
    return this.#marker.fd;
  }

  attach(program: BpfProgram, ifindex: number, egress: boolean): EbpfLink {
    const link = new FilterLink(this.#clsact, this.#mark(), ifindex, egress, false);
    link.update(program);
    return link;
  }

  pins(folder: PinFolder): PinFolder {
    const detach = (name: string): void => {
      const at = parseLinkName(name);
      if (at !== undefined) this.#clsact.remove(at.ifindex, at.egress);
    };
    return {
      ...folder,
      pin: (object, name) => {
        folder.pin(object, name);
        if (object instanceof FilterLink) object.pinned = true;
      },
      openLink: (name) => {
        const at = parseLinkName(name);
        if (at === undefined || this.#clsact.find(at.ifindex, at.egress) === undefined) return undefined;
        return new FilterLink(this.#clsact, this.#mark(), at.ifindex, at.egress, true);
      },
      remove: (name) => {
        for (const each of name === "" ? folder.list() : [name]) detach(each);
        folder.remove(name);
      },
    };
  }
}

/** Takes away filters that are in no folder and whose process is gone: it was killed where nothing could be pinned. */
export function removeOrphans(): void {
  const route = openRouteSocket();
  const clsact = new Clsact(route);
  const links = new LinkTable(route);
  const pinned = new Set(pinnedDatapaths().flatMap(pinnedNames));
  for (const { index } of links.links())
    for (const egress of [false, true]) {
      const pid = OURS.exec(clsact.find(index, egress)?.name ?? "")?.[1];
      if (pid !== undefined && !isSwitch(pid) && !pinned.has(linkName(index, egress)))
        clsact.remove(index, egress);
    }
  links.close();
}

function isSwitch(pid: string): boolean {
  try {
    return /^(ovs-vswitchd|ovsbox)/.test(readFileSync(`/proc/${pid}/comm`, "utf8"));
  } catch {
    return false;
  }
}
