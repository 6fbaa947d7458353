/**
 * The host's own network hears what comes in at a device that is no Linux bridge's member any longer, beside the userspace
 * datapath: it would answer ARP for the shell's addresses there, past the switch, and echo requests twice. While a device is a
 * switch's member it answers no ARP, and no packet is for the host (a strict reverse path: routes lead to the shell).
 */
import { readFileSync, writeFileSync } from "node:fs";

const SETTINGS: readonly (readonly [file: string, value: string])[] = [
  ["ipv4/conf/@/arp_ignore", "8"],
  ["ipv4/conf/@/rp_filter", "1"],
  ["ipv6/conf/@/disable_ipv6", "1"],
];

const pathOf = (file: string, device: string): string => `/proc/sys/net/${file.replace("@", () => device)}`;

/** What the device's settings are now, with commas between. Without IPv6 one is empty. */
export function hostSettings(device: string): string {
  return SETTINGS.map(([file]) => {
    try {
      return readFileSync(pathOf(file, device), "utf8").trim();
    } catch {
      return "";
    }
  }).join(",");
}

/** Sets what {@link hostSettings} said before. */
export function restoreHost(device: string, was: string): void {
  const values = was.split(",");
  SETTINGS.forEach(([file], i) => {
    write(pathOf(file, device), values[i] ?? "");
  });
}

export function silenceHost(device: string): void {
  for (const [file, value] of SETTINGS) write(pathOf(file, device), value);
}

function write(path: string, value: string): void {
  if (value === "") return;
  try {
    writeFileSync(path, value);
  } catch {
    // The device has gone, or the kernel has no IPv6.
  }
}
