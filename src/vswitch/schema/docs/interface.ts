/** Documentation of table Interface. */
import type { interfaceTable } from "../interface.ts";
import type { DocOf } from "./doc.ts";

export const interfaceDoc: DocOf<typeof interfaceTable> = {
  about: "A device in a port: physical, virtual, one end of a tunnel or of a patch cable.",
  columns: {
    name: "Unique name; that of the port if it has no other interface. Devices have at most 15 bytes, patch ports any number, of which OpenFlow shows 15. Set once.",
    type: {
      text: "Kind of device; Open_vSwitch.iface_types lists those that can be had here. Empty means system.",
      values: {
        system: "A network device that exists.",
        internal: "A device that the switch makes for this host to use; the bridge's local port is one.",
        tap: "A TUN/TAP device that the switch makes. While it is down, packets to it are dropped and counted.",
        patch: "One end of a cable between two bridges (see options:peer).",
        geneve: "Ethernet in Geneve (RFC 8926), over IPv4 or IPv6.",
        vxlan: "Ethernet in VXLAN (RFC 7348), over UDP port 4789 by default.",
        gre: "Ethernet, or bare packets, in GRE over IPv4.",
        ip6gre: "Ethernet in GRE over IPv6.",
        erspan: "Mirrored Ethernet in ERSPAN over IPv4.",
        ip6erspan: "Mirrored Ethernet in ERSPAN over IPv6.",
        gtpu: "User data of mobile networks in GTP-U (3GPP TS 29.281), over UDP port 2152.",
        bareudp: "Packets of layer 3, as IP, MPLS or NSH, straight in UDP.",
        srv6: "IP packets in IPv6 with a segment routing header (RFC 8754).",
        dpdk: "A network card that DPDK drives.",
        dpdkvhostuser: "A guest's virtio device, the switch listening on its socket.",
        dpdkvhostuserclient: "A guest's virtio device, the switch connecting to its socket.",
        afxdp: "A network device reached through AF_XDP sockets.",
        dummy: "A device that exists in the switch only, for tests.",
      },
    },
    options: {
      text: "Settings that belong to the type. A tunnel is identified by type, remote_ip, local_ip and in_key; of two that fit a packet the more specific one gets it.",
      keys: {
        remote_ip:
          "Tunnels: address of the other end, never a name, or flow: packets from any address, which tun_src tells, to the one that flows set in tun_dst. Required.",
        local_ip:
          "Tunnels: address that packets must come to, or flow, to let flows set tun_src (only together with remote_ip flow). Default: any.",
        key: "Tunnels: in_key and out_key in one.",
        in_key:
          "Tunnels: key that packets must come with, 24 bits for geneve and vxlan, 32 for gre, or flow for any, which tun_id then tells. 0, the default, also takes packets without key. Not for bareudp and srv6.",
        out_key:
          "Tunnels: key that packets leave with, or flow for the tun_id that flows set. 0, the default, sends none. Not for bareudp and srv6.",
        dst_port: "Tunnels over UDP: port that packets go to. Default: the one assigned to the protocol.",
        tos: "Tunnels: type of service of the outer header, its ECN bits 0, or inherit to copy that of inner IP. ECN is always inherited. Default 0.",
        ttl: "Tunnels: time to live of the outer header, or inherit to copy that of inner IP. Default: the system's, as a rule 64.",
        df_default: "Tunnels: false lets outer packets be fragmented. Default true.",
        egress_pkt_mark: "Tunnels: packet mark of the outer packets.",
        csum: "Tunnels: whether outer checksums (GRE, UDP) are sent; received ones are checked anyway. Default: only for UDP over IPv6.",
        packet_type:
          "vxlan, gre: legacy_l2 (Ethernet), legacy_l3 (bare packets, shown to flows as Ethernet; userspace only for gre) or ptap (both, told apart by packet_type of OpenFlow 1.5). vxlan carries bare packets only with exts=gpe. Default legacy_l2.",
        exts: "vxlan: extensions, separated by commas: gbp (group policy, tun_gbp_id) or gpe (other payloads than Ethernet).",
        seq: "gre: true numbers the packets. Default false.",
        psk: "IPsec for gre, geneve, vxlan: secret that both ends share.",
        remote_cert: "IPsec: PEM file with the other end's self-signed certificate.",
        remote_name: "IPsec: common name in the other end's certificate, which an authority has signed.",
        "ipsec_*": "IPsec: further options of the connection, handed on to the program that sets it up.",
        erspan_ver: "erspan: version, 1 (type II) or 2 (type III).",
        erspan_idx: "erspan 1: index of the mirrored port and direction, 20 bits.",
        erspan_dir: "erspan 2: direction of the mirrored packets, 0 for ingress, 1 for egress.",
        erspan_hwid: "erspan 2: number of the mirroring engine in its system, 6 bits.",
        payload_type: "bareudp: Ethernet type of the payload, or ip or mpls for all types of that protocol.",
        srv6_segs: "srv6: segments, IPv6 addresses separated by commas; the first is remote_ip.",
        srv6_flowlabel:
          "srv6: flow label of the outer header: copy (of inner IPv6, else 0), zero, or compute (hash of the inner packet). Default copy.",
        peer: "patch: name of the interface at the other end, whose peer names this one. Both bridges must share a datapath.",
        n_rxq: "Polled ports: receive queues, not for vhost. Default 1.",
        n_rxq_desc: "dpdk: descriptors of a receive queue, a power of 2. Default 2048.",
        n_txq_desc: "dpdk: descriptors of a transmit queue, a power of 2. Default 2048.",
        "dpdk-devargs": "dpdk: PCI address of the device, or name and arguments of a virtual driver.",
        "dpdk-vf-mac": "dpdk: address for the function behind a VF representor. Default: leave it as it is.",
        "dpdk-lsc-interrupt":
          "dpdk: false asks for the state of the link instead of waiting for interrupts. Default true.",
        "rx-steering":
          "dpdk: rss spreads packets over all receive queues, rss+lacp keeps LACP apart in one more. Needs hardware that can, and no hw-offload. Default rss.",
        "rx-flow-ctrl": "dpdk: true enables flow control by received pause frames. Default false.",
        "tx-flow-ctrl": "dpdk: true enables flow control by sent pause frames. Default false.",
        "flow-ctrl-autoneg": "dpdk: true negotiates flow control with the other end. Default false.",
        "vhost-server-path": "dpdkvhostuserclient: socket that QEMU listens on.",
        "vhost-max-queue-pairs":
          "dpdkvhostuserclient: most pairs of queues of a VDUSE device, 1 to 128. Default 1.",
        "tx-retries-max":
          "dpdkvhostuserclient: attempts to send what the guest does not take, 0 to 32. Default 8.",
        "xdp-mode":
          "afxdp: native-with-zerocopy (fastest), native (one copy), both if the driver can; generic (any driver, slow); or best-effort, the fastest that works. Default best-effort.",
      },
    },
    ofport: {
      text: "OpenFlow port number in use: 1 to 32767 if the switch has chosen it, 65534 for the local port, -1 if the interface could not be added.",
      by: "switch",
    },
    ofport_request:
      "OpenFlow port number to use, best set together with the row. A later change deletes and adds the port for controllers; a port that had the number by chance gets another.",
    error: {
      text: "Why the interface could not be added or set up, in words. Empty when all is well.",
      by: "switch",
    },
    mac: "Address for an internal interface; other devices keep their own. Default: for the local port the lowest among the other ports, for other internal ones a random address.",
    mac_in_use: "Address that the device has.",
    mtu: "MTU that the device has, in bytes. Empty where there is none, as for some tunnels.",
    mtu_request:
      "MTU to set, in bytes. Default: internal devices take the lowest of the bridge's other interfaces, the rest stay as they are.",
    ifindex: "Number of the device for SNMP (RFC 2863) and sFlow, 0 if it has none.",
    admin_state: {
      text: "Whether the device is meant to be in use.",
      values: { up: "It is.", down: "It is not." },
    },
    link_state: {
      text: "Whether the link works: its carrier, or its MII where the port's bond-detect-mode is miimon.",
      values: { up: "It works.", down: "It does not." },
    },
    link_resets: "How often link_state was seen to change.",
    link_speed: "Speed of the link in bit/s.",
    duplex: {
      text: "How the link is used.",
      values: { half: "In one direction at a time.", full: "In both directions." },
    },
    lacp_current: "Whether what LACP knows of its partner is up to date. Empty without LACP.",
    ingress_policing_rate:
      "Kilobits a second that may be received, the rest is dropped; with ingress_policing_kpkts_rate the lower limit counts. Queues (Port.qos) do better where packets leave. Default 0: any number.",
    ingress_policing_burst:
      "Kilobits that may be received at once above ingress_policing_rate; at least an MTU, for TCP better 80 % of the rate. 0, the default, means 8000.",
    ingress_policing_kpkts_rate:
      "Thousands of packets a second that may be received (Linux only). Default 0: any number.",
    ingress_policing_kpkts_burst:
      "Thousands of packets that may be received at once above ingress_policing_kpkts_rate. 0, the default, means 16.",
    bfd: {
      text: "Bidirectional forwarding detection (RFC 5880 and 5881), without authentication and echo.",
      keys: {
        enable: "true runs it. Default false.",
        min_rx: "Fewest milliseconds between messages that this end can receive. Default 1000.",
        min_tx:
          "Fewest milliseconds between messages that this end sends, more if the other end asks. Default 100.",
        decay_min_rx:
          "Replaces min_rx while hardly any packets come in; not below min_rx, 0 for never. Default 0.",
        forwarding_if_rx:
          "true takes received packets as a sign that the link works, with at least one message in 100 times min_rx. Default false.",
        cpath_down:
          "true tells the other end not to send packets here, for reasons that lie beyond this link. Default false.",
        check_tnl_key: "true takes messages with tunnel key 0 only. Default false.",
        bfd_local_src_mac: "Source address of sent messages. Default: that of the interface.",
        bfd_local_dst_mac: "Destination address of sent messages. Default 00:23:20:00:00:01.",
        bfd_remote_dst_mac: "Destination address that received messages must have. Default: any.",
        bfd_src_ip: "Source IPv4 address of sent messages. Default 169.254.1.1.",
        bfd_dst_ip: "Destination IPv4 address of sent messages. Default 169.254.1.0.",
        oam: "true marks messages as OAM frames in tunnels that have such a bit, as Geneve. Default false.",
        mult: "Messages in a row that must fail to come before the link counts as down, 1 to 255. Default 3.",
      },
    },
    bfd_status: {
      text: "State of BFD. Empty while bfd:enable is not true.",
      keys: {
        state: "admin_down, down, init or up.",
        forwarding: "Whether packets may be sent: the session is up and the other end does not object.",
        diagnostic: "Why the state changed last, in words of RFC 5880, section 4.1.",
        remote_state: "State that the other end tells: admin_down, down, init or up.",
        remote_diagnostic: "The other end's reason for its last change.",
        flap_count: "How often forwarding has changed.",
      },
    },
    cfm_mpid:
      "Runs connectivity fault management (802.1ag) under this maintenance point identifier: 1 to 8191, eight bytes in extended mode, different at each end. Default: do not run it.",
    cfm_remote_mpids: "Identifiers of the maintenance points that are heard.",
    cfm_flap_count: { text: "How often cfm_fault has changed.", by: "switch" },
    cfm_fault:
      "Whether there is a fault: nothing heard for 3.5 intervals, a message that tells of one, or one that should not be. A bond does not use a member with a fault.",
    cfm_fault_status: {
      text: "Why there is a fault.",
      values: {
        recv: "No messages come.",
        rdi: "A message says that its sender hears nothing; likely a fault in one direction.",
        maid: "A message belongs to a foreign maintenance association.",
        loopback: "A message has the own identifier; there may be a loop.",
        overflow: "More points are heard than can be remembered.",
        override: "An administrator has asked for it (ovs-appctl cfm/set-fault).",
        interval: "A message names a wrong interval.",
      },
    },
    cfm_remote_opstate: {
      text: "In extended mode, what the other end's cfm_opstate is.",
      values: { up: "Packets are welcome there.", down: "No packets should be sent there." },
    },
    cfm_health:
      "Percent of the expected messages that came without fault and in order, over 21 intervals. Empty with more than one maintenance point.",
    lldp: {
      text: "Link layer discovery (802.1AB), as auto-attach needs it; see AutoAttach.",
      keys: { enable: "true sends and receives LLDP; received frames go no further. Default false." },
    },
    other_config: {
      text: "Settings of the interface that do not belong to its type.",
      keys: {
        cfm_interval:
          "Milliseconds between messages: 3, 10, 100, 1000, 10000, 60000 or 600000, in extended mode any number to 65535. Below 100 is not advised. Default 1000.",
        cfm_extended:
          "true uses messages of our own kind, which others do not mistake for 802.1ag, with any interval and long identifiers. Default false.",
        cfm_demand:
          "true takes received packets as a sign that the link works, in extended mode with one other point; one message in 100 intervals must come. Default false.",
        cfm_opstate: "down asks the other end not to send here, in extended mode. Default up.",
        cfm_ccm_vlan:
          "VLAN of the messages, 1 to 4095, or random for another one each time. Default: untagged.",
        cfm_ccm_pcp:
          "Priority in the VLAN tag of the messages, 1 to 7; the VLAN is 0 unless cfm_ccm_vlan is set.",
        "lacp-port-id": "Number of the port in LACP, 1 to 65535. Default: assigned.",
        "lacp-port-priority": "1 to 65535; LACP takes interfaces with lower numbers first.",
        "lacp-aggregation-key": "1 to 65535; only interfaces with one key are active in a bond at a time.",
        "pmd-rxq-affinity": "Polled ports: processors for receive queues, QUEUE:CPU separated by commas.",
        "tx-steering":
          "Polled ports: thread gives each polling thread a transmit queue, hash spreads packets over all. Default thread.",
        "emc-enable": "false keeps packets from here out of the exact-match cache. Default true.",
        "hw-offload-priority":
          "Offload providers to try for this interface, in order, separated by commas; none ends the list. Default: Open_vSwitch.other_config:hw-offload-priority.",
      },
    },
    statistics: {
      text: "Counters of the device, the same that OpenFlow tells; those it does not have are left out. Drivers may add more. Renewed as Open_vSwitch.other_config:stats-update-interval says.",
      keys: {
        rx_packets: "Packets received.",
        rx_bytes: "Bytes received.",
        tx_packets: "Packets sent.",
        tx_bytes: "Bytes sent.",
        rx_dropped: "Packets dropped on the way in.",
        rx_frame_err: "Frames received out of alignment.",
        rx_over_err: "Packets lost because the receiver was overrun.",
        rx_crc_err: "Frames received with a wrong checksum.",
        rx_missed_errors: "Packets that the device had no buffer for.",
        rx_multicast_packets: "Multicast packets received.",
        rx_errors: "All errors in receiving.",
        tx_dropped: "Packets dropped on the way out.",
        collisions: "Collisions in sending.",
        tx_errors: "All errors in sending.",
      },
    },
    status: {
      text: "Facts about the device, which depend on its type.",
      keys: {
        driver_name: "Driver of a network device.",
        driver_version: "Version of the driver.",
        firmware_version: "Version of the device's firmware.",
        source_ip: "Tunnels: address that packets leave with.",
        tunnel_egress_iface: "Tunnels: device on the route to remote_ip.",
        tunnel_egress_iface_carrier: "Tunnels: up or down, the carrier of that device.",
        port_no: "dpdk: number of the port.",
        numa_id: "dpdk: NUMA node of the device.",
        min_rx_bufsize: "dpdk: smallest receive buffer.",
        max_rx_pktlen: "dpdk: longest packet that can be received.",
        max_rx_queues: "dpdk: most receive queues.",
        max_tx_queues: "dpdk: most transmit queues.",
        max_mac_addrs: "dpdk: most addresses.",
        max_hash_mac_addrs: "dpdk: most hashed addresses.",
        max_vfs: "dpdk: most virtual functions.",
        max_vmdq_pools: "dpdk: most VMDq pools.",
        n_rxq: "dpdk: receive queues in use.",
        n_txq: "dpdk: transmit queues in use.",
        rx_csum_offload: "dpdk: whether the device checks checksums of received packets.",
        if_type: "dpdk: type of the interface as IANA numbers them.",
        if_descr: "dpdk: description of the interface.",
        bus_info: "dpdk: bus that the device is on, and its vendor and device numbers.",
        "dpdk-vf-mac": "dpdk: address of the function behind a VF representor.",
        "rx-steering": "dpdk: options:rx-steering in effect.",
        rx_steering_queue: "dpdk: queue for packets that are kept apart.",
        rss_queues: "dpdk: queues that the other packets are spread over.",
        mode: "vhost: client or server on the socket.",
        features: "vhost: bits of virtio features.",
        num_of_vrings: "vhost: queues of the device.",
        numa: "vhost: NUMA node of the guest's memory.",
        socket: "vhost: path of the socket.",
        status: "vhost: whether the guest is connected.",
        vring_N_size: "vhost: size of queue N, counted from 0.",
        "userspace-tso": "vhost: whether segments larger than the MTU pass.",
        "xdp-mode": "afxdp: options:xdp-mode in effect.",
      },
    },
    external_ids: {
      text: "Names of the virtual machine behind the interface; other keys are free.",
      keys: {
        "attached-mac": "Address that the machine's own device has.",
        "iface-id": "Unique identifier of the interface in a larger system.",
        "iface-status":
          "active or inactive, where a hypervisor has several interfaces with one iface-id, of which it uses the active one.",
        "vm-id": "Identifier of the machine.",
      },
    },
  },
};
