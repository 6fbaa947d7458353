/**
 * What the controller does for one switch: OpenFlow messages in, OpenFlow messages out, nothing else (upstream:
 * learning-switch). It learns which port a source address is behind, sends packets to known addresses there and
 * floods the others, and sets up a flow for what it knows.
 */
import { extractFlow, OFS_WORDS } from "../../src/flow/extract.ts";
import * as L from "../../src/flow/layout.ts";
import type { Match } from "../../src/flow/match.ts";
import { normalizeMatch } from "../../src/flow/normalize.ts";
import type { Clock } from "../../src/lib/clock.ts";
import { formatMac, macToNumber } from "../../src/lib/mac.ts";
import { RateLimit, vlog } from "../../src/lib/vlog.ts";
import { readMatch10 } from "../../src/openflow/fixed-match.ts";
import {
  type Decoded,
  type EncodeMessageOptions,
  type FlowMod,
  type Message,
  matchInPort,
  OFP_NO_BUFFER,
  OFP10,
  OFP13,
  OFPFC_ADD,
  OFPP_CONTROLLER,
  OFPP_FLOOD,
  OFPP_MAX,
  OFPP_NONE,
  OFPP_NORMAL,
  type Ofpact,
  type PacketIn,
  type PhyPort,
  type Version,
} from "../../src/openflow/index.ts";
import {
  P_OF10_NXM,
  P_OF10_NXM_TID,
  P_OF10_STD_TID,
  versionProtocols,
} from "../../src/openflow/protocols.ts";
import { emptyFlowMod } from "../../src/openflow/text/flow-parse.ts";
import { Reader, Writer } from "../../src/openflow/wire.ts";
import { MacLearning } from "../../src/protocols/mac-learning.ts";

const log = vlog("learning_switch");
const limit = new RateLimit(30, 300);

/** Bytes of a packet that a switch is to send along when it has a buffer for the rest. */
const MISS_SEND_BYTES = 128;
const OFPR_NO_MATCH = 0;
const OFP_VLAN_NONE = 0xffff;

export type Mode = "learn" | "hub" | "normal";

export interface SwitchSettings {
  mode: Mode;
  /** Seconds, 0: for ever; undefined: set up no flows. */
  maxIdleSec: number | undefined;
  /** OFPFW10_* bits of the fields that flows do not match; 0: exact. */
  wildcards: number;
  /** Undefined: no queue. */
  defaultQueue: number | undefined;
  /** Input port's name → queue. */
  portQueues: ReadonlyMap<string, number>;
  /** Pushed when a switch connects. */
  flows: readonly FlowMod[];
  /** The protocols (protocols.ts) that can carry all of `flows`. */
  usable: number;
  /** Answer nothing that a switch says. */
  mute: boolean;
}

/** One message to encode and send. */
export type Send = (message: Message, options: EncodeMessageOptions) => void;

export class LearningSwitch {
  readonly #settings: SwitchSettings;
  readonly #version: Version;
  readonly #clock: Clock;
  readonly #send: Send;
  readonly #name: string;
  readonly #macs: MacLearning<number>;
  readonly #queues = new Map<number, number>();
  readonly #flow = new Int32Array(L.FLOW_WORDS);
  readonly #offsets = new Int32Array(OFS_WORDS);
  /** One bit of protocols.ts. */
  #protocol: number;
  /** 16 hexadecimal digits; undefined until the switch has told its features. */
  #datapathId: string | undefined;

  /** `name` is the connection's, for log lines before the datapath id is known. */
  constructor(settings: SwitchSettings, version: Version, clock: Clock, name: string, send: Send) {
    this.#settings = settings;
    this.#version = version;
    this.#clock = clock;
    this.#send = send;
    this.#name = name;
    this.#macs = new MacLearning<number>();
    const all = versionProtocols(version);
    this.#protocol = all & -all;
  }

  /** Call once, when the version is negotiated. */
  start(): void {
    this.#say({ type: "features-request" });
    this.#say({
      type: "set-config",
      frag: 0,
      invalidTtlToController: false,
      missSendLen: MISS_SEND_BYTES,
    });
    // From 1.3 on a packet that no flow matches is dropped, so a flow must send it here.
    if (this.#version >= OFP13) this.#say(this.#missFlow());
    if (this.#settings.flows.length > 0) this.#pushFlows();
  }

  #missFlow(): FlowMod {
    const actions: Ofpact[] = [{ type: "output", port: OFPP_CONTROLLER, maxLen: MISS_SEND_BYTES }];
    return { ...emptyFlowMod(OFPFC_ADD), priority: 0, table: 0, actions };
  }

  #pushFlows(): void {
    if (!this.#chooseProtocol(this.#settings.usable)) {
      log.infoRl(limit, `${this.#name}: failed to set usable protocol`);
      return;
    }
    for (const flow of this.#settings.flows) this.#say(flow);
  }

  /** In 1.0 a switch must be told of extended matches and of table numbers in flow_mods. */
  #chooseProtocol(usable: number): boolean {
    const possible = usable & versionProtocols(this.#version);
    if (possible === 0) return false;
    const next = possible & -possible;
    if (this.#version === OFP10) {
      if (isNxm(next) !== isNxm(this.#protocol)) {
        this.#say({ type: "nxt-set-flow-format", format: isNxm(next) ? 2 : 0 });
      }
      if (hasTableIds(next) !== hasTableIds(this.#protocol)) {
        this.#say({ type: "nxt-flow-mod-table-id", set: hasTableIds(next) });
      }
    }
    this.#protocol = next;
    return true;
  }

  /** A message from the switch; `print` gives its text for the log. */
  receive({ xid, message }: Decoded, print: () => string): void {
    switch (message.type) {
      case "echo-request":
        this.#answer({ type: "echo-reply", payload: message.payload }, xid);
        return;
      case "features-reply":
        if (this.#datapathId !== undefined) return;
        this.#datapathId = message.datapathId.toString(16).padStart(16, "0");
        if (message.ports !== undefined) this.#learnQueues(message.ports);
        else if (this.#settings.portQueues.size > 0)
          this.#say({ type: "port-desc-request", port: OFPP_NONE });
        return;
      case "port-desc-reply":
        this.#learnQueues(message.ports);
        return;
      case "packet-in":
        if (this.#datapathId !== undefined) this.#packetIn(message);
        return;
      case "flow-removed":
        return;
      default:
        if (this.#datapathId !== undefined && log.isDbg()) {
          log.dbgRl(limit, `${this.#datapathId}: OpenFlow packet ignored: ${print()}`);
        }
    }
  }

  #learnQueues(ports: readonly PhyPort[]): void {
    for (const { name, port } of ports) {
      const queue = this.#settings.portQueues.get(name);
      if (queue !== undefined) this.#queues.set(port, queue);
    }
  }

  #packetIn(pin: PacketIn): void {
    // What a flow sends here on purpose is no question about where to send it.
    if (pin.reason !== OFPR_NO_MATCH) return;
    const inPort = pin.match.flow[L.W_IN_PORT]!;
    const flow = this.#flow;
    flow.fill(0);
    flow[L.W_IN_PORT] = inPort;
    extractFlow(pin.packet, 0, pin.packet.length, flow, this.#offsets);
    const eth = pin.packet.length >= 14 ? pin.packet : new Uint8Array(14);
    const outPort = this.#chooseDestination(eth, inPort);
    const actions = this.#actions(outPort, inPort);
    const known = this.#settings.mode === "hub" || outPort !== OFPP_FLOOD;
    const buffered = pin.bufferId !== OFP_NO_BUFFER;
    if (this.#settings.maxIdleSec !== undefined && known) {
      this.#answer({
        ...emptyFlowMod(OFPFC_ADD),
        match: this.#match(),
        priority: 1,
        idleSec: this.#settings.maxIdleSec,
        bufferId: pin.bufferId,
        // No filter, as this adds; any value would do.
        outGroup: 0,
        actions,
      });
      // The flow_mod has let the buffered packet go, too.
      if (buffered) return;
    }
    if (!buffered && actions.length === 0) return;
    this.#answer({
      type: "packet-out",
      bufferId: pin.bufferId,
      match: matchInPort(inPort),
      actions,
      packet: buffered ? new Uint8Array(0) : pin.packet,
    });
  }

  /** OFPP_NONE: drop. Learns on the way, except as a hub. */
  #chooseDestination(eth: Uint8Array, inPort: number): number {
    if (this.#settings.mode !== "hub" && (eth[6]! & 1) === 0) {
      const now = this.#clock.now();
      this.#macs.expire(now);
      if (this.#macs.learn(macToNumber(eth, 6), 0, inPort, now) && log.isDbg()) {
        log.dbgRl(limit, `${this.#datapathId}: learned that ${formatMac(eth, 6)} is on port ${inPort}`);
      }
    }
    if (isReserved(eth)) return OFPP_NONE;
    if (this.#settings.mode === "hub") return OFPP_FLOOD;
    const entry = this.#macs.lookup(macToNumber(eth, 0), 0);
    if (entry === undefined) return OFPP_FLOOD;
    if (entry.port === inPort) return OFPP_NONE;
    // As documented; release 3.7 itself floods everything under --normal.
    return this.#settings.mode === "normal" ? OFPP_NORMAL : entry.port;
  }

  #actions(outPort: number, inPort: number): Ofpact[] {
    if (outPort === OFPP_NONE) return [];
    const output: Ofpact = { type: "output", port: outPort, maxLen: 0 };
    const queue = this.#queues.get(inPort) ?? this.#settings.defaultQueue;
    if (queue === undefined || outPort >= OFPP_MAX) return [output];
    return [{ type: "enqueue", port: outPort, queue }];
  }

  /**
   * The packet's headers as OpenFlow 1.0 knows them (whatever the version spoken), without those that --wildcards
   * names: its bits are those of that version's match, so the match is made from one.
   */
  #match(): Match {
    const flow = this.#flow;
    const tci = flow[L.W_VLAN0]! & 0xffff;
    const w = new Writer(40);
    w.u32(this.#settings.wildcards);
    w.u16(flow[L.W_IN_PORT]!);
    w.u16(flow[L.W_ETH_DST_SRC]! & 0xffff);
    w.u32(flow[L.W_ETH_SRC_LO]! >>> 0);
    w.u32(flow[L.W_ETH_DST_HI]! >>> 0);
    w.u16(flow[L.W_ETH_DST_SRC]! >>> 16);
    w.u16(tci & L.VLAN_CFI ? tci & 0xfff : OFP_VLAN_NONE);
    w.u8(tci >>> 13);
    w.u8(0);
    w.u16(flow[L.W_ETH_TYPE]!);
    w.u8((flow[L.W_NW]! >>> 8) & 0xfc);
    w.u8(flow[L.W_NW]! & 0xff);
    w.u16(0);
    w.u32(flow[L.W_IPV4_SRC]! >>> 0);
    w.u32(flow[L.W_IPV4_DST]! >>> 0);
    w.u32(flow[L.W_TP]! >>> 0);
    const match = readMatch10(new Reader(w.done()));
    normalizeMatch(match);
    return match;
  }

  /** A reply to something that the switch said. */
  #answer(message: Message, xid?: number): void {
    // As documented; release 3.7 itself takes --mute and answers all the same.
    if (!this.#settings.mute) this.#say(message, xid);
  }

  #say(message: Message, xid?: number): void {
    const options: EncodeMessageOptions = {
      nxm: isNxm(this.#protocol),
      tableIds: hasTableIds(this.#protocol),
    };
    this.#send(message, xid === undefined ? options : { ...options, xid });
  }
}

function isNxm(protocol: number): boolean {
  return protocol === P_OF10_NXM || protocol === P_OF10_NXM_TID;
}

function hasTableIds(protocol: number): boolean {
  return protocol === P_OF10_STD_TID || protocol === P_OF10_NXM_TID;
}

/** 01:80:c2:00:00:0x: never forwarded (IEEE 802.1D section 7.12.6). */
function isReserved(eth: Uint8Array): boolean {
  return (
    eth[0] === 0x01 &&
    eth[1] === 0x80 &&
    eth[2] === 0xc2 &&
    eth[3] === 0 &&
    eth[4] === 0 &&
    (eth[5]! & 0xf0) === 0
  );
}
