/** What the host's own network has on a device, in words: looked at for a warning only. */
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { hasDefaultRoute } from "../../src/netdev/next-hop.ts";

/** "10.0.0.2/24 and the default route"; undefined for nothing. Loopback and IPv6 link-local addresses do not count. */
export function carriedBy(device: string): string | undefined {
  const words = (networkInterfaces()[device] ?? [])
    .filter(({ address, internal }) => !internal && !/^fe[89ab]/i.test(address))
    .map(({ address, cidr }) => cidr ?? address);
  if (leadsOut(device)) words.push("the default route");
  if (words.length === 0) return undefined;
  return words.length === 1 ? words[0] : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function leadsOut(device: string): boolean {
  try {
    return hasDefaultRoute(readFileSync("/proc/net/route", "utf8"), device);
  } catch {
    return false;
  }
}
