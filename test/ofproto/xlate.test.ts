/** Translation against the answers of the original: data/traces.txt. */
import { readFileSync } from "node:fs";
import t from "tap";
import { parseGroup } from "../../src/openflow/text/group-parse.ts";
import { SimSwitch } from "../sim/switch.ts";

interface Trace {
  args: string[];
  want: string[];
}
interface Section {
  name: string;
  flows: string[];
  groups: string[];
  without: string[];
  traces: Trace[];
}

function readSections(): Section[] {
  const sections: Section[] = [];
  for (const line of readFileSync(new URL("data/traces.txt", import.meta.url), "utf8").split("\n")) {
    const section = sections.at(-1);
    const [, word, rest] = /^(==|flow|group|without|trace) (.*)$/.exec(line) ?? [];
    if (word === "==") sections.push({ name: rest!, flows: [], groups: [], without: [], traces: [] });
    else if (word === "flow") section!.flows.push(rest!);
    else if (word === "group") section!.groups.push(rest!);
    else if (word === "without") section!.without.push(rest!);
    else if (word === "trace") section!.traces.push({ args: rest!.split(" "), want: [] });
    else if (line !== "" && !line.startsWith("#")) section!.traces.at(-1)!.want.push(line);
  }
  return sections;
}

/** Recirculation ids in the order that they appear in: which numbers they are is nobody's business. */
function renumber(ids: Map<string, number>, line: string): string {
  return line.replaceAll(/(recirc(?:_id)?[=(])(0x[0-9a-f]+|[1-9]\d*)/g, (_, before: string, id: string) => {
    const number = Number(id);
    if (!ids.has(String(number))) ids.set(String(number), ids.size + 1);
    return `${before}#${ids.get(String(number))}`;
  });
}

for (const { name, flows, groups, without, traces } of readSections()) {
  t.test(name, async (t) => {
    const sim = new SimSwitch();
    await sim.warp(1000);
    const br0 = await sim.addBridge("br0");
    br0.setFailMode("secure");
    for (const port of ["p1", "p2", "p3", "p4"]) await sim.addPort("br0", port);
    for (const group of groups) br0.groups.apply(parseGroup(group, 0, {}).gm);
    for (const flow of flows) sim.flowMod("br0", flow.replace(/,actions=/, " actions="));
    for (const feature of without) await sim.appctl("dpif/set-dp-features", "br0", feature, "false");
    for (const { args, want } of traces) {
      const got = (await sim.appctl("ofproto/trace", "br0", ...args)).split("\n");
      const telling = got.filter((line) => /^(Megaflow|Datapath actions|Translation| {2}- Uses)/.test(line));
      const ids = new Map<string, number>();
      const wantIds = new Map<string, number>();
      t.same(
        telling.map((line) => renumber(ids, line)),
        want.map((line) => renumber(wantIds, line)),
        args.join(" "),
      );
    }
    await sim.close();
  });
}
