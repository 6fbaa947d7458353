/**
 * Commands of ovs-vswitchd whose subjects are not built yet: they are there, with their usage, and say so. A subject that is
 * built registers its own afterwards.
 */
import type { UnixctlCommands } from "../lib/unixctl.ts";

const LATER: readonly (readonly [name: string, usage: string, min: number, max: number])[] = [
  ["autoattach/show-isid", "[bridge]", 0, 1],
  ["autoattach/statistics", "[bridge]", 0, 1],
  ["autoattach/status", "[bridge]", 0, 1],
  ["bfd/set-forwarding", "[interface] normal|false|true", 1, 2],
  ["bfd/show", "[interface]", 0, 1],
  ["bond/disable-member", "port member", 2, 2],
  ["bond/enable-member", "port member", 2, 2],
  ["bond/hash", "mac [vlan] [basis]", 1, 3],
  ["bond/list", "", 0, 0],
  ["bond/migrate", "port hash member", 3, 3],
  ["bond/set-active-member", "port member", 2, 2],
  ["bond/show", "[port]", 0, 1],
  ["cfm/set-fault", "[interface] normal|false|true", 1, 2],
  ["cfm/show", "[interface]", 0, 1],
  ["dpctl/cache-get-size", "[dp]", 0, 1],
  ["dpctl/cache-set-size", "dp cache <size>", 3, 3],
  ["dpctl/offload-stats-show", "[dp]", 0, 1],
  ["dpif-netlink/dispatch-mode", "", 0, 0],
  ["dpif/offload/show", "", 0, 0],
  ["lacp/show", "[port]", 0, 1],
  ["lacp/show-stats", "[port]", 0, 1],
  ["mdb/flush", "[bridge]", 0, 1],
  ["mdb/show", "bridge", 1, 1],
  ["ovs/route/add", "ip/plen dev [gw] [pkt_mark=mark] [src=src_ip] [table=id]", 2, 6],
  ["ovs/route/del", "ip/plen [pkt_mark=mark] [table=id]", 1, 3],
  ["ovs/route/lookup", "ip_addr [pkt_mark=mark] [src=src_ip]", 1, 3],
  ["ovs/route/rule/add", "[-6] [not] from=all|ip/plen [prio=num] table=local|main|default|id", 2, 5],
  ["ovs/route/rule/del", "[-6] [not] from=all|ip/plen [prio=num] table=local|main|default|id", 2, 5],
  ["ovs/route/rule/show", "[-6]", 0, 1],
  ["ovs/route/show", "[table=all|id]", 0, 1],
  ["rstp/show", "[bridge]", 0, 1],
  ["rstp/tcn", "[bridge]", 0, 1],
  ["stp/show", "[bridge]", 0, 1],
  ["stp/tcn", "[bridge]", 0, 1],
  ["tnl/arp/aging", "[SECS]", 0, 1],
  ["tnl/arp/flush", "", 0, 0],
  ["tnl/arp/set", "BRIDGE IP MAC", 3, 3],
  ["tnl/arp/show", "", 0, 0],
  ["tnl/egress_port_range", "min max", 0, 2],
  ["tnl/neigh/aging", "[SECS]", 0, 1],
  ["tnl/neigh/flush", "", 0, 0],
  ["tnl/neigh/set", "BRIDGE IP MAC", 3, 3],
  ["tnl/neigh/show", "", 0, 0],
  ["tnl/ports/show", "-v", 0, 1],
];

export function registerLaterCommands(commands: UnixctlCommands): void {
  for (const [name, usage, min, max] of LATER) {
    if (commands.has(name)) continue;
    commands.register(name, usage, min, max, (_args, reply) => reply.error(`${name}: not implemented`));
  }
}
