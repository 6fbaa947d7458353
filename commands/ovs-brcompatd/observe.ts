/** Linux bridges as text and JSON, for ovs-appctl and whoever watches. */
import type { Json } from "../../src/lib/json.ts";
import { type BridgeView, type BridgeVlan, bridgeVlans, viewBridge } from "../../src/netdev/bridge-view.ts";
import type { LinkTable } from "../../src/netdev/rtnetlink.ts";
import type { RouteSocket } from "../../src/sys/netlink.ts";

/** All Linux bridges in the order of their names, or the one of that name. */
export function observe(links: LinkTable, socket: RouteSocket, only?: string): BridgeView[] {
  links.reload();
  const vlans = bridgeVlans(socket);
  return [...links.links()]
    .filter(({ kind, name }) => kind === "bridge" && (only === undefined || name === only))
    .map(({ name }) => viewBridge(name, vlans))
    .filter((view) => view !== undefined)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

const onOff = (on: boolean): string => (on ? "on" : "off");

/** "1 (pvid, untagged), 10" */
const vlanText = (vlans: readonly BridgeVlan[]): string =>
  vlans
    .map(({ vlan, pvid, untagged }) => {
      const flags = [...(pvid ? ["pvid"] : []), ...(untagged ? ["untagged"] : [])];
      return flags.length === 0 ? `${vlan}` : `${vlan} (${flags.join(", ")})`;
    })
    .join(", ") || "none";

export function viewText(view: BridgeView): string {
  const lines = [
    `${view.name}`,
    `  id ${view.id}, root ${view.root}, spanning tree ${onOff(view.stp)}, ageing ${view.ageingSec} s`,
    `  hello ${view.helloSec} s, max age ${view.maxAgeSec} s, forward delay ${view.forwardDelaySec} s`,
    `  VLAN filtering ${onOff(view.vlanFiltering)}, VLANs ${vlanText(view.vlans)}`,
  ];
  for (const { name, port, state, pathCost, priority, vlans } of view.members)
    lines.push(
      `  port ${port} ${name}: ${state}, cost ${pathCost}, priority ${priority}, VLANs ${vlanText(vlans)}`,
    );
  for (const { mac, port, local, ageSec } of view.addresses)
    lines.push(`  ${mac} port ${port} ${local ? "local" : `${ageSec.toFixed(2)} s`}`);
  return `${lines.join("\n")}\n`;
}

export const viewJson = (views: readonly BridgeView[]): Json => views as unknown as Json;
