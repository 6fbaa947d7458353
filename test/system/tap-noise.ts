/**
 * A program for tests, run by Bun: writes frames of every malformation, with virtio headers that fit or lie, into a tap.
 *   bun test/system/tap-noise.ts DEVICE COUNT SEED
 */
import { ptr } from "bun:ffi";
import { openTap, writeTap } from "../../src/sys/tap.ts";
import { hostileFrame, randomOf, vnetHeader } from "../datapath/hostile.ts";

const [name, count, seed] = process.argv.slice(2);
const random = randomOf(Number(seed));
const fd = openTap(name!);
let taken = 0;
for (let i = 0; i < Number(count); i++) {
  const frame = hostileFrame(random);
  const bytes = Uint8Array.from([...vnetHeader(random, frame), ...frame]);
  if (writeTap(fd, Number(ptr(bytes)), bytes.length) === 0) taken++;
}
console.log(`the kernel took ${taken} of ${count}`);
process.exit(0);
