/** Documentation of tables NetFlow, sFlow, IPFIX and Flow_Sample_Collector_Set. */
import type { flowSampleCollectorSet, ipfix, netflow, sflow } from "../export.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const netflowDoc: DocOf<typeof netflow> = {
  about: "Collectors that a bridge tells about the IP flows it has carried, by NetFlow version 5.",
  columns: {
    targets: "Collectors as ADDRESS:PORT; addresses are numeric.",
    engine_type: "Engine type field of each message. Default: the number of the datapath.",
    engine_id: "Engine ID field of each message. Default: as engine_type.",
    add_id_to_interface:
      "Puts the low 7 bits of the engine ID into the high 7 bits of the interface fields, for collectors that take all records of one host for one switch. Allows 508 ports at most. When false, interfaces are plain OpenFlow port numbers.",
    active_timeout:
      "Seconds between records of a flow that goes on: 0 means the default of 600, -1 no such records. Flows that end are always reported, about a second later.",
    external_ids: EXTERNAL_IDS,
  },
};

export const sflowDoc: DocOf<typeof sflow> = {
  about: "Collectors that a bridge sends packet samples and interface counters to, by sFlow version 5.",
  columns: {
    targets: "sFlow collectors as ADDRESS[:PORT], at least one; the port is 6343 unless given.",
    sampling: "One packet in this many is sampled, at random. Default 400.",
    polling: "Seconds between reports of a port's counters. Default 30.",
    header: "Bytes of a sampled packet that are sent along. Default 128.",
    agent:
      "Address that the switch calls itself by, or a network device whose address is taken. Default: the device on the route to the first collector, else Controller.local_ip; with neither, sFlow stays off.",
    external_ids: EXTERNAL_IDS,
  },
};

export const ipfixDoc: DocOf<typeof ipfix> = {
  about:
    "Collectors of flow records by IPFIX. Referred to by Bridge.ipfix it samples all of a bridge's packets; referred to by Flow_Sample_Collector_Set.ipfix it serves the sample action of OpenFlow flows.",
  columns: {
    targets: "IPFIX collectors as ADDRESS:PORT. Empty sends nothing.",
    sampling:
      "One packet of the bridge in this many is sampled. Default 400. Sample actions have a probability of their own instead.",
    obs_domain_id:
      "Observation Domain ID in each message about the bridge. Default 0. Sample actions name their own.",
    obs_point_id:
      "Observation Point ID in each record about the bridge. Default 0. Sample actions name their own.",
    cache_active_timeout:
      "Seconds for which samples of one flow are gathered into one record. Default 0: each sample is sent at once.",
    cache_max_flows: "Most records gathered at a time. Default 0: nothing is gathered.",
    stats_interval:
      "Seconds between the exporter's statistics about itself (RFC 5101, section 4.3). Default 600.",
    template_interval:
      "Seconds between repetitions of the templates, for each observation domain. Default 600.",
    other_config: {
      text: "What samples tell, and where in a bridge they are taken.",
      keys: {
        "enable-tunnel-sampling":
          "Whether records carry the tunnel's type, key, addresses, protocol and ports, as elements 891 to 897 of enterprise 6876. Default true.",
        virtual_obs_id:
          "Text of up to 254 bytes for each record, naming the place in a virtual network: element 898 of enterprise 6876. Left out by default.",
        "enable-input-sampling":
          "Whether the bridge samples packets as they enter by a port. Default true. No effect on sample actions.",
        "enable-output-sampling":
          "Whether the bridge samples packets as they leave by a port. Default true. No effect on sample actions.",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};

export const flowSampleCollectorSetDoc: DocOf<typeof flowSampleCollectorSet> = {
  about:
    "Where the sample action of a bridge's flows sends its samples: to IPFIX collectors, to programs on this host, or both.",
  columns: {
    id: "The collector_set_id that sample actions name. Unique within the bridge.",
    bridge: "Bridge whose flows use this set.",
    ipfix: "IPFIX collectors; each sample is a flow record.",
    local_group_id:
      "Group number under which the datapath hands samples to programs on this host, with a cookie of 64 bits: observation domain ID, then observation point ID. Needs Datapath.capabilities:psample; the Linux kernel uses the psample multicast group of netlink.",
    external_ids: EXTERNAL_IDS,
  },
};
