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
  type DpFlow,
  type DpFlowStats,
  type Dpif,
  type FlowHandle,
  type OdpPort,
  UPCALL_ACTION,
  UPCALL_KNOWN,
  type Upcall,
  type UpcallReply,
} from "../datapath/dpif.ts";
import { ODP_METER, ODP_SAMPLE, ODP_USERSPACE, OdpActionBuilder } from "../datapath/odp/actions.ts";
import {
  FLOW_DP_WORDS,
  FLOW_WORDS,
  type Flow,
  W_ETH_DST_HI,
  W_IN_PORT,
  W_IPV6_LABEL,
  W_NW,
  W_RECIRC_ID,
  W_TCP_FLAGS,
} from "../flow/layout.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { coverage } from "../lib/coverage.ts";
import { RateLimit } from "../lib/vlog.ts";
import { Changes } from "./changes.ts";
import { Features } from "./features.ts";
import { type FrozenState, FrozenTable, frozenInPort } from "./frozen.ts";
import { OFPM_SLOWPATH } from "./meter.ts";
import type { Ofproto } from "./ofproto.ts";
import type { OfportState } from "./ports.ts";
import type { Rule } from "./rule.ts";
import { traceText } from "./trace.ts";
import { type Log, OFPP_NONE, type OfPort } from "./types.ts";
import { Ukeys } from "./ukeys.ts";
import { XlateContext } from "./xlate/context.ts";
import { exactMask, megaflowMask, translate } from "./xlate/translate.ts";

/** How long revalidation may hold the thread. */
const SLICE_MS = 4;
/** What a megaflow costs that is translated again, one that is only looked at being 1, and after how much to look at the clock. */
const TRANSLATION_COST = 64;
const CLOCK_COST = 1024;
/** While a port has all the masks that it may have, the seldom used ones make room sooner. */
const PRESSED_IDLE_MS = 1500;
/** Generation of a megaflow that is to be translated again whatever has changed. */
const STALE = 0;
/** Time between two looks at statistics. */
const PASS_INTERVAL_MS = 500;
/** Learned addresses change in bursts: revalidation of their own accord waits this long. */
const LAZY_DELAY_MS = 5;

const maskLimit = coverage("upcall_mask_limit");
const missingFlow = coverage("revalidate_missing_dp_flow");

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

/** Where a packet enters the tables. */
interface Entry {
  ofproto: Ofproto;
  /** What its recirc_id stands for. */
  state: FrozenState | undefined;
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
  readonly features: Features;
  readonly ukeys = new Ukeys();
  /** Numbers of meters in use in the datapath. */
  readonly meterIds = new Set<number>();
  /** How long a bundle of messages may wait for the next (other_config:bundle-idle-timeout). */
  bundleIdleMs = 10_000;
  /** Something about the bridges has changed since whoever configures them last looked. */
  reconfigured = false;
  /** For traces and everything that is not an upcall or a revalidation. */
  readonly xlate = new XlateContext();

  limits: UpcallLimits = { flowLimit: 200_000, maxIdleMs: 10_000, maxRevalidatorMs: 500 };
  /** upcall/set-flow-limit and what revalidation can keep up with. */
  flowLimit = 10_000;
  megaflowsEnabled = true;
  ufidEnabled = true;
  /** other_config:explicit-sampled-drops: what is only sampled is dropped by an action of its own, and counted. */
  explicitSampledDrops = false;
  dumpDurationMs = 1;
  maxFlows = 0;
  /** How often a port had no room for another mask. */
  maskLimitHits = 0;
  averageFlows = 0;

  private readonly failureLimit = new RateLimit(1, 1);
  private readonly realNow: () => number;
  private readonly byOdp = new Map<OdpPort, { ofproto: Ofproto; port: OfportState }>();
  private readonly slow = new OdpActionBuilder();
  /** What {@link enter} and {@link miss} return, good until the next call. */
  private readonly entry: Entry = {
    ofproto: undefined as unknown as Ofproto,
    state: undefined,
  };
  private readonly reply: UpcallReply = {
    actions: new Int32Array(0),
    mask: undefined,
    flowActions: undefined,
    installed: undefined,
  };
  /** Of the latest miss. */
  private missMs = 0;
  private missGeneration = 0;
  /** Deleted in this turn, and not yet in the datapath. */
  private doomed: FlowHandle[] = [];
  private readonly upcallContext = new XlateContext();
  private readonly revalContext = new XlateContext();
  private readonly upcallMask: Flow = new Int32Array(FLOW_WORDS);
  private readonly revalMask: Flow = new Int32Array(FLOW_WORDS);
  private readonly stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  private readonly flow: DpFlow = {
    handle: -1,
    key: new Int32Array(FLOW_DP_WORDS),
    mask: new Int32Array(FLOW_DP_WORDS),
    actions: new Int32Array(0),
  };

  /** Grows with every change that may give some packet another way. */
  private generation = 1;
  /** Generation that every installed megaflow has reached. */
  private cleanGeneration = 1;
  /** What has changed since the latest pass began. */
  private pending = new Changes();
  /** Passes begun. */
  private passes = 0;
  private pass: RevalidationPass | undefined = undefined;
  private passScheduled = false;
  private lazyTimer: Timer | undefined = undefined;
  private timer: Timer | undefined = undefined;
  private waiters: Waiter[] = [];
  private readonly deletions = new Set<Promise<unknown>>();
  private paused = false;
  private closed = false;

  constructor(options: BackerOptions) {
    this.type = options.type;
    this.dpif = options.dpif;
    this.features = new Features(options.dpif.features);
    this.clock = options.clock;
    this.log = options.log;
    this.realNow = options.realNow ?? (() => this.clock.now());
    this.dpif.userspaceText = (operand) => this.frozen.formatUserspace(operand);
    this.dpif.setUpcallHandler((upcall) => this.upcall(upcall));
    this.armTimer();
  }

  /** Tuning from Open_vSwitch.other_config. */
  setLimits(limits: UpcallLimits): void {
    this.limits = limits;
    this.flowLimit = Math.min(this.flowLimit, limits.flowLimit);
  }

  /** How many tags packets are told apart by: all megaflows are made anew. */
  setVlanLimit(tags: number): void {
    if (this.features.vlanLimit === tags) return;
    this.features.vlanLimit = tags;
    this.dpif.setVlanLimit(tags);
    this.dropAll();
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
   * for. Fills in `flow`; undefined when there is no such place (any more). The object is good until the next call.
   */
  enter(key: Flow, flow: Flow): Entry | undefined {
    const { entry } = this;
    if (key[W_RECIRC_ID] === 0) {
      const from = this.byOdp.get(key[W_IN_PORT]!);
      if (from === undefined) return undefined;
      fillFlow(flow, key, from.port.ofPort);
      entry.ofproto = from.ofproto;
      entry.state = undefined;
      return entry;
    }
    const state = this.frozen.state(key[W_RECIRC_ID]!);
    if (state === undefined) return undefined;
    fillFlow(flow, key, frozenInPort(state));
    entry.ofproto = state.ofproto;
    entry.state = state;
    return entry;
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
    this.missMs = now;
    this.missGeneration = this.generation;
    ctx.trace = undefined;
    translate(ctx, from.ofproto, now, true, length, from.state);
    // The packet itself: a megaflow's statistics begin with the next one.
    const tcpFlags = ctx.original[W_TCP_FLAGS]! & 0xfff;
    const { credits } = ctx;
    if (upcall.kind !== UPCALL_KNOWN)
      for (let i = 0; i < credits.length; i++) credits[i]!.credit(1, length, now, tcpFlags);
    // Other failures are told by their message alone, as they are in the original.
    if (ctx.error === "recursion" || ctx.error === "resubmits") this.explainFailure(upcall, from);

    const { reply } = this;
    reply.actions = ctx.odp.words.subarray(0, ctx.odp.length);
    reply.mask = undefined;
    reply.flowActions = undefined;
    reply.installed = undefined;
    if (this.ukeys.size >= this.flowLimit) return reply;
    const mask = this.upcallMask;
    if (this.megaflowsEnabled) megaflowMask(ctx, mask);
    else exactMask(upcall.key, mask);
    if (!this.dpif.hasRoomFor(upcall.key, mask)) {
      narrowMask(mask);
      this.masksPressed = true;
      this.maskLimitHits++;
      maskLimit.count++;
    }
    reply.mask = mask;
    if (ctx.slow) reply.flowActions = this.slowProgram(ctx);
    reply.installed = this.installed;
    return reply;
  }

  /** Logs the whole way of a packet that goes round in circles. */
  private explainFailure(upcall: Upcall, { ofproto, state }: Entry): void {
    if (!this.failureLimit.admit(this.realNow())) return;
    const flow = new Int32Array(FLOW_WORDS);
    this.enter(upcall.key, flow);
    const request = { ofproto, flow, state, packet: undefined, names: false, actions: undefined, ctNext: [] };
    this.log("ofproto_dpif_upcall", "warn", traceText(request));
  }

  /** The megaflow of the latest miss is in the datapath. */
  private readonly installed = (handle: FlowHandle): void => {
    const { credits, learns, footprint } = this.upcallContext;
    // The translation itself may have changed what it should have seen: a learned flow or address.
    const current = this.missGeneration === this.generation;
    this.ukeys.add(handle, this.missMs, current ? this.generation : STALE, credits, learns, footprint);
    if (this.ukeys.size > this.maxFlows) this.maxFlows = this.ukeys.size;
    if (!current) this.handleChanges(true);
  };

  private userspaceAction(upcall: Upcall): UpcallReply | undefined {
    const action = this.frozen.action(upcall.userdata);
    if (action === undefined) return undefined;
    if ("slow" in action) return this.slowPath(upcall);
    if ("sample" in action) {
      const from = this.byOdp.get(upcall.key[W_IN_PORT]!);
      action.ofproto.sampling?.sampled(
        action.sample,
        upcall.packet,
        upcall.key,
        from?.port.ofPort ?? OFPP_NONE,
      );
      return undefined;
    }
    if (action.copy.dontSend) return undefined;
    action.state.ofproto.sendPacketIn(action.state, action.copy, upcall.packet, upcall.key);
    return undefined;
  }

  /** What a megaflow has whose packets are translated one by one; they may be limited by a meter of their own. */
  private slowProgram(ctx: XlateContext): Int32Array {
    const { slow } = this;
    slow.reset();
    const meter = ctx.first.meters.get(OFPM_SLOWPATH);
    const nested = meter === undefined ? -1 : slow.openNested(ODP_SAMPLE);
    if (meter !== undefined) {
      slow.emitWord(-1);
      slow.emit(ODP_METER, meter.dpId);
    }
    slow.emit(ODP_USERSPACE, this.frozen.slowPath());
    if (nested >= 0) slow.closeNested(nested);
    return slow.take();
  }

  /** A packet of such a megaflow, which counts it. */
  private slowPath(upcall: Upcall): UpcallReply | undefined {
    const ctx = this.upcallContext;
    const from = this.enter(upcall.key, ctx.flow);
    if (from === undefined) return undefined;
    ctx.trace = undefined;
    translate(ctx, from.ofproto, this.clock.now(), true, upcall.packet.length, from.state);
    const actions = ctx.odp.words.subarray(0, ctx.odp.length);
    return { actions, mask: undefined, flowActions: undefined, installed: undefined };
  }

  // Revalidation.

  /**
   * Something changed that may concern any megaflow. `lazy`: nobody was promised anything, so changes that follow soon
   * are handled together.
   */
  changed(lazy = false): void {
    this.reconfigured = true;
    this.pending.addAll();
    this.generation++;
    this.handleChanges(lazy);
  }

  /** A rule comes, goes or changes; it is in its table. {@link handleChanges} follows when all is done. */
  ruleChanged(ofproto: Ofproto, rule: Rule): void {
    this.generation++;
    if (this.ukeys.size === 0) return;
    if (this.pending.hasRoom) this.pending.addRule(ofproto.id, rule.table, rule.packedMatch);
    else this.pending.addTable(ofproto.id, rule.table);
  }

  /** A learned address is new, or at another port. */
  addressChanged(ofproto: Ofproto, mac: number): void {
    this.generation++;
    if (this.ukeys.size > 0) this.pending.addAddress(ofproto.id, mac);
    this.handleChanges(true);
  }

  /** Sees to it that megaflows follow what has changed. */
  handleChanges(lazy = false): void {
    if (this.ukeys.size === 0) {
      this.pending = new Changes();
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
    const pass = this.beginPass();
    const start = this.realNow();
    const end = start + SLICE_MS;
    let cost = 0;
    while (pass.slot < this.ukeys.slotEnd) {
      cost += this.visit(pass.slot++, pass);
      if (cost < CLOCK_COST) continue;
      cost = 0;
      const now = this.realNow();
      if (now >= end) {
        pass.busyMs += now - start;
        this.deleteDoomed();
        this.schedulePass();
        return;
      }
    }
    pass.busyMs += this.realNow() - start;
    this.deleteDoomed();
    this.finishPass(pass);
  }

  /** The pass under way, or a new one. */
  private beginPass(): RevalidationPass {
    if (this.pass !== undefined) return this.pass;
    const pass = new RevalidationPass(++this.passes, this.generation, this.pending);
    this.pending = new Changes();
    pass.expire = this.expireWanted;
    pass.maxIdleMs = this.limits.maxIdleMs;
    if (pass.expire && this.masksPressed) {
      pass.maxIdleMs = Math.min(pass.maxIdleMs, PRESSED_IDLE_MS);
      this.masksPressed = false;
    }
    pass.killAll = this.ukeys.size > 2 * this.flowLimit;
    this.expireWanted = false;
    this.pass = pass;
    return pass;
  }

  private finishPass(pass: RevalidationPass): void {
    this.pass = undefined;
    this.cleanGeneration = pass.generation;
    if (pass.expire) {
      this.dumpDurationMs = Math.max(1, Math.round(pass.busyMs));
      this.averageFlows = Math.round((this.averageFlows + pass.seen) / 2);
      this.adaptFlowLimit(pass.seen);
      this.frozen.sweep();
      for (const ofproto of this.ofprotos.values()) ofproto.expire();
    }
    this.wake(pass);
    if (this.cleanGeneration < this.generation || this.expireWanted || this.waiters.length > 0)
      this.schedulePass();
  }

  private expireWanted = false;
  /** Some port had no room for another mask since the latest look at idle times. */
  private masksPressed = false;

  /** Resolves what waited for this pass, or, at the end, everything. */
  private wake(pass?: RevalidationPass): void {
    const { waiters } = this;
    this.waiters = [];
    for (const waiter of waiters) {
      if (pass !== undefined && (waiter.generation > pass.generation || waiter.pass > pass.number))
        this.waiters.push(waiter);
      else waiter.resolve();
    }
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

  /** Looks after one megaflow; returns what that has cost. */
  private visit(slot: number, pass: RevalidationPass): number {
    const { ukeys, stats, dpif } = this;
    const handle = ukeys.handle[slot]!;
    if (handle < 0) return 1;
    pass.seen++;
    const concerned = ukeys.generation[slot]! < pass.generation && this.concerned(handle, slot, pass.changes);
    if (!concerned && !pass.expire) return 1;
    if (!dpif.readFlow(handle, this.flow) || !dpif.flowStats(handle, stats)) {
      missingFlow.count++;
      ukeys.remove(handle);
      return 1;
    }
    ukeys.push(slot, stats.packets, stats.bytes, stats.usedMs, stats.tcpFlags);
    if (pass.expire) {
      this.frozen.mark(this.flow.actions);
      const used = stats.usedMs > 0 ? stats.usedMs : ukeys.createdMs[slot]!;
      const idle = this.clock.now() - used;
      const limit = ukeys.size > this.flowLimit ? 100 : pass.maxIdleMs;
      if (idle >= limit || pass.killAll) {
        this.deleteFlow(handle, slot);
        return TRANSLATION_COST;
      }
    }
    if (!concerned) return 4;
    this.revalidate(handle, slot, this.flow);
    return TRANSLATION_COST;
  }

  /** Whether the changes may concern a megaflow; one that they do not has reached their generation. */
  private concerned(handle: FlowHandle, slot: number, changes: Changes): boolean {
    const { ukeys, flow } = this;
    if (ukeys.generation[slot] === STALE) return true;
    const tagsLo = ukeys.tagsLo[slot]!;
    const tagsHi = ukeys.tagsHi[slot]!;
    if (changes.mayConcern(tagsLo, tagsHi)) {
      if (!this.dpif.readFlow(handle, flow)) return true;
      const from = flow.key[W_RECIRC_ID] === 0 ? this.byOdp.get(flow.key[W_IN_PORT]!) : undefined;
      const inPort = from === undefined ? -1 : from.port.ofPort;
      const alteredLo = ukeys.alteredLo[slot]!;
      const alteredHi = ukeys.alteredHi[slot]!;
      if (changes.concern(tagsLo, tagsHi, alteredLo, alteredHi, flow.key, flow.mask, inPort)) return true;
    }
    ukeys.generation[slot] = this.pass!.generation;
    return false;
  }

  private revalidate(handle: FlowHandle, slot: number, { key, mask, actions }: DpFlow): void {
    const ctx = this.revalContext;
    const from = this.enter(key, ctx.flow);
    if (from === undefined) {
      this.deleteFlow(handle, slot);
      return;
    }
    ctx.trace = undefined;
    const { generation } = this;
    translate(ctx, from.ofproto, this.clock.now(), false, 0, from.state);
    if (ctx.transient) {
      this.deleteFlow(handle, slot);
      return;
    }
    const fresh = this.revalMask;
    if (this.megaflowsEnabled) megaflowMask(ctx, fresh);
    else exactMask(key, fresh);
    for (let i = 0; i < FLOW_DP_WORDS; i++) {
      // A bit decides now that the megaflow does not match on: it is too wide.
      if ((fresh[i]! & ~mask[i]!) !== 0) {
        this.deleteFlow(handle, slot);
        return;
      }
    }
    const program = ctx.slow ? this.slowProgram(ctx) : ctx.odp.words;
    const length = ctx.slow ? program.length : ctx.odp.length;
    if (!sameProgram(program, length, actions)) this.dpif.flowSetActions(handle, program.slice(0, length));
    this.ukeys.replace(slot, generation, ctx.credits, ctx.learns, ctx.footprint);
  }

  private deleteFlow(handle: FlowHandle, slot: number): void {
    this.ukeys.retire(slot);
    this.doomed.push(handle);
  }

  /** Packets that took a flow until it was gone are credited when the datapath tells their number. */
  private deleteDoomed(): void {
    const { doomed } = this;
    if (doomed.length === 0) return;
    this.doomed = [];
    const deletion = this.dpif
      .flowsDel(doomed, (flow, last) =>
        this.ukeys.gone(flow, last.packets, last.bytes, last.usedMs, last.tcpFlags),
      )
      .catch((error: Error) =>
        this.log("ofproto_dpif_upcall", "warn", `deleting flows failed: ${error.message}`),
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
      this.waiters.push({ generation: this.generation, pass: 0, resolve });
      this.schedulePass();
    });
  }

  /** A whole pass of statistics, revalidation and expiry; resolves when it is done. */
  async fullPass(): Promise<void> {
    if (this.paused) return;
    await this.dpif.settled();
    await new Promise<void>((resolve) => {
      this.expireWanted = true;
      this.waiters.push({ generation: this.generation, pass: this.passes + 1, resolve });
      this.schedulePass();
    });
    await Promise.all(this.deletions);
    await this.dpif.settled();
  }

  /** Credits what the datapath has counted so far, at once. */
  pushStats(): void {
    const { ukeys, stats } = this;
    for (const handle of ukeys.handles()) {
      const slot = ukeys.slotOf(handle)!;
      if (this.dpif.flowStats(handle, stats))
        ukeys.push(slot, stats.packets, stats.bytes, stats.usedMs, stats.tcpFlags);
    }
  }

  /** revalidator/purge: deletes every megaflow. */
  async purge(): Promise<void> {
    this.dropAll();
    this.frozen.retire();
    await this.settled();
  }

  /** Somebody else has deleted a megaflow: what it had counted last. The next pass finds it missing. */
  flowTaken(handle: FlowHandle, last: DpFlowStats): void {
    const slot = this.ukeys.slotOf(handle);
    if (slot !== undefined) this.ukeys.push(slot, last.packets, last.bytes, last.usedMs, last.tcpFlags);
  }

  private dropAll(): void {
    for (const handle of this.ukeys.handles()) this.deleteFlow(handle, this.ukeys.slotOf(handle)!);
    this.deleteDoomed();
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
        this.schedulePass();
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
    this.dropAll();
    this.wake();
    await Promise.all(this.deletions);
  }
}

/** Somebody waits until all megaflows have reached a generation, and a pass of this number is over. */
interface Waiter {
  readonly generation: number;
  readonly pass: number;
  readonly resolve: () => void;
}

/** One walk over all megaflows. */
class RevalidationPass {
  readonly number: number;
  readonly generation: number;
  /** What separates megaflows of older generations from this one. */
  readonly changes: Changes;
  /** Its slices together: upcalls are served in between, and are no measure of how many megaflows can be looked after. */
  busyMs = 0;
  /** Next slot to look at. */
  slot = 0;
  /** Statistics and idle times, too. */
  expire = false;
  maxIdleMs = 0;
  /** Far too many: none may stay. */
  killAll = false;
  seen = 0;

  constructor(number: number, generation: number, changes: Changes) {
    this.number = number;
    this.generation = generation;
    this.changes = changes;
  }
}

/** An OpenFlow flow from a datapath key. */
export function fillFlow(flow: Flow, key: Flow, inPort: OfPort): void {
  for (let i = 0; i < FLOW_DP_WORDS; i++) flow[i] = key[i]!;
  flow.fill(0, FLOW_DP_WORDS);
  flow[W_IN_PORT] = inPort;
}

/**
 * One of a few masks that cover nearly all others, so that their number stays bounded: all addresses and ports, but of
 * TTL, TOS, flags and the like only what `mask` has.
 */
function narrowMask(mask: Flow): void {
  for (let word = W_ETH_DST_HI; word < W_TCP_FLAGS; word++) {
    if (word === W_NW) mask[word] = mask[word]! | 0xff0000ff;
    else if (word !== W_IPV6_LABEL) mask[word] = -1;
  }
}

function sameProgram(words: Int32Array, length: number, actions: Int32Array): boolean {
  if (actions.length !== length) return false;
  for (let i = 0; i < length; i++) if (words[i] !== actions[i]) return false;
  return true;
}
