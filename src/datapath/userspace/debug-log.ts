/** What a datapath in this thread tells at level DBG of misses and flows, as the original's does. */
import { extractFlow, OFS_WORDS } from "../../flow/extract.ts";
import { FLOW_WORDS, type Flow, W_IN_PORT, W_PACKET_TYPE } from "../../flow/layout.ts";
import { flowAsMatch, formatMatch } from "../../flow/match-text.ts";
import { vlog } from "../../lib/vlog.ts";
import type { DpFlow } from "../dpif.ts";
import { formatOdpActions } from "../odp/action-text.ts";
import { formatOdpKey } from "../odp/key-text.ts";
import type { Packet } from "../packet.ts";
import { ufidOf } from "../ufid.ts";

const logNetdev = vlog("dpif_netdev");
const logDpif = vlog("dpif");

export function logMiss(name: string, key: Flow, packet: Packet): void {
  if (!logNetdev.isDbg()) return;
  const flow = new Int32Array(FLOW_WORDS);
  extractFlow(packet.data, packet.offset, packet.length, flow, new Int32Array(OFS_WORDS));
  const match = flowAsMatch(flow);
  match.mask[W_IN_PORT] = 0;
  match.mask[W_PACKET_TYPE] = 0;
  logNetdev.dbg(
    `${name}: miss upcall:\n${formatOdpKey(key, undefined, { verbose: true })}\n${formatMatch(match)}`,
  );
}

type UserspaceText = ((operand: number) => string) | undefined;

export function logFlowAdd(key: Flow, mask: Flow, actions: Int32Array, userspace: UserspaceText): void {
  if (!logNetdev.isDbg()) return;
  const ufid = ufidOf(key, mask);
  logNetdev.dbg(
    `flow_add: ufid:${ufid} mega_ufid:${ufid} ${formatOdpKey(key, mask)}, actions:${formatOdpActions(actions, { key, userspace })}`,
  );
}

export function logFlowModify(
  label: string,
  flow: Pick<DpFlow, "key" | "mask" | "actions">,
  userspace: UserspaceText,
): void {
  if (!logDpif.isDbg()) return;
  logDpif.dbg(
    `${label}: put[modify] ufid:${ufidOf(flow.key, flow.mask)} ` +
      `${formatOdpKey(flow.key, flow.mask, { verbose: true })}, ` +
      `actions:${formatOdpActions(flow.actions, { key: flow.key, userspace })}`,
  );
}

/** `statistics`: "packets:0, bytes:0, used:never". */
export function logFlowDump(label: string, flow: DpFlow, statistics: string, userspace: UserspaceText): void {
  logDpif.dbg(
    `${label}: flow_dump ${formatOdpKey(flow.key, flow.mask, { verbose: true })}, ${statistics}, ` +
      `actions:${formatOdpActions(flow.actions, { key: flow.key, userspace })}`,
  );
}

export function wantsFlowDump(): boolean {
  return logDpif.isDbg();
}
