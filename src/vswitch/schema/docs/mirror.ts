/** Documentation of table Mirror. */
import type { mirror } from "../mirror.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const mirrorDoc: DocOf<typeof mirror> = {
  about:
    "Copies chosen packets of a bridge to a port (SPAN) or a VLAN (RSPAN). A packet is copied as it is at the moment that it is first chosen, and only once to each destination however many mirrors choose it.",
  columns: {
    name: "Any name, for people and for ovs-vsctl.",
    select_all: "Chooses all packets that enter or leave by any port.",
    select_src_port: "Chooses packets that enter by one of these ports.",
    select_dst_port: "Chooses packets that leave by one of these ports.",
    select_vlan: "Keeps, of the packets chosen by port, those in one of these VLANs. Empty means all VLANs.",
    filter:
      "Keeps, of the packets chosen by port and VLAN, those that match this flow, written as in ovs-fields(7). in_port is not allowed here; use select_src_port.",
    output_port:
      "Port that receives the copies. It then serves this purpose alone: it gets no other packets, and what it receives is dropped. Either this or output_vlan must be set, not both.",
    output_vlan:
      "VLAN that receives the copies: they leave by all ports that carry it, with this tag in place of their own on trunks and without tag on access ports. Learning of addresses must be off for that VLAN on all switches on the way (Bridge.flood_vlans here), and switches that learn without regard to VLANs lose track of hosts.",
    snaplen: "Bytes to which copies are cut, 14 to 65535. Empty copies whole packets.",
    statistics: {
      text: "Counters of the mirror, renewed as Open_vSwitch.other_config:stats-update-interval says.",
      keys: { tx_packets: "Packets copied.", tx_bytes: "Bytes copied." },
    },
    external_ids: EXTERNAL_IDS,
  },
};
