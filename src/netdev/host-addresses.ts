/**
 * What the host's network stack has on a device: addresses, routes and neighbours, read and set by rtnetlink(7)
 * (linux/if_addr.h, linux/rtnetlink.h, linux/neighbour.h). The socket comes from `src/sys/netlink.ts`.
 *
 *   ifaddrmsg:  u8 family, u8 prefix length, u8 flags, u8 scope, u32 index
 *   rtmsg:      u8 family, u8 destination length, u8 source length, u8 tos, u8 table, u8 protocol, u8 scope, u8 type, u32 flags
 *   ndmsg:      u8 family, 3 unused, i32 index, u16 state, u8 flags, u8 type
 */
import { errnoName, strerror } from "../lib/errors.ts";
import { addressBytes, formatIpv4, formatIpv6 } from "../lib/ip.ts";
import { formatMac, parseMac } from "../lib/mac.ts";
import type { RouteSocket } from "../sys/netlink.ts";
import {
  type Attribute,
  bytesOf,
  decodeErrno,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  words,
} from "./netlink-message.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTM_NEWNEIGH = 28;
const RTM_GETNEIGH = 30;

const AF_INET = 2;
const AF_INET6 = 10;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_CACHEINFO = 6;
const IFA_FLAGS = 8;
/** Added by a router's advertisement: the kernel makes such again by itself. */
const IFA_F_MANAGETEMPADDR = 0x100;
const IFA_F_TEMPORARY = 0x01;
const IFA_F_NODAD = 0x02;
const IFA_F_PERMANENT = 0x80;
const IFA_F_NOPREFIXROUTE = 0x200;
const FOREVER = 0xffffffff;
const SCOPE_LINK = 253;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_TABLE = 15;
const RTPROT_KERNEL = 2;
const RTPROT_RA = 9;
const RTN_UNICAST = 1;
const TABLE_LOCAL = 255;
const RTNH_F_ONLINK = 4;

const NDA_DST = 1;
const NDA_LLADDR = 2;
const NUD_REACHABLE = 0x02;
const NUD_STALE = 0x04;
const NUD_PROBE = 0x10;
const NUD_FAILED = 0x20;
const NUD_PERMANENT = 0x80;
/** It was used: resolve it. */
const NTF_USE = 1;

export interface HostAddress {
  /** "10.0.0.2/24": with the length of its network's prefix. */
  address: string;
  /** Other end of a point-to-point link. */
  peer?: string;
  broadcast?: string;
  scope: number;
  noPrefixRoute: boolean;
  /** Seconds; undefined: for ever. */
  validS?: number;
  preferredS?: number;
}

export interface HostRoute {
  /** "default", or a prefix. */
  to: string;
  family: 4 | 6;
  via?: string;
  source?: string;
  metric?: number;
  table: number;
  protocol: number;
  scope: number;
  onlink: boolean;
  /** RTAX_* as the kernel keeps them, hexadecimal. */
  metrics?: string;
}

export interface HostNeighbour {
  address: string;
  mac: string;
  permanent: boolean;
}

/** What a device carries, without what the kernel makes by itself (link-local addresses, routes of prefixes, autoconfiguration). */
export interface Carried {
  addresses: HostAddress[];
  routes: HostRoute[];
  neighbours: HostNeighbour[];
}

function encode(type: number, flags: number, head: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  return encodeMessage(type, flags, 0, head, attributes);
}

/** Visits the messages of `type` with `headBytes` bytes before their attributes. */
function* messages(
  datagrams: readonly Uint8Array[],
  type: number,
  headBytes: number,
): Generator<{ head: DataView; attributes: Map<number, Uint8Array> }> {
  for (const message of decodeMessages(datagrams)) {
    if (message.type !== type || message.body.byteLength < headBytes) continue;
    const attributes = new Map<number, Uint8Array>();
    eachAttribute(message.body, headBytes, (attribute, value) => {
      attributes.set(attribute, bytesOf(value));
    });
    yield { head: message.body, attributes };
  }
}

function addressText(bytes: Uint8Array): string {
  return bytes.length === 4
    ? formatIpv4(new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0))
    : formatIpv6(bytes);
}

function word(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.length < 4
    ? undefined
    : new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}

function split(text: string): { bytes: Uint8Array; prefix: number } {
  const [address, prefix] = text.split("/") as [string, string | undefined];
  const bytes = addressBytes(address);
  if (bytes === undefined) throw new Error(`${text}: not an address`);
  return { bytes, prefix: prefix === undefined ? bytes.length * 8 : Number(prefix) };
}

const familyOf = (bytes: Uint8Array): number => (bytes.length === 4 ? AF_INET : AF_INET6);

export class HostAddresses {
  readonly #socket: RouteSocket;

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  /** Of the device with that index. */
  read(index: number): Carried {
    return {
      addresses: this.#addresses(index),
      routes: this.#routes(index),
      neighbours: this.#neighbours(index),
    };
  }

  /** Gives the device what `carried` says, which may be there already. Returns what the kernel refused. */
  add(index: number, carried: Carried): string[] {
    const errors: string[] = [];
    for (const address of carried.addresses)
      this.#ask(errors, address.address, addressRequest(RTM_NEWADDR, index, address));
    for (const { address, mac, permanent } of carried.neighbours)
      this.#ask(
        errors,
        address,
        neighbourRequest(index, address, mac, permanent ? NUD_PERMANENT : NUD_STALE),
      );
    // Those without a gateway first: gateways are reached through them.
    const routes = [...carried.routes].sort(
      (a, b) => Number(a.via !== undefined) - Number(b.via !== undefined),
    );
    for (const route of routes) this.#ask(errors, route.to, routeRequest(RTM_NEWROUTE, index, route));
    return errors;
  }

  /** Takes it away; what is not there is no error. */
  remove(index: number, carried: Carried): void {
    const errors: string[] = [];
    for (const route of carried.routes) this.#ask(errors, route.to, routeRequest(RTM_DELROUTE, index, route));
    for (const address of carried.addresses)
      this.#ask(errors, address.address, addressRequest(RTM_DELADDR, index, address));
  }

  /** Makes the kernel ask the neighbour whether it is there, even if one of its address is believed to be. */
  probe(index: number, address: string): void {
    const known = this.#neighbours(index).find((neighbour) => neighbour.address === address);
    const request =
      known === undefined
        ? neighbourRequest(index, address, undefined, 0)
        : neighbourRequest(index, address, known.mac, NUD_PROBE);
    this.#socket.transact(request);
  }

  /** What has come of it. */
  probed(index: number, address: string): "answered" | "failed" | "waiting" {
    for (const { head, attributes } of this.#dump(RTM_GETNEIGH, RTM_NEWNEIGH, 12)) {
      const dst = attributes.get(NDA_DST);
      if (head.getInt32(4, true) !== index || dst === undefined || addressText(dst) !== address) continue;
      const state = head.getUint16(8, true);
      if ((state & NUD_REACHABLE) !== 0) return "answered";
      return (state & NUD_FAILED) !== 0 ? "failed" : "waiting";
    }
    return "waiting";
  }

  close(): void {
    this.#socket.close();
  }

  #ask(errors: string[], what: string, request: Uint8Array): void {
    const errno = decodeErrno(this.#socket.transact(request)) ?? 5;
    if (errno !== 0) errors.push(`${what}: ${strerror(errnoName(errno))}`);
  }

  #dump(request: number, answer: number, headBytes: number) {
    const head = new Uint8Array(headBytes);
    return messages(
      this.#socket.transact(encode(request, NLM_F_REQUEST | NLM_F_DUMP, head, [])),
      answer,
      headBytes,
    );
  }

  #addresses(index: number): HostAddress[] {
    const found: HostAddress[] = [];
    for (const { head, attributes } of this.#dump(RTM_GETADDR, RTM_NEWADDR, 8)) {
      if (head.getUint32(4, true) !== index) continue;
      const family = head.getUint8(0);
      const scope = head.getUint8(3);
      const local = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
      if (local === undefined) continue;
      const flags = word(attributes.get(IFA_FLAGS)) ?? head.getUint8(2);
      if (family === AF_INET6) {
        const byKernel = (flags & IFA_F_PERMANENT) === 0 && (flags & IFA_F_MANAGETEMPADDR) !== 0;
        if (scope === SCOPE_LINK || byKernel || (flags & IFA_F_TEMPORARY) !== 0) continue;
      }
      const one: HostAddress = {
        address: `${addressText(local)}/${head.getUint8(1)}`,
        scope,
        noPrefixRoute: (flags & IFA_F_NOPREFIXROUTE) !== 0,
      };
      const other = attributes.get(IFA_ADDRESS);
      if (other !== undefined && addressText(other) !== addressText(local)) one.peer = addressText(other);
      const broadcast = attributes.get(IFA_BROADCAST);
      if (broadcast !== undefined) one.broadcast = addressText(broadcast);
      const cache = attributes.get(IFA_CACHEINFO);
      const [preferred, valid] = [word(cache), word(cache?.subarray(4))];
      if (valid !== undefined && valid !== FOREVER) {
        one.validS = valid;
        one.preferredS = preferred!;
      }
      found.push(one);
    }
    return found;
  }

  #routes(index: number): HostRoute[] {
    const found: HostRoute[] = [];
    for (const { head, attributes } of this.#dump(RTM_GETROUTE, RTM_NEWROUTE, 12)) {
      const protocol = head.getUint8(5);
      const table = word(attributes.get(RTA_TABLE)) ?? head.getUint8(4);
      if (
        word(attributes.get(RTA_OIF)) !== index ||
        head.getUint8(7) !== RTN_UNICAST ||
        table === TABLE_LOCAL
      )
        continue;
      if (protocol === RTPROT_KERNEL || protocol === RTPROT_RA) continue;
      const dst = attributes.get(RTA_DST);
      const one: HostRoute = {
        to: dst === undefined ? "default" : `${addressText(dst)}/${head.getUint8(1)}`,
        family: head.getUint8(0) === AF_INET ? 4 : 6,
        table,
        protocol,
        scope: head.getUint8(6),
        onlink: (head.getUint32(8, true) & RTNH_F_ONLINK) !== 0,
      };
      const via = attributes.get(RTA_GATEWAY);
      if (via !== undefined) one.via = addressText(via);
      const source = attributes.get(RTA_PREFSRC);
      if (source !== undefined) one.source = addressText(source);
      const metric = word(attributes.get(RTA_PRIORITY));
      if (metric !== undefined) one.metric = metric;
      const metrics = attributes.get(RTA_METRICS);
      if (metrics !== undefined) one.metrics = Buffer.from(metrics).toString("hex");
      found.push(one);
    }
    return found;
  }

  #neighbours(index: number): HostNeighbour[] {
    const found: HostNeighbour[] = [];
    for (const { head, attributes } of this.#dump(RTM_GETNEIGH, RTM_NEWNEIGH, 12)) {
      const dst = attributes.get(NDA_DST);
      const mac = attributes.get(NDA_LLADDR);
      const state = head.getUint16(8, true);
      if (head.getInt32(4, true) !== index || dst === undefined || mac?.length !== 6) continue;
      // Multicast and the like (NUD_NOARP) follow from the address.
      if ((state & ~(NUD_FAILED | 0x41)) === 0) continue;
      found.push({
        address: addressText(dst),
        mac: formatMac(mac),
        permanent: (state & NUD_PERMANENT) !== 0,
      });
    }
    return found;
  }
}

function addressRequest(type: number, index: number, address: HostAddress): Uint8Array {
  const { bytes, prefix } = split(address.address);
  const head = new Uint8Array(8);
  const view = new DataView(head.buffer);
  head[0] = familyOf(bytes);
  head[1] = prefix;
  head[3] = address.scope;
  view.setUint32(4, index, true);
  // It was checked for duplicates where it was.
  const flags = (address.noPrefixRoute ? IFA_F_NOPREFIXROUTE : 0) | (bytes.length === 16 ? IFA_F_NODAD : 0);
  const attributes: Attribute[] = [
    [IFA_LOCAL, bytes],
    [IFA_ADDRESS, address.peer === undefined ? bytes : split(address.peer).bytes],
    [IFA_FLAGS, words(flags)],
  ];
  if (address.broadcast !== undefined) attributes.push([IFA_BROADCAST, split(address.broadcast).bytes]);
  if (address.validS !== undefined) {
    const cache = new Uint8Array(16);
    cache.set(words(address.preferredS ?? address.validS));
    cache.set(words(address.validS), 4);
    attributes.push([IFA_CACHEINFO, cache]);
  }
  const flagsOf = type === RTM_NEWADDR ? NLM_F_CREATE | NLM_F_REPLACE : 0;
  return encode(type, NLM_F_REQUEST | NLM_F_ACK | flagsOf, head, attributes);
}

function routeRequest(type: number, index: number, route: HostRoute): Uint8Array {
  const target = route.to === "default" ? undefined : split(route.to);
  const head = new Uint8Array(12);
  head[0] = route.family === 4 ? AF_INET : AF_INET6;
  head[1] = target?.prefix ?? 0;
  head[4] = route.table < 256 ? route.table : 0;
  head[5] = route.protocol;
  head[6] = route.scope;
  head[7] = RTN_UNICAST;
  new DataView(head.buffer).setUint32(8, route.onlink ? RTNH_F_ONLINK : 0, true);
  const attributes: Attribute[] = [
    [RTA_OIF, words(index)],
    [RTA_TABLE, words(route.table)],
  ];
  if (target !== undefined) attributes.push([RTA_DST, target.bytes]);
  if (route.via !== undefined) attributes.push([RTA_GATEWAY, split(route.via).bytes]);
  if (route.source !== undefined) attributes.push([RTA_PREFSRC, split(route.source).bytes]);
  if (route.metric !== undefined) attributes.push([RTA_PRIORITY, words(route.metric)]);
  if (route.metrics !== undefined) attributes.push([RTA_METRICS, Buffer.from(route.metrics, "hex")]);
  const flags = type === RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_REPLACE : 0;
  return encode(type, NLM_F_REQUEST | NLM_F_ACK | flags, head, attributes);
}

/** `state` 0: whatever the kernel finds out. */
function neighbourRequest(
  index: number,
  address: string,
  mac: string | undefined,
  state: number,
): Uint8Array {
  const { bytes } = split(address);
  const head = new Uint8Array(12);
  const view = new DataView(head.buffer);
  head[0] = familyOf(bytes);
  view.setInt32(4, index, true);
  view.setUint16(8, state, true);
  head[10] = state === 0 ? NTF_USE : 0;
  const attributes: Attribute[] = [[NDA_DST, bytes]];
  if (mac !== undefined) attributes.push([NDA_LLADDR, parseMac(mac)!]);
  return encode(RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, head, attributes);
}
