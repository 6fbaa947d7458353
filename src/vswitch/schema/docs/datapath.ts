/** Documentation of tables Datapath, CT_Zone and CT_Timeout_Policy. */
import type { ctTimeoutPolicy, ctZone, datapath } from "../datapath.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const datapathDoc: DocOf<typeof datapath> = {
  about:
    "One datapath, the part that forwards packets, as all bridges of one Bridge.datapath_type share it. Rows are reached through Open_vSwitch.datapaths.",
  columns: {
    datapath_version: {
      by: "switch",
      text: "Version of the datapath in use: <built-in> when it is part of ovs-vswitchd, <unknown> when the kernel's own module or another foreign datapath does not say, else the release that the module was built from.",
    },
    ct_zones:
      "Settings of connection tracking by zone number. Zone 0 is the one used where a flow names no zone.",
    capabilities: {
      by: "switch",
      text: "What the datapath was found able to do when it was opened. Better try a feature than derive it from here: these low-level facts change more often than the features built on them.",
      keys: {
        max_vlan_headers:
          "How many VLAN headers the datapath can match, at most as many as the switch itself knows. Open_vSwitch.other_config:vlan-limit does not lower the number shown.",
        recirc:
          "Whether a packet can be sent through the flow table again (recirculation), which bonds that hash on L4 and MPLS profit from.",
        lb_output_action:
          "Whether a balance-tcp bond can pick its member inside the datapath, without recirculation. Port.other_config:lb-output-action turns it on.",
        ct_state:
          "Whether connections are tracked at all. When false, flows that match ct_state or use the ct action are refused and the other ct_ capabilities are false.",
        ct_state_nat: "Whether the snat and dnat bits of ct_state and the nat argument of ct work.",
        ct_zone: "Whether the ct_zone field, and zones other than 0 in ct, work.",
        ct_mark: "Whether ct_mark can be matched, and set inside ct.",
        ct_label: "Whether ct_label can be matched, and set inside ct.",
        ct_orig_tuple:
          "Whether the IPv4 addresses and ports of a connection's first packet (ct_nw_src, ct_nw_dst, …) can be matched; the ct form of resubmit and the force argument of ct depend on it too.",
        ct_orig_tuple6:
          "The same for IPv6: whether ct_ipv6_src and ct_ipv6_dst can be matched. Without both, ct_nw_proto, ct_tp_src and ct_tp_dst are refused.",
        masked_set_action:
          "Whether single bits of a header field can be rewritten, so that megaflows need to match fewer fields.",
        tnl_push_pop:
          "Whether tunnel headers can be added and removed by actions, as tunnels without help of the kernel need.",
        ufid: "Whether flows have short unique identifiers, which make revalidation cheaper.",
        trunc:
          "Whether packets can be cut short inside the datapath. When false, truncated output goes through the slow path.",
        nd_ext:
          "Whether the reserved bits and the option type of IPv6 neighbour discovery can be matched. Flows that do are refused otherwise.",
        clone:
          "Whether actions can run on a copy of the packet. The preferred way to undo actions that cannot be reversed.",
        sample_nesting:
          "How deep sample actions may nest. With more than three levels they stand in where clone is missing.",
        ct_eventmask:
          "Whether ct can limit which changes of a connection are reported to listeners, which saves them from a report for each change of TCP state.",
        ct_clear: "Whether the ct_clear action has an effect in the datapath.",
        max_hash_alg: "Number of the highest dp_hash algorithm that may be asked for.",
        check_pkt_len:
          "Whether packet lengths are compared in the datapath. When false, check_pkt_larger sends each packet through the slow path.",
        ct_timeout: "Whether a zone can have a timeout policy (the CT_Timeout_Policy table).",
        explicit_drop_action:
          "Whether there is an action that drops and counts, beside the empty list of actions.",
        ct_zero_snat:
          "Whether nat(src=0.0.0.0) means: change the source port only, and only if it collides with another connection.",
        ct_flush: "Whether connections can be flushed by their parameters (OpenFlow extension NXT_CT_FLUSH).",
        psample:
          "Whether samples can be handed to local collectors by the psample action, see Flow_Sample_Collector_Set.local_group_id.",
      },
    },
    ct_zone_default_limit:
      "Most connections that a zone without a limit of its own may hold; 0 means any number. Empty leaves the datapath's own default alone.",
    external_ids: EXTERNAL_IDS,
  },
};

export const ctZoneDoc: DocOf<typeof ctZone> = {
  about: "Settings of one connection tracking zone of a datapath.",
  columns: {
    timeout_policy: "When idle connections of this zone end. Empty means the system's own timeouts.",
    limit:
      "Most connections that this zone may hold; 0 means any number. Empty means Datapath.ct_zone_default_limit.",
    external_ids: EXTERNAL_IDS,
  },
};

export const ctTimeoutPolicyDoc: DocOf<typeof ctTimeoutPolicy> = {
  about: "How long connection tracking keeps connections of each protocol and state; a CT_Zone points to it.",
  columns: {
    timeouts: {
      text: "Seconds until a connection in the named state ends without further packets. A state that the datapath does not know is ignored, one that is left out keeps the system's value.",
      keys: {
        tcp_syn_sent: "A first SYN was seen.",
        tcp_syn_recv: "SYN and ACK were seen in answer.",
        tcp_established: "The handshake is complete.",
        tcp_fin_wait: "One side sent FIN.",
        tcp_close_wait: "A FIN was acknowledged (Linux kernel datapath only).",
        tcp_last_ack: "Both sides sent FIN (Linux kernel datapath only).",
        tcp_time_wait: "The second FIN was acknowledged too.",
        tcp_close: "A RST was seen.",
        tcp_syn_sent2:
          "Both sides sent SYN and nothing else, a simultaneous open (Linux kernel datapath only).",
        tcp_retransmit: "Segments were sent again more often than is allowed (Linux kernel datapath only).",
        tcp_unack:
          "The connection was picked up in its middle, by loose tracking (Linux kernel datapath only).",
        udp_first: "One datagram was seen (userspace datapath only).",
        udp_single: "Only one of the hosts has sent so far.",
        udp_multiple: "Both hosts have sent datagrams.",
        icmp_first: "A request was seen.",
        icmp_reply: "A request and its reply were seen (userspace datapath only).",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};
