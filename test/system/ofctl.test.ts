/** The executable ovs-ofctl: what it prints, by itself and of a switch of dummy devices. What is expected is the original's. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BIN } from "./bin.ts";

const OFCTL = join(BIN, "ovs-ofctl");
const skip = existsSync(OFCTL) ? false : `no executable in ${BIN} (scripts/build)`;
const folder = mkdtempSync(join(tmpdir(), `ovsbox-ofctl-${process.pid}-`));
t.teardown(() => rmSync(folder, { recursive: true, force: true }));

function ofctl(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const done = spawnSync(OFCTL, args, { cwd: folder, encoding: "utf8", timeout: 20_000 });
  return { status: done.status, stdout: done.stdout, stderr: done.stderr };
}

/** Writes lines to files and compares them. */
function diff(first: readonly string[], second: readonly string[]): string {
  for (const [name, lines] of Object.entries({ first, second })) {
    writeFileSync(join(folder, name), lines.map((line) => `${line}\n`).join(""));
  }
  return ofctl("diff-flows", "./first", "./second").stdout;
}

t.test("diff-flows keeps masks of tun_metadata that are narrower than the option", { skip }, async (t) => {
  t.equal(
    diff(
      [
        "priority=1,tun_metadata1=0xef/0xff,tun_metadata0=0xabcd,actions=drop",
        "priority=2,tun_metadata0=0x12/0xffffffff,tun_metadata3=0x12345/0xfffff,actions=drop",
        "priority=4,tun_metadata1=0xef,actions=drop",
        "priority=5,tun_metadata5=0x0/0xff,actions=drop",
        "priority=6,tun_metadata6,actions=drop",
        "priority=8,tun_metadata7=0xffff/0xffff,actions=drop",
      ],
      [
        "priority=1,tun_metadata1=0x112233445566/0xffffffffffffff,actions=drop",
        "priority=8,tun_metadata7=0xffff,actions=drop",
      ],
    ),
    `-priority=8,tun_metadata7=0xffff/0xffff actions=drop
+priority=8,tun_metadata7=0xffff actions=drop
-priority=6,tun_metadata6 actions=drop
-priority=5,tun_metadata5=0/0xff actions=drop
-priority=4,tun_metadata1=0xef actions=drop
-priority=2,tun_metadata0=0x12,tun_metadata3=0x12345/0xfffff actions=drop
-priority=1,tun_metadata0=0xabcd,tun_metadata1=0xef/0xff actions=drop
+priority=1,tun_metadata1=0x112233445566/0xffffffffffffff actions=drop
`,
  );
});

t.test("diff-flows goes by table, then by masks in order of priority", { skip }, async (t) => {
  t.equal(
    diff(
      [
        "table=2,priority=3,ip,nw_dst=10.5.0.0/16,actions=drop",
        "table=1,priority=9,ip,nw_dst=10.0.0.0/16,actions=drop",
        "table=1,priority=8,ip,nw_dst=10.7.0.0/16,actions=drop",
        "table=1,priority=0,in_port=2,actions=drop",
        "table=1,priority=6,actions=drop",
      ],
      [
        "table=1,priority=1,actions=drop",
        "table=2,priority=6,ip,nw_dst=10.8.0.0/16,actions=drop",
        "table=1,priority=5,actions=drop",
        "table=1,priority=9,ip,nw_dst=10.0.0.3,actions=drop",
      ],
    ),
    `-table=1 priority=9,ip,nw_dst=10.0.0.0/16 actions=drop
-table=1 priority=8,ip,nw_dst=10.7.0.0/16 actions=drop
+table=1 priority=9,ip,nw_dst=10.0.0.3 actions=drop
-table=1 priority=6 actions=drop
+table=1 priority=1 actions=drop
+table=1 priority=5 actions=drop
-table=1 priority=0,in_port=2 actions=drop
-table=2 priority=3,ip,nw_dst=10.5.0.0/16 actions=drop
+table=2 priority=6,ip,nw_dst=10.8.0.0/16 actions=drop
`,
  );
});

t.test("--color", { skip }, async (t) => {
  const flow = ["parse-flow", "tcp,actions=drop"];
  const painted = "ADD \x1b[32m\x1b[Ktcp\x1b[m\x1b[K actions=\x1b[34m\x1b[Kdrop\x1b[m\x1b[K\n";
  for (const when of ["always", "yes", "force"]) t.match(ofctl(`--color=${when}`, ...flow).stdout, painted);
  for (const when of ["=never", "=no", "=none", "", "=auto", "=tty", "=if-tty"])
    t.match(ofctl(`--color${when}`, ...flow).stdout, "ADD tcp actions=drop\n", `${when}: no terminal`);
  for (const when of ["bad", "ALWAYS", ""]) {
    const { status, stderr } = ofctl(`--color=${when}`, ...flow);
    t.equal(stderr, `ovs-ofctl: incorrect value \`${when}' for --color\n`);
    t.equal(status, 1);
  }
  t.notMatch(ofctl("--color=always", "--format=json", ...flow).stdout, "\x1b");
});
