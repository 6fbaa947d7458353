/** `dpctl/*` about connections, of a datapath made by hand. */
import t from "tap";
import type { CtEntry, CtLimit, CtTuple, DpConntrack } from "../../src/datapath/conntrack.ts";
import { Fatal, osError } from "../../src/lib/errors.ts";
import { dpctlConntrackCommands } from "../../src/vswitch/dpctl-conntrack.ts";

const address = (last: number) => Uint8Array.of(10, 0, 0, last);
function entry(over: Partial<CtEntry> & { proto?: number; tpSrc?: number }): CtEntry {
  const { proto = 17, tpSrc = 1, ...rest } = over;
  return {
    orig: { src: address(1), dst: address(2), proto, tpSrc, tpDst: 53 },
    reply: { src: address(2), dst: address(1), proto, tpSrc: 53, tpDst: tpSrc },
    parent: undefined,
    id: 1,
    zone: 0,
    status: 0,
    timeoutSec: 3,
    mark: 0,
    labels: 0n,
    countersOrig: { packets: 0, bytes: 0 },
    countersReply: { packets: 0, bytes: 0 },
    startNs: 0n,
    stopNs: 0n,
    protoinfo: undefined,
    helper: "",
    ...rest,
  };
}

class FakeConntrack implements DpConntrack {
  entries: CtEntry[] = [];
  limitsNow: CtLimit[] = [];
  readonly flushed: string[] = [];
  refusal: string | undefined;

  dump(zone: number | undefined): Iterable<CtEntry> {
    return this.entries.filter((each) => zone === undefined || each.zone === zone);
  }
  flush(zone: number | undefined, orig: CtTuple | undefined): void {
    if (this.refusal !== undefined) throw osError(this.refusal);
    this.flushed.push(`${zone ?? "-"} ${orig === undefined ? "all" : `${orig.src.join(".")} ${orig.tpSrc}`}`);
  }
  limits(zones: readonly number[]): CtLimit[] {
    return this.limitsNow.filter(({ zone }) => zones.length === 0 || zone === -1 || zones.includes(zone));
  }
  setLimits(limits: readonly Omit<CtLimit, "count">[]): void {
    for (const limit of limits) this.limitsNow.push({ ...limit, count: 0 });
  }
  removeLimits(zones: readonly number[]): void {
    this.limitsNow = this.limitsNow.filter(({ zone }) => !zones.includes(zone));
  }
}

function bench(names: readonly string[] = ["dp0"], tracks = true) {
  const conntrack = new FakeConntrack();
  const commands = dpctlConntrackCommands({
    exists: (name) => names.includes(name),
    find: (name) => {
      if (name === undefined && names.length !== 1)
        throw new Fatal("ovs-vswitchd: multiple datapaths, specify one");
      return tracks ? conntrack : undefined;
    },
    breathe: async () => {},
  });
  const run = async (line: string): Promise<string> => {
    const [name, ...args] = line.split(" ");
    const command = commands.find(([each]) => each === `dpctl/${name}`);
    try {
      return await command![4](args);
    } catch (error) {
      if (!(error instanceof Fatal)) throw error;
      return `! ${error.message.replace("ovs-vswitchd: ", "")}`;
    }
  };
  return { conntrack, run };
}

t.test("connections", async (t) => {
  const { conntrack, run } = bench();
  conntrack.entries = [entry({}), entry({ zone: 5, proto: 47 }), entry({ zone: 5, mark: 1 })];
  const lines = async (line: string) => (await run(line)).split("\n").length - 1;
  t.equal(await lines("dump-conntrack"), 3);
  t.equal(await lines("dump-conntrack dp0"), 3);
  t.equal(await lines("dump-conntrack dp0 zone=5"), 2);
  t.match(await run("dump-conntrack -m -s zone=5"), /^47,.*,id=1,zone=5,status=0,timeout=3\n/);
  t.equal(await run("dump-conntrack dp1"), "! datapath not found (Invalid argument)");
  t.equal(await run("ct-stats-show zone=5"), "Connections Stats:\n    Total: 2\n  UDP: 1\n  Other: 1\n");
  t.equal(await run("ct-stats-show dp0 zone=5 verbose"), await run("ct-stats-show zone=5"));
  t.equal(await bench(["a", "b"]).run("dump-conntrack"), "! multiple datapaths, specify one");
});

t.test("flushing", async (t) => {
  const { conntrack, run } = bench();
  conntrack.entries = [
    entry({ tpSrc: 1, mark: 1 }),
    entry({ tpSrc: 2, zone: 5, mark: 3, labels: 0x10n }),
    entry({ tpSrc: 3, proto: 6 }),
  ];
  const whole = "ct_nw_src=10.0.0.1,ct_nw_dst=10.0.0.2,ct_nw_proto=17,ct_tp_src=1,ct_tp_dst=53";
  const cases: [string, string[]][] = [
    ["flush-conntrack", ["- all"]],
    ["flush-conntrack dp0 zone=5", ["5 all"]],
    [`flush-conntrack ${whole}`, ["- 10.0.0.1 1"]],
    [`flush-conntrack zone=5 ${whole}`, ["5 10.0.0.1 1"]],
    ["flush-conntrack mark=1/1", ["0 10.0.0.1 1", "5 10.0.0.1 2"]],
    ["flush-conntrack mark=1", ["0 10.0.0.1 1"]],
    ["flush-conntrack mark=5/0", ["- all"]],
    ["flush-conntrack zone=5 mark=1/1 labels=0x10/0xf0", ["5 10.0.0.1 2"]],
    ["flush-conntrack labels=0x20/0xf0", []],
    ["flush-conntrack ct_nw_proto=6", ["0 10.0.0.1 3"]],
    ["flush-conntrack ct_nw_src=10.0.0.9", []],
    ["flush-conntrack ct_nw_proto=17,ct_tp_src=2", ["5 10.0.0.1 2"]],
  ];
  for (const [line, want] of cases) {
    t.equal(await run(line), "", line);
    t.strictSame(conntrack.flushed.splice(0), want, line);
  }
  t.equal(await run("flush-conntrack zone=x"), "! failed to parse zone (Invalid argument)");
  t.equal(await run("flush-conntrack ct_tp_src=1"), "! port is set without protocol (Invalid argument)");
  conntrack.refusal = "ENOENT";
  t.equal(await run(`flush-conntrack ${whole}`), "! failed to flush conntrack (No such file or directory)");
});

t.test("limits", async (t) => {
  const { run } = bench();
  t.equal(await run("ct-set-limits default=10 zone=5,limit=3"), "");
  t.equal(await run("ct-get-limits"), "default limit=10\nzone=5,limit=3,count=0\n");
  t.equal(await run("ct-get-limits dp0 zone=6"), "default limit=10\n");
  t.equal(await run("ct-del-limits default zone=5"), "");
  t.equal(await run("ct-get-limits"), "default limit=0\n");
  for (const [line, want] of [
    ["ct-set-limits dp0", "too few arguments"],
    ["ct-set-limits default=x", "invalid default limit"],
    ["ct-set-limits zone=5", "failed to parse zone limit"],
    ["ct-set-limits zone=70000,limit=1", "failed to parse field zone"],
    ["ct-set-limits zone=5,limit=", "field limit missing value"],
    ["ct-set-limits zone=5,x=1", "invalid zone limit field: x"],
    ["ct-del-limits x", "invalid argument x"],
    ["ct-get-limits zone=x", "invalid zone"],
  ])
    t.equal(await run(line!), `! ${want} (Invalid argument)`, line);
});

t.test("what a datapath does not have", async (t) => {
  const { run } = bench();
  for (const [line, want] of [
    ["ct-set-maxconns 5", "ct set maxconns failed (Operation not supported)"],
    ["ct-set-maxconns x", "maxconns missing or malformed (Invalid argument)"],
    ["ct-enable-tcp-seq-chk dp0", "enabling TCP sequence checking failed (Operation not supported)"],
    ["ct-set-sweep-interval 0", "invalid sweep value (Invalid argument)"],
    ["ipf-set-enabled v5", "parameter missing: 'v4' for IPv4 or 'v6' for IPv6 (Invalid argument)"],
    ["ipf-set-min-frag dp0 v4 x", "parameter missing for minimum fragment size (Invalid argument)"],
    ["dump-conntrack-exp zone=5", "starting conntrack expectations dump (Operation not supported)"],
  ])
    t.equal(await run(line!), `! ${want}`, line);
  t.equal(await run("ct-bkts gt=5"), "Command is available for UserSpace ConnTracker only.\n");
  const none = bench(["dp0"], false).run;
  t.equal(await none("dump-conntrack"), "! starting conntrack dump (Operation not supported)");
  t.equal(await none("flush-conntrack"), "! failed to flush conntrack (Operation not supported)");
  t.equal(await none("ct-get-limits"), "! failed to get conntrack limit (Operation not supported)");
});
