/**
 * The sFlow agent of one bridge (sFlow version 5; upstream: `ofproto/ofproto-dpif-sflow.c` over `lib/sflow_*.c`): takes
 * packets that the datapath chose, reads counters every so often, and packs both into datagrams, which leave when full or
 * once a second.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { addressBytes } from "../lib/ip.ts";
import { ByteWriter } from "./codec/layout.ts";
import { type CounterRecord, type FlowRecord, writeSample, writeSflowHeader } from "./codec/sflow.ts";
import type { CollectorStatus, Collectors } from "./collectors.ts";

export interface SflowOptions {
  targets: readonly string[];
  /** One packet of how many is sampled, on average. */
  sampling: number;
  /** Seconds between counters; 0: none. */
  pollingSec: number;
  /** Bytes of a sampled frame that are sent. */
  headerBytes: number;
  /** 4 or 16 bytes; undefined: the address that datagrams to the first collector leave from. */
  agent: Uint8Array | undefined;
  /** Tells apart the bridges that one agent address stands for. */
  subAgent: number;
}

/** A port as counter samples describe it; read anew at each poll. */
export interface SflowPort {
  ifIndex: number;
  records(): CounterRecord[];
}

/** The switch as a whole. */
export interface SflowSource {
  counters(): CounterRecord[];
  /** Packets chosen as samples that never came here, since whenever. */
  lostSamples(): number;
}

/** What sampled packets that took the same way have in common; best one object for all of them. */
export interface SampledWay {
  /** ifIndex of the input port, 0 when unknown. */
  input: number;
  /** As sFlow writes it: an ifIndex, {@link outputMany} or {@link OUTPUT_DROPPED}. */
  output: number;
  /** Beside the header. */
  records: readonly FlowRecord[];
}

/** Discarded, reason unknown. */
export const OUTPUT_DROPPED = 0x4000_0100;

/** Sent to several ports, or to one that has no ifIndex. */
export function outputMany(ports: number): number {
  return (0x8000_0000 | ports) >>> 0;
}

const MAX_DATAGRAM_BYTES = 1400;
const FCS_BYTES = 4;
const TICK_MS = 1000;
const PROTOCOL_ETHERNET = 1;
/** Class and index of the data source that stands for the bridge as a whole. */
const SOURCE_ENTITY = 2;
const FIRST_ENTITY = 1000;
const SOURCE_IF_INDEX = 0;

/** Offsets of what differs from packet to packet: from the sample's first byte, and back from the header's. */
const SAMPLE_LENGTH = 4;
const SAMPLE_SEQUENCE = 8;
const SAMPLE_POOL = 20;
const SAMPLE_DROPS = 24;
const RECORD_LENGTH = -20;
const FRAME_LENGTH = -12;
const HEADER_LENGTH = -4;

const UNKNOWN_AGENT = new Uint8Array(4);

interface Poller {
  port: SflowPort;
  sequence: number;
  /** Seconds until its next sample. */
  wait: number;
}

export class SflowAgent {
  readonly #clock: Clock;
  readonly #collectors: Collectors;
  readonly #bootMs: number;
  /** Samples of the datagram under way, without its header. */
  readonly #samples = new ByteWriter(MAX_DATAGRAM_BYTES * 2);
  readonly #out = new ByteWriter(MAX_DATAGRAM_BYTES * 2);
  #count = 0;
  #options: SflowOptions;
  #timer: Timer;
  #sequence = 0;
  #flowSequence = 0;
  #pool = 0;
  readonly #source: SflowSource;
  readonly #lostBefore: number;
  /** Samples lost since the agent began, as of the last tick. */
  #drops = 0;
  /** A sample of each way up to the frame's header: the rest is written for each packet. */
  #beginnings = new WeakMap<SampledWay, Uint8Array>();
  readonly #pollers = new Map<string, Poller>();
  readonly #bridge: Poller;

  constructor(clock: Clock, collectors: Collectors, options: SflowOptions, source: SflowSource) {
    this.#clock = clock;
    this.#collectors = collectors;
    this.#bootMs = clock.now();
    this.#options = options;
    this.#bridge = { port: { ifIndex: 0, records: () => source.counters() }, sequence: 0, wait: 1 };
    this.#source = source;
    this.#lostBefore = source.lostSamples();
    collectors.set(options.targets);
    this.#timer = this.#arm();
  }

  get options(): SflowOptions {
    return this.#options;
  }

  get collectors(): readonly CollectorStatus[] {
    return this.#collectors.status();
  }

  configure(options: SflowOptions): void {
    this.#options = options;
    this.#beginnings = new WeakMap();
    this.#collectors.set(options.targets);
  }

  /** The bridge's ports that have an ifIndex, by name. */
  setPorts(ports: ReadonlyMap<string, SflowPort>): void {
    for (const name of this.#pollers.keys()) if (!ports.has(name)) this.#pollers.delete(name);
    let spread = 0;
    for (const [name, port] of ports) {
      const poller = this.#pollers.get(name);
      if (poller !== undefined && poller.port.ifIndex === port.ifIndex) poller.port = port;
      else {
        // Not all in the same second.
        const wait = 1 + (spread++ % Math.max(this.#options.pollingSec, 1));
        this.#pollers.set(name, { port, sequence: 0, wait });
      }
    }
  }

  #arm(): Timer {
    return this.#clock.background(TICK_MS, () => {
      this.#timer = this.#arm();
      this.tick();
    });
  }

  /** Once a second: counters that are due, then whatever waits to be sent. */
  tick(): void {
    this.#collectors.forgetRefusals();
    this.#drops = (this.#source.lostSamples() - this.#lostBefore) >>> 0;
    if (this.#options.pollingSec > 0) {
      for (const poller of this.#pollers.values()) this.#poll(poller, SOURCE_IF_INDEX, poller.port.ifIndex);
      this.#poll(this.#bridge, SOURCE_ENTITY, FIRST_ENTITY + this.#options.subAgent);
    }
    this.#flush();
  }

  #poll(poller: Poller, type: number, index: number): void {
    if (--poller.wait > 0) return;
    poller.wait = this.#options.pollingSec;
    const records = poller.port.records();
    const at = this.#samples.length;
    writeSample(this.#samples, {
      kind: "counters",
      sequence: ++poller.sequence,
      source: { type, index },
      records,
    });
    this.#added(at);
  }

  /**
   * A packet that the datapath sampled: where in `data` its frame begins, of which `headerBytes` are read, and the bytes that
   * it had on the wire, without its checksum.
   */
  sample(way: SampledWay, data: Uint8Array, offset: number, length: number): void {
    const count = Math.min(this.#options.headerBytes, length);
    this.#pool = (this.#pool + this.#options.sampling) >>> 0;
    let beginning = this.#beginnings.get(way);
    if (beginning === undefined) {
      beginning = this.#beginning(way);
      this.#beginnings.set(way, beginning);
    }
    const out = this.#samples;
    const at = out.length;
    out.put(beginning);
    const end = out.length;
    out.copy(data, offset, count);
    out.zeros(-count & 3);
    const { view } = out;
    view.setUint32(at + SAMPLE_LENGTH, out.length - at - SAMPLE_LENGTH - 4);
    view.setUint32(at + SAMPLE_SEQUENCE, ++this.#flowSequence);
    view.setUint32(at + SAMPLE_POOL, this.#pool);
    view.setUint32(at + SAMPLE_DROPS, this.#drops);
    view.setUint32(end + RECORD_LENGTH, out.length - end - RECORD_LENGTH - 4);
    view.setUint32(end + FRAME_LENGTH, length + FCS_BYTES);
    view.setUint32(end + HEADER_LENGTH, count);
    this.#added(at);
  }

  #beginning({ input, output, records }: SampledWay): Uint8Array {
    const out = new ByteWriter();
    writeSample(out, {
      kind: "flow",
      sequence: 0,
      source: { type: SOURCE_ENTITY, index: FIRST_ENTITY + this.#options.subAgent },
      rate: this.#options.sampling,
      pool: 0,
      drops: 0,
      input,
      output,
      records: [
        ...records,
        {
          name: "raw_header",
          values: {
            protocol: PROTOCOL_ETHERNET,
            frame_length: 0,
            stripped: FCS_BYTES,
            header: new Uint8Array(),
          },
        },
      ],
    });
    return out.written();
  }

  /** A sample has been written at `before`: what was there leaves when there is no room for both. */
  #added(before: number): void {
    // 28 bytes of header, 12 more with an IPv6 agent.
    if (before > 0 && this.#samples.length + 40 > MAX_DATAGRAM_BYTES) {
      const size = this.#samples.length - before;
      this.#send(before);
      this.#samples.bytes.copyWithin(0, before, before + size);
      this.#samples.length = size;
      this.#count = 0;
    }
    this.#count++;
  }

  #flush(): void {
    if (this.#count === 0) return;
    this.#send(this.#samples.length);
    this.#samples.reset();
    this.#count = 0;
  }

  /** Sends the first `bytes` of what waits. */
  #send(bytes: number): void {
    this.#out.reset();
    writeSflowHeader(
      this.#out,
      {
        agent: this.#options.agent ?? addressBytes(this.#collectors.localAddress ?? "") ?? UNKNOWN_AGENT,
        subAgent: this.#options.subAgent,
        sequence: ++this.#sequence,
        uptimeMs: (this.#clock.now() - this.#bootMs) >>> 0,
      },
      this.#count,
    );
    this.#out.put(this.#samples.bytes.subarray(0, bytes));
    this.#collectors.send(this.#out.written());
  }

  close(): void {
    this.#timer.cancel();
    this.#flush();
    this.#collectors.close();
  }
}
