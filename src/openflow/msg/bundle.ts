/** Bundles (1.4, and ONF's extension for 1.3) and forwarded requests. Rows of the message registry. */
import { OfpError } from "../errors.ts";
import type { BundleAdd, BundleCtrl, Message, RequestForward, Version } from "../messages.ts";
import { type Kind, type MessageRow, message } from "./row.ts";

function control(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<BundleCtrl>({
    name,
    type: "bundle-control",
    kind,
    number,
    first,
    last,
    min: 8,
    unit: 1,
    decode(r) {
      const bundleId = r.u32();
      const ctrl = r.u16();
      const flags = r.u16();
      if (flags & ~3) throw new OfpError("OFPBFC_BAD_FLAGS");
      return { type: "bundle-control", bundleId, ctrl, flags };
    },
    encode(m, w) {
      w.u32(m.bundleId);
      w.u16(m.ctrl);
      w.u16(m.flags);
    },
  });
}

/** Types that a bundle may hold: flow_mod, port_mod, group_mod, packet_out (message numbers of 1.3 and later). */
const BUNDLEABLE = new Set([13, 14, 15, 16]);

function add(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<BundleAdd>({
    name,
    type: "bundle-add-message",
    kind,
    number,
    first,
    last,
    min: 16,
    unit: 1,
    decode(r, version) {
      const outerXid = r.u32At(4);
      const bundleId = r.u32();
      r.skip(2);
      const flags = r.u16();
      const at = r.pos;
      const length = r.u16At(at + 2);
      if (length < 8 || length > r.left) throw new OfpError("OFPBFC_MSG_BAD_LEN");
      if (r.bytes[at] !== version)
        throw new OfpError("OFPBFC_MSG_BAD_VERSION".replace("BAD_VERSION", "UNSUP"));
      const type = r.bytes[at + 1]!;
      if (r.u32At(at + 4) !== outerXid) throw new OfpError("OFPBFC_MSG_BAD_XID");
      if (!BUNDLEABLE.has(type)) {
        throw new OfpError(
          "OFPBFC_MSG_UNSUP",
          `${NAMES[type] ?? `type ${type}`} message not allowed inside OFPT14_BUNDLE_ADD_MESSAGE`,
          "ofp_bundle",
        );
      }
      if (flags & ~3) throw new OfpError("OFPBFC_BAD_FLAGS");
      return { type: "bundle-add-message", bundleId, flags, message: r.take(length) };
    },
    encode(m, w) {
      w.u32(m.bundleId);
      w.u16(0);
      w.u16(m.flags);
      w.put(m.message);
    },
  });
}

/** Decodes and encodes the request inside; the codec sets it, as it knows all messages. */
let inner:
  | {
      decode(bytes: Uint8Array): Message | OfpError;
      encode(m: Message, version: Version, xid: number): Uint8Array;
    }
  | undefined;
export function setInnerCodec(codec: NonNullable<typeof inner>): void {
  inner = codec;
}

function forward(name: string, kind: Kind, number: number, first: number, last: number): MessageRow {
  return message<RequestForward>({
    name,
    type: "requestforward",
    kind,
    number,
    first,
    last,
    min: 8,
    unit: 1,
    decode(r) {
      const length = r.u16At(r.pos + 2);
      if (length < 8 || length > r.left) throw new OfpError("OFPBFC_MSG_BAD_LEN");
      const requestXid = r.u32At(r.pos + 4);
      const request = inner!.decode(r.take(length));
      if (request instanceof OfpError) throw request;
      if (request.type !== "group-mod" && request.type !== "meter-mod")
        throw new OfpError("OFPBFC_MSG_UNSUP");
      return { type: "requestforward", reason: request.type === "group-mod" ? 0 : 1, request, requestXid };
    },
    encode(m, w, version) {
      w.put(inner!.encode(m.request, version, m.requestXid));
    },
  });
}

const NAMES: Readonly<Record<number, string>> = {
  0: "OFPT_HELLO",
  1: "OFPT_ERROR",
  2: "OFPT_ECHO_REQUEST",
  3: "OFPT_ECHO_REPLY",
  5: "OFPT_FEATURES_REQUEST",
  6: "OFPT_FEATURES_REPLY",
  7: "OFPT_GET_CONFIG_REQUEST",
  8: "OFPT_GET_CONFIG_REPLY",
  9: "OFPT_SET_CONFIG",
  10: "OFPT_PACKET_IN",
  11: "OFPT_FLOW_REMOVED",
  12: "OFPT_PORT_STATUS",
  17: "OFPT_TABLE_MOD",
  20: "OFPT_BARRIER_REQUEST",
  21: "OFPT_BARRIER_REPLY",
  24: "OFPT_ROLE_REQUEST",
  25: "OFPT_ROLE_REPLY",
  29: "OFPT_METER_MOD",
};

export const BUNDLE_ROWS: readonly MessageRow[] = [
  forward("OFPT_REQUESTFORWARD", "msg", 32, 5, 6),
  forward("ONFT_REQUESTFORWARD", "onf", 2350, 4, 4),
  forward("NXT_REQUESTFORWARD", "nx", 132, 1, 3),
  control("OFPT_BUNDLE_CONTROL", "msg", 33, 5, 6),
  control("ONFT_BUNDLE_CONTROL", "onf", 2300, 4, 4),
  add("OFPT_BUNDLE_ADD_MESSAGE", "msg", 34, 5, 6),
  add("ONFT_BUNDLE_ADD_MESSAGE", "onf", 2301, 4, 4),
];
