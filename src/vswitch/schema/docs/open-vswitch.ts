/** Documentation of table Open_vSwitch. */
import type { openVswitch } from "../open-vswitch.ts";
import type { DocOf } from "./doc.ts";

export const openVswitchDoc: DocOf<typeof openVswitch> = {
  about:
    "The daemon's configuration as a whole. There is exactly one row; everything else is reached from it, and rows of most tables vanish when nothing refers to them any more.",
  columns: {
    datapaths: 'Datapaths by type ("system", "netdev"): conntrack zones and capabilities of each.',
    bridges: "The bridges to run.",
    manager_options: "Remote databases' managers: whom ovsdb-server connects to or listens for.",
    ssl: "Keys and certificates for SSL/TLS connections of switch and database.",
    other_config: {
      text: "Settings of the daemon that have no column of their own. Most may be changed while it runs; those of DPDK are read at its start.",
      keys: {
        "stats-update-interval":
          "Milliseconds between updates of statistics columns, at least 5000 (the default).",
        "flow-restore-wait":
          "true: keep the datapath's flows and install none until the key is removed, so that a restart can put OpenFlow rules back first.",
        "flow-limit": "Most flows kept in a datapath; default 200000.",
        "max-idle":
          "Milliseconds after which an unused datapath flow is removed; default 10000, at least 500.",
        "max-revalidator": "Milliseconds at most between revalidation rounds; default 500, at least 100.",
        "min-revalidate-pps":
          "Packets a second below which a flow may be dropped rather than revalidated when time is short; default 5.",
        "offloaded-stats-delay": "Milliseconds that statistics of offloaded flows may lag; default 2000.",
        "hw-offload": "true: try to put datapath flows into the network card. Needs a restart.",
        "hw-offload-priority": "Order in which offload providers are asked.",
        "n-offload-threads": "Threads for hardware offload, 1 to 10.",
        "tc-policy": "none, skip_sw or skip_hw: where tc flower rules go.",
        "dpdk-*":
          "Start-up of DPDK: init, lcore-mask, alloc-mem, socket-mem, socket-limit, hugepage-dir, extra arguments.",
        "pmd-cpu-mask": "Hexadecimal mask of CPUs for polling threads.",
        "pmd-*": "Polling threads: assignment of queues, isolation, load balancing, sleep.",
        "vhost-*": "vhost-user: folder of sockets, IOMMU and post-copy support.",
        "tx-flush-interval": "Microseconds that packets may wait to be sent in a batch; default 0.",
        "smc-enable": "true: use the signature match cache of the userspace datapath.",
        "n-handler-threads": "Threads for packets that the datapath has no flow for.",
        "n-revalidator-threads": "Threads that check datapath flows.",
        "emc-insert-inv-prob":
          "One in so many packets enters the exact-match cache; default 100, 0 switches it off.",
        "vlan-limit": "VLAN headers to look at: 0 as many as possible, default 1.",
        "bundle-idle-timeout": "Seconds after which an idle OpenFlow bundle is dropped; default 10.",
        "userspace-tso-enable": "true: segmentation offload in the userspace datapath.",
        "explicit-sampled-drops": "true: last-action samples count as explicit drops.",
        "enable-statistics": "true: fill the statistics column.",
      },
    },
    external_ids: {
      text: "Identity of this switch in a larger system.",
      keys: {
        "system-id": "A UUID that stays with the host.",
        hostname: "The host's name, as the start script found it.",
        rundir: "Folder of the daemons' sockets.",
      },
    },
    next_cfg: "Counts changes of the configuration; who changes something and wants to wait for it adds 1.",
    cur_cfg: "The last value of next_cfg that the switch has fully applied.",
    statistics: {
      text: "Load of the host, when other_config:enable-statistics is set.",
      keys: {
        cpu: "Number of CPUs.",
        load_average: "Three averages, as uptime shows them.",
        memory: "Kilobytes: total, used, flushable, swap, swap used.",
        "process_*":
          "Of a daemon: kilobytes virtual and resident, CPU milliseconds, restarts, milliseconds of life.",
        file_systems: "Mount point, kilobytes in all and used, for each.",
      },
    },
    ovs_version: "Version of the running switch.",
    db_version: "Version of the schema in the database file.",
    system_type: "Kind of operating system, as start scripts found it.",
    system_version: "Version of the operating system.",
    datapath_types: "What Bridge.datapath_type may be with this build; written by the switch.",
    iface_types: "What Interface.type may be with this build; written by the switch.",
    dpdk_initialized: "Whether DPDK has been started.",
    dpdk_version: "Version of DPDK, if built in.",
  },
};
