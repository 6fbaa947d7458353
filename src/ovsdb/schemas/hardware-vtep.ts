/**
 * The hardware_vtep database schema, as data (vtep(5)): the database between a hardware switch that ends VXLAN tunnels
 * and the controller that tells it where addresses are. vtep-ctl is its client.
 */
import type { DatabaseSchema } from "../idl-types.ts";

const STRING_MAP = { key: "string", value: "string", min: 0, max: "unlimited" } as const;
const STRING_SET = { key: "string", min: 0, max: "unlimited" } as const;
const OPTIONAL_STRING = { key: "string", min: 0, max: 1 } as const;
const OPTIONAL_INTEGER = { key: "integer", min: 0, max: 1 } as const;

const ref = <T extends string>(refTable: T) => ({ key: { type: "uuid", refTable } }) as const;
const refs = <T extends string>(refTable: T) =>
  ({ key: { type: "uuid", refTable }, min: 0, max: "unlimited" }) as const;
const byVlan = <T extends string>(refTable: T) =>
  ({
    key: { type: "integer", minInteger: 0, maxInteger: 4095 },
    value: { type: "uuid", refTable },
    min: 0,
    max: "unlimited",
  }) as const;
const byName = <T extends string>(refTable: T) =>
  ({ key: "string", value: { type: "uuid", refTable }, min: 0, max: "unlimited" }) as const;

export const hardwareVtepSchema = {
  name: "hardware_vtep",
  version: "1.7.0",
  /** POSIX cksum and length of the file that upstream ships for this version; tools compare it. */
  cksum: "353943336 11434",
  tables: {
    Global: {
      columns: {
        managers: { type: refs("Manager") },
        switches: { type: refs("Physical_Switch") },
        other_config: { type: STRING_MAP },
      },
      maxRows: 1,
      isRoot: true,
    },
    Physical_Switch: {
      columns: {
        ports: { type: refs("Physical_Port") },
        name: { type: "string" },
        description: { type: "string" },
        management_ips: { type: STRING_SET },
        tunnel_ips: { type: STRING_SET },
        tunnels: { type: refs("Tunnel") },
        other_config: { type: STRING_MAP },
        switch_fault_status: { type: STRING_SET, ephemeral: true },
      },
      indexes: [["name"]],
    },
    Physical_Port: {
      columns: {
        name: { type: "string" },
        description: { type: "string" },
        vlan_bindings: { type: byVlan("Logical_Switch") },
        acl_bindings: { type: byVlan("ACL") },
        vlan_stats: { type: byVlan("Logical_Binding_Stats"), ephemeral: true },
        other_config: { type: STRING_MAP },
        port_fault_status: { type: STRING_SET, ephemeral: true },
      },
    },
    Tunnel: {
      columns: {
        local: { type: ref("Physical_Locator") },
        remote: { type: ref("Physical_Locator") },
        bfd_config_local: { type: STRING_MAP },
        bfd_config_remote: { type: STRING_MAP },
        bfd_params: { type: STRING_MAP },
        bfd_status: { type: STRING_MAP, ephemeral: true },
      },
    },
    Logical_Binding_Stats: {
      columns: {
        bytes_from_local: { type: "integer", ephemeral: true },
        packets_from_local: { type: "integer", ephemeral: true },
        bytes_to_local: { type: "integer", ephemeral: true },
        packets_to_local: { type: "integer", ephemeral: true },
      },
    },
    Logical_Switch: {
      columns: {
        name: { type: "string" },
        description: { type: "string" },
        tunnel_key: { type: OPTIONAL_INTEGER },
        replication_mode: {
          type: { key: { enum: ["set", ["service_node", "source_node"]], type: "string" }, min: 0, max: 1 },
        },
        other_config: { type: STRING_MAP },
      },
      isRoot: true,
      indexes: [["name"]],
    },
    Ucast_Macs_Local: {
      columns: {
        MAC: { type: "string" },
        logical_switch: { type: ref("Logical_Switch") },
        locator: { type: ref("Physical_Locator") },
        ipaddr: { type: "string" },
      },
      isRoot: true,
    },
    Ucast_Macs_Remote: {
      columns: {
        MAC: { type: "string" },
        logical_switch: { type: ref("Logical_Switch") },
        locator: { type: ref("Physical_Locator") },
        ipaddr: { type: "string" },
      },
      isRoot: true,
    },
    Mcast_Macs_Local: {
      columns: {
        MAC: { type: "string" },
        logical_switch: { type: ref("Logical_Switch") },
        locator_set: { type: ref("Physical_Locator_Set") },
        ipaddr: { type: "string" },
      },
      isRoot: true,
    },
    Mcast_Macs_Remote: {
      columns: {
        MAC: { type: "string" },
        logical_switch: { type: ref("Logical_Switch") },
        locator_set: { type: ref("Physical_Locator_Set") },
        ipaddr: { type: "string" },
      },
      isRoot: true,
    },
    Logical_Router: {
      columns: {
        name: { type: "string" },
        description: { type: "string" },
        switch_binding: { type: byName("Logical_Switch") },
        static_routes: { type: STRING_MAP },
        acl_binding: { type: byName("ACL") },
        other_config: { type: STRING_MAP },
        LR_fault_status: { type: STRING_SET, ephemeral: true },
      },
      isRoot: true,
      indexes: [["name"]],
    },
    Arp_Sources_Local: {
      columns: {
        src_mac: { type: "string" },
        locator: { type: ref("Physical_Locator") },
      },
      isRoot: true,
    },
    Arp_Sources_Remote: {
      columns: {
        src_mac: { type: "string" },
        locator: { type: ref("Physical_Locator") },
      },
      isRoot: true,
    },
    Physical_Locator_Set: {
      columns: {
        locators: {
          type: { key: { type: "uuid", refTable: "Physical_Locator" }, min: 1, max: "unlimited" },
          mutable: false,
        },
      },
    },
    Physical_Locator: {
      columns: {
        encapsulation_type: {
          type: { key: { enum: ["set", ["vxlan_over_ipv4"]], type: "string" } },
          mutable: false,
        },
        dst_ip: { type: "string", mutable: false },
        tunnel_key: { type: OPTIONAL_INTEGER },
      },
      indexes: [["encapsulation_type", "dst_ip", "tunnel_key"]],
    },
    ACL_entry: {
      columns: {
        sequence: { type: "integer" },
        source_mac: { type: OPTIONAL_STRING },
        dest_mac: { type: OPTIONAL_STRING },
        ethertype: { type: OPTIONAL_STRING },
        source_ip: { type: OPTIONAL_STRING },
        source_mask: { type: OPTIONAL_STRING },
        dest_ip: { type: OPTIONAL_STRING },
        dest_mask: { type: OPTIONAL_STRING },
        protocol: { type: OPTIONAL_INTEGER },
        source_port_min: { type: OPTIONAL_INTEGER },
        source_port_max: { type: OPTIONAL_INTEGER },
        dest_port_min: { type: OPTIONAL_INTEGER },
        dest_port_max: { type: OPTIONAL_INTEGER },
        tcp_flags: { type: OPTIONAL_INTEGER },
        tcp_flags_mask: { type: OPTIONAL_INTEGER },
        icmp_code: { type: OPTIONAL_INTEGER },
        icmp_type: { type: OPTIONAL_INTEGER },
        direction: { type: { key: { type: "string", enum: ["set", ["ingress", "egress"]] } } },
        action: { type: { key: { type: "string", enum: ["set", ["permit", "deny"]] } } },
        acle_fault_status: { type: STRING_SET, ephemeral: true },
      },
      isRoot: true,
    },
    ACL: {
      columns: {
        acl_entries: { type: { key: { type: "uuid", refTable: "ACL_entry" }, min: 1, max: "unlimited" } },
        acl_name: { type: "string" },
        acl_fault_status: { type: STRING_SET, ephemeral: true },
      },
      indexes: [["acl_name"]],
      isRoot: true,
    },
    Manager: {
      columns: {
        target: { type: "string" },
        max_backoff: { type: { key: { type: "integer", minInteger: 1000 }, min: 0, max: 1 } },
        inactivity_probe: { type: OPTIONAL_INTEGER },
        other_config: { type: STRING_MAP },
        is_connected: { type: "boolean", ephemeral: true },
        status: { type: STRING_MAP, ephemeral: true },
      },
      indexes: [["target"]],
    },
  },
} as const satisfies DatabaseSchema;

export type HardwareVtepSchema = typeof hardwareVtepSchema;
