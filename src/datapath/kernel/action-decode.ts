/** Nested OVS_ACTION_ATTR_* to an action program: what somebody else has put into the kernel. */
import * as L from "../../flow/layout.ts";
import { bytesOf, eachAttribute, textOf } from "../../netdev/netlink-message.ts";
import * as A from "../odp/actions.ts";
import * as C from "./action-codec.ts";
import { readRow } from "./key-codec.ts";
import { KEY_ETHERNET, KEY_MPLS, KEY_NSH, KEY_TUNNEL, ROW_OF } from "./key-table.ts";
import { readTunnel } from "./tunnel-codec.ts";

const SIMPLE_OF: readonly (C.SimpleAction | undefined)[] = Array.from({ length: 32 }, (_, attribute) =>
  C.SIMPLE.find((action) => action.attribute === attribute),
);
/** Stands for an action that is not known here, so that it is seen. */
const UNKNOWN_ACTION = 0x100;

/** Appends the actions that `value` holds. */
export function readActions(value: DataView, into: A.OdpActionBuilder): void {
  eachAttribute(value, 0, (attribute, of) => readAction(attribute, of, into));
}

function readAction(attribute: number, of: DataView, into: A.OdpActionBuilder): void {
  const row = SIMPLE_OF[attribute];
  if (row !== undefined) {
    if (of.byteLength < row.bytes) return;
    const at = into.emitBlank(row.opcode, row.words);
    for (const field of row.fields) {
      const number =
        field.bytes === 4 ? of.getInt32(field.at, !field.big) : of.getUint16(field.at, !field.big);
      const to = at + field.operand;
      into.words[to] = into.words[to]! | (number << field.shift);
    }
    return;
  }
  switch (attribute) {
    case C.ACTION_USERSPACE: {
      let operand = 0;
      eachAttribute(of, 0, (type, userdata) => {
        if (type === C.USERSPACE_USERDATA && userdata.byteLength >= 4) operand = userdata.getInt32(0, true);
      });
      into.emit(A.ODP_USERSPACE, operand);
      break;
    }
    case C.ACTION_SET:
    case C.ACTION_SET_MASKED:
      readSet(of, attribute === C.ACTION_SET_MASKED, into);
      break;
    case C.ACTION_CLONE: {
      const at = into.openNested(A.ODP_CLONE);
      readActions(of, into);
      into.closeNested(at);
      break;
    }
    case C.ACTION_DROP:
      into.emit(A.ODP_DROP, of.byteLength >= 4 ? of.getInt32(0, true) : 0);
      break;
    case C.ACTION_PSAMPLE: {
      const at = into.emitBlank(A.ODP_PSAMPLE, 5);
      eachAttribute(of, 0, (type, value) => {
        if (type === C.PSAMPLE_GROUP && value.byteLength >= 4) into.words[at + 2] = value.getInt32(0, true);
        else if (type === C.PSAMPLE_COOKIE && value.byteLength >= 8)
          for (let i = 0; i < 2; i++) into.words[at + 3 + i] = value.getInt32(i * 4);
      });
      break;
    }
    case C.ACTION_DEC_TTL: {
      const at = into.openNested(A.ODP_DEC_TTL);
      eachAttribute(of, 0, (type, value) => {
        if (type === C.DEC_TTL_ACTIONS) readActions(value, into);
      });
      into.closeNested(at);
      break;
    }
    case C.ACTION_SAMPLE:
      readSample(of, into);
      break;
    case C.ACTION_CHECK_PKT_LEN:
      readCheck(of, into);
      break;
    case C.ACTION_CT:
      readCt(of, into);
      break;
    case C.ACTION_PUSH_ETH: {
      const row = ROW_OF[KEY_ETHERNET]!;
      const key = new Int32Array(L.FLOW_DP_WORDS);
      readRow(row, of, key, false);
      into.emit(A.ODP_PUSH_ETH, key[L.W_ETH_DST_HI]!, key[L.W_ETH_DST_SRC]!, key[L.W_ETH_SRC_LO]!, 3);
      break;
    }
    case C.ACTION_PUSH_NSH:
      readPushNsh(of, into);
      break;
    default:
      into.emit(UNKNOWN_ACTION | attribute, 0, 0, 0, 0);
  }
}

/** One ODP_SET for each word of which a bit is set. */
function readSet(of: DataView, masked: boolean, into: A.OdpActionBuilder): void {
  const value = new Int32Array(L.FLOW_DP_WORDS);
  const mask = new Int32Array(L.FLOW_DP_WORDS);
  eachAttribute(of, 0, (type, key) => {
    const row = ROW_OF[type];
    if (row !== undefined) {
      readRow(row, key, value, false);
      if (masked) readRow(row, key, mask, true, row.bytes);
      else for (const { word, shift, bits } of row.pieces) mask[word] = mask[word]! | (bits << shift);
    } else if (type === KEY_MPLS && key.byteLength >= (masked ? 8 : 4)) {
      value[L.W_MPLS] = key.getInt32(0);
      mask[L.W_MPLS] = masked ? key.getInt32(4) : -1;
    } else if (type === KEY_TUNNEL) {
      readTunnel(key, value);
      for (let word = L.W_TUN_ID_HI; word < L.FLOW_DP_WORDS; word++) mask[word] = value[word] === 0 ? 0 : -1;
    } else if (type === KEY_NSH) {
      eachAttribute(key, 0, (part, words) => {
        const first = part === C.NSH_KEY_BASE ? L.W_NSH_BASE : L.W_NSH_CONTEXT;
        const count = part === C.NSH_KEY_BASE ? 2 : 4;
        if (words.byteLength < count * (masked ? 8 : 4)) return;
        for (let i = 0; i < count; i++) {
          value[first + i] = words.getInt32(i * 4);
          mask[first + i] = masked ? words.getInt32((count + i) * 4) : -1;
        }
      });
    }
  });
  for (let word = 0; word < L.FLOW_DP_WORDS; word++) {
    if (mask[word] === 0) continue;
    let number = value[word]!;
    // The queue's number, as the layout has it.
    if (word === L.W_SKB_PRIORITY && number >>> 16 === 1) number = (number & 0xffff) - 1;
    into.emit(A.ODP_SET, word, number, mask[word]!, 3);
  }
}

function readSample(of: DataView, into: A.OdpActionBuilder): void {
  let probability = 0;
  let actions: DataView | undefined;
  eachAttribute(of, 0, (type, value) => {
    if (type === C.SAMPLE_PROBABILITY && value.byteLength >= 4) probability = value.getInt32(0, true);
    else if (type === C.SAMPLE_ACTIONS) actions = value;
  });
  const at = into.openNested(A.ODP_SAMPLE);
  into.emitWord(probability);
  if (actions !== undefined) readActions(actions, into);
  into.closeNested(at);
}

function readCheck(of: DataView, into: A.OdpActionBuilder): void {
  let length = 0;
  let greater: DataView | undefined;
  let less: DataView | undefined;
  eachAttribute(of, 0, (type, value) => {
    if (type === C.CHECK_LENGTH && value.byteLength >= 2) length = value.getUint16(0, true);
    else if (type === C.CHECK_GREATER) greater = value;
    else if (type === C.CHECK_LESS_EQUAL) less = value;
  });
  const at = into.openNested(A.ODP_CHECK_PKT_LEN);
  into.emitWord(length);
  into.emitWord(0);
  const start = into.length;
  if (greater !== undefined) readActions(greater, into);
  into.words[start - 1] = into.length - start;
  if (less !== undefined) readActions(less, into);
  into.closeNested(at);
}

function readCt(of: DataView, into: A.OdpActionBuilder): void {
  const at = into.emitBlank(A.ODP_CT, A.CT_WORDS);
  const set = (operand: number, word: number): void => {
    into.words[at + operand] = into.words[at + operand]! | word;
  };
  eachAttribute(of, 0, (type, value) => {
    const size = value.byteLength;
    if (type === C.CT_ATTR_COMMIT) set(A.CT_FLAGS, A.CT_COMMIT);
    else if (type === C.CT_ATTR_FORCE_COMMIT) set(A.CT_FLAGS, A.CT_COMMIT | A.CT_FORCE);
    else if (type === C.CT_ATTR_ZONE && size >= 2) set(A.CT_ZONE, value.getUint16(0, true));
    else if (type === C.CT_ATTR_MARK && size >= 8) {
      set(A.CT_MARK, value.getInt32(0, true));
      set(A.CT_MARK_MASK, value.getInt32(4, true));
    } else if (type === C.CT_ATTR_LABELS && size >= 32) {
      for (let i = 0; i < 8; i++) set(A.CT_LABEL + i, value.getInt32(i * 4));
    } else if (type === C.CT_ATTR_HELPER) {
      const name = textOf(value);
      set(A.CT_ALG, C.CT_HELPERS.find((helper) => helper[1] === name)?.[0] ?? 0);
    } else if (type === C.CT_ATTR_TIMEOUT) A.setCtTimeout(into.words, at, textOf(value));
    else if (type === C.CT_ATTR_NAT) {
      set(A.CT_FLAGS, A.CT_NAT);
      eachAttribute(value, 0, (nat, part) => readNat(nat, part, set));
    }
  });
}

function readNat(type: number, value: DataView, set: (operand: number, word: number) => void): void {
  const flag = C.NAT_FLAGS.find(([attribute]) => attribute === type);
  const size = value.byteLength;
  if (flag !== undefined) set(A.CT_NAT_FLAGS, flag[1]);
  else if (type === C.NAT_IP_MIN || type === C.NAT_IP_MAX) {
    set(A.CT_NAT_FLAGS, size >= 16 ? A.CT_NAT_IPV6 : A.CT_NAT_IPV4);
    const to = type === C.NAT_IP_MIN ? A.CT_NAT_MIN : A.CT_NAT_MAX;
    for (let i = 0; i < 4 && i * 4 + 4 <= size; i++) set(to + i, value.getInt32(i * 4));
  } else if (type === C.NAT_PROTO_MIN && size >= 2) set(A.CT_NAT_PORTS, value.getUint16(0, true) << 16);
  else if (type === C.NAT_PROTO_MAX && size >= 2) set(A.CT_NAT_PORTS, value.getUint16(0, true));
}

function readPushNsh(of: DataView, into: A.OdpActionBuilder): void {
  let base: DataView | undefined;
  let context: DataView | undefined;
  let options: Uint8Array | undefined;
  eachAttribute(of, 0, (type, value) => {
    if (type === C.NSH_KEY_BASE && value.byteLength >= 8) base = value;
    else if (type === C.NSH_KEY_MD1 && value.byteLength >= 16) context = value;
    else if (type === C.NSH_KEY_MD2) options = bytesOf(value);
  });
  const words = options === undefined ? 4 : options.length >> 2;
  const at = into.emitBlank(A.ODP_PUSH_NSH, A.NSH_CONTEXT + words);
  const put = (from: DataView, to: number, count: number): void => {
    for (let i = 0; i < count; i++) into.words[at + to + i] = from.getInt32(i * 4);
  };
  if (base !== undefined) put(base, A.NSH_BASE, 2);
  if (context !== undefined) put(context, A.NSH_CONTEXT, 4);
  if (options !== undefined) {
    into.words[at + A.NSH_MD2_LENGTH] = options.length;
    put(new DataView(options.buffer, options.byteOffset, options.length), A.NSH_CONTEXT, words);
  }
}
