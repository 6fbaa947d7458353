/** packet_in in all its forms, packet_out, and NXT_RESUME. Rows of the message registry; upstream: ofp-packet. */
import { W_IN_PORT } from "../../flow/layout.ts";
import { type Match, makeMatch, setMatchWord } from "../../flow/match.ts";
import { decodeActions, encodeActions } from "../actions/registry.ts";
import { OFPP_CONTROLLER, OFPP_LOCAL, OFPP_MAX, OFPP_NONE } from "../actions.ts";
import { OfpError } from "../errors.ts";
import { readOxmMatch } from "../fixed-match.ts";
import { writeLooseMatch } from "../loose-match.ts";
import { type NxtResume, OFP_NO_BUFFER, type PacketIn, type PacketOut, UNKNOWN64 } from "../messages.ts";
import { readMatch, writeMatch, writeOxmMatch } from "../oxm.ts";
import { portFromWire, portToWire } from "../ports.ts";
import type { Reader, Writer } from "../wire.ts";
import { properties, property } from "./port.ts";
import { type MessageRow, message, rows } from "./row.ts";

const NONE = new Uint8Array(0);

export function matchInPort(port: number): Match {
  const match = makeMatch();
  setMatchWord(match, W_IN_PORT, port, -1);
  return match;
}

function base(): PacketIn {
  return {
    type: "packet-in",
    reason: 0,
    table: 0,
    cookie: UNKNOWN64,
    match: makeMatch(),
    packet: NONE,
    totalLen: 0,
    bufferId: OFP_NO_BUFFER,
    userdata: NONE,
    continuation: undefined,
  };
}

const packetIn: MessageRow[] = rows<PacketIn>(
  {
    name: "OFPT_PACKET_IN",
    type: "packet-in",
    kind: "msg",
    decode(r, version, options) {
      const m = base();
      m.bufferId = r.u32();
      if (version === 1) {
        m.totalLen = r.u16();
        m.match = matchInPort(r.u16());
        m.reason = r.u8();
        r.skip(1);
      } else if (version === 2) {
        m.match = matchInPort(portFromWire(r.u32()));
        r.skip(4);
        m.totalLen = r.u16();
        m.reason = r.u8();
        m.table = r.u8();
      } else {
        m.totalLen = r.u16();
        m.reason = r.u8();
        m.table = r.u8();
        if (version >= 4) m.cookie = r.u64();
        m.match = readOxmMatch(r, { ...options, loose: true });
        r.need(2, "OFPBRC_BAD_LEN");
        r.skip(2);
      }
      m.packet = r.take(r.left);
      return m;
    },
    encode(m, w, version) {
      const port = m.match.flow[W_IN_PORT]!;
      w.u32(m.bufferId);
      const reason = reasonFor(m.reason, version);
      if (version === 1) {
        w.u16(m.totalLen);
        w.u16(port);
        w.u8(reason);
        w.u8(0);
      } else if (version === 2) {
        w.u32(portToWire(port));
        w.u32(portToWire(port));
        w.u16(m.totalLen);
        w.u8(reason);
        w.u8(m.table);
      } else {
        w.u16(m.totalLen);
        w.u8(reason);
        w.u8(m.table);
        if (version >= 4) w.u64(m.cookie);
        writeOxmMatch(w, m.match, version, writeLooseMatch);
        w.u16(0);
      }
      w.put(m.packet);
    },
  },
  [10, 1, 1, 10, 1],
  [10, 2, 2, 16, 1],
  [10, 3, 3, 16, 1],
  [10, 4, 6, 24, 1],
);

/** Reasons that a version lacks are sent as "action" (or "no match"). */
function reasonFor(reason: number, version: number): number {
  if (reason <= 1 || version >= 5) return reason;
  if (reason === 2) return version >= 3 || version === 1 ? 2 : 2;
  return 1;
}

const nxPacketIn = message<PacketIn>({
  name: "NXT_PACKET_IN",
  type: "packet-in",
  kind: "nx",
  number: 17,
  first: 1,
  last: 6,
  min: 24,
  unit: 1,
  decode(r) {
    const m = base();
    m.bufferId = r.u32();
    m.totalLen = r.u16();
    m.reason = r.u8();
    m.table = r.u8();
    m.cookie = r.u64();
    const length = r.u16();
    r.skip(6);
    const padded = (length + 7) & ~7;
    r.need(padded + 2, "OFPBRC_BAD_LEN");
    m.match = readMatch(r, length, { loose: true });
    r.skip(padded - length + 2);
    m.packet = r.take(r.left);
    return m;
  },
  encode(m, w) {
    w.u32(m.bufferId);
    w.u16(m.totalLen);
    w.u8(reasonFor(m.reason, 1));
    w.u8(m.table);
    w.u64(m.cookie);
    const at = w.pos;
    w.u16(0);
    w.zeros(6);
    const start = w.pos;
    writeLooseMatch(w, m.match, 0);
    w.setU16(at, w.pos - start);
    w.pad(start);
    w.u16(0);
    w.put(m.packet);
  },
});

const PIN_PACKET = 0;
const PIN_FULL_LEN = 1;
const PIN_BUFFER_ID = 2;
const PIN_TABLE_ID = 3;
const PIN_COOKIE = 4;
const PIN_REASON = 5;
const PIN_METADATA = 6;
const PIN_USERDATA = 7;
const PIN_CONTINUATION = 8;

function readPacketIn2(r: Reader, loose: boolean): PacketIn {
  const m = base();
  let full = 0;
  let hasPacket = false;
  for (const { type, data } of properties(r)) {
    if (type === PIN_PACKET) {
      m.packet = data.take(data.left);
      hasPacket = true;
    } else if (type === PIN_FULL_LEN) full = data.left >= 4 ? data.u32() : 0;
    else if (type === PIN_BUFFER_ID) {
      data.need(4, "OFPBPC_BAD_LEN");
      m.bufferId = data.u32();
    } else if (type === PIN_TABLE_ID) {
      data.need(1, "OFPBPC_BAD_LEN");
      m.table = data.u8();
    } else if (type === PIN_COOKIE) {
      if (data.left >= 12) data.skip(4);
      data.need(8, "OFPBPC_BAD_LEN");
      m.cookie = data.u64();
    } else if (type === PIN_REASON) {
      data.need(1, "OFPBPC_BAD_LEN");
      m.reason = data.u8();
    } else if (type === PIN_METADATA) {
      if (data.left >= 4 && data.u32At(data.pos) === 0 && data.left % 8 === 4) data.skip(0);
      m.match = readMatch(data, data.left, { loose });
    } else if (type === PIN_USERDATA) m.userdata = data.take(data.left);
    else if (type === PIN_CONTINUATION) m.continuation = data.take(data.left);
    else if (!loose) throw new OfpError("OFPBPC_BAD_TYPE");
  }
  if (!hasPacket) throw new OfpError("OFPBRC_BAD_LEN", "NXT_PACKET_IN2 lacks packet", "ofp_packet");
  if (full === 0) m.totalLen = m.packet.length;
  else {
    if (full < m.packet.length) {
      throw new OfpError("OFPBRC_BAD_LEN", "NXT_PACKET_IN2 claimed full_len < len", "ofp_packet");
    }
    m.totalLen = full;
  }
  return m;
}

function writePacketIn2(m: PacketIn, w: Writer, write = writeLooseMatch): void {
  property(w, PIN_PACKET, () => w.put(m.packet));
  if (m.packet.length < m.totalLen) property(w, PIN_FULL_LEN, () => w.u32(m.totalLen));
  if (m.bufferId !== OFP_NO_BUFFER) property(w, PIN_BUFFER_ID, () => w.u32(m.bufferId));
  property(w, PIN_TABLE_ID, () => w.u8(m.table));
  if (m.cookie !== UNKNOWN64) {
    property(w, PIN_COOKIE, () => {
      w.u32(0);
      w.u64(m.cookie);
    });
  }
  property(w, PIN_REASON, () => w.u8(m.reason));
  property(w, PIN_METADATA, () => write(w, m.match, 0));
  if (m.userdata.length > 0) property(w, PIN_USERDATA, () => w.put(m.userdata));
  if (m.continuation !== undefined) property(w, PIN_CONTINUATION, () => w.put(m.continuation!));
}

const nxPacketIn2 = message<PacketIn>({
  name: "NXT_PACKET_IN2",
  type: "packet-in",
  kind: "nx",
  number: 30,
  first: 1,
  last: 6,
  min: 0,
  unit: 1,
  decode: (r) => readPacketIn2(r, true),
  encode: (m, w) => writePacketIn2(m, w),
});

const nxResume = message<NxtResume>({
  name: "NXT_RESUME",
  type: "nxt-resume",
  kind: "nx",
  number: 28,
  first: 1,
  last: 6,
  min: 0,
  unit: 1,
  decode: (r) => ({ type: "nxt-resume", packetIn: readPacketIn2(r, false) }),
  encode: (m, w) => writePacketIn2(m.packetIn, w, writeMatch),
});

/** packet_out's in_port: a port, LOCAL, CONTROLLER or none. */
function checkInPort(port: number): void {
  if (port < OFPP_MAX || port === OFPP_LOCAL || port === OFPP_NONE || port === OFPP_CONTROLLER) return;
  throw new OfpError("OFPBRC_BAD_PORT", `packet-out has bad input port 0x${port.toString(16)}`, "ofp_packet");
}

const packetOut: MessageRow[] = rows<PacketOut>(
  {
    name: "OFPT_PACKET_OUT",
    type: "packet-out",
    kind: "msg",
    decode(r, version) {
      const bufferId = r.u32();
      let match: Match;
      let length: number;
      if (version === 1) {
        match = matchInPort(r.u16());
        length = r.u16();
      } else if (version < 6) {
        match = matchInPort(portFromWire(r.u32()));
        length = r.u16();
        r.skip(6);
      } else {
        length = r.u16();
        r.skip(2);
        match = readOxmMatch(r, { pipeline: true, loose: true });
        if (match.mask[W_IN_PORT] === 0) throw new OfpError("OFPBRC_BAD_PORT");
      }
      if (length > r.left || length % 8 !== 0) throw new OfpError("OFPBRC_BAD_LEN");
      const actions = decodeActions(r.sub(length), version);
      checkInPort(match.flow[W_IN_PORT]!);
      const packet = bufferId === OFP_NO_BUFFER ? r.take(r.left) : NONE;
      return { type: "packet-out", bufferId, match, actions, packet };
    },
    encode(m, w, version) {
      const port = m.match.flow[W_IN_PORT]!;
      w.u32(m.bufferId);
      let at: number;
      if (version === 1) {
        w.u16(port);
        at = w.pos;
        w.u16(0);
      } else if (version < 6) {
        w.u32(portToWire(port));
        at = w.pos;
        w.u16(0);
        w.zeros(6);
      } else {
        at = w.pos;
        w.u32(0);
        writeOxmMatch(w, m.match, version);
      }
      const start = w.pos;
      encodeActions(m.actions, w, version);
      w.setU16(at, w.pos - start);
      if (m.bufferId === OFP_NO_BUFFER) w.put(m.packet);
    },
  },
  [13, 1, 1, 8, 1],
  [13, 2, 5, 16, 1],
  [13, 6, 6, 16, 1],
);

export const PACKET_ROWS: readonly MessageRow[] = [
  ...packetIn,
  nxPacketIn,
  nxPacketIn2,
  nxResume,
  ...packetOut,
];
