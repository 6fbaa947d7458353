/**
 * An ODP program as the steps of an action program, or why there can be none. A program has no copy of a packet to change: a
 * clone that changes it goes last, after the outputs of the packet as it is; one that does not is unfolded. Nor can a packet
 * be cut for one output and be whole again for the next, so outputs of the whole go first where nothing changes in between.
 * Pure.
 */
import { ETH_TYPE_IPV4, ETH_TYPE_IPV6 } from "../../../flow/packet/ethernet.ts";
import {
  nestedStart,
  ODP_CLONE,
  ODP_DROP,
  ODP_METER,
  ODP_OUTPUT,
  ODP_POP_MPLS,
  ODP_POP_VLAN,
  ODP_PUSH_MPLS,
  ODP_PUSH_VLAN,
  ODP_SAMPLE,
  ODP_SET,
  ODP_TRUNC,
  ODP_USERSPACE,
} from "../../odp/actions.ts";
import type { Lookup } from "./places.ts";

export interface OutputStep {
  readonly kind: "output";
  readonly port: number;
  /** No more of the frame leaves, 0 for all of it. */
  readonly maxLength: number;
}

export type Step =
  | OutputStep
  /** The action at this index of the ODP program. */
  | { readonly kind: "change"; readonly at: number }
  | { readonly kind: "meter"; readonly id: number }
  /** Up with this operand. */
  | { readonly kind: "userspace"; readonly operand: number }
  | SampleStep
  /** Operand of ODP_DROP; nothing follows. */
  | { readonly kind: "drop"; readonly reason: number };

export interface SampleStep {
  readonly kind: "sample";
  /** In so many of 2^32 - 1 cases. */
  readonly probability: number;
  readonly steps: readonly Step[];
}

const ALWAYS = 0xffffffff;

/** Longest program that is worth one; the rest goes to user space. */
const MAX_STEPS = 256;

const NAMES = [
  "output",
  "push_vlan",
  "pop_vlan",
  "set",
  "userspace",
  "trunc",
  "recirc",
  "drop",
  "hash",
  "clone",
  "sample",
  "meter",
  "push_mpls",
  "pop_mpls",
  "check_pkt_len",
  "ct",
  "ct_clear",
];

export function stepsOf(program: Int32Array, lookup: Lookup): Step[] | string {
  const steps: Step[] = [];
  const reason = collect(program, 0, program.length, steps);
  if (reason !== undefined) return reason;
  if (steps.length > MAX_STEPS) return "too many actions";
  // What changes a packet that goes nowhere is not worth doing.
  while (steps.at(-1)?.kind === "change") steps.pop();
  return orderCuts(steps, lookup);
}

/** Appends the steps of program[start..end); the reason why not, when there can be none. */
function collect(program: Int32Array, start: number, end: number, steps: Step[]): string | undefined {
  let cut = 0;
  for (let at = start; at < end; at += program[at + 1]!) {
    const next = at + program[at + 1]!;
    switch (program[at]) {
      case ODP_OUTPUT:
        steps.push({ kind: "output", port: program[at + 2]!, maxLength: cut });
        cut = 0;
        break;
      case ODP_TRUNC:
        cut = program[at + 2]!;
        break;
      case ODP_PUSH_VLAN:
      case ODP_POP_VLAN:
      case ODP_PUSH_MPLS:
      case ODP_POP_MPLS:
      case ODP_SET:
        steps.push({ kind: "change", at });
        break;
      case ODP_USERSPACE:
        if (cut > 0) return "truncation of what goes up";
        steps.push({ kind: "userspace", operand: program[at + 2]! });
        break;
      case ODP_METER:
        steps.push({ kind: "meter", id: program[at + 2]! });
        break;
      case ODP_DROP:
        steps.push({ kind: "drop", reason: program[at + 2]! });
        return undefined;
      case ODP_CLONE:
      case ODP_SAMPLE: {
        const probability = program[at] === ODP_CLONE ? ALWAYS : program[at + 2]! >>> 0;
        if (probability === 0) break;
        const nested: Step[] = [];
        const reason = collect(program, nestedStart(program, at), next, nested);
        if (reason !== undefined) return reason;
        const needsCopy = next < end && !nested.every(leavesAsIs);
        if (probability !== ALWAYS) {
          if (needsCopy || nested.some(cuts)) return "action sample";
          steps.push({ kind: "sample", probability, steps: nested });
          break;
        }
        if (needsCopy) {
          if (cut > 0 || !onlyOutputs(program, next, end)) return "action clone";
          const reason = collect(program, next, end, steps);
          steps.push(...nested);
          return reason;
        }
        steps.push(...nested);
        break;
      }
      default:
        return `action ${NAMES[program[at]!] ?? program[at]}`;
    }
  }
  return undefined;
}

/** The packet is the same after it, and goes on. */
function leavesAsIs(step: Step): boolean {
  return (
    step.kind === "output" ||
    step.kind === "userspace" ||
    (step.kind === "sample" && step.steps.every(leavesAsIs))
  );
}

function cuts(step: Step): boolean {
  return step.kind === "output" && step.maxLength > 0;
}

function onlyOutputs(program: Int32Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += program[at + 1]!)
    if (program[at] !== ODP_OUTPUT && program[at] !== ODP_TRUNC) return false;
  return true;
}

/** Meters that a program asks. */
export function metersOf(program: Int32Array, start = 0, end = program.length): number[] {
  const ids: number[] = [];
  for (let at = start; at < end; at += program[at + 1]!) {
    if (program[at] === ODP_METER) ids.push(program[at + 2]!);
    const nested = nestedStart(program, at);
    if (nested > 0) ids.push(...metersOf(program, nested, at + program[at + 1]!));
  }
  return ids;
}

/** The longest parts of a packet first. */
function orderCuts(steps: Step[], lookup: Lookup): Step[] | string {
  const first = steps.findIndex(cuts);
  if (first < 0) return steps;
  const outputs: OutputStep[] = [];
  const ends: Step[] = [];
  for (const step of steps.slice(first)) {
    if (step.kind === "drop") ends.push(step);
    else if (step.kind !== "output") return "truncation before a change";
    else if (step.maxLength > 0 && step.maxLength < leastLength(lookup)) return "truncation to so few bytes";
    else outputs.push(step);
  }
  const rank = ({ maxLength }: OutputStep): number =>
    maxLength === 0 ? Number.POSITIVE_INFINITY : maxLength;
  outputs.sort((a, b) => (rank(a) === rank(b) ? 0 : rank(b) - rank(a)));
  return [...steps.slice(0, first), ...outputs, ...ends];
}

/** The kernel keeps a packet from losing its transport checksum: Ethernet, two tags, network header, TCP up to there. */
function leastLength({ ethType }: Lookup): number {
  const upToNetwork = 14 + 2 * 4;
  const transport = 18;
  return upToNetwork + (ethType === ETH_TYPE_IPV4 ? 20 : ethType === ETH_TYPE_IPV6 ? 40 : 60) + transport;
}

/** Every port that a program may send to, also from within nested ones. */
export function outputPorts(program: Int32Array, start = 0, end = program.length): number[] {
  const ports: number[] = [];
  for (let at = start; at < end; at += program[at + 1]!) {
    if (program[at] === ODP_OUTPUT) ports.push(program[at + 2]!);
    const nested = nestedStart(program, at);
    if (nested > 0) ports.push(...outputPorts(program, nested, at + program[at + 1]!));
  }
  return ports;
}
