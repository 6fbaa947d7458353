/** Messages about the connection itself: hello, echo, features, configuration, roles, barriers, formats. */
import { encode } from "../../openflow/codec.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { AsyncConfig, FeaturesReply } from "../../openflow/messages.ts";
import { type Connection, DEFAULT_MISS_SEND_LEN } from "../connections/connection.ts";
import { N_TABLES } from "../flow-table.ts";
import { MAX_TLV_FIELDS, MAX_TLV_SPACE } from "../tlv-table.ts";
import type { Handlers } from "./dispatch.ts";

// OFPC_*
const OFPC_FLOW_STATS = 1;
const OFPC_TABLE_STATS = 2;
const OFPC_PORT_STATS = 4;
const OFPC_GROUP_STATS = 8;
const OFPC_QUEUE_STATS = 64;
const OFPC_ARP_MATCH_IP = 128;
const OFPC_BUNDLES = 512;

/** OFPAT10_OUTPUT to OFPAT10_ENQUEUE. */
const OFPAT10_ALL = 0xfff;

function features(connection: Connection): FeaturesReply {
  const { ofproto, version } = connection;
  return {
    type: "features-reply",
    datapathId: BigInt(`0x${ofproto.datapathId}`),
    nBuffers: 0,
    nTables: N_TABLES - 1,
    auxiliaryId: 0,
    capabilities:
      OFPC_FLOW_STATS |
      OFPC_TABLE_STATS |
      OFPC_PORT_STATS |
      OFPC_QUEUE_STATS |
      (version === 1 ? OFPC_ARP_MATCH_IP : OFPC_GROUP_STATS) |
      (version >= 5 ? OFPC_BUNDLES : 0),
    actions: OFPAT10_ALL,
    ports:
      version < 4 ? ofproto.portsByNumber().map((port) => port.describe(ofproto.localEtherAddr)) : undefined,
  };
}

/** The masks with the reasons that the version knows. */
function asyncOf({ async, version }: Connection): AsyncConfig {
  const packetIn = version < 5 ? 7 : 0x3f;
  const flowRemoved = version < 4 ? 7 : version === 4 ? 0xf : 0x3f;
  return {
    ...async,
    type: "get-async-reply",
    packetIn: [async.packetIn[0] & packetIn, async.packetIn[1] & packetIn],
    flowRemoved: [async.flowRemoved[0] & flowRemoved, async.flowRemoved[1] & flowRemoved],
  };
}

const FRAGS = ["normal", "drop", "normal", "nx-match"] as const;

export const SESSION_HANDLERS: Handlers = {
  hello: () => {},
  error: () => {},
  "echo-reply": () => {},
  // In the request's version, which need not be the connection's.
  "echo-request": (connection, message, { xid, version }) => {
    const reply = { type: "echo-reply" as const, payload: message.payload.slice() };
    connection.sendBytes(encode(reply, version, { xid }));
  },
  "features-request": (connection, _message, { xid }) => connection.send(features(connection), xid),
  "get-config-request": (connection, _message, { xid }) => {
    const { fragMode } = connection.ofproto;
    connection.send(
      {
        type: "get-config-reply",
        frag: fragMode === "normal" ? 0 : fragMode === "drop" ? 1 : 3,
        invalidTtlToController: connection.version < 4 ? connection.invalidTtlToController : undefined,
        missSendLen: connection.missSendLen,
      },
      xid,
    );
  },
  "set-config": (connection, message) => {
    connection.missSendLen = message.missSendLen;
    if (message.invalidTtlToController !== undefined) {
      connection.invalidTtlToController = message.invalidTtlToController;
      const [primary, secondary] = connection.async.packetIn;
      const bit = 1 << 2;
      connection.async.packetIn = [
        message.invalidTtlToController ? primary | bit : primary & ~bit,
        secondary,
      ];
    }
    if (connection.role === 3) return;
    if (message.frag !== 2) connection.ofproto.setFragMode(FRAGS[message.frag & 3]!);
  },
  "barrier-request": async (connection, _message, { xid }) => {
    await connection.ofproto.backer.settled();
    connection.send({ type: "barrier-reply" }, xid);
  },
  "role-request": (connection, message, { xid }) => {
    const manager = connection.ofproto.connections;
    if (message.role !== 0) {
      const error = manager.setRole(connection, message.role, message.generationId);
      if (error !== undefined) throw new OfpError(error);
    }
    connection.send(
      {
        type: "role-reply",
        role: connection.role,
        generationId: manager.generation ?? 0xffff_ffff_ffff_ffffn,
      },
      xid,
    );
  },
  "get-async-request": (connection, _message, { xid }) => {
    connection.send(asyncOf(connection), xid);
  },
  "set-async": (connection, message) => {
    connection.async = { ...message, type: "get-async-reply" };
    if (connection.kind === "service" && connection.missSendLen === 0)
      connection.missSendLen = DEFAULT_MISS_SEND_LEN;
  },
  "nxt-set-controller-id": (connection, message) => {
    connection.controllerId = message.controllerId;
  },
  "nxt-set-packet-in-format": (connection, message) => {
    connection.packetInFormat = message.format;
  },
  "nxt-set-flow-format": (connection, message) => {
    connection.nxm = message.format === 2;
  },
  "nxt-flow-mod-table-id": (connection, message) => {
    connection.tableId = message.set;
  },
  "nxt-flow-age": () => {},
  "nxt-tlv-table-mod": (connection, message) => connection.ofproto.applyTlvMod(message),
  "nxt-tlv-table-request": (connection, _message, { xid }) => {
    const maps = connection.ofproto.tlvs.maps();
    connection.send(
      { type: "nxt-tlv-table-reply", maxSpace: MAX_TLV_SPACE, maxFields: MAX_TLV_FIELDS, maps },
      xid,
    );
  },
  "desc-request": (connection, _message, { xid }) => {
    const { desc } = connection.ofproto;
    connection.send(
      {
        type: "desc-reply",
        manufacturer: desc.mfr,
        hardware: desc.hw,
        software: desc.sw,
        serial: desc.serial,
        description: desc.dp,
      },
      xid,
    );
  },
};
