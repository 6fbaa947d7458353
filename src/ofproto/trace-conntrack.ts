/**
 * What a trace assumes of connection tracking, which it does not ask: the state that each packet comes back with
 * (`--ct-next`), and the addresses that NAT gives it.
 */
import { CT_STATE, formatFlags } from "../flow/flags.ts";
import {
  type Flow,
  W_CT_STATE_ZONE,
  W_ETH_TYPE,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_TP,
} from "../flow/layout.ts";
import { formatIpv4, formatIpv6 } from "../lib/ip.ts";
import type { Nat } from "../openflow/actions.ts";
import { ETH_TYPE_IP, type Recirculation } from "./xlate/context.ts";

const NEW = 1;
const EST = 2;
const REPLY = 8;
const INVALID = 16;
const TRACKED = 32;
const DEFAULT_STATE = TRACKED | NEW;

const NAT_SRC = 1;
const NAT_DST = 2;

/** "trk,est" as bits; throws an Error that says what is wrong. */
export function parseCtNext(text: string): number {
  let state = 0;
  for (const name of text.split(/[, ]+/)) {
    if (name === "") continue;
    const bit = CT_STATE.names.indexOf(name);
    if (bit < 0) throw new Error(`${name}: unknown connection tracking state flag`);
    state |= 1 << bit;
  }
  const wrong = contradiction(state);
  if (wrong !== undefined)
    throw new Error(`${formatFlags(CT_STATE, state)}: invalid connection state: ${wrong}`);
  return state;
}

function contradiction(state: number): string | undefined {
  if (state !== 0 && (state & TRACKED) === 0) return 'If "trk" is unset, no other flags are set';
  if ((state & INVALID) !== 0 && (state & ~(TRACKED | INVALID)) !== 0)
    return 'when "inv" is set, only "trk" may also be set';
  if ((state & NEW) !== 0 && (state & EST) !== 0) return '"new" and "est" are mutually exclusive';
  if ((state & NEW) !== 0 && (state & REPLY) !== 0) return '"new" and "rpy" are mutually exclusive';
  return undefined;
}

/** Gives the packet of `recirculation` the state `next`, or the default; returns the lines that head its trace. */
export function resumeConntrack(recirculation: Recirculation, next: number | undefined): string[] {
  const { id, flow, nat } = recirculation;
  flow[W_CT_STATE_ZONE] = (flow[W_CT_STATE_ZONE]! & ~0xffff) | (next ?? DEFAULT_STATE);
  const state =
    next === undefined
      ? "default ct_state=trk|new (use --ct-next to customize)"
      : `ct_state=${formatFlags(CT_STATE, next)}`;
  const lines = [`recirc(0x${id.toString(16)}) - resume conntrack with ${state}`];
  if (nat !== undefined) {
    const named = (nat.flags & (NAT_SRC | NAT_DST)) !== 0;
    lines.push("Replacing src/dst IP/ports to simulate NAT:");
    lines.push(` Initial flow: ${named ? endpoints(flow) : ""}`);
    translateAddress(flow, nat);
    lines.push(` Modified flow: ${named ? endpoints(flow) : ""}`);
  }
  const rule = "=".repeat(79);
  return ["", rule, ...lines, rule, ""];
}

function endpoints(flow: Flow): string {
  const v4 = flow[W_ETH_TYPE] === ETH_TYPE_IP;
  const address = (word: number) => {
    if (v4) return formatIpv4(flow[word]!);
    const bytes = new DataView(new ArrayBuffer(16));
    for (let i = 0; i < 4; i++) bytes.setInt32(4 * i, flow[word + i]!);
    return `[${formatIpv6(new Uint8Array(bytes.buffer))}]`;
  };
  const [name, src, dst] = v4 ? ["nw", W_IPV4_SRC, W_IPV4_DST] : ["ipv6", W_IPV6_SRC, W_IPV6_DST];
  const tp = flow[W_TP]!;
  return `${name}_src=${address(src as number)},tp_src=${tp >>> 16},${name}_dst=${address(dst as number)},tp_dst=${tp & 0xffff}`;
}

/** The first address and port of the range. */
function translateAddress(flow: Flow, nat: Nat): void {
  const src = (nat.flags & NAT_SRC) !== 0;
  if (!src && (nat.flags & NAT_DST) === 0) return;
  const { min } = nat.addresses;
  if (typeof min === "number") flow[src ? W_IPV4_SRC : W_IPV4_DST] = min | 0;
  else if (min !== undefined) {
    const bytes = new DataView(min.buffer, min.byteOffset);
    for (let i = 0; i < 4; i++) flow[(src ? W_IPV6_SRC : W_IPV6_DST) + i] = bytes.getInt32(4 * i);
  }
  if (nat.protoMin === 0) return;
  const tp = flow[W_TP]!;
  flow[W_TP] = src ? (nat.protoMin << 16) | (tp & 0xffff) : (tp & (0xffff0000 | 0)) | nat.protoMin;
}
