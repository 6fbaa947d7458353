/**
 * Lookups a second in one OpenFlow table with 1 to 1000 masks, and with a million rules. Rules and packets are made as
 * the original's `ovstest test-classifier benchmark` makes them: each field has few values, each mask is a set of whole
 * fields. With OVSTEST=FILE (built from the original's sources; no package has it) that runs in turns with ours, and
 * ratios are printed. Rounds take turns; medians of five.
 */
import { spawnSync } from "node:child_process";
import { Classifier } from "../../src/flow/classifier/classifier.ts";
import { FLOW_WORDS } from "../../src/flow/layout.ts";
import { parseMatch } from "../../src/flow/match-text.ts";
import { median } from "./side.ts";

const LOOKUPS = 1_000_000;
const ROUNDS = 5;
const PRIORITIES = 10;
const PACKETS = 4096;

/** Each field with two values. */
const FIELDS = [
  ["in_port=1", "in_port=2"],
  ["metadata=0x1", "metadata=0x2"],
  ["tun_id=0xfedcba987654", "tun_id=0x9191"],
  ["nw_src=192.168.0.1", "nw_src=192.160.68.85"],
  ["nw_dst=192.168.0.2", "nw_dst=192.96.68.85"],
  ["dl_vlan=101", "dl_vlan=0xffff"],
  ["tp_src=4362", "tp_src=80"],
  ["tp_dst=4362", "tp_dst=80"],
  ["dl_src=00:02:e3:0f:80:a4", "dl_src=5e:33:7f:5f:1e:99"],
  ["dl_dst=4a:27:71:ae:64:c1", "dl_dst=ff:ff:ff:ff:ff:ff"],
  ["nw_tos=48", "nw_tos=0"],
] as const;

let seed = 1;
function random(below: number): number {
  seed ^= seed << 13;
  seed ^= seed >>> 17;
  seed ^= seed << 5;
  return (seed >>> 0) % below;
}

/** The fields whose bit is set, with random values. */
function makeMatch(fields: number) {
  const items = FIELDS.filter((_, i) => (fields & (1 << i)) !== 0).map((values) => values[random(2)]!);
  const parsed = parseMatch(["tcp", ...items].join(","));
  if ("error" in parsed) throw new Error(parsed.error);
  return parsed.match;
}

function shuffledMasks(count: number): number[] {
  const all = Array.from({ length: 1 << FIELDS.length }, (_, fields) => fields);
  for (let i = all.length - 1; i > 0; i--) {
    const j = random(i + 1);
    [all[i], all[j]] = [all[j]!, all[i]!];
  }
  return all.slice(0, count);
}

/** `spread`: exact addresses besides, so that there are as many different rules as asked for. */
function makeClassifier(rules: number, masks: number, spread: boolean): Classifier {
  const classifier = new Classifier();
  const sets = shuffledMasks(masks);
  for (let i = 0; i < rules; i++) {
    const match = makeMatch(sets[i % sets.length]!);
    if (spread) {
      match.mask.set(SPREAD_MASK, FIRST_SPREAD);
      match.flow[FIRST_SPREAD] = i;
      match.flow[FIRST_SPREAD + 1] = i >>> 4;
    }
    const priority = 1 + random(PRIORITIES);
    if (classifier.findExact(match, priority) < 0) classifier.insert(match, priority);
  }
  return classifier;
}
/** ipv4 source and destination. */
const FIRST_SPREAD = 21;
const SPREAD_MASK = Int32Array.of(-1, -1);

function lookups(classifier: Classifier, wildcards: boolean): number {
  const packets = Array.from({ length: PACKETS }, () => {
    const flow = new Int32Array(FLOW_WORDS);
    flow.set(makeMatch((1 << FIELDS.length) - 1).flow);
    return flow;
  });
  const mask = new Int32Array(FLOW_WORDS);
  const began = performance.now();
  for (let i = 0; i < LOOKUPS; i++) {
    if (wildcards) mask.fill(0);
    classifier.lookup(packets[i & (PACKETS - 1)]!, wildcards ? mask : undefined);
  }
  return LOOKUPS / ((performance.now() - began) / 1000);
}

/** Without and with wildcards. */
function original(ovstest: string, rules: number, masks: number): [number, number] {
  const args = ["test-classifier", "benchmark", rules, PRIORITIES, masks, 1, LOOKUPS].map(String);
  const { stdout } = spawnSync(ovstest, args, { encoding: "utf8" });
  const rates = [...stdout.matchAll(/(\d+) lookups\/sec/g)].map((found) => Number(found[1]));
  return [rates[0] ?? Number.NaN, rates[1] ?? Number.NaN];
}

const ovstest = process.env.OVSTEST;
for (const [rules, masks] of [
  [10_000, 1],
  [10_000, 10],
  [10_000, 100],
  [10_000, 1000],
  [1_000_000, 100],
] as const) {
  const classifier = makeClassifier(rules, masks, rules > 100_000);
  const ours: number[][] = [[], []];
  const theirs: number[][] = [[], []];
  for (let round = 0; round <= ROUNDS; round++) {
    const rates = [lookups(classifier, false), lookups(classifier, true)];
    const peer = ovstest === undefined ? [] : original(ovstest, rules, masks);
    // The first is for warming up.
    if (round === 0) continue;
    for (const i of [0, 1]) {
      ours[i]!.push(rates[i]!);
      theirs[i]!.push(peer[i] ?? Number.NaN);
    }
  }
  ["", ", with wildcards"].forEach((how, i) => {
    const rate = median(ours[i]!);
    const peer =
      ovstest === undefined
        ? ""
        : `, the original ${Math.round(median(theirs[i]!))}, ratio ${(rate / median(theirs[i]!)).toFixed(2)}`;
    console.log(
      `${classifier.size} rules, ${classifier.subtables} masks${how}: ${Math.round(rate)} lookups/s${peer}`,
    );
  });
}
