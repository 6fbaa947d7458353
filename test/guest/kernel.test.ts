/** openvswitch.ko in a guest: the contract of Dpif. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import t from "tap";
import { cannotBoot, runGuest } from "./guest.ts";

const root = resolve(import.meta.dirname, "../..");

/** A program of this folder with all that it imports, for the executable as plain Bun. */
function bundle(folder: string, name: string): Uint8Array {
  const run = spawnSync(
    join(root, "node_modules/.bin/bun"),
    ["build", "--target=bun", `--outdir=${folder}`, join(import.meta.dirname, `${name}.ts`)],
    { encoding: "utf8" },
  );
  if (run.status !== 0) throw new Error(run.stderr);
  return readFileSync(join(folder, `${name}.js`));
}

t.test("the contract", { skip: cannotBoot() }, async (t) => {
  const { output, status } = await runGuest({
    modules: ["openvswitch", "tun"],
    files: [{ name: "contract.js", bytes: bundle(t.testdir(), "contract-main") }],
    script: `
      for f in all default; do echo 1 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done
      export BUN_BE_BUN=1
      ovsbox run /contract.js
    `,
  });
  t.equal(status, 0, "the guest came to its end", { output });
  for (const [, not, what] of output.matchAll(/^(not )?ok - (.*)$/gm)) t.notOk(not, what);
});
