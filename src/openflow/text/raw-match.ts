/** Matches as they lie in a message, uninterpreted: `ofp10_match` field by field, NXM and OXM entry by entry. */
import type { PortNames } from "../../flow/match-text.ts";
import { formatIpv4 } from "../../lib/ip.ts";
import { formatMac } from "../../lib/mac.ts";
import { headerText, readHeader } from "../oxm.ts";
import { formatPort } from "../ports.ts";
import { Reader } from "../wire.ts";

/** "NXM_OF_IN_PORT(0001), NXM_OF_ETH_DST_W(…/…)"; "<any>" for none. */
export function tlvText(bytes: Uint8Array): string {
  const r = new Reader(bytes);
  const parts: string[] = [];
  while (r.left >= 4) {
    const h = readHeader(r, "OFPBMC_BAD_LEN");
    const size = Math.min(h.masked ? h.payload / 2 : h.payload, r.left);
    const hex = (): string => Array.from(r.take(size), (b) => b.toString(16).padStart(2, "0")).join("");
    const cookie = h.oxmClass === 1 && h.number === 30;
    const name = `${cookie ? "NXM_NX_COOKIE" : headerText(h)}${h.masked ? "_W" : ""}`;
    parts.push(`${name}(${hex()}${h.masked ? `/${hex()}` : ""})`);
  }
  return parts.length === 0 ? "<any>" : parts.join(", ");
}

/** Protocols that stand for an ethertype and an IP protocol. */
function protocol(type: number, proto: number | undefined): { name: string; proto: boolean } | undefined {
  if (type === 0x0800) {
    const name =
      proto === 1 ? "icmp" : proto === 6 ? "tcp" : proto === 17 ? "udp" : proto === 132 ? "sctp" : undefined;
    return name === undefined ? { name: "ip", proto: false } : { name, proto: true };
  }
  if (type === 0x0806) return { name: "arp", proto: false };
  if (type === 0x8035) return { name: "rarp", proto: false };
  if (type === 0x8847) return { name: "mpls", proto: false };
  if (type === 0x8848) return { name: "mplsm", proto: false };
  return undefined;
}

export function match10Text(bytes: Uint8Array, ports?: PortNames): string {
  const r = new Reader(bytes);
  const wild = r.u32();
  const inPort = r.u16();
  const src = formatMac(r.take(6));
  const dst = formatMac(r.take(6));
  const vlan = r.u16();
  const pcp = r.u8();
  r.skip(1);
  const type = r.u16();
  const tos = r.u8();
  const proto = r.u8();
  r.skip(2);
  const nwSrc = r.u32();
  const nwDst = r.u32();
  const tpSrc = r.u16();
  const tpDst = r.u16();
  const parts: string[] = [];
  const known = wild & 0x10 ? undefined : protocol(type, wild & 0x20 ? undefined : proto);
  if (known !== undefined) parts.push(known.name);
  const put = (bit: number, text: string): void => {
    if (!(wild & bit)) parts.push(text);
  };
  put(1, `in_port=${formatPort(inPort, ports)}`);
  put(2, `dl_vlan=${vlan}`);
  put(0x100000, `dl_vlan_pcp=${pcp}`);
  put(4, `dl_src=${src}`);
  put(8, `dl_dst=${dst}`);
  if (known === undefined) put(0x10, `dl_type=0x${type.toString(16).padStart(4, "0")}`);
  address(parts, "nw_src", nwSrc, (wild >>> 8) & 63);
  address(parts, "nw_dst", nwDst, (wild >>> 14) & 63);
  const arp = type === 0x0806 || type === 0x8035;
  if (known === undefined || !known.proto) put(0x20, arp ? `arp_op=${proto}` : `nw_proto=${proto}`);
  put(0x200000, `nw_tos=${tos}`);
  const icmp = known?.name === "icmp";
  put(0x40, `${icmp ? "icmp_type" : "tp_src"}=${tpSrc}`);
  put(0x80, `${icmp ? "icmp_code" : "tp_dst"}=${tpDst}`);
  return parts.join(",");
}

function address(parts: string[], name: string, value: number, wildBits: number): void {
  if (wildBits >= 32) return;
  parts.push(`${name}=${formatIpv4(value)}${wildBits === 0 ? "" : `/${32 - wildBits}`}`);
}
