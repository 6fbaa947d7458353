/** OpenFlow actions, one after the other (upstream: do_xlate_actions). */

import { ODP_METER } from "../../datapath/odp/actions.ts";
import {
  type Flow,
  W_ACTSET_OUTPUT,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_METADATA_HI,
  W_METADATA_LO,
  W_NW,
  W_SKB_PRIORITY,
  W_TP,
  W_TUN_ID_HI,
  W_TUN_ID_LO,
  W_TUN_METADATA_PRESENT,
} from "../../flow/layout.ts";
import { hex } from "../../flow/value-text.ts";
import { formatActions } from "../../openflow/actions/registry.ts";
import type { SetL4Port } from "../../openflow/actions.ts";
import { OFPP_IN_PORT, OFPP_UNSET, type Ofpact, type SetEth } from "../../openflow/actions.ts";
import { actionSetOutput } from "./action-set.ts";
import { xlateOnCopy } from "./clone.ts";
import { ETH_TYPE_IP, type XlateContext } from "./context.ts";
import { xlateCt, xlateCtClear } from "./ct.ts";
import { decNshTtl, xlateDecap, xlateEncap } from "./encap.ts";
import { applySetField, readSubfield, reportSubfield, writeSubfield } from "./fields.ts";
import { xlateGroup } from "./group.ts";
import {
  decMplsTtl,
  decTtl,
  isIp,
  popMpls,
  popVlan,
  pushMpls,
  pushVlan,
  setMplsBits,
  setNwBits,
  setVlanBits,
} from "./headers.ts";
import { xlateLearn } from "./learn.ts";
import { xlateBundle, xlateMultipath } from "./links.ts";
import { changesPacket } from "./mirror.ts";
import {
  OFPR_ACTION,
  OFPR_PACKET_OUT,
  outputToPort,
  popSavedFlow,
  pushSavedFlow,
  xlateController,
  xlateOutput,
} from "./output.ts";
import { xlateCheckLarger } from "./packet-length.ts";
import { freezeActions, isGoto, needsPayload } from "./recirculate.ts";
import { xlateSample } from "./sample.ts";
import { xlateTable } from "./table.ts";

/** Runs a list; stops early at `exit`, at an error or when a TTL expires. `last`: nothing will be done after it. */
export function xlateActions(ctx: XlateContext, actions: readonly Ofpact[], last: boolean): void {
  const list = ctx.trace;
  if (list !== undefined && actions.length === 0) ctx.actionNode("drop");
  for (let i = 0; i < actions.length; i++) {
    const action = actions[i]!;
    if (ctx.wasMpls && !ctx.exit && needsPayload(action)) ctx.freeze();
    if (ctx.error !== undefined) break;
    if (ctx.exit) {
      if (ctx.freezing) freezeActions(ctx, actions, i);
      break;
    }
    if (list !== undefined) {
      ctx.trace = list;
      ctx.trace = ctx.actionNode(formatActions([action]));
    }
    if (action.type === "check_pkt_larger") {
      ctx.trace = list;
      xlateCheckLarger(ctx, action, actions.slice(i + 1), last);
      break;
    }
    if (ctx.mirrors !== 0 && changesPacket(action)) ctx.mirrors = 0;
    if (xlateAction(ctx, action, list, last && i === actions.length - 1)) break;
    if (ctx.again) {
      ctx.again = false;
      freezeActions(ctx, actions, i);
      break;
    }
  }
  ctx.trace = list;
}

/** True when the list ends here. `list` is where sibling actions are reported. */
function xlateAction(ctx: XlateContext, action: Ofpact, list: XlateContext["trace"], last: boolean): boolean {
  const { flow, wildcards } = ctx;
  switch (action.type) {
    case "output":
      xlateOutput(ctx, action.port, action.maxLen, true, last);
      return false;
    case "resubmit":
      xlateTable(
        ctx,
        action.port === OFPP_IN_PORT ? ctx.inPort : action.port,
        action.table === 255 ? ctx.tableId : action.table,
        isGoto(action),
        isGoto(action),
        last,
      );
      return false;
    case "goto_table":
      xlateTable(ctx, ctx.inPort, action.table, true, true, last);
      return false;
    case "set_field":
      applySetField(action, flow, wildcards);
      return false;
    case "controller":
      if (action.pause) {
        ctx.pause = action;
        ctx.freeze();
        return false;
      }
      xlateController(
        ctx,
        action.maxLen,
        ctx.inPacketOut && action.reason === OFPR_ACTION ? OFPR_PACKET_OUT : action.reason,
        action.controllerId,
        action.userdata.length > 0 ? action.userdata : undefined,
        action.meterId,
      );
      return false;
    case "output_reg": {
      const port = Number(readSubfield(action.src, flow, wildcards));
      if (port > 0xffff) ctx.warn(`output port ${port} is out of range`);
      else xlateOutput(ctx, port, action.maxLen, true, last);
      return false;
    }
    case "output_trunc":
      if (ctx.port(action.port)?.isPatch === true) {
        ctx.reportError(`output_trunc does not support patch port ${action.port}`);
        return false;
      }
      ctx.truncate = action.maxLen;
      if (action.port === ctx.inPort) ctx.warn("skipping output to input port");
      else outputToPort(ctx, action.port === OFPP_IN_PORT ? ctx.inPort : action.port, last);
      ctx.truncate = 0;
      return false;
    case "set_eth_src":
    case "set_eth_dst":
      setEth(action, flow, wildcards);
      return false;
    case "set_ipv4_src":
    case "set_ipv4_dst":
      if (flow[W_ETH_TYPE] === ETH_TYPE_IP) {
        const word = action.type === "set_ipv4_src" ? W_IPV4_SRC : W_IPV4_DST;
        wildcards[word] = -1;
        wildcards[W_NW] = wildcards[W_NW]! | 0xff;
        flow[word] = action.ip | 0;
      }
      return false;
    case "set_ip_dscp":
      setNwBits(ctx, (action.value & 0xfc) << 8, 0xfc00);
      return false;
    case "set_ip_ecn":
      setNwBits(ctx, (action.value & 3) << 8, 0x0300);
      return false;
    case "set_ip_ttl":
      setNwBits(ctx, action.value << 16, 0xff0000);
      return false;
    case "set_l4_src_port":
    case "set_l4_dst_port":
      setL4Port(action, flow, wildcards);
      return false;
    case "dec_ttl":
      return decTtl(ctx, action);
    case "set_vlan_vid":
      setVlanBits(ctx, action.vid, 0xfff, action.pushVlanIfNeeded);
      return false;
    case "set_vlan_pcp":
      setVlanBits(ctx, action.pcp << 13, 0xe000, action.pushVlanIfNeeded);
      return false;
    case "strip_vlan":
      popVlan(ctx);
      return false;
    case "push_vlan":
      pushVlan(ctx, action.ethertype);
      return false;
    case "push_mpls":
      pushMpls(ctx, action.ethertype);
      return false;
    case "pop_mpls":
      popMpls(ctx, action.ethertype);
      return false;
    case "set_mpls_label":
      setMplsBits(ctx, action.label << 12, 0xfffff000 | 0);
      return false;
    case "set_mpls_tc":
      setMplsBits(ctx, action.value << 9, 0xe00);
      return false;
    case "set_mpls_ttl":
      setMplsBits(ctx, action.value, 0xff);
      return false;
    case "dec_mpls_ttl":
      return decMplsTtl(ctx);
    case "reg_move": {
      const value = readSubfield(action.src, flow, wildcards);
      writeSubfield(action.dst, value, flow, wildcards);
      reportSubfield(ctx, action.dst);
      return false;
    }
    case "stack_push":
      ctx.stack.push(readSubfield(action.subfield, flow, wildcards));
      return false;
    case "stack_pop": {
      const value = ctx.stack.pop();
      if (value === undefined) ctx.reportError("stack underflow");
      else {
        writeSubfield(action.subfield, value, flow, wildcards);
        reportSubfield(ctx, action.subfield);
      }
      return false;
    }
    case "set_tunnel":
      flow[W_TUN_ID_HI] = Number(BigInt.asIntN(32, action.id >> 32n));
      flow[W_TUN_ID_LO] = Number(BigInt.asIntN(32, action.id));
      return false;
    case "enqueue": {
      const priority = flow[W_SKB_PRIORITY]!;
      wildcards[W_SKB_PRIORITY] = -1;
      flow[W_SKB_PRIORITY] = queuePriority(action.queue);
      if (action.port !== OFPP_IN_PORT && action.port === ctx.inPort)
        ctx.warn("skipping output to input port");
      else outputToPort(ctx, action.port === OFPP_IN_PORT ? ctx.inPort : action.port, last);
      flow[W_SKB_PRIORITY] = priority;
      return false;
    }
    case "set_queue":
      wildcards[W_SKB_PRIORITY] = -1;
      flow[W_SKB_PRIORITY] = queuePriority(action.queue);
      return false;
    case "pop_queue":
      wildcards[W_SKB_PRIORITY] = -1;
      if (flow[W_SKB_PRIORITY] !== ctx.originalPriority) {
        flow[W_SKB_PRIORITY] = ctx.originalPriority;
        if (ctx.tracing)
          ctx.detail(`queue = 0x${(ctx.originalPriority >>> 0).toString(16)}`.replace("0x0", "0"));
      }
      return false;
    case "write_metadata": {
      const value = action.metadata;
      const mask = action.mask;
      const merge = (word: number, bits: bigint, ones: bigint) => {
        const m = Number(BigInt.asIntN(32, ones));
        flow[word] = (flow[word]! & ~m) | (Number(BigInt.asIntN(32, bits)) & m);
      };
      merge(W_METADATA_HI, value >> 32n, mask >> 32n);
      merge(W_METADATA_LO, value, mask);
      return false;
    }
    case "write_actions":
      ctx.actionSet.push(...action.actions);
      flow[W_ACTSET_OUTPUT] = actionSetOutput(ctx.actionSet);
      ctx.ofproto.reportActionSet(ctx);
      return false;
    case "clear_actions":
      ctx.actionSet.length = 0;
      flow[W_ACTSET_OUTPUT] = OFPP_UNSET;
      return false;
    case "exit":
      ctx.exit = true;
      return true;
    case "clone": {
      const place = pushSavedFlow(flow);
      const actionSet = ctx.actionSet.slice();
      const stack = ctx.stack.slice();
      const { rule, conntracked, wasMpls } = ctx;
      if (list !== undefined) ctx.trace = list;
      xlateOnCopy(ctx, action.actions, last, false);
      if (ctx.error === undefined) ctx.exit = false;
      popSavedFlow(place, flow);
      ctx.rule = rule;
      ctx.conntracked = conntracked;
      ctx.wasMpls = wasMpls;
      ctx.actionSet.length = 0;
      ctx.actionSet.push(...actionSet);
      ctx.stack.length = 0;
      ctx.stack.push(...stack);
      return false;
    }
    case "learn":
      xlateLearn(ctx, action);
      return false;
    case "fin_timeout":
      ctx.ofproto.xlateFinTimeout(ctx, action.idleSec, action.hardSec);
      return false;
    case "bundle":
      xlateBundle(ctx, action);
      return false;
    case "multipath":
      xlateMultipath(ctx, action);
      return false;
    case "delete_field": {
      // Only options of tunnels can be deleted.
      const word = W_TUN_METADATA_PRESENT + (action.field.index >> 5);
      flow[word] = flow[word]! & ~(1 << (action.field.index & 31));
      return false;
    }
    case "group":
      xlateGroup(ctx, action.groupId, last);
      return false;
    case "encap":
      if (list !== undefined) ctx.trace = list;
      xlateEncap(ctx, action);
      return false;
    case "decap":
      if (list !== undefined) ctx.trace = list;
      // What is inside is to be parsed before anything else.
      if (xlateDecap(ctx, action)) ctx.freeze();
      return false;
    case "dec_nsh_ttl":
      return decNshTtl(ctx);
    case "ct":
      if (list !== undefined) ctx.trace = list;
      xlateCt(ctx, action);
      return false;
    case "ct_clear":
      xlateCtClear(ctx);
      return false;
    case "nat":
      ctx.ctNat = action;
      return false;
    case "debug_slow":
      ctx.slow = true;
      return false;
    case "debug_recirc":
      ctx.freeze();
      return false;
    case "unroll_xlate":
      ctx.tableId = action.table;
      ctx.ruleCookie = action.cookie;
      if (list !== undefined) {
        ctx.trace = list;
        ctx.actionNode(`restored state: table=${action.table}, cookie=${hex(action.cookie)}`);
      }
      return false;
    case "meter": {
      const meter = ctx.ofproto.meters.get(action.meterId);
      if (meter === undefined) return false;
      ctx.odp.emit(ODP_METER, meter.dpId);
      return false;
    }
    case "sample":
      xlateSample(ctx, action);
      return false;
    case "note":
    case "conjunction":
      return false;
    default:
      ctx.fail("not-built", `${action.type} is not implemented`);
      return true;
  }
}

/** skb_priority of a queue: the queue's number itself in the userspace datapath. */
function queuePriority(queue: number): number {
  return queue | 0;
}

function setEth(action: SetEth, flow: Flow, wildcards: Flow): void {
  const m = action.mac;
  const high16 = (m[0]! << 8) | m[1]!;
  const low16 = (m[4]! << 8) | m[5]!;
  const shared = flow[W_ETH_DST_SRC]!;
  if (action.type === "set_eth_dst") {
    wildcards[W_ETH_DST_HI] = -1;
    wildcards[W_ETH_DST_SRC] = wildcards[W_ETH_DST_SRC]! | (0xffff0000 | 0);
    flow[W_ETH_DST_HI] = (high16 << 16) | (m[2]! << 8) | m[3]!;
    flow[W_ETH_DST_SRC] = (shared & 0xffff) | (low16 << 16);
  } else {
    wildcards[W_ETH_DST_SRC] = wildcards[W_ETH_DST_SRC]! | 0xffff;
    wildcards[W_ETH_SRC_LO] = -1;
    flow[W_ETH_DST_SRC] = (shared & ~0xffff) | high16;
    flow[W_ETH_SRC_LO] = (m[2]! << 24) | (m[3]! << 16) | low16;
  }
}

function setL4Port(action: SetL4Port, flow: Flow, wildcards: Flow): void {
  if (!isIp(flow)) return;
  wildcards[W_NW] = wildcards[W_NW]! | (0xff0000ff | 0);
  const nw = flow[W_NW]!;
  const protocol = nw & 0xff;
  // Later fragments have no transport header.
  if (((nw >>> 24) & 2) !== 0 || (protocol !== 6 && protocol !== 17 && protocol !== 132)) return;
  const mask = action.type === "set_l4_src_port" ? 0xffff0000 | 0 : 0xffff;
  const value = action.type === "set_l4_src_port" ? action.port << 16 : action.port;
  wildcards[W_TP] = wildcards[W_TP]! | mask;
  flow[W_TP] = (flow[W_TP]! & ~mask) | value;
}
