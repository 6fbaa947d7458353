/** openvswitch.ko's messages, without the module: golden bytes, round trips, and a kernel that answers by hand. */
import t from "tap";
import { Families, NO_MODULE, NOT_PERMITTED, openFamilies } from "../../src/datapath/kernel/families.ts";
import { cString, encodeMessage } from "../../src/netdev/netlink-message.ts";
import type { NetlinkSocket } from "../../src/sys/netlink-socket.ts";

const EPERM = 1;
const ENOENT = 2;
const EACCES = 13;
const ENODEV = 19;

/** A kernel with these families, where a change fails with `errno`. */
function fakeKernel(families: readonly string[], errno: number) {
  const waiting: Uint8Array[] = [];
  const answer = (request: Uint8Array): void => {
    const view = new DataView(request.buffer, request.byteOffset);
    const sequence = view.getUint32(8, true);
    const type = view.getUint16(4, true);
    const failed = (number: number) =>
      encodeMessage(2, 0, sequence, new Uint8Array(Int32Array.of(-number).buffer), []);
    if (type !== 16) waiting.push(failed(errno));
    else {
      const text = Buffer.from(request).toString("latin1");
      const at = families.findIndex((name) => text.includes(`${name}\0`));
      if (at < 0) waiting.push(failed(ENOENT));
      else {
        const id = new Uint8Array(Uint16Array.of(30 + at).buffer);
        const head = Uint8Array.of(1, 2, 0, 0);
        waiting.push(
          encodeMessage(16, 0, sequence, head, [
            [2, cString(families[at]!)],
            [1, id],
          ]),
        );
        waiting.push(failed(0));
      }
    }
  };
  const socket: NetlinkSocket = {
    port: 7,
    send: (requests, length) => {
      answer(requests.slice(0, length));
      return 0;
    },
    receive: (into) => {
      const datagram = waiting.shift();
      if (datagram === undefined) return -11;
      into.set(datagram);
      return datagram.length;
    },
    watch: () => {},
    close: () => {},
  };
  const openRoute = (): never => {
    throw new Error("no devices here");
  };
  return {
    openSocket: () => socket,
    openNetfilter: () => socket,
    openRoute,
    nowMs: () => 0,
    random: () => 4,
  };
}

t.test("whether there is a datapath in the kernel", async (t) => {
  const needed = ["ovs_datapath", "ovs_vport", "ovs_flow", "ovs_packet"];
  const cases: [string, Parameters<typeof fakeKernel>, string | undefined][] = [
    ["no families", [[], 0], NO_MODULE],
    ["half of them", [["ovs_datapath"], ENODEV], NO_MODULE],
    ["no rights", [needed, EPERM], NOT_PERMITTED],
    ["all is well", [needed, ENODEV], undefined],
  ];
  for (const [what, kernel, want] of cases) {
    const opened = openFamilies(() => fakeKernel(...kernel));
    if (want === undefined) t.ok(opened instanceof Families, what);
    else t.equal(opened, want, what);
  }
  const denied = [{ code: "EPERM" }, { errno: EPERM }, { errno: EACCES }];
  for (const error of denied) {
    const opened = openFamilies(() => {
      throw Object.assign(new Error("socket"), error);
    });
    t.equal(opened, NOT_PERMITTED);
  }
});
