/** Documentation of tables NetFlow, sFlow, IPFIX and Flow_Sample_Collector_Set. */
import type { flowSampleCollectorSet, ipfix, netflow, sflow } from "../export.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const netflowDoc: DocOf<typeof netflow> = {
  about: "NetFlow version 5 export of a bridge's flows.",
  columns: {
    targets: "Collectors, IP:PORT.",
    engine_type: "Engine type in records, 0 to 255.",
    engine_id: "Engine id in records; default: from the datapath's index.",
    add_id_to_interface: "Put the low bits of the engine id into interface numbers, to tell bridges apart.",
    active_timeout: "Seconds after which a long flow is reported; 0: default of 600, -1: never.",
    external_ids: EXTERNAL_IDS,
  },
};

export const sflowDoc: DocOf<typeof sflow> = {
  about: "sFlow (version 5) export of a bridge's packets and counters.",
  columns: {
    targets: "Collectors, IP[:PORT]; default port 6343.",
    sampling: "One packet in so many is sampled; default 400.",
    polling: "Seconds between counter samples; default 30, 0: none.",
    header: "Bytes of a packet that a sample carries; default 128.",
    agent: "IP address, or device whose address is taken, that names this agent.",
    external_ids: EXTERNAL_IDS,
  },
};

export const ipfixDoc: DocOf<typeof ipfix> = {
  about: "IPFIX (RFC 7011) export, of a whole bridge or of packets that OpenFlow's sample action picks.",
  columns: {
    targets: "Collectors, IP:PORT.",
    sampling: "Bridge: one packet in so many; default 400.",
    obs_domain_id: "Bridge: observation domain; default 0.",
    obs_point_id: "Bridge: observation point; default 0.",
    cache_active_timeout: "Seconds that a flow record may be kept, 0 to 4200; 0: no cache.",
    cache_max_flows: "Flow records in the cache; 0: no cache.",
    stats_interval: "Seconds between exporter statistics, 1 to 3600; default 600.",
    template_interval: "Seconds between templates, 1 to 3600; default 600.",
    other_config: {
      text: "Settings without a column of their own.",
      keys: {
        "enable-tunnel-sampling": "true: records carry the tunnel's fields.",
        virtual_obs_id: "Text put into each record.",
        "enable-input-sampling": "false: no records of incoming packets.",
        "enable-output-sampling": "false: no records of outgoing packets.",
      },
    },
    external_ids: EXTERNAL_IDS,
  },
};

export const flowSampleCollectorSetDoc: DocOf<typeof flowSampleCollectorSet> = {
  about: "Where packets of OpenFlow's sample action with a given collector set go.",
  columns: {
    id: "The set's number; unique within the bridge.",
    bridge: "The bridge it is for.",
    ipfix: "Export as IPFIX.",
    local_group_id: "Export to local listeners by psample, under this group.",
    external_ids: EXTERNAL_IDS,
  },
};
