/** Commands on the switch as a whole: init, emer-reset, controllers, managers, SSL, fail mode, auto-attach. */
import { Fatal } from "../../src/lib/errors.ts";
import type { CtlCall, CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import { insertTargets, managerCommands, targetLines } from "../../src/ovsdb/ctl/managers.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { showCommand } from "../../src/ovsdb/ctl/show.ts";
import { Datum, EMPTY_MAP, EMPTY_SET, mapGet, scalar } from "../../src/ovsdb/datum.ts";
import { Model, needModel, rootRow } from "./model.ts";

const ANY = Number.POSITIVE_INFINITY;

const init: CtlCommand = { name: "init", min: 0, max: 0, syntax: "", writes: true, run() {} };

const show = showCommand({
  Open_vSwitch: { name: undefined, columns: ["manager_options", "bridges", "ovs_version"] },
  Bridge: { name: "name", columns: ["controller", "fail_mode", "datapath_type", "ports"] },
  Port: { name: "name", columns: ["tag", "trunks", "interfaces"] },
  Interface: { name: "name", columns: ["type", "options", "error", "bfd_status"] },
  Controller: { name: "target", columns: ["is_connected"] },
  Manager: { name: "target", columns: ["is_connected"] },
});

const EMPTIED: Readonly<Record<string, readonly string[]>> = {
  Bridge: ["controller", "fail_mode", "mirrors", "netflow", "sflow", "ipfix", "flood_vlans"],
  Open_vSwitch: ["manager_options", "ssl"],
};

const emerReset: CtlCommand = {
  name: "emer-reset",
  min: 0,
  max: 0,
  syntax: "",
  writes: true,
  prepare(_call, needs) {
    for (const [table, columns] of Object.entries(EMPTIED)) needs.columns(table, ...columns);
    needs.columns("Bridge", "other_config");
    needs.columns("Port", "other_config");
    needs.columns("Interface", "ingress_policing_rate", "ingress_policing_burst");
    for (const table of ["Mirror", "Controller", "NetFlow", "sFlow", "IPFIX", "SSL", "Manager"])
      needs.table(table);
  },
  run(_call, context) {
    const { txn } = context;
    for (const [table, columns] of Object.entries(EMPTIED)) {
      for (const uuid of [...txn.uuids(table)]) {
        for (const column of columns) txn.write(table, uuid, column, EMPTY_SET);
      }
    }
    for (const uuid of [...txn.uuids("Bridge")]) {
      const hwaddr = mapGet(txn.read("Bridge", uuid, "other_config"), "hwaddr");
      txn.write(
        "Bridge",
        uuid,
        "other_config",
        hwaddr === undefined ? EMPTY_MAP : new Datum(["hwaddr"], [hwaddr]),
      );
    }
    for (const uuid of [...txn.uuids("Port")]) txn.write("Port", uuid, "other_config", EMPTY_MAP);
    for (const uuid of [...txn.uuids("Interface")]) {
      txn.write("Interface", uuid, "ingress_policing_rate", scalar(0));
      txn.write("Interface", uuid, "ingress_policing_burst", scalar(0));
    }
  },
};

// Controllers and managers

const managers = managerCommands({ root: "Open_vSwitch", column: "manager_options", module: "vsctl" });

function needControllers(_call: CtlCall, needs: Needs): void {
  needModel(needs);
  needs.columns("Controller", "target", "inactivity_probe");
}

const getController: CtlCommand = {
  name: "get-controller",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare: needControllers,
  run(call, context) {
    const { uuid } = Model.of(context).bridge(call.args[0]!);
    call.output = targetLines(
      context,
      "Controller",
      context.refs("Bridge", uuid, "controller", "Controller"),
    );
  },
};

const delController: CtlCommand = {
  name: "del-controller",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: true,
  prepare: needControllers,
  run(call, context) {
    const { uuid } = Model.of(context).realBridge(call.args[0]!);
    context.txn.verifyColumn("Bridge", uuid, "controller");
    context.set("Bridge", uuid, "controller", EMPTY_SET);
  },
};

const setController: CtlCommand = {
  name: "set-controller",
  min: 1,
  max: ANY,
  syntax: "!BRIDGE +TARGET",
  options: ["--inactivity-probe="],
  writes: true,
  prepare: needControllers,
  run(call, context) {
    const { uuid } = Model.of(context).realBridge(call.args[0]!);
    context.txn.verifyColumn("Bridge", uuid, "controller");
    context.set(
      "Bridge",
      uuid,
      "controller",
      insertTargets(call, context, "Controller", call.args.slice(1), "vsctl"),
    );
  },
};

const getFailMode: CtlCommand = {
  name: "get-fail-mode",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare: needControllers,
  run(call, context) {
    const { uuid } = Model.of(context).bridge(call.args[0]!);
    const mode = context.atom("Bridge", uuid, "fail_mode");
    if (mode !== undefined) call.output = `${mode}\n`;
  },
};

const delFailMode: CtlCommand = {
  name: "del-fail-mode",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: true,
  prepare: needControllers,
  run(call, context) {
    const { uuid } = Model.of(context).realBridge(call.args[0]!);
    context.set("Bridge", uuid, "fail_mode", EMPTY_SET);
  },
};

const setFailMode: CtlCommand = {
  name: "set-fail-mode",
  min: 2,
  max: 2,
  syntax: "!BRIDGE !MODE",
  writes: true,
  prepare: needControllers,
  run(call, context) {
    const { uuid } = Model.of(context).realBridge(call.args[0]!);
    const mode = call.args[1]!;
    if (mode !== "standalone" && mode !== "secure") {
      throw new Fatal('fail-mode must be "standalone" or "secure"');
    }
    context.set("Bridge", uuid, "fail_mode", scalar(mode));
  },
};

// SSL

function needSsl(_call: CtlCall, needs: Needs): void {
  needs.columns("Open_vSwitch", "ssl");
  needs.columns("SSL", "private_key", "certificate", "ca_cert", "bootstrap_ca_cert");
}

const getSsl: CtlCommand = {
  name: "get-ssl",
  min: 0,
  max: 0,
  syntax: "",
  writes: false,
  prepare: needSsl,
  run(call, context) {
    const [ssl] = context.refs("Open_vSwitch", rootRow(context), "ssl", "SSL");
    if (ssl === undefined) return;
    call.output =
      `Private key: ${context.text("SSL", ssl, "private_key")}\n` +
      `Certificate: ${context.text("SSL", ssl, "certificate")}\n` +
      `CA Certificate: ${context.text("SSL", ssl, "ca_cert")}\n` +
      `Bootstrap: ${context.atom("SSL", ssl, "bootstrap_ca_cert")}\n`;
  },
};

const delSsl: CtlCommand = {
  name: "del-ssl",
  min: 0,
  max: 0,
  syntax: "",
  writes: true,
  prepare: needSsl,
  run(_call, context) {
    const root = rootRow(context);
    context.txn.verifyColumn("Open_vSwitch", root, "ssl");
    context.set("Open_vSwitch", root, "ssl", EMPTY_SET);
  },
};

const setSsl: CtlCommand = {
  name: "set-ssl",
  min: 3,
  max: 3,
  syntax: "!PRIVATE-KEY !CERTIFICATE !CA-CERT",
  options: ["--bootstrap"],
  writes: true,
  prepare: needSsl,
  run(call, context) {
    const { txn } = context;
    const root = rootRow(context);
    const [key, certificate, ca] = call.args as [string, string, string];
    txn.verifyColumn("Open_vSwitch", root, "ssl");
    const ssl = txn.insertRow("SSL");
    txn.write("SSL", ssl, "private_key", scalar(key));
    txn.write("SSL", ssl, "certificate", scalar(certificate));
    txn.write("SSL", ssl, "ca_cert", scalar(ca));
    txn.write("SSL", ssl, "bootstrap_ca_cert", scalar(call.options.has("--bootstrap")));
    txn.write("Open_vSwitch", root, "ssl", scalar(ssl));
  },
};

// Auto-attach

function needAutoAttach(_call: CtlCall, needs: Needs): void {
  needModel(needs);
  needs.columns("Bridge", "auto_attach");
  needs.columns("AutoAttach", "mappings");
}

function integerArgument(text: string): number {
  if (!/^\s*[-+]?\d/.test(text)) throw new Fatal(`Invalid argument ${text}`);
  return Number.parseInt(text, 10);
}

function autoAttachOf(context: CtlContext, uuid: string): string | undefined {
  return context.refs("Bridge", uuid, "auto_attach", "AutoAttach")[0];
}

const addAaMapping: CtlCommand = {
  name: "add-aa-mapping",
  min: 3,
  max: 3,
  syntax: "!BRIDGE !ARG !ARG",
  writes: true,
  prepare: needAutoAttach,
  run(call, context) {
    const { txn } = context;
    const isid = integerArgument(call.args[1]!);
    const vlan = integerArgument(call.args[2]!);
    const { uuid } = Model.of(context).bridge(call.args[0]!);
    let row = autoAttachOf(context, uuid);
    if (row === undefined) {
      row = txn.insertRow("AutoAttach");
      txn.write("Bridge", uuid, "auto_attach", scalar(row));
    }
    const mappings = txn.read("AutoAttach", row, "mappings");
    if (mapGet(mappings, isid) === undefined)
      txn.put("AutoAttach", row, "mappings", new Datum([isid], [vlan]));
  },
};

const delAaMapping: CtlCommand = {
  name: "del-aa-mapping",
  min: 3,
  max: 3,
  syntax: "!BRIDGE !ARG !ARG",
  writes: true,
  prepare: needAutoAttach,
  run(call, context) {
    const isid = integerArgument(call.args[1]!);
    const vlan = integerArgument(call.args[2]!);
    const { uuid } = Model.of(context).bridge(call.args[0]!);
    const row = autoAttachOf(context, uuid);
    if (row === undefined || mapGet(context.txn.read("AutoAttach", row, "mappings"), isid) !== vlan) return;
    context.txn.cut("AutoAttach", row, "mappings", [isid]);
  },
};

const getAaMapping: CtlCommand = {
  name: "get-aa-mapping",
  min: 1,
  max: 1,
  syntax: "!BRIDGE",
  writes: false,
  prepare: needAutoAttach,
  run(call, context) {
    const row = autoAttachOf(context, Model.of(context).bridge(call.args[0]!).uuid);
    if (row === undefined) return;
    const { keys, values } = context.txn.read("AutoAttach", row, "mappings");
    call.output = keys.map((isid, i) => `${isid} ${values![i]}\n`).join("");
  },
};

export const SWITCH_COMMANDS: readonly CtlCommand[] = [
  init,
  show,
  emerReset,
  getController,
  delController,
  setController,
  getFailMode,
  delFailMode,
  setFailMode,
  ...managers,
  getSsl,
  delSsl,
  setSsl,
  addAaMapping,
  delAaMapping,
  getAaMapping,
];
