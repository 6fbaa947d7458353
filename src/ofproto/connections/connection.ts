/**
 * One OpenFlow connection from the switch's side (upstream: `struct ofconn`): what the peer has asked of it, and its
 * messages taken in order, one at a time. A message whose effect takes time (a barrier) holds up those behind it.
 */

import { type Match, makeMatch } from "../../flow/match.ts";
import { messageName } from "../../openflow/codec.ts";
import {
  type AsyncConfig,
  type Decoded,
  decode,
  type EncodeMessageOptions,
  encode,
  type Message,
  makeError,
  OfpError,
  type PacketIn,
  type Version,
} from "../../openflow/index.ts";
import type { Vconn } from "../../openflow/vconn.ts";
import type { Bundle } from "../handlers/bundles.ts";
import { dispatch } from "../handlers/dispatch.ts";
import type { Ofproto } from "../ofproto.ts";
import { FlowModLog } from "./flow-mod-log.ts";
import { FlowMonitors } from "./monitors.ts";
import { PacketInQueue } from "./packet-in-queue.ts";
import { RequestParts } from "./parts.ts";

export const ROLE_EQUAL = 1;
export const ROLE_PRIMARY = 2;
export const ROLE_SECONDARY = 3;

/** NXPIF_*: how packet-ins are sent before OpenFlow 1.3's own form. */
export const PACKET_IN_STANDARD = 0;
export const PACKET_IN_NXT = 1;
export const PACKET_IN_NXT2 = 2;

/** A controller that wants packets and says no more gets this much of each. */
export const DEFAULT_MISS_SEND_LEN = 128;

/** Bytes of packet-ins that may wait to be sent. */
const MAX_QUEUED_BYTES = 1 << 20;

const OFPT_FLOW_MOD = 14;

export type ConnectionKind = "primary" | "service";

export class Connection {
  readonly ofproto: Ofproto;
  readonly vconn: Vconn;
  readonly kind: ConnectionKind;
  readonly version: Version;

  role = ROLE_EQUAL;
  missSendLen = 0;
  invalidTtlToController = false;
  controllerId = 0;
  packetInFormat = PACKET_IN_STANDARD;
  /** Flow format of Nicira's OpenFlow 1.0: NXM allowed, table_id in flow_mods. */
  nxm = false;
  tableId = false;
  /** Default as OpenFlow 1.3 has it; controllers change it. */
  async: AsyncConfig = defaultAsync();
  enableAsync = true;
  /** The match of the flow_mod in hand. */
  private readonly scratch: Match = makeMatch();
  /** Open and closed bundles of messages, by their numbers. */
  readonly bundles = new Map<number, Bundle>();
  readonly monitors = new FlowMonitors();
  readonly flowMods: FlowModLog;
  /** Requests that come in several parts. */
  readonly parts: RequestParts;
  /** Rate limits for packets that matched nothing, and for all others. */
  readonly misses: PacketInQueue<PacketIn>;
  readonly actions: PacketInQueue<PacketIn>;
  /** Called for every message in either direction. */
  snoop: ((bytes: Uint8Array) => void) | undefined = undefined;

  constructor(ofproto: Ofproto, vconn: Vconn, kind: ConnectionKind) {
    this.ofproto = ofproto;
    this.vconn = vconn;
    this.kind = kind;
    this.version = vconn.version as Version;
    this.missSendLen = kind === "primary" ? DEFAULT_MISS_SEND_LEN : 0;
    const send = (message: PacketIn) => this.sendPacketIn(message);
    this.misses = new PacketInQueue(ofproto.clock, send);
    this.actions = new PacketInQueue(ofproto.clock, send);
    this.parts = new RequestParts(this);
    this.flowMods = new FlowModLog(ofproto.clock, (text) =>
      ofproto.log("connmgr", "info", `${ofproto.name}<->${vconn.name}: ${text}`),
    );
  }

  get isOpen(): boolean {
    return this.vconn.isOpen;
  }

  /** True when the peer wants asynchronous messages at all. */
  get listens(): boolean {
    if (!this.isOpen || !this.enableAsync) return false;
    return this.kind === "primary" || this.missSendLen > 0;
  }

  wants(kind: Exclude<keyof AsyncConfig, "type">, reason: number): boolean {
    if (!this.listens) return false;
    const masks = this.async[kind];
    return (masks[this.role === ROLE_SECONDARY ? 1 : 0] & (1 << reason)) !== 0;
  }

  send(message: Message, xid: number, options: EncodeMessageOptions = {}): void {
    if (!this.isOpen) return;
    const bytes = encode(message, this.version, { ...options, xid });
    this.snoop?.(bytes);
    this.vconn.sendOwned(bytes);
  }

  /** Unasked messages have xid 0. */
  notify(message: Message): void {
    this.send(message, 0, this.formatOf(message));
  }

  /** Whole messages, already encoded. */
  sendBytes(bytes: Uint8Array): void {
    if (!this.isOpen) return;
    this.snoop?.(bytes);
    this.vconn.send(bytes);
  }

  /** A peer that does not read its packet-ins loses them. */
  private sendPacketIn(message: PacketIn): void {
    if (this.vconn.backlog < MAX_QUEUED_BYTES) this.notify(message);
  }

  /** Which of several wire forms the peer has asked for. */
  private formatOf(message: Message): EncodeMessageOptions {
    if (message.type === "packet-in" && this.packetInFormat !== PACKET_IN_STANDARD) {
      return { name: this.packetInFormat === PACKET_IN_NXT2 ? "NXT_PACKET_IN2" : "NXT_PACKET_IN" };
    }
    return { nxm: this.nxm };
  }

  receive(bytes: Uint8Array): void {
    this.snoop?.(bytes);
    const xid = ((bytes[4]! << 24) | (bytes[5]! << 16) | (bytes[6]! << 8) | bytes[7]!) >>> 0;
    // What is told of flow_mods later is the rules' own.
    const scratch = bytes[1] === OFPT_FLOW_MOD ? this.scratch : undefined;
    const decoded = decode(bytes, { tableIds: this.version !== 1 || this.tableId, scratch });
    if (decoded instanceof OfpError) {
      this.fail(decoded, bytes, xid);
      return;
    }
    try {
      const whole = this.parts.join(decoded, bytes);
      if (whole === undefined) return;
      const work = dispatch(this, whole, bytes);
      if (work !== undefined) this.wait(work, whole, bytes.slice());
    } catch (error) {
      this.fail(error, bytes, xid);
    }
  }

  private wait(work: Promise<void>, decoded: Decoded, bytes: Uint8Array): void {
    this.vconn.hold();
    work.catch((error) => this.fail(error, bytes, decoded.xid)).finally(() => this.vconn.release());
  }

  private fail(error: unknown, bytes: Uint8Array, xid: number): void {
    if (error instanceof OfpError) {
      if (error.message !== "") this.ofproto.log(error.module || "connmgr", "warn", error.message);
      this.sendError(error, bytes, xid);
      return;
    }
    this.ofproto.log("connmgr", "err", `${this.ofproto.name}: ${(error as Error).stack ?? error}`);
    this.sendError(new OfpError("OFPBRC_BAD_TYPE"), bytes, xid);
  }

  sendError(error: OfpError, offending: Uint8Array, xid: number): void {
    this.ofproto.log(
      "connmgr",
      "info",
      `${this.ofproto.name}<->${this.vconn.name}: sending ${error.ofp} error reply to ${describe(offending)} message`,
    );
    this.send({ ...makeError(error.ofp, this.version, offending), payload: offending.slice() }, xid);
  }

  /** After the last message: what waits for the connection is forgotten. */
  closed(): void {
    this.flowMods.flush();
    this.misses.close();
    this.actions.close();
    this.parts.close();
    this.bundles.clear();
  }
}

function describe(bytes: Uint8Array): string {
  return messageName(bytes) ?? "invalid";
}

function defaultAsync(): AsyncConfig {
  const packetIn = (1 << 0) | (1 << 1) | (1 << 3) | (1 << 4) | (1 << 5);
  return {
    type: "get-async-reply",
    packetIn: [packetIn, 0],
    portStatus: [7, 7],
    flowRemoved: [0x3f, 0],
    roleStatus: [0, 0],
    tableStatus: [0, 0],
    requestforward: [0, 0],
  };
}
