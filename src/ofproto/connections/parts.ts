/**
 * Requests in several parts (OpenFlow 1.3 section 7.3.5: multipart requests with "more" set): kept until the last part
 * is there, and then one request. A peer that stops half way hears of it after a second.
 */
import type { Timer } from "../../lib/clock.ts";
import { type Decoded, type Message, OfpError } from "../../openflow/index.ts";
import type { Connection } from "./connection.ts";

const TIMEOUT_MS = 1000;
/** Bytes that one connection may have in unfinished requests. */
const MAX_BYTES = 1 << 24;

interface Pending {
  decoded: Decoded;
  bytes: Uint8Array;
  size: number;
  timer: Timer;
}

export class RequestParts {
  private readonly connection: Connection;
  private readonly byXid = new Map<number, Pending>();
  private size = 0;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  /** The whole request, when this was its last part. Throws OfpError. */
  join(decoded: Decoded, bytes: Uint8Array): Decoded | undefined {
    const before = this.byXid.get(decoded.xid);
    if (before === undefined && !decoded.more) return decoded;
    if (before !== undefined) {
      this.forget(before);
      if (before.decoded.message.type !== decoded.message.type)
        throw new OfpError("OFPBRC_MULTIPART_BUFFER_OVERFLOW");
      decoded = { ...decoded, message: joined(before.decoded.message, decoded.message) };
    }
    if (!decoded.more) return decoded;
    const size = (before?.size ?? 0) + bytes.length;
    if (this.size + size > MAX_BYTES) throw new OfpError("OFPBRC_MULTIPART_BUFFER_OVERFLOW");
    const first = before?.bytes ?? bytes.slice();
    const timer = this.connection.ofproto.clock.background(TIMEOUT_MS, () => {
      this.forget(pending);
      this.connection.sendError(new OfpError("OFPBRC_MULTIPART_REQUEST_TIMEOUT"), first, decoded.xid);
    });
    const pending: Pending = { decoded, bytes: first, size, timer };
    this.size += size;
    this.byXid.set(decoded.xid, pending);
    return undefined;
  }

  close(): void {
    for (const pending of this.byXid.values()) pending.timer.cancel();
    this.byXid.clear();
  }

  private forget(pending: Pending): void {
    pending.timer.cancel();
    this.byXid.delete(pending.decoded.xid);
    this.size -= pending.size;
  }
}

/** Only lists of tables and of monitors can be long enough to be cut. */
function joined(a: Message, b: Message): Message {
  if (a.type === "table-features-request" && b.type === a.type) {
    return { ...a, tables: [...a.tables, ...b.tables] };
  }
  if (a.type === "flow-monitor-request" && b.type === a.type) {
    return { ...a, monitors: [...a.monitors, ...b.monitors] };
  }
  return b;
}
