/**
 * Port mirrors of a bridge (upstream: `ofproto-dpif-mirror.c`; vswitchd.conf.db(5), Mirror): which packets are copied, and where
 * copies go. A mirror is a bit: a port bundle has the set of those that select it, a translation the set of those that it has
 * served already.
 */
import { W_IN_PORT } from "../flow/layout.ts";
import type { Match } from "../flow/match.ts";
import { parseExactFlow, parseMatch } from "../flow/match-text.ts";
import type { PortBundle } from "./port-bundle.ts";
import type { Log, MirrorConfig } from "./types.ts";
import type { Credit } from "./xlate/context.ts";

const MAX_MIRRORS = 32;

export class Mirror implements Credit {
  readonly key: unknown;
  readonly index: number;
  config: MirrorConfig;
  /** VLANs that are selected, undefined: all. */
  vlans: ReadonlySet<number> | undefined = undefined;
  out: PortBundle | undefined = undefined;
  /** 0: whole packets. */
  snaplen = 0;
  filter: Match | undefined = undefined;
  /** Bits of the mirrors that send to the same place, its own included. */
  twins = 0;
  packets = 0;
  bytes = 0;

  constructor(key: unknown, index: number, config: MirrorConfig) {
    this.key = key;
    this.index = index;
    this.config = config;
  }

  get bit(): number {
    return 1 << this.index;
  }

  credit(packets: number, bytes: number): void {
    this.packets += packets;
    this.bytes += bytes;
  }
}

interface Selection {
  src: number;
  dst: number;
}

export class MirrorTable {
  readonly #log: Log;
  readonly #mirrors: (Mirror | undefined)[] = new Array(MAX_MIRRORS).fill(undefined);
  readonly #selections = new Map<unknown, Selection>();
  #count = 0;
  #outs: ReadonlySet<PortBundle> = new Set();

  constructor(log: Log) {
    this.#log = log;
  }

  get any(): boolean {
    return this.#count > 0;
  }

  at(index: number): Mirror | undefined {
    return this.#mirrors[index];
  }

  find(key: unknown): Mirror | undefined {
    return this.#mirrors.find((mirror) => mirror !== undefined && mirror.key === key);
  }

  /** Bits of the mirrors that copy what comes in by `bundle`. */
  srcOf(bundle: PortBundle): number {
    return this.#selections.get(bundle.key)?.src ?? 0;
  }

  /** Bits of the mirrors that copy what leaves by `bundle`. */
  dstOf(bundle: PortBundle): number {
    return this.#selections.get(bundle.key)?.dst ?? 0;
  }

  /** Nothing but copies leaves by it, and nothing comes in. */
  isOutput(bundle: PortBundle): boolean {
    return this.#outs.has(bundle);
  }

  /** Makes or changes the mirror `key`; "same" when there is nothing to change, "invalid" when it cannot be. */
  set(
    key: unknown,
    config: MirrorConfig,
    bundle: (key: unknown) => PortBundle | undefined,
  ): "same" | "changed" | "invalid" {
    let mirror = this.find(key);
    const filter = config.filter === undefined ? undefined : this.#compile(config.filter);
    if (typeof filter === "string") {
      this.#log("ofproto_dpif_mirror", "warn", filter);
      if (mirror !== undefined) this.remove(key);
      return "invalid";
    }
    const out = config.outPort === undefined ? undefined : bundle(config.outPort);
    if (mirror !== undefined && mirror.out === out && sameConfig(mirror.config, config)) return "same";
    if (mirror === undefined) {
      const index = this.#mirrors.indexOf(undefined);
      if (index < 0) {
        this.#log(
          "ofproto_dpif_mirror",
          "warn",
          `maximum of ${MAX_MIRRORS} port mirrors reached, cannot create ${config.name}`,
        );
        return "invalid";
      }
      mirror = new Mirror(key, index, config);
      this.#mirrors[index] = mirror;
      this.#count++;
    }
    mirror.config = config;
    mirror.vlans = config.vlans.length === 0 ? undefined : new Set(config.vlans);
    mirror.out = out;
    mirror.snaplen = config.snaplen ?? 0;
    mirror.filter = filter;
    this.#refresh();
    return "changed";
  }

  remove(key: unknown): boolean {
    const mirror = this.find(key);
    if (mirror === undefined) return false;
    this.#mirrors[mirror.index] = undefined;
    this.#count--;
    this.#refresh();
    return true;
  }

  *[Symbol.iterator](): IterableIterator<Mirror> {
    for (const mirror of this.#mirrors) if (mirror !== undefined) yield mirror;
  }

  /** A match without ports, or the text of what is wrong with it. */
  #compile(text: string): Match | string {
    const exact = parseExactFlow(text);
    const parsed = parseMatch(text);
    if (/(^|[,\s])in_port\s*=/.test(text)) return "filter is invalid due to in_port field";
    if ("error" in parsed) return `filter is invalid: ${"error" in exact ? exact.error : parsed.error}`;
    if (parsed.match.mask[W_IN_PORT] !== 0) return "filter is invalid due to in_port field";
    return parsed.match;
  }

  #refresh(): void {
    this.#selections.clear();
    const select = (key: unknown): Selection => {
      let found = this.#selections.get(key);
      if (found === undefined) {
        found = { src: 0, dst: 0 };
        this.#selections.set(key, found);
      }
      return found;
    };
    const outs = new Set<PortBundle>();
    for (const mirror of this) {
      for (const key of mirror.config.srcPorts) select(key).src |= mirror.bit;
      for (const key of mirror.config.dstPorts) select(key).dst |= mirror.bit;
      if (mirror.out !== undefined) outs.add(mirror.out);
      mirror.twins = 0;
      for (const other of this)
        if (mirror.out === other.out && mirror.config.outVlan === other.config.outVlan)
          mirror.twins |= other.bit;
    }
    this.#outs = outs;
  }
}

function sameConfig(a: MirrorConfig, b: MirrorConfig): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
