/**
 * A program for tests, run by Bun: writes Ethernet frames into a tap device and prints what comes out of it.
 *   bun test/system/tap-frames.ts DEVICE MILLISECONDS [HEX...]
 */
import { ptr } from "bun:ffi";
import { openTap, readTap, writeTap } from "../../src/sys/tap.ts";

const [name, time, ...frames] = process.argv.slice(2);
const fd = openTap(name!);
for (const hex of frames) {
  const bytes = new Uint8Array(10 + hex.length / 2);
  bytes.set(Buffer.from(hex, "hex"), 10);
  if (writeTap(fd, Number(ptr(bytes)), bytes.length) < 0) throw new Error("write");
}
const room = new Uint8Array(70_000);
const until = performance.now() + Number(time);
while (performance.now() < until) {
  const length = readTap(fd, Number(ptr(room)), room.length);
  if (length > 10) console.log(Buffer.from(room.subarray(10, length)).toString("hex"));
  else await Bun.sleep(2);
}
process.exit(0);
