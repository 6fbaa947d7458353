/**
 * What the outside world is made of, as `commands/` hands it in (real: `commands/platform.ts`, fake: `test/sim/platform.ts`).
 * Everything below `commands/` takes a Platform, or the one part of it that it needs, as an argument.
 */
import type { Clock } from "./clock.ts";
import type { StreamFactory } from "./stream.ts";

export interface Random {
  /** Cryptographically good bytes. */
  bytes(count: number): Uint8Array;
  /** Random (version 4) UUID in the usual 36 characters. */
  uuid(): string;
  /** Unsigned 32-bit integer. */
  u32(): number;
}

/** Holds a POSIX (F_SETLK) write lock on a file until `release`; the descriptor stays open as long. */
export interface FileLock {
  readonly fd: number;
  /** Closes the descriptor, which drops the lock. Idempotent. */
  release(): void;
}

/**
 * POSIX locks. A trap: closing *any* descriptor of a file drops the process's locks on it, so a file that
 * this process has locked must not be opened and closed elsewhere in it (keep one descriptor for each).
 */
export interface FileLocks {
  /**
   * Opens (creating with `mode`) and write-locks `path` without waiting.
   * @returns the lock, or the pid of the process that holds it; throws an errno error when the file cannot be opened.
   */
  tryLock(path: string, mode?: number): FileLock | { holder: number };
  /** Write-locks an open descriptor without waiting: undefined when locked, else the holder's pid. */
  tryLockFd(fd: number): number | undefined;
  /** The pid that holds a lock on `path`, 0 when nobody does; throws when it cannot be opened. */
  lockHolder(path: string): number;
}

export interface SpawnedChild {
  readonly pid: number;
  /** Resolves when the child has written a byte to its readiness pipe or has died, whichever is first. */
  readonly ready: Promise<"ready" | "exited">;
  /** Exactly one of the two is set. */
  readonly exit: Promise<{ status: number | undefined; signal: string | undefined }>;
  /** What the child told us by `tellParent` up to now. */
  told(): string;
  /** Stops keeping this process alive for the child's sake. */
  unref(): void;
}

/** A connected datagram socket for log lines; failures are silent. */
export interface DatagramSender {
  send(text: string): void;
}

/** What only a daemon needs of its process; loaded when first used. */
export interface ProcessOps {
  readonly files: FileLocks;
  /** Starts this executable again with the same command line, `env` added, and a readiness pipe; in its own session if asked. */
  respawn(env: Readonly<Record<string, string>>, newSession: boolean): SpawnedChild;
  /** In a respawned child: tells the parent that start-up has succeeded. The pipe stays open when `keep`. */
  notifyReady(keep: boolean): void;
  /** A last word through a pipe that was kept. */
  tellParent(text: string): void;
  /** stdin, stdout and stderr become /dev/null. */
  detachStdio(): void;
  chdir(path: string): void;
  /** /proc/PID/comm, at most 15 bytes. */
  setComm(name: string): void;
  /** Overwrites what /proc/PID/cmdline shows where the kernel permits; false when it does not. */
  setTitle(title: string): boolean;
  /** mlockall; error text on failure. */
  lockMemory(onFault: boolean): string | undefined;
  /** "user", "user:group" or ":group"; throws an Error with the reason. Keeps `keepNetAdmin` capabilities if asked. */
  becomeUser(spec: string, keepNetAdmin: boolean): void;
  /** A socket connected to a unix path (e.g. /dev/log) or a numeric address; undefined when it cannot be made. */
  datagram(target: { path: string } | { host: string; port: number }): DatagramSender | undefined;
  /** Is there a process with this pid? */
  alive(pid: number): boolean;
  kill(pid: number, signal: string | number): void;
  /** Calls back for each arrival of the signal; returns a function that restores the default disposition. */
  onSignal(signal: string, handler: () => void): () => void;
  /** Called with an exception that nobody caught, before the program would end with status 1. */
  onCrash(handler: (error: unknown) => void): void;
  /** Restores the default disposition and sends the signal to ourselves: does not return. */
  dieOf(signal: string): never;
}

export interface Platform {
  readonly clock: Clock;
  readonly streams: StreamFactory;
  readonly random: Random;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly pid: number;
  hostname(): string;
  cwd(): string;
  /** Written at once and whole (also to a pipe), so that `exit` may follow. A reader that went away ends the process quietly. */
  stdout(text: string | Uint8Array): void;
  stderr(text: string): void;
  /** All of standard input. */
  stdin(): Promise<Uint8Array>;
  readonly stdoutIsTerminal: boolean;
  readonly stderrIsTerminal: boolean;
  /** Ends the process; `exit` hooks of the daemon have run by then. */
  exit(status: number): never;
  /** Runs `run` before the process ends by `exit` or because nothing is left to do. */
  atExit(run: () => void): void;
  /** Runs them now, once, for an end that is no `exit` (a signal). */
  runExitHooks(): void;
  /** Daemons only: the first access loads FFI. */
  readonly process: ProcessOps;
}
