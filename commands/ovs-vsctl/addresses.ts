/**
 * The host's own addresses on a device that becomes a port: a warning where they would stop working, and their move to the
 * bridge and back, which ovs-vswitchd makes (src/vswitch/address-moves.ts).
 */
import { Fatal } from "../../src/lib/errors.ts";
import type { Platform } from "../../src/lib/platform.ts";
import type { CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { type Datum, makeDatum, mapGet } from "../../src/ovsdb/datum.ts";
import type { Idl } from "../../src/ovsdb/idl.ts";
import { CONFIRM_BY, FROM } from "../../src/vswitch/address-moves.ts";
import { type Bridge, Model, needModel } from "./model.ts";

export const MIGRATE = "--migrate-addresses";
export const CONFIRM = "--confirm";
const SECONDS_MAX = 86_400;

export function needAddresses(needs: Needs): void {
  needs.columns("Bridge", "other_config");
}

/** With what {@link checkMoves} looks at. */
export function needVerdict(needs: Needs): void {
  needAddresses(needs);
  needs.columns("Bridge", "status");
}

interface Plan {
  /** Bridges by the device whose place they take. */
  readonly taken: Map<string, string>;
  /** Ports added without moving anything. */
  readonly plain: Map<string, string>;
  /** Ports that go, and leave what was theirs at the bridge. */
  readonly left: Map<string, string>;
  seconds: number | undefined;
}

function planOf(context: CtlContext): Plan {
  let plan = context.shared.get("addresses") as Plan | undefined;
  if (plan === undefined) {
    plan = { taken: new Map(), plain: new Map(), left: new Map(), seconds: undefined };
    context.shared.set("addresses", plan);
  }
  return plan;
}

function setKeys(
  context: CtlContext,
  uuid: string,
  keys: Readonly<Record<string, string | undefined>>,
): void {
  const { keys: names, values } = context.txn.read("Bridge", uuid, "other_config");
  const map = new Map(names.map((name, i) => [name as string, values![i] as string]));
  for (const [key, value] of Object.entries(keys))
    if (value === undefined) map.delete(key);
    else map.set(key, value);
  context.txn.verifyColumn("Bridge", uuid, "other_config");
  context.set("Bridge", uuid, "other_config", makeDatum([...map.keys()], [...map.values()], "drop"));
}

/** `seconds`: text of --confirm. */
export function takePlace(
  context: CtlContext,
  bridge: Bridge,
  device: string,
  seconds: string | undefined,
): void {
  if (bridge.parent !== undefined)
    throw new Fatal(
      `${MIGRATE}: ${bridge.name} is a VLAN of ${bridge.parent.name}, and has no addresses of its own`,
    );
  const other = mapGet(context.txn.read("Bridge", bridge.uuid, "other_config"), FROM);
  if (other !== undefined && other !== device)
    throw new Fatal(`${MIGRATE}: ${bridge.name} has taken the place of ${String(other)} already`);
  const plan = planOf(context);
  let by: string | undefined;
  if (seconds !== undefined) {
    const wanted = Number(seconds);
    if (!/^\d+(\.\d+)?$/.test(seconds) || wanted <= 0 || wanted > SECONDS_MAX)
      throw new Fatal(`${CONFIRM}: "${seconds}" is not a number of seconds up to ${SECONDS_MAX}`);
    by = String(Math.round(Date.now() + wanted * 1000));
    plan.seconds = wanted;
  }
  setKeys(context, bridge.uuid, { [FROM]: device, [CONFIRM_BY]: by });
  plan.taken.set(device, bridge.name);
}

export function addedPlain(context: CtlContext, bridge: Bridge, device: string): void {
  planOf(context).plain.set(device, bridge.name);
}

/** A port goes; `migrate`: with what the bridge has of it. */
export function portGoes(context: CtlContext, bridge: Bridge, port: string, migrate: boolean): void {
  const real = bridge.parent ?? bridge;
  if (mapGet(context.txn.read("Bridge", real.uuid, "other_config"), FROM) !== port) {
    if (migrate) throw new Fatal(`${MIGRATE}: ${real.name} has not taken the place of ${port}`);
    return;
  }
  if (migrate) setKeys(context, real.uuid, { [FROM]: undefined, [CONFIRM_BY]: undefined });
  else planOf(context).left.set(port, real.name);
}

const confirm: CtlCommand = {
  name: "confirm",
  min: 0,
  max: 0,
  syntax: "",
  writes: true,
  prepare(_call, needs) {
    needModel(needs);
    needAddresses(needs);
  },
  run(_call, context) {
    let found = false;
    for (const bridge of Model.of(context).bridges.values()) {
      if (bridge.parent !== undefined) continue;
      if (mapGet(context.txn.read("Bridge", bridge.uuid, "other_config"), CONFIRM_BY) === undefined) continue;
      setKeys(context, bridge.uuid, { [CONFIRM_BY]: undefined });
      found = true;
    }
    if (!found) throw new Fatal("confirm: no move of addresses waits to be confirmed");
  },
};

export const ADDRESS_COMMANDS: readonly CtlCommand[] = [confirm];

/** Before ovs-vswitchd acts on the commit, which may cut this very terminal off. */
export async function warnOfAddresses(
  platform: Platform,
  program: string,
  context: CtlContext,
): Promise<void> {
  const plan = planOf(context);
  for (const [port, bridge] of plan.left)
    platform.stderr(
      `${program}: warning: ${bridge} keeps the addresses of ${port}; "${program} ${MIGRATE} del-port ${port}" gives them back\n`,
    );
  if (plan.plain.size === 0) return;
  const { carriedBy } = await import("./carried.ts");
  for (const [device, bridge] of plan.plain) {
    const what = carriedBy(device);
    if (what === undefined) continue;
    platform.stderr(
      `${program}: warning: ${device} has ${what}, which cannot be reached while it is a port; "${program} ${MIGRATE} add-port ${bridge} ${device}" moves it to ${bridge}\n`,
    );
  }
}

/** After ovs-vswitchd has acted: its verdict. Returns the exit status. */
export function checkMoves(platform: Platform, program: string, idl: Idl, context: CtlContext): number {
  const plan = planOf(context);
  const table = idl.table("Bridge");
  if (plan.taken.size === 0 || table === undefined) return 0;
  let failed = 0;
  const [name, status] = ["name", "status"].map((column) => table.schema.byName.get(column)!);
  for (const [device, bridge] of plan.taken) {
    const row = [...table.ordered()].find((one) => one.datum(name!).keys[0] === bridge);
    const said = row === undefined ? undefined : mapGet(row.datum(status!) as Datum, "addresses");
    if (said === `moved from ${device}`) {
      if (plan.seconds !== undefined)
        platform.stderr(
          `${program}: ${bridge} has taken the place of ${device}, for ${plan.seconds} s unless "${program} confirm" follows\n`,
        );
      continue;
    }
    platform.stderr(
      `${program}: addresses of ${device} ${String(said ?? "were not moved: ovs-vswitchd does not say why")}\n`,
    );
    failed = 1;
  }
  return failed;
}
