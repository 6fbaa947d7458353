/**
 * `dpctl/*` about tracked connections (upstream: lib/dpctl, lib/ct-dpif), of the daemon's datapaths and, without a daemon, of the
 * kernel's. What a datapath does not have it says as the original's does.
 */
import {
  type CtEntry,
  type CtLimit,
  CtStats,
  type DpConntrack,
  formatCtEntry,
} from "../datapath/conntrack.ts";
import { describeError, Fatal, osError, strerror } from "../lib/errors.ts";
import { flushConntrack } from "../ofproto/ct-flush.ts";
import type { NxtCtFlush } from "../openflow/messages.ts";
import { CtMatchError, parseCtFlush } from "../openflow/text/ct-match.ts";
import type { DpctlCommand } from "./dpctl-flows.ts";

const PROGRAM = "ovs-vswitchd";
const MOST_CONNECTIONS = 0xffff_ffff;
/** So many connections are looked at before other work gets its turn. */
const SLICE = 1024;

const fatal = (text: string): Fatal => new Fatal(`${PROGRAM}: ${text}`);
const invalid = (text: string): Fatal => fatal(`${text} (${strerror("EINVAL")})`);

/** Datapaths as these commands see them. */
export interface CtHost {
  /** There is a datapath that a user calls so. */
  exists(name: string): boolean;
  /** Its connections, undefined when it tells nothing of them; of the only datapath without a name. Throws Fatal. */
  find(name: string | undefined): DpConntrack | undefined;
  /** Lets other work have its turn. */
  breathe(): Promise<void>;
}

interface Taken {
  readonly conntrack: DpConntrack | undefined;
  readonly rest: readonly string[];
}

/** The datapath that the first word names, or the only one. `most`: words that make sense with one. */
function take(host: CtHost, args: readonly string[], most: number): Taken {
  if (args.length > 0 && host.exists(args[0]!)) return { conntrack: host.find(args[0]), rest: args.slice(1) };
  if (args.length === most) throw invalid("datapath not found");
  return { conntrack: host.find(undefined), rest: args };
}

function attempt<T>({ conntrack }: Taken, failed: string, run: (conntrack: DpConntrack) => T): T {
  try {
    if (conntrack === undefined) throw osError("EOPNOTSUPP");
    return run(conntrack);
  } catch (error) {
    throw fatal(`${failed} (${describeError(error)})`);
  }
}

const FLAGS = /^(-[ms]+|--more|--statistics)$/;

function takeFlags(args: readonly string[]): { verbose: boolean; statistics: boolean; words: string[] } {
  const flags = args.filter((word) => FLAGS.test(word));
  return {
    verbose: flags.some((flag) => flag === "--more" || /^-s*m/.test(flag)),
    statistics: flags.some((flag) => flag === "--statistics" || /^-m*s/.test(flag)),
    words: args.filter((word) => !FLAGS.test(word)),
  };
}

/** "zone=5" as the last word; undefined for others. */
function zoneOf(word: string | undefined): number | undefined {
  const found = /^zone=(\d+)/.exec(word ?? "");
  return found === null || Number(found[1]) > 0xffff ? undefined : Number(found[1]);
}

/** Visits all connections, a slice at a time. */
async function eachEntry(
  host: CtHost,
  taken: Taken,
  zone: number | undefined,
  visit: (entry: CtEntry) => void,
): Promise<void> {
  const entries = attempt(taken, "starting conntrack dump", (conntrack) =>
    conntrack.dump(zone)[Symbol.iterator](),
  );
  try {
    for (let count = 1; ; count++) {
      const { value, done } = attempt(taken, "dumping conntrack entry", () => entries.next());
      if (done === true) return;
      visit(value);
      if (count % SLICE === 0) await host.breathe();
    }
  } finally {
    entries.return?.();
  }
}

async function dump(host: CtHost, args: readonly string[]): Promise<string> {
  const { verbose, statistics, words } = takeFlags(args);
  const zone = zoneOf(words.at(-1));
  const taken = take(host, zone === undefined ? words : words.slice(0, -1), 1);
  const lines: string[] = [];
  await eachEntry(host, taken, zone, (entry) => lines.push(`${formatCtEntry(entry, verbose, statistics)}\n`));
  return lines.join("");
}

async function showStats(host: CtHost, args: readonly string[]): Promise<string> {
  let { verbose, words } = takeFlags(args);
  let zone: number | undefined;
  for (;;) {
    const last = words.at(-1) ?? "";
    if (last.startsWith("verbose")) verbose = true;
    else if (zoneOf(last) === undefined) break;
    else zone = zoneOf(last);
    words = words.slice(0, -1);
  }
  const stats = new CtStats();
  await eachEntry(host, take(host, words, 1), zone, (entry) => stats.add(entry));
  return stats.format(verbose);
}

// ---- Flushing ----

async function flush(host: CtHost, args: readonly string[]): Promise<string> {
  const named = args.length > 0 && host.exists(args[0]!);
  let match: NxtCtFlush;
  try {
    match = parseCtFlush(named ? args.slice(1) : args);
  } catch (error) {
    if (error instanceof CtMatchError) throw invalid(error.message);
    throw error;
  }
  const taken = take(host, args, -1);
  try {
    if (taken.conntrack === undefined) throw osError("EOPNOTSUPP");
    await flushConntrack(taken.conntrack, match, () => host.breathe());
  } catch (error) {
    throw fatal(`failed to flush conntrack (${describeError(error)})`);
  }
  return "";
}

// ---- Limits ----

/** "zone=1,2" */
function parseZones(word: string): number[] {
  if (!word.startsWith("zone=")) throw invalid(`invalid argument ${word}`);
  return word
    .slice("zone=".length)
    .split(",")
    .filter((zone) => zone !== "")
    .map((zone) => {
      if (!/^\d+$/.test(zone) || Number(zone) > 0xffff) throw invalid("invalid zone");
      return Number(zone);
    });
}

function parseNumber(text: string, max: number, message: string): number {
  if (!/^\d+$/.test(text) || Number(text) > max) throw invalid(message);
  return Number(text);
}

/** "zone=1,limit=2" */
function parseLimit(word: string): Omit<CtLimit, "count"> {
  let zone: number | undefined;
  let limit: number | undefined;
  for (const part of word.split(",")) {
    const [key = "", value = ""] = part.split("=");
    if (value === "") throw invalid(`field ${key} missing value`);
    if (key === "zone") zone = parseNumber(value, 0xffff, "failed to parse field zone");
    else if (key === "limit") limit = parseNumber(value, MOST_CONNECTIONS, "failed to parse field limit");
    else throw invalid(`invalid zone limit field: ${key}`);
  }
  if (zone === undefined || limit === undefined) throw invalid("failed to parse zone limit");
  return { zone, limit };
}

function getLimits(host: CtHost, args: readonly string[]): string {
  const taken = take(host, args, 2);
  const zones = taken.rest.length === 0 ? [] : parseZones(taken.rest[0]!);
  const found = attempt(taken, "failed to get conntrack limit", (conntrack) => conntrack.limits(zones));
  const ofDefault = found.find(({ zone }) => zone === -1)?.limit ?? 0;
  const lines = found
    .filter(({ zone }) => zone !== -1)
    .map(({ zone, limit, count }) => `zone=${zone},limit=${limit},count=${count}\n`);
  return `default limit=${ofDefault}\n${lines.join("")}`;
}

function setLimits(host: CtHost, args: readonly string[]): string {
  const taken = take(host, args, -1);
  const { rest } = taken;
  if (rest.length === 0) throw invalid("too few arguments");
  const limits = rest.map((word, i) => {
    const ofDefault = i === 0 ? /^default=(.*)$/.exec(word) : null;
    if (ofDefault === null) return parseLimit(word);
    return { zone: -1, limit: parseNumber(ofDefault[1]!, MOST_CONNECTIONS, "invalid default limit") };
  });
  attempt(taken, "failed to set conntrack limit", (conntrack) => conntrack.setLimits(limits));
  return "";
}

function removeLimits(host: CtHost, args: readonly string[]): string {
  const taken = take(host, args, 3);
  const { rest } = taken;
  if (rest.length === 0) throw invalid("too few arguments");
  const ofDefault = rest[0] === "default";
  const words = ofDefault ? rest.slice(1) : rest;
  const zones = [...(ofDefault ? [-1] : []), ...(words.length === 0 ? [] : parseZones(words[0]!))];
  attempt(taken, "failed to delete conntrack limit", (conntrack) => conntrack.removeLimits(zones));
  return "";
}

// ---- What the userspace datapath of the original has, and no kernel ----

type Check = (rest: readonly string[]) => string | undefined;

const number =
  (message: string, at = 0): Check =>
  (rest) =>
    /^\d+/.test(rest[at] ?? "") ? undefined : message;
const family =
  (message: string): Check =>
  (rest) =>
    /^v[46]/.test(rest[0] ?? "") ? undefined : message;
const positive: Check = (rest) =>
  Number.parseInt(rest[0] ?? "", 10) > 0 ? undefined : "invalid sweep value";
const WHICH = "parameter missing: 'v4' for IPv4 or 'v6' for IPv6";

/** [name, usage, fewest and most words, what is wrong with them, what the datapath is said to have failed at] */
const LACKED: readonly (readonly [string, string, number, number, Check | undefined, string])[] = [
  [
    "ct-set-maxconns",
    "[dp] maxconns",
    1,
    2,
    number("maxconns missing or malformed"),
    "ct set maxconns failed",
  ],
  ["ct-get-maxconns", "[dp]", 0, 1, undefined, "maxconns could not be retrieved"],
  ["ct-get-nconns", "[dp]", 0, 1, undefined, "nconns could not be retrieved"],
  ["ct-enable-tcp-seq-chk", "[dp]", 0, 1, undefined, "enabling TCP sequence checking failed"],
  ["ct-disable-tcp-seq-chk", "[dp]", 0, 1, undefined, "disabling TCP sequence checking failed"],
  ["ct-get-tcp-seq-chk", "[dp]", 0, 1, undefined, "TCP sequence checking query failed"],
  ["ct-get-sweep-interval", "[dp]", 0, 1, undefined, "failed to get the sweep interval"],
  ["ct-set-sweep-interval", "[dp] ms", 1, 2, positive, "failed to set the sweep interval"],
  ["ipf-set-enabled", "[dp] v4|v6", 1, 2, family(WHICH), "enabling fragmentation reassembly failed"],
  ["ipf-set-disabled", "[dp] v4|v6", 1, 2, family(WHICH), "disabling fragmentation reassembly failed"],
  [
    "ipf-set-min-frag",
    "[dp] v4|v6 minfragment",
    2,
    3,
    (rest) =>
      family("parameter missing: v4 for IPv4 or v6 for IPv6")(rest) ??
      number("parameter missing for minimum fragment size", 1)(rest),
    "requested minimum fragment size too small; see documentation",
  ],
  [
    "ipf-set-max-nfrags",
    "[dp] maxfrags",
    1,
    2,
    number("parameter missing for maximum fragments"),
    "setting maximum fragments failed",
  ],
  ["ipf-get-status", "[dp]", 0, 2, undefined, "ipf status could not be retrieved"],
  ["dump-conntrack-exp", "[dp] [zone=N]", 0, 2, undefined, "starting conntrack expectations dump"],
];

function lack(
  host: CtHost,
  args: readonly string[],
  most: number,
  check: Check | undefined,
  failed: string,
): never {
  const { words } = takeFlags(args);
  const { rest } = take(host, zoneOf(words.at(-1)) === undefined ? words : words.slice(0, -1), most);
  const wrong = check?.(rest);
  if (wrong !== undefined) throw invalid(wrong);
  throw fatal(`${failed} (${strerror("EOPNOTSUPP")})`);
}

export function dpctlConntrackCommands(host: CtHost): DpctlCommand[] {
  return [
    ["dpctl/dump-conntrack", "[-m] [-s] [dp] [zone=N]", 0, 4, (args) => dump(host, args)],
    [
      "dpctl/flush-conntrack",
      "[dp] [zone=N] [mark=X[/M]] [labels=Y[/N]] [ct-orig-tuple [ct-reply-tuple]]",
      0,
      6,
      (args) => flush(host, args),
    ],
    ["dpctl/ct-stats-show", "[dp] [zone=N]", 0, 3, (args) => showStats(host, args)],
    [
      "dpctl/ct-bkts",
      "[dp] [gt=N]",
      0,
      2,
      (args) => {
        const words = args.filter((word) => !word.startsWith("gt="));
        attempt(take(host, words, 1), "starting conntrack dump", () => undefined);
        return "Command is available for UserSpace ConnTracker only.\n";
      },
    ],
    ["dpctl/ct-get-limits", "[dp] [zone=N1[,N2]...]", 0, 2, (args) => getLimits(host, args)],
    ["dpctl/ct-set-limits", "[dp] [default=L] [zone=N,limit=L]...", 1, -1, (args) => setLimits(host, args)],
    ["dpctl/ct-del-limits", "[dp] [default] [zone=N1[,N2]...]", 1, 3, (args) => removeLimits(host, args)],
    ...LACKED.map(
      ([name, usage, min, max, check, failed]): DpctlCommand => [
        `dpctl/${name}`,
        usage,
        min,
        max,
        (args) => lack(host, args, max, check, failed),
      ],
    ),
  ];
}
