/** The commands of dpctl that are about text alone: `ovs-dpctl` answers them without a switch. Errors are Fatal. */
import { Fatal } from "../../lib/errors.ts";
import { formatOdpActions, parseOdpActions } from "./action-text.ts";
import { OdpActionBuilder } from "./actions.ts";
import { parseOdpKey } from "./key-text.ts";
import { normalizeOdpActions } from "./normalize.ts";

/** `FLOW ACTIONS [NAME=NUMBER...]` */
export function normalizeText(args: readonly string[]): string {
  const [flow, actions, ...ports] = args as [string, string, ...string[]];
  const byName = new Map<string, number>();
  for (const port of ports) {
    const found = /^(.+)=(\d+)$/.exec(port);
    if (found === null) throw new Fatal(`${port}: expected NAME=NUMBER`);
    byName.set(found[1]!, Number(found[2]));
  }
  const names = { numberOf: (name: string) => byName.get(name), nameOf: () => undefined };
  const parsed = parseOdpKey(flow, names);
  if ("error" in parsed) throw new Fatal(`odp_flow_key_from_string (${parsed.error}) (Invalid argument)`);
  const builder = new OdpActionBuilder();
  if (parseOdpActions(actions, builder, { ports: names }) !== undefined)
    throw new Fatal(`odp_actions_from_string (Invalid argument)`);
  return `input flow: ${flow}\n${normalizeOdpActions(parsed.key, builder.take())}`;
}

export function parseActionsText(args: readonly string[]): string {
  let text = "";
  for (const actions of args) {
    const builder = new OdpActionBuilder();
    if (parseOdpActions(actions, builder) !== undefined)
      throw new Fatal(`odp_actions_from_string (Invalid argument)`);
    text += `${formatOdpActions(builder.take())}\n`;
  }
  return text;
}
