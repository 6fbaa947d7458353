/** A Platform without an outside world: stopped clock, memory network, seeded randomness, captured output. */
import type { Clock } from "../../src/lib/clock.ts";
import type { DatagramSender, Platform, ProcessOps, Random } from "../../src/lib/platform.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import type { StreamFactory } from "../../src/lib/stream.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import { uuidFromRandom } from "../../src/lib/uuid.ts";

/** xorshift32: the same numbers for the same seed. */
export function seededRandom(seed = 1): Random {
  let state = seed | 0 || 1;
  const u32 = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, () => u32() & 255);
  return { bytes, u32, uuid: () => uuidFromRandom(bytes(16)) };
}

export interface SimPlatform extends Platform {
  readonly clock: SimClock;
  /** What was printed. */
  readonly out: { stdout: string; stderr: string; datagrams: string[] };
}

export function simPlatform(
  env: Record<string, string | undefined> = {},
  parts: { clock?: SimClock; streams?: StreamFactory; seed?: number } = {},
): SimPlatform {
  const clock = parts.clock ?? new SimClock(undefined, undefined, Date.UTC(2026, 0, 2, 3, 4, 5, 678));
  const out = { stdout: "", stderr: "", datagrams: [] as string[] };
  const hooks: (() => void)[] = [];
  const sender: DatagramSender = { send: (text) => void out.datagrams.push(text) };
  const refuse = (): never => {
    throw new Error("no such thing in a simulation");
  };
  const process = new Proxy({} as ProcessOps, {
    get: (_target, name) => (name === "datagram" ? () => sender : refuse),
  });
  return {
    clock,
    streams: parts.streams ?? new MemoryNetwork(clock),
    random: seededRandom(parts.seed),
    env,
    pid: 4711,
    hostname: () => "simhost",
    cwd: () => "/",
    stdout: (text) => {
      out.stdout += typeof text === "string" ? text : new TextDecoder().decode(text);
    },
    stderr: (text) => {
      out.stderr += text;
    },
    stdin: async () => new Uint8Array(),
    stdoutIsTerminal: false,
    stderrIsTerminal: false,
    exit: refuse,
    atExit: (run) => void hooks.push(run),
    runExitHooks: () => {
      for (const hook of hooks.splice(0).reverse()) hook();
    },
    process,
    out,
  };
}

/** Real time by Node's timers, for tests over real sockets. */
export const nodeClock: Clock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return { cancel: () => clearTimeout(timer) };
  },
  background: (ms, run) => {
    const timer = setTimeout(run, ms).unref();
    return { cancel: () => clearTimeout(timer) };
  },
  soon: (run) => void setImmediate(run),
};
