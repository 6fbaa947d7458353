/** Documentation of table Port. */
import type { port } from "../port.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const portDoc: DocOf<typeof port> = {
  about: "A port of a bridge: one interface, or several bonded into one.",
  columns: {
    name: "Unique among ports; with one interface usually the interface's name. Set once.",
    interfaces: "One interface, or two and more for a bond.",
    vlan_mode:
      "access, trunk, native-tagged, native-untagged or dot1q-tunnel. None: access if tag is set, else trunk.",
    tag: "VLAN of an access port, native VLAN of a native port, outer VLAN of a tunnel port.",
    trunks: "VLANs that a trunk or native port carries; empty: all.",
    cvlans: "Customer VLANs that a dot1q-tunnel port takes; empty: all.",
    bond_mode:
      "balance-slb (by source MAC and VLAN), active-backup (default) or balance-tcp (by transport fields, needs LACP).",
    lacp: "active sends LACP, passive answers, off (default) does neither.",
    bond_updelay: "Milliseconds a carrier must be up before the interface is used.",
    bond_downdelay: "Milliseconds a carrier must be down before the interface is dropped.",
    bond_active_slave: "MAC address of the active member, written by the switch and read at start.",
    bond_fake_iface: "Make a network device named like the bond, for software that wants one.",
    fake_bridge: "This port stands for a VLAN that is shown as a bridge of its own.",
    qos: "Quality of service for what leaves the port.",
    mac: "MAC address for the bond and for choosing the bridge's; default: an interface's.",
    protected: "Protected ports do not talk to each other.",
    other_config: {
      text: "Settings without a column of their own.",
      keys: {
        "qinq-ethtype": "802.1ad (default) or 802.1q: Ethernet type of a tunnel port's outer tag.",
        "priority-tags": "never, if-nonzero or always: priority tags on untagged packets.",
        "bond-hash-basis": "Changes the spread of flows over members.",
        "lb-output-action": "true: the userspace datapath balances balance-tcp by itself.",
        "bond-primary": "Member preferred in active-backup.",
        "all-members-active": "true: packets to groups are taken from all members.",
        "bond-detect-mode": "carrier (default) or miimon.",
        "bond-miimon-interval": "Milliseconds between MII checks.",
        "bond-rebalance-interval": "Milliseconds between rebalancing; default 10000, 0 for never.",
        "lacp-system-id": "MAC address for LACP's system id.",
        "lacp-system-priority": "1 to 65535, lower decides.",
        "lacp-time": "fast or slow (default): how often LACP is heard.",
        "lacp-fallback-ab": "true: act as active-backup when LACP fails.",
        "stp-*": "Spanning tree on this port: stp-enable, stp-port-num, stp-port-priority, stp-path-cost.",
        "rstp-*":
          "Rapid spanning tree: rstp-enable, -port-priority, -port-num, -path-cost, -port-admin-edge, -port-auto-edge, -port-mcheck.",
        "mcast-snooping-flood": "true: all multicast goes to this port.",
        "mcast-snooping-flood-reports": "true: reports are sent to this port.",
        transient: "true: a start script removes the port at boot.",
      },
    },
    status: {
      text: "Spanning tree state of the port.",
      keys: {
        stp_port_id: "Port id.",
        stp_state: "disabled, listening, learning, forwarding or blocking.",
        stp_sec_in_state: "Seconds in that state.",
        stp_role: "root, designated or alternate.",
      },
    },
    rstp_status: {
      text: "Rapid spanning tree state of the port.",
      keys: {
        rstp_port_id: "Port id.",
        rstp_port_role: "Root, Designated, Alternate, Backup or Disabled.",
        rstp_port_state: "Disabled, Learning, Forwarding or Discarding.",
        "rstp_designated_*": "Bridge, port and cost heard from the segment's designated bridge.",
      },
    },
    rstp_statistics: {
      text: "Counters of the rapid spanning tree.",
      keys: { "rstp_*_count": "Frames sent, received, in error.", rstp_uptime: "Seconds since start." },
    },
    statistics: {
      text: "Counters of the spanning tree.",
      keys: { "stp_*_count": "Frames sent, received, in error." },
    },
    external_ids: {
      text: EXTERNAL_IDS,
      keys: { "fake-bridge-*": "External ids of the fake bridge that this port stands for." },
    },
  },
};
