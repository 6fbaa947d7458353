/** memory/show: each subsystem reports "name:count" pairs (upstream: lib/memory). */
export type MemoryReporter = (add: (name: string, count: number) => void) => void;
