/**
 * Lookups a second in one OpenFlow table: 100 000 rules of 1 to 1000 masks, and a million rules of 100. With OVSTREE=FOLDER, a
 * built tree of the original, classifier-peer.c is compiled against it and searches the same rules for the same packets; rounds
 * take turns, and ratios of the medians are printed. Time is the thread's own CPU time.
 *
 * A mask is a set of fields, addresses with one of three prefix lengths. Values come from a thousand of each field, of
 * addresses from many; half of the packets are made to match some rule. Lookups go without wildcards, as for packet-outs, and
 * with, as in a translation.
 */
import { dlopen, ptr } from "bun:ffi";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Classifier } from "../../src/flow/classifier/classifier.ts";
import {
  FLOW_WORDS,
  type Flow,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_METADATA_HI,
  W_METADATA_LO,
  W_NW,
  W_TP,
  W_TUN_ID_HI,
  W_TUN_ID_LO,
} from "../../src/flow/layout.ts";
import { type Match, makeMatch } from "../../src/flow/match.ts";
import { median } from "./side.ts";

const LOOKUPS = 300_000;
const ROUNDS = 5;
const PRIORITIES = 8;
const PACKETS = 4096;
const CASES = [
  { rules: 100_000, masks: 1 },
  { rules: 100_000, masks: 10 },
  { rules: 100_000, masks: 100 },
  { rules: 100_000, masks: 1000 },
  { rules: 1_000_000, masks: 100 },
] as const;

/** The fields of a row, in classifier-peer.c's order. */
const FIELDS = ["in_port", "metadata", "tun_id", "dl_src", "dl_dst", "nw_src", "nw_dst", "tp_src", "tp_dst"];
const COUNT = FIELDS.length;
const NW_SRC = 5;
const NW_DST = 6;
const PREFIXES = [-1, 0xffffff00 | 0, 0xffff0000 | 0];

let seed = 1;
function random(below: number): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % below;
}

function randomValue(field: number): number {
  if (field === NW_SRC || field === NW_DST) return 0x0a000000 | random(1 << 22);
  return 1 + random(1000);
}

/** Different masks; the first has all fields, so that there can be as many rules as asked for. */
function makeMasks(count: number): Int32Array[] {
  const masks = new Map<string, Int32Array>();
  while (masks.size < count) {
    const fields = masks.size === 0 ? (1 << COUNT) - 1 : random(1 << COUNT) | (1 << NW_DST);
    const mask = new Int32Array(COUNT);
    for (let i = 0; i < COUNT; i++) if ((fields & (1 << i)) !== 0) mask[i] = -1;
    for (const i of [NW_SRC, NW_DST]) if (mask[i] !== 0 && masks.size > 0) mask[i] = PREFIXES[random(3)]!;
    masks.set(mask.join(), mask);
  }
  return [...masks.values()];
}

function setField(to: Flow, field: number, value: number, prefixed: boolean): void {
  // Of a mask all bits are set, whatever the width.
  const all = !prefixed && value === -1;
  switch (field) {
    case 0:
      to[W_IN_PORT] = value;
      return;
    case 1:
      to[W_METADATA_HI] = all ? -1 : 0;
      to[W_METADATA_LO] = value;
      return;
    case 2:
      to[W_TUN_ID_HI] = all ? -1 : 0;
      to[W_TUN_ID_LO] = value;
      return;
    case 3:
      to[W_ETH_DST_SRC] = to[W_ETH_DST_SRC]! | (all ? 0xffff : 0x0200);
      to[W_ETH_SRC_LO] = value;
      return;
    case 4:
      to[W_ETH_DST_HI] = all ? -1 : 0x02000000 | (value >>> 16);
      to[W_ETH_DST_SRC] = to[W_ETH_DST_SRC]! | (value << 16);
      return;
    case NW_SRC:
      to[W_IPV4_SRC] = value;
      return;
    case NW_DST:
      to[W_IPV4_DST] = value;
      return;
    case 7:
      to[W_TP] = to[W_TP]! | (value << 16);
      return;
    default:
      to[W_TP] = to[W_TP]! | (value & 0xffff);
  }
}

/** A row of values as a flow, or of a rule's values and masks as a match. */
function flowOf(values: Int32Array): Flow {
  const flow = new Int32Array(FLOW_WORDS);
  flow[W_ETH_TYPE] = 0x0800;
  flow[W_NW] = 6;
  for (let i = 0; i < COUNT; i++) setField(flow, i, values[i]!, true);
  return flow;
}

function matchOf(values: Int32Array, mask: Int32Array): Match {
  const match = makeMatch();
  match.flow[W_ETH_TYPE] = 0x0800;
  match.mask[W_ETH_TYPE] = 0xffff;
  match.flow[W_NW] = 6;
  match.mask[W_NW] = 0xff;
  for (let i = 0; i < COUNT; i++) {
    if (mask[i] === 0) continue;
    setField(match.mask, i, mask[i]!, false);
    setField(match.flow, i, values[i]! & mask[i]!, true);
  }
  return match;
}

interface Load {
  classifier: Classifier;
  packets: Flow[];
  /** classifier-peer.c's standard input. */
  input: Int32Array;
}

function makeLoad(rules: number, maskCount: number): Load {
  seed = 1;
  const classifier = new Classifier();
  const masks = makeMasks(maskCount);
  const words: Int32Array[] = [];
  const rows: Int32Array[] = [];
  // Masks of few fields have few different rules: those that are there already are left out.
  for (let i = 0; i < rules; i++) {
    const mask = masks[i % masks.length]!;
    const values = Int32Array.from(FIELDS, (_, field) => randomValue(field));
    const match = matchOf(values, mask);
    const priority = 1 + random(PRIORITIES);
    if (classifier.findExact(match, priority) >= 0) continue;
    classifier.insert(match, priority);
    words.push(Int32Array.of(priority, ...values, ...mask));
    if (rows.length < 65_536) rows.push(values);
  }
  const packets: Flow[] = [];
  const head = Int32Array.of(words.length, PACKETS, LOOKUPS, 1);
  for (let i = 0; i < PACKETS; i++) {
    const values =
      i % 2 === 0 ? rows[random(rows.length)]! : Int32Array.from(FIELDS, (_, field) => randomValue(field));
    packets.push(flowOf(values));
    words.push(values);
  }
  const input = new Int32Array(head.length + words.reduce((sum, each) => sum + each.length, 0));
  input.set(head);
  let at = head.length;
  for (const each of words) {
    input.set(each, at);
    at += each.length;
  }
  return { classifier, packets, input };
}

const { symbols: libc } = dlopen("libc.so.6", {
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
});
const time = new BigInt64Array(2);
function cpuSeconds(): number {
  libc.clock_gettime(3, ptr(time)); // CLOCK_THREAD_CPUTIME_ID
  return Number(time[0]) + Number(time[1]) / 1e9;
}

function lookups({ classifier, packets }: Load, wildcards: boolean): number {
  const mask = new Int32Array(FLOW_WORDS);
  const began = cpuSeconds();
  for (let i = 0; i < LOOKUPS; i++) {
    if (wildcards) mask.fill(0);
    classifier.lookup(packets[i & (PACKETS - 1)]!, wildcards ? mask : undefined);
  }
  return LOOKUPS / (cpuSeconds() - began);
}

/** The peer's program, compiled; undefined without a tree of the original. */
function buildPeer(folder: string): string | undefined {
  const tree = process.env.OVSTREE;
  if (tree === undefined) return undefined;
  const program = join(folder, "classifier-peer");
  const source = fileURLToPath(new URL("./classifier-peer.c", import.meta.url));
  const include = ["include", "lib", "."].map((name) => `-I${join(tree, name)}`);
  const libraries = ["libopenvswitch.a", "libsflow.a"].map((name) => join(tree, "lib/.libs", name));
  const args = ["-O2", ...include, "-o", program, source, ...libraries];
  const r = spawnSync("cc", [...args, "-lcap-ng", "-lssl", "-lcrypto", "-latomic", "-lm", "-lpthread"], {
    encoding: "utf8",
  });
  if (r.status !== 0) throw new Error(`cannot build classifier-peer: ${r.stderr}`);
  return program;
}

/** Lookups a second without and with wildcards, and how many packets matched. */
function peerRound(program: string, { input }: Load): [number, number, number] {
  const r = spawnSync(program, { input: new Uint8Array(input.buffer), encoding: "utf8", maxBuffer: 1 << 20 });
  if (r.status !== 0) throw new Error(`classifier-peer: ${r.stderr}`);
  return r.stdout.trim().split(/\s+/).map(Number) as [number, number, number];
}

const folder = mkdtempSync(join(tmpdir(), "ovsbox-bench-classifier-"));
try {
  const program = buildPeer(folder);
  for (const { rules, masks } of CASES) {
    const load = makeLoad(rules, masks);
    const hits = load.packets.filter((packet) => load.classifier.lookup(packet, undefined) >= 0).length;
    const rates: [number[], number[]] = [[], []];
    const peers: [number[], number[]] = [[], []];
    // The first is for warming up.
    for (let round = 0; round <= ROUNDS; round++) {
      const ours = [lookups(load, false), lookups(load, true)];
      if (round === 0) continue;
      for (const i of [0, 1] as const) rates[i].push(ours[i]!);
      if (program === undefined) continue;
      const theirs = peerRound(program, load);
      if (theirs[2] !== hits) throw new Error(`${hits} packets match here, ${theirs[2]} in the original`);
      for (const i of [0, 1] as const) peers[i].push(theirs[i]!);
    }
    for (const i of [0, 1] as const) {
      const what = `${load.classifier.size} rules, ${load.classifier.subtables} masks${i === 1 ? ", with wildcards" : ""}`;
      const rate = median(rates[i]);
      const theirs = median(peers[i]);
      const beside =
        program === undefined
          ? ""
          : `, the original ${Math.round(theirs)}, ratio ${(rate / theirs).toFixed(2)}`;
      console.log(`${what}: ${Math.round(rate)} lookups/s${beside}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
