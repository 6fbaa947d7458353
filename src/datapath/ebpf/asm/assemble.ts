/** Lines to the bytes that bpf(2) loads: jumps find their labels, maps their descriptors. Pure. */
import { type Instruction, isInstruction, type Line, sizeOf } from "./instruction.ts";

export const INSTRUCTION_BYTES = 8;

/** Places of labels, in units of 8 bytes from the start. Throws for a label that is there twice. */
export function placeLabels(lines: readonly Line[]): Map<string, number> {
  const places = new Map<string, number>();
  let at = 0;
  for (const line of lines) {
    if (isInstruction(line)) at += sizeOf(line);
    else if ("label" in line) {
      if (places.has(line.label)) throw new Error(`label ${line.label} is there twice`);
      places.set(line.label, at);
    }
  }
  return places;
}

/** Units of 8 bytes that the lines take. */
export function programSize(lines: readonly Line[]): number {
  let size = 0;
  for (const line of lines) if (isInstruction(line)) size += sizeOf(line);
  return size;
}

/**
 * `fdOf` gives a map's descriptor. Throws for an unknown label, and for a jump of more than 32767 instructions, which has no
 * encoding.
 */
export function assemble(lines: readonly Line[], fdOf: (map: string) => number): Uint8Array {
  const places = placeLabels(lines);
  const bytes = new Uint8Array(programSize(lines) * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const line of lines) {
    if (!isInstruction(line)) continue;
    const offset = line.target === undefined ? line.offset : jumpOffset(line, at, places);
    const imm = line.map === undefined ? line.imm : fdOf(line.map);
    write(view, at, line.opcode, (line.src << 4) | line.dst, offset, imm);
    if (line.upper !== undefined) write(view, at + 1, 0, 0, 0, line.upper);
    at += sizeOf(line);
  }
  return bytes;
}

/** From the instruction after the jump. */
function jumpOffset(line: Instruction, at: number, places: Map<string, number>): number {
  const place = places.get(line.target!);
  if (place === undefined) throw new Error(`no label ${line.target}`);
  const offset = place - at - 1;
  if (offset < -0x8000 || offset > 0x7fff) throw new Error(`${line.target} is too far to jump to`);
  return offset;
}

function write(
  view: DataView,
  unit: number,
  opcode: number,
  registers: number,
  offset: number,
  imm: number,
): void {
  const at = unit * INSTRUCTION_BYTES;
  view.setUint8(at, opcode);
  view.setUint8(at + 1, registers);
  view.setInt16(at + 2, offset, true);
  view.setInt32(at + 4, imm, true);
}
