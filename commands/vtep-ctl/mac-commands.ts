/**
 * Commands on MAC entries, the same for local ones (learned by the hardware) and remote ones (told by the controller).
 * A unicast entry leads to one tunnel end (Physical_Locator), a multicast entry to a set of them, whose row never changes:
 * another set is another row.
 */
import type { CtlCall, CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { lines } from "../../src/ovsdb/ctl/text.ts";
import { makeDatum, scalar } from "../../src/ovsdb/datum.ts";
import { Model } from "./model.ts";

const ENCAPSULATION = "vxlan_over_ipv4";

/** LSWITCH MAC [ENCAP] IP */
function entryArguments({ args }: CtlCall): { name: string; mac: string; end: [encap: string, ip: string] } {
  const [name, mac, third, fourth] = args as [string, string, string, string?];
  return { name, mac, end: fourth === undefined ? [ENCAPSULATION, third] : [third, fourth] };
}

function endText(context: CtlContext, locator: string): string {
  const encap = context.text("Physical_Locator", locator, "encapsulation_type");
  return `${encap}/${context.text("Physical_Locator", locator, "dst_ip")}`;
}

function needEnds(needs: Needs): void {
  needs.columns("Logical_Switch", "name");
  needs.columns("Physical_Locator", "encapsulation_type", "dst_ip");
}

function macCommands(side: "Local" | "Remote"): readonly CtlCommand[] {
  const word = side.toLowerCase();
  const unicast = `Ucast_Macs_${side}` as const;
  const multicast = `Mcast_Macs_${side}` as const;

  const needUnicast = (_call: CtlCall, needs: Needs): void => {
    needEnds(needs);
    needs.columns(unicast, "MAC", "logical_switch", "locator");
  };
  const needMulticast = (_call: CtlCall, needs: Needs): void => {
    needEnds(needs);
    needs.columns(multicast, "MAC", "logical_switch", "locator_set");
    needs.columns("Physical_Locator_Set", "locators");
  };
  const entriesOf = (context: CtlContext, table: string, logical: string): string[] =>
    [...context.txn.uuids(table)].filter((uuid) => context.text(table, uuid, "logical_switch") === logical);

  /** Nothing keeps writers at the same time from making one entry twice. */
  const twinsOf = (context: CtlContext, table: string, logical: string, mac: string): string[] =>
    entriesOf(context, table, logical).filter((uuid) => context.text(table, uuid, "MAC") === mac);

  const setOf = (context: CtlContext, entry: string): readonly string[] =>
    context
      .refs(multicast, entry, "locator_set", "Physical_Locator_Set")
      .flatMap((set) => context.refs("Physical_Locator_Set", set, "locators", "Physical_Locator"));

  const writeSet = (context: CtlContext, entry: string, locators: readonly string[]): void => {
    const { txn } = context;
    const known = context.text(multicast, entry, "locator_set");
    let set = known;
    if (!txn.isNew(known)) {
      set = txn.insertRow("Physical_Locator_Set");
      txn.verifyColumn(multicast, entry, "locator_set");
      txn.write(multicast, entry, "locator_set", scalar(set));
    }
    txn.write("Physical_Locator_Set", set, "locators", makeDatum([...locators], undefined, "drop"));
  };

  return [
    {
      name: `add-ucast-${word}`,
      min: 3,
      max: 4,
      syntax: "!LSWITCH !MAC ?ENCAP !IP",
      writes: true,
      prepare: needUnicast,
      run(call, context) {
        const { name, mac, end } = entryArguments(call);
        const model = Model.of(context);
        const logical = model.logicalSwitch(name);
        const locator = model.find("Physical_Locator", ...end) ?? model.insert("Physical_Locator", ...end);
        const entry = model.find(unicast, logical, mac) ?? model.insert(unicast, logical, mac);
        context.set(unicast, entry, "locator", scalar(locator));
      },
    },
    {
      name: `del-ucast-${word}`,
      min: 2,
      max: 2,
      syntax: "!LSWITCH !MAC",
      writes: true,
      prepare: needUnicast,
      run(call, context) {
        const [name, mac] = call.args as [string, string];
        const model = Model.of(context);
        for (const entry of twinsOf(context, unicast, model.logicalSwitch(name), mac)) {
          model.delete(unicast, entry);
        }
      },
    },
    {
      name: `add-mcast-${word}`,
      min: 3,
      max: 4,
      syntax: "!LSWITCH !MAC ?ENCAP !IP",
      writes: true,
      prepare: needMulticast,
      run(call, context) {
        const { name, mac, end } = entryArguments(call);
        const model = Model.of(context);
        const logical = model.logicalSwitch(name);
        const locator = model.find("Physical_Locator", ...end) ?? model.insert("Physical_Locator", ...end);
        const entry = model.find(multicast, logical, mac) ?? model.insert(multicast, logical, mac);
        const locators = setOf(context, entry);
        if (!locators.includes(locator)) writeSet(context, entry, [...locators, locator]);
      },
    },
    {
      name: `del-mcast-${word}`,
      min: 3,
      max: 4,
      syntax: "!LSWITCH !MAC ?ENCAP !IP",
      writes: true,
      prepare: needMulticast,
      run(call, context) {
        const { name, mac, end } = entryArguments(call);
        const model = Model.of(context);
        for (const entry of twinsOf(context, multicast, model.logicalSwitch(name), mac)) {
          const locators = setOf(context, entry);
          const left = locators.filter((locator) => endText(context, locator) !== end.join("/"));
          if (left.length === locators.length) continue;
          if (left.length > 0) writeSet(context, entry, left);
          else {
            context.txn.verifyColumn(multicast, entry, "locator_set");
            model.delete(multicast, entry);
          }
        }
      },
    },
    {
      name: `clear-${word}-macs`,
      min: 1,
      max: 1,
      syntax: "!LSWITCH",
      writes: true,
      prepare(_call, needs) {
        needs.columns("Logical_Switch", "name");
        needs.columns(unicast, "logical_switch");
        needs.columns(multicast, "logical_switch");
      },
      run(call, context) {
        const model = Model.of(context);
        const logical = model.logicalSwitch(call.args[0]!);
        for (const table of [unicast, multicast]) {
          for (const entry of entriesOf(context, table, logical)) model.delete(table, entry);
        }
      },
    },
    {
      name: `list-${word}-macs`,
      min: 1,
      max: 1,
      syntax: "!LSWITCH",
      writes: false,
      prepare(call, needs) {
        needUnicast(call, needs);
        needMulticast(call, needs);
      },
      run(call, context) {
        const logical = Model.of(context).logicalSwitch(call.args[0]!);
        const shown = (table: string, entry: string, locator: string): string =>
          `  ${context.text(table, entry, "MAC")} -> ${endText(context, locator)}`;
        const singles = entriesOf(context, unicast, logical).flatMap((entry) =>
          context
            .refs(unicast, entry, "locator", "Physical_Locator")
            .map((locator) => shown(unicast, entry, locator)),
        );
        const groups = entriesOf(context, multicast, logical).flatMap((entry) =>
          setOf(context, entry).map((locator) => shown(multicast, entry, locator)),
        );
        call.output = `ucast-mac-${word}\n${lines(singles)}\nmcast-mac-${word}\n${lines(groups)}\n`;
      },
    },
  ];
}

export const MAC_COMMANDS: readonly CtlCommand[] = [...macCommands("Local"), ...macCommands("Remote")];
