/** Open_vSwitch schema, NetFlow, sFlow, IPFIX and sampling: columns and constraints. What they mean is in docs/export.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const netflow = {
  columns: {
    targets: { type: { key: { type: "string" }, min: 1, max: "unlimited" } },
    engine_type: { type: { key: { type: "integer", minInteger: 0, maxInteger: 255 }, min: 0, max: 1 } },
    engine_id: { type: { key: { type: "integer", minInteger: 0, maxInteger: 255 }, min: 0, max: 1 } },
    add_id_to_interface: { type: "boolean" },
    active_timeout: { type: { key: { type: "integer", minInteger: -1 } } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;

export const sflow = {
  columns: {
    targets: { type: { key: "string", min: 1, max: "unlimited" } },
    sampling: { type: { key: "integer", min: 0, max: 1 } },
    polling: { type: { key: "integer", min: 0, max: 1 } },
    header: { type: { key: "integer", min: 0, max: 1 } },
    agent: { type: { key: "string", min: 0, max: 1 } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;

export const ipfix = {
  columns: {
    targets: { type: { key: "string", min: 0, max: "unlimited" } },
    sampling: { type: { key: { type: "integer", minInteger: 1, maxInteger: 4294967295 }, min: 0, max: 1 } },
    obs_domain_id: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 0, max: 1 },
    },
    obs_point_id: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 0, max: 1 },
    },
    cache_active_timeout: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 4200 }, min: 0, max: 1 },
    },
    cache_max_flows: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 0, max: 1 },
    },
    stats_interval: { type: { key: { type: "integer", minInteger: 1, maxInteger: 3600 }, min: 0, max: 1 } },
    template_interval: {
      type: { key: { type: "integer", minInteger: 1, maxInteger: 3600 }, min: 0, max: 1 },
    },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;

export const flowSampleCollectorSet = {
  isRoot: true,
  indexes: [["id", "bridge"]],
  columns: {
    id: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 1, max: 1 } },
    bridge: { type: { key: { type: "uuid", refTable: "Bridge" }, min: 1, max: 1 } },
    ipfix: { type: { key: { type: "uuid", refTable: "IPFIX" }, min: 0, max: 1 } },
    local_group_id: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 0, max: 1 },
    },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;
