/** OpenFlow messages that a switch must refuse, each with the error and the versions (1: OpenFlow 1.0 … 6: 1.5). */
import { encode, type Message, parseActions, type Version } from "../../src/openflow/index.ts";
import { matchInPort } from "../../src/openflow/msg/packet.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { OFPGC_ADD, OFPGC_MODIFY, parseGroup } from "../../src/openflow/text/group-parse.ts";
import { OFPMC_MODIFY, parseMeter } from "../../src/openflow/text/meter-parse.ts";

export interface BadMessage {
  name: string;
  first?: Version;
  last?: Version;
  error: string;
  /** Sent one after the other; the last is refused. */
  make(version: Version): Uint8Array[];
}

export const XID = 0x1234567;

function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replace(/\s/g, ""), "hex"));
}

/** A message of these parts, in hexadecimal or bytes. */
function raw(version: number, type: number, ...parts: (string | Uint8Array)[]): Uint8Array {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? hex(part) : part)));
  const head = Buffer.alloc(8);
  head.writeUInt8(version, 0);
  head.writeUInt8(type, 1);
  head.writeUInt16BE(8 + body.length, 2);
  head.writeUInt32BE(XID, 4);
  return Uint8Array.from(Buffer.concat([head, body]));
}

const multipart = (version: number, type: string, body = ""): Uint8Array =>
  raw(version, version === 1 ? 16 : 18, `${type}0000`, version === 1 ? "" : "00000000", body);

const of = (message: Message, version: Version): Uint8Array =>
  encode(message, version, { xid: XID, tableIds: false });

/** With `bytes` put at offset `at`. */
function patched(message: Uint8Array, at: number, bytes: string): Uint8Array {
  const out = message.slice();
  out.set(hex(bytes), at);
  return out;
}

const PACKET_OUT = {
  ...{ type: "packet-out" as const, bufferId: 0xffffffff, match: matchInPort(0xfffe), actions: [] },
  packet: hex("020000000001 020000000002 8888 0000"),
};

const flow = (version: Version, text: string): Uint8Array => of(parseFlow(text, 0).fm, version);

/** A flow_mod that adds a flow of everything, with this after the match: actions in 1.0, else instructions. */
function flowMod(version: Version, rest: string, match = "0001000400000000"): Uint8Array {
  if (version === 1) return raw(1, 14, flow(1, "actions=drop").subarray(8, 72), rest);
  const empty = flow(version, "actions=drop");
  return raw(version, 14, empty.subarray(8, 48), version === 2 ? empty.subarray(48, 136) : match, rest);
}

/** A flow_mod with this action. */
function action(version: Version, body: string): Uint8Array {
  if (version === 1) return flowMod(1, body);
  const length = (8 + hex(body).length).toString(16).padStart(4, "0");
  return flowMod(version, `0004${length}00000000${body}`);
}

/** A flow_mod with these TLVs of a match. */
function oxm(version: Version, tlvs: string): Uint8Array {
  const length = 4 + hex(tlvs).length;
  const match = `0001${length.toString(16).padStart(4, "0")}${tlvs}${"00".repeat((8 - (length % 8)) % 8)}`;
  return flowMod(version, "", match);
}

const bundle = (version: Version, ctrl: number, bundleId = 9): Uint8Array =>
  of({ type: "bundle-control", bundleId, ctrl, flags: 3 }, version);
const OPEN = 0;
const CLOSE = 2;
const COMMIT = 4;

const bundled = (version: Version, message: Uint8Array, flags = 3): Uint8Array =>
  of({ type: "bundle-add-message", bundleId: 9, flags, message }, version);

export const BAD_MESSAGES: readonly BadMessage[] = [
  { name: "unknown type", error: "OFPBRC_BAD_TYPE", make: (v) => [raw(v, 99)] },
  { name: "too short", error: "OFPBRC_BAD_LEN", make: (v) => [raw(v, 14, "0000000000000000")] },
  {
    name: "longer than 64 bytes",
    error: "OFPBRC_BAD_LEN",
    make: (v) => [raw(v, 20 - (v === 1 ? 2 : 0), "ab".repeat(80))],
  },
  { name: "unknown vendor", error: "OFPBRC_BAD_VENDOR", make: (v) => [raw(v, 4, "0000999900000001")] },
  { name: "unknown subtype", error: "OFPBRC_BAD_SUBTYPE", make: (v) => [raw(v, 4, "000023200000ffff")] },
  { name: "unknown multipart type", error: "OFPBRC_BAD_STAT", make: (v) => [multipart(v, "1234")] },
  {
    name: "multipart of an unknown vendor",
    error: "OFPBRC_BAD_VENDOR",
    make: (v) => [multipart(v, "ffff", "000099990000000100000000")],
  },
  {
    name: "flow_mod's command",
    error: "OFPFMFC_BAD_COMMAND",
    make: (v) => [patched(flow(v, "actions=drop"), v === 1 ? 57 : 25, "09")],
  },
  { name: "unknown action", error: "OFPBAC_BAD_TYPE", make: (v) => [action(v, "1234000800000000")] },
  { name: "action's length", error: "OFPBAC_BAD_LEN", make: (v) => [action(v, "0000000400000001")] },
  {
    name: "action of an unknown vendor",
    error: "OFPBAC_BAD_VENDOR",
    make: (v) => [action(v, "ffff0010000099990001000000000000")],
  },
  {
    name: "Nicira's action 9999",
    error: "OFPBAC_BAD_VENDOR_TYPE",
    make: (v) => [action(v, "ffff00100000232027 0f000000000000")],
  },
  {
    name: "output to a number that no port has",
    error: "OFPBAC_BAD_OUT_PORT",
    make: (v) => [action(v, v === 1 ? "00000008ff010000" : "00000010ffffff010000000000000000")],
  },
  {
    last: 5,
    name: "load into a field that is read-only",
    error: "OFPBAC_BAD_SET_ARGUMENT",
    make: (v) => [action(v, "ffff001800002320 0007 000f 00000602 0000000000000001")],
  },
  {
    last: 5,
    name: "load into a field that the match lacks",
    error: "OFPBAC_MATCH_INCONSISTENT",
    make: (v) => [action(v, "ffff001800002320 0007 000f 00001402 0000000000000001")],
  },
  {
    first: 2,
    last: 5,
    name: "packet_out that comes from a number that no port has",
    error: "OFPBAC_BAD_OUT_PORT",
    make: (v) => [raw(v, 13, "ffffffff 00010001 0000 000000000000")],
  },
  {
    first: 6,
    name: "packet_out that comes from nowhere",
    error: "OFPBRC_BAD_PORT",
    make: (v) => [raw(v, 13, "ffffffff 0000 0000 0001000a 80000002 0004 000000000000")],
  },
  {
    name: "packet_out whose actions make no sense for its packet",
    error: "OFPBAC_MATCH_INCONSISTENT",
    make: (v) => [of({ ...PACKET_OUT, actions: parseActions("ct(zone=5)").actions }, v)],
  },
  {
    first: 4,
    name: "packet_out whose actions cannot be translated",
    error: "OFPFMFC_UNKNOWN",
    make: (v) => [of({ ...PACKET_OUT, actions: parseActions("encap(ethernet)").actions }, v)],
  },
  {
    name: "bundle of a number that no port has",
    error: "OFPBAC_BAD_OUT_PORT",
    make: (v) => [
      action(v, "ffff0028 00002320 000c 0000 0000 0000 00000002 0001 0000 0000000000000000 ff04000000000000"),
    ],
  },
  {
    first: 2,
    name: "unknown instruction",
    error: "OFPBIC_UNKNOWN_INST",
    make: (v) => [flowMod(v, "0099000800000000")],
  },
  {
    first: 2,
    name: "goto_table back",
    error: "OFPBIC_BAD_TABLE_ID",
    make: (v) => [flowMod(v, "0001000800000000")],
  },
  {
    first: 3,
    name: "match's type",
    error: "OFPBMC_BAD_TYPE",
    make: (v) => [flowMod(v, "", "0009000400000000")],
  },
  {
    first: 3,
    name: "match's length",
    error: "OFPBMC_BAD_LEN",
    make: (v) => [flowMod(v, "", "000100ff00000000")],
  },
  { first: 3, name: "unknown field", error: "OFPBMC_BAD_FIELD", make: (v) => [oxm(v, "8000fe0401020304")] },
  {
    first: 3,
    name: "missing prerequisite",
    error: "OFPBMC_BAD_PREREQ",
    make: (v) => [oxm(v, "80001c020050")],
  },
  {
    first: 3,
    name: "field twice",
    error: "OFPBMC_DUP_FIELD",
    make: (v) => [oxm(v, "80000a02080080000a020800")],
  },
  {
    first: 3,
    name: "value outside its mask",
    error: "OFPBMC_BAD_WILDCARDS",
    make: (v) => [oxm(v, "80000510 0000000000000003 0000000000000001")],
  },
  {
    first: 3,
    name: "value too large",
    error: "OFPBMC_BAD_VALUE",
    make: (v) => [oxm(v, "80000a020800 8000100140")],
  },
  {
    first: 2,
    last: 2,
    name: "an error that the version has no number for",
    error: "NXBRC_UNENCODABLE_ERROR",
    make: (v) => [patched(of(parseGroup("group_id=1,type=all", OFPGC_ADD, {}).gm, v), 8, "0077")],
  },
  {
    first: 3,
    name: "group_mod's command",
    error: "OFPGMFC_BAD_COMMAND",
    make: (v) => [patched(of(parseGroup("group_id=1,type=all", OFPGC_ADD, {}).gm, v), 8, "0077")],
  },
  {
    first: 3,
    name: "group_mod's type",
    error: "OFPGMFC_BAD_TYPE",
    make: (v) => [patched(of(parseGroup("group_id=1,type=all", OFPGC_ADD, {}).gm, v), 10, "77")],
  },
  {
    first: 2,
    name: "change of no group",
    error: "OFPGMFC_UNKNOWN_GROUP",
    make: (v) => [of(parseGroup("group_id=77,type=all", OFPGC_MODIFY, {}).gm, v)],
  },
  {
    first: 4,
    name: "meter_mod's command",
    error: "OFPMMFC_BAD_COMMAND",
    make: (v) => [patched(of(parseMeter("meter=1,kbps,band=type=drop,rate=5", OFPMC_MODIFY), v), 8, "0077")],
  },
  {
    first: 4,
    name: "change of no meter",
    error: "OFPMMFC_UNKNOWN_METER",
    make: (v) => [of(parseMeter("meter=77,kbps,band=type=drop,rate=5", OFPMC_MODIFY), v)],
  },
  {
    name: "port_mod of no port",
    error: "OFPPMFC_BAD_PORT",
    make: (v) => [
      of(
        {
          ...{ type: "port-mod", port: 77, hwAddr: new Uint8Array(6), hwAddr64: undefined },
          ...{ config: 0, mask: 0, advertise: 0 },
        },
        v,
      ),
    ],
  },
  {
    name: "queues of no port",
    error: "OFPQOFC_BAD_PORT",
    make: (v) => [of({ type: "queue-request", port: 77, queue: 0xffffffff }, v)],
  },
  {
    first: 3,
    name: "unknown role",
    error: "OFPRRFC_BAD_ROLE",
    make: (v) => [raw(v, 24, "00000077000000000000000000000000")],
  },
  { first: 5, name: "end of no bundle", error: "OFPBFC_BAD_ID", make: (v) => [bundle(v, COMMIT, 8)] },
  { first: 5, name: "bundle's command", error: "OFPBFC_BAD_TYPE", make: (v) => [bundle(v, 77)] },
  { first: 5, name: "bundle open", error: "OFPBFC_BAD_ID", make: (v) => [bundle(v, OPEN), bundle(v, OPEN)] },
  {
    first: 5,
    name: "bundle closed twice",
    error: "OFPBFC_BUNDLE_CLOSED",
    make: (v) => [bundle(v, OPEN), bundle(v, CLOSE), bundle(v, CLOSE)],
  },
  {
    first: 5,
    name: "message that no bundle takes",
    error: "OFPBFC_MSG_UNSUP",
    make: (v) => [bundle(v, OPEN), bundled(v, raw(v, 2))],
  },
  {
    first: 5,
    name: "bundled message's xid",
    error: "OFPBFC_MSG_BAD_XID",
    make: (v) => [bundle(v, OPEN), bundled(v, patched(flow(v, "actions=drop"), 4, "00000001"))],
  },
  {
    first: 5,
    name: "bundle's flags",
    error: "OFPBFC_BAD_FLAGS",
    make: (v) => [bundle(v, OPEN), bundled(v, flow(v, "actions=drop"), 1)],
  },
];
