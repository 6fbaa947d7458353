/**
 * --record and --replay: everything that streams, clock and random numbers tell a program, written down in order, and
 * told to it again in that order, at the same (simulated) times, without sockets. For debugging: the same input gives
 * the same run. Files are not part of it: give a replay a copy of what the program opened. What the program writes is
 * lost in a replay, and a peer that reads slowly is taken for a fast one. Upstream: lib/ovs-replay, lib/stream-replay,
 * whose files look different.
 *
 * A recording is a file of lines, each one event: `[ms since start, kind, ...]`. It holds in clear what came over TLS.
 */
import type { Clock } from "./clock.ts";
import { describeError, Fatal } from "./errors.ts";
import type { OptionGroup } from "./getopt.ts";
import { fs } from "./lazy-fs.ts";
import type { Platform, Random } from "./platform.ts";
import { SimClock } from "./sim-clock.ts";
import type { Stream, StreamFactory, StreamHandler, StreamServer } from "./stream.ts";
import { vlog } from "./vlog.ts";

const log = vlog("ovs_replay");

const FILE = "session.replay";
/** A program that does not ask for what it asked for in the recorded run is given so long. */
const PATIENCE_MS = 10_000;

/** What is known of a stream besides its bytes. */
type Facts = Pick<Stream, "name" | "kind" | "localAddress" | "remoteAddress" | "remotePort" | "peerName">;

/** `undefined` in an error's place: none. */
interface Failure {
  readonly message: string;
  readonly code?: string | undefined;
}

type Event =
  | readonly [ms: number, kind: "start", wall: number]
  | readonly [ms: number, kind: "uuid", uuid: string]
  | readonly [ms: number, kind: "bytes", latin1: string]
  | readonly [ms: number, kind: "u32", value: number]
  /** The `call`th call of `connect` or `listen` has ended so. */
  | readonly [ms: number, kind: "connected", call: number, stream: number, facts: Facts]
  | readonly [ms: number, kind: "listening", call: number, port: number | null]
  | readonly [ms: number, kind: "failed", call: number, failure: Failure]
  | readonly [ms: number, kind: "accepted", call: number, stream: number, facts: Facts]
  | readonly [ms: number, kind: "data", stream: number, latin1: string]
  | readonly [ms: number, kind: "drain", stream: number]
  | readonly [ms: number, kind: "closed", stream: number, failure: Failure | null];

type Tail<T> = T extends readonly [number, ...infer Rest] ? Rest : never;

export interface RecordingOptions {
  record: string | undefined;
  replay: string | undefined;
}

export function recordingOptions(options: RecordingOptions): OptionGroup {
  return {
    title: "Recording options",
    options: [
      {
        long: "record",
        arg: "optional",
        metavar: "FOLDER",
        help: "write down all input, in FOLDER (default: this one)",
        set: (folder) => void (options.record = folder ?? "."),
      },
      {
        long: "replay",
        arg: "optional",
        metavar: "FOLDER",
        help: "run on what was written down in FOLDER",
        set: (folder) => void (options.replay = folder ?? "."),
      },
    ],
  };
}

/**
 * The platform of a program with these options. `ended` is called when a replay has nothing more to tell.
 * Throws Fatal.
 */
export function recordedPlatform(
  platform: Platform,
  { record, replay }: RecordingOptions,
  ended: () => void,
): Platform {
  if (record !== undefined && replay !== undefined) {
    throw new Fatal("--record and --replay are mutually exclusive");
  }
  if (record !== undefined) {
    const recorder = new Recorder(platform, `${record}/${FILE}`);
    return over(platform, { streams: recorder, random: recorder.random });
  }
  if (replay !== undefined) {
    const replayer = new Replayer(platform.clock, `${replay}/${FILE}`, ended);
    return over(platform, { streams: replayer, random: replayer.random, clock: replayer.clock });
  }
  return platform;
}

function over(platform: Platform, changed: Partial<Platform>): Platform {
  return Object.assign(Object.create(platform) as Platform, changed);
}

// Recording.

class Recorder implements StreamFactory {
  readonly random: Random;
  readonly #streams: StreamFactory;
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #fd: number;
  #calls = 0;
  #count = 0;

  constructor({ streams, clock, random }: Platform, path: string) {
    this.#streams = streams;
    this.#clock = clock;
    this.#startMs = clock.now();
    const startWall = clock.wall();
    try {
      this.#fd = fs().openSync(path, "w", 0o600);
    } catch (error) {
      throw new Fatal(`${path}: failed to create recording (${describeError(error)})`);
    }
    this.note("start", startWall);
    this.random = {
      uuid: () => {
        const uuid = random.uuid();
        this.note("uuid", uuid);
        return uuid;
      },
      bytes: (count) => {
        const bytes = random.bytes(count);
        this.note("bytes", latin1(bytes));
        return bytes;
      },
      u32: () => {
        const value = random.u32();
        this.note("u32", value);
        return value;
      },
    };
  }

  note(...event: Tail<Event>): void {
    const ms = this.#clock.now() - this.#startMs;
    fs().writeSync(this.#fd, `${JSON.stringify([Math.round(ms * 1000) / 1000, ...event])}\n`);
  }

  #wrap(stream: Stream): RecordedStream {
    return new RecordedStream(this, stream, this.#count++);
  }

  async connect(name: string, timeoutMs?: number): Promise<Stream> {
    const call = this.#calls++;
    try {
      const stream = this.#wrap(await this.#streams.connect(name, timeoutMs));
      this.note("connected", call, stream.number, factsOf(stream));
      return stream;
    } catch (error) {
      this.note("failed", call, failureOf(error as Error));
      throw error;
    }
  }

  async listen(name: string, accept: (stream: Stream) => void): Promise<StreamServer> {
    const call = this.#calls++;
    try {
      const server = await this.#streams.listen(name, (accepted) => {
        const stream = this.#wrap(accepted);
        this.note("accepted", call, stream.number, factsOf(stream));
        accept(stream);
      });
      this.note("listening", call, server.port ?? null);
      return server;
    } catch (error) {
      this.note("failed", call, failureOf(error as Error));
      throw error;
    }
  }
}

class RecordedStream implements Stream {
  readonly number: number;
  readonly #recorder: Recorder;
  readonly #stream: Stream;
  #handler: StreamHandler | undefined;

  constructor(recorder: Recorder, stream: Stream, number: number) {
    this.#recorder = recorder;
    this.#stream = stream;
    this.number = number;
  }

  get handler(): StreamHandler | undefined {
    return this.#handler;
  }

  set handler(handler: StreamHandler | undefined) {
    this.#handler = handler;
    this.#stream.handler = handler && {
      data: (bytes) => {
        this.#recorder.note("data", this.number, latin1(bytes));
        this.#handler?.data(bytes);
      },
      drain: () => {
        this.#recorder.note("drain", this.number);
        this.#handler?.drain?.();
      },
      close: (error) => {
        this.#recorder.note("closed", this.number, error === undefined ? null : failureOf(error));
        this.#handler?.close(error);
      },
    };
  }

  get name(): string {
    return this.#stream.name;
  }
  get kind(): Stream["kind"] {
    return this.#stream.kind;
  }
  get backlog(): number {
    return this.#stream.backlog;
  }
  get localAddress(): string | undefined {
    return this.#stream.localAddress;
  }
  get remoteAddress(): string | undefined {
    return this.#stream.remoteAddress;
  }
  get remotePort(): number | undefined {
    return this.#stream.remotePort;
  }
  get peerName(): string | undefined {
    return this.#stream.peerName;
  }
  write(bytes: Uint8Array | string): boolean {
    return this.#stream.write(bytes);
  }
  pause(): void {
    this.#stream.pause();
  }
  resume(): void {
    this.#stream.resume();
  }
  end(): void {
    this.#stream.end();
  }
  destroy(error?: Error): void {
    this.#stream.destroy(error);
  }
}

function factsOf({ name, kind, localAddress, remoteAddress, remotePort, peerName }: Stream): Facts {
  return { name, kind, localAddress, remoteAddress, remotePort, peerName };
}

function failureOf(error: Error & { code?: string }): Failure {
  return { message: error.message, code: error.code };
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}

// Replaying.

interface Call {
  readonly accept: ((stream: Stream) => void) | undefined;
  readonly name: string;
  resolve(result: Stream | StreamServer): void;
  reject(error: Error): void;
}

class Replayer implements StreamFactory {
  readonly clock: SimClock;
  readonly random: Random;
  readonly #real: Clock;
  readonly #events: Event[] = [];
  /** Numbers drawn, in order, of each kind. */
  readonly #uuids: string[] = [];
  readonly #bytes: string[] = [];
  readonly #u32s: number[] = [];
  readonly #calls: Call[] = [];
  readonly #streams = new Map<number, ReplayedStream>();
  readonly #ended: () => void;
  #called: () => void = () => {};

  constructor(real: Clock, path: string, ended: () => void) {
    this.#real = real;
    this.#ended = ended;
    let wall = 0;
    for (const event of readRecording(path)) {
      if (event[1] === "start") wall = event[2];
      else if (event[1] === "uuid") this.#uuids.push(event[2]);
      else if (event[1] === "bytes") this.#bytes.push(event[2]);
      else if (event[1] === "u32") this.#u32s.push(event[2]);
      else this.#events.push(event);
    }
    this.clock = new SimClock(undefined, undefined, wall);
    this.random = {
      uuid: () => drawn(this.#uuids.shift()),
      bytes: () => new Uint8Array(Buffer.from(drawn(this.#bytes.shift()), "latin1")),
      u32: () => drawn(this.#u32s.shift()),
    };
    real.soon(() => void this.#run());
  }

  connect(name: string): Promise<Stream> {
    return this.#call(name, undefined) as Promise<Stream>;
  }

  listen(name: string, accept: (stream: Stream) => void): Promise<StreamServer> {
    return this.#call(name, accept) as Promise<StreamServer>;
  }

  #call(name: string, accept: Call["accept"]): Promise<Stream | StreamServer> {
    return new Promise((resolve, reject) => {
      this.#calls.push({ name, accept, resolve, reject });
      this.#called();
    });
  }

  async #run(): Promise<void> {
    for (const event of this.#events) {
      await this.clock.warp(Math.max(0, event[0] - this.clock.now()));
      // What the last event has set in motion comes first.
      await new Promise<void>((resolve) => this.#real.soon(resolve));
      if (!(await this.#tell(event))) {
        log.err("replay differs from the recorded run, giving up");
        break;
      }
    }
    await this.clock.warp(1);
    log.dbg("end of the recording");
    this.#ended();
  }

  /** False: the program has not asked for this. */
  async #tell(event: Event): Promise<boolean> {
    switch (event[1]) {
      case "connected": {
        const call = await this.#awaitCall(event[2]);
        call?.resolve(this.#open(event[3], event[4]));
        return call !== undefined;
      }
      case "listening": {
        const call = await this.#awaitCall(event[2]);
        call?.resolve({ name: call.name, port: event[3] ?? undefined, close: () => {} });
        return call !== undefined;
      }
      case "failed": {
        const call = await this.#awaitCall(event[2]);
        call?.reject(errorOf(event[3]));
        return call !== undefined;
      }
      case "accepted": {
        const call = await this.#awaitCall(event[2]);
        call?.accept?.(this.#open(event[3], event[4]));
        return call !== undefined;
      }
      case "data":
        this.#streams.get(event[2])?.handler?.data(Buffer.from(event[3], "latin1"));
        return true;
      case "drain":
        this.#streams.get(event[2])?.handler?.drain?.();
        return true;
      case "closed":
        this.#streams.get(event[2])?.handler?.close(event[3] === null ? undefined : errorOf(event[3]));
        this.#streams.delete(event[2]);
        return true;
      default:
        return true;
    }
  }

  #open(number: number, facts: Facts): ReplayedStream {
    const stream = new ReplayedStream(facts);
    this.#streams.set(number, stream);
    return stream;
  }

  async #awaitCall(number: number): Promise<Call | undefined> {
    let patient = true;
    while (this.#calls.length <= number && patient) {
      await new Promise<void>((resolve) => {
        const timer = this.#real.after(PATIENCE_MS, () => {
          patient = false;
          resolve();
        });
        this.#called = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    return this.#calls[number];
  }
}

/** Says what it is told to; what is written to it is lost. */
class ReplayedStream implements Stream {
  readonly name: string;
  readonly kind: Stream["kind"];
  readonly localAddress: string | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly peerName: string | undefined;
  readonly backlog = 0;
  handler: StreamHandler | undefined = undefined;

  constructor({ name, kind, localAddress, remoteAddress, remotePort, peerName }: Facts) {
    this.name = name;
    this.kind = kind;
    this.localAddress = localAddress;
    this.remoteAddress = remoteAddress;
    this.remotePort = remotePort;
    this.peerName = peerName;
  }

  write(): boolean {
    return true;
  }
  pause(): void {}
  resume(): void {}
  // The end is an event of the recording.
  end(): void {}
  destroy(): void {}
}

function readRecording(path: string): Event[] {
  let text: string;
  try {
    text = fs().readFileSync(path, "utf8");
  } catch (error) {
    throw new Fatal(`${path}: failed to open recording (${describeError(error)})`);
  }
  const lines = text.split("\n");
  // A run that was killed may have left half a line.
  lines.pop();
  try {
    return lines.map((line) => JSON.parse(line) as Event);
  } catch {
    throw new Fatal(`${path}: not a recording`);
  }
}

function drawn<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("replay: more random numbers wanted than were recorded");
  return value;
}

function errorOf({ message, code }: Failure): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}
