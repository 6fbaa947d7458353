/**
 * What no frame and no program may do to the worker: end it, make it stop serving, lose its buffers, write outside of a
 * frame's own room. A seed is printed with each failure; `OVSBOX_SEED=N` runs it again, scripts/test --full runs long.
 */
import t from "tap";
import {
  ODP_CHECK_PKT_LEN,
  ODP_CLONE,
  ODP_DROP,
  ODP_HASH,
  ODP_METER,
  ODP_OUTPUT,
  ODP_POP_MPLS,
  ODP_POP_VLAN,
  ODP_PUSH_MPLS,
  ODP_PUSH_VLAN,
  ODP_RECIRC,
  ODP_SAMPLE,
  ODP_SET,
  ODP_TRUNC,
  ODP_USERSPACE,
} from "../../src/datapath/odp/actions.ts";
import { openWorkerDpif } from "../../src/datapath/userspace/dpif-worker.ts";
import { LARGE_SLOTS, SMALL_SLOTS } from "../../src/datapath/userspace/shared.ts";
import { FLOW_DP_WORDS, FLOW_PACKET_WORDS, W_IN_PORT, W_RECIRC_ID } from "../../src/flow/layout.ts";
import type { Netdev } from "../../src/netdev/netdev.ts";
import { FakeRing } from "./fake-ring.ts";
import { FakeMachine } from "./fake-thread.ts";
import { frame } from "./frames.ts";
import { hostileFrame, pick, type Random, randomOf, vnetHeader } from "./hostile.ts";
import { clock } from "./still-clock.ts";

function hostileProgram(random: Random, depth = 0): number[] {
  const words: number[] = [];
  for (let i = random(depth === 0 ? 8 : 4); i > 0; i--) {
    const nested = () => (depth < 6 ? hostileProgram(random, depth + 1) : []);
    const wrap = (...head: number[]): number[] => {
      const inner = nested();
      return [head[0]!, head.length + 1 + inner.length, ...head.slice(1), ...inner];
    };
    switch (random(18)) {
      case 0:
        words.push(ODP_PUSH_VLAN, 3, 0x81001000 | random(4096));
        break;
      case 1:
        // As often as a program that was put in by hand may.
        for (let n = random(10) === 0 ? random(80) : 1; n > 0; n--)
          words.push(ODP_PUSH_MPLS, 4, random(2 ** 32) | 0, pick(random, [0x8847, 0x8848]));
        break;
      case 2:
        for (let n = 1 + random(3); n > 0; n--) words.push(ODP_POP_VLAN, 2);
        break;
      case 3:
        words.push(ODP_POP_MPLS, 3, pick(random, [0x0800, 0x86dd, 0x8847]));
        break;
      case 4:
      case 5:
      case 6:
        words.push(
          ODP_SET,
          5,
          random(FLOW_PACKET_WORDS + 10),
          random(2 ** 32) | 0,
          pick(random, [-1, 0xff, 0xf00f]),
        );
        break;
      case 7:
        words.push(ODP_USERSPACE, 3, random(3));
        break;
      case 8:
        words.push(ODP_TRUNC, 3, 14 + random(100));
        break;
      case 9:
        words.push(ODP_RECIRC, 3, random(4));
        break;
      case 10:
        words.push(...(random(4) === 0 ? [ODP_DROP, 3, 0] : [ODP_HASH, 4, random(2), 7]));
        break;
      case 11:
        words.push(...wrap(ODP_CLONE));
        break;
      case 12:
        words.push(...wrap(ODP_SAMPLE, random(2 ** 32) | 0));
        break;
      case 13: {
        const greater = nested();
        const less = nested();
        words.push(
          ODP_CHECK_PKT_LEN,
          4 + greater.length + less.length,
          random(2000),
          greater.length,
          ...greater,
          ...less,
        );
        break;
      }
      case 14:
        words.push(ODP_METER, 3, random(4));
        break;
      default:
        words.push(ODP_OUTPUT, 3, 1 + random(4));
    }
  }
  return words;
}

const NO_MASK = new Int32Array(FLOW_DP_WORDS);
const good = frame({
  tags: [],
  ip: 4,
  proto: "udp",
  src: [10, 0, 0, 1],
  dst: [10, 0, 0, 2],
  sport: 1,
  dport: 2,
  payload: [1, 2, 3, 4],
});

async function round(seed: number, frames: number): Promise<string | undefined> {
  const random = randomOf(seed);
  const machine = new FakeMachine();
  machine.reports = [];
  machine.random = () => random(2 ** 32) | 0;
  const dpif = openWorkerDpif({ type: "netdev", name: "ovs-netdev", clock, threads: machine.threads });
  const calm = { now: false };
  const troubles = [0, 0, 0, 0, 0, 0, 0, 22, 90, 11, 100, 4, 105];
  for (const [i, name] of ["r1", "r2"].entries()) {
    const ring = new FakeRing(machine, 100 + i);
    ring.trouble = () => (calm.now ? 0 : pick(random, troubles));
    machine.rings.set(name, ring);
  }
  for (const [name, type] of [
    ["r1", "system"],
    ["r2", "system"],
    ["t3", "tap"],
    ["t4", "tap"],
  ] as const)
    await dpif.portAdd({ name, type, local: undefined } as unknown as Netdev, undefined);
  const mask = NO_MASK.slice();
  mask[W_IN_PORT] = -1;
  mask[W_RECIRC_ID] = -1;
  const putFlows = (): void => {
    for (let port = 1; port <= 4; port++)
      for (let recirc = 0; recirc < 4; recirc++) {
        if (random(8) === 0) continue;
        const key = NO_MASK.slice();
        key[W_IN_PORT] = port;
        key[W_RECIRC_ID] = recirc;
        dpif.flowPut(key, mask, Int32Array.from(hostileProgram(random)));
      }
  };
  dpif.setUpcallHandler(() =>
    random(5) === 0
      ? undefined
      : {
          actions: Int32Array.from(hostileProgram(random)),
          mask: undefined,
          flowActions: undefined,
          installed: undefined,
        },
  );
  const slotsHeld = (): number => {
    const { freeSmallCount, freeLargeCount } = machine.loop as unknown as Record<string, number>;
    return SMALL_SLOTS + LARGE_SLOTS - freeSmallCount! - freeLargeCount!;
  };
  /** An answer may send its packet up once more, but not for ever: slots that stay held are lost. */
  const rest = async (): Promise<void> => {
    for (let i = 0; i < 3 || (i < 100 && slotsHeld() > 0); i++) {
      machine.turn();
      await new Promise((resolve) => setImmediate(resolve));
      await dpif.settled();
    }
    machine.turn();
  };
  for (let done = 0; done < frames; ) {
    putFlows();
    for (let burst = 1 + random(40); burst > 0; burst--, done++) {
      const one = hostileFrame(random);
      const header = vnetHeader(random, one);
      if (random(2) === 0)
        machine.rings.get(pick(random, ["r1", "r2"]))!.incoming.push({
          header,
          frame: Uint8Array.from(one),
          tag: random(6) === 0 ? 0x81000000 + random(65536) : 0,
        });
      else machine.incoming.get(pick(random, ["t3", "t4"]))!.push(Uint8Array.from([...header, ...one]));
    }
    await rest();
    for (const sent of machine.outgoing.values()) sent.length = 0;
  }
  // The worker goes on as if nothing had been.
  calm.now = true;
  const key = NO_MASK.slice();
  for (let port = 1; port <= 4; port++) {
    key[W_IN_PORT] = port;
    dpif.flowPut(key, mask, Int32Array.of(ODP_OUTPUT, 3, (port % 4) + 1));
  }
  await rest();
  const [r1, r2] = [machine.rings.get("r1")!, machine.rings.get("r2")!];
  for (const ring of [r1, r2]) ring.sent.length = 0;
  for (const sent of machine.outgoing.values()) sent.length = 0;
  r1.incoming.push({ header: new Uint8Array(10), frame: Uint8Array.from(good), tag: 0 });
  machine.incoming.get("t3")!.push(Uint8Array.from([...new Uint8Array(10), ...good]));
  await rest();
  const { scratch } = machine.loop!;
  let small = 0;
  while (scratch.take(100) !== undefined) small++;
  let large = 0;
  while (scratch.take(10_000) !== undefined) large++;
  const held = slotsHeld();
  await dpif.close();
  if (machine.reports.length > 0) return `the worker reports: ${machine.reports[0]}`;
  if (!r1.isWhole || !r2.isWhole) return "a ring's own headers were written to";
  if (r2.sent.length !== 1 || Buffer.from(r2.sent[0]!.frame).compare(Buffer.from(good)) !== 0)
    return `the ring does not forward: ${r2.sent.length}`;
  const taps = machine.outgoing.get("t4")!;
  if (taps.length !== 1 || Buffer.from(taps[0]!.subarray(10)).compare(Buffer.from(good)) !== 0)
    return `the tap does not forward: ${taps.length}`;
  if (small !== 128 || large !== 32) return `buffers: ${small} and ${large} are left`;
  return held === 0 ? undefined : `${held} upcall slots lost`;
}

t.test("hostile frames, headers and programs", async (t) => {
  const { OVSBOX_SEED, OVSBOX_FULL } = process.env;
  const rounds = OVSBOX_SEED ? 1 : OVSBOX_FULL ? 1000 : 4;
  for (let i = 0; i < rounds; i++) {
    const seed = OVSBOX_SEED ? Number(OVSBOX_SEED) : Math.floor(Math.random() * 2 ** 31);
    const failure = await round(seed, 400);
    if (failure !== undefined) return t.fail(`OVSBOX_SEED=${seed}: ${failure}`);
  }
  t.pass(`${rounds} rounds`);
});
