/**
 * Who talks most, by sFlow: each sampled header stands for as many packets as its sampling rate says. Sums are kept by
 * second for the last minute.
 */

import { Collector } from "../export/codec/collector.ts";
import { CodecError } from "../export/codec/layout.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { Feed } from "./feed.ts";
import { type Ends, frameEnds } from "./frame-ends.ts";
import type { Talker, TalkersData } from "./protocol.ts";

const WINDOW_SEC = 60;
const SHOWN = 100;
/** Of a flood of ends the rest is counted as one. */
const MAX_TALKERS = 20_000;
const MAX_AGENTS = 100;
const INTERVAL_MS = 1000;
const OTHERS: Ends = { source: "others", target: "", protocol: "" };
/** Ethernet, as sFlow numbers header protocols. */
const ETHERNET = 1;

interface Sums {
  readonly ends: Ends;
  packets: number;
  bytes: number;
  samples: number;
}

type Second = Map<string, Sums>;

export class Talkers extends Feed {
  readonly #clock: Clock;
  readonly #collector = new Collector("sflow");
  readonly #agents = new Set<string>();
  readonly #seconds: { readonly second: number; readonly sums: Second }[] = [];
  #timer: Timer | undefined = undefined;

  constructor(clock: Clock) {
    super();
    this.#clock = clock;
  }

  get totals(): Collector["totals"] {
    return this.#collector.totals;
  }

  receive(bytes: Uint8Array, from: string): void {
    let decoded: ReturnType<Collector["receive"]>;
    try {
      decoded = this.#collector.receive(bytes, from);
    } catch (error) {
      if (error instanceof CodecError) return;
      throw error;
    }
    if (decoded.protocol !== "sflow") return;
    const { agent, samples } = decoded.datagram;
    if (this.#agents.size < MAX_AGENTS) this.#agents.add(agent.length === 4 ? agent.join(".") : from);
    const sums = this.#second();
    for (const sample of samples) {
      if (sample.kind !== "flow") continue;
      for (const record of sample.records) {
        if (record.name !== "raw_header" || record.values.protocol !== ETHERNET) continue;
        this.#add(sums, frameEnds(record.values.header), sample.rate, record.values.frame_length);
      }
    }
  }

  #second(): Second {
    const second = Math.floor(this.#clock.now() / 1000);
    const last = this.#seconds.at(-1);
    if (last?.second === second) return last.sums;
    this.#forget(second);
    const sums: Second = new Map();
    this.#seconds.push({ second, sums });
    return sums;
  }

  #forget(second: number): void {
    while (this.#seconds.length > 0 && this.#seconds[0]!.second <= second - WINDOW_SEC) this.#seconds.shift();
  }

  #add(sums: Second, ends: Ends, rate: number, length: number): void {
    let key = `${ends.protocol} ${ends.source} ${ends.target}`;
    if (sums.size >= MAX_TALKERS && !sums.has(key)) {
      key = "";
      ends = OTHERS;
    }
    let sum = sums.get(key);
    if (sum === undefined) {
      sum = { ends, packets: 0, bytes: 0, samples: 0 };
      sums.set(key, sum);
    }
    sum.packets += rate;
    sum.bytes += rate * length;
    sum.samples++;
  }

  #state(): TalkersData {
    this.#forget(Math.floor(this.#clock.now() / 1000));
    const all = new Map<string, Sums>();
    for (const { sums } of this.#seconds) {
      for (const [key, sum] of sums) {
        const into = all.get(key);
        if (into === undefined) all.set(key, { ...sum });
        else {
          into.packets += sum.packets;
          into.bytes += sum.bytes;
          into.samples += sum.samples;
        }
      }
    }
    const talkers = [...all.values()]
      .sort((a, b) => b.bytes - a.bytes)
      .slice(0, SHOWN)
      .map(({ ends, packets, bytes, samples }): Talker => ({ ...ends, packets, bytes, samples }));
    const { datagrams, lost, malformed } = this.#collector.totals;
    return {
      atMs: this.#clock.wall(),
      windowSec: WINDOW_SEC,
      datagrams,
      lost,
      malformed,
      agents: [...this.#agents],
      talkers,
    };
  }

  protected override *snapshot(): IterableIterator<TalkersData> {
    yield this.#state();
  }

  protected override watched(yes: boolean): void {
    this.#timer?.cancel();
    if (yes) this.#next();
  }

  #next(): void {
    this.#timer = this.#clock.background(INTERVAL_MS, () => {
      this.publish(this.#state());
      this.#next();
    });
  }
}
