/** Flow monitors: begun, changed, cancelled. */
import { batches } from "../connections/monitors.ts";
import type { Handlers } from "./dispatch.ts";

export const MONITOR_HANDLERS: Handlers = {
  "flow-monitor-request": (connection, message, { xid }) => {
    const { monitors, ofproto } = connection;
    const parts = batches(
      monitors.request(
        message.monitors.map((each) => ({ ...each, match: ofproto.tlvs.place(each.match) })),
        ofproto.flows,
      ),
    );
    if (parts.length === 0) parts.push([]);
    parts.forEach((updates, i) => {
      connection.send({ type: "flow-monitor-reply", updates }, xid, { more: i < parts.length - 1 });
    });
  },
  "nxt-flow-monitor-cancel": (connection, message) => connection.monitors.cancel(message.id),
};
