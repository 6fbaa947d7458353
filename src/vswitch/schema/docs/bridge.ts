/** Documentation of tables Bridge, Flow_Table and AutoAttach. */
import type { autoAttach, bridge, flowTable } from "../bridge.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const bridgeDoc: DocOf<typeof bridge> = {
  about: "A virtual switch: ports among which packets are forwarded, by learning or by OpenFlow rules.",
  columns: {
    name: "Unique name, also of the local port; at most 15 bytes for a network device to be made. Set once.",
    datapath_type:
      'What forwards: "system" (kernel; also the meaning of ""), "netdev" (userspace), or another of Open_vSwitch.datapath_types.',
    datapath_version:
      'Version that the datapath reports, "<unknown>" if it reports none, "<built-in>" in userspace.',
    datapath_id:
      "The OpenFlow datapath id in use, 16 hexadecimal digits. Set it by other_config:datapath-id.",
    stp_enable: "Run the spanning tree protocol (802.1D). Not together with rstp_enable.",
    rstp_enable: "Run the rapid spanning tree protocol (802.1D-2004).",
    mcast_snooping_enable: "Send multicast only where IGMP or MLD reports asked for it.",
    ports: "The ports. The local port, named like the bridge, is one of them.",
    mirrors: "Copies of traffic to send elsewhere.",
    netflow: "NetFlow records of the bridge's flows.",
    sflow: "sFlow samples of the bridge's packets.",
    ipfix: "IPFIX records of the bridge's packets.",
    controller: "OpenFlow controllers. Without any the bridge forwards by itself (see fail_mode).",
    protocols: "OpenFlow versions to accept; empty: all of 1.0 to 1.5.",
    fail_mode:
      "Without a live controller: standalone (or none) falls back to MAC learning, secure keeps the rules there are and adds none.",
    status: {
      text: "State of the spanning tree.",
      keys: {
        stp_bridge_id: "Own id, PRIORITY.ADDRESS.",
        stp_designated_root: "Id of the root bridge.",
        stp_root_path_cost: "Cost of the way to the root.",
      },
    },
    rstp_status: {
      text: "State of the rapid spanning tree.",
      keys: {
        rstp_bridge_id: "Own id.",
        rstp_root_id: "Id of the root bridge.",
        rstp_root_path_cost: "Cost of the way to the root.",
        "rstp_designated_*": "Bridge and port that lead to the root.",
        rstp_bridge_port_id: "Own port that leads to the root.",
      },
    },
    other_config: {
      text: "Settings without a column of their own.",
      keys: {
        "datapath-id": "16 hexadecimal digits to use as datapath id.",
        "dp-desc": "Free text for OpenFlow's description of the datapath.",
        "dp-sn": "Serial number for OpenFlow's description.",
        "disable-in-band":
          "true: no hidden rules for controllers that are reached through the bridge itself.",
        "in-band-queue": "Queue for in-band control traffic.",
        "controller-queue-size": "Packets that may wait for a controller, 1 to 512; default 100.",
        hwaddr: "MAC address of the local port and of protocols that need one.",
        "forward-bpdu": "true: forward frames to reserved addresses like others.",
        "mac-aging-time": "Seconds that a learned address is kept; default 300.",
        "mac-table-size": "Most learned addresses; default 8192.",
        "stp-system-id": "MAC address for the spanning tree's bridge id.",
        "stp-priority": "0 to 65535, lower becomes root; default 32768.",
        "stp-hello-time": "Seconds between hellos, 1 to 10; default 2.",
        "stp-max-age": "Seconds, 6 to 40; default 20.",
        "stp-forward-delay": "Seconds, 4 to 30; default 15.",
        "rstp-*":
          "The same for the rapid spanning tree: address, priority, ageing-time, force-protocol-version, max-age, forward-delay, transmit-hold-count.",
        "mcast-snooping-aging-time": "Seconds that a group is kept; default 300.",
        "mcast-snooping-table-size": "Most groups; default 2048.",
        "mcast-snooping-disable-flood-unregistered": "true: multicast nobody asked for goes to routers only.",
      },
    },
    external_ids: {
      text: EXTERNAL_IDS,
      keys: { "bridge-id": "Unique id of the bridge in a larger system." },
    },
    flood_vlans: "VLANs in which no address is learned and all packets are flooded (for remote mirroring).",
    flow_tables: "Settings of OpenFlow tables by number, 0 to 254.",
    auto_attach: "Offer services to switches around by LLDP's auto-attach.",
  },
};

export const flowTableDoc: DocOf<typeof flowTable> = {
  about: "Settings of one OpenFlow table.",
  columns: {
    name: "Name that OpenFlow reports for the table.",
    flow_limit: "Most rules in the table; none: no limit but memory.",
    overflow_policy: "When the table is full: refuse (default) new rules, or evict old ones.",
    groups: "For evict: fields by which rules are grouped, so that the largest group loses one first.",
    prefixes: 'Up to four fields to look up by prefix trees; default ip_dst and ip_src, "none" for none.',
    external_ids: EXTERNAL_IDS,
  },
};

export const autoAttachDoc: DocOf<typeof autoAttach> = {
  about:
    "Auto-attach (802.1Qcj draft): maps service ids of a shortest-path bridging network to VLANs over LLDP.",
  columns: {
    system_name: "Name sent in LLDP.",
    system_description: "Description sent in LLDP.",
    mappings: "Service id (24 bits) to VLAN.",
  },
};
