/**
 * A collector's understanding of datagrams: tells the protocol by the first bytes, decodes, keeps running totals, learns
 * templates, and says what is missing. For people (`ovsbox collect`) and for tests; it sends nothing.
 */
import { type Message, MessageReader } from "./ipfix.ts";
import { CodecError } from "./layout.ts";
import { type Netflow5Packet, readNetflow5 } from "./netflow5.ts";
import { readSflow, type SflowDatagram } from "./sflow.ts";

export type CollectedProtocol = "sflow" | "ipfix" | "netflow";

export type Decoded =
  | { protocol: "sflow"; datagram: SflowDatagram }
  | { protocol: "ipfix" | "netflow"; datagram: Message }
  | { protocol: "netflow"; datagram: Netflow5Packet };

export interface CollectorTotals {
  datagrams: number;
  bytes: number;
  /** Flow samples and data records. */
  records: number;
  counters: number;
  /** What the records speak of; of sFlow, samples times their rate. */
  packets: number;
  octets: number;
  /** By the gaps in sequence numbers. */
  lost: number;
  /** Sets of data whose template had not come yet. */
  withoutTemplate: number;
  malformed: number;
}

/** One exporter and domain, whose sequence numbers belong together. */
interface Source {
  reader: MessageReader;
  /** The number that the next datagram should bear, by domain. */
  next: Map<number, number>;
}

const MAX_SOURCES = 10_000;

export class Collector {
  readonly totals: CollectorTotals = {
    datagrams: 0,
    bytes: 0,
    records: 0,
    counters: 0,
    packets: 0,
    octets: 0,
    lost: 0,
    withoutTemplate: 0,
    malformed: 0,
  };
  readonly #only: CollectedProtocol | undefined;
  readonly #sources = new Map<string, Source>();

  /** `only`: others are malformed to us. */
  constructor(only?: CollectedProtocol) {
    this.#only = only;
  }

  /**
   * `lost`: what is missing before this datagram by its sequence number: datagrams of sFlow and NetFlow 9, records of the others.
   * @throws CodecError, counted, when the datagram is not understood.
   */
  receive(bytes: Uint8Array, from: string): Decoded & { lost: number } {
    this.totals.datagrams++;
    this.totals.bytes += bytes.length;
    try {
      const decoded = this.#decode(bytes, from);
      const before = this.totals.lost;
      this.#count(decoded, from);
      return { ...decoded, lost: this.totals.lost - before };
    } catch (error) {
      if (error instanceof CodecError) this.totals.malformed++;
      throw error;
    }
  }

  #decode(bytes: Uint8Array, from: string): Decoded {
    const version = bytes.length < 2 ? -1 : (bytes[0]! << 8) | bytes[1]!;
    const protocol = version === 0 ? "sflow" : version === 10 ? "ipfix" : "netflow";
    if (version !== 0 && version !== 5 && version !== 9 && version !== 10) {
      throw new CodecError(`neither sFlow nor NetFlow nor IPFIX: begins with ${version}`);
    }
    if (this.#only !== undefined && this.#only !== protocol) {
      throw new CodecError(`${protocol} came where ${this.#only} was expected`);
    }
    if (version === 0) return { protocol: "sflow", datagram: readSflow(bytes) };
    if (version === 5) return { protocol: "netflow", datagram: readNetflow5(bytes) };
    return { protocol: protocol as "ipfix" | "netflow", datagram: this.#source(from).reader.read(bytes) };
  }

  #source(from: string): Source {
    let source = this.#sources.get(from);
    if (source === undefined) {
      if (this.#sources.size >= MAX_SOURCES) this.#sources.clear();
      source = { reader: new MessageReader(), next: new Map() };
      this.#sources.set(from, source);
    }
    return source;
  }

  #count({ protocol, datagram }: Decoded, from: string): void {
    const { totals } = this;
    if ("samples" in datagram) {
      this.#sequence(from, -1 - datagram.subAgent, datagram.sequence, 1);
      for (const sample of datagram.samples) {
        if (sample.kind === "counters") totals.counters++;
        if (sample.kind !== "flow") continue;
        totals.records++;
        totals.packets += sample.rate;
        for (const record of sample.records) {
          if (record.name === "raw_header") totals.octets += record.values.frame_length * sample.rate;
        }
      }
    } else if ("engine_id" in datagram) {
      const { records } = datagram;
      this.#sequence(
        from,
        (datagram.engine_type << 8) | datagram.engine_id,
        datagram.sequence,
        records.length,
      );
      totals.records += records.length;
      for (const record of records) {
        totals.packets += record.packets;
        totals.octets += record.octets;
      }
    } else {
      const step = protocol === "ipfix" ? datagram.records.length : 1;
      if (datagram.missing.length === 0) this.#sequence(from, datagram.domain, datagram.sequence, step);
      else this.#source(from).next.delete(datagram.domain);
      totals.withoutTemplate += datagram.missing.length;
      for (const { template, values } of datagram.records) {
        if (template.scopeFields > 0) continue;
        totals.records++;
        totals.packets += Number(values.packetDeltaCount ?? 0);
        totals.octets += Number(values.octetDeltaCount ?? values.layer2OctetDeltaCount ?? 0);
      }
    }
  }

  #sequence(from: string, domain: number, sequence: number, step: number): void {
    const { next } = this.#source(from);
    const expected = next.get(domain);
    const gap = expected === undefined ? 0 : (sequence - expected) >>> 0;
    // A number from before is a restart or a late datagram.
    if (gap < 0x8000_0000) this.totals.lost += gap;
    if (next.size < MAX_SOURCES) next.set(domain, (sequence + step) >>> 0);
  }
}
