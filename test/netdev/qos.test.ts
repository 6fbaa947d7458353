/** Queueing of devices: the messages byte by byte, and what a kernel that keeps what it is told ends up with. */
import t from "tap";
import type { Clock } from "../../src/lib/clock.ts";
import type { QosConfig } from "../../src/netdev/netdev.ts";
import { DeviceQos, TrafficControl } from "../../src/netdev/qos/device-qos.ts";
import { DISCIPLINES, type Settings } from "../../src/netdev/qos/disciplines.ts";
import { encodeTc, type TcMessage } from "../../src/netdev/qos/tc-message.ts";
import type { RouteSocket } from "../../src/sys/netlink.ts";

const LINK = { mtu: 1500, speed: 0 };
const settings = (values: Record<string, string | number>): Settings =>
  new Map(Object.entries(values).map(([key, value]) => [key, String(value)]));
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
/** Options of a message that has nothing before them. */
const options = (value: TcMessage["options"]): string => {
  const message = { type: 36, flags: 0, ifindex: 2, handle: 0x10000, parent: 0xffffffff };
  return hex(encodeTc({ ...message, options: value! }, 1)).slice((36 + 4) * 2);
};

t.test("a whole message", async (t) => {
  const htb = DISCIPLINES.get("linux-htb")!;
  const message: TcMessage = {
    type: 36,
    flags: 0x605,
    ifindex: 2,
    handle: 0x10000,
    parent: 0xffffffff,
    kind: htb.kind,
    options: htb.options(new Map()),
  };
  t.equal(
    hex(encodeTc(message, 7)),
    // nlmsghdr and tcmsg
    `${"48000000" + "2400" + "0506" + "07000000" + "00000000"}${"00000000" + "02000000" + "00000100" + "ffffffff" + "00000000"}` +
      // TCA_KIND, TCA_OPTIONS, TCA_HTB_INIT
      `${"08000100" + "68746200"}${"1c000200" + "18000200"}${"03000000" + "0a000000" + "01000000" + "00000000" + "00000000"}`,
  );
});

// Numbers that the original sends for the same rows, in our order where theirs is no rule of the kernel's.
const PLAIN: [
  type: string,
  values: Record<string, number>,
  details: Record<string, number>,
  bytes: string,
][] = [
  ["linux-hfsc", { "max-rate": 8000 }, { "max-rate": 8000 }, "01000000"],
  [
    "linux-sfq",
    { quantum: 3000, perturb: 7 },
    { quantum: 3000, perturb: 7 },
    "b80b000007000000000000000000000000000000",
  ],
  [
    "linux-codel",
    { target: 2000, limit: 500, interval: 40000 },
    { target: 2000, limit: 500, interval: 40000 },
    "08000100d007000008000200f401000008000300409c0000",
  ],
  [
    "linux-fq_codel",
    { target: 2000, limit: 500, interval: 40000, flows: 64, quantum: 3000 },
    { target: 2000, limit: 500, interval: 40000, flows: 64, quantum: 3000 },
    "08000100d007000008000200f401000008000300409c0000080005004000000008000600b80b0000",
  ],
  [
    "linux-netem",
    { latency: 1000, limit: 500, loss: 10, jitter: 50 },
    { latency: 1000, limit: 500, loss: 10, jitter: 50 },
    "093d0000f40100009999991900000000000000000d030000",
  ],
  ["linux-sfq", {}, { quantum: 1500, perturb: 10 }, "dc0500000a000000000000000000000000000000"],
  [
    "linux-netem",
    { loss: 100 },
    { latency: 0, limit: 1000, loss: 100, jitter: 0 },
    "00000000e8030000ffffffff000000000000000000000000",
  ],
];

t.test("options of disciplines without queues of ours", async (t) => {
  for (const [type, values, details, bytes] of PLAIN) {
    const discipline = DISCIPLINES.get(type)!;
    const found = discipline.details(settings(values), LINK);
    t.strictSame(Object.fromEntries(found), details, type);
    t.equal(options(discipline.options(found)), bytes, type);
  }
});

t.test("classes of htb and hfsc", async (t) => {
  const htb = DISCIPLINES.get("linux-htb")!;
  const port = htb.details(settings({ "max-rate": 1_000_000_000 }), LINK);
  const cases: [Record<string, number>, Record<string, number>, string][] = [
    // rate, ceil; buffer, cbuffer, quantum, level, priority
    [
      {},
      { burst: 12512, priority: 0, "min-rate": 12000, "max-rate": 1e9 },
      `${"0001000000003c00dc050000"}${"0001000000003c0040597307"}${"5297f800"}${"c3000000"}${"dc050000"}${"00000000"}${"00000000"}`,
    ],
    [
      { "min-rate": 20_000_000, "max-rate": 20_000_000 },
      { burst: 12512, priority: 0, "min-rate": 20_000_000, "max-rate": 20_000_000 },
      `${"0001000000003c00a0252600"}${"0001000000003c00a0252600"}${"2f260000"}${"2f260000"}${"60ea0000"}${"00000000"}${"00000000"}`,
    ],
    [
      { "max-rate": 50_000_000, burst: 80_000, priority: 5 },
      { burst: 80_000, priority: 5, "min-rate": 12000, "max-rate": 50_000_000 },
      `${"0001000000003c00dc050000"}${"0001000000003c00105e5f00"}${"0a753506"}${"a8610000"}${"dc050000"}${"00000000"}${"05000000"}`,
    ],
    [
      { "min-rate": 5e9, "max-rate": 4e9 },
      { burst: 12512, priority: 0, "min-rate": 1e9, "max-rate": 1e9 },
      `${"0001000000003c0040597307"}${"0001000000003c0040597307"}${"c3000000"}${"c3000000"}${"60ea0000"}${"00000000"}${"00000000"}`,
    ],
  ];
  for (const [values, details, bytes] of cases) {
    const queue = htb.classes!.details(settings(values), port, LINK);
    t.strictSame(Object.fromEntries(queue), details);
    t.equal(options(htb.classes!.queue(queue, LINK)), `30000100${bytes}`, JSON.stringify(values));
  }
  const fast = new Map([["max-rate", 400e9]]);
  t.match(
    options(htb.classes!.root(fast, LINK)),
    /^300001000001000000003c00ffffffff0001000000003c00ffffffff.{40}0c00060000743ba40b0000000c00070000743ba40b000000$/,
    "above 34 Gbit/s the whole of a rate is in an attribute",
  );
  const hfsc = DISCIPLINES.get("linux-hfsc")!;
  const limits = hfsc.classes!.details(settings({ "min-rate": 8e6, "max-rate": 16e6 }), port, LINK);
  t.strictSame(Object.fromEntries(limits), { "min-rate": 8e6, "max-rate": 16e6 });
  const curve = (type: string, rate: string) => `1000${type}0000000000000000${rate}`;
  t.equal(
    options(hfsc.classes!.queue(limits, LINK)),
    curve("0100", "40420f00") + curve("0200", "40420f00") + curve("0300", "80841e00"),
  );
  t.equal(options(hfsc.classes!.root(port, LINK)), curve("0200", "40597307") + curve("0300", "40597307"));
  t.strictSame(Object.fromEntries(htb.details(settings({ "max-rate": "x" }), LINK)), { "max-rate": 1e10 });
  t.strictSame(Object.fromEntries(htb.details(new Map(), { ...LINK, speed: 1e9 })), { "max-rate": 1e9 });
});

/** Keeps disciplines and classes of devices as a kernel does that has htb and sfq only. */
class FakeKernel implements RouteSocket {
  /** By ifindex: kind and handle of the root, classes with their parents. */
  readonly roots = new Map<number, { kind: string; handle: number; classes: Map<number, number> }>();
  readonly requests: number[] = [];

  transact(request: Uint8Array): Uint8Array[] {
    const view = new DataView(request.buffer);
    const [type, flags] = [view.getUint16(4, true), view.getUint16(6, true)];
    const [ifindex, handle, parent] = [
      view.getInt32(20, true),
      view.getUint32(24, true),
      view.getUint32(28, true),
    ];
    this.requests.push(type);
    const root = this.roots.get(ifindex);
    const answer = (errno: number): Uint8Array[] => {
      const message = new Uint8Array(36);
      const out = new DataView(message.buffer);
      out.setUint32(0, 36, true);
      out.setUint16(4, 2, true);
      out.setInt32(16, -errno, true);
      return [message];
    };
    if ((flags & 0x300) === 0x300 && type === 38)
      return root === undefined
        ? answer(0)
        : [
            encodeTc(
              { type: 36, flags: 2, ifindex, handle: root.handle, parent: 0xffffffff, kind: root.kind },
              1,
            ),
          ];
    if ((flags & 0x300) === 0x300)
      return [...(root?.classes ?? [])].map(([id, under]) =>
        encodeTc({ type: 40, flags: 2, ifindex, handle: id, parent: under, kind: "htb" }, 1),
      );
    const length = request.length > 36 ? view.getUint16(36, true) : 0;
    const kind = Buffer.from(request.subarray(40, 36 + length))
      .toString()
      .replace(/\0.*/s, "");
    switch (type) {
      case 36:
        if (kind !== "htb" && kind !== "sfq") return answer(2);
        if (root !== undefined && (flags & 0x200) !== 0) return answer(17);
        this.roots.set(ifindex, { kind, handle, classes: new Map() });
        return answer(0);
      case 37:
        return answer(this.roots.delete(ifindex) ? 0 : 2);
      case 40:
        if (root === undefined) return answer(2);
        root.classes.set(handle, parent);
        return answer(0);
      default:
        return answer(root?.classes.delete(handle) ? 0 : 2);
    }
  }

  subscribe(): () => void {
    return () => {};
  }
  close(): void {}
}

t.test("a device follows its row", async (t) => {
  const time = { ms: 1000 };
  const clock = { now: () => time.ms } as Clock;
  const kernel = new FakeKernel();
  const qos = new DeviceQos(new TrafficControl(kernel), clock);
  const config = (type: string, queues: Record<number, Settings> = {}, values = settings({})): QosConfig => ({
    type,
    settings: values,
    queues: new Map(Object.entries(queues).map(([id, queue]) => [Number(id), queue])),
  });
  const state = () => {
    const root = kernel.roots.get(2);
    return (
      root && [
        root.kind,
        ...[...root.classes].map(([id, parent]) => `${id.toString(16)}<${parent.toString(16)}`),
      ]
    );
  };
  const rate = settings({ "min-rate": 1e6 });
  kernel.roots.set(2, { kind: "sfq", handle: 0x10000, classes: new Map() });
  t.equal(qos.set(2, LINK, undefined), undefined);
  t.equal(state(), undefined, "what an earlier run has left goes");

  t.equal(qos.set(2, LINK, config("linux-htb", { 1: rate, 7: rate })), undefined);
  t.strictSame(
    state(),
    ["htb", "1fffe<10000", "10001<1fffe", "10002<1fffe", "10008<1fffe"],
    "queue 0 is made",
  );
  const count = kernel.requests.length;
  qos.set(2, LINK, config("linux-htb", { 1: rate, 7: rate }));
  t.equal(kernel.requests.length, count, "nothing new, nothing to say");
  t.strictSame(
    qos.queues().map(({ id, minRate }) => [id, minRate]),
    [
      [0, 12000],
      [1, 1e6],
      [7, 1e6],
    ],
  );
  qos.set(2, LINK, config("linux-htb", { 0: rate, 9: rate, 70000: rate }));
  t.strictSame(state(), ["htb", "1fffe<10000", "10001<1fffe", "1000a<1fffe"], "queues come and go");

  // Another process, after this one: the same is kept.
  const next = new DeviceQos(new TrafficControl(kernel), clock);
  next.set(2, LINK, config("linux-htb", { 9: rate }));
  t.notOk(kernel.requests.slice(-10).includes(37), "nothing was taken away");
  t.strictSame(state(), ["htb", "1fffe<10000", "10001<1fffe", "1000a<1fffe"]);

  qos.set(2, LINK, config("linux-sfq"));
  t.strictSame(state(), ["sfq"]);
  t.strictSame(qos.queues(), []);
  t.match(qos.current, { type: "linux-sfq" });
  qos.set(2, LINK, config("linux-noop"));
  t.equal(state(), undefined, "what was ours goes");
  kernel.roots.set(2, { kind: "sfq", handle: 0x80000, classes: new Map() });
  qos.set(2, LINK, config("linux-noop", {}, rate));
  t.strictSame(state(), ["sfq"], "what is others' stays");

  for (const type of ["linux-hfsc", "linux-codel", "linux-fq_codel", "linux-netem"]) {
    t.equal(qos.set(2, LINK, config(type)), "Failed to install new qdisc: No such file or directory", type);
    t.equal(qos.current, undefined);
    t.equal(state(), undefined);
  }
  t.match(qos.set(2, LINK, config("egress-policer")), /^QoS type egress-policer is none of linux-codel, /);
});
