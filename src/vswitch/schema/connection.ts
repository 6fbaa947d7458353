/** Open_vSwitch schema, controllers, managers, SSL: columns and constraints. What they mean is in docs/connection.ts. */
import type { TableSchema } from "../../ovsdb/idl-types.ts";

export const controller = {
  columns: {
    type: { type: { key: { type: "string", enum: ["set", ["primary", "service"]] }, min: 0, max: 1 } },
    target: { type: "string" },
    max_backoff: { type: { key: { type: "integer", minInteger: 1000 }, min: 0, max: 1 } },
    inactivity_probe: { type: { key: "integer", min: 0, max: 1 } },
    connection_mode: {
      type: { key: { type: "string", enum: ["set", ["in-band", "out-of-band"]] }, min: 0, max: 1 },
    },
    local_ip: { type: { key: { type: "string" }, min: 0, max: 1 } },
    local_netmask: { type: { key: { type: "string" }, min: 0, max: 1 } },
    local_gateway: { type: { key: { type: "string" }, min: 0, max: 1 } },
    enable_async_messages: { type: { key: { type: "boolean" }, min: 0, max: 1 } },
    controller_queue_size: {
      type: { key: { type: "integer", minInteger: 1, maxInteger: 512 }, min: 0, max: 1 },
    },
    controller_rate_limit: { type: { key: { type: "integer", minInteger: 100 }, min: 0, max: 1 } },
    controller_burst_limit: { type: { key: { type: "integer", minInteger: 25 }, min: 0, max: 1 } },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    is_connected: { type: "boolean", ephemeral: true },
    role: {
      type: { key: { type: "string", enum: ["set", ["other", "master", "slave"]] }, min: 0, max: 1 },
      ephemeral: true,
    },
    status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
  },
} as const satisfies TableSchema;

export const manager = {
  indexes: [["target"]],
  columns: {
    target: { type: "string" },
    max_backoff: { type: { key: { type: "integer", minInteger: 1000 }, min: 0, max: 1 } },
    inactivity_probe: { type: { key: "integer", min: 0, max: 1 } },
    connection_mode: {
      type: { key: { type: "string", enum: ["set", ["in-band", "out-of-band"]] }, min: 0, max: 1 },
    },
    other_config: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
    is_connected: { type: "boolean", ephemeral: true },
    status: { type: { key: "string", value: "string", min: 0, max: "unlimited" }, ephemeral: true },
  },
} as const satisfies TableSchema;

export const ssl = {
  maxRows: 1,
  columns: {
    private_key: { type: "string" },
    certificate: { type: "string" },
    ca_cert: { type: "string" },
    bootstrap_ca_cert: { type: "boolean" },
    external_ids: { type: { key: "string", value: "string", min: 0, max: "unlimited" } },
  },
} as const satisfies TableSchema;
