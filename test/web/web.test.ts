/** The monitor's parts without a browser: guard, site, filter, traces, picture, what daemons print, rates, metrics' names. */
import { readFileSync } from "node:fs";
import t from "tap";
import {
  parseCoverage,
  parseDatapaths,
  parseMacs,
  parseMegaflow,
  parseMemory,
  parsePmdStats,
  parseUpcalls,
} from "../../src/lib/control-text.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import { PolledFeed, pieces } from "../../src/web/feed.ts";
import { frameEnds } from "../../src/web/frame-ends.ts";
import { Guard, hostName, isLoopback } from "../../src/web/guard.ts";
import { METRICS, OWN_METRICS } from "../../src/web/metric-list.ts";
import { href, parseRoute } from "../../src/web/page/address.ts";
import { parseFilter } from "../../src/web/page/filter.ts";
import { age, rate, short } from "../../src/web/page/format.ts";
import { makeGraph } from "../../src/web/page/graph.ts";
import { packetOf, readFlow, writeFlow } from "../../src/web/page/trace-flow.ts";
import { type Desk, PageSession } from "../../src/web/page-session.ts";
import type { Cells } from "../../src/web/protocol.ts";
import { Site } from "../../src/web/site.ts";

let secrets = 0;
const guardWith = (token: string | undefined, secure = false): Guard =>
  new Guard({ names: ["switch.example"], token, secure, secret: () => `secret${++secrets}` });

t.test("the guard refuses foreign names and foreign pages", (t) => {
  const cases: [host: string | null, origin: string | null, ok: boolean][] = [
    ["127.0.0.1:6642", null, true],
    ["localhost:6642", "http://localhost:6642", true],
    ["[::1]:6642", "http://[::1]:6642", true],
    ["switch.example", "http://switch.example", true],
    ["SWITCH.example:80", "http://switch.example:80", true],
    ["10.0.0.7:6642", null, true],
    [null, null, false],
    ["", null, false],
    ["evil.example:6642", null, false],
    ["127.0.0.1.evil.example", null, false],
    ["localhost:6642", "http://localhost:6643", false],
    ["127.0.0.1:6642", "http://localhost:6642", false],
    ["127.0.0.1:6642", "https://127.0.0.1:6642", false],
    ["127.0.0.1:6642", "null", false],
    ["127.0.0.1:6642", "http://evil.example", false],
    ["user@127.0.0.1", null, false],
  ];
  const guard = guardWith(undefined);
  for (const [host, origin, ok] of cases) {
    const headers = new Headers();
    if (host !== null) headers.set("host", host);
    if (origin !== null) headers.set("origin", origin);
    t.equal(guard.refusal(headers) === undefined, ok, `${host} ${origin}`);
  }
  t.equal(
    guardWith(undefined, true).refusal(new Headers({ host: "localhost", origin: "https://localhost" })),
    undefined,
  );
  t.strictSame(["a:b", "[::1]:5", "x y", "[::1"].map(hostName), [undefined, "::1", undefined, undefined]);
  t.strictSame(["127.1.2.3", "::1", "localhost", "0.0.0.0", "10.0.0.1"].map(isLoopback), [
    true,
    true,
    true,
    false,
    false,
  ]);
  t.end();
});

t.test("a token is shown by cookie or as a bearer's", (t) => {
  const guard = guardWith("right");
  const with_ = (headers: Record<string, string>): boolean => guard.isAuthorized(new Headers(headers));
  t.equal(guardWith(undefined).isAuthorized(new Headers()), true, "none is needed");
  t.equal(with_({}), false);
  t.equal(with_({ authorization: "Bearer right" }), true);
  t.equal(with_({ authorization: "Bearer wrong" }), false);
  t.equal(with_({ authorization: "Basic right" }), false);
  t.equal(guard.signIn("wrong"), undefined);
  const cookie = guard.signIn("right")!;
  t.match(cookie, /^ovsdbmonitor=secret\d+; HttpOnly; SameSite=Strict; Path=\/$/);
  t.equal(with_({ cookie: `a=b; ${cookie.split(";")[0]}` }), true);
  t.equal(with_({ cookie: "ovsdbmonitor=right" }), false, "the token itself is no cookie");
  t.match(guardWith("x", true).signIn("x"), /; Secure$/);
  for (let i = 0; i < 1000; i++) guard.signIn("right");
  t.equal(with_({ cookie }), false, "the oldest of too many sessions is forgotten");
  t.end();
});

function siteWith(guard: Guard): { site: Site; clock: SimClock } {
  const clock = new SimClock();
  const site = new Site({
    clock,
    guard,
    assets: { html: "<p>page", script: "1;", style: "p{}" },
    connect: () => ({ open() {}, message() {}, drain() {}, close() {} }),
    metrics: () => Promise.resolve({ type: "text/plain", text: "up 1\n" }),
  });
  return { site, clock };
}

t.test("the site's paths", async (t) => {
  const { site, clock } = siteWith(guardWith("right"));
  const ask = async (path: string, init: RequestInit & { host?: string } = {}): Promise<Response> => {
    const headers = new Headers(init.headers);
    // Request drops "host", as browsers do.
    const request = new Request(`http://127.0.0.1:1${path}`, { ...init, headers });
    const shown = new Headers(headers);
    shown.set("host", init.host ?? "127.0.0.1:1");
    Object.defineProperty(request, "headers", { value: shown });
    const answer = await site.answer(request);
    return answer instanceof Response ? answer : new Response("socket", { status: 299 });
  };
  const bearer = { authorization: "Bearer right" };
  const cases: [path: string, init: RequestInit & { host?: string }, status: number][] = [
    ["/", {}, 200],
    ["/page.js", {}, 200],
    ["/page.css", { method: "HEAD" }, 200],
    ["/", { host: "evil.example" }, 403],
    ["/page.js", { headers: { origin: "http://evil.example" } }, 403],
    ["/other", {}, 404],
    ["/../etc/passwd", {}, 404],
    ["/", { method: "DELETE" }, 405],
    ["/metrics", {}, 401],
    ["/metrics", { headers: bearer }, 200],
    ["/socket", {}, 401],
    ["/socket", { headers: bearer }, 299],
    ["/socket", { headers: { ...bearer, origin: "http://evil.example" } }, 403],
    ["/session", {}, 401],
    ["/session", { method: "POST", body: "right" }, 200],
  ];
  for (const [path, init, status] of cases) {
    const answer = await ask(path, init);
    t.equal(answer.status, status, `${init.method ?? "GET"} ${path} ${JSON.stringify(init)}`);
    if (status !== 299)
      t.match(answer.headers.get("content-security-policy"), /^default-src 'none'; script-src 'self'/);
  }
  const page = await ask("/");
  const tag = page.headers.get("etag")!;
  t.equal((await ask("/", { headers: { "if-none-match": tag } })).status, 304);
  const zipped = await ask("/page.js", { headers: { "accept-encoding": "gzip, br" } });
  t.equal(zipped.headers.get("content-encoding"), "gzip");

  let done = 0;
  const wrong = Array.from({ length: 25 }, () =>
    ask("/session", { method: "POST", body: "guess" }).then((answer) => {
      done++;
      return answer.status;
    }),
  );
  for (let i = 0; i < 20; i++) await new Promise(setImmediate);
  t.equal(done, 5, "no more than twenty guesses wait at a time");
  await clock.warp(600, 600);
  t.strictSame((await Promise.all(wrong)).sort(), [...Array(20).fill(401), ...Array(5).fill(429)]);
});

t.test("a page that is slow is sent no more until it has taken what waits, then all anew", (t) => {
  let sink: ((text: string) => void) | undefined;
  const feed = {
    watch: (to: (text: string) => void) => {
      sink = to;
      to('"whole"');
      return () => {
        sink = undefined;
      };
    },
  };
  const desk = {
    feed: (topic: { kind: string }) => {
      if (topic.kind !== "state") throw new Error("unknown topic");
      return feed;
    },
    call: () => Promise.reject(new Error("no")),
  } as unknown as Desk;
  const sent: string[] = [];
  let backlog = 0;
  let closed = "";
  const page = new PageSession(desk, () => {});
  page.open({
    send: (text) => void sent.push(text),
    get backlog() {
      return backlog;
    },
    close: (code) => void (closed = String(code)),
  });
  for (const bad of [
    '{"watch":"x","topic":{"kind":"state"}}',
    "{}",
    "null",
    "[]",
    '{"watch":9,"topic":{"kind":"?"}}',
  ])
    page.message(bad);
  t.strictSame(sent.splice(0), ['{"id":9,"error":"unknown topic"}']);
  page.message('{"watch":1,"topic":{"kind":"state"}}');
  sink!("1");
  backlog = 1 << 30;
  sink!("2");
  sink!("3");
  t.strictSame(sent.splice(0), ['{"id":1,"data":"whole"}', '{"id":1,"data":1}', '{"id":1,"data":2}']);
  page.drain();
  t.strictSame(sent, [], "it has not taken all yet");
  backlog = 0;
  page.drain();
  sink!("4");
  t.strictSame(sent.splice(0), ['{"id":1,"data":"whole"}', '{"id":1,"data":4}']);
  page.message('{"stop":1}');
  t.equal(sink, undefined);
  page.message("no JSON");
  t.equal(closed, "1007");
  t.end();
});

t.test("a source is asked while somebody watches, and the less often the longer it takes", async (t) => {
  const clock = new SimClock();
  let rounds = 0;
  let tookMs = 0;
  class Slow extends PolledFeed {
    protected override *snapshot(): IterableIterator<unknown> {}
    protected override failed(): void {}
    protected override async round(): Promise<void> {
      rounds++;
      if (tookMs > 0) await new Promise<void>((resolve) => void clock.after(tookMs, resolve));
    }
  }
  const feed = new Slow(clock, 1000);
  clock.stop();
  await clock.warp(5000, 100);
  t.equal(rounds, 0);
  const stop = feed.watch(() => {});
  await clock.warp(5050, 50);
  t.equal(rounds, 6, "at once and each second");
  tookMs = 500;
  rounds = 0;
  await clock.warp(20_000, 50);
  t.ok(rounds >= 4 && rounds <= 5, `a tenth of the time (${rounds} rounds)`);
  stop();
  rounds = 0;
  await clock.warp(20_000, 100);
  t.equal(rounds, 0);
  t.strictSame(
    [...pieces([1, 2, 3], 2)],
    [
      { part: [1, 2], last: false },
      { part: [3], last: true },
    ],
  );
  t.strictSame([...pieces([], 2)], [{ part: [], last: true }]);
});

t.test("the filter", (t) => {
  const row = { name: "vnet10", packets: 12, match: "udp,nw_dst=10.0.0.1" };
  const by = {
    text: (one: typeof row) => Object.values(one).join(" ").toLowerCase(),
    column: (one: typeof row, name: string) => (one as Record<string, string | number>)[name],
  };
  const cases: [filter: string, found: boolean][] = [
    ["", true],
    ["VNET", true],
    ["vnet udp", true],
    ["vnet tcp", false],
    ["-tcp", true],
    ["-udp", false],
    ["name=net1", true],
    ["name=br", false],
    ["packets=12", true],
    ["packets>11", true],
    ["packets<12", false],
    ["packets>", true],
    ["nw_dst=10.0.0.1", true],
    ["nw_dst=10.0.0.2", false],
    ['"vnet10 12"', true],
    ['"12 vnet10"', false],
    ["-", true],
  ];
  for (const [filter, found] of cases)
    t.equal(parseFilter<typeof row>(filter)?.(row, by) ?? true, found, filter);
  t.end();
});

t.test("numbers for people", (t) => {
  const shorts: [number, string][] = [
    [0, "0"],
    [7, "7"],
    [12.34, "12.3"],
    [999.4, "999"],
    [999.6, "1.00 k"],
    [12_345, "12.3 k"],
    [4_560_000_000, "4.56 G"],
  ];
  for (const [value, want] of shorts) t.equal(short(value), want);
  t.equal(short(1500, "B"), "1.50 kB");
  t.strictSame(
    [0, 0.01, 3].map((value) => rate(value, "p/s")),
    ["–", "–", "3 p/s"],
  );
  t.strictSame([-1, 0.2, 59, 3599, 7200, 864_000].map(age), ["–", "now", "59 s", "59 min", "2 h", "10 d"]);
  t.end();
});

t.test("addresses of the page", (t) => {
  const to = href("tables", ["Open_vSwitch", "a/b ?#"], { row: "x&y" });
  const { page, words, query } = parseRoute(to);
  t.strictSame([page, words, query.get("row")], ["tables", ["Open_vSwitch", "a/b ?#"], "x&y"]);
  t.strictSame(parseRoute("#/%zz").page, "%zz");
  t.strictSame(parseRoute("").page, "");
  t.end();
});

t.test("a packet for a trace", (t) => {
  const texts = [
    "in_port=1,tcp,nw_src=10.0.0.1,tcp_dst=80",
    "in_port=LOCAL,udp6,ipv6_src=::1,udp_src=5",
    "icmp,dl_src=50:54:00:00:00:01,icmp_type=8,ct_state=trk|new",
    "icmp6,icmpv6_type=135,nd_target=fe80::1",
    "arp,arp_spa=1.2.3.4,arp_op=1",
  ];
  for (const text of texts) t.equal(writeFlow(readFlow(text)), text);
  // In a match of a flow there are names and masks that a packet does not have.
  t.equal(packetOf("udp,in_port=3,nw_dst=10.0.0.0/8,tp_dst=53"), "in_port=3,udp,nw_dst=10.0.0.0,udp_dst=53");
  t.equal(packetOf("reg0=0x1/0xff"), "reg0=0x1");
  t.equal(packetOf(""), "");
  t.end();
});

t.test("the picture", (t) => {
  const rows = (list: Record<string, Cells>) =>
    new Map(Object.entries(list).map(([uuid, cells]) => [uuid, { cells }]));
  const names = Array.from({ length: 30 }, (_, i) => `p${i}`);
  const graph = makeGraph({
    bridges: rows({
      b1: { name: "br1", ports: ["l1", "pa", "tun", "bad", ...names], controller: ["c1"] },
      b2: { name: "br2", ports: ["pb"], controller: [] },
      b3: { name: "alone", ports: ["lost"], controller: [] },
    }),
    ports: rows({
      l1: { name: "br1", interfaces: ["l1"] },
      pa: { name: "pa", interfaces: ["pa"] },
      pb: { name: "pb", interfaces: ["pb"] },
      tun: { name: "tun", interfaces: ["tun"] },
      bad: { name: "bad", interfaces: ["bad"], tag: 7 },
      lost: { name: "lost", interfaces: ["lost"] },
      ...Object.fromEntries(names.map((name) => [name, { name, interfaces: [name] }])),
    }),
    interfaces: rows({
      l1: { type: "internal" },
      pa: { type: "patch", options: { peer: "pb" }, link_state: "up" },
      pb: { type: "patch", options: { peer: "pa" }, link_state: "up" },
      tun: { type: "vxlan", options: { remote_ip: "10.9.9.9", key: "42" }, link_state: "up" },
      bad: { type: "", error: "could not open" },
      lost: { type: "patch", options: { peer: "nobody" } },
      ...Object.fromEntries(names.map((name) => [name, { type: "", link_state: "up" }])),
    }),
    controllers: rows({ c1: { target: "tcp:1.2.3.4:6653", is_connected: false } }),
  });
  const titles = graph.nodes.map(({ kind, title, tone }) => `${kind} ${title} ${tone}`);
  for (const want of [
    "bridge br1 bad",
    "bridge br2 good",
    "remote 10.9.9.9 idle",
    "controller tcp:1.2.3.4:6653 bad",
    "port bad bad",
    "port lost bad",
    "more 22 more idle",
  ]) {
    t.ok(titles.includes(want), want);
  }
  t.equal(
    graph.nodes.filter(({ kind }) => kind === "port").length,
    10,
    "nine of br1's, and the patch without peer",
  );
  const kinds = graph.edges
    .filter(({ kind }) => kind !== "port")
    .map(({ kind, label }) => `${kind} ${label}`.trim());
  t.strictSame(kinds.sort(), ["control", "patch patch", "tunnel vxlan 42"]);
  for (const { x, y } of graph.nodes) t.ok(Number.isFinite(x) && Number.isFinite(y));
  const drawn = graph.nodes.filter(({ kind, title }) => kind === "port" && /^p\d/.test(title));
  t.strictSame(
    [...drawn].sort((a, b) => a.y - b.y),
    drawn,
    "ports stand in the order of their names",
  );
  t.strictSame(
    makeGraph({ bridges: new Map(), ports: new Map(), interfaces: new Map(), controllers: new Map() }).nodes,
    [],
  );
  t.end();
});

const NOT_COUNTED = {
  ...{ rxPackets: undefined, rxErrors: undefined, rxDropped: undefined, rxBytes: undefined },
  ...{ txPackets: undefined, txErrors: undefined, txDropped: undefined, txBytes: undefined },
};

t.test("what daemons print", (t) => {
  t.strictSame(
    parseDatapaths(
      "netdev@ovs-netdev:\n  lookups: hit:5 missed:2 lost:1\n  flows: 3\n  port 0: a (internal)\nsystem@x:\n  lookups: hit:0 missed:0 lost:0\n  flows: 0\n",
    ),
    [
      {
        ...{ name: "netdev@ovs-netdev", hits: 5, misses: 2, lost: 1, flows: 3 },
        ports: [{ number: 0, name: "a", type: "internal", counts: NOT_COUNTED }],
      },
      { name: "system@x", hits: 0, misses: 0, lost: 0, flows: 0, ports: [] },
    ],
  );
  t.strictSame(
    parseMegaflow(
      "recirc_id(0),in_port(1),eth_type(0x0800),ipv4(frag=no), packets:3, bytes:294, used:0.5s, flags:S, actions:2,3",
    ),
    {
      ufid: undefined,
      key: "recirc_id(0),in_port(1),eth_type(0x0800),ipv4(frag=no)",
      packets: 3,
      bytes: 294,
      usedSec: 0.5,
      flags: "S",
      dp: undefined,
      actions: "2,3",
    },
  );
  t.match(parseMegaflow("ufid:1-2, in_port(p), packets:0, bytes:0, used:never, dp:ovs, actions:drop"), {
    ufid: "1-2",
    key: "in_port(p)",
    usedSec: -1,
    dp: "ovs",
    actions: "drop",
  });
  t.equal(parseMegaflow("flow-dump from the main thread:"), undefined);
  t.strictSame(
    parseMacs(
      " port  VLAN  MAC                Age\n    1     0  50:54:00:00:00:09    7\nLOCAL    10  50:54:00:00:00:0a  static\n",
    ),
    [
      { port: "1", vlan: 0, mac: "50:54:00:00:00:09", age: 7 },
      { port: "LOCAL", vlan: 10, mac: "50:54:00:00:00:0a" },
    ],
  );
  t.strictSame(
    [
      ...parseCoverage(
        "Event coverage, avg rate ...:\nfoo_bar   0.0/sec  0.00/sec  0.0/sec   total: 12\n3 events never hit\n",
      ),
    ],
    [["foo_bar", { fiveSeconds: 0, minute: 0, hour: 0, total: 12 }]],
  );
  t.strictSame([...parseMemory("atoms:382 cells:453 n-weak-refs:0 udpif keys:9\n")].slice(0, 2), [
    ["atoms", 382],
    ["cells", 453],
  ]);
  t.strictSame(
    [...parsePmdStats("pmd thread 1:\n  emc hits: 2\n  avg. x: 1.5\nmain thread:\n  emc hits: 3\n")].filter(
      ([name]) => name === "emc hits",
    ),
    [["emc hits", 5]],
  );
  t.strictSame(
    parseUpcalls(
      "netdev@n:\n  flows         : (current 4) (avg 1) (max 9) (limit 200000)\n  dump duration : 12ms\n",
    ),
    [{ name: "netdev@n", flows: 4, limit: 200_000, dumpSeconds: 0.012 }],
  );
  t.end();
});

t.test("both ends of sampled frames, whatever of them is there", (t) => {
  const eth = "505400000002505400000001";
  const ip = `45000054000040004011${"0000"}0a0000010a000002`;
  const six = `6000000000081140${"fe80".padEnd(31, "0")}1${"fe80".padEnd(31, "0")}2`;
  const cases: [hex: string, want: string][] = [
    [`${eth}0800${ip}9c400035`, "udp 10.0.0.1:40000 10.0.0.2:53"],
    [`${eth}8100000a0800${ip}9c400035`, "udp 10.0.0.1:40000 10.0.0.2:53"],
    [`${eth}0800${ip}`, "udp 10.0.0.1 10.0.0.2"],
    [`${eth}86dd${six}00010002`, "udp [fe80::1]:1 [fe80::2]:2"],
    [`${eth}0806`, "arp 50:54:00:00:00:01 50:54:00:00:00:02"],
    [`${eth}0800`, "0x0800 50:54:00:00:00:01 50:54:00:00:00:02"],
    [`${eth}88b5`, "0x88b5 50:54:00:00:00:01 50:54:00:00:00:02"],
    [`${eth}0026`, "802.3 50:54:00:00:00:01 50:54:00:00:00:02"],
    ["00", " ? ?"],
  ];
  for (const [hex, want] of cases) {
    const { protocol, source, target } = frameEnds(new Uint8Array(Buffer.from(hex, "hex")));
    t.equal(`${protocol} ${source} ${target}`, want);
  }
  const longest = Buffer.from(`${eth}8100000a0800${ip}9c400035`, "hex");
  for (let cut = 0; cut < longest.length; cut++) frameEnds(new Uint8Array(longest.subarray(0, cut)));
  t.end();
});

t.test("metrics keep to Prometheus's conventions, and the dashboard names only what there is", (t) => {
  const all = { ...METRICS, ...OWN_METRICS } as Record<
    string,
    { type: string; help: string; labels: readonly string[] }
  >;
  for (const [name, { type, help }] of Object.entries(all)) {
    t.match(name, /^(ovs|ovsdb_server|ovsdbmonitor)_[a-z_]+$/);
    t.equal(type === "counter", name.endsWith("_total"), name);
    t.notMatch(name, /(_ms|_milliseconds|_bits|_kb)(_|$)/);
    t.match(help, /^[A-Z].*\.$/, name);
  }
  const dashboard = JSON.parse(
    readFileSync(new URL("../../src/web/grafana.json", import.meta.url), "utf8"),
  ) as {
    panels: { title: string; targets?: { expr: string }[] }[];
    templating: { list: { query?: unknown }[] };
  };
  const expressions = [
    ...dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
    ...dashboard.templating.list.map(({ query }) => JSON.stringify(query ?? "")),
  ];
  t.ok(expressions.length > 10);
  const used = new Set<string>();
  for (const expression of expressions) {
    for (const [name] of expression.matchAll(/\b(?:ovs|ovsdb|ovsdbmonitor)_[a-z_]+\b/g)) used.add(name);
    for (const [, name, inside] of expression.matchAll(/(\w+)\{([^}]*)\}/g)) {
      for (const [, label] of inside!.matchAll(/(\w+)\s*[=!]~?/g)) {
        t.ok(["system", ...all[name!]!.labels].includes(label!), `${name} has the label ${label}`);
      }
    }
  }
  for (const name of used) t.ok(Object.hasOwn(all, name), `${name} exists`);
  t.ok(used.size >= 12);
  t.end();
});
