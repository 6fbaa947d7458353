/**
 * Matches of packets that a switch tells of, which are decoded without asking for prerequisites: what lacks them is
 * written, too. Whatever has them comes out as in any other match.
 */
import { FLOW_PACKET_WORDS, W_ETH_DST_HI } from "../flow/layout.ts";
import { anyBits, copyMatch, type Match, rowsEqual } from "../flow/match.ts";
import { fields, put, putDscp, readMatch, writeMatch } from "./oxm.ts";
import { Reader, type Writer } from "./wire.ts";

/** Between them they have every header bit that some field has; those with masks stand for others at their place. */
const HEADERS = fields(
  "eth_src eth_dst eth_type vlan_tci mpls_label mpls_tc mpls_bos mpls_ttl ip_src ip_dst nw_ecn nw_ttl ip_frag nw_proto " +
    "ipv6_src ipv6_dst ipv6_label nd_target arp_sha arp_tha tcp_src tcp_dst tcp_flags nd_reserved nd_options_type",
);

/** As writeMatch, for matches that are read with `loose`. */
export function writeLooseMatch(w: Writer, match: Match, version: number): void {
  const start = w.pos;
  writeMatch(w, match, version);
  // Packets are mostly told of by metadata alone.
  if (!anyBits(match.mask, W_ETH_DST_HI, FLOW_PACKET_WORDS)) return;
  const written = w.bytes.slice(start, w.pos);
  const back = readMatch(new Reader(written), written.length, { loose: true });
  if (
    rowsEqual(back.mask, match.mask, FLOW_PACKET_WORDS) &&
    rowsEqual(back.flow, match.flow, FLOW_PACKET_WORDS)
  )
    return;
  w.pos = start;
  const metadata = copyMatch(match);
  for (const row of [metadata.flow, metadata.mask]) row.fill(0, W_ETH_DST_HI, FLOW_PACKET_WORDS);
  writeMatch(w, metadata, version);
  for (const field of HEADERS) put(w, match, field, version);
  putDscp(w, match, version);
}
