/** Run in a guest by the executable as plain Bun: ports of tunnels of Dpif over openvswitch.ko. */
import { existsSync, readFileSync } from "node:fs";
import { openKernelSystem } from "../../commands/kernel-system.ts";
import { openKernelDpif } from "../../src/datapath/kernel/dpif.ts";
import { Families } from "../../src/datapath/kernel/families.ts";
import type { Netdev } from "../../src/netdev/netdev.ts";
import { clock } from "../datapath/still-clock.ts";
import { makeRunner } from "./runner.ts";

const t = makeRunner((line) => console.log(line));
const open = () =>
  openKernelDpif({
    type: "system",
    name: "ovs-system",
    clock,
    families: new Families(openKernelSystem()),
    warn: (text) => console.log(`# ${text}`),
  });
const device = (name: string, type: string, options: Record<string, string> = {}): Netdev =>
  ({ name, type, local: undefined, config: () => new Map(Object.entries(options)) }) as unknown as Netdev;
const isThere = (name: string): boolean => existsSync(`/sys/class/net/${name}`);

t.test("tunnels of a kind share a port", async (t) => {
  const dpif = open();
  t.teardown(() => dpif.close());
  const first = await dpif.portAdd(device("vx1", "vxlan", { remote_ip: "10.0.0.1" }), undefined);
  t.equal(await dpif.portAdd(device("vx2", "vxlan", { remote_ip: "10.0.0.2" }), undefined), first);
  const other = await dpif.portAdd(device("vx3", "vxlan", { dst_port: "4790" }), undefined);
  t.not(other, first, "another UDP port");
  await dpif.portAdd(device("gv", "geneve"), undefined);
  const names = [...dpif.ports()].map(({ name, type }) => `${name} ${type}`);
  t.strictSame(names, [
    "ovs-system internal",
    "vxlan_sys_4789 vxlan",
    "vxlan_sys_4790 vxlan",
    "genev_sys_6081 geneve",
  ]);
  t.match(readFileSync("/sys/class/net/genev_sys_6081/flags", "utf8"), /[13579bdf]$/m, "it is up");
  await dpif.portDel(first);
  t.ok(isThere("vxlan_sys_4789"), "one of two has gone");
  await dpif.portDel(first);
  t.notOk(isThere("vxlan_sys_4789"), "and the other");
  await t.rejects(dpif.portDel(first), { code: "ENODEV" });
  await t.rejects(
    dpif.portAdd(device("b", "bareudp", { dst_port: "6635", payload_type: "mpls" }), undefined),
    {
      code: "EOPNOTSUPP",
    },
  );
});

t.test("and are found again", async (t) => {
  t.notOk(isThere("genev_sys_6081"), "what a datapath has made goes with it");
  const before = open();
  const vxlan = await before.portAdd(device("vx", "vxlan", { dst_port: "4791" }), undefined);
  const gbp = await before.portAdd(device("vx", "vxlan", { dst_port: "4792" }), undefined);
  await before.portAdd(device("g", "gre"), undefined);
  const ifindex = (name: string) => readFileSync(`/sys/class/net/${name}/ifindex`, "utf8");
  const was = ["vxlan_sys_4791", "vxlan_sys_4792"].map(ifindex);
  before.leave();
  await before.close();
  t.ok(isThere("gre_sys"), "a daemon has gone");
  const after = open();
  t.teardown(() => after.close());
  t.equal(await after.portAdd(device("vx", "vxlan", { dst_port: "4791" }), undefined), vxlan);
  t.equal(ifindex("vxlan_sys_4791"), was[0], "the same device");
  await after.portAdd(device("vx", "vxlan", { dst_port: "4792", exts: "gbp" }), gbp);
  t.not(ifindex("vxlan_sys_4792"), was[1], "one that is to be otherwise now is made anew");
  await after.takeOver();
  t.notOk(isThere("gre_sys"), "which nobody has asked for again");
});

await t.done();
t.notOk(isThere("vxlan_sys_4791"), "nothing is left");
process.exit(0);
