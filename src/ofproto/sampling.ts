/**
 * What monitoring wants of a bridge: which packets the datapath shall hand up as samples, and who is told of them and of
 * megaflows' statistics. The exporters (src/export) implement {@link BridgeSampling}; translation asks it.
 */
import type { Packet } from "../datapath/packet.ts";
import type { Flow } from "../flow/layout.ts";
import type { Netdev } from "../netdev/netdev.ts";
import type { OfPort } from "./types.ts";

/** What a sampled packet carries up beside its bytes. */
export type SampleAction =
  | { kind: "sflow"; vlanTci: number; output: number; mpls: readonly number[] }
  | { kind: "ipfix"; outputPort: number | undefined; dropped: boolean }
  | {
      kind: "flow_sample";
      probability: number;
      collectorSetId: number;
      domain: number;
      point: number;
      outputPort: number | undefined;
      /** 0 default, 1 ingress, 2 egress. */
      direction: number;
      /** The packet goes nowhere. */
      dropped: boolean;
    };

/** What translation tells of the ports that a packet leaves by, for sFlow and NetFlow. */
export interface Outputs {
  count: number;
  /** The last one, and its device. */
  port: OfPort;
  netdev: Netdev | undefined;
}

export interface BridgeSampling {
  /** Of 2^32 - 1; undefined: no sFlow. */
  readonly sflowProbability: number | undefined;
  /** As sFlow writes an output. */
  sflowOutput(outputs: Outputs): number;
  /** Bridge IPFIX, of 2^32 - 1. */
  readonly ipfix: { probability: number; input: boolean; output: boolean } | undefined;
  /** There are collectors for the action `sample`. */
  readonly flowSampling: boolean;
  /** The group of local collectors that a collector set names. */
  localGroup(collectorSetId: number): number | undefined;
  /** NetFlow's adding up of one connection: `output` as {@link netflowOutput}; undefined: no NetFlow. */
  netflowCredit(flow: Flow, output: number): NetflowCredit | undefined;
  /** Of the bridge's exporter, undefined without one. */
  ipfixStats(): IpfixStats | undefined;
  /** By collector set. */
  flowIpfixStats(): ReadonlyMap<number, IpfixStats>;
  /** A packet came up; `key` is the datapath's, its in_port `inPort` of the bridge. Valid during the call only. */
  sampled(action: SampleAction, packet: Packet, key: Flow, inPort: OfPort): void;
}

/** As NXST_IPFIX_BRIDGE and NXST_IPFIX_FLOW report it. */
export interface IpfixStats {
  flows: number;
  currentFlows: number;
  packets: number;
  ipv4: number;
  ipv6: number;
  errors: number;
  ipv4Errors: number;
  ipv6Errors: number;
  tx: number;
  txErrors: number;
}

export interface NetflowCredit {
  credit(packets: number, bytes: number, usedMs: number, tcpFlags: number): void;
}

/** NetFlow's output of packets that go everywhere, to several ports, nowhere (upstream: NF_OUT_*). */
export const NF_OUT_FLOOD = 0xffff;
export const NF_OUT_MULTI = 0xfffe;
export const NF_OUT_DROP = 0xfffd;

/** Out of every packet. */
export const ALWAYS = 0xffff_ffff;

/** No port, in the text of a sample. */
const ODPP_NONE = 0xffff_ffff;

/** As dumps and traces print it. */
export function formatSample(action: SampleAction): string {
  switch (action.kind) {
    case "sflow": {
      const { vlanTci, output } = action;
      return `userspace(pid=0,sFlow(vid=${vlanTci & 0xfff},pcp=${vlanTci >>> 13},output=${output >>> 0}),actions)`;
    }
    case "ipfix":
      return `userspace(pid=0,ipfix(output_port=${action.outputPort ?? ODPP_NONE}))`;
    case "flow_sample": {
      const direction = ["", ",ingress", ",egress"][action.direction] ?? "";
      return (
        `userspace(pid=0,flow_sample(probability=${action.probability},collector_set_id=${action.collectorSetId},` +
        `obs_domain_id=${action.domain},obs_point_id=${action.point},output_port=${action.outputPort ?? ODPP_NONE}${direction}))`
      );
    }
  }
}
