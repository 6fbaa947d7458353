/** Flow monitoring: Nicira's (1.0 to 1.2), ONF's (1.3), and 1.4's. Rows of the message registry; upstream: ofp-monitor. */
import { decodeActions, decodeInstructions, encodeActions, encodeInstructions } from "../actions/registry.ts";
import { OFPG_ANY } from "../actions.ts";
import { OfpError } from "../errors.ts";
import { readOfp11Match, writeOfp11Match } from "../fixed-match.ts";
import type {
  FlowMonitorReply,
  FlowMonitorRequest,
  FlowMonitorRequests,
  FlowUpdate,
  Version,
} from "../messages.ts";
import { readMatch, writeMatch } from "../oxm.ts";
import { portFromWire, portToWire } from "../ports.ts";
import type { Reader, Writer } from "../wire.ts";
import { type Kind, type MessageRow, message } from "./row.ts";

// Flags of FlowMonitorRequest (1.4's): initial 1, add 2, removed 4, modify 8, instructions 16, no_abbrev 32, only_own 64.

/** Nicira: initial 1, add 2, delete 4, modify 8, actions 16, own 32. */
function readRequest(r: Reader, kind: Kind): FlowMonitorRequest {
  if (kind === "request") {
    r.need(24, "OFPBRC_BAD_LEN");
    const id = r.u32();
    const outPort = portFromWire(r.u32());
    const outGroup = r.u32();
    const flags = r.u16();
    const table = r.u8();
    const command = r.u8();
    if (command > 2) throw new OfpError("OFPMOFC_BAD_COMMAND");
    if (flags & ~0x7f)
      throw new OfpError(
        "OFPMOFC_BAD_FLAGS",
        `OFPST_FLOW_MONITOR has bad flags 0x${flags.toString(16)}`,
        "ofp_monitor",
      );
    return { id, command, flags, outPort, outGroup, table, match: readOfp11Match(r) };
  }
  const onf = kind === "onfrequest";
  r.need(16, "OFPBRC_BAD_LEN");
  const id = r.u32();
  const flags = r.u16();
  const length = onf ? r.u16() : 0;
  const outPort = onf ? portFromWire(r.u32()) : r.u16();
  const matchLength = onf ? length : r.u16();
  const table = r.u8();
  if (flags & ~0x3f || (flags & 0xe) === 0) {
    throw new OfpError(
      "OFPMOFC_BAD_FLAGS",
      `${onf ? "ONFST" : "NXST"}_FLOW_MONITOR has bad flags 0x${flags.toString(16)}`,
      "ofp_monitor",
    );
  }
  if (onf) {
    r.skip(3);
    return { id, command: 0, flags, outPort, outGroup: OFPG_ANY, table, match: readOfp11Match(r) };
  }
  r.skip(5);
  const padded = (matchLength + 7) & ~7;
  r.need(padded, "OFPBRC_BAD_LEN");
  const match = readMatch(r, matchLength);
  r.skip(padded - matchLength);
  return { id, command: 0, flags, outPort, outGroup: OFPG_ANY, table, match };
}

function writeRequest(w: Writer, m: FlowMonitorRequest, kind: Kind, version: Version): void {
  w.u32(m.id);
  if (kind === "request") {
    w.u32(portToWire(m.outPort));
    w.u32(m.outGroup);
    w.u16(m.flags);
    w.u8(m.table);
    w.u8(m.command);
    writeOfp11Match(w, m.match, version);
    return;
  }
  const flags = m.flags & 0x3f;
  w.u16(flags);
  if (kind === "onfrequest") {
    const at = w.pos;
    w.u16(0);
    w.u32(portToWire(m.outPort));
    w.u8(m.table);
    w.zeros(3);
    const start = w.pos;
    writeOfp11Match(w, m.match, version);
    w.setU16(at, w.pos - start);
    return;
  }
  w.u16(m.outPort);
  const at = w.pos;
  w.u16(0);
  w.u8(m.table);
  w.zeros(5);
  const start = w.pos;
  writeMatch(w, m.match, 0);
  w.setU16(at, w.pos - start);
  w.pad(start);
}

function request(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<FlowMonitorRequests>({
    name,
    type: "flow-monitor-request",
    kind,
    number,
    first,
    last,
    min: 0,
    unit: 1,
    decode(r) {
      const monitors: FlowMonitorRequest[] = [];
      while (r.left > 0) monitors.push(readRequest(r, kind));
      return { type: "flow-monitor-request", monitors };
    },
    encode(m, w, version) {
      for (const one of m.monitors) writeRequest(w, one, kind, version);
    },
  });
}

const NX_EVENTS = ["added", "removed", "modified"] as const;
const OF_EVENTS = ["initial", "added", "removed", "modified"] as const;

function readUpdate(r: Reader, kind: Kind, version: Version): FlowUpdate {
  r.need(8, "OFPBRC_BAD_LEN");
  const length = r.u16();
  const event = r.u16();
  if (length < 8 || length % 8 !== 0 || r.left + 4 < length) throw new OfpError("OFPBRC_BAD_LEN");
  const body = r.sub(length - 4);
  const standard = kind === "reply";
  const abbrev = standard ? 4 : 3;
  if (event === abbrev) {
    if (length !== 8) throw new OfpError("OFPBRC_BAD_LEN");
    return { event: "abbrev", xid: body.u32() };
  }
  if (standard && (event === 5 || event === 6)) return { event: event === 5 ? "paused" : "resumed" };
  const name = standard ? OF_EVENTS[event] : NX_EVENTS[event];
  if (name === undefined) {
    throw new OfpError(
      "OFPBRC_BAD_LEN".replace("BAD_LEN", "BAD_TYPE"),
      `NXST_FLOW_MONITOR reply has bad event ${event}`,
      "ofp_monitor",
    );
  }
  if (standard) {
    body.need(20, "OFPBRC_BAD_LEN");
    const table = body.u8();
    const reason = body.u8();
    const idleSec = body.u16();
    const hardSec = body.u16();
    const priority = body.u16();
    body.skip(4);
    const cookie = body.u64();
    const match = readOfp11Match(body);
    const actions = decodeInstructions(body, version);
    return { event: name, reason, table, priority, idleSec, hardSec, cookie, match, actions };
  }
  body.need(20, "OFPBRC_BAD_LEN");
  const reason = body.u16();
  const priority = body.u16();
  const idleSec = body.u16();
  const hardSec = body.u16();
  const matchLength = body.u16();
  const table = body.u8();
  body.skip(1);
  const cookie = body.u64();
  if (kind === "onfreply") {
    const match = readOfp11Match(body);
    return {
      event: name,
      reason,
      table,
      priority,
      idleSec,
      hardSec,
      cookie,
      match,
      actions: decodeInstructions(body, version),
    };
  }
  const padded = (matchLength + 7) & ~7;
  body.need(padded, "OFPBRC_BAD_LEN");
  const match = readMatch(body, matchLength);
  body.skip(padded - matchLength);
  const actions = decodeActions(body, version);
  return { event: name, reason, table, priority, idleSec, hardSec, cookie, match, actions };
}

function writeUpdate(w: Writer, u: FlowUpdate, kind: Kind, version: Version): void {
  const start = w.pos;
  const standard = kind === "reply";
  w.u16(0);
  if (u.event === "abbrev") {
    w.u16(standard ? 4 : 3);
    w.u32(u.xid);
  } else if (u.event === "paused" || u.event === "resumed") {
    w.u16(u.event === "paused" ? 5 : 6);
    w.u32(0);
  } else {
    if (standard) {
      w.u16(OF_EVENTS.indexOf(u.event));
      w.u8(u.table);
      w.u8(u.reason);
      w.u16(u.idleSec);
      w.u16(u.hardSec);
      w.u16(u.priority);
      w.u32(0);
      w.u64(u.cookie);
      writeOfp11Match(w, u.match, version);
    } else {
      w.u16(NX_EVENTS.indexOf(u.event === "initial" ? "added" : u.event));
      w.u16(u.reason);
      w.u16(u.priority);
      w.u16(u.idleSec);
      w.u16(u.hardSec);
      const at = w.pos;
      w.u16(0);
      w.u8(u.table);
      w.u8(0);
      w.u64(u.cookie);
      const begin = w.pos;
      if (kind === "onfreply") {
        writeOfp11Match(w, u.match, version);
        w.setU16(at, w.pos - begin);
      } else {
        writeMatch(w, u.match, 0);
        w.setU16(at, w.pos - begin);
        w.pad(begin);
      }
    }
    if (u.actions !== undefined) {
      // Nicira's form has bare actions, where 1.1 and 1.2 have no place for instructions.
      if (kind === "nxreply" && version > 1) encodeActions(u.actions, w, version);
      else encodeInstructions(u.actions, w, version);
    }
  }
  w.setU16(start, w.pos - start);
}

function reply(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<FlowMonitorReply>({
    name,
    type: "flow-monitor-reply",
    kind,
    number,
    first,
    last,
    min: 0,
    unit: 1,
    decode(r, version) {
      const updates: FlowUpdate[] = [];
      while (r.left > 0) updates.push(readUpdate(r, kind, version));
      return { type: "flow-monitor-reply", updates };
    },
    encode(m, w, version) {
      for (const u of m.updates) writeUpdate(w, u, kind, version);
    },
  });
}

export const MONITOR_ROWS: readonly MessageRow[] = [
  request("OFPST_FLOW_MONITOR request", "request", 16, 5, 6),
  request("NXST_FLOW_MONITOR request", "nxrequest", 2, 1, 3),
  request("ONFST_FLOW_MONITOR request", "onfrequest", 1870, 4, 4),
  reply("OFPST_FLOW_MONITOR reply", "reply", 16, 5, 6),
  reply("NXST_FLOW_MONITOR reply", "nxreply", 2, 1, 3),
  reply("ONFST_FLOW_MONITOR reply", "onfreply", 1870, 4, 4),
];
