/** Open_vSwitch schema, the root row: columns and constraints. What they mean is in docs/open-vswitch.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const openVswitch = {
  isRoot: true,
  maxRows: 1,
  columns: {
    datapaths: {
      type: {
        key: { type: "string" },
        value: { type: "uuid", refTable: "Datapath" },
        min: 0,
        max: "unlimited",
      },
    },
    bridges: { type: { key: { type: "uuid", refTable: "Bridge" }, min: 0, max: "unlimited" } },
    manager_options: { type: { key: { type: "uuid", refTable: "Manager" }, min: 0, max: "unlimited" } },
    ssl: { type: { key: { type: "uuid", refTable: "SSL" }, min: 0, max: 1 } },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    next_cfg: { type: "integer" },
    cur_cfg: { type: "integer" },
    statistics: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
    ovs_version: { type: { key: { type: "string" }, min: 0, max: 1 } },
    db_version: { type: { key: { type: "string" }, min: 0, max: 1 } },
    system_type: { type: { key: { type: "string" }, min: 0, max: 1 } },
    system_version: { type: { key: { type: "string" }, min: 0, max: 1 } },
    datapath_types: { type: { key: { type: "string" }, min: 0, max: "unlimited" } },
    iface_types: { type: { key: { type: "string" }, min: 0, max: "unlimited" } },
    dpdk_initialized: { type: "boolean" },
    dpdk_version: { type: { key: { type: "string" }, min: 0, max: 1 } },
  },
} as const satisfies TableSchema;
