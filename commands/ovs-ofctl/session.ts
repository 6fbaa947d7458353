/** One connection to a switch for a command: opening by bridge name, requests and replies. */
import fs from "node:fs";
import type { PortNames } from "../../src/flow/match-text.ts";
import { dirs } from "../../src/lib/dirs.ts";
import { codeOf, describeError, Fatal } from "../../src/lib/errors.ts";
import type { Platform } from "../../src/lib/platform.ts";
import type { Stream } from "../../src/lib/stream.ts";
import { isActive } from "../../src/lib/stream-name.ts";
import { vlog } from "../../src/lib/vlog.ts";
import type { TableNames } from "../../src/openflow/actions/registry.ts";
import {
  decode,
  type EncodeMessageOptions,
  encode,
  encodeTo,
  firstVersion,
  messageRow,
  readHeaderAt,
} from "../../src/openflow/codec.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import type {
  Decoded,
  Message,
  MessageType,
  PhyPort,
  TableFeatures,
  Version,
} from "../../src/openflow/messages.ts";
import {
  P_OF10_NXM,
  P_OF10_NXM_TID,
  P_OF10_STD,
  P_OF10_STD_TID,
  protocolName,
  protocolsText,
  protocolVersion,
  VERSION_NAMES,
  versionProtocols,
} from "../../src/openflow/protocols.ts";
import { OFPGC_INSERT_BUCKET, OFPGC_REMOVE_BUCKET } from "../../src/openflow/text/group-parse.ts";
import { Vconn } from "../../src/openflow/vconn.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { messageText } from "./output.ts";
import type { Ofctl } from "./settings.ts";

const log = vlog("ofctl");

let lastXid = 0;
export function nextXid(): number {
  lastXid = (lastXid + 1) >>> 0;
  return lastXid;
}

/** Commands on single buckets came with OpenFlow 1.5; 1.0's group_mods are an extension made after it. */
function refuseBucketCommand(command: number, version: Version): void {
  if (version === 1 || version === 6) return;
  if (command !== OFPGC_INSERT_BUCKET && command !== OFPGC_REMOVE_BUCKET) return;
  const name = command === OFPGC_INSERT_BUCKET ? "insert-bucket" : "remove-bucket";
  throw new Fatal(`${name} needs OpenFlow 1.5 or later ('-O OpenFlow15')`);
}

function isSocket(path: string): boolean {
  try {
    return fs.statSync(path).isSocket();
  } catch {
    return false;
  }
}

/** A bridge's socket, a socket file or a connection method as a stream name; undefined: none of these. */
export function resolveName(platform: Platform, name: string, suffix = "mgmt"): string | undefined {
  const run = dirs(platform.env).run;
  if (name.includes(":")) return name;
  const own = `${run}/${name}.${suffix}`;
  if (isSocket(own)) return `unix:${own}`;
  if (isSocket(name)) return `unix:${name}`;
  return undefined;
}

/** So much is written at once. */
const FLUSH_BYTES = 262144;

/** Appends a message in a flow protocol (one bit). */
export function encodeInProtocol(
  w: Writer,
  message: Message,
  protocol: number,
  options?: EncodeMessageOptions,
): void {
  const nxm = (protocol & (P_OF10_NXM | P_OF10_NXM_TID)) !== 0;
  const tableIds = (protocol & (P_OF10_STD_TID | P_OF10_NXM_TID)) !== 0;
  const all = options === undefined ? { nxm, tableIds } : { nxm, tableIds, ...options };
  encodeTo(w, message, protocolVersion(protocol), all);
}

/** The message whose `type` may be T. */
type Asked<T extends MessageType> = Message extends infer M
  ? M extends { type: infer U }
    ? T extends U
      ? M
      : never
    : never
  : never;

/** A received message that may wait in a queue: its bytes are a copy. */
export interface Received {
  bytes: Uint8Array;
  xid: number;
}

export class Session {
  readonly vconn: Vconn;
  readonly name: string;
  readonly ofctl: Ofctl;
  /** The flow protocol in use (one bit). */
  protocol: number;
  #queue: Received[] = [];
  #waiting: ((message: Received | undefined) => void) | undefined;
  #drained: (() => void) | undefined;
  #closed = false;
  #reason: Error | undefined;

  private constructor(
    ofctl: Ofctl,
    name: string,
    stream: Stream,
    versions: number,
    opened: (error?: Error) => void,
  ) {
    this.ofctl = ofctl;
    this.name = name;
    this.protocol = P_OF10_STD;
    this.vconn = new Vconn(
      stream,
      versions,
      {
        open: () => opened(),
        message: (bytes) => this.#message(bytes),
        drain: () => this.#drained?.(),
        close: (reason) => {
          this.#closed = true;
          this.#reason = reason;
          if (this.vconn?.version === 0 || this.vconn === undefined)
            opened(reason ?? Object.assign(new Error("End of file"), { code: "EOF" }));
          this.#waiting?.(undefined);
          this.#drained?.();
        },
      },
      nextXid,
    );
  }

  /** Connects and negotiates; throws Fatal with the original's words. */
  static async open(
    ofctl: Ofctl,
    name: string,
    suffix = "mgmt",
    versions = ofctl.settings.versions,
  ): Promise<Session> {
    const target = resolveName(ofctl.platform, name, suffix);
    if (target === undefined) throw new Fatal(`${name} is not a bridge or a socket`);
    const viaMethod = name.includes(":");
    if (!isActive(target))
      throw new Fatal(`connecting to ${target} (Address family not supported by protocol)`);
    let stream: Stream;
    try {
      stream = await ofctl.platform.streams.connect(withPort(target));
    } catch (error) {
      if (viaMethod) throw new Fatal(`connecting to ${name} (${describeError(error)})`);
      throw new Fatal(`${name}: failed to connect to socket (${describeError(error)})`);
    }
    return new Promise((resolve, reject) => {
      let done = false;
      const session: Session = new Session(ofctl, name, stream, versions, (error) => {
        if (done) return;
        done = true;
        if (error === undefined) {
          session.protocol = versionProtocols(session.vconn.version);
          session.protocol = session.protocol & -session.protocol;
          resolve(session);
        } else reject(session.#refused(error, viaMethod, name));
      });
    });
  }

  #refused(error: Error, viaMethod: boolean, name: string): Fatal {
    const text = codeOf(error) === "EPROTO" ? "Protocol error" : describeError(error);
    const peer = this.vconn.peerVersions;
    const names: string[] = [];
    for (let v = 1; v <= 6; v++) if (peer & (1 << v)) names.push(VERSION_NAMES[v]!);
    const hint =
      names.length > 0
        ? `\n${this.ofctl.program}: ${name} speaks ${names.join(", ")}: use -O ${names.at(-1)}`
        : "";
    if (viaMethod) return new Fatal(`connecting to ${name} (${text})${hint}`);
    return new Fatal(`${name}: failed to connect to socket (${text})${hint}`);
  }

  get version(): Version {
    return this.vconn.version as Version;
  }

  #message(bytes: Uint8Array): void {
    if (bytes[1] === 2) {
      const copy = bytes.slice();
      copy[1] = 3;
      this.vconn.send(copy);
      return;
    }
    const message = { bytes: bytes.slice(), xid: readHeaderAt(bytes).xid };
    if (this.#waiting !== undefined) {
      const give = this.#waiting;
      this.#waiting = undefined;
      give(message);
    } else this.#queue.push(message);
  }

  /** The next message; undefined when the connection has closed. */
  receive(): Promise<Received | undefined> {
    const next = this.#queue.shift();
    if (next !== undefined) return Promise.resolve(next);
    if (this.#closed) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }

  /** Messages that have come already. */
  pending(): Received | undefined {
    return this.#queue.shift();
  }

  async receiveOrDie(): Promise<Received> {
    const message = await this.receive();
    if (message === undefined) {
      const reason = this.#reason === undefined ? "End of file" : describeError(this.#reason);
      throw new Fatal(`OpenFlow receive failed (${reason})`);
    }
    return message;
  }

  get closed(): boolean {
    return this.#closed;
  }

  encode(message: Message, options: EncodeMessageOptions = {}): { bytes: Uint8Array; xid: number } {
    const xid = options.xid ?? nextXid();
    const nxm = (this.protocol & (P_OF10_NXM | P_OF10_NXM_TID)) !== 0;
    const tableIds = (this.protocol & (P_OF10_STD_TID | P_OF10_NXM_TID)) !== 0;
    this.#checkVersion(message);
    return { bytes: encode(message, this.version, { nxm, tableIds, ...options, xid }), xid };
  }

  #checkVersion(message: Message): void {
    if (messageRow(message.type, this.version) === undefined) throw this.#tooOld(message.type);
    if (message.type === "group-mod") refuseBucketCommand(message.command, this.version);
  }

  #tooOld(type: MessageType): Fatal {
    const first = firstVersion(type);
    const { command } = this.ofctl;
    if (first <= this.version) return new Fatal(`${command} is not in ${VERSION_NAMES[this.version]}`);
    return new Fatal(`${command} needs OpenFlow 1.${first - 1} or later ('-O ${VERSION_NAMES[first]}')`);
  }

  send(message: Message, options: EncodeMessageOptions = {}): number {
    const { bytes, xid } = this.encode(message, options);
    this.vconn.sendOwned(bytes);
    return xid;
  }

  /** Appends to a buffer that goes out with `flush`. */
  queue(w: Writer, message: Message, options: EncodeMessageOptions = {}): number {
    const xid = options.xid ?? nextXid();
    this.#checkVersion(message);
    encodeInProtocol(w, message, this.protocol, { ...options, xid });
    return xid;
  }

  /** Sends what `w` holds and empties it; waits when the peer is slow. */
  async flush(w: Writer): Promise<void> {
    const { pos } = w;
    w.pos = 0;
    await this.#write(w.bytes.slice(0, pos));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.vconn.sendOwned(bytes) || this.#closed) return;
    await new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    this.#drained = undefined;
  }

  /** Sends messages without replies, which get their xids here, and a barrier after them. */
  async flowMods(bytes: Uint8Array, each?: (message: Uint8Array) => void): Promise<void> {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let start = 0;
    for (let at = 0; at < bytes.length; ) {
      const end = at + view.getUint16(at + 2);
      view.setUint32(at + 4, nextXid());
      each?.(bytes.subarray(at, end));
      at = end;
      if (at - start < FLUSH_BYTES) continue;
      await this.#write(bytes.subarray(start, at));
      start = at;
    }
    const w = new Writer(bytes.length - start + 8);
    w.put(bytes.subarray(start));
    await this.barrier(w);
  }

  /** One request, its one reply. Throws Fatal when the connection dies. */
  async transact(message: Message, options: EncodeMessageOptions = {}): Promise<Received> {
    const xid = this.send(message, options);
    for (;;) {
      const reply = await this.receiveOrDie();
      if (reply.xid === xid) return reply;
      log.dbg(
        `received reply with xid ${reply.xid.toString(16).padStart(8, "0")} != expected ${xid.toString(16).padStart(8, "0")}`,
      );
    }
  }

  /** As transact, decoded and of the wanted type; an error reply or a bad one ends the program. */
  async ask<T extends MessageType>(message: Message, type: T): Promise<Asked<T>> {
    const reply = await this.transact(message);
    const decoded = decode(reply.bytes);
    if (decoded instanceof OfpError || decoded.message.type !== type) {
      this.ofctl.platform.stderr(
        messageText(this.ofctl, reply.bytes, { verbosity: this.ofctl.settings.verbosity + 1 }),
      );
      throw new Fatal(`bad reply`, 1);
    }
    return decoded.message as unknown as Asked<T>;
  }

  /** All parts of a multipart reply. */
  async parts(message: Message): Promise<{ received: Received; decoded: Decoded | OfpError }[]> {
    const xid = this.send(message);
    const out: { received: Received; decoded: Decoded | OfpError }[] = [];
    for (;;) {
      const received = await this.receiveOrDie();
      if (received.xid !== xid) continue;
      const decoded = decode(received.bytes);
      out.push({ received, decoded });
      if (decoded instanceof OfpError || !decoded.more) return out;
    }
  }

  /** Sends a message that has no reply, then a barrier; prints an error and ends the program with 1. */
  async noReply(message: Message): Promise<void> {
    const w = new Writer(256);
    this.queue(w, message);
    await this.barrier(w);
  }

  /** Sends the buffer with a barrier after it. The first error reply is printed; any makes the program exit with 1. */
  async barrier(w: Writer): Promise<void> {
    const xid = this.queue(w, { type: "barrier-request" });
    await this.flush(w);
    let failed = false;
    for (;;) {
      const reply = await this.receiveOrDie();
      if (reply.xid === xid) break;
      if (reply.bytes[1] !== 1) continue;
      if (!failed) {
        this.ofctl.platform.stderr(
          messageText(this.ofctl, reply.bytes, { verbosity: this.ofctl.settings.verbosity + 2 }),
        );
      }
      failed = true;
    }
    if (failed) this.ofctl.platform.exit(1);
  }

  /** Brings a 1.0 connection to the protocol `next` (one bit). False: the switch refuses. */
  async setProtocol(next: number): Promise<boolean> {
    if (this.version > 1) {
      this.protocol = next;
      return true;
    }
    const isNxm = (p: number): boolean => (p & (P_OF10_NXM | P_OF10_NXM_TID)) !== 0;
    const hasTid = (p: number): boolean => (p & (P_OF10_STD_TID | P_OF10_NXM_TID)) !== 0;
    if (isNxm(this.protocol) !== isNxm(next)) {
      if (!(await this.accepts({ type: "nxt-set-flow-format", format: isNxm(next) ? 2 : 0 }))) return false;
    }
    if (hasTid(this.protocol) !== hasTid(next)) {
      if (!(await this.accepts({ type: "nxt-flow-mod-table-id", set: hasTid(next) }))) return false;
    }
    this.protocol = next;
    return true;
  }

  /** Sends a message and a barrier: no error came back. */
  async accepts(message: Message): Promise<boolean> {
    this.send(message);
    const xid = this.send({ type: "barrier-request" });
    let ok = true;
    for (;;) {
      const reply = await this.receiveOrDie();
      if (reply.bytes[1] === 1) ok = false;
      if (reply.xid === xid) return ok;
    }
  }

  close(): void {
    this.vconn.destroy();
  }
}

/** tcp: and ssl: without a port mean OpenFlow's. */
function withPort(name: string): string {
  const found = /^(tcp|ssl):(.*)$/.exec(name);
  if (found === null) return name;
  const host = found[2]!;
  const bracket = host.startsWith("[");
  if (bracket ? /\]:\d+$/.test(host) : /:\d+$/.test(host)) return name;
  return `${name}:6653`;
}

/** The connection for flow_mods: tries protocols from best to worst among `usable`. */
export async function openForFlowMods(ofctl: Ofctl, name: string, usable: number): Promise<Session> {
  const { settings } = ofctl;
  if (usable === 0) throw new Fatal("no usable protocol");
  const wanted = usable & settings.protocols;
  if (wanted === 0) {
    throw new Fatal(
      `none of the usable flow formats (${protocolsText(usable)}) is among the allowed flow formats (${protocolsText(settings.protocols)})`,
    );
  }
  let versions = 0;
  for (let bit = 1; bit < 512; bit <<= 1) if (wanted & bit) versions |= 1 << protocolVersion(bit);
  const session = await Session.open(ofctl, name, "mgmt", versions);
  const current = session.protocol;
  if (wanted & current) return session;
  for (let bit = 1; bit < 512; bit <<= 1) {
    if (!(wanted & bit) || protocolVersion(bit) !== session.version) continue;
    if (await session.setProtocol(bit)) {
      log.dbg(`${name}: set protocol to ${protocolName(bit)}`);
      return session;
    }
  }
  throw new Fatal(`switch does not support any of the usable flow formats (${protocolsText(usable)})`);
}

/** A flow dump wants the richest format: NXM in 1.0. */
export async function setDumpProtocol(session: Session, allowed: number): Promise<void> {
  const order = [P_OF10_NXM, P_OF10_STD];
  if (session.version > 1) return;
  for (const bit of order) {
    const choices = bit === P_OF10_NXM ? P_OF10_NXM | P_OF10_NXM_TID : P_OF10_STD | P_OF10_STD_TID;
    if (!(allowed & choices)) continue;
    if (await session.setProtocol(bit)) return;
  }
  throw new Fatal(`switch does not support any of the usable flow formats (${protocolsText(allowed)})`);
}

/** All ports of the switch. */
export async function fetchPorts(session: Session): Promise<PhyPort[]> {
  if (session.version < 4) {
    const reply = await session.transact({ type: "features-request" });
    const decoded = decode(reply.bytes);
    if (!(decoded instanceof OfpError) && decoded.message.type === "features-reply") {
      const ports = decoded.message.ports ?? [];
      const full = reply.bytes.length + (session.version === 1 ? 48 : 64) > 0xffff;
      if (!full) return ports;
    }
  }
  const out: PhyPort[] = [];
  for (const { decoded } of await session.parts({ type: "port-desc-request", port: 0xffff })) {
    if (!(decoded instanceof OfpError) && decoded.message.type === "port-desc-reply")
      out.push(...decoded.message.ports);
  }
  return out;
}

export class Names implements PortNames, TableNames {
  readonly #byName = new Map<string, number>();
  readonly #byNumber = new Map<number, string>();
  readonly #duplicate = new Set<string>();

  add(number: number, name: string): void {
    if (this.#byName.has(name) && this.#byName.get(name) !== number) this.#duplicate.add(name);
    this.#byName.set(name, number);
    this.#byNumber.set(number, name);
  }
  numberOf(name: string): number | undefined {
    return this.#duplicate.has(name) ? undefined : this.#byName.get(name);
  }
  nameOf(number: number): string | undefined {
    const name = this.#byNumber.get(number);
    return name !== undefined && this.#duplicate.has(name) ? undefined : name;
  }
  get size(): number {
    return this.#byName.size;
  }
}

const nameCache = new Map<string, { ports: Names; tables: Names }>();
const tableCache = new Map<string, Names>();

/** Tables of a switch by name, asked for once: over a connection of its own, as the original does. */
export async function fetchTableNames(ofctl: Ofctl, name: string): Promise<Names> {
  const known = tableCache.get(name);
  if (known !== undefined) return known;
  const names = new Names();
  tableCache.set(name, names);
  const session = await Session.open(ofctl, name);
  for (const f of await fetchTables(session)) if (f.name !== "") names.add(f.table, f.name);
  session.close();
  return names;
}

/** Ports and tables of a switch by name, in the same way. */
export async function fetchNames(ofctl: Ofctl, name: string): Promise<{ ports: Names; tables: Names }> {
  const known = nameCache.get(name);
  if (known !== undefined) return known;
  const out = { ports: new Names(), tables: await fetchTableNames(ofctl, name) };
  nameCache.set(name, out);
  const ports = await Session.open(ofctl, name);
  for (const p of await fetchPorts(ports)) out.ports.add(p.port, p.name);
  ports.close();
  return out;
}

/** What the switch says of all its tables. */
export async function fetchTables(session: Session): Promise<TableFeatures[]> {
  const request: Message =
    session.version < 4 ? { type: "table-request" } : { type: "table-features-request", tables: [] };
  const out: TableFeatures[] = [];
  for (const { decoded } of await session.parts(request)) {
    if (decoded instanceof OfpError) continue;
    if (decoded.message.type === "table-reply") out.push(...(decoded.message.features ?? []));
    if (decoded.message.type === "table-features-reply") out.push(...decoded.message.tables);
  }
  return out;
}

/** Names for reading flows: always, unless --no-names. For printing: only with --names, and text on a terminal. */
export async function inputNames(
  ofctl: Ofctl,
  name: string,
): Promise<{ ports: Names; tables: Names } | undefined> {
  return ofctl.settings.names === false ? undefined : fetchNames(ofctl, name);
}

export async function outputNames(
  ofctl: Ofctl,
  name: string,
): Promise<{ ports: Names; tables: Names } | undefined> {
  const want = ofctl.settings.names ?? (ofctl.platform.stdoutIsTerminal && !ofctl.settings.json);
  return want ? fetchNames(ofctl, name) : undefined;
}
