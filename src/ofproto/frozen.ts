/**
 * Translations that go on later: what a recirc_id or the operand of a userspace action stands for (upstream: `struct
 * frozen_state`, `struct user_action_cookie`). The datapath carries a number, the meaning stays here, and equal meanings
 * share one number, so that a megaflow that is translated again keeps its actions.
 *
 * Nobody counts references: each pass over the megaflows marks what their programs name ({@link FrozenTable.mark}), and
 * what no pass has found, and nobody has asked for, for two passes running is forgotten.
 */
import { nestedStart, ODP_RECIRC, ODP_USERSPACE } from "../datapath/odp/actions.ts";
import { FLOW_WORDS, type Flow, W_CONJ_ID, W_IN_PORT, W_TUN_ID_HI } from "../flow/layout.ts";
import type { Ofpact } from "../openflow/actions.ts";
import type { Ofproto } from "./ofproto.ts";
import { formatSample, type SampleAction } from "./sampling.ts";
import type { OfPort } from "./types.ts";

export interface FrozenState {
  ofproto: Ofproto;
  /** Where the pipeline goes on when `actions` is undefined; else they are what is left of it. */
  tableId: number;
  /** Of a whole flow only the words of {@link isPipelineWord}: what does not travel with the packet. */
  metadata: Flow;
  stack: readonly bigint[];
  actions: readonly Ofpact[] | undefined;
  actionSet: readonly Ofpact[];
  conntracked: boolean;
  /** Bits of the mirrors that have had the packet. */
  mirrors: number;
}

/** A copy for the controllers, and whether the pipeline waits for their NXT_RESUME. */
export interface ControllerCopy {
  /** OFPR_* */
  reason: number;
  cookie: bigint;
  controllerId: number;
  maxLen: number;
  userdata: Uint8Array | undefined;
  continuation: boolean;
  /** Made for a trace: nothing is sent. */
  dontSend: boolean;
}

/** What an id of the datapath stands for. */
interface Held<T> {
  readonly id: number;
  readonly value: T;
  readonly meaning: string;
  /** The pass in which somebody last needed it. */
  pass: number;
}

export interface ControllerAction {
  recircId: number;
  state: FrozenState;
  copy: ControllerCopy;
}

/** A packet for the exporters of a bridge. */
export interface SamplingAction {
  ofproto: Ofproto;
  sample: SampleAction;
}

/** Each packet of the megaflow is translated, and what comes of that done, here: the datapath cannot do it all. */
export interface SlowPath {
  slow: true;
}

export type UserspaceAction = ControllerAction | SamplingAction | SlowPath;

/** Ids by meaning and back. */
class IdTable<T> {
  private readonly byId = new Map<number, Held<T>>();
  private readonly byMeaning = new Map<string, Held<T>>();
  /** -1: ids count down. */
  private readonly sign: 1 | -1;
  lastId = 0;

  constructor(sign: 1 | -1 = 1) {
    this.sign = sign;
  }

  get size(): number {
    return this.byId.size;
  }

  get(id: number): T | undefined {
    return this.byId.get(id)?.value;
  }

  touch(id: number, pass: number): void {
    const held = this.byId.get(id);
    if (held !== undefined) held.pass = pass;
  }

  allocate(meaning: string, pass: number, make: () => T): number {
    let held = this.byMeaning.get(meaning);
    if (held === undefined) {
      held = { id: this.freeId(), value: make(), meaning, pass };
      this.byId.set(held.id, held);
      this.byMeaning.set(meaning, held);
    }
    held.pass = pass;
    return held.id;
  }

  /** 31 bits: ids go around, past those in use and 0, which means "not recirculated". */
  private freeId(): number {
    const { sign } = this;
    do {
      this.lastId = this.lastId === sign * 0x7fffffff ? sign : this.lastId + sign;
    } while (this.byId.has(this.lastId));
    return this.lastId;
  }

  /** What was made after id `last` gets no further use, but is known for a while yet. */
  retireAfter(last: number): void {
    for (const held of this.byId.values()) {
      if (Math.abs(held.id) > Math.abs(last)) this.byMeaning.delete(held.meaning);
    }
  }

  forgetWhere(unwanted: (held: Held<T>) => boolean): void {
    for (const held of this.byId.values()) {
      if (!unwanted(held)) continue;
      this.byId.delete(held.id);
      if (this.byMeaning.get(held.meaning) === held) this.byMeaning.delete(held.meaning);
    }
  }
}

/** Port, tunnel, metadata and registers. */
function isPipelineWord(word: number): boolean {
  return word === W_IN_PORT || (word >= W_TUN_ID_HI && word < W_CONJ_ID);
}

const actionIds = new WeakMap<Ofpact, number>();
let lastActionId = 0;

/** Actions are never changed, so which objects they are tells what they mean. */
function actionsKey(actions: readonly Ofpact[]): string {
  let out = "";
  for (const action of actions) {
    if (action.type === "unroll_xlate") {
      out += `@${action.table}.${action.cookie} `;
      continue;
    }
    let id = actionIds.get(action);
    if (id === undefined) {
      id = ++lastActionId;
      actionIds.set(action, id);
    }
    out += `${id} `;
  }
  return out;
}

function stateKey(state: FrozenState): string {
  let metadata = "";
  for (let word = 0; word < FLOW_WORDS; word++) {
    if (state.metadata[word] !== 0 && isPipelineWord(word)) metadata += `${word}=${state.metadata[word]} `;
  }
  return [
    state.ofproto.id,
    state.tableId,
    metadata,
    state.stack.join(),
    state.actions === undefined ? "" : `do ${actionsKey(state.actions)}`,
    actionsKey(state.actionSet),
    state.conntracked,
    state.mirrors,
  ].join("|");
}

function copyKey(copy: ControllerCopy): string {
  const { reason, cookie, controllerId, maxLen, userdata, continuation, dontSend } = copy;
  return `|${reason}|${cookie}|${controllerId}|${maxLen}|${userdata ?? ""}|${continuation}|${dontSend}`;
}

/** Puts a frozen state's metadata into the flow of a packet that comes back. */
export function thawMetadata(state: FrozenState, flow: Flow): void {
  for (let word = 0; word < FLOW_WORDS; word++) {
    if (isPipelineWord(word)) flow[word] = state.metadata[word]!;
  }
}

export class FrozenTable {
  private readonly states = new IdTable<FrozenState>();
  private readonly userspace = new IdTable<ControllerAction | SlowPath>();
  /** Their operands are negative: a sample can wait. */
  private readonly samples = new IdTable<SamplingAction>(-1);
  private pass = 0;

  /** The recirc_id of `state`, whose lists and metadata are copied. */
  recirculation(state: FrozenState): number {
    return this.states.allocate(stateKey(state), this.pass, () => {
      const metadata = new Int32Array(FLOW_WORDS);
      for (let word = 0; word < FLOW_WORDS; word++) {
        if (isPipelineWord(word)) metadata[word] = state.metadata[word]!;
      }
      const { stack, actions, actionSet } = state;
      return {
        ...state,
        metadata,
        stack: stack.slice(),
        actions: actions?.slice(),
        actionSet: actionSet.slice(),
      };
    });
  }

  /** The operand of a userspace action that gives controllers a copy of a packet in `state`. */
  controller(state: FrozenState, copy: ControllerCopy): number {
    const recircId = this.recirculation(state);
    return this.userspace.allocate(`${recircId}${copyKey(copy)}`, this.pass, () => ({
      recircId,
      state: this.states.get(recircId)!,
      copy,
    }));
  }

  /** The operand of a userspace action that hands samples to the bridge's exporters. */
  sample(ofproto: Ofproto, sample: SampleAction): number {
    const unsaid = sample.kind === "sflow" ? sample.mpls.join() : sample.dropped;
    const meaning = `s${ofproto.id}|${formatSample(sample)}|${unsaid}`;
    return this.samples.allocate(meaning, this.pass, () => ({ ofproto, sample }));
  }

  /** The operand of the action that a megaflow has whose packets are dealt with here. */
  slowPath(): number {
    return this.userspace.allocate("slow", this.pass, () => ({ slow: true }));
  }

  /** No megaflow is left: what is translated from now on gets ids of its own. */
  retire(): void {
    this.states.retireAfter(0);
  }

  state(recircId: number): FrozenState | undefined {
    return this.states.get(recircId);
  }

  action(operand: number): UserspaceAction | undefined {
    return operand < 0 ? this.samples.get(operand) : this.userspace.get(operand);
  }

  /** A megaflow has this program. */
  mark(program: Int32Array): void {
    if (this.states.size + this.userspace.size + this.samples.size > 0)
      this.markRange(program, 0, program.length);
  }

  private markRange(program: Int32Array, start: number, end: number): void {
    for (let at = start; at < end; at += program[at + 1]!) {
      const operand = program[at + 2]!;
      if (program[at] === ODP_RECIRC) this.states.touch(operand, this.pass);
      else if (program[at] === ODP_USERSPACE && operand < 0) this.samples.touch(operand, this.pass);
      else if (program[at] === ODP_USERSPACE) {
        this.userspace.touch(operand, this.pass);
        const action = this.userspace.get(operand);
        if (action !== undefined && "state" in action) this.states.touch(action.recircId, this.pass);
      } else {
        // The two programs of check_pkt_len lie one after the other.
        const nested = nestedStart(program, at);
        if (nested > 0) this.markRange(program, nested, at + program[at + 1]!);
      }
    }
  }

  /** Between two passes over all megaflows. */
  sweep(): void {
    const oldest = this.pass - 1;
    this.userspace.forgetWhere(({ pass }) => pass < oldest);
    this.samples.forgetWhere(({ pass }) => pass < oldest);
    this.states.forgetWhere(({ pass }) => pass < oldest);
    this.pass++;
  }

  /** Runs a trace: what it makes can be traced on for a second or so, and is no megaflow's. */
  temporarily<T>(run: () => T): T {
    const lastState = this.states.lastId;
    const lastAction = this.userspace.lastId;
    const lastSample = this.samples.lastId;
    try {
      return run();
    } finally {
      this.userspace.retireAfter(lastAction);
      this.samples.retireAfter(lastSample);
      this.states.retireAfter(lastState);
    }
  }

  /** Bridges that are gone free what was theirs. */
  forgetBridge(ofproto: Ofproto): void {
    this.userspace.forgetWhere(({ value }) => "state" in value && value.state.ofproto === ofproto);
    this.samples.forgetWhere(({ value }) => value.ofproto === ofproto);
    this.states.forgetWhere(({ value }) => value.ofproto === ofproto);
  }

  /** A userspace action as dumps and traces print it. */
  formatUserspace(operand: number): string {
    const action = this.action(operand);
    if (action === undefined) return "userspace(pid=0)";
    if ("slow" in action) return "userspace(pid=0,slow_path(action))";
    if ("sample" in action) return formatSample(action.sample);
    const { recircId, copy } = action;
    const cookie = copy.cookie === 0n ? "0" : `0x${copy.cookie.toString(16)}`;
    return `userspace(pid=0,controller(reason=${copy.reason},dont_send=${copy.dontSend ? 1 : 0},continuation=${copy.continuation ? 1 : 0},recirc_id=${recircId},rule_cookie=${cookie},controller_id=${copy.controllerId},max_len=${copy.maxLen}))`;
  }
}

/** The input port of the bridge that a state goes on in. */
export function frozenInPort(state: FrozenState): OfPort {
  return state.metadata[W_IN_PORT]!;
}
