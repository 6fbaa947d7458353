/**
 * The flow key: one row of an Int32Array that holds every header and metadata value a packet can be matched on
 * (upstream: `struct flow`). A mask has the same layout. Words are host numbers (`0x0a000001` for 10.0.0.1), so that
 * comparison, masking and hashing are `| 0` arithmetic; a field's bits within its word are given by {@link MASKS}-style
 * constants beside each word. Absent headers are zero.
 *
 * Words are ordered by use: what the datapath extracts from an untunnelled packet comes first
 * (`FLOW_PACKET_WORDS`), then tunnel metadata, then what only the OpenFlow pipeline knows (registers, metadata).
 * A datapath key is the first `FLOW_DP_WORDS` words; its in_port is a datapath port number, an OpenFlow flow's is
 * an OpenFlow port number.
 */

// Metadata that travels with a packet.
export const W_IN_PORT = 0;
export const W_SKB_PRIORITY = 1;
export const W_PKT_MARK = 2;
export const W_RECIRC_ID = 3;
export const W_DP_HASH = 4;
/** ct_state in bits 0-15, ct_zone in bits 16-31. */
export const W_CT_STATE_ZONE = 5;
export const W_CT_MARK = 6;
/** Most significant word first; 4 words. */
export const W_CT_LABEL = 7;
/** packet_type: namespace << 16 | type; 0 is Ethernet. */
export const W_PACKET_TYPE = 11;

// Ethernet. 48-bit addresses: dst is words 12 and the high half of 13, src the low half of 13 and 14.
export const W_ETH_DST_HI = 12; // dst bytes 0-3
export const W_ETH_DST_SRC = 13; // dst bytes 4-5 << 16 | src bytes 0-1
export const W_ETH_SRC_LO = 14; // src bytes 2-5
/** dl_type in bits 0-15 (innermost, after VLAN tags; 0x05ff for LLC without SNAP). */
export const W_ETH_TYPE = 15;
/** Outer tag: TPID << 16 | TCI, where TCI has bit 12 (CFI) set when a tag is present; 0 when there is none. */
export const W_VLAN0 = 16;
/** Inner tag, same form. */
export const W_VLAN1 = 17;
/** MPLS label stack entries, outermost first; 3 words. */
export const W_MPLS = 18;

// Network layer. ARP uses IPV4_SRC/DST for spa/tpa and NW.proto for the opcode.
export const W_IPV4_SRC = 21;
export const W_IPV4_DST = 22;
/** nw_proto bits 0-7, nw_tos 8-15, nw_ttl 16-23, nw_frag 24-31. */
export const W_NW = 23;
export const W_IPV6_SRC = 24; // 4 words
export const W_IPV6_DST = 28; // 4 words
export const W_IPV6_LABEL = 32; // 20 bits
export const W_ND_TARGET = 33; // 4 words
/** arp_sha (nd_sll) bytes 0-3; then sha 4-5 << 16 | tha 0-1; then tha (nd_tll) 2-5. */
export const W_ARP_SHA_HI = 37;
export const W_ARP_SHA_THA = 38;
export const W_ARP_THA_LO = 39;

// Transport layer.
/** tp_src << 16 | tp_dst; ICMP has type in tp_src and code in tp_dst. */
export const W_TP = 40;
/** tcp_flags bits 0-15 (12 used); nd options type bits 16-23. */
export const W_TCP_FLAGS = 41;
/** igmp_group_ip4, or nd_reserved for ICMPv6. */
export const W_IGMP_ND_RESERVED = 42;

/** What extraction of an untunnelled, untracked packet can set: words 0 to 42. */
export const FLOW_PACKET_WORDS = 43;

// Original direction tuple of a tracked packet.
export const W_CT_NW_SRC = 43;
export const W_CT_NW_DST = 44;
export const W_CT_IPV6_SRC = 45; // 4 words
export const W_CT_IPV6_DST = 49; // 4 words
export const W_CT_TP = 53; // ct_tp_src << 16 | ct_tp_dst
export const W_CT_NW_PROTO = 54; // 8 bits

// NSH.
/** flags bits 24-31, ttl 16-23, mdtype 8-15, np 0-7. */
export const W_NSH_BASE = 55;
/** spi << 8 | si, as on the wire. */
export const W_NSH_PATH = 56;
export const W_NSH_CONTEXT = 57; // 4 words

// Tunnel metadata.
export const W_TUN_ID_HI = 61;
export const W_TUN_ID_LO = 62;
export const W_TUN_SRC = 63;
export const W_TUN_DST = 64;
export const W_TUN_IPV6_SRC = 65; // 4 words
export const W_TUN_IPV6_DST = 69; // 4 words
/** tun_flags bits 0-15, tun_tos 16-23, tun_ttl 24-31. */
export const W_TUN_FLAGS_TOS_TTL = 73;
export const W_TUN_TP = 74; // tp_src << 16 | tp_dst
/** gbp_id bits 0-15, gbp_flags 16-23. */
export const W_TUN_GBP = 75;
/** erspan_ver bits 0-7, dir 8-15, hwid 16-23. */
export const W_TUN_ERSPAN = 76;
export const W_TUN_ERSPAN_IDX = 77;
/** gtpu_flags bits 0-7, gtpu_msgtype 8-15. */
export const W_TUN_GTPU = 78;
/**
 * Presence of tun_metadata0-63, low word first; 2 words. In a datapath key, which no TLV table has looked at: bytes of Geneve's
 * options, which then lie in W_TUN_METADATA as they are on the wire; a mask has all ones here or none.
 */
export const W_TUN_METADATA_PRESENT = 79;
/** 256 bytes of option data, placed by the TLV table in force; 64 words. */
export const W_TUN_METADATA = 81;

/** Words of a datapath key. */
export const FLOW_DP_WORDS = 145;

// Known to the OpenFlow pipeline only.
export const W_METADATA_HI = 145;
export const W_METADATA_LO = 146;
export const W_REG0 = 147; // 32 words
export const W_CONJ_ID = 179;
export const W_ACTSET_OUTPUT = 180;

/** Words of an OpenFlow flow. */
export const FLOW_WORDS = 181;

export const VLAN_CFI = 0x1000;
export const FLOW_NW_FRAG_ANY = 1;
export const FLOW_NW_FRAG_LATER = 2;
/** dl_type of a frame with an 802.2 header that is not SNAP. */
export const FLOW_DL_TYPE_NONE = 0x05ff;

/** A row of at least FLOW_DP_WORDS (datapath) or FLOW_WORDS (OpenFlow) words. */
export type Flow = Int32Array;
