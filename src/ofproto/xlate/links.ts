/** bundle and multipath: one of several ports or links, by a hash of the flow (ovs-actions(7)). */
import { hashAdd, hashFinish } from "../../lib/hash.ts";
import { type BundleAction, type Multipath, OFPP_MAX, OFPP_NONE } from "../../openflow/actions.ts";
import { OFPP_LOCAL } from "../types.ts";
import type { XlateContext } from "./context.ts";
import { reportSubfield, writeSubfield } from "./fields.ts";
import { hashFlow } from "./hash-fields.ts";
import { xlateOutput } from "./output.ts";

const OFPP_CONTROLLER = 0xfffd;

function hashPair(hash: number, n: number): number {
  return hashFinish(hashAdd(hash, n), 8) >>> 0;
}

export function xlateBundle(ctx: XlateContext, action: BundleAction): void {
  const port = chooseMember(ctx, action);
  if (action.dst === undefined) {
    xlateOutput(ctx, port, 0, true, false);
    return;
  }
  writeSubfield(action.dst, BigInt(port), ctx.flow, ctx.wildcards);
  reportSubfield(ctx, action.dst);
}

function chooseMember(ctx: XlateContext, { algorithm, fields, basis, members }: BundleAction): number {
  if (algorithm === "active_backup") return members.find((port) => isUp(ctx, port)) ?? OFPP_NONE;
  // Highest random weight: a member that goes moves only its own flows.
  const hash = hashFlow(fields, basis, ctx.flow, ctx.wildcards);
  let best = OFPP_NONE;
  let bestScore = -1;
  for (let i = 0; i < members.length; i++) {
    const score = hashPair(hash, i);
    if (score > bestScore && isUp(ctx, members[i]!)) {
      best = members[i]!;
      bestScore = score;
    }
  }
  return best;
}

/** What is no port of the bridge is taken to work, save the controller. */
function isUp(ctx: XlateContext, port: number): boolean {
  if (port >= OFPP_MAX && port !== OFPP_LOCAL) return port !== OFPP_CONTROLLER;
  return ctx.port(port)?.isLive ?? false;
}

export function xlateMultipath(ctx: XlateContext, action: Multipath): void {
  const hash = hashFlow(action.fields, action.basis, ctx.flow, ctx.wildcards) >>> 0;
  const link = chooseLink(action, hash, action.maxLink + 1);
  writeSubfield(action.dst, BigInt(link), ctx.flow, ctx.wildcards);
  reportSubfield(ctx, action.dst);
}

function chooseLink({ algorithm, arg }: Multipath, hash: number, links: number): number {
  switch (algorithm) {
    case "modulo_n":
      return hash % links;
    case "hash_threshold":
      return Math.floor(hash / (0x1_0000_0000 / links));
    case "hrw": {
      let best = 0;
      for (let i = 1; i < links; i++) if (hashPair(hash, i) > hashPair(hash, best)) best = i;
      return best;
    }
    case "iter_hash": {
      let modulo = arg;
      if (modulo < links || modulo / 2 > links) for (modulo = 1; modulo < links; ) modulo *= 2;
      for (let i = 0; ; i++) {
        const link = hashPair(hash, i) % modulo;
        if (link < links) return link;
      }
    }
  }
}
