/** Messages of every session: hello, error, echo, features, config, barrier, role. Rows of the message registry. */

import { vlog } from "../../lib/vlog.ts";
import { errorByNumbers, errorNumbers, NX_VENDOR, OfpError } from "../errors.ts";
import { logDecode } from "../log.ts";
import {
  type Echo,
  type FeaturesReply,
  type Hello,
  type OfpErrorMessage,
  type RoleMessage,
  type RoleStatus,
  type SwitchConfig,
  UNKNOWN64,
} from "../messages.ts";
import type { Reader, Writer } from "../wire.ts";
import { readPort10, readPort11, writePort10, writePort11 } from "./port.ts";
import { empty, type MessageRow, message, rows } from "./row.ts";

const helloShape: MessageRow<Hello> = {
  name: "OFPT_HELLO",
  type: "hello",
  kind: "msg",
  number: 0,
  first: 1,
  last: 255,
  min: 0,
  unit: 1,
  decode(r, version) {
    let versions = 0;
    let understood = true;
    while (r.left > 0) {
      const start = r.pos;
      if (r.left < 4) {
        understood = false;
        break;
      }
      const type = r.u16();
      const length = r.u16();
      if (length < 4 || length > r.end - start) {
        understood = false;
        break;
      }
      if (type === 1) {
        if (length < 8 || length % 4 !== 0) understood = false;
        else {
          let map = r.u32();
          if (map & 1) {
            logDecode("ofp_util", "warn", "peer claims to support invalid OpenFlow version 0x00");
            map = (map & ~1) >>> 0;
          }
          if (map === 0) {
            logDecode(
              "ofp_util",
              "warn",
              "peer does not support any OpenFlow version (between 0x01 and 0x1f)",
            );
            understood = false;
          } else versions |= map;
        }
      } else understood = false;
      const next = start + ((length + 7) & ~7);
      r.pos = Math.min(next, r.end);
    }
    if (versions === 0) versions = upTo(version);
    return { type: "hello", versions, understood };
  },
  encode(m, w, version) {
    if ((m.versions | 0) === upTo(version)) return;
    w.u16(1);
    w.u16(8);
    w.u32(m.versions >>> 0);
  },
};

/** Bits 1 … version. */
export function upTo(version: number): number {
  return version >= 31 ? 0xfffffffe | 0 : (2 << version) - 2;
}

const errorRow: MessageRow<OfpErrorMessage> = {
  name: "OFPT_ERROR",
  type: "error",
  kind: "msg",
  number: 1,
  first: 1,
  last: 6,
  min: 4,
  unit: 1,
  decode(r, version) {
    let errType = r.u16();
    let errCode = r.u16();
    let vendor = 0;
    if (errType === 0xb0c2 && errCode === 0 && r.left >= 8) {
      vendor = r.u32();
      errType = r.u16();
      errCode = r.u16();
    } else if (errType === 0xffff && version >= 3 && r.left >= 4) {
      vendor = r.u32();
      errType = errCode;
      errCode = 0;
    }
    const error = errorByNumbers(version, vendor, errType, errCode);
    return { type: "error", error, vendor, errType, errCode, payload: r.take(r.left) };
  },
  encode(m, w) {
    if (m.vendor === 0) {
      w.u16(m.errType);
      w.u16(m.errCode);
    } else if (m.errCode !== 0 || m.vendorOld === true) {
      w.u16(0xb0c2);
      w.u16(0);
      w.u32(m.vendor);
      w.u16(m.errType);
      w.u16(m.errCode);
    } else {
      w.u16(0xffff);
      w.u16(m.errType);
      w.u32(m.vendor);
    }
    w.put(m.payload);
  },
};

/** The error message to answer `request` with: its first 64 bytes follow. Unknown to the version: OFPBRC_BAD_TYPE-like fallback. */
export function makeError(error: string, version: number, request: Uint8Array): OfpErrorMessage {
  let numbers = errorNumbers(error, version as 1);
  let name: string | undefined = error;
  if (numbers === undefined) {
    vlog("ofp_errors").err(`cannot encode ${error} for OpenFlow 1.${version - 1}`);
    name = "NXBRC_UNENCODABLE_ERROR";
    numbers = errorNumbers(name, version as 1) ?? { vendor: NX_VENDOR, type: 1, code: 0 };
  }
  return {
    type: "error",
    error: name,
    vendor: numbers.vendor,
    errType: numbers.type,
    errCode: numbers.code,
    vendorOld: version < 3,
    payload: request.slice(0, 64),
  };
}

const echo = (type: Echo["type"], name: string, number: number): MessageRow[] =>
  rows<Echo>(
    {
      name,
      type,
      kind: "msg",
      decode: (r) => ({ type, payload: r.take(r.left) }),
      encode: (m, w) => w.put(m.payload),
    },
    [number, 1, 6, 0, 1],
  );

/** Header and body of a features reply without ports. */
const FEATURES_BYTES = 32;

const featuresReply = rows<FeaturesReply>(
  {
    name: "OFPT_FEATURES_REPLY",
    type: "features-reply",
    kind: "msg",
    decode(r, version) {
      const datapathId = r.u64();
      const nBuffers = r.u32();
      const nTables = r.u8();
      const aux = r.u8();
      const auxiliaryId = version >= 4 ? aux : 0;
      r.skip(2);
      const capabilities = r.u32();
      const actions = r.u32();
      let ports: FeaturesReply["ports"];
      if (version < 4) {
        ports = [];
        const size = version === 1 ? 48 : 64;
        while (r.left >= size) ports.push(version === 1 ? readPort10(r) : readPort11(r));
      }
      return {
        type: "features-reply",
        datapathId,
        nBuffers,
        nTables,
        auxiliaryId,
        capabilities,
        actions: version === 1 ? actions : 0,
        ports,
      };
    },
    encode(m, w, version) {
      w.u64(m.datapathId);
      w.u32(m.nBuffers);
      w.u8(m.nTables);
      w.u8(version >= 4 ? m.auxiliaryId : 0);
      w.u16(0);
      w.u32(m.capabilities);
      w.u32(version === 1 ? m.actions : 0);
      if (version >= 4 || m.ports === undefined) return;
      // A message has 64 kB at most: who wants all of very many ports asks for their descriptions.
      const room = Math.floor((0xffff - FEATURES_BYTES) / (version === 1 ? 48 : 64));
      for (const p of m.ports.slice(0, room)) {
        if (version === 1) writePort10(w, p);
        else writePort11(w, p);
      }
    },
  },
  [6, 1, 1, 24, 48],
  [6, 2, 3, 24, 64],
  [6, 4, 6, 24, 0],
);

function readConfig(r: Reader, version: number, type: SwitchConfig["type"]): SwitchConfig {
  const flags = r.u16();
  const missSendLen = r.u16();
  return {
    type,
    frag: flags & 3,
    invalidTtlToController: version < 4 ? (flags & 4) !== 0 : undefined,
    missSendLen,
  };
}

function writeConfig(m: SwitchConfig, w: Writer, version: number): void {
  w.u16((m.frag & 3) | (m.invalidTtlToController && version < 4 ? 4 : 0));
  w.u16(m.missSendLen);
}

const config = (type: SwitchConfig["type"], name: string, number: number): MessageRow[] =>
  rows<SwitchConfig>(
    {
      name,
      type,
      kind: "msg",
      decode: (r, version) => readConfig(r, version, type),
      encode: (m, w, version) => writeConfig(m, w, version),
    },
    [number, 1, 6, 4, 0],
  );

function role(type: RoleMessage["type"], of: number, nx: number, name: string): MessageRow[] {
  return [
    message<RoleMessage>({
      name: `OFPT_ROLE_${name}`,
      type,
      kind: "msg",
      number: of,
      first: 3,
      last: 6,
      min: 16,
      unit: 0,
      decode(r) {
        const value = r.u32();
        r.skip(4);
        const generation = r.u64();
        if (value > 3) throw new OfpError("OFPRRFC_BAD_ROLE");
        const has = type === "role-request" ? value >= 2 : generation !== UNKNOWN64;
        return { type, role: value, generationId: has ? generation : undefined };
      },
      encode(m, w) {
        w.u32(m.role);
        w.u32(0);
        w.u64(m.generationId ?? (type === "role-request" ? 0n : UNKNOWN64));
      },
    }),
    message<RoleMessage>({
      name: `NXT_ROLE_${name}`,
      type,
      kind: "nx",
      number: nx,
      first: 1,
      last: 2,
      min: 4,
      unit: 0,
      decode(r) {
        const value = r.u32();
        if (value > 2) throw new OfpError("OFPRRFC_BAD_ROLE");
        return { type, role: value + 1, generationId: undefined };
      },
      encode: (m, w) => w.u32(m.role - 1),
    }),
  ];
}

const roleStatus = (
  kind: "msg" | "onf",
  number: number,
  first: number,
  last: number,
  name: string,
): MessageRow =>
  message<RoleStatus>({
    name,
    type: "role-status",
    kind,
    number,
    first,
    last,
    min: 16,
    unit: 0,
    decode(r) {
      const value = r.u32();
      const reason = r.u8();
      r.skip(3);
      const generationId = r.u64();
      if (value !== 1 && value !== 2 && value !== 3) throw new OfpError("OFPRRFC_BAD_ROLE");
      if (reason > 2) throw new OfpError("OFPRRFC_BAD_ROLE");
      return { type: "role-status", role: value, reason, generationId };
    },
    encode(m, w) {
      w.u32(m.role);
      w.u8(m.reason);
      w.zeros(3);
      w.u64(m.generationId);
    },
  });

export const CORE_ROWS: readonly MessageRow[] = [
  message(helloShape),
  message(errorRow),
  ...echo("echo-request", "OFPT_ECHO_REQUEST", 2),
  ...echo("echo-reply", "OFPT_ECHO_REPLY", 3),
  ...empty("OFPT_FEATURES_REQUEST", "features-request", "msg", [5, 1, 6]),
  ...featuresReply,
  ...empty("OFPT_GET_CONFIG_REQUEST", "get-config-request", "msg", [7, 1, 6]),
  ...config("get-config-reply", "OFPT_GET_CONFIG_REPLY", 8),
  ...config("set-config", "OFPT_SET_CONFIG", 9),
  ...empty("OFPT_BARRIER_REQUEST", "barrier-request", "msg", [18, 1, 1], [20, 2, 6]),
  ...empty("OFPT_BARRIER_REPLY", "barrier-reply", "msg", [19, 1, 1], [21, 2, 6]),
  ...role("role-request", 24, 10, "REQUEST"),
  ...role("role-reply", 25, 11, "REPLY"),
  roleStatus("msg", 30, 5, 6, "OFPT_ROLE_STATUS"),
  roleStatus("onf", 1911, 4, 4, "ONFT_ROLE_STATUS"),
];
