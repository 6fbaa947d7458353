/** Lines as text, in the notation of the kernel's verifier with our names for labels, maps and helpers. Pure. */
import { helperName } from "./helpers.ts";
import {
  ALU_ADD,
  ALU_AND,
  ALU_END,
  ALU_LSH,
  ALU_MOV,
  ALU_MUL,
  ALU_OR,
  ALU_RSH,
  ALU_SUB,
  ALU_XOR,
  CLASS_ALU32,
  CLASS_ALU64,
  CLASS_JMP,
  CLASS_LD,
  CLASS_LDX,
  CLASS_ST,
  CLASS_STX,
  type Instruction,
  isInstruction,
  JMP_ALWAYS,
  JMP_CALL,
  JMP_EQ,
  JMP_EXIT,
  JMP_GE,
  JMP_GT,
  JMP_LE,
  JMP_LT,
  JMP_NE,
  JMP_SET,
  type Line,
  SIZE_U8,
  SIZE_U16,
  SIZE_U32,
  SOURCE_REG,
  sizeOf,
} from "./instruction.ts";

const ALU_TEXT = new Map([
  [ALU_ADD, "+="],
  [ALU_SUB, "-="],
  [ALU_MUL, "*="],
  [ALU_OR, "|="],
  [ALU_AND, "&="],
  [ALU_LSH, "<<="],
  [ALU_RSH, ">>="],
  [ALU_XOR, "^="],
  [ALU_MOV, "="],
]);

const JMP_TEXT = new Map([
  [JMP_EQ, "=="],
  [JMP_GT, ">"],
  [JMP_GE, ">="],
  [JMP_SET, "&"],
  [JMP_NE, "!="],
  [JMP_LT, "<"],
  [JMP_LE, "<="],
]);

const number = (value: number): string =>
  value > -10 && value < 10 ? String(value) : `0x${(value >>> 0).toString(16)}`;

function address(register: number, offset: number): string {
  return `(r${register} ${offset < 0 ? "-" : "+"} ${Math.abs(offset)})`;
}

function sizeText(opcode: number): string {
  switch (opcode & 0x18) {
    case SIZE_U8:
      return "u8";
    case SIZE_U16:
      return "u16";
    case SIZE_U32:
      return "u32";
    default:
      return "u64";
  }
}

export function formatInstruction(line: Instruction): string {
  const { opcode, dst, src, offset, imm } = line;
  const instructionClass = opcode & 7;
  const code = opcode & 0xf0;
  switch (instructionClass) {
    case CLASS_LD:
      if (line.map === undefined) return `r${dst} = ${number(imm)} ll`;
      return line.src === 1 ? `r${dst} = map ${line.map}` : `r${dst} = &${line.map}[${line.upper}]`;
    case CLASS_LDX:
      return `r${dst} = *(${sizeText(opcode)} *)${address(src, offset)}`;
    case CLASS_ST:
      return `*(${sizeText(opcode)} *)${address(dst, offset)} = ${number(imm)}`;
    case CLASS_STX:
      return `*(${sizeText(opcode)} *)${address(dst, offset)} = r${src}`;
    case CLASS_ALU32:
    case CLASS_ALU64: {
      const prefix = instructionClass === CLASS_ALU32 ? "w" : "r";
      if (code === ALU_END) return `r${dst} = be${imm} r${dst}`;
      const operand = (opcode & SOURCE_REG) !== 0 ? `${prefix}${src}` : number(imm);
      return `${prefix}${dst} ${ALU_TEXT.get(code) ?? `alu ${code}`} ${operand}`;
    }
    default: {
      if (code === JMP_ALWAYS) return `goto ${line.target}`;
      if (code === JMP_CALL) return `call ${helperName(imm)}`;
      if (code === JMP_EXIT) return "exit";
      const prefix = instructionClass === CLASS_JMP ? "r" : "w";
      const operand = (opcode & SOURCE_REG) !== 0 ? `${prefix}${src}` : number(imm);
      return `if ${prefix}${dst} ${JMP_TEXT.get(code) ?? `jmp ${code}`} ${operand} goto ${line.target}`;
    }
  }
}

/** A line each: instructions with their place (as in the verifier's log), labels, comments. */
export function formatProgram(lines: readonly Line[]): string {
  let at = 0;
  let text = "";
  for (const line of lines) {
    if (isInstruction(line)) {
      text += `${String(at).padStart(5)}: ${formatInstruction(line)}\n`;
      at += sizeOf(line);
    } else text += "label" in line ? `${line.label}:\n` : `       ; ${line.comment}\n`;
  }
  return text;
}
