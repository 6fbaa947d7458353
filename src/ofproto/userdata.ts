/**
 * What an ODP_USERSPACE operand stands for (upstream: `struct user_action_cookie` and frozen state): the datapath carries
 * an index, the meaning stays here. Equal meanings share one index, so that a revalidated megaflow keeps its actions.
 */
import { FLOW_DP_WORDS, FLOW_WORDS, type Flow, W_IN_PORT } from "../flow/layout.ts";
import type { Ofproto } from "./ofproto.ts";

export interface ControllerUserdata {
  ofproto: Ofproto;
  /** OFPR_* */
  reason: number;
  tableId: number;
  cookie: bigint;
  controllerId: number;
  maxLen: number;
  userdata: Uint8Array | undefined;
  /** Metadata of the packet at that point, with the OpenFlow in_port. */
  flow: Flow;
  /** Made for a trace: nothing is sent. */
  dontSend: boolean;
}

export class UserdataTable {
  private readonly entries: (ControllerUserdata | undefined)[] = [undefined];
  private readonly byMeaning = new Map<string, number>();

  /** The index of this meaning; `flow` is copied. */
  controller(data: ControllerUserdata): number {
    // Only pipeline metadata is kept: headers come with the packet itself.
    const metadata = data.flow.subarray(FLOW_DP_WORDS, FLOW_WORDS).join();
    const user = data.userdata === undefined ? "" : String(data.userdata);
    const meaning = `${data.ofproto.id}|${data.reason}|${data.tableId}|${data.cookie}|${data.controllerId}|${data.maxLen}|${user}|${data.flow[W_IN_PORT]}|${data.dontSend}|${metadata}`;
    let index = this.byMeaning.get(meaning);
    if (index === undefined) {
      index = this.entries.length;
      this.entries.push({ ...data, flow: data.flow.slice() });
      this.byMeaning.set(meaning, index);
    }
    return index;
  }

  get(index: number): ControllerUserdata | undefined {
    return this.entries[index];
  }

  /** As dumps and traces print it. */
  format(index: number): string {
    const data = this.entries[index];
    if (data === undefined) return "userspace(pid=0)";
    return `userspace(pid=0,controller(reason=${data.reason},dont_send=${data.dontSend ? 1 : 0},continuation=0,recirc_id=${index},rule_cookie=${hex(data.cookie)},controller_id=${data.controllerId},max_len=${data.maxLen}))`;
  }

  /** Bridges that are gone free what was theirs. */
  forget(ofproto: Ofproto): void {
    for (const [meaning, index] of this.byMeaning) {
      if (this.entries[index]?.ofproto !== ofproto) continue;
      this.byMeaning.delete(meaning);
      this.entries[index] = undefined;
    }
  }
}

function hex(value: bigint): string {
  return value === 0n ? "0" : `0x${value.toString(16)}`;
}
