/**
 * ct(): the packet goes to the connection tracker, and what that finds out is known to a copy that comes back in another
 * table (ovs-actions(7), "The ct action").
 */
import * as O from "../../datapath/odp/actions.ts";
import {
  type Flow,
  W_CT_LABEL,
  W_CT_MARK,
  W_CT_NW_PROTO,
  W_CT_NW_SRC,
  W_CT_STATE_ZONE,
  W_RECIRC_ID,
} from "../../flow/layout.ts";
import type { Ct, Nat } from "../../openflow/actions.ts";
import { xlateActions } from "./actions.ts";
import type { XlateContext } from "./context.ts";
import { readSubfield } from "./fields.ts";
import { forkRecirculation } from "./recirculate.ts";

const NX_CT_F_COMMIT = 1;
const NX_CT_F_FORCE = 2;
const NO_RECIRCULATION = 255;
/** ct_mark and ct_label lie next to each other. */
const MARK_AND_LABEL = 5;

/** Forgets all that connection tracking said of the packet. */
export function clearConntrack(flow: Flow): void {
  flow.fill(0, W_CT_STATE_ZONE, W_CT_LABEL + 4);
  flow.fill(0, W_CT_NW_SRC, W_CT_NW_PROTO + 1);
}

export function xlateCtClear(ctx: XlateContext): void {
  if (!ctx.conntracked) return;
  clearConntrack(ctx.flow);
  ctx.conntracked = false;
  ctx.odp.emit(O.ODP_CT_CLEAR, 0, 0, 0, 0);
}

export function xlateCt(ctx: XlateContext, action: Ct): void {
  const { flow, wildcards } = ctx;
  // What the actions so far have changed is what the tracker must see.
  ctx.commit();

  // exec() loads what the connection gets, not what the packet has.
  const oldValues = flow.slice(W_CT_MARK, W_CT_MARK + MARK_AND_LABEL);
  const oldMasks = wildcards.slice(W_CT_MARK, W_CT_MARK + MARK_AND_LABEL);
  wildcards.fill(0, W_CT_MARK, W_CT_MARK + MARK_AND_LABEL);
  ctx.ctNat = undefined;
  xlateActions(ctx, action.actions, false);
  const zone =
    typeof action.zone === "number" ? action.zone : Number(readSubfield(action.zone, flow, wildcards));
  emitCt(ctx, action, zone & 0xffff);
  flow.set(oldValues, W_CT_MARK);
  wildcards.set(oldMasks, W_CT_MARK);

  if (action.recircTable !== NO_RECIRCULATION) {
    ctx.conntracked = true;
    if (ctx.tracing) {
      const table = ctx.ofproto.tables[action.recircTable]?.name ?? action.recircTable;
      ctx.detail(
        `A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table ${table}.`,
      );
    }
    const id = forkRecirculation(ctx, action.recircTable);
    if (ctx.tracing) {
      const back = flow.slice();
      clearConntrack(back);
      back[W_RECIRC_ID] = id;
      back[W_CT_STATE_ZONE] = zone << 16;
      ctx.recirculations.push({ id, flow: back, nat: ctx.ctNat });
    }
  }
  ctx.ctNat = undefined;
  clearConntrack(flow);
  ctx.conntracked = false;
  if (ctx.tracing) ctx.detail("Sets the packet to an untracked state, and clears all the conntrack fields.");
}

function emitCt(ctx: XlateContext, action: Ct, zone: number): void {
  const { flow, wildcards, odp, ctNat } = ctx;
  const at = odp.emitBlank(O.ODP_CT, O.CT_WORDS);
  const { words } = odp;
  if ((action.flags & NX_CT_F_COMMIT) !== 0) words[at + O.CT_FLAGS]! |= O.CT_COMMIT;
  if ((action.flags & NX_CT_F_FORCE) !== 0) words[at + O.CT_FLAGS]! |= O.CT_FORCE;
  words[at + O.CT_ZONE] = zone;
  words[at + O.CT_ALG] = action.alg;
  words[at + O.CT_MARK] = flow[W_CT_MARK]! & wildcards[W_CT_MARK]!;
  words[at + O.CT_MARK_MASK] = wildcards[W_CT_MARK]!;
  for (let i = 0; i < 4; i++) {
    const mask = wildcards[W_CT_LABEL + i]!;
    words[at + O.CT_LABEL + i] = flow[W_CT_LABEL + i]! & mask;
    words[at + O.CT_LABEL_MASK + i] = mask;
  }
  if (ctNat !== undefined) emitNat(words, at, ctNat);
}

function emitNat(words: Int32Array, at: number, nat: Nat): void {
  words[at + O.CT_FLAGS]! |= O.CT_NAT;
  // The bits of NX_NAT_F_* are the datapath's.
  let { flags } = nat;
  const { min, max } = nat.addresses;
  if (min !== undefined) {
    flags |= typeof min === "number" ? O.CT_NAT_IPV4 : O.CT_NAT_IPV6;
    putAddress(words, at + O.CT_NAT_MIN, min);
    putAddress(words, at + O.CT_NAT_MAX, max ?? min);
  }
  words[at + O.CT_NAT_FLAGS] = flags;
  words[at + O.CT_NAT_PORTS] = (nat.protoMin << 16) | nat.protoMax;
}

function putAddress(words: Int32Array, at: number, address: number | Uint8Array): void {
  if (typeof address === "number") {
    words[at] = address | 0;
    return;
  }
  const bytes = new DataView(address.buffer, address.byteOffset);
  for (let i = 0; i < 4; i++) words[at + i] = bytes.getInt32(4 * i);
}
