/**
 * A BPF interpreter written to be obvious: 64-bit registers are bigints, memory is a list of byte arrays with addresses of
 * their own, and every access is checked. It runs the bytes that would be loaded, not what they were made from.
 */
import * as bpf from "../../../src/datapath/ebpf/asm/instruction.ts";

const U64 = (1n << 64n) - 1n;
const SPACE = 36n;

/** Byte arrays by address: each has 2^36 addresses of its own, of which its length are valid. */
export class Memory {
  private readonly regions: Uint8Array[] = [];

  add(bytes: Uint8Array): bigint {
    return BigInt(this.regions.push(bytes)) << SPACE;
  }

  at(address: bigint, length: number): Uint8Array {
    const region = this.regions[Number(address >> SPACE) - 1];
    const offset = Number(address & ((1n << SPACE) - 1n));
    if (region === undefined || offset + length > region.length)
      throw new Error(`access to ${address.toString(16)}, ${length} bytes`);
    return region.subarray(offset, offset + length);
  }
}

export interface Environment {
  readonly memory: Memory;
  /** Value of a load of 64 bits: a map's handle, or an address in its value. */
  mapAddress(fd: number, value: boolean, offset: number): bigint;
  loadContext(offset: number): bigint;
  storeContext(offset: number, value: number): void;
  /** R1 to R5; returns R0, or a program to go on with in place of this one. */
  call(helper: number, args: bigint[]): bigint | Uint8Array;
}

export const CONTEXT = 1n << 60n;

function sized(opcode: number): number {
  switch (opcode & 0x18) {
    case bpf.SIZE_U8:
      return 1;
    case bpf.SIZE_U16:
      return 2;
    case bpf.SIZE_U32:
      return 4;
    default:
      return 8;
  }
}

function read(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

function write(bytes: Uint8Array, value: bigint): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

function alu(code: number, a: bigint, b: bigint, bits: bigint): bigint {
  switch (code) {
    case bpf.ALU_ADD:
      return a + b;
    case bpf.ALU_SUB:
      return a - b;
    case bpf.ALU_MUL:
      return a * b;
    case bpf.ALU_OR:
      return a | b;
    case bpf.ALU_AND:
      return a & b;
    case bpf.ALU_XOR:
      return a ^ b;
    case bpf.ALU_LSH:
      return a << (b & (bits - 1n));
    case bpf.ALU_RSH:
      return a >> (b & (bits - 1n));
    case bpf.ALU_MOV:
      return b;
    default:
      throw new Error(`arithmetic ${code}`);
  }
}

function holds(code: number, a: bigint, b: bigint): boolean {
  switch (code) {
    case bpf.JMP_EQ:
      return a === b;
    case bpf.JMP_NE:
      return a !== b;
    case bpf.JMP_GT:
      return a > b;
    case bpf.JMP_GE:
      return a >= b;
    case bpf.JMP_LT:
      return a < b;
    case bpf.JMP_LE:
      return a <= b;
    case bpf.JMP_SET:
      return (a & b) !== 0n;
    default:
      throw new Error(`condition ${code}`);
  }
}

/** The kernel's verifier refuses instructions that nothing leads to. Throws when there are any. */
export function checkReachable(program: Uint8Array): void {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const seen = new Set<number>();
  const todo = [0];
  for (let pc = todo.pop(); pc !== undefined; pc = todo.pop()) {
    if (seen.has(pc)) continue;
    seen.add(pc);
    const opcode = view.getUint8(pc * 8);
    const code = opcode & 0xf0;
    const jumps = (opcode & 7) === bpf.CLASS_JMP || (opcode & 7) === bpf.CLASS_JMP32;
    if (opcode === 0x18) seen.add(pc + 1);
    if (jumps && code === bpf.JMP_EXIT) continue;
    if (jumps && code !== bpf.JMP_CALL) todo.push(pc + 1 + view.getInt16(pc * 8 + 2, true));
    if (!jumps || code !== bpf.JMP_ALWAYS) todo.push(pc + (opcode === 0x18 ? 2 : 1));
  }
  for (let pc = 0; pc < program.length / 8; pc++)
    if (!seen.has(pc)) throw new Error(`instruction ${pc} is unreachable`);
}

/** Runs a program to its end; returns R0. */
export function interpret(program: Uint8Array, environment: Environment): number {
  const { memory } = environment;
  const stack = memory.add(new Uint8Array(512)) + 512n;
  let view = new DataView(program.buffer, program.byteOffset, program.length);
  let r = start(stack);
  for (let pc = 0, steps = 0; ; pc++, steps++) {
    if (steps > 100_000) throw new Error("does not end");
    const opcode = view.getUint8(pc * 8);
    const registers = view.getUint8(pc * 8 + 1);
    const dst = registers & 15;
    const src = registers >> 4;
    const offset = view.getInt16(pc * 8 + 2, true);
    const imm = view.getInt32(pc * 8 + 4, true);
    const source = (opcode & bpf.SOURCE_REG) !== 0 ? r[src]! : BigInt(imm) & U64;
    const code = opcode & 0xf0;
    switch (opcode & 7) {
      case bpf.CLASS_LD:
        r[dst] = environment.mapAddress(imm, src === bpf.PSEUDO_MAP_VALUE, view.getInt32(++pc * 8 + 4, true));
        break;
      case bpf.CLASS_LDX:
        if (r[src] === CONTEXT) r[dst] = environment.loadContext(offset);
        else r[dst] = read(memory.at(r[src]! + BigInt(offset), sized(opcode)));
        break;
      case bpf.CLASS_ST:
        write(memory.at(r[dst]! + BigInt(offset), sized(opcode)), BigInt(imm) & U64);
        break;
      case bpf.CLASS_STX:
        if (r[dst] === CONTEXT) environment.storeContext(offset, Number(r[src]! & 0xffffffffn));
        else write(memory.at(r[dst]! + BigInt(offset), sized(opcode)), r[src]!);
        break;
      case bpf.CLASS_ALU64:
        r[dst] = alu(code, r[dst]!, source, 64n) & U64;
        break;
      case bpf.CLASS_ALU32:
        if (code === bpf.ALU_END) {
          const bytes = new Uint8Array(imm / 8);
          write(bytes, r[dst]!);
          r[dst] = read(bytes.reverse());
        } else r[dst] = alu(code, r[dst]! & 0xffffffffn, source & 0xffffffffn, 32n) & 0xffffffffn;
        break;
      case bpf.CLASS_JMP32:
        if (holds(code, r[dst]! & 0xffffffffn, source & 0xffffffffn)) pc += offset;
        break;
      default:
        if (code === bpf.JMP_EXIT) return Number(r[0]! & 0xffffffffn);
        if (code === bpf.JMP_CALL) {
          const result = environment.call(imm, r.slice(1, 6));
          if (result instanceof Uint8Array) {
            view = new DataView(result.buffer, result.byteOffset, result.length);
            r = start(stack);
            pc = -1;
          } else {
            r.splice(0, 6, result & U64, -1n, -1n, -1n, -1n, -1n);
          }
        } else if (code === bpf.JMP_ALWAYS || holds(code, r[dst]!, source)) pc += offset;
    }
  }
}

/** What has not been written must not be read: -1 is no address and a suspicious number. */
function start(stack: bigint): bigint[] {
  return [-1n, CONTEXT, -1n, -1n, -1n, -1n, -1n, -1n, -1n, -1n, stack];
}
