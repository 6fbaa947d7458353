/**
 * The language between main and the worker: records in the request ring (main → worker) and the upcall ring
 * (worker → main). A record is [type, operands...] in Int32 words.
 */
/** [type, odp port, PORT_*, operand, characters, name as UTF-16 units...]; answered by UP_PORT. */
export const REQ_PORT_ADD = 1;
/** [type, odp port, 1 when the descriptor of a tap is to stay open, as other lanes have it] */
export const REQ_PORT_DEL = 2;
/** [type, flow, mask words, (word, bits, value)..., program...] */
export const REQ_FLOW_PUT = 3;
/** [type, flow, program...] */
export const REQ_FLOW_ACTIONS = 4;
/** [type, flow] */
export const REQ_FLOW_DEL = 5;
/** [type, slot, program...]: runs the program on the packet that waits in the slot and frees that. */
export const REQ_ANSWER = 6;
/** [type, slot]: the flow is there by now; classify again. */
export const REQ_AGAIN = 7;
/** [type, length, 8 words of packet data as in a slot, key (FLOW_DP_WORDS), bytes in words (rounded up), program...] */
export const REQ_EXECUTE = 8;
/** [type, meter, words of meterWords...] */
export const REQ_METER_SET = 9;
/** [type, meter] */
export const REQ_METER_DEL = 10;
export const EXECUTE_HEADER = 2 + 8;
/** [type, tags]: so many VLAN tags are looked at. */
export const REQ_VLAN_LIMIT = 11;
/** [type, odp port, 1 for shaped] */
export const REQ_PORT_SHAPED = 12;
/** [type, odp port, kbps, burst in kilobits, kpps, burst in thousands of packets] */
export const REQ_PORT_POLICING = 13;

/** [type, descriptor]: closes it. */
export const REQ_CLOSE = 14;
/** [type, processor]: the thread keeps to it; -1: to none. */
export const REQ_PIN = 15;

/** [type, odp port, characters, name...]: hands the ring of a device over and sends only, answered by UP_RING. */
export const REQ_PORT_GIVE = 16;
/** [type, odp port, words of UP_RING...]: receives from then on. */
export const REQ_PORT_TAKE = 17;

/** [type, slot]: a packet goes up. */
export const UP_PACKET = 1;
/** [type, odp port, errno or 0, value]: a port was added, or could not be. The value is as PORT_* says. */
export const UP_PORT = 2;
export const UP_WORDS = 4;
/** [type, odp port, errno or 0, words of the ring (HELD_WORDS)...]: the ring for another lane. */
export const UP_RING = 3;

/** Of REQ_PORT_ADD: a packet socket; operand RING_* (system.ts) or the number of a group, which is also the value. */
export const PORT_RING = 0;
/** A tap that the lane opens and reads; the value is its descriptor. */
export const PORT_TAP = 1;
/** A tap that another lane reads; the operand is its descriptor. */
export const PORT_TAP_SHARED = 2;

/** A device's name: its length, then a character a word. */
export function writeName(words: Int32Array, at: number, name: string): void {
  words[at] = name.length;
  for (let i = 0; i < name.length; i++) words[at + 1 + i] = name.charCodeAt(i);
}

export function readName(words: Int32Array, at: number): string {
  return String.fromCharCode(...words.subarray(at + 1, at + 1 + words[at]!));
}
