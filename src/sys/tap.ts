/**
 * /dev/net/tun in tap mode with a virtio header before each frame (kernel Documentation/networking/tuntap).
 * The device exists as long as its descriptor is open. Hot path: read and write, one system call a frame.
 */
import { addressOf, cString, errno, libc, osError, pointer } from "./ffi.ts";

const O_RDWR = 2;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const TUNSETVNETHDRSZ = 0x400454d8;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
/** TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN */
const OFFLOADS = 0xf;

/** Makes (or attaches to) the device; returns a descriptor. Throws an OsError. */
export function openTap(name: string): number {
  const path = cString("/dev/net/tun");
  const fd = libc.open(pointer(addressOf(path)), O_RDWR | O_NONBLOCK | O_CLOEXEC, 0);
  if (fd < 0) throw osError("open /dev/net/tun", errno());
  const request = new Uint8Array(40);
  request.set(cString(name).subarray(0, 16));
  new DataView(request.buffer).setUint16(16, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
  const length = Int32Array.of(10);
  if (
    libc.ioctl(fd, TUNSETIFF, pointer(addressOf(request))) < 0 ||
    libc.ioctl(fd, TUNSETVNETHDRSZ, pointer(addressOf(length))) < 0 ||
    libc.ioctl(fd, TUNSETOFFLOAD, pointer(OFFLOADS)) < 0
  ) {
    const number = errno();
    libc.close(fd);
    throw osError("tap", number);
  }
  return fd;
}

/** Bytes read (virtio header and frame), or -errno. */
export function readTap(fd: number, address: number, room: number): number {
  const got = libc.read(fd, pointer(address), room) as number;
  return got >= 0 ? got : -errno();
}

/** 0, or -errno. */
export function writeTap(fd: number, address: number, length: number): number {
  return (libc.write(fd, pointer(address), length) as number) >= 0 ? 0 : -errno();
}
