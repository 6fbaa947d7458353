/** Every command of ovs-ofctl: usage, number of arguments, whether it changes the switch, and what runs it. */
import { bundle } from "./bundle.ts";
import * as dumps from "./dumps.ts";
import * as extensions from "./extensions.ts";
import * as flows from "./flows.ts";
import * as groups from "./groups.ts";
import * as meters from "./meters.ts";
import { monitor, snoop } from "./monitor.ts";
import * as packets from "./packets.ts";
import * as parse from "./parse.ts";
import * as ports from "./ports.ts";
import type { Ofctl } from "./settings.ts";

export interface OfctlCommand {
  readonly usage: string;
  readonly about?: string;
  readonly min: number;
  /** -1: any number. */
  readonly max: number;
  readonly write: boolean;
  /** Which argument is a file that may be large. */
  readonly file?: number;
  run(o: Ofctl, args: string[]): Promise<number | void>;
}

function read(
  usage: string,
  min: number,
  max: number,
  run: OfctlCommand["run"],
  about?: string,
): OfctlCommand {
  return { usage, min, max, write: false, run, ...(about === undefined ? {} : { about }) };
}

function write(
  usage: string,
  min: number,
  max: number,
  run: OfctlCommand["run"],
  about?: string,
): OfctlCommand {
  return { usage, min, max, write: true, run, ...(about === undefined ? {} : { about }) };
}

export const COMMANDS: Readonly<Record<string, OfctlCommand>> = {
  show: read("switch", 1, 1, dumps.show, "show OpenFlow information"),
  monitor: read(
    "switch [misslen] [invalid_ttl] [watch:[...]]",
    1,
    3,
    monitor,
    "print packets received from SWITCH",
  ),
  snoop: read("switch", 1, 1, snoop, "snoop on SWITCH and its controller"),
  "dump-desc": read("switch", 1, 1, dumps.simple({ type: "desc-request" }), "print switch description"),
  "dump-tables": read("switch", 1, 1, dumps.simple({ type: "table-request" }), "print table stats"),
  "dump-table-features": read("switch", 1, 1, dumps.dumpTableFeatures, "print table features"),
  "dump-table-desc": read(
    "switch",
    1,
    1,
    dumps.simple({ type: "table-desc-request" }),
    "print table description (OF1.4+)",
  ),
  "dump-flows": read("switch", 1, 2, dumps.dumpFlows, "print flow entries"),
  "dump-aggregate": read("switch", 1, 2, dumps.dumpAggregate, "print aggregate flow statistics"),
  "queue-stats": read("switch [port [queue]]", 1, 3, dumps.queueStats, "dump queue stats"),
  "queue-get-config": read("switch [port [queue]]", 1, 3, dumps.queueGetConfig, "print queue configuration"),
  "add-flow": write("switch flow", 2, 2, flows.addFlow, "add flow described by FLOW"),
  "add-flows": { ...write("switch file", 2, 2, flows.addFlows, "add flows from FILE"), file: 1 },
  "mod-flows": write("switch flow", 2, 2, flows.modFlows, "modify actions of matching FLOWs"),
  "del-flows": write("switch [flow]", 1, 2, flows.delFlows, "delete matching FLOWs"),
  "replace-flows": {
    ...write("switch file", 2, 2, flows.replaceFlows, "replace flows with those in FILE"),
    file: 1,
  },
  "diff-flows": read("source1 source2", 2, 2, flows.diffFlows, "compare flows from two sources"),
  "add-meter": write("switch meter", 2, 2, meters.addMeter, "add meter described by METER"),
  "mod-meter": write("switch meter", 2, 2, meters.modMeter, "modify specific METER"),
  "del-meter": write("switch meter", 1, 2, meters.delMeters),
  "del-meters": write("switch", 1, 2, meters.delMeters, "delete meters matching METER"),
  "dump-meter": read("switch meter", 1, 2, meters.dumpMeters),
  "dump-meters": read("switch", 1, 2, meters.dumpMeters, "print METER configuration"),
  "meter-stats": read("switch [meter]", 1, 2, meters.meterStats, "print meter statistics"),
  "meter-features": read("switch", 1, 1, meters.meterFeatures, "print meter features"),
  "packet-out": write(
    'switch "in_port=<port> packet=<hex data> actions=..."',
    2,
    -1,
    flows.packetOut,
    "execute ACTIONS on PACKET",
  ),
  "dump-ports": read("switch [port]", 1, 2, dumps.dumpPorts, "print port statistics"),
  "dump-ports-desc": read("switch [port]", 1, 2, dumps.dumpPortsDesc, "print port descriptions"),
  "mod-port": write("switch iface act", 3, 3, ports.modPort, "modify port behavior"),
  "mod-table": write("switch mod", 3, 3, ports.modTable, "modify flow table behavior"),
  "get-frags": read("switch", 1, 1, dumps.getFrags, "print fragment handling behavior"),
  "set-frags": write("switch frag_mode", 2, 2, dumps.setFrags, "set fragment handling behavior"),
  probe: read("target", 1, 1, dumps.probe, "probe whether TARGET is up"),
  ping: read("target [n]", 1, 2, dumps.ping, "latency of N-byte echos"),
  benchmark: read("target n count", 3, 3, dumps.benchmark, "bandwidth of COUNT N-byte echos"),
  "dump-ipfix-bridge": read(
    "switch",
    1,
    1,
    dumps.simple({ type: "ipfix-bridge-request" }),
    "print ipfix stats of bridge",
  ),
  "dump-ipfix-flow": read(
    "switch",
    1,
    1,
    dumps.simple({ type: "ipfix-flow-request" }),
    "print flow ipfix of a bridge",
  ),
  "ct-flush-zone": write("switch zone", 2, 2, extensions.ctFlushZone, "flush conntrack entries in ZONE"),
  "ct-flush": write(
    "switch [zone=N] [mark=X[/M]] [labels=Y[/N]] [ct-orig-tuple [ct-reply-tuple]]",
    1,
    6,
    extensions.ctFlush,
  ),
  "ofp-parse": { ...read("file", 1, 1, parse.ofpParse, "print messages read from FILE"), file: 0 },
  "ofp-parse-pcap": read("pcap", 1, -1, packets.ofpParsePcap, "print OpenFlow read from PCAP"),
  "add-group": write("switch group", 1, 2, groups.addGroup, "add group described by GROUP"),
  "add-groups": write("switch file", 1, 2, groups.addGroups, "add group from FILE"),
  "mod-group": write("switch group", 1, 2, groups.modGroup, "modify specific group"),
  "del-groups": write("switch [group]", 1, 2, groups.delGroups, "delete matching GROUPs"),
  "insert-buckets": write("switch [group]", 1, 2, groups.insertBuckets, "add buckets to GROUP"),
  "remove-buckets": write("switch [group]", 1, 2, groups.removeBuckets, "remove buckets from GROUP"),
  "dump-groups": read("switch [group]", 1, 2, groups.dumpGroups, "print group description"),
  "dump-group-stats": read("switch [group]", 1, 2, groups.dumpGroupStats, "print group statistics"),
  "dump-group-features": read("switch", 1, 1, groups.dumpGroupFeatures, "print group features"),
  bundle: write("switch file", 2, 2, bundle, "apply the changes in FILE as one"),
  "add-tlv-map": write("switch map", 2, 2, extensions.addTlvMap, "add TLV option MAPpings"),
  "del-tlv-map": write("switch [map]", 1, 2, extensions.delTlvMap, "delete TLV option MAPpings"),
  "dump-tlv-map": read(
    "switch",
    1,
    1,
    dumps.simple({ type: "nxt-tlv-table-request" }),
    "print TLV option mappings",
  ),
  "parse-flow": read("", 1, 1, parse.parseFlowCommand),
  "parse-flows": { ...read("", 1, 1, parse.parseFlows), file: 0 },
  "parse-group": read("", 1, 1, groups.parseGroupCommand),
  "parse-nx-match": read("", 0, 0, parse.parseNxMatch),
  "parse-nxm": read("", 0, 0, parse.parseNxm),
  "parse-oxm": read("", 1, 1, parse.parseOxm),
  "parse-actions": read("", 1, 1, parse.parseActionsCommand),
  "parse-instructions": read("", 1, 1, parse.parseInstructionsCommand),
  "parse-ofp10-match": read("", 0, 0, parse.parseOfp10Match),
  "parse-ofp11-match": read("", 0, 0, parse.parseOfp11Match),
  "parse-pcap": read("pcap...", 1, -1, packets.parsePcap),
  "check-vlan": read("", 2, 2, parse.checkVlan),
  "print-error": read("", 1, 1, parse.printError),
  "encode-error-reply": read("", 2, 2, parse.encodeErrorReply),
  "ofp-print": read("", 1, 2, parse.ofpPrint),
  "encode-hello": read("", 1, 1, parse.encodeHello),
  "parse-key-value": read("", 1, -1, parse.parseKeyValue),
  "compose-packet": read("flow [l7]", 1, 2, packets.composePacketCommand),
  "parse-packet": read("", 0, 0, packets.parsePacket),
};
