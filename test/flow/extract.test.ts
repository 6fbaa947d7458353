/** Packets to flows: whole, odd and cut-off frames, as the original understood them. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import t from "tap";
import { extractFlow, OFS_L2_5, OFS_L2_PAD, OFS_L3, OFS_L4, setVlanLimit } from "../../src/flow/extract.ts";
import { FLOW_PACKET_WORDS, FLOW_WORDS, W_NSH_BASE } from "../../src/flow/layout.ts";
import { formatFlow } from "../../src/flow/match-text.ts";

const cases = readFileSync(new URL("data/extract.txt", import.meta.url), "utf8")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"))
  .map((line) => line.split(" => ") as [string, string]);

t.test("flows as the original's trace prints them", async (t) => {
  setVlanLimit(1); // its default in a switch
  t.teardown(() => setVlanLimit(2));
  for (const [hex, text] of cases) {
    const packet = Buffer.from(hex, "hex");
    const flow = new Int32Array(FLOW_WORDS);
    flow[0] = 1;
    extractFlow(packet, 0, packet.length, flow, new Int32Array(4));
    t.equal(formatFlow(flow), text, `${hex} (${packet.length} bytes)`);
  }
});

t.test("a used row gives what a clean one gives, wherever the frame lies", async () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...cases),
      fc.integer({ min: 0, max: 9 }),
      fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 3 }),
      ([hex], room, damage) => {
        const packet = Buffer.from(hex, "hex");
        for (const [at, value] of damage) if (at < packet.length) packet[at] = value;
        const clean = new Int32Array(FLOW_WORDS);
        const offsets = new Int32Array(4);
        extractFlow(packet, 0, packet.length, clean, offsets);
        const used = new Int32Array(FLOW_WORDS)
          .fill(-1, 12, FLOW_PACKET_WORDS)
          .fill(-1, W_NSH_BASE, W_NSH_BASE + 6);
        const slab = new Uint8Array(room + packet.length + 100).fill(0xff);
        slab.set(packet, room);
        const others = new Int32Array(4).fill(99);
        extractFlow(slab, room, packet.length, used, others);
        return used.every((word, i) => word === clean[i]) && others.every((word, i) => word === offsets[i]);
      },
    ),
    { numRuns: 2000 },
  );
});

t.test("offsets of the layers", async (t) => {
  const offsets = new Int32Array(4);
  const of = (hex: string) => {
    const packet = Buffer.from(hex, "hex");
    extractFlow(packet, 0, packet.length, new Int32Array(FLOW_WORDS), offsets);
    return [offsets[OFS_L2_5], offsets[OFS_L3], offsets[OFS_L4], offsets[OFS_L2_PAD]];
  };
  const find = (text: RegExp) => cases.find(([, flow]) => text.test(flow))?.[0] ?? "";
  t.same(of(find(/^udp,/)), [-1, 14, 34, 0]);
  t.same(of(`${find(/^udp,/)}00000000`), [-1, 14, 34, 4], "padding");
  t.same(of(find(/^tcp,.*dl_vlan=5/)), [-1, 18, 38, 0]);
  t.same(of(find(/^mpls,/)).slice(0, 3), [14, 18, -1]);
  t.same(of(""), [-1, -1, -1, 0]);
});
