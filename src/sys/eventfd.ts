/** eventfd(2): one thread wakes another that sleeps in epoll_wait. */
import { addressOf, errno, libc, osError, pointer } from "./ffi.ts";

const EFD_NONBLOCK = 0o4000;
const EFD_CLOEXEC = 0o2000000;

export function makeEventFd(): number {
  const fd = libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) throw osError("eventfd", errno());
  return fd;
}

const one = Uint32Array.of(1, 0);
const drained = new Uint32Array(2);

export function signalEventFd(fd: number): void {
  libc.write(fd, pointer(addressOf(one)), 8);
}

export function drainEventFd(fd: number): void {
  libc.read(fd, pointer(addressOf(drained)), 8);
}

export function closeFd(fd: number): void {
  libc.close(fd);
}
