/** Connections that the kernel tracks: ctnetlink's messages by a kernel that answers by hand, and their text. */
import t from "tap";
import { CtStats, type CtTuple, formatCtEntry } from "../../src/datapath/conntrack.ts";
import { KernelConntrack } from "../../src/datapath/kernel/conntrack.ts";
import type { Families } from "../../src/datapath/kernel/families.ts";
import {
  type Attribute,
  bytesOf,
  cString,
  decodeMessages,
  eachAttribute,
  encodeMessage,
} from "../../src/netdev/netlink-message.ts";
import type { NetlinkSocket } from "../../src/sys/netlink-socket.ts";

const be16 = (value: number) => Uint8Array.of(value >>> 8, value & 0xff);
const be32 = (value: number) => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
const be64 = (value: bigint) => {
  const bytes = new DataView(new ArrayBuffer(8));
  bytes.setBigUint64(0, value);
  return new Uint8Array(bytes.buffer);
};
const v4 = (last: number) => Uint8Array.of(10, 0, 0, last);
const ends = (src: number, dst: number): Attribute => [
  1,
  [
    [1, v4(src)],
    [2, v4(dst)],
  ],
];
const ports = (proto: number, src: number, dst: number): Attribute => [
  2,
  [
    [1, Uint8Array.of(proto)],
    [2, be16(src)],
    [3, be16(dst)],
  ],
];

const TCP: Attribute[] = [
  [1, [ends(1, 2), ports(6, 1000, 21)]],
  [2, [ends(2, 1), ports(6, 21, 1000)]],
  [3, be32(0x0e)],
  [
    4,
    [
      [
        1,
        [
          [1, Uint8Array.of(4)],
          [2, Uint8Array.of(7)],
          [3, Uint8Array.of(6)],
          [4, Uint8Array.of(3, 0xff)],
          [5, Uint8Array.of(0, 0xff)],
        ],
      ],
    ],
  ],
  [5, [[1, cString("ftp")]]],
  [7, be32(300)],
  [8, be32(9)],
  [
    9,
    [
      [1, be64(5n)],
      [2, be64(0x1_0000_0000n)],
    ],
  ],
  [12, be32(0xfffffff0)],
  [18, be16(7)],
  [20, [[1, be64(1_600_000_000_123_456_789n)]]],
  [22, Uint8Array.of(0x34, 0x12, ...new Array(14).fill(0))],
];
const icmp = (at: number, type: number): Attribute => [
  2,
  [
    [1, Uint8Array.of(at === 4 ? 1 : 58)],
    [at, be16(77)],
    [at + 1, Uint8Array.of(type)],
    [at + 2, Uint8Array.of(0)],
  ],
];
const ICMP: Attribute[] = [
  [1, [ends(1, 2), icmp(4, 8)]],
  [2, [ends(2, 1), icmp(4, 0)]],
  [3, be32(0)],
];
const v6 = (last: number) => Uint8Array.of(0xfd, ...new Array(14).fill(0), last);
const ICMPV6: Attribute[] = [
  [
    1,
    [
      [
        1,
        [
          [3, v6(1)],
          [4, v6(2)],
        ],
      ],
      icmp(7, 128),
    ],
  ],
  [
    2,
    [
      [
        1,
        [
          [3, v6(2)],
          [4, v6(1)],
        ],
      ],
      icmp(7, 129),
    ],
  ],
  [18, be16(8)],
];
const SCTP: Attribute[] = [
  [1, [ends(1, 2), ports(132, 5, 6)]],
  [2, [ends(2, 1), ports(132, 6, 5)]],
  [
    4,
    [
      [
        3,
        [
          [1, Uint8Array.of(4)],
          [2, Uint8Array.of(1, 0, 0, 0)],
          [3, Uint8Array.of(2, 0, 0, 0)],
        ],
      ],
    ],
  ],
  [14, [ends(1, 2), ports(132, 1, 2)]],
];
const TEMPLATE: Attribute[] = [...ICMP.slice(0, 2), [3, be32(1 << 11)]];

/** Answers a dump by these, and takes down what is to be deleted. */
function fakeKernel(connections: readonly Attribute[][], errno = 0) {
  const deleted: string[] = [];
  let open = 0;
  const openNetfilter = (): NetlinkSocket => {
    open++;
    const waiting: Uint8Array[] = [];
    return {
      port: 1,
      send(requests, length) {
        const request = requests.slice(0, length);
        const view = new DataView(request.buffer);
        const type = view.getUint16(4, true);
        const error = encodeMessage(2, 0, 1, new Uint8Array(Int32Array.of(-errno).buffer), []);
        if (type === 0x102) {
          const parts: string[] = [];
          for (const { body } of decodeMessages([request])) {
            parts.push(`family ${body.getUint8(0)}`);
            eachAttribute(body, 4, (attribute, value) =>
              parts.push(`${attribute}:${Buffer.from(bytesOf(value)).toString("hex")}`),
            );
          }
          deleted.push(parts.join(" "));
          waiting.push(error);
        } else if (errno !== 0) waiting.push(error);
        else {
          for (const attributes of connections) {
            const six = attributes === ICMPV6;
            waiting.push(encodeMessage(0x100, 2, 1, Uint8Array.of(six ? 10 : 2, 0, 0, 0), attributes));
          }
          waiting.push(encodeMessage(3, 2, 1, new Uint8Array(4), []));
        }
        return 0;
      },
      receive(into) {
        const datagram = waiting.shift();
        if (datagram === undefined) return -11;
        into.set(datagram);
        return datagram.length;
      },
      watch: () => {},
      close: () => void open--,
    };
  };
  const families = { system: { openNetfilter } } as unknown as Families;
  return { conntrack: new KernelConntrack(families, 3), deleted, open: () => open };
}

t.test("connections as text", async (t) => {
  const { conntrack, open } = fakeKernel([TCP, ICMP, ICMPV6, SCTP, TEMPLATE]);
  const lines = (verbose: boolean, statistics: boolean) =>
    [...conntrack.dump(undefined)].map((entry) => formatCtEntry(entry, verbose, statistics));
  t.strictSame(lines(false, false), [
    "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=21),reply=(src=10.0.0.2,dst=10.0.0.1,sport=21,dport=1000),zone=7,mark=9,labels=0x1234,protoinfo=(state=FIN_WAIT_1),helper=ftp",
    "icmp,orig=(src=10.0.0.1,dst=10.0.0.2,id=77,type=8,code=0),reply=(src=10.0.0.2,dst=10.0.0.1,id=77,type=0,code=0)",
    "icmpv6,orig=(src=fd00::1,dst=fd00::2,id=77,type=128,code=0),reply=(src=fd00::2,dst=fd00::1,id=77,type=129,code=0),zone=8",
    "sctp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=5,dport=6),reply=(src=10.0.0.2,dst=10.0.0.1,sport=6,dport=5),protoinfo=(state=ESTABLISHED,vtag_orig=1,vtag_reply=2)",
  ]);
  const [tcp, , , sctp] = lines(true, true);
  t.equal(
    tcp,
    "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1000,dport=21,packets=5,bytes=4294967296),reply=(src=10.0.0.2,dst=10.0.0.1,sport=21,dport=1000)" +
      ",start=2020-09-13T12:26:40.123,id=4294967280,zone=7,status=SEEN_REPLY|ASSURED|CONFIRMED,timeout=300,mark=9,labels=0x1234" +
      ",protoinfo=(state_orig=FIN_WAIT_1,state_reply=FIN_WAIT_1,wscale_orig=7,wscale_reply=6,flags_orig=WINDOW_SCALE|SACK_PERM,flags_reply=0),helper=ftp",
  );
  t.match(sctp, /,status=0,timeout=0,.*,parent=\(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2\)$/);
  t.equal([...conntrack.dump(7)].length, 1, "those of a zone");
  const stopped = conntrack.dump(undefined)[Symbol.iterator]();
  stopped.next();
  stopped.return?.();
  t.equal(open(), 0, "no socket stays");
  const stats = new CtStats();
  for (const entry of conntrack.dump(undefined)) stats.add(entry);
  t.equal(
    stats.format(true),
    "Connections Stats:\n    Total: 4\n  TCP: 1\n    Conn per TCP states:\n\t  [FIN_WAIT_1]=1\n  SCTP: 1\n  ICMP: 1\n",
  );
});

t.test("the kernel keeps one state, and calls some by other names", async (t) => {
  const states: string[] = [];
  for (let state = 0; state <= 10; state++) {
    const tcp = TCP.map(
      (attribute): Attribute => (attribute[0] === 4 ? [4, [[1, [[1, Uint8Array.of(state)]]]]] : attribute),
    );
    for (const entry of fakeKernel([tcp]).conntrack.dump(undefined))
      states.push(/state=(\w+)/.exec(formatCtEntry(entry, false, false))![1]!);
  }
  t.strictSame(states, [
    "CLOSED",
    "SYN_SENT",
    "ESTABLISHED",
    "ESTABLISHED",
    "FIN_WAIT_1",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSING",
    "SYN_SENT",
    "CLOSED",
  ]);
});

t.test("flushing", async (t) => {
  const { conntrack, deleted } = fakeKernel([TCP, ICMP, ICMPV6]);
  conntrack.flush(undefined, undefined);
  t.strictSame(deleted.splice(0), ["family 0"], "all");
  const tuple: CtTuple = { src: v4(1), dst: v4(2), proto: 6, tpSrc: 1000, tpDst: 21 };
  conntrack.flush(7, tuple);
  t.strictSame(
    deleted.splice(0),
    [
      "family 2 18:0007 1:14000100 08000100 0a000001 08000200 0a000002 1c000200 05000100 06000000 06000200 03e80000 06000300 00150000".replace(
        / (?=[0-9a-f]{8}(?: |$))/g,
        "",
      ),
    ],
    "one, of a zone",
  );
  conntrack.flush(8, undefined);
  t.match(deleted.splice(0), [/^family 10 1:[0-9a-f]+ 18:0008$/], "those of a zone one by one");
  conntrack.flush(9, undefined);
  t.strictSame(deleted, []);
});

t.test("a kernel that does not want to", async (t) => {
  const { conntrack } = fakeKernel([], 1);
  t.throws(() => [...conntrack.dump(undefined)], { code: "EPERM" });
  t.throws(() => conntrack.flush(undefined, undefined), { code: "EPERM" });
});
