/**
 * What a daemon needs of Linux and the runtime lacks: file locks, descriptors, credentials, memory, signals, datagrams
 * to unix sockets. Every client imports this file and few need it, so bun:ffi (1 ms), node:fs (3 ms), node:child_process (2 ms) and
 * libc are opened by the first call that wants them.
 */
import type { Pointer } from "bun:ffi";

import type { DatagramSender, FileLock, FileLocks, ProcessOps, SpawnedChild } from "../lib/platform.ts";

const require = import.meta.require;
const ffi = (): typeof import("bun:ffi") => require("bun:ffi");
const fs = (): typeof import("node:fs") => require("node:fs");
const os = (): typeof import("node:os") => require("node:os");
const path = (): typeof import("node:path") => require("node:path");

function open() {
  const { i32, u32, u64, i64_fast, ptr: pointer } = ffi().FFIType;
  return ffi().dlopen("libc.so.6", {
    __errno_location: { args: [], returns: pointer },
    fcntl: { args: [i32, i32, pointer], returns: i32 },
    dup2: { args: [i32, i32], returns: i32 },
    prctl: { args: [i32, u64, u64, u64, u64], returns: i32 },
    mlockall: { args: [i32], returns: i32 },
    setgroups: { args: [u64, pointer], returns: i32 },
    initgroups: { args: [pointer, u32], returns: i32 },
    setresgid: { args: [u32, u32, u32], returns: i32 },
    setresuid: { args: [u32, u32, u32], returns: i32 },
    capset: { args: [pointer, pointer], returns: i32 },
    signal: { args: [i32, u64], returns: u64 },
    sigaction: { args: [i32, pointer, pointer], returns: i32 },
    kill: { args: [i32, i32], returns: i32 },
    socket: { args: [i32, i32, i32], returns: i32 },
    connect: { args: [i32, pointer, u32], returns: i32 },
    send: { args: [i32, pointer, u64, i32], returns: i64_fast },
    strerror: { args: [i32], returns: pointer },
    setsid: { args: [], returns: i32 },
    pause: { args: [], returns: i32 },
  }).symbols;
}

let symbols: ReturnType<typeof open> | undefined;

function libc(): ReturnType<typeof open> {
  symbols ??= open();
  return symbols;
}

function errno(): number {
  return ffi().read.i32(libc().__errno_location()!, 0);
}

function failure(number: number, syscall: string): Error {
  const code =
    Object.entries(os().constants.errno).find(([, value]) => value === number)?.[0] ?? `E${number}`;
  const text = new (ffi().CString)(libc().strerror(number) as Pointer).toString();
  return Object.assign(new Error(text), { code, errno: number, syscall });
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(`${text}\0`);

const F_GETLK = 5;
const F_SETLK = 6;
const F_WRLCK = 1;
const F_UNLCK = 2;

/** struct flock: i16 type, i16 whence, i64 start at 8, i64 length at 16 (0: to the end), i32 pid at 24. */
function flock(fd: number, command: number): { failed: number; type: number; pid: number } {
  const lock = new DataView(new ArrayBuffer(32));
  lock.setInt16(0, F_WRLCK, true);
  const result = libc().fcntl(fd, command, ffi().ptr(lock));
  return { failed: result < 0 ? errno() : 0, type: lock.getInt16(0, true), pid: lock.getInt32(24, true) };
}

function tryLockFd(fd: number): number | undefined {
  for (;;) {
    const { failed } = flock(fd, F_SETLK);
    if (failed === 0) return undefined;
    if (failed !== os().constants.errno.EAGAIN && failed !== os().constants.errno.EACCES)
      throw failure(failed, "fcntl");
    const holder = flock(fd, F_GETLK);
    // Unlocked between the two calls: try again.
    if (holder.failed === 0 && holder.type !== F_UNLCK) return holder.pid;
  }
}

const files: FileLocks = {
  tryLock(file, mode = 0o600) {
    const fd = fs().openSync(file, fs().constants.O_RDWR | fs().constants.O_CREAT, mode);
    const holder = tryLockFd(fd);
    if (holder !== undefined) {
      fs().closeSync(fd);
      return { holder };
    }
    let released = false;
    const lock: FileLock = {
      fd,
      release: () => {
        if (!released) fs().closeSync(fd);
        released = true;
      },
    };
    return lock;
  },
  tryLockFd,
  lockHolder(file) {
    const fd = fs().openSync(file, "r+");
    try {
      const { failed, type, pid } = flock(fd, F_GETLK);
      if (failed !== 0) throw failure(failed, "fcntl");
      return type === F_UNLCK ? 0 : pid;
    } finally {
      fs().closeSync(fd);
    }
  },
};

/** The descriptor on which a respawned child says that it is ready. */
const READY_FD = 3;

/** Is this a `bun build --compile` executable (its own code lies in a virtual folder)? */
const COMPILED = Bun.main.startsWith("/$bunfs") || Bun.main.startsWith("B:/~BUN");

/** The path by which we were started when it is a name of this executable: starting it again keeps /proc/PID/comm. */
function ownPath(): string {
  if (!COMPILED) return process.execPath;
  const called = process.argv0;
  const folders = called.includes("/")
    ? [""]
    : (process.env.PATH ?? "").split(":").map((dir) => `${dir || "."}/`);
  for (const folder of folders) {
    try {
      const candidate = path().resolve(folder + called);
      if (fs().realpathSync(candidate) === fs().realpathSync(process.execPath)) return candidate;
    } catch {
      // Not there.
    }
  }
  return process.execPath;
}

/** Where we were started, once we have left it: our command line may name files there. */
let startFolder: string | undefined;

function chdir(folder: string): void {
  startFolder ??= process.cwd();
  process.chdir(folder);
}

function respawn(env: Readonly<Record<string, string>>, newSession: boolean): SpawnedChild {
  const { spawn } = require("node:child_process") as typeof import("node:child_process");
  const child = spawn(ownPath(), process.argv.slice(COMPILED ? 2 : 1), {
    argv0: process.argv0,
    detached: newSession,
    env: { ...process.env, ...env },
    cwd: startFolder !== undefined && fs().existsSync(startFolder) ? startFolder : undefined,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const pipe = child.stdio[READY_FD] as import("node:stream").Readable;
  const words: Uint8Array[] = [];
  const firstWord = new Promise<"ready">((resolve) => {
    pipe.on("data", (bytes: Uint8Array) => {
      words.push(bytes);
      resolve("ready");
    });
  });
  pipe.on("error", () => {});
  const pipeEnded = new Promise<void>((resolve) => void pipe.once("close", resolve));
  const exit = new Promise<{ status: number | undefined; signal: string | undefined }>((resolve) => {
    child.once("error", () => resolve({ status: 127, signal: undefined }));
    child.once("exit", (status, signal) => {
      // Its last words may still be in the pipe; but a grandchild may hold the pipe open.
      const patience = new Promise<void>((done) => void setTimeout(done, 100));
      void Promise.race([pipeEnded, patience]).then(() =>
        resolve({ status: status ?? undefined, signal: signal ?? undefined }),
      );
    });
  });
  return {
    pid: child.pid ?? -1,
    ready: Promise.race([firstWord, exit.then((): "exited" => "exited")]),
    exit,
    told: () => Buffer.concat(words).toString().slice(1),
    unref: () => {
      child.unref();
      pipe.destroy();
    },
  };
}

function notifyReady(keep: boolean): void {
  tellParent("\0");
  if (!keep) fs().closeSync(READY_FD);
}

function tellParent(text: string): void {
  try {
    fs().writeSync(READY_FD, text);
  } catch {
    // The parent has gone.
  }
}

function detachStdio(): void {
  const fd = fs().openSync("/dev/null", "r+");
  for (const standard of [0, 1, 2]) libc().dup2(fd, standard);
  if (fd > 2) fs().closeSync(fd);
}

const PR_SET_NAME = 15;
const PR_SET_KEEPCAPS = 8;

function setComm(name: string): void {
  libc().prctl(PR_SET_NAME, ffi().ptr(bytesOf(name.slice(0, 15))) as unknown as bigint, 0n, 0n, 0n);
}

/** Where the kernel put the argument strings: fields 48 and 49 of /proc/self/stat. */
let argumentMemory: Uint8Array | undefined;

function setTitle(title: string): boolean {
  try {
    if (argumentMemory === undefined) {
      const stat = fs().readFileSync("/proc/self/stat", "latin1");
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      const [start, end] = [Number(fields[45]), Number(fields[46])];
      if (!(start > 0 && end > start)) return false;
      argumentMemory = new Uint8Array(ffi().toArrayBuffer(start as Pointer, 0, end - start));
    }
    argumentMemory.fill(0x20);
    const bytes = new TextEncoder().encode(title).subarray(0, argumentMemory.length - 1);
    argumentMemory.set(bytes);
    argumentMemory[argumentMemory.length - 1] = 0;
    return true;
  } catch {
    return false;
  }
}

const MCL_CURRENT = 1;
const MCL_FUTURE = 2;
const MCL_ONFAULT = 4;

function lockMemory(onFault: boolean): string | undefined {
  if (libc().mlockall(MCL_CURRENT | MCL_FUTURE | (onFault ? MCL_ONFAULT : 0)) === 0) return undefined;
  return failure(errno(), "mlockall").message;
}

/** The line of /etc/passwd or /etc/group whose first field is `name`, or whose third is, as fields. */
function accountFields(file: string, name: string): string[] | undefined {
  for (const line of fs().readFileSync(file, "utf8").split("\n")) {
    const fields = line.split(":");
    if (fields[0] === name || fields[2] === name) return fields;
  }
  return undefined;
}

const CAP_NET_BIND_SERVICE = 10;
const CAP_NET_BROADCAST = 11;
const CAP_NET_ADMIN = 12;
const CAP_NET_RAW = 13;
const CAP_IPC_LOCK = 14;

function becomeUser(spec: string, keepNetAdmin: boolean): void {
  const [userName = "", groupName = ""] = spec.split(":");
  const user = userName === "" ? undefined : accountFields("/etc/passwd", userName);
  if (userName !== "" && user === undefined) throw new Error(`user ${userName} not found, aborting.`);
  const group = groupName === "" ? undefined : accountFields("/etc/group", groupName);
  if (groupName !== "" && group === undefined) throw new Error(`group ${groupName} not found, aborting.`);
  const uid = user === undefined ? process.getuid!() : Number(user[2]);
  const gid =
    group !== undefined ? Number(group[2]) : user !== undefined ? Number(user[3]) : process.getgid!();
  const check = (result: number, what: string): void => {
    if (result !== 0) throw new Error(`${what} failed (${failure(errno(), what).message})`);
  };
  const c = libc();
  check(c.setresgid(gid, gid, gid), "setresgid");
  if (user !== undefined) check(c.initgroups(ffi().ptr(bytesOf(user[0]!)), gid), "initgroups");
  else check(c.setgroups(1n, ffi().ptr(Uint32Array.of(gid))), "setgroups");
  check(c.prctl(PR_SET_KEEPCAPS, 1n, 0n, 0n, 0n), "prctl");
  check(c.setresuid(uid, uid, uid), "setresuid");
  const kept = [CAP_IPC_LOCK, CAP_NET_BIND_SERVICE];
  if (keepNetAdmin) kept.push(CAP_NET_ADMIN, CAP_NET_RAW, CAP_NET_BROADCAST);
  let mask = 0;
  for (const capability of kept) mask |= 1 << capability;
  // _LINUX_CAPABILITY_VERSION_3; two sets of effective, permitted, inheritable words.
  const header = Uint32Array.of(0x20080522, 0);
  const data = Uint32Array.of(mask, mask, 0, 0, 0, 0);
  check(c.capset(ffi().ptr(header), ffi().ptr(data)), "capset");
}

function datagram(target: { path: string } | { host: string; port: number }): DatagramSender | undefined {
  const address = "path" in target ? unixAddress(target.path) : inetAddress(target.host, target.port);
  if (address === undefined) return undefined;
  const c = libc();
  const family = address[0]! | (address[1]! << 8);
  // SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK
  const fd = c.socket(family, 2 | 0o2000000 | 0o4000, 0);
  if (fd < 0) return undefined;
  c.connect(fd, ffi().ptr(address), address.length);
  return {
    send(text) {
      const bytes = new TextEncoder().encode(text);
      // MSG_NOSIGNAL
      if (c.send(fd, ffi().ptr(bytes), bytes.length as unknown as bigint, 0x4000) < 0)
        c.connect(fd, ffi().ptr(address), address.length);
    },
  };
}

function unixAddress(name: string): Uint8Array | undefined {
  const bytes = new TextEncoder().encode(name);
  if (bytes.length > 107) return undefined;
  const address = new Uint8Array(110);
  address[0] = 1;
  address.set(bytes, 2);
  // An abstract name (unix(7)) has a zero byte in front, which "@" stands for, and none behind.
  if (bytes[0] !== 0x40) return address;
  address[2] = 0;
  return address.subarray(0, 2 + bytes.length);
}

/** sockaddr_in for a dotted quad, sockaddr_in6 otherwise. */
function inetAddress(host: string, port: number): Uint8Array | undefined {
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(host);
  if (v4 !== null) {
    const address = new Uint8Array(16);
    address.set([2, 0, port >> 8, port & 255, ...v4.slice(1).map(Number)]);
    return address;
  }
  const halves = host.split("::");
  const words = (text: string): number[] =>
    text === "" ? [] : text.split(":").map((word) => Number.parseInt(word, 16));
  const [head, tail] = [words(halves[0] ?? ""), words(halves[1] ?? "")];
  const all =
    halves.length === 2 ? [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail] : head;
  if (all.length !== 8 || all.some(Number.isNaN)) return undefined;
  const address = new Uint8Array(28);
  address.set([10, 0, port >> 8, port & 255]);
  for (const [i, word] of all.entries()) address.set([word >> 8, word & 255], 8 + 2 * i);
  return address;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

function onSignal(signal: string, handler: () => void): () => void {
  process.on(signal as NodeJS.Signals, handler);
  if (signal === "SIGSEGV") handleOnce(signal);
  return () => void process.off(signal as NodeJS.Signals, handler);
}

/**
 * Takes the engine's handler off before it runs. It only tells the event loop: after a fault of this process itself the
 * instruction would be tried again, and fault again, for ever; so the second time the signal kills.
 */
function handleOnce(signal: NodeJS.Signals): void {
  const number = os().constants.signals[signal];
  // struct sigaction of the C library (x86-64, arm64): handler, mask of 128 bytes, flags.
  const action = new Uint8Array(152);
  if (libc().sigaction(number, null, action) !== 0) return;
  const flags = new DataView(action.buffer);
  const SA_RESETHAND = 0x80000000;
  flags.setUint32(136, flags.getUint32(136, true) | SA_RESETHAND, true);
  libc().sigaction(number, action, null);
}

function onCrash(handler: (error: unknown) => void): void {
  process.prependListener("uncaughtException", handler);
}

function dieOf(signal: string): never {
  const number = os().constants.signals[signal as NodeJS.Signals];
  libc().signal(number, 0n);
  for (;;) {
    libc().kill(process.pid, number);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  }
}

export const realProcess: ProcessOps = {
  files,
  respawn,
  notifyReady,
  tellParent,
  detachStdio,
  chdir,
  setComm,
  setTitle,
  lockMemory,
  becomeUser,
  datagram,
  alive,
  kill: (pid, signal) => void process.kill(pid, signal as NodeJS.Signals),
  onSignal,
  onCrash,
  dieOf,
};
