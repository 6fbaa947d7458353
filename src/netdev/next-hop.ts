/**
 * Where the host sends packets to an address first: what /proc/net/route and /proc/net/arp say (proc(5)), the main table
 * only (upstream: netdev_get_next_hop and netdev_arp_lookup of lib/netdev-linux).
 */
import { formatIpv4, parseIpv4 } from "../lib/ip.ts";

const RTF_UP = 1;
const ATF_COM = 2;
const ANY = "00000000";

/** "0A00000A" as the kernel prints an address: a word in the machine's order, ours being little-endian. */
function addressOf(hex: string): number {
  const word = Number.parseInt(hex, 16);
  return (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function rows(table: string): string[][] {
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
}

/** The host's default route leads through `device`. `routeTable`: /proc/net/route. */
export function hasDefaultRoute(routeTable: string, device: string): boolean {
  return rows(routeTable).some(([name, destination]) => name === device && destination === ANY);
}

/**
 * The Ethernet address ("aa:bb:cc:dd:ee:ff") of the gateway on the way to `address` (dotted), or of its owner where no
 * gateway is between. Undefined while there is no route, or no complete neighbour.
 */
export function nextHopMac(routeTable: string, arpTable: string, address: string): string | undefined {
  const target = parseIpv4(address);
  if (target === undefined) return undefined;
  let best: { device: string; hop: string; mask: number; metric: number } | undefined;
  for (const [device, destination, gateway, flags, , , metricText, maskHex] of rows(routeTable)) {
    if (maskHex === undefined || (Number.parseInt(flags!, 16) & RTF_UP) === 0) continue;
    const mask = addressOf(maskHex) >>> 0;
    if (((target & mask) ^ addressOf(destination!)) !== 0) continue;
    const metric = Number(metricText);
    if (best !== undefined && (best.mask > mask || (best.mask === mask && best.metric <= metric))) continue;
    const via = addressOf(gateway!);
    best = { device: device!, hop: via === 0 ? address : formatIpv4(via), mask, metric };
  }
  if (best === undefined) return undefined;
  for (const [hop, , flags, mac, , device] of rows(arpTable)) {
    if (hop === best.hop && device === best.device && (Number(flags) & ATF_COM) !== 0) return mac;
  }
  return undefined;
}
