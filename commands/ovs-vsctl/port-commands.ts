/** Commands on ports, bonds and interfaces. */
import { Fatal } from "../../src/lib/errors.ts";
import type { CtlCall, CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import { needColumns, setColumn } from "../../src/ovsdb/ctl/database-commands.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { lines } from "../../src/ovsdb/ctl/text.ts";
import { scalar } from "../../src/ovsdb/datum.ts";
import {
  addedPlain,
  CONFIRM,
  MIGRATE,
  needAddresses,
  needVerdict,
  portGoes,
  takePlace,
} from "./addresses.ts";
import { callText } from "./bridge-commands.ts";
import { type Interface, Model, needModel, type Port, refSet } from "./model.ts";

const ANY = Number.POSITIVE_INFINITY;
const prepare = (_call: CtlCall, needs: Needs): void => needModel(needs);

const listPorts: CtlCommand = {
  name: "list-ports",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare,
  run(call, context) {
    const bridge = Model.of(context).bridge(call.args[0]!);
    call.output = lines([...bridge.ports].map((port) => port.name).filter((name) => name !== bridge.name));
  },
};

const listIfaces: CtlCommand = {
  name: "list-ifaces",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare,
  run(call, context) {
    const bridge = Model.of(context).bridge(call.args[0]!);
    const names = [...bridge.ports].flatMap((port) => [...port.interfaces].map((iface) => iface.name));
    call.output = lines(names.filter((name) => name !== bridge.name));
  },
};

interface NewPort {
  readonly bridge: string;
  readonly name: string;
  readonly interfaces: readonly string[];
  readonly settings: readonly string[];
  readonly fakeInterface: boolean;
}

function addPort(call: CtlCall, context: CtlContext, wanted: NewPort): void {
  const model = Model.of(context);
  const { name } = wanted;
  if (name === "") throw new Fatal("port name must not be empty string");
  if (call.options.has("--may-exist")) {
    const known = model.findPort(name);
    if (known !== undefined) {
      checkSame(call, known, wanted);
      return;
    }
  }
  model.checkConflicts(name, `cannot create a port named ${name}`);
  for (const iface of wanted.interfaces) {
    if (iface === "") throw new Fatal("interface name must not be empty string");
    model.checkConflicts(iface, `cannot create an interface named ${iface}`);
  }
  insertPort(context, wanted);
}

/** The names must be free. */
export function insertPort(context: CtlContext, wanted: NewPort): void {
  const model = Model.of(context);
  const { txn } = context;
  const { name } = wanted;
  const bridge = model.bridge(wanted.bridge);
  const rows = wanted.interfaces.map((iface) => model.insertInterface(iface, ""));
  const uuid = txn.insertRow("Port");
  txn.write("Port", uuid, "name", scalar(name));
  txn.write("Port", uuid, "interfaces", refSet(rows));
  if (wanted.fakeInterface) txn.write("Port", uuid, "bond_fake_iface", scalar(true));
  if (bridge.parent !== undefined) txn.write("Port", uuid, "tag", scalar(bridge.vlan));
  for (const setting of wanted.settings) setColumn(context, "Port", uuid, setting);
  model.linkPort(bridge, uuid);
  const port = model.addPort(name, uuid, bridge);
  wanted.interfaces.forEach((iface, i) => {
    model.addInterface(iface, rows[i]!, port);
  });
  model.fresh.push(...wanted.interfaces);
}

/** --may-exist: the port must be the one that would have been made. */
function checkSame(call: CtlCall, known: Port, wanted: NewPort): void {
  const but = `"${callText(call)}" but ${known.name}`;
  if (known.bridge.name !== wanted.bridge) {
    throw new Fatal(`${but} is actually attached to bridge ${known.bridge.name}`);
  }
  const has = [...known.interfaces].map((iface) => iface.name).sort();
  const want = [...wanted.interfaces].sort();
  if (has.join("\n") !== want.join("\n")) {
    throw new Fatal(`${but} actually has interface(s) ${has.join(", ")}`);
  }
}

const addPortCommand: CtlCommand = {
  name: "add-port",
  min: 2,
  max: ANY,
  syntax: "!BRIDGE !NEW-PORT *COLUMN?:KEY=VALUE",
  options: ["--may-exist", MIGRATE, `${CONFIRM}=`],
  writes: true,
  prepare(call, needs) {
    needModel(needs);
    needColumns(needs, "Port", call.args.slice(2));
    if (call.options.has(MIGRATE)) needVerdict(needs);
  },
  run(call, context) {
    const [bridge, name, ...settings] = call.args as [string, string, ...string[]];
    const seconds = call.options.get(CONFIRM);
    const migrates = call.options.has(MIGRATE);
    if (seconds !== undefined && !migrates) throw new Fatal(`${CONFIRM} goes with ${MIGRATE}`);
    addPort(call, context, { bridge, name, interfaces: [name], settings, fakeInterface: false });
    const model = Model.of(context);
    if (migrates) takePlace(context, model.bridge(bridge), name, seconds);
    else addedPlain(context, model.bridge(bridge), name);
  },
};

/** Interfaces are all up to the first word with "=". */
function bondInterfaces(args: readonly string[]): number {
  const first = args.findIndex((arg, i) => i >= 2 && arg.includes("="));
  return first < 0 ? args.length : first;
}

const addBond: CtlCommand = {
  name: "add-bond",
  min: 4,
  max: ANY,
  syntax: "!BRIDGE !BOND +IFACE *COLUMN?:KEY=VALUE",
  options: ["--may-exist", "--fake-iface"],
  writes: true,
  prepare(call, needs) {
    needModel(needs);
    needColumns(needs, "Port", call.args.slice(bondInterfaces(call.args)));
  },
  run(call, context) {
    const [bridge, name] = call.args as [string, string];
    const end = bondInterfaces(call.args);
    const interfaces = call.args.slice(2, end);
    if (interfaces.length < 2) {
      throw new Fatal(
        `add-bond requires at least 2 interfaces, but only ${interfaces.length} were specified`,
      );
    }
    const fakeInterface = call.options.has("--fake-iface");
    addPort(call, context, { bridge, name, interfaces, settings: call.args.slice(end), fakeInterface });
  },
};

const addBondIface: CtlCommand = {
  name: "add-bond-iface",
  min: 2,
  max: 2,
  syntax: "!BOND !IFACE",
  options: ["--may-exist"],
  writes: true,
  prepare,
  run(call, context) {
    const [bond, name] = call.args as [string, string];
    if (name === "") throw new Fatal("interface name must not be empty string");
    const model = Model.of(context);
    const port = model.port(bond);
    if (call.options.has("--may-exist")) {
      const known = model.findInterface(name);
      if (known !== undefined) {
        if (known.port === port) return;
        throw new Fatal(`"${callText(call)}" but ${name} is actually attached to port ${known.port.name}`);
      }
    }
    model.checkConflicts(name, `cannot create an interface named ${name}`);
    const uuid = model.insertInterface(name, "");
    const refs = context.txn.read("Port", port.uuid, "interfaces").keys as readonly string[];
    context.set("Port", port.uuid, "interfaces", refSet([...refs, uuid]));
    model.addInterface(name, uuid, port);
    model.fresh.push(name);
  },
};

const delBondIface: CtlCommand = {
  name: "del-bond-iface",
  min: 1,
  max: 2,
  syntax: "?BOND !IFACE",
  options: ["--if-exists"],
  writes: true,
  prepare,
  run(call, context) {
    const model = Model.of(context);
    const name = call.args.at(-1)!;
    const port = call.args.length === 2 ? model.port(call.args[0]!) : undefined;
    const iface = call.options.has("--if-exists") ? model.findInterface(name) : model.interface(name);
    if (iface === undefined) return;
    if (port !== undefined && iface.port !== port) {
      throw new Fatal(`port ${port.name} does not have an interface ${name}`);
    }
    if (iface.port.interfaces.size === 1) {
      throw new Fatal(`cannot delete last interface from port ${iface.port.name}`);
    }
    model.verifyPorts();
    const { uuid } = iface.port;
    const refs = context.txn.read("Port", uuid, "interfaces").keys as readonly string[];
    context.set("Port", uuid, "interfaces", refSet(refs.filter((ref) => ref !== iface.uuid)));
    context.txn.deleteRow("Interface", iface.uuid);
    iface.port.interfaces.delete(iface);
    model.interfaces.delete(name);
  },
};

const delPort: CtlCommand = {
  name: "del-port",
  min: 1,
  max: 2,
  syntax: "?BRIDGE !PORT|IFACE",
  options: ["--if-exists", "--with-iface", MIGRATE],
  writes: true,
  prepare(_call, needs) {
    needModel(needs);
    needAddresses(needs);
  },
  run(call, context) {
    const model = Model.of(context);
    const target = call.args.at(-1)!;
    const mustExist = !call.options.has("--if-exists");
    const local = model.bridges.get(target);
    if (local !== undefined) {
      if (!mustExist) return;
      throw new Fatal(
        `cannot delete port ${target} because it is the local port for bridge ${target} (deleting this port requires deleting the entire bridge)`,
      );
    }
    const withIface = call.options.has("--with-iface");
    const port = model.findPort(target) ?? (withIface ? model.findInterface(target)?.port : undefined);
    const bridge = call.args.length === 2 ? model.bridge(call.args[0]!) : undefined;
    if (port === undefined) {
      if (!mustExist) return;
      throw new Fatal(withIface ? `no port or interface named ${target}` : `no port named ${target}`);
    }
    if (bridge !== undefined && port.bridge !== bridge) {
      const lacks = `bridge ${bridge.name} does not have a port ${target}`;
      const child = port.bridge.parent === bridge;
      throw new Fatal(child ? `${lacks} (although its child bridge ${port.bridge.name} does)` : lacks);
    }
    model.verifyPorts();
    portGoes(context, port.bridge, port.name, call.options.has(MIGRATE));
    model.deletePort(port);
  },
};

const portToBr: CtlCommand = {
  name: "port-to-br",
  min: 1,
  max: 1,
  syntax: "!PORT",
  writes: false,
  prepare,
  run(call, context) {
    call.output = `${Model.of(context).port(call.args[0]!).bridge.name}\n`;
  },
};

const ifaceToBr: CtlCommand = {
  name: "iface-to-br",
  min: 1,
  max: 1,
  syntax: "!IFACE",
  writes: false,
  prepare,
  run(call, context) {
    const iface: Interface = Model.of(context).interface(call.args[0]!);
    call.output = `${iface.port.bridge.name}\n`;
  },
};

export const PORT_COMMANDS: readonly CtlCommand[] = [
  listPorts,
  addPortCommand,
  addBond,
  delPort,
  portToBr,
  addBondIface,
  delBondIface,
  listIfaces,
  ifaceToBr,
];
