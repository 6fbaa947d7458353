/** mod-port and mod-table. */
import { Fatal } from "../../src/lib/errors.ts";
import type { TableMod } from "../../src/openflow/messages.ts";
import { parseUint } from "../../src/openflow/ports.ts";
import { fetchPorts, inputNames, Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

const ACTIONS: Readonly<Record<string, readonly [bit: number, on: boolean]>> = {
  up: [1, false],
  down: [1, true],
  stp: [2, false],
  receive: [4, false],
  "receive-stp": [8, false],
  flood: [16, false],
  forward: [32, false],
  "packet-in": [64, false],
};

export async function modPort(o: Ofctl, [name, port, action]: string[]): Promise<void> {
  // The hyphen may be left out.
  const [, no, key] = /^(no-?)?(.*)$/s.exec(action!.toLowerCase()) as unknown as [string, string?, string?];
  const negated = no !== undefined;
  const found = ACTIONS[key!];
  if (found === undefined || (negated && found[0] === 1))
    throw new Fatal(`unknown mod-port command '${action}'`);
  const session = await Session.open(o, name!);
  const ports = await fetchPorts(session);
  const number = parseUint(port!);
  const target =
    ports.find((p) => p.name === port) ??
    ports.find((p) => p.port === (port!.toUpperCase() === "LOCAL" ? 0xfffe : number));
  if (target === undefined) throw new Fatal(`${name}: couldn't find port \`${port}'`);
  const [bit, on] = found;
  const config = on || negated ? bit : 0;
  await session.noReply({
    type: "port-mod",
    port: target.port,
    hwAddr: target.hwAddr,
    hwAddr64: undefined,
    config,
    mask: bit,
    advertise: 0,
  });
  session.close();
}

const MISS: Readonly<Record<string, number>> = { controller: 0, continue: 1, drop: 2 };

/** "vacancy:DOWN,UP", each a percentage. */
function setVacancy(m: TableMod, setting: string): void {
  const [down, up] = setting.slice("vacancy:".length).split(",");
  const percent = (text: string | undefined, which: string): number => {
    if (text === undefined || text === "") throw new Fatal(`Vacancy ${which} value missing`);
    const value = parseUint(text);
    if (value === undefined || value > 100) throw new Fatal(`Invalid vacancy ${which} value "${text}"`);
    return value;
  };
  m.vacancy = true;
  m.vacancyDown = percent(down, "down");
  m.vacancyUp = percent(up, "up");
  if (m.vacancyUp < m.vacancyDown) {
    throw new Fatal(
      "Invalid vacancy range, vacancy up should be greater than vacancy down (OFPBPC_BAD_VALUE)",
    );
  }
}

export async function modTable(o: Ofctl, [name, tableText, setting]: string[]): Promise<void> {
  const names = await inputNames(o, name!);
  const table =
    tableText!.toLowerCase() === "all" ? 255 : (parseUint(tableText!) ?? names?.tables.numberOf(tableText!));
  if (table === undefined || table > 255) throw new Fatal(`unknown table "${tableText}"`);
  const m: TableMod = {
    type: "table-mod",
    table,
    miss: -1,
    eviction: undefined,
    evictionFlags: 0xffffffff,
    vacancy: undefined,
    vacancyDown: 0,
    vacancyUp: 0,
  };
  const miss = MISS[setting!];
  let wanted: number;
  if (miss !== undefined) {
    m.miss = miss;
    wanted = (1 << 2) | (1 << 3);
  } else {
    wanted = (1 << 5) | (1 << 6);
    if (setting === "evict") m.eviction = true;
    else if (setting === "noevict") m.eviction = false;
    else if (setting === "novacancy") m.vacancy = false;
    else if (setting!.startsWith("vacancy")) setVacancy(m, setting!);
    else throw new Fatal(`invalid table_mod setting ${setting}`);
  }
  if ((o.settings.versions & wanted) === 0) {
    const list = wanted & 4 ? "OpenFlow11, OpenFlow12" : "OpenFlow14, OpenFlow15";
    throw new Fatal(`table_mod '${setting}' requires one of the OpenFlow versions ${list}`);
  }
  const session = await Session.open(o, name!, "mgmt", o.settings.versions & wanted);
  if (session.version >= 5) {
    const reply = await session.ask({ type: "table-desc-request" }, "table-desc-reply");
    const old = reply.tables.find((t) => t.table === table);
    m.eviction ??= old?.eviction ?? false;
    if (m.vacancy === undefined) {
      m.vacancy = old?.vacancy ?? false;
      m.vacancyDown = old?.vacancyDown ?? 0;
      m.vacancyUp = old?.vacancyUp ?? 0;
    }
  }
  await session.noReply(m);
  session.close();
}
