/**
 * Our ovs-vsctl beside the peer's: the same command lines, each against a peer's server of its own; compared are output,
 * complaints, status, and in the end the databases. UUIDs, times and the order of rows (the peer's is that of a hash
 * table) are evened out. Then the peer's client on our server.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BIN, PEERS, peer, withoutPeer } from "../system/bin.ts";

const folder = mkdtempSync(join(tmpdir(), `ovsbox-peers-vsctl-${process.pid}-`));
const running = new Set<ChildProcess>();

t.teardown(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface Side {
  readonly client: string;
  readonly dir: string;
  readonly env: NodeJS.ProcessEnv;
}

const skip = withoutPeer("ovs-vsctl", "ovsdb-tool", "ovsdb-server");

/** A server of its own, of the program `server`, on a fresh database. */
async function side(name: string, client: string, server: string): Promise<Side> {
  const dir = join(folder, name);
  mkdirSync(dir);
  const env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir, OVS_SYSCONFDIR: dir };
  const schema = join(PEERS!, "usr/share/openvswitch/vswitch.ovsschema");
  spawnSync(peer("ovsdb-tool")!, ["create", join(dir, "conf.db"), schema], { env });
  const child = spawn(server, [`--remote=punix:${dir}/db.sock`, join(dir, "conf.db")], {
    env,
    stdio: "ignore",
  });
  running.add(child);
  for (let i = 0; i < 200 && !existsSync(join(dir, "db.sock")); i++) {
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return { client, dir, env };
}

/** Evens out what differs from run to run. */
function even(text: string, side: Side): string {
  return text
    .replaceAll(side.dir, "DIR")
    .replaceAll(`${side.client}: `, "ovs-vsctl: ")
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "UUID")
    .replace(/^\d{4}-\d\d-\d\dT[\d:.]+Z\|\d+\|/gm, "TIME|");
}

/** Paragraphs in order (rows of `list` and `find`), and all lines of `show`, whose ports come in order of UUID. */
function sorted(text: string): string {
  if (text.includes("    Bridge ")) return text.split("\n").sort().join("\n");
  return text.includes("\n\n") ? text.trimEnd().split("\n\n").sort().join("\n\n") : text;
}

function run(side: Side, args: readonly string[]): string {
  const { status, signal, stdout, stderr } = spawnSync(side.client, ["--no-wait", "--timeout=10", ...args], {
    env: side.env,
    encoding: "utf8",
    timeout: 20_000,
  });
  return `${sorted(even(stdout, side))}--- ${even(stderr, side)}--- ${signal ?? status}`;
}

/** One command line each; words are separated by single spaces, "·" is a space inside a word. */
const LINES: readonly string[] = `
init
show
add-br br0
add-br br0
-- --may-exist add-br br0
add-br fake br0 5
add-br other br0 5
add-br b fake 5
add-br b br0
add-br b br0 -1
-- --may-exist add-br fake br0 6
-- --may-exist add-br fake
list-br
-- --real list-br
-- --fake list-br
br-exists br0
br-exists nope
br-to-vlan fake -- br-to-parent fake -- br-to-parent br0
br-to-vlan nope
add-port br0 p1
add-port br0 p1
-- --may-exist add-port br0 p1
-- --may-exist add-port fake p1
add-port fake p2
add-port br0 br0
add-port br0 p3 vlan_mode=access trunks=1,2,3
add-port br0 p4 foo=1
add-port br0 p4 tag=x
add-port br0 p4 tag=5000
add-port br0 p4 tag
add-bond br0 b0 x1
add-bond br0 b0 x1 x2
add-bond br0 b0 x1 x2
-- --may-exist add-bond br0 b0 x2 x1
-- --may-exist add-bond br0 b0 x1 x3
-- --fake-iface add-bond fake b1 y1 y2 lacp=active
add-bond br0 x1 z1 z2
add-bond br0 q1 z1 z1
list-ports br0
list-ports fake
list-ports nope
list-ifaces br0
port-to-br p2
port-to-br x1
iface-to-br x1
iface-to-br b0
del-port br0
-- --if-exists del-port br0
del-port br0 p2
del-port fake p1
del-port x1
-- --with-iface del-port x1
-- --with-iface del-port nope
-- --if-exists del-port nope
br-set-external-id br0 k v
br-set-external-id fake k v·w
br-get-external-id fake
br-get-external-id br0 k
br-set-external-id br0 k
get-controller br0
set-controller br0 tcp:1.2.3.4 tcp:1.1.1.1:6653
get-controller br0
set-controller fake tcp:1
set-controller br0 foo
del-controller br0
set-fail-mode br0 x
set-fail-mode br0 secure
get-fail-mode fake
set-manager punix:/nonexistent/a
get-manager
del-manager
set-ssl /k /c /a
get-ssl
del-ssl
add-aa-mapping br0 1 2
add-aa-mapping br0 x 2
get-aa-mapping br0
del-aa-mapping br0 1 2
list-zone-tp nope
set Interface p1 options:a=1 options:b="x·y" type=internal
get Interface p1 options
get Interface p1 options:c
-- --if-exists get Interface p1 options:c
get Interface px name
get Interface p1 name:x
get Interface p1 options[a]
get Interface p1 options:"a"x
get Open . next_cfg
get br br0 st
get br br0 Other-Config
set Interface p1 mtu_request=0
set Interface p1 mtu_request=
set Interface p1 mtu_request=1,2
set Interface p1 type="
set Interface p1 type=a,b
set Interface p1 name=foo
set Interface p1 admin_state=foo
set Interface p1 options=a
set Interface p1 options={a=b,a=d}
set Interface p1 options={a=b
set Interface p1 options:e=f=g
set Interface p1 type:a=1
set Interface p1 options=x=y=z
set Bridge br0 stp_enable=yes
set Bridge br0 stp_enable=TRUE
set Bridge br0 flood_vlans=1-5
set Bridge br0 flood_vlans=5-1
set Bridge br0 flood_vlans=1,1
set Bridge br0 flood_vlans=1:3
set Bridge br0 ports=abc
set Bridge br0 ports=@x
set Bridge br0 protocols=OpenFlow99
set Bridge nope stp_enable=true
-- --if-exists set Bridge nope stp_enable=true
add Bridge br0 flood_vlans 9 10
add Bridge br0 other_config a=b
add Bridge br0 other_config a=c d=e
remove Bridge br0 other_config a=x
remove Bridge br0 other_config d
remove Bridge br0 flood_vlans 1 77
remove Bridge br0 stp_enable true
clear Bridge br0 stp_enable
clear Bridge br0 other_config
list Bridge br0
-- --columns=name,ports list Bridge
-- --columns=name find Bridge flood_vlans{>=}2,3
-- --columns=name find Bridge flood_vlans{<}2
-- --columns=name find Bridge flood_vlans!=1
-- --columns=name find Interface options:a=1
-- --columns=name find Interface options:a{=}[]
find Bridge flood_vlans~5
find Bridge flood_vlans:1=5
find Bridge flood_vlans
-- --columns=nope list Bridge
-- --columns= list Bridge
list q
list Foo
-f table -- --columns=name,options list Interface p1
-f csv -- --columns=name,options list Interface p1
-f html -- --columns=name,options list Interface p1
-f json -- --columns=name,options list Interface p1
-d json -- --columns=name,options list Interface p1
--bare -- --columns=name,options list Interface p1 p2
-f table --max-column-width=4 -- --columns=name,options list Interface p1
-f nope list Bridge
--oneline list-br -- get Interface p1 options name -- init
-- --id=@q create QoS type=x other_config:a=b queues:1=@r -- --id=@r create Queue dscp=3 -- set Port p1 qos=@q
list QoS p1
create QoS foo=1
create Interface name=x
-- --id=foo create QoS type=z
-- --id=@a create QoS type=x -- --id=@a create QoS type=y
-- --id=@p get Port p1 -- --id=@m create Mirror name=m select-dst-port=@p output-port=@p -- set Bridge br0 mirrors=@m
-- --columns=name,select_dst_port,output_port list Mirror m
destroy QoS p1
destroy QoS nope
-- --if-exists destroy QoS nope
destroy Bridge br0
wait-until Bridge br0 stp_enable=true
wait-until Bridge br0 stp_enable=x
comment a·b
--dry-run add-br br9 -- list-br
list-br
show
foo
add-br
add-br a b c d
list-br --foo
--foo show
-- --foo show
-t x show
emer-reset
del-br fake
del-br nope
-- --if-exists del-br nope
show
`
  .trim()
  .split("\n");

/** Everything but UUIDs and references: rows by table, as sets of texts. */
const STATE: readonly string[] = [
  "name,external_ids,other_config,fail_mode,flood_vlans,stp_enable list Bridge",
  "name,tag,trunks,vlan_mode,fake_bridge,bond_fake_iface,lacp,external_ids list Port",
  "name,type,options,mtu_request list Interface",
  "type,other_config list QoS",
  "dscp list Queue",
  "target list Controller",
].map((what) => `-- --columns=${what}`);

t.test("the same command lines give the same", { skip }, async (t) => {
  const server = peer("ovsdb-server")!;
  const ours = await side("ours", join(BIN, "ovs-vsctl"), server);
  const theirs = await side("theirs", peer("ovs-vsctl")!, server);
  for (const line of [...LINES, ...STATE]) {
    const words = line.split(" ").map((word) => word.replaceAll("·", " "));
    t.equal(run(ours, words), run(theirs, words), line);
  }
});

t.test("the peer's client on our server", { skip }, async (t) => {
  const a = await side("theirs-on-ours", peer("ovs-vsctl")!, join(BIN, "ovsdb-server"));
  const b = await side("theirs-on-theirs", peer("ovs-vsctl")!, peer("ovsdb-server")!);
  for (const line of [...LINES, ...STATE]) {
    const words = line.split(" ").map((word) => word.replaceAll("·", " "));
    t.equal(run(a, words), run(b, words), line);
  }
});
