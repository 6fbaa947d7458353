/**
 * A bridge that has taken a device's place in the host's network: `ovs-vsctl --migrate-addresses add-port` writes the device's
 * name to Bridge.other_config:addresses-from, and its addresses, routes and neighbours move to the bridge's own port. What
 * was moved is kept in other_config:addresses-moved before anything is touched, so that a restart, of the daemon or of the
 * machine, finds it. Everything goes back when the gateway does not answer through the bridge, when nobody confirms until
 * other_config:addresses-confirm-by (ms since 1970), and when addresses-from is taken away.
 */
import type { Clock, Timer } from "../lib/clock.ts";
import { vlog } from "../lib/vlog.ts";
import type { Carried, HostAddresses } from "../netdev/host-addresses.ts";
import type { BridgeConfig } from "./config.ts";

const log = vlog("bridge");

export const FROM = "addresses-from";
export const MOVED = "addresses-moved";
export const CONFIRM_BY = "addresses-confirm-by";

/** A gateway that is there answers within milliseconds; a lost question is asked again each second. */
const GATEWAY_MS = 3000;
const ASK_MS = 500;
const LOOK_MS = 20;

export interface MovesHost {
  /** Index of a device of that name. */
  index(name: string): number | undefined;
  up(name: string): void;
  readonly addresses: HostAddresses;
  /** How the host's own network is set at the device (src/netdev/host-stack.ts). */
  settings(name: string): string;
  /** It hears nothing there any more: the datapath does, and both would answer. */
  silence(name: string): void;
  restore(name: string, settings: string): void;
}

export interface MovesContext {
  readonly clock: Clock;
  readonly host: () => MovesHost;
  /** Is `name` a port of the bridge, with a device? */
  attached(bridge: string, name: string): boolean;
  /** Sets keys of Bridge.other_config, undefined to remove them, and takes the port out of the bridge. */
  edit(
    bridge: BridgeConfig,
    keys: Readonly<Record<string, string | undefined>>,
    withoutPort?: string,
  ): Promise<void>;
  /** Runs {@link AddressMoves.run} again. */
  again(): void;
}

interface Moved extends Carried {
  device: string;
  /** The host's settings at the device before. */
  host?: string;
}

export class AddressMoves {
  readonly #context: MovesContext;
  readonly #status = new Map<string, string>();
  #timer: Timer | undefined;

  constructor(context: MovesContext) {
    this.#context = context;
  }

  /** For Bridge.status:addresses. */
  status(bridge: string): string | undefined {
    return this.#status.get(bridge);
  }

  /** Once in each reconfiguration, when ports are attached. */
  async run(bridges: readonly BridgeConfig[]): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const bridge of bridges) {
      if (!bridge.otherConfig.has(FROM) && !bridge.otherConfig.has(MOVED)) continue;
      try {
        await this.#settle(bridge);
      } catch (error) {
        this.#say(bridge, `could not be moved: ${(error as Error).message}`);
      }
    }
  }

  /** The bridge goes, with its port and all addresses on it. */
  bridgeGone(bridge: BridgeConfig): void {
    this.#status.delete(bridge.name);
    const moved = parseMoved(bridge.otherConfig.get(MOVED));
    if (moved !== undefined) this.#putBack(bridge, moved);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #say(bridge: BridgeConfig, text: string): void {
    if (this.#status.get(bridge.name) === text) return;
    this.#status.set(bridge.name, text);
    log.info(`bridge ${bridge.name}: addresses ${text}`);
  }

  async #settle(bridge: BridgeConfig): Promise<void> {
    const from = bridge.otherConfig.get(FROM);
    const moved = parseMoved(bridge.otherConfig.get(MOVED));
    if (from === undefined || (moved !== undefined && moved.device !== from)) {
      if (moved !== undefined) this.#putBack(bridge, moved);
      await this.#context.edit(bridge, { [MOVED]: undefined, [CONFIRM_BY]: undefined });
      this.#status.delete(bridge.name);
      return;
    }
    if (!this.#context.attached(bridge.name, from)) {
      this.#say(bridge, `wait for ${from}`);
      return;
    }
    const host = this.#context.host();
    const index = host.index(from);
    const carried = index === undefined ? NOTHING : host.addresses.read(index);
    if (moved === undefined && carried.addresses.length === 0) {
      await this.#context.edit(bridge, { [FROM]: undefined, [CONFIRM_BY]: undefined });
      this.#say(bridge, `are none on ${from}`);
      return;
    }
    const all: Moved = {
      ...merged(moved ?? NOTHING, carried),
      device: from,
      host: moved?.host ?? host.settings(from),
    };
    const text = movedText(all);
    if (text !== bridge.otherConfig.get(MOVED)) await this.#context.edit(bridge, { [MOVED]: text });
    const failure = await this.#move(bridge, all, moved === undefined);
    if (failure === undefined) {
      this.#say(bridge, `moved from ${from}`);
      const by = Number(bridge.otherConfig.get(CONFIRM_BY));
      if (!(by > 0)) return;
      const left = by - this.#context.clock.wall();
      if (left > 0) {
        this.#timer ??= this.#context.clock.background(left, () => this.#context.again());
        return;
      }
    }
    this.#putBack(bridge, all);
    const keys = { [FROM]: undefined, [MOVED]: undefined, [CONFIRM_BY]: undefined };
    this.#say(bridge, `put back to ${from}: ${failure ?? "nobody confirmed in time"}`);
    await this.#context.edit(bridge, keys, from);
  }

  /** Returns why it cannot stay so. `isNew`: the gateway is to answer. */
  async #move(bridge: BridgeConfig, moved: Moved, isNew: boolean): Promise<string | undefined> {
    const host = this.#context.host();
    const to = host.index(bridge.name);
    if (to === undefined) return `${bridge.name} has no device`;
    host.up(bridge.name);
    for (const error of host.addresses.add(to, moved)) {
      if (isNew) return error;
      log.warn(`bridge ${bridge.name}: ${error}`);
    }
    const from = host.index(moved.device);
    if (from !== undefined) {
      host.addresses.remove(from, moved);
      host.silence(moved.device);
    }
    const gateway = moved.routes.find((route) => route.to === "default" && route.via !== undefined)?.via;
    if (!isNew || gateway === undefined) return undefined;
    return (await this.#answers(to, gateway)) ? undefined : `gateway ${gateway} does not answer`;
  }

  async #answers(index: number, gateway: string): Promise<boolean> {
    const { clock } = this.#context;
    const { addresses } = this.#context.host();
    const end = clock.now() + GATEWAY_MS;
    let asked = Number.NEGATIVE_INFINITY;
    for (;;) {
      const now = clock.now();
      const state = addresses.probed(index, gateway);
      if (state === "answered" && asked > 0) return true;
      if (now >= end) return false;
      if (now - asked >= ASK_MS) {
        asked = now;
        addresses.probe(index, gateway);
      }
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
    }
  }

  #putBack(bridge: BridgeConfig, moved: Moved): void {
    const host = this.#context.host();
    const from = host.index(moved.device);
    const to = host.index(bridge.name);
    if (from === undefined) {
      log.warn(`bridge ${bridge.name}: ${moved.device} is gone, its addresses stay`);
      return;
    }
    const neighbours = to === undefined ? [] : host.addresses.read(to).neighbours;
    host.up(moved.device);
    if (moved.host !== undefined) host.restore(moved.device, moved.host);
    for (const error of host.addresses.add(from, { ...moved, neighbours }))
      log.warn(`bridge ${bridge.name}: ${moved.device}: ${error}`);
    if (to !== undefined) host.addresses.remove(to, moved);
  }
}

const NOTHING: Carried = { addresses: [], routes: [], neighbours: [] };

/** What was moved before, and what somebody has configured on the device since. */
function merged(a: Carried, b: Carried): Carried {
  return {
    addresses: [...new Map([...a.addresses, ...b.addresses].map((one) => [one.address, one])).values()],
    routes: [
      ...new Map(
        [...a.routes, ...b.routes].map((one) => [`${one.to} ${one.table} ${one.metric}`, one]),
      ).values(),
    ],
    neighbours: b.neighbours,
  };
}

function movedText({ device, addresses, routes, host }: Moved): string {
  return JSON.stringify({ device, addresses, routes, host });
}

/** undefined where there is none, or none of ours. */
function parseMoved(text: string | undefined): Moved | undefined {
  if (text === undefined) return undefined;
  try {
    const { device, addresses, routes, host } = JSON.parse(text) as Moved;
    if (typeof device !== "string" || !Array.isArray(addresses) || !Array.isArray(routes)) return undefined;
    return { device, addresses, routes, neighbours: [], ...(typeof host === "string" ? { host } : {}) };
  } catch {
    return undefined;
  }
}
