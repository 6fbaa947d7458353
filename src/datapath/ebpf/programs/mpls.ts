/**
 * Labels on and off in action programs, for packets with at most one tag, which the kernel has beside the frame. Pure.
 *
 * A label is pushed by making room before the frame and moving the addresses there. The kernel has no helper that takes room
 * away from a packet of MPLS (skb_adjust_room wants IP), except the one that takes tags off: so a tag is pushed into the
 * frame, it and the label are rewritten as two tags, and both are popped. That also tells the kernel what the packet is now.
 * After a push the kernel still takes it for what it was, so that segmentation needs no support for MPLS.
 *
 *   as it is          | addresses | 8847 | label |                      payload
 *   two tags pushed   | addresses | 8100 |   0   | 8847 | label |       payload    and a tag beside the frame
 *   rewritten         | addresses | 8100 |   0   | 8100 |   0   | type | payload
 *   popped            | addresses | type | payload
 */
import { ETH_TYPE_MPLS, ETH_TYPE_MPLS_MCAST, ETH_TYPE_VLAN_8021Q } from "../../../flow/packet/ethernet.ts";
import { SKB_CHANGE_HEAD, SKB_VLAN_POP, SKB_VLAN_PUSH } from "../asm/helpers.ts";
import {
  call,
  IfEq,
  IfNe,
  type Line,
  Load,
  label,
  Mov,
  R0,
  R1,
  R2,
  R3,
  R6,
  R7,
  R9,
  Store,
  StoreImm,
} from "../asm/instruction.ts";
import { SKB_VLAN_PRESENT, SKB_VLAN_PROTO, SKB_VLAN_TCI } from "../asm/skb.ts";
import { swap16, swap32 } from "./layout.ts";

/** R1 = the frame, with `bytes` that can be read and written; else on to the label `drop`. */
type LoadFrame = (bytes: number) => Line[];

/** `entry` and `ethType` as in ODP_PUSH_MPLS. R6 is the context; R1 to R5 are lost. */
export function pushMpls(entry: number, ethType: number, load: LoadFrame): Line[] {
  return [
    Mov.reg(R1, R6),
    Mov.imm(R2, 4),
    Mov.imm(R3, 0),
    call(SKB_CHANGE_HEAD),
    IfNe.imm(R0, 0, "drop"),
    ...load(18),
    Load.u64(R2, R1, 4),
    Store.u64(R1, 0, R2),
    Load.u32(R2, R1, 12),
    Store.u32(R1, 8, R2),
    Mov.imm32(R2, swap16(ethType)),
    Store.u16(R1, 12, R2),
    Mov.imm32(R2, swap32(entry)),
    Store.u32(R1, 14, R2),
  ];
}

const pushTag: Line[] = [
  Mov.reg(R1, R6),
  Mov.imm(R2, swap16(ETH_TYPE_VLAN_8021Q)),
  Mov.imm(R3, 0),
  call(SKB_VLAN_PUSH),
  IfNe.imm(R0, 0, "drop"),
];
const popTag: Line[] = [Mov.reg(R1, R6), call(SKB_VLAN_POP)];

/** What has no label stays as it is. Labels begin with `name`; R1 to R5, R7 and R9 are lost. */
export function popMpls(name: string, ethType: number, load: LoadFrame): Line[] {
  const [labelled, bare, done] = [`${name}_labelled`, `${name}_bare`, `${name}_done`];
  return [
    ...load(18),
    Load.u16(R2, R1, 12),
    IfEq.imm(R2, swap16(ETH_TYPE_MPLS), labelled),
    IfNe.imm(R2, swap16(ETH_TYPE_MPLS_MCAST), done),
    label(labelled),
    Mov.imm(R9, 0),
    Load.u32(R7, R6, SKB_VLAN_PRESENT),
    IfEq.imm(R7, 0, bare),
    Load.u32(R7, R6, SKB_VLAN_PROTO),
    Load.u32(R9, R6, SKB_VLAN_TCI),
    ...popTag,
    label(bare),
    ...pushTag,
    ...pushTag,
    ...load(22),
    Mov.imm32(R2, swap16(ETH_TYPE_VLAN_8021Q)),
    Store.u16(R1, 16, R2),
    StoreImm.u16(R1, 18, 0),
    Mov.imm32(R2, swap16(ethType)),
    Store.u16(R1, 20, R2),
    ...popTag,
    ...popTag,
    ...popTag,
    IfEq.imm(R7, 0, done),
    Mov.reg(R1, R6),
    Mov.reg(R2, R7),
    Mov.reg(R3, R9),
    call(SKB_VLAN_PUSH),
    label(done),
  ];
}
