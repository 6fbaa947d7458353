/** The base of the ctl programs: names, arguments, command lines, tables; then ovs-vsctl's commands in memory. */
import t from "tap";
import { COMMANDS } from "../../commands/ovs-vsctl/commands.ts";
import { helpText } from "../../commands/ovs-vsctl/help.ts";
import { RECORD_IDS } from "../../commands/ovs-vsctl/records.ts";
import { Exit, Fatal } from "../../src/lib/errors.ts";
import type { Json } from "../../src/lib/json.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import { type Table, TablePrinter, type TableStyle, tableStyle } from "../../src/lib/table.ts";
import { CONDITION_OPERATORS, parseArgument } from "../../src/ovsdb/ctl/argument.ts";
import { listCommands, parseCommands } from "../../src/ovsdb/ctl/command.ts";
import { CtlSchema } from "../../src/ovsdb/ctl/names.ts";
import { runCtl } from "../../src/ovsdb/ctl/program.ts";
import type { JsonObject } from "../../src/ovsdb/json-text.ts";
import { schemaFromJson } from "../../src/ovsdb/schema.ts";
import { ServedDatabase } from "../../src/ovsdb/served-database.ts";
import { OvsdbServer } from "../../src/ovsdb/server.ts";
import { Database } from "../../src/ovsdb/table.ts";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { SimDisk } from "../sim/disk.ts";
import { nodeClock, simPlatform } from "../sim/platform.ts";

/** The message of what `run` throws. */
function complaint(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Fatal) return error.message;
    throw error;
  }
  return "";
}

t.test("names of tables and columns", async (t) => {
  const schema = new CtlSchema(openVswitchSchema.tables as unknown as JsonObject);
  for (const [typed, want] of [
    ["Bridge", "Bridge"],
    ["br", "Bridge"],
    ["flow-table", "Flow_Table"],
    ["p", "Port"],
    ["q", '"q" matches multiple table names: QoS, Queue'],
    ["Foo", 'unknown table "Foo"'],
    ["", 'unknown table ""'],
  ] as const) {
    let found = "";
    const message = complaint(() => {
      found = schema.findTable(typed);
    });
    t.equal(found + message, want, `table ${typed}`);
  }
  for (const [typed, want] of [
    ["Other-Config", "other_config"],
    ["stp", "stp_enable"],
    ["st", 'Bridge contains more than one column whose name matches "st": status, stp_enable'],
    ["foo", 'Bridge does not contain a column whose name matches "foo"'],
  ] as const) {
    let found = "";
    const message = complaint(() => {
      found = schema.findColumn("Bridge", typed).name;
    });
    t.equal(found + message, want, `column ${typed}`);
  }
});

t.test("COLUMN[:KEY][OP VALUE]", async (t) => {
  const set = ["="];
  for (const [text, operators, want] of [
    ["tag=3", set, "tag|-|=|3"],
    ["options:a=x,y", set, "options|a|=|x,y"],
    ['options:"k:l"=m', set, 'options|"k:l"|=|m'],
    ["a=b=c", set, "a|-|=|b=c"],
    ["a{<=}1", CONDITION_OPERATORS, "a|-|{<=}|1"],
    ["a<=1", CONDITION_OPERATORS, "a|-|<=|1"],
    ["a:b{not-in}1", CONDITION_OPERATORS, "a|b|{not-in}|1"],
    ["name", [], "name|-|-|-"],
    ["tag", set, 'tag: argument does not end in "=" followed by a value.'],
    ["tag=", set, 'tag=: argument does not end in "=" followed by a value.'],
    ["options[a]", [], 'options[a]: trailing garbage "[a]" in argument'],
    ["", [], ": missing column name"],
    ['a:"b=c', set, 'a:"b=c: quoted string extends past end of argument'],
  ] as const) {
    let shown = "";
    const message = complaint(() => {
      const { column, key = "-", operator = "-", value = "-" } = parseArgument(text, operators);
      shown = `${column}|${key}|${operator}|${value}`;
    });
    t.equal(shown + message, want, text);
  }
});

t.test("command lines", async (t) => {
  for (const [line, want] of [
    ["list-br -- add-br a -- --", "list-br | add-br a"],
    ["", "missing command name (use --help for help)"],
    ["--", "missing command name (use --help for help)"],
    ["foo", "unknown command 'foo'; use --help for help"],
    ["-- --id=@foo create Br name=x -- foo", "unknown command 'foo'; use --help for help"],
    ["-- --foo show", "'show' command has no '--foo' option"],
    ["add-br", "'add-br' command requires at least 1 arguments"],
    ["add-br a b c d", "'add-br' command takes at most 3 arguments"],
    [
      "list-br --foo",
      `'list-br' command takes at most 0 arguments (note that options must precede command names and follow a "--" argument)`,
    ],
    ["-- --id create QoS a", "missing argument to '--id' option on 'create' command"],
    ["-- --may-exist=3 add-br a", "'--may-exist' option on 'add-br' does not accept an argument"],
    ["-- --if-exists --if-exists del-br a", "'--if-exists' option specified multiple times"],
  ] as const) {
    let shown = "";
    const message = complaint(() => {
      const calls = parseCommands(COMMANDS, line.split(" ").filter(Boolean), []);
      shown = calls.map(({ command, args }) => [command.name, ...args].join(" ")).join(" | ");
    });
    t.equal(shown + message, want, line);
  }
  t.equal(listCommands(COMMANDS).split("\n").length - 1, 54, "those of the original, and confirm");
  const help = helpText("ovs-vsctl", COMMANDS);
  for (const name of COMMANDS.keys())
    t.match(help, new RegExp(`(^|[ \\]])${name}( |\\n)`), `help on ${name}`);
});

t.test("tables", async (t) => {
  const cell = (string: string, bare: string, json: string) => ({
    string: () => string,
    bare: () => bare,
    json: () => json,
  });
  const uuid = "0f2a8b52-71f2-4d4c-9d3a-0a5f6f1b2c3d";
  const table: Table = {
    headings: ["_uuid", "name", "x"],
    rows: [
      [cell(uuid, uuid, `["uuid","${uuid}"]`), cell('"a,b"', "a,b", '"a,b"'), cell("[]", "", '["set",[]]')],
      [
        cell(uuid, uuid, `["uuid","${uuid}"]`),
        cell("ä<", "ä<", '"ä<"'),
        cell("[1, 2]", "1 2", '["set",[1,2]]'),
      ],
    ],
  };
  const show = (style: Partial<TableStyle>, times = 1): string => {
    const printer = new TablePrinter({ ...tableStyle(), ...style });
    return Array.from({ length: times }, () => printer.format(table)).join("");
  };
  t.equal(
    show({ maxColumnWidth: 6 }),
    '_uuid  name  x\n------ ----- ------\n0f2a8b "a,b" []\n0f2a8b ä<   [1, 2]\n',
    "widths count bytes",
  );
  t.equal(
    show({ format: "list", cell: "bare", headings: false }, 2),
    `${uuid}\na,b\n\n\n${uuid}\nä<\n1 2\n`.repeat(2).replace("1 2\n0", "1 2\n\n0"),
  );
  t.match(show({ format: "list" }), /^_uuid {15}: 0f2a/);
  t.equal(show({ format: "csv", headings: false }).split("\n")[0], `${uuid},"""a,b""",[]`);
  t.match(
    show({ format: "html" }),
    /<td><a name="0f2a[^"]*">0f2a8b52<\/a><\/td>\n {4}<td>&quot;a,b&quot;<\/td>/,
  );
  t.match(show({ format: "html" }), /<td>ä&lt;<\/td>/);
  t.match(show({ format: "json" }), /^\{"data":\[\[\["uuid","0f2a/);
  t.equal(
    new TablePrinter({ ...tableStyle(), format: "json", pretty: true }).format({ headings: ["a"], rows: [] }),
    '{\n  "data": [],\n  "headings": [\n    "a"]}\n',
  );
});

/** Runs command lines in a fresh database: what each prints, or its complaint. */
async function session(lines: readonly (readonly string[])[]): Promise<string[]> {
  const network = new MemoryNetwork(nodeClock);
  const platform = simPlatform({}, { clock: new SimClock(nodeClock), streams: network, seed: 9 });
  const uuid = (): string => platform.random.uuid();
  const server = new OvsdbServer({ clock: nodeClock, streams: network, disk: new SimDisk(), uuid });
  const database = new Database(schemaFromJson(openVswitchSchema as unknown as Json), uuid());
  server.addDatabase(new ServedDatabase(database, undefined, { clock: nodeClock, uuid }));
  await network.listen("punix:db", (stream) => server.accept(stream));
  const results: string[] = [];
  for (const line of lines) {
    platform.out.stdout = "";
    const oneline = line[0] === "--oneline";
    const dryRun = line[0] === "--dry-run";
    const words = oneline || dryRun ? line.slice(1) : line;
    try {
      await runCtl(
        {
          platform,
          schema: openVswitchSchema,
          ids: RECORD_IDS,
          module: "vsctl",
          remote: "unix:db",
          retry: false,
          leaderOnly: true,
          dryRun,
          oneline,
          style: { ...tableStyle(), format: "list" },
          comment: "test",
          prepare: (needs) => needs.table("Open_vSwitch"),
          begin({ txn }) {
            if (txn.uuids("Open_vSwitch").next().done) txn.insertRow("Open_vSwitch");
          },
          finish() {},
          committed: async () => 0,
        },
        parseCommands(COMMANDS, words, []),
      );
      results.push(platform.out.stdout);
    } catch (error) {
      if (error instanceof Exit) results.push(`exit ${error.status}`);
      else if (error instanceof Fatal) results.push(`! ${error.message}`);
      else throw error;
    }
  }
  return results;
}

/** Command line (words by spaces, "_" in place of a space inside a word) and what the original 3.7 prints. */
const SESSION: readonly (readonly [string, string])[] = [
  ["add-br br0", ""],
  ["add-br br0", "! cannot create a bridge named br0 because a bridge named br0 already exists"],
  ["-- --may-exist add-br br0", ""],
  ["add-br a br0 5", ""],
  ["add-br b br0 5", "! bridge br0 already has a child VLAN bridge a on VLAN 5"],
  ["add-br b a 4", "! cannot create bridge with fake bridge as parent"],
  ["add-br b nobr 4", "! parent bridge nobr does not exist"],
  ["add-br b br0", "! 'add-br' command takes exactly 1 or 3 arguments"],
  ["add-br b br0 4096", "! add-br: vlan must be between 0 and 4095"],
  [
    "-- --may-exist add-br a br0 6",
    '! "--may-exist add-br a br0 6" but a is a VLAN bridge for the wrong VLAN 5',
  ],
  ["list-br", "a\nbr0\n"],
  ["-- --fake list-br", "a\n"],
  ["br-exists zz", "exit 2"],
  ["br-to-vlan a -- br-to-parent a", "5\nbr0\n"],
  ["add-port br0 p1 tag=3 -- add-port a p2 -- add-bond br0 b0 x1 x2", ""],
  ["list-ports br0 -- list-ports a -- list-ifaces br0", "b0\np1\np2\np1\nx1\nx2\n"],
  ["add-port br0 p2", "! cannot create a port named p2 because a port named p2 already exists on bridge a"],
  [
    "-- --may-exist add-bond br0 b0 x1 x3",
    '! "--may-exist add-bond br0 b0 x1 x3" but b0 actually has interface(s) x1, x2',
  ],
  ["add-port br0 p4 tag=x", '! "x" is not a valid integer or range'],
  [
    "add-port br0 p4 tag=5000",
    "! constraint violation: 5000 is not in the valid range 0 to 4095 (inclusive)",
  ],
  ["del-port br0 p2", "! bridge br0 does not have a port p2 (although its child bridge a does)"],
  ["del-bond-iface p1", "! cannot delete last interface from port p1"],
  ["-- --with-iface del-port x1 -- list-ports br0", "p1\n"],
  ["port-to-br p2 -- iface-to-br p1", "a\nbr0\n"],
  ['set Interface p1 options:a=1 options:b="x_y" -- get Interface p1 options', '{a="1", b="x y"}\n'],
  ["get Interface p1 options:c", '! no key "c" in Interface record "p1" column options'],
  ["-- --if-exists get Interface p1 options:c", "\n"],
  ["get Interface px name", '! no row "px" in table Interface'],
  ["set Bridge br0 flood_vlans=1-3,7 -- get Bridge br0 flood_vlans", "[1, 2, 3, 7]\n"],
  ["set Bridge br0 flood_vlans=1,1", "! 1,1: set contains duplicate value"],
  ["set Bridge br0 name=x", "! cannot modify read-only column name in table Bridge"],
  [
    "add Bridge br0 flood_vlans 9 -- remove Bridge br0 flood_vlans 1 77 -- get Bridge br0 flood_vlans",
    "[2, 3, 7, 9]\n",
  ],
  [
    "add Bridge br0 stp_enable true",
    '! "add" operation would put 2 values in column stp_enable of table Bridge but the maximum number is 1',
  ],
  [
    "clear Bridge br0 stp_enable",
    '! "clear" operation cannot be applied to column stp_enable of table Bridge, which is not allowed to be empty',
  ],
  ["-- --columns=name find Bridge flood_vlans{>=}2,3", "name                : br0\n"],
  ["-- --columns=name find Bridge flood_vlans{<}2", ""],
  ["find Bridge flood_vlans:1=5", "! cannot specify key to check for non-map column flood_vlans"],
  [
    "set Bridge br0 ports=@x",
    '! row id "@x" is referenced but never created (e.g. with "-- --id=@x create ...")',
  ],
  [
    "-- --id=@a create QoS type=x -- --id=@a create QoS type=y",
    '! row id "@a" may only be specified on one --id option',
  ],
  [
    "-- --id=12345678-1234-1234-1234-123456789012 create QoS type=z",
    "12345678-1234-1234-1234-123456789012\n",
  ],
  ["get QoS 1234 type -- destroy QoS 12345678 -- list QoS", "z\n"],
  ["-- --all destroy QoS p1", "! --all and records argument should not be specified together"],
  ["destroy Bridge br0", ""],
  ["list-br", "a\nbr0\n"],
  ["br-set-external-id a k v -- br-get-external-id a -- get Port a external_ids", "k=v\n{fake-bridge-k=v}\n"],
  ["set-controller a tcp:1", "! a is a fake bridge"],
  ["set-controller br0 tcp:2 tcp:1 -- get-controller br0", "tcp:1\ntcp:2\n"],
  ["set-fail-mode br0 x", '! fail-mode must be "standalone" or "secure"'],
  ["add-aa-mapping br0 1 2 -- add-aa-mapping br0 1 3 -- get-aa-mapping br0", "1 2\n"],
  ["list-zone-tp nn", "! datapath: nn record not found"],
  ["set-ssl /k /c /a -- get-ssl", "Private key: /k\nCertificate: /c\nCA Certificate: /a\nBootstrap: false\n"],
  ["--oneline list-br -- get Interface p1 name type -- init", 'a\\nbr0\np1\\n""\n\n'],
  ["--dry-run add-br br9 -- list-br", "a\nbr0\nbr9\n"],
  ["list-br", "a\nbr0\n"],
  ["del-br br0 -- list-br -- list Port", ""],
];

t.test("ovs-vsctl in memory", async (t) => {
  const results = await session(
    SESSION.map(([line]) => line.split(" ").map((word) => word.replaceAll(/(?<=x)_(?=y)/g, " "))),
  );
  SESSION.forEach(([line, want], i) => {
    t.equal(results[i], want, line);
  });
});
