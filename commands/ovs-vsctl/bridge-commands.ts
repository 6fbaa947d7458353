/** Commands on bridges, real and fake. */
import { Exit, Fatal } from "../../src/lib/errors.ts";
import type { CtlCall, CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { leadingInteger, lines } from "../../src/ovsdb/ctl/text.ts";
import { Datum, mapGet, scalar } from "../../src/ovsdb/datum.ts";
import { type Bridge, Model, needModel, refSet } from "./model.ts";

/** The call as it was typed, for messages. */
export function callText({ command, args, options }: CtlCall): string {
  const shown = [...options].map(([name, value]) => (value === undefined ? name : `${name}=${value}`));
  return [...shown, command.name, ...args].join(" ");
}

const prepare = (_call: CtlCall, needs: Needs): void => needModel(needs);

const addBr: CtlCommand = {
  name: "add-br",
  min: 1,
  max: 3,
  syntax: "!NEW-BRIDGE ?PARENT ?NEW-VLAN",
  options: ["--may-exist"],
  writes: true,
  prepare,
  run(call, context) {
    const [name, parentName, vlanText] = call.args as [string, string?, string?];
    const model = Model.of(context);
    if (name === "") throw new Fatal("bridge name must not be empty string");
    if (parentName !== undefined && vlanText === undefined) {
      throw new Fatal("'add-br' command takes exactly 1 or 3 arguments");
    }
    const vlan = vlanText === undefined ? 0 : leadingInteger(vlanText);
    if (vlan < 0 || vlan > 4095) throw new Fatal("add-br: vlan must be between 0 and 4095");
    const known = model.bridges.get(name);
    if (known !== undefined && call.options.has("--may-exist")) {
      checkSame(call, known, parentName, vlan);
      return;
    }
    model.checkConflicts(name, `cannot create a bridge named ${name}`);
    if (parentName === undefined) addRealBridge(model, name);
    else addFakeBridge(model, name, parentName, vlan);
    model.fresh.push(name);
  },
};

/** --may-exist: the bridge must be the one that would have been made. */
function checkSame(
  call: CtlCall,
  { name, parent, vlan: has }: Bridge,
  want: string | undefined,
  vlan: number,
): void {
  const but = `"${callText(call)}" but ${name}`;
  if (want === undefined) {
    if (parent !== undefined) throw new Fatal(`${but} is a VLAN bridge for VLAN ${has}`);
    return;
  }
  if (parent === undefined) throw new Fatal(`${but} is not a VLAN bridge`);
  if (parent.name !== want) throw new Fatal(`${but} has the wrong parent ${parent.name}`);
  if (has !== vlan) throw new Fatal(`${but} is a VLAN bridge for the wrong VLAN ${has}`);
}

/** The name must be free. */
export function addRealBridge(model: Model, name: string): void {
  const { txn } = model.context;
  const iface = model.insertInterface(name, "internal");
  const port = txn.insertRow("Port");
  txn.write("Port", port, "name", scalar(name));
  txn.write("Port", port, "interfaces", scalar(iface));
  const uuid = txn.insertRow("Bridge");
  txn.write("Bridge", uuid, "name", scalar(name));
  txn.write("Bridge", uuid, "ports", scalar(port));
  const refs = txn.read("Open_vSwitch", model.root, "bridges").keys as readonly string[];
  txn.write("Open_vSwitch", model.root, "bridges", refSet([...refs, uuid]));
  const bridge = model.addBridge(name, uuid, undefined, 0);
  model.addInterface(name, iface, model.addPort(name, port, bridge));
}

function addFakeBridge(model: Model, name: string, parentName: string, vlan: number): void {
  const { txn } = model.context;
  const parent = model.bridges.get(parentName);
  if (parent !== undefined && parent.parent !== undefined) {
    throw new Fatal("cannot create bridge with fake bridge as parent");
  }
  if (parent === undefined) throw new Fatal(`parent bridge ${parentName} does not exist`);
  const twin = [...parent.children].find((child) => child.vlan === vlan);
  if (twin !== undefined) {
    throw new Fatal(`bridge ${parentName} already has a child VLAN bridge ${twin.name} on VLAN ${vlan}`);
  }
  const iface = model.insertInterface(name, "internal");
  const port = txn.insertRow("Port");
  txn.write("Port", port, "name", scalar(name));
  txn.write("Port", port, "interfaces", scalar(iface));
  txn.write("Port", port, "fake_bridge", scalar(true));
  txn.write("Port", port, "tag", scalar(vlan));
  model.linkPort(parent, port);
  const bridge = model.addBridge(name, parent.uuid, parent, vlan);
  model.addInterface(name, iface, model.addPort(name, port, bridge));
}

const delBr: CtlCommand = {
  name: "del-br",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  options: ["--if-exists"],
  writes: true,
  prepare,
  run(call, context) {
    const model = Model.of(context);
    const name = call.args[0]!;
    const bridge = call.options.has("--if-exists") ? model.bridges.get(name) : model.bridge(name);
    if (bridge !== undefined) model.deleteBridge(bridge);
  },
};

const listBr: CtlCommand = {
  name: "list-br",
  min: 0,
  max: 0,
  syntax: "",
  options: ["--real", "--fake"],
  writes: false,
  prepare,
  run(call, context) {
    const real = call.options.has("--real");
    const fake = call.options.has("--fake");
    const names = [...Model.of(context).bridges.values()]
      .filter((bridge) => real === fake || (bridge.parent === undefined) === real)
      .map((bridge) => bridge.name);
    call.output = lines(names);
  },
};

const brExists: CtlCommand = {
  name: "br-exists",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare,
  run(call, context) {
    if (!Model.of(context).bridges.has(call.args[0]!)) throw new Exit(2);
  },
};

const brToVlan: CtlCommand = {
  name: "br-to-vlan",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare,
  run(call, context) {
    call.output = `${Model.of(context).bridge(call.args[0]!).vlan}\n`;
  },
};

const brToParent: CtlCommand = {
  name: "br-to-parent",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare,
  run(call, context) {
    const bridge = Model.of(context).bridge(call.args[0]!);
    call.output = `${(bridge.parent ?? bridge).name}\n`;
  },
};

// External ids: a fake bridge keeps them in its port, behind a prefix.

const FAKE_PREFIX = "fake-bridge-";

function needExternalIds(_call: CtlCall, needs: Needs): void {
  needModel(needs);
  needs.columns("Bridge", "external_ids");
  needs.columns("Port", "external_ids");
}

function externalIds(context: CtlContext, name: string): { table: string; uuid: string; prefix: string } {
  const model = Model.of(context);
  const bridge = model.bridge(name);
  if (bridge.parent === undefined) return { table: "Bridge", uuid: bridge.uuid, prefix: "" };
  return { table: "Port", uuid: model.ports.get(name)!.uuid, prefix: FAKE_PREFIX };
}

const brSetExternalId: CtlCommand = {
  name: "br-set-external-id",
  min: 2,
  max: 3,
  syntax: "!BRIDGE !KEY ?VALUE",
  writes: true,
  prepare: needExternalIds,
  run(call, context) {
    const [name, key, value] = call.args as [string, string, string?];
    const { table, uuid, prefix } = externalIds(context, name);
    context.txn.verifyColumn(table, uuid, "external_ids");
    const pairs = new Map(pairsOf(context.txn.read(table, uuid, "external_ids")));
    if (value === undefined) pairs.delete(prefix + key);
    else pairs.set(prefix + key, value);
    context.set(table, uuid, "external_ids", mapOf(pairs));
  },
};

function pairsOf(datum: Datum): [string, string][] {
  return datum.keys.map((key, i) => [key as string, datum.values![i] as string]);
}

function mapOf(pairs: ReadonlyMap<string, string>): Datum {
  const keys = [...pairs.keys()].sort();
  return new Datum(
    keys,
    keys.map((key) => pairs.get(key)!),
  );
}

const brGetExternalId: CtlCommand = {
  name: "br-get-external-id",
  min: 1,
  max: 2,
  syntax: "!BRIDGE ?KEY",
  writes: false,
  prepare: needExternalIds,
  run(call, context) {
    const [name, key] = call.args as [string, string?];
    const { table, uuid, prefix } = externalIds(context, name);
    const ids = context.txn.read(table, uuid, "external_ids");
    if (key !== undefined) {
      const value = mapGet(ids, prefix + key);
      if (value !== undefined) call.output = `${value}\n`;
      return;
    }
    call.output = pairsOf(ids)
      .filter(([k]) => k.startsWith(prefix))
      .map(([k, v]) => `${k.slice(prefix.length)}=${v}\n`)
      .join("");
  },
};

export const BRIDGE_COMMANDS: readonly CtlCommand[] = [
  addBr,
  delBr,
  listBr,
  brExists,
  brToVlan,
  brToParent,
  brSetExternalId,
  brGetExternalId,
];
