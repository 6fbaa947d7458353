/**
 * `ovsdbmonitor` in Debian's Chromium: each page, changes that arrive, the trace form, thousands of ports and flows, editing
 * with a preview, the token. With OVSBOX_PICTURES=FOLDER each page is kept there as a picture (scripts/pictures).
 */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import type { Browser, Locator, Page } from "playwright-core";
import t, { type Test } from "tap";
import { FULL } from "./bin.ts";
import { complaints, openBrowser, Traffic, udp, WebWorld, withoutBrowser } from "./web-world.ts";
import { cannotRun, sleep } from "./world.ts";

const skip = cannotRun() || withoutBrowser();
/** 50 000 take a minute to set up. */
const FLOWS = FULL ? 50_000 : 5000;
const PICTURES = process.env.OVSBOX_PICTURES;
/** For what comes when it comes; what must come soon has a limit of its own. */
const PATIENT = { timeout: 60_000 };

const HOSTS = ["web1", "web2", "db1", "db2", "cache1", "backup1"];

function dummy(name: string): string[] {
  return ["--", "set", "interface", name, "type=dummy"];
}

/** Three bridges: one with rules and a patch to the next, one with a controller that is away. */
function buildNetwork(world: WebWorld): void {
  world.vsctl(
    ...["add-br", "br-int", "--", "set", "bridge", "br-int", "fail_mode=secure", "--", "add-br", "br-ex"],
    ...HOSTS.flatMap((name, i) => [
      "--",
      "add-port",
      "br-int",
      name,
      `tag=${i < 4 ? 10 : 20}`,
      ...dummy(name),
      `ofport_request=${i + 1}`,
    ]),
    ...["--", "add-port", "br-ex", "uplink", ...dummy("uplink")],
    ...[
      "--",
      "add-port",
      "br-int",
      "to-ex",
      "--",
      "set",
      "interface",
      "to-ex",
      "type=patch",
      "options:peer=to-int",
    ],
    ...[
      "--",
      "add-port",
      "br-ex",
      "to-int",
      "--",
      "set",
      "interface",
      "to-int",
      "type=patch",
      "options:peer=to-ex",
    ],
    ...["--", "add-br", "br-lab", "--", "set-controller", "br-lab", "tcp:127.0.0.1:16653"],
    ...["--", "add-port", "br-lab", "lab1", ...dummy("lab1")],
  );
  // Whether or not there are tunnels here.
  world.vsctl(
    ...["--no-wait", "add-port", "br-ex", "far", "--", "set", "interface", "far", "type=vxlan"],
    ...["options:remote_ip=192.0.2.7", "options:key=42"],
  );
  const file = join(world.dir, "flows");
  writeFileSync(
    file,
    [
      "table=0,priority=100,arp actions=NORMAL",
      "table=0,priority=90,udp actions=resubmit(,10)",
      "table=0,priority=0 actions=drop",
      "table=10,priority=50,udp,tp_dst=161 actions=drop",
      "table=10,priority=40,in_port=1,udp,nw_dst=10.0.0.0/24,tp_dst=443 actions=NORMAL",
      "table=10,priority=0 actions=NORMAL",
    ].join("\n"),
  );
  world.ofctl("add-flows", "br-int", file);
  world.ofctl("add-flow", "br-ex", "priority=9,udp,in_port=uplink,actions=drop");
}

async function picture(page: Page, name: string): Promise<void> {
  if (PICTURES === undefined) return;
  await sleep(1700);
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

/** What the page shows comes when it has been drawn: asks until it is as wanted, or patience ends. */
async function becomes<T>(t: Test, ask: () => Promise<T>, wanted: T, name = "as wanted"): Promise<void> {
  const end = Date.now() + PATIENT.timeout;
  let seen = await ask();
  while (seen !== wanted && Date.now() < end) {
    await sleep(50);
    seen = await ask();
  }
  t.equal(seen, wanted, name);
}

/**
 * A change is on the page within a second of the end of the command that made it. A machine that does other things may take
 * its time once, so there are three attempts; `change` makes another change each time and returns where it is to be seen.
 */
async function withinASecond(t: Test, change: (attempt: number) => Locator): Promise<void> {
  for (let attempt = 1; attempt <= 3; attempt++) {
    try {
      await change(attempt).waitFor({ timeout: 1000 });
      t.pass("seen within a second");
      return;
    } catch {}
  }
  t.fail("not seen within a second");
}

/** Goes to a part of the page that is open. */
async function go(page: Page, address: string): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(address)}`);
}

t.test("the page", { skip, timeout: 300_000 }, async (t) => {
  const world = new WebWorld();
  let browser: Browser | undefined;
  let traffic: Traffic | undefined;
  try {
    world.startDummySwitch();
    buildNetwork(world);
    const link = world.startMonitor("--sflow=0", "--allow-edit");
    const sflow = /receiving sFlow on (\S+)/.exec(world.monitorLog())![1]!;
    world.vsctl(
      ...["--", "--id=@s", "create", "sFlow", `targets="${sflow}"`, "sampling=2", "polling=5", "header=128"],
      ...["--", "set", "bridge", "br-int", "sflow=@s"],
    );
    traffic = new Traffic(world);
    let n = 0;
    traffic.every(50, () => {
      n++;
      for (let i = 0; i < 6; i++) {
        const from = 1 + ((n + i) % 4);
        const to = 1 + ((n + i * 3 + 1 + (n % 3)) % 4);
        if (from !== to)
          traffic!.packet(
            HOSTS[from - 1]!,
            udp(from, to, [40_000 + i, [53, 443, 8080][i % 3]!]),
            150 + 90 * ((n + i) % 13),
          );
      }
      for (let i = 0; i < 3; i++) traffic!.packet("web1", udp(1, 3, [50_000, 443]), 1400);
      if (n % 2 === 0) traffic!.packet("db1", udp(3, 2, [50_001, 8080]), 1200);
      traffic!.packet("uplink", udp(9, 8), 90);
    });
    if (PICTURES !== undefined) await sleep(45_000);

    browser = await openBrowser();
    const page = await browser.newPage({ viewport: { width: 1280, height: 760 } });
    const bad = complaints(page);

    await t.test("overview", async (t) => {
      await page.goto(link);
      await page.locator("svg .node.bridge").nth(2).waitFor(PATIENT);
      t.equal(new URL(page.url()).hash, "#/", "the token does not stay in the address");
      const nodes = ["br-int", "br-ex", "br-lab", "web1", "backup1", "uplink", "tcp:127.0.0.1:16653"];
      const missing = async (): Promise<string> => {
        const titles = await page.locator("svg .node text:not(.sub)").allTextContents();
        return nodes.filter((name) => !titles.includes(name)).join();
      };
      await becomes(t, missing, "", "all nodes are drawn");
      await becomes(t, () => page.locator("svg .edge.patch").count(), 1);
      await becomes(t, () => page.locator("svg .edge.tunnel text").textContent(), "vxlan 42");
      await becomes(t, () => page.locator("svg .node.controller.bad").count(), 1);
      await picture(page, "overview");
      await page.emulateMedia({ colorScheme: "dark" });
      await picture(page, "overview-dark");
      await page.emulateMedia({ colorScheme: "light" });

      await withinASecond(t, (attempt) => {
        world.vsctl("add-br", `br-new${attempt}`);
        return page.locator("svg .node.bridge", { hasText: `br-new${attempt}` });
      });
      for (const attempt of [1, 2, 3]) world.vsctl("--if-exists", "del-br", `br-new${attempt}`);
      await page
        .locator("svg .node.bridge", { hasText: "br-new" })
        .first()
        .waitFor({ state: "detached", ...PATIENT });
      await page.locator("svg .node", { hasText: "uplink" }).click();
      await page.locator("h1", { hasText: "Ports" }).waitFor(PATIENT);
      t.match(page.url(), /#\/ports\/br-ex\?port=uplink$/);
    });

    await t.test("database", async (t) => {
      await go(page, "#/tables/Open_vSwitch/Port");
      await page.locator("[role=gridcell]", { hasText: "web1" }).waitFor(PATIENT);
      await becomes(t, () => page.locator("[role=grid]").getAttribute("aria-rowcount"), "15");
      await withinASecond(t, (attempt) => {
        world.vsctl("set", "port", "web1", `tag=${76 + attempt}`);
        return page.locator("[role=gridcell].flash", { hasText: `${76 + attempt}` });
      });
      await picture(page, "database");
      await page.keyboard.press("/");
      await page.keyboard.type("tag=20");
      await page.locator("[role=gridcell]", { hasText: "web1" }).waitFor({ state: "detached", ...PATIENT });
      await becomes(t, () => page.locator("[role=grid]").getAttribute("aria-rowcount"), "3");
      await page.keyboard.press("Escape");
      // By keyboard: into the grid, down a row, open it, close it.
      await page.locator("[role=grid]").focus();
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowDown");
      await page.keyboard.press("Enter");
      await page.locator(".drawer").waitFor(PATIENT);
      t.match(page.url(), /row=[0-9a-f-]{36}$/);
      await page.keyboard.press("Escape");
      await page.locator(".drawer").waitFor({ state: "detached", ...PATIENT });
    });

    await t.test("editing, with a preview", async (t) => {
      await page.locator("[role=row]", { hasText: "cache1" }).click();
      const choose = page.getByRole("button", { name: "Edit row" });
      const tag = page.locator("form.editor input[name=tag]");
      const preview = page.getByRole("button", { name: "Preview" });
      await choose.click(PATIENT);
      await tag.fill("30");
      await preview.click();
      await page.locator(".changes td.to", { hasText: "30" }).waitFor(PATIENT);
      t.equal(world.get("port", "cache1", "tag"), "20", "the preview changes nothing");
      await picture(page, "edit");
      await page.getByRole("button", { name: "Commit" }).click();
      await page.locator(".said.good").waitFor(PATIENT);
      t.equal(world.get("port", "cache1", "tag"), "30");

      await choose.click();
      await tag.fill("5000");
      await preview.click();
      await page.locator(".said.bad", { hasText: "5000" }).waitFor(PATIENT);
      // Somebody else is faster.
      await tag.fill("31");
      world.vsctl("set", "port", "cache1", "tag=32");
      await preview.click();
      await page.locator(".said.bad", { hasText: "it is 32 now" }).waitFor(PATIENT);
      t.equal(world.get("port", "cache1", "tag"), "32");
      await page.getByRole("button", { name: "Cancel" }).click();
    });

    await t.test("ports", async (t) => {
      await go(page, "#/ports/br-int");
      await page.locator("[role=row]", { hasText: "web1" }).waitFor(PATIENT);
      await becomes(t, () => page.locator("[role=grid]").getAttribute("aria-rowcount"), "9");
      // Traffic runs: some port has a rate.
      await page
        .locator("[role=gridcell]", { hasText: /^\d[\d.]* k$/ })
        .first()
        .waitFor(PATIENT);
      if (PICTURES !== undefined) await sleep(30_000);
      await page.locator("[role=row]", { hasText: "web2" }).click();
      await page.locator("figcaption", { hasText: "web2" }).waitFor(PATIENT);
      await becomes(t, () => page.locator(".plot canvas").count(), 1);
      await picture(page, "ports");
    });

    await t.test("flows", async (t) => {
      await go(page, "#/flows/br-int");
      await page.locator("[role=row]", { hasText: "resubmit(,10)" }).waitFor(PATIENT);
      await becomes(t, () => page.locator("[role=grid]").getAttribute("aria-rowcount"), "7");
      world.ofctl("add-flow", "br-int", "table=20,priority=7,ip,nw_src=10.0.0.9,actions=output:2");
      await page.locator("[role=row]", { hasText: "nw_src=10.0.0.9" }).waitFor(PATIENT);
      await page
        .locator("[role=gridcell]", { hasText: /\d p\/s/ })
        .first()
        .waitFor(PATIENT);
      await picture(page, "flows");
      await page.getByRole("button", { name: "table 20" }).click();
      await becomes(t, () => page.locator("[role=grid]").getAttribute("aria-rowcount"), "2");
      world.ofctl("del-flows", "br-int", "table=20");
      await page
        .locator("[role=row]", { hasText: "nw_src=10.0.0.9" })
        .waitFor({ state: "detached", ...PATIENT });
    });

    await t.test("datapath flows, drops", async () => {
      await go(page, "#/datapath");
      await page.locator("[role=gridcell]", { hasText: "in_port(web1)" }).first().waitFor(PATIENT);
      await page
        .locator("[role=gridcell]", { hasText: /\d p\/s/ })
        .first()
        .waitFor(PATIENT);
      await picture(page, "datapath");
      await page.getByRole("link", { name: /^Drops and why/ }).click();
      // The rows of the flows are gone only then.
      await page.locator("[role=columnheader]", { hasText: "reason" }).waitFor(PATIENT);
      await page.locator("[role=row]", { hasText: "br-ex" }).click(PATIENT);
      await page.locator(".drawer", { hasText: "priority=9" }).waitFor(PATIENT);
      await picture(page, "drops");
    });

    await t.test("learned addresses", async () => {
      await go(page, "#/macs/br-int");
      await page
        .locator("[role=row]", { hasText: "50:54:00:00:00:01" })
        .filter({ hasText: "web1" })
        .first()
        .waitFor(PATIENT);
      await picture(page, "addresses");
    });

    await t.test("a trace, by the form", async (t) => {
      await go(page, "#/trace/br-int");
      const form = page.locator(".trace-form");
      await form
        .locator("option", { hasText: "web1" })
        .first()
        .waitFor({ state: "attached", ...PATIENT });
      await form.getByLabel("in port").selectOption({ value: "web1" });
      await form.getByLabel("protocol").selectOption("udp");
      await form.getByLabel("from address").fill("10.0.0.1");
      await form.getByLabel("to address").fill("10.0.0.3");
      await form.getByLabel("to port").fill("443");
      t.equal(
        await form.locator("input[name=flow]").inputValue(),
        "in_port=web1,udp,nw_src=10.0.0.1,nw_dst=10.0.0.3,udp_dst=443",
      );
      await form.getByRole("button", { name: "Trace" }).click();
      await page.locator(".steps .table", { hasText: "priority 40" }).first().waitFor(PATIENT);
      t.match(await page.locator(".verdict dd").textContent(), /\d/);
      await picture(page, "trace");
      await form.locator("input[name=flow]").fill("-generate");
      await form.getByRole("button", { name: "Trace" }).click();
      await page.locator(".trouble", { hasText: "a flow was expected" }).waitFor(PATIENT);
    });

    await t.test("top talkers", async () => {
      await go(page, "#/talkers");
      await page
        .locator("[role=gridcell]", { hasText: /^10\.0\.0\.\d:443$/ })
        .first()
        .waitFor(PATIENT);
      await picture(page, "talkers");
    });

    await t.test("on a narrow screen nothing is wider than it", async (t) => {
      await page.setViewportSize({ width: 390, height: 760 });
      for (const address of [
        "#/",
        "#/ports/br-int",
        "#/flows/br-int",
        "#/datapath",
        "#/macs/br-int",
        "#/trace/br-int",
        "#/talkers",
        "#/tables/Open_vSwitch/Port",
      ]) {
        await go(page, address);
        await page.locator("h1").waitFor(PATIENT);
        await becomes(t, () => page.evaluate("document.documentElement.scrollWidth"), 390, address);
      }
      await picture(page, "narrow");
    });

    await t.test("metrics", async (t) => {
      const token = /#token=(\S+)/.exec(link)![1]!;
      const url = `${new URL(link).origin}/metrics`;
      t.equal((await fetch(url)).status, 401);
      const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
      t.match(answer.headers.get("content-type"), /^text\/plain; version=/);
      const text = await answer.text();
      for (const line of [
        /^ovs_database_up\{system="[^"]+",database="Open_vSwitch"\} 1$/m,
        /^ovs_bridges\{[^}]*\} 3$/m,
        /^ovs_bridge_flows\{[^}]*bridge="br-int"\} 6$/m,
        /^ovs_interface_up\{[^}]*interface="web1"\} 1$/m,
        /^ovs_datapath_lookup_hits_total\{[^}]*\} [1-9]/m,
        /^ovs_controller_connected\{[^}]*target="tcp:127.0.0.1:16653"\} 0$/m,
        /^ovs_upcall_flow_limit\{[^}]*\} \d/m,
        /^ovsdb_server_transactions_total\{[^}]*\} [1-9]/m,
        /^ovsdb_server_cells\{[^}]*\} [1-9]/m,
        /^ovsdbmonitor_sflow_datagrams_total [1-9]/m,
      ]) {
        t.match(text, line);
      }
      t.notMatch(text, /NaN/);
    });
    t.strictSame(bad, [], "no complaints in the console");
  } finally {
    traffic?.close();
    await browser?.close();
    await world.close();
  }
});

t.test(`2000 ports, ${FLOWS} flows, and a lost connection`, { skip, timeout: 300_000 }, async (t) => {
  const world = new WebWorld();
  let browser: Browser | undefined;
  try {
    world.startDummySwitch();
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure");
    const names = Array.from({ length: 2000 }, (_, i) => `port${i}`);
    world.addPorts("br0", names, "dummy");
    const file = join(world.dir, "flows");
    writeFileSync(
      file,
      Array.from(
        { length: FLOWS },
        (_, i) =>
          `priority=${i % 8},ip,nw_dst=10.${i >> 16}.${(i >> 8) & 255}.${i & 255} actions=output:${1 + (i % 2000)}`,
      ).join("\n"),
    );
    // Without the ten seconds that other commands have.
    world.command("ovs-ofctl", "add-flows", "br0", file);
    const link = world.startMonitor();
    browser = await openBrowser();
    const page = await browser.newPage({ viewport: { width: 1280, height: 760 } });
    const bad = complaints(page);
    await page.goto(`${link}#/tables/Open_vSwitch/Interface`);
    await page.locator('[role=grid][aria-rowcount="2002"]').waitFor(PATIENT);
    await becomes(
      t,
      async () => (await page.locator("[role=row]").count()) < 60,
      true,
      "rows out of sight are not drawn",
    );
    await page.locator("[role=grid]").focus();
    await page.keyboard.press("End");
    await page.locator('[role=row][aria-rowindex="2002"].current').waitFor(PATIENT);
    world.vsctl("set", "interface", "port1234", "external_ids:who=me");
    await page.locator("input[type=search]").fill("who");
    await page.locator("[role=row]", { hasText: "port1234" }).waitFor(PATIENT);

    await go(page, "#/");
    await page.locator("svg .node.more", { hasText: "1991 more" }).waitFor(PATIENT);
    await go(page, "#/ports/br0");
    await page.locator('[role=grid][aria-rowcount="2002"]').waitFor(PATIENT);
    await go(page, "#/flows/br0");
    await page.locator(`[role=grid][aria-rowcount="${FLOWS + 1}"]`).waitFor(PATIENT);
    // What a person waits for: the longest that the page was busy while its filter was typed.
    await page.evaluate(`
      globalThis.longest = 0;
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, duration);
      }).observe({ entryTypes: ["longtask"] });
    `);
    await page.locator("input[type=search]").fill("nw_dst=10.0.7.");
    await page.locator('[role=grid][aria-rowcount="257"]').waitFor(PATIENT);
    await page.locator("input[type=search]").fill("");
    await page.locator(`[role=grid][aria-rowcount="${FLOWS + 1}"]`).waitFor(PATIENT);
    await page.locator("[role=grid]").focus();
    for (const key of ["End", "Home", "PageDown", "PageDown"]) await page.keyboard.press(key);
    const longest = (await page.evaluate("globalThis.longest")) as number;
    t.ok(longest < 1500, `the page is busy ${Math.round(longest)} ms at most`);

    // The server goes and comes back elsewhere in time; the page finds it by itself.
    const port = new URL(link).port;
    world.endMonitor();
    await page.locator(".link.lost").waitFor(PATIENT);
    // Refused connections are the browser's own lines.
    bad.splice(0);
    await world.until(
      "the port is free",
      () => spawnSync("sh", ["-c", `! ss -ltn | grep -q ":${port} "`]).status === 0,
    );
    world.startMonitor(`--listen=127.0.0.1:${port}`);
    await page.locator(".link.open").waitFor(PATIENT);
    await page.locator(`[role=grid][aria-rowcount="${FLOWS + 1}"]`).waitFor(PATIENT);
    t.strictSame(
      bad.filter((line) => !/ERR_CONNECTION|WebSocket/.test(line)),
      [],
    );
  } finally {
    await browser?.close();
    await world.close();
  }
});

t.test("who may look", { skip, timeout: 120_000 }, async (t) => {
  const world = new WebWorld();
  let browser: Browser | undefined;
  try {
    world.startDatabase();
    const refused = world.try("ovsdbmonitor", "--listen=0.0.0.0:0");
    t.equal(refused.status, 1);
    t.match(refused.stderr, /0\.0\.0\.0 is not loopback: --token or --token-file is needed/);
    for (const [options, complaint] of [
      [["--listen=nowhere:x"], /bad address/],
      [["--token="], /empty token/],
      [["--token-file=/nonexistent"], /cannot read the token/],
      [["--private-key=a.pem"], /needs both/],
      [["nonsense"], /not a way to connect to a database/],
      [["--openflow=br0"], /not a way to connect by OpenFlow/],
    ] as const) {
      const run = world.try("ovsdbmonitor", ...options);
      t.equal(run.status, 1, options.join(" "));
      t.match(run.stderr, complaint);
    }
    writeFileSync(join(world.dir, "token"), "open sesame, please\n");
    world.command(
      ...([
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
      ] as const),
      ...["-subj", "/CN=localhost", "-keyout", `${world.dir}/key.pem`, "-out", `${world.dir}/cert.pem`],
    );
    const link = world.startMonitor(
      ...["--listen=0.0.0.0:0", `--token-file=${world.dir}/token`],
      ...[`--private-key=${world.dir}/key.pem`, `--certificate=${world.dir}/cert.pem`],
    );
    t.match(link, /^https:\/\/0\.0\.0\.0:\d+\/#token=open%20sesame/);
    const port = new URL(link).port;
    browser = await openBrowser();
    const context = await browser.newContext({ ignoreHTTPSErrors: true });
    const page = await context.newPage();
    await page.goto(`https://127.0.0.1:${port}/`);
    const token = page.getByLabel("Token");
    await token.waitFor(PATIENT);
    await token.fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator(".trouble", { hasText: "the token is wrong" }).waitFor(PATIENT);
    await token.fill("open sesame, please");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.locator(".link.open").waitFor(PATIENT);
    await page.reload();
    await page.locator(".link.open").waitFor(PATIENT);

    // Read-only unless it was allowed, whatever a page sends.
    const answer = await page.evaluate(`new Promise((resolve) => {
      const socket = new WebSocket("wss://" + location.host + "/socket");
      socket.onopen = () =>
        socket.send('{"call":1,"method":"commit","params":{"system":0,"database":"Open_vSwitch","edits":[]}}');
      socket.onmessage = (event) => resolve(event.data);
    })`);
    t.equal(answer, '{"id":1,"error":"this monitor is read-only (see --allow-edit)"}');

    // Another origin gets no WebSocket, another name nothing at all.
    world.endMonitor();
    await sleep(300);
    const plain = world.startMonitor();
    const at = Number(new URL(plain).port);
    const upgrade = (host: string, origin: string): Promise<string> =>
      new Promise((resolve) => {
        const socket = connect(at, "127.0.0.1", () => {
          socket.write(
            `GET /socket HTTP/1.1\r\nHost: ${host}\r\nOrigin: ${origin}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
              "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
          );
        });
        socket.once("data", (chunk) => {
          resolve(String(chunk).split("\r\n")[0]!);
          socket.destroy();
        });
      });
    const own = `127.0.0.1:${at}`;
    t.match(await upgrade(own, `http://${own}`), /^HTTP\/1\.1 101 /);
    t.match(await upgrade(own, "http://evil.example"), /^HTTP\/1\.1 403 /);
    t.match(await upgrade("evil.example", "http://evil.example"), /^HTTP\/1\.1 403 /);
  } finally {
    await browser?.close();
    await world.close();
  }
});
