/** Reading what a switch daemon prints by its control socket: dpctl/show, dpif/show, dump-flows and the like, of the original's as of ours. */

/** Counters of a port as its device counts them: "rx" is what came into the switch. `undefined`: not counted. */
export interface PortCounts {
  readonly rxPackets: number | undefined;
  readonly rxBytes: number | undefined;
  readonly rxErrors: number | undefined;
  readonly rxDropped: number | undefined;
  readonly txPackets: number | undefined;
  readonly txBytes: number | undefined;
  readonly txErrors: number | undefined;
  readonly txDropped: number | undefined;
}

export interface DatapathPort {
  readonly number: number;
  readonly name: string;
  /** "system" where dpctl/show names none. */
  readonly type: string;
  readonly counts: PortCounts;
}

export interface Datapath {
  /** "netdev@ovs-netdev", as dpctl's commands take it. */
  readonly name: string;
  readonly hits: number;
  readonly misses: number;
  readonly lost: number;
  readonly flows: number;
  readonly ports: readonly DatapathPort[];
}

/** Indented text in blocks, each under a line that is not. */
export const blocks = (text: string): string[] => text.split(/^(?=\S)/m);

/** `dpctl/show`; ports have counters if it was `dpctl/show -s`. */
export function parseDatapaths(text: string): Datapath[] {
  const found: Datapath[] = [];
  for (const block of blocks(text)) {
    const name = /^(\S+):$/m.exec(block)?.[1];
    if (name === undefined) continue;
    const lookups = /lookups: hit:(\d+) missed:(\d+) lost:(\d+)/.exec(block);
    const flows = /^\s*flows: (\d+)/m.exec(block);
    found.push({
      name,
      hits: Number(lookups?.[1] ?? 0),
      misses: Number(lookups?.[2] ?? 0),
      lost: Number(lookups?.[3] ?? 0),
      flows: Number(flows?.[1] ?? 0),
      ports: parsePorts(block),
    });
  }
  return found;
}

function parsePorts(block: string): DatapathPort[] {
  const found: DatapathPort[] = [];
  for (const part of block.split(/^(?=\s+port \d+: )/m)) {
    const head = /^\s+port (\d+): (\S+)(?: \(([^):]+))?/.exec(part);
    if (head === null) continue;
    const rx = /RX packets:(\S+) errors:(\S+) dropped:(\S+)/.exec(part);
    const tx = /TX packets:(\S+) errors:(\S+) dropped:(\S+)/.exec(part);
    const bytes = /RX bytes:(\S+).*TX bytes:(\S+)/.exec(part);
    found.push({
      number: Number(head[1]),
      name: head[2]!,
      type: head[3] ?? "system",
      counts: {
        rxPackets: count(rx?.[1]),
        rxErrors: count(rx?.[2]),
        rxDropped: count(rx?.[3]),
        rxBytes: count(bytes?.[1]),
        txPackets: count(tx?.[1]),
        txErrors: count(tx?.[2]),
        txDropped: count(tx?.[3]),
        txBytes: count(bytes?.[2]),
      },
    });
  }
  return found;
}

/** "?" stands for what a device does not count. */
function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

export interface BridgePort {
  readonly name: string;
  readonly ofport: number;
  /** Of the datapath; undefined for a patch port, which it does not know. */
  readonly odpPort: number | undefined;
  readonly type: string;
}

export interface Bridge {
  readonly name: string;
  /** The datapath, as in {@link Datapath.name}. */
  readonly datapath: string;
  readonly ports: readonly BridgePort[];
}

/** `dpif/show`. */
export function parseBridges(text: string): Bridge[] {
  const found: Bridge[] = [];
  for (const block of blocks(text)) {
    const datapath = /^(\S+): hit:/.exec(block)?.[1];
    if (datapath === undefined) continue;
    for (const part of block.split(/^(?= {2}\S+:$)/m)) {
      const name = /^ {2}(\S+):$/m.exec(part)?.[1];
      if (name === undefined) continue;
      const ports: BridgePort[] = [];
      for (const match of part.matchAll(/^ {4}(\S+) (\d+)\/(\d+|none): \(([^):]+)/gm)) {
        ports.push({
          name: match[1]!,
          ofport: Number(match[2]),
          odpPort: match[3] === "none" ? undefined : Number(match[3]),
          type: match[4]!,
        });
      }
      found.push({ name, datapath, ports });
    }
  }
  return found;
}

export interface Megaflow {
  readonly ufid: string | undefined;
  readonly key: string;
  readonly actions: string;
  readonly packets: number;
  readonly bytes: number;
  /** -1: never. */
  readonly usedSec: number;
  /** Of TCP, as letters. */
  readonly flags: string | undefined;
  /** "ovs", "tc"...: where it is. */
  readonly dp: string | undefined;
}

const MEGAFLOW =
  /^(?:ufid:(\S+?),? )?(\S.*?), packets:(\d+), bytes:(\d+), used:(never|[\d.]+)s?,(?: flags:(\S+?),)?(?: dp:(\S+?),)?.*?\bactions:(.*)$/;

/** A line of `dpctl/dump-flows`; undefined: it is no flow. */
export function parseMegaflow(line: string): Megaflow | undefined {
  const match = MEGAFLOW.exec(line);
  if (match === null) return undefined;
  const [, ufid, key, packets, bytes, used, flags, dp, actions] = match;
  return {
    ufid,
    key: key!,
    packets: Number(packets),
    bytes: Number(bytes),
    usedSec: used === "never" ? -1 : Number(used),
    flags,
    dp,
    actions: actions!,
  };
}

export interface MacEntry {
  /** An OpenFlow port's number, or "LOCAL". */
  readonly port: string;
  readonly vlan: number;
  readonly mac: string;
  /** Seconds since it was last seen; undefined: static. */
  readonly age?: number;
}

/** `fdb/show`. */
export function parseMacs(text: string): MacEntry[] {
  const found: MacEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*(\S+)\s+(\d+)\s+([0-9a-f]{2}(?::[0-9a-f]{2}){5})\s+(\d+|static)/.exec(line);
    if (match === null) continue;
    const age = match[4] === "static" ? {} : { age: Number(match[4]) };
    found.push({ port: match[1]!, vlan: Number(match[2]), mac: match[3]!, ...age });
  }
  return found;
}

export interface Coverage {
  /** Events a second, over the last of each. */
  readonly fiveSeconds: number;
  readonly minute: number;
  readonly hour: number;
  readonly total: number;
}

/** `coverage/show`, by counter. */
export function parseCoverage(text: string): Map<string, Coverage> {
  const found = new Map<string, Coverage>();
  const line = /^(\w+)\s+([\d.]+)\/sec\s+([\d.]+)\/sec\s+([\d.]+)\/sec\s+total: (\d+)$/gm;
  for (const [, name, ...numbers] of text.matchAll(line)) {
    const [fiveSeconds, minute, hour, total] = numbers.map(Number) as [number, number, number, number];
    found.set(name!, { fiveSeconds, minute, hour, total });
  }
  return found;
}

/** `memory/show`: "cells:10 idl-cells:5 ...". */
export function parseMemory(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const match of text.matchAll(/([^\s:]+(?: keys)?):(\d+)/g)) found.set(match[1]!, Number(match[2]));
  return found;
}

/** `dpif-netdev/pmd-stats-show`: sums over all threads. */
export function parsePmdStats(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const match of text.matchAll(/^\s+([a-z][^:]*): (\d+)/gm)) {
    found.set(match[1]!, (found.get(match[1]!) ?? 0) + Number(match[2]));
  }
  return found;
}

export interface UpcallCounts {
  readonly name: string;
  readonly flows: number;
  readonly limit: number;
  readonly dumpSeconds: number;
}

/** `upcall/show`. */
export function parseUpcalls(text: string): UpcallCounts[] {
  const found: UpcallCounts[] = [];
  for (const block of blocks(text)) {
    const name = /^(\S+):$/m.exec(block)?.[1];
    const flows = /\(current (\d+)\).*\(limit (\d+)\)/.exec(block);
    if (name === undefined || flows === null) continue;
    const dump = /dump duration : (\d+)ms/.exec(block);
    found.push({
      name,
      flows: Number(flows[1]),
      limit: Number(flows[2]),
      dumpSeconds: Number(dump?.[1] ?? 0) / 1000,
    });
  }
  return found;
}
