/** Commands on datapaths: conntrack zones' timeout policies and limits, capabilities. */
import { Fatal } from "../../src/lib/errors.ts";
import type { Atom } from "../../src/ovsdb/atom.ts";
import type { CtlCall, CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { leadingInteger } from "../../src/ovsdb/ctl/text.ts";
import { Datum, EMPTY_SET, equalDatums, makeDatum, mapGet, scalar } from "../../src/ovsdb/datum.ts";
import { rootRow } from "./model.ts";

const UINT32_MAX = 4294967295;

function prepare(_call: CtlCall, needs: Needs): void {
  needs.columns("Open_vSwitch", "datapaths");
  needs.columns("Datapath", "ct_zones", "ct_zone_default_limit");
  needs.columns("CT_Zone", "timeout_policy", "limit");
  needs.columns("CT_Timeout_Policy", "timeouts");
}

function findDatapath(context: CtlContext, name: string): string | undefined {
  const uuid = mapGet(context.txn.read("Open_vSwitch", rootRow(context), "datapaths"), name) as string;
  return uuid !== undefined && context.txn.has("Datapath", uuid) ? uuid : undefined;
}

function datapath(context: CtlContext, name: string): string {
  const uuid = findDatapath(context, name);
  if (uuid === undefined) throw new Fatal(`datapath ${name} does not exist`);
  return uuid;
}

function findZone(context: CtlContext, dp: string, zone: number): string | undefined {
  const uuid = mapGet(context.txn.read("Datapath", dp, "ct_zones"), zone) as string | undefined;
  return uuid !== undefined && context.txn.has("CT_Zone", uuid) ? uuid : undefined;
}

function insertZone(context: CtlContext, dp: string, zone: number): string {
  const { txn } = context;
  const uuid = txn.insertRow("CT_Zone");
  txn.put("Datapath", dp, "ct_zones", new Datum([zone], [uuid]));
  return uuid;
}

/** Zones of a datapath, by number. */
function zones(context: CtlContext, dp: string): [Atom, string][] {
  const { keys, values } = context.txn.read("Datapath", dp, "ct_zones");
  return keys.map((zone, i) => [zone, values![i] as string]);
}

/** "zone=N" */
function policyZone(text: string): number {
  if (!/^zone=\s*[-+]?\d/.test(text)) throw new Fatal(`invalid zone argument, ${text}`);
  return Number.parseInt(text.slice(5), 10);
}

/** KEY=VALUE words; what is no number counts as 0. */
function timeouts(words: readonly string[]): Datum {
  const pairs = new Map<Atom, Atom>();
  for (const word of words) {
    const equals = word.indexOf("=");
    if (equals < 0) pairs.set(word, 0);
    else pairs.set(word.slice(0, equals), leadingInteger(word.slice(equals + 1)));
  }
  return makeDatum([...pairs.keys()], [...pairs.values()], "drop");
}

const addZoneTp: CtlCommand = {
  name: "add-zone-tp",
  min: 3,
  max: 18,
  syntax: "",
  options: ["--may-exist"],
  writes: true,
  prepare,
  run(call, context) {
    const { txn } = context;
    const zone = policyZone(call.args[1]!);
    const dp = datapath(context, call.args[0]!);
    const known = findZone(context, dp, zone);
    const has = known !== undefined && txn.read("CT_Zone", known, "timeout_policy").keys.length > 0;
    if (has && !call.options.has("--may-exist")) throw new Fatal(`zone id ${zone} already has a policy`);
    const wanted = timeouts(call.args.slice(2));
    const row = known ?? insertZone(context, dp, zone);
    txn.write("CT_Zone", row, "timeout_policy", scalar(policy(context, wanted)));
  },
};

/** The row with these timeouts: one that is there, or a new one. */
function policy(context: CtlContext, wanted: Datum): string {
  const { txn } = context;
  for (const uuid of txn.uuids("CT_Timeout_Policy")) {
    if (equalDatums(txn.read("CT_Timeout_Policy", uuid, "timeouts"), wanted)) return uuid;
  }
  const uuid = txn.insertRow("CT_Timeout_Policy");
  txn.write("CT_Timeout_Policy", uuid, "timeouts", wanted);
  return uuid;
}

const delZoneTp: CtlCommand = {
  name: "del-zone-tp",
  min: 2,
  max: 2,
  syntax: "",
  options: ["--if-exists"],
  writes: true,
  prepare,
  run(call, context) {
    const { txn } = context;
    const zone = policyZone(call.args[1]!);
    const dp = datapath(context, call.args[0]!);
    const row = findZone(context, dp, zone);
    if (row === undefined || txn.read("CT_Zone", row, "timeout_policy").keys.length === 0) {
      if (call.options.has("--if-exists")) return;
      throw new Fatal(`zone id ${zone} does not have a policy`);
    }
    if (txn.read("CT_Zone", row, "limit").keys.length > 0)
      txn.write("CT_Zone", row, "timeout_policy", EMPTY_SET);
    else txn.cut("Datapath", dp, "ct_zones", [zone]);
  },
};

const listZoneTp: CtlCommand = {
  name: "list-zone-tp",
  min: 1,
  max: 1,
  syntax: "",
  writes: false,
  prepare,
  run(call, context) {
    const dp = findDatapath(context, call.args[0]!);
    if (dp === undefined) throw new Fatal(`datapath: ${call.args[0]} record not found`);
    for (const [zone, row] of zones(context, dp)) {
      const [uuid] = context.refs("CT_Zone", row, "timeout_policy", "CT_Timeout_Policy");
      let shown = "system default";
      if (uuid !== undefined) {
        const { keys, values } = context.txn.read("CT_Timeout_Policy", uuid, "timeouts");
        shown = keys.map((key, i) => `${key}=${values![i]}`).join(" ");
      }
      call.output += `Zone:${zone}, Timeout Policies: ${shown}\n`;
    }
  },
};

/** "default" or a zone's number. */
function limitZone(text: string): number | "default" {
  if (text === "default") return "default";
  if (!/^\s*[-+]?\d/.test(text)) throw new Fatal(`invalid zone id, ${text}`);
  const zone = Number.parseInt(text, 10);
  if (zone < 0 || zone > 65535) throw new Fatal(`zone_id (${zone}) out of range`);
  return zone;
}

const setZoneLimit: CtlCommand = {
  name: "set-zone-limit",
  min: 3,
  max: 3,
  syntax: "!ARG !ARG !ARG",
  writes: true,
  prepare,
  run(call, context) {
    const { txn } = context;
    const zone = limitZone(call.args[1]!);
    if (!/^\s*[-+]?\d/.test(call.args[2]!)) throw new Fatal(`invalid limit, ${call.args[2]}`);
    const limit = Number.parseInt(call.args[2]!, 10);
    if (limit < 0 || limit > UINT32_MAX) throw new Fatal(`limit (${limit}) out of range`);
    const dp = datapath(context, call.args[0]!);
    if (zone === "default") txn.write("Datapath", dp, "ct_zone_default_limit", scalar(limit));
    else {
      const row = findZone(context, dp, zone) ?? insertZone(context, dp, zone);
      txn.write("CT_Zone", row, "limit", scalar(limit));
    }
  },
};

const delZoneLimit: CtlCommand = {
  name: "del-zone-limit",
  min: 2,
  max: 2,
  syntax: "!ARG !ARG",
  options: ["--if-exists"],
  writes: true,
  prepare,
  run(call, context) {
    const { txn } = context;
    const zone = limitZone(call.args[1]!);
    const name = call.args[0]!;
    const dp = datapath(context, name);
    const mustExist = !call.options.has("--if-exists");
    if (zone === "default") {
      if (txn.read("Datapath", dp, "ct_zone_default_limit").keys.length > 0) {
        txn.write("Datapath", dp, "ct_zone_default_limit", EMPTY_SET);
      } else if (mustExist) throw new Fatal(`datapath ${name} does not have a limit`);
      return;
    }
    const row = findZone(context, dp, zone);
    if (row === undefined || txn.read("CT_Zone", row, "limit").keys.length === 0) {
      if (mustExist) throw new Fatal(`zone_id ${zone} does not have a limit`);
      return;
    }
    if (txn.read("CT_Zone", row, "timeout_policy").keys.length > 0)
      txn.write("CT_Zone", row, "limit", EMPTY_SET);
    else txn.cut("Datapath", dp, "ct_zones", [zone]);
  },
};

const listZoneLimits: CtlCommand = {
  name: "list-zone-limits",
  min: 1,
  max: 1,
  syntax: "!ARG",
  writes: false,
  prepare,
  run(call, context) {
    const dp = findDatapath(context, call.args[0]!);
    if (dp === undefined) throw new Fatal(`datapath: ${call.args[0]} record not found`);
    const preset = context.atom("Datapath", dp, "ct_zone_default_limit");
    if (preset !== undefined) call.output += `Default, Limit: ${preset}\n`;
    for (const [zone, row] of zones(context, dp)) {
      const limit = context.atom("CT_Zone", row, "limit");
      if (limit !== undefined) call.output += `Zone: ${zone}, Limit: ${limit}\n`;
    }
  },
};

const listDpCap: CtlCommand = {
  name: "list-dp-cap",
  min: 1,
  max: 1,
  syntax: "",
  writes: false,
  prepare(_call, needs) {
    needs.columns("Open_vSwitch", "datapaths");
    needs.columns("Datapath", "capabilities");
  },
  run(call, context) {
    const dp = findDatapath(context, call.args[0]!);
    if (dp === undefined) throw new Fatal(`datapath "${call.args[0]}" record not found`);
    const { keys, values } = context.txn.read("Datapath", dp, "capabilities");
    call.output = `${keys.map((key, i) => `${key}=${values![i]}`).join(" ")}\n`;
  },
};

export const ZONE_COMMANDS: readonly CtlCommand[] = [
  addZoneTp,
  delZoneTp,
  listZoneTp,
  setZoneLimit,
  delZoneLimit,
  listZoneLimits,
  listDpCap,
];
