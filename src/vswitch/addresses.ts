/**
 * A bridge's Ethernet address and datapath ID (ovs-vswitchd.conf.db(5), Bridge, other_config:hwaddr and datapath-id):
 * what is configured, else the lowest address of its ports that a manufacturer has assigned, else one made from the row's
 * UUID, which stays the same as long as the row does.
 */
import { formatMac, parseMac } from "../lib/mac.ts";

const MULTICAST = 0x01;
const LOCAL = 0x02;

/** The first six bytes of the UUID's words in little-endian order, marked as unicast and locally administered. */
export function addressFromUuid(uuid: string): string {
  const hex = uuid.replaceAll("-", "");
  const bytes = Uint8Array.from([6, 4, 2, 0, 14, 12], (at) => Number.parseInt(hex.slice(at, at + 2), 16));
  bytes[0] = (bytes[0]! & ~MULTICAST) | LOCAL;
  return formatMac(bytes);
}

/** Nobody but the manufacturer may have assigned it: unicast, global, not zero, not reserved by IEEE 802.1. */
function assigned(address: Uint8Array): boolean {
  if ((address[0]! & (MULTICAST | LOCAL)) !== 0) return false;
  return address.some((byte) => byte !== 0);
}

export type HwaddrError = "multicast" | undefined;

export interface BridgeAddress {
  address: string;
  /** Why other_config:hwaddr was not taken, when it is an address at all. */
  error: HwaddrError;
}

/** `ports`: the addresses of the ports other than LOCAL, unknown ones left out. */
export function bridgeAddress(
  uuid: string,
  hwaddr: string | undefined,
  ports: Iterable<string>,
): BridgeAddress {
  let error: HwaddrError;
  const configured = hwaddr === undefined ? undefined : parseMac(hwaddr);
  if (configured?.some((byte) => byte !== 0)) {
    if ((configured[0]! & MULTICAST) === 0) return { address: formatMac(configured), error };
    error = "multicast";
  }
  let lowest: string | undefined;
  for (const text of ports) {
    const bytes = parseMac(text);
    if (bytes === undefined || !assigned(bytes)) continue;
    const address = formatMac(bytes);
    if (lowest === undefined || address < lowest) lowest = address;
  }
  return { address: lowest ?? addressFromUuid(uuid), error };
}

/** 16 hexadecimal digits, or 0x and up to 16; undefined when malformed or zero. */
export function parseDatapathId(text: string): string | undefined {
  const digits = /^([0-9a-f]{16})$/i.exec(text)?.[1] ?? /^0x([0-9a-f]{1,16})$/i.exec(text)?.[1];
  if (digits === undefined || /^0+$/.test(digits)) return undefined;
  return digits.toLowerCase().padStart(16, "0");
}

export function datapathId(configured: string | undefined, address: string): string {
  const id = configured === undefined ? undefined : parseDatapathId(configured);
  return id ?? `0000${address.replaceAll(":", "")}`;
}
