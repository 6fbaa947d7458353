/** Which actions a kernel has that Linux 6.1 has not: a packet that is to go nowhere is executed with each. */
import { FLOW_DP_WORDS } from "../../flow/layout.ts";
import type { Attribute } from "../../netdev/netlink-message.ts";
import * as A from "../odp/actions.ts";
import { type LaterActions, writeActions } from "./action-codec.ts";
import type { Families } from "./families.ts";
import { writeMetadata } from "./key-codec.ts";
import * as U from "./uapi.ts";
import { bytesFrom } from "./writer.ts";

const FRAME_BYTES = 60;
const ALL: LaterActions = { drop: true, psample: true };

export function probeLaterActions(families: Families, dpIfindex: number): LaterActions {
  const key = new Int32Array(FLOW_DP_WORDS);
  const knows = (...program: number[]): boolean => {
    const attributes: Attribute[] = [
      [U.PACKET_ATTR_PACKET, new Uint8Array(FRAME_BYTES)],
      [U.PACKET_ATTR_KEY, bytesFrom((out) => writeMetadata(out, key))],
      [
        U.PACKET_ATTR_ACTIONS,
        bytesFrom((out) => {
          writeActions(out, Int32Array.from(program), key, 0, ALL);
        }),
      ],
      [U.PACKET_ATTR_PROBE, new Uint8Array(0)],
    ];
    try {
      families.request("ovs_packet", U.PACKET_CMD_EXECUTE, dpIfindex, attributes);
      return true;
    } catch {
      return false;
    }
  };
  return { drop: knows(A.ODP_DROP, 3, 0), psample: knows(A.ODP_PSAMPLE, 5, 1, 0, 0) };
}
