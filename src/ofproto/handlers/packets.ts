/** packet_out: a controller's packet, with actions of its own. */
import { makePacket, type Packet } from "../../datapath/packet.ts";
import { extractFlow, OFS_WORDS } from "../../flow/extract.ts";
import {
  FLOW_DP_WORDS,
  FLOW_PACKET_WORDS,
  FLOW_WORDS,
  type Flow,
  W_ETH_DST_HI,
  W_IN_PORT,
  W_PACKET_TYPE,
} from "../../flow/layout.ts";
import type { Match } from "../../flow/match.ts";
import { checkActions } from "../../openflow/actions/check.ts";
import type { Ofpact } from "../../openflow/actions.ts";
import { OfpError } from "../../openflow/errors.ts";
import { type NxtResume, OFP_NO_BUFFER, type PacketOut } from "../../openflow/messages.ts";
import { P_ANY, versionProtocols } from "../../openflow/protocols.ts";
import type { Connection } from "../connections/connection.ts";
import { decodeContinuation } from "../continuation.ts";
import type { Ofproto } from "../ofproto.ts";
import { OFPP_LOCAL, OFPP_MAX_PHYSICAL, OFPP_NONE } from "../types.ts";
import { translate, translateActions } from "../xlate/translate.ts";
import type { Handlers } from "./dispatch.ts";
import { checkReferences } from "./groups.ts";

const OFPP_CONTROLLER = 0xfffd;
const NOTHING = new Uint8Array();
const offsets = new Int32Array(OFS_WORDS);

function isMetadata(word: number): boolean {
  return word < W_ETH_DST_HI || word >= FLOW_PACKET_WORDS;
}

function packetOf(bytes: Uint8Array): Packet {
  const data = new Uint8Array(bytes.length + 128);
  data.set(bytes, 128);
  return makePacket(data, 128, bytes.length);
}

/** No packets are buffered: a buffer id can only be wrong. */
export function executeBuffered(bufferId: number): void {
  if (bufferId !== OFP_NO_BUFFER) throw new OfpError("OFPBRC_BUFFER_UNKNOWN");
}

/** Runs `actions` on `bytes` as if they had come in by `inPort`. */
export function packetOut(
  ofproto: Ofproto,
  bytes: Uint8Array,
  inPort: number,
  actions: readonly Ofpact[],
): void {
  preparePacketOut(ofproto, bytes, inPort, actions)();
}

/**
 * Translates as the tables are now; the answer sends, whenever that is. With `check` for a controller, who is told what
 * cannot be translated. Throws OfpError.
 */
function preparePacketOut(
  ofproto: Ofproto,
  bytes: Uint8Array,
  inPort: number,
  actions: readonly Ofpact[],
  metadata?: Match,
  check?: (flow: Flow) => void,
): () => void {
  const { backer } = ofproto;
  const ctx = backer.xlate;
  const packet = packetOf(bytes);
  const { flow } = ctx;
  fillFlow(flow, packet, metadata);
  flow[W_IN_PORT] = inPort;
  check?.(flow);
  ctx.trace = undefined;
  const key = keyOf(ofproto, flow);
  translateActions(ctx, ofproto, actions, ofproto.clock.now(), bytes.length);
  if (check !== undefined && ctx.error !== undefined) throw new OfpError("OFPFMFC_UNKNOWN");
  return execution(ofproto, packet, key);
}

/** `metadata`: pipeline fields that came along with the packet (OpenFlow 1.5, NXT_RESUME). */
function fillFlow(flow: Flow, packet: Packet, metadata: Match | undefined): void {
  flow.fill(0);
  // Where the packet's headers begin.
  if (metadata !== undefined) flow[W_PACKET_TYPE] = metadata.flow[W_PACKET_TYPE]!;
  extractFlow(packet.data, packet.offset, packet.length, flow, offsets);
  if (metadata === undefined) return;
  for (let word = 0; word < FLOW_WORDS; word++) {
    if (metadata.mask[word] !== 0 && isMetadata(word)) flow[word] = metadata.flow[word]!;
  }
}

function keyOf(ofproto: Ofproto, flow: Flow): Flow {
  const key = flow.slice(0, FLOW_DP_WORDS);
  key[W_IN_PORT] = ofproto.portAt(flow[W_IN_PORT]!)?.odpPort ?? OFPP_NONE;
  return key;
}

/** Does what has just been translated. */
function execution(ofproto: Ofproto, packet: Packet, key: Flow): () => void {
  const { backer, clock } = ofproto;
  const now = clock.now();
  const credits = backer.xlate.credits.slice();
  const odp = backer.xlate.odp.take();
  return () => {
    for (const credit of credits) credit.credit(1, packet.length, now, 0);
    if (odp.length > 0) backer.dpif.execute(packet, key, odp);
  };
}

/** NXT_RESUME: a packet that a controller had to decide on goes on where its pipeline paused. Throws OfpError. */
function resumePacket({ ofproto, version }: Connection, { packetIn }: NxtResume): void {
  const { backer } = ofproto;
  const ctx = backer.xlate;
  const packet = packetOf(packetIn.packet);
  const { flow } = ctx;
  fillFlow(flow, packet, ofproto.tlvs.place(packetIn.match));
  const state = decodeContinuation(packetIn.continuation ?? NOTHING, version, flow, (uuid) =>
    [...backer.ofprotos.values()].find((other) => other.uuid.every((byte, i) => byte === uuid[i])),
  );
  ctx.trace = undefined;
  const key = keyOf(state.ofproto, flow);
  translate(ctx, state.ofproto, ofproto.clock.now(), true, packet.length, state);
  execution(state.ofproto, packet, key)();
}

/** Refuses what is wrong whatever the tables hold. Throws OfpError. */
export function checkPacketOut(message: PacketOut): void {
  executeBuffered(message.bufferId);
  const inPort = message.match.flow[W_IN_PORT]!;
  if (
    inPort > OFPP_MAX_PHYSICAL &&
    inPort !== OFPP_LOCAL &&
    inPort !== OFPP_NONE &&
    inPort !== OFPP_CONTROLLER
  ) {
    throw new OfpError("OFPBRC_BAD_PORT");
  }
}

/** Actions that make no sense for the packet: as those of a flow that matches just it. Throws OfpError. */
function checkForPacket(actions: readonly Ofpact[], flow: Flow, version: number): void {
  const match = { flow: flow.slice(), mask: new Int32Array(FLOW_WORDS).fill(-1), tunMetadata: undefined };
  const { error, log, module, usable } = checkActions(actions, match, P_ANY);
  if (error !== undefined) throw new OfpError(error, log ?? "", module);
  if ((usable & versionProtocols(version)) === 0) throw new OfpError("OFPBAC_MATCH_INCONSISTENT");
}

/** Checks a packet_out and translates it; throws OfpError. */
export function startPacketOut({ ofproto, version }: Connection, message: PacketOut): () => void {
  checkPacketOut(message);
  checkReferences(ofproto, message.actions);
  const inPort = message.match.flow[W_IN_PORT]!;
  return preparePacketOut(
    ofproto,
    message.packet,
    inPort,
    message.actions,
    ofproto.tlvs.place(message.match),
    (flow) => checkForPacket(message.actions, flow, version),
  );
}

export const PACKET_HANDLERS: Handlers = {
  "packet-out": (connection, message) => startPacketOut(connection, message)(),
  "nxt-resume": (connection, message) => resumePacket(connection, message),
};
