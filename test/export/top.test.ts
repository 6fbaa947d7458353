/** `ovsbox top` without its daemon and terminal: what is read, rates, rows, keys and the screen. */
import fc from "fast-check";
import t from "tap";
import { draw, report, type Surroundings, share } from "../../src/export/top/layout.ts";
import { type FlowSample, type Sample, TopModel } from "../../src/export/top/model.ts";
import { grown, rate, short } from "../../src/export/top/rates.ts";
import { Sampler } from "../../src/export/top/sampler.ts";
import { arrange, matches, SECTIONS, TABLES } from "../../src/export/top/tables.ts";
import { firstView, press, type View } from "../../src/export/top/view.ts";
import { parseBridges, parseDatapaths, parseMacs, parseMegaflow } from "../../src/lib/control-text.ts";
import type { Json } from "../../src/lib/json.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { decodeKeys } from "../../src/lib/terminal/keys.ts";
import { ENTER_SCREEN, LEAVE_SCREEN, Screen } from "../../src/lib/terminal/screen.ts";
import { cut, fit, printable, textWidth } from "../../src/lib/terminal/width.ts";
import { SimTerminal } from "../sim/terminal.ts";

/** A daemon whose ports have counted `n` seconds at fixed rates. */
function show(n: number): string {
  const port = (number: number, name: string, type: string, kbytes: number, dropped: string): string =>
    `  port ${number}: ${name}${type}\n` +
    `    RX packets:${n * kbytes} errors:${n} dropped:${dropped} overruns:0 frame:0\n` +
    `    TX packets:${n * 2} errors:0 dropped:0 aborted:? carrier:?\n    collisions:0\n` +
    `    RX bytes:${n * kbytes * 1000} (${n} KiB)  TX bytes:${n * 500} (1.0 KiB)\n    UPCALL packets:? errors:?\n`;
  return (
    `netdev@ovs-netdev:\n  lookups: hit:${n * 90} missed:${n * 10} lost:${n}\n  flows: 2\n` +
    port(1, "br0", " (tap)", 0, "?") +
    port(2, "h1", "", 100, String(n * 3)) +
    port(3, "vx1", " (vxlan: packet_type=ptap, remote_ip=10.0.0.9)", 3, "0")
  );
}
const DPIF =
  "netdev@ovs-netdev: hit:5 missed:7\n  br0:\n    br0 65534/1: (tap)\n    h1 1/2: (system)\n" +
  "    p0 7/none: (patch: peer=p1)\n  br1:\n    p1 7/none: (patch: peer=p0)\n    vx1 3/3: (vxlan: remote_ip=10.0.0.9)\n";
const UPCALL =
  "netdev@ovs-netdev:\n  flows         : (current 2) (avg 7) (max 7) (limit 10000)\n  dump duration : 3ms\n  ufid enabled : true\n";
const coverageText = (n: number): string =>
  `Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=94b7b95a:\n` +
  `datapath_drop_port_down      0.0/sec     0.000/sec        0.0000/sec   total: ${n * 4}\n` +
  `drop_action_of_pipeline      0.0/sec     0.000/sec        0.0000/sec   total: ${n * 6}\n29 events never hit\n`;
const flowsText = (n: number): string =>
  "flow-dump from the main thread:\n" +
  `recirc_id(0),in_port(h1),packet_type(ns=0,id=0),eth(src=0e:de:de:6a:32:c7,dst=f2:6d:82:84:0a:bd),eth_type(0x0800),ipv4(frag=no), packets:${n * 90}, bytes:${n * 9000}, used:0.792s, flags:SP., actions:vx1\n` +
  `recirc_id(0),in_port(h1),packet_type(ns=0,id=0),eth(),eth_type(0x0800),ipv4(dst=10.0.0.3,proto=1,frag=no), packets:${n * 6}, bytes:${n * 600}, used:never, actions:drop\n`;
const drops = (n: number): Json => [
  {
    bridge: "br0",
    bytes: n * 600,
    flow: "recirc_id(0),in_port(h1),eth_type(0x0800),ipv4(dst=10.0.0.3,proto=1,frag=no)",
    packets: n * 6,
    reason: "the rule has no actions",
    rule: "priority=100,icmp actions=drop",
    table: 0,
  },
];

/** The texts above behind a control socket; `knows`: a daemon of ours. */
function daemon(clock: SimClock, knows = true) {
  const asked: string[] = [];
  const socket = {
    n: 1,
    close: () => {},
    transact: async (
      command: string,
      args: readonly string[],
    ): Promise<{ result: Json } | { error: Json }> => {
      asked.push([command, ...args].join(" "));
      if (command === "dpctl/dump-flows") await clock.warp(100);
      const texts: Record<string, string> = {
        "dpctl/show": show(socket.n),
        "dpif/show": DPIF,
        "upcall/show": UPCALL,
        "coverage/show": coverageText(socket.n),
        "dpctl/dump-flows": flowsText(socket.n),
        "set-options": "",
      };
      if (command === "ofproto/explain-drops" && knows) return { result: drops(socket.n) };
      return texts[command] === undefined ? { error: "no such command" } : { result: texts[command] };
    },
  };
  return { socket, asked };
}

/** A model after two samples, one second apart. */
async function twice(knows = true): Promise<TopModel> {
  const clock = new SimClock();
  const { socket } = daemon(clock, knows);
  const model = new TopModel();
  for (socket.n = 1; socket.n <= 2; socket.n++) {
    const sampler = new Sampler(clock, socket);
    const sample: Sample = { ...(await sampler.sample()), atMs: socket.n * 1000 };
    model.take(sample);
    const flows = (await sampler.flows(sample.datapaths.map(({ name }) => name))) as FlowSample;
    model.takeFlows({ ...flows, atMs: socket.n * 1000 });
  }
  return model;
}

t.test("what daemons print is read", async (t) => {
  const [datapath] = parseDatapaths(show(5));
  t.match(datapath, { name: "netdev@ovs-netdev", hits: 450, misses: 50, lost: 5, flows: 2 });
  t.strictSame(
    datapath!.ports.map(({ number, name, type }) => [number, name, type]),
    [
      [1, "br0", "tap"],
      [2, "h1", "system"],
      [3, "vx1", "vxlan"],
    ],
  );
  t.match(datapath!.ports[0]!.counts, { rxPackets: 0, rxDropped: undefined });
  t.match(datapath!.ports[1]!.counts, {
    rxPackets: 500,
    rxBytes: 500_000,
    rxErrors: 5,
    rxDropped: 15,
    txPackets: 10,
    txBytes: 2500,
  });
  t.strictSame(parseDatapaths(""), []);

  t.strictSame(
    parseBridges(DPIF).map(({ name, ports }) => [
      name,
      ports.map((port) => `${port.name} ${port.ofport} ${port.odpPort} ${port.type}`),
    ]),
    [
      ["br0", ["br0 65534 1 tap", "h1 1 2 system", "p0 7 undefined patch"]],
      ["br1", ["p1 7 undefined patch", "vx1 3 3 vxlan"]],
    ],
  );
  t.strictSame(
    parseMacs(
      " port  VLAN  MAC                Age\n    1     0  0e:de:de:6a:32:c7    2\nLOCAL     5  f2:6d:82:84:0a:bd  static\n",
    ),
    [
      { port: "1", vlan: 0, mac: "0e:de:de:6a:32:c7", age: 2 },
      { port: "LOCAL", vlan: 5, mac: "f2:6d:82:84:0a:bd" },
    ],
  );
  t.equal(parseMegaflow("flow-dump from the main thread:"), undefined);
  t.match(parseMegaflow(flowsText(1).split("\n")[1]!), {
    packets: 90,
    bytes: 9000,
    usedSec: 0.792,
    actions: "vx1",
  });
});

t.test("rates", async (t) => {
  for (const [now, before, want] of [
    [10, 4, 6],
    [4, 4, 0],
    [3, 4, undefined],
    [5, 2 ** 32 - 10, 15],
    [5, 2 ** 32 + 10, undefined],
    [5, 2 ** 31, undefined],
    [undefined, 4, undefined],
    [4, undefined, undefined],
  ] as const) {
    t.equal(grown(now, before), want, `grown(${now}, ${before})`);
  }
  t.equal(rate(30, 10, 2), 10);
  t.equal(rate(30, 10, 0), undefined);
  t.equal(rate(30, 10, Number.NaN), undefined);
  for (const [value, want] of [
    [undefined, "-"],
    [0, "0"],
    [0.04, "0"],
    [0.4, "0.4"],
    [2, "2"],
    [9.96, "10"],
    [999.4, "999"],
    [999.6, "1.00k"],
    [9996, "10.0k"],
    [99_960, "100k"],
    [1_234_567, "1.23M"],
    [999_600_000, "1.00G"],
    [1e11, "100G"],
    [Number.NaN, "-"],
  ] as const) {
    t.equal(short(value), want, `short(${value})`);
  }
  fc.assert(fc.property(fc.double({ min: 0, max: 9e17, noNaN: true }), (value) => short(value).length <= 5));
});

t.test("rows of two samples", async (t) => {
  const model = await twice();
  const rows = model.rows();
  t.match(rows.datapaths, [
    { flows: 2, limit: 10000, hitPps: 90, missPps: 10, lostPps: 1, dumpSeconds: 0.003 },
  ]);
  const h1 = rows.ports.find(({ name }) => name === "h1");
  t.match(h1, {
    bridge: "br0",
    ofport: 1,
    rxPps: 100,
    rxBps: 800_000,
    txPps: 2,
    txBps: 4000,
    dropPps: 3,
    errorPps: 1,
  });
  t.match(
    rows.ports.find(({ name }) => name === "p0"),
    { bridge: "br0", rxPps: undefined, type: "patch" },
  );
  t.match(rows.bridges, [
    { name: "br0", ports: 3, flows: 2, rxPps: 100, errorPps: 2 },
    { name: "br1", ports: 2, flows: 0, rxPps: 3 },
  ]);
  t.match(rows.flows, [
    { inPort: "h1", bridge: "br0", pps: 90, bps: 72_000, actions: "vx1" },
    {
      inPort: "h1",
      match: "eth_type(0x0800),ipv4(dst=10.0.0.3,proto=1)",
      pps: 6,
      usedSec: -1,
      actions: "drop",
    },
  ]);
  t.match(rows.drops, [
    { reason: "port is down", where: "datapath", packets: 8, pps: 4 },
    {
      reason: "the rule has no actions",
      where: "br0 table 0: priority=100,icmp actions=drop",
      packets: 12,
      pps: 6,
    },
  ]);
  t.equal(rows.dropPps, 10);

  const older = (await twice(false)).rows();
  t.match(older.drops[1], {
    reason: "no action sends the packet anywhere",
    where: "translation",
    packets: 12,
    pps: 6,
  });
  model.reset();
  t.strictSame(model.rows().ports, []);
});

t.test("a first sample has no rates, and one after the daemon began anew neither", async (t) => {
  const clock = new SimClock();
  const { socket } = daemon(clock);
  const model = new TopModel();
  const sampler = new Sampler(clock, socket);
  const take = async (n: number, atMs: number): Promise<void> => {
    socket.n = n;
    model.take({ ...(await sampler.sample()), atMs });
  };
  await take(5, 1000);
  t.equal(model.rows().ports.find(({ name }) => name === "h1")!.rxPps, undefined);
  t.equal(model.rows().dropPps, undefined);
  await take(1, 2000);
  t.equal(model.rows().ports.find(({ name }) => name === "h1")!.rxPps, undefined, "counters went back");
  await take(3, 4000);
  t.equal(model.rows().ports.find(({ name }) => name === "h1")!.rxPps, 100);
});

t.test("flows are asked for a fifth of the time at most", async (t) => {
  const clock = new SimClock();
  const { socket, asked } = daemon(clock, false);
  const sampler = new Sampler(clock, socket);
  const dumps = (): number =>
    asked.filter((line) => line === "dpctl/dump-flows --names netdev@ovs-netdev").length;
  t.ok(await sampler.flows(["netdev@ovs-netdev"]));
  await clock.warp(300);
  t.equal(await sampler.flows(["netdev@ovs-netdev"]), undefined);
  await clock.warp(300);
  t.match(await sampler.flows(["netdev@ovs-netdev"]), { drops: undefined });
  t.equal(dumps(), 2);
  t.equal(
    asked.filter((line) => line === "ofproto/explain-drops").length,
    1,
    "what it does not know is not asked again",
  );
});

t.test("sorting and filtering", async (t) => {
  const all = (await twice()).rows();
  const names = (column: number, reversed: boolean, filter = ""): string[] =>
    arrange(TABLES.ports, all, { column, reversed }, filter).map((row) => (row as { name: string }).name);
  t.strictSame(names(1, false), ["h1", "vx1", "br0", "p0", "p1"], "by RX bit/s, what is not known last");
  t.strictSame(names(1, true), ["p0", "p1", "br0", "vx1", "h1"]);
  t.strictSame(names(0, false), ["br0", "h1", "p0", "p1", "vx1"], "texts from A");
  t.strictSame(names(0, true), ["vx1", "p1", "p0", "h1", "br0"]);
  t.strictSame(names(1, false, "BR1"), ["vx1", "p1"]);
  t.strictSame(names(1, false, "br1 !patch"), ["vx1"]);
  for (const [text, filter, want] of [
    ["abc def", "", true],
    ["abc def", "b  E", true],
    ["abc def", "b x", false],
    ["abc def", "!x !y", true],
    ["abc def", "!b", false],
    ["abc def", "!", true],
  ] as const) {
    t.equal(matches(text, filter), want, `${text} ~ ${filter}`);
  }
});

const around = (columns: number, rows: number): Surroundings => ({
  columns,
  rows,
  colour: true,
  time: "12:00:00",
  daemon: "ovs-vswitchd pid 7",
  trouble: undefined,
});
const bare = (line: string): string => line.replace(/\x1b\[[0-9;]*m/g, "");

t.test("the screen fits, whatever its size and whatever was pressed", async (t) => {
  const all = (await twice()).rows();
  const keys = fc.constantFrom(
    ..."1234zsSr/p+-h?q x",
    "TAB",
    "BACKTAB",
    "ENTER",
    "ESC",
    "UP",
    "DOWN",
    "PAGEUP",
    "PAGEDOWN",
    "HOME",
    "END",
    "BACKSPACE",
    "^U",
    "^L",
    "é",
    "汉",
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 130 }),
      fc.integer({ min: 1, max: 40 }),
      fc.array(keys, { maxLength: 12 }),
      (columns, rows, pressed) => {
        let view: View = firstView(1000);
        let drawn = draw(all, view, around(columns, rows));
        for (const key of pressed) {
          view = press(view, key, drawn.page, drawn.count).view;
          drawn = draw(all, view, around(columns, rows));
          if (drawn.lines.length > rows) throw new Error(`${drawn.lines.length} lines`);
          for (const line of drawn.lines)
            if (textWidth(bare(line)) > columns) throw new Error(`too wide: ${line}`);
        }
      },
    ),
  );
  const lines = draw(all, firstView(1000), around(100, 24)).lines.map(bare);
  t.match(lines[0], /^ovsbox top {2}12:00:00 {2}every 1 s {2}ovs-vswitchd pid 7$/);
  t.match(
    lines[1],
    /2\/10000 flows {2}hit 90\.0% 90\/s {2}upcalls 10\/s {2}lost 1\/s {2}dump 3 ms {2}drops 10\/s/,
  );
  t.ok(
    lines.some((line) => /^h1 +800k +100 +4\.00k +2 +3 +1 br0 +1 system$/.test(line)),
    lines.join("\n"),
  );
  t.match(lines.at(-1), /^q quit/);
  t.equal(lines.length, 24);
  const narrow = draw(all, firstView(1000), around(40, 24)).lines.map(bare);
  t.ok(
    narrow.some((line) => /^h1 +800k +4\.00k$/.test(line)),
    "a narrow one leaves columns out",
  );
  t.notOk(
    draw(all, firstView(1000), { ...around(100, 24), colour: false }).lines.some((line) =>
      /\x1b\[3\d/.test(line),
    ),
  );
  t.match(
    draw(all, firstView(1000), { ...around(30, 9), trouble: "gone\x1b[2J" }).lines.at(-1),
    /gone\?\[2J/,
  );
});

t.test("tables share the lines", async (t) => {
  const tables = SECTIONS.map((section, at) => ({ section, wants: [2, 30, 100, 1][at]! }));
  const view = firstView(1000);
  t.strictSame(share(tables, view, 200), { bridges: 2, ports: 30, flows: 100, drops: 1 });
  t.strictSame(share(tables, view, 23), { bridges: 2, ports: 10, flows: 10, drops: 1 });
  t.strictSame(share(tables, view, 4), { bridges: 2, ports: 2, flows: 0, drops: 0 });
  t.strictSame(share(tables, { ...view, focus: "flows" }, 2), { bridges: 0, ports: 0, flows: 2, drops: 0 });
  t.strictSame(share(tables, { ...view, zoomed: true }, 23), { bridges: 0, ports: 23, flows: 0, drops: 0 });
});

t.test("keys", async (t) => {
  t.strictSame(decodeKeys("a\x1b[A\x1bOB\x1b[5~\x1b[Z\x1b[1;5Pé\r\x7f\x03\t"), [
    "a",
    "UP",
    "DOWN",
    "PAGEUP",
    "BACKTAB",
    "é",
    "ENTER",
    "BACKSPACE",
    "^C",
    "TAB",
  ]);
  t.strictSame(decodeKeys("\x1b"), ["ESC"]);
  t.strictSame(decodeKeys("\x1b[9999;1~x"), ["x"]);
  const after = (keys: string, page = 5, count = 12): View => {
    let view = firstView(1000);
    for (const key of decodeKeys(keys)) view = press(view, key, page, count).view;
    return view;
  };
  t.equal(after("/ab\x7fc x\r").filter, "ac x");
  t.equal(after("/ab\x1b").filter, "", "given up");
  t.equal(after("/q\r").filter, "q", "a letter while one types");
  t.equal(after("3").focus, "flows");
  t.equal(after("\t\t\t").focus, "bridges");
  t.equal(after("\x1b[Z").focus, "bridges");
  t.strictSame(after("ss").order.ports, { column: 3, reversed: false });
  t.strictSame(after("Sr").order.ports, { column: 0, reversed: true });
  t.equal(after("SS").order.ports.column, TABLES.ports.columns.length - 1);
  t.equal(after("\x1b[6~\x1b[6~\x1b[6~").scroll.ports, 7, "not past the end");
  t.equal(after("\x1b[6~\x1b[H").scroll.ports, 0);
  t.equal(after("\x1b[F\x1b[A").scroll.ports, 6);
  t.equal(after("++++++++").intervalMs, 60_000);
  t.equal(after("--").intervalMs, 500);
  t.equal(after("p").paused, true);
  t.equal(after("p ").paused, false);
  for (const [key, wish] of [
    ["q", "quit"],
    ["^C", "quit"],
    ["^Z", "suspend"],
    ["^L", "redraw"],
    ["x", undefined],
  ] as const) {
    t.equal(press(firstView(1000), key, 5, 5).wish, wish, key);
  }
  t.equal(press(after("/"), "q", 5, 5).wish, undefined);
  t.equal(press(after("/"), "^C", 5, 5).wish, "quit");
});

t.test("only what has changed is written, and the terminal shows it", async (t) => {
  const line = fc.string({ unit: fc.constantFrom("a", "b", " ", "é"), maxLength: 20 });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.array(line, { maxLength: 8 }), fc.integer({ min: 1, max: 8 })), { maxLength: 8 }),
      (frames) => {
        const screen = new Screen();
        const terminal = new SimTerminal(20, 8);
        for (const [lines, rows] of frames) {
          terminal.resize(20, rows);
          screen.forget();
          terminal.write(screen.update(lines, rows));
          const want = Array.from({ length: rows }, (_, row) => (lines[row] ?? "").trimEnd());
          if (terminal.lines.join("\n") !== want.join("\n")) throw new Error(JSON.stringify(terminal.lines));
          if (screen.update(lines, rows) !== "") throw new Error("written again");
          const other = [...lines.slice(1), "new"];
          terminal.write(screen.update(other, rows));
          const then = Array.from({ length: rows }, (_, row) => (other[row] ?? "").trimEnd());
          if (terminal.lines.join("\n") !== then.join("\n")) throw new Error(JSON.stringify(terminal.lines));
        }
      },
    ),
  );
  const screen = new Screen();
  const terminal = new SimTerminal(20, 4);
  terminal.write(ENTER_SCREEN + screen.update(["one", "two", "three"], 4));
  t.match(terminal, { alternate: true, cursorShown: false, wraps: false });
  terminal.printed = 0;
  terminal.write(screen.update(["one", "2", "three"], 4));
  t.equal(terminal.printed, 1);
  t.strictSame(terminal.lines, ["one", "2", "three", ""]);
  terminal.write(LEAVE_SCREEN);
  t.match(terminal, { alternate: false, cursorShown: true, wraps: true });
});

t.test("text for columns", async (t) => {
  t.equal(cut("abcdef", 4), "abc…");
  t.equal(cut("abcd", 4), "abcd");
  t.equal(cut("汉汉汉", 5), "汉汉…");
  t.equal(cut("abc", 0), "");
  t.equal(fit("ab", 4, true), "  ab");
  t.equal(fit("汉汉汉", 4), "汉… ");
  t.equal(printable("a\x1b[2J\u009bb"), "a?[2J?b");
  t.equal(textWidth("e\u0301"), 1);
});

t.test("the report has every column, and as many flows as asked for", async (t) => {
  const text = report((await twice()).rows(), firstView(1000), 1);
  t.match(text, /^h1 +800k +100 +4\.00k +2 +3 +1 +br0 +1 +system$/m);
  t.match(text, /-> vx1\n\(1 more\)/);
  t.match(text, /^the rule has no actions +6 +12 +br0 table 0: priority=100,icmp actions=drop$/m);
  t.notMatch(text, /\x1b/);
});
