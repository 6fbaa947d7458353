/**
 * The errors that cross folders: {@link Fatal} ends a program with a message and a status, as the original's
 * ovs_fatal does; {@link strerror} names an errno as the C library would.
 */

/** The program prints `PROGRAM: message` on standard error and exits with `status`. */
export class Fatal extends Error {
  readonly status: number;
  /** Printed without the `PROGRAM: ` prefix. */
  readonly bare: boolean;
  constructor(message: string, status = 1, bare = false) {
    super(message);
    this.status = status;
    this.bare = bare;
  }
}

/** Leaves a program early, without a message (e.g. after --help). */
export class Exit extends Error {
  readonly status: number;
  constructor(status: number) {
    super(`exit ${status}`);
    this.status = status;
  }
}

/** Broken invariant of our own: the program stops. */
export function assert(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${what}`);
}

/** code name -> [number, text] on Linux. */
const ERRNO: Readonly<Record<string, readonly [number, string]>> = {
  EPERM: [1, "Operation not permitted"],
  ENOENT: [2, "No such file or directory"],
  ESRCH: [3, "No such process"],
  EINTR: [4, "Interrupted system call"],
  EIO: [5, "Input/output error"],
  ENXIO: [6, "No such device or address"],
  E2BIG: [7, "Argument list too long"],
  ENOEXEC: [8, "Exec format error"],
  EBADF: [9, "Bad file descriptor"],
  ECHILD: [10, "No child processes"],
  EAGAIN: [11, "Resource temporarily unavailable"],
  ENOMEM: [12, "Cannot allocate memory"],
  EACCES: [13, "Permission denied"],
  EFAULT: [14, "Bad address"],
  EBUSY: [16, "Device or resource busy"],
  EEXIST: [17, "File exists"],
  EXDEV: [18, "Invalid cross-device link"],
  ENODEV: [19, "No such device"],
  ENOTDIR: [20, "Not a directory"],
  EISDIR: [21, "Is a directory"],
  EINVAL: [22, "Invalid argument"],
  ENFILE: [23, "Too many open files in system"],
  EMFILE: [24, "Too many open files"],
  ENOTTY: [25, "Inappropriate ioctl for device"],
  EFBIG: [27, "File too large"],
  ENOSPC: [28, "No space left on device"],
  ESPIPE: [29, "Illegal seek"],
  EROFS: [30, "Read-only file system"],
  EMLINK: [31, "Too many links"],
  EPIPE: [32, "Broken pipe"],
  EDOM: [33, "Numerical argument out of domain"],
  ERANGE: [34, "Numerical result out of range"],
  EDEADLK: [35, "Resource deadlock avoided"],
  ENAMETOOLONG: [36, "File name too long"],
  ENOSYS: [38, "Function not implemented"],
  ENOTEMPTY: [39, "Directory not empty"],
  ELOOP: [40, "Too many levels of symbolic links"],
  EPROTO: [71, "Protocol error"],
  EOVERFLOW: [75, "Value too large for defined data type"],
  EILSEQ: [84, "Invalid or incomplete multibyte or wide character"],
  ENOTSOCK: [88, "Socket operation on non-socket"],
  EDESTADDRREQ: [89, "Destination address required"],
  EMSGSIZE: [90, "Message too long"],
  ENOPROTOOPT: [92, "Protocol not available"],
  EPROTONOSUPPORT: [93, "Protocol not supported"],
  EOPNOTSUPP: [95, "Operation not supported"],
  ENOTSUP: [95, "Operation not supported"],
  EPFNOSUPPORT: [96, "Protocol family not supported"],
  EAFNOSUPPORT: [97, "Address family not supported by protocol"],
  EADDRINUSE: [98, "Address already in use"],
  EADDRNOTAVAIL: [99, "Cannot assign requested address"],
  ENETDOWN: [100, "Network is down"],
  ENETUNREACH: [101, "Network is unreachable"],
  ECONNABORTED: [103, "Software caused connection abort"],
  ECONNRESET: [104, "Connection reset by peer"],
  ENOBUFS: [105, "No buffer space available"],
  EISCONN: [106, "Transport endpoint is already connected"],
  ENOTCONN: [107, "Transport endpoint is not connected"],
  ETIMEDOUT: [110, "Connection timed out"],
  ECONNREFUSED: [111, "Connection refused"],
  EHOSTDOWN: [112, "Host is down"],
  EHOSTUNREACH: [113, "No route to host"],
  EALREADY: [114, "Operation already in progress"],
  EINPROGRESS: [115, "Operation now in progress"],
  ECANCELED: [125, "Operation canceled"],
};

/** "ENOENT" or 2 -> "No such file or directory". -1 is the original's EOF: "End of file". */
export function strerror(code: string | number): string {
  if (typeof code === "string") return ERRNO[code]?.[1] ?? code;
  if (code === 0) return "Success";
  if (code === -1) return "End of file";
  for (const [number, text] of Object.values(ERRNO)) if (number === code) return text;
  return `Unknown error ${code}`;
}

/** "ENOENT" -> 2, 0 when unknown. */
export function errnoOf(code: string): number {
  return ERRNO[code]?.[0] ?? 0;
}

/** 2 -> "ENOENT", or "E2" when unknown. */
export function errnoName(number: number): string {
  for (const [name, entry] of Object.entries(ERRNO)) if (entry[0] === number) return name;
  return `E${number}`;
}

/** The errno name of a system error ("ENOENT"), undefined for any other value. */
export function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** The errno's text of a system error, else its message. */
export function describeError(error: unknown): string {
  const code = codeOf(error);
  if (code !== undefined && code in ERRNO) return strerror(code);
  return error instanceof Error ? error.message : String(error);
}

/** An Error whose `code` is `code`, its message the C library's text. */
export function osError(code: string, syscall?: string): Error & { code: string } {
  return Object.assign(new Error(strerror(code)), syscall === undefined ? { code } : { code, syscall });
}
