/** Elements of a map in the kernel that come and go many at a time; prints what became of them. Runs under Bun. */
import { createMap } from "../../src/sys/bpf.ts";

const HASH = 1;
const map = createMap({ name: "batches", type: HASH, keyBytes: 4, valueBytes: 8, entries: 6, flags: 0 });
const keys = (numbers: number[]): Uint8Array => new Uint8Array(Uint32Array.from(numbers).buffer);
const held = (): number[] =>
  map
    .all()
    .map(([key]) => new DataView(key.buffer, key.byteOffset).getUint32(0, true))
    .sort();
const put = (numbers: number[]): number =>
  map.updateBatch(keys(numbers), new Uint8Array(numbers.length * 8), numbers.length);
const results: unknown[] = [put([1, 2, 3, 4]), put([4, 5, 6, 7, 8]), held()];
// The first, one in the middle and the last are not there.
map.deleteBatch(keys([9, 1, 2, 9, 5, 9]), 6);
results.push(held());
map.deleteBatch(keys([3]), 0);
results.push(held());
map.close();
console.log(JSON.stringify(results));
