/**
 * A live table of the kernel's links, from rtnetlink (rtnetlink(7), linux/if_link.h; upstream: lib/rtnetlink, part of
 * lib/netdev-linux). The socket comes from `src/sys/netlink.ts`; everything here works on bytes.
 *
 *   ifinfomsg:  u8 family, u8 -, u16 hardware type, i32 index, u32 flags, u32 change mask
 */
import { errnoName, strerror } from "../lib/errors.ts";
import { formatMac, parseMac } from "../lib/mac.ts";
import type { RouteSocket } from "../sys/netlink.ts";
import { noStats } from "./base.ts";
import type { NetdevStats } from "./netdev.ts";
import {
  type Attribute,
  bytesOf,
  cString,
  decodeErrno,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  textOf,
  words,
} from "./netlink-message.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTMGRP_LINK = 1;
const AF_UNSPEC = 0;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
const IFLA_MASTER = 10;
export const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
export const IFLA_EXT_MASK = 29;
export const IFLA_INFO_KIND = 1;
/** Leaves statistics out of the answer. */
export const RTEXT_FILTER_SKIP_STATS = 8;

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
const IFF_PROMISC = 0x100;
export const IFF_RUNNING = 0x40;

export interface Link {
  index: number;
  name: string;
  /** IFF_* */
  flags: number;
  /** "aa:bb:cc:dd:ee:ff", undefined for devices without a 6-byte address. */
  mac: string | undefined;
  mtu: number;
  /** Running (IFF_RUNNING): up, and with a carrier. */
  carrier: boolean;
  /** "veth", "tun", "bridge", ...; undefined for physical devices. */
  kind: string | undefined;
  /** Index of the device that this one is enslaved to, 0 for none. */
  master: number;
  /** Present in an answer to a request for it. */
  stats: NetdevStats | undefined;
}

export interface LinkMessage {
  type: "new" | "del";
  link: Link;
}

function decodeStats(value: DataView): NetdevStats {
  const counter = (index: number): number =>
    8 * index + 8 <= value.byteLength ? Number(value.getBigUint64(8 * index, true)) : 0;
  return {
    rxPackets: counter(0),
    txPackets: counter(1),
    rxBytes: counter(2),
    txBytes: counter(3),
    rxErrors: counter(4),
    txErrors: counter(5),
    rxDropped: counter(6),
    txDropped: counter(7),
    multicast: counter(8),
    collisions: counter(9),
    rxOverErrors: counter(11),
    rxCrcErrors: counter(12),
    rxFrameErrors: counter(13),
    rxMissedErrors: counter(15),
  };
}

/** Bytes of ifinfomsg. */
export const IFINFOMSG = 16;

function decodeLink(body: DataView): Link {
  const flags = body.getUint32(8, true);
  const link: Link = {
    index: body.getInt32(4, true),
    name: "",
    flags,
    mac: undefined,
    mtu: 0,
    carrier: (flags & IFF_RUNNING) !== 0,
    kind: undefined,
    master: 0,
    stats: undefined,
  };
  eachAttribute(body, IFINFOMSG, (type, value) => {
    switch (type) {
      case IFLA_ADDRESS:
        if (value.byteLength === 6) link.mac = formatMac(bytesOf(value));
        break;
      case IFLA_IFNAME:
        link.name = textOf(value);
        break;
      case IFLA_MTU:
        if (value.byteLength >= 4) link.mtu = value.getUint32(0, true);
        break;
      case IFLA_MASTER:
        if (value.byteLength >= 4) link.master = value.getUint32(0, true);
        break;
      case IFLA_STATS64:
        link.stats = decodeStats(value);
        break;
      case IFLA_LINKINFO:
        eachAttribute(value, 0, (inner, info) => {
          if (inner === IFLA_INFO_KIND) link.kind = textOf(info);
        });
        break;
    }
  });
  return link;
}

/** The link messages of a datagram. One of another family than AF_UNSPEC (a bridge's view of its member) is no link's. */
export function decodeLinks(datagram: Uint8Array): LinkMessage[] {
  const messages: LinkMessage[] = [];
  for (const { type, body } of decodeMessages([datagram])) {
    if ((type !== RTM_NEWLINK && type !== RTM_DELLINK) || body.byteLength < IFINFOMSG) continue;
    if (body.getUint8(0) !== AF_UNSPEC) continue;
    messages.push({ type: type === RTM_NEWLINK ? "new" : "del", link: decodeLink(body) });
  }
  return messages;
}

export interface LinkRequest {
  type: number;
  messageFlags: number;
  index?: number;
  flags?: number;
  changeMask?: number;
  attributes: readonly Attribute[];
}

export function encodeLinkRequest(request: LinkRequest, sequence: number): Uint8Array {
  const head = words(0, request.index ?? 0, request.flags ?? 0, request.changeMask ?? 0);
  return encodeMessage(request.type, request.messageFlags, sequence, head, request.attributes);
}

/** A device takes frames for all addresses, as IFF_PROMISC says, apart from what sockets ask of it. */
export function setPromiscuous(socket: RouteSocket, index: number, on: boolean): void {
  const request = {
    type: RTM_NEWLINK,
    messageFlags: NLM_F_REQUEST | NLM_F_ACK,
    index,
    flags: on ? IFF_PROMISC : 0,
    changeMask: IFF_PROMISC,
    attributes: [],
  };
  socket.transact(encodeLinkRequest(request, 1));
}

export interface LinkEvents {
  /** `link` undefined: gone. Called for every change, between turns of the loop. */
  changed(name: string, link: Link | undefined): void;
}

/** Every link of the network namespace, kept up to date. */
export class LinkTable {
  readonly #socket: RouteSocket;
  readonly #byName = new Map<string, Link>();
  readonly #byIndex = new Map<number, Link>();
  readonly #listeners = new Set<LinkEvents>();
  readonly #leave: () => void;
  #sequence = 1;

  constructor(socket: RouteSocket) {
    this.#socket = socket;
    this.#leave = socket.subscribe(RTMGRP_LINK, {
      data: (datagram) => {
        for (const message of decodeLinks(datagram)) this.#apply(message);
      },
      lost: () => this.reload(),
    });
    this.reload();
  }

  get(name: string): Link | undefined {
    return this.#byName.get(name);
  }

  links(): Iterable<Link> {
    return this.#byName.values();
  }

  listen(events: LinkEvents): () => void {
    this.#listeners.add(events);
    return () => this.#listeners.delete(events);
  }

  /** Asks the kernel for all links, statistics included. */
  reload(): void {
    const replies = this.#transact({
      type: RTM_GETLINK,
      messageFlags: NLM_F_REQUEST | NLM_F_DUMP,
      attributes: [],
    });
    if (replies.length === 0) return;
    const seen = new Set<number>();
    for (const datagram of replies)
      for (const message of decodeLinks(datagram)) {
        seen.add(message.link.index);
        this.#apply(message);
      }
    for (const link of [...this.#byIndex.values()]) if (!seen.has(link.index)) this.#remove(link);
  }

  /** Asks the kernel for one link now: what it says is in the table on return. */
  refresh(name: string, withStats = false): Link | undefined {
    const attributes: [number, Uint8Array][] = [[IFLA_IFNAME, cString(name)]];
    if (!withStats) attributes.push([IFLA_EXT_MASK, words(RTEXT_FILTER_SKIP_STATS)]);
    const replies = this.#transact({ type: RTM_GETLINK, messageFlags: NLM_F_REQUEST, attributes });
    const errno = decodeErrno(replies);
    if (errno !== undefined && errno !== 0) {
      const known = this.#byName.get(name);
      if (known !== undefined) this.#remove(known);
      return undefined;
    }
    for (const datagram of replies) for (const message of decodeLinks(datagram)) this.#apply(message);
    return this.#byName.get(name);
  }

  /** Sets MTU, address, flags or master (0: none) of a link. @returns undefined, or the error's text. */
  set(
    name: string,
    change: { mtu?: number; mac?: string; up?: boolean; master?: number },
  ): string | undefined {
    const link = this.#byName.get(name) ?? this.refresh(name);
    if (link === undefined) return strerror("ENODEV");
    const attributes: [number, Uint8Array][] = [];
    if (change.mtu !== undefined) attributes.push([IFLA_MTU, words(change.mtu)]);
    if (change.master !== undefined) attributes.push([IFLA_MASTER, words(change.master)]);
    if (change.mac !== undefined) {
      const bytes = parseMac(change.mac);
      if (bytes === undefined) return strerror("EINVAL");
      attributes.push([IFLA_ADDRESS, bytes]);
    }
    const replies = this.#transact({
      type: RTM_NEWLINK,
      messageFlags: NLM_F_REQUEST | NLM_F_ACK,
      index: link.index,
      flags: change.up ? IFF_UP : 0,
      changeMask: change.up === undefined ? 0 : IFF_UP,
      attributes,
    });
    const errno = decodeErrno(replies) ?? 5;
    this.refresh(name);
    return errno === 0 ? undefined : strerror(errnoName(errno));
  }

  /** Deletes a link (tap devices that we made). @returns undefined, or the error's text. */
  delete(name: string): string | undefined {
    const link = this.refresh(name);
    if (link === undefined) return strerror("ENODEV");
    const errno =
      decodeErrno(
        this.#transact({
          type: RTM_DELLINK,
          messageFlags: NLM_F_REQUEST | NLM_F_ACK,
          index: link.index,
          attributes: [],
        }),
      ) ?? 5;
    this.refresh(name);
    return errno === 0 ? undefined : strerror(errnoName(errno));
  }

  close(): void {
    this.#leave();
    this.#socket.close();
  }

  #transact(request: LinkRequest): Uint8Array[] {
    return this.#socket.transact(encodeLinkRequest(request, this.#sequence++));
  }

  #apply(message: LinkMessage): void {
    const { link } = message;
    const old = this.#byIndex.get(link.index);
    if (message.type === "del") {
      if (old !== undefined) this.#remove(old);
      return;
    }
    if (link.name === "") return;
    // A rename: the old name is no link any longer.
    if (old !== undefined && old.name !== link.name) this.#remove(old);
    // The name of a device that has gone without our hearing of it.
    const other = this.#byName.get(link.name);
    if (other !== undefined && other.index !== link.index) this.#remove(other);
    if (link.stats === undefined) link.stats = old?.stats;
    this.#byIndex.set(link.index, link);
    this.#byName.set(link.name, link);
    if (
      old === undefined ||
      old.name !== link.name ||
      old.flags !== link.flags ||
      old.mac !== link.mac ||
      old.mtu !== link.mtu ||
      old.carrier !== link.carrier ||
      old.master !== link.master
    )
      for (const listener of [...this.#listeners]) listener.changed(link.name, link);
  }

  #remove(link: Link): void {
    this.#byIndex.delete(link.index);
    if (this.#byName.get(link.name)?.index === link.index) this.#byName.delete(link.name);
    for (const listener of [...this.#listeners]) listener.changed(link.name, undefined);
  }
}

/** Statistics of a link as the switch sees a device whose other end is the host: what the host sent, we received. */
export function swapStats(stats: NetdevStats): NetdevStats {
  return {
    ...noStats(),
    rxPackets: stats.txPackets,
    txPackets: stats.rxPackets,
    rxBytes: stats.txBytes,
    txBytes: stats.rxBytes,
    rxErrors: stats.txErrors,
    txErrors: stats.rxErrors,
    rxDropped: stats.txDropped,
    txDropped: stats.rxDropped,
    multicast: stats.multicast,
    collisions: stats.collisions,
    rxOverErrors: 0,
    rxCrcErrors: 0,
    rxFrameErrors: 0,
    rxMissedErrors: 0,
  };
}
