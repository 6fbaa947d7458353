/**
 * Nanoseconds a packet of the eBPF datapath's programs alone, by the kernel's test run: the classifier as it is made for the
 * megaflows that there are ("special") beside one that parses every header and has every word in each key ("generic").
 */
import { openEbpfSystem } from "../../commands/ebpf-system.ts";
import { assemble } from "../../src/datapath/ebpf/asm/assemble.ts";
import { REDIRECT } from "../../src/datapath/ebpf/asm/helpers.ts";
import { call, exit, Mov, R1, R2 } from "../../src/datapath/ebpf/asm/instruction.ts";
import { EbpfObjects } from "../../src/datapath/ebpf/objects.ts";
import { Offload } from "../../src/datapath/ebpf/offload.ts";
import { classifierProgram, type MaskTable } from "../../src/datapath/ebpf/programs/classifier.ts";
import { VALUE_BYTES, VALUE_IFINDEX } from "../../src/datapath/ebpf/programs/layout.ts";
import {
  type Field,
  findLookup,
  type Lookup,
  lookupWords,
  writeLookup,
} from "../../src/datapath/ebpf/programs/places.ts";
import { NO_SHORTCUT } from "../../src/datapath/ebpf/shortcuts.ts";
import type { EbpfProgram } from "../../src/datapath/ebpf/system.ts";
import { ODP_OUTPUT, ODP_POP_VLAN, ODP_PUSH_VLAN, ODP_SET } from "../../src/datapath/odp/actions.ts";
import {
  FLOW_DP_WORDS,
  W_ARP_SHA_THA,
  W_ETH_DST_HI,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_NW,
  W_TCP_FLAGS,
  W_TP,
  W_VLAN0,
  W_VLAN1,
} from "../../src/flow/layout.ts";
import { type BpfProgram, loadProgram } from "../../src/sys/bpf.ts";
import { frame } from "../datapath/frames.ts";
import { median } from "./side.ts";

/** Test runs short enough to be left alone by the scheduler now and then: the least of them counts. */
const REPEAT = 20_000;
const RUNS = 40;
const PROCESSORS = 2;

export const redirectTo = (ifindex: number): BpfProgram =>
  loadProgram(
    "limit",
    assemble([Mov.imm(R1, ifindex), Mov.imm(R2, 0), call(REDIRECT), exit()], () => 0),
  );

type Words = Record<number, number>;

const row = (values: Words): Int32Array => {
  const words = new Int32Array(FLOW_DP_WORDS);
  for (const [word, value] of Object.entries(values)) words[Number(word)] = value;
  return words;
};
const KEY = row({
  [W_IN_PORT]: 1,
  [W_ETH_DST_HI]: 0x02000000,
  [W_ETH_DST_HI + 1]: 0x00010200,
  [W_ETH_DST_HI + 2]: 2,
  [W_ETH_TYPE]: 0x0800,
  [W_IPV4_SRC]: 0x0a000001,
  [W_IPV4_DST]: 0x0a000002,
  [W_NW]: 17,
  [W_TP]: (1000 << 16) | 2000,
});
const PACKET = Uint8Array.from(
  frame({
    tags: [],
    ip: 4,
    proto: "udp",
    src: [10, 0, 0, 1],
    dst: [10, 0, 0, 2],
    sport: 1000,
    dport: 2000,
    payload: new Array(18).fill(0),
  }),
);
const LEAST: Words = { [W_IN_PORT]: -1, [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff000000 | 0 };
const L2: Words = { ...LEAST, [W_ETH_DST_HI]: -1, [W_ETH_DST_HI + 1]: -1, [W_ETH_DST_HI + 2]: -1 };
const FIVE: Words = { ...LEAST, [W_NW]: 0xff0000ff | 0, [W_IPV4_SRC]: -1, [W_IPV4_DST]: -1, [W_TP]: -1 };
const OUT = [ODP_OUTPUT, 3, 1];
const set = (word: number, value: number): number[] => [ODP_SET, 5, word, value, -1];

interface Run {
  readonly ns: number;
  readonly median: number;
  readonly size: number;
}

function time(program: BpfProgram, packet: Uint8Array, expected: number, size: number): Run {
  const runs = Array.from({ length: RUNS }, () => {
    const { ns, result } = program.testRun(packet, REPEAT);
    if (result !== expected) throw new Error(`not redirected: ${result}`);
    return ns;
  });
  return { ns: Math.min(...runs), median: median(runs), size };
}

const TC_ACT_REDIRECT = 7;

/** Masks of `count` megaflows: all but the last have other bits, and other keys than the packet's. */
const maskOf = (mask: Words, i: number): Int32Array =>
  row(i === 0 ? mask : { ...mask, [W_IPV4_DST]: -1 << i, [W_ETH_DST_HI + 2]: -1 });
const OTHER = KEY.slice();
OTHER[W_ETH_DST_HI + 2] = 77;
OTHER[W_IPV4_DST] = 77;

/**
 * The classifier with `masks` masks, of which the last is the packet's. What actions set must be there already: one packet
 * goes round.
 */
function special(mask: Words, masks: number, actions: number[]): Run {
  const objects = new EbpfObjects(openEbpfSystem(), undefined);
  let program: EbpfProgram | undefined;
  const none = { cancel() {} };
  const offload = new Offload(objects, {
    clock: { now: () => 0, wall: () => 0, after: () => none, background: () => none, soon() {} },
    ifindexOf: (port) => port,
    portOf: (port) => ({ ifindex: port, tap: false }),
    hasMeter: () => false,
    shortcut: () => NO_SHORTCUT,
    allKnown() {},
    install: (next) => {
      program = next;
    },
    warn: (text) => {
      throw new Error(text);
    },
  });
  for (let i = 1; i < masks; i++) offload.put(i, OTHER, maskOf(mask, i), Int32Array.from(OUT));
  offload.put(0, KEY, row(mask), Int32Array.from(actions));
  offload.build();
  const run = time(program as BpfProgram, PACKET, TC_ACT_REDIRECT, offload.classifier!.size);
  offload.close();
  objects.close();
  return run;
}

/** Words that the packet's branch can match on, and in the others some that have all parsing done. */
const ALL = row({
  ...FIVE,
  ...L2,
  [W_ETH_SRC_LO]: -1,
  [W_VLAN0]: -1,
  [W_VLAN1]: -1,
  [W_NW]: -1,
  [W_TCP_FLAGS]: 0xffff,
  [W_IPV4_SRC]: -1,
  [W_IPV4_DST]: -1,
  [W_TP]: -1,
});
const OTHERS: readonly (readonly [key: Words, mask: Words])[] = [
  [{ [W_ETH_TYPE]: 0x86dd }, { [W_ETH_TYPE]: 0xffff, [W_NW]: 0x00ffffff, [W_IPV6_DST]: -1, [W_TP]: -1 }],
  [{ [W_ETH_TYPE]: 0x0806 }, { [W_ETH_TYPE]: 0xffff, [W_NW]: 0xff, [W_ARP_SHA_THA]: -1 }],
  [{ [W_ETH_TYPE]: 0x88cc }, { [W_ETH_TYPE]: 0xffff }],
  [{}, { [W_IN_PORT]: -1 }],
];

function lookupOf(key: Int32Array, mask: Int32Array): Lookup {
  const lookup = findLookup(key, mask, () => 1);
  if (typeof lookup === "string") throw new Error(lookup);
  return lookup;
}

function lookupKey(lookup: Lookup, key: Int32Array): Int32Array {
  const words = new Int32Array(lookupWords(lookup));
  writeLookup(lookup, key, words, 0);
  return words;
}

const place = ({ base, offset }: Field): string => `${base}${offset}`;

/** The same by one program for anything. */
function generic(mask: Words, masks: number): Run {
  const objects = new EbpfObjects(openEbpfSystem(), undefined);
  const tables: MaskTable[] = [];
  const add = ({ branch }: Lookup, fields: readonly Field[], key: Uint8Array): void => {
    const map = `mask_${tables.length}`;
    const value = new Uint8Array(VALUE_BYTES);
    value[VALUE_IFINDEX] = 1;
    objects.addFlowMap(map, key.length, VALUE_BYTES, 1024).update(key, value);
    tables.push({ branch, fields, map });
  };
  for (let i = masks - 1; i >= 0; i--) {
    const bits = new Map(lookupOf(KEY, maskOf(mask, i)).fields.map((field) => [place(field), field.bits]));
    const flow = i === 0 ? KEY : OTHER;
    const all = lookupOf(flow, ALL);
    const fields = all.fields.map((field) => ({ ...field, bits: bits.get(place(field)) ?? 0 }));
    const key = lookupKey(all, flow).map((word, at) => word & fields[at]!.bits);
    add(all, fields, new Uint8Array(key.buffer));
  }
  const whole = lookupOf(KEY, ALL);
  add(whole, whole.fields, new Uint8Array(lookupWords(whole) * 4));
  for (const [key, other] of OTHERS) {
    const lookup = lookupOf(row(key), row(other));
    add(lookup, lookup.fields, new Uint8Array(lookupKey(lookup, row(key)).buffer));
  }
  const { program, size } = objects.load(
    "generic",
    classifierProgram({ processors: PROCESSORS, vlanLimit: 2, tables }),
  );
  const run = time(program as BpfProgram, PACKET, TC_ACT_REDIRECT, size);
  program.close();
  objects.close();
  return run;
}

const CASES: readonly (readonly [what: string, mask: Words, masks: number, actions: number[] | undefined])[] =
  [
    ["1 mask, addresses of Ethernet", L2, 1, undefined],
    ["1 mask, addresses and ports of IPv4", FIVE, 1, undefined],
    ["4 masks", FIVE, 4, undefined],
    ["16 masks", FIVE, 16, undefined],
    [
      "1 mask, addresses and ports set",
      FIVE,
      1,
      [
        ...set(W_IPV4_SRC, 0x0a000001),
        ...set(W_IPV4_DST, 0x0a000002),
        ...set(W_TP, (1000 << 16) | 2000),
        ...OUT,
      ],
    ],
    // One packet goes round: it must leave as it came.
    ["1 mask, a tag pushed and popped", FIVE, 1, [ODP_PUSH_VLAN, 3, 0x81001064 | 0, ODP_POP_VLAN, 2, ...OUT]],
  ];

/** Prints the table. */
export function programs(): void {
  const show = (run: Run): string => `${run.ns} (${run.median})`.padStart(12) + `${run.size}`.padStart(7);
  console.log(
    `${"ns a packet (median), instructions".padEnd(36)}${"special".padStart(19)}${"generic".padStart(19)}`,
  );
  console.log(
    `${"redirect alone".padEnd(36)}${show(time(redirectTo(1), new Uint8Array(64), TC_ACT_REDIRECT, 4))}`,
  );
  for (const [what, mask, masks, actions] of CASES) {
    const line = `${what.padEnd(36)}${show(special(mask, masks, actions ?? OUT))}`;
    console.log(actions === undefined ? `${line}${show(generic(mask, masks))}` : line);
  }
}
