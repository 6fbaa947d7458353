/**
 * Whether actions make sense for a match (upstream: ofpacts_check): some inconsistencies are errors, others only
 * 1.1 and later forbid, which narrows the usable protocols.
 */
import { type Field, mustField } from "../../flow/fields/index.ts";
import { VLAN_CFI, W_ETH_TYPE, W_NW, W_PACKET_TYPE, W_VLAN0 } from "../../flow/layout.ts";
import { copyMatch, type Match, setMatchWord } from "../../flow/match.ts";
import { prerequisitesMet } from "../../flow/normalize.ts";
import { OFPP_NONE, type Ofpact, type OfpactType, type Subfield } from "../actions.ts";
import { USABLE_11_UP } from "../protocols.ts";
import { isOutputPort } from "./output.ts";
import { TextError } from "./row.ts";

export interface CheckResult {
  /** OpenFlow error's name, or undefined. */
  error: string | undefined;
  /** Log line that goes with the error, and its module. */
  log: string | undefined;
  module: "ofp_actions" | "meta_flow";
  usable: number;
}

interface State {
  match: Match;
  usable: number;
  table: number;
  log: string | undefined;
  module: CheckResult["module"];
  copied: boolean;
}

/** Checks `actions` of a flow in `table` (255: unknown) that matches `match`. */
export function checkActions(
  actions: readonly Ofpact[],
  match: Match,
  usable: number,
  table = 255,
): CheckResult {
  const state: State = { match, usable, table, log: undefined, module: "ofp_actions", copied: false };
  const error = checkList(actions, state);
  return { error, log: state.log, module: state.module, usable: state.usable };
}

function checkList(actions: readonly Ofpact[], s: State): string | undefined {
  for (let i = 0; i < actions.length; i++) {
    const error = checkOne(actions[i]!, s);
    if (error !== undefined) return error;
  }
  return undefined;
}

/** Connections' original tuples are there with a state that says so. */
const CT_NW_PROTO = mustField("ct_nw_proto");

const INCONSISTENT = "OFPBAC_MATCH_INCONSISTENT";

function own(s: State): Match {
  if (!s.copied) {
    s.match = copyMatch(s.match);
    s.copied = true;
  }
  return s.match;
}

function etherType(s: State): number {
  return (s.match.mask[W_ETH_TYPE]! & 0xffff) === 0xffff ? s.match.flow[W_ETH_TYPE]! & 0xffff : 0;
}

function isIp(s: State): boolean {
  const type = etherType(s);
  return type === 0x0800 || type === 0x86dd;
}

function isMpls(s: State): boolean {
  const type = etherType(s);
  return type === 0x8847 || type === 0x8848;
}

/** Only 1.0 lets it pass. */
function narrow(s: State, ok: boolean): void {
  if (!ok) s.usable &= ~USABLE_11_UP;
}

function fieldOk(field: Field, s: State): boolean {
  return prerequisitesMet(field, s.match.flow, s.match.mask);
}

function subfieldOk(sub: Subfield, s: State): string | undefined {
  return fieldOk(sub.field, s) ? undefined : INCONSISTENT;
}

function lacks(s: State, role: string, field: Field): void {
  s.log = `${role} field ${field.name} lacks correct prerequisites`;
  s.module = "meta_flow";
}

function hasVlan(s: State): boolean {
  return (s.match.flow[W_VLAN0]! & VLAN_CFI) !== 0;
}

function checkOne(a: Ofpact, s: State): string | undefined {
  switch (a.type) {
    case "set_field": {
      if (!fieldOk(a.field, s) || (a.field.name === "vlan_pcp" && !hasVlan(s))) {
        s.log = `set_field ${a.field.name} lacks correct prerequisites`;
        return INCONSISTENT;
      }
      if (a.field.name === "vlan_tci" || a.field.name === "vlan_vid") {
        const m = own(s);
        if (a.value & 0x1000n || a.field.name === "vlan_vid") setMatchWord(m, W_VLAN0, VLAN_CFI, VLAN_CFI);
      }
      if (a.field.name === "eth_type") setMatchWord(own(s), W_ETH_TYPE, Number(a.value), 0xffff);
      return undefined;
    }
    case "reg_move":
      for (const [role, { field }] of [
        ["source", a.src],
        ["destination", a.dst],
      ] as const) {
        if (fieldOk(field, s)) continue;
        lacks(s, role, field);
        return INCONSISTENT;
      }
      return undefined;
    case "resubmit":
      return a.withCtOrig && !fieldOk(CT_NW_PROTO, s) ? INCONSISTENT : undefined;
    case "stack_push":
    case "stack_pop":
      return subfieldOk(a.subfield, s);
    case "output_reg":
      return subfieldOk(a.src, s);
    case "multipath":
    case "check_pkt_larger":
      return subfieldOk(a.dst, s);
    case "bundle":
      if (!a.members.every((port) => port === OFPP_NONE || isOutputPort(port))) return "OFPBAC_BAD_OUT_PORT";
      return a.dst === undefined ? undefined : subfieldOk(a.dst, s);
    case "set_vlan_vid":
      a.flowHasVlan = hasVlan(s);
      narrow(s, a.flowHasVlan || a.pushVlanIfNeeded);
      setMatchWord(own(s), W_VLAN0, VLAN_CFI, VLAN_CFI);
      return undefined;
    case "set_vlan_pcp":
      a.flowHasVlan = hasVlan(s);
      narrow(s, hasVlan(s) || a.pushVlanIfNeeded);
      setMatchWord(own(s), W_VLAN0, VLAN_CFI, VLAN_CFI);
      return undefined;
    case "strip_vlan":
      narrow(s, hasVlan(s));
      setMatchWord(own(s), W_VLAN0, 0, 0xffff);
      return undefined;
    case "push_vlan":
      setMatchWord(own(s), W_VLAN0, VLAN_CFI, VLAN_CFI);
      return undefined;
    case "set_ipv4_src":
    case "set_ipv4_dst":
      narrow(s, etherType(s) === 0x0800);
      return undefined;
    case "set_ip_dscp":
    case "set_ip_ecn":
    case "set_ip_ttl":
    case "dec_ttl":
      narrow(s, isIp(s));
      return undefined;
    case "set_l4_src_port":
    case "set_l4_dst_port": {
      const proto = (s.match.mask[W_NW]! & 0xff) === 0xff ? s.match.flow[W_NW]! & 0xff : 0;
      narrow(s, isIp(s) && (proto === 6 || proto === 17 || proto === 132) && !(s.match.flow[W_NW]! >>> 24));
      return undefined;
    }
    case "set_mpls_label":
    case "set_mpls_tc":
    case "set_mpls_ttl":
    case "dec_mpls_ttl":
      narrow(s, isMpls(s));
      return undefined;
    case "push_mpls":
      if (etherType(s) === 0x894f) return INCONSISTENT;
      setMatchWord(own(s), W_ETH_TYPE, a.ethertype, 0xffff);
      return undefined;
    case "pop_mpls":
      narrow(s, isMpls(s));
      setMatchWord(own(s), W_ETH_TYPE, a.ethertype, 0xffff);
      return undefined;
    case "dec_nsh_ttl":
      narrow(s, etherType(s) === 0x894f);
      return undefined;
    case "encap":
      setMatchWord(own(s), W_PACKET_TYPE, a.packetType, -1);
      if (a.packetType !== 0) setMatchWord(own(s), W_ETH_TYPE, a.packetType & 0xffff, 0xffff);
      return undefined;
    case "decap":
      if (s.match.mask[W_PACKET_TYPE] !== 0 && s.match.flow[W_PACKET_TYPE] !== 0) {
        own(s).mask[W_PACKET_TYPE] = 0;
      }
      return undefined;
    case "fin_timeout": {
      const proto = (s.match.mask[W_NW]! & 0xff) === 0xff ? s.match.flow[W_NW]! & 0xff : 0;
      narrow(s, isIp(s) && proto === 6);
      return undefined;
    }
    case "ct": {
      if (!isIp(s)) return INCONSISTENT;
      if (typeof a.zone !== "number") {
        const bad = subfieldOk(a.zone, s);
        if (bad !== undefined) return bad;
      }
      return checkNested(a.actions, s);
    }
    case "nat": {
      const type = etherType(s);
      const { min } = a.addresses;
      if (!isIp(s)) return INCONSISTENT;
      if (typeof min === "number" && type !== 0x0800) return INCONSISTENT;
      if (min instanceof Uint8Array && type !== 0x86dd) return INCONSISTENT;
      return undefined;
    }
    case "clone":
      return checkNested(a.actions, s);
    case "learn":
      return checkLearn(a, s);
    case "goto_table":
      return s.table !== 255 && a.table <= s.table ? "OFPBIC_BAD_TABLE_ID" : undefined;
    case "write_actions": {
      // What a set's actions will find is unknown: they do not narrow.
      const { usable } = s;
      const error = checkNested(a.actions, s);
      s.usable = usable;
      return error;
    }
    case "meter":
      return a.meterId === 0 || a.meterId > 0xffff0000 ? "OFPMMFC_INVALID_METER" : undefined;
    default:
      return undefined;
  }
}

function checkNested(list: readonly Ofpact[], s: State): string | undefined {
  const inner: State = { ...s, match: copyMatch(s.match), copied: true };
  const error = checkList(list, inner);
  s.usable &= inner.usable;
  s.log = inner.log ?? s.log;
  return error;
}

function checkLearn(a: Extract<Ofpact, { type: "learn" }>, s: State): string | undefined {
  const target: State = { ...s, match: copyMatch(s.match), copied: true };
  target.match.flow.fill(0);
  target.match.mask.fill(0);
  for (const spec of a.specs) {
    if (typeof spec.src !== "bigint") {
      const bad = subfieldOk(spec.src, s);
      if (bad !== undefined) {
        lacks(s, "source", spec.src.field);
        return bad;
      }
    }
    if (spec.dst === undefined) continue;
    if (!prerequisitesMet(spec.dst.field, target.match.flow, target.match.mask)) {
      lacks(s, "destination", spec.dst.field);
      return INCONSISTENT;
    }
    if (spec.kind === "match" && typeof spec.src === "bigint") {
      const { field, offset, bits } = spec.dst;
      if (offset === 0 && bits === field.bits && field.places.length === 1) {
        const [word, shift, width] = field.places[0]!;
        const mask = (width === 32 ? -1 : (1 << width) - 1) << shift;
        setMatchWord(target.match, word, Number(BigInt.asIntN(32, spec.src)) << shift, mask);
      }
    }
  }
  return undefined;
}

const ORDER: readonly string[] = [
  "meter",
  "apply_actions",
  "clear_actions",
  "write_actions",
  "write_metadata",
  "goto_table",
];

function instructionOf(type: OfpactType): number {
  const at = ORDER.indexOf(type);
  return at < 0 ? 1 : at;
}

/** Instructions must stand in 1.1's order. Throws TextError. */
export function checkOrder(actions: readonly Ofpact[]): void {
  let last = -1;
  for (const a of actions) {
    const at = instructionOf(a.type);
    if (at < last) {
      throw new TextError(
        `invalid instruction ordering: ${ORDER[at]} must appear before ${ORDER[last]}, for OpenFlow 1.1+ compatibility`,
      );
    }
    if (at === last && at !== 1) {
      throw new TextError(`duplicate ${ORDER[at]} instruction not allowed, for OpenFlow 1.1+ compatibility`);
    }
    last = at;
  }
}
