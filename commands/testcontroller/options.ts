/** The controller's own options, as ovs-testcontroller(8) has them. */
import fs from "node:fs";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import type { OptionGroup } from "../../src/lib/getopt.ts";
import { vlog } from "../../src/lib/vlog.ts";
import { type FlowMod, OFPFC_ADD, TextError } from "../../src/openflow/index.ts";
import { P_ANY, versionsFromText } from "../../src/openflow/protocols.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import type { Mode } from "./learning-switch.ts";

/** OFPFW10_*: all but in_port, dl_vlan, dl_src and dl_dst. */
const WILDCARDS_L2_ONLY = 0x3820f0;
const QUEUE_NONE = 0xffffffff;

export interface Settings {
  mode: Mode;
  maxIdleSec: number;
  noflow: boolean;
  wildcards: number;
  defaultQueue: number | undefined;
  readonly portQueues: Map<string, number>;
  readonly flowFiles: string[];
  mute: boolean;
  unixctl: string | undefined;
  /** Bit v: wire version v. */
  versions: number;
}

export function defaultSettings(): Settings {
  return {
    mode: "learn",
    maxIdleSec: 60,
    noflow: false,
    wildcards: 0,
    defaultQueue: undefined,
    portQueues: new Map(),
    flowFiles: [],
    mute: false,
    unixctl: undefined,
    versions: 0x7e,
  };
}

/** As strtoul and atoi read: what comes after the number is left, none is 0. */
function leadingNumber(text: string): number {
  return Number(/^\s*[+-]?\d+/.exec(text)?.[0] ?? 0);
}

function queueId(text: string): number | undefined {
  const queue = leadingNumber(text) >>> 0;
  return queue === QUEUE_NONE ? undefined : queue;
}

function maxIdle(text: string): number {
  if (text === "permanent") return 0;
  const seconds = leadingNumber(text);
  if (seconds >= 1 && seconds <= 65535) return seconds;
  throw new Fatal("--max-idle argument must be between 1 and 65535 or the word 'permanent'");
}

function addPortQueue(settings: Settings, text: string): void {
  const found = /^:*([^:]+):(.+)$/s.exec(text);
  if (found === null) {
    throw new Fatal('argument to -Q or --port-queue should take the form "<port-name>:<queue-id>"');
  }
  if (settings.portQueues.has(found[1]!)) {
    throw new Fatal("<port-name> arguments for -Q or --port-queue must be unique");
  }
  settings.portQueues.set(found[1]!, leadingNumber(found[2]!) >>> 0);
}

export function controllerOptions(settings: Settings): OptionGroup {
  return {
    title: "Other options",
    options: [
      {
        short: "H",
        long: "hub",
        help: "act as hub instead of learning switch",
        set: () => void (settings.mode = "hub"),
      },
      {
        short: "n",
        long: "noflow",
        help: "pass traffic, but don't add flows",
        set: () => void (settings.noflow = true),
      },
      {
        long: "max-idle",
        arg: "required",
        metavar: "SECS",
        help: "max idle time for new flows",
        set: (text) => void (settings.maxIdleSec = maxIdle(text!)),
      },
      {
        short: "N",
        long: "normal",
        help: "use OFPP_NORMAL action",
        set: () => void (settings.mode = "normal"),
      },
      {
        short: "w",
        long: "wildcards",
        arg: "optional",
        metavar: "MASK",
        help: "wildcard (specified) bits in flows",
        set: (text) => {
          const hex = /^\s*(?:0[xX])?([0-9a-fA-F]+)/.exec(text ?? "")?.[1] ?? "0";
          settings.wildcards = text === undefined ? WILDCARDS_L2_ONLY : Number.parseInt(hex, 16) >>> 0;
        },
      },
      {
        short: "q",
        long: "queue",
        arg: "required",
        metavar: "QUEUE-ID",
        help: "OpenFlow queue ID to use for output",
        set: (text) => void (settings.defaultQueue = queueId(text!)),
      },
      {
        short: "Q",
        long: "port-queue",
        arg: "required",
        metavar: "PORT-NAME:QUEUE-ID",
        help: "use QUEUE-ID for frames from PORT-NAME",
        set: (text) => addPortQueue(settings, text!),
      },
      {
        long: "with-flows",
        arg: "required",
        metavar: "FILE",
        help: "use the flows from FILE",
        set: (file) => void settings.flowFiles.push(file!),
      },
      {
        long: "mute",
        help: "answer nothing that a switch says",
        set: () => void (settings.mute = true),
      },
      {
        long: "unixctl",
        arg: "required",
        metavar: "SOCKET",
        help: "override default control socket name",
        set: (path) => void (settings.unixctl = path),
      },
    ],
  };
}

export function versionOptions(settings: Settings): OptionGroup {
  return {
    title: "OpenFlow version options",
    options: [
      {
        short: "O",
        long: "protocols",
        arg: "required",
        metavar: "VERSIONS",
        help: "set allowed OpenFlow versions\n(default: OpenFlow10, OpenFlow11, OpenFlow12, OpenFlow13, OpenFlow14, OpenFlow15)",
        set: (text) => void (settings.versions = versionsFromText(text!)),
      },
    ],
  };
}

/** Queues win over --hub and --normal; the complaint, if there is one. */
export function settleMode(settings: Settings): string | undefined {
  const { mode } = settings;
  if (settings.defaultQueue === undefined && settings.portQueues.size === 0) return undefined;
  if (mode === "learn") return undefined;
  settings.mode = "learn";
  return mode === "hub"
    ? "queue IDs are incompatible with -H or --hub; not acting as hub"
    : "queue IDs are incompatible with -N or --normal; not using OFPP_NORMAL";
}

/** The flows of all files, and the protocols that can carry all of them. Throws Fatal with file and line. */
export function readFlowFiles(files: readonly string[]): { flows: FlowMod[]; usable: number } {
  const flows: FlowMod[] = [];
  let usable = P_ANY;
  for (const file of files) {
    let number = 0;
    for (const line of readText(file).split("\n")) {
      number++;
      const text = line.replace(/#.*/, "").trim();
      if (text === "") continue;
      try {
        const parsed = parseFlow(text, OFPFC_ADD, {
          log: (module, level, message) => vlog(module)[level](message),
        });
        flows.push(parsed.fm);
        usable &= parsed.usable;
      } catch (error) {
        if (error instanceof TextError) throw new Fatal(`${file}:${number}: ${error.message}`);
        throw error;
      }
    }
  }
  return { flows, usable };
}

function readText(file: string): string {
  try {
    return fs.readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new Fatal(`${file}: open failed (${describeError(error)})`);
  }
}
