/** Open_vSwitch schema, interfaces: columns and constraints. What they mean is in docs/interface.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const interfaceTable = {
  indexes: [["name"]],
  columns: {
    name: { type: "string", mutable: false },
    type: { type: "string" },
    options: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    ingress_policing_rate: { type: { key: { type: "integer", minInteger: 0 } } },
    ingress_policing_burst: { type: { key: { type: "integer", minInteger: 0 } } },
    ingress_policing_kpkts_rate: { type: { key: { type: "integer", minInteger: 0 } } },
    ingress_policing_kpkts_burst: { type: { key: { type: "integer", minInteger: 0 } } },
    mac_in_use: { type: { key: { type: "string" }, min: 0, max: 1 }, ephemeral: true },
    mac: { type: { key: { type: "string" }, min: 0, max: 1 } },
    ifindex: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 4294967295 }, min: 0, max: 1 },
      ephemeral: true,
    },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    ofport: { type: { key: "integer", min: 0, max: 1 } },
    ofport_request: { type: { key: { type: "integer", minInteger: 1, maxInteger: 65279 }, min: 0, max: 1 } },
    bfd: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    bfd_status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
    cfm_mpid: { type: { key: { type: "integer" }, min: 0, max: 1 } },
    cfm_remote_mpids: { type: { key: { type: "integer" }, min: 0, max: "unlimited" }, ephemeral: true },
    cfm_flap_count: { type: { key: { type: "integer" }, min: 0, max: 1 } },
    cfm_fault: { type: { key: { type: "boolean" }, min: 0, max: 1 }, ephemeral: true },
    cfm_fault_status: { type: { key: "string", min: 0, max: "unlimited" }, ephemeral: true },
    cfm_remote_opstate: {
      type: { key: { type: "string", enum: ["set", ["up", "down"]] }, min: 0, max: 1 },
      ephemeral: true,
    },
    cfm_health: {
      type: { key: { type: "integer", minInteger: 0, maxInteger: 100 }, min: 0, max: 1 },
      ephemeral: true,
    },
    lacp_current: { type: { key: { type: "boolean" }, min: 0, max: 1 }, ephemeral: true },
    lldp: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    statistics: { type: { key: "string", value: "integer", min: 0, max: "unlimited" }, ephemeral: true },
    status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
    admin_state: {
      type: { key: { type: "string", enum: ["set", ["up", "down"]] }, min: 0, max: 1 },
      ephemeral: true,
    },
    link_state: {
      type: { key: { type: "string", enum: ["set", ["up", "down"]] }, min: 0, max: 1 },
      ephemeral: true,
    },
    link_resets: { type: { key: { type: "integer" }, min: 0, max: 1 }, ephemeral: true },
    link_speed: { type: { key: "integer", min: 0, max: 1 }, ephemeral: true },
    duplex: {
      type: { key: { type: "string", enum: ["set", ["half", "full"]] }, min: 0, max: 1 },
      ephemeral: true,
    },
    mtu: { type: { key: "integer", min: 0, max: 1 }, ephemeral: true },
    mtu_request: { type: { key: { type: "integer", minInteger: 1 }, min: 0, max: 1 } },
    error: { type: { key: "string", min: 0, max: 1 } },
  },
} as const satisfies TableSchema;
