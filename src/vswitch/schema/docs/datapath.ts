/** Documentation of tables Datapath, CT_Zone and CT_Timeout_Policy. */
import type { ctTimeoutPolicy, ctZone, datapath } from "../datapath.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const datapathDoc: DocOf<typeof datapath> = {
  about: "What is set and known about the datapath of one type.",
  columns: {
    datapath_version: "Version that the datapath reports.",
    ct_zones: "Conntrack zones with settings, by number 0 to 65535.",
    capabilities: {
      text: "Features found by probing, written by the switch.",
      keys: {
        max_vlan_headers: "VLAN headers that can be matched.",
        recirc: "Packets can be sent through the datapath again.",
        "ct_*": "Conntrack: state, NAT, zones, marks, labels, original tuples, timeouts, flush and more.",
        max_hash_alg: "Best hash for multipath actions.",
        sample_nesting: "How deep sample actions may be nested.",
        ufid: "Flows have unique ids.",
        explicit_drop_action: "There is a drop action.",
        psample: "There is a psample action.",
      },
    },
    ct_zone_default_limit: "Most connections in a zone without a limit of its own; 0: no limit.",
    external_ids: EXTERNAL_IDS,
  },
};

export const ctZoneDoc: DocOf<typeof ctZone> = {
  about: "Settings of one conntrack zone.",
  columns: {
    timeout_policy: "Timeouts; none: the datapath's own.",
    limit: "Most connections; 0: no limit, none: the datapath's default limit.",
    external_ids: EXTERNAL_IDS,
  },
};

export const ctTimeoutPolicyDoc: DocOf<typeof ctTimeoutPolicy> = {
  about: "Timeouts of tracked connections.",
  columns: {
    timeouts: {
      text: "Seconds after which an idle connection in a state is forgotten; states not named keep the datapath's value.",
      keys: {
        "tcp_*":
          "By TCP state: syn_sent, syn_recv, established, fin_wait, close_wait, last_ack, time_wait, close, syn_sent2, retransmit, unack.",
        "udp_*": "first packet seen, single direction, multiple (both directions).",
        "icmp_*": "first packet, reply seen.",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};
