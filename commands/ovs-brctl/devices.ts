/** What the kernel has under a name, from /sys/class/net. All fail to "nothing". */
import { existsSync, readFileSync } from "node:fs";

const CLASS = "/sys/class/net";
const IFF_UP = 1;
const IFF_LOOPBACK = 8;

export interface Devices {
  exists(name: string): boolean;
  isUp(name: string): boolean;
  isLoopback(name: string): boolean;
  /** Of the kernel's own bridges. */
  isLinuxBridge(name: string): boolean;
  /** A port of one of those. */
  isLinuxPort(name: string): boolean;
  /** 0: none. */
  index(name: string): number;
}

function numberOf(name: string, file: string): number {
  try {
    return Number(readFileSync(`${CLASS}/${name}/${file}`, "utf8").trim());
  } catch {
    return 0;
  }
}

export const HOST: Devices = {
  exists: (name) => isName(name) && existsSync(`${CLASS}/${name}`),
  isUp: (name) => (numberOf(name, "flags") & IFF_UP) !== 0,
  isLoopback: (name) => (numberOf(name, "flags") & IFF_LOOPBACK) !== 0,
  isLinuxBridge: (name) => existsSync(`${CLASS}/${name}/bridge`),
  isLinuxPort: (name) => existsSync(`${CLASS}/${name}/brport`),
  index: (name) => numberOf(name, "ifindex"),
};

/** Where the database is another machine's: any name may be a device there, and nothing stands in the way. */
export const ELSEWHERE: Devices = {
  exists: () => true,
  isUp: () => false,
  isLoopback: () => false,
  isLinuxBridge: () => false,
  isLinuxPort: () => false,
  index: () => 0,
};

/** IFNAMSIZ without its end. */
export const NAME_MAX = 15;

/** What the kernel takes for the name of a device. */
export const isName = (name: string): boolean => /^(?!\.{1,2}$)[^\s/:]+$/.test(name);
