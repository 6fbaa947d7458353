/**
 * Action programs: an ODP program that BPF can run becomes instructions, made for the packets of one kind of megaflow (its
 * Ethertype and protocol are known, so nothing is asked twice). What cannot be done here is told by a text, and such a
 * megaflow stays with the datapath in user space. Pure.
 *
 * A packet is changed through the kernel's helpers, which keep its checksum offload and segmentation right: under a
 * partial checksum only a change of the pseudo header counts.
 *
 * Registers: R6 the context, R8 the network header's offset (from the frame's start).
 */
import {
  W_ARP_SHA_HI,
  W_ARP_SHA_THA,
  W_ARP_THA_LO,
  W_ETH_DST_HI,
  W_ETH_SRC_LO,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_NW,
  W_PKT_MARK,
  W_SKB_PRIORITY,
  W_TP,
  W_VLAN0,
} from "../../../flow/layout.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_RARP,
  ETH_TYPE_VLAN_8021AD,
  ETH_TYPE_VLAN_8021Q,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isMplsType,
} from "../../../flow/packet/ethernet.ts";
import { ODP_POP_MPLS, ODP_POP_VLAN, ODP_PUSH_MPLS, ODP_PUSH_VLAN } from "../../odp/actions.ts";
import { queueClass } from "../../queue-class.ts";
import {
  CLONE_REDIRECT,
  GET_PRANDOM_U32,
  L3_CSUM_REPLACE,
  L4_CSUM_REPLACE,
  MAP_LOOKUP_ELEM,
  REDIRECT,
  SKB_CHANGE_TAIL,
  SKB_CHANGE_TYPE,
  SKB_STORE_BYTES,
  SKB_VLAN_POP,
  SKB_VLAN_PUSH,
} from "../asm/helpers.ts";
import {
  Add,
  And,
  call,
  comment,
  exit,
  IfEq,
  IfGt,
  IfLe,
  IfNe,
  IfSet,
  jump,
  type Line,
  Load,
  label,
  loadMap,
  Mov,
  Or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R5,
  R6,
  R7,
  R8,
  R10,
  Store,
  StoreImm,
} from "../asm/instruction.ts";
import {
  SKB_DATA,
  SKB_DATA_END,
  SKB_LEN,
  SKB_MARK,
  SKB_PRIORITY,
  SKB_VLAN_PRESENT,
  SKB_VLAN_PROTO,
  SKB_VLAN_TCI,
  TC_ACT_SHOT,
} from "../asm/skb.ts";
import {
  COUNT_ACTION_DROPS,
  COUNT_ACTION_LOST,
  countUp,
  MAP_PORTS,
  PORT_ADDRESS,
  REDIRECT_INGRESS,
  swap16,
  swap32,
} from "./layout.ts";
import { meter } from "./meter.ts";
import { popMpls, pushMpls } from "./mpls.ts";
import type { Lookup } from "./places.ts";
import { type OutputStep, type SampleStep, type Step, stepsOf } from "./steps.ts";
import { handUp } from "./upcall.ts";

// Flags of l4_csum_replace.
const F_PSEUDO_HDR = 0x10;
const F_MARK_MANGLED_0 = 0x20;

// Packet types of skb_change_type.
const PACKET_HOST = 0;
const PACKET_OTHERHOST = 3;

/** Where a value is kept while a helper puts it into the packet. */
const TEMP = -8;

const IPV4_CHECKSUM = { helper: L3_CSUM_REPLACE, at: 10 };

const ARP_BYTES = 28;
/** Words of an ARP packet that lie there as such, from its start. */
const ARP_WORDS: ReadonlyMap<number, number> = new Map([
  [W_ARP_SHA_HI, 8],
  [W_IPV4_SRC, 14],
  [W_ARP_THA_LO, 20],
  [W_IPV4_DST, 24],
]);

/** A device that can be sent to. A tap's packets go to its host, so in to the device. */
export interface OutPort {
  readonly ifindex: number;
  readonly tap: boolean;
}

/** What a megaflow's value in its map says, or that it needs a program, or why it is left to user space. */
export type Compiled =
  | { readonly kind: "drop" }
  | { readonly kind: "output"; readonly ifindex: number }
  | { readonly kind: "program"; readonly lines: Line[] }
  | { readonly kind: "userspace"; readonly reason: string };

const userspace = (reason: string): Compiled => ({ kind: "userspace", reason });

/** What of the datapath actions refer to. */
export interface ActionHost {
  portOf(port: number): OutPort | undefined;
  /** Whether programs can run the meter. */
  hasMeter(id: number): boolean;
}

export function compileActions(program: Int32Array, lookup: Lookup, host: ActionHost): Compiled {
  const steps = stepsOf(program, lookup);
  if (typeof steps === "string") return userspace(steps);
  const [first] = steps;
  if (first === undefined) return { kind: "drop" };
  if (steps.length === 1 && first.kind === "output" && first.maxLength === 0) {
    const port = host.portOf(first.port);
    if (port === undefined) return userspace(NO_PORT);
    if (!port.tap) return { kind: "output", ifindex: port.ifindex };
  }
  const emitter = new ActionEmitter(lookup, host);
  for (const step of steps) {
    const reason = emitter.step(step, program, step === steps.at(-1));
    if (reason !== undefined) return userspace(reason);
  }
  return { kind: "program", lines: emitter.finish(steps.at(-1)!) };
}

const NO_PORT = "output to a port that there is not";

/** Writes the instructions of one program. */
class ActionEmitter {
  private readonly lookup: Lookup;
  private readonly host: ActionHost;
  private readonly lines: Line[] = [];
  private labels = 0;
  /** Depth of samples. */
  private sampling = 0;
  /** R8 is right. */
  private located = false;
  /** As in {@link Lookup}, of the packet as it is by now. What a label has been taken from is of no known kind. */
  private ethType: number | undefined;
  private tags: number | undefined;

  constructor(lookup: Lookup, host: ActionHost) {
    this.lookup = lookup;
    this.ethType = lookup.ethType;
    this.tags = lookup.tags;
    this.host = host;
    this.lines.push(Mov.reg(R6, R1));
  }

  /** Most last steps end the program, and the verifier refuses what nothing leads to. */
  finish(last: Step): Line[] {
    if (last.kind === "meter" || last.kind === "userspace" || last.kind === "sample")
      this.lines.push(Mov.imm(R0, TC_ACT_SHOT), exit());
    const drops = this.lines.some((line) => "target" in line && line.target === "drop");
    return drops ? [...this.lines, label("drop"), Mov.imm(R0, TC_ACT_SHOT), exit()] : this.lines;
  }

  private name(what: string): string {
    return `${what}_${++this.labels}`;
  }

  /** The reason why not, when it cannot be done. */
  step(step: Step, program: Int32Array, last: boolean): string | undefined {
    switch (step.kind) {
      case "output":
        return this.output(step, last);
      case "meter":
        if (!this.host.hasMeter(step.id)) return "a meter that programs do not run";
        this.lines.push(...meter(step.id, this.name("meter")));
        return undefined;
      case "userspace":
        this.userspace(step.operand);
        return undefined;
      case "sample":
        return this.sample(step, program);
      case "drop":
        this.lines.push(
          comment(`drop ${step.reason}`),
          ...countUp(COUNT_ACTION_DROPS + step.reason),
          Mov.imm(R0, TC_ACT_SHOT),
          exit(),
        );
        return undefined;
      default:
        return this.change(program, step.at);
    }
  }

  private userspace(operand: number): void {
    const name = this.name("up");
    const [sent, lost] = [`${name}_sent`, `${name}_lost`];
    this.lines.push(
      comment(`userspace ${operand}`),
      ...handUp(name, operand, sent, lost),
      label(lost),
      ...countUp(COUNT_ACTION_LOST),
      label(sent),
    );
  }

  /** Only what is last changes the packet: both ways are the same for what follows. */
  private sample({ probability, steps }: SampleStep, program: Int32Array): string | undefined {
    const unsampled = this.name("unsampled");
    this.lines.push(
      comment(`sample ${probability}`),
      call(GET_PRANDOM_U32),
      IfGt.imm32(R0, probability | 0, unsampled),
    );
    this.sampling++;
    for (const step of steps) {
      const reason = this.step(step, program, false);
      if (reason !== undefined) return reason;
    }
    this.sampling--;
    this.lines.push(label(unsampled));
    return undefined;
  }

  private change(program: Int32Array, at: number): string | undefined {
    switch (program[at]) {
      case ODP_PUSH_VLAN:
        this.lines.push(comment("push_vlan"), ...pushVlan(program[at + 2]!));
        this.located = false;
        if (this.tags !== undefined) this.tags++;
        return undefined;
      case ODP_POP_VLAN:
        this.lines.push(comment("pop_vlan"), Mov.reg(R1, R6), call(SKB_VLAN_POP));
        this.located = false;
        // Two may be more.
        this.tags = this.tags === undefined || this.tags > 1 ? undefined : 0;
        return undefined;
      case ODP_PUSH_MPLS:
        this.lines.push(comment("push_mpls"), ...pushMpls(program[at + 2]!, program[at + 3]!, load));
        return this.labelled(program[at + 3]!);
      case ODP_POP_MPLS:
        this.lines.push(comment("pop_mpls"), ...popMpls(this.name("mpls"), program[at + 2]!, load));
        return this.labelled(program[at + 2]!);
      default:
        return this.set(program[at + 2]!, program[at + 3]!, program[at + 4]!);
    }
  }

  /** A label has been put on or taken off, and this is what follows now. */
  private labelled(ethType: number): string | undefined {
    this.located = false;
    this.ethType = isMplsType(ethType) ? ethType : undefined;
    return this.tags === undefined || this.tags > 1 ? "labels under VLAN tags in the frame" : undefined;
  }

  private output({ port: odpPort, maxLength }: OutputStep, last: boolean): string | undefined {
    const port = this.host.portOf(odpPort);
    if (port === undefined) return NO_PORT;
    // Its traffic is counted by its flows.
    if (port.tap && this.sampling > 0) return "output of some packets to an internal port";
    if (maxLength > 0) this.cut(maxLength);
    this.lines.push(comment(`output ${odpPort}`));
    if (port.tap) this.addressed(port.ifindex);
    const flags = port.tap ? REDIRECT_INGRESS : 0;
    if (last) this.lines.push(Mov.imm(R1, port.ifindex), Mov.imm(R2, flags), call(REDIRECT), exit());
    else
      this.lines.push(Mov.reg(R1, R6), Mov.imm(R2, port.ifindex), Mov.imm(R3, flags), call(CLONE_REDIRECT));
    return undefined;
  }

  /** Takes off what is too long; a tag beside the frame is part of its length. */
  private cut(maxLength: number): void {
    const [untagged, short] = [this.name("untagged"), this.name("short")];
    this.lines.push(
      comment(`trunc ${maxLength}`),
      Mov.imm(R2, maxLength),
      Load.u32(R1, R6, SKB_VLAN_PRESENT),
      IfEq.imm(R1, 0, untagged),
      Mov.imm(R2, maxLength - 4),
      label(untagged),
      Load.u32(R1, R6, SKB_LEN),
      IfLe.reg(R1, R2, short),
      Mov.reg(R1, R6),
      Mov.imm(R3, 0),
      call(SKB_CHANGE_TAIL),
      IfNe.imm(R0, 0, "drop"),
      label(short),
    );
  }

  /**
   * The host behind a tap takes a packet for its own, or for a stranger's, by the packet's type, which says so far whether it
   * was for the device that it came in by.
   */
  private addressed(ifindex: number): void {
    const [other, change, done] = [this.name("other"), this.name("change"), this.name("done")];
    this.lines.push(
      ...load(14),
      comment("R7: destination address, as on the wire"),
      Load.u32(R7, R1, 0),
      Load.u16(R5, R1, 4),
      IfSet.imm(R7, 1, done),
      Store.u32(R10, TEMP + 4, R5),
      StoreImm.u32(R10, TEMP, ifindex),
      Mov.reg(R2, R10),
      Add.imm(R2, TEMP),
      loadMap(R1, MAP_PORTS),
      call(MAP_LOOKUP_ELEM),
      IfEq.imm(R0, 0, "drop"),
      Load.u32(R1, R0, PORT_ADDRESS),
      IfNe.reg(R1, R7, other),
      Load.u16(R1, R0, PORT_ADDRESS + 4),
      Load.u32(R2, R10, TEMP + 4),
      IfNe.reg(R1, R2, other),
      Mov.imm(R2, PACKET_HOST),
      jump(change),
      label(other),
      Mov.imm(R2, PACKET_OTHERHOST),
      label(change),
      Mov.reg(R1, R6),
      call(SKB_CHANGE_TYPE),
      label(done),
    );
  }

  private set(word: number, value: number, mask: number): string | undefined {
    const { proto } = this.lookup;
    const { ethType } = this;
    const isV4 = ethType === ETH_TYPE_IPV4;
    const isV6 = ethType === ETH_TYPE_IPV6;
    this.lines.push(comment(`set word ${word}`));
    if (word === W_SKB_PRIORITY || word === W_PKT_MARK) {
      if (mask !== -1) return "set of part of a packet's mark";
      const [field, set] = word === W_PKT_MARK ? [SKB_MARK, value] : [SKB_PRIORITY, queueClass(value)];
      this.lines.push(Mov.imm32(R1, set), Store.u32(R6, field, R1));
      return undefined;
    }
    if (word >= W_ETH_DST_HI && word <= W_ETH_SRC_LO) {
      const at = (word - W_ETH_DST_HI) * 4;
      this.lines.push(
        ...load(14),
        Load.u32(R2, R1, at),
        ...merge(swap32(value), swap32(mask)),
        Store.u32(R1, at, R3),
      );
      return undefined;
    }
    if (word === W_VLAN0) {
      this.setVlan(value, mask);
      return undefined;
    }
    if (ethType === ETH_TYPE_ARP || ethType === ETH_TYPE_RARP) return this.setArp(word, value, mask);
    if (ethType !== undefined && isMplsType(ethType) && word === W_MPLS) {
      this.bits(4, 0, 4, value, mask);
      return undefined;
    }
    if (!isV4 && !isV6) return "set of a field of this kind of packet";
    const isAddress = isV4
      ? word === W_IPV4_SRC || word === W_IPV4_DST
      : word >= W_IPV6_SRC && word < W_IPV6_DST + 4;
    if (isAddress && !this.knowsChecksum()) return "set of an address of packets of unknown protocol";
    if (isV4 && isAddress) {
      this.replace32(12 + (word - W_IPV4_SRC) * 4, value, mask, true, true);
      return undefined;
    }
    if (isAddress) {
      this.replace32(8 + (word - W_IPV6_SRC) * 4, value, mask, true, false);
      return undefined;
    }
    if (isV6 && word === W_IPV6_LABEL) {
      this.replace32(0, value, mask & 0xfffff, false, false);
      return undefined;
    }
    if (word === W_NW && (mask & 0xff0000ff) === 0) {
      if ((mask & 0xff00) !== 0) this.setTos((value >>> 8) & 0xff, (mask >>> 8) & 0xff, isV4);
      if ((mask & 0xff0000) !== 0) this.setTtl((value >>> 16) & 0xff, (mask >>> 16) & 0xff, isV4);
      return undefined;
    }
    if (word === W_TP && (proto === IPPROTO_TCP || proto === IPPROTO_UDP) && !this.mayBeLater()) {
      this.replacePorts(value, mask, isV4 ? 20 : 40, proto);
      return undefined;
    }
    if (word === W_TP && (proto === IPPROTO_ICMP || proto === IPPROTO_ICMPV6) && !this.mayBeLater()) {
      const wire = (word: number): number => ((word >>> 8) & 0xff00) | (word & 0xff);
      const header = isV4 ? 20 : 40;
      this.locate();
      this.replace16(header, wire(value), wire(mask), { helper: L4_CSUM_REPLACE, at: header + 2 });
      return undefined;
    }
    return "set of a field that programs do not write";
  }

  /** ARP has no checksum: its fields are written where they lie. */
  private setArp(word: number, value: number, mask: number): string | undefined {
    const at = ARP_WORDS.get(word);
    if (at !== undefined) {
      this.arpBits(at, 4, value, mask);
      return undefined;
    }
    if (word === W_NW && (mask & ~0xff) === 0) {
      this.arpBits(6, 2, value & 0xff, mask);
      return undefined;
    }
    if (word !== W_ARP_SHA_THA) return "set of a field that programs do not write";
    if (mask >>> 16 !== 0) this.arpBits(12, 2, value >>> 16, mask >>> 16);
    if ((mask & 0xffff) !== 0) this.arpBits(18, 2, value & 0xffff, mask & 0xffff);
    return undefined;
  }

  private arpBits(at: number, bytes: 2 | 4, value: number, mask: number): void {
    this.bits(ARP_BYTES, at, bytes, value, mask);
  }

  /** Of a header of so many bytes that no checksum covers. */
  private bits(headerBytes: number, at: number, bytes: 2 | 4, value: number, mask: number): void {
    this.locate();
    const swap = bytes === 4 ? swap32 : swap16;
    const [load, store] = bytes === 4 ? [Load.u32, Store.u32] : [Load.u16, Store.u16];
    this.lines.push(
      ...this.header(headerBytes),
      load(R2, R1, at),
      ...merge(swap(value), swap(mask)),
      store(R1, at, R3),
    );
  }

  /** Packets of the megaflow may lack a transport header. */
  private mayBeLater(): boolean {
    return this.lookup.ethType === ETH_TYPE_IPV4 && this.lookup.laterFragment !== false;
  }

  /** R8 = offset of the network header, whatever tags there are in the frame. */
  private locate(): void {
    if (this.located) return;
    this.located = true;
    const [second, done] = [this.name("second"), this.name("located")];
    const [q, ad] = [swap16(ETH_TYPE_VLAN_8021Q), swap16(ETH_TYPE_VLAN_8021AD)];
    this.lines.push(
      ...load(22),
      Mov.imm(R8, 14),
      Load.u16(R2, R1, 12),
      IfEq.imm(R2, q, second),
      IfNe.imm(R2, ad, done),
      label(second),
      Mov.imm(R8, 18),
      Load.u16(R2, R1, 16),
      IfEq.imm(R2, q, `${second}_tag`),
      IfNe.imm(R2, ad, done),
      label(`${second}_tag`),
      Mov.imm(R8, 22),
      label(done),
    );
  }

  /** R1 = the network header, with `bytes` that can be read. */
  private header(bytes: number): Line[] {
    return [
      Load.u32(R1, R6, SKB_DATA),
      Load.u32(R5, R6, SKB_DATA_END),
      Add.reg(R1, R8),
      Mov.reg(R3, R1),
      Add.imm(R3, bytes),
      IfGt.reg(R3, R5, "drop"),
    ];
  }

  /**
   * A word of the network header: checksums first, then the bytes. `pseudo`: the transport checksum covers it; `inHeader`:
   * IPv4's own does.
   */
  private replace32(at: number, value: number, mask: number, pseudo: boolean, inHeader: boolean): void {
    this.locate();
    this.lines.push(
      ...this.header(at + 4),
      Load.u32(R2, R1, at),
      Store.u32(R10, TEMP, R2),
      ...merge(swap32(value), swap32(mask)),
      Store.u32(R10, TEMP + 4, R3),
    );
    const l4 = pseudo ? this.transportChecksum() : undefined;
    if (l4 !== undefined)
      this.lines.push(...this.checksum(L4_CSUM_REPLACE, l4.at, l4.flags | F_PSEUDO_HDR | 4));
    if (inHeader) this.lines.push(...this.checksum(L3_CSUM_REPLACE, 10, 4));
    this.lines.push(...this.store(at, TEMP + 4, 4));
  }

  /** Whether all packets have a transport checksum that covers the addresses, in the same place, or none has. */
  private knowsChecksum(): boolean {
    const { proto } = this.lookup;
    return proto !== undefined && (this.transportChecksum() === undefined || !this.mayBeLater());
  }

  /** Where the transport checksum is, from the network header, when it covers the addresses. */
  private transportChecksum(): { at: number; flags: number } | undefined {
    const { ethType, proto, laterFragment } = this.lookup;
    const header = ethType === ETH_TYPE_IPV4 ? 20 : 40;
    if (laterFragment === true) return undefined;
    switch (proto) {
      case IPPROTO_TCP:
        return { at: header + 16, flags: 0 };
      case IPPROTO_UDP:
        return { at: header + 6, flags: F_MARK_MANGLED_0 };
      case IPPROTO_ICMPV6:
        return { at: header + 2, flags: 0 };
      default:
        return undefined;
    }
  }

  private replacePorts(value: number, mask: number, header: number, proto: number): void {
    this.locate();
    const udp = proto === IPPROTO_UDP;
    this.lines.push(
      ...this.header(header + 4),
      Load.u32(R2, R1, header),
      Store.u32(R10, TEMP, R2),
      ...merge(swap32(value), swap32(mask)),
      Store.u32(R10, TEMP + 4, R3),
      ...this.checksum(L4_CSUM_REPLACE, header + (udp ? 6 : 16), (udp ? F_MARK_MANGLED_0 : 0) | 4),
      ...this.store(header, TEMP + 4, 4),
    );
  }

  private setTos(value: number, mask: number, isV4: boolean): void {
    this.locate();
    const [bits, bitMask] = isV4 ? [value, mask] : [value << 4, mask << 4];
    this.replace16(0, bits, bitMask, isV4 ? IPV4_CHECKSUM : undefined);
  }

  private setTtl(value: number, mask: number, isV4: boolean): void {
    this.locate();
    if (isV4) this.replace16(8, value << 8, mask << 8, IPV4_CHECKSUM);
    else this.replace16(6, value, mask, undefined);
  }

  /** 16 bits from the network header on, and the checksum that covers them. */
  private replace16(
    at: number,
    value: number,
    mask: number,
    covered: { helper: number; at: number } | undefined,
  ): void {
    this.lines.push(
      ...this.header(at + 2),
      Load.u16(R2, R1, at),
      Store.u32(R10, TEMP, R2),
      ...merge(swap16(value), swap16(mask)),
      Store.u32(R10, TEMP + 4, R3),
    );
    if (covered !== undefined) this.lines.push(...this.checksum(covered.helper, covered.at, 2));
    this.lines.push(...this.store(at, TEMP + 4, 2));
  }

  /** Mends a checksum for the change from the word at TEMP to the one after it. */
  private checksum(helper: number, at: number, flags: number): Line[] {
    return [
      Mov.reg(R1, R6),
      Mov.reg(R2, R8),
      Add.imm(R2, at),
      Load.u32(R3, R10, TEMP),
      Load.u32(R4, R10, TEMP + 4),
      Mov.imm(R5, flags),
      call(helper),
    ];
  }

  /** Bytes from the stack to the network header. */
  private store(at: number, from: number, bytes: number): Line[] {
    return [
      Mov.reg(R1, R6),
      Mov.reg(R2, R8),
      Add.imm(R2, at),
      Mov.reg(R3, R10),
      Add.imm(R3, from),
      Mov.imm(R4, bytes),
      Mov.imm(R5, 0),
      call(SKB_STORE_BYTES),
    ];
  }

  /** The outermost tag, where there is one: beside the frame it is taken off and put on again. Bit 12 of a TCI stays. */
  private setVlan(value: number, mask: number): void {
    const bits = mask & ~0x1000;
    const [inFrame, done] = [this.name("in_frame"), this.name("done")];
    this.lines.push(
      Load.u32(R1, R6, SKB_VLAN_PRESENT),
      IfEq.imm(R1, 0, inFrame),
      Load.u32(R2, R6, SKB_VLAN_TCI),
      ...merge(value & 0xffff, bits & 0xffff),
      Mov.reg(R8, R3),
      Load.u32(R7, R6, SKB_VLAN_PROTO),
      Mov.reg(R1, R6),
      call(SKB_VLAN_POP),
      Mov.reg(R1, R6),
      Mov.reg(R2, R7),
      Mov.reg(R3, R8),
      call(SKB_VLAN_PUSH),
      jump(done),
      label(inFrame),
      ...load(18),
      Load.u16(R2, R1, 12),
      IfEq.imm(R2, swap16(ETH_TYPE_VLAN_8021Q), `${inFrame}_tag`),
      IfNe.imm(R2, swap16(ETH_TYPE_VLAN_8021AD), done),
      label(`${inFrame}_tag`),
      Load.u16(R2, R1, 14),
      ...merge(swap16(value & 0xffff), swap16(bits & 0xffff)),
      Store.u16(R1, 14, R3),
      label(done),
    );
    this.located = false;
  }
}

/** R1 = the frame, with `bytes` that can be read and written. */
function load(bytes: number): Line[] {
  return [
    Load.u32(R1, R6, SKB_DATA),
    Load.u32(R5, R6, SKB_DATA_END),
    Mov.reg(R3, R1),
    Add.imm(R3, bytes),
    IfGt.reg(R3, R5, "drop"),
  ];
}

/** R3 = R2 with the bits under `mask` from `value`. */
function merge(value: number, mask: number): Line[] {
  if (mask === -1) return [Mov.imm32(R3, value)];
  return [Mov.reg32(R3, R2), And.imm32(R3, ~mask), Or.imm32(R3, value & mask)];
}

/** `tag` is TPID << 16 | TCI; bit 12 says there that it is one. */
function pushVlan(tag: number): Line[] {
  return [Mov.reg(R1, R6), Mov.imm(R2, swap16(tag >>> 16)), Mov.imm(R3, tag & 0xefff), call(SKB_VLAN_PUSH)];
}

/** Names what a program was made from: equal for megaflows that can share one. */
export function actionKey(program: Int32Array, lookup: Lookup): string {
  return `${program.join()} ${lookup.ethType} ${lookup.proto} ${lookup.laterFragment}`;
}
