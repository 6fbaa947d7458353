/**
 * The device types that there are, and the devices that are open: a name is one device, however many open it
 * (upstream: lib/netdev). `--enable-dummy` puts dummy devices in the place of others here.
 */
import { osError } from "../lib/errors.ts";
import { RateLimit, vlog } from "../lib/vlog.ts";
import type { Netdev, NetdevProvider } from "./netdev.ts";

const log = vlog("netdev");
const limit = new RateLimit(5, 20);

/**
 * How a datapath wants its ports opened: those of "dummy" live in this thread, "kernel" makes internal devices itself when they
 * become ports, "system" stands in its place.
 */
export type DatapathClass = "kernel" | "system" | "netdev" | "dummy";

interface Opened {
  netdev: Netdev;
  openers: number;
}

export class NetdevRegistry {
  readonly #providers = new Map<string, NetdevProvider>();
  readonly #open = new Map<string, Opened>();

  /** A later provider of the same type takes the earlier one's place. */
  register(provider: NetdevProvider): void {
    this.#providers.set(provider.type, provider);
  }

  unregister(type: string): void {
    this.#providers.delete(type);
  }

  /** For Open_vSwitch.iface_types, sorted. */
  types(): string[] {
    return [...this.#providers.keys()].sort();
  }

  /** The type to open an Interface of `type` ("" is "system") with in a datapath: internal ports are a kind of tap. */
  openType(datapath: DatapathClass, type: string): string {
    if (type === "internal" && datapath === "dummy") return "dummy-internal";
    if (type === "internal" && datapath === "netdev") return "tap";
    return type === "" ? "system" : type;
  }

  /**
   * Throws an errno error: EAFNOSUPPORT for a type that there is not, EEXIST when the device is open as another type, else
   * the provider's.
   */
  open(name: string, type: string, datapath?: DatapathClass): Netdev {
    const opened = this.#open.get(name);
    if (opened !== undefined) {
      if (opened.netdev.type !== type) {
        log.warnRl(
          limit,
          `trying to create netdev ${name} of type ${type} but already exists with type ${opened.netdev.type}`,
        );
        throw osError("EEXIST");
      }
      opened.openers++;
      return opened.netdev;
    }
    const provider = this.#providers.get(type);
    if (provider === undefined) {
      log.warnRl(limit, `could not create netdev ${name} of unknown type ${type}`);
      throw osError("EAFNOSUPPORT");
    }
    const netdev = provider.open(name, datapath);
    this.#open.set(name, { netdev, openers: 1 });
    return netdev;
  }

  /** Gives back what {@link open} gave; the last one closes the device, and removes it if asked and it is ours. */
  close(netdev: Netdev, remove: boolean): void {
    const opened = this.#open.get(netdev.name);
    if (opened === undefined || opened.netdev !== netdev || --opened.openers > 0) return;
    this.#open.delete(netdev.name);
    netdev.close(remove);
  }

  get(name: string): Netdev | undefined {
    return this.#open.get(name)?.netdev;
  }

  /** The open devices, in order of their names. */
  netdevs(): Netdev[] {
    return [...this.#open.values()].map((o) => o.netdev).sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}
