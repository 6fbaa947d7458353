/**
 * A port's network state in another switch: flows first, under the number that the port is going to have, then the
 * rows, in one transaction, so that no packet of the port meets tables that do not know it; then what had been learned.
 */
import type { PortNames } from "../../flow/ports-text.ts";
import { Fatal } from "../../lib/errors.ts";
import type { Json } from "../../lib/json.ts";
import { macToNumber, parseMac } from "../../lib/mac.ts";
import { OFPRR_DELETE } from "../../ofproto/flow-mods.ts";
import { checkReferences } from "../../ofproto/handlers/groups.ts";
import type { Ofproto } from "../../ofproto/ofproto.ts";
import { RULE_INSERTED, type Rule } from "../../ofproto/rule.ts";
import { OfpError } from "../../openflow/errors.ts";
import { type FlowMod, OFPFC_ADD } from "../../openflow/messages.ts";
import { parseFlow } from "../../openflow/text/flow-parse.ts";
import type { Idl, Transaction } from "../../ovsdb/idl.ts";
import type { Ref } from "../../ovsdb/idl-types.ts";
import type { Bridge } from "../bridge.ts";
import type { OpenVswitchSchema } from "../schema/index.ts";
import type { PortState, RowValues } from "./document.ts";
import { COLUMNS } from "./export.ts";

type Table = keyof typeof COLUMNS;
type Txn = Transaction<OpenVswitchSchema>;

export interface ImportReport {
  readonly ofport: number;
  readonly flows: number;
  readonly macs: number;
  /** What could not move, and why. */
  readonly left: string[];
}

export interface ImportContext {
  readonly idl: Idl<OpenVswitchSchema>;
  readonly bridge: Bridge;
  /** Resolves when the switch has done what it can with that interface. */
  readonly applied: (iface: string) => Promise<void>;
}

function written(values: RowValues, table: Table, left: string[]): object {
  const out: Record<string, unknown> = {};
  for (const [column, value] of Object.entries(values)) {
    if (!(COLUMNS[table] as readonly string[]).includes(column)) {
      left.push(`${table}.${column}: not a column that moves`);
      continue;
    }
    if (Array.isArray(value)) out[column] = new Set(value);
    else if (value !== null && typeof value === "object") out[column] = new Map(Object.entries(value));
    else out[column] = value;
  }
  return out;
}

function freePort(bridge: Bridge): number {
  let number = 1;
  for (const { ofPort } of bridge.ofproto.portsByNumber())
    if (ofPort < 0xff00) number = Math.max(number, ofPort + 1);
  return number;
}

/** All flows that this switch takes, in one turn of the loop. */
function addFlows(ofproto: Ofproto, state: PortState, number: number, left: string[]): Rule[] {
  const own = new Set(state.database.Interface.map(({ name }) => name as string));
  const ports: PortNames = {
    numberOf: (name) => (own.has(name) ? number : ofproto.portByName(name)?.ofPort),
    nameOf: () => undefined,
  };
  const mods: { mod: FlowMod; flow: PortState["flows"][number] }[] = [];
  for (const flow of state.flows) {
    try {
      const { fm } = parseFlow(flow.flow, OFPFC_ADD, { ports });
      const placed = { match: ofproto.tlvs.place(fm.match), actions: ofproto.tlvs.resolve(fm.actions) };
      mods.push({ mod: { ...fm, ...placed }, flow });
    } catch (error) {
      left.push(`flow "${flow.flow}": ${error instanceof OfpError ? error.ofp : (error as Error).message}`);
    }
  }
  const { flows } = ofproto;
  for (let i = 0; i < mods.length; ) {
    flows.begin();
    try {
      for (i = 0; i < mods.length; i++) {
        const { mod } = mods[i]!;
        checkReferences(ofproto, mod.actions);
        flows.apply(mod);
      }
      flows.commit();
    } catch (error) {
      flows.rollback();
      if (!(error instanceof OfpError)) throw error;
      left.push(`flow "${mods[i]!.flow.flow}": ${error.ofp}`);
      mods.splice(i, 1);
      i = 0;
    }
  }
  const now = ofproto.clock.now();
  const added: Rule[] = [];
  for (const { mod, flow } of mods) {
    const rule = ofproto.tables[mod.table === 255 ? 0 : mod.table]!.findExact(mod.match, mod.priority);
    if (rule === undefined) continue;
    added.push(rule);
    rule.packets = flow.packets;
    rule.bytes = flow.bytes;
    rule.createdMs = now - flow.age * 1000;
    rule.modifiedMs = rule.createdMs;
    rule.usedMs = now - flow.idle * 1000;
  }
  ofproto.backer.handleChanges();
  return added;
}

function insertRows(txn: Txn, bridge: Bridge, state: PortState, left: string[]): void {
  const { database } = state;
  const insert = <T extends Table>(table: T, values: RowValues, more: object = {}): Ref<T> =>
    txn.insert(table, { ...written(values, table, left), ...more } as never);
  const interfaces = database.Interface.map((values) => insert("Interface", values));
  let qos: Ref<"QoS"> | undefined;
  if (database.QoS !== undefined) {
    const queues = Object.entries(database.Queue ?? {}).map(
      ([number, values]) => [Number(number), insert("Queue", values)] as const,
    );
    qos = insert("QoS", database.QoS, { queues: new Map(queues) });
  }
  const port = insert("Port", database.Port, {
    name: state.port,
    interfaces: new Set(interfaces),
    ...(qos === undefined ? {} : { qos }),
  });
  txn.add("Bridge", bridge.config.uuid, "ports", new Set([port]) as never);
  const mirrors = new Map(bridge.config.mirrors.map((mirror) => [mirror.name, mirror.uuid]));
  for (const { name, selects } of database.Mirror ?? []) {
    const uuid = mirrors.get(name);
    if (uuid === undefined) left.push(`mirror ${name}: ${bridge.name} has none of that name`);
    else {
      if (selects.includes("src")) txn.add("Mirror", uuid, "select_src_port", new Set([port]) as never);
      if (selects.includes("dst")) txn.add("Mirror", uuid, "select_dst_port", new Set([port]) as never);
      if (selects.includes("output")) txn.update("Mirror", uuid, { output_port: port });
    }
  }
}

export async function importPort(context: ImportContext, state: PortState): Promise<ImportReport> {
  const { idl, bridge } = context;
  const { ofproto } = bridge;
  const left: string[] = [];
  const taken = new Set([...idl.rows("Port")].map(({ name }) => name));
  for (const { name } of idl.rows("Interface")) taken.add(name);
  for (const name of [state.port, ...state.database.Interface.map((one) => one.name as string)])
    if (taken.has(name))
      throw new Fatal(`cannot import ${state.port}: there is a port or interface ${name} already`);

  const number = freePort(bridge);
  bridge.reserve(state.database.Interface[0]?.name as string, number);
  const flows = addFlows(ofproto, state, number, left);
  try {
    const txn = idl.transaction();
    insertRows(txn, bridge, state, left);
    txn.comment(`port-state/import ${bridge.name} ${state.port}`);
    const result = await txn.commit();
    if (result.status !== "success" && result.status !== "unchanged")
      throw new Fatal(`cannot import ${state.port}: ${result.error ?? result.status}`);
  } catch (error) {
    // They name a port that does not come.
    for (const rule of flows) if (rule.state === RULE_INSERTED) ofproto.flows.remove(rule, OFPRR_DELETE);
    ofproto.backer.handleChanges();
    throw error;
  }
  const first = state.database.Interface[0]?.name as string;
  await context.applied(first);

  const device = bridge.iface(first);
  const bundle = [...ofproto.bundles()].find(({ ports }) =>
    ports.some(({ ofPort }) => ofPort === device?.ofport),
  );
  let macs = 0;
  if (device === undefined)
    left.push(`${state.port}: there is no such device yet; it is attached when it comes`);
  if (device !== undefined && device.ofport !== number)
    left.push(`flows: the port came as number ${device.ofport}, not ${number}`);
  for (const { mac, vlan, age } of state.macs) {
    if (bundle === undefined) {
      left.push(`learned address ${mac}`);
      continue;
    }
    ofproto.refreshMac(macToNumber(parseMac(mac)!), vlan, bundle, ofproto.clock.now() - age * 1000);
    macs++;
  }
  return { ofport: number, flows: flows.length, macs, left };
}

export function reportText(port: string, report: ImportReport): string {
  const lines = [
    `${port}: OpenFlow port ${report.ofport}, ${report.flows} flows, ${report.macs} learned addresses`,
  ];
  for (const one of report.left) lines.push(`  left behind: ${one}`);
  return `${lines.join("\n")}\n`;
}

export const reportJson = (report: ImportReport): Json => ({ ...report });
