/**
 * /metrics: everything is read anew at each scrape, rows from the replicas, counters of the switch from its control socket
 * and its bridges. What does not answer is left out, and an `…_up` says so.
 */
import promClient from "prom-client";
import {
  parseCoverage,
  parseDatapaths,
  parseMemory,
  parsePmdStats,
  parseUpcalls,
} from "../lib/control-text.ts";
import type { DynamicRow } from "../ovsdb/idl-types.ts";
import { FLOW_REQUEST } from "./flows.ts";
import { METRICS, type MetricName, OWN_METRICS } from "./metric-list.ts";
import type { System } from "./system.ts";
import type { Talkers } from "./talkers.ts";

/** A part that does not answer in time is left out of this scrape. */
const PATIENCE_MS = 5000;

export interface MetricsSources {
  readonly systems: readonly System[];
  readonly talkers: Talkers | undefined;
  readonly pages: () => number;
  readonly after: (ms: number, run: () => void) => { cancel(): void };
}

type Set = (name: MetricName, value: number, labels?: Readonly<Record<string, string>>) => void;

export class Metrics {
  readonly #sources: MetricsSources;
  readonly #registry = new promClient.Registry();
  readonly #metrics = new Map<MetricName, promClient.Gauge | promClient.Counter>();
  #turn: Promise<string> | undefined = undefined;

  constructor(sources: MetricsSources) {
    this.#sources = sources;
    for (const [table, common] of [
      [METRICS, ["system"]],
      [OWN_METRICS, []],
    ] as const) {
      for (const [name, { type, help, labels }] of Object.entries(table)) {
        const config = { name, help, labelNames: [...common, ...labels], registers: [this.#registry] };
        this.#metrics.set(
          name as MetricName,
          type === "gauge" ? new promClient.Gauge(config) : new promClient.Counter(config),
        );
      }
    }
  }

  get type(): string {
    return this.#registry.contentType;
  }

  /** Scrapes that come while one is under way get the same. */
  text(): Promise<string> {
    this.#turn ??= this.#scrape().finally(() => {
      this.#turn = undefined;
    });
    return this.#turn;
  }

  async #scrape(): Promise<string> {
    const values: { name: MetricName; value: number; labels: Readonly<Record<string, string>> }[] = [];
    const { systems, talkers, pages } = this.#sources;
    await Promise.all(
      systems.map((system) =>
        this.#system(system, (name, value, labels = {}) => {
          if (Number.isFinite(value))
            values.push({ name, value, labels: { system: system.places.name, ...labels } });
        }),
      ),
    );
    const own = (name: keyof typeof OWN_METRICS, value: number): void =>
      void values.push({ name, value, labels: {} });
    own("ovsdbmonitor_pages", pages());
    if (talkers !== undefined) {
      own("ovsdbmonitor_sflow_datagrams_total", talkers.totals.datagrams);
      own("ovsdbmonitor_sflow_lost_total", talkers.totals.lost);
      own("ovsdbmonitor_sflow_malformed_total", talkers.totals.malformed);
      own("ovsdbmonitor_sflow_samples_total", talkers.totals.records);
    }
    // Ports that are gone are not told of any more.
    for (const metric of this.#metrics.values()) metric.reset();
    for (const { name, value, labels } of values) {
      const metric = this.#metrics.get(name)!;
      if (metric instanceof promClient.Gauge) metric.set(labels, value);
      else metric.inc(labels, value);
    }
    return await this.#registry.metrics();
  }

  async #system(system: System, set: Set): Promise<void> {
    databases(system, set);
    await Promise.all([
      this.#within(ovsdbServer(system, set)),
      this.#within(daemon(system, set)),
      this.#within(linuxBridges(system, set)),
      ...system.bridges().map((bridge) => this.#within(openflow(system, bridge, set))),
    ]);
  }

  /** Waits for a part, but not for ever, and not for its success. */
  #within(part: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#sources.after(PATIENCE_MS, resolve);
      part
        .then(
          () => {},
          () => {},
        )
        .then(() => {
          timer.cancel();
          resolve();
        });
    });
  }
}

function databases(system: System, set: Set): void {
  for (const database of system.databases.values()) {
    const labels = { database: database.name };
    set("ovs_database_up", database.isLive ? 1 : 0, labels);
    set("ovs_database_updates_total", database.updates, labels);
    for (const { name, rows } of database.tables())
      set("ovs_database_rows", rows.size, { ...labels, table: name });
  }
  const idl = system.switchDatabase?.idl;
  if (idl === undefined) return;
  const rows = (table: string): DynamicRow[] => [...idl.rows(table)];
  const [root] = rows("Open_vSwitch");
  if (root !== undefined) set("ovs_switch_info", 1, { version: text(root.ovs_version) });
  set("ovs_bridges", idl.count("Bridge"));
  for (const bridge of rows("Bridge")) {
    const name = text(bridge.name);
    const ports = [...idl.refs("Port", refs(bridge.ports))] as DynamicRow[];
    set("ovs_bridge_ports", ports.length, { bridge: name });
    for (const port of ports) {
      for (const row of idl.refs("Interface", refs(port.interfaces)) as DynamicRow[]) {
        interfaceMetrics(row, { bridge: name, port: text(port.name), interface: text(row.name) }, set);
      }
    }
    for (const row of idl.refs("Controller", refs(bridge.controller)) as DynamicRow[]) {
      const labels = { bridge: name, target: text(row.target) };
      set("ovs_controller_connected", row.is_connected === true ? 1 : 0, labels);
      set("ovs_controller_backoff_seconds", Number(map(row.status).get("backoff") ?? 0), labels);
    }
  }
  for (const row of rows("Manager"))
    set("ovs_manager_connected", row.is_connected === true ? 1 : 0, { target: text(row.target) });
}

const INTERFACE_COUNTERS: readonly (readonly [statistic: string, metric: MetricName])[] = [
  ["rx_packets", "ovs_interface_receive_packets_total"],
  ["tx_packets", "ovs_interface_transmit_packets_total"],
  ["rx_bytes", "ovs_interface_receive_bytes_total"],
  ["tx_bytes", "ovs_interface_transmit_bytes_total"],
  ["rx_dropped", "ovs_interface_receive_dropped_total"],
  ["tx_dropped", "ovs_interface_transmit_dropped_total"],
  ["rx_errors", "ovs_interface_receive_errors_total"],
  ["tx_errors", "ovs_interface_transmit_errors_total"],
];

function interfaceMetrics(row: DynamicRow, labels: Readonly<Record<string, string>>, set: Set): void {
  set("ovs_interface_info", 1, { ...labels, type: text(row.type) || "system" });
  if (row.link_state !== undefined) set("ovs_interface_up", row.link_state === "up" ? 1 : 0, labels);
  if (row.link_speed !== undefined)
    set("ovs_interface_link_speed_bytes_per_second", Number(row.link_speed) / 8, labels);
  if (row.mtu !== undefined) set("ovs_interface_mtu_bytes", Number(row.mtu), labels);
  if (row.link_resets !== undefined) set("ovs_interface_link_resets_total", Number(row.link_resets), labels);
  const statistics = map(row.statistics);
  for (const [statistic, metric] of INTERFACE_COUNTERS) {
    const value = statistics.get(statistic);
    if (value !== undefined) set(metric, Number(value), labels);
  }
}

async function ovsdbServer({ databaseControl }: System, set: Set): Promise<void> {
  if (databaseControl === undefined) return;
  const memory = parseMemory(await databaseControl.text("memory/show"));
  for (const name of ["atoms", "cells", "monitors", "sessions"] as const) {
    const value = memory.get(name);
    if (value !== undefined) set(`ovsdb_server_${name}`, value);
  }
  // The original does not count them.
  const commits = parseCoverage(await databaseControl.text("coverage/show")).get("ovsdb_commit");
  if (commits !== undefined) set("ovsdb_server_transactions_total", commits.total);
}

async function daemon({ control }: System, set: Set): Promise<void> {
  if (control === undefined) return;
  let shown: string;
  try {
    shown = await control.text("dpctl/show");
  } catch (error) {
    set("ovs_switch_up", 0);
    throw error;
  }
  set("ovs_switch_up", 1);
  for (const { name, hits, misses, lost, flows } of parseDatapaths(shown)) {
    const labels = { datapath: name };
    set("ovs_datapath_flows", flows, labels);
    set("ovs_datapath_lookup_hits_total", hits, labels);
    set("ovs_datapath_lookup_misses_total", misses, labels);
    set("ovs_datapath_lookup_lost_total", lost, labels);
    await userspace(name, (...args) => control.text(...args), set);
  }
  for (const { name, flows, limit, dumpSeconds } of parseUpcalls(await control.text("upcall/show"))) {
    set("ovs_upcall_flows", flows, { datapath: name });
    set("ovs_upcall_flow_limit", limit, { datapath: name });
    set("ovs_upcall_dump_duration_seconds", dumpSeconds, { datapath: name });
  }
  for (const [event, { total }] of parseCoverage(await control.text("coverage/show"))) {
    if (/^(drop_action|datapath_drop)_/.test(event)) set("ovs_drops_total", total, { reason: event });
    else set("ovs_events_total", total, { event });
  }
}

interface LinuxBridge {
  readonly name: string;
  readonly stp: boolean;
  readonly members: readonly { readonly name: string; readonly state: string }[];
  readonly addresses: readonly { readonly local: boolean }[];
}

/** Of a daemon that runs where Linux bridges are to be seen or taken over. */
async function linuxBridges({ bridgesControl }: System, set: Set): Promise<void> {
  if (!bridgesControl?.present) return;
  for (const { name, stp, members, addresses } of (await bridgesControl.json(
    "linux/show",
  )) as unknown as LinuxBridge[]) {
    const bridge = { bridge: name };
    set("ovs_linux_bridge_ports", members.length, bridge);
    set("ovs_linux_bridge_addresses", addresses.filter(({ local }) => !local).length, bridge);
    set("ovs_linux_bridge_stp_enabled", stp ? 1 : 0, bridge);
    for (const { name: port, state } of members)
      set("ovs_linux_bridge_port_state", 1, { ...bridge, port, state });
  }
}

const CACHES: readonly (readonly [line: string, cache: string])[] = [
  ["emc hits", "emc"],
  ["smc hits", "smc"],
  ["megaflow hits", "megaflow"],
];

async function userspace(
  datapath: string,
  ask: (command: string, ...args: string[]) => Promise<string>,
  set: Set,
): Promise<void> {
  let stats: Map<string, number>;
  try {
    stats = parsePmdStats(await ask("dpif-netdev/pmd-stats-show", datapath));
  } catch {
    // Another kind of datapath.
    return;
  }
  for (const [line, cache] of CACHES) {
    const value = stats.get(line);
    if (value !== undefined) set("ovs_datapath_cache_hits_total", value, { datapath, cache });
  }
  for (const result of ["success", "failed"]) {
    const value = stats.get(`miss with ${result} upcall`);
    if (value !== undefined) set("ovs_datapath_upcalls_total", value, { datapath, result });
  }
}

async function openflow(system: System, bridge: string, set: Set): Promise<void> {
  const client = system.openflow(bridge);
  try {
    const [reply] = await client.ask({ ...FLOW_REQUEST, type: "aggregate-request" }, "aggregate-reply");
    if (reply === undefined) throw new Error("no reply");
    set("ovs_bridge_flows", reply.flows, { bridge });
    set("ovs_bridge_up", 1, { bridge });
  } catch (error) {
    set("ovs_bridge_up", 0, { bridge });
    throw error;
  }
  const row = [...(system.switchDatabase?.idl.rows("Bridge") ?? [])].find(({ name }) => name === bridge);
  if (row?.ipfix === undefined) return;
  for (const { stats } of await client.ask({ type: "ipfix-bridge-request" }, "ipfix-bridge-reply")) {
    for (const { pkts, errorPkts, txPkts, txErrors } of stats) {
      set("ovs_ipfix_sampled_packets_total", Number(pkts), { bridge });
      set("ovs_ipfix_errors_total", Number(errorPkts), { bridge });
      set("ovs_ipfix_transmit_packets_total", Number(txPkts), { bridge });
      set("ovs_ipfix_transmit_errors_total", Number(txErrors), { bridge });
    }
  }
}

function text(value: DynamicRow[string]): string {
  return value === undefined ? "" : String(value);
}

function map(value: DynamicRow[string]): ReadonlyMap<unknown, unknown> {
  return value instanceof Map ? value : new Map();
}

/** The UUIDs in a column, whatever its form. */
function refs(value: DynamicRow[string]): string[] {
  if (value === undefined) return [];
  return typeof value === "object" ? ([...value] as string[]) : [String(value)];
}
