/** Documentation of table Open_vSwitch. */
import type { openVswitch } from "../open-vswitch.ts";
import type { DocOf } from "./doc.ts";

export const openVswitchDoc: DocOf<typeof openVswitch> = {
  about:
    "The daemon's configuration as a whole. There is exactly one row; everything else is reached from it, and rows of most tables vanish when nothing refers to them any more.",
  columns: {
    datapaths:
      "Settings and facts of each datapath, by its type (the Bridge.datapath_type of the bridges that share it).",
    bridges: "The bridges to run.",
    manager_options:
      "OVSDB clients that ovsdb-server connects to or listens for, if it was started with --remote=db:Open_vSwitch,Open_vSwitch,manager_options.",
    ssl: "Keys and certificates for the TLS connections of switch and database server.",
    other_config: {
      text: "Settings of the daemon that have no column of their own. Keys marked as read at start take effect when it is started again.",
      keys: {
        "stats-update-interval":
          "Milliseconds between updates of the statistics of ports, interfaces and mirrors, at least 5000. Default 5000.",
        "enable-statistics": "true fills Open_vSwitch.statistics in. Default false.",
        "flow-restore-wait":
          "true keeps the flows of the datapath as they are, installs none, handles no packets and connects to no controller until the key is set to false or removed. Set before a restart, it gives time to put the OpenFlow flows back.",
        "flow-limit":
          "Most flows in a datapath; the switch lowers the number itself while revalidation is slow. Default 200000.",
        "max-idle":
          "Milliseconds after which an unused flow leaves the datapath, sooner under load; at least 500. Default 10000.",
        "max-revalidator":
          "Most milliseconds between two rounds of revalidation, at least 100; max-idle counts if it is shorter. Default 500.",
        "min-revalidate-pps":
          "Packets a second below which a flow is dropped rather than revalidated when a round takes longer than half of max-revalidator. 0 revalidates all. Default 5.",
        "offloaded-stats-delay":
          "Milliseconds by which counters of flows in hardware may lag; younger ones are always revalidated. Default 2000.",
        "hw-offload":
          "true puts flows into hardware that can take them (Linux only). Default false; read at start.",
        "hw-offload-priority":
          "Offload providers in the order in which they are tried, separated by commas. Default tc,dpdk; read when offload is enabled. An interface can have a list of its own.",
        "n-offload-threads":
          "Threads that manage hardware flows of the userspace datapath, 1 to 10. Default 1; read at start.",
        "tc-policy":
          "Where flows of tc go with hw-offload: none (hardware and software), skip_sw (hardware only) or skip_hw (software only). Default none.",
        "offload-rebalance":
          "true moves flows with more packets into hardware and others out when it is full. Needs hw-offload, and tc-policy skip_sw. Default false; read at start.",
        "dpdk-init":
          "Whether DPDK ports are supported: true (exit if DPDK fails), try (go on without) or false. Default false; read at start.",
        "dpdk-lcore-mask":
          "Processors for DPDK's own threads, a hexadecimal mask with the lowest bit for the first. The lowest of them then also carries all other threads of the switch. Default: chosen automatically.",
        "pmd-cpu-mask":
          "Processors that each may get a thread of the userspace datapath, which keeps to it; a hexadecimal mask with the lowest bit for the first. There is one thread until a port is added whose device has several receive queues, then one for each of them as far as there are processors; those that there are stay when the mask gets smaller. Default: any processors, at most 8 threads.",
        "dpdk-alloc-mem": "Megabytes of huge pages to take, wherever they are. Better use dpdk-socket-mem.",
        "dpdk-socket-mem":
          "Megabytes of huge pages to take on each processor socket, separated by commas; goes before dpdk-alloc-mem. Default: as DPDK chooses; read at start.",
        "dpdk-socket-limit":
          "Most megabytes to take on each socket, separated by commas, 0 for any amount. Default: no limits; read at start.",
        "dpdk-hugepage-dir":
          "Where hugetlbfs is mounted. Default: found by DPDK, as a rule /dev/hugepages; read at start.",
        "dpdk-extra": "Further arguments for DPDK's start. Read at start.",
        "vhost-sock-dir":
          "Folder of vhost-user sockets, relative to external_ids:rundir. Default: rundir itself; read at start.",
        "vhost-iommu-support":
          "true lets vhost-user clients restrict which memory a device may reach; needs QEMU 2.9.1. Default false; read at start.",
        "vhost-postcopy-support":
          "true lets a guest behind a vhost-user client migrate by post-copy; needs QEMU 2.12. Default false; read at start.",
        "per-port-memory":
          "true gives each DPDK port its own buffers instead of sharing them by MTU and socket. Default false; read at start.",
        "shared-mempool-config":
          "MTUs that shared DPDK buffers are made for, as MTU or MTU:SOCKET, separated by commas. Read at start.",
        "tx-flush-interval":
          "Microseconds that a packet may wait to be sent in a batch, up to 1000000. Default 0: no waiting.",
        "pmd-perf-metrics":
          "true measures polling threads in detail, for about 1 % of their time. Default false.",
        "smc-enable":
          "true uses the signature match cache, between exact-match cache and megaflows, which is small and good for many flows. Default false.",
        "pmd-rxq-assign":
          "How receive queues are given to polling threads: cycles (busiest first), group (to the least busy thread) or roundrobin. Default cycles.",
        "pmd-rxq-isolate":
          "false lets a processor that Interface.other_config:pmd-rxq-affinity names take other queues too; only with pmd-rxq-assign group. Default true.",
        "n-handler-threads":
          "Threads of each datapath for packets that it has no flow for. Default: as suits the type; some types ignore it.",
        "n-revalidator-threads":
          "Threads of each datapath that check its flows. Default: a quarter of the processors plus one, or those that n-handler-threads leaves.",
        "emc-insert-inv-prob":
          "One new flow in this many enters the exact-match cache; 1 for all, 0 for none. Default 100.",
        "vlan-limit":
          "Most VLAN headers that flows match, the rest being payload: 0 for as many as switch and datapath can (two in userspace). Default 1, for controllers that know of one.",
        "bundle-idle-timeout":
          "Seconds after which an OpenFlow bundle that is not used is dropped, at least 1. Default 10.",
        "pmd-auto-lb":
          "true moves receive queues between polling threads when one is overloaded. Experimental. Default false.",
        "pmd-auto-lb-rebal-interval":
          "Fewest minutes between two such moves, up to 20000; 0 means the default. Default 1.",
        "pmd-auto-lb-load-threshold":
          "Percent of its time that a polling thread must be busy before queues move. Default 95.",
        "pmd-auto-lb-improvement-threshold":
          "Percent by which the spread of load must become better for queues to move; 0 moves always. Default 25.",
        "pmd-sleep-max":
          "Microseconds that a polling thread with few packets may sleep each round, up to 10000, for all or as CPU:TIME, separated by commas. Default 0: never.",
        "userspace-tso-enable":
          "true lets segments larger than the MTU pass, to be cut where they leave. Experimental, DPDK only. Default false; read at start.",
        "explicit-sampled-drops":
          "true ends flows that only sample with a drop, so that drops are counted where sampling is on. Default false.",
        private_key: "IPsec: PEM file with the private key of this switch.",
        certificate:
          "IPsec: PEM file with its certificate (X.509 version 3, the common name repeated as subject alternative name).",
        ca_cert:
          "IPsec: PEM file with the certificate of the authority that remote switches must be signed by.",
        ipsec_skb_mark:
          "VALUE/MASK: drops packets of any tunnel that would leave unencrypted with a matching packet mark, as they would before IPsec is set up. 0/1 drops all whose mark was not made odd, 1/1 those where it was. Default: none.",
      },
    },
    external_ids: {
      text: "Names of this host in a larger system.",
      keys: {
        "system-id": "Unique identifier of the host.",
        hostname: "Name of the host, with its domain.",
        rundir: "Run directory of the daemon, where its sockets are.",
      },
    },
    next_cfg:
      "A count that clients raise in the transaction that changes the configuration, to see by cur_cfg when it is applied.",
    cur_cfg: { text: "The next_cfg of the configuration that is in effect.", by: "switch" },
    statistics: {
      text: "Figures about the host, renewed about every 5 seconds while other_config:enable-statistics is true. What the system does not tell is left out.",
      keys: {
        cpu: "Processors that are online.",
        load_average: "Load over 1, 5 and 15 minutes, three numbers separated by commas.",
        memory:
          "Kilobytes, separated by commas: memory in all, memory in use, how much of that can be given up, swap in all, swap in use.",
        process_NAME:
          "One for each running daemon with a pidfile, named as that file is before .pid: kilobytes of virtual and resident memory, milliseconds of processor time, crashes that the monitor answered, milliseconds since the start and since the last crash.",
        file_systems:
          "For each local file system that can be written, separated by spaces: MOUNTPOINT,KILOBYTES,USED. Spaces and commas in names become underscores.",
      },
    },
    ovs_version: {
      text: "Version of Open vSwitch that runs, for people; programs better test for features.",
      by: "startup",
    },
    db_version: { text: "Version of the schema that the database has.", by: "startup" },
    system_type: {
      text: "Kind of system that the switch runs on, as its integrator calls it.",
      by: "startup",
    },
    system_version: { text: "Version of the system named by system_type.", by: "startup" },
    datapath_types: { text: "Values that Bridge.datapath_type may have here.", by: "switch" },
    iface_types: { text: "Values that Interface.type may have here.", by: "switch" },
    dpdk_initialized: { text: "Whether DPDK was asked for and has started.", by: "switch" },
    dpdk_version: { text: "Version of the DPDK library, if there is one.", by: "switch" },
  },
};
