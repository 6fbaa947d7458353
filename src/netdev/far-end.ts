/**
 * The far end of a veth pair (veth(4)) in another network namespace, and whether all that the near end does with what it sends
 * is to pass it on: then a frame may as well be handed to the far end at once (rtnetlink(7), linux/if_link.h).
 */
import type { RouteSocket } from "../sys/netlink.ts";
import type { Clsact } from "./clsact.ts";
import { bytesOf, decodeMessages, eachAttribute, NLM_F_REQUEST, textOf, words } from "./netlink-message.ts";
import {
  encodeLinkRequest,
  IFF_UP,
  IFINFOMSG,
  IFLA_ADDRESS,
  IFLA_EXT_MASK,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MTU,
  RTEXT_FILTER_SKIP_STATS,
  RTM_GETLINK,
  RTM_NEWLINK,
  RTMGRP_LINK,
} from "./rtnetlink.ts";

const IFLA_LINK = 5;
const IFLA_QDISC = 6;
const IFLA_LINK_NETNSID = 37;
const IFLA_XDP = 43;
const IFLA_TARGET_NETNSID = 46;
const IFLA_XDP_ATTACHED = 2;

const RTMGRP_TC = 8;
/** Both of ifinfomsg and of tcmsg. */
const INDEX_AT = 4;

/** How a device sends. */
export interface Sending {
  readonly mtu: number;
  /** undefined: there is none, or the near end does more than to pass frames on. */
  readonly farEnd: FarEnd | undefined;
}

export interface FarEnd {
  /** 6 bytes. */
  readonly address: Uint8Array;
  readonly mtu: number;
}

interface Device {
  up: boolean;
  address: Uint8Array;
  mtu: number;
  kind: string;
  discipline: string;
  /** A program of XDP is at it. */
  xdp: boolean;
  /** Index of the far end, and the number of its namespace, -1 for this one. */
  link: number;
  namespace: number;
}

function decode(body: DataView): Device {
  const device: Device = {
    up: (body.getUint32(8, true) & IFF_UP) !== 0,
    address: new Uint8Array(0),
    mtu: 0,
    kind: "",
    discipline: "",
    xdp: false,
    link: 0,
    namespace: -1,
  };
  eachAttribute(body, IFINFOMSG, (type, value) => {
    const number = value.byteLength === 4 ? value.getInt32(0, true) : 0;
    if (type === IFLA_ADDRESS) device.address = bytesOf(value).slice();
    else if (type === IFLA_MTU) device.mtu = number;
    else if (type === IFLA_LINK) device.link = number;
    else if (type === IFLA_QDISC) device.discipline = textOf(value);
    else if (type === IFLA_LINK_NETNSID) device.namespace = number;
    else if (type === IFLA_LINKINFO)
      eachAttribute(value, 0, (inner, info) => {
        if (inner === IFLA_INFO_KIND) device.kind = textOf(info);
      });
    else if (type === IFLA_XDP)
      eachAttribute(value, 0, (inner, info) => {
        if (inner === IFLA_XDP_ATTACHED) device.xdp = info.getUint8(0) !== 0;
      });
  });
  return device;
}

/** `namespace` undefined: in this one. undefined: there is no such device, or we may not ask. */
function ask(socket: RouteSocket, index: number, namespace: number | undefined): Device | undefined {
  const attributes: [number, Uint8Array][] = [[IFLA_EXT_MASK, words(RTEXT_FILTER_SKIP_STATS)]];
  if (namespace !== undefined) attributes.push([IFLA_TARGET_NETNSID, words(namespace)]);
  const request = { type: RTM_GETLINK, messageFlags: NLM_F_REQUEST, index, attributes };
  for (const { type, body } of decodeMessages(socket.transact(encodeLinkRequest(request, 1))))
    if (type === RTM_NEWLINK && body.byteLength >= IFINFOMSG) return decode(body);
  return undefined;
}

/** `filtered` tells whether programs are where the device sends. */
export function sendingOf(
  socket: RouteSocket,
  clsact: Clsact,
  index: number,
  filtered: (index: number) => boolean,
): Sending {
  const near = ask(socket, index, undefined);
  if (near === undefined) return { mtu: 0, farEnd: undefined };
  const { mtu } = near;
  const passesOn = near.kind === "veth" && near.namespace >= 0 && near.up && near.discipline === "noqueue";
  if (!passesOn || filtered(index) || clsact.hasFilters(index, true)) return { mtu, farEnd: undefined };
  const far = ask(socket, near.link, near.namespace);
  if (far === undefined || far.xdp || far.address.length !== 6) return { mtu, farEnd: undefined };
  return { mtu, farEnd: { address: far.address, mtu: far.mtu } };
}

/** Tells of devices for which {@link sendingOf} may give something else now; undefined for all. Returns how to stop. */
export function watchSending(socket: RouteSocket, changed: (index: number | undefined) => void): () => void {
  return socket.subscribe(RTMGRP_LINK | RTMGRP_TC, {
    data: (datagram) => {
      for (const { body } of decodeMessages([datagram]))
        if (body.byteLength >= INDEX_AT + 4) changed(body.getInt32(INDEX_AT, true));
    },
    lost: () => changed(undefined),
  });
}

/** ETH_P_ALL in /proc/net/packet. */
const ALL_PROTOCOLS = "0003";

/** Devices whose frames packet sockets see, sent ones included, from the text of /proc/net/packet; 0 stands for all. */
export function listenedTo(text: string): Set<number> {
  const devices = new Set<number>();
  for (const line of text.split("\n").slice(1)) {
    const [, , , protocol, index] = line.trim().split(/\s+/);
    if (protocol === ALL_PROTOCOLS) devices.add(Number(index));
  }
  return devices;
}
