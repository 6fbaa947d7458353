/** A megaflow's statistics as dumps print them: "packets:2, bytes:212, used:0.312s, flags:S". */
import type { DpFlowStats } from "../dpif.ts";

/** Bits of TCP flags with their letters, in the order of printing. */
const TCP_FLAG_LETTERS: readonly (readonly [bit: number, letter: string])[] = [
  [0x002, "S"],
  [0x001, "F"],
  [0x008, "P"],
  [0x004, "R"],
  [0x020, "U"],
  [0x010, "."],
  [0x040, "E"],
  [0x080, "C"],
  [0x100, "N"],
];

export function formatTcpFlags(flags: number): string {
  return TCP_FLAG_LETTERS.filter(([bit]) => (flags & bit) !== 0)
    .map(([, letter]) => letter)
    .join("");
}

export function formatFlowStats(stats: DpFlowStats, now: number): string {
  const used = stats.usedMs === 0 ? "never" : `${(Math.max(0, now - stats.usedMs) / 1000).toFixed(3)}s`;
  const flags = stats.tcpFlags === 0 ? "" : `, flags:${formatTcpFlags(stats.tcpFlags)}`;
  return `packets:${stats.packets}, bytes:${stats.bytes}, used:${used}${flags}`;
}
