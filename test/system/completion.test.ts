/** Completions: what `ovsbox --complete` answers with live names, and what bash makes of it. */
import { spawnSync } from "node:child_process";
import t from "tap";
import { cannotRun, World } from "./world.ts";

const CASES: { line: string; has?: string[]; lacks?: string[]; exactly?: string[] }[] = [
  { line: "ovs-vsctl ", has: ["add-br", "set", "emer-reset"], lacks: ["--timeout="] },
  { line: "ovs-vsctl --", has: ["--db=", "--no-wait", "--may-exist", "--timeout="], lacks: ["add-br"] },
  { line: "ovs-vsctl del-br ", exactly: ["br0", "br1"] },
  { line: "ovs-vsctl --if-exists del-br br1 -- list-ports ", exactly: ["br0", "br1"] },
  { line: "ovs-vsctl add-port br0 ", has: ["spare"], lacks: ["p0"] },
  { line: "ovs-vsctl del-port br0 ", has: ["p0"], lacks: ["spare"] },
  { line: "ovs-vsctl set ", has: ["Bridge", "Flow_Sample_Collector_Set"] },
  { line: "ovs-vsctl set interface ", has: ["p0", "br0"] },
  { line: "ovs-vsctl set interface p0 ", has: ["type=", "options="], lacks: ["fail_mode="] },
  { line: "ovs-vsctl -t ", exactly: [":files"] },
  { line: "ovs-ofctl dump-", has: ["dump-flows", "dump-groups"] },
  { line: "ovs-ofctl -O OpenFlow13 dump-flows ", exactly: ["br0", "br1"] },
  { line: "ovs-ofctl add-flows br0 ", exactly: [":files"] },
  { line: "ovs-appctl -t ", has: ["ovs-vswitchd", "ovsdb-server"] },
  { line: "ovs-appctl ", has: ["fdb/show", "ofproto/trace"] },
  { line: "ovs-appctl -t ovsdb-server ", has: ["ovsdb-server/compact"], lacks: ["fdb/show"] },
  { line: "ovs-appctl fdb/show ", exactly: ["br0", "br1"] },
  { line: "ovsbox ", has: ["up", "ovs-vsctl"] },
  { line: "ovsbox help ", has: ["ovs-vsctl", "ovs-fields"], lacks: ["up"] },
  { line: "ovs-pki ", has: ["init", "req+sign"] },
  { line: "ovsbox vsctl del-br ", exactly: ["br0", "br1"] },
  { line: "ovs-ctl ", has: ["start", "restart"] },
];

const DRIVER = `
source <(ovsbox completion bash) 2>/dev/null
COMP_LINE=$1; COMP_POINT=\${#1}; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compopt() { :; }
_ovsbox
printf '%s\\n' "\${COMPREPLY[@]}"
`;

/** As bash cuts the line, at "=" and ":" too. */
const BASH: { words: string[]; line: string; exactly: string[] }[] = [
  { line: "ovs-vsctl list-p", words: ["ovs-vsctl", "list-p"], exactly: ["list-ports"] },
  {
    line: "ovs-vsctl set interface p0 mtu_",
    words: ["ovs-vsctl", "set", "interface", "p0", "mtu_"],
    exactly: ["mtu_request="],
  },
  { line: "ovs-vsctl list-ports ", words: ["ovs-vsctl", "list-ports", ""], exactly: ["br0", "br1"] },
];

t.test("words that may follow", { skip: cannotRun("bash") }, async (t) => {
  const world = new World();
  try {
    world.startDatabase();
    world.startSwitch();
    for (const bridge of ["br0", "br1"])
      world.vsctl("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev");
    world.vsctl("add-port", "br0", "p0", "--", "set", "interface", "p0", "type=internal");
    world.inside("sw", "ip", "link", "add", "spare", "type", "veth", "peer", "name", "spare1");
    for (const { line, has = [], lacks = [], exactly } of CASES) {
      const words = line.split(" ");
      const out = world.inside("sw", "ovsbox", "--complete", String(words.length - 1), ...words);
      const found = out.split("\n").filter((word) => word !== "");
      if (exactly !== undefined) t.strictSame(found.sort(), exactly, line);
      for (const word of has) t.ok(found.includes(word), `${line}: ${word}`);
      for (const word of lacks) t.notOk(found.includes(word), `${line}: not ${word}`);
    }
    for (const { line, words, exactly } of BASH) {
      const run = world.tryInside("sw", "bash", "-c", DRIVER, "bash", line, ...words);
      t.strictSame(run.stdout.trim().split("\n").sort(), exactly, `bash: ${line}${run.stderr}`);
    }
    t.match(world.tryInside("sw", "ovsbox", "completion", "csh"), {
      status: 1,
      stderr: /^ovsbox completion: unknown shell "csh"/,
    });
    for (const shell of ["zsh", "fish"]) {
      const script = world.inside("sw", "ovsbox", "completion", shell);
      t.match(script, /ovs-vsctl/, shell);
      if (spawnSync("sh", ["-c", `command -v ${shell}`]).status === 0)
        t.equal(world.tryInside("sw", shell, "-n", "-c", script).status, 0, `${shell} reads it`);
    }
  } finally {
    await world.close();
  }
});
