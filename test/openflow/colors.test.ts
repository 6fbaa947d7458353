/** Flows in color, as the original prints them with --color=always. */
import { readFileSync } from "node:fs";
import t from "tap";
import { encode, type Message } from "../../src/openflow/index.ts";
import { paintActions, paintMatch, paintWith } from "../../src/openflow/text/colors.ts";
import { printMessage } from "../../src/openflow/text/print.ts";
import { examples } from "./examples.ts";

const paint = paintWith(undefined);

/** Escapes as the file has them. */
const shown = (text: string): string =>
  text.replace(/\x1b\[([0-9;]*)m\x1b\[K/g, (_escape, code: string) => (code === "" ? "}" : `{${code}}`));

t.test("matches and actions", async (t) => {
  const lines = readFileSync(new URL("data/colors.txt", import.meta.url), "utf8").split("\n");
  for (const line of lines.filter((text) => text !== "" && !text.startsWith("#"))) {
    const [plain, want] = line.split(" => ") as [string, string];
    const [, match, actions] = /^(?:(.*) )?actions=(.*)$/.exec(plain)!;
    const painted = match === undefined ? "" : `${paintMatch(match, paint)} `;
    t.equal(shown(`${painted}actions=${paintActions(actions!, paint)}`), want, plain);
  }
});

t.test("names of ports may hold anything", async (t) => {
  t.equal(shown(paintMatch('in_port="a,tcp=b\\",c",ip', paint)), '{36}in_port=}"a,tcp=b\\",c",{32}ip}');
  t.equal(shown(paintActions('output:"a,drop",exit', paint)), '{33}output:}"a,drop",{33}exit}');
});

t.test("flow statistics have colors for all they tell", async (t) => {
  const reply = examples(5).find((m): m is Message & { type: "flow-reply" } => m.type === "flow-reply")!;
  const flows = [{ ...reply.flows[0]!, flags: 1, importance: 5 }];
  t.equal(
    shown(printMessage(encode({ ...reply, flows }, 5, { xid: 7 }), { paint })),
    "OFPST_FLOW reply (OF1.4) (xid=0x7):\n" +
      " {36}cookie=}0x5, {36}duration=}5.006s, {33}table=}3, {36}n_packets=}8, {36}n_bytes=}9, {36}idle_timeout=}1, " +
      "{36}hard_timeout=}2, send_flow_rem {36}importance=}5, {33}priority=}7,{32}tcp},{36}dl_vlan=}5,{36}tp_dst=}80 " +
      "{1;31}actions=}{33}output:}1\n",
  );
});

t.test("OVS_COLORS: what it says well counts", async (t) => {
  const cases: [setting: string, drop: string, lone: string][] = [
    ["", "34", "32"],
    ["dr=35;1:vl=4", "35;1", "4"],
    ["dr=x:vl=9", "34", "9"],
    ["vl=9:bad:dr=7", "7", "9"],
    ["vl=:dr=7:dr=2", "2", ""],
    ["dr=7=8:zz=3:=:", "34", "32"],
    ["vl= 4:VL=5", "34", "32"],
  ];
  for (const [setting, drop, lone] of cases) {
    const by = paintWith(setting);
    t.equal(
      by("dr", "x") + by("vl", "y"),
      `\x1b[${drop}m\x1b[Kx\x1b[m\x1b[K\x1b[${lone}m\x1b[Ky\x1b[m\x1b[K`,
      setting,
    );
  }
});
