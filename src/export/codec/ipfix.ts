/**
 * IPFIX messages (RFC 7011) and NetFlow 9 packets (RFC 3954), both ways: templates, options templates and data records.
 * They differ in the header, in the numbers of template sets, and in that only IPFIX has enterprise fields and fields of
 * varying length; NetFlow 9's scope fields are read as if they were elements of a "scope" enterprise.
 */

import {
  type Element,
  type ElementName,
  elementByName,
  elementByNumber,
  VARIABLE,
} from "./information-elements.ts";
import { ByteReader, type ByteWriter, CodecError } from "./layout.ts";

export type Protocol = "ipfix" | "netflow9";

export interface TemplateField {
  element: Element;
  /** The element's name; where an element stands twice in a template, a 2 (and so on) is appended to the later ones. */
  key: string;
  /** Bytes in a record, or {@link VARIABLE}. */
  length: number;
}

export interface Template {
  /** 256 to 65535. */
  id: number;
  fields: readonly TemplateField[];
  /** How many of the first fields say what an options record is about; 0 for data. */
  scopeFields: number;
}

/** What a field holds: numbers up to 2^53 as such, addresses and other bytes as they are. */
export type Value = number | bigint | string | Uint8Array;
export type RecordValues = Readonly<Partial<Record<ElementName | `${ElementName}2`, Value>>>;

const TEMPLATE_SET = { ipfix: 2, netflow9: 0 } as const;
const OPTIONS_SET = { ipfix: 3, netflow9: 1 } as const;
const VERSION = { ipfix: 10, netflow9: 9 } as const;
/** Scope field types of NetFlow 9 (RFC 3954 section 6.1). */
const SCOPES = ["", "scopeSystem", "scopeInterface", "scopeLineCard", "scopeCache", "scopeTemplate"];

/** What an exporter may make us remember; nobody needs more. */
const MAX_FIELDS = 1024;
const MAX_TEMPLATES = 4096;

const utf8 = new TextEncoder();
const text = new TextDecoder();

/** A template of elements in their usual lengths, or in `lengths`. */
export function makeTemplate(
  id: number,
  names: readonly ElementName[],
  options: { scopeFields?: number; lengths?: Partial<Record<ElementName, number>> } = {},
): Template {
  const fields: TemplateField[] = [];
  for (const name of names) {
    const element = elementByName(name);
    addField(fields, element, options.lengths?.[name] ?? element.length);
  }
  return { id, scopeFields: options.scopeFields ?? 0, fields };
}

function addField(fields: TemplateField[], element: Element, length: number): void {
  const before = fields.filter((field) => field.element.name === element.name).length;
  fields.push({ element, length, key: before === 0 ? element.name : `${element.name}${before + 1}` });
}

export interface MessageHeader {
  protocol: Protocol;
  /** Seconds since 1970. */
  exportTime: number;
  /** IPFIX: data records sent before in this session; NetFlow 9: packets sent before. */
  sequence: number;
  /** Observation domain, or source ID. */
  domain: number;
  /** NetFlow 9 alone: milliseconds since the exporter started. */
  uptimeMs?: number;
}

/** Builds one message: `begin`, sets, `end`. */
export class MessageWriter {
  readonly out: ByteWriter;
  readonly protocol: Protocol;
  /** Templates and data records written: NetFlow 9's count field. */
  #records = 0;
  #set = -1;

  constructor(out: ByteWriter, header: MessageHeader) {
    this.out = out;
    this.protocol = header.protocol;
    out.reset();
    out.u16(VERSION[header.protocol]);
    out.u16(0);
    if (header.protocol === "netflow9") out.u32(header.uptimeMs ?? 0);
    out.u32(header.exportTime);
    out.u32(header.sequence);
    out.u32(header.domain);
  }

  /** Opens a set, which ends with the next one or the message. */
  #open(id: number): void {
    this.#close();
    this.#set = this.out.length;
    this.out.u16(id);
    this.out.u16(0);
  }
  #close(): void {
    if (this.#set < 0) return;
    if (this.protocol === "netflow9") this.out.zeros(-this.out.length & 3);
    this.out.view.setUint16(this.#set + 2, this.out.length - this.#set);
    this.#set = -1;
  }

  /** Appends template records, in one set. All must have scope fields, or none. */
  templates(templates: readonly Template[]): void {
    const first = templates[0];
    if (first === undefined) return;
    const options = first.scopeFields > 0;
    this.#open((options ? OPTIONS_SET : TEMPLATE_SET)[this.protocol]);
    for (const template of templates) {
      const { out } = this;
      out.u16(template.id);
      if (options && this.protocol === "netflow9") {
        out.u16(template.scopeFields * 4);
        out.u16((template.fields.length - template.scopeFields) * 4);
      } else {
        out.u16(template.fields.length);
        if (options) out.u16(template.scopeFields);
      }
      for (const { element, length } of template.fields) {
        if (element.enterprise !== 0 && this.protocol === "netflow9") {
          throw new Error(`NetFlow 9 has no enterprise field ${element.name}`);
        }
        out.u16(element.enterprise === 0 ? element.id : element.id | 0x8000);
        out.u16(length);
        if (element.enterprise !== 0) out.u32(element.enterprise);
      }
      this.#records++;
    }
    this.#close();
  }

  /** Opens a set of data records of `template`. */
  data(template: Template): void {
    this.#open(template.id);
  }

  /** Appends a record of `template` to the open set; fields without a value are zero. */
  record(template: Template, values: RecordValues): void {
    for (const field of template.fields) {
      writeValue(this.out, field, values[field.key as ElementName]);
    }
    this.#records++;
  }

  /** The finished message, valid until the buffer is written again. */
  end(): Uint8Array {
    this.#close();
    this.out.view.setUint16(2, this.protocol === "ipfix" ? this.out.length : this.#records);
    return this.out.written();
  }
}

function writeValue(out: ByteWriter, field: TemplateField, value: Value | undefined): void {
  let { length } = field;
  const bytes = typeof value === "string" ? utf8.encode(value) : value;
  if (length === VARIABLE) {
    if (bytes !== undefined && !(bytes instanceof Uint8Array)) {
      throw new Error(`${field.element.name}: a number has no length of its own`);
    }
    length = bytes?.length ?? 0;
    // RFC 7011 section 7: one byte, or 255 and two.
    if (length < 255) out.u8(length);
    else {
      out.u8(255);
      out.u16(length);
    }
  }
  if (bytes === undefined) out.zeros(length);
  else if (bytes instanceof Uint8Array) {
    out.put(bytes.subarray(0, length));
    out.zeros(length - Math.min(length, bytes.length));
  } else writeNumber(out, bytes, length);
}

function writeNumber(out: ByteWriter, value: number | bigint, length: number): void {
  switch (length) {
    case 1:
      out.u8(Number(value));
      return;
    case 2:
      out.u16(Number(value));
      return;
    case 4:
      out.u32(Number(value));
      return;
    default: {
      let rest = BigInt(value);
      const at = out.room(length);
      for (let i = length - 1; i >= 0; i--) {
        out.bytes[at + i] = Number(rest & 0xffn);
        rest >>= 8n;
      }
    }
  }
}

export interface DataRecord {
  template: Template;
  /** By {@link TemplateField.key}, in the order of the template. */
  values: Record<string, Value>;
}

export interface Message extends MessageHeader {
  templates: Template[];
  records: DataRecord[];
  /** Sets of data whose template has not been seen: template ID → bytes. */
  missing: { template: number; bytes: number }[];
}

/**
 * Reads messages of one exporter, whose templates it remembers by domain (RFC 7011 section 8: over UDP they are sent
 * again and may change).
 */
export class MessageReader {
  readonly #templates = new Map<string, Template>();

  /** @throws CodecError when the message is cut off or not of this protocol. */
  read(bytes: Uint8Array): Message {
    const from = new ByteReader(bytes, "message");
    const version = from.u16();
    const protocol = version === 10 ? "ipfix" : version === 9 ? "netflow9" : undefined;
    if (protocol === undefined)
      throw new CodecError(`message: version ${version}, only 9 and 10 are understood`);
    const size = from.u16();
    if (protocol === "ipfix" && (size < 16 || size > bytes.length)) {
      throw new CodecError(`message: length ${size}, the datagram has ${bytes.length} bytes`);
    }
    const uptimeMs = protocol === "netflow9" ? from.u32() : 0;
    const message: Message = {
      protocol,
      uptimeMs,
      exportTime: from.u32(),
      sequence: from.u32(),
      domain: from.u32(),
      templates: [],
      records: [],
      missing: [],
    };
    const body = new ByteReader(bytes, "message", from.pos, protocol === "ipfix" ? size : bytes.length);
    while (body.left >= 4) {
      const id = body.u16();
      const length = body.u16();
      if (length < 4) throw new CodecError(`set ${id}: length ${length}`);
      const set = body.sub(length - 4, `set ${id}`);
      if (id === TEMPLATE_SET[protocol]) this.#readTemplates(set, message, false);
      else if (id === OPTIONS_SET[protocol]) this.#readTemplates(set, message, true);
      else if (id >= 256) this.#readData(id, set, message);
    }
    return message;
  }

  #readTemplates(set: ByteReader, message: Message, options: boolean): void {
    const netflow9 = message.protocol === "netflow9";
    // What is left over is padding.
    while (set.left >= (options ? 6 : 4)) {
      const id = set.u16();
      if (id === 0) return;
      let count = set.u16();
      let scopeFields = 0;
      if (options && netflow9) {
        scopeFields = count >>> 2;
        count = scopeFields + (set.u16() >>> 2);
      } else if (options && count > 0) scopeFields = set.u16();
      if (count > MAX_FIELDS) throw new CodecError(`template ${id}: ${count} fields`);
      const fields: TemplateField[] = [];
      for (let i = 0; i < count; i++) {
        const number = set.u16();
        const length = set.u16();
        if (netflow9 && i < scopeFields) {
          const name = SCOPES[number] ?? `scope${number}`;
          addField(fields, { name, enterprise: 0, id: number, length, type: "unsigned" }, length);
        } else {
          const enterprise = !netflow9 && (number & 0x8000) !== 0 ? set.u32() : 0;
          addField(fields, elementByNumber(enterprise, netflow9 ? number : number & 0x7fff), length);
        }
      }
      const template: Template = { id, fields, scopeFields };
      const key = `${message.domain}/${id}`;
      if (count === 0) this.#templates.delete(key);
      else {
        if (this.#templates.size >= MAX_TEMPLATES) this.#templates.clear();
        this.#templates.set(key, template);
        message.templates.push(template);
      }
    }
  }

  #readData(id: number, set: ByteReader, message: Message): void {
    const template = this.#templates.get(`${message.domain}/${id}`);
    if (template === undefined) {
      message.missing.push({ template: id, bytes: set.left });
      return;
    }
    const shortest = template.fields.reduce((sum, f) => sum + (f.length === VARIABLE ? 1 : f.length), 0);
    if (shortest === 0) return;
    while (set.left >= shortest) {
      const values: Record<string, Value> = {};
      for (const field of template.fields) values[field.key] = readValue(set, field);
      message.records.push({ template, values });
    }
  }
}

function readValue(from: ByteReader, field: TemplateField): Value {
  let { length } = field;
  if (length === VARIABLE) {
    length = from.u8();
    if (length === 255) length = from.u16();
  }
  switch (field.element.type) {
    case "unsigned":
    case "seconds":
    case "milliseconds":
      return readNumber(from, length);
    case "string":
      return text.decode(from.take(length)).replace(/\0+$/, "");
    default:
      return from.take(length);
  }
}

function readNumber(from: ByteReader, length: number): Value {
  if (length > 8) return from.take(length);
  if (length === 4) return from.u32();
  if (length === 8) {
    const value = from.u64();
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
  }
  let value = 0;
  for (let i = 0; i < length; i++) value = value * 256 + from.u8();
  return value;
}
