/**
 * Requests to openvswitch.ko: generic netlink messages, and the families that they go to, whose numbers the kernel gives out.
 *
 *   nlmsghdr, genlmsghdr: u8 command, u8 version, u16; ovs_header: i32 ifindex of the datapath; attributes
 */
import { codeOf, errnoName, osError } from "../../lib/errors.ts";
import {
  type Attribute,
  cString,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
} from "../../netdev/netlink-message.ts";
import type { NetlinkSocket } from "../../sys/netlink-socket.ts";
import type { KernelSystem } from "./system.ts";
import * as U from "./uapi.ts";

/** Bytes of genlmsghdr and ovs_header. */
export const OVS_HEADER = 8;
const ROOM = 256 << 10;
const EPERM = 1;
const EACCES = 13;

export const NO_MODULE = "no openvswitch module in this kernel";
export const NOT_PERMITTED = "not permitted";

export type FamilyIds = Readonly<Record<U.FamilyName, number>>;

/** A decoded reply: the datapath it is of, and where its attributes begin in `body`. */
export interface Reply {
  readonly command: number;
  readonly dpIfindex: number;
  readonly body: DataView;
}

/** The head that all messages of the module have. */
export function ovsHead(command: number, version: number, dpIfindex: number): Uint8Array {
  const head = new Uint8Array(OVS_HEADER);
  head[0] = command;
  head[1] = version;
  new DataView(head.buffer).setInt32(4, dpIfindex, true);
  return head;
}

function decodeFamilyId(datagrams: readonly Uint8Array[]): number | undefined {
  let id: number | undefined;
  for (const { type, body } of decodeMessages(datagrams)) {
    if (type !== U.GENL_ID_CTRL) continue;
    eachAttribute(body, 4, (attribute, value) => {
      if (attribute === U.CTRL_ATTR_FAMILY_ID && value.byteLength >= 2) id = value.getUint16(0, true);
    });
  }
  return id;
}

/** A socket for requests, which are answered before the call returns. */
export class Families {
  readonly system: KernelSystem;
  readonly ids: FamilyIds;
  readonly socket: NetlinkSocket;
  readonly #buffer = new Uint8Array(ROOM);
  #sequence = 1;

  /** Throws an errno error: ENOENT where the kernel does not have the module. */
  constructor(system: KernelSystem) {
    this.system = system;
    this.socket = system.openSocket(4 << 20);
    try {
      const ids = {} as Record<U.FamilyName, number>;
      for (const name of Object.keys(U.FAMILIES) as U.FamilyName[]) {
        const id = this.#resolve(name);
        // Older kernels have neither meters nor limits of connections.
        if (id === undefined && name !== "ovs_meter" && name !== "ovs_ct_limit")
          throw osError("ENOENT", name);
        ids[name] = id ?? 0;
      }
      this.ids = ids;
    } catch (error) {
      this.socket.close();
      throw error;
    }
  }

  #resolve(name: string): number | undefined {
    const head = Uint8Array.of(U.CTRL_CMD_GETFAMILY, 1, 0, 0);
    const attributes: Attribute[] = [[U.CTRL_ATTR_FAMILY_NAME, cString(name)]];
    const request = encodeMessage(
      U.GENL_ID_CTRL,
      NLM_F_REQUEST | NLM_F_ACK,
      this.#sequence++,
      head,
      attributes,
    );
    return decodeFamilyId(this.#exchange(request).datagrams);
  }

  /** What a request brings: its errno (0 for none) and all datagrams. */
  #exchange(request: Uint8Array): { errno: number; datagrams: Uint8Array[] } {
    const sequence = new DataView(request.buffer, request.byteOffset).getUint32(8, true);
    const datagrams: Uint8Array[] = [];
    const failed = this.socket.send(request, request.length);
    if (failed !== 0) return { errno: -failed, datagrams };
    for (;;) {
      const length = this.socket.receive(this.#buffer, true);
      if (length < 0) return { errno: -length, datagrams };
      const datagram = this.#buffer.slice(0, length);
      const errno = endOf(datagram, sequence);
      if (errno !== "stray") datagrams.push(datagram);
      if (typeof errno === "number") return { errno, datagrams };
    }
  }

  /**
   * Makes a request and returns the replies: one with `flags` NLM_F_ECHO where the kernel has something to tell, all of them
   * with NLM_F_DUMP. Throws an errno error with the family's name as its system call.
   */
  request(
    family: U.FamilyName,
    command: number,
    dpIfindex: number,
    attributes: readonly Attribute[],
    flags = 0,
  ): Reply[] {
    const id = this.ids[family];
    if (id === 0) throw osError("EOPNOTSUPP", family);
    const head = ovsHead(command, U.FAMILIES[family], dpIfindex);
    const all = NLM_F_REQUEST | (flags === NLM_F_DUMP ? NLM_F_DUMP : NLM_F_ACK | flags);
    const message = encodeMessage(id, all, this.#sequence++, head, attributes);
    const { errno, datagrams } = this.#exchange(message);
    if (errno !== 0) throw Object.assign(osError(errnoName(errno), family), { errno });
    const replies: Reply[] = [];
    for (const { type, body } of decodeMessages(datagrams))
      if (type === id && body.byteLength >= OVS_HEADER)
        replies.push({ command: body.getUint8(0), dpIfindex: body.getInt32(4, true), body });
    return replies;
  }

  /** False without CAP_NET_ADMIN in the network namespace's user namespace. */
  mayChange(): boolean {
    try {
      this.request("ovs_datapath", U.CMD_SET, 0, [[U.DP_ATTR_NAME, cString("")]]);
    } catch (error) {
      return (error as { errno?: number }).errno !== EPERM;
    }
    return true;
  }

  close(): void {
    this.socket.close();
  }
}

/** Families where openvswitch.ko is there (or comes when asked for) and takes our requests, else why not. */
export function openFamilies(open: () => KernelSystem): Families | string {
  try {
    const families = new Families(open());
    if (families.mayChange()) return families;
    families.close();
    return NOT_PERMITTED;
  } catch (error) {
    const { errno } = error as { errno?: number };
    const code = codeOf(error);
    const denied = code === "EPERM" || code === "EACCES" || errno === EPERM || errno === EACCES;
    return denied ? NOT_PERMITTED : NO_MODULE;
  }
}

/** The errno that ends a request's replies, "more" when others follow, "stray" for a late reply to an earlier one. */
function endOf(datagram: Uint8Array, sequence: number): number | "more" | "stray" {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  for (let at = 0; at + 16 <= datagram.length; ) {
    const length = view.getUint32(at, true);
    const type = view.getUint16(at + 4, true);
    if (length < 16 || at + length > datagram.length) break;
    if (view.getUint32(at + 8, true) !== sequence) return "stray";
    if ((type === NLMSG_ERROR || type === NLMSG_DONE) && length >= 20) return -view.getInt32(at + 16, true);
    if (type === NLMSG_DONE) return 0;
    at += (length + 3) & ~3;
  }
  return "more";
}
