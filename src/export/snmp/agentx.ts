/**
 * AgentX on the wire (RFC 2741 section 6): what a sub-agent sends, and what its master sends to it. Pure. We write in network
 * order and read either, as each message's flag says.
 *
 * Of our own, because the library at hand (net-snmp) cannot carry octets above 127 in OCTET STRINGs (MAC addresses), takes a
 * read of the socket for a message, and does not run in strict mode, which is what a compiled executable has.
 */
import { ByteWriter, CodecError } from "../codec/layout.ts";

/** Object identifier: its numbers, 0 to 2^32-1 each. */
export type Oid = readonly number[];

export const AGENTX_OPEN = 1;
export const AGENTX_CLOSE = 2;
export const AGENTX_REGISTER = 3;
export const AGENTX_UNREGISTER = 4;
export const AGENTX_GET = 5;
export const AGENTX_GET_NEXT = 6;
export const AGENTX_GET_BULK = 7;
export const AGENTX_TEST_SET = 8;
export const AGENTX_COMMIT_SET = 9;
export const AGENTX_UNDO_SET = 10;
export const AGENTX_CLEANUP_SET = 11;
export const AGENTX_PING = 13;
export const AGENTX_RESPONSE = 18;

const FLAG_NON_DEFAULT_CONTEXT = 0x08;
const FLAG_NETWORK_BYTE_ORDER = 0x10;

/** Errors of a response: those of SNMP (RFC 3416) up to 18, AgentX's own from 256. */
export const SNMP_COMMIT_FAILED = 14;
export const SNMP_UNDO_FAILED = 15;
export const SNMP_NOT_WRITABLE = 17;
export const AGENTX_NOT_OPEN = 257;
export const AGENTX_DUPLICATE_REGISTRATION = 263;
const AGENTX_ERRORS: Readonly<Record<number, string>> = {
  256: "openFailed",
  [AGENTX_NOT_OPEN]: "notOpen",
  262: "unsupportedContext",
  [AGENTX_DUPLICATE_REGISTRATION]: "duplicateRegistration",
  264: "unknownRegistration",
  266: "parseError",
  267: "requestDenied",
  268: "processingError",
};

export function agentxErrorText(error: number): string {
  return AGENTX_ERRORS[error] ?? `error ${error}`;
}

/** A value with its type. Counters are taken modulo their size. */
export type SnmpValue =
  | { readonly type: "integer" | "counter32" | "gauge32" | "timeticks"; readonly value: number }
  | { readonly type: "counter64"; readonly value: bigint }
  | { readonly type: "octets"; readonly value: Uint8Array }
  | { readonly type: "oid"; readonly value: Oid }
  | { readonly type: "noSuchObject" | "noSuchInstance" | "endOfMibView" };

const TYPE_NUMBER: Readonly<Record<SnmpValue["type"], number>> = {
  integer: 2,
  octets: 4,
  oid: 6,
  counter32: 65,
  gauge32: 66,
  timeticks: 67,
  counter64: 70,
  noSuchObject: 128,
  noSuchInstance: 129,
  endOfMibView: 130,
};

export interface Varbind {
  readonly oid: Oid;
  readonly value: SnmpValue;
}

/** What is asked for: from `start` on (that one too if `include`), before `end`; an empty `end` is none. */
export interface SearchRange {
  readonly start: Oid;
  readonly include: boolean;
  readonly end: Oid;
}

export interface AgentxHeader {
  readonly type: number;
  readonly session: number;
  readonly transaction: number;
  readonly packet: number;
  /** "": the default context. */
  readonly context: string;
}

/** A message of the master's. */
export type MasterPdu = AgentxHeader &
  (
    | {
        readonly kind: "response";
        readonly sysUpTime: number;
        readonly error: number;
        readonly index: number;
      }
    | { readonly kind: "get" | "getNext"; readonly ranges: readonly SearchRange[] }
    | {
        readonly kind: "getBulk";
        readonly ranges: readonly SearchRange[];
        readonly nonRepeaters: number;
        readonly maxRepetitions: number;
      }
    | { readonly kind: "close" | "testSet" | "commitSet" | "undoSet" | "cleanupSet" | "other" }
  );

/** A subtree of one object, or with `upper` of the objects whose numbers at `place` (from 1) go up to it. */
export interface Region {
  readonly oid: Oid;
  /** "": the default. */
  readonly context: string;
  /** The lowest wins; 127 is what others take. */
  readonly priority: number;
  readonly place?: number;
  readonly upper?: number;
}

const HEADER_BYTES = 20;
/** A master's messages are small; more is no AgentX. */
const MAX_PAYLOAD = 1 << 20;
const utf8 = new TextEncoder();
const text = new TextDecoder();
const INTERNET: Oid = [1, 3, 6, 1];

class PduWriter extends ByteWriter {
  oid(oid: Oid, include = false): void {
    const short = oid.length > 4 && oid[4]! < 256 && INTERNET.every((part, at) => oid[at] === part);
    // 0.0 is written as no numbers at all.
    const numbers = short ? oid.slice(5) : oid.every((part) => part === 0) ? [] : oid;
    this.u8(numbers.length);
    this.u8(short ? oid[4]! : 0);
    this.u8(include ? 1 : 0);
    this.u8(0);
    for (const number of numbers) this.u32(number);
  }

  octets(bytes: Uint8Array): void {
    this.xdrOpaque(bytes);
  }

  varbind({ oid, value }: Varbind): void {
    this.u16(TYPE_NUMBER[value.type]);
    this.u16(0);
    this.oid(oid);
    switch (value.type) {
      case "integer":
      case "counter32":
      case "gauge32":
      case "timeticks":
        this.u32(value.value >>> 0);
        break;
      case "counter64":
        this.u64(BigInt.asUintN(64, value.value));
        break;
      case "octets":
        this.octets(value.value);
        break;
      case "oid":
        this.oid(value.value);
    }
  }
}

type Ids = Pick<AgentxHeader, "session" | "transaction" | "packet">;

function message(type: number, ids: Ids, context: string, body: (out: PduWriter) => void): Uint8Array {
  const out = new PduWriter();
  out.u8(1);
  out.u8(type);
  out.u8(FLAG_NETWORK_BYTE_ORDER | (context === "" ? 0 : FLAG_NON_DEFAULT_CONTEXT));
  out.u8(0);
  out.u32(ids.session);
  out.u32(ids.transaction);
  out.u32(ids.packet);
  out.xdrSized(() => {
    if (context !== "") out.octets(utf8.encode(context));
    body(out);
  });
  return out.bytes.slice(0, out.length);
}

export function encodeOpen(packet: number, timeoutSec: number, description: string): Uint8Array {
  return message(AGENTX_OPEN, { session: 0, transaction: 0, packet }, "", (out) => {
    out.u8(timeoutSec);
    out.zeros(3);
    out.oid([]);
    out.octets(utf8.encode(description));
  });
}

const SHUTDOWN = 5;

export function encodeClose(ids: Ids): Uint8Array {
  return message(AGENTX_CLOSE, ids, "", (out) => {
    out.u8(SHUTDOWN);
    out.zeros(3);
  });
}

export function encodePing(ids: Ids): Uint8Array {
  return message(AGENTX_PING, ids, "", () => {});
}

export function encodeRegister(ids: Ids, region: Region, timeoutSec: number): Uint8Array {
  return message(AGENTX_REGISTER, ids, region.context, (out) => {
    out.u8(timeoutSec);
    encodeRegion(out, region);
  });
}

export function encodeUnregister(ids: Ids, region: Region): Uint8Array {
  return message(AGENTX_UNREGISTER, ids, region.context, (out) => {
    out.u8(0);
    encodeRegion(out, region);
  });
}

function encodeRegion(out: PduWriter, { oid, priority, place, upper }: Region): void {
  out.u8(priority);
  out.u8(place ?? 0);
  out.u8(0);
  out.oid(oid);
  if (place !== undefined) out.u32(upper!);
}

export function encodeResponse(
  ids: Ids,
  error: number,
  index: number,
  varbinds: readonly Varbind[],
): Uint8Array {
  return message(AGENTX_RESPONSE, ids, "", (out) => {
    // A sub-agent does not know the time of the system that is asked: RFC 2741 section 6.2.16.
    out.u32(0);
    out.u16(error);
    out.u16(index);
    for (const varbind of varbinds) out.varbind(varbind);
  });
}

class PduReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #little: boolean;
  #at = 0;

  constructor(bytes: Uint8Array, little: boolean) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#little = little;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #take(count: number): number {
    if (count > this.left) throw new CodecError("AgentX message cut off");
    const at = this.#at;
    this.#at += count;
    return at;
  }
  u8(): number {
    return this.#bytes[this.#take(1)]!;
  }
  u16(): number {
    return this.#view.getUint16(this.#take(2), this.#little);
  }
  u32(): number {
    return this.#view.getUint32(this.#take(4), this.#little);
  }
  octets(): Uint8Array {
    const length = this.u32();
    if (length > this.left) throw new CodecError("AgentX string cut off");
    const at = this.#take(length);
    this.#take(-length & 3);
    return this.#bytes.subarray(at, at + length);
  }
  oid(): { oid: number[]; include: boolean } {
    const count = this.u8();
    const prefix = this.u8();
    const include = this.u8() !== 0;
    this.u8();
    if (count > 128) throw new CodecError(`AgentX object identifier of ${count} numbers`);
    const oid = prefix === 0 ? [] : [...INTERNET, prefix];
    for (let i = 0; i < count; i++) oid.push(this.u32());
    return { oid, include };
  }
  ranges(): SearchRange[] {
    const ranges: SearchRange[] = [];
    while (this.left > 0) {
      const { oid: start, include } = this.oid();
      ranges.push({ start, include, end: this.oid().oid });
    }
    return ranges;
  }
}

const KINDS = {
  [AGENTX_CLOSE]: "close",
  [AGENTX_TEST_SET]: "testSet",
  [AGENTX_COMMIT_SET]: "commitSet",
  [AGENTX_UNDO_SET]: "undoSet",
  [AGENTX_CLEANUP_SET]: "cleanupSet",
} as const;

function decode(header: AgentxHeader, reader: PduReader): MasterPdu {
  switch (header.type) {
    case AGENTX_RESPONSE:
      return {
        ...header,
        kind: "response",
        sysUpTime: reader.u32(),
        error: reader.u16(),
        index: reader.u16(),
      };
    case AGENTX_GET:
      return { ...header, kind: "get", ranges: reader.ranges() };
    case AGENTX_GET_NEXT:
      return { ...header, kind: "getNext", ranges: reader.ranges() };
    case AGENTX_GET_BULK: {
      const nonRepeaters = reader.u16();
      const maxRepetitions = reader.u16();
      return { ...header, kind: "getBulk", nonRepeaters, maxRepetitions, ranges: reader.ranges() };
    }
    default:
      return { ...header, kind: KINDS[header.type as keyof typeof KINDS] ?? "other" };
  }
}

/** Cuts the bytes of a connection into messages. */
export class AgentxSplitter {
  #pending: Uint8Array = new Uint8Array(0);

  /** The messages that are whole now. Throws CodecError where the peer speaks something else. */
  *push(bytes: Uint8Array): IterableIterator<MasterPdu> {
    const all = new Uint8Array(this.#pending.length + bytes.length);
    all.set(this.#pending);
    all.set(bytes, this.#pending.length);
    let at = 0;
    while (all.length - at >= HEADER_BYTES) {
      if (all[at] !== 1) throw new CodecError(`AgentX version ${all[at]}`);
      const little = (all[at + 2]! & FLAG_NETWORK_BYTE_ORDER) === 0;
      const header = new PduReader(all.subarray(at + 4, at + HEADER_BYTES), little);
      const ids = { session: header.u32(), transaction: header.u32(), packet: header.u32() };
      const length = header.u32();
      if (length > MAX_PAYLOAD) throw new CodecError(`AgentX message of ${length} bytes`);
      if (all.length - at - HEADER_BYTES < length) break;
      const body = new PduReader(all.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length), little);
      const context = (all[at + 2]! & FLAG_NON_DEFAULT_CONTEXT) === 0 ? "" : text.decode(body.octets());
      yield decode({ type: all[at + 1]!, ...ids, context }, body);
      at += HEADER_BYTES + length;
    }
    this.#pending = all.slice(at);
  }
}
