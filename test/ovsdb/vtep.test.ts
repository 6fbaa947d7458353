/** vtep-ctl's commands in memory, and the hardware_vtep schema that they work on. */
import t from "tap";
import { COMMANDS } from "../../commands/vtep-ctl/commands.ts";
import { helpText } from "../../commands/vtep-ctl/help.ts";
import { RECORD_IDS } from "../../commands/vtep-ctl/records.ts";
import { Exit, Fatal } from "../../src/lib/errors.ts";
import type { Json } from "../../src/lib/json.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import { tableStyle } from "../../src/lib/table.ts";
import { parseCommands } from "../../src/ovsdb/ctl/command.ts";
import { runCtl } from "../../src/ovsdb/ctl/program.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { hardwareVtepSchema } from "../../src/ovsdb/schemas/hardware-vtep.ts";
import { ServedDatabase } from "../../src/ovsdb/served-database.ts";
import { OvsdbServer } from "../../src/ovsdb/server.ts";
import { Database } from "../../src/ovsdb/table.ts";
import { SimDisk } from "../sim/disk.ts";
import { nodeClock, simPlatform } from "../sim/platform.ts";

/** A server with an empty hardware_vtep database, and a runner of command lines on it. */
async function world() {
  const network = new MemoryNetwork(nodeClock);
  const platform = simPlatform({}, { clock: new SimClock(nodeClock), streams: network, seed: 5 });
  const uuid = (): string => platform.random.uuid();
  const server = new OvsdbServer({ clock: nodeClock, streams: network, disk: new SimDisk(), uuid });
  const database = new Database(schemaFromJson(hardwareVtepSchema as unknown as Json), uuid());
  server.addDatabase(new ServedDatabase(database, undefined, { clock: nodeClock, uuid }));
  await network.listen("punix:db", (stream) => server.accept(stream));

  /** What the line prints, "exit N", or "! " and the complaint. */
  return async (line: string): Promise<string> => {
    const own = simPlatform({}, { clock: new SimClock(nodeClock), streams: network, seed: 6 });
    own.random.uuid = uuid;
    try {
      await runCtl(
        {
          platform: own,
          schema: hardwareVtepSchema,
          ids: RECORD_IDS,
          module: "vtep_ctl",
          remote: "unix:db",
          retry: false,
          leaderOnly: true,
          dryRun: false,
          oneline: false,
          style: { ...tableStyle(), format: "list" },
          comment: "test",
          prepare: (needs) => needs.table("Global"),
          begin({ txn }) {
            if (!txn.uuids("Global").next().done) return;
            txn.verifyEmpty("Global");
            txn.insertRow("Global");
          },
          finish() {},
          committed: async () => 0,
        },
        parseCommands(COMMANDS, line.split(" "), []),
      );
      return own.out.stdout;
    } catch (error) {
      if (error instanceof Exit) return `exit ${error.status}`;
      if (error instanceof Fatal) return `! ${error.message}`;
      throw error;
    }
  };
}

/** Command line, and what the original 3.7 prints; where it does otherwise, the title says so. */
const SESSIONS: Readonly<Record<string, readonly (readonly [line: string, want: string])[]>> = {
  "physical switches and ports": [
    ["show", "UUID\n"],
    ["list-ps", ""],
    ["add-ps a -- add-ps b", ""],
    ["add-ps a", "! cannot create physical switch a because it already exists"],
    ["-- --may-exist add-ps a -- list-ps", "a\nb\n"],
    ["ps-exists a", ""],
    ["ps-exists c", "exit 2"],
    ["del-ps c", "! no physical switch named c"],
    ["-- --if-exists del-ps c", ""],
    ["add-port a p2 -- add-port a p1 -- add-port b p1", ""],
    ["list-ports a -- list-ports b", "p1\np2\np1\n"],
    ["list-ports c", "! no physical switch named c"],
    ["add-port a p1", "! cannot create a port named p1 on a because a port with that name already exists"],
    ["-- --may-exist add-port a p1", ""],
    ["add-port c p1", "! no physical switch named c"],
    ["del-port b p2", "! no port named p2"],
    ["-- --if-exists del-port b p2 -- --if-exists del-port c p2", ""],
    ["del-port b p1 -- list-ports b -- list-ports a", "p1\np2\n"],
    ["del-ps b -- add-ps b -- add-port b q -- del-ps b -- list-ps", "a\n"],
    ["del-port p1", "! 'del-port' command requires at least 2 arguments"],
  ],
  "logical switches, routers, bindings": [
    ["add-ps a -- add-port a p -- add-ls l1 -- add-ls l2 -- list-ls", "l1\nl2\n"],
    ["add-ls l1", "! cannot create logical switch l1 because it already exists"],
    ["ls-exists l3", "exit 2"],
    ["del-ls l3", "! no logical switch named l3"],
    ["bind-ls a p 0 l1 -- bind-ls a p 100 l2 -- bind-ls a p 4095 l1", ""],
    ["bind-ls a p 100 l1", "! multiple bindings for vlan 100"],
    ["bind-ls a q 5 l1", "! no port named q"],
    ["bind-ls b p 5 l3", "! no port named p"],
    ["bind-ls a p 5 l3", "! no logical switch named l3"],
    [
      "bind-ls a p 4096 l1",
      '! transaction error: {"details":"4096 is not in the valid range 0 to 4095 (inclusive)","error":"constraint violation"}',
    ],
    ["list-bindings a p", "0000 l1\n0100 l2\n4095 l1\n"],
    [
      "show",
      "UUID\n    Physical_Switch a\n        Physical_Port p\n            vlan_bindings:\n                0=l1\n                100=l2\n                4095=l1\n",
    ],
    ["unbind-ls a p 100 -- unbind-ls a p 100", "! no binding for vlan 100"],
    ["unbind-ls a p x", "! no binding for vlan x"],
    ["unbind-ls a p 0100 -- unbind-ls a p 0 -- list-bindings a p", "4095 l1\n"],
    ["set-replication-mode l1 x", "! Replication mode must be 'service_node' or 'source_node'"],
    ["get-replication-mode l1", "(null)\n"],
    ["set-replication-mode l1 source_node -- get-replication-mode l1", "source_node\n"],
    ["get-replication-mode l3", "! no logical switch named l3"],
    ["set logical_switch l2 name=m -- list-ls", "l1\nm\n"],
    ["del-ls m -- list-ls", "l1\n"],
    ["add-lr r -- add-lr s -- list-lr", "r\ns\n"],
    ["add-lr r", "! cannot create logical router r because it already exists"],
    ["del-lr r -- lr-exists r", "exit 2"],
    ["del-lr t", "! no logical router named t"],
  ],
  "vlan arguments that are no numbers are refused (the original takes them for 0)": [
    ["add-ps a -- add-port a p -- add-ls l", ""],
    ["bind-ls a p x l", '! bind-ls: vlan "x" is not a number'],
  ],
  managers: [
    ["set-manager tcp:2 tcp:1 -- get-manager", "tcp:1\ntcp:2\n"],
    ["-- --inactivity-probe=7 set-manager ssl:3 -- get Manager . inactivity_probe", "7\n"],
    ["show", 'UUID\n    Manager "ssl:3"\n'],
    ["set-manager tcp:1 -- set manager . is_connected=true", ""],
    ["show", 'UUID\n    Manager "tcp:1"\n        is_connected: true\n'],
    ["-- --filter=Manager(tcp) show", 'UUID\n    Manager "tcp:1"\n        is_connected: true\n'],
    ["-- --filter=Manager(ssl) show", "UUID\n"],
    ["-- --filter=nothing show", ""],
    ["-- --filter=Manager(tcp show", "! Malformed filter: missing closing ')'"],
    ["del-manager -- get-manager", ""],
    ["list Manager", ""],
  ],
};

for (const side of ["local", "remote"]) {
  const list = (unicast: string[], multicast: string[]): string => {
    const part = (kind: string, entries: string[]): string =>
      `${kind}-mac-${side}\n${entries.map((entry) => `  ${entry.replace(" ", " -> vxlan_over_ipv4/")}\n`).join("")}\n`;
    return part("ucast", unicast) + part("mcast", multicast);
  };
  (SESSIONS as Record<string, (readonly [string, string])[]>)[`${side} MAC addresses`] = [
    ["add-ls l -- add-ls k", ""],
    [`list-${side}-macs l`, list([], [])],
    [`list-${side}-macs z`, "! no logical switch named z"],
    [`add-ucast-${side} l m1 1.1.1.1 -- add-ucast-${side} k m1 1.1.1.9`, ""],
    [
      `add-ucast-${side} l m0 vxlan_over_ipv4 1.1.1.1 -- list-${side}-macs l`,
      list(["m0 1.1.1.1", "m1 1.1.1.1"], []),
    ],
    [`add-ucast-${side} l m1 1.1.1.2 -- list-${side}-macs l`, list(["m0 1.1.1.1", "m1 1.1.1.2"], [])],
    [
      `add-ucast-${side} l m2 gre 1.1.1.1`,
      '! transaction error: {"details":"gre is not one of the allowed values ([vxlan_over_ipv4])","error":"constraint violation"}',
    ],
    [`del-ucast-${side} l m0 -- del-ucast-${side} l nope -- list-${side}-macs l`, list(["m1 1.1.1.2"], [])],
    [`add-mcast-${side} l u 1.1.1.3 -- add-mcast-${side} l u 1.1.1.2`, ""],
    [`add-mcast-${side} l u 1.1.1.4 -- add-mcast-${side} l v 1.1.1.4`, ""],
    [`list-${side}-macs l`, list(["m1 1.1.1.2"], ["u 1.1.1.2", "u 1.1.1.3", "u 1.1.1.4", "v 1.1.1.4"])],
    [
      `del-mcast-${side} l u 1.1.1.3 -- del-mcast-${side} l u gre 1.1.1.2 -- del-mcast-${side} l v 1.1.1.4`,
      "",
    ],
    [`list-${side}-macs l`, list(["m1 1.1.1.2"], ["u 1.1.1.2", "u 1.1.1.4"])],
    [
      `clear-${side}-macs l -- list-${side}-macs l -- list-${side}-macs k`,
      list([], []) + list(["m1 1.1.1.9"], []),
    ],
    ["-- --columns=dst_ip list Physical_Locator", 'dst_ip              : "1.1.1.9"\n'],
    ["list Physical_Locator_Set", ""],
  ];
}

for (const [title, lines] of Object.entries(SESSIONS)) {
  t.test(title, async (t) => {
    const run = await world();
    for (const [line, want] of lines) {
      t.equal((await run(line)).replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/, "UUID"), want, line);
    }
  });
}

t.test("writers at the same time", async (t) => {
  const run = await world();
  await run("add-ps a -- add-port a p -- add-ls l -- add-mcast-local l u 1.1.1.1");
  const ends = ["2", "3", "4", "5"].map((n) => `1.1.1.${n}`);
  const results = await Promise.all(
    ends.flatMap((end, i) => [
      run(`add-mcast-local l u ${end}`),
      run(`bind-ls a p ${i} l`),
      run(`add-port a q${i}`),
    ]),
  );
  t.same(new Set(results), new Set([""]));
  const entries = ["1.1.1.1", ...ends].map((end) => `  u -> vxlan_over_ipv4/${end}\n`);
  t.equal(await run("list-local-macs l"), `ucast-mac-local\n\nmcast-mac-local\n${entries.join("")}\n`);
  t.equal(await run("list-bindings a p"), "0000 l\n0001 l\n0002 l\n0003 l\n");
  t.equal(await run("list-ports a"), "p\nq0\nq1\nq2\nq3\n");
});

t.test("every command has a help text; the schema has every table of vtep(5)", async (t) => {
  const help = helpText("vtep-ctl", COMMANDS);
  for (const name of COMMANDS.keys())
    t.match(help, new RegExp(`(^|[ \\]])${name}( |\\n)`), `help on ${name}`);
  const schema = schemaFromJson(hardwareVtepSchema as unknown as Json);
  t.equal(schema.name, "hardware_vtep");
  t.equal(Object.keys(hardwareVtepSchema.tables).length, 18);
});
