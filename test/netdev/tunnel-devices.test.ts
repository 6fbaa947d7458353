/** Devices of tunnels: their names, what the kernel is asked to make, and when one is made anew. */
import t from "tap";
import {
  type Attribute,
  bytesOf,
  cString,
  decodeMessages,
  eachAttribute,
  encodeMessage,
  textOf,
} from "../../src/netdev/netlink-message.ts";
import {
  describeTunnel,
  type TunnelConfig,
  TunnelDevices,
  tunnelConfig,
  tunnelDeviceName,
  tunnelOfDevice,
} from "../../src/netdev/tunnel-devices.ts";
import type { RouteSocket } from "../../src/sys/netlink.ts";

const config = (type: string, options: Record<string, string> = {}): TunnelConfig =>
  tunnelConfig(type, new Map(Object.entries(options)))!;

t.test("names", async (t) => {
  for (const [of, name] of [
    [config("vxlan"), "vxlan_sys_4789"],
    [config("vxlan", { dst_port: "4790" }), "vxlan_sys_4790"],
    [config("geneve"), "genev_sys_6081"],
    [config("gre"), "gre_sys"],
    [config("ip6gre"), "ip6gre_sys"],
    [config("erspan"), "erspan_sys"],
    [config("ip6erspan"), "ip6erspan_sys"],
    [config("bareudp", { dst_port: "6635" }), "udp_sys_6635"],
  ] as const) {
    t.equal(tunnelDeviceName(of), name);
    t.equal(tunnelOfDevice(name)?.type, of.type);
    t.equal(tunnelOfDevice(name)?.dstPort, of.dstPort);
  }
  for (const name of ["eth0", "gre_sys2", "vxlan_sys", "vxlan_sys_x"])
    t.equal(tunnelOfDevice(name), undefined, name);
  for (const type of ["system", "gtpu", "srv6", "patch", ""])
    t.equal(tunnelConfig(type, new Map()), undefined, type);
  t.equal(describeTunnel(config("vxlan")), "vxlan: packet_type=ptap");
  t.equal(describeTunnel(config("geneve", { dst_port: "5" })), "geneve: dst_port=5, packet_type=ptap");
});

interface Made {
  kind: string;
  mtu: number;
  data: Map<number, string>;
}

/** A kernel with these kinds of devices. */
class FakeKernel implements RouteSocket {
  readonly devices = new Map<string, Made>();
  readonly log: string[] = [];
  kinds = ["vxlan", "geneve", "gretap", "erspan"];

  transact(request: Uint8Array): Uint8Array[] {
    const error = (errno: number) => [
      encodeMessage(2, 0, 1, new Uint8Array(Int32Array.of(-errno).buffer), []),
    ];
    const view = new DataView(request.buffer);
    const type = view.getUint16(4, true);
    let name = "";
    const made: Made = { kind: "", mtu: 0, data: new Map() };
    for (const { body } of decodeMessages([request]))
      eachAttribute(body, 16, (attribute, value) => {
        if (attribute === 3) name = textOf(value);
        else if (attribute === 4) made.mtu = value.getUint32(0, true);
        else if (attribute === 18)
          eachAttribute(value, 0, (part, of) => {
            if (part === 1) made.kind = textOf(of);
            else
              eachAttribute(of, 0, (option, bytes) =>
                made.data.set(option, Buffer.from(bytesOf(bytes)).toString("hex")),
              );
          });
      });
    const device = this.devices.get(name);
    if (type === 18) {
      if (device === undefined) return error(19);
      const data = [...device.data].map(([option, hex]): Attribute => [option, Buffer.from(hex, "hex")]);
      return [
        encodeMessage(16, 0, 1, new Uint8Array(16), [
          [
            18,
            [
              [1, cString(device.kind)],
              [2, data],
            ],
          ],
        ]),
      ];
    }
    if (type === 17) {
      this.log.push(`delete ${name}`);
      return error(this.devices.delete(name) ? 0 : 19);
    }
    if (made.kind === "") {
      this.log.push(`mtu ${made.mtu}`);
      return error(0);
    }
    if (device !== undefined) return error(17);
    if (!this.kinds.includes(made.kind)) return error(95);
    const up = (view.getUint32(24, true) & view.getUint32(28, true) & 1) !== 0;
    const data = [...made.data].map(([option, hex]) => `${option}:${hex}`).join(" ");
    this.log.push(`make ${name} ${made.kind} ${made.mtu}${up ? " up" : ""} ${data}`);
    this.devices.set(name, made);
    return error(0);
  }
  subscribe = () => () => {};
  close(): void {}
}

t.test("what the kernel is asked for", async (t) => {
  const kernel = new FakeKernel();
  const devices = new TunnelDevices(kernel);
  for (const [of, want] of [
    [config("vxlan"), "make vxlan_sys_4789 vxlan 65000 up 7:00 25:01 20:01 15:12b5"],
    [
      config("vxlan", { dst_port: "256", exts: "gbp" }),
      "make vxlan_sys_256 vxlan 65000 up 7:00 25:01 20:01 23: 15:0100",
    ],
    [config("geneve"), "make genev_sys_6081 geneve 65000 up 6: 10:01 5:17c1"],
    [config("gre"), "make gre_sys gretap 65000 up 18:"],
    [config("erspan"), "make erspan_sys erspan 65000 up 18:"],
  ] as const) {
    t.ok(devices.make(of), want);
    t.equal(kernel.log[0], want);
    t.strictSame(kernel.log.splice(0).slice(1), of.type === "gre" ? ["mtu 65000"] : []);
    t.notOk(devices.make(of), "it is there");
    t.strictSame(kernel.log, []);
  }
  kernel.kinds.push("bareudp", "gre");
  devices.make(config("bareudp", { dst_port: "6635", payload_type: "mpls" }));
  t.equal(kernel.log.shift(), "make udp_sys_6635 bareudp 65000 up 2:8847 3:01c0 1:19eb 4:");
  devices.make(config("bareudp", { dst_port: "6636", payload_type: "0x6558" }));
  t.equal(kernel.log.shift(), "make udp_sys_6636 bareudp 65000 up 2:6558 3:01c0 1:19ec");
  devices.make(config("gre", { packet_type: "legacy_l3" }));
  t.strictSame(
    kernel.log,
    ["delete gre_sys", "make gre_sys gre 65000 up 18:", "mtu 65000"],
    "one that is otherwise is made anew",
  );
});

t.test("what it does not have", async (t) => {
  const kernel = new FakeKernel();
  const devices = new TunnelDevices(kernel);
  t.throws(() => devices.make(config("bareudp", { dst_port: "5", payload_type: "ip" })), {
    code: "EOPNOTSUPP",
  });
  t.throws(() => devices.make(config("ip6gre", { packet_type: "legacy_l3" })), { code: "EOPNOTSUPP" });
  // An old kernel that makes a device but not as it was told.
  const old = new TunnelDevices(
    Object.assign(Object.create(kernel), {
      transact: (request: Uint8Array) => {
        const replies = kernel.transact(request);
        for (const made of kernel.devices.values()) made.data.delete(25);
        return replies;
      },
    }),
  );
  t.throws(() => old.make(config("vxlan")), { code: "EINVAL" });
  t.equal(kernel.devices.size, 0, "and nothing stays");
});
