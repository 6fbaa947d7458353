/** Commands that change flows: add-flow(s), mod-flows, del-flows, replace-flows, diff-flows, packet-out. */
import { Fatal } from "../../src/lib/errors.ts";
import { withProgress } from "../../src/lib/progress.ts";
import { parsePlainActions } from "../../src/openflow/actions/registry.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import {
  type FlowMod,
  type FlowStats,
  OFP_NO_BUFFER,
  OFPFC_ADD,
  OFPFC_DELETE,
  OFPFC_DELETE_STRICT,
  OFPFC_MODIFY,
  OFPFC_MODIFY_STRICT,
} from "../../src/openflow/messages.ts";
import { matchInPort } from "../../src/openflow/msg/packet.ts";
import { parsePort } from "../../src/openflow/ports.ts";
import { protocolVersion, versionProtocols } from "../../src/openflow/protocols.ts";
import { actionsText, hexDump, matchText, type PrintOptions } from "../../src/openflow/text/common.ts";
import { emptyFlowMod, type FlowParseOptions } from "../../src/openflow/text/flow-parse.ts";
import { flowsJson, jsonText } from "../../src/openflow/text/json.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { bundleMessages, openForBundle, sendBundle } from "./bundle.ts";
import { parserLog } from "./dumps.ts";
import { encodeFlows, type FlowSource, oneFlow, openFlowFile, parseAll } from "./flow-file.ts";
import { type FlowPair, pairFlows, type SourceFlow } from "./flow-pairs.ts";
import { parsePacketOut } from "./packet-out.ts";
import { packetFromHex } from "./packets.ts";
import {
  encodeInProtocol,
  inputNames,
  openForFlowMods,
  resolveName,
  Session,
  setDumpProtocol,
} from "./session.ts";
import type { Ofctl } from "./settings.ts";

async function parseOptions(o: Ofctl, name: string): Promise<FlowParseOptions> {
  const names = await inputNames(o, name);
  return { ports: names?.ports, tables: names?.tables, log: parserLog };
}

/** So many -m show what is sent. */
const DUMP_VERBOSITY = 5;

/** What a switch that speaks all versions is asked for: the newest version, in its plainest protocol. */
function bestProtocol(protocols: number): number {
  const newest = protocolVersion(1 << (31 - Math.clz32(protocols)));
  const of = protocols & versionProtocols(newest);
  return of & -of;
}

async function sendFlows(o: Ofctl, name: string, source: FlowSource): Promise<void> {
  if (o.settings.bundle) {
    const { flows, usable } = parseAll(source);
    await bundleMessages(o, name, flows, usable);
    return;
  }
  const encoded = encodeFlows(source, o.settings.protocols, bestProtocol);
  const session = await openForFlowMods(o, name, encoded.usable);
  const { bytes } =
    session.protocol === encoded.protocol ? encoded : encodeFlows(source, session.protocol, bestProtocol);
  const work = session.flowMods(bytes, (message) => {
    if (o.settings.verbosity >= DUMP_VERBOSITY) o.platform.stdout(rawText(o, message));
  });
  await withProgress(o.platform, `${name}: ${source.count} flows`, work);
  session.close();
}

/** A message as a hex dump or, with one more -m, as one hexadecimal number. */
function rawText(o: Ofctl, bytes: Uint8Array): string {
  if (o.settings.verbosity === DUMP_VERBOSITY) return hexDump(bytes, true);
  return `0x${Buffer.from(bytes).toString("hex").replace(/^0+/, "")}\n`;
}

async function flowCommand(o: Ofctl, args: string[], command: number): Promise<void> {
  const name = args[0]!;
  if (args[1] === "-") {
    await flowFile(o, [name, "-"], command);
    return;
  }
  const options = await parseOptions(o, name);
  await sendFlows(o, name, oneFlow(args[1] ?? "", command, options));
}

async function flowFile(o: Ofctl, args: string[], command: number): Promise<void> {
  const options = await parseOptions(o, args[0]!);
  await sendFlows(o, args[0]!, await openFlowFile(o, args[1]!, command, options));
}

export const addFlow = (o: Ofctl, args: string[]): Promise<void> => flowCommand(o, args, OFPFC_ADD);
export const addFlows = (o: Ofctl, args: string[]): Promise<void> => flowFile(o, args, -2);
export const modFlows = (o: Ofctl, args: string[]): Promise<void> =>
  flowCommand(o, args, o.settings.strict ? OFPFC_MODIFY_STRICT : OFPFC_MODIFY);
export const delFlows = (o: Ofctl, args: string[]): Promise<void> =>
  flowCommand(o, args, o.settings.strict ? OFPFC_DELETE_STRICT : OFPFC_DELETE);

async function flowsOfFile(
  o: Ofctl,
  file: string,
  options: FlowParseOptions,
): Promise<{ flows: FlowMod[]; usable: number }> {
  const { flows, usable } = parseAll(await openFlowFile(o, file, OFPFC_ADD, options));
  for (const fm of flows) if (fm.table === 0xff) fm.table = 0;
  return { flows, usable };
}

async function flowsOfSwitch(session: Session): Promise<FlowMod[]> {
  const flows: FlowMod[] = [];
  const fm = emptyFlowMod(OFPFC_DELETE);
  const parts = await session.parts({
    type: "flow-request",
    match: fm.match,
    cookie: 0n,
    cookieMask: 0n,
    table: 0xff,
    outPort: fm.outPort,
    outGroup: fm.outGroup,
  });
  for (const { decoded } of parts) {
    if (decoded instanceof OfpError)
      throw new Fatal(`failed to parse reply to flow stats request (${decoded.ofp})`);
    if (decoded.message.type !== "flow-reply") continue;
    flows.push(...decoded.message.flows.map(flowOfStats));
  }
  return flows;
}

function flowOfStats(s: FlowStats): FlowMod {
  return {
    ...emptyFlowMod(OFPFC_ADD),
    match: s.match,
    priority: s.priority,
    newCookie: s.cookie,
    table: s.table,
    idleSec: s.idleSec,
    hardSec: s.hardSec,
    importance: s.importance,
    flags: s.flags,
    actions: s.actions,
  };
}

/** A flow as diff-flows shows it: match, then what differs from the defaults, then actions. */
function line({ fm, match }: SourceFlow, options: PrintOptions = {}): string {
  const parts = [fm.table === 0 ? "" : `table=${fm.table}`, matchText(match, options, fm.priority)];
  if (fm.newCookie !== 0n) parts.push(`cookie=0x${fm.newCookie.toString(16)}`);
  if (fm.idleSec !== 0) parts.push(`idle_timeout=${fm.idleSec}`);
  if (fm.hardSec !== 0) parts.push(`hard_timeout=${fm.hardSec}`);
  if (fm.importance !== 0) parts.push(`importance=${fm.importance}`);
  parts.push(`actions=${actionsText(fm.actions, options)}`);
  return parts.filter((s) => s !== "").join(" ");
}

/** The same for JSON. */
function shownFlow({ fm, match }: SourceFlow): object {
  const { table, priority, newCookie: cookie, idleSec, hardSec, importance, actions } = fm;
  return { match, table, priority, cookie, idleSec, hardSec, importance, actions };
}

function sameFlow(a: SourceFlow, b: SourceFlow): boolean {
  return line(a) === line(b);
}

export async function replaceFlows(o: Ofctl, args: string[]): Promise<void> {
  const name = args[0]!;
  const options = await parseOptions(o, name);
  const { flows: wanted, usable } = await flowsOfFile(o, args[1]!, options);
  const open = o.settings.bundle ? openForBundle : openForFlowMods;
  const session = await open(o, name, usable);
  const dump = flowsOfSwitch(session);
  const pairs = pairFlows(wanted, await withProgress(o.platform, `${name}: what flows there are`, dump));
  const changes: FlowMod[] = [];
  for (const { first, second } of pairs) {
    if (first !== undefined || second === undefined) continue;
    const { table, match, priority } = second.fm;
    changes.push({ ...emptyFlowMod(OFPFC_DELETE_STRICT), table, match, priority });
  }
  for (const { first, second } of pairs) {
    if (first === undefined) continue;
    if (second === undefined || o.settings.readd || !sameFlow(first, second))
      changes.push({ ...first.fm, command: OFPFC_ADD });
  }
  changes.sort((a, b) => a.table - b.table);
  if (o.settings.bundle) {
    await withProgress(
      o.platform,
      `${name}: a bundle of ${changes.length} changes`,
      sendBundle(session, changes),
    );
    session.close();
    return;
  }
  const w = new Writer(65536);
  for (const fm of changes) encodeInProtocol(w, fm, session.protocol);
  await withProgress(o.platform, `${name}: ${changes.length} changes`, session.flowMods(w.done()));
  session.close();
}

async function flowsOfSource(o: Ofctl, source: string, options: FlowParseOptions): Promise<FlowMod[]> {
  const file =
    source === "-" ||
    source.startsWith("/") ||
    source.startsWith(".") ||
    resolveName(o.platform, source) === undefined;
  if (file) return (await flowsOfFile(o, source, options)).flows;
  const session = await Session.open(o, source);
  await setDumpProtocol(session, o.settings.protocols);
  const flows = await withProgress(o.platform, `${source}: what flows there are`, flowsOfSwitch(session));
  session.close();
  return flows;
}

export async function diffFlows(o: Ofctl, [first, second]: string[]): Promise<number> {
  const isSwitch = (source: string): boolean =>
    source !== "-" &&
    !source.startsWith("/") &&
    !source.startsWith(".") &&
    resolveName(o.platform, source) !== undefined;
  let options: FlowParseOptions = { log: parserLog };
  for (const source of [first!, second!]) if (isSwitch(source)) options = await parseOptions(o, source);
  const a = await flowsOfSource(o, first!, options);
  const b = await flowsOfSource(o, second!, options);
  const different = pairFlows(a, b).filter(
    (pair) => pair.first === undefined || pair.second === undefined || !sameFlow(pair.first, pair.second),
  );
  if (o.settings.json) {
    const side = (name: keyof FlowPair) =>
      flowsJson(different.flatMap((pair) => pair[name] ?? []).map(shownFlow));
    o.platform.stdout(`${jsonText({ type: "diff-flows", first: side("first"), second: side("second") })}\n`);
    return different.length === 0 ? 0 : 2;
  }
  let out = "";
  for (const pair of different) {
    if (pair.first !== undefined) out += `-${line(pair.first, { paint: o.settings.paint })}\n`;
    if (pair.second !== undefined) out += `+${line(pair.second, { paint: o.settings.paint })}\n`;
  }
  o.platform.stdout(out);
  return out === "" ? 0 : 2;
}

/** packet-out SWITCH "in_port=… packet=… actions=…", or the old SWITCH IN_PORT ACTIONS PACKET... */
export async function packetOut(o: Ofctl, args: string[]): Promise<void> {
  const name = args[0]!;
  const names = await inputNames(o, name);
  const options = { ports: names?.ports, tables: names?.tables };
  if (args.length === 2) {
    const { message, usable } = parsePacketOut(args[1]!, options);
    const session = await openForFlowMods(o, name, usable);
    await session.noReply(message);
    session.close();
    return;
  }
  const port = parsePort(args[1]!, names?.ports);
  if (port === undefined) throw new Fatal(`${name}: unknown port \`${args[1]}'`);
  const parsed = parsePlainActions(args[2]!, options);
  const session = await openForFlowMods(o, name, parsed.usable);
  for (const hex of args.slice(3)) {
    await session.noReply({
      type: "packet-out",
      bufferId: OFP_NO_BUFFER,
      match: matchInPort(port),
      actions: parsed.actions,
      packet: packetFromHex(hex),
    });
  }
  session.close();
}
