/** Open_vSwitch schema, bridges, their flow tables and auto-attach: columns and constraints. What they mean is in docs/bridge.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const bridge = {
  indexes: [["name"]],
  columns: {
    name: { type: "string", mutable: false },
    datapath_type: { type: "string" },
    datapath_version: { type: "string" },
    datapath_id: { type: { key: "string", min: 0, max: 1 }, ephemeral: true },
    stp_enable: { type: "boolean" },
    rstp_enable: { type: "boolean" },
    mcast_snooping_enable: { type: "boolean" },
    ports: { type: { key: { type: "uuid", refTable: "Port" }, min: 0, max: "unlimited" } },
    mirrors: { type: { key: { type: "uuid", refTable: "Mirror" }, min: 0, max: "unlimited" } },
    netflow: { type: { key: { type: "uuid", refTable: "NetFlow" }, min: 0, max: 1 } },
    sflow: { type: { key: { type: "uuid", refTable: "sFlow" }, min: 0, max: 1 } },
    ipfix: { type: { key: { type: "uuid", refTable: "IPFIX" }, min: 0, max: 1 } },
    controller: { type: { key: { type: "uuid", refTable: "Controller" }, min: 0, max: "unlimited" } },
    protocols: {
      type: {
        key: {
          type: "string",
          enum: ["set", ["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"]],
        },
        min: 0,
        max: "unlimited",
      },
    },
    fail_mode: { type: { key: { type: "string", enum: ["set", ["standalone", "secure"]] }, min: 0, max: 1 } },
    status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
    rstp_status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    flood_vlans: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4095 }, min: 0, max: 4096 } },
    flow_tables: {
      type: {
        key: { type: "integer", minInteger: 0, maxInteger: 254 },
        value: { type: "uuid", refTable: "Flow_Table" },
        min: 0,
        max: "unlimited",
      },
    },
    auto_attach: { type: { key: { type: "uuid", refTable: "AutoAttach" }, min: 0, max: 1 } },
  },
} as const satisfies TableSchema;

export const flowTable = {
  columns: {
    name: { type: { key: "string", min: 0, max: 1 } },
    flow_limit: { type: { key: { type: "integer", minInteger: 0 }, min: 0, max: 1 } },
    overflow_policy: {
      type: { key: { type: "string", enum: ["set", ["refuse", "evict"]] }, min: 0, max: 1 },
    },
    groups: { type: { key: "string", min: 0, max: "unlimited" } },
    prefixes: { type: { key: "string", min: 0, max: 4 } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;

export const autoAttach = {
  columns: {
    system_name: { type: "string" },
    system_description: { type: "string" },
    mappings: {
      type: {
        key: { type: "integer", minInteger: 0, maxInteger: 16777215 },
        value: { type: "integer", minInteger: 0, maxInteger: 4095 },
        min: 0,
        max: "unlimited",
      },
    },
  },
} as const satisfies TableSchema;
