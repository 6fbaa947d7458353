/** The classifier against a linear scan, and the property that makes its wildcards fit for a megaflow. */
import fc from "fast-check";
import t from "tap";
import { Classifier, VERSION_MAX } from "../../src/flow/classifier/classifier.ts";
import { mustField } from "../../src/flow/fields/index.ts";
import { FLOW_WORDS } from "../../src/flow/layout.ts";
import {
  type Match,
  makeMatch,
  matchContains,
  matchCovers,
  matchesOverlap,
  setMatchMasked,
} from "../../src/flow/match.ts";
import { nsdiTable } from "../bench/nsdi.ts";

const [inPort, ethType, reg0, src, dst, proto, tpSrc, tpDst] = (
  ["in_port", "eth_type", "reg0", "ip_src", "ip_dst", "nw_proto", "tcp_src", "tcp_dst"] as const
).map(mustField) as [never, never, never, never, never, never, never, never];

const prefix = fc.integer({ min: 0, max: 32 }).map((length) => (length === 0 ? 0 : -1 << (32 - length)));
const address = fc.constantFrom(0x0a000001, 0x0a000002, 0x0a010000, 0x0b000000, 0x8a000001 | 0);
const port = fc.constantFrom(0, 1, 2, 80, 81, 0x8050);
const portMask = fc.constantFrom(0, 0xffff, 0xfff0, 0x8000, 0x0001);
const exact = (mask: number) => fc.constantFrom(0, mask);

const matchArbitrary = fc
  .record({
    port: fc.constantFrom(1, 2),
    portMask: exact(-1),
    typed: fc.boolean(),
    reg: fc.constantFrom(0, 1, 3),
    regMask: fc.constantFrom(0, 0, 1, 3),
    src: address,
    srcMask: prefix,
    dst: address,
    dstMask: prefix,
    tpSrc: port,
    tpSrcMask: portMask,
    tpDst: port,
    tpDstMask: portMask,
  })
  .map((from): Match => {
    const match = makeMatch();
    setMatchMasked(match, inPort, from.port, from.portMask);
    setMatchMasked(match, reg0, from.reg, from.regMask);
    if (from.typed) {
      setMatchMasked(match, ethType, 0x800, 0xffff);
      setMatchMasked(match, proto, 6, 0xff);
      setMatchMasked(match, src, from.src, from.srcMask);
      setMatchMasked(match, dst, from.dst, from.dstMask);
      setMatchMasked(match, tpSrc, from.tpSrc, from.tpSrcMask);
      setMatchMasked(match, tpDst, from.tpDst, from.tpDstMask);
    }
    return match;
  });

const ruleArbitrary = fc.record({
  match: matchArbitrary,
  priority: fc.integer({ min: 0, max: 5 }),
  from: fc.integer({ min: 0, max: 3 }),
  life: fc.integer({ min: 1, max: 4 }),
  removed: fc.boolean(),
});

/** A packet is a match's values with everything else filled from a second one. */
const packetArbitrary = fc.tuple(matchArbitrary, matchArbitrary).map(([a, b]) => {
  const flow = new Int32Array(FLOW_WORDS);
  for (let i = 0; i < FLOW_WORDS; i++) flow[i] = a.flow[i]! | (b.flow[i]! & ~a.mask[i]!);
  return flow;
});

const variants = [
  {},
  { prefixes: [] },
  { without: ["stages"] as const },
  { without: ["tries", "priorities"] as const },
];

t.test("lookup answers as a linear scan does, and its wildcards are sound", async () => {
  for (const options of variants) {
    fc.assert(
      fc.property(
        fc.array(ruleArbitrary, { maxLength: 30 }),
        fc.array(packetArbitrary, { minLength: 2, maxLength: 12 }),
        fc.integer({ min: 0, max: 7 }),
        (rules, packets, version) => {
          const classifier = new Classifier(options);
          const live = new Map<number, (typeof rules)[number]>();
          for (const rule of rules) {
            const handle = classifier.insert(rule.match, rule.priority, rule.from);
            classifier.hideFrom(handle, rule.from + rule.life);
            if (rule.removed) classifier.remove(handle);
            else live.set(handle, rule);
          }
          if (classifier.size !== live.size) return false;
          const best = (flow: Int32Array): number => {
            let priority = -1;
            for (const rule of live.values()) {
              const seen = rule.from <= version && version < rule.from + rule.life;
              if (seen && matchCovers(rule.match, flow)) priority = Math.max(priority, rule.priority);
            }
            return priority;
          };
          const answers = packets.map((flow) => {
            const wildcards = new Int32Array(FLOW_WORDS);
            const found = classifier.lookup(flow, wildcards, version);
            if (found >= 0 && !matchCovers(live.get(found)!.match, flow)) throw new Error("does not match");
            if (found !== classifier.lookup(flow, undefined, version))
              throw new Error("differs without wildcards");
            return { flow, wildcards, priority: found < 0 ? -1 : classifier.priorityOf(found) };
          });
          for (const { flow, wildcards, priority } of answers) {
            if (priority !== best(flow)) return false;
            for (const other of packets) {
              const same = wildcards.every((bits, i) => ((flow[i]! ^ other[i]!) & bits) === 0);
              if (same && best(other) !== priority) return false;
            }
          }
          return true;
        },
      ),
      { numRuns: 300 },
    );
  }
});

t.test("exact find, overlap and non-strict walk agree with the definitions", async () => {
  fc.assert(
    fc.property(fc.array(ruleArbitrary, { maxLength: 20 }), ruleArbitrary, (rules, probe) => {
      const classifier = new Classifier();
      const all = rules.map((rule) => ({ rule, handle: classifier.insert(rule.match, rule.priority) }));
      const same = (a: Match, b: Match) => matchContains(a, b) && matchContains(b, a);
      const exactly = all.some(
        ({ rule }) => rule.priority === probe.priority && same(rule.match, probe.match),
      );
      if (classifier.findExact(probe.match, probe.priority) >= 0 !== exactly) return false;
      const overlapping = all.some(
        ({ rule }) => rule.priority === probe.priority && matchesOverlap(rule.match, probe.match),
      );
      if (classifier.overlaps(probe.match, probe.priority) !== overlapping) return false;
      const within = all
        .filter(({ rule }) => matchContains(probe.match, rule.match))
        .map(({ handle }) => handle);
      return JSON.stringify([...classifier.rules(probe.match)].sort()) === JSON.stringify(within.sort());
    }),
    { numRuns: 300 },
  );
});

t.test("prefix tracking keeps a megaflow as wide as the tries allow", async (t) => {
  const classifier = new Classifier();
  const rule = (value: number, mask: number, priority: number) => {
    const match = makeMatch();
    setMatchMasked(match, ethType, 0x800, 0xffff);
    setMatchMasked(match, dst, value, mask);
    return classifier.insert(match, priority);
  };
  rule(0x0b010000, -1 << 16, 3);
  const wide = rule(0x09000000, -1 << 24, 1);
  const flow = new Int32Array(FLOW_WORDS);
  setMatchMasked({ flow, mask: new Int32Array(FLOW_WORDS), tunMetadata: undefined }, ethType, 0x800, -1);
  flow[22] = 0x09010101;
  const wildcards = new Int32Array(FLOW_WORDS);
  t.equal(classifier.lookup(flow, wildcards, VERSION_MAX), wide);
  t.equal(
    wildcards[22]! >>> 0,
    0xff000000,
    "the /16 of another network costs no more than the /8 that matched",
  );
});

t.test("each technique does what the NSDI 2015 paper says of it", async (t) => {
  for (const { name, flows, masks, paper } of nsdiTable()) {
    t.ok(Math.abs(masks - paper.masks) <= 2, `${name}: ${masks} masks, in the paper ${paper.masks}`);
    t.ok(flows / paper.flows < 2 && paper.flows / flows < 2, `${name}: ${flows} megaflows, ${paper.flows}`);
  }
});

t.test("conjunctions", async (t) => {
  const classifier = new Classifier();
  const of = (field: never, value: number, mask = -1) => {
    const match = makeMatch();
    setMatchMasked(match, field, value, mask);
    return match;
  };
  const clause = (k: number) => [{ id: 7, clause: k, clauses: 2 }];
  classifier.insert(of(src, 1), 10, 0, clause(0));
  classifier.insert(of(src, 2), 10, 0, clause(0));
  classifier.insert(of(tpDst, 80, 0xffff), 10, 0, clause(1));
  const low = classifier.insert(makeMatch(), 1);
  const flow = new Int32Array(FLOW_WORDS);
  flow[21] = 2;
  flow[40] = 80;
  t.equal(classifier.lookup(flow, undefined), low, "no rule for the conj_id yet");
  const target = classifier.insert(of(mustField("conj_id") as never, 7), 10);
  t.equal(classifier.lookup(flow, undefined), target);
  flow[40] = 81;
  t.equal(classifier.lookup(flow, undefined), low, "one clause of two");
  flow[40] = 80;
  const hard = classifier.insert(of(tpDst, 80, 0xffff), 11);
  t.equal(classifier.lookup(flow, undefined), hard, "a higher ordinary rule wins");
});
