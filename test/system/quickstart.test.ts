/** The README's first command, as a newcomer would run it (under another name, so that it leaves a user's own try alone). */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import t from "tap";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const name = `q${process.pid}`;
const env = { ...process.env, OVSBOX_QUICKSTART_NAME: name, OVSBOX_PREBUILT: "1" };
const quickstart = (...args: string[]) =>
  spawnSync(join(root, "scripts/quickstart"), args, { env, encoding: "utf8", timeout: 120_000 });

t.test(
  "quickstart forwards, shows, and cleans up",
  { skip: process.getuid?.() !== 0 && "not root" },
  async (t) => {
    t.teardown(() => quickstart("--clean"));
    const run = quickstart();
    t.equal(run.status, 0, "exit status", { stdout: run.stdout, stderr: run.stderr });
    t.match(run.stdout, /3 packets transmitted, 3 received, 0% packet loss/, "pings cross");
    t.match(run.stdout, new RegExp(`Bridge br-${name}\\n`), "ovs-vsctl show");
    t.match(run.stdout, /priority=0 actions=NORMAL/, "flows");
    t.match(
      run.stdout,
      / port {2}VLAN {2}MAC {16}Age\n( +\d+ +0 +([0-9a-f]{2}:){5}[0-9a-f]{2} +\d+\n){2}/,
      "learned MACs",
    );
    t.match(run.stdout, /scripts\/quickstart --clean/, "what to do next");

    const clean = quickstart("--clean");
    t.equal(clean.status, 0);
    t.notOk(existsSync(`/run/ovsbox-${name}`), "its folder is gone");
    const links =
      spawnSync("ip", ["-o", "link"], { encoding: "utf8" }).stdout +
      spawnSync("ip", ["netns"], { encoding: "utf8" }).stdout;
    t.notMatch(links, new RegExp(name), "its devices and namespaces are gone");
    const left = readdirSync("/proc")
      .filter((pid) => /^\d+$/.test(pid))
      .filter((pid) => {
        try {
          return spawnSync("cat", [`/proc/${pid}/environ`], { encoding: "latin1" }).stdout.includes(
            `/run/ovsbox-${name}`,
          );
        } catch {
          return false;
        }
      });
    t.strictSame(
      left.map(Number).filter((pid) => pid !== process.pid),
      [],
      "its processes are gone",
    );
  },
);
