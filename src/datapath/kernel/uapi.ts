/**
 * Numbers of openvswitch.ko's generic netlink families, as linux/openvswitch.h and linux/genetlink.h have them (Linux 6.1).
 * Those of keys and actions are in the tables of `key-table.ts` and `action-codec.ts`.
 */

/** The families, with the version that messages carry. */
export const FAMILIES = {
  ovs_datapath: 2,
  ovs_vport: 1,
  ovs_flow: 1,
  ovs_packet: 1,
  ovs_meter: 1,
  ovs_ct_limit: 0,
} as const;
export type FamilyName = keyof typeof FAMILIES;

// The controller of families, itself a family of a fixed number.
export const GENL_ID_CTRL = 16;
export const CTRL_CMD_GETFAMILY = 3;
export const CTRL_ATTR_FAMILY_ID = 1;
export const CTRL_ATTR_FAMILY_NAME = 2;

/** Commands of datapaths, vports and flows alike. */
export const CMD_NEW = 1;
export const CMD_DEL = 2;
export const CMD_GET = 3;
export const CMD_SET = 4;

export const DP_ATTR_NAME = 1;
export const DP_ATTR_UPCALL_PID = 2;
/** u64 hit, missed, lost, flows. */
export const DP_ATTR_STATS = 3;
/** u64 mask hits, u32 masks, u32, u64 cache hits, u64. */
export const DP_ATTR_MEGAFLOW_STATS = 4;
export const DP_ATTR_USER_FEATURES = 5;
export const DP_ATTR_MASKS_CACHE_SIZE = 7;

export const DP_F_VPORT_PIDS = 2;

export const VPORT_ATTR_PORT_NO = 1;
export const VPORT_ATTR_TYPE = 2;
export const VPORT_ATTR_NAME = 3;
export const VPORT_ATTR_OPTIONS = 4;
export const VPORT_ATTR_UPCALL_PID = 5;
/** u64 rx packets, tx packets, rx bytes, tx bytes, rx errors, tx errors, rx dropped, tx dropped. */
export const VPORT_ATTR_STATS = 6;

export const VPORT_TYPE_NETDEV = 1;

export const TUNNEL_ATTR_DST_PORT = 1;

export const FLOW_ATTR_KEY = 1;
export const FLOW_ATTR_ACTIONS = 2;
/** u64 packets, bytes. */
export const FLOW_ATTR_STATS = 3;
export const FLOW_ATTR_TCP_FLAGS = 4;
/** u64 CLOCK_MONOTONIC in milliseconds. */
export const FLOW_ATTR_USED = 5;
export const FLOW_ATTR_MASK = 7;
export const FLOW_ATTR_UFID = 9;
export const FLOW_ATTR_UFID_FLAGS = 10;
/** No key, mask nor actions. */
export const UFID_F_OMIT_ALL = 7;

export const PACKET_CMD_MISS = 1;
export const PACKET_CMD_ACTION = 2;
export const PACKET_CMD_EXECUTE = 3;
export const PACKET_ATTR_PACKET = 1;
export const PACKET_ATTR_KEY = 2;
export const PACKET_ATTR_ACTIONS = 3;
export const PACKET_ATTR_USERDATA = 4;
/** Nobody is told when the kernel does not know something. */
export const PACKET_ATTR_PROBE = 7;
export const PACKET_ATTR_MRU = 9;

export const METER_CMD_FEATURES = 1;
export const METER_CMD_SET = 2;
export const METER_CMD_DEL = 3;
export const METER_CMD_GET = 4;
export const METER_ATTR_ID = 1;
export const METER_ATTR_KBPS = 2;
export const METER_ATTR_STATS = 3;
export const METER_ATTR_BANDS = 4;
export const METER_ATTR_MAX_METERS = 7;
export const BAND_ATTR_TYPE = 1;
export const BAND_ATTR_RATE = 2;
export const BAND_ATTR_BURST = 3;
export const BAND_ATTR_STATS = 4;

export const CT_LIMIT_CMD_SET = 1;
export const CT_LIMIT_CMD_DEL = 2;
export const CT_LIMIT_CMD_GET = 3;
/** i32 zone, u32 limit, u32 count; of each zone. */
export const CT_LIMIT_ATTR_ZONE_LIMIT = 1;
