/** A Linux bridge's VLANs and learned addresses, from the kernel's bytes. */
import t from "tap";
import { type BridgeVlan, decodeForward, decodeVlans } from "../../src/netdev/bridge-view.ts";

const bytes = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ""), "hex"));

/** struct nlmsghdr, ifinfomsg of family AF_BRIDGE and device 5, IFLA_IFNAME "p1", IFLA_AF_SPEC with three VLANs. */
const ANSWER = bytes(`
  44000000 1000 0200 01000000 00000000
  07000100 05000000 00000000 00000000
  0700 0300 70310000
  1c00 1a00 0800 0200 0600 0100  0800 0200 0000 0a00  0800 0200 0400 1400`);
/** The same of family AF_UNSPEC, which says nothing of VLANs. */
const OTHER = ANSWER.with(16, 0);

const WANT: [number, BridgeVlan[]][] = [
  [
    5,
    [
      { vlan: 1, pvid: true, untagged: true },
      { vlan: 10, pvid: false, untagged: false },
      { vlan: 20, pvid: false, untagged: true },
    ],
  ],
];

t.test("VLANs", async (t) => {
  t.equal(decodeVlans([OTHER]).size, 0, "another family");
  t.same([...decodeVlans([ANSWER])], WANT);
  const both = new Uint8Array(Buffer.concat([OTHER, ANSWER]));
  t.same([...decodeVlans([both])], WANT, "the second message of a datagram");
  for (let length = 0; length < ANSWER.length; length++)
    t.equal(decodeVlans([ANSWER.slice(0, length)]).size, 0, `${length} bytes of it`);
});

t.test("learned addresses", async (t) => {
  const table = bytes(`
    020000000002 01 00 2c010000 01 000000
    020000000001 03 01 00000000 00 000000 0200`);
  t.same(decodeForward(table), [
    { mac: "02:00:00:00:00:01", port: 3, local: true, ageSec: 0 },
    { mac: "02:00:00:00:00:02", port: 257, local: false, ageSec: 3 },
  ]);
});
