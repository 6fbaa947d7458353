import { decodeActions, encodeActions } from "../actions/registry.ts";
import { OFPG_ANY } from "../actions.ts";
import { OfpError } from "../errors.ts";
import type {
  Bucket,
  GroupDesc,
  GroupDescReply,
  GroupFeaturesReply,
  GroupMod,
  GroupProps,
  GroupReply,
  GroupRequest,
  GroupStats,
  Message,
} from "../messages.ts";
import { fieldHeader, readHeader, writeHeader } from "../oxm.ts";
import { portFromWire, portToWire } from "../ports.ts";
import type { Reader, Writer } from "../wire.ts";
import { properties, property } from "./port.ts";
import { empty, type Kind, type MessageRow, message } from "./row.ts";

const NTR_VENDOR = 0x0000154d;
/** Netronome's number as Open vSwitch 2.4 had it; still taken. */
const NTR_VENDOR_OLD = 0x00001540;

export function noGroupProps(): GroupProps {
  return { selectionMethod: "", selectionMethodParam: 0n, fields: [] };
}

/** 1.5's forms serve 1.0's Nicira messages too. */
function modern(version: number): boolean {
  return version === 6 || version === 1;
}

function readBucket(r: Reader, version: number): Bucket {
  const least = modern(version) ? 8 : 16;
  r.need(least, "OFPGMFC_BAD_BUCKET");
  const start = r.pos;
  const length = r.u16();
  if (length < least || length % 8 !== 0 || start + length > r.end) throw new OfpError("OFPGMFC_BAD_BUCKET");
  if (!modern(version)) {
    const weight = r.u16();
    const watchPort = portFromWire(r.u32(), "OFPGMFC_BAD_WATCH");
    const watchGroup = r.u32();
    r.skip(4);
    const actions = decodeActions(r.sub(length - 16), version);
    return { bucketId: 0xffffff00, weight, watchPort, watchGroup, actions };
  }
  const actionsLength = r.u16();
  const bucketId = r.u32();
  if (actionsLength > length - 8) throw new OfpError("OFPGMFC_BAD_BUCKET");
  const actions = decodeActions(r.sub(actionsLength), version);
  const b: Bucket = { bucketId, weight: 0, watchPort: 0xffff, watchGroup: OFPG_ANY, actions };
  let weight: number | undefined;
  for (const { type, data } of properties(r.sub(start + length - r.pos))) {
    if (type === 0) {
      data.need(2, "OFPBPC_BAD_LEN");
      weight = data.u16();
    } else if (type === 1) {
      data.need(4, "OFPBPC_BAD_LEN");
      b.watchPort = portFromWire(data.u32(), "OFPGMFC_BAD_WATCH");
    } else if (type === 2) {
      data.need(4, "OFPBPC_BAD_LEN");
      b.watchGroup = data.u32();
    }
  }
  b.weight = weight ?? -1;
  return b;
}

function writeBucket(w: Writer, b: Bucket, version: number, groupType: number): void {
  const start = w.pos;
  w.u16(0);
  if (!modern(version)) {
    w.u16(groupType === 1 ? b.weight : Math.max(b.weight, 0));
    w.u32(portToWire(b.watchPort));
    w.u32(b.watchGroup);
    w.u32(0);
    encodeActions(b.actions, w, version);
    w.setU16(start, w.pos - start);
    return;
  }
  const at = w.pos;
  w.u16(0);
  w.u32(b.bucketId);
  const begin = w.pos;
  encodeActions(b.actions, w, version);
  w.setU16(at, w.pos - begin);
  if (groupType === 1 || b.weight > 0) {
    property(w, 0, () => {
      w.u16(b.weight);
      w.u16(0);
    });
  }
  if (b.watchPort !== 0xffff) property(w, 1, () => w.u32(portToWire(b.watchPort)));
  if (b.watchGroup !== OFPG_ANY) property(w, 2, () => w.u32(b.watchGroup));
  w.setU16(start, w.pos - start);
}

function readBuckets(r: Reader, version: number, groupType: number): Bucket[] {
  const buckets: Bucket[] = [];
  while (r.left > 0) {
    const b = readBucket(r, version);
    if (b.weight < 0) b.weight = groupType === 1 ? 1 : 0;
    if (b.bucketId === 0xffffff00 && !modern(version)) b.bucketId = buckets.length;
    buckets.push(b);
  }
  return buckets;
}

function readProps(r: Reader): GroupProps {
  const props = noGroupProps();
  for (const { type, data } of properties(r)) {
    if (type !== 0xffff) throw new OfpError("OFPBPC_BAD_TYPE");
    data.need(8, "OFPBPC_BAD_LEN");
    const experimenter = data.u32();
    const expType = data.u32();
    if (experimenter !== NTR_VENDOR && experimenter !== NTR_VENDOR_OLD)
      throw new OfpError("OFPBPC_BAD_EXPERIMENTER");
    if (expType !== 1) throw new OfpError("OFPBPC_BAD_EXP_TYPE");
    data.need(28, "OFPBPC_BAD_LEN");
    data.skip(4);
    props.selectionMethod = data.text(16);
    props.selectionMethodParam = data.u64();
    while (data.left >= 4) {
      const h = readHeader(data, "OFPBPC_BAD_LEN");
      if (h.field === undefined) throw new OfpError("OFPBMC_BAD_FIELD");
      data.need(h.payload, "OFPBPC_BAD_LEN");
      const bytes = h.masked ? h.payload / 2 : h.payload;
      if (bytes !== h.field.bytes && !(h.field.isTunMetadata && Number.isInteger(bytes))) {
        throw new OfpError("OFPBMC_BAD_LEN");
      }
      const value = data.big(bytes);
      if (h.masked) data.skip(bytes);
      props.fields.push({ field: h.field, value });
    }
  }
  // Without a method the rest means nothing.
  return props.selectionMethod === "" ? noGroupProps() : props;
}

function writeProps(w: Writer, props: GroupProps, version: number): void {
  if (props.selectionMethod === "") return;
  property(w, 0xffff, () => {
    w.u32(NTR_VENDOR);
    w.u32(1);
    w.u32(0);
    w.text(props.selectionMethod, 16);
    w.u64(props.selectionMethodParam);
    for (const { field, value } of props.fields) {
      // The value is a mask, no port number.
      const header = fieldHeader(field, version === 1 ? 0 : version);
      if (header === undefined) continue;
      writeHeader(w, header, field.bytes, false);
      w.big(value, field.bytes);
    }
  });
}

function groupMod(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<GroupMod>({
    name,
    type: "group-mod",
    kind,
    number,
    first,
    last,
    min: first === 6 || first === 1 ? 16 : 8,
    unit: 8,
    decode(r, version) {
      const command = r.u16();
      const groupType = r.u8();
      r.skip(1);
      const groupId = r.u32();
      const m: GroupMod = {
        type: "group-mod",
        command,
        groupType,
        groupId,
        commandBucketId: 0xffffffff,
        buckets: [],
        props: noGroupProps(),
      };
      if (modern(version)) {
        const length = r.u16();
        r.skip(2);
        m.commandBucketId = r.u32();
        if (length > r.left) throw new OfpError("OFPGMFC_BAD_BUCKET");
        m.buckets = readBuckets(r.sub(length), version, groupType);
        m.props = readProps(r);
      } else {
        m.buckets = readBuckets(r, version, groupType);
      }
      checkGroupMod(m);
      return m;
    },
    encode(m, w, version) {
      w.u16(m.command);
      w.u8(m.groupType);
      w.u8(0);
      w.u32(m.groupId);
      if (!modern(version)) {
        for (const b of m.buckets) writeBucket(w, b, version, m.groupType);
        return;
      }
      const at = w.pos;
      w.u16(0);
      w.u16(0);
      w.u32(m.commandBucketId);
      const start = w.pos;
      for (const b of m.buckets) writeBucket(w, b, version, m.groupType);
      w.setU16(at, w.pos - start);
      writeProps(w, m.props, version);
    },
  });
}

/** What may be checked without a switch: command, type, bucket ids and counts. */
function checkGroupMod(m: GroupMod): void {
  const known = [0, 1, 2, 3, 5, 0x8000];
  if (!known.includes(m.command)) throw new OfpError("OFPGMFC_BAD_COMMAND");
  if (m.groupType > 3) throw new OfpError("OFPGMFC_BAD_TYPE");
  if (m.groupType === 2 && m.command !== 2 && m.command !== 5 && m.command !== 3 && m.buckets.length !== 1) {
    throw new OfpError("OFPGMFC_INVALID_GROUP");
  }
  if (m.groupType === 3) {
    for (const b of m.buckets) {
      if (b.watchPort === 0xffff && b.watchGroup === OFPG_ANY) {
        throw new OfpError("OFPGMFC_INVALID_GROUP");
      }
    }
  }
  const seen = new Set<number>();
  for (const b of m.buckets) {
    if (seen.has(b.bucketId)) throw new OfpError("OFPGMFC_BAD_BUCKET", "Duplicate bucket id", "ofp_group");
    seen.add(b.bucketId);
  }
}

function request(
  name: string,
  type: GroupRequest["type"],
  kind: Kind,
  number: number,
  first: number,
  last: number,
): MessageRow {
  return message<GroupRequest>({
    name,
    type,
    kind,
    number,
    first,
    last,
    min: 8,
    unit: 0,
    decode: (r) => ({ type, groupId: r.u32() }),
    encode(m, w) {
      w.u32(m.groupId);
      w.u32(0);
    },
  });
}

/** Descriptions before 1.5 are asked for all groups at once. */
function descRequest(): MessageRow {
  return message<GroupRequest>({
    name: "OFPST_GROUP_DESC request",
    type: "group-desc-request",
    kind: "request",
    number: 7,
    first: 2,
    last: 5,
    min: 0,
    unit: 0,
    decode: () => ({ type: "group-desc-request", groupId: 0xfffffffc }),
    encode() {},
  });
}

function statsReply(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<GroupReply>({
    name,
    type: "group-reply",
    kind,
    number,
    first,
    last,
    min: 0,
    unit: 1,
    decode(r, version) {
      const groups: GroupStats[] = [];
      const timed = version >= 4 || version === 1;
      while (r.left > 0) {
        r.need(timed ? 40 : 32, "OFPBRC_BAD_LEN");
        const length = r.u16();
        if (length < (timed ? 40 : 32) || r.left + 2 < length) throw new OfpError("OFPBRC_BAD_LEN");
        const body = r.sub(length - 2);
        body.skip(2);
        const groupId = body.u32();
        const refCount = body.u32();
        body.skip(4);
        const packets = body.u64();
        const bytes = body.u64();
        const duration = timed ? { sec: body.u32(), nsec: body.u32() } : undefined;
        const buckets: GroupStats["buckets"] = [];
        while (body.left >= 16) buckets.push({ packets: body.u64(), bytes: body.u64() });
        groups.push({ groupId, refCount, packets, bytes, duration, buckets });
      }
      return { type: "group-reply", groups };
    },
    encode(m, w, version) {
      for (const g of m.groups) {
        const start = w.pos;
        w.u32(0);
        w.u32(g.groupId);
        w.u32(g.refCount);
        w.u32(0);
        w.u64(g.packets);
        w.u64(g.bytes);
        if (version >= 4 || version === 1) {
          w.u32(g.duration?.sec ?? 0);
          w.u32(g.duration?.nsec ?? 0);
        }
        for (const b of g.buckets) {
          w.u64(b.packets);
          w.u64(b.bytes);
        }
        w.setU16(start, w.pos - start);
      }
    },
  });
}

function descReply(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<GroupDescReply>({
    name,
    type: "group-desc-reply",
    kind,
    number,
    first,
    last,
    min: 0,
    unit: 1,
    decode(r, version) {
      const groups: GroupDesc[] = [];
      while (r.left > 0) {
        const least = modern(version) ? 16 : 8;
        r.need(least, "OFPBRC_BAD_LEN");
        const length = r.u16();
        if (length < least || r.left + 2 < length) throw new OfpError("OFPBRC_BAD_LEN");
        const body = r.sub(length - 2);
        const groupType = body.u8();
        body.skip(1);
        const groupId = body.u32();
        let props = noGroupProps();
        let buckets: Bucket[];
        if (modern(version)) {
          const size = body.u16();
          body.skip(6);
          if (size > body.left) throw new OfpError("OFPBRC_BAD_LEN");
          buckets = readBuckets(body.sub(size), version, groupType);
          props = readProps(body);
        } else buckets = readBuckets(body, version, groupType);
        groups.push({ groupId, groupType, buckets, props });
      }
      return { type: "group-desc-reply", groups };
    },
    encode(m, w, version) {
      for (const g of m.groups) {
        const start = w.pos;
        w.u16(0);
        w.u8(g.groupType);
        w.u8(0);
        w.u32(g.groupId);
        let at = 0;
        if (modern(version)) {
          at = w.pos;
          w.u16(0);
          w.zeros(6);
        }
        const begin = w.pos;
        for (const b of g.buckets) writeBucket(w, b, version, g.groupType);
        if (modern(version)) {
          w.setU16(at, w.pos - begin);
          writeProps(w, g.props, version);
        }
        w.setU16(start, w.pos - start);
      }
    },
  });
}

function featuresReply(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<GroupFeaturesReply>({
    name,
    type: "group-features-reply",
    kind,
    number,
    first,
    last,
    min: 40,
    unit: 0,
    decode: (r) => ({
      type: "group-features-reply",
      types: r.u32(),
      capabilities: r.u32(),
      maxGroups: [r.u32(), r.u32(), r.u32(), r.u32()],
      actions: [r.u32(), r.u32(), r.u32(), r.u32()],
    }),
    encode(m, w) {
      w.u32(m.types);
      w.u32(m.capabilities);
      for (const n of m.maxGroups) w.u32(n);
      for (const n of m.actions) w.u32(n);
    },
  });
}

const featuresRequest: Message["type"] = "group-features-request";

export const GROUP_ROWS: readonly MessageRow[] = [
  groupMod("OFPT_GROUP_MOD", "msg", 15, 2, 5),
  groupMod("OFPT_GROUP_MOD", "msg", 15, 6, 6),
  groupMod("NXT_GROUP_MOD", "nx", 31, 1, 1),
  request("OFPST_GROUP request", "group-request", "request", 6, 2, 6),
  request("NXST_GROUP request", "group-request", "nxrequest", 7, 1, 1),
  descRequest(),
  request("OFPST_GROUP_DESC request", "group-desc-request", "request", 7, 6, 6),
  request("NXST_GROUP_DESC request", "group-desc-request", "nxrequest", 8, 1, 1),
  statsReply("OFPST_GROUP reply", "reply", 6, 2, 6),
  statsReply("NXST_GROUP reply", "nxreply", 7, 1, 1),
  descReply("OFPST_GROUP_DESC reply", "reply", 7, 2, 6),
  descReply("NXST_GROUP_DESC reply", "nxreply", 8, 1, 1),
  ...empty("OFPST_GROUP_FEATURES request", featuresRequest, "request", [8, 3, 6]),
  ...empty("NXST_GROUP_FEATURES request", featuresRequest, "nxrequest", [9, 1, 2]),
  featuresReply("OFPST_GROUP_FEATURES reply", "reply", 8, 3, 6),
  featuresReply("NXST_GROUP_FEATURES reply", "nxreply", 9, 1, 2),
];
