/** `ovsbox top` on real traffic: as a report, and on a pseudo-terminal (util-linux's script) through resizes, a restart and signals. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { SimTerminal } from "../sim/terminal.ts";
import { cannotRun, World } from "./world.ts";

const skip = cannotRun("ping", "script", "stty");

/** The program on a terminal of its own. */
class Session {
  readonly terminal: SimTerminal;
  readonly #world: World;
  readonly #child: ChildProcess;
  readonly #tty: string;
  #pending = "";
  /** As written, after the last sequence that was understood. */
  written = "";
  status: number | undefined;

  constructor(world: World, columns: number, rows: number, words: string) {
    this.#world = world;
    this.terminal = new SimTerminal(columns, rows);
    this.#tty = join(world.dir, `tty-${columns}x${rows}`);
    // The shell stays, and says what became of the terminal.
    const shell =
      `tty > ${this.#tty}; stty rows ${rows} cols ${columns}; sh -c 'echo $$ > ${this.#tty}.pid; exec ovsbox top -i 0.2 ${words}'; ` +
      `echo status $?; stty -a | grep -o -- '-\\?icanon'`;
    this.#child = spawn("script", ["-qfec", shell, "/dev/null"], {
      env: { ...world.env, TERM: "xterm" },
      stdio: ["pipe", "pipe", "ignore"],
    });
    this.#child.stdout!.setEncoding("utf8").on("data", (text: string) => this.#output(text));
  }

  #output(text: string): void {
    this.written += text;
    const all = this.#pending + text;
    // A sequence may come in two pieces.
    const at = /\x1b[^A-Za-z]*$/.exec(all)?.index ?? all.length;
    this.#pending = all.slice(at);
    this.terminal.write(all.slice(0, at));
    const status = /status (\d+)/.exec(this.written);
    if (status !== null) this.status = Number(status[1]);
  }

  type(keys: string): void {
    this.#child.stdin!.write(keys);
  }

  resize(columns: number, rows: number): void {
    this.terminal.resize(columns, rows);
    this.#world.command(
      "stty",
      "-F",
      readFileSync(this.#tty, "utf8").trim(),
      "rows",
      String(rows),
      "cols",
      String(columns),
    );
  }

  signal(name: string): void {
    this.#world.command("kill", `-${name}`, readFileSync(`${this.#tty}.pid`, "utf8").trim());
  }

  line(pattern: RegExp): string | undefined {
    return this.terminal.lines.find((line) => pattern.test(line));
  }

  shows(pattern: RegExp, seconds = 15): Promise<void> {
    return this.#world.until(
      `${pattern} in\n${this.terminal.lines.join("\n")}`,
      () => this.line(pattern) !== undefined,
      seconds,
    );
  }

  async ended(): Promise<void> {
    await this.#world.until("end", () => this.status !== undefined && /icanon/.test(this.written), 10);
    this.#child.kill();
  }

  close(): void {
    this.#child.kill("SIGKILL");
  }
}

t.test("ovsbox top", { skip }, async (t) => {
  const world = new World();
  const sessions: Session[] = [];
  const open = (columns: number, rows: number, words = ""): Session => {
    sessions.push(new Session(world, columns, rows, words));
    return sessions.at(-1)!;
  };
  t.teardown(async () => {
    for (const session of sessions) session.close();
    await world.close();
  });
  t.match(world.try("ovsbox", "top"), {
    status: 1,
    stderr: /^ovsbox top: cannot read pidfile .* \(No such file or directory\)\n$/,
  });
  world.startDatabase();
  world.startSwitch();
  world.host("h1", "10.0.0.1/24");
  world.host("h2", "10.0.0.2/24");
  world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
  world.vsctl("add-port", "br0", "h1", "--", "add-port", "br0", "h2");
  world.ping("h1", "10.0.0.2");
  const addDrop = (): string =>
    world.ofctl("add-flow", "br0", "priority=9,icmp,nw_dst=10.0.0.77,actions=drop");
  addDrop();
  // 50 a second each way, of 98 bytes; and 50 a second that are dropped.
  world.background("h1", "ping", "-q", "-i", "0.02", "10.0.0.2");
  world.inside("h1", "ip", "neigh", "add", "10.0.0.77", "lladdr", "02:00:00:00:00:77", "dev", "eth0");
  world.background("h1", "ping", "-q", "-i", "0.02", "10.0.0.77");
  await world.until("flows", () => /10\.0\.0\.77/.test(world.appctl("dpctl/dump-flows")), 10);

  await t.test("report", async (t) => {
    const text = world.command("ovsbox", "top", "--interval", "2");
    const row = (name: string): string[] => new RegExp(`^${name} .*$`, "m").exec(text)?.[0].split(/ +/) ?? [];
    const near = (value: string | undefined, want: number, what: string): void => {
      const number = Number.parseFloat(value ?? "") * (value?.endsWith("k") === true ? 1000 : 1);
      t.ok(number > want * 0.5 && number < want * 1.2, `${what}: ${value}, about ${want}`);
    };
    // PORT, RX bit/s, RX pps, TX bit/s, TX pps
    near(row("h1")[2], 100, "RX pps of h1");
    near(row("h1")[1], 100 * 98 * 8, "RX bit/s of h1");
    near(row("h1")[4], 50, "TX pps of h1");
    near(row("h2")[2], 50, "RX pps of h2");
    t.match(
      text,
      /^the rule has no actions +\d+ +\d+ +br0 table 0: priority=9,icmp,nw_dst=10\.0\.0\.77 actions=drop$/m,
    );
    t.match(text, /^h1 .*10\.0\.0\.77.* -> drop$/m, "the flow");
    t.notMatch(text, /\x1b/);
    const two = world.command("ovsbox", "top", "-c", "2", "-i", "0.3", "--filter", "h1 !drop");
    t.equal(two.match(/^PORTS$/gm)?.length, 2);
    t.notMatch(two, /^h2 .* system$/m);
    for (const [words, complaint] of [
      [["--interval", "0"], 'bad interval "0"'],
      [["--count", "x"], 'bad count "x"'],
      [["--rows", "0"], 'bad number of rows "0"'],
      [["br0"], "non-option arguments not supported"],
      [["-t", "/nowhere.ctl"], "cannot connect to"],
    ] as const) {
      const run = world.try("ovsbox", "top", ...words);
      t.equal(run.status, 1, words.join(" "));
      t.match(run.stderr, complaint);
      t.equal(
        run.stderr
          .trim()
          .split("\n")
          .filter((line) => line.startsWith("ovsbox top: ")).length,
        1,
        run.stderr,
      );
    }
  });

  await t.test("live", async (t) => {
    const top = open(100, 24);
    await top.shows(/^h1 +[\d.]+k +\d+ .* br0 +1 system/);
    await top.shows(/^h1 +[\d.]+k +\d+ .*ipv4\(dst=10\.0\.0\.77,proto=1\) -> drop/);
    await top.shows(/^the rule has no actions +\d+ /);
    t.match(top.terminal, { alternate: true, cursorShown: false });
    t.match(top.terminal.lines.at(-1), /^q quit/);

    top.resize(44, 12);
    await top.shows(/^h1 +[\d.]+k +[\d.]+k br0$|^h1 +[\d.]+k +[\d.]+k +\d+$|^h1 +[\d.]+k +[\d.]+k$/);
    t.equal(top.terminal.lines.length, 12);
    t.match(top.terminal.lines.at(-1), /^q quit/, "the last line is in its place");
    top.resize(100, 24);
    await top.shows(/^h1 .* system$/);

    top.type("/h2\r");
    await top.shows(/^ovsbox top .* filter "h2"/);
    t.equal(top.line(/^h1 .* system$/), undefined);
    top.type("\x1b");
    await top.shows(/^h1 .* system$/);
    top.type("h");
    await top.shows(/that table alone, and back/);
    top.type("x3z");
    await world.until(
      "flows alone",
      () => top.line(/^PORT/) === undefined && top.line(/^IN_PORT/) !== undefined,
    );
    top.type("z2");

    // Only what has changed: a second costs less than a tenth of the screen's size a frame, and nothing is cleared.
    await top.shows(/^PORT/);
    const before = top.written.length;
    await world.until("more output", () => top.written.length > before + 200);
    t.notMatch(top.written.slice(before), "\x1b[2J");

    world.command("kill", String(world.pid("ovs-vswitchd")));
    await top.shows(/^ovs-vswitchd does not answer/);
    world.startSwitch();
    addDrop();
    await top.shows(/^connected again: ovs-vswitchd pid \d+/);
    await top.shows(/^h1 +[\d.]+k +\d+ .* br0 +1 system/);
    top.type("q");
    await top.ended();
    t.equal(top.status, 0);
    t.match(top.terminal, { alternate: false, cursorShown: true, wraps: true });
    t.match(top.written, /[^-]icanon\s*$/);
  });

  await t.test("signals leave the terminal as it was", async (t) => {
    for (const [signal, status] of [
      ["TERM", 143],
      ["HUP", 129],
      ["KEY", 0],
    ] as const) {
      const top = open(60 + status, 10);
      await top.shows(/^h1 /);
      if (signal === "KEY") top.type("\x03");
      else top.signal(signal);
      await top.ended();
      t.equal(top.status, status, signal);
      t.match(top.terminal, { alternate: false, cursorShown: true }, signal);
      t.match(top.written, /[^-]icanon\s*$/, signal);
    }
  });

  await t.test("no colour, no terminal", async (t) => {
    delete world.env.NO_COLOR;
    const dull = open(100, 20);
    await dull.shows(/^the rule has no actions +\d+ /);
    t.match(dull.written, /\x1b\[3[16]m/, "colours by default");
    dull.type("q");
    await dull.ended();
    world.env.NO_COLOR = "1";
    const plain = open(101, 20);
    await plain.shows(/^the rule has no actions +\d+ /);
    t.notMatch(plain.written, /\x1b\[3\dm/);
    plain.type("q");
    await plain.ended();
    const once = open(99, 20, "--once");
    await once.ended();
    t.equal(once.status, 0);
    t.notMatch(once.written, /\x1b/);
  });
});
