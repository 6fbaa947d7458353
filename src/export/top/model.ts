/**
 * What `ovsbox top` shows, made of what the switch daemon printed this time and the time before. Pure; `sampler.ts` asks the
 * daemon, `tables.ts` and `layout.ts` turn the rows into lines.
 */
import { ACTION_DROPS, DATAPATH_DROPS } from "../../datapath/drop-reasons.ts";
import type {
  Bridge,
  Datapath,
  DatapathPort,
  Megaflow,
  PortCounts,
  UpcallCounts,
} from "../../lib/control-text.ts";
import { grown, rate, sum } from "./rates.ts";

/** A megaflow that drops, as `ofproto/explain-drops` says it. */
export interface ExplainedDrop {
  readonly bridge: string;
  readonly flow: string;
  readonly packets: number;
  readonly table: number;
  readonly rule: string | null;
  readonly reason: string;
}

/** What is cheap to ask for, of one moment. */
export interface Sample {
  readonly atMs: number;
  readonly datapaths: readonly Datapath[];
  readonly bridges: readonly Bridge[];
  readonly upcalls: readonly UpcallCounts[];
  readonly coverage: ReadonlyMap<string, { readonly total: number }>;
}

/** What is not: it may come less often. */
export interface FlowSample {
  readonly atMs: number;
  readonly flows: readonly { readonly datapath: string; readonly flow: Megaflow }[];
  /** undefined: the daemon does not know the command. */
  readonly drops: readonly ExplainedDrop[] | undefined;
}

/** A second; bits, not bytes. undefined: not known (yet). */
export interface PortRates {
  readonly rxPps: number | undefined;
  readonly rxBps: number | undefined;
  readonly txPps: number | undefined;
  readonly txBps: number | undefined;
  readonly dropPps: number | undefined;
  readonly errorPps: number | undefined;
}

export interface DatapathRow {
  readonly name: string;
  readonly flows: number;
  readonly limit: number | undefined;
  readonly hitPps: number | undefined;
  readonly missPps: number | undefined;
  readonly lostPps: number | undefined;
  readonly dumpSeconds: number | undefined;
}

export interface BridgeRow extends PortRates {
  readonly name: string;
  readonly ports: number;
  readonly flows: number;
}

export interface PortRow extends PortRates {
  readonly name: string;
  readonly bridge: string;
  readonly ofport: number | undefined;
  readonly type: string;
}

export interface FlowRow {
  readonly bridge: string;
  readonly inPort: string;
  readonly match: string;
  readonly actions: string;
  readonly packets: number;
  readonly bytes: number;
  readonly pps: number | undefined;
  readonly bps: number | undefined;
  readonly usedSec: number;
}

export interface DropRow {
  readonly reason: string;
  /** Bridge, table and rule, or "datapath". */
  readonly where: string;
  readonly packets: number;
  readonly pps: number | undefined;
}

export interface TopRows {
  readonly datapaths: readonly DatapathRow[];
  readonly bridges: readonly BridgeRow[];
  readonly ports: readonly PortRow[];
  readonly flows: readonly FlowRow[];
  readonly drops: readonly DropRow[];
  /** Of all reasons, those of rules too. */
  readonly dropPps: number | undefined;
}

interface Counted {
  packets: number;
  bytes: number;
}

export class TopModel {
  #before: Sample | undefined = undefined;
  #now: Sample | undefined = undefined;
  #flows: readonly FlowRow[] = [];
  #flowCounts = new Map<string, Counted>();
  #flowsAtMs = Number.NaN;
  #ruleDrops: readonly DropRow[] | undefined = undefined;
  #dropCounts = new Map<string, number>();

  /** The daemon is another one than before: no rate goes across. */
  reset(): void {
    this.#before = undefined;
    this.#now = undefined;
    this.#flows = [];
    this.#flowCounts = new Map();
    this.#flowsAtMs = Number.NaN;
    this.#ruleDrops = undefined;
    this.#dropCounts = new Map();
  }

  take(sample: Sample): void {
    this.#before = this.#now;
    this.#now = sample;
  }

  /** After the {@link take} of the same moment. */
  takeFlows(sample: FlowSample): void {
    const seconds = (sample.atMs - this.#flowsAtMs) / 1000;
    this.#flowsAtMs = sample.atMs;
    const bridgeOf = bridgesByPort(this.#now?.bridges ?? []);
    const counts = new Map<string, Counted>();
    const rows: FlowRow[] = [];
    for (const { datapath, flow } of sample.flows) {
      const id = `${datapath} ${flow.key}`;
      const before = this.#flowCounts.get(id);
      const { inPort, match } = readableKey(flow.key);
      rows.push({
        bridge: bridgeOf.get(inPort) ?? "",
        inPort,
        match,
        actions: flow.actions,
        packets: flow.packets,
        bytes: flow.bytes,
        pps: flowRate(flow.packets, before?.packets, seconds),
        bps: flowRate(flow.bytes * 8, before === undefined ? undefined : before.bytes * 8, seconds),
        usedSec: flow.usedSec,
      });
      counts.set(id, { packets: flow.packets, bytes: flow.bytes });
    }
    this.#flows = rows;
    this.#flowCounts = counts;
    this.#takeDrops(sample.drops, seconds);
  }

  /** Megaflows of one rule and reason make one row. */
  #takeDrops(drops: readonly ExplainedDrop[] | undefined, seconds: number): void {
    if (drops === undefined) {
      this.#ruleDrops = undefined;
      return;
    }
    const counts = new Map<string, number>();
    const rows = new Map<string, { -readonly [K in keyof DropRow]: DropRow[K] }>();
    for (const { bridge, flow, packets, table, rule, reason } of drops) {
      const where = `${bridge} table ${table}: ${rule ?? "no match"}`;
      const pps = flowRate(packets, this.#dropCounts.get(flow), seconds);
      counts.set(flow, packets);
      const row = rows.get(where + reason);
      if (row === undefined) rows.set(where + reason, { reason, where, packets, pps });
      else {
        row.packets += packets;
        row.pps = sum([row.pps, pps]);
      }
    }
    this.#dropCounts = counts;
    this.#ruleDrops = [...rows.values()];
  }

  rows(): TopRows {
    const now = this.#now;
    if (now === undefined)
      return { datapaths: [], bridges: [], ports: [], flows: [], drops: [], dropPps: undefined };
    const seconds = this.#before === undefined ? Number.NaN : (now.atMs - this.#before.atMs) / 1000;
    const ports = this.#portRows(now, seconds);
    return {
      datapaths: this.#datapathRows(now, seconds),
      bridges: this.#bridgeRows(now, ports),
      ports,
      flows: this.#flows,
      ...this.#dropRows(now, seconds),
    };
  }

  #datapathRows(now: Sample, seconds: number): DatapathRow[] {
    return now.datapaths.map(({ name, flows, hits, misses, lost }) => {
      const before = this.#before?.datapaths.find((one) => one.name === name);
      const upcalls = now.upcalls.find((one) => one.name === name);
      return {
        name,
        flows,
        limit: upcalls?.limit,
        hitPps: rate(hits, before?.hits, seconds),
        missPps: rate(misses, before?.misses, seconds),
        lostPps: rate(lost, before?.lost, seconds),
        dumpSeconds: upcalls?.dumpSeconds,
      };
    });
  }

  #portRows(now: Sample, seconds: number): PortRow[] {
    const before = portsByName(this.#before?.datapaths ?? []);
    const present = portsByName(now.datapaths);
    const rows: PortRow[] = [];
    for (const bridge of now.bridges) {
      for (const { name, ofport, type } of bridge.ports) {
        const id = `${bridge.datapath} ${name}`;
        const rates = portRates(present.get(id)?.counts, before.get(id)?.counts, seconds);
        rows.push({ name, bridge: bridge.name, ofport, type, ...rates });
      }
    }
    return rows;
  }

  #bridgeRows(now: Sample, ports: readonly PortRow[]): BridgeRow[] {
    return now.bridges.map(({ name, ports: all }) => {
      const own = ports.filter(({ bridge }) => bridge === name);
      const total = (key: keyof PortRates): number | undefined => sum(own.map((port) => port[key]));
      return {
        name,
        ports: all.length,
        flows: this.#flows.reduce((count, flow) => (flow.bridge === name ? count + 1 : count), 0),
        rxPps: total("rxPps"),
        rxBps: total("rxBps"),
        txPps: total("txPps"),
        txBps: total("txBps"),
        dropPps: total("dropPps"),
        errorPps: total("errorPps"),
      };
    });
  }

  /** Where the daemon explains drops by rule, the counters of translation would tell the same packets again. */
  #dropRows(now: Sample, seconds: number): Pick<TopRows, "drops" | "dropPps"> {
    const counters = (reasons: typeof DATAPATH_DROPS, where: string): DropRow[] =>
      reasons.flatMap(({ counter, text }) => {
        const packets = now.coverage.get(counter)?.total;
        if (packets === undefined) return [];
        // coverage/show leaves out what never happened.
        const before =
          this.#before === undefined ? undefined : (this.#before.coverage.get(counter)?.total ?? 0);
        return [{ reason: text, where, packets, pps: rate(packets, before, seconds) }];
      });
    const own = counters(DATAPATH_DROPS, "datapath");
    const translated = counters(ACTION_DROPS, "translation").map((row) =>
      row.reason === ACTION_DROPS[0]!.text ? { ...row, reason: "no action sends the packet anywhere" } : row,
    );
    return {
      drops: [...own, ...(this.#ruleDrops ?? translated)],
      dropPps: sum([...own, ...translated].map(({ pps }) => pps)) ?? (Number.isNaN(seconds) ? undefined : 0),
    };
  }
}

function portsByName(datapaths: readonly Datapath[]): Map<string, DatapathPort> {
  return new Map(datapaths.flatMap(({ name, ports }) => ports.map((port) => [`${name} ${port.name}`, port])));
}

function bridgesByPort(bridges: readonly Bridge[]): Map<string, string> {
  return new Map(bridges.flatMap(({ name, ports }) => ports.map((port) => [port.name, name])));
}

function portRates(now: PortCounts | undefined, before: PortCounts | undefined, seconds: number): PortRates {
  const of = (key: keyof PortCounts): number | undefined => rate(now?.[key], before?.[key], seconds);
  const bits = (bytes: number | undefined): number | undefined =>
    bytes === undefined ? undefined : bytes * 8;
  return {
    rxPps: of("rxPackets"),
    rxBps: bits(of("rxBytes")),
    txPps: of("txPackets"),
    txBps: bits(of("txBytes")),
    dropPps: sum([of("rxDropped"), of("txDropped")]),
    errorPps: sum([of("rxErrors"), of("txErrors")]),
  };
}

/** A flow that was not there before has counted since then from 0, and so has one that counts less than it did. */
function flowRate(now: number, before: number | undefined, seconds: number): number | undefined {
  if (!(seconds > 0)) return undefined;
  return (before === undefined || now < before ? now : grown(now, before)!) / seconds;
}

/** What every flow has, or what says nothing, is left out; the port has a column of its own. */
function readableKey(key: string): { inPort: string; match: string } {
  let inPort = "";
  const match = key
    .replace(/^ufid:[0-9a-f-]+, /, "")
    .replace(/in_port\(([^)]*)\),?/, (_all, name: string) => {
      inPort = name;
      return "";
    })
    .replace(/(?:recirc_id\(0\)|packet_type\(ns=0,id=0\)),?/g, "")
    .replace(/,?frag=no\)/g, ")")
    .replace(/,?\w+\(\)/g, "")
    .replace(/^,|,$/g, "");
  return { inPort, match };
}
