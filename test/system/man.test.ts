/**
 * Manual pages: nothing is left out, man and mandoc read them without a complaint, and every command line in them and in the
 * README runs, in a network namespace and folders of its own.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";
import { type Block, parseMarkdown, spans } from "../../commands/man/document.ts";
import { plain } from "../../commands/man/plain.ts";
import { troff } from "../../commands/man/troff.ts";
import { BIN, peer } from "./bin.ts";
import { cannotRun, World } from "./world.ts";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

function ovsbox(...args: string[]): string {
  const run = spawnSync(join(BIN, "ovsbox"), args, { encoding: "utf8", maxBuffer: 1 << 26 });
  if (run.status !== 0) throw new Error(`ovsbox ${args.join(" ")}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

const has = (program: string): boolean => spawnSync("sh", ["-c", `command -v ${program}`]).status === 0;

/** Source, its page for man below the heading NAME, and the page as text of 40 columns. */
const FORMS: { name: string; source: string; troff: string; plain: string }[] = [
  {
    name: "paragraphs and how words are marked",
    source: "One *VARIABLE* and\n**strong** `--long-option`, 2*3*4, co-operate, a\\b.\n\n.dot at the start",
    troff:
      "One \\fIVARIABLE\\fR and \\fBstrong\\fR \\fB\\-\\-long\\-option\\fR, 2*3*4, co-operate, a\\eb.\n.PP\n\\&.dot at the start\n",
    plain:
      "    One VARIABLE and strong\n    --long-option, 2*3*4, co-operate,\n    a\\b.\n\n    .dot at the start\n",
  },
  {
    name: "terms, two explained together, with more than a line",
    source: "one\ntwo\n: First.\n  Still first.\n\n  Second.\nthree\n: Third.\n",
    troff: ".TP\none\n.TQ\ntwo\nFirst. Still first.\n.IP\nSecond.\n.TP\nthree\nThird.\n",
    plain: "    one\n    two\n        First. Still first.\n\n        Second.\n    three\n        Third.\n",
  },
  {
    name: "bullets, code and comments",
    source: "<!-- setup\nnot shown\n-->\n- a\n- b\n\n```sh\n'quoted' -x ~ ^\n.dot\n```\n",
    troff:
      ".IP \\(bu 2\na\n.IP \\(bu 2\nb\n.PP\n.RS 4\n.EX\n\\(aqquoted\\(aq \\-x \\(ti \\(ha\n\\&.dot\n.EE\n.RE\n",
    plain: "    - a\n    - b\n\n      'quoted' -x ~ ^\n      .dot\n",
  },
  {
    name: "headings",
    source: "# ONE\n\ntext\n\n## Two\n\nmore",
    troff: '.SH "ONE"\ntext\n.SS "Two"\nmore\n',
    plain: "\nONE\n    text\n\n  Two\n    more\n",
  },
];

t.test("the forms of a source", async (t) => {
  for (const { name, source, ...want } of FORMS) {
    const blocks: Block[] = parseMarkdown(source);
    const page = { name: "x", section: 1, about: "y", blocks };
    t.equal(troff(page, "z").replace(/^.*\.SH NAME\nx \\- y\n/s, ""), want.troff, `${name}: troff`);
    t.equal(
      plain(page, 40, false).replace(/^NAME\n {4}x - y\n\n?/, want.plain.startsWith("\n") ? "\n" : ""),
      want.plain,
      name,
    );
  }
  t.same(spans("a `b*c` *d* e*f"), [
    { style: "plain", text: "a " },
    { style: "literal", text: "b*c" },
    { style: "plain", text: " " },
    { style: "variable", text: "d" },
    { style: "plain", text: " e*f" },
  ]);
  t.throws(() => parseMarkdown("```sh\nno end"), /code without an end/);
});

t.test("nothing is left unexplained, nothing explained that is not there", async (t) => {
  t.equal(spawnSync(join(BIN, "ovsbox"), ["man", "--check"], { encoding: "utf8" }).stdout, "");
});

/** How code asks for a key of a column that is a map. */
const KEY_READ =
  /\b(?:other_config|otherConfig|external_ids|options)(?:\.get\(|\.has\(|, )"([a-z][a-z0-9_-]*)"/g;

/** Options of dummy devices, which only tests have, and of the daemon's own commands. */
const NO_KEYS = new Set("filter ifindex n_txq pcap pmd pstream rx_pcap stream tx_pcap type".split(" "));

t.test("every key that the switch reads is explained", async (t) => {
  const page = readFileSync(join(root, "man/ovs-vswitchd.conf.db.5.md"), "utf8");
  let count = 0;
  for (const file of readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts")) continue;
    for (const [, key] of readFileSync(join(root, "src", file), "utf8").matchAll(KEY_READ)) {
      count++;
      if (NO_KEYS.has(key!) || new RegExp(`:${key}$|\`${key}\``, "m").test(page)) continue;
      t.fail(`${key}, which ${file} reads, is not in ovs-vswitchd.conf.db(5)`);
    }
  }
  t.ok(count > 20, `${count} places that read keys`);
});

/** Commands of a daemon that the pages say: terms of the sections on them, without their arguments. */
function saidCommands(...pages: string[]): string[] {
  const found = new Set<string>();
  for (const page of pages) {
    const text = readFileSync(join(root, "man", page), "utf8");
    const [, section = ""] = /\n# [A-Z]+ COMMANDS\n(.*?)\n# /s.exec(text) ?? [];
    for (const [, name] of section.matchAll(/^`([a-z][^ `]*)/gm))
      found.add(page.startsWith("ovs-dpctl") ? `dpctl/${name}` : name!);
  }
  return [...found].sort();
}

t.test("every command of the daemons is explained", { skip: cannotRun() }, async (t) => {
  const world = new World();
  try {
    world.startDatabase();
    world.startSwitch();
    for (const [daemon, ...pages] of [
      ["ovs-vswitchd", "ovs-vswitchd.8.md", "ovs-dpctl.8.md", "ovs-appctl.8.md"],
      ["ovsdb-server", "ovsdb-server.1.md", "ovs-appctl.8.md"],
    ] as const) {
      const listed = world.appctl("-t", daemon, "list-commands").split("\n").slice(1);
      const names = listed.map((line) => line.trim().split(" ")[0]!).filter((name) => name !== "");
      t.same(saidCommands(...pages), names.sort(), daemon);
    }
  } finally {
    await world.close();
  }
});

t.test("help and man", async (t) => {
  const names = ovsbox("man", "--list").trim().split("\n");
  t.ok(names.includes("ovs-vsctl.8"));
  t.same(
    names,
    readdirSync(join(root, "man"))
      .filter((file) => /\.\d\.md$/.test(file))
      .map((file) => file.slice(0, -3))
      .sort(),
  );
  for (const name of names) {
    const page = name.replace(/\.\d$/, "");
    t.match(ovsbox("help", page), new RegExp(`^NAME\n    ${page} - `), page);
  }
  t.equal(ovsbox("help", "vsctl"), ovsbox("help", "ovs-vsctl"), "without ovs-");
  for (const words of [["help", "nothing"], ["man", "nothing"], ["man"], ["man", "a", "b"]]) {
    const run = spawnSync(join(BIN, "ovsbox"), words, { encoding: "utf8" });
    t.match(run, { status: 1, stdout: "", stderr: /^ovsbox (help|man): .*\n$/ }, words.join(" "));
  }
});

t.test("man's own programs have nothing to complain of", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "ovsbox-man-"));
  try {
    ovsbox("man", `--output=${folder}`);
    const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) =>
      /\.\d$/.test(file),
    );
    t.equal(files.length, ovsbox("man", "--list").trim().split("\n").length);
    const mandoc = peer("mandoc");
    for (const [name, command] of [
      ["groff", has("groff") ? ["groff", "-man", "-Tutf8", "-ww", "-z"] : undefined],
      // Pages have no date, so that a build is the same whenever it is made.
      ["mandoc", mandoc === undefined ? undefined : [mandoc, "-Tlint", "-Wwarning"]],
    ] as const)
      t.test(name, { skip: command === undefined && `no ${name}` }, async (t) => {
        for (const file of files) {
          const run = spawnSync(command![0]!, [...command!.slice(1), join(folder, file)], {
            encoding: "utf8",
          });
          const lines = (run.stdout + run.stderr).split("\n");
          t.same(
            lines.filter((line) => line !== "" && !line.includes("missing date")),
            [],
            file,
          );
        }
      });
  } finally {
    t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  }
});

interface Example {
  /** Behind "sh": "", "stops" or "elsewhere FILE". */
  readonly how: string;
  readonly text: string;
}

/** The blocks of a text that are command lines. */
function examples(source: string): Example[] {
  const found: Example[] = [];
  for (const [, how, text] of source.matchAll(/(?<=^|\n)```sh([^\n]*)\n(.*?\n)```(?=\n|$)/gs))
    found.push({ how: how!.trim(), text: text! });
  return found;
}

/** What a page may ask for in its comment "setup". */
const PREPARE = `
set -euo pipefail
switch() { ovsbox up --detach --no-chdir --log-file -vconsole:off; }
device() {
  ip link add "$1" type veth peer name "$1-peer"
  ip link set "$1" up
  ip link set "$1-peer" up
}
ovsdb_vtep() {
  ovsbox --schema vtep >vtep.ovsschema
  ovsdb-tool create vtep.db vtep.ovsschema
  ovsdb-server --detach --no-chdir --pidfile -vconsole:off --log-file --remote=punix:$OVS_RUNDIR/db.sock vtep.db
}
`;

/** At most so many blocks may be left to other tests. */
const ELSEWHERE = 6;

const sources = [
  ...readdirSync(join(root, "man"))
    .filter((file) => /\.\d\.md$/.test(file))
    .map((file) => `man/${file}`),
  "README.md",
];

t.test("examples that other tests run", async (t) => {
  let count = 0;
  for (const source of sources) {
    for (const { how, text } of examples(readFileSync(join(root, source), "utf8"))) {
      t.match(how, /^(|stops|elsewhere \S+)$/, `${source}: ${how}`);
      const [, file] = /^elsewhere (\S+)$/.exec(how) ?? [];
      if (file === undefined) continue;
      count++;
      t.ok(existsSync(join(root, file)), `${source}: ${file}`);
      const test = readFileSync(join(root, file), "utf8");
      for (const line of text.trim().split("\n")) {
        const program = basename(line.trim().split(" ")[0]!).replace(
          /^ovsbox$/,
          line.trim().split(" ")[1] ?? "",
        );
        t.ok(test.includes(program), `${file} runs ${program}`);
      }
    }
  }
  t.ok(count <= ELSEWHERE, `${count} blocks do not run here`);
});

for (const source of sources) {
  const text = readFileSync(join(root, source), "utf8");
  const runnable = examples(text).filter(({ how }) => !how.startsWith("elsewhere"));
  if (runnable.length === 0) continue;
  t.test(`examples of ${source}`, { skip: cannotRun("bash") }, async (t) => {
    const world = new World();
    try {
      const work = source === "README.md" ? root : join(world.dir, "work");
      mkdirSync(work, { recursive: true });
      const bash = (script: string, ...before: string[]): ReturnType<World["tryInside"]> =>
        world.tryInside("sw", ...before, "bash", "-c", `cd ${work}; ${script}`);
      const [, setup = ""] = /<!-- setup\n(.*?)-->/s.exec(text) ?? [];
      const ready = bash(`${PREPARE}\n${setup}`);
      if (ready.status !== 0) t.fail("setup", ready);
      for (const { how, text } of runnable) {
        const run =
          how === "stops" ? bash(text, "timeout", "--signal=TERM", "2") : bash(`set -euo pipefail\n${text}`);
        // timeout(1) says 124 when it had to stop it.
        if (run.status === (how === "stops" ? 124 : 0)) t.pass(text);
        else t.fail(text, run);
      }
    } finally {
      world.try("sh", "-c", `ip netns pids ${world.netns} | xargs -r kill -9`);
      await world.close();
    }
  });
}
