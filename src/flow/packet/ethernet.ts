/** Ethernet and the numbers on it: addresses, ethertypes, IP protocols. */
export const ETH_TYPE_IPV4 = 0x0800;
export const ETH_TYPE_ARP = 0x0806;
export const ETH_TYPE_TEB = 0x6558;
export const ETH_TYPE_RARP = 0x8035;
export const ETH_TYPE_VLAN_8021Q = 0x8100;
export const ETH_TYPE_IPV6 = 0x86dd;
export const ETH_TYPE_LACP = 0x8809;
export const ETH_TYPE_MPLS = 0x8847;
export const ETH_TYPE_MPLS_MCAST = 0x8848;
export const ETH_TYPE_VLAN_8021AD = 0x88a8;
export const ETH_TYPE_LLDP = 0x88cc;
export const ETH_TYPE_NSH = 0x894f;
export const ETH_TYPE_CFM = 0x8902;
/** Smallest value that is a type and no 802.3 length. */
export const ETH_TYPE_MIN = 0x600;

export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;

export function isVlanType(type: number): boolean {
  return type === ETH_TYPE_VLAN_8021Q || type === ETH_TYPE_VLAN_8021AD;
}

export function isMplsType(type: number): boolean {
  return type === ETH_TYPE_MPLS || type === ETH_TYPE_MPLS_MCAST;
}

/** 01:80:c2:00:00:0X (IEEE 802.1D reserved), as the two words of an address: bytes 0-3 and bytes 4-5. */
export function isReservedMulticast(hi: number, lo: number): boolean {
  return (hi | 0) === 0x0180c200 && (lo & 0xfff0) === 0;
}

export function isMulticast(hi: number): boolean {
  return (hi & 0x01000000) !== 0;
}

export function isBroadcast(hi: number, lo: number): boolean {
  return (hi | 0) === -1 && (lo & 0xffff) === 0xffff;
}

/** "0a:00:00:00:00:01" from bytes 0-3 and bytes 4-5. */
export function formatMac(hi: number, lo: number): string {
  const hex = (hi >>> 0).toString(16).padStart(8, "0") + (lo & 0xffff).toString(16).padStart(4, "0");
  return `${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4, 6)}:${hex.slice(6, 8)}:${hex.slice(8, 10)}:${hex.slice(10)}`;
}

/** [bytes 0-3, bytes 4-5], or undefined when it is no address. */
export function parseMac(text: string): [number, number] | undefined {
  const parts =
    /^([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2}):([0-9a-f]{1,2})$/i.exec(
      text,
    );
  if (parts === null) return undefined;
  const byte = (i: number) => Number.parseInt(parts[i]!, 16);
  return [(byte(1) << 24) | (byte(2) << 16) | (byte(3) << 8) | byte(4), (byte(5) << 8) | byte(6)];
}
