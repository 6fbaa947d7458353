/** NetFlow version 5 packets, both ways (Cisco, "NetFlow Export Datagram Format"): a header and up to 30 records. */
import { ByteReader, type ByteWriter, CodecError, readLayout, type ValuesOf, writeLayout } from "./layout.ts";

const HEADER = {
  version: "u16",
  count: "u16",
  uptime_ms: "u32",
  unix_seconds: "u32",
  unix_nanoseconds: "u32",
  /** Flows sent before this packet. */
  sequence: "u32",
  engine_type: "u8",
  engine_id: "u8",
  /** Two bits of mode, 14 of interval. */
  sampling: "u16",
} as const;

const RECORD = {
  source: "ipv4",
  destination: "ipv4",
  next_hop: "ipv4",
  input: "u16",
  output: "u16",
  packets: "u32",
  octets: "u32",
  /** Uptimes in ms of the first and last packet. */
  first_ms: "u32",
  last_ms: "u32",
  /** Or, for ICMP, zero. */
  source_port: "u16",
  /** Or, for ICMP, type << 8 | code. */
  destination_port: "u16",
  pad1: "u8",
  tcp_flags: "u8",
  protocol: "u8",
  tos: "u8",
  source_as: "u16",
  destination_as: "u16",
  source_mask: "u8",
  destination_mask: "u8",
  pad2: "u16",
} as const;

export type Netflow5Header = Omit<ValuesOf<typeof HEADER>, "version" | "count">;
export type Netflow5Record = Omit<ValuesOf<typeof RECORD>, "pad1" | "pad2">;
export interface Netflow5Packet extends Netflow5Header {
  records: Netflow5Record[];
}

/** More do not fit into a packet. */
export const NETFLOW5_MAX_RECORDS = 30;

/** Writes a packet; `out` is emptied before. */
export function writeNetflow5(out: ByteWriter, packet: Netflow5Packet): Uint8Array {
  out.reset();
  writeLayout(out, HEADER, { ...packet, version: 5, count: packet.records.length });
  for (const record of packet.records) writeLayout(out, RECORD, { ...record, pad1: 0, pad2: 0 });
  return out.written();
}

/** @throws CodecError when it is not version 5 or cut off. */
export function readNetflow5(bytes: Uint8Array): Netflow5Packet {
  const from = new ByteReader(bytes, "NetFlow packet");
  const { version, count, ...header } = readLayout(from, HEADER);
  if (version !== 5) throw new CodecError(`NetFlow packet: version ${version}, only 5 and 9 are understood`);
  const records: Netflow5Record[] = [];
  for (let i = 0; i < count; i++) {
    const { pad1: _, pad2: __, ...record } = readLayout(from, RECORD);
    records.push(record);
  }
  return { ...header, records };
}
