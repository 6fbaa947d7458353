/**
 * The real world, for every main: clock, streams, randomness, files. What a program does not use is not loaded:
 * sockets come with the first connection, libc by FFI with the first call that needs it.
 */

import { absolute, dirs } from "../src/lib/dirs.ts";
import { describeError } from "../src/lib/errors.ts";
import { fs, fsLoaded } from "../src/lib/lazy-fs.ts";
import type { Platform } from "../src/lib/platform.ts";
import type { StreamFactory } from "../src/lib/stream.ts";
import { realClock } from "../src/sys/clock.ts";
import { realProcess } from "../src/sys/process.ts";
import { realRandom } from "../src/sys/random.ts";
import { connectUnix, nativeListeners } from "../src/sys/stream-native.ts";

/** Longer paths (in bytes; here counted for the shortest case, ASCII) take a detour in stream-node.ts. */
const UNIX_PATH_MAX = 100;

let platform: Platform | undefined;

export function realPlatform(): Platform {
  platform ??= create();
  return platform;
}

function create(): Platform {
  const exitHooks: (() => void)[] = [];
  // The engine alone would print it and go on waiting where main is not done.
  process.on("uncaughtException", (error) => {
    writeAll(2, `${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  });
  const atExit = (run: () => void): void => {
    if (exitHooks.length === 0) process.on("exit", () => runAll(exitHooks));
    exitHooks.push(run);
  };
  let factory: Promise<StreamFactory> | undefined;
  const streams = (): Promise<StreamFactory> => {
    factory ??= import("../src/lib/stream-node.ts").then(({ nodeStreams }) =>
      nodeStreams({
        clock: realClock,
        rundir: dirs(process.env).run,
        atExit,
        listeners: nativeListeners,
      }),
    );
    return factory;
  };
  return {
    clock: realClock,
    streams: {
      connect: async (name, timeoutMs) => {
        if (name.startsWith("unix:") && timeoutMs === undefined) {
          const path = absolute(dirs(process.env).run, name.slice(5));
          if (path.length < UNIX_PATH_MAX) return connectUnix(name, path);
        }
        return (await streams()).connect(name, timeoutMs);
      },
      listen: async (name, accept) => (await streams()).listen(name, accept),
    },
    random: realRandom,
    env: process.env,
    pid: process.pid,
    hostname: () => (import.meta.require("node:os") as typeof import("node:os")).hostname(),
    cwd: () => process.cwd(),
    stdout: writeOut,
    stderr: (text) => writeAll(2, text),
    stdin: readStdin,
    get stdoutIsTerminal() {
      return process.stdout.isTTY === true;
    },
    get stderrIsTerminal() {
      return process.stderr.isTTY === true;
    },
    exit: (status) => {
      for (const text of pending) writeAll(1, text);
      process.exit(status);
    },
    atExit,
    runExitHooks: () => runAll(exitHooks),
    process: realProcess,
  };
}

/** The last registered first; one that fails does not keep the others from running. */
function runAll(hooks: (() => void)[]): void {
  for (let hook = hooks.pop(); hook !== undefined; hook = hooks.pop()) {
    try {
      hook();
    } catch {
      // The process is ending.
    }
  }
}

// Bun.stdout's sink needs no node:fs, which would cost a short-lived client 3 ms. A write of at most PIPE_BUF bytes
// happens whole or not at all (pipe(7)); when not at all, the sink goes on by itself and `pending` remembers the text
// for an `exit` that comes first.
const PIPE_BUF = 4096;
let sink: ReturnType<typeof Bun.stdout.writer> | undefined;
let pending: (string | Uint8Array)[] = [];

function writeOut(text: string | Uint8Array): void {
  if (pending.length === 0 && (sink !== undefined || fsLoaded() || Buffer.byteLength(text) > PIPE_BUF)) {
    writeAll(1, text);
    return;
  }
  sink ??= Bun.stdout.writer();
  try {
    sink.write(text);
    const flushed = sink.flush();
    if (typeof flushed === "number") return;
    pending.push(text);
    flushed.then(() => {
      pending = [];
    }, notWritten);
  } catch (error) {
    notWritten(error);
  }
}

/** A reader of standard output that went away ends the process quietly; output that is lost, as on a full disk, does not. */
function notWritten(error: unknown): void {
  const { code } = error as { code?: string };
  // Closed by whoever does not want it.
  if (code === "EBADF") return;
  if (code === "EPIPE") process.exit(141);
  writeAll(2, `${process.argv0.replace(/^.*\//, "")}: standard output: ${describeError(error)}\n`);
  process.exit(1);
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4));

/** Whole and at once, also to a full pipe. */
function writeAll(fd: number, text: string | Uint8Array): void {
  let bytes: Uint8Array = typeof text === "string" ? Buffer.from(text) : text;
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs().writeSync(fd, bytes));
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === "EAGAIN") Atomics.wait(SLEEP, 0, 0, 1);
      else {
        if (fd === 1) notWritten(error);
        return;
      }
    }
  }
}

async function readStdin(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
