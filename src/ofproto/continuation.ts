/**
 * A frozen state as bytes for a controller to keep (`controller(pause)`, NXT_RESUME): the switch itself keeps nothing, so
 * that a continuation outlives flows and connections. To controllers the bytes mean nothing; they are properties as in the
 * original's messages (`enum nx_continuation_prop_type`), and one of our own for what is an instruction, not an action.
 */
import { FLOW_WORDS, type Flow } from "../flow/layout.ts";
import {
  decodeActions,
  decodeInstructions,
  encodeActions,
  encodeInstructions,
} from "../openflow/actions/registry.ts";
import type { Ofpact } from "../openflow/actions.ts";
import { OfpError } from "../openflow/errors.ts";
import { properties, property } from "../openflow/msg/port.ts";
import { Reader, Writer } from "../openflow/wire.ts";
import type { FrozenState } from "./frozen.ts";
import type { Ofproto } from "./ofproto.ts";

const NXCPT_BRIDGE = 0;
const NXCPT_STACK = 1;
const NXCPT_MIRRORS = 2;
const NXCPT_CONNTRACKED = 3;
const NXCPT_TABLE_ID = 4;
const NXCPT_COOKIE = 5;
const NXCPT_ACTIONS = 6;
const NXCPT_ACTION_SET = 7;
const INSTRUCTION = 0x4000;
const NO_ACTIONS = 0x4001;

const INSTRUCTIONS: ReadonlySet<Ofpact["type"]> = new Set([
  "goto_table",
  "write_metadata",
  "write_actions",
  "clear_actions",
  "meter",
]);
/** OpenFlow 1.3: has every instruction. */
const INSTRUCTION_VERSION = 4;
const STACK_BYTES = 16;

/** `version`: that of the connection that will bring it back. */
export function encodeContinuation(state: FrozenState, version: number): Uint8Array {
  const w = new Writer();
  property(w, NXCPT_BRIDGE, () => w.put(state.ofproto.uuid));
  for (const value of state.stack) {
    property(w, NXCPT_STACK, () => {
      w.u64(value >> 64n);
      w.u64(BigInt.asUintN(64, value));
    });
  }
  if (state.mirrors !== 0) property(w, NXCPT_MIRRORS, () => w.u32(state.mirrors >>> 0));
  if (state.conntracked) property(w, NXCPT_CONNTRACKED, () => {});
  const list = (type: number, actions: readonly Ofpact[]) => {
    if (actions.length === 0) return;
    property(w, type, () => {
      w.u32(0);
      encodeActions(actions, w, version);
    });
  };
  if (state.actions === undefined) property(w, NXCPT_TABLE_ID, () => w.u8(state.tableId));
  else if (state.actions.length === 0) property(w, NO_ACTIONS, () => {});
  let run: Ofpact[] = [];
  for (const action of state.actions ?? []) {
    if (action.type !== "unroll_xlate" && !INSTRUCTIONS.has(action.type)) {
      run.push(action);
      continue;
    }
    list(NXCPT_ACTIONS, run);
    run = [];
    if (action.type === "unroll_xlate") {
      property(w, NXCPT_TABLE_ID, () => w.u8(action.table));
      property(w, NXCPT_COOKIE, () => {
        w.u32(0);
        w.u64(action.cookie);
      });
    } else {
      property(w, INSTRUCTION, () => {
        w.u32(0);
        encodeInstructions([action], w, INSTRUCTION_VERSION);
      });
    }
  }
  list(NXCPT_ACTIONS, run);
  list(NXCPT_ACTION_SET, state.actionSet);
  return w.bytes.slice(0, w.pos);
}

/** Throws OfpError. `metadata` is the packet's whole flow; `find` knows bridges by uuid. */
export function decodeContinuation(
  bytes: Uint8Array,
  version: number,
  metadata: Flow,
  find: (uuid: Uint8Array) => Ofproto | undefined,
): FrozenState {
  let ofproto: Ofproto | undefined;
  let tableId = 0;
  let conntracked = false;
  let mirrors = 0;
  let actions: Ofpact[] | undefined;
  let lastTable: number | undefined;
  const stack: bigint[] = [];
  const actionSet: Ofpact[] = [];
  for (const { type, data } of properties(new Reader(bytes))) {
    switch (type) {
      case NXCPT_BRIDGE:
        data.need(16, "OFPBPC_BAD_LEN");
        ofproto = find(data.take(16));
        break;
      case NXCPT_STACK:
        data.need(STACK_BYTES, "OFPBPC_BAD_LEN");
        stack.push((data.u64() << 64n) | data.u64());
        break;
      case NXCPT_MIRRORS:
        data.need(4, "OFPBPC_BAD_LEN");
        mirrors = data.u32() | 0;
        break;
      case NXCPT_CONNTRACKED:
        conntracked = true;
        break;
      case NXCPT_TABLE_ID:
        data.need(1, "OFPBPC_BAD_LEN");
        lastTable = data.u8();
        tableId = lastTable;
        break;
      case NXCPT_COOKIE:
        data.need(12, "OFPBPC_BAD_LEN");
        data.skip(4);
        (actions ??= []).push({ type: "unroll_xlate", table: lastTable ?? 0, cookie: data.u64() });
        break;
      case NO_ACTIONS:
        actions = [];
        break;
      case NXCPT_ACTIONS:
      case NXCPT_ACTION_SET:
      case INSTRUCTION: {
        data.need(4, "OFPBPC_BAD_LEN");
        data.skip(4);
        if (type === NXCPT_ACTION_SET) actionSet.push(...decodeActions(data, version));
        else if (type === NXCPT_ACTIONS) (actions ??= []).push(...decodeActions(data, version));
        else (actions ??= []).push(...decodeInstructions(data, INSTRUCTION_VERSION));
        break;
      }
      default:
        throw new OfpError("OFPBPC_BAD_TYPE");
    }
  }
  if (ofproto === undefined || metadata.length < FLOW_WORDS) throw new OfpError("NXR_STALE");
  return { ofproto, tableId, metadata, stack, actions, actionSet, conntracked, mirrors };
}
