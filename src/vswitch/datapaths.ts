/**
 * The datapaths that bridges need, by type: opened with the first bridge of a type, closed after the last. All bridges of a
 * type share one, and with it the backer that translates for it.
 */
import type { Dpif } from "../datapath/dpif.ts";
import type { Clock } from "../lib/clock.ts";
import { coverageSource } from "../lib/coverage.ts";
import { osError } from "../lib/errors.ts";
import type { InFlight } from "../lib/sim-clock.ts";
import { vlog } from "../lib/vlog.ts";
import type { Netdev } from "../netdev/netdev.ts";
import type { NetdevRegistry } from "../netdev/registry.ts";
import { Backer } from "../ofproto/backer.ts";
import type { Log } from "../ofproto/types.ts";
import type { DatapathOpener, OpenedDpif } from "./datapath-opener.ts";

/** Logging as a plain function, for those that are handed one. */
export const logTo: Log = (module, level, message) => vlog(module)[level](message);

export interface Datapath extends OpenedDpif {
  readonly type: string;
  readonly backer: Backer;
}

/** A datapath made by dpctl/add-dp: it has no bridge, and drops what its flows do not take. */
export type PlainDatapath = OpenedDpif & { readonly type: string; readonly backer: undefined };

export class Datapaths {
  readonly #opener: DatapathOpener;
  readonly #registry: NetdevRegistry;
  readonly #clock: Clock;
  readonly #realNow: () => number;
  readonly #open = new Map<string, Datapath & { bridges: number }>();
  readonly #plain: PlainDatapath[] = [];
  /** By the datapath's name. */
  readonly #locals = new Map<string, Netdev>();
  /** Ends the counting of drops. */
  readonly #uncover = new Map<Dpif, () => void>();

  constructor(
    opener: DatapathOpener,
    registry: NetdevRegistry,
    clock: Clock,
    realNow: () => number,
    inFlight: InFlight,
  ) {
    this.#registry = registry;
    this.#opener = opener;
    this.#clock = clock;
    this.#realNow = realNow;
    inFlight.addSource(async () => {
      for (const datapath of this) await datapath.backer.settled();
    });
  }

  get types(): readonly string[] {
    return this.#opener.types;
  }

  removeLeftBehind(keep: (device: string) => boolean): void {
    this.#opener.removeLeftBehind(keep);
  }

  /** Each use ends with {@link release}. Rejects with what the opener throws. */
  async use(type: string): Promise<Datapath> {
    let datapath = this.#open.get(type);
    if (datapath === undefined) {
      const opened = this.#opened(type);
      const options = {
        type,
        dpif: opened.dpif,
        clock: this.#clock,
        realNow: this.#realNow,
        log: logTo,
      };
      const backer = new Backer(options);
      for (const line of backer.features.announcement())
        logTo("ofproto_dpif", "info", `${opened.dpif.type}@${opened.dpif.name}: ${line}`);
      datapath = { ...opened, type, backer, bridges: 0 };
      this.#open.set(type, datapath);
      await this.#addLocal(datapath);
    }
    datapath.bridges++;
    return datapath;
  }

  /** A datapath of dummies has, as the original's, a port 0 of its own name that belongs to no bridge. */
  async #addLocal(datapath: OpenedDpif): Promise<void> {
    if (datapath.class !== "dummy") return;
    const { dpif } = datapath;
    const local = this.#registry.open(dpif.name, this.#registry.openType(datapath.class, "internal"));
    this.#locals.set(dpif.name, local);
    await dpif.portAdd(local, 0);
  }

  /** Opens one whose drops are counted in coverage/show. */
  #opened(type: string, name?: string): OpenedDpif {
    const opened = this.#opener.open(type, name);
    this.#uncover.set(
      opened.dpif,
      coverageSource(() => opened.dpif.drops()),
    );
    return opened;
  }

  async #close(dpif: Dpif): Promise<void> {
    this.#uncover.get(dpif)?.();
    this.#uncover.delete(dpif);
    await dpif.close();
    const local = this.#locals.get(dpif.name);
    if (local !== undefined) this.#registry.close(local, true);
    this.#locals.delete(dpif.name);
  }

  /** For dpctl/add-dp. Rejects with EEXIST, or what the opener throws. */
  async addPlain(type: string, name: string): Promise<void> {
    for (const other of this.all())
      if (other.type === type && other.dpif.name === name) throw osError("EEXIST");
    const datapath = { ...this.#opened(type, name), type, backer: undefined };
    this.#plain.push(datapath);
    await this.#addLocal(datapath);
  }

  /** EBUSY for one that bridges use. */
  async removePlain(datapath: Datapath | PlainDatapath): Promise<void> {
    const at = this.#plain.indexOf(datapath as PlainDatapath);
    if (at < 0) throw osError("EBUSY");
    const [plain] = this.#plain.splice(at, 1);
    for (const port of [...plain!.dpif.ports()]) {
      const netdev = this.#registry.get(port.name);
      await plain!.dpif.portDel(port.odpPort);
      if (netdev !== undefined && port.odpPort !== 0) this.#registry.close(netdev, true);
    }
    await this.#close(plain!.dpif);
  }

  /** Those of bridges and those of dpctl/add-dp, by type and name. */
  all(): (Datapath | PlainDatapath)[] {
    const key = (d: Datapath | PlainDatapath): string => `${d.type}@${d.dpif.name}`;
    return [...this, ...this.#plain].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  }

  async release(type: string): Promise<void> {
    const datapath = this.#open.get(type);
    if (datapath === undefined || --datapath.bridges > 0) return;
    this.#open.delete(type);
    await datapath.backer.close();
    await this.#close(datapath.dpif);
  }

  /** In the order of their types. */
  *[Symbol.iterator](): IterableIterator<Datapath> {
    for (const type of [...this.#open.keys()].sort()) yield this.#open.get(type)!;
  }

  backers(): Backer[] {
    return [...this].map((datapath) => datapath.backer);
  }
}
