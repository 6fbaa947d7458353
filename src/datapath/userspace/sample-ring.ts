/**
 * Samples on their way up: copies of packets for monitoring, to which there is no answer, in a ring of their own, so that
 * they take no slot and keep no miss waiting. Hot path.
 *
 *   record:  operand | bytes of the frame | words of key | key ... | the frame's first SAMPLE_BYTES bytes ...
 *
 * The key is the packet's words, or all of it where the packet came by a tunnel.
 */
import { FLOW_DP_WORDS, FLOW_PACKET_WORDS, type Flow, W_TUN_DST, W_TUN_IPV6_DST } from "../../flow/layout.ts";
import { SAMPLE_BYTES, UPCALL_ACTION, type Upcall } from "../dpif.ts";
import { makePacket, type Packet } from "../packet.ts";
import type { SharedRing } from "./ring.ts";
import { copyBytes } from "./scratch.ts";

const R_OPERAND = 0;
const R_LENGTH = 1;
const R_KEY_WORDS = 2;
const R_KEY = 3;

function hasTunnel(key: Flow): boolean {
  const v6 = key[W_TUN_IPV6_DST]! | key[W_TUN_IPV6_DST + 1]! | key[W_TUN_IPV6_DST + 2]!;
  return (key[W_TUN_DST]! | v6 | key[W_TUN_IPV6_DST + 3]!) !== 0;
}

export class SampleWriter {
  private readonly ring: SharedRing;
  private readonly bytes: Uint8Array;

  constructor(ring: SharedRing) {
    this.ring = ring;
    this.bytes = new Uint8Array(ring.words.buffer);
  }

  /** False when there is no room. */
  write(packet: Packet, key: Flow, operand: number): boolean {
    const { length } = packet;
    const count = Math.min(length, SAMPLE_BYTES);
    const keyWords = hasTunnel(key) ? FLOW_DP_WORDS : FLOW_PACKET_WORDS;
    const ring = this.ring;
    let at = ring.reserve(R_KEY + keyWords + ((count + 3) >> 2));
    if (at < 0) return false;
    const words = ring.words;
    words[at + R_OPERAND] = operand;
    words[at + R_LENGTH] = length;
    words[at + R_KEY_WORDS] = keyWords;
    at += R_KEY;
    for (let word = 0; word < keyWords; word++, at++) words[at] = key[word]!;
    copyBytes(packet.data, packet.offset, this.bytes, at * 4, count);
    ring.commit();
    return true;
  }
}

export class SampleReader {
  private readonly ring: SharedRing;
  private readonly bytes: Uint8Array;
  private readonly key: Flow = new Int32Array(FLOW_DP_WORDS);
  private wide = false;
  private at = -1;
  private readonly upcall: Upcall;

  constructor(ring: SharedRing) {
    this.ring = ring;
    this.bytes = new Uint8Array(ring.words.buffer);
    this.upcall = { kind: UPCALL_ACTION, key: this.key, packet: makePacket(this.bytes), userdata: 0 };
  }

  get waiting(): boolean {
    return this.ring.peek() >= 0;
  }

  /** The oldest one, valid until {@link release}, or undefined. */
  next(): Upcall | undefined {
    const record = this.ring.peek();
    if (record < 0) return undefined;
    this.at = record;
    const { words } = this.ring;
    const { upcall, key } = this;
    const keyWords = words[record + R_KEY_WORDS]!;
    let at = record + R_KEY;
    for (let word = 0; word < keyWords; word++, at++) key[word] = words[at]!;
    if (this.wide && keyWords < FLOW_DP_WORDS) key.fill(0, keyWords);
    this.wide = keyWords === FLOW_DP_WORDS;
    upcall.userdata = words[record + R_OPERAND]!;
    upcall.packet.offset = at * 4;
    upcall.packet.length = words[record + R_LENGTH]!;
    return upcall;
  }

  release(): void {
    this.ring.release(this.at);
  }
}
