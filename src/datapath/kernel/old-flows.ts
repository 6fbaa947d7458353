/** Flows that an earlier run, or somebody else, has left in the kernel, and all that a dump tells of one. */
import { FLOW_DP_WORDS, type Flow } from "../../flow/layout.ts";
import { type Attribute, bytesOf, eachAttribute, NLM_F_DUMP } from "../../netdev/netlink-message.ts";
import type { DpFlowStats } from "../dpif.ts";
import { OdpActionBuilder } from "../odp/actions.ts";
import { readActions } from "./action-decode.ts";
import { type Families, OVS_HEADER } from "./families.ts";
import { u64 } from "./flow-stats.ts";
import { readKey, readMask } from "./key-codec.ts";
import * as U from "./uapi.ts";

export interface KernelFlow {
  /** What names it in requests: its id, or where it has none its key. */
  readonly name: Attribute;
  readonly ufid: Uint8Array | undefined;
  readonly key: Flow;
  readonly mask: Flow;
  readonly actions: Int32Array;
  /** `usedMs` is CLOCK_MONOTONIC. */
  readonly stats: DpFlowStats;
}

/** `body`: of a message about a flow, attributes from OVS_HEADER on. */
export function decodeFlow(body: DataView): KernelFlow {
  let ufid: Uint8Array | undefined;
  let key: DataView | undefined;
  let mask: DataView | undefined;
  const actions = new OdpActionBuilder();
  const stats: DpFlowStats = { packets: 0, bytes: 0, usedMs: 0, tcpFlags: 0 };
  eachAttribute(body, OVS_HEADER, (type, value) => {
    if (type === U.FLOW_ATTR_UFID) ufid = bytesOf(value);
    else if (type === U.FLOW_ATTR_KEY) key = value;
    else if (type === U.FLOW_ATTR_MASK) mask = value;
    else if (type === U.FLOW_ATTR_ACTIONS) readActions(value, actions);
    else if (type === U.FLOW_ATTR_STATS && value.byteLength >= 16) {
      stats.packets = u64(value, 0);
      stats.bytes = u64(value, 8);
    } else if (type === U.FLOW_ATTR_USED && value.byteLength >= 8) stats.usedMs = u64(value, 0);
    else if (type === U.FLOW_ATTR_TCP_FLAGS && value.byteLength >= 1) stats.tcpFlags = value.getUint8(0);
  });
  const flow = {
    ufid,
    key: new Int32Array(FLOW_DP_WORDS),
    mask: new Int32Array(FLOW_DP_WORDS).fill(-1),
    actions: actions.take(),
    stats,
  };
  if (key !== undefined) readKey(key, flow.key);
  if (mask !== undefined) readMask(mask, flow.key, flow.mask);
  const name: Attribute =
    ufid !== undefined
      ? [U.FLOW_ATTR_UFID, ufid]
      : [U.FLOW_ATTR_KEY, key === undefined ? new Uint8Array(0) : bytesOf(key)];
  return { name, ...flow };
}

export function listFlows(families: Families, dpIfindex: number): KernelFlow[] {
  return families
    .request("ovs_flow", U.CMD_GET, dpIfindex, [], NLM_F_DUMP)
    .map(({ body }) => decodeFlow(body));
}
