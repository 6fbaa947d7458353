/** Flows: flow_mod, flow_removed, flow and aggregate statistics. Rows of the message registry; upstream: ofp-flow. */
import { W_NW } from "../../flow/layout.ts";
import { clearMatch, type Match, makeMatch } from "../../flow/match.ts";
import { normalizeMatch } from "../../flow/normalize.ts";
import { decodeActions, decodeInstructions, encodeInstructions } from "../actions/registry.ts";
import { decodeShared } from "../actions/shared.ts";
import { OFPG_ANY } from "../actions.ts";
import { OfpError } from "../errors.ts";
import { readMatch10, readOfp11Match, writeMatch10, writeOfp11Match } from "../fixed-match.ts";
import { logNormalization } from "../log.ts";
import {
  type AggregateReply,
  type FlowMod,
  type FlowRemoved,
  type FlowStats,
  type FlowStatsReply,
  type FlowStatsRequest,
  OFPFC_ADD,
  OFPFC_DELETE,
  OFPFC_MODIFY,
  OFPFC_MODIFY_STRICT,
  OFPUTIL_FF_RESET_COUNTS,
  UNKNOWN64,
  type Version,
} from "../messages.ts";
import { readMatch, writeMatch } from "../oxm.ts";
import { portFromWire, portToWire } from "../ports.ts";
import type { Reader, Writer } from "../wire.ts";
import { type DecodeOptions, type EncodeOptions, type MessageRow, message, rows } from "./row.ts";

function protocolOf(match: Match): number {
  return (match.mask[W_NW]! & 0xff) === 0xff ? match.flow[W_NW]! & 0xff : 6;
}

/** Before 1.2 what replaces a flow begins with counters of its own. */
function impliedFlags(command: number, version: number): number {
  return version < 3 && command === OFPFC_ADD ? OFPUTIL_FF_RESET_COUNTS : 0;
}

function flagsFromWire(flags: number, version: number): number {
  let out = flags & 3;
  if (version === 1 && flags & 4) out |= 4;
  if (version >= 3 && flags & 4) out |= 8;
  if (version >= 4) out |= (flags & 0x18) << 1;
  return out;
}

function flagsToWire(flags: number, version: number): number {
  let out = flags & 3;
  if (version === 1 && flags & 4) out |= 4;
  if (version >= 3 && flags & 8) out |= 4;
  if (version >= 4) out |= (flags & 0x30) >> 1;
  return out;
}

/** A flow without wildcards has the highest priority, whatever it says (OpenFlow 1.0 section 3.4). */
function isExact10(r: Reader): boolean {
  return (r.u32At(r.pos) & 0x3fffff) === 0;
}

const decodeFlowMod10 =
  (nx: boolean) =>
  (r: Reader, _version: Version, options: DecodeOptions): FlowMod => {
    const cookieMatch = { value: 0n, mask: 0n };
    let match: Match | undefined;
    const exact = !nx && isExact10(r);
    if (!nx)
      match = readMatch10(r, options.scratch === undefined ? makeMatch() : clearMatch(options.scratch));
    const newCookie = r.u64();
    let command = r.u16();
    const idleSec = r.u16();
    const hardSec = r.u16();
    const wirePriority = r.u16();
    const priority = exact ? 0xffff : wirePriority;
    const bufferId = r.u32();
    const outPort = r.u16();
    const wireFlags = r.u16();
    if (nx) {
      const length = r.u16();
      r.skip(6);
      match = readNxMatch(r, length, cookieMatch, options.scratch);
    }
    let table = 0xff;
    if (options.tableIds !== false) {
      table = command >> 8;
      command &= 0xff;
    }
    if (command > 4) throw new OfpError("OFPFMFC_BAD_COMMAND");
    const actions = decodeShared(r, 1, () => decodeActions(r, 1, 0, true));
    if (!nx) {
      const done = normalizeMatch(match!);
      if (done !== undefined) logNormalization(done);
    }
    if (nx && command === OFPFC_ADD && cookieMatch.mask !== 0n) throw new OfpError("NXBRC_NXM_INVALID");
    return {
      type: "flow-mod",
      command,
      match: match!,
      priority,
      cookie: cookieMatch.value,
      cookieMask: cookieMatch.mask,
      newCookie,
      modifyCookie: (command === OFPFC_MODIFY || command === OFPFC_MODIFY_STRICT) && newCookie !== UNKNOWN64,
      table,
      idleSec,
      hardSec,
      importance: 0,
      bufferId,
      outPort,
      outGroup: OFPG_ANY,
      flags: flagsFromWire(wireFlags, 1) | impliedFlags(command, 1),
      actions,
    };
  };

/** A Nicira match: `length` bytes of NXM padded to 8. */
function readNxMatch(
  r: Reader,
  length: number,
  cookie?: { value: bigint; mask: bigint },
  scratch?: Match,
): Match {
  const padded = (length + 7) & ~7;
  r.need(padded, "OFPBMC_BAD_LEN");
  const match = readMatch(r, length, cookie === undefined ? { scratch } : { cookie, scratch });
  r.skip(padded - length);
  return match;
}

function decodeFlowMod11(r: Reader, version: Version, options: DecodeOptions): FlowMod {
  const cookie = r.u64();
  const cookieMask = r.u64();
  const table = r.u8();
  const command = r.u8();
  const idleSec = r.u16();
  const hardSec = r.u16();
  const priority = r.u16();
  const bufferId = r.u32();
  const wirePort = r.u32();
  const outGroup = r.u32();
  const wireFlags = r.u16();
  const importance = r.u16();
  if (command > 4) throw new OfpError("OFPFMFC_BAD_COMMAND");
  const isDelete = command >= OFPFC_DELETE;
  const match = readOfp11Match(r, options);
  const actions = decodeShared(r, version, () => decodeInstructions(r, version));
  const known = version === 2 ? 3 : version === 3 ? 7 : 0x1f;
  if (wireFlags & ~known) throw new OfpError("OFPFMFC_BAD_FLAGS");
  return {
    type: "flow-mod",
    command,
    match,
    priority,
    cookie: command === OFPFC_ADD ? 0n : cookie,
    cookieMask: command === OFPFC_ADD ? 0n : cookieMask,
    newCookie: command === OFPFC_ADD || cookieMask === 0n ? cookie : UNKNOWN64,
    modifyCookie: false,
    table,
    idleSec,
    hardSec,
    importance: version >= 5 ? importance : 0,
    bufferId,
    outPort: isDelete ? portFromWire(wirePort) : 0xffff,
    outGroup: isDelete ? outGroup : OFPG_ANY,
    flags: flagsFromWire(wireFlags, version) | impliedFlags(command, version),
    actions,
  };
}

const encodeFlowMod10 =
  (nx: boolean) =>
  (m: FlowMod, w: Writer, _version: Version, options: EncodeOptions): void => {
    if (!nx) writeMatch10(w, m.match);
    w.u64(m.newCookie);
    w.u16((m.command & 0xff) | (options.tableIds === true ? m.table << 8 : 0));
    w.u16(m.idleSec);
    w.u16(m.hardSec);
    w.u16(m.priority);
    w.u32(m.bufferId);
    w.u16(m.outPort);
    w.u16(flagsToWire(m.flags, 1));
    if (nx) {
      const at = w.pos;
      w.u16(0);
      w.zeros(6);
      writeNxMatch(w, m.match, at, { value: m.cookie, mask: m.cookieMask });
    }
    encodeInstructions(m.actions, w, 1, protocolOf(m.match));
  };

/** Writes NXM, its length at `at`, and pads to 8. */
function writeNxMatch(w: Writer, match: Match, at: number, cookie?: { value: bigint; mask: bigint }): void {
  const start = w.pos;
  writeMatch(w, match, 0, cookie);
  w.setU16(at, w.pos - start);
  w.pad(start);
}

function encodeFlowMod11(m: FlowMod, w: Writer, version: Version): void {
  w.room(48);
  w.u64(m.command === OFPFC_ADD || m.cookieMask === 0n ? m.newCookie : m.cookie);
  w.u64(m.command === OFPFC_ADD ? 0n : m.cookieMask);
  // Only from 1.2 on can one delete from all tables at once.
  w.u8(m.table === 0xff && (m.command < OFPFC_DELETE || version === 2) ? 0 : m.table);
  w.u8(m.command);
  w.u16(m.idleSec);
  w.u16(m.hardSec);
  w.u16(m.priority);
  w.u32(m.bufferId);
  w.u32(portToWire(m.outPort));
  w.u32(m.outGroup);
  w.u16(flagsToWire(m.flags, version));
  w.u16(version >= 5 ? m.importance : 0);
  writeOfp11Match(w, m.match, version);
  encodeInstructions(m.actions, w, version, protocolOf(m.match));
}

const flowMod: MessageRow[] = [
  message<FlowMod>({
    name: "NXT_FLOW_MOD",
    type: "flow-mod",
    kind: "nx",
    number: 13,
    first: 1,
    last: 1,
    min: 32,
    unit: 8,
    decode: decodeFlowMod10(true),
    encode: encodeFlowMod10(true),
  }),
  message<FlowMod>({
    name: "OFPT_FLOW_MOD",
    type: "flow-mod",
    kind: "msg",
    number: 14,
    first: 1,
    last: 1,
    min: 64,
    unit: 8,
    decode: decodeFlowMod10(false),
    encode: encodeFlowMod10(false),
  }),
  message<FlowMod>({
    name: "OFPT_FLOW_MOD",
    type: "flow-mod",
    kind: "msg",
    number: 14,
    first: 2,
    last: 6,
    min: 48,
    unit: 8,
    decode: decodeFlowMod11,
    encode: encodeFlowMod11,
  }),
];

// Statistics of 1.5: OXS, class 0x8002.

const OXS_CLASS = 0x8002;
const OXS_DURATION = 0;
const OXS_IDLE_TIME = 1;
const OXS_FLOW_COUNT = 3;
const OXS_PACKET_COUNT = 4;
const OXS_BYTE_COUNT = 5;

interface OxsStats {
  duration: { sec: number; nsec: number };
  idleAge: number;
  flows: number;
  packets: bigint;
  bytes: bigint;
}

function readOxs(r: Reader): OxsStats {
  const out: OxsStats = {
    duration: { sec: 0, nsec: 0 },
    idleAge: -1,
    flows: 0,
    packets: UNKNOWN64,
    bytes: UNKNOWN64,
  };
  r.need(4, "OFPBRC_BAD_LEN");
  const start = r.pos;
  r.skip(2);
  const length = r.u16();
  const padded = (length + 7) & ~7;
  if (length < 4 || start + padded > r.end) throw new OfpError("OFPBRC_BAD_LEN");
  const body = r.sub(length - 4);
  r.skip(padded - length);
  while (body.left > 0) {
    body.need(4, "OFPBMC_BAD_LEN");
    const oxsClass = body.u16();
    const field = body.u8() >>> 1;
    const size = body.u8();
    body.need(size, "OFPBMC_BAD_LEN");
    const data = body.sub(size);
    if (oxsClass !== OXS_CLASS) continue;
    if (field === OXS_DURATION && size === 8) out.duration = { sec: data.u32(), nsec: data.u32() };
    else if (field === OXS_IDLE_TIME && size === 8) out.idleAge = data.u32();
    else if (field === OXS_FLOW_COUNT && size === 4) out.flows = data.u32();
    else if (field === OXS_PACKET_COUNT && size === 8) out.packets = data.u64();
    else if (field === OXS_BYTE_COUNT && size === 8) out.bytes = data.u64();
  }
  return out;
}

function writeOxs(w: Writer, body: () => void): void {
  const start = w.pos;
  w.u32(0);
  body();
  w.setU16(start + 2, w.pos - start);
  w.pad(start);
}

function oxs(w: Writer, field: number, size: number): void {
  w.u16(OXS_CLASS);
  w.u8(field << 1);
  w.u8(size);
}

// flow_removed

const flowRemoved: MessageRow[] = rows<FlowRemoved>(
  {
    name: "OFPT_FLOW_REMOVED",
    type: "flow-removed",
    kind: "msg",
    decode(r, version, options) {
      const exact = version === 1 && isExact10(r);
      if (version === 6) {
        const table = r.u8();
        const reason = r.u8();
        const priority = r.u16();
        const idleSec = r.u16();
        const hardSec = r.u16();
        const cookie = r.u64();
        const match = readOfp11Match(r, options);
        const stats = readOxs(r);
        return {
          type: "flow-removed",
          match,
          priority,
          cookie,
          reason,
          table,
          duration: stats.duration,
          idleSec,
          hardSec,
          packets: stats.packets,
          bytes: stats.bytes,
        };
      }
      const match10 = version === 1 ? readMatch10(r) : undefined;
      const cookie = r.u64();
      const priority = r.u16();
      const reason = r.u8();
      const wireTable = r.u8();
      const table = version === 1 ? 255 : wireTable;
      const duration = { sec: r.u32(), nsec: r.u32() };
      const idleSec = r.u16();
      const hardSec = r.u16();
      const packets = r.u64();
      const bytes = r.u64();
      return {
        type: "flow-removed",
        match: match10 ?? readOfp11Match(r, options),
        priority: exact ? 0xffff : priority,
        cookie,
        reason,
        table,
        duration,
        idleSec,
        hardSec: version >= 3 ? hardSec : 0,
        packets,
        bytes,
      };
    },
    encode(m, w, version) {
      const reason = m.reason === 4 && version < 5 ? 2 : m.reason === 5 && version < 5 ? 2 : m.reason;
      if (version === 6) {
        w.u8(m.table);
        w.u8(reason);
        w.u16(m.priority);
        w.u16(m.idleSec);
        w.u16(m.hardSec);
        w.u64(m.cookie);
        writeOfp11Match(w, m.match, version);
        writeOxs(w, () => {
          oxs(w, OXS_DURATION, 8);
          w.u32(m.duration.sec);
          w.u32(m.duration.nsec);
          oxs(w, OXS_PACKET_COUNT, 8);
          w.u64(m.packets);
          oxs(w, OXS_BYTE_COUNT, 8);
          w.u64(m.bytes);
        });
        return;
      }
      if (version === 1) writeMatch10(w, m.match);
      w.u64(m.cookie);
      w.u16(m.priority);
      w.u8(reason);
      w.u8(version === 1 ? 0 : m.table);
      w.u32(m.duration.sec);
      w.u32(m.duration.nsec);
      w.u16(m.idleSec);
      w.u16(version >= 3 ? m.hardSec : 0);
      w.u64(m.packets);
      w.u64(m.bytes);
      if (version > 1) writeOfp11Match(w, m.match, version);
    },
  },
  [11, 1, 1, 80, 0],
  [11, 2, 5, 48, 8],
  [11, 6, 6, 24, 8],
);

const nxFlowRemoved = message<FlowRemoved>({
  name: "NXT_FLOW_REMOVED",
  type: "flow-removed",
  kind: "nx",
  number: 14,
  first: 1,
  last: 1,
  min: 40,
  unit: 8,
  decode(r) {
    const cookie = r.u64();
    const priority = r.u16();
    const reason = r.u8();
    const tablePlus1 = r.u8();
    const duration = { sec: r.u32(), nsec: r.u32() };
    const idleSec = r.u16();
    const length = r.u16();
    const packets = r.u64();
    const bytes = r.u64();
    return {
      type: "flow-removed",
      match: readNxMatch(r, length),
      priority,
      cookie,
      reason,
      table: tablePlus1 === 0 ? 255 : tablePlus1 - 1,
      duration,
      idleSec,
      hardSec: 0,
      packets,
      bytes,
    };
  },
  encode(m, w) {
    w.u64(m.cookie);
    w.u16(m.priority);
    w.u8(Math.min(m.reason, 2));
    w.u8(m.table + 1);
    w.u32(m.duration.sec);
    w.u32(m.duration.nsec);
    w.u16(m.idleSec);
    const at = w.pos;
    w.u16(0);
    w.u64(m.packets);
    w.u64(m.bytes);
    writeNxMatch(w, m.match, at);
  },
});

// Requests of flow and aggregate statistics.

function statsRequest(
  type: FlowStatsRequest["type"],
  name: string,
  number: number,
  nxNumber: number,
): MessageRow[] {
  return [
    message<FlowStatsRequest>({
      name: `NXST_${name} request`,
      type,
      kind: "nxrequest",
      number: nxNumber,
      first: 1,
      last: 1,
      min: 8,
      unit: 8,
      decode(r) {
        const outPort = r.u16();
        const length = r.u16();
        const table = r.u8();
        r.skip(3);
        const cookie = { value: 0n, mask: 0n };
        const match = readNxMatch(r, length, cookie);
        return {
          type,
          match,
          cookie: cookie.value,
          cookieMask: cookie.mask,
          table,
          outPort,
          outGroup: OFPG_ANY,
        };
      },
      encode(m, w) {
        w.u16(m.outPort);
        const at = w.pos;
        w.u16(0);
        w.u8(m.table);
        w.zeros(3);
        writeNxMatch(w, m.match, at, { value: m.cookie, mask: m.cookieMask });
      },
    }),
    ...rows<FlowStatsRequest>(
      {
        name: `OFPST_${name} request`,
        type,
        kind: "request",
        decode(r, version, options) {
          if (version === 1) {
            const match = readMatch10(r);
            const table = r.u8();
            r.skip(1);
            return { type, match, cookie: 0n, cookieMask: 0n, table, outPort: r.u16(), outGroup: OFPG_ANY };
          }
          const table = r.u8();
          r.skip(3);
          const outPort = portFromWire(r.u32());
          const outGroup = r.u32();
          r.skip(4);
          const cookie = r.u64();
          const cookieMask = r.u64();
          return { type, match: readOfp11Match(r, options), cookie, cookieMask, table, outPort, outGroup };
        },
        encode(m, w, version) {
          if (version === 1) {
            writeMatch10(w, m.match);
            w.u8(m.table);
            w.u8(0);
            w.u16(m.outPort);
            return;
          }
          w.u8(m.table);
          w.zeros(3);
          w.u32(portToWire(m.outPort));
          w.u32(m.outGroup);
          w.u32(0);
          w.u64(m.cookie);
          w.u64(m.cookieMask);
          writeOfp11Match(w, m.match, version);
        },
      },
      [number, 1, 1, 44, 0],
      [number, 2, 6, 40, 8],
    ),
  ];
}

// Flow statistics.

function readFlowStats(r: Reader, version: Version, nx: boolean, options: DecodeOptions): FlowStats {
  const least = nx ? 48 : version === 1 ? 88 : version === 6 ? 24 : 56;
  if (r.left < least) {
    throw new OfpError(
      "OFPBRC_BAD_LEN",
      `${nx ? "NXST" : "OFPST"}_FLOW reply has ${r.left} leftover bytes at end`,
      "ofp_flow",
    );
  }
  const length = r.u16();
  if (length < least || r.left + 2 < length) {
    throw new OfpError("OFPBRC_BAD_LEN", `OFPST_FLOW reply claims invalid length ${length}`, "ofp_flow");
  }
  const body = r.sub(length - 2);
  if (version === 6) return readFlowDesc15(body, options);
  const table = body.u8();
  body.skip(1);
  const exact = version === 1 && !nx && isExact10(body);
  const match10 = version === 1 && !nx ? readMatch10(body) : undefined;
  const duration = { sec: body.u32(), nsec: body.u32() };
  const wirePriority = body.u16();
  const priority = exact ? 0xffff : wirePriority;
  const idleSec = body.u16();
  const hardSec = body.u16();
  let flags = 0;
  let importance = 0;
  let idleAge = -1;
  let hardAge = -1;
  let matchLength = 0;
  if (nx) {
    matchLength = body.u16();
    idleAge = body.u16() - 1;
    hardAge = body.u16() - 1;
  } else if (version === 1) body.skip(6);
  else {
    const wire = body.u16();
    const imp = body.u16();
    if (version >= 4) flags = flagsFromWire(wire, version);
    if (version >= 5) importance = imp;
    body.skip(2);
  }
  const cookie = body.u64();
  const packets = body.u64();
  const bytes = body.u64();
  const match = match10 ?? (nx ? readNxMatch(body, matchLength) : readOfp11Match(body, options));
  const actions = version === 1 ? decodeActions(body, 1, 0, true) : decodeInstructions(body, version);
  return {
    match,
    cookie,
    table,
    priority,
    idleSec,
    hardSec,
    duration,
    idleAge,
    hardAge,
    packets,
    bytes,
    importance,
    flags,
    actions,
  };
}

function readFlowDesc15(body: Reader, options: DecodeOptions): FlowStats {
  body.skip(2);
  const table = body.u8();
  body.skip(1);
  const priority = body.u16();
  const idleSec = body.u16();
  const hardSec = body.u16();
  const flags = flagsFromWire(body.u16(), 6);
  const importance = body.u16();
  const cookie = body.u64();
  const match = readOfp11Match(body, options);
  const s = readOxs(body);
  return {
    match,
    cookie,
    table,
    priority,
    idleSec,
    hardSec,
    duration: s.duration,
    idleAge: s.idleAge,
    hardAge: -1,
    packets: s.packets,
    bytes: s.bytes,
    importance,
    flags,
    actions: decodeInstructions(body, 6),
  };
}

/** Appends one entry of a flow statistics reply. */
export function writeFlowStats(w: Writer, s: FlowStats, version: Version, nx: boolean): void {
  const start = w.pos;
  w.room(64);
  w.u16(0);
  if (version === 6) {
    w.u16(0);
    w.u8(s.table);
    w.u8(0);
    w.u16(s.priority);
    w.u16(s.idleSec);
    w.u16(s.hardSec);
    w.u16(flagsToWire(s.flags, 6));
    w.u16(s.importance);
    w.u64(s.cookie);
    writeOfp11Match(w, s.match, 6);
    writeOxs(w, () => {
      oxs(w, OXS_DURATION, 8);
      w.u32(s.duration.sec);
      w.u32(s.duration.nsec);
      if (s.idleAge >= 0) {
        oxs(w, OXS_IDLE_TIME, 8);
        w.u32(s.idleAge);
        w.u32(0);
      }
      oxs(w, OXS_PACKET_COUNT, 8);
      w.u64(s.packets);
      oxs(w, OXS_BYTE_COUNT, 8);
      w.u64(s.bytes);
    });
    encodeInstructions(s.actions, w, 6, protocolOf(s.match));
    w.setU16(start, w.pos - start);
    return;
  }
  w.u8(s.table);
  w.u8(0);
  if (version === 1 && !nx) writeMatch10(w, s.match);
  w.u32(s.duration.sec);
  w.u32(s.duration.nsec);
  w.u16(s.priority);
  w.u16(s.idleSec);
  w.u16(s.hardSec);
  const at = w.pos;
  if (nx) {
    w.u16(0);
    w.u16(Math.min(s.idleAge + 1, 0xffff));
    w.u16(Math.min(s.hardAge + 1, 0xffff));
  } else if (version === 1) w.zeros(6);
  else {
    w.u16(version >= 4 ? flagsToWire(s.flags, version) : 0);
    w.u16(version >= 5 ? s.importance : 0);
    w.u16(0);
  }
  w.u64(s.cookie);
  w.u64(s.packets);
  w.u64(s.bytes);
  if (nx) writeNxMatch(w, s.match, at);
  else if (version > 1) writeOfp11Match(w, s.match, version);
  encodeInstructions(s.actions, w, version, protocolOf(s.match));
  w.setU16(start, w.pos - start);
}

function flowReply(
  name: string,
  kind: "reply" | "nxreply",
  number: number,
  first: number,
  last: number,
): MessageRow {
  const nx = kind === "nxreply";
  return message<FlowStatsReply>({
    name,
    type: "flow-reply",
    kind,
    number,
    first,
    last,
    min: 0,
    unit: 1,
    decode(r, version, options) {
      const flows: FlowStats[] = [];
      while (r.left > 0) flows.push(readFlowStats(r, version, nx, options));
      return { type: "flow-reply", flows };
    },
    encode(m, w, version) {
      for (const s of m.flows) writeFlowStats(w, s, version, nx);
    },
  });
}

const aggregateReply: MessageRow[] = [
  message<AggregateReply>({
    name: "NXST_AGGREGATE reply",
    type: "aggregate-reply",
    kind: "nxreply",
    number: 1,
    first: 1,
    last: 1,
    min: 24,
    unit: 0,
    decode: readAggregate,
    encode: writeAggregate,
  }),
  ...rows<AggregateReply>(
    {
      name: "OFPST_AGGREGATE reply",
      type: "aggregate-reply",
      kind: "reply",
      decode(r, version) {
        if (version < 6) return readAggregate(r);
        const s = readOxs(r);
        return { type: "aggregate-reply", packets: s.packets, bytes: s.bytes, flows: s.flows };
      },
      encode(m, w, version) {
        if (version < 6) {
          writeAggregate(m, w);
          return;
        }
        writeOxs(w, () => {
          oxs(w, OXS_FLOW_COUNT, 4);
          w.u32(m.flows);
          oxs(w, OXS_PACKET_COUNT, 8);
          w.u64(m.packets);
          oxs(w, OXS_BYTE_COUNT, 8);
          w.u64(m.bytes);
        });
      },
    },
    [2, 1, 5, 24, 0],
    [2, 6, 6, 4, 1],
  ),
];

function readAggregate(r: Reader): AggregateReply {
  const packets = r.u64();
  const bytes = r.u64();
  return { type: "aggregate-reply", packets, bytes, flows: r.u32() };
}

function writeAggregate(m: AggregateReply, w: Writer): void {
  w.u64(m.packets);
  w.u64(m.bytes);
  w.u32(m.flows);
  w.u32(0);
}

export const FLOW_ROWS: readonly MessageRow[] = [
  ...flowMod,
  nxFlowRemoved,
  ...flowRemoved,
  ...statsRequest("flow-request", "FLOW", 1, 0),
  ...statsRequest("aggregate-request", "AGGREGATE", 2, 1),
  flowReply("NXST_FLOW reply", "nxreply", 0, 1, 1),
  flowReply("OFPST_FLOW reply", "reply", 1, 1, 6),
  ...aggregateReply,
];
