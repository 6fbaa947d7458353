/** Documentation of table Mirror. */
import type { mirror } from "../mirror.ts";
import { type DocOf, EXTERNAL_IDS } from "./doc.ts";

export const mirrorDoc: DocOf<typeof mirror> = {
  about: "Copies packets of a bridge to a port (SPAN) or a VLAN (RSPAN).",
  columns: {
    name: "Any name.",
    select_all: "Copy all packets.",
    select_src_port: "Copy what comes in by these ports.",
    select_dst_port: "Copy what goes out by these ports.",
    select_vlan: "Of those, only packets in these VLANs; empty: all.",
    output_port: "Where copies go; the port carries nothing else then.",
    output_vlan: "VLAN in which copies are flooded, instead of output_port.",
    snaplen: "Bytes of a packet to copy, 14 to 65535; none: all.",
    filter: "An OpenFlow match that packets must meet to be copied.",
    statistics: {
      text: "Counters of copies.",
      keys: { tx_packets: "Packets sent.", tx_bytes: "Bytes sent." },
    },
    external_ids: EXTERNAL_IDS,
  },
};
