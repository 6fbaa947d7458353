/**
 * A program for tests, run by Bun: changes flows of a bridge under load and sends a frame right after each barrier's
 * reply, bundle's commit or return of ovs-ofctl. A flow writes its version into the frames that follow it, and a frame
 * carries the version that its flow had when it was sent, so that a stale one is known for sure. Prints JSON.
 *   bun test/system/barrier-probe.ts BRIDGE MANAGEMENT_SOCKET CHANGES
 * The taps probe0 (OpenFlow port 1) and probe1 (2) are ports of the bridge.
 */
import { ptr } from "bun:ffi";
import { spawnSync } from "node:child_process";
import { connect } from "node:net";
import { encode } from "../../src/openflow/index.ts";
import type { Message } from "../../src/openflow/messages.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { openTap, readTap, writeTap } from "../../src/sys/tap.ts";

const [bridge, path, changesText] = process.argv.slice(2) as [string, string, string];
const CHANGES = Number(changesText);
const FLOWS = 2000;
const FIRST_UDP_PORT = 10_000;
/** Frames of load written at a time. */
const BURST = 32;
const VERSION = 5; // OpenFlow 1.4, the first with bundles
const VNET = 10;
const LENGTH = 60;

const into = openTap("probe0");
const outOf = openTap("probe1");
/** What has been confirmed. */
const versionOf = new Int32Array(FLOWS).fill(1);

// Frames. The payload has the version that the flow has at least, and whether this is a probe.
const buffer = new Uint8Array(VNET + LENGTH);
const frame = buffer.subarray(VNET);
frame.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, LENGTH - 14, 0, 0, 0, 0, 64, 17, 0, 0]);
frame.set([10, 0, 0, 1, 10, 0, 0, 2], 26);
const view = new DataView(frame.buffer, frame.byteOffset, LENGTH);
view.setUint16(34, 5000);
view.setUint16(38, LENGTH - 34);
const address = Number(ptr(buffer));

function send(flow: number, probe: boolean): void {
  view.setUint16(36, FIRST_UDP_PORT + flow);
  view.setUint16(42, versionOf[flow]!);
  view.setUint8(44, probe ? 1 : 0);
  writeTap(into, address, buffer.length);
}

const seen = { probes: 0, load: 0, stale: 0 };
const room = new Uint8Array(2048);
const roomAddress = Number(ptr(room));
const roomView = new DataView(room.buffer, VNET);

function receive(): void {
  for (;;) {
    const length = readTap(outOf, roomAddress, room.length);
    if (length <= 0) return;
    if (length < VNET + LENGTH || roomView.getUint16(12) !== 0x800 || roomView.getUint8(23) !== 17) continue;
    if (roomView.getUint16(34) < roomView.getUint16(42)) seen.stale++;
    else if (roomView.getUint8(44) === 1) seen.probes++;
    else seen.load++;
  }
}

// The connection.
const socket = connect(path);
const waiting = new Map<number, (bytes: Buffer) => void>();
let held = Buffer.alloc(0);
let xid = 1;
socket.on("data", (chunk) => {
  held = Buffer.concat([held, chunk]);
  while (held.length >= 8 && held.length >= held.readUInt16BE(2)) {
    const message = held.subarray(0, held.readUInt16BE(2));
    held = held.subarray(message.length);
    if (message[1] === 1) throw new Error(`error reply ${message.toString("hex")}`);
    if (message[1] === 2) socket.write(Buffer.from([VERSION, 3, 0, 8, ...message.subarray(4, 8)]));
    const resolve = waiting.get(message.readUInt32BE(4));
    waiting.delete(message.readUInt32BE(4));
    resolve?.(message);
  }
});

function bytesOf(message: Message): Uint8Array {
  return encode(message, VERSION, { xid: ++xid });
}

/** Sends messages; resolves in the turn in which the last one's reply arrives. */
function request(...messages: Message[]): Promise<void> {
  const bytes = Buffer.concat(messages.map(bytesOf));
  const last = xid;
  return new Promise((resolve) => {
    waiting.set(last, () => resolve());
    socket.write(bytes);
  });
}

const BARRIER: Message = { type: "barrier-request" } as Message;
const flowText = (flow: number, version: number) =>
  `priority=10,in_port=1,udp,tp_dst=${FIRST_UDP_PORT + flow},actions=mod_tp_src:${version},output:2`;
const flowMod = (text: string, command: number): Message => parseFlow(text, command).fm;

async function change(flow: number, version: number, kind: number): Promise<void> {
  const modify = flowMod(flowText(flow, version), 2);
  switch (kind) {
    case 0:
      await request(modify, BARRIER);
      return;
    case 1: {
      // Gone and back: the same match with other actions.
      const gone = flowMod(`priority=10,in_port=1,udp,tp_dst=${FIRST_UDP_PORT + flow}`, 4);
      await request(gone, flowMod(flowText(flow, version), 0), BARRIER);
      return;
    }
    case 2: {
      const control = (ctrl: number): Message =>
        ({ type: "bundle-control", bundleId: 7, ctrl, flags: 1 }) as Message;
      const inner = bytesOf(modify);
      const add = { type: "bundle-add-message", bundleId: 7, flags: 1, message: inner } as Message;
      const opened = encode(control(0), VERSION, { xid: ++xid });
      // A bundle's messages carry the xid of what they hold.
      const added = encode(add, VERSION, { xid: new DataView(inner.buffer, inner.byteOffset).getUint32(4) });
      socket.write(Buffer.concat([opened, added]));
      await request(control(4));
      return;
    }
    default:
      spawnSync("ovs-ofctl", ["--strict", "mod-flows", bridge, flowText(flow, version)]);
  }
}

socket.write(Buffer.from([VERSION, 0, 0, 8, 0, 0, 0, 1]));
for (let i = 0; i < FLOWS; i += 100)
  await request(...Array.from({ length: 100 }, (_, n) => flowMod(flowText(i + n, 1), 0)), BARRIER);

let loading = true;
let next = 0;
function load(): void {
  if (!loading) return;
  for (let i = 0; i < BURST; i++) {
    send(next, false);
    next = (next + 1) % FLOWS;
  }
  receive();
  setImmediate(load);
}
load();
await Bun.sleep(300);

let random = 12345;
for (let i = 0; i < CHANGES; i++) {
  random = (Math.imul(random, 1103515245) + 12345) >>> 0;
  const flow = (random >>> 8) % FLOWS;
  const version = versionOf[flow]! + 1;
  send(flow, false);
  // One in twenty by ovs-ofctl, which takes its time to start.
  await change(flow, version, i % 20 === 19 ? 3 : i % 3);
  versionOf[flow] = version;
  send(flow, true);
}
loading = false;
for (let i = 0; i < 100; i++) {
  receive();
  await Bun.sleep(5);
}
console.log(JSON.stringify(seen));
process.exit(0);
