/** get-manager, del-manager, set-manager: the same on every database that has a root row with managers. */

import { vlog } from "../../lib/vlog.ts";
import { type Datum, EMPTY_SET, makeDatum, scalar } from "../datum.ts";
import type { CtlCall, CtlCommand } from "./command.ts";
import type { CtlContext } from "./context.ts";
import type { Needs } from "./needs.ts";
import { leadingInteger, lines } from "./text.ts";

export interface ManagersOf {
  /** The table with one row, and its column. */
  readonly root: string;
  readonly column: string;
  /** Module of the log. */
  readonly module: string;
}

/** Rows of Controller or Manager for the targets. */
export function insertTargets(
  call: CtlCall,
  context: CtlContext,
  table: string,
  targets: readonly string[],
  module: string,
): Datum {
  const probe = call.options.get("--inactivity-probe");
  const rows = targets.map((target) => {
    if (!/^p?(tcp|ssl|unix):/.test(target)) {
      vlog(module).warn(`target type "${target}" is possibly erroneous`);
    }
    const uuid = context.txn.insertRow(table);
    context.txn.write(table, uuid, "target", scalar(target));
    if (probe !== undefined) {
      context.txn.write(table, uuid, "inactivity_probe", scalar(leadingInteger(probe)));
    }
    return uuid;
  });
  return makeDatum(rows, undefined, "drop");
}

export function targetLines(context: CtlContext, table: string, refs: readonly string[]): string {
  return lines(refs.map((ref) => context.text(table, ref, "target")));
}

export function managerCommands({ root, column, module }: ManagersOf): readonly CtlCommand[] {
  const prepare = (_call: CtlCall, needs: Needs): void => {
    needs.columns(root, column);
    needs.columns("Manager", "target", "inactivity_probe");
  };
  const set = (context: CtlContext, managers: Datum): void => {
    const [row] = context.txn.uuids(root);
    context.txn.verifyColumn(root, row!, column);
    // The server drops what nothing refers to any more; the commands after this one must not see it either.
    for (const old of context.refs(root, row!, column, "Manager")) context.txn.deleteRow("Manager", old);
    context.set(root, row!, column, managers);
  };
  return [
    {
      name: "get-manager",
      min: 0,
      max: 0,
      syntax: "",
      writes: false,
      prepare,
      run(call, context) {
        const [row] = context.txn.uuids(root);
        call.output = targetLines(context, "Manager", context.refs(root, row!, column, "Manager"));
      },
    },
    {
      name: "del-manager",
      min: 0,
      max: 0,
      syntax: "",
      writes: true,
      prepare,
      run(_call, context) {
        set(context, EMPTY_SET);
      },
    },
    {
      name: "set-manager",
      min: 1,
      max: Number.POSITIVE_INFINITY,
      syntax: "+TARGET",
      options: ["--inactivity-probe="],
      writes: true,
      prepare,
      run(call, context) {
        set(context, insertTargets(call, context, "Manager", call.args, module));
      },
    },
  ];
}
