/**
 * Samples on their way up: copies of packets for monitoring, to which there is no answer, in a ring of their own, so that
 * they take no slot and keep no miss waiting. Hot path.
 *
 *   record:  operand | bytes of the frame | words of key | key ... | the frame's first SAMPLE_BYTES bytes ...
 *
 * Short records, since the two threads run on two processors: each line of the cache that goes from one to the other costs more
 * than all that is done to it. So of the key only those words go that monitoring reads, and all where the packet came by a tunnel.
 */
import {
  FLOW_DP_WORDS,
  type Flow,
  W_ETH_DST_HI,
  W_ETH_DST_SRC,
  W_ETH_SRC_LO,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_NW,
  W_TCP_FLAGS,
  W_TP,
  W_TUN_DST,
  W_TUN_IPV6_DST,
  W_VLAN0,
  W_VLAN1,
} from "../../flow/layout.ts";
import { ETH_TYPE_IPV6 } from "../../flow/packet/ethernet.ts";
import { SAMPLE_BYTES, UPCALL_ACTION, type Upcall } from "../dpif.ts";
import { makePacket, type Packet } from "../packet.ts";
import type { SharedRing } from "./ring.ts";
import { copyBytes } from "./scratch.ts";

/** Records given back at a time. */
const GIVE_BACK = 64;

const R_OPERAND = 0;
const R_LENGTH = 1;
const R_KEY_WORDS = 2;
const R_KEY = 3;

const SHORT = Int32Array.of(
  ...[W_IN_PORT, W_ETH_DST_HI, W_ETH_DST_SRC, W_ETH_SRC_LO, W_ETH_TYPE, W_VLAN0, W_VLAN1],
  ...[W_IPV4_SRC, W_IPV4_DST, W_NW, W_TP, W_TCP_FLAGS],
);
const IPV6 = Int32Array.of(...SHORT, ...range(W_IPV6_SRC, W_IPV6_LABEL));
const WHOLE = Int32Array.of(...range(0, FLOW_DP_WORDS - 1));

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}

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

  /** Returns the words taken, 0 when there is no room. To be seen after {@link publish}. */
  write(packet: Packet, key: Flow, operand: number): number {
    const { length } = packet;
    const count = Math.min(length, SAMPLE_BYTES);
    const list = hasTunnel(key) ? WHOLE : key[W_ETH_TYPE] === ETH_TYPE_IPV6 ? IPV6 : SHORT;
    const keyWords = list.length;
    const ring = this.ring;
    const size = R_KEY + keyWords + ((count + 3) >> 2);
    let at = ring.reserve(size);
    if (at < 0) return 0;
    const words = ring.words;
    words[at + R_OPERAND] = operand;
    words[at + R_LENGTH] = length;
    words[at + R_KEY_WORDS] = keyWords;
    at += R_KEY;
    for (let i = 0; i < keyWords; i++, at++) words[at] = key[list[i]!]!;
    copyBytes(packet.data, packet.offset, this.bytes, at * 4, count);
    return size + 1;
  }

  publish(): void {
    this.ring.commit();
  }
}

export class SampleReader {
  private readonly ring: SharedRing;
  private readonly bytes: Uint8Array;
  private readonly key: Flow = new Int32Array(FLOW_DP_WORDS);
  /** Words that it has; the others are zero. */
  private list = WHOLE;
  private at = -1;
  /** Records read and not given back. */
  private held = 0;
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
    if (record < 0) {
      if (this.held > 0) this.giveBack();
      return undefined;
    }
    this.at = record;
    const { words } = this.ring;
    const { upcall, key } = this;
    const keyWords = words[record + R_KEY_WORDS]!;
    if (keyWords !== this.list.length) {
      key.fill(0);
      this.list = keyWords === SHORT.length ? SHORT : keyWords === IPV6.length ? IPV6 : WHOLE;
    }
    const { list } = this;
    let at = record + R_KEY;
    for (let i = 0; i < keyWords; i++, at++) key[list[i]!] = words[at]!;
    upcall.userdata = words[record + R_OPERAND]!;
    upcall.packet.offset = at * 4;
    upcall.packet.length = words[record + R_LENGTH]!;
    return upcall;
  }

  release(): void {
    this.ring.step(this.at);
    if (++this.held === GIVE_BACK) this.giveBack();
  }

  private giveBack(): void {
    this.held = 0;
    this.ring.giveBack();
  }
}
