/** NXT_CT_FLUSH_ZONE and NXT_CT_FLUSH: there is no connection tracking yet, so there is nothing to flush; it is logged. */
import { vlog } from "../../lib/vlog.ts";
import type { CtTuple, NxtCtFlush } from "../../openflow/messages.ts";
import { formatCtFlush } from "../../openflow/text/print.ts";
import type { Handlers } from "./dispatch.ts";

const log = vlog("ct_dpif");

const isEmpty = (tuple: CtTuple): boolean => Object.values(tuple).every((value) => value === undefined);

/** Zone and all, or the conditions that connections must meet. */
function what(m: NxtCtFlush): string {
  const byMark = m.mark !== undefined && m.markMask !== 0;
  const byLabel =
    m.label !== undefined && (m.labelMask === undefined || m.labelMask.some((byte) => byte !== 0));
  if (byMark || byLabel || !isEmpty(m.orig) || !isEmpty(m.reply)) return formatCtFlush(m);
  return m.zone === undefined ? "<all>" : `zone ${m.zone}`;
}

export const CONNTRACK_HANDLERS: Handlers = {
  "nxt-ct-flush-zone": (_connection, { zone }) => log.dbg(`ct_flush: zone ${zone}`),
  "nxt-ct-flush": (_connection, message) => log.dbg(`ct_flush: ${what(message)}`),
};
