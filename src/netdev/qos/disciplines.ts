/**
 * The queueing disciplines that a QoS row can name: what its settings mean, and the options that the kernel is told
 * (ovs-vswitchd.conf.db(5), QoS and Queue; tc-htb(8), tc-hfsc(8), ...; linux/pkt_sched.h). Pure. Rates are in bits a second
 * where a row or a command shows them, in bytes where the kernel is spoken to.
 */
import { type Attribute, type Value, words } from "../netlink-message.ts";

export type Settings = ReadonlyMap<string, string>;
/** Settings as numbers, defaults filled in, in the order in which qos/show prints them. */
export type Details = ReadonlyMap<string, number>;

/** Of the device. */
export interface LinkFacts {
  readonly mtu: number;
  /** Bits a second, 0 for unknown. */
  readonly speed: number;
}

/** How the queues of a discipline become classes below one that they share. */
export interface ClassKind {
  details(settings: Settings, port: Details, link: LinkFacts): Details;
  root(port: Details, link: LinkFacts): Value;
  queue(queue: Details, link: LinkFacts): Value;
  /** What of the details qos/show leaves out. */
  hidden(queue: Details, key: string): boolean;
}

export interface Discipline {
  /** As the kernel calls it. */
  readonly kind: string;
  details(settings: Settings, link: LinkFacts): Details;
  options(port: Details): Value;
  readonly classes: ClassKind | undefined;
}

/** Queue 0's class: what has no other goes there. */
const DEFAULT_CLASS = 1;
const DEFAULT_RATE = 10_000_000_000;
/** The kernel's tick is 64 ns long (/proc/net/psched). */
const TICKS_PER_SECOND = 1e9 / 64;
const TICKS_PER_US = TICKS_PER_SECOND / 1e6;
const U32_MAX = 0xffffffff;
const ETHERNET_OVERHEAD = 64;
const SMALLEST_FRAME = 60;
const HTB_QUANTUM_MAX = 60_000;

/** A decimal number from 0 on; what is none counts as absent. */
function number(settings: Settings, key: string): number | undefined {
  const text = settings.get(key);
  if (text === undefined || !/^\s*\+?\d+\s*$/.test(text)) return undefined;
  return Number(text);
}

function positive(settings: Settings, key: string): number | undefined {
  const value = number(settings, key);
  return value === 0 ? undefined : value;
}

const u32 = (value: number): number => Math.min(Math.round(value), U32_MAX);

function sharedRate(settings: Settings, link: LinkFacts): Details {
  return new Map([["max-rate", positive(settings, "max-rate") ?? (link.speed || DEFAULT_RATE)]]);
}

/** Rates of a queue: at least a frame a second, at most what the port has. */
function queueRates(settings: Settings, port: Details, link: LinkFacts): { min: number; max: number } {
  const shared = port.get("max-rate")!;
  const min = Math.min(Math.max(positive(settings, "min-rate") ?? 0, link.mtu * 8), shared);
  const max = Math.min(Math.max(positive(settings, "max-rate") ?? shared, min), shared);
  return { min, max };
}

/** Bytes a second. The kernel takes a low half here and the whole in an attribute where that does not do. */
function rateSpec(bits: number): Uint8Array {
  const spec = new Uint8Array(12);
  const view = new DataView(spec.buffer);
  view.setUint8(1, 1); // TC_LINKLAYER_ETHERNET: no table of costs comes with it
  view.setUint16(6, SMALLEST_FRAME, true);
  view.setUint32(8, u32(bits / 8), true);
  return spec;
}

function u64(value: number): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(Math.round(value))).buffer);
}

const TCA_HTB_PARMS = 1;
const TCA_HTB_INIT = 2;
const TCA_HTB_RATE64 = 6;
const TCA_HTB_CEIL64 = 7;

/** struct tc_htb_opt: rate, ceil, buffer, cbuffer (ticks), quantum, level, priority. */
function htbClass(min: number, max: number, burstBits: number, priority: number, mtu: number): Value {
  const ticks = (rate: number): number =>
    Math.min(Math.floor((burstBits / rate) * TICKS_PER_SECOND), U32_MAX);
  // The kernel would take a tenth of the rate, and complains when that is unwise.
  const quantum = Math.min(Math.max(min / 8 / 10, mtu), HTB_QUANTUM_MAX);
  const parameters = new Uint8Array(44);
  parameters.set(rateSpec(min));
  parameters.set(rateSpec(max), 12);
  parameters.set(words(ticks(min), ticks(max), quantum, 0, priority), 24);
  const attributes: Attribute[] = [[TCA_HTB_PARMS, parameters]];
  if (min / 8 > U32_MAX) attributes.push([TCA_HTB_RATE64, u64(min / 8)]);
  if (max / 8 > U32_MAX) attributes.push([TCA_HTB_CEIL64, u64(max / 8)]);
  return attributes;
}

const HTB: Discipline = {
  kind: "htb",
  details: sharedRate,
  // struct tc_htb_glob: version, rate to quantum, default class, debug, packets sent directly.
  options: () => [[TCA_HTB_INIT, words(3, 10, DEFAULT_CLASS, 0, 0)]],
  classes: {
    details(settings, port, link) {
      const { min, max } = queueRates(settings, port, link);
      const least = (link.mtu + ETHERNET_OVERHEAD) * 8;
      return new Map([
        ["burst", Math.max(number(settings, "burst") ?? 0, least)],
        ["priority", number(settings, "priority") ?? 0],
        ["min-rate", min],
        ["max-rate", max],
      ]);
    },
    root: (port, { mtu }) => htbClass(port.get("max-rate")!, port.get("max-rate")!, mtu * 8, 0, mtu),
    queue: (queue, { mtu }) =>
      htbClass(
        queue.get("min-rate")!,
        queue.get("max-rate")!,
        queue.get("burst")!,
        queue.get("priority")!,
        mtu,
      ),
    hidden: (queue, key) =>
      (key === "priority" && queue.get(key) === 0) ||
      (key === "max-rate" && queue.get(key) === queue.get("min-rate")),
  },
};

const TCA_HFSC_RSC = 1;
const TCA_HFSC_FSC = 2;
const TCA_HFSC_USC = 3;

/** struct tc_service_curve, a straight line: slope, length and slope of the two parts. */
const curve = (bits: number): Uint8Array => words(0, 0, u32(bits / 8));

const HFSC: Discipline = {
  kind: "hfsc",
  details: sharedRate,
  // struct tc_hfsc_qopt: default class, u16.
  options: () => Uint8Array.of(DEFAULT_CLASS, 0),
  classes: {
    details(settings, port, link) {
      const { min, max } = queueRates(settings, port, link);
      return new Map([
        ["min-rate", min],
        ["max-rate", max],
      ]);
    },
    root: (port) => [
      [TCA_HFSC_FSC, curve(port.get("max-rate")!)],
      [TCA_HFSC_USC, curve(port.get("max-rate")!)],
    ],
    queue: (queue) => [
      [TCA_HFSC_RSC, curve(queue.get("min-rate")!)],
      [TCA_HFSC_FSC, curve(queue.get("min-rate")!)],
      [TCA_HFSC_USC, curve(queue.get("max-rate")!)],
    ],
    hidden: (queue, key) => key === "max-rate" && queue.get(key) === queue.get("min-rate"),
  },
};

/** A discipline without queues of ours: keys of the row with their defaults. */
function plain(
  kind: string,
  keys: readonly (readonly [key: string, fallback: number | "mtu"])[],
  options: (port: Details) => Value,
): Discipline {
  return {
    kind,
    details: (settings, link) =>
      new Map(
        keys.map(([key, fallback]) => [
          key,
          number(settings, key) ?? (fallback === "mtu" ? link.mtu : fallback),
        ]),
      ),
    options,
    classes: undefined,
  };
}

/** Numbered attributes, each a u32 of the details. */
const attributesOf =
  (numbers: readonly (readonly [key: string, attribute: number])[]) =>
  (port: Details): Value =>
    numbers.map(([key, attribute]): Attribute => [attribute, words(u32(port.get(key)!))]);

/** struct tc_sfq_qopt: quantum, perturbation in seconds, limit, divisor, flows. */
const SFQ = plain(
  "sfq",
  [
    ["quantum", "mtu"],
    ["perturb", 10],
  ],
  (port) => words(u32(port.get("quantum")!), u32(port.get("perturb")!), 0, 0, 0),
);

const CODEL = plain(
  "codel",
  [
    ["target", 5000],
    ["limit", 1000],
    ["interval", 100_000],
  ],
  attributesOf([
    ["target", 1],
    ["limit", 2],
    ["interval", 3],
  ]),
);

const FQ_CODEL = plain(
  "fq_codel",
  [
    ["target", 5000],
    ["limit", 10_240],
    ["interval", 100_000],
    ["flows", 1024],
    ["quantum", "mtu"],
  ],
  attributesOf([
    ["target", 1],
    ["limit", 2],
    ["interval", 3],
    ["flows", 5],
    ["quantum", 6],
  ]),
);

/** struct tc_netem_qopt: latency (ticks), limit, loss (of 2^32), gap, duplicate, jitter (ticks). */
const NETEM = plain(
  "netem",
  [
    ["latency", 0],
    ["limit", 1000],
    ["loss", 0],
    ["jitter", 0],
  ],
  (port) =>
    words(
      u32(port.get("latency")! * TICKS_PER_US),
      u32(port.get("limit")!),
      u32(Math.floor((Math.min(port.get("loss")!, 100) / 100) * U32_MAX)),
      0,
      0,
      u32(port.get("jitter")! * TICKS_PER_US),
    ),
);

/** By QoS.type. linux-noop, which leaves the device alone, is none. */
export const DISCIPLINES: ReadonlyMap<string, Discipline> = new Map([
  ["linux-codel", CODEL],
  ["linux-fq_codel", FQ_CODEL],
  ["linux-hfsc", HFSC],
  ["linux-htb", HTB],
  ["linux-netem", NETEM],
  ["linux-sfq", SFQ],
]);

export const NOOP = "linux-noop";

/** What qos/show-types lists for devices of the kernel. */
export const LINUX_QOS_TYPES: readonly string[] = [...DISCIPLINES.keys(), NOOP].sort();

/** Queues of the kernel's disciplines are numbered from 0 to this, exclusive (ovs-vswitchd.conf.db(5), Queue). */
export const MAX_QUEUES = 61440;
