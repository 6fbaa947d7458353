/** Open_vSwitch schema, datapaths, conntrack zones, timeout policies: columns and constraints. What they mean is in docs/datapath.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const datapath = {
  columns: {
    datapath_version: { type: "string" },
    ct_zones: {
      type: {
        key: { type: "integer", minInteger: 0, maxInteger: 65535 },
        value: { type: "uuid", refTable: "CT_Zone" },
        min: 0,
        max: "unlimited",
      },
    },
    capabilities: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    ct_zone_default_limit: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 0, max: 1 },
    },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;

export const ctZone = {
  columns: {
    timeout_policy: { type: { key: { type: "uuid", refTable: "CT_Timeout_Policy" }, min: 0, max: 1 } },
    limit: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 0, max: 1 } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;

export const ctTimeoutPolicy = {
  columns: {
    timeouts: {
      type: {
        key: {
          type: "string",
          enum: [
            "set",
            [
              "tcp_syn_sent",
              "tcp_syn_recv",
              "tcp_established",
              "tcp_fin_wait",
              "tcp_close_wait",
              "tcp_last_ack",
              "tcp_time_wait",
              "tcp_close",
              "tcp_syn_sent2",
              "tcp_retransmit",
              "tcp_unack",
              "udp_first",
              "udp_single",
              "udp_multiple",
              "icmp_first",
              "icmp_reply",
            ],
          ],
        },
        value: { type: "integer", minInteger: 0, maxInteger: 4294967295 },
        min: 0,
        max: "unlimited",
      },
    },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;
