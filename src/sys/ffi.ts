/** The C library's calls that the datapaths make, and errno. Pointers are numbers. */
import { dlopen, type Pointer, ptr, read, toArrayBuffer } from "bun:ffi";

export const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  mmap: { args: ["ptr", "u64", "i32", "i32", "i32", "i64"], returns: "ptr" },
  munmap: { args: ["ptr", "u64"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: "i32" },
  sendmmsg: { args: ["i32", "ptr", "u32", "i32"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i32" },
  write: { args: ["i32", "ptr", "u64"], returns: "i32" },
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  eventfd: { args: ["u32", "i32"], returns: "i32" },
  epoll_create1: { args: ["i32"], returns: "i32" },
  epoll_ctl: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  epoll_wait: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  if_nametoindex: { args: ["ptr"], returns: "u32" },
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  sched_getaffinity: { args: ["i32", "u64", "ptr"], returns: "i32" },
  sched_setaffinity: { args: ["i32", "u64", "ptr"], returns: "i32" },
  sched_yield: { args: [], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
});

/** Right after a call that failed, in the same thread. */
export function errno(): number {
  return read.i32(libc.__errno_location() as Pointer, 0);
}

export const EINTR = 4;
export const EIO = 5;
export const ENXIO = 6;
export const EAGAIN = 11;
export const ENOMEM = 12;
export const EBUSY = 16;
export const ENODEV = 19;
export const EINVAL = 22;
export const EMSGSIZE = 90;
export const ENETDOWN = 100;
export const ENOBUFS = 105;

/** Address of the first byte; stays valid while the array is reachable. */
export function addressOf(bytes: ArrayBufferView): number {
  return ptr(bytes as Uint8Array) as number;
}

export function memoryAt(address: number, length: number): ArrayBuffer {
  return toArrayBuffer(address as Pointer, 0, length);
}

/** `call` is what failed, e.g. "bind". */
export function osError(call: string, number: number): Error {
  return Object.assign(new Error(`${call}: errno ${number}`), { errno: number, syscall: call });
}

export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

export function pointer(address: number): Pointer {
  return address as Pointer;
}

/** 0 when there is no such device in the caller's network namespace. */
export function ifindexOf(name: string): number {
  return libc.if_nametoindex(pointer(addressOf(cString(name))));
}
