/** `ovs-appctl qos/*`: the queueing of a device (ovs-vswitchd(8)). */
import type { UnixctlCommands, UnixctlReply } from "../lib/unixctl.ts";
import type { Netdev, NetdevQueue } from "../netdev/netdev.ts";
import type { Vswitch } from "./vswitch.ts";

function formatQueue({ id, details, txPackets, txBytes, txErrors }: NetdevQueue): string {
  let text = id === 0 ? "\nDefault:\n" : `\nQueue ${id}:\n`;
  for (const [key, value] of details) text += `  ${key}: ${value}\n`;
  const counters = { tx_packets: txPackets, tx_bytes: txBytes, tx_errors: txErrors };
  for (const [key, value] of Object.entries(counters)) if (value >= 0) text += `  ${key}: ${value}\n`;
  return text;
}

function formatQos(netdev: Netdev): string {
  const qos = netdev.qos();
  if (qos === undefined) return `QoS not configured on ${netdev.name}\n`;
  let text = `QoS: ${netdev.name} ${qos.type}\n`;
  for (const [key, value] of qos.details) text += `${key}: ${value}\n`;
  for (const queue of netdev.queues()) text += formatQueue(queue);
  return text;
}

export function registerQosCommands(commands: UnixctlCommands, vswitch: Vswitch): void {
  const about = (name: string, format: (netdev: Netdev) => string): void =>
    commands.register(name, "interface", 1, 1, ([device], reply: UnixctlReply) => {
      for (const bridge of vswitch.bridges()) {
        const iface = bridge.iface(device!);
        if (iface !== undefined) return reply.ok(format(iface.netdev));
      }
      reply.error("no such interface");
    });
  about("qos/show", formatQos);
  about("qos/show-types", ({ qosTypes }) => qosTypes.map((type) => `QoS type: ${type}\n`).join(""));
}
