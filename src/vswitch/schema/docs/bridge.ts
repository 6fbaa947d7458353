/** Documentation of tables Bridge, Flow_Table and AutoAttach. */
import type { autoAttach, bridge, flowTable } from "../bridge.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const bridgeDoc: DocOf<typeof bridge> = {
  about: "A virtual switch: ports among which packets are forwarded, by learning or by OpenFlow flows.",
  columns: {
    name: "Unique name among bridges, ports and interfaces, without slashes. The local port and its device have it too, hence at most 15 bytes. Set once.",
    datapath_type: {
      text: "What forwards the packets. Bridges of one type share one datapath. Empty means system.",
      values: {
        system:
          "The operating system's kernel: its openvswitch module, where there is none eBPF programs, and where these cannot be loaded this daemon, in userspace. status says which.",
        netdev: "This daemon, in userspace.",
        ebpf: "eBPF programs in the kernel, where they cannot be loaded this daemon.",
      },
    },
    datapath_version: { text: "As Datapath.datapath_version, which is to be preferred.", by: "switch" },
    datapath_id:
      "The OpenFlow datapath identifier in use, 16 hexadecimal digits. Writing here has no effect; set other_config:datapath-id.",
    stp_enable:
      "Runs the spanning tree protocol (802.1D-1998) on all ports but bonds, internal ones and mirror outputs. If rstp_enable is set too, that one counts. Default false.",
    rstp_enable:
      "Runs the rapid spanning tree protocol (802.1D-2004) on all ports but bonds, internal ones and mirror outputs. Default false.",
    mcast_snooping_enable:
      "Sends multicast only where IGMP (versions 1 to 3) or MLD (1 and 2) reports asked for it (RFC 4541). Default false.",
    ports: "The ports. The local one, named like the bridge, is among them.",
    mirrors: "Copies of traffic to send elsewhere.",
    netflow: "Collectors of NetFlow records about the bridge's flows.",
    sflow: "Collectors of sFlow samples of the bridge's packets.",
    ipfix: "Collectors of IPFIX records about all of the bridge's packets.",
    controller:
      "OpenFlow controllers; without any the bridge forwards by fail_mode. Adding the first primary controller or removing the last one clears flows, groups and meters; other changes leave them.",
    protocols: "OpenFlow versions that controllers may choose from. Empty means all, 1.0 to 1.5.",
    fail_mode: {
      text: "What happens while no primary controller can be reached. Default standalone. Changing it on a bridge without primary controllers clears flows, groups and meters.",
      values: {
        standalone:
          "After three times Controller.inactivity_probe the bridge learns addresses and forwards by them, until a controller answers. Two uplinks make a loop then, unless a spanning tree runs.",
        secure: "The bridge makes no flows of its own, with or without controllers.",
      },
    },
    status: {
      text: "State of the spanning tree while stp_enable is set.",
      keys: {
        stp_bridge_id:
          "Identifier of this bridge: four hexadecimal digits of priority, a dot, twelve of address.",
        stp_designated_root: "Identifier of the root bridge; equal to stp_bridge_id if this is the root.",
        stp_root_path_cost: "Cost of the way to the root, 0 at the root.",
      },
    },
    rstp_status: {
      text: "State of the rapid spanning tree while rstp_enable is set.",
      keys: {
        rstp_bridge_id:
          "Identifier of this bridge in hexadecimal: one digit of priority, a dot, three of extension, a dot, twelve of address.",
        rstp_root_id: "Identifier of the root bridge; equal to rstp_bridge_id if this is the root.",
        rstp_root_path_cost: "Cost of the way to the root, 0 at the root itself.",
        rstp_designated_id: "Identifier of the bridge that leads to the root.",
        rstp_designated_port_id: "That bridge's port, four hexadecimal digits.",
        rstp_bridge_port_id: "This bridge's port on the way, four hexadecimal digits.",
      },
    },
    other_config: {
      text: "Settings of the bridge that have no column of their own.",
      keys: {
        "datapath-id":
          "OpenFlow datapath identifier to use: 16 hexadecimal digits, or any number of them after 0x; not 0. Default: made from the bridge's address.",
        "dp-desc": "Description of the bridge for controllers, at most 255 characters.",
        "dp-sn": "Serial number for controllers, at most 31 characters.",
        "disable-in-band":
          "true makes no hidden flows for controllers that are reached through the bridge, whatever Controller.connection_mode says. Default false.",
        "in-band-queue":
          "Number of the queue for in-band traffic. Default, and where the port has no such queue: queue 0.",
        "controller-queue-size":
          "Most packets waiting for a controller, 1 to 512; more may wait longer. Default 100.",
        hwaddr: "Address of the local port, XX:XX:XX:XX:XX:XX, from which the datapath identifier follows.",
        "forward-bpdu":
          "true lets NORMAL forward frames to reserved addresses (01:80:c2:00:00:0X and those of CDP, VTP, PVST+, EDP, EAPS) like others. Spanning tree frames are kept while stp_enable is set, LLDP frames where Interface.lldp is. Default false.",
        "mac-aging-time": "Seconds that a learned address is kept without packets, 15 to 3600. Default 300.",
        "mac-table-size": "Most learned addresses, 10 to 1000000. Default 8192.",
        "stp-system-id": "Address part of the bridge's STP identifier. Default: the bridge's address.",
        "stp-priority":
          "Priority part of the STP identifier, 0 to 65535; the lowest becomes root. Default 32768.",
        "stp-hello-time": "Seconds between hello messages of STP, 1 to 10. Default 2.",
        "stp-max-age": "Seconds that what this bridge says as root holds, 6 to 40. Default 20.",
        "stp-forward-delay":
          "Seconds that a port listens, and learns, before it forwards, 4 to 30. Default 15.",
        "rstp-address": "Address part of the bridge's RSTP identifier. Default: the address of the bridge.",
        "rstp-priority":
          "Priority part of the RSTP identifier, 0 to 61440, rounded down to a multiple of 4096; the lowest becomes root. Default 32768.",
        "rstp-ageing-time": "Seconds that RSTP keeps learned addresses, 10 to 1000000. Default 300.",
        "rstp-force-protocol-version": "2 for RSTP, 0 for compatibility with STP. Default 2.",
        "rstp-max-age": "Seconds that what this bridge says as RSTP root holds, 6 to 40. Default 20.",
        "rstp-forward-delay":
          "Seconds that a port waits at each step if it cannot go on at once, 4 to 30. Default 15.",
        "rstp-transmit-hold-count": "Frames that RSTP sends in a burst, 1 to 10. Default 6.",
        "mcast-snooping-aging-time":
          "Seconds that a multicast group is kept without packets, 15 to 3600. Default 300.",
        "mcast-snooping-table-size": "Most multicast groups, 10 to 1000000. Default 2048.",
        "mcast-snooping-disable-flood-unregistered":
          "true sends multicast that nobody asked for to multicast routers only, false to all ports. Default false.",
      },
    },
    external_ids: {
      text: "Names of the bridge in a larger system; other keys are free.",
      keys: { "bridge-id": "Unique identifier of the bridge." },
    },
    flood_vlans:
      "VLANs in which no address is learned and every packet is flooded, as a VLAN that mirrors write to needs. Not together with bonds in balance-slb.",
    flow_tables: "Settings of OpenFlow tables by their number, 0 to 254.",
    auto_attach: "Tells switches around, by LLDP, which services to attach to which VLANs.",
  },
};

export const flowTableDoc: DocOf<typeof flowTable> = {
  about: "Settings of one OpenFlow table of a bridge.",
  columns: {
    name: "Name of the table for controllers. It has no effect on packets.",
    flow_limit: "Most flows in the table. Empty means no limit but memory.",
    overflow_policy: {
      text: "What a new flow meets in a full table. OpenFlow 1.4 and later can enable eviction too.",
      values: {
        refuse: "The new flow is an error. The default.",
        evict:
          "Another flow goes: out of the largest of groups the one of least importance that would expire first. Flows without timeout stay.",
      },
    },
    groups:
      "Fields that divide the flows into groups for eviction, as NXM_OF_IN_PORT[] or FIELD[START..END]; a field that a flow does not match counts as 0, unknown ones are ignored. Empty means one group.",
    prefixes: {
      text: "Fields whose prefixes the classifier tracks, at most four, so that datapath flows match no more bits of an address than needed. It changes speed, not results. Default ip_dst, ip_src, ipv6_dst and ipv6_src.",
      values: {
        none: "No field, not even the default ones.",
        tun_id: "Tunnel key, useful if keys have prefixes.",
        tun_src: "Outer IPv4 source.",
        tun_dst: "Outer IPv4 destination.",
        tun_ipv6_src: "Outer IPv6 source.",
        tun_ipv6_dst: "Outer IPv6 destination.",
        nw_src: "IPv4 source; also called ip_src.",
        nw_dst: "IPv4 destination; also called ip_dst.",
        ipv6_src: "IPv6 source.",
        ipv6_dst: "IPv6 destination.",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};

export const autoAttachDoc: DocOf<typeof autoAttach> = {
  about:
    "Auto-attach of a bridge: by LLDP it finds the switch at the edge of a shortest-path bridging network (802.1aq) and asks it to map VLANs to services. Works on interfaces with Interface.lldp:enable.",
  columns: {
    system_name: "Name of the bridge in LLDP, unique in the network.",
    system_description: "Kind of software and hardware, as LLDP tells it.",
    mappings: "VLAN for each service identifier (ISID, 24 bits).",
  },
};
