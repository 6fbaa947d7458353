/** Decoded datagrams for people, a line a thing, and as JSON. */
import { formatIpv4, formatIpv6 } from "../../lib/ip.ts";
import { formatMac } from "../../lib/mac.ts";
import type { CollectorTotals, Decoded } from "./collector.ts";
import type { Message, TemplateField, Value } from "./ipfix.ts";
import type { Netflow5Packet } from "./netflow5.ts";
import { COUNTER_RECORDS, type DataSource, FLOW_RECORDS, type SflowDatagram } from "./sflow.ts";

const SOURCE_TYPES = ["ifIndex", "vlan", "entity"];

/** Addresses as text, other bytes in hex. */
function formatBytes(bytes: Uint8Array, type: string): string {
  if ((type === "ipv4" || type === "xdr-address") && bytes.length === 4) {
    return bytes.join(".");
  }
  if ((type === "ipv6" || type === "xdr-address") && bytes.length === 16) return formatIpv6(bytes);
  if ((type === "mac" || type === "xdr-mac") && bytes.length === 6) return formatMac(bytes);
  return Buffer.from(bytes).toString("hex");
}

function plain(value: unknown, type: string): string | number {
  if (value instanceof Uint8Array) return formatBytes(value, type);
  if (type === "ipv4" && typeof value === "number") return formatIpv4(value);
  if (typeof value === "bigint") {
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value.toString();
  }
  if (Array.isArray(value)) return value.join(",");
  return value as string | number;
}

/** A port as sFlow writes it. */
function formatInterface(value: number): string {
  const rest = value & 0x3fff_ffff;
  if (value >>> 30 === 0) return rest === 0x3fff_ffff ? "unknown" : String(rest);
  return value >>> 30 === 1 ? `dropped(${rest})` : `${rest} ports`;
}

const formatSource = ({ type, index }: DataSource): string => `${SOURCE_TYPES[type] ?? type}:${index}`;

/** As JSON writes it: names as in the specification, bytes in hex, addresses as text. */
export function toJson(decoded: Decoded & { lost: number }, from: string): unknown {
  const { protocol, lost } = decoded;
  return { protocol, from, ...(lost > 0 && { lost }), ...(body(decoded) as object) };
}

function body({ datagram }: Decoded): unknown {
  if ("samples" in datagram) return sflowJson(datagram);
  if ("engine_id" in datagram) return netflow5Json(datagram);
  return messageJson(datagram);
}

function sflowJson(datagram: SflowDatagram): unknown {
  return {
    agent: formatBytes(datagram.agent, "xdr-address"),
    sub_agent: datagram.subAgent,
    sequence: datagram.sequence,
    uptime_ms: datagram.uptimeMs,
    samples: datagram.samples.map((sample) => {
      if (sample.kind === "unknown") return { ...sample, bytes: formatBytes(sample.bytes, "") };
      const { records, source, ...rest } = sample;
      const ports = rest.kind === "flow" && {
        input: formatInterface(rest.input),
        output: formatInterface(rest.output),
      };
      return { ...rest, source: formatSource(source), ...ports, records: records.map(recordJson) };
    }),
  };
}

type AnyRecord = Extract<SflowDatagram["samples"][number], { kind: "flow" | "counters" }>["records"][number];

function recordJson(record: AnyRecord): object {
  if (record.name === "unknown") return { record: record.format, bytes: formatBytes(record.bytes, "") };
  const layouts = { ...FLOW_RECORDS, ...COUNTER_RECORDS };
  const fields = layouts[record.name].fields as Record<string, string>;
  const values = Object.entries(record.values).map(([name, value]) => [
    name,
    plain(value, fields[name] ?? ""),
  ]);
  return { record: record.name, ...Object.fromEntries(values) };
}

function netflow5Json({ records, ...header }: Netflow5Packet): unknown {
  return {
    version: 5,
    ...header,
    records: records.map((record) => ({
      ...record,
      source: formatIpv4(record.source),
      destination: formatIpv4(record.destination),
      next_hop: formatIpv4(record.next_hop),
    })),
  };
}

function messageJson(message: Message): unknown {
  const { protocol: _, templates, records, ...header } = message;
  return {
    ...header,
    templates: templates.map(({ id, scopeFields, fields }) => ({
      id,
      scope_fields: scopeFields,
      fields: fields.map((field) => field.key),
    })),
    records: records.map(({ template, values }) => ({
      template: template.id,
      ...named(template.fields, values),
    })),
  };
}

function named(fields: readonly TemplateField[], values: Readonly<Record<string, Value>>): object {
  return Object.fromEntries(fields.map(({ key, element }) => [key, plain(values[key], element.type)]));
}

/** The same as lines; `header` describes a sampled frame. */
export function toLines(
  decoded: Decoded & { lost: number },
  from: string,
  header: (frame: Uint8Array) => string,
): string[] {
  const { lost } = decoded;
  const lines = bodyLines(decoded, from, header);
  if (lost > 0) lines.unshift(`${lost} missing before the next, by its sequence number`);
  return lines;
}

function bodyLines({ datagram }: Decoded, from: string, header: (frame: Uint8Array) => string): string[] {
  if ("samples" in datagram) return sflowLines(datagram, from, header);
  if ("engine_id" in datagram) return netflow5Lines(datagram, from);
  return messageLines(datagram, from);
}

function sflowLines(datagram: SflowDatagram, from: string, header: (frame: Uint8Array) => string): string[] {
  const agent = formatBytes(datagram.agent, "xdr-address");
  const lines = [`sFlow from ${from}: agent ${agent}/${datagram.subAgent}, datagram ${datagram.sequence}`];
  for (const sample of datagram.samples) {
    if (sample.kind === "unknown") {
      lines.push(`  sample of format ${sample.format}, ${sample.bytes.length} bytes`);
      continue;
    }
    const source = formatSource(sample.source);
    lines.push(
      sample.kind === "counters"
        ? `  counters ${sample.sequence} of ${source}`
        : `  packet ${sample.sequence} of ${source}: ${formatInterface(sample.input)} -> ${formatInterface(sample.output)}, ` +
            `1 of ${sample.rate}, pool ${sample.pool}, ${sample.drops} lost`,
    );
    for (const record of sample.records) {
      if (record.name === "raw_header") {
        const { frame_length, header: frame } = record.values;
        lines.push(`    ${frame_length} bytes: ${header(frame)}`);
      } else lines.push(`    ${pairs(recordJson(record), "record")}`);
    }
  }
  return lines;
}

function netflow5Lines(packet: Netflow5Packet, from: string): string[] {
  const lines = [
    `NetFlow 5 from ${from}: engine ${packet.engine_type}/${packet.engine_id}, flows from ${packet.sequence} on`,
  ];
  for (const r of packet.records) {
    lines.push(
      `  ${formatIpv4(r.source)}:${r.source_port} > ${formatIpv4(r.destination)}:${r.destination_port}, ` +
        `protocol ${r.protocol}, ports ${r.input} > ${r.output}, ${r.packets} packets, ${r.octets} bytes, ` +
        `${r.last_ms - r.first_ms} ms`,
    );
  }
  return lines;
}

function messageLines(message: Message, from: string): string[] {
  const name = message.protocol === "ipfix" ? "IPFIX" : "NetFlow 9";
  const lines = [`${name} from ${from}: domain ${message.domain}, sequence ${message.sequence}`];
  if (message.templates.length > 0) {
    lines.push(`  templates ${message.templates.map((template) => template.id).join(" ")}`);
  }
  for (const { template, values } of message.records) {
    lines.push(`  ${template.id}: ${pairs(named(template.fields, values))}`);
  }
  for (const { template, bytes } of message.missing) {
    lines.push(`  ${template}: ${bytes} bytes of data, whose template has not come yet`);
  }
  return lines;
}

/** `name=value` for all but zero and empty ones; `title` names the first. */
function pairs(values: object, title?: string): string {
  const words: string[] = [];
  for (const [name, value] of Object.entries(values)) {
    if (name === title) words.push(`${value}:`);
    else if (value !== 0 && value !== "" && value !== undefined) words.push(`${name}=${value}`);
  }
  return words.join(" ");
}

export function totalsLine(totals: CollectorTotals): string {
  const parts = [
    `${totals.datagrams} datagrams`,
    `${totals.records} records`,
    `${totals.counters} counter samples`,
    `${totals.packets} packets`,
    `${totals.octets} bytes`,
  ];
  if (totals.lost > 0) parts.push(`${totals.lost} lost`);
  if (totals.withoutTemplate > 0) parts.push(`${totals.withoutTemplate} sets without template`);
  if (totals.malformed > 0) parts.push(`${totals.malformed} not understood`);
  return parts.join(", ");
}
