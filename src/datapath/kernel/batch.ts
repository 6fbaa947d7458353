/**
 * Requests that are written one after the other and sent together. What the kernel answers (errors, and what is asked for by
 * NLM_F_ECHO) lies ready when the send returns, and is handed on by the request's number.
 */
import { NLM_F_REQUEST, NLMSG_ERROR, NLMSG_HEADER } from "../../netdev/netlink-message.ts";
import type { NetlinkSocket } from "../../sys/netlink-socket.ts";
import { OVS_HEADER } from "./families.ts";
import { NlWriter } from "./writer.ts";

/** Sent when so much is written; a socket takes messages of some 200 kB. */
const SEND_BYTES = 32 << 10;
const ROOM = 128 << 10;

export interface BatchAnswers {
  /** The kernel refused a request. */
  failed(tag: number, subject: number, errno: number): void;
  /** What a request with NLM_F_ECHO brought; `body` is valid during the call, attributes begin at OVS_HEADER. */
  echoed(tag: number, subject: number, body: DataView): void;
}

export class Batch {
  readonly out = new NlWriter();
  private readonly socket: NetlinkSocket;
  private readonly answers: BatchAnswers;
  private readonly buffer = new Uint8Array(ROOM);
  private readonly view = new DataView(this.buffer.buffer);
  /** Number of the first request that is not sent yet, counted from 1 and never again. */
  private first = 1;
  private readonly tags: number[] = [];
  private readonly subjects: number[] = [];
  private started = 0;

  constructor(socket: NetlinkSocket, answers: BatchAnswers) {
    this.socket = socket;
    this.answers = answers;
  }

  /** Begins a request; `tag` and `subject` come back with its answer. Attributes are written to {@link out}. */
  begin(
    family: number,
    flags: number,
    command: number,
    version: number,
    dpIfindex: number,
    tag: number,
    subject: number,
  ): void {
    const sequence = this.first + this.tags.length;
    this.started = this.out.beginMessage(
      family,
      NLM_F_REQUEST | flags,
      sequence,
      command,
      version,
      dpIfindex,
    );
    this.tags.push(tag);
    this.subjects.push(subject);
  }

  end(): void {
    this.out.endMessage(this.started);
    if (this.out.length >= SEND_BYTES) this.flush();
  }

  /** Takes back what was begun last. */
  abandon(): void {
    this.out.cut(this.started);
    this.tags.pop();
    this.subjects.pop();
  }

  /** Sends what is written; all of it has been done, or answered as failed, when this returns. */
  flush(): void {
    const count = this.tags.length;
    if (count === 0) return;
    const { first } = this;
    const tags = this.tags.splice(0);
    const subjects = this.subjects.splice(0);
    this.first += count;
    const sent = this.socket.send(this.out.bytes, this.out.length);
    this.out.reset();
    if (sent < 0) {
      for (let i = 0; i < count; i++) this.answers.failed(tags[i]!, subjects[i]!, -sent);
      return;
    }
    for (;;) {
      const length = this.socket.receive(this.buffer, false);
      if (length < 0) return;
      this.read(length, first, tags, subjects);
    }
  }

  private read(length: number, first: number, tags: number[], subjects: number[]): void {
    const { view } = this;
    for (let at = 0; at + NLMSG_HEADER <= length; ) {
      const size = view.getUint32(at, true);
      if (size < NLMSG_HEADER || at + size > length) return;
      const index = view.getUint32(at + 8, true) - first;
      if (index >= 0 && index < tags.length) {
        const body = new DataView(view.buffer, at + NLMSG_HEADER, size - NLMSG_HEADER);
        if (view.getUint16(at + 4, true) === NLMSG_ERROR) {
          const errno = -body.getInt32(0, true);
          if (errno !== 0) this.answers.failed(tags[index]!, subjects[index]!, errno);
        } else if (body.byteLength >= OVS_HEADER) this.answers.echoed(tags[index]!, subjects[index]!, body);
      }
      at += (size + 3) & ~3;
    }
  }
}
