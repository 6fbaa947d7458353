/** The host's kernel around the switch: modules, the packet filter. */
import { existsSync } from "node:fs";
import { runHost } from "../programs.ts";
import type { Control } from "./daemons.ts";
import { tell, warning } from "./say.ts";

/** Loads openvswitch.ko where the kernel can. Nothing here needs it: without it the other datapaths serve. */
export function loadModule({ say }: Control): boolean {
  if (existsSync("/sys/module/openvswitch")) return true;
  if (!existsSync("/proc/modules")) {
    say("Kernel has no loadable module support. Skipping modprobe.");
    return true;
  }
  if (runHost("modprobe", "openvswitch").status === 0) say("Inserting openvswitch module.");
  else say(warning("No openvswitch kernel module; the switch does without"));
  return true;
}

/** Lets a protocol in (iptables INPUT), where a rule does not do so already. */
export function enableProtocol({ settings, say }: Control): boolean {
  const { protocol, sport, dport } = settings;
  const ports = [...(sport ? ["--sport", sport] : []), ...(dport ? ["--dport", dport] : [])];
  const name = protocol + (sport ? ` from port ${sport}` : "") + (dport ? ` to port ${dport}` : "");
  const rule = ["-p", protocol, ...ports, "-j", "ACCEPT"];
  const there = runHost("iptables", "-n", "-C", "INPUT", ...rule);
  if (there.status === 127) {
    say(`iptables binary not installed, not adding a rule for ${name}.`);
    return true;
  }
  if (there.status === 0) {
    say(`iptables already has a rule for ${name}, not explicitly enabling.`);
    return true;
  }
  return tell(say, `Enabling ${name} with iptables`, runHost("iptables", "-I", "INPUT", ...rule));
}
