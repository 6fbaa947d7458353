/**
 * Match fields inside a translation: reading them marks the wildcards, writing them keeps a flow's words consistent
 * (upstream: mf_mask_field, mf_subfield_*, mf_are_prereqs_ok).
 */
import { type Field, getFieldBig, setFieldBig } from "../../flow/fields/index.ts";
import {
  FLOW_NW_FRAG_LATER,
  type Flow,
  VLAN_CFI,
  W_CT_STATE_ZONE,
  W_ETH_TYPE,
  W_NW,
  W_PACKET_TYPE,
  W_TP,
  W_VLAN0,
  W_VLAN1,
} from "../../flow/layout.ts";
import type { SetField, Subfield } from "../../openflow/actions.ts";
import type { XlateContext } from "./context.ts";
import {
  ETH_TYPE_ARP,
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_MPLS,
  ETH_TYPE_MPLS_MCAST,
  ETH_TYPE_NSH,
  ETH_TYPE_RARP,
  ETH_TYPE_VLAN_8021Q,
} from "./context.ts";

/** [word, value, mask] triples of a set_field, made once an action. */
const compiled = new WeakMap<SetField, Int32Array>();

function compileSetField(action: SetField): Int32Array {
  const words: number[] = [];
  let { value, mask } = action;
  const { places } = action.field;
  for (let i = places.length - 1; i >= 0; i--) {
    const [word, shift, width] = places[i]!;
    const part = Number(BigInt.asUintN(width, mask)) | 0;
    if (part !== 0) words.push(word, (Number(BigInt.asUintN(width, value)) & part) << shift, part << shift);
    value >>= BigInt(width);
    mask >>= BigInt(width);
  }
  return Int32Array.from(words);
}

/** Sets the masked bits of a field that is there, marking what the datapath must match on. */
export function applySetField(action: SetField, flow: Flow, wildcards: Flow): void {
  if (!hasPrerequisite(action.field, flow, wildcards)) return;
  const { prereq, name } = action.field;
  // As in the original: what is written to an IP header is for packets of this protocol; ARP without an operation is
  // left alone.
  if ((prereq === "arp" || prereq === "ip" || prereq === "ipv4" || prereq === "ipv6") && name !== "ip_dscp")
    wildcards[W_NW] = wildcards[W_NW]! | 0xff;
  let triples = compiled.get(action);
  if (triples === undefined) {
    triples = compileSetField(action);
    compiled.set(action, triples);
  }
  for (let i = 0; i < triples.length; i += 3) {
    const word = triples[i]!;
    const mask = triples[i + 2]!;
    wildcards[word] = wildcards[word]! | mask;
    flow[word] = (flow[word]! & ~mask) | triples[i + 1]!;
    if (word === W_VLAN0) fixVlan(flow);
  }
}

/** After a write to the outer tag's TCI: no CFI bit, no tag; a tag has a TPID. */
export function fixVlan(flow: Flow): void {
  const vlan = flow[W_VLAN0]!;
  if ((vlan & VLAN_CFI) === 0) {
    flow[W_VLAN0] = flow[W_VLAN1]!;
    flow[W_VLAN1] = 0;
  } else if (vlan >>> 16 === 0) flow[W_VLAN0] = (ETH_TYPE_VLAN_8021Q << 16) | (vlan & 0xffff);
}

/** Whether the packet has what the field needs; marks the bits that this was read from. */
export function hasPrerequisite(field: Field, flow: Flow, wildcards: Flow): boolean {
  const type = flow[W_ETH_TYPE]!;
  switch (field.prereq) {
    case "none":
      return true;
    case "ethernet":
      return flow[W_PACKET_TYPE] === 0;
    case "vlan":
      wildcards[W_VLAN0] = wildcards[W_VLAN0]! | VLAN_CFI;
      return (flow[W_VLAN0]! & VLAN_CFI) !== 0;
    case "mpls":
      return type === ETH_TYPE_MPLS || type === ETH_TYPE_MPLS_MCAST;
    case "ipv4":
      return type === ETH_TYPE_IP;
    case "ipv6":
      return type === ETH_TYPE_IPV6;
    case "ip":
      return type === ETH_TYPE_IP || type === ETH_TYPE_IPV6;
    case "arp":
      return type === ETH_TYPE_ARP || type === ETH_TYPE_RARP;
    case "nsh":
      return type === ETH_TYPE_NSH;
    case "ct":
      wildcards[W_CT_STATE_ZONE] = wildcards[W_CT_STATE_ZONE]! | 0xffff;
      return (flow[W_CT_STATE_ZONE]! & 0xffff) !== 0;
    case "tcp":
      return isTransport(6, type, flow, wildcards);
    case "udp":
      return isTransport(17, type, flow, wildcards);
    case "sctp":
      return isTransport(132, type, flow, wildcards);
    case "icmpv4":
      return type === ETH_TYPE_IP && isTransport(1, type, flow, wildcards);
    case "icmpv6":
      return type === ETH_TYPE_IPV6 && isTransport(58, type, flow, wildcards);
    case "nd":
    case "nd_solicit":
    case "nd_advert": {
      if (type !== ETH_TYPE_IPV6 || !isTransport(58, type, flow, wildcards)) return false;
      wildcards[W_TP] = -1;
      const icmp = flow[W_TP]!;
      const solicit = icmp === 135 << 16;
      const advert = icmp === 136 << 16;
      return field.prereq === "nd" ? solicit || advert : field.prereq === "nd_solicit" ? solicit : advert;
    }
  }
}

/** An IP packet of this protocol that is no later fragment. */
function isTransport(protocol: number, type: number, flow: Flow, wildcards: Flow): boolean {
  if (type !== ETH_TYPE_IP && type !== ETH_TYPE_IPV6) return false;
  wildcards[W_NW] = wildcards[W_NW]! | 0xff0000ff;
  const nw = flow[W_NW]!;
  return (nw & 0xff) === protocol && ((nw >>> 24) & FLOW_NW_FRAG_LATER) === 0;
}

function onesBig(bits: number): bigint {
  return (1n << BigInt(bits)) - 1n;
}

/** Marks the bits of a subfield (of all the field when it is not maskable). */
export function maskSubfield(subfield: Subfield, wildcards: Flow): void {
  const { field } = subfield;
  const bits = field.maskable
    ? onesBig(subfield.bits) << BigInt(subfield.offset)
    : onesBig(field.bits === 0 ? 1 : field.bits);
  setFieldBig(field, wildcards, getFieldBig(field, wildcards) | bits);
}

const FIRST_RESERVED_PORT = 0xff00n;

export function readSubfield(subfield: Subfield, flow: Flow, wildcards: Flow): bigint {
  hasPrerequisite(subfield.field, flow, wildcards);
  maskSubfield(subfield, wildcards);
  let value = getFieldBig(subfield.field, flow);
  // Reserved ports have numbers of 32 bits from OpenFlow 1.1 on.
  if (subfield.field.name === "in_port_oxm" && value >= FIRST_RESERVED_PORT) value |= 0xffff0000n;
  return (value >> BigInt(subfield.offset)) & onesBig(subfield.bits);
}

/** Writes `value`; nothing happens when the packet lacks the field. */
export function writeSubfield(subfield: Subfield, value: bigint, flow: Flow, wildcards: Flow): void {
  if (!hasPrerequisite(subfield.field, flow, wildcards)) return;
  maskSubfield(subfield, wildcards);
  const shift = BigInt(subfield.offset);
  const mask = onesBig(subfield.bits) << shift;
  const old = getFieldBig(subfield.field, flow);
  let merged = (old & ~mask) | ((value << shift) & mask);
  if (subfield.field.name === "in_port_oxm") merged &= 0xffffn;
  setFieldBig(subfield.field, flow, merged);
  if (subfield.field.places[0]?.[0] === W_VLAN0) fixVlan(flow);
}

/** A trace tells what a subfield has become. */
export function reportSubfield(ctx: XlateContext, subfield: Subfield): void {
  if (!ctx.tracing) return;
  const value = readSubfield(subfield, ctx.flow, ctx.wildcards);
  const name = ctx.ofproto.subfieldName(subfield);
  ctx.detail(`${name} is now ${value === 0n ? "0" : `0x${value.toString(16)}`}`);
}
