/**
 * sFlow version 5 datagrams, both ways (sFlow.org, "sFlow Version 5", July 2004; formats of later structures from its
 * registry). A record's structure is a row of {@link FLOW_RECORDS} or {@link COUNTER_RECORDS}; a record without a row is
 * kept as bytes.
 */
import {
  ByteReader,
  type ByteWriter,
  CodecError,
  type Layout,
  readLayout,
  type ValuesOf,
  writeLayout,
} from "./layout.ts";

/** The outer headers of a tunnelled packet. */
const IPV4_TUNNEL = {
  length: "u32",
  protocol: "u32",
  src_ip: "ipv4",
  dst_ip: "ipv4",
  src_port: "u32",
  dst_port: "u32",
  tcp_flags: "u32",
  tos: "u32",
} as const satisfies Layout;

/** Flow data: structure name → number (enterprise 0) and fields. */
export const FLOW_RECORDS = {
  raw_header: {
    format: 1,
    fields: { protocol: "u32", frame_length: "u32", stripped: "u32", header: "xdr-opaque" },
  },
  extended_switch: {
    format: 1001,
    fields: { src_vlan: "u32", src_priority: "u32", dst_vlan: "u32", dst_priority: "u32" },
  },
  extended_mpls: {
    format: 1006,
    fields: { next_hop: "xdr-address", in_stack: "xdr-u32s", out_stack: "xdr-u32s" },
  },
  ipv4_tunnel_egress: { format: 1023, fields: IPV4_TUNNEL },
  ipv4_tunnel_ingress: { format: 1024, fields: IPV4_TUNNEL },
  decapsulate_egress: { format: 1027, fields: { inner_header_offset: "u32" } },
  decapsulate_ingress: { format: 1028, fields: { inner_header_offset: "u32" } },
  vni_egress: { format: 1029, fields: { vni: "u32" } },
  vni_ingress: { format: 1030, fields: { vni: "u32" } },
} as const satisfies Record<string, { format: number; fields: Layout }>;

/** Counter data, likewise. */
export const COUNTER_RECORDS = {
  generic_interface: {
    format: 1,
    fields: {
      if_index: "u32",
      if_type: "u32",
      if_speed: "u64",
      /** 0 unknown, 1 full duplex, 2 half duplex, 3 in, 4 out. */
      if_direction: "u32",
      /** Bit 0: administratively up; bit 1: operationally up. */
      if_status: "u32",
      in_octets: "u64",
      in_unicast: "u32",
      in_multicast: "u32",
      in_broadcast: "u32",
      in_discards: "u32",
      in_errors: "u32",
      in_unknown_protocols: "u32",
      out_octets: "u64",
      out_unicast: "u32",
      out_multicast: "u32",
      out_broadcast: "u32",
      out_discards: "u32",
      out_errors: "u32",
      promiscuous: "u32",
    },
  },
  ethernet_interface: {
    format: 2,
    fields: {
      alignment_errors: "u32",
      fcs_errors: "u32",
      single_collisions: "u32",
      multiple_collisions: "u32",
      sqe_test_errors: "u32",
      deferred_transmissions: "u32",
      late_collisions: "u32",
      excessive_collisions: "u32",
      mac_transmit_errors: "u32",
      carrier_sense_errors: "u32",
      frame_too_longs: "u32",
      mac_receive_errors: "u32",
      symbol_errors: "u32",
    },
  },
  lacp: {
    format: 7,
    fields: {
      actor_system: "xdr-mac",
      partner_system: "xdr-mac",
      attached_aggregator: "u32",
      /** Actor admin, actor oper, partner admin, partner oper, a byte each. */
      port_state: "u32",
      rx_lacpdus: "u32",
      rx_marker_pdus: "u32",
      rx_marker_responses: "u32",
      rx_unknown: "u32",
      rx_illegal: "u32",
      tx_lacpdus: "u32",
      tx_marker_pdus: "u32",
      tx_marker_responses: "u32",
    },
  },
  openflow_port: { format: 1004, fields: { datapath_id: "u64", port_number: "u32" } },
  port_name: { format: 1005, fields: { name: "xdr-string" } },
  app_resources: {
    format: 2203,
    fields: {
      user_time_ms: "u32",
      system_time_ms: "u32",
      memory_used: "u64",
      memory_max: "u64",
      fd_open: "u32",
      fd_max: "u32",
      connections_open: "u32",
      connections_max: "u32",
    },
  },
  ovs_datapath: {
    format: 2207,
    fields: { hit: "u32", missed: "u32", lost: "u32", mask_hit: "u32", flows: "u32", masks: "u32" },
  },
} as const satisfies Record<string, { format: number; fields: Layout }>;

type RecordsOf<T extends Record<string, { fields: Layout }>> = {
  [K in keyof T]: { name: K; values: ValuesOf<T[K]["fields"]> };
}[keyof T];

/** A structure that has no row here: enterprise << 12 | format. */
export interface UnknownRecord {
  name: "unknown";
  format: number;
  bytes: Uint8Array;
}
export type FlowRecord = RecordsOf<typeof FLOW_RECORDS> | UnknownRecord;
export type CounterRecord = RecordsOf<typeof COUNTER_RECORDS> | UnknownRecord;

/** Data source and ports: a type (0 ifIndex, 1 smonVlanDataSource, 2 entPhysicalEntry) and an index. */
export interface DataSource {
  type: number;
  index: number;
}

export interface FlowSample {
  kind: "flow";
  sequence: number;
  source: DataSource;
  /** One of how many packets is sampled. */
  rate: number;
  /** Packets that could have been sampled. */
  pool: number;
  drops: number;
  /** Ports as format << 30 | value: 0x3fffffff unknown, 0x80000000 | n for several, 0x40000000 | reason dropped. */
  input: number;
  output: number;
  records: FlowRecord[];
}
export interface CounterSample {
  kind: "counters";
  sequence: number;
  source: DataSource;
  records: CounterRecord[];
}
/** A sample of a format that is not read here. */
export interface UnknownSample {
  kind: "unknown";
  format: number;
  bytes: Uint8Array;
}
export type Sample = FlowSample | CounterSample | UnknownSample;

export interface SflowDatagram {
  /** 4 or 16 bytes. */
  agent: Uint8Array;
  subAgent: number;
  sequence: number;
  uptimeMs: number;
  samples: Sample[];
}

const FLOW_SAMPLE = 1;
const COUNTER_SAMPLE = 2;
const FLOW_SAMPLE_EXPANDED = 3;
const COUNTER_SAMPLE_EXPANDED = 4;

/** The header; a caller then appends `samples` samples. */
export function writeSflowHeader(
  out: ByteWriter,
  header: Omit<SflowDatagram, "samples">,
  samples: number,
): void {
  out.u32(5);
  out.u32(header.agent.length === 16 ? 2 : 1);
  out.put(header.agent);
  out.u32(header.subAgent);
  out.u32(header.sequence);
  out.u32(header.uptimeMs);
  out.u32(samples);
}

export function writeSample(out: ByteWriter, sample: Sample): void {
  if (sample.kind === "unknown") {
    out.u32(sample.format);
    out.xdrOpaque(sample.bytes);
    return;
  }
  out.u32(sample.kind === "flow" ? FLOW_SAMPLE : COUNTER_SAMPLE);
  out.xdrSized(() => {
    out.u32(sample.sequence);
    out.u32((sample.source.type << 24) | (sample.source.index & 0xffffff));
    if (sample.kind === "flow") {
      out.u32(sample.rate);
      out.u32(sample.pool);
      out.u32(sample.drops);
      out.u32(sample.input);
      out.u32(sample.output);
      writeRecords(out, sample.records, FLOW_RECORDS);
    } else writeRecords(out, sample.records, COUNTER_RECORDS);
  });
}

function writeRecords(
  out: ByteWriter,
  records: readonly (FlowRecord | CounterRecord)[],
  table: Readonly<Record<string, { format: number; fields: Layout }>>,
): void {
  out.u32(records.length);
  for (const record of records) {
    if (record.name === "unknown") {
      out.u32(record.format);
      out.xdrOpaque(record.bytes);
      continue;
    }
    const row = table[record.name]!;
    out.u32(row.format);
    out.xdrSized(() => writeLayout(out, row.fields, record.values as ValuesOf<Layout>));
  }
}

/** A whole datagram. */
export function writeSflow(out: ByteWriter, datagram: SflowDatagram): void {
  writeSflowHeader(out, datagram, datagram.samples.length);
  for (const sample of datagram.samples) writeSample(out, sample);
}

/** @throws CodecError when the datagram is not sFlow version 5 or is cut off. */
export function readSflow(bytes: Uint8Array): SflowDatagram {
  const from = new ByteReader(bytes, "sFlow datagram");
  const version = from.u32();
  if (version !== 5) throw new CodecError(`sFlow datagram: version ${version}, only 5 is understood`);
  const addressType = from.u32();
  if (addressType !== 1 && addressType !== 2) {
    throw new CodecError(`sFlow datagram: agent address of type ${addressType}`);
  }
  const agent = from.take(addressType === 1 ? 4 : 16);
  const [subAgent, sequence, uptimeMs, count] = [from.u32(), from.u32(), from.u32(), from.u32()];
  const samples: Sample[] = [];
  for (let i = 0; i < count; i++) samples.push(readSample(from));
  return { agent, subAgent, sequence, uptimeMs, samples };
}

function readSample(from: ByteReader): Sample {
  const format = from.u32();
  const body = from.sub(from.u32(), "sFlow sample");
  from.take(-(body.end - body.pos) & 3);
  switch (format) {
    case FLOW_SAMPLE:
    case FLOW_SAMPLE_EXPANDED: {
      const expanded = format === FLOW_SAMPLE_EXPANDED;
      return {
        kind: "flow",
        sequence: body.u32(),
        source: readSource(body, expanded),
        rate: body.u32(),
        pool: body.u32(),
        drops: body.u32(),
        input: readPort(body, expanded),
        output: readPort(body, expanded),
        records: readRecords(body, FLOW_BY_FORMAT) as FlowRecord[],
      };
    }
    case COUNTER_SAMPLE:
    case COUNTER_SAMPLE_EXPANDED:
      return {
        kind: "counters",
        sequence: body.u32(),
        source: readSource(body, format === COUNTER_SAMPLE_EXPANDED),
        records: readRecords(body, COUNTER_BY_FORMAT) as CounterRecord[],
      };
    default:
      return { kind: "unknown", format, bytes: body.take(body.left) };
  }
}

function readSource(from: ByteReader, expanded: boolean): DataSource {
  if (expanded) return { type: from.u32(), index: from.u32() };
  const word = from.u32();
  return { type: word >>> 24, index: word & 0xffffff };
}

function readPort(from: ByteReader, expanded: boolean): number {
  if (!expanded) return from.u32();
  const format = from.u32();
  return ((format << 30) | (from.u32() & 0x3fffffff)) >>> 0;
}

type ByFormat = ReadonlyMap<number, { name: string; fields: Layout }>;

function byFormat(table: Readonly<Record<string, { format: number; fields: Layout }>>): ByFormat {
  return new Map(Object.entries(table).map(([name, row]) => [row.format, { name, fields: row.fields }]));
}
const FLOW_BY_FORMAT = byFormat(FLOW_RECORDS);
const COUNTER_BY_FORMAT = byFormat(COUNTER_RECORDS);

function readRecords(from: ByteReader, table: ByFormat): unknown[] {
  const count = from.u32();
  const records: (UnknownRecord | { name: string; values: ValuesOf<Layout> })[] = [];
  for (let i = 0; i < count; i++) {
    const format = from.u32();
    const length = from.u32();
    const row = table.get(format);
    const body = from.sub(length, `sFlow record ${row?.name ?? format}`);
    from.take(-length & 3);
    if (row === undefined) records.push({ name: "unknown", format, bytes: body.take(length) });
    else records.push({ name: row.name, values: readLayout(body, row.fields) });
  }
  return records;
}
