/**
 * What /metrics tells, as data: names and units by Prometheus's conventions (base units, `_total` for counters). Every
 * metric bears the label `system` before its own.
 */
export interface MetricInfo {
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly labels: readonly string[];
}

const gauge = (help: string, ...labels: string[]): MetricInfo => ({ type: "gauge", help, labels });
const counter = (help: string, ...labels: string[]): MetricInfo => ({ type: "counter", help, labels });

export const METRICS = {
  ovs_database_up: gauge("Whether the replica of the database is complete and current.", "database"),
  ovs_database_rows: gauge("Rows of a table.", "database", "table"),
  ovs_database_updates_total: counter("Updates that the database server has sent.", "database"),
  ovsdb_server_atoms: gauge("Atoms in the databases of the server."),
  ovsdb_server_cells: gauge("Cells in the databases of the server."),
  ovsdb_server_transactions_total: counter("Transactions that the server has committed."),
  ovsdb_server_monitors: gauge("Monitors of the server's clients."),
  ovsdb_server_sessions: gauge("Clients of the server."),

  ovs_switch_up: gauge("Whether the switch answers on its control socket."),
  ovs_switch_info: gauge("Version of the switch, as a label.", "version"),
  ovs_bridges: gauge("Bridges."),
  ovs_bridge_ports: gauge("Ports of a bridge.", "bridge"),
  ovs_bridge_flows: gauge("OpenFlow flows of a bridge.", "bridge"),
  ovs_bridge_up: gauge("Whether a bridge answers on its OpenFlow management socket.", "bridge"),
  ovs_controller_connected: gauge(
    "Whether a bridge is connected to this OpenFlow controller.",
    "bridge",
    "target",
  ),
  ovs_controller_backoff_seconds: gauge("Time until a lost controller is tried again.", "bridge", "target"),
  ovs_manager_connected: gauge("Whether the database server is connected to this manager.", "target"),

  ovs_interface_info: gauge("What an interface is.", "bridge", "port", "interface", "type"),
  ovs_interface_up: gauge("Whether an interface's link is up.", "bridge", "port", "interface"),
  ovs_interface_link_speed_bytes_per_second: gauge(
    "Speed of an interface's link.",
    "bridge",
    "port",
    "interface",
  ),
  ovs_interface_mtu_bytes: gauge("Longest packet of an interface.", "bridge", "port", "interface"),
  ovs_interface_link_resets_total: counter(
    "Times that an interface's link went up or down.",
    "bridge",
    "port",
    "interface",
  ),
  ovs_interface_receive_packets_total: counter("Packets received.", "bridge", "port", "interface"),
  ovs_interface_transmit_packets_total: counter("Packets sent.", "bridge", "port", "interface"),
  ovs_interface_receive_bytes_total: counter("Bytes received.", "bridge", "port", "interface"),
  ovs_interface_transmit_bytes_total: counter("Bytes sent.", "bridge", "port", "interface"),
  ovs_interface_receive_dropped_total: counter(
    "Packets dropped when received.",
    "bridge",
    "port",
    "interface",
  ),
  ovs_interface_transmit_dropped_total: counter("Packets dropped when sent.", "bridge", "port", "interface"),
  ovs_interface_receive_errors_total: counter("Errors when receiving.", "bridge", "port", "interface"),
  ovs_interface_transmit_errors_total: counter("Errors when sending.", "bridge", "port", "interface"),

  ovs_datapath_flows: gauge("Megaflows in a datapath.", "datapath"),
  ovs_datapath_lookup_hits_total: counter("Packets for which the datapath had a megaflow.", "datapath"),
  ovs_datapath_lookup_misses_total: counter("Packets for which the datapath had no megaflow.", "datapath"),
  ovs_datapath_lookup_lost_total: counter("Packets lost because they could not be sent up.", "datapath"),
  ovs_datapath_cache_hits_total: counter(
    "Packets found in a cache of the userspace datapath.",
    "datapath",
    "cache",
  ),
  ovs_datapath_upcalls_total: counter(
    "Packets of the userspace datapath that were sent up.",
    "datapath",
    "result",
  ),
  ovs_upcall_flows: gauge("Megaflows that the switch keeps account of.", "datapath"),
  ovs_upcall_flow_limit: gauge("Megaflows that the switch allows at present.", "datapath"),
  ovs_upcall_dump_duration_seconds: gauge("Duration of the last check of all megaflows.", "datapath"),
  ovs_drops_total: counter("Packets dropped, by reason (the names of coverage/show).", "reason"),
  ovs_events_total: counter("Events of the switch (coverage/show).", "event"),

  ovs_linux_bridge_ports: gauge("Members of a Linux bridge that ovs-brcompatd sees.", "bridge"),
  ovs_linux_bridge_addresses: gauge("Addresses that a Linux bridge has learned.", "bridge"),
  ovs_linux_bridge_stp_enabled: gauge("Whether the kernel's spanning tree runs on a Linux bridge.", "bridge"),
  ovs_linux_bridge_port_state: gauge(
    "Always 1, for the state of spanning tree that a Linux bridge's member is in.",
    "bridge",
    "port",
    "state",
  ),

  ovs_ipfix_sampled_packets_total: counter("Packets sampled for IPFIX.", "bridge"),
  ovs_ipfix_errors_total: counter("Sampled packets that IPFIX could not describe.", "bridge"),
  ovs_ipfix_transmit_packets_total: counter("IPFIX messages sent to collectors.", "bridge"),
  ovs_ipfix_transmit_errors_total: counter("IPFIX messages that could not be sent.", "bridge"),
} as const satisfies Record<string, MetricInfo>;

/** Of the sFlow collector in this daemon, which belongs to no system. */
export const OWN_METRICS = {
  ovsdbmonitor_pages: gauge("Pages that are open."),
  ovsdbmonitor_sflow_datagrams_total: counter("Datagrams of sFlow received."),
  ovsdbmonitor_sflow_lost_total: counter("Datagrams of sFlow that are missing by their sequence numbers."),
  ovsdbmonitor_sflow_malformed_total: counter("Datagrams that are no sFlow."),
  ovsdbmonitor_sflow_samples_total: counter("Flow samples received."),
} as const satisfies Record<string, MetricInfo>;

export type MetricName = keyof typeof METRICS | keyof typeof OWN_METRICS;
