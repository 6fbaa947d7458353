/** From a decoded message to its handler. What is not built is answered with OpenFlow's own errors. */

import { OfpError } from "../../openflow/errors.ts";
import type { Decoded, Message, MessageType } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import { ROLE_SECONDARY } from "../connections/connection.ts";
import { BUNDLE_HANDLERS } from "./bundles.ts";
import { CONNTRACK_HANDLERS } from "./conntrack.ts";
import { FLOW_HANDLERS } from "./flows.ts";
import { GROUP_HANDLERS } from "./groups.ts";
import { IPFIX_HANDLERS } from "./ipfix.ts";
import { MONITOR_HANDLERS } from "./monitors.ts";
import { PACKET_HANDLERS } from "./packets.ts";
import { PORT_HANDLERS } from "./ports.ts";
import { SESSION_HANDLERS } from "./session.ts";
import { TABLE_HANDLERS } from "./tables.ts";

type MessageOf<T extends MessageType, M = Message> = M extends { type: infer U }
  ? T extends U
    ? M
    : never
  : never;

/** Throws OfpError. A promise holds up the messages behind this one. */
export type Handler<T extends MessageType> = (
  connection: Connection,
  message: MessageOf<T>,
  decoded: Decoded,
  bytes: Uint8Array,
) => Promise<void> | void;

export type Handlers = { [T in MessageType]?: Handler<T> };

const HANDLERS: Handlers = {
  ...SESSION_HANDLERS,
  ...BUNDLE_HANDLERS,
  ...CONNTRACK_HANDLERS,
  ...FLOW_HANDLERS,
  ...GROUP_HANDLERS,
  ...IPFIX_HANDLERS,
  ...MONITOR_HANDLERS,
  ...PACKET_HANDLERS,
  ...PORT_HANDLERS,
  ...TABLE_HANDLERS,
};

/** What a secondary controller may not do (OpenFlow 1.3.1, section 6.3.4). */
const PRIMARY_ONLY: ReadonlySet<MessageType> = new Set<MessageType>([
  "packet-out",
  "flow-mod",
  "group-mod",
  "port-mod",
  "table-mod",
  "meter-mod",
  "bundle-control",
  "bundle-add-message",
]);

/** Multipart types, for the right error when one is not built. */
function isMultipart(name: string): boolean {
  return /^(OFPST|OFPMP|NXST|ONFST)/.test(name);
}

export function dispatch(
  connection: Connection,
  decoded: Decoded,
  bytes: Uint8Array,
): Promise<void> | undefined {
  const { message } = decoded;
  if (connection.role === ROLE_SECONDARY && PRIMARY_ONLY.has(message.type)) {
    throw new OfpError("OFPBRC_IS_SECONDARY");
  }
  const handler = HANDLERS[message.type] as Handler<MessageType> | undefined;
  if (handler === undefined) {
    throw new OfpError(isMultipart(decoded.name) ? "OFPBRC_BAD_STAT" : "OFPBRC_BAD_TYPE");
  }
  const { flows } = connection.ofproto;
  flows.actor = { connection, xid: decoded.xid };
  try {
    return handler(connection, message as never, decoded, bytes) ?? undefined;
  } finally {
    flows.actor = undefined;
    connection.ofproto.connections.flushMonitors();
  }
}
