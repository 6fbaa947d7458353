/** NXT_CT_FLUSH_ZONE and NXT_CT_FLUSH, for datapaths that tell of their connections; the others' are logged alone. */
import { describeError } from "../../lib/errors.ts";
import { RateLimit, vlog } from "../../lib/vlog.ts";
import type { NxtCtFlush } from "../../openflow/messages.ts";
import { emptyCtFlush } from "../../openflow/msg/nicira.ts";
import { formatCtFlush } from "../../openflow/text/print.ts";
import type { Connection } from "../connections/connection.ts";
import { flushConntrack, meansAll } from "../ct-flush.ts";
import type { Handlers } from "./dispatch.ts";

const log = vlog("ct_dpif");
const limit = new RateLimit(5, 5);

/** Zone and all, or the conditions that connections must meet. */
function what(m: NxtCtFlush): string {
  if (!meansAll(m)) return formatCtFlush(m);
  return m.zone === undefined ? "<all>" : `zone ${m.zone}`;
}

async function flush(connection: Connection, m: NxtCtFlush): Promise<void> {
  log.dbg(`ct_flush: ${what(m)}`);
  const { clock, dpif } = connection.ofproto.backer;
  if (dpif.conntrack === undefined) return;
  try {
    await flushConntrack(dpif.conntrack, m, () => new Promise((resolve) => clock.soon(resolve)));
  } catch (error) {
    log.warnRl(limit, `${dpif.type}@${dpif.name}: connections cannot be flushed (${describeError(error)})`);
  }
}

export const CONNTRACK_HANDLERS: Handlers = {
  "nxt-ct-flush-zone": (connection, { zone }) => flush(connection, { ...emptyCtFlush(), zone }),
  "nxt-ct-flush": flush,
};
