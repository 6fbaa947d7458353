/**
 * The ports of one bridge (upstream: `struct ofport_dpif`): numbers, OpenFlow configuration bits, and what OpenFlow says
 * about them.
 */
import type { OdpPort } from "../datapath/dpif.ts";
import { macToNumber, parseMac } from "../lib/mac.ts";
import type { Netdev, NetdevFeatures } from "../netdev/netdev.ts";
import type { PhyPort } from "../openflow/messages.ts";
import type { PortBundle } from "./port-bundle.ts";
import { OFPP_LOCAL, OFPP_MAX_PHYSICAL, type OfPort } from "./types.ts";

// ofp_port_config, OpenFlow 1.0's bits.
export const OFPPC_PORT_DOWN = 1;
export const OFPPC_NO_STP = 2;
export const OFPPC_NO_RECV = 4;
export const OFPPC_NO_RECV_STP = 8;
export const OFPPC_NO_FLOOD = 16;
export const OFPPC_NO_FWD = 32;
export const OFPPC_NO_PACKET_IN = 64;
/** Those that an OpenFlow controller keeps in the switch; PORT_DOWN is the device's. */
export const OFPPC_SETTABLE =
  OFPPC_NO_RECV | OFPPC_NO_RECV_STP | OFPPC_NO_FLOOD | OFPPC_NO_FWD | OFPPC_NO_PACKET_IN;

export const OFPPS_LINK_DOWN = 1;
export const OFPPS_LIVE = 4;

// ofp_port_features, OpenFlow 1.1's bits.
const OFPPF_FD = [
  [10_000_000, 1 << 1, 1 << 0],
  [100_000_000, 1 << 3, 1 << 2],
  [1_000_000_000, 1 << 5, 1 << 4],
  [10_000_000_000, 1 << 6, 0],
  [40_000_000_000, 1 << 7, 0],
  [100_000_000_000, 1 << 8, 0],
  [1_000_000_000_000, 1 << 9, 0],
] as const;
const OFPPF_OTHER = 1 << 10;
const OFPPF_COPPER = 1 << 11;
const OFPPF_FIBER = 1 << 12;
const OFPPF_AUTONEG = 1 << 13;

export class OfportState {
  readonly name: string;
  readonly ofPort: OfPort;
  readonly netdev: Netdev;
  /** undefined for patch ports. */
  odpPort: OdpPort | undefined;
  /** OFPPC_* without PORT_DOWN. */
  config = 0;
  readonly createdMs: number;
  bundle: PortBundle | undefined = undefined;
  /** Ends the subscription to the device's changes. */
  unwatch: (() => void) | undefined = undefined;
  /** What controllers were last told, to see when it changes. */
  lastDesc: PhyPort | undefined = undefined;

  constructor(netdev: Netdev, ofPort: OfPort, odpPort: OdpPort | undefined, nowMs: number) {
    this.name = netdev.name;
    this.ofPort = ofPort;
    this.netdev = netdev;
    this.odpPort = odpPort;
    this.createdMs = nowMs;
  }

  /** Frames that are sent here arrive somewhere: the device is up and has a link. */
  get isLive(): boolean {
    return this.netdev.adminUp() && this.netdev.carrier();
  }

  get isPatch(): boolean {
    return this.odpPort === undefined;
  }

  /** The name of the patch port at the other end. */
  get peerName(): string | undefined {
    return this.isPatch ? this.netdev.config().get("peer") : undefined;
  }

  /** ofp_port, with `hwAddr` of LOCAL given by the bridge. */
  describe(localAddress: string | undefined): PhyPort {
    const { netdev } = this;
    const address = (this.ofPort === OFPP_LOCAL ? localAddress : undefined) ?? netdev.etherAddr();
    const bits = featureBits(netdev.features());
    return {
      port: this.ofPort,
      hwAddr: parseMac(address ?? "") ?? new Uint8Array(6),
      hwAddr64: undefined,
      name: this.name,
      config: this.config | (netdev.adminUp() ? 0 : OFPPC_PORT_DOWN),
      state: netdev.carrier() ? OFPPS_LIVE : OFPPS_LINK_DOWN,
      curr: bits,
      advertised: 0,
      supported: 0,
      peer: 0,
      currSpeed: Math.round(netdev.features().speed / 1000),
      maxSpeed: 0,
    };
  }
}

function featureBits({ speed, duplex, medium, negotiated }: NetdevFeatures): number {
  let bits = speed <= 0 ? 0 : OFPPF_OTHER;
  for (const [rate, full, half] of OFPPF_FD) if (rate === speed) bits = duplex === "half" ? half : full;
  if (medium === "copper") bits |= OFPPF_COPPER;
  else if (medium === "fiber") bits |= OFPPF_FIBER;
  return negotiated ? bits | OFPPF_AUTONEG : bits;
}

export function samePhyPort(a: PhyPort, b: PhyPort): boolean {
  return (
    a.name === b.name &&
    a.config === b.config &&
    a.state === b.state &&
    a.curr === b.curr &&
    a.currSpeed === b.currSpeed &&
    macToNumber(a.hwAddr) === macToNumber(b.hwAddr)
  );
}

/**
 * Numbers for new ports: the one asked for when it is free, else the next after the last one given, so that a number
 * is not soon used for another port.
 */
export class PortNumbers {
  private readonly taken = new Set<OfPort>();
  private last = 0;

  allocate(request: OfPort | undefined, isLocal: boolean): OfPort | undefined {
    if (isLocal) return this.take(OFPP_LOCAL);
    if (request !== undefined && request >= 1 && request <= OFPP_MAX_PHYSICAL && !this.taken.has(request)) {
      return this.take(request);
    }
    for (let tries = 0; tries < OFPP_MAX_PHYSICAL; tries++) {
      this.last = this.last >= OFPP_MAX_PHYSICAL ? 1 : this.last + 1;
      if (!this.taken.has(this.last)) return this.take(this.last);
    }
    return undefined;
  }

  release(port: OfPort): void {
    this.taken.delete(port);
  }

  private take(port: OfPort): OfPort | undefined {
    if (this.taken.has(port)) return undefined;
    this.taken.add(port);
    return port;
  }
}
