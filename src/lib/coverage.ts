/**
 * Event counters shown by `coverage/show` (upstream: lib/coverage). `const hits = coverage("rev_reconfigure"); hits.count++`.
 * Rates come from totals sampled every 5 seconds for an hour; sampling starts with coverageStart.
 */
import type { Clock } from "./clock.ts";
import { hashAdd, hashFinish, hashString } from "./hash.ts";
import type { UnixctlCommands } from "./unixctl.ts";

export interface Counter {
  readonly name: string;
  count: number;
}

const SAMPLE_MS = 5000;
const MINUTE = 12;
const HOUR = 720;

interface Tracked extends Counter {
  /** Increments in each of the last 720 intervals, a ring. */
  samples: Uint32Array | undefined;
  sampled: number;
}

const counters = new Map<string, Tracked>();
const sources = new Set<() => void>();
let position = 0;
let epoch = 0;

/** The counter named `name`, made at first use. */
export function coverage(name: string): Counter {
  let counter = counters.get(name);
  if (counter === undefined) {
    counter = { name, count: 0, samples: undefined, sampled: 0 };
    counters.set(name, counter);
  }
  return counter;
}

/** `read` gives totals that are kept elsewhere, by name; called before counters are looked at. Returns how to end that. */
export function coverageSource(read: () => ReadonlyMap<string, number>): () => void {
  const seen = new Map<string, number>();
  const refresh = (): void => {
    for (const [name, total] of read()) {
      coverage(name).count += total - (seen.get(name) ?? 0);
      seen.set(name, total);
    }
  };
  refresh();
  sources.add(refresh);
  return () => {
    refresh();
    sources.delete(refresh);
  };
}

function refreshAll(): void {
  for (const refresh of sources) refresh();
}

function sample(): void {
  refreshAll();
  position = (position + 1) % HOUR;
  for (const counter of counters.values()) {
    const grown = counter.count - counter.sampled;
    counter.sampled = counter.count;
    if (grown > 0) counter.samples ??= new Uint32Array(HOUR);
    if (counter.samples !== undefined) counter.samples[position] = grown;
  }
}

function recent(counter: Tracked, intervals: number): number {
  if (counter.samples === undefined) return 0;
  let sum = 0;
  for (let i = 0; i < intervals; i++) sum += counter.samples[(position - i + HOUR) % HOUR]!;
  return sum;
}

/** Starts the sampling and registers coverage/show and coverage/read-counter. */
export function coverageStart(clock: Clock, commands: UnixctlCommands): void {
  if (epoch === 0) {
    epoch = 1;
    const tick = (): void => {
      sample();
      clock.background(SAMPLE_MS, tick);
    };
    clock.background(SAMPLE_MS, tick);
  }
  commands.register("coverage/show", "", 0, 0, (_args, reply) => reply.ok(showCoverage()));
  commands.register("coverage/read-counter", "COUNTER", 1, 1, ([name], reply) => {
    refreshAll();
    const counter = counters.get(name!);
    if (counter === undefined) reply.error("No such counter");
    else reply.ok(`${counter.count}\n`);
  });
}

export function showCoverage(): string {
  refreshAll();
  const hit = [...counters.values()]
    .filter((counter) => counter.count > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  let hash = 0;
  for (const counter of hit)
    hash = hashAdd(hash, hashString(`${counter.name}${Math.floor(Math.log2(counter.count))}`));
  const id = hashFinish(hash, hit.length * 4)
    .toString(16)
    .padStart(8, "0");
  let text = `Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=${id}:\n`;
  for (const counter of hit) {
    const five = (recent(counter, 1) / 5).toFixed(1).padStart(9);
    const minute = (recent(counter, MINUTE) / 60).toFixed(3).padStart(9);
    const hour = (recent(counter, HOUR) / 3600).toFixed(4).padStart(13);
    text += `${counter.name.padEnd(20)}${five}/sec ${minute}/sec ${hour}/sec   total: ${counter.count}\n`;
  }
  return `${text}${counters.size - hit.length} events never hit\n`;
}
