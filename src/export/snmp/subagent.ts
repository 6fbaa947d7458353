/**
 * An AgentX sub-agent (RFC 2741 section 7): connects to the master, opens a session, keeps its registrations as they are wished,
 * answers what is asked, and begins again when the master goes away. Time and streams are handed in.
 */
import type { Clock, Timer } from "../../lib/clock.ts";
import { describeError } from "../../lib/errors.ts";
import { Reconnect } from "../../lib/reconnect.ts";
import type { Stream, StreamFactory } from "../../lib/stream.ts";
import { RateLimit, vlog } from "../../lib/vlog.ts";
import { CodecError } from "../codec/layout.ts";
import {
  AGENTX_NOT_OPEN,
  AgentxSplitter,
  agentxErrorText,
  encodeClose,
  encodeOpen,
  encodePing,
  encodeRegister,
  encodeResponse,
  encodeUnregister,
  type MasterPdu,
  type Region,
  type SearchRange,
  SNMP_COMMIT_FAILED,
  SNMP_NOT_WRITABLE,
  SNMP_UNDO_FAILED,
  type Varbind,
} from "./agentx.ts";
import type { MibView } from "./mib.ts";

const log = vlog("agentx");
const connectLimit = new RateLimit(1, 1);
const registerLimit = new RateLimit(10, 10);
const badLimit = new RateLimit(5, 5);

/** What the master waits for an answer of ours. */
const TIMEOUT_SEC = 5;
/** Silence before we ask whether the master is still there. */
const PROBE_MS = 15_000;
/** Repetitions that one GetBulk gets at most: the master asks again from there. */
const MAX_BULK = 1000;

export interface SubagentOptions {
  readonly clock: Clock;
  readonly streams: Pick<StreamFactory, "connect">;
  /** "unix:FILE" or "tcp:HOST:PORT". */
  readonly master: string;
  readonly description: string;
  /** The objects of a context as they are now, for what is asked; undefined: there is no such context. */
  readonly view: (context: string, ranges: readonly SearchRange[]) => Promise<MibView | undefined>;
}

/** What is told to a user. */
export interface SubagentStatus {
  readonly state: "connected" | "connecting";
  readonly lastError: string | undefined;
  /** Asked for, and accepted by the master. */
  readonly wished: number;
  readonly registered: number;
  readonly requests: number;
}

const keyOf = ({ context, oid, place, upper, priority }: Region): string =>
  `${context}/${oid.join(".")}/${place ?? ""}-${upper ?? ""}/${priority}`;

export class Subagent {
  readonly #options: SubagentOptions;
  readonly #reconnect: Reconnect;
  #wished = new Map<string, Region>();
  readonly #registered = new Map<string, Region>();
  /** Sent and not yet answered, or refused: not sent again in this session. */
  readonly #tried = new Set<string>();
  readonly #replies = new Map<number, (pdu: MasterPdu & { kind: "response" }) => void>();
  #stream: Stream | undefined = undefined;
  #session = 0;
  #open = false;
  #packet = 0;
  #timer: Timer | undefined = undefined;
  #closed = false;
  #attempt = 0;
  #lastError: string | undefined = undefined;
  #requests = 0;
  /** Requests are answered in their order. */
  #turn: Promise<void> = Promise.resolve();
  #uptime = { ticks: 0, atMs: 0 };

  constructor(options: SubagentOptions) {
    this.#options = options;
    this.#reconnect = new Reconnect(options.clock.now());
    this.#reconnect.probeInterval = PROBE_MS;
  }

  get status(): SubagentStatus {
    return {
      state: this.#open ? "connected" : "connecting",
      lastError: this.#lastError,
      wished: this.#wished.size,
      registered: this.#registered.size,
      requests: this.#requests,
    };
  }

  /** The master's sysUpTime now, in hundredths of a second; 0 before the first session. */
  get sysUpTime(): number {
    if (this.#uptime.atMs === 0) return 0;
    return (this.#uptime.ticks + Math.floor((this.#options.clock.now() - this.#uptime.atMs) / 10)) >>> 0;
  }

  start(): void {
    this.#reconnect.enable(this.#options.clock.now());
    this.#run();
  }

  /** Says goodbye to the master. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    if (this.#open) this.#stream?.write(encodeClose(this.#ids()));
    this.#stream?.end();
  }

  /** Exactly these are to be registered. */
  register(regions: Iterable<Region>): void {
    this.#wished = new Map([...regions].map((region) => [keyOf(region), region]));
    if (this.#open) this.#synchronize();
  }

  #ids() {
    return { session: this.#session, transaction: 0, packet: ++this.#packet };
  }

  #run(): void {
    const { clock } = this.#options;
    if (this.#closed) return;
    switch (this.#reconnect.run(clock.now())) {
      case "connect":
        this.#reconnect.connecting(clock.now());
        void this.#connect(++this.#attempt);
        break;
      case "probe":
        this.#request(encodePing, () => {});
        break;
      case "disconnect":
        this.#lost(new Error("no answer"));
        return;
    }
    this.#schedule();
  }

  #schedule(): void {
    this.#timer?.cancel();
    const wait = this.#reconnect.deadline() - this.#options.clock.now();
    if (wait !== Number.POSITIVE_INFINITY)
      this.#timer = this.#options.clock.after(Math.max(1, wait), () => this.#run());
  }

  async #connect(attempt: number): Promise<void> {
    let stream: Stream;
    try {
      stream = await this.#options.streams.connect(this.#options.master);
    } catch (error) {
      if (attempt === this.#attempt && !this.#closed) this.#lost(error);
      return;
    }
    // It took so long that another attempt was begun.
    if (attempt !== this.#attempt || this.#closed) {
      stream.destroy();
      return;
    }
    this.#stream = stream;
    const splitter = new AgentxSplitter();
    stream.handler = {
      data: (bytes) => {
        if (stream !== this.#stream) return;
        this.#reconnect.activity(this.#options.clock.now());
        try {
          for (const pdu of splitter.push(bytes)) this.#received(pdu);
        } catch (error) {
          if (!(error instanceof CodecError)) throw error;
          this.#lost(error);
        }
      },
      close: (error) => {
        if (stream === this.#stream) this.#lost(error ?? new Error("connection closed by the master"));
      },
    };
    this.#packet++;
    this.#replies.set(this.#packet, (reply) => this.#opened(reply));
    stream.write(encodeOpen(this.#packet, TIMEOUT_SEC, this.#options.description));
  }

  #opened(reply: MasterPdu & { kind: "response" }): void {
    if (reply.error !== 0) {
      this.#lost(new Error(`session refused: ${agentxErrorText(reply.error)}`));
      return;
    }
    const now = this.#options.clock.now();
    this.#session = reply.session;
    this.#open = true;
    this.#uptime = { ticks: reply.sysUpTime, atMs: now };
    this.#lastError = undefined;
    this.#reconnect.connected(now);
    this.#schedule();
    log.info(`${this.#options.master}: connected to AgentX master`);
    this.#synchronize();
  }

  /** The connection, or the attempt at one, is over. */
  #lost(error: unknown): void {
    const text = describeError(error);
    if (this.#open) log.warn(`${this.#options.master}: connection to AgentX master lost (${text})`);
    else
      log.warnRl(connectLimit, `${this.#options.master}: cannot reach AgentX master (${text}); trying again`);
    this.#lastError = text;
    this.#attempt++;
    const stream = this.#stream;
    this.#stream = undefined;
    stream?.destroy();
    this.#open = false;
    this.#registered.clear();
    this.#tried.clear();
    this.#replies.clear();
    this.#reconnect.disconnected(this.#options.clock.now());
    this.#schedule();
  }

  #request(
    encode: (ids: { session: number; transaction: number; packet: number }) => Uint8Array,
    reply: (pdu: MasterPdu & { kind: "response" }) => void,
  ): void {
    const ids = this.#ids();
    this.#replies.set(ids.packet, reply);
    this.#stream?.write(encode(ids));
  }

  /** Registers what is missing and takes back what is too much. */
  #synchronize(): void {
    for (const [key, region] of this.#registered) {
      if (this.#wished.has(key)) continue;
      this.#registered.delete(key);
      this.#tried.delete(key);
      this.#request(
        (ids) => encodeUnregister(ids, region),
        () => {},
      );
    }
    for (const [key, region] of this.#wished) {
      if (this.#tried.has(key)) continue;
      this.#tried.add(key);
      this.#request(
        (ids) => encodeRegister(ids, region, TIMEOUT_SEC),
        ({ error }) => this.#answered(key, region, error),
      );
    }
  }

  #answered(key: string, region: Region, error: number): void {
    if (error === AGENTX_NOT_OPEN) {
      this.#lost(new Error("session forgotten by the master"));
      return;
    }
    if (error !== 0) {
      log.warnRl(
        registerLimit,
        `registration of ${region.oid.join(".")}${region.context === "" ? "" : ` in context "${region.context}"`} refused: ${agentxErrorText(error)}`,
      );
      return;
    }
    this.#registered.set(key, region);
    // Meanwhile it may not be wished any more.
    if (!this.#wished.has(key)) this.#synchronize();
  }

  #received(pdu: MasterPdu): void {
    switch (pdu.kind) {
      case "response": {
        const reply = this.#replies.get(pdu.packet);
        this.#replies.delete(pdu.packet);
        reply?.(pdu);
        return;
      }
      case "close":
        this.#lost(new Error("session closed by the master"));
        return;
      case "get":
      case "getNext":
      case "getBulk": {
        this.#requests++;
        const stream = this.#stream;
        this.#turn = this.#turn.then(async () => {
          const varbinds = answer(pdu, await this.#options.view(pdu.context, pdu.ranges));
          if (stream === this.#stream) stream?.write(encodeResponse(pdu, 0, 0, varbinds));
        });
        return;
      }
      case "testSet":
        this.#stream?.write(encodeResponse(pdu, SNMP_NOT_WRITABLE, 1, []));
        return;
      case "commitSet":
        this.#stream?.write(encodeResponse(pdu, SNMP_COMMIT_FAILED, 1, []));
        return;
      case "undoSet":
        this.#stream?.write(encodeResponse(pdu, SNMP_UNDO_FAILED, 1, []));
        return;
      case "cleanupSet":
        return;
      default:
        log.warnRl(badLimit, `${this.#options.master}: unexpected AgentX message of type ${pdu.type}`);
    }
  }
}

type Question = Extract<MasterPdu, { readonly ranges: readonly SearchRange[] }>;

/** RFC 2741 section 7.2.3. */
export function answer(pdu: Question, view: MibView | undefined): Varbind[] {
  if (view === undefined) {
    const type = pdu.kind === "get" ? "noSuchObject" : "endOfMibView";
    return pdu.ranges.map(({ start }) => ({ oid: start, value: { type } }));
  }
  if (pdu.kind === "get") return pdu.ranges.map(({ start }) => view.get(start));
  if (!("maxRepetitions" in pdu)) return pdu.ranges.map((range) => view.next(range));
  const single = pdu.ranges.slice(0, pdu.nonRepeaters);
  const varbinds = single.map((range) => view.next(range));
  let repeated = pdu.ranges.slice(pdu.nonRepeaters);
  const rounds = Math.min(pdu.maxRepetitions, MAX_BULK);
  for (let round = 0; round < rounds && repeated.length > 0; round++) {
    const found = repeated.map((range) => view.next(range));
    varbinds.push(...found);
    if (found.every(({ value }) => value.type === "endOfMibView")) break;
    repeated = repeated.map((range, at) => ({ ...range, start: found[at]!.oid, include: false }));
  }
  return varbinds;
}
