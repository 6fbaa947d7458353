/**
 * What a Linux network device tells and takes by ioctl: driver information, speed and duplex (ethtool, netdevice(7)),
 * and the making and removing of persistent tap devices (/dev/net/tun).
 */
import { dlopen, ptr } from "bun:ffi";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SIOCETHTOOL = 0x8946;
const ETHTOOL_GDRVINFO = 0x3;
const ETHTOOL_GFLAGS = 0x25;
const ETH_FLAG_LRO = 1 << 15;
const ETHTOOL_GLINKSETTINGS = 0x4c;
const PORT_TP = 0;
const PORT_FIBRE = 3;
const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const IFF_TAP = 2;
const IFF_NO_PI = 0x1000;
const IFF_VNET_HDR = 0x4000;
const O_RDWR_CLOEXEC = 2 | 0o2000000;

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  open: { args: ["ptr", "i32", "i32"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
});
/** The same function for requests whose argument is a number. */
const { symbols: libcByValue } = dlopen("libc.so.6", {
  ioctl: { args: ["i32", "u64", "u64"], returns: "i32" },
});

const encoder = new TextEncoder();

function cString(bytes: Uint8Array, at: number, size: number): string {
  let end = at;
  while (end < at + size && bytes[end] !== 0) end++;
  return new TextDecoder("latin1").decode(bytes.subarray(at, end));
}

export interface DriverInfo {
  driver: string;
  version: string;
  firmware: string;
}

export interface LinkSettings {
  /** Mbit/s, undefined when unknown. */
  speedMbps: number | undefined;
  duplex: "full" | "half" | undefined;
  medium: "copper" | "fiber" | undefined;
  negotiated: boolean;
}

export interface DeviceControl {
  driverInfo(name: string): DriverInfo | undefined;
  linkSettings(name: string): LinkSettings | undefined;
  /** Large receive offload is on; undefined: the driver does not say. */
  largeReceive(name: string): boolean | undefined;
  /**
   * Makes tap device `name`; it stays until it is deleted like any link (rtnetlink), so that addresses and routes
   * outlive a restart of the daemon. @returns undefined, or an errno name.
   */
  makeTap(name: string): string | undefined;
}

class BunDeviceControl implements DeviceControl {
  #fd = -1;

  /** SIOCETHTOOL with `data`, answered in place. */
  #ethtool(name: string, data: Uint8Array): boolean {
    if (this.#fd < 0) this.#fd = libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const ifreq = new Uint8Array(40);
    const text = encoder.encode(name);
    if (text.length > 15) return false;
    ifreq.set(text);
    new DataView(ifreq.buffer).setBigUint64(16, BigInt(ptr(data)), true);
    return libc.ioctl(this.#fd, SIOCETHTOOL, ptr(ifreq)) >= 0;
  }

  driverInfo(name: string): DriverInfo | undefined {
    // cmd, driver[32], version[32], fw_version[32], bus_info[32], erom_version[32], reserved, five counts
    const info = new Uint8Array(196);
    new DataView(info.buffer).setUint32(0, ETHTOOL_GDRVINFO, true);
    if (!this.#ethtool(name, info)) return undefined;
    return { driver: cString(info, 4, 32), version: cString(info, 36, 32), firmware: cString(info, 68, 32) };
  }

  largeReceive(name: string): boolean | undefined {
    const value = new Uint8Array(8);
    const view = new DataView(value.buffer);
    view.setUint32(0, ETHTOOL_GFLAGS, true);
    return this.#ethtool(name, value) ? (view.getUint32(4, true) & ETH_FLAG_LRO) !== 0 : undefined;
  }

  linkSettings(name: string): LinkSettings | undefined {
    // u32 cmd, speed; u8 duplex, port, address, autoneg, ...; s8 link_mode_masks_nwords at 15; masks from 48 on.
    const settings = new Uint8Array(48 + 3 * 4 * 127);
    const view = new DataView(settings.buffer);
    view.setUint32(0, ETHTOOL_GLINKSETTINGS, true);
    if (!this.#ethtool(name, settings)) return undefined;
    const words = view.getInt8(15);
    if (words < 0) {
      // First call: the kernel tells how many words a mask has.
      settings.fill(0);
      view.setUint32(0, ETHTOOL_GLINKSETTINGS, true);
      view.setInt8(15, -words);
      if (!this.#ethtool(name, settings)) return undefined;
    }
    const speed = view.getInt32(4, true);
    const duplex = settings[8];
    const port = settings[9];
    return {
      speedMbps: speed > 0 ? speed : undefined,
      duplex: duplex === 1 ? "full" : duplex === 0 ? "half" : undefined,
      medium: port === PORT_TP ? "copper" : port === PORT_FIBRE ? "fiber" : undefined,
      negotiated: settings[11] === 1,
    };
  }

  makeTap(name: string): string | undefined {
    const text = encoder.encode(name);
    if (text.length > 15) return "ENODEV";
    const path = encoder.encode("/dev/net/tun\0");
    const fd = libc.open(ptr(path), O_RDWR_CLOEXEC, 0);
    if (fd < 0) return "ENODEV";
    const ifreq = new Uint8Array(40);
    ifreq.set(text);
    new DataView(ifreq.buffer).setUint16(16, IFF_TAP | IFF_NO_PI | IFF_VNET_HDR, true);
    const made = libc.ioctl(fd, TUNSETIFF, ptr(ifreq)) >= 0;
    if (made) libcByValue.ioctl(fd, TUNSETPERSIST, 1);
    libc.close(fd);
    return made ? undefined : "EBUSY";
  }
}

export function openDeviceControl(): DeviceControl {
  return new BunDeviceControl();
}
