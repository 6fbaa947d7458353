/** Reading what daemons print: dpctl/show, dpctl/dump-flows, fdb/show and the like, of the original's as of ours. */
import type { DatapathCounts, MacEntry } from "./protocol.ts";

/** `dpctl/show` and, of it, the lookups. */
export function parseDatapaths(text: string): DatapathCounts[] {
  const found: DatapathCounts[] = [];
  for (const block of text.split(/^(?=\S)/m)) {
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
    });
  }
  return found;
}

export interface Megaflow {
  readonly key: string;
  readonly actions: string;
  readonly packets: number;
  readonly bytes: number;
  /** -1: never. */
  readonly usedSec: number;
}

const MEGAFLOW = /^(\S.*?), packets:(\d+), bytes:(\d+), used:(never|[\d.]+s?),.*?\bactions:(.*)$/;

/** A line of `dpctl/dump-flows`; undefined: it is no flow. */
export function parseMegaflow(line: string): Megaflow | undefined {
  const match = MEGAFLOW.exec(line);
  if (match === null) return undefined;
  return {
    key: match[1]!,
    packets: Number(match[2]),
    bytes: Number(match[3]),
    usedSec: match[4] === "never" ? -1 : Number.parseFloat(match[4]!),
    actions: match[5]!,
  };
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

/** `coverage/show`: totals by counter. */
export function parseCoverage(text: string): Map<string, number> {
  const found = new Map<string, number>();
  for (const match of text.matchAll(/^(\w+)\s.*\btotal: (\d+)$/gm)) found.set(match[1]!, Number(match[2]));
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
  for (const block of text.split(/^(?=\S)/m)) {
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
