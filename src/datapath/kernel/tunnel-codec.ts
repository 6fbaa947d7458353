/** OVS_KEY_ATTR_TUNNEL, which is made of attributes, and back. Options of Geneve are not among the layout's words. */
import * as L from "../../flow/layout.ts";
import { eachAttribute } from "../../netdev/netlink-message.ts";
import { KEY_TUNNEL } from "./key-table.ts";
import type { NlWriter } from "./writer.ts";

const VXLAN_OPTIONS = 11;
const VXLAN_GBP = 1;
const TTL = 4;

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
  let any = 0;
  for (let word = L.W_TUN_ID_HI; word < L.W_TUN_GTPU; word++) any |= row[word]!;
  return any !== 0;
}

/** `mask`: the row is a mask, where zeros may stay away and nothing is demanded. */
export function writeTunnel(out: NlWriter, row: L.Flow, mask: boolean): void {
  const at = out.open(KEY_TUNNEL);
  for (const [attribute, bytes, word, shift] of ROWS) {
    const value = row[word]! >>> shift;
    if (bytes === 0) {
      if ((value & 1) !== 0) out.flag(attribute);
    } else if (bytes >= 4) {
      let any = 0;
      for (let i = 0; i < bytes / 4; i++) any |= row[word + i]!;
      const keyed = attribute === 0 && (row[L.W_TUN_FLAGS_TOS_TTL]! & KEY_FLAG) !== 0;
      if (any !== 0 || (keyed && !mask)) out.be32s(attribute, row, word, bytes / 4);
    } else if (bytes === 2) {
      if ((value & 0xffff) !== 0) out.be16(attribute, value & 0xffff);
    } else if ((value & 0xff) !== 0 || (attribute === TTL && !mask)) out.u8(attribute, value & 0xff);
  }
  const gbp = row[L.W_TUN_GBP]! & 0xffffff;
  if (gbp !== 0) {
    const options = out.open(VXLAN_OPTIONS);
    out.u32(VXLAN_GBP, gbp);
    out.close(options);
  }
  out.close(at);
}

export function readTunnel(value: DataView, row: L.Flow): void {
  eachAttribute(value, 0, (type, of) => {
    if (type === VXLAN_OPTIONS) {
      eachAttribute(of, 0, (option, gbp) => {
        if (option === VXLAN_GBP && gbp.byteLength >= 4) row[L.W_TUN_GBP] = gbp.getUint32(0, true) & 0xffffff;
      });
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
