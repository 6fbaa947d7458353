/** Documentation of table Port. */
import type { port } from "../port.ts";
import type { DocOf } from "./doc.ts";

export const portDoc: DocOf<typeof port> = {
  about:
    "A port of a bridge: one interface, or several that are bonded. VLANs and bonds are set here, devices in Interface.",
  columns: {
    name: "Unique name; that of the interface if there is just one. Set once.",
    interfaces: "The interfaces; more than one make a bond.",
    vlan_mode: {
      text: "How VLANs and tags go together in NORMAL forwarding; packets go only to ports that carry their VLAN. Default: access if tag is set, else trunk.",
      values: {
        trunk: "Carries the VLANs of trunks, tagged; a packet without tag is in VLAN 0. Others are dropped.",
        access: "Carries the VLAN of tag, untagged. Packets that come in with a VLAN tag are dropped.",
        "native-tagged": "As trunk, but a packet without tag is in the VLAN of tag.",
        "native-untagged": "As native-tagged, and packets of that VLAN leave without tag.",
        "dot1q-tunnel":
          "Carries the service VLAN of tag, without showing it; tags that packets come in with are inner ones, of customers' VLANs (see cvlans).",
      },
    },
    tag: "The VLAN of an access or tunnel port, the native one of a native port. Must be empty on trunks.",
    trunks: "VLANs of a trunk or native port. Empty means all; the native one is always among them.",
    cvlans: "Customer VLANs that a dot1q-tunnel port takes. Empty means all; other ports ignore it.",
    bond_mode: {
      text: "How a bond spreads packets over its members. Default active-backup.",
      values: {
        "balance-slb":
          "By source address and VLAN, rebalanced with the load. The other switch must not know of the bond.",
        "active-backup":
          "All to one member, to another when that one fails. Members may go to different switches.",
        "balance-tcp": "By addresses and ports of IP, TCP and UDP. The other switch must speak LACP.",
      },
    },
    lacp: {
      text: "Link aggregation protocol, on bonds and on single interfaces. A bond whose partner does not speak it carries nothing, unless other_config:lacp-fallback-ab is set. Default off.",
      values: {
        active: "Starts negotiating.",
        passive: "Answers only.",
        off: "Takes no part.",
      },
    },
    bond_updelay:
      "Milliseconds that a member must be up before it is used. Not observed while no member is in use. 0 means at once.",
    bond_downdelay: "Milliseconds that a member must be down before it is given up. 0 means at once.",
    bond_active_slave: { text: "Address of the bond's active member.", by: "switch" },
    bond_fake_iface: "Makes an internal device with the bond's name, for old software that looks for it.",
    fake_bridge:
      "The port stands for a VLAN of its bridge that ovs-vsctl shows as a bridge of its own (ovs-vsctl add-br BRIDGE PARENT VLAN).",
    qos: "Queues and rates for packets that leave by the port.",
    mac: "Address that stands for the port when the bridge's own address is chosen. It does not change the device.",
    protected:
      "Packets do not go from one protected port to another, only between protected and other ports. Default false.",
    other_config: {
      text: "Settings of the port that have no column of their own.",
      keys: {
        "qinq-ethtype":
          "Ethernet type of the service tag that packets of a dot1q-tunnel port get on trunks: 802.1ad (0x88a8) or 802.1q (0x8100). Default 802.1ad.",
        "priority-tags":
          "Whether packets in VLAN 0 leave with a tag for their priority: never, if-nonzero or always. Default never.",
        "bond-hash-basis": "A number that goes into the hash; changing it spreads flows anew.",
        "lb-output-action":
          "true lets the datapath choose members of balance-tcp, without recirculation (userspace only). Default false.",
        "bond-primary": "Member of an active-backup bond that is active whenever it is up.",
        "all-members-active":
          "true takes broadcast and multicast from all members of a balance-slb bond without LACP, not just one. Default false.",
        "bond-detect-mode": "How a failed link is seen: carrier or miimon. Default carrier.",
        "bond-miimon-interval": "Milliseconds between two looks at the MII, with miimon.",
        "bond-rebalance-interval":
          "Milliseconds between two attempts to even out the members' load, at least 1000; 0 never does. Default 10000.",
        "lacp-system-id": "Address that identifies this side in LACP. Default: the address of the bridge.",
        "lacp-system-priority": "1 to 65535; the side with the lower number decides.",
        "lacp-time": "How often LACP is heard from: fast (every second) or slow (every 30). Default slow.",
        "lacp-fallback-ab":
          "true works as active-backup while the partner does not speak LACP. Default false.",
        "stp-enable": "false leaves the port out of STP. Default true where STP can run.",
        "stp-port-num":
          "Number part of the port's STP identifier, 1 to 255; set it on all ports or on none. Default: assigned.",
        "stp-port-priority":
          "Priority part of the port's STP identifier, 0 to 255; the lowest becomes root port. Default 128.",
        "stp-path-cost": "Cost of the link for STP, 0 to 65535. Default: from its speed.",
        "rstp-enable": "false leaves the port out of RSTP. Default true where RSTP can run.",
        "rstp-port-priority":
          "Priority part of the port's RSTP identifier, 0 to 240 in steps of 16; the lowest becomes root port. Default 128.",
        "rstp-port-num":
          "Number part of the port's RSTP identifier, 1 to 4095. Default: assigned, not the OpenFlow number.",
        "rstp-path-cost": "Cost of the link for RSTP. Default: from the speed.",
        "rstp-port-admin-edge":
          "true says that no bridge is behind the port, so that it forwards at once. Default false.",
        "rstp-port-auto-edge": "false does not find out whether a bridge is behind the port. Default true.",
        "rstp-port-mcheck":
          "Changing it to true tests whether all bridges on the link speak RSTP by now. Set it to false before the next test.",
        "mcast-snooping-flood": "true sends all multicast but reports to the port. Default false.",
        "mcast-snooping-flood-reports": "true sends all multicast reports to the port. Default false.",
        transient: "true has the port removed by ovs-ctl start --delete-transient-ports. Default false.",
      },
    },
    status: {
      text: "State of the port in the spanning tree, while Bridge.stp_enable is set.",
      keys: {
        stp_port_id: "Identifier of the port in STP, four hexadecimal digits.",
        stp_state: "disabled, listening, learning, forwarding or blocking.",
        stp_sec_in_state: "Seconds since it came into that state.",
        stp_role: "root, designated or alternate.",
      },
    },
    rstp_status: {
      text: "State of the port in the rapid spanning tree, while Bridge.rstp_enable is set.",
      keys: {
        rstp_port_id: "Identifier of the port in RSTP, four hexadecimal digits.",
        rstp_port_role: "Root, Designated, Alternate, Backup or Disabled.",
        rstp_port_state: "Disabled, Discarding, Learning or Forwarding.",
        rstp_designated_bridge_id:
          "Identifier of the bridge that speaks for the link, as in Bridge.rstp_status.",
        rstp_designated_port_id: "Identifier of that bridge's port, four hexadecimal digits.",
        rstp_designated_path_cost: "Cost from there to the root.",
      },
    },
    rstp_statistics: {
      text: "Counters of RSTP on the port.",
      keys: {
        rstp_tx_count: "RSTP frames sent.",
        rstp_rx_count: "Valid RSTP frames received.",
        rstp_error_count: "Invalid RSTP frames received.",
        rstp_uptime: "Seconds over which these were counted.",
      },
    },
    statistics: {
      text: "Counters of STP on the port, renewed as Open_vSwitch.other_config:stats-update-interval says.",
      keys: {
        stp_tx_count: "STP frames sent.",
        stp_rx_count: "STP frames received and accepted.",
        stp_error_count: "STP frames received that were too short or of another protocol.",
      },
    },
    external_ids: {
      text: "Names of the port in a larger system; other keys are free.",
      keys: { "fake-bridge-*": "Of a fake bridge its Bridge.external_ids, as fake-bridge-bridge-id." },
    },
  },
};
