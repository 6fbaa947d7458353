/**
 * The state of one translation: a flow on its way through the OpenFlow tables, becoming datapath actions and the mask of
 * a megaflow (upstream: `struct xlate_ctx`, `ofproto-dpif-xlate.c`). One object is used again and again: a
 * translation on the upcall path allocates nothing but what its actions need.
 *
 * What a translation decides on must be in `wildcards`: a bit that nobody looked at stays 0 and makes the megaflow wider.
 */
import { OdpActionBuilder } from "../../datapath/odp/actions.ts";
import { commitActions, type Encapsulation } from "../../datapath/odp/commit.ts";
import {
  FLOW_WORDS,
  type Flow,
  W_ETH_TYPE,
  W_IN_PORT,
  W_NW,
  W_PACKET_TYPE,
  W_RECIRC_ID,
} from "../../flow/layout.ts";
import { formatFlow } from "../../flow/match-text.ts";
import type { PortNames } from "../../flow/ports-text.ts";
import { RateLimit, vlog } from "../../lib/vlog.ts";
import type { ControllerAction, Nat, Ofpact } from "../../openflow/actions.ts";
import { Footprint } from "../changes.ts";
import type { Ofproto } from "../ofproto.ts";
import type { PortBundle } from "../port-bundle.ts";
import type { OfportState } from "../ports.ts";
import type { Rule } from "../rule.ts";
import type { Outputs } from "../sampling.ts";
import {
  OFT_ACTION,
  OFT_BRIDGE,
  OFT_DETAIL,
  OFT_ERROR,
  OFT_TABLE,
  OFT_WARN,
  type TraceNode,
  type TraceType,
} from "../trace-nodes.ts";
import type { OfPort } from "../types.ts";

const log = vlog("ofproto_dpif_xlate");
const errorLimit = new RateLimit(1, 5);

export const ETH_TYPE_IP = 0x0800;
export const ETH_TYPE_ARP = 0x0806;
export const ETH_TYPE_RARP = 0x8035;
export const ETH_TYPE_IPV6 = 0x86dd;
export const ETH_TYPE_NSH = 0x894f;
export const ETH_TYPE_MPLS = 0x8847;
export const ETH_TYPE_MPLS_MCAST = 0x8848;
export const ETH_TYPE_VLAN_8021Q = 0x8100;
export const ETH_TYPE_VLAN_8021AD = 0x88a8;

export const MAX_DEPTH = 64;
export const MAX_RESUBMITS = 64 * 64;

export type XlateError =
  | "recursion"
  | "resubmits"
  | "stack"
  | "mpls-labels"
  | "packet-type"
  | "not-built"
  | undefined;

/** As in ACTION_DROPS, whose texts and counters they have. */
export const XLATE_ERROR_NUMBER: Readonly<Record<Exclude<XlateError, undefined>, number>> = {
  "not-built": 0,
  recursion: 2,
  resubmits: 3,
  stack: 4,
  "mpls-labels": 7,
  "packet-type": 9,
};

/** A source address that NORMAL saw: to be refreshed when packets take the megaflow. */
export interface LearnCredit {
  bundle: PortBundle;
  ofproto: Ofproto;
  mac: number;
  vlan: number;
}

/** Takes statistics of packets that followed a translation: rules, patch ports. */
export interface Credit {
  credit(packets: number, bytes: number, usedMs: number, tcpFlags: number): void;
}

/** OpenFlow's "no flow sent this": not shown. */
export const NO_COOKIE = 0xffff_ffff_ffff_ffffn;

/** A trace's packet will come back from the datapath with this flow. */
export interface Recirculation {
  id: number;
  flow: Flow;
  nat: Nat | undefined;
}

export class XlateContext {
  /** The packet as the pipeline sees it now; in_port is an OpenFlow port of `ofproto`. */
  readonly flow: Flow = new Int32Array(FLOW_WORDS);
  /** The packet as the actions so far have left it. */
  readonly base: Flow = new Int32Array(FLOW_WORDS);
  /** The flow that translation began with. */
  readonly original: Flow = new Int32Array(FLOW_WORDS);
  readonly wildcards: Flow = new Int32Array(FLOW_WORDS);
  readonly odp = new OdpActionBuilder();

  ofproto!: Ofproto;
  /** The bridge that translation began in. */
  first!: Ofproto;
  rule: Rule | undefined = undefined;
  tableId = 0;
  depth = 0;
  resubmits = 0;
  exit = false;
  error: XlateError = undefined;
  /** Learn MACs and flows; false for traces and revalidation. */
  sideEffects = false;
  nowMs = 0;
  /** Bytes of the packet, 0 when there is none. */
  packetLength = 0;
  /** Pending `output(port, max_len)`. */
  truncate = 0;
  /** Bits of the mirrors that have had the packet as it is. */
  mirrors = 0;
  /** While a mirror's copy is sent: how much of it, 0 for all. */
  mirrorTruncate = 0;
  /** The set of OpenFlow 1.1 write_actions. */
  readonly actionSet: Ofpact[] = [];
  /** Values of push and pop, 16 bytes each as bigint. */
  readonly stack: bigint[] = [];
  /** Of the flow whose actions run; OpenFlow's "no cookie" for actions of no flow. */
  ruleCookie = NO_COOKIE;
  /** The packet has been through ct() and its state is still with it. */
  conntracked = false;
  /** A label has come off: what lies below is unknown until the packet has been recirculated. */
  wasMpls = false;
  /** What encap() or decap() has done since the last commit. */
  encapsulation: Encapsulation | undefined = undefined;
  /** With `exit`: what is left to do waits for the packet to come back (recirculate.ts). */
  freezing = false;
  again = false;
  /** What was decided holds for this packet alone: a megaflow that asks again goes. */
  transient = false;
  /** The datapath cannot do all of this: see FrozenTable.slowPath. */
  slow = false;
  /** The controller(pause) that froze the pipeline. */
  pause: ControllerAction | undefined = undefined;
  readonly frozenActions: Ofpact[] = [];
  /** What the datapath is to hash before the packet comes back: its algorithm, or -1. */
  hashAlgorithm = -1;
  hashBasis = 0;
  /** Within ct(): its nat(). */
  ctNat: Nat | undefined = undefined;
  /** Where the packet goes on after connection tracking, for traces. */
  readonly recirculations: Recirculation[] = [];
  /** skb_priority that pop_queue goes back to. */
  originalPriority = 0;
  /** Why CONTROLLER sends: OFPR_*; packet-outs override. */
  inPacketOut = false;
  inActionSet = false;
  inGroup = false;

  /** Ports that the packet has left by so far. */
  readonly outputs: Outputs = { count: 0, port: 0, netdev: undefined };
  /** NORMAL or FLOOD has sent it everywhere. */
  flooded = false;
  /** Where in `odp` the operand of the sFlow sample is, -1 without one. */
  sflowOperand = -1;

  /** Who gets this packet's statistics. */
  readonly credits: Credit[] = [];
  readonly learns: LearnCredit[] = [];
  /** What a later change would have to be in to concern this translation. */
  readonly footprint = new Footprint();

  /** Where a trace is being written, undefined when nobody asked. */
  trace: TraceNode[] | undefined = undefined;
  /** How the trace names ports; undefined: by number. */
  portNames: PortNames | undefined = undefined;
  /** Of a lookup that is traced: the rules of the conjunction that led to its answer. */
  readonly clauses: Rule[] = [];

  /** Expects `flow` filled in; everything else is made fresh. */
  begin(ofproto: Ofproto, nowMs: number, sideEffects: boolean, packetLength: number): void {
    this.ofproto = ofproto;
    this.first = ofproto;
    this.nowMs = nowMs;
    this.sideEffects = sideEffects;
    this.packetLength = packetLength;
    this.base.set(this.flow);
    this.original.set(this.flow);
    this.wildcards.fill(0);
    this.odp.reset();
    this.rule = undefined;
    this.tableId = 0;
    this.depth = 0;
    this.resubmits = 0;
    this.exit = false;
    this.error = undefined;
    this.truncate = 0;
    this.mirrors = 0;
    this.mirrorTruncate = 0;
    this.actionSet.length = 0;
    this.stack.length = 0;
    this.ruleCookie = NO_COOKIE;
    this.conntracked = false;
    this.wasMpls = false;
    this.encapsulation = undefined;
    this.freezing = false;
    this.again = false;
    this.transient = false;
    this.slow = false;
    this.pause = undefined;
    this.frozenActions.length = 0;
    this.hashAlgorithm = -1;
    this.ctNat = undefined;
    this.recirculations.length = 0;
    this.originalPriority = 0;
    this.inPacketOut = false;
    this.inActionSet = false;
    this.inGroup = false;
    this.outputs.count = 0;
    this.flooded = false;
    this.sflowOperand = -1;
    this.credits.length = 0;
    this.learns.length = 0;
    this.footprint.reset();

    // A datapath always tells these apart.
    const wildcards = this.wildcards;
    wildcards[W_IN_PORT] = -1;
    wildcards[W_RECIRC_ID] = -1;
    wildcards[W_PACKET_TYPE] = -1;
    wildcards[W_ETH_TYPE] = 0xffff;
    const type = this.flow[W_ETH_TYPE]!;
    if (type === ETH_TYPE_IP || type === ETH_TYPE_IPV6) wildcards[W_NW] = 0xff000000 | 0;
  }

  get inPort(): OfPort {
    return this.flow[W_IN_PORT]!;
  }

  port(number: OfPort): OfportState | undefined {
    return this.ofproto.portAt(number);
  }

  /** Ends the pipeline here; the actions that are left run when the packet comes back. */
  freeze(): void {
    this.freezing = true;
    this.exit = true;
  }

  /** The same, the action in hand being the first that is left. */
  freezeAgain(): void {
    this.freeze();
    this.again = true;
  }

  /** Makes the packet's headers what `flow` says, before it leaves. */
  commit(): void {
    const { encapsulation } = this;
    this.encapsulation = undefined;
    const masked = this.first.backer.features.has("masked_set_action");
    const { base, flow, odp, wildcards } = this;
    if (commitActions(base, flow, odp, wildcards, encapsulation, !this.wasMpls, masked)) this.slow = true;
  }

  // Reports. Callers build texts only after asking `tracing`.

  get tracing(): boolean {
    return this.trace !== undefined;
  }

  /** Adds a node; returns its children's list, to be made `trace` while they are reported. */
  node(type: TraceType, text: string): TraceNode[] | undefined {
    if (this.trace === undefined) return undefined;
    const subs: TraceNode[] = [];
    this.trace.push({ type, text, subs });
    return subs;
  }

  bridgeNode(): TraceNode[] | undefined {
    return this.node(OFT_BRIDGE, `bridge("${this.ofproto.name}")`);
  }

  tableNode(text: string): TraceNode[] | undefined {
    return this.node(OFT_TABLE, text);
  }

  actionNode(text: string): TraceNode[] | undefined {
    return this.node(OFT_ACTION, text);
  }

  detail(text: string): void {
    this.node(OFT_DETAIL, text);
  }

  warn(text: string): void {
    this.node(OFT_WARN, text);
  }

  /** What goes wrong in the translation of a packet (`shown`) is told where nobody traces it, too. */
  reportError(text: string, shown: Flow = this.base): void {
    if (this.tracing) this.node(OFT_ERROR, text);
    else {
      log.warnRl(errorLimit, `${text} on bridge ${this.ofproto.name} while processing ${formatFlow(shown)}`);
    }
  }

  fail(error: Exclude<XlateError, undefined>, text: string, shown: Flow = this.base): void {
    this.error = error;
    this.exit = true;
    this.reportError(text, shown);
  }
}
