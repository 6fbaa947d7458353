/** mod-port and mod-table. */
import { Fatal } from "../../src/lib/errors.ts";
import type { Message, TableMod, Version } from "../../src/openflow/messages.ts";
import { parseUint } from "../../src/openflow/ports.ts";
import { VERSION_NAMES } from "../../src/openflow/protocols.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { fetchPorts, fetchTableNames, fetchTables, nextXid, Session } from "./session.ts";
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
  const names = o.settings.names === false ? undefined : await fetchTableNames(o, name!);
  const table =
    tableText!.toLowerCase() === "all" ? 255 : (parseUint(tableText!) ?? names?.numberOf(tableText!));
  if (table === undefined || table > 255) throw new Fatal(`unknown table "${tableText}"`);
  if (setting!.startsWith("name:") && table !== 255) {
    const session = await openForTableMod(o, name!, setting!, [4, 5, 6]);
    await renameTable(session, table, setting!.slice("name:".length));
    session.close();
    return;
  }
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
  if (miss !== undefined) m.miss = miss;
  else if (setting === "evict") m.eviction = true;
  else if (setting === "noevict") m.eviction = false;
  else if (setting === "novacancy") m.vacancy = false;
  else if (setting!.startsWith("vacancy")) setVacancy(m, setting!);
  else throw new Fatal(`invalid table_mod setting ${setting}`);
  const session = await openForTableMod(o, name!, setting!, miss !== undefined ? [2, 3] : [5, 6]);
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

/** A connection of one of the versions that have `setting`. */
function openForTableMod(
  o: Ofctl,
  name: string,
  setting: string,
  versions: readonly Version[],
): Promise<Session> {
  const wanted = versions.reduce((bits, version) => bits | (1 << version), 0);
  if ((o.settings.versions & wanted) === 0) {
    const list = versions.map((version) => VERSION_NAMES[version]).join(", ");
    throw new Fatal(`table_mod '${setting}' requires one of the OpenFlow versions ${list}`);
  }
  return Session.open(o, name, "mgmt", o.settings.versions & wanted);
}

const OFPTFC_MODIFY = 1;
/** One table's features are some kilobytes, a message has 64. */
const TABLES_A_MESSAGE = 10;

/** Table features are given as they were found, but for the name: of one table in 1.5, of all of them before. */
async function renameTable(session: Session, table: number, name: string): Promise<void> {
  const tables = await fetchTables(session);
  const found = tables.find((each) => each.table === table);
  if (found === undefined) throw new Fatal(`switch does not have table ${table}`);
  const renamed = { ...found, name };
  const wanted =
    session.version >= 6
      ? [{ ...renamed, command: OFPTFC_MODIFY }]
      : tables.map((each) => (each === found ? renamed : each));
  const w = new Writer(65536);
  const xid = nextXid();
  for (let i = 0; i < wanted.length; i += TABLES_A_MESSAGE) {
    const next = i + TABLES_A_MESSAGE;
    const more = next < wanted.length;
    const part: Message = { type: "table-features-request", tables: wanted.slice(i, next) };
    session.queue(w, part, { xid, more });
  }
  await session.barrier(w);
}
