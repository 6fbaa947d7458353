/**
 * BPF instructions as values (Linux Documentation/bpf/standardization/instruction-set.rst). Pure; style after cilium/ebpf's
 * asm package: `Add.imm(R1, 22)` reads as `r1 += 22`.
 *
 * An instruction is 8 bytes, little-endian here as on every machine that we run on:
 *
 *   byte  0        1          2-3      4-7
 *       | opcode | src  dst | offset | immediate |
 *                 7:4  3:0    i16      i32
 *
 *   opcode of a load or store:  | mode 7:5 | size 4:3 | class 2:0 |
 *   opcode of arithmetic, jump: | code 7:4   | source 3 | class 2:0 |
 *
 * A load of 64 bits takes two of them, the second with opcode 0 and the upper half as its immediate.
 */

// Classes.
export const CLASS_LD = 0x00;
export const CLASS_LDX = 0x01;
export const CLASS_ST = 0x02;
export const CLASS_STX = 0x03;
export const CLASS_ALU32 = 0x04;
export const CLASS_JMP = 0x05;
export const CLASS_JMP32 = 0x06;
export const CLASS_ALU64 = 0x07;

/** The second operand is a register. */
export const SOURCE_REG = 0x08;

// Sizes of loads and stores.
export const SIZE_U32 = 0x00;
export const SIZE_U16 = 0x08;
export const SIZE_U8 = 0x10;
export const SIZE_U64 = 0x18;

// Modes of loads and stores.
export const MODE_IMM = 0x00;
export const MODE_MEM = 0x60;

// Codes of arithmetic.
export const ALU_ADD = 0x00;
export const ALU_SUB = 0x10;
export const ALU_MUL = 0x20;
export const ALU_OR = 0x40;
export const ALU_AND = 0x50;
export const ALU_LSH = 0x60;
export const ALU_RSH = 0x70;
export const ALU_XOR = 0xa0;
export const ALU_MOV = 0xb0;
export const ALU_END = 0xd0;

// Codes of jumps.
export const JMP_ALWAYS = 0x00;
export const JMP_EQ = 0x10;
export const JMP_GT = 0x20;
export const JMP_GE = 0x30;
export const JMP_SET = 0x40;
export const JMP_NE = 0x50;
export const JMP_CALL = 0x80;
export const JMP_EXIT = 0x90;
export const JMP_LT = 0xa0;
export const JMP_LE = 0xb0;

/** What the source register of a 64-bit load says about its immediate. */
export const PSEUDO_MAP_FD = 1;
export const PSEUDO_MAP_VALUE = 2;

/** A register's number: R0 result, R1 to R5 arguments (lost in calls), R6 to R9 kept, R10 the frame's end. */
export type Register = number & { readonly brand: "register" };

export const R0 = 0 as Register;
export const R1 = 1 as Register;
export const R2 = 2 as Register;
export const R3 = 3 as Register;
export const R4 = 4 as Register;
export const R5 = 5 as Register;
export const R6 = 6 as Register;
export const R7 = 7 as Register;
export const R8 = 8 as Register;
export const R9 = 9 as Register;
export const R10 = 10 as Register;

/** A map by name; the loader puts its descriptor in. */
export interface MapName {
  readonly map: string;
}

export interface Instruction {
  readonly opcode: number;
  readonly dst: number;
  readonly src: number;
  readonly offset: number;
  readonly imm: number;
  /** Target of a jump. */
  readonly target?: string;
  /** For a 64-bit load: the map whose descriptor is the immediate; then the upper half is an offset into its value. */
  readonly map?: string;
  /** Upper half of a 64-bit load. */
  readonly upper?: number;
}

/** A place that jumps name. */
export interface Label {
  readonly label: string;
}

/** For listings. */
export interface Comment {
  readonly comment: string;
}

export type Line = Instruction | Label | Comment;

export const label = (name: string): Label => ({ label: name });
export const comment = (text: string): Comment => ({ comment: text });

function make(opcode: number, dst: number, src: number, offset: number, imm: number): Instruction {
  return { opcode, dst, src, offset, imm: imm | 0 };
}

/** One operation in its four forms: 64 or 32 bits (which clear the upper half), with a register or a number. */
class Arithmetic {
  private readonly code: number;

  constructor(code: number) {
    this.code = code;
  }

  imm(dst: Register, value: number): Instruction {
    return make(CLASS_ALU64 | this.code, dst, 0, 0, value);
  }

  reg(dst: Register, src: Register): Instruction {
    return make(CLASS_ALU64 | SOURCE_REG | this.code, dst, src, 0, 0);
  }

  imm32(dst: Register, value: number): Instruction {
    return make(CLASS_ALU32 | this.code, dst, 0, 0, value);
  }

  reg32(dst: Register, src: Register): Instruction {
    return make(CLASS_ALU32 | SOURCE_REG | this.code, dst, src, 0, 0);
  }
}

export const Add = new Arithmetic(ALU_ADD);
export const Sub = new Arithmetic(ALU_SUB);
export const Mul = new Arithmetic(ALU_MUL);
export const Or = new Arithmetic(ALU_OR);
export const And = new Arithmetic(ALU_AND);
export const Lsh = new Arithmetic(ALU_LSH);
export const Rsh = new Arithmetic(ALU_RSH);
export const Xor = new Arithmetic(ALU_XOR);
export const Mov = new Arithmetic(ALU_MOV);

/** Between network order and a number; the rest of the register becomes 0. */
export const BigEndian = {
  u16: (dst: Register): Instruction => make(CLASS_ALU32 | SOURCE_REG | ALU_END, dst, 0, 0, 16),
  u32: (dst: Register): Instruction => make(CLASS_ALU32 | SOURCE_REG | ALU_END, dst, 0, 0, 32),
};

const memory =
  (instructionClass: number, size: number) =>
  (dst: Register, src: Register, offset: number): Instruction =>
    make(instructionClass | MODE_MEM | size, dst, src, offset, 0);

/** `Load.u16(R1, R7, 12)`: r1 = *(u16 *)(r7 + 12) */
export const Load = {
  u8: memory(CLASS_LDX, SIZE_U8),
  u16: memory(CLASS_LDX, SIZE_U16),
  u32: memory(CLASS_LDX, SIZE_U32),
  u64: memory(CLASS_LDX, SIZE_U64),
};

const storeReg =
  (size: number) =>
  (dst: Register, offset: number, src: Register): Instruction =>
    make(CLASS_STX | MODE_MEM | size, dst, src, offset, 0);

/** `Store.u32(R10, -4, R1)`: *(u32 *)(r10 - 4) = r1 */
export const Store = {
  u8: storeReg(SIZE_U8),
  u16: storeReg(SIZE_U16),
  u32: storeReg(SIZE_U32),
  u64: storeReg(SIZE_U64),
};

const storeImm =
  (size: number) =>
  (dst: Register, offset: number, value: number): Instruction =>
    make(CLASS_ST | MODE_MEM | size, dst, 0, offset, value);

export const StoreImm = {
  u8: storeImm(SIZE_U8),
  u16: storeImm(SIZE_U16),
  u32: storeImm(SIZE_U32),
  u64: storeImm(SIZE_U64),
};

/** A condition over 64 bits, or over the lower 32. */
class Condition {
  private readonly code: number;

  constructor(code: number) {
    this.code = code;
  }

  imm(dst: Register, value: number, target: string): Instruction {
    return { ...make(CLASS_JMP | this.code, dst, 0, 0, value), target };
  }

  reg(dst: Register, src: Register, target: string): Instruction {
    return { ...make(CLASS_JMP | SOURCE_REG | this.code, dst, src, 0, 0), target };
  }

  imm32(dst: Register, value: number, target: string): Instruction {
    return { ...make(CLASS_JMP32 | this.code, dst, 0, 0, value), target };
  }
}

/** Jumps when the comparison, unsigned, holds. */
export const IfEq = new Condition(JMP_EQ);
export const IfNe = new Condition(JMP_NE);
export const IfGt = new Condition(JMP_GT);
export const IfGe = new Condition(JMP_GE);
export const IfLt = new Condition(JMP_LT);
export const IfLe = new Condition(JMP_LE);
/** Jumps when any of the bits is set in both. */
export const IfSet = new Condition(JMP_SET);

export const jump = (target: string): Instruction => ({
  ...make(CLASS_JMP | JMP_ALWAYS, 0, 0, 0, 0),
  target,
});
export const call = (helper: number): Instruction => make(CLASS_JMP | JMP_CALL, 0, 0, 0, helper);
export const exit = (): Instruction => make(CLASS_JMP | JMP_EXIT, 0, 0, 0, 0);

const LOAD_64 = CLASS_LD | MODE_IMM | SIZE_U64;

/** The map itself, as helpers want it. */
export function loadMap(dst: Register, map: string): Instruction {
  return { ...make(LOAD_64, dst, PSEUDO_MAP_FD, 0, 0), map, upper: 0 };
}

/** Address of a byte in the value of an array map with one entry. */
export function loadMapValue(dst: Register, map: string, offset = 0): Instruction {
  return { ...make(LOAD_64, dst, PSEUDO_MAP_VALUE, 0, 0), map, upper: offset };
}

export function isInstruction(line: Line): line is Instruction {
  return "opcode" in line;
}

/** How many units of 8 bytes an instruction takes. */
export function sizeOf(instruction: Instruction): number {
  return instruction.upper === undefined ? 1 : 2;
}
