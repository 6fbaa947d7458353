/** One port's network state, read from the database and the switch at work. */
import { formatMatch } from "../../flow/match-text.ts";
import type { PortNames } from "../../flow/ports-text.ts";
import { Fatal } from "../../lib/errors.ts";
import type { Json } from "../../lib/json.ts";
import { formatMac, macFromNumber } from "../../lib/mac.ts";
import type { Ofproto } from "../../ofproto/ofproto.ts";
import type { Rule } from "../../ofproto/rule.ts";
import { formatActions } from "../../openflow/actions/registry.ts";
import { OFPUTIL_FF_RESET_COUNTS } from "../../openflow/messages.ts";
import { formatFlowNotes } from "../../openflow/text/flow.ts";
import type { Idl } from "../../ovsdb/idl.ts";
import type { Value } from "../../ovsdb/idl-types.ts";
import type { Bridge } from "../bridge.ts";
import type { OpenVswitchSchema } from "../schema/index.ts";
import { FORMAT, type PortState, type RowValues, VERSION } from "./document.ts";

/** What an operator has set; what the switch writes stays. */
export const COLUMNS = {
  Port: [
    "vlan_mode",
    "tag",
    "trunks",
    "cvlans",
    "mac",
    "bond_mode",
    "bond_fake_iface",
    "bond_updelay",
    "bond_downdelay",
    "lacp",
    "protected",
    "external_ids",
    "other_config",
  ],
  Interface: [
    "name",
    "type",
    "options",
    "mac",
    "mtu_request",
    "ingress_policing_rate",
    "ingress_policing_burst",
    "ingress_policing_kpkts_rate",
    "ingress_policing_kpkts_burst",
    "bfd",
    "lldp",
    "external_ids",
    "other_config",
  ],
  QoS: ["type", "other_config", "external_ids"],
  Queue: ["dscp", "other_config", "external_ids"],
} as const;

function plain(value: Value): Json | undefined {
  if (value === undefined || value === "" || value === 0 || value === false) return undefined;
  if (value instanceof Set) return value.size === 0 ? undefined : ([...value] as Json[]);
  if (value instanceof Map)
    return value.size === 0
      ? undefined
      : (Object.fromEntries([...value].map(([k, v]) => [String(k), v])) as Json);
  return value as Json;
}

function values(row: object, columns: readonly string[]): RowValues {
  const out: Record<string, Json> = {};
  for (const column of columns) {
    const value = plain((row as Record<string, Value>)[column]);
    if (value !== undefined) out[column] = value;
  }
  return out;
}

type Rows = Idl<OpenVswitchSchema>;

/** Names as they are read back: those of one bridge. `unlike` stands for one of them. */
function portNames(ofproto: Ofproto, unlike?: string): PortNames {
  return {
    numberOf: (name) => ofproto.portByName(name)?.ofPort,
    nameOf: (port) => {
      const name = ofproto.portAt(port)?.name;
      return name === unlike && name !== undefined ? `${name}\u0000` : name;
    },
  };
}

/** As `ovs-ofctl add-flow` takes it. */
function flowText(rule: Rule, ports: PortNames): string {
  const head = [`table=${rule.table}`, `priority=${rule.priority}`];
  if (rule.cookie !== 0n) head.push(`cookie=0x${rule.cookie.toString(16)}`);
  const notes = formatFlowNotes({
    idleSec: rule.idleSec,
    hardSec: rule.hardSec,
    importance: rule.importance,
    flags: rule.flags & ~OFPUTIL_FF_RESET_COUNTS,
  }).replace(/, ?$/, "");
  if (notes.trim() !== "") head.push(notes.trim().replaceAll(" ", ","));
  const match = formatMatch(rule.match, { ports });
  if (match !== "") head.push(match);
  return `${head.join(",")} actions=${formatActions(rule.actions, { ports })}`;
}

export function exportPort(idl: Rows, bridge: Bridge, port: string): PortState {
  const config = bridge.config.ports.find((one) => one.name === port);
  if (config?.uuid === undefined || port === bridge.name)
    throw new Fatal(`${bridge.name}: no port named ${port}`);
  const row = idl.row("Port", config.uuid);
  if (row === undefined) throw new Fatal(`${port}: the database has changed, try again`);
  const { ofproto } = bridge;
  ofproto.backer.pushStats();
  const now = ofproto.clock.now();
  const seconds = (ms: number): number => Math.max(0, Math.round((now - ms) / 1000));

  const interfaces = [...row.interfaces].flatMap((uuid) => {
    const found = idl.row("Interface", uuid);
    return found === undefined ? [] : [values(found, COLUMNS.Interface)];
  });
  const qos = row.qos === undefined ? undefined : idl.row("QoS", row.qos);
  const queues = [...(qos?.queues ?? [])].flatMap(([number, uuid]) => {
    const queue = idl.row("Queue", uuid);
    return queue === undefined ? [] : [[String(number), values(queue, COLUMNS.Queue)] as const];
  });
  const mirrors = [...idl.rows("Mirror")].flatMap((mirror) => {
    const selects: ("src" | "dst" | "output")[] = [];
    if ([...mirror.select_src_port].includes(row._uuid)) selects.push("src");
    if ([...mirror.select_dst_port].includes(row._uuid)) selects.push("dst");
    if (mirror.output_port === row._uuid) selects.push("output");
    return selects.length === 0 ? [] : [{ name: mirror.name, selects }];
  });

  const flows: PortState["flows"][number][] = [];
  const names = new Set(config.ifaces.map((iface) => iface.name));
  for (const table of ofproto.tables)
    for (const rule of table.rules()) {
      if (rule.hidden) continue;
      const text = flowText(rule, portNames(ofproto));
      // It names the port if it reads differently when the port has another name.
      if (![...names].some((name) => flowText(rule, portNames(ofproto, name)) !== text)) continue;
      flows.push({
        flow: text,
        packets: rule.packets,
        bytes: rule.bytes,
        age: seconds(rule.createdMs),
        idle: seconds(rule.usedMs),
      });
    }
  const macs = [...ofproto.mac.entries()]
    .filter(({ port: bundle }) => bundle.ports.some(({ name }) => names.has(name)))
    .map(({ mac, vlan, seenMs }) => ({
      mac: formatMac(macFromNumber(mac)),
      vlan,
      age: seconds(seenMs),
    }));
  return {
    format: FORMAT,
    version: VERSION,
    bridge: bridge.name,
    port,
    database: {
      Port: values(row, COLUMNS.Port),
      Interface: interfaces,
      ...(qos === undefined ? {} : { QoS: values(qos, COLUMNS.QoS) }),
      ...(queues.length === 0 ? {} : { Queue: Object.fromEntries(queues) }),
      ...(mirrors.length === 0 ? {} : { Mirror: mirrors }),
    },
    macs,
    flows,
  };
}
