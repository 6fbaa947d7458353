/**
 * The program that hands packets up: a record in the ring buffer, whose layout is in layout.ts. A packet that the host sent
 * by an internal port need not be copied when nothing matches it: it goes on its way, up the tap. Pure.
 */
import {
  MAP_LOOKUP_ELEM,
  RINGBUF_DISCARD,
  RINGBUF_RESERVE,
  RINGBUF_SUBMIT,
  SKB_LOAD_BYTES,
} from "../asm/helpers.ts";
import {
  Add,
  BigEndian,
  call,
  comment,
  exit,
  IfEq,
  IfGt,
  IfLt,
  IfNe,
  IfSet,
  jump,
  type Line,
  Load,
  Lsh,
  label,
  loadMap,
  Mov,
  Or,
  R0,
  R1,
  R2,
  R3,
  R4,
  R6,
  R7,
  R9,
  R10,
  Store,
  StoreImm,
} from "../asm/instruction.ts";
import {
  SKB_GSO_SEGS,
  SKB_GSO_SIZE,
  SKB_IFINDEX,
  SKB_LEN,
  SKB_VLAN_PRESENT,
  SKB_VLAN_PROTO,
  SKB_VLAN_TCI,
  TC_ACT_OK,
  TC_ACT_SHOT,
} from "../asm/skb.ts";
import {
  COUNT_LOST,
  COUNT_UP,
  countUp,
  MAP_PORTS,
  MAP_UPCALLS,
  PORT_FLAG_TAP,
  PORT_FLAGS,
  RECORD_ACTION,
  RECORD_GSO_SEGS,
  RECORD_GSO_SIZE,
  RECORD_HEADER,
  RECORD_IFINDEX,
  RECORD_LENGTH,
  RECORD_OPERAND,
  RECORD_ROOMS,
  RECORD_TAG,
  RECORD_TAGGED,
} from "./layout.ts";

export function upcallProgram(): Line[] {
  return [
    Mov.reg(R6, R1),
    comment("a tap has its own way up"),
    Load.u32(R1, R6, SKB_IFINDEX),
    Store.u32(R10, -4, R1),
    Mov.reg(R2, R10),
    Add.imm(R2, -4),
    loadMap(R1, MAP_PORTS),
    call(MAP_LOOKUP_ELEM),
    IfEq.imm(R0, 0, "drop"),
    Load.u32(R1, R0, PORT_FLAGS),
    IfSet.imm(R1, PORT_FLAG_TAP, "tap"),
    ...handUp("miss", undefined, "sent", "lost"),
    label("lost"),
    ...countUp(COUNT_LOST),
    jump("drop"),
    label("sent"),
    ...countUp(COUNT_UP),
    label("drop"),
    Mov.imm(R0, TC_ACT_SHOT),
    exit(),
    label("tap"),
    Mov.imm(R0, TC_ACT_OK),
    exit(),
  ];
}

/**
 * A record of the packet, for an action with its operand; then on to `sent`. Without room it runs into what follows, which
 * begins with the label `lost`. R6 is the context; R1 to R5, R7 and R9 are lost. Labels begin with `name`.
 */
export function handUp(name: string, operand: number | undefined, sent: string, lost: string): Line[] {
  return [
    Load.u32(R7, R6, SKB_LEN),
    comment("not by == 0: before Linux 6.3 the verifier learns nothing from that"),
    IfLt.imm(R7, 1, lost),
    ...RECORD_ROOMS.flatMap((room) => record(`${name}_${room}`, room, operand, sent, lost)),
  ];
}

/** One for frames of at most `room` bytes, whose length is in R7: how much is reserved must be known when loading. */
function record(name: string, room: number, operand: number | undefined, sent: string, lost: string): Line[] {
  return [
    IfGt.imm(R7, room, `${name}_longer`),
    loadMap(R1, MAP_UPCALLS),
    Mov.imm(R2, RECORD_HEADER + room),
    Mov.imm(R3, 0),
    call(RINGBUF_RESERVE),
    IfEq.imm(R0, 0, lost),
    Mov.reg(R9, R0),
    Load.u32(R1, R6, SKB_IFINDEX),
    Store.u32(R9, RECORD_IFINDEX, R1),
    Store.u32(R9, RECORD_LENGTH, R7),
    Load.u32(R1, R6, SKB_VLAN_PROTO),
    BigEndian.u16(R1),
    Lsh.imm32(R1, 16),
    Load.u32(R2, R6, SKB_VLAN_TCI),
    Or.reg32(R1, R2),
    Store.u32(R9, RECORD_TAG, R1),
    Load.u32(R1, R6, SKB_VLAN_PRESENT),
    Store.u32(R9, RECORD_TAGGED, R1),
    Load.u32(R1, R6, SKB_GSO_SIZE),
    Store.u32(R9, RECORD_GSO_SIZE, R1),
    Load.u32(R1, R6, SKB_GSO_SEGS),
    Store.u32(R9, RECORD_GSO_SEGS, R1),
    StoreImm.u32(R9, RECORD_ACTION, operand === undefined ? 0 : 1),
    StoreImm.u32(R9, RECORD_OPERAND, operand ?? 0),
    Mov.reg(R1, R6),
    Mov.imm(R2, 0),
    Mov.reg(R3, R9),
    Add.imm(R3, RECORD_HEADER),
    Mov.reg(R4, R7),
    call(SKB_LOAD_BYTES),
    IfNe.imm(R0, 0, `${name}_unreadable`),
    Mov.reg(R1, R9),
    Mov.imm(R2, 0),
    call(RINGBUF_SUBMIT),
    jump(sent),
    label(`${name}_unreadable`),
    Mov.reg(R1, R9),
    Mov.imm(R2, 0),
    call(RINGBUF_DISCARD),
    jump(lost),
    label(`${name}_longer`),
  ];
}
