/** The tree keeps its own rules: it type-checks, lints, and its imports point one way (the design's three rules). */
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Folder → the folders of src it may import besides itself. `sys` is open to all by type only, and itself sees only the
 * types of `lib` that it implements.
 */
const MAY_IMPORT: Record<string, string[]> = {
  sys: [],
  lib: [],
  ovsdb: ["lib"],
  flow: ["lib"],
  openflow: ["flow", "lib"],
  netdev: ["flow", "lib"],
  protocols: ["flow", "lib"],
  datapath: ["netdev", "protocols", "flow", "lib"],
  ofproto: ["openflow", "datapath", "netdev", "protocols", "flow", "lib"],
  export: ["ofproto", "openflow", "datapath", "netdev", "protocols", "flow", "lib"],
  vswitch: ["export", "ofproto", "openflow", "datapath", "netdev", "protocols", "flow", "ovsdb", "lib"],
  web: ["ovsdb", "openflow", "export", "lib"],
};

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(folder, name));
}

interface Import {
  file: string;
  /** Relative to the root. */
  target: string;
  typeOnly: boolean;
}

function imports(file: string): Import[] {
  const text = readFileSync(join(root, file), "utf8");
  const found: Import[] = [];
  for (const m of text.matchAll(
    /^\s*(import|export)\s+(type\s+)?(?:[^"'`;]*?\sfrom\s+)?["'](\.[^"']+)["']/gm,
  )) {
    const braces = /\{([^}]*)\}/.exec(m[0]);
    const allTypes =
      braces?.[1] !== undefined &&
      !/^\s*import\s+\w+\s*,/.test(m[0]) &&
      braces[1].split(",").every((part) => part.trim() === "" || part.trim().startsWith("type "));
    found.push({
      file,
      target: relative(root, resolve(root, dirname(file), m[3]!)),
      typeOnly: m[2] !== undefined || allTypes,
    });
  }
  for (const m of text.matchAll(/\bimport\(\s*["'](\.[^"']+)["']\s*\)/g)) {
    found.push({
      file,
      target: relative(root, resolve(root, dirname(file), m[1]!)),
      typeOnly: /:\s*typeof\s+$/.test(text.slice(0, m.index)),
    });
  }
  return found;
}

t.test("imports point one way", async (t) => {
  const wrong: string[] = [];
  for (const file of sources("src")) {
    const folder = file.split("/")[1]!;
    const allowed = MAY_IMPORT[folder];
    if (allowed === undefined) wrong.push(`${file}: src/${folder} is not a folder of the design`);
    for (const i of imports(file)) {
      const [top, target] = i.target.split("/");
      if (top !== "src") wrong.push(`${file} imports ${i.target}`);
      else if (target === folder) continue;
      else if (target === "sys" ? !i.typeOnly : !(allowed?.includes(target!) ?? false)) {
        // A contract may name a neighbour's type where values flow only downward.
        if (i.typeOnly && i.target === "src/datapath/packet.ts") continue;
        if (i.typeOnly && folder === "sys" && target === "lib") continue;
        wrong.push(`${file} imports ${i.target}${target === "sys" ? " by value" : ""}`);
      }
    }
  }
  t.strictSame(wrong, []);
});

t.test("only src/sys and commands touch bun:*", async (t) => {
  const wrong = sources("src")
    .filter((file) => !file.startsWith("src/sys/"))
    .filter((file) => /from\s+["']bun(:|["'])/.test(readFileSync(join(root, file), "utf8")));
  t.strictSame(wrong, []);
});

for (const [name, command, args] of [
  ["types", "tsc", ["-p", "."]],
  ["types of the page", "tsc", ["-p", "src/web/page"]],
  ["lint and format", "biome", ["check", "."]],
] as const) {
  t.test(name, async (t) => {
    const run = spawnSync(join(root, "node_modules/.bin", command), [...args], {
      cwd: root,
      encoding: "utf8",
    });
    t.equal(run.status, 0, `${command} ${args.join(" ")}`, {
      diagnostic: true,
      out: (run.stdout + run.stderr).slice(0, 4000),
    });
  });
}
