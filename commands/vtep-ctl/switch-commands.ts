/** Commands on what has a name: physical switches and their ports, logical switches and routers; and show. */
import { Exit, Fatal } from "../../src/lib/errors.ts";
import type { CtlCall, CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { showCommand } from "../../src/ovsdb/ctl/show.ts";
import { lines } from "../../src/ovsdb/ctl/text.ts";
import { Datum, scalar } from "../../src/ovsdb/datum.ts";
import { Model, rootRow } from "./model.ts";

const show = showCommand({
  Global: { name: undefined, columns: ["managers", "switches"] },
  Manager: { name: "target", columns: ["is_connected"] },
  Physical_Switch: { name: "name", columns: ["management_ips", "tunnel_ips", "ports"] },
  Physical_Port: { name: "name", columns: ["vlan_bindings"] },
  Logical_Switch: { name: "name", columns: [] },
});

// add-, del-, list- and -exists

interface Named {
  readonly table: "Physical_Switch" | "Logical_Switch" | "Logical_Router";
  /** In names of commands and in messages. */
  readonly short: string;
  readonly noun: string;
  readonly argument: string;
  /** The column of Global that the rows hang on, where they do not live by themselves. */
  readonly column?: string;
}

function namedCommands({ table, short, noun, argument, column }: Named): readonly CtlCommand[] {
  const syntax = `!${argument}`;
  const prepare = (_call: CtlCall, needs: Needs): void => needs.columns(table, "name");
  const prepareWrite = (call: CtlCall, needs: Needs): void => {
    prepare(call, needs);
    if (column !== undefined) needs.columns("Global", column);
  };
  return [
    {
      name: `add-${short}`,
      min: 1,
      max: 1,
      syntax,
      options: ["--may-exist"],
      writes: true,
      prepare: prepareWrite,
      run(call, context) {
        const model = Model.of(context);
        const name = call.args[0]!;
        if (model.find(table, name) !== undefined) {
          if (call.options.has("--may-exist")) return;
          throw new Fatal(`cannot create ${noun} ${name} because it already exists`);
        }
        const uuid = model.insert(table, name);
        if (column !== undefined) model.relink("Global", rootRow(context), column, { add: uuid });
      },
    },
    {
      name: `del-${short}`,
      min: 1,
      max: 1,
      syntax,
      options: ["--if-exists"],
      writes: true,
      prepare: prepareWrite,
      run(call, context) {
        const model = Model.of(context);
        const name = call.args[0]!;
        const uuid = model.find(table, name);
        if (uuid === undefined) {
          if (call.options.has("--if-exists")) return;
          throw new Fatal(`no ${noun} named ${name}`);
        }
        if (column !== undefined) model.relink("Global", rootRow(context), column, { remove: uuid });
        model.delete(table, uuid);
      },
    },
    {
      name: `list-${short}`,
      min: 0,
      max: 0,
      syntax: "",
      writes: false,
      prepare,
      run(call, context) {
        call.output = lines(Model.of(context).names(table));
      },
    },
    {
      name: `${short}-exists`,
      min: 1,
      max: 1,
      syntax,
      writes: false,
      prepare,
      run(call, context) {
        if (Model.of(context).find(table, call.args[0]!) === undefined) throw new Exit(2);
      },
    },
  ];
}

// Ports

function needPorts(_call: CtlCall, needs: Needs): void {
  needs.columns("Physical_Switch", "name", "ports");
  needs.columns("Physical_Port", "name");
}

function physicalSwitch(model: Model, name: string): string {
  const uuid = model.find("Physical_Switch", name);
  if (uuid === undefined) throw new Fatal(`no physical switch named ${name}`);
  return uuid;
}

const listPorts: CtlCommand = {
  name: "list-ports",
  min: 1,
  max: 1,
  syntax: "!PSWITCH",
  writes: false,
  prepare: needPorts,
  run(call, context) {
    const owner = physicalSwitch(Model.of(context), call.args[0]!);
    const ports = context.refs("Physical_Switch", owner, "ports", "Physical_Port");
    call.output = lines(ports.map((port) => context.text("Physical_Port", port, "name")));
  },
};

const addPort: CtlCommand = {
  name: "add-port",
  min: 2,
  max: 2,
  syntax: "!PSWITCH !PORT",
  options: ["--may-exist"],
  writes: true,
  prepare: needPorts,
  run(call, context) {
    const { txn } = context;
    const [switchName, name] = call.args as [string, string];
    const model = Model.of(context);
    const owner = physicalSwitch(model, switchName);
    if (model.findPort(switchName, name) !== undefined) {
      if (call.options.has("--may-exist")) return;
      throw new Fatal(
        `cannot create a port named ${name} on ${switchName} because a port with that name already exists`,
      );
    }
    const port = txn.insertRow("Physical_Port");
    txn.write("Physical_Port", port, "name", scalar(name));
    model.relink("Physical_Switch", owner, "ports", { add: port });
  },
};

const delPort: CtlCommand = {
  name: "del-port",
  min: 2,
  max: 2,
  syntax: "!PSWITCH !PORT",
  options: ["--if-exists"],
  writes: true,
  prepare: needPorts,
  run(call, context) {
    const [switchName, name] = call.args as [string, string];
    const model = Model.of(context);
    const port = call.options.has("--if-exists")
      ? model.findPort(switchName, name)
      : model.port(switchName, name);
    if (port === undefined) return;
    // The row goes with its last reference: a database may have hung it on another switch too.
    model.relink("Physical_Switch", physicalSwitch(model, switchName), "ports", { remove: port });
  },
};

// VLANs of ports bound to logical switches

function needBindings(call: CtlCall, needs: Needs): void {
  needPorts(call, needs);
  needs.columns("Physical_Port", "vlan_bindings");
  needs.columns("Logical_Switch", "name");
}

/**
 * Undefined: no number. Out of range, the server says so. (The original reads any text, what is no number as 0, and
 * with a leading zero as octal, so that it does not find again what its own list-bindings prints.)
 */
function vlanArgument(text: string): number | undefined {
  return /^[-+]?\d+$|^0x[0-9a-f]+$/i.test(text) ? Number(text) : undefined;
}

const bindLs: CtlCommand = {
  name: "bind-ls",
  min: 4,
  max: 4,
  syntax: "!PSWITCH !PORT !VLAN !LSWITCH",
  writes: true,
  prepare: needBindings,
  run(call, context) {
    const { txn } = context;
    const [switchName, portName, vlanText, logicalName] = call.args as [string, string, string, string];
    const model = Model.of(context);
    const port = model.port(switchName, portName);
    const logical = model.logicalSwitch(logicalName);
    const vlan = vlanArgument(vlanText);
    if (vlan === undefined) throw new Fatal(`bind-ls: vlan "${vlanText}" is not a number`);
    if (txn.read("Physical_Port", port, "vlan_bindings").keys.includes(vlan)) {
      throw new Fatal(`multiple bindings for vlan ${vlanText}`);
    }
    txn.verifyColumn("Physical_Port", port, "vlan_bindings");
    txn.put("Physical_Port", port, "vlan_bindings", new Datum([vlan], [logical]));
  },
};

const unbindLs: CtlCommand = {
  name: "unbind-ls",
  min: 3,
  max: 3,
  syntax: "!PSWITCH !PORT !VLAN",
  writes: true,
  prepare: needBindings,
  run(call, context) {
    const { txn } = context;
    const [switchName, portName, vlanText] = call.args as [string, string, string];
    const port = Model.of(context).port(switchName, portName);
    const vlan = vlanArgument(vlanText);
    if (vlan === undefined || !txn.read("Physical_Port", port, "vlan_bindings").keys.includes(vlan)) {
      throw new Fatal(`no binding for vlan ${vlanText}`);
    }
    txn.cut("Physical_Port", port, "vlan_bindings", [vlan]);
  },
};

const listBindings: CtlCommand = {
  name: "list-bindings",
  min: 2,
  max: 2,
  syntax: "!PSWITCH !PORT",
  writes: false,
  prepare: needBindings,
  run(call, context) {
    const [switchName, portName] = call.args as [string, string];
    const port = Model.of(context).port(switchName, portName);
    const { keys, values } = context.txn.read("Physical_Port", port, "vlan_bindings");
    call.output = lines(
      keys.map((vlan, i) => {
        const name = context.text("Logical_Switch", values![i] as string, "name");
        return `${String(vlan).padStart(4, "0")} ${name}`;
      }),
    );
  },
};

// Replication mode

const REPLICATION_MODES: readonly string[] = ["service_node", "source_node"];

function needReplicationMode(_call: CtlCall, needs: Needs): void {
  needs.columns("Logical_Switch", "name", "replication_mode");
}

const setReplicationMode: CtlCommand = {
  name: "set-replication-mode",
  min: 2,
  max: 2,
  syntax: "!LSWITCH !MODE",
  writes: true,
  prepare: needReplicationMode,
  run(call, context) {
    const [name, mode] = call.args as [string, string];
    if (!REPLICATION_MODES.includes(mode)) {
      throw new Fatal("Replication mode must be 'service_node' or 'source_node'");
    }
    const uuid = Model.of(context).logicalSwitch(name);
    context.set("Logical_Switch", uuid, "replication_mode", scalar(mode));
  },
};

const getReplicationMode: CtlCommand = {
  name: "get-replication-mode",
  min: 1,
  max: 1,
  syntax: "!LSWITCH",
  writes: false,
  prepare: needReplicationMode,
  run(call, context) {
    const uuid = Model.of(context).logicalSwitch(call.args[0]!);
    // Its manual promises an empty answer where none is set; this is what the original prints, and scripts know.
    call.output = `${context.atom("Logical_Switch", uuid, "replication_mode") ?? "(null)"}\n`;
  },
};

export const SWITCH_COMMANDS: readonly CtlCommand[] = [
  show,
  ...namedCommands({
    table: "Physical_Switch",
    short: "ps",
    noun: "physical switch",
    argument: "PSWITCH",
    column: "switches",
  }),
  listPorts,
  addPort,
  delPort,
  ...namedCommands({ table: "Logical_Switch", short: "ls", noun: "logical switch", argument: "LSWITCH" }),
  bindLs,
  unbindLs,
  listBindings,
  setReplicationMode,
  getReplicationMode,
  ...namedCommands({ table: "Logical_Router", short: "lr", noun: "logical router", argument: "LROUTER" }),
];
