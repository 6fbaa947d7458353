/**
 * A datapath in the kernel as whoever looks at it from outside sees it, whose ever it is: what `ovs-dpctl` works on. Everything is
 * asked of the kernel at once.
 */
import { FLOW_DP_WORDS, type Flow } from "../../flow/layout.ts";
import { osError } from "../../lib/errors.ts";
import { type Attribute, NLM_F_ECHO } from "../../netdev/netlink-message.ts";
import type { DpFlow, DpFlowStats, DpifFlows, DpPort, FlowHandle } from "../dpif.ts";
import { writeActions } from "./action-codec.ts";
import { KernelConntrack } from "./conntrack.ts";
import type { Families } from "./families.ts";
import { narrowMask, writeKey, writeMask } from "./key-codec.ts";
import { decodeFlow, type KernelFlow, listFlows } from "./old-flows.ts";
import * as U from "./uapi.ts";
import { type DatapathFacts, findDatapath, listVports, typeOfVport } from "./vports.ts";
import { bytesFrom } from "./writer.ts";

export class KernelView implements DpifFlows {
  readonly type = "system";
  readonly name: string;
  userspaceText: undefined = undefined;
  private readonly families: Families;
  private readonly dpIfindex: number;
  readonly conntrack: KernelConntrack;
  /** As they were listed last; a handle is a place in it. */
  private listed: KernelFlow[] = [];

  /** Throws ENODEV when there is none of the name. */
  constructor(families: Families, name: string) {
    this.families = families;
    this.name = name;
    this.dpIfindex = findDatapath(families, name).dpIfindex;
    this.conntrack = new KernelConntrack(families, this.dpIfindex);
  }

  facts(): DatapathFacts {
    return findDatapath(this.families, this.name);
  }

  ports(): DpPort[] {
    return listVports(this.families, this.dpIfindex).map(({ odpPort, name, type }) => ({
      odpPort,
      name,
      type: typeOfVport({ type, name }),
    }));
  }

  *flows(): Iterable<DpFlow> {
    this.listed = listFlows(this.families, this.dpIfindex);
    for (const [handle, { key, mask, actions }] of this.listed.entries())
      yield { handle, key, mask, actions };
  }

  /** The unique id that a flow has in the kernel, as a UUID is written; undefined when it has none. */
  ufid(handle: FlowHandle): string | undefined {
    const ufid = this.listed[handle]?.ufid;
    if (ufid === undefined) return undefined;
    const hex = Buffer.from(ufid).toString("hex").padEnd(32, "0");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5");
  }

  flowStats(handle: FlowHandle, out: DpFlowStats): boolean {
    const flow = this.listed[handle];
    if (flow !== undefined) Object.assign(out, flow.stats);
    return flow !== undefined;
  }

  private body(key: Flow, mask: Flow, actions: Int32Array): Attribute[] {
    const nested = bytesFrom((out) => {
      const why = writeActions(out, actions, key, 0);
      if (why !== undefined) throw osError("EOPNOTSUPP");
    });
    return [
      [U.FLOW_ATTR_KEY, bytesFrom((out) => writeKey(out, key, mask))],
      [U.FLOW_ATTR_MASK, bytesFrom((out) => writeMask(out, key, mask))],
      [U.FLOW_ATTR_ACTIONS, nested],
    ];
  }

  flowPut(key: Flow, mask: Flow, actions: Int32Array): FlowHandle {
    const narrow = mask.slice(0, FLOW_DP_WORDS);
    narrowMask(key, narrow, actions);
    this.families.request("ovs_flow", U.CMD_NEW, this.dpIfindex, this.body(key, narrow, actions));
    return -1;
  }

  flowSetActions(handle: FlowHandle, actions: Int32Array): void {
    const { key, mask, ufid, name } = this.listed[handle]!;
    const body = this.body(key, mask, actions);
    if (ufid !== undefined) body.push(name);
    this.families.request("ovs_flow", U.CMD_SET, this.dpIfindex, body);
  }

  async flowsDel(
    flows: readonly FlowHandle[],
    gone: (flow: FlowHandle, last: DpFlowStats) => void,
  ): Promise<void> {
    for (const handle of flows) {
      const { name } = this.listed[handle]!;
      const attributes: Attribute[] = [name];
      const [reply] = this.families.request("ovs_flow", U.CMD_DEL, this.dpIfindex, attributes, NLM_F_ECHO);
      if (reply !== undefined) gone(handle, decodeFlow(reply.body).stats);
    }
  }

  async settled(): Promise<void> {}

  /** All flows at once. */
  flush(): void {
    this.families.request("ovs_flow", U.CMD_DEL, this.dpIfindex, []);
  }
}
