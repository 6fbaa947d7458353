/**
 * All bridges of one datapath type share one datapath (upstream: `struct dpif_backer` and `struct udpif`): this owns the
 * map from datapath ports to bridges, answers upcalls with translations, and keeps the installed megaflows right.
 *
 * Right means: every change of tables, ports or learned addresses moves `generation` on, and a megaflow of an older
 * generation is translated again: kept, given new actions, or deleted. That happens in slices of a few milliseconds,
 * upcalls being served in between; `settled()` resolves when no megaflow of an older generation is left and the
 * datapath has applied what followed. Every half second statistics are credited and idle megaflows deleted.
 */
import {
  type DpFlowStats,
  type Dpif,
  type FlowHandle,
  type OdpPort,
  UPCALL_ACTION,
  type Upcall,
  type UpcallReply,
} from "../datapath/dpif.ts";
import { FLOW_DP_WORDS, FLOW_WORDS, type Flow, W_IN_PORT, W_RECIRC_ID } from "../flow/layout.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { type FrozenState, FrozenTable, frozenInPort } from "./frozen.ts";
import type { Ofproto } from "./ofproto.ts";
import type { OfportState } from "./ports.ts";
import type { Log, OfPort } from "./types.ts";
import { Ukeys } from "./ukeys.ts";
import { type Credit, XlateContext } from "./xlate/context.ts";
import { megaflowMask, translate } from "./xlate/translate.ts";

/** How long revalidation may hold the thread. */
const SLICE_MS = 4;
/** Time between two looks at statistics. */
const PASS_INTERVAL_MS = 500;
/** Learned addresses change in bursts: revalidation of their own accord waits this long. */
const LAZY_DELAY_MS = 5;

export interface BackerOptions {
  /** Datapath type as in Bridge.datapath_type after normalisation: "netdev", "dummy", "system". */
  type: string;
  dpif: Dpif;
  clock: Clock;
  log: Log;
  /** Milliseconds of real time, for the length of slices; `clock.now` may be frozen. */
  realNow?: () => number;
}

export interface UpcallLimits {
  /** other_config:flow-limit (200000). */
  flowLimit: number;
  /** other_config:max-idle in ms (10000). */
  maxIdleMs: number;
  /** other_config:max-revalidator in ms (500). */
  maxRevalidatorMs: number;
}

export class Backer {
  readonly type: string;
  readonly dpif: Dpif;
  readonly clock: Clock;
  readonly log: Log;
  /** Bridges by name, kept by {@link Ofproto}'s constructor and `close`. */
  readonly ofprotos = new Map<string, Ofproto>();
  /** What recirc_ids and userspace actions stand for. */
  readonly frozen = new FrozenTable();
  readonly ukeys = new Ukeys();
  /** Numbers of meters in use in the datapath. */
  readonly meterIds = new Set<number>();
  /** How long a bundle of messages may wait for the next (other_config:bundle-idle-timeout). */
  bundleIdleMs = 10_000;
  /** For traces and everything that is not an upcall or a revalidation. */
  readonly xlate = new XlateContext();

  limits: UpcallLimits = { flowLimit: 200_000, maxIdleMs: 10_000, maxRevalidatorMs: 500 };
  /** upcall/set-flow-limit and what revalidation can keep up with. */
  flowLimit = 10_000;
  megaflowsEnabled = true;
  ufidEnabled = true;
  dumpDurationMs = 1;
  maxFlows = 0;
  averageFlows = 0;

  private readonly realNow: () => number;
  private readonly byOdp = new Map<OdpPort, { ofproto: Ofproto; port: OfportState }>();
  private readonly upcallContext = new XlateContext();
  private readonly revalContext = new XlateContext();
  private readonly upcallMask: Flow = new Int32Array(FLOW_WORDS);
  private readonly revalMask: Flow = new Int32Array(FLOW_WORDS);
  private readonly stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };

  /** Grows with every change that may give some packet another way. */
  private generation = 1;
  /** Generation that every installed megaflow has reached. */
  private cleanGeneration = 1;
  private pass: RevalidationPass | undefined = undefined;
  private passScheduled = false;
  private lazyTimer: Timer | undefined = undefined;
  private timer: Timer | undefined = undefined;
  private readonly waiters: (() => void)[] = [];
  private readonly deletions = new Set<Promise<unknown>>();
  private paused = false;
  private closed = false;

  constructor(options: BackerOptions) {
    this.type = options.type;
    this.dpif = options.dpif;
    this.clock = options.clock;
    this.log = options.log;
    this.realNow = options.realNow ?? (() => this.clock.now());
    this.dpif.setUpcallHandler((upcall) => this.upcall(upcall));
    this.armTimer();
  }

  /** Tuning from Open_vSwitch.other_config. */
  setLimits(limits: UpcallLimits): void {
    this.limits = limits;
    this.flowLimit = Math.min(this.flowLimit, limits.flowLimit);
  }

  // Ports.

  /** odp port → bridge and port, undefined for a port that is no bridge's. */
  portOf(odpPort: OdpPort): { ofproto: Ofproto; ofPort: OfPort } | undefined {
    const found = this.byOdp.get(odpPort);
    return found === undefined ? undefined : { ofproto: found.ofproto, ofPort: found.port.ofPort };
  }

  bindPort(ofproto: Ofproto, port: OfportState): void {
    if (port.odpPort !== undefined) this.byOdp.set(port.odpPort, { ofproto, port });
  }

  unbindPort(port: OfportState): void {
    if (port.odpPort !== undefined) this.byOdp.delete(port.odpPort);
  }

  /**
   * Where translation of a packet with this key begins: in its port's bridge, or in the state that its recirc_id stands
   * for. Fills in `flow`; undefined when there is no such place (any more).
   */
  enter(key: Flow, flow: Flow): { ofproto: Ofproto; state: FrozenState | undefined } | undefined {
    if (key[W_RECIRC_ID] === 0) {
      const from = this.byOdp.get(key[W_IN_PORT]!);
      if (from === undefined) return undefined;
      fillFlow(flow, key, from.port.ofPort);
      return { ofproto: from.ofproto, state: undefined };
    }
    const state = this.frozen.state(key[W_RECIRC_ID]!);
    if (state === undefined) return undefined;
    fillFlow(flow, key, frozenInPort(state));
    return { ofproto: state.ofproto, state };
  }

  /** The other end of a patch port; both must name each other. */
  patchPeer(ofproto: Ofproto, port: OfportState): { ofproto: Ofproto; port: OfportState } | undefined {
    const name = port.peerName;
    if (name === undefined) return undefined;
    for (const other of this.ofprotos.values()) {
      const peer = other.portStateByName(name);
      if (peer === undefined) continue;
      if (!peer.isPatch || peer.peerName !== port.name) return undefined;
      return other === ofproto && peer === port ? undefined : { ofproto: other, port: peer };
    }
    return undefined;
  }

  // Upcalls.

  private upcall(upcall: Upcall): UpcallReply | undefined {
    try {
      return upcall.kind === UPCALL_ACTION ? this.userspaceAction(upcall) : this.miss(upcall);
    } catch (error) {
      this.log("ofproto_dpif_upcall", "err", `upcall failed: ${(error as Error).stack ?? error}`);
      return undefined;
    }
  }

  private miss(upcall: Upcall): UpcallReply | undefined {
    const ctx = this.upcallContext;
    const from = this.enter(upcall.key, ctx.flow);
    if (from === undefined) return undefined;
    const now = this.clock.now();
    const { length } = upcall.packet;
    const { generation } = this;
    ctx.trace = undefined;
    translate(ctx, from.ofproto, now, true, length, from.state);
    // The packet itself: a megaflow's statistics begin with the next one.
    for (const credit of ctx.credits) credit.credit(1, length, now);

    const actions = ctx.odp.words.subarray(0, ctx.odp.length);
    if (this.ukeys.size >= this.flowLimit) {
      return { actions, mask: undefined, flowActions: undefined, installed: undefined };
    }
    const mask = this.upcallMask;
    if (this.megaflowsEnabled) megaflowMask(ctx, mask);
    else exactMask(mask);
    const credits = ctx.credits.slice();
    const learns = ctx.learns.slice();
    return {
      actions,
      mask,
      flowActions: undefined,
      installed: (handle) => {
        this.ukeys.add(handle, now, generation, credits, learns);
        if (this.ukeys.size > this.maxFlows) this.maxFlows = this.ukeys.size;
        if (generation !== this.generation) this.schedulePass();
      },
    };
  }

  private userspaceAction(upcall: Upcall): undefined {
    const action = this.frozen.action(upcall.userdata);
    if (action === undefined || action.copy.dontSend) return undefined;
    action.state.ofproto.sendPacketIn(action.state, action.copy, upcall.packet, upcall.key);
    return undefined;
  }

  // Revalidation.

  /**
   * Something changed. `lazy`: nobody was promised anything (a learned address), so changes that follow soon are
   * handled together.
   */
  changed(lazy = false): void {
    this.generation++;
    if (this.ukeys.size === 0) {
      this.cleanGeneration = this.generation;
      return;
    }
    if (!lazy) {
      this.schedulePass();
    } else if (this.lazyTimer === undefined && !this.passScheduled) {
      this.lazyTimer = this.clock.background(LAZY_DELAY_MS, () => {
        this.lazyTimer = undefined;
        this.schedulePass();
      });
    }
  }

  private schedulePass(): void {
    if (this.passScheduled || this.closed) return;
    this.passScheduled = true;
    this.clock.soon(() => this.runSlice());
  }

  private runSlice(): void {
    this.passScheduled = false;
    if (this.closed) {
      this.wake();
      return;
    }
    if (this.paused) return;
    this.pass ??= new RevalidationPass(this.generation, this.dpif.flows()[Symbol.iterator](), this.realNow());
    const { pass } = this;
    const end = this.realNow() + SLICE_MS;
    let count = 0;
    for (;;) {
      const next = pass.flows.next();
      if (next.done === true) {
        this.finishPass(pass);
        return;
      }
      this.frozen.mark(next.value.actions);
      this.visit(next.value.handle, next.value.key, next.value.mask, next.value.actions, pass.expire);
      pass.seen++;
      if ((++count & 15) === 0 && this.realNow() >= end) break;
    }
    this.schedulePass();
  }

  private finishPass(pass: RevalidationPass): void {
    this.pass = undefined;
    this.frozen.sweep();
    this.dumpDurationMs = Math.max(1, Math.round(this.realNow() - pass.startedMs));
    this.averageFlows = Math.round((this.averageFlows + pass.seen) / 2);
    this.cleanGeneration = pass.generation;
    this.adaptFlowLimit(pass.seen);
    if (pass.expire) for (const ofproto of this.ofprotos.values()) ofproto.expire();
    if (this.cleanGeneration < this.generation || this.expireWanted) this.startPass();
    else this.wake();
  }

  private expireWanted = false;

  private startPass(): void {
    if (this.pass === undefined && !this.closed) {
      this.pass = new RevalidationPass(this.generation, this.dpif.flows()[Symbol.iterator](), this.realNow());
      this.pass.expire = this.expireWanted;
      this.expireWanted = false;
    }
    this.schedulePass();
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter();
  }

  /** As many megaflows as one pass can look after in half a second or so. */
  private adaptFlowLimit(seen: number): void {
    const duration = this.dumpDurationMs;
    let limit = this.flowLimit;
    if (duration > 2000) limit = Math.floor(limit / (duration / 1000));
    else if (duration > 1300) limit = Math.floor((limit * 3) / 4);
    else if (duration < 1000 && seen > 2000 && limit < (seen * 1000) / duration) limit += 1000;
    this.flowLimit = Math.min(this.limits.flowLimit, Math.max(limit, 1000));
  }

  /** Statistics of one megaflow, and whether it may stay. */
  private visit(handle: FlowHandle, key: Flow, mask: Flow, actions: Int32Array, expire: boolean): void {
    const { ukeys, stats } = this;
    const slot = ukeys.slotOf(handle);
    if (slot === undefined) return;
    if (!this.dpif.flowStats(handle, stats)) {
      ukeys.remove(handle);
      return;
    }
    ukeys.push(slot, stats.packets, stats.bytes, stats.usedMs);
    if (expire) {
      const used = stats.usedMs > 0 ? stats.usedMs : ukeys.createdMs[slot]!;
      const idle = this.clock.now() - used;
      const limit = this.ukeys.size > this.flowLimit ? 100 : this.limits.maxIdleMs;
      if (idle >= limit) {
        this.deleteFlow(handle, slot);
        return;
      }
    }
    if (ukeys.generation[slot] !== this.generation) this.revalidate(handle, slot, key, mask, actions);
  }

  private revalidate(handle: FlowHandle, slot: number, key: Flow, mask: Flow, actions: Int32Array): void {
    const ctx = this.revalContext;
    const from = this.enter(key, ctx.flow);
    if (from === undefined) {
      this.deleteFlow(handle, slot);
      return;
    }
    ctx.trace = undefined;
    const { generation } = this;
    translate(ctx, from.ofproto, this.clock.now(), false, 0, from.state);
    const fresh = this.revalMask;
    if (this.megaflowsEnabled) megaflowMask(ctx, fresh);
    else exactMask(fresh);
    for (let i = 0; i < FLOW_DP_WORDS; i++) {
      // A bit decides now that the megaflow does not match on: it is too wide.
      if ((fresh[i]! & ~mask[i]!) !== 0) {
        this.deleteFlow(handle, slot);
        return;
      }
    }
    const { ukeys } = this;
    if (!sameProgram(ctx.odp.words, ctx.odp.length, actions)) {
      this.dpif.flowSetActions(handle, ctx.odp.take());
    }
    ukeys.replaceCredits(slot, ctx.credits, ctx.learns);
    ukeys.generation[slot] = generation;
  }

  /** Packets that took the flow until it was gone are credited when the datapath tells their number. */
  private deleteFlow(handle: FlowHandle, slot: number): void {
    const { ukeys } = this;
    const packets = ukeys.pushedPackets[slot]!;
    const bytes = ukeys.pushedBytes[slot]!;
    const credits: Credit[] = [...ukeys.creditsOf(slot)];
    ukeys.remove(handle);
    const deletion = this.dpif
      .flowDel(handle)
      .then((last) => {
        if (last.packets <= packets) return;
        for (const credit of credits) credit.credit(last.packets - packets, last.bytes - bytes, last.usedMs);
      })
      .catch((error: Error) =>
        this.log("ofproto_dpif_upcall", "warn", `deleting a flow failed: ${error.message}`),
      )
      .finally(() => this.deletions.delete(deletion));
    this.deletions.add(deletion);
  }

  /** Resolves when every change made so far governs every packet: megaflows revalidated, datapath settled. */
  async settled(): Promise<void> {
    await this.dpif.settled();
    await this.revalidated();
    await Promise.all(this.deletions);
    await this.dpif.settled();
  }

  /** Resolves when no megaflow is older than the latest change. */
  private revalidated(): Promise<void> {
    if (this.cleanGeneration === this.generation || this.closed || this.paused) return Promise.resolve();
    this.lazyTimer?.cancel();
    this.lazyTimer = undefined;
    return new Promise((resolve) => {
      this.waiters.push(resolve);
      this.startPass();
    });
  }

  /** A whole pass of statistics, revalidation and expiry; resolves when it is done. */
  async fullPass(): Promise<void> {
    if (this.paused) return;
    await this.dpif.settled();
    await new Promise<void>((resolve) => {
      this.expireWanted = true;
      this.waiters.push(resolve);
      this.startPass();
    });
    await Promise.all(this.deletions);
    await this.dpif.settled();
  }

  /** Credits what the datapath has counted so far, at once. */
  pushStats(): void {
    const { ukeys, stats } = this;
    for (const handle of ukeys.handles()) {
      const slot = ukeys.slotOf(handle)!;
      if (this.dpif.flowStats(handle, stats)) ukeys.push(slot, stats.packets, stats.bytes, stats.usedMs);
    }
  }

  /** revalidator/purge: deletes every megaflow. */
  async purge(): Promise<void> {
    for (const handle of [...this.ukeys.handles()]) this.deleteFlow(handle, this.ukeys.slotOf(handle)!);
    await this.settled();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.schedulePass();
  }

  private armTimer(): void {
    this.timer = this.clock.background(Math.min(PASS_INTERVAL_MS, this.limits.maxRevalidatorMs), () => {
      if (this.closed) return;
      if (!this.paused) {
        this.expireWanted = true;
        this.startPass();
      }
      this.armTimer();
    });
  }

  /** After the last bridge has gone: detaches from the Dpif (which its owner closes). */
  async close(): Promise<void> {
    this.closed = true;
    this.timer?.cancel();
    this.lazyTimer?.cancel();
    this.dpif.setUpcallHandler(undefined);
    for (const handle of [...this.ukeys.handles()]) this.deleteFlow(handle, this.ukeys.slotOf(handle)!);
    this.wake();
    await Promise.all(this.deletions);
  }
}

/** One walk over all megaflows. */
class RevalidationPass {
  readonly generation: number;
  readonly flows: Iterator<{ handle: FlowHandle; key: Flow; mask: Flow; actions: Int32Array }>;
  readonly startedMs: number;
  expire = false;
  seen = 0;

  constructor(generation: number, flows: RevalidationPass["flows"], startedMs: number) {
    this.generation = generation;
    this.flows = flows;
    this.startedMs = startedMs;
  }
}

/** An OpenFlow flow from a datapath key. */
export function fillFlow(flow: Flow, key: Flow, inPort: OfPort): void {
  for (let i = 0; i < FLOW_DP_WORDS; i++) flow[i] = key[i]!;
  flow.fill(0, FLOW_DP_WORDS);
  flow[W_IN_PORT] = inPort;
}

function exactMask(mask: Flow): void {
  mask.fill(-1, 0, FLOW_DP_WORDS);
}

function sameProgram(words: Int32Array, length: number, actions: Int32Array): boolean {
  if (actions.length !== length) return false;
  for (let i = 0; i < length; i++) if (words[i] !== actions[i]) return false;
  return true;
}
