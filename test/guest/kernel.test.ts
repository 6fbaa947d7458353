/** openvswitch.ko in a guest: the contract of Dpif, and a bridge of ours over it. One boot for both. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { bundle, cannotBoot, type GuestResult, partOf, runGuest } from "./guest.ts";

const skip = cannotBoot();

let guest: GuestResult = { output: "", status: undefined };

t.before(async () => {
  if (skip) return;
  guest = await runGuest({
    modules: ["openvswitch", "veth", "8021q", "tun", "vport-vxlan", "nf_conntrack_netlink"],
    files: [
      { name: "contract.js", bytes: bundle(t.testdir(), "contract-main") },
      { name: "system.sh", bytes: readFileSync(join(import.meta.dirname, "system.sh")) },
    ],
    script: `
      for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done
      BUN_BE_BUN=1 sh -c "ovsbox run /contract.js"
      . /system.sh
    `,
  });
});

const part = (name: string): string => partOf(guest.output, name);

t.test("the contract", { skip }, async (t) => {
  t.equal(guest.status, 0, "the guest came to its end", { output: guest.output });
  const checks = [...guest.output.matchAll(/^(not )?ok - (.*)$/gm)];
  t.ok(checks.length > 80, `${checks.length} checks`);
  for (const [, not, what] of checks) t.notOk(not, what);
});

t.test("a bridge", { skip }, async (t) => {
  const all = (sent: number): RegExp => new RegExp(`${sent} packets transmitted, ${sent} packets received`);
  t.match(part("status"), 'datapath="forwarding by the kernel\'s openvswitch module"');
  t.match(
    part("ports"),
    /system@ovs-system:\n.* {2}port 0: ovs-system \(internal\)\n {2}port 1: br0 \(internal\)\n {2}port 2: h1-p\n/s,
  );
  t.match(part("ping"), all(8));
  t.match(part("ping-internal"), all(2));
  t.match(part("ping-other-vlan"), "0 packets received");
  // The first packet of each went up (on a busy machine some more), the others took the flow.
  const echo =
    /in_port\((\d)\),.*eth_type\(0x0800\),ipv4\(.*packets:[4-7], bytes:\d+, used:.*actions:(\d)$/gm;
  t.strictSame([...part("flows").matchAll(echo)].map((found) => `${found[1]} to ${found[2]}`).sort(), [
    "2 to 3",
    "3 to 2",
  ]);
  const sums = [...part("tcp").matchAll(/^[0-9a-f]{32}/gm)].map(([sum]) => sum);
  t.equal(sums.length, 2);
  t.equal(sums[0], sums[1], "8 MB by TCP, segments and partial checksums as they came");
  t.match(part("vlan"), all(4));
  t.match(
    part("vlan-flows"),
    /in_port\(4\),.*eth_type\(0x0800\),ipv4\(.*packets:[1-3], bytes:\d+, .*actions:push_vlan\(vid=10,pcp=0\),3\n/,
  );
  t.match(
    part("vlan-flows"),
    /in_port\(3\),.*vlan\(vid=10,pcp=0\),encap\(eth_type\(0x0800\),.*packets:[1-3], bytes:\d+, .*actions:pop_vlan,4\n/,
  );
  t.match(part("arp-responder"), "10.0.0.77 dev h1 lladdr 02:00:00:00:00:77 REACHABLE");
});

t.test("connections are tracked in the kernel", { skip }, async (t) => {
  const asked = part("firewall");
  t.match(asked, "4 packets transmitted, 4 packets received");
  t.match(asked, /recirc_id\(0\),in_port\(2\),ct_state\(-trk\),.*actions:ct\(zone=7\),recirc\(0x\w+\)\n/);
  t.match(asked, /ct_state\(\+new\+trk\),.*actions:ct\(commit,zone=7,mark=0x5\/0xffffffff\),3\n/);
  t.match(asked, /in_port\(3\),ct_state\([^)]*\+est[^)]*\),ct_mark\(0x5\),.*actions:2\n/);
  t.match(part("firewall-behind"), "0 packets received");
});

t.test("and can be looked at, and ended", { skip }, async (t) => {
  const told = part("conntrack");
  const icmp =
    /icmp,orig=\(src=10.0.0.1,dst=10.0.0.2,id=(\d+),type=8,code=0\),reply=\(src=10.0.0.2,dst=10.0.0.1,id=\1,type=0,code=0\),zone=7,mark=5\n/;
  t.match(told, icmp);
  t.match(
    told,
    /^tcp,orig=\(src=10.0.0.1,dst=10.0.0.2,sport=(\d+),dport=80\),reply=\(src=10.0.0.2,dst=10.0.0.1,sport=80,dport=\1\),zone=7,mark=5,protoinfo=\(state=TIME_WAIT\)$/m,
  );
  t.match(
    told,
    /^tcp,orig=.*,id=\d+,zone=7,status=SEEN_REPLY\|ASSURED\|CONFIRMED.*,timeout=\d+,mark=5,protoinfo=\(state_orig=TIME_WAIT,state_reply=TIME_WAIT,wscale_orig=\d+,wscale_reply=\d+,flags_orig=WINDOW_SCALE\|SACK_PERM.*\)$/m,
  );
  t.match(
    told,
    /Connections Stats:\n {4}Total: 2\n {2}TCP: 1\n {4}Conn per TCP states:\n\t {2}\[TIME_WAIT\]=1\n {2}ICMP: 1\n/,
  );
  t.match(told, /default limit=10\nzone=7,limit=300,count=\d+\ndefault limit=0\n$/);
  const flushed = part("conntrack-flushed");
  t.notMatch(flushed, "icmp");
  t.match(flushed, /Total: 1\n {2}TCP: 1\nConnections Stats:\n {4}Total: 0\n$/);
  t.equal(
    part("conntrack-lacks"),
    [
      "ovs-vswitchd: maxconns could not be retrieved (Operation not supported)",
      "ovs-appctl: ovs-vswitchd: server returned an error",
      "ovs-dpctl: nconns could not be retrieved (Operation not supported)",
      "ovs-dpctl: requested minimum fragment size too small; see documentation (Operation not supported)",
      "Command is available for UserSpace ConnTracker only.",
      "ovs-dpctl: port is set without protocol (Invalid argument)",
      "",
    ].join("\n"),
  );
});

t.test("a tunnel of the kernel's", { skip }, async (t) => {
  const tunnel = part("tunnel");
  t.match(tunnel, "3 packets transmitted, 3 packets received");
  t.match(
    tunnel,
    /tunnel\(tun_id=0x5,src=10.9.0.2,dst=10.9.0.1,flags\(\+key\)\),in_port\(9\),.*packets:[3-9].*actions:1\n/,
  );
  t.match(tunnel, "actions:set(tunnel(tun_id=0x5,dst=10.9.0.2,ttl=64,tp_dst=4789,flags(df|key))),9\n");
  t.match(tunnel, "ovs-dpctl: opening datapath (No such device)\n");
});

t.test("ovs-dpctl asks the kernel", { skip }, async (t) => {
  const looked = part("dpctl-flows");
  t.match(
    looked,
    /^system@ovs-system\nsystem@ovs-system:\n {2}lookups: hit:\d+ missed:\d+ lost:0\n {2}flows: \d+\n/,
  );
  t.match(looked, /masks: hit:\d+ total:\d+ hit\/pkt:\d\.\d\d\n.*caches:\n {4}masks-cache: size:256\n/s);
  t.match(
    looked,
    /^recirc_id\(0\),in_port\(2\),eth\(.*eth_type\(0x0800\),ipv4\(frag=no\), packets:[4-7], bytes:\d+, .*actions:3$/m,
  );
  t.match(looked, /^ufid:[0-9a-f-]{36}, .*in_port\(h1-p\).*actions:h2-p$/m);
  const hand = part("by-hand");
  t.match(hand, "ovs-dpctl: add_dp (File exists)\n");
  t.match(hand, "ovs-dpctl: adding nothing to system@dp0 failed (No such device)\n");
  t.match(hand, "ovs-dpctl: updating flow table (File exists)\n");
  t.match(hand, "3 packets transmitted, 3 packets received", "no daemon, and packets pass");
  t.match(hand, / ttl=9 time/);
  t.match(
    hand,
    /in_port\(7\),eth\(\),eth_type\(0x0800\),ipv4\(src=10.0.0.2,proto=1\), packets:3, .*actions:set\(ipv4\(ttl=9\)\),1\n/,
  );
  const changed = part("by-hand-changes");
  t.match(changed, /in_port\(1\),eth\(\), packets:3, bytes:294, .*actions:drop\n/);
  t.notMatch(changed, "eth_type(0x0806)");
  t.match(changed, /flows: 0\n.* port 1: h1-p\n {4}RX packets:\d/s);
  t.notMatch(changed, "h2-p");
  t.match(changed, "masks-cache: size:256\nSetting cache size successful, new size 0\n");
  t.match(changed, "ovs-dpctl: Setting cache size failed (Numerical result out of range)\n");
  t.match(changed, "default limit=10\nzone=5,limit=3,count=0\ndefault limit=10\nzone=5,limit=10,count=0\n");
});

t.test("a daemon that is killed, and one that comes after", { skip }, async (t) => {
  t.match(part("left-alone"), "4 packets transmitted, 4 packets received");
  t.match(
    part("left-alone"),
    /^recirc_id\(0\),in_port\(2\),.*eth_type\(0x0800\).*actions:3$/m,
    "and is seen",
  );
  const after = part("taken-over");
  t.match(after, "4 packets transmitted, 4 packets received");
  t.match(
    after,
    /port 1: br0 \(internal\)\n {2}port 2: h1-p\n {2}port 3: h2-p\n {2}port 4: h3-p\n/,
    "numbers stay",
  );
  t.match(
    after,
    /in_port\(3\),.*eth_type\(0x0800\),ipv4\(.*packets:\d+, bytes:80\d{5}, .*actions:2\n/,
    "what the old flow had counted is counted on",
  );
  t.notMatch(part("port-gone"), "h3-p");
  t.match(part("port-gone"), "h2-p");
  const links = part("cleaned-up").trim().split("\n");
  t.ok(links.includes("h1-p"));
  t.notOk(
    links.some((link) => link === "br0" || link === "ovs-system"),
    "nothing of ours is left",
  );
  t.notMatch(part("log"), /\|(WARN|ERR|EMER)\|/);
});
