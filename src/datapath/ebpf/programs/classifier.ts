/**
 * The program at every port: headers, then one hash lookup for each mask in turn, statistics, and the action. It is made
 * anew when the set of masks changes, and parses and looks up no more than those need: each mask's key is put together
 * straight from the packet. Pure.
 *
 * Megaflows do not overlap (or agree where they do), so the first hit is the answer, and masks with most hits come first.
 */
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IPV4,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_RARP,
} from "../../../flow/packet/ethernet.ts";
import {
  GET_SMP_PROCESSOR_ID,
  KTIME_GET_COARSE_NS,
  MAP_LOOKUP_ELEM,
  REDIRECT,
  REDIRECT_PEER,
  TAIL_CALL,
} from "../asm/helpers.ts";
import {
  Add,
  And,
  call,
  comment,
  exit,
  IfEq,
  IfNe,
  jump,
  type Line,
  Load,
  Lsh,
  label,
  loadMap,
  loadMapValue,
  Mov,
  Or,
  R0,
  R1,
  R2,
  R3,
  R6,
  R7,
  R8,
  R9,
  R10,
  Rsh,
  Store,
  StoreImm,
} from "../asm/instruction.ts";
import { SKB_IFINDEX, SKB_LEN, SKB_VLAN_PRESENT, TC_ACT_SHOT } from "../asm/skb.ts";
import {
  FAR_END_BITS,
  FAR_END_BYTES,
  FLOW_BITS,
  MAP_FAR_ENDS,
  MAP_PROGRAMS,
  MAP_STATS,
  MAX_BPF_FLOWS,
  ROW_OCTETS,
  ROW_PACKETS,
  ROW_SHIFT,
  ROW_TCP_FLAGS,
  ROW_USED,
  UPCALL_SLOT,
  VALUE_FAR_ADDRESS,
  VALUE_FAR_END,
  VALUE_FLOW,
  VALUE_IFINDEX,
  VALUE_PROGRAM,
} from "./layout.ts";
import { parseBranch, parseStart, UP, type Wanted } from "./parse.ts";
import {
  type Branch,
  type Field,
  SLOT_MPLS,
  SLOT_NW,
  SLOT_SHA_THA,
  SLOT_TCP_FLAGS,
  SLOT_TP,
  SLOT_TYPE,
  SLOTS_END,
} from "./places.ts";

/** All megaflows under one mask. */
export interface MaskTable {
  readonly branch: Branch;
  readonly fields: readonly Field[];
  /** Its map: 4 bytes a field to VALUE_BYTES. */
  readonly map: string;
}

export interface ClassifierSpec {
  /** A power of two, of processors that the statistics have rows for. */
  readonly processors: number;
  /** Tags that are looked at, 0 to 2. */
  readonly vlanLimit: number;
  /** In the order in which they are asked. */
  readonly tables: readonly MaskTable[];
}

/** Keys of lookups lie below the slots, aligned to 8 bytes. */
const keyBase = (fields: number): number => SLOTS_END - ((Math.max(fields, 1) * 4 + 7) & ~7);

const HIT = "hit";
/** The Ethertype is not looked at any more when a flow has been found: here is its far end's address. */
const SLOT_FAR_ADDRESS = SLOT_TYPE;

/** Ethertypes of the branches; "other" has all that are not here. */
const BRANCHES = [
  ["ip4", [ETH_TYPE_IPV4]],
  ["ip6", [ETH_TYPE_IPV6]],
  ["arp", [ETH_TYPE_ARP, ETH_TYPE_RARP]],
  ["mpls", [ETH_TYPE_MPLS, ETH_TYPE_MPLS_MCAST]],
] as const;

export function classifierProgram(spec: ClassifierSpec): Line[] {
  const of = (branch: Branch): MaskTable[] => spec.tables.filter((table) => table.branch === branch);
  const any = of("any");
  // Megaflows that do not match on the Ethertype come last: by then the TCP flags are known, which statistics want.
  const rest = any.length > 0 ? "any" : UP;
  const lines: Line[] = [...parseStart(spec.vlanLimit)];
  const branches: Branch[] = [];
  for (const [branch, types] of BRANCHES) {
    if (of(branch).length === 0 && (any.length === 0 || !branch.startsWith("ip"))) continue;
    branches.push(branch);
    lines.push(...types.map((type) => IfEq.imm(R0, type, branch)));
  }
  if (of("other").length > 0) {
    for (const [branch, types] of BRANCHES)
      if (!branches.includes(branch)) lines.push(...types.map((type) => IfEq.imm(R0, type, rest)));
    branches.push("other");
    lines.push(jump("other"));
  } else lines.push(jump(rest));
  for (const branch of branches) {
    const tables = of(branch);
    lines.push(label(branch), ...parseBranch(branch, wantedBy(tables)));
    for (const table of tables) lines.push(...lookup(table));
    lines.push(jump(rest));
  }
  if (any.length > 0) {
    lines.push(label("any"));
    for (const table of any) lines.push(...lookup(table));
    lines.push(jump(UP));
  }
  if (spec.tables.length > 0) lines.push(...hit(spec.processors));
  return [...lines, ...up()];
}

function wantedBy(tables: readonly MaskTable[]): Wanted {
  let nw = 0;
  let tp = false;
  let shaTha = false;
  let labels = 0;
  for (const { branch, fields } of tables)
    for (const { base, offset, bits } of fields) {
      if (base !== "slot") continue;
      if (branch === "mpls") labels = Math.max(labels, SLOT_MPLS.indexOf(offset) + 1);
      if (offset === SLOT_NW) nw |= bits;
      if (offset === SLOT_TP) tp = true;
      if (offset === SLOT_SHA_THA) shaTha = true;
    }
  return { nw, tp, shaTha, labels };
}

/**
 * Puts the key together and looks it up; on a hit to {@link HIT} with the value in R8 and R9: numbers, not the map's memory,
 * which the verifier would walk on with once for each map.
 */
function lookup({ map, fields }: MaskTable): Line[] {
  const base = keyBase(fields.length);
  const lines: Line[] = [comment(map)];
  if (fields.length === 0) lines.push(StoreImm.u32(R10, base, 0));
  for (let i = 0; i < fields.length; i++) {
    const field = fields[i]!;
    const at = base + i * 4;
    if (i % 2 === 0 && isPair(field, fields[i + 1])) {
      lines.push(Load.u64(R1, field.base === "l2" ? R7 : R8, field.offset), Store.u64(R10, at, R1));
      i++;
      continue;
    }
    if (field.base === "port") lines.push(Load.u32(R1, R6, SKB_IFINDEX));
    else if (field.base === "slot") lines.push(Load.u32(R1, R10, field.offset));
    else lines.push(Load.u32(R1, field.base === "l2" ? R7 : R8, field.offset));
    if (field.bits !== -1) lines.push(And.imm32(R1, field.bits));
    lines.push(Store.u32(R10, at, R1));
  }
  return [
    ...lines,
    Mov.reg(R2, R10),
    Add.imm(R2, base),
    loadMap(R1, map),
    call(MAP_LOOKUP_ELEM),
    IfEq.imm(R0, 0, `no_${map}`),
    Load.u64(R8, R0, VALUE_FLOW),
    Load.u64(R9, R0, VALUE_IFINDEX),
    Load.u64(R1, R0, VALUE_FAR_ADDRESS),
    Store.u64(R10, SLOT_FAR_ADDRESS, R1),
    jump(HIT),
    label(`no_${map}`),
  ];
}

/** Two whole words of the packet, one after the other. */
function isPair(first: Field, second: Field | undefined): boolean {
  return (
    second !== undefined &&
    (first.base === "l2" || first.base === "l3") &&
    second.base === first.base &&
    second.offset === first.offset + 4 &&
    first.bits === -1 &&
    second.bits === -1
  );
}

/** The flow is found: R8 has its number and above it its program, R9 the ifindex and above it its far end's number. */
function hit(processors: number): Line[] {
  return [
    label(HIT),
    comment("the short way is for frames to the far end's address"),
    Load.u32(R1, R7, 0),
    Load.u16(R2, R7, 4),
    Lsh.imm(R2, 32),
    Or.reg(R1, R2),
    Load.u64(R2, R10, SLOT_FAR_ADDRESS),
    IfEq.reg(R1, R2, "counted"),
    Mov.reg32(R9, R9),
    label("counted"),
    comment("R7: the flow's row, this processor's"),
    call(GET_SMP_PROCESSOR_ID),
    And.imm32(R0, processors - 1),
    Lsh.imm(R0, FLOW_BITS),
    Mov.reg(R1, R8),
    And.imm32(R1, MAX_BPF_FLOWS - 1),
    comment("not by |, of which the verifier of Linux 6.1 keeps no bounds"),
    Add.reg(R0, R1),
    Lsh.imm(R0, ROW_SHIFT),
    loadMapValue(R7, MAP_STATS),
    Add.reg(R7, R0),
    Load.u64(R1, R7, ROW_PACKETS),
    Add.imm(R1, 1),
    Store.u64(R7, ROW_PACKETS, R1),
    ...frameBytes("untagged"),
    Load.u64(R1, R7, ROW_OCTETS),
    Add.reg(R1, R2),
    Store.u64(R7, ROW_OCTETS, R1),
    comment("whether or not there are any: a branch would have the verifier walk all masks twice"),
    Load.u32(R1, R10, SLOT_TCP_FLAGS),
    Load.u32(R2, R7, ROW_TCP_FLAGS),
    Or.reg32(R2, R1),
    Store.u32(R7, ROW_TCP_FLAGS, R2),
    call(KTIME_GET_COARSE_NS),
    Store.u64(R7, ROW_USED, R0),
    Rsh.imm(R8, VALUE_PROGRAM * 8),
    IfNe.imm(R8, 0, "program"),
    IfEq.imm32(R9, 0, "drop"),
    Mov.reg32(R8, R9),
    Rsh.imm(R9, (VALUE_FAR_END - VALUE_IFINDEX) * 8),
    IfNe.imm(R9, 0, "shortcut"),
    Mov.reg(R1, R8),
    Mov.imm(R2, 0),
    call(REDIRECT),
    exit(),
    label("shortcut"),
    call(GET_SMP_PROCESSOR_ID),
    And.imm32(R0, processors - 1),
    Lsh.imm(R0, FAR_END_BITS),
    And.imm32(R9, (1 << FAR_END_BITS) - 1),
    Add.reg(R0, R9),
    Lsh.imm(R0, Math.log2(FAR_END_BYTES)),
    loadMapValue(R7, MAP_FAR_ENDS),
    Add.reg(R7, R0),
    Load.u64(R1, R7, 0),
    Add.imm(R1, 1),
    Store.u64(R7, 0, R1),
    ...frameBytes("far_untagged"),
    Load.u64(R1, R7, 8),
    Add.reg(R1, R2),
    Store.u64(R7, 8, R1),
    Mov.reg(R1, R8),
    Mov.imm(R2, 0),
    call(REDIRECT_PEER),
    exit(),
    label("program"),
    Mov.reg(R1, R6),
    loadMap(R2, MAP_PROGRAMS),
    Mov.reg(R3, R8),
    call(TAIL_CALL),
    label("drop"),
    Mov.imm(R0, TC_ACT_SHOT),
    exit(),
  ];
}

/** R2 = bytes of the frame; R1 is lost. */
function frameBytes(untagged: string): Line[] {
  return [
    comment("a tag beside the frame counts too"),
    Load.u32(R2, R6, SKB_LEN),
    Load.u32(R1, R6, SKB_VLAN_PRESENT),
    IfEq.imm(R1, 0, untagged),
    Add.imm(R2, 4),
    label(untagged),
  ];
}

/** To the upcall program. */
function up(): Line[] {
  return [
    label(UP),
    Mov.reg(R1, R6),
    loadMap(R2, MAP_PROGRAMS),
    Mov.imm(R3, UPCALL_SLOT),
    call(TAIL_CALL),
    Mov.imm(R0, TC_ACT_SHOT),
    exit(),
  ];
}
