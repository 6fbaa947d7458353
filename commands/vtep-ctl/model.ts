/**
 * The rows of one attempt by what users call them: switches and routers by name, tunnel ends by encapsulation and
 * address, MAC entries by logical switch and address. An index is made when first asked for, of the tables asked for.
 */
import { Fatal } from "../../src/lib/errors.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import { makeDatum, scalar } from "../../src/ovsdb/datum.ts";

/** Columns that together identify a row, in the order in which they are given. */
const KEYS = {
  Physical_Switch: ["name"],
  Logical_Switch: ["name"],
  Logical_Router: ["name"],
  Physical_Locator: ["encapsulation_type", "dst_ip"],
  Ucast_Macs_Local: ["logical_switch", "MAC"],
  Ucast_Macs_Remote: ["logical_switch", "MAC"],
  Mcast_Macs_Local: ["logical_switch", "MAC"],
  Mcast_Macs_Remote: ["logical_switch", "MAC"],
} as const;

export type KeyedTable = keyof typeof KEYS;

export class Model {
  readonly context: CtlContext;
  readonly #indexes = new Map<KeyedTable, Map<string, string>>();

  /** The one of this attempt; a new one after a database command has written. */
  static of(context: CtlContext): Model {
    let model = context.shared.get("model") as Model | undefined;
    if (model === undefined) {
      model = new Model(context);
      context.shared.set("model", model);
      context.invalidate = () => context.shared.delete("model");
    }
    return model;
  }

  private constructor(context: CtlContext) {
    this.context = context;
  }

  #index(table: KeyedTable): Map<string, string> {
    let index = this.#indexes.get(table);
    if (index === undefined) {
      index = new Map();
      for (const uuid of this.context.txn.uuids(table)) {
        const key = keyText(KEYS[table].map((column) => this.context.text(table, uuid, column)));
        // Of twins (a database may hold some MAC entry twice) the first counts.
        if (!index.has(key)) index.set(key, uuid);
      }
      this.#indexes.set(table, index);
    }
    return index;
  }

  find(table: KeyedTable, ...key: readonly string[]): string | undefined {
    return this.#index(table).get(keyText(key));
  }

  insert(table: KeyedTable, ...key: readonly string[]): string {
    const { txn } = this.context;
    const index = this.#index(table);
    const uuid = txn.insertRow(table);
    KEYS[table].forEach((column, i) => {
      txn.write(table, uuid, column, scalar(key[i]!));
    });
    index.set(keyText(key), uuid);
    return uuid;
  }

  delete(table: KeyedTable, uuid: string): void {
    this.context.txn.deleteRow(table, uuid);
    // Next time it is made anew: a twin may take the place.
    this.#indexes.delete(table);
  }

  names(table: KeyedTable): string[] {
    return [...this.context.txn.uuids(table)].map((uuid) => this.context.text(table, uuid, "name"));
  }

  logicalSwitch(name: string): string {
    const uuid = this.find("Logical_Switch", name);
    if (uuid === undefined) throw new Fatal(`no logical switch named ${name}`);
    return uuid;
  }

  findPort(switchName: string, name: string): string | undefined {
    const { context } = this;
    const owner = this.find("Physical_Switch", switchName);
    if (owner === undefined) return undefined;
    const ports = context.refs("Physical_Switch", owner, "ports", "Physical_Port");
    return ports.find((port) => context.text("Physical_Port", port, "name") === name);
  }

  /** A switch that does not exist has no port either, says the original. */
  port(switchName: string, name: string): string {
    const uuid = this.findPort(switchName, name);
    if (uuid === undefined) throw new Fatal(`no port named ${name}`);
    return uuid;
  }

  /** Puts `add` into a set of references and takes `remove` out, unless others have changed it meanwhile. */
  relink(
    table: string,
    uuid: string,
    column: string,
    { add, remove }: { add?: string; remove?: string },
  ): void {
    const { txn } = this.context;
    const refs = txn.read(table, uuid, column).keys as readonly string[];
    const left = refs.filter((ref) => ref !== remove);
    txn.verifyColumn(table, uuid, column);
    txn.write(table, uuid, column, makeDatum(add === undefined ? left : [...left, add], undefined, "drop"));
  }
}

function keyText(key: readonly string[]): string {
  return key.join("\n");
}

/** The row of Global, which `begin` has made if there was none. */
export function rootRow(context: CtlContext): string {
  const [root] = context.txn.uuids("Global");
  return root!;
}
