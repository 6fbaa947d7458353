/** openvswitch.ko's tunnels in a guest: as ports of Dpif, and with packets between two namespaces. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { bundle, cannotBoot, type GuestResult, partOf, runGuest } from "./guest.ts";

const skip = cannotBoot();
let guest: GuestResult = { output: "", status: undefined };

t.before(async () => {
  if (skip) return;
  guest = await runGuest({
    modules: ["openvswitch", "veth", "vxlan", "geneve", "ip_gre", "ip6_gre"],
    files: [
      { name: "tunnels.js", bytes: bundle(t.testdir(), "tunnels-main") },
      { name: "tunnels.sh", bytes: readFileSync(join(import.meta.dirname, "tunnels.sh")) },
    ],
    script: `
      BUN_BE_BUN=1 sh -c "ovsbox run /tunnels.js"
      . /tunnels.sh
    `,
  });
});
const part = (name: string): string => partOf(guest.output, name);

t.test("ports", { skip }, async (t) => {
  t.equal(guest.status, 0, "the guest came to its end", { output: guest.output });
  const checks = [...guest.output.matchAll(/^(not )?ok - (.*)$/gm)];
  t.ok(checks.length >= 15, `${checks.length} checks`);
  for (const [, not, what] of checks) t.notOk(not, what);
});

t.test("packets", { skip }, async (t) => {
  for (const [port, what] of [
    [9, "vxlan_sys_4789 (vxlan: packet_type=ptap)"],
    [10, "vxlan_sys_4790 (vxlan: dst_port=4790, packet_type=ptap)"],
    [11, "genev_sys_6081 (geneve: packet_type=ptap)"],
    [12, "gre_sys (gre: packet_type=ptap)"],
    [13, "ip6gre_sys (ip6gre: packet_type=ptap)"],
    [14, "erspan_sys (erspan: packet_type=ptap)"],
    [15, "ip6erspan_sys (ip6erspan: packet_type=ptap)"],
  ] as const)
    t.match(part("made"), `port ${port}: ${what}\n`);
  /** What the far end sees of a packet, and what we see of its answer. */
  const tunnels: [name: string, port: number, there: string, back: string][] = [
    [
      "vxlan",
      9,
      "tun_id=0x5,src=10.9.0.1,dst=10.9.0.2,tos=0x8,ttl=64,tp_dst=4789,flags(+csum+key)",
      "tun_id=0x6,src=10.9.0.2,dst=10.9.0.1",
    ],
    ["vxlan with a group policy", 10, "vxlan(gbp(id=7))", "tun_id=0x5,src=10.9.0.2"],
    ["vxlan over IPv6", 9, "ipv6_src=fd09::1", "ipv6_src=fd09::2"],
    [
      "geneve with options",
      11,
      "geneve({class=0x102,type=0x80,len=4,0xa00/0xff00}{class=0x2,type=0x1,len=0}),flags(+oam",
      "tun_id=0x8,src=10.9.0.2",
    ],
    [
      "gre",
      12,
      "tun_id=0x7,src=10.9.0.1,dst=10.9.0.2,flags(-csum+key)",
      "src=10.9.0.2,dst=10.9.0.1,flags(-key)",
    ],
    ["ip6gre", 13, "ipv6_src=fd09::1", "ipv6_src=fd09::2"],
    ["erspan", 14, "erspan(ver=1,idx=0x5", "erspan(ver=2,dir=1/0x1,hwid=0x7/0x3f"],
    ["ip6erspan", 15, "erspan(ver=1,idx=0x5", "erspan(ver=1,idx=0x6"],
  ];
  const lines = part("flows").split("\n");
  tunnels.forEach(([name, port, there, back], i) => {
    t.match(part(`ping-${i + 1}`), "3 packets transmitted, 3 packets received", name);
    const counted = (seen: string, last: number): boolean =>
      lines.some(
        (line) =>
          line.includes(seen) &&
          line.includes(`in_port(${port}),eth(),`) &&
          line.includes(`ipv4(src=10.8.${i + 1}.${last}), packets:3,`),
      );
    t.ok(counted(there, 1), `${name}: ${there}`, { lines });
    t.ok(counted(back, 2), `${name}: ${back}`, { lines });
  });
  t.equal(part("removed"), "");
  t.match(part("refused"), "ovs-dpctl: updating flow table (Invalid argument)\n", "a tunnel to nowhere");
  t.match(part("refused"), "ovs-dpctl: adding b to system@dp0 failed (Operation not supported)\n");
  t.match(
    part("refused"),
    "ovs-dpctl: adding g to system@dp0 failed (Address family not supported by protocol)\n",
  );
  t.equal(part("made-anew"), "vxlan external\n");
  t.equal(part("gone-with-it"), "");
});
