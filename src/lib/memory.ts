/** memory/show: each subsystem reports "name:count" pairs (upstream: lib/memory). */
import type { UnixctlCommands } from "./unixctl.ts";

export type MemoryReporter = (add: (name: string, count: number) => void) => void;

/** Registers memory/show, which prints what all `reporters` (a live list) add up, by name. */
export function memoryCommands(commands: UnixctlCommands, reporters: Iterable<MemoryReporter>): void {
  commands.register("memory/show", "", 0, 0, (_args, reply) => reply.ok(showMemory(reporters)));
}

export function showMemory(reporters: Iterable<MemoryReporter>): string {
  const usage = new Map<string, number>();
  for (const report of reporters) report((name, count) => usage.set(name, (usage.get(name) ?? 0) + count));
  const pairs = [...usage].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, count]) => `${name}:${count}`);
  return `${pairs.join(" ")}\n`;
}
