/**
 * Programs at a device by filters of kind "bpf" in direct-action mode, below the discipline "clsact" (tc-bpf(8),
 * linux/pkt_cls.h): what kernels before TCX links (6.6) have. A filter stays until it is taken away, whoever runs, and is
 * replaced without a packet passing in between.
 */
import type { RouteSocket } from "../sys/netlink.ts";
import {
  cString,
  decodeErrno,
  eachAttribute,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  textOf,
  words,
} from "./netlink-message.ts";
import {
  decodeTc,
  encodeTc,
  RTM_DELQDISC,
  RTM_DELTFILTER,
  RTM_GETTFILTER,
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
  type TcMessage,
  type TcObject,
} from "./qos/tc-message.ts";

const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const INGRESS = 0xfffffff2;
const EGRESS = 0xfffffff3;

const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const ACT_DIRECT = 1;

/** After whatever others have there with their usual small preferences, as a TCX program comes after others. */
const PREFERENCE = 20310;
const HANDLE = 1;
/** ETH_P_ALL, in the wire's order. */
const INFO = (PREFERENCE << 16) | 0x0300;

const EIO = 5;
const EEXIST = 17;

export interface BpfFilter {
  readonly ifindex: number;
  readonly egress: boolean;
  readonly name: string;
}

export class Clsact {
  readonly #socket: RouteSocket;
  #sequence = 1;

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  #transact(message: TcMessage): Uint8Array[] {
    const flags = message.flags | NLM_F_REQUEST;
    return this.#socket.transact(encodeTc({ ...message, flags }, this.#sequence++));
  }

  #change(message: TcMessage): number {
    return decodeErrno(this.#transact({ ...message, flags: message.flags | NLM_F_ACK })) ?? EIO;
  }

  /** Puts our filter at a device, or another program into it; 0 or an errno. */
  put(ifindex: number, egress: boolean, programFd: number, name: string): number {
    const discipline = this.#change({
      type: RTM_NEWQDISC,
      flags: NLM_F_CREATE | NLM_F_EXCL,
      ifindex,
      handle: CLSACT_HANDLE,
      parent: TC_H_CLSACT,
      kind: "clsact",
    });
    if (discipline !== 0 && discipline !== EEXIST) return discipline;
    return this.#change({
      type: RTM_NEWTFILTER,
      flags: NLM_F_CREATE,
      ifindex,
      handle: HANDLE,
      parent: egress ? EGRESS : INGRESS,
      info: INFO,
      kind: "bpf",
      options: [
        [TCA_BPF_FD, words(programFd)],
        [TCA_BPF_NAME, cString(name)],
        [TCA_BPF_FLAGS, words(ACT_DIRECT)],
      ],
    });
  }

  /** Takes our filter away, and the discipline when nobody has another filter there. What is not there is no error. */
  remove(ifindex: number, egress: boolean): void {
    this.#change({
      type: RTM_DELTFILTER,
      flags: 0,
      ifindex,
      handle: HANDLE,
      parent: egress ? EGRESS : INGRESS,
      info: INFO,
      kind: "bpf",
    });
    if (this.hasFilters(ifindex, false) || this.hasFilters(ifindex, true)) return;
    this.#change({
      type: RTM_DELQDISC,
      flags: 0,
      ifindex,
      handle: CLSACT_HANDLE,
      parent: TC_H_CLSACT,
      kind: "clsact",
    });
  }

  /** Our filter there, if there is one. */
  find(ifindex: number, egress: boolean): BpfFilter | undefined {
    for (const { info, handle, kind, options } of this.#filters(ifindex, egress ? EGRESS : INGRESS)) {
      if (kind !== "bpf" || handle !== HANDLE || info !== INFO || options === undefined) continue;
      let name = "";
      eachAttribute(options, 0, (type, value) => {
        if (type === TCA_BPF_NAME) name = textOf(value);
      });
      return { ifindex, egress, name };
    }
    return undefined;
  }

  /** Whether anybody has a filter there. */
  hasFilters(ifindex: number, egress: boolean): boolean {
    return this.#filters(ifindex, egress ? EGRESS : INGRESS).length > 0;
  }

  /** Everybody's. */
  #filters(ifindex: number, parent: number): TcObject[] {
    const replies = this.#transact({
      type: RTM_GETTFILTER,
      flags: NLM_F_DUMP,
      ifindex,
      handle: 0,
      parent,
    });
    return decodeTc(replies, RTM_NEWTFILTER).filter((filter) => filter.ifindex === ifindex);
  }
}
