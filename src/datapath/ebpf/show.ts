/** What dpif-ebpf/show and dpif-ebpf/dump-program print. */
import { formatProgram } from "./asm/listing.ts";
import type { EbpfDpif } from "./dpif.ts";
import type { LoadedProgram } from "./objects.ts";
import { COUNT_POLICED } from "./programs/layout.ts";
import type { Field } from "./programs/places.ts";

function programs(dpif: EbpfDpif): LoadedProgram[] {
  const { classifier, actions } = dpif.offload;
  const { objects } = dpif;
  return [
    objects.upcall,
    ...(objects.hasPolice ? [objects.police] : []),
    ...(classifier === undefined ? [] : [classifier]),
    ...actions.loaded(),
  ];
}

function describeProgram({ name, program, size }: LoadedProgram): string {
  const { id, jitedBytes, verifiedInstructions } = program.info();
  return `  ${name}: id ${id}, ${size} instructions, ${jitedBytes} bytes jited, ${verifiedInstructions} verified\n`;
}

function describeField({ base, offset, bits }: Field): string {
  const where = base === "port" ? "port" : base === "slot" ? `parsed${offset}` : `${base}+${offset}`;
  return bits === -1 ? where : `${where}/0x${(bits >>> 0).toString(16)}`;
}

export function showEbpf(dpif: EbpfDpif): string {
  const { offload } = dpif;
  const { up, lost } = dpif.handedUp();
  offload.countHits();
  let text = `${dpif.type}@${dpif.name}:\n`;
  text += `  flows in programs: ${offload.size}, left to userspace: ${offload.leftToUserspace}\n`;
  for (const [reason, count] of [...offload.reasons].sort(([a], [b]) => (a < b ? -1 : 1)))
    text += `    ${reason}: ${count}\n`;
  text += `  packets by programs: ${offload.packets()}, handed up: ${up}, lost: ${lost}\n`;
  const policed = dpif.objects.counter(COUNT_POLICED);
  if (policed > 0) text += `  dropped by policing: ${policed}\n`;
  text += `  classifiers made: ${offload.builds}, the last in ${offload.buildMs.toFixed(1)} ms\n`;
  const { pins } = dpif;
  text += typeof pins === "string" ? `  not pinned: ${pins}\n` : `  pinned: ${pins.path}\n`;
  text += " ports:\n";
  for (const { odpPort, name, ifindex, tap, limits } of dpif.attached.values())
    text += `  ${odpPort} ${name}: ifindex ${ifindex}, ${tap ? "egress of a tap" : "ingress"}${limits === "" ? "" : ", policed"}${dpif.shortcuts.isOpen(odpPort) ? ", shortcut to its far end" : ""}\n`;
  text += " masks:\n";
  for (const table of offload.tables.values()) {
    const fields = table.fields.map(describeField).join(" ");
    text += `  ${table.map} ${table.branch}: ${table.size} flows, ${table.hits} hits${table.live ? "" : ", not yet asked"}: ${fields}\n`;
  }
  text += " maps:\n";
  for (const { spec } of dpif.objects.maps.values())
    text += `  ${spec.name}: ${spec.entries} entries of ${spec.keyBytes} + ${spec.valueBytes} bytes\n`;
  text += " programs:\n";
  for (const program of programs(dpif)) text += describeProgram(program);
  return text;
}

/** All programs, or the one of that name; undefined when there is none. */
export function dumpPrograms(dpif: EbpfDpif, name: string | undefined): string | undefined {
  const wanted = programs(dpif).filter((program) => name === undefined || program.name === name);
  if (wanted.length === 0) return undefined;
  return wanted.map((program) => `${program.name}:\n${formatProgram(program.lines)}`).join("\n");
}
