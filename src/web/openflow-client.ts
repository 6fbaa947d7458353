/** Asking one switch by OpenFlow: a connection that is made when needed, one request at a time, replies in parts. */
import type { Clock, Timer } from "../lib/clock.ts";
import { describeError } from "../lib/errors.ts";
import type { StreamFactory } from "../lib/stream.ts";
import { OPENFLOW_PORT } from "../lib/stream-config.ts";
import { decode, encode, readHeaderAt } from "../openflow/codec.ts";
import { OfpError } from "../openflow/errors.ts";
import type { Message, MessageType, Version } from "../openflow/messages.ts";
import { Vconn } from "../openflow/vconn.ts";

/** Of flow statistics these all have one form; 1.5 has another. */
const OLDER = 0b11_1110;
const NEWEST = 0b100_0000;
/** A switch that says nothing for this long is given up. */
const SILENCE_MS = 10_000;
/** A connection that nobody uses any more is closed. */
const IDLE_MS = 15_000;

const OFPT_ERROR = 1;
const OFPT_ECHO_REQUEST = 2;

/** The message whose `type` may be T. */
type Of<T extends MessageType> = Message extends infer M
  ? M extends { type: infer U }
    ? T extends U
      ? M
      : never
    : never
  : never;

interface Request {
  readonly xid: number;
  readonly part: (bytes: Uint8Array) => boolean;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class OpenflowClient {
  readonly #clock: Clock;
  readonly #streams: StreamFactory;
  readonly #target: string;
  #vconn: Vconn | undefined = undefined;
  #request: Request | undefined = undefined;
  #timer: Timer | undefined = undefined;
  /** The last request, done or not. */
  #turn: Promise<unknown> = Promise.resolve();

  /** `target`: "unix:…", "tcp:HOST[:PORT]", "ssl:HOST[:PORT]". */
  constructor(clock: Clock, streams: StreamFactory, target: string) {
    this.#clock = clock;
    this.#streams = streams;
    this.#target = /^(tcp|ssl):(\[[^\]]*\]|[^:]*)$/.test(target) ? `${target}:${OPENFLOW_PORT}` : target;
  }

  close(): void {
    this.#timer?.cancel();
    this.#lose(new Error("closed"));
  }

  /** The decoded reply, its parts one after the other. Throws an Error for people. */
  async ask<T extends MessageType>(message: Message, type: T): Promise<Of<T>[]> {
    const parts: Of<T>[] = [];
    await this.stream(message, (bytes) => {
      const decoded = decode(bytes);
      if (decoded instanceof OfpError) throw new Error(`bad reply: ${decoded.message}`);
      if ((decoded.message.type as string) !== type) throw new Error(`unexpected reply: ${decoded.name}`);
      parts.push(decoded.message as unknown as Of<T>);
    });
    return parts;
  }

  /** Hands the reply's parts to `part` as bytes, which are good for the call only. */
  stream(message: Message, part: (bytes: Uint8Array, version: Version) => void): Promise<void> {
    const turn = this.#turn.then(() => this.#run(message, part));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #run(message: Message, part: (bytes: Uint8Array, version: Version) => void): Promise<void> {
    this.#timer?.cancel();
    const vconn = (this.#vconn ??= await this.#connect());
    const version = vconn.version as Version;
    const xid = vconn.nextXid();
    try {
      await new Promise<void>((resolve, reject) => {
        this.#request = {
          xid,
          resolve,
          reject,
          part: (bytes) => {
            part(bytes, version);
            return isLast(bytes);
          },
        };
        this.#watchSilence();
        vconn.send(encode(message, version, { xid, nxm: true }));
      });
    } finally {
      this.#request = undefined;
      this.#timer?.cancel();
      this.#timer = this.#clock.background(IDLE_MS, () => this.#lose(undefined));
    }
  }

  #watchSilence(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.background(SILENCE_MS, () =>
      this.#lose(new Error("the switch does not answer")),
    );
  }

  async #connect(): Promise<Vconn> {
    try {
      return await this.#open(OLDER);
    } catch (error) {
      if ((error as { code?: string }).code !== "EPROTO") throw error;
      return await this.#open(NEWEST);
    }
  }

  async #open(versions: number): Promise<Vconn> {
    let stream: Awaited<ReturnType<StreamFactory["connect"]>>;
    try {
      stream = await this.#streams.connect(this.#target);
    } catch (error) {
      throw new Error(`${this.#target}: ${describeError(error)}`);
    }
    const timer = this.#clock.background(SILENCE_MS, () =>
      stream.destroy(new Error("the switch does not answer")),
    );
    try {
      return await new Promise((resolve, reject) => {
        const vconn = new Vconn(stream, versions, {
          open: () => resolve(vconn),
          message: (bytes) => this.#message(vconn, bytes),
          close: (reason) => {
            const why = reason ?? new Error("connection closed");
            reject(why);
            if (this.#vconn === vconn) this.#lose(why);
          },
        });
      });
    } finally {
      timer.cancel();
    }
  }

  #message(vconn: Vconn, bytes: Uint8Array): void {
    const { type, xid } = readHeaderAt(bytes);
    if (type === OFPT_ECHO_REQUEST) {
      const reply = bytes.slice();
      reply[1] = OFPT_ECHO_REQUEST + 1;
      vconn.sendOwned(reply);
      return;
    }
    const request = this.#request;
    if (request === undefined || request.xid !== xid) return;
    if (type === OFPT_ERROR) {
      const decoded = decode(bytes);
      const name =
        decoded instanceof OfpError || decoded.message.type !== "error" ? "error" : decoded.message.error;
      request.reject(new Error(`the switch refuses: ${String(name)}`));
      return;
    }
    this.#watchSilence();
    try {
      if (request.part(bytes)) request.resolve();
    } catch (error) {
      // The rest of the reply is not wanted.
      this.#request = undefined;
      request.reject(error as Error);
    }
  }

  #lose(error: Error | undefined): void {
    const vconn = this.#vconn;
    this.#vconn = undefined;
    vconn?.destroy();
    this.#request?.reject(error ?? new Error("connection closed"));
  }
}

/** No part of a multipart message, or its last. */
function isLast(bytes: Uint8Array): boolean {
  const { version, type } = readHeaderAt(bytes);
  const multipart = type === (version === 1 ? 17 : 19);
  return !multipart || ((bytes[10]! << 8) | bytes[11]!) % 2 === 0;
}
