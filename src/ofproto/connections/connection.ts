/**
 * One OpenFlow connection from the switch's side (upstream: `struct ofconn`): what the peer has asked of it, and its
 * messages taken in order, one at a time. A message whose effect takes time (a barrier) holds up those behind it.
 */

import {
  type AsyncConfig,
  type Decoded,
  decode,
  type EncodeMessageOptions,
  encode,
  type Message,
  makeError,
  OfpError,
  type Version,
} from "../../openflow/index.ts";
import type { Bundle } from "../handlers/bundles.ts";
import { dispatch } from "../handlers/dispatch.ts";
import type { Ofproto } from "../ofproto.ts";
import type { Channel } from "./channel.ts";

import { FlowMonitors } from "./monitors.ts";

export const ROLE_EQUAL = 1;
export const ROLE_PRIMARY = 2;
export const ROLE_SECONDARY = 3;

/** NXPIF_*: how packet-ins are sent before OpenFlow 1.3's own form. */
export const PACKET_IN_STANDARD = 0;
export const PACKET_IN_NXT = 1;
export const PACKET_IN_NXT2 = 2;

export type ConnectionKind = "primary" | "service";

export class Connection {
  readonly ofproto: Ofproto;
  readonly channel: Channel;
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
  /** Open and closed bundles of messages, by their numbers. */
  readonly bundles = new Map<number, Bundle>();
  readonly monitors = new FlowMonitors();
  /** Called for every message in either direction. */
  snoop: ((bytes: Uint8Array) => void) | undefined = undefined;

  constructor(ofproto: Ofproto, channel: Channel, kind: ConnectionKind) {
    this.ofproto = ofproto;
    this.channel = channel;
    this.kind = kind;
    this.version = channel.version!;
    this.missSendLen = kind === "primary" ? 128 : 0;
  }

  /** True when the peer wants asynchronous messages at all. */
  get listens(): boolean {
    if (!this.channel.isOpen || !this.enableAsync) return false;
    return this.kind === "primary" || this.missSendLen > 0;
  }

  wants(kind: Exclude<keyof AsyncConfig, "type">, reason: number): boolean {
    if (!this.listens) return false;
    const masks = this.async[kind];
    return (masks[this.role === ROLE_SECONDARY ? 1 : 0] & (1 << reason)) !== 0;
  }

  send(message: Message, xid: number, options: EncodeMessageOptions = {}): void {
    const bytes = this.channel.send(message, xid, options);
    if (bytes !== undefined) this.snoop?.(bytes);
  }

  /** Unasked messages have xid 0. */
  notify(message: Message): void {
    this.send(message, 0, this.formatOf(message));
  }

  /** Whole messages, already encoded. */
  sendBytes(bytes: Uint8Array): void {
    this.channel.sendBytes(bytes);
    this.snoop?.(bytes);
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
    const decoded = decode(bytes, { tableIds: this.version !== 1 || this.tableId });
    if (decoded instanceof OfpError) {
      if (decoded.message !== "") this.ofproto.log(decoded.module || "connmgr", "warn", decoded.message);
      this.sendError(decoded, bytes, xid);
      return;
    }
    if (decoded.version !== this.version && decoded.message.type !== "hello") {
      this.sendError(new OfpError("OFPBRC_BAD_VERSION"), bytes, xid);
      return;
    }
    try {
      const work = dispatch(this, decoded, bytes);
      if (work !== undefined) this.wait(work, decoded, bytes.slice());
    } catch (error) {
      this.fail(error, bytes, xid);
    }
  }

  private wait(work: Promise<void>, decoded: Decoded, bytes: Uint8Array): void {
    this.channel.hold();
    work.catch((error) => this.fail(error, bytes, decoded.xid)).finally(() => this.channel.release());
  }

  private fail(error: unknown, bytes: Uint8Array, xid: number): void {
    if (error instanceof OfpError) {
      this.sendError(error, bytes, xid);
      return;
    }
    this.ofproto.log("connmgr", "err", `${this.ofproto.name}: ${(error as Error).stack ?? error}`);
    this.sendError(new OfpError("OFPBRC_BAD_TYPE"), bytes, xid);
  }

  sendError(error: OfpError, offending: Uint8Array, xid: number): void {
    const foreign = offending[0]! as Version;
    if (error.ofp === "OFPBRC_BAD_VERSION" && foreign >= 1 && foreign <= 6) {
      // The peer is answered in the version that it spoke.
      this.sendBytes(encode(makeError(error.ofp, foreign, offending), foreign, { xid }));
      return;
    }
    this.send({ ...makeError(error.ofp, this.version, offending), payload: offending.slice() }, xid);
  }
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
