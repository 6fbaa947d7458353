/** OVS_KEY_ATTR_TUNNEL, which is made of attributes, and back. What only userspace's tunnels have (GTP-U) it does not know. */
import * as L from "../../flow/layout.ts";
import { eachAttribute } from "../../netdev/netlink-message.ts";
import { KEY_TUNNEL } from "./key-table.ts";
import type { NlWriter } from "./writer.ts";

const TTL = 4;
/** The options as they are on the wire. */
const GENEVE_OPTIONS = 8;
/** Attributes. */
const VXLAN_OPTIONS = 11;
const VXLAN_GBP = 1;
/**
 * struct erspan_metadata: u32 version in the host's order; then of version 1 u32 index, of version 2
 *
 *   u32 time stamp, u16 security group tag, 2 bytes:  p:1 ft:5 hwid_upper:2 | hwid:4 dir:1 gra:2 o:1
 */
const ERSPAN_OPTIONS = 15;
const ERSPAN_BYTES = 12;

/** [attribute, bytes, first word, shift]: bytes 0 is a flag, whose bit is that of the word. */
const ROWS: readonly (readonly [attribute: number, bytes: number, word: number, shift: number])[] = [
  [0, 8, L.W_TUN_ID_HI, 0],
  [1, 4, L.W_TUN_SRC, 0],
  [2, 4, L.W_TUN_DST, 0],
  [3, 1, L.W_TUN_FLAGS_TOS_TTL, 16],
  [TTL, 1, L.W_TUN_FLAGS_TOS_TTL, 24],
  // Don't fragment, checksum, operations and management: as ODP_TUN_FLAGS has them.
  [5, 0, L.W_TUN_FLAGS_TOS_TTL, 1],
  [6, 0, L.W_TUN_FLAGS_TOS_TTL, 2],
  [7, 0, L.W_TUN_FLAGS_TOS_TTL, 0],
  [9, 2, L.W_TUN_TP, 16],
  [10, 2, L.W_TUN_TP, 0],
  [12, 16, L.W_TUN_IPV6_SRC, 0],
  [13, 16, L.W_TUN_IPV6_DST, 0],
];
/** ODP_TUN_FLAGS: the tunnel has a key. */
const KEY_FLAG = 8;

/** A packet came through a tunnel, or goes into one: there is a destination. */
export function hasTunnel(key: L.Flow): boolean {
  let any = key[L.W_TUN_DST]!;
  for (let i = 0; i < 4; i++) any |= key[L.W_TUN_IPV6_DST + i]!;
  return any !== 0;
}

export function anyTunnelBit(row: L.Flow): boolean {
  let any = row[L.W_TUN_METADATA_PRESENT]!;
  for (let word = L.W_TUN_ID_HI; word < L.W_TUN_GTPU; word++) any |= row[word]!;
  return any !== 0;
}

/** A mask has what the kernel asks for with the rest: whose bits of Geneve's options count, their length counts. */
export function narrowTunnel(mask: L.Flow): void {
  for (let word = L.W_TUN_METADATA; word < L.FLOW_DP_WORDS; word++)
    if (mask[word] !== 0) mask[L.W_TUN_METADATA_PRESENT] = -1;
  if ((mask[L.W_TUN_ID_HI]! | mask[L.W_TUN_ID_LO]!) !== 0)
    mask[L.W_TUN_FLAGS_TOS_TTL] = mask[L.W_TUN_FLAGS_TOS_TTL]! | KEY_FLAG;
  // The kernel compares options as bytes, whatever they mean.
  if ((mask[L.W_TUN_ERSPAN]! | mask[L.W_TUN_ERSPAN_IDX]!) !== 0)
    mask[L.W_TUN_ERSPAN] = mask[L.W_TUN_ERSPAN]! | 0xff;
}

/** `maskOf`: the row is the mask of that key, where zeros may stay away and nothing is demanded. */
export function writeTunnel(out: NlWriter, row: L.Flow, maskOf: L.Flow | undefined): void {
  const at = out.open(KEY_TUNNEL);
  for (const [attribute, bytes, word, shift] of ROWS) {
    const value = row[word]! >>> shift;
    if (bytes === 0) {
      if ((value & 1) !== 0) out.flag(attribute);
    } else if (bytes >= 4) {
      let any = 0;
      for (let i = 0; i < bytes / 4; i++) any |= row[word + i]!;
      const keyed = attribute === 0 && (row[L.W_TUN_FLAGS_TOS_TTL]! & KEY_FLAG) !== 0;
      if (any !== 0 || keyed) out.be32s(attribute, row, word, bytes / 4);
    } else if (bytes === 2) {
      if ((value & 0xffff) !== 0) out.be16(attribute, value & 0xffff);
    } else if ((value & 0xff) !== 0 || (attribute === TTL && maskOf === undefined))
      out.u8(attribute, value & 0xff);
  }
  const optionWords = (maskOf ?? row)[L.W_TUN_METADATA_PRESENT]! >>> 2;
  if (row[L.W_TUN_METADATA_PRESENT] !== 0 && optionWords > 0)
    out.be32s(GENEVE_OPTIONS, row, L.W_TUN_METADATA, optionWords);
  const gbp = row[L.W_TUN_GBP]! & 0xffffff;
  if (gbp !== 0) {
    const options = out.open(VXLAN_OPTIONS);
    out.u32(VXLAN_GBP, gbp);
    out.close(options);
  }
  const erspan = row[L.W_TUN_ERSPAN]!;
  if ((erspan & 0xff) !== 0) {
    const to = out.blank(ERSPAN_OPTIONS, ERSPAN_BYTES);
    out.put32(to, erspan & 0xff, false);
    if (((maskOf ?? row)[L.W_TUN_ERSPAN]! & 0xff) === 1) out.put32(to + 4, row[L.W_TUN_ERSPAN_IDX]!, true);
    else {
      const hwid = erspan >>> 16;
      out.put8(to + 10, (hwid >>> 4) & 3);
      out.put8(to + 11, ((hwid & 0xf) << 4) | (((erspan >>> 8) & 1) << 3));
    }
  }
  out.close(at);
}

function readErspan(of: DataView, row: L.Flow, maskOf: L.Flow | undefined): void {
  if (of.byteLength < ERSPAN_BYTES) return;
  const version = of.getUint32(0, true) & 0xff;
  row[L.W_TUN_ERSPAN] = version;
  if ((maskOf === undefined ? version : maskOf[L.W_TUN_ERSPAN]! & 0xff) === 1)
    row[L.W_TUN_ERSPAN_IDX] = of.getInt32(4);
  else {
    const low = of.getUint8(11);
    const hwid = ((of.getUint8(10) & 3) << 4) | (low >>> 4);
    row[L.W_TUN_ERSPAN] = version | (((low >>> 3) & 1) << 8) | (hwid << 16);
  }
}

/** `maskOf`: what is read is the mask of that key. */
export function readTunnel(value: DataView, row: L.Flow, maskOf?: L.Flow): void {
  eachAttribute(value, 0, (type, of) => {
    if (type === VXLAN_OPTIONS) {
      eachAttribute(of, 0, (option, gbp) => {
        if (option === VXLAN_GBP && gbp.byteLength >= 4) row[L.W_TUN_GBP] = gbp.getUint32(0, true) & 0xffffff;
      });
      return;
    }
    if (type === GENEVE_OPTIONS) {
      const bytes = Math.min(of.byteLength & ~3, (L.FLOW_DP_WORDS - L.W_TUN_METADATA) * 4);
      row[L.W_TUN_METADATA_PRESENT] = maskOf === undefined ? bytes : -1;
      for (let i = 0; i < bytes / 4; i++) row[L.W_TUN_METADATA + i] = of.getInt32(i * 4);
      return;
    }
    if (type === ERSPAN_OPTIONS) {
      readErspan(of, row, maskOf);
      return;
    }
    const found = ROWS.find(([attribute]) => attribute === type);
    if (found === undefined || of.byteLength < found[1]) return;
    const [, bytes, word, shift] = found;
    if (type === 0) row[L.W_TUN_FLAGS_TOS_TTL] = row[L.W_TUN_FLAGS_TOS_TTL]! | KEY_FLAG;
    if (bytes >= 4) for (let i = 0; i < bytes / 4; i++) row[word + i] = of.getInt32(i * 4);
    else {
      const number = bytes === 0 ? 1 : bytes === 1 ? of.getUint8(0) : of.getUint16(0);
      row[word] = row[word]! | (number << shift);
    }
  });
}
