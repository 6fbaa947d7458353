/** What the command line said, and what commands get. */
import type { DaemonOptions } from "../../src/lib/daemon.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { P_ANY } from "../../src/openflow/protocols.ts";
import type { Paint } from "../../src/openflow/text/colors.ts";

export interface Settings {
  timeoutSec: number | undefined;
  strict: boolean;
  readd: boolean;
  readOnly: boolean;
  timestamp: boolean;
  bundle: boolean;
  mayCreate: boolean;
  pcap: boolean;
  bare: boolean;
  badCsum: boolean;
  raw: boolean;
  /** Bit v: wire version v allowed. */
  versions: number;
  /** Allowed flow protocols (protocols.ts). */
  protocols: number;
  packetInFormat: number | undefined;
  verbosity: number;
  sort: { field: string; descending: boolean }[];
  /** undefined: numbers, unless standard output is a terminal. */
  names: boolean | undefined;
  stats: boolean;
  /** --format=json. */
  json: boolean;
  unixctl: string | undefined;
  /** --color: undefined prints without. */
  paint: Paint | undefined;
  daemon: DaemonOptions | undefined;
}

export function defaultSettings(): Settings {
  return {
    timeoutSec: undefined,
    strict: false,
    readd: false,
    readOnly: false,
    timestamp: false,
    bundle: false,
    mayCreate: false,
    pcap: false,
    bare: false,
    badCsum: false,
    raw: false,
    versions: 1 << 1,
    protocols: P_ANY,
    packetInFormat: undefined,
    verbosity: 0,
    sort: [],
    names: undefined,
    stats: true,
    json: false,
    unixctl: undefined,
    paint: undefined,
    daemon: undefined,
  };
}

export interface Ofctl {
  readonly platform: Platform;
  readonly program: string;
  readonly settings: Settings;
  /** The whole command line, for --detach. */
  readonly args: readonly string[];
  readonly command: string;
}
