/**
 * A Port row inside the switch (upstream: `struct ofbundle`): which VLANs come in and go out, and how they are tagged.
 * IEEE 802.1Q; vswitchd.conf.db(5), Port, "VLAN Configuration".
 */
import type { OfportState } from "./ports.ts";
import type { BundleConfig } from "./types.ts";

let lastId = 0;

export class PortBundle {
  /** From 1, never reused. */
  readonly id: number;
  readonly key: unknown;
  config: BundleConfig;
  ports: readonly OfportState[];
  /** trunks as a set; undefined: all. */
  private trunks: ReadonlySet<number> | undefined = undefined;
  private cvlans: ReadonlySet<number> | undefined = undefined;
  /** All members have OFPPC_NO_FLOOD clear. */
  floodable = true;

  constructor(key: unknown, config: BundleConfig, ports: readonly OfportState[]) {
    this.id = ++lastId;
    this.key = key;
    this.config = config;
    this.ports = ports;
    this.configure(config, ports);
  }

  get name(): string {
    return this.config.name;
  }

  configure(config: BundleConfig, ports: readonly OfportState[]): void {
    this.config = config;
    this.ports = ports;
    this.trunks = config.trunks.length === 0 ? undefined : new Set(config.trunks);
    this.cvlans = config.cvlans.length === 0 ? undefined : new Set(config.cvlans);
  }

  /** Access or native VLAN, 0 for plain trunks. */
  get tag(): number {
    return this.config.tag ?? 0;
  }

  /** The VLAN that a packet with outer tag `vid` (0: none) belongs to. */
  vlanOf(vid: number): number {
    switch (this.config.vlanMode) {
      case "access":
      case "dot1q-tunnel":
        return this.tag;
      case "native-tagged":
      case "native-untagged":
        return vid === 0 ? this.tag : vid;
      default:
        return vid;
    }
  }

  /** undefined when a packet with outer tag `vid` may come in, else the reason as a trace prints it. */
  rejects(vid: number): string | undefined {
    const { vlanMode } = this.config;
    switch (vlanMode) {
      case "access":
        return vid === 0
          ? undefined
          : `dropping VLAN ${vid} tagged packet received on port ${this.name} configured as VLAN ${this.tag} access port`;
      case "dot1q-tunnel":
        return this.cvlans === undefined || this.cvlans.has(vid)
          ? undefined
          : `dropping VLAN ${vid} packet received on dot1q-tunnel port ${this.name} that excludes this VLAN`;
      case "native-tagged":
      case "native-untagged":
        if (vid === 0) return undefined;
    }
    return this.includes(vid)
      ? undefined
      : `dropping VLAN ${vid} packet received on port ${this.name} not configured for trunking VLAN ${vid}`;
  }

  /** Carries VLAN `vlan`. */
  includes(vlan: number): boolean {
    switch (this.config.vlanMode) {
      case "access":
      case "dot1q-tunnel":
        return vlan === this.tag;
      case "native-tagged":
      case "native-untagged":
        if (vlan === this.tag) return true;
        // Untagged would mean the native VLAN.
        if (vlan === 0) return false;
    }
    return this.trunks === undefined || this.trunks.has(vlan);
  }

  /** A packet of VLAN `vlan` whose next tag is `inner` (0: none) may leave. */
  carries(vlan: number, inner: number): boolean {
    if (!this.includes(vlan)) return false;
    switch (this.config.vlanMode) {
      case "access":
        return inner === 0;
      case "dot1q-tunnel":
        return this.cvlans === undefined || this.cvlans.has(inner);
      default:
        return true;
    }
  }

  /** Packets of `vlan` leave without the tag that names it. */
  strips(vlan: number): boolean {
    switch (this.config.vlanMode) {
      case "access":
      case "dot1q-tunnel":
        return true;
      case "native-untagged":
        return vlan === this.tag;
      default:
        return false;
    }
  }
}
