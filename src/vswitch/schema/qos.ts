/** Open_vSwitch schema, QoS and queues: columns and constraints. What they mean is in docs/qos.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const qos = {
  isRoot: true,
  columns: {
    type: { type: "string" },
    queues: {
      type: {
        key: { type: "integer", minInteger: 0, maxInteger: 4294967295 },
        value: { type: "uuid", refTable: "Queue" },
        min: 0,
        max: "unlimited",
      },
    },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;

export const queue = {
  isRoot: true,
  columns: {
    dscp: { type: { key: { type: "integer", minInteger: 0, maxInteger: 63 }, min: 0, max: 1 } },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;
