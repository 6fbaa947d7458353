/**
 * `ovs-appctl dpif-netdev/*` and odp-execute/*: what the userspace datapath tells of its threads and their implementations.
 * One thread is shown as the original's main thread is, which belongs to no core, several as its polling threads are. There is
 * one implementation of each part.
 */
import type { Dpif, DpStats, DpThread } from "../datapath/dpif.ts";
import { Fatal } from "../lib/errors.ts";
import type { UnixctlCommands } from "../lib/unixctl.ts";
import type { Datapaths } from "./datapaths.ts";

type Counters = Pick<DpStats, "hits" | "misses" | "lost" | "maskHits" | "cacheHits">;

const NO_COUNTS: Counters = { hits: 0, misses: 0, lost: 0, maskHits: 0, cacheHits: 0 };

function threadName({ core }: DpThread): string {
  return `pmd thread numa_id 0 core_id ${core}:\n`;
}

function statsText(name: string, now: DpStats, since: Counters): string {
  const count = (name: keyof Counters): number => now[name] - since[name];
  const hits = count("hits");
  const cached = count("cacheHits");
  const megaflow = hits - cached;
  const misses = count("misses");
  const lost = count("lost");
  const packets = hits + misses + lost;
  const lines: [string, number | string][] = [
    ["packets received", packets],
    ["packet recirculations", 0],
    ["avg. datapath passes per packet", packets > 0 ? "1.00" : "0.00"],
    ["phwol hits", 0],
    ["mfex opt hits", 0],
    ["simple match hits", 0],
    ["emc hits", cached],
    ["smc hits", 0],
    ["megaflow hits", megaflow],
    [
      "avg. subtable lookups per megaflow hit",
      megaflow > 0 ? (count("maskHits") / megaflow).toFixed(2) : "0.00",
    ],
    ["miss with success upcall", misses - lost],
    ["miss with failed upcall", lost],
    ["avg. packets per output batch", packets > 0 ? "1.00" : "0.00"],
  ];
  return `${name}${lines.map(([line, value]) => `  ${line}: ${value}\n`).join("")}`;
}

/** What a thread is busy with is not measured. */
function queuesText(thread: DpThread): string {
  const queues = thread.queues.map(({ port, queue }) => {
    const id = String(queue).padStart(2);
    return `  port: ${port.padEnd(16)}  queue-id: ${id} (enabled)   pmd usage: NOT AVAIL\n`;
  });
  return `${threadName(thread)}  isolated : false\n${queues.join("")}  overhead: NOT AVAIL\n`;
}

export function registerDpifNetdevCommands(commands: UnixctlCommands, datapaths: Datapaths): void {
  /** Of each thread, as of pmd-stats-clear. */
  const cleared = new WeakMap<Dpif, readonly Counters[]>();
  let priority = 1;

  /** The datapath of that name, or the only one. */
  const find = (name: string | undefined): Dpif => {
    const all = datapaths.all().filter(({ type }) => type !== "system");
    const found =
      name === undefined
        ? all.length === 1
          ? all[0]
          : undefined
        : all.find(({ dpif }) => name === dpif.name || name === `${dpif.type}@${dpif.name}`);
    if (found === undefined)
      throw new Fatal(
        name === undefined && all.length > 1 ? "please specify an existing datapath" : "no such datapath",
      );
    return found.dpif;
  };
  /** A datapath's threads where there are several, else undefined. */
  const threadsOf = (dpif: Dpif): readonly DpThread[] | undefined => {
    const threads = dpif.threads?.() ?? [];
    return threads.length > 1 ? threads : undefined;
  };
  /** The words that are neither options nor their arguments. `-pmd` of a core that no thread has leaves nothing to show. */
  const takeWords = (args: readonly string[]): { words: string[]; pmd: string | undefined } => {
    const words: string[] = [];
    let pmd: string | undefined;
    for (let i = 0; i < args.length; i++) {
      const arg = args[i]!;
      if (arg === "-pmd") pmd = args[++i];
      else if (arg === "-nh") continue;
      else if (/^-(it|ms|secs)$/.test(arg)) i++;
      else words.push(arg);
    }
    return { words, pmd };
  };
  const add = (
    name: string,
    usage: string,
    min: number,
    max: number,
    run: (args: readonly string[]) => Promise<string> | string,
  ): void =>
    commands.register(`dpif-netdev/${name}`, usage, min, max, async (args, reply) =>
      reply.ok(await run(args)),
    );

  const show = async (args: readonly string[]): Promise<string> => {
    const { words, pmd } = takeWords(args);
    const dpif = find(words[0]);
    const all = await dpif.stats();
    const since = cleared.get(dpif) ?? [];
    const threads = threadsOf(dpif);
    if (threads !== undefined)
      return threads
        .map((thread, i) =>
          pmd === undefined || pmd === String(thread.core)
            ? statsText(threadName(thread), thread.stats, since[i] ?? NO_COUNTS)
            : "",
        )
        .join("");
    return pmd === undefined || pmd === "-1" ? statsText("main thread:\n", all, since[0] ?? NO_COUNTS) : "";
  };
  add("pmd-stats-show", "[-pmd core] [dp]", 0, 3, show);
  add(
    "pmd-perf-show",
    "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]",
    0,
    8,
    // Histories are kept of polling threads alone.
    (args) => {
      find(takeWords(args).words[0]);
      return "";
    },
  );
  add("pmd-stats-clear", "[-pmd core] [dp]", 0, 3, async (args) => {
    const dpif = find(takeWords(args).words[0]);
    const all = await dpif.stats();
    cleared.set(dpif, threadsOf(dpif)?.map(({ stats }) => stats) ?? [all]);
    return "";
  });
  add("pmd-rxq-show", "[-pmd core] [-secs secs] [dp]", 0, 5, (args) => {
    const { words, pmd } = takeWords(args);
    let text = "Displaying last 60 seconds pmd usage %\n";
    for (const thread of threadsOf(find(words[0])) ?? [])
      if (pmd === undefined || pmd === String(thread.core)) text += queuesText(thread);
    return text;
  });
  add("pmd-sleep-show", "[dp]", 0, 1, ([dp]) => {
    find(dp);
    return "Default max sleep:    0 us\n";
  });
  add("pmd-rxq-rebalance", "[dp]", 0, 1, async ([dp]) => {
    await find(dp).rebalance?.();
    return "pmd rxq rebalance requested.\n";
  });
  add("pmd-perf-log-set", "on|off [-b before] [-a after] [-e|-ne] [-us usec] [-q qlen]", 0, 10, () => "");
  add("bond-show", "[dp]", 0, 1, ([dp]) => {
    find(dp);
    return "";
  });

  add("subtable-lookup-info-get", "", 0, 0, () => {
    let uses = 0;
    for (const { dpif } of datapaths.all()) uses += dpif.flowCount() > 0 ? 1 : 0;
    return `Available dpcls implementations:\n  generic (Use count: ${uses}, Priority: ${priority})\n`;
  });
  add("subtable-lookup-prio-set", "[lookup_func] [prio]", 2, 2, ([name, text]) => {
    const wanted = Number(text);
    if (!/^-?\d+$/.test(text!) || wanted < 0 || wanted > 255)
      throw new Fatal("unexpected priority value, please use a value between 0 and 255");
    if (name !== "generic") throw new Fatal("error, subtable lookup function not found");
    priority = wanted;
    return "Lookup priority change affected 0 dpcls ports and 0 subtables.\n";
  });
  add("dpif-impl-get", "", 0, 0, () => "Available DPIF implementations:\n  dpif_scalar (pmds: none)\n");
  add("dpif-impl-set", "dpif_implementation_name", 1, 1, ([name]) => {
    if (name !== "dpif_scalar")
      throw new Fatal(`DPIF implementation not available: Unknown DPIF implementation ${name}.`);
    return "DPIF implementation set to dpif_scalar.\n";
  });
  add(
    "miniflow-parser-get",
    "",
    0,
    0,
    () => "Available MFEX implementations:\n  scalar (available: True pmds: none)\n",
  );
  add("miniflow-parser-set", "[-pmd core] miniflow_implementation_name [study_pkt_cnt]", 1, 5, (args) => {
    const [name] = takeWords(args).words;
    if (name !== "scalar") throw new Fatal(`Error: unknown miniflow extract implementation ${name}.`);
    return "Miniflow extract implementation set to scalar.\n";
  });

  commands.register("odp-execute/action-impl-show", "", 0, 0, (_args, reply) =>
    reply.ok("Available Actions implementations:\n  scalar (available: Yes, active: Yes)\n"),
  );
  commands.register("odp-execute/action-impl-set", "name", 1, 1, ([name], reply) => {
    if (name === "scalar") reply.ok("Action implementation set to scalar.\n");
    else reply.error(`Error: unknown action implementation, ${name}, specified!`);
  });
}
