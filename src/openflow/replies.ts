/**
 * Replies in parts: {@link MultipartWriter} collects entries of one multipart reply in a growing buffer and starts a new
 * message before one would pass 64 kB. Made for 100 000 flows: one buffer, no message objects.
 */

import { beginMessage, messageRow } from "./codec.ts";
import { logDecode } from "./log.ts";
import type { FlowStats, Version } from "./messages.ts";
import { writeFlowStats } from "./msg/flow.ts";
import type { MessageRow } from "./msg/row.ts";
import { Writer } from "./wire.ts";

const TOO_LONG =
  "Flow exceeded the maximum flow statistics reply size and was excluded from the response set";

/** Room that a message may take: lengths are 16 bits. */
const LIMIT = 0xffff;

export class MultipartWriter {
  readonly #row: MessageRow;
  readonly #version: Version;
  readonly #xid: number;
  readonly #nx: boolean;
  readonly writer = new Writer(65536);
  /** Start of the message that entries go to. */
  #start: number;
  #body: number;

  /** `type` is a reply's MessageType; `nx` its Nicira form in 1.0. Throws when the version has no such reply. */
  constructor(type: MessageRow["type"], version: Version, xid: number, nx = false) {
    const row = messageRow(type, version, nx);
    if (row === undefined) throw new Error(`no ${type} in version ${version}`);
    this.#row = row;
    this.#version = version;
    this.#xid = xid;
    this.#nx = nx;
    this.#start = beginMessage(this.writer, row, version, xid);
    this.#body = this.writer.pos;
  }

  /** Call after each entry, with where it began: moves it to a new message when the old one would grow too long, and drops one that no message can hold. */
  ended(entry: number): void {
    const w = this.writer;
    if (w.pos - this.#start <= LIMIT) return;
    if (w.pos - entry > LIMIT - (this.#body - this.#start)) {
      w.pos = entry;
      logDecode("ofp_flow", "warn", TOO_LONG);
      return;
    }
    const bytes = w.bytes.slice(entry, w.pos);
    w.pos = entry;
    w.setU16(this.#start + 2, w.pos - this.#start);
    w.setU16(this.#start + 10, 1);
    this.#start = beginMessage(w, this.#row, this.#version, this.#xid);
    this.#body = w.pos;
    w.put(bytes);
  }

  flow(s: FlowStats): void {
    const entry = this.writer.pos;
    writeFlowStats(this.writer, s, this.#version, this.#nx);
    this.ended(entry);
  }

  /** Bytes waiting in the buffer. */
  get size(): number {
    return this.writer.pos;
  }

  /** Finishes the last message: all messages, end to end. */
  done(): Uint8Array {
    const w = this.writer;
    w.setU16(this.#start + 2, w.pos - this.#start);
    return w.done();
  }
}

/** A whole multipart reply whose entries are encoded by its row one by one, cut into messages: returns them end to end. */
export function flowStatsReply(
  flows: Iterable<FlowStats>,
  version: Version,
  xid: number,
  nx = false,
): Uint8Array {
  const out = new MultipartWriter("flow-reply", version, xid, nx);
  for (const s of flows) out.flow(s);
  return out.done();
}
