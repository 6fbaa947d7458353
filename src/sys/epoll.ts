/** epoll(7) over plain descriptors, each with a number of the caller's. Hot path. */
import { addressOf, errno, libc, osError, pointer } from "./ffi.ts";

const EPOLL_CLOEXEC = 0o2000000;
const CTL_ADD = 1;
const CTL_DEL = 2;
const EPOLLIN = 1;
/** struct epoll_event is packed on x86-64 and padded elsewhere. */
const EVENT_WORDS = process.arch === "x64" ? 3 : 4;
const DATA_WORD = EVENT_WORDS === 3 ? 1 : 2;

export class Epoll {
  /** Tags of what was ready, `wait()` of them. */
  readonly ready: Int32Array;
  private readonly fd: number;
  private readonly events: Int32Array;
  private readonly address: ReturnType<typeof pointer>;
  private readonly limit: number;

  constructor(limit: number) {
    this.fd = libc.epoll_create1(EPOLL_CLOEXEC);
    if (this.fd < 0) throw osError("epoll_create1", errno());
    this.limit = limit;
    this.ready = new Int32Array(limit);
    this.events = new Int32Array(limit * EVENT_WORDS);
    this.address = pointer(addressOf(this.events));
  }

  add(fd: number, tag: number): void {
    const event = new Int32Array(EVENT_WORDS);
    event[0] = EPOLLIN;
    event[DATA_WORD] = tag;
    if (libc.epoll_ctl(this.fd, CTL_ADD, fd, pointer(addressOf(event))) < 0)
      throw osError("epoll_ctl", errno());
  }

  remove(fd: number): void {
    libc.epoll_ctl(this.fd, CTL_DEL, fd, pointer(addressOf(this.events)));
  }

  /** Waits for at most `ms` milliseconds, -1 for ever; returns how many are ready. */
  wait(ms: number): number {
    const count = libc.epoll_wait(this.fd, this.address, this.limit, ms);
    for (let i = 0; i < count; i++) this.ready[i] = this.events[i * EVENT_WORDS + DATA_WORD]!;
    return Math.max(count, 0);
  }

  close(): void {
    libc.close(this.fd);
  }
}
