/** Open_vSwitch schema, mirrors: columns and constraints. What they mean is in docs/mirror.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const mirror = {
  columns: {
    name: { type: "string" },
    select_all: { type: "boolean" },
    select_src_port: {
      type: { key: { type: "uuid", refTable: "Port", refType: "weak" }, min: 0, max: "unlimited" },
    },
    select_dst_port: {
      type: { key: { type: "uuid", refTable: "Port", refType: "weak" }, min: 0, max: "unlimited" },
    },
    select_vlan: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4095 }, min: 0, max: 4096 } },
    output_port: { type: { key: { type: "uuid", refTable: "Port", refType: "weak" }, min: 0, max: 1 } },
    output_vlan: { type: { key: { type: "integer", minInteger: 1, maxInteger: 4095 }, min: 0, max: 1 } },
    snaplen: { type: { key: { type: "integer", minInteger: 14, maxInteger: 65535 }, min: 0, max: 1 } },
    statistics: { type: { key: "string", value: "integer", min: 0, max: "unlimited" }, ephemeral: true },
    filter: { type: { key: { type: "string" }, min: 0, max: 1 } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;
