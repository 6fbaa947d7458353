/** Open_vSwitch schema, ports: columns and constraints. What they mean is in docs/port.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const port = {
  indexes: [["name"]],
  columns: {
    name: { type: "string", mutable: false },
    interfaces: { type: { key: { type: "uuid", refTable: "Interface" }, min: 1, max: "unlimited" } },
    trunks: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4095 }, min: 0, max: 4096 } },
    cvlans: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4095 }, min: 0, max: 4096 } },
    tag: { type: { key: { type: "integer", minInteger: 0, maxInteger: 4095 }, min: 0, max: 1 } },
    vlan_mode: {
      type: {
        key: {
          type: "string",
          enum: ["set", ["trunk", "access", "native-tagged", "native-untagged", "dot1q-tunnel"]],
        },
        min: 0,
        max: 1,
      },
    },
    qos: { type: { key: { type: "uuid", refTable: "QoS" }, min: 0, max: 1 } },
    mac: { type: { key: { type: "string" }, min: 0, max: 1 } },
    bond_mode: {
      type: {
        key: { type: "string", enum: ["set", ["balance-tcp", "balance-slb", "active-backup"]] },
        min: 0,
        max: 1,
      },
    },
    lacp: { type: { key: { type: "string", enum: ["set", ["active", "passive", "off"]] }, min: 0, max: 1 } },
    bond_updelay: { type: "integer" },
    bond_downdelay: { type: "integer" },
    bond_active_slave: { type: { key: { type: "string" }, min: 0, max: 1 } },
    bond_fake_iface: { type: "boolean" },
    fake_bridge: { type: "boolean" },
    status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
    rstp_status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
    rstp_statistics: { type: { key: "string", value: "integer", min: 0, max: "unlimited" }, ephemeral: true },
    statistics: { type: { key: "string", value: "integer", min: 0, max: "unlimited" }, ephemeral: true },
    protected: { type: "boolean" },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;
