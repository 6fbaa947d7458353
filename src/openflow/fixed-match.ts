/**
 * The fixed match structures: `ofp10_match` (40 bytes, OpenFlow 1.0 section 5.2.3) and `ofp11_match` (88 bytes,
 * OpenFlow 1.1 section A.2.3), and the choice by version. Upstream: ofp-match.
 */
import { getFieldBig, mustField, setFieldBig } from "../flow/fields/index.ts";
import {
  VLAN_CFI,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_METADATA_HI,
  W_METADATA_LO,
  W_MPLS,
  W_NW,
  W_TP,
  W_VLAN0,
} from "../flow/layout.ts";
import { type Match, makeMatch, setMatchWord } from "../flow/match.ts";
import { setDefaultPacketType } from "../flow/match-text.ts";
import { OfpError } from "./errors.ts";
import { type MatchOptions, readMatch, writeOxmMatch } from "./oxm.ts";
import { portFromWire, portToWire } from "./ports.ts";
import type { Reader, Writer } from "./wire.ts";

const OFPFW10_IN_PORT = 1;
const OFPFW10_DL_VLAN = 2;
const OFPFW10_DL_SRC = 4;
const OFPFW10_DL_DST = 8;
const OFPFW10_DL_TYPE = 16;
const OFPFW10_NW_PROTO = 32;
const OFPFW10_TP_SRC = 64;
const OFPFW10_TP_DST = 128;
const OFPFW10_NW_SRC_SHIFT = 8;
const OFPFW10_NW_DST_SHIFT = 14;
const OFPFW10_DL_VLAN_PCP = 1 << 20;
const OFPFW10_NW_TOS = 1 << 21;
const OFP_VLAN_NONE = 0xffff;

const ETH_SRC = mustField("eth_src");
const ETH_DST = mustField("eth_dst");

export function readMatch10(r: Reader, match = makeMatch()): Match {
  const wild = r.u32();
  const inPort = r.u16();
  const srcHi = r.u16();
  const srcLo = r.u32();
  const dstHi = r.u32();
  const dstLo = r.u16();
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
  if (!(wild & OFPFW10_IN_PORT)) setMatchWord(match, W_IN_PORT, inPort, -1);
  if (!(wild & OFPFW10_DL_SRC)) setEth(match, srcHi, srcLo, 0xffff, -1, true);
  if (!(wild & OFPFW10_DL_DST)) {
    setMatchWord(match, W_ETH_DST_HI, dstHi, -1);
    setMatchWord(match, W_ETH_DST_SRC, dstLo << 16, 0xffff << 16);
  }
  const vidWild = (wild & OFPFW10_DL_VLAN) !== 0;
  const pcpWild = (wild & OFPFW10_DL_VLAN_PCP) !== 0;
  if (!vidWild && vlan === OFP_VLAN_NONE) setMatchWord(match, W_VLAN0, 0, 0xffff);
  else if (!vidWild || !pcpWild) {
    const value = (vidWild ? 0 : vlan & 0xfff) | (pcpWild ? 0 : (pcp & 7) << 13) | VLAN_CFI;
    const mask = (vidWild ? 0 : 0xfff) | (pcpWild ? 0 : 0xe000) | VLAN_CFI;
    setMatchWord(match, W_VLAN0, value, mask);
  }
  if (!(wild & OFPFW10_DL_TYPE)) setMatchWord(match, W_ETH_TYPE, type, 0xffff);
  if (!(wild & OFPFW10_NW_TOS)) setMatchWord(match, W_NW, (tos & 0xfc) << 8, 0xfc00);
  if (!(wild & OFPFW10_NW_PROTO)) setMatchWord(match, W_NW, proto, 0xff);
  setPrefix(match, W_IPV4_SRC, nwSrc, (wild >>> OFPFW10_NW_SRC_SHIFT) & 63);
  setPrefix(match, W_IPV4_DST, nwDst, (wild >>> OFPFW10_NW_DST_SHIFT) & 63);
  if (!(wild & OFPFW10_TP_SRC)) setMatchWord(match, W_TP, tpSrc << 16, 0xffff << 16);
  if (!(wild & OFPFW10_TP_DST)) setMatchWord(match, W_TP, tpDst, 0xffff);
  setDefaultPacketType(match);
  return match;
}

function setEth(match: Match, hi: number, lo: number, maskHi: number, maskLo: number, _src: boolean): void {
  setMatchWord(match, W_ETH_DST_SRC, hi, maskHi);
  setMatchWord(match, W_ETH_SRC_LO, lo, maskLo);
}

/** `wildBits` low bits do not count. */
function setPrefix(match: Match, word: number, value: number, wildBits: number): void {
  if (wildBits < 32) setMatchWord(match, word, value, wildBits === 0 ? -1 : -1 << wildBits);
}

function wildBits(mask: number): number {
  return mask === 0 ? 32 : 31 - Math.clz32(mask & -mask);
}

export function writeMatch10(w: Writer, match: Match): void {
  const { flow, mask } = match;
  let wild = 0;
  if (mask[W_IN_PORT] === 0) wild |= OFPFW10_IN_PORT;
  const srcMask = mask[W_ETH_SRC_LO] !== 0 || (mask[W_ETH_DST_SRC]! & 0xffff) !== 0;
  const dstMask = mask[W_ETH_DST_HI] !== 0 || mask[W_ETH_DST_SRC]! >>> 16 !== 0;
  if (!srcMask) wild |= OFPFW10_DL_SRC;
  if (!dstMask) wild |= OFPFW10_DL_DST;
  const tci = flow[W_VLAN0]!;
  const tciMask = mask[W_VLAN0]! & 0xffff;
  let vlan = 0;
  let pcp = 0;
  if (tciMask === 0) wild |= OFPFW10_DL_VLAN | OFPFW10_DL_VLAN_PCP;
  else if ((tciMask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) === 0) {
    vlan = OFP_VLAN_NONE;
  } else {
    if ((tciMask & 0xfff) === 0) wild |= OFPFW10_DL_VLAN;
    else vlan = tci & 0xfff;
    if ((tciMask & 0xe000) === 0) wild |= OFPFW10_DL_VLAN_PCP;
    else pcp = (tci >>> 13) & 7;
  }
  if ((mask[W_ETH_TYPE]! & 0xffff) === 0) wild |= OFPFW10_DL_TYPE;
  if ((mask[W_NW]! & 0xff) === 0) wild |= OFPFW10_NW_PROTO;
  if ((mask[W_NW]! & 0xfc00) === 0) wild |= OFPFW10_NW_TOS;
  wild |= wildBits(mask[W_IPV4_SRC]!) << OFPFW10_NW_SRC_SHIFT;
  wild |= wildBits(mask[W_IPV4_DST]!) << OFPFW10_NW_DST_SHIFT;
  if (mask[W_TP]! >>> 16 === 0) wild |= OFPFW10_TP_SRC;
  if ((mask[W_TP]! & 0xffff) === 0) wild |= OFPFW10_TP_DST;
  w.room(40);
  const { view, pos } = w;
  view.setInt32(pos, wild);
  view.setInt16(pos + 4, flow[W_IN_PORT]!);
  view.setInt16(pos + 6, flow[W_ETH_DST_SRC]!);
  view.setInt32(pos + 8, flow[W_ETH_SRC_LO]!);
  view.setInt32(pos + 12, flow[W_ETH_DST_HI]!);
  view.setInt16(pos + 16, flow[W_ETH_DST_SRC]! >>> 16);
  view.setInt16(pos + 18, vlan);
  view.setInt16(pos + 20, pcp << 8);
  view.setInt16(pos + 22, flow[W_ETH_TYPE]!);
  view.setInt8(pos + 24, (flow[W_NW]! >>> 8) & 0xfc);
  view.setInt8(pos + 25, flow[W_NW]!);
  view.setInt16(pos + 26, 0);
  view.setInt32(pos + 28, flow[W_IPV4_SRC]!);
  view.setInt32(pos + 32, flow[W_IPV4_DST]!);
  view.setInt32(pos + 36, flow[W_TP]!);
  w.pos += 40;
}

const OFPFW11_IN_PORT = 1;
const OFPFW11_DL_VLAN = 2;
const OFPFW11_DL_VLAN_PCP = 4;
const OFPFW11_DL_TYPE = 8;
const OFPFW11_NW_TOS = 16;
const OFPFW11_NW_PROTO = 32;
const OFPFW11_TP_SRC = 64;
const OFPFW11_TP_DST = 128;
const OFPFW11_MPLS_LABEL = 256;
const OFPFW11_MPLS_TC = 512;
const OFPVID11_ANY = 0xfffe;

/** After type and length, which the caller has read. */
function readMatch11Body(r: Reader): Match {
  const match = makeMatch();
  const inPort = r.u32();
  const wild = r.u32();
  const src = r.big(6);
  const srcWild = r.big(6);
  const dst = r.big(6);
  const dstWild = r.big(6);
  const vlan = r.u16();
  const pcp = r.u8();
  r.skip(1);
  const type = r.u16();
  const tos = r.u8();
  const proto = r.u8();
  const nwSrc = r.u32();
  const nwSrcWild = r.u32();
  const nwDst = r.u32();
  const nwDstWild = r.u32();
  const tpSrc = r.u16();
  const tpDst = r.u16();
  const label = r.u32();
  const tc = r.u8();
  r.skip(3);
  const metaHi = r.u32();
  const metaLo = r.u32();
  const metaWildHi = r.u32();
  const metaWildLo = r.u32();
  if (!(wild & OFPFW11_IN_PORT)) {
    setMatchWord(match, W_IN_PORT, portFromWire(inPort, "OFPBMC_BAD_VALUE"), -1);
  }
  const full = 0xffff_ffff_ffffn;
  setFieldBig(ETH_SRC, match.mask, full & ~srcWild);
  setFieldBig(ETH_SRC, match.flow, src & ~srcWild);
  setFieldBig(ETH_DST, match.mask, full & ~dstWild);
  setFieldBig(ETH_DST, match.flow, dst & ~dstWild);
  if (!(wild & OFPFW11_DL_VLAN)) {
    if (vlan === OFP_VLAN_NONE) setMatchWord(match, W_VLAN0, 0, 0xffff);
    else {
      if (vlan === OFPVID11_ANY) setMatchWord(match, W_VLAN0, VLAN_CFI, VLAN_CFI);
      else if (vlan < 4096) setMatchWord(match, W_VLAN0, VLAN_CFI | vlan, VLAN_CFI | 0xfff);
      else throw new OfpError("OFPBMC_BAD_VALUE");
      if (!(wild & OFPFW11_DL_VLAN_PCP)) {
        if (pcp > 7) throw new OfpError("OFPBMC_BAD_VALUE");
        setMatchWord(match, W_VLAN0, pcp << 13, 0xe000);
      }
    }
  }
  if (wild & OFPFW11_DL_TYPE) return match11Tail(match, metaHi, metaLo, metaWildHi, metaWildLo);
  setMatchWord(match, W_ETH_TYPE, type, 0xffff);
  const ipv4 = type === 0x0800;
  const arp = type === 0x0806 || type === 0x8035;
  if (ipv4 || arp) {
    setMatchWord(match, W_IPV4_SRC, nwSrc, ~nwSrcWild);
    setMatchWord(match, W_IPV4_DST, nwDst, ~nwDstWild);
  }
  if (ipv4 && !(wild & OFPFW11_NW_TOS)) {
    if ((tos & 3) !== 0) throw new OfpError("OFPBMC_BAD_VALUE");
    setMatchWord(match, W_NW, tos << 8, 0xfc00);
  }
  if (!(wild & OFPFW11_NW_PROTO) && (ipv4 || arp)) {
    setMatchWord(match, W_NW, proto, 0xff);
    if (ipv4) readTransport11(match, wild, proto, tpSrc, tpDst);
  }
  if (type === 0x8847 || type === 0x8848) {
    if (!(wild & OFPFW11_MPLS_LABEL)) setMatchWord(match, W_MPLS, label << 12, 0xfffff000);
    if (!(wild & OFPFW11_MPLS_TC)) setMatchWord(match, W_MPLS, tc << 9, 0xe00);
  }
  return match11Tail(match, metaHi, metaLo, metaWildHi, metaWildLo);
}

function readTransport11(match: Match, wild: number, proto: number, tpSrc: number, tpDst: number): void {
  if (proto !== 1 && proto !== 6 && proto !== 17 && proto !== 132) {
    return;
  }
  if (proto === 1) {
    if (!(wild & OFPFW11_TP_SRC) && tpSrc > 255) throw new OfpError("OFPBMC_BAD_FIELD");
    if (!(wild & OFPFW11_TP_DST) && tpDst > 255) throw new OfpError("OFPBMC_BAD_FIELD");
  }
  if (!(wild & OFPFW11_TP_SRC)) setMatchWord(match, W_TP, tpSrc << 16, 0xffff << 16);
  if (!(wild & OFPFW11_TP_DST)) setMatchWord(match, W_TP, tpDst, 0xffff);
}

function match11Tail(match: Match, hi: number, lo: number, wildHi: number, wildLo: number): Match {
  setMatchWord(match, W_METADATA_HI, hi, ~wildHi);
  setMatchWord(match, W_METADATA_LO, lo, ~wildLo);
  setDefaultPacketType(match);
  return match;
}

export function writeMatch11(w: Writer, match: Match): void {
  const { flow, mask } = match;
  let wild = 0;
  const start = w.pos;
  w.room(88);
  w.u16(0);
  w.u16(88);
  if (mask[W_IN_PORT] === 0) wild |= OFPFW11_IN_PORT;
  w.u32(mask[W_IN_PORT] === 0 ? 0 : portToWire(flow[W_IN_PORT]!));
  w.u32(0);
  w.big(getFieldBig(ETH_SRC, flow), 6);
  w.big(0xffff_ffff_ffffn & ~getFieldBig(ETH_SRC, mask), 6);
  w.big(getFieldBig(ETH_DST, flow), 6);
  w.big(0xffff_ffff_ffffn & ~getFieldBig(ETH_DST, mask), 6);
  const tci = flow[W_VLAN0]!;
  const tciMask = mask[W_VLAN0]! & 0xffff;
  let vlan = 0;
  let pcp = 0;
  if (tciMask === 0) wild |= OFPFW11_DL_VLAN | OFPFW11_DL_VLAN_PCP;
  else if ((tciMask & VLAN_CFI) !== 0 && (tci & VLAN_CFI) === 0) {
    vlan = OFP_VLAN_NONE;
    wild |= OFPFW11_DL_VLAN_PCP;
  } else {
    vlan = (tciMask & 0xfff) === 0 ? OFPVID11_ANY : tci & 0xfff;
    if ((tciMask & 0xe000) === 0) wild |= OFPFW11_DL_VLAN_PCP;
    else pcp = (tci >>> 13) & 7;
  }
  w.u16(vlan);
  w.u8(pcp);
  w.u8(0);
  if ((mask[W_ETH_TYPE]! & 0xffff) === 0) wild |= OFPFW11_DL_TYPE;
  w.u16(flow[W_ETH_TYPE]! & 0xffff);
  if ((mask[W_NW]! & 0xfc00) === 0) wild |= OFPFW11_NW_TOS;
  w.u8((flow[W_NW]! >>> 8) & 0xfc);
  if ((mask[W_NW]! & 0xff) === 0) wild |= OFPFW11_NW_PROTO;
  w.u8(flow[W_NW]! & 0xff);
  w.u32(flow[W_IPV4_SRC]! >>> 0);
  w.u32(~mask[W_IPV4_SRC]! >>> 0);
  w.u32(flow[W_IPV4_DST]! >>> 0);
  w.u32(~mask[W_IPV4_DST]! >>> 0);
  if (mask[W_TP]! >>> 16 === 0) wild |= OFPFW11_TP_SRC;
  if ((mask[W_TP]! & 0xffff) === 0) wild |= OFPFW11_TP_DST;
  w.u16(flow[W_TP]! >>> 16);
  w.u16(flow[W_TP]! & 0xffff);
  if ((mask[W_MPLS]! & 0xfffff000) === 0) wild |= OFPFW11_MPLS_LABEL;
  w.u32((flow[W_MPLS]! >>> 12) & 0xfffff);
  if ((mask[W_MPLS]! & 0xe00) === 0) wild |= OFPFW11_MPLS_TC;
  w.u8((flow[W_MPLS]! >>> 9) & 7);
  w.zeros(3);
  w.u32(flow[W_METADATA_HI]! >>> 0);
  w.u32(flow[W_METADATA_LO]! >>> 0);
  w.u32(~mask[W_METADATA_HI]! >>> 0);
  w.u32(~mask[W_METADATA_LO]! >>> 0);
  w.view.setUint32(start + 8, wild);
}

/**
 * `struct ofp11_match`: type 0 (fixed, 88 bytes) or 1 (OXM, padded to 8). Only 1.1 and later.
 * Throws OFPBMC_BAD_LEN, OFPBMC_BAD_TYPE and what its fields throw.
 */
export function readOfp11Match(r: Reader, options: MatchOptions = {}): Match {
  r.need(4, "OFPBMC_BAD_LEN");
  const type = r.u16();
  const length = r.u16();
  const padded = (length + 7) & ~7;
  if (length < 4 || r.left + 4 < padded) throw new OfpError("OFPBMC_BAD_LEN");
  if (type === 0) {
    if (length !== 88) throw new OfpError("OFPBMC_BAD_LEN");
    return readMatch11Body(r);
  }
  if (type !== 1) throw new OfpError("OFPBMC_BAD_TYPE");
  const match = readMatch(r, length - 4, options);
  r.skip(padded - length);
  return match;
}

/** The same of OXM alone, as packet_in and packet_out have it. */
export function readOxmMatch(r: Reader, options: MatchOptions = {}): Match {
  if (r.left >= 2 && r.u16At(r.pos) !== 1) throw new OfpError("OFPBMC_BAD_TYPE");
  return readOfp11Match(r, options);
}

/** The match structure of a version from 1.1 on. */
export function writeOfp11Match(w: Writer, match: Match, version: number): void {
  if (version === 2) writeMatch11(w, match);
  else writeOxmMatch(w, match, version);
}
