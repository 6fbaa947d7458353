/**
 * traffic.ts DEVICE DESTINATION_MAC FLOWS SECONDS [RATE [FIRST]]: sends 64-byte UDP frames (60 without the check sequence), RATE a
 * second, or (0) as fast as one core can. Flow f has 1024 + the low 12 bits of f as source port and 9 + the others as
 * destination port; frames are counted from FIRST, and take all flows in turn, in an order that has nothing to do with their
 * numbers. Runs inside a namespace; prints how many frames it has sent.
 */

import { dlopen, ptr } from "bun:ffi";
import { readFileSync } from "node:fs";

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  sendmmsg: { args: ["i32", "ptr", "u32", "i32"], returns: "i32" },
});
const [device, destination, flowsText, secondsText, rateText, firstText] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string | undefined,
  string | undefined,
];
const flows = Number(flowsText);
const rate = Number(rateText ?? 0);
/** Prime, so that its multiples reach every flow. */
const STRIDE = 48_271;
/** As many frames are made in advance; with more flows, their ports are written as they are sent. */
const PREPARED = 4096;
const LENGTH = 60;
const BATCH = 64;

const fd = libc.socket(17, 3, 0);
const address = new DataView(new ArrayBuffer(20));
address.setUint16(0, 17, true);
address.setInt32(4, Number(readFileSync(`/sys/class/net/${device}/ifindex`, "utf8")), true);
if (libc.bind(fd, ptr(new Uint8Array(address.buffer)), 20) !== 0) throw new Error("bind");
const one = Int32Array.of(1);
libc.setsockopt(fd, 263, 20, ptr(one), 4); // PACKET_QDISC_BYPASS
const buffer = Int32Array.of(4 << 20);
libc.setsockopt(fd, 1, 32, ptr(buffer), 4); // SO_SNDBUFFORCE

const mac = (text: string) => text.split(":").map((byte) => Number.parseInt(byte, 16));
const source = mac(readFileSync(`/sys/class/net/${device}/address`, "utf8").trim());
const count = Math.max(BATCH, Math.ceil(Math.min(flows, PREPARED) / BATCH) * BATCH);
const frames = new Uint8Array(count * 64);
const frameView = new DataView(frames.buffer);
const messages = new BigUint64Array(count * 8);
const vectors = new BigUint64Array(count * 2);
for (let i = 0; i < count; i++) {
  const frame = frames.subarray(i * 64, i * 64 + LENGTH);
  frame.set([...mac(destination), ...source, 8, 0, 0x45, 0, 0, LENGTH - 14, 0, 0, 0, 0, 64, 17, 0, 0]);
  // To an address that the other host does not have, so that it answers nothing.
  frame.set([10, 77, 0, 1, 10, 77, 9, 9], 26);
  const view = new DataView(frame.buffer, frame.byteOffset, LENGTH);
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~sum & 0xffff);
  setFlow(i, i % flows);
  view.setUint16(38, LENGTH - 34);
  vectors[i * 2] = BigInt(ptr(frame));
  vectors[i * 2 + 1] = BigInt(LENGTH);
  messages[i * 8 + 2] = BigInt(ptr(vectors)) + BigInt(i * 16);
  messages[i * 8 + 3] = 1n;
}
function setFlow(frame: number, flow: number): void {
  frameView.setUint32(frame * 64 + 34, ((1024 + (flow & 0xfff)) << 16) | (9 + (flow >>> 12)));
}

const first = ptr(messages);
const began = performance.now();
const end = began + Number(secondsText) * 1000;
let sent = 0;
let at = 0;
let number = Number(firstText ?? 0);
const pause = new Int32Array(new SharedArrayBuffer(4));
for (;;) {
  const now = performance.now();
  if (now >= end) break;
  if (rate > 0 && sent + BATCH > ((now - began) * rate) / 1000) {
    Atomics.wait(pause, 0, 0, 1);
    continue;
  }
  if (flows > PREPARED) {
    for (let i = at; i < at + BATCH; i++) setFlow(i, (number++ * STRIDE) % flows);
  }
  const done = libc.sendmmsg(fd, (first + at * 64) as typeof first, BATCH, 0);
  if (done > 0) sent += done;
  at += BATCH;
  if (at === count) at = 0;
}
console.log(sent);
