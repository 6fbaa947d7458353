/** Commands that ask and print: show, dump-*, statistics, probe, ping. */
import { Fatal } from "../../src/lib/errors.ts";
import { vlog } from "../../src/lib/vlog.ts";
import { decode, readHeaderAt } from "../../src/openflow/codec.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import type { Decoded, FlowStats, Message, TableFeatures } from "../../src/openflow/messages.ts";
import { parsePort, parseUint } from "../../src/openflow/ports.ts";
import { protocolsText } from "../../src/openflow/protocols.ts";
import { formatFlowStats } from "../../src/openflow/text/flow.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { decodedJson, jsonText } from "../../src/openflow/text/json.ts";
import { FRAGS } from "../../src/openflow/text/print.ts";
import { formatTables, tableEntries } from "../../src/openflow/text/table.ts";
import { messageOutput, messageText, Replies } from "./output.ts";
import { fetchPorts, inputNames, type Names, outputNames, Session, setDumpProtocol } from "./session.ts";
import type { Ofctl } from "./settings.ts";
import { compareFlows } from "./sort.ts";

const logs = { ofp_match: vlog("ofp_match"), ofp_actions: vlog("ofp_actions") };

/** Where the parser's lines go. */
export function parserLog(module: string, level: "info" | "warn", line: string): void {
  const log = logs[module as keyof typeof logs] ?? vlog(module);
  if (level === "info") log.info(line);
  else log.warn(line);
}

export function verbosity(o: Ofctl): number {
  return o.settings.verbosity + 1;
}

/** Prints each part of a reply. */
export async function dumpParts(
  o: Ofctl,
  session: Session,
  message: Message,
  names?: { ports: Names; tables: Names },
): Promise<void> {
  const replies = new Replies(o, { ports: names?.ports, tables: names?.tables });
  await addParts(session, message, replies);
  replies.end();
}

async function addParts(session: Session, message: Message, replies: Replies): Promise<void> {
  const xid = session.send(message);
  for (;;) {
    const reply = await session.receiveOrDie();
    if (reply.xid !== xid) continue;
    const decoded = decode(reply.bytes);
    replies.add(reply.bytes, decoded);
    if (decoded instanceof OfpError || !decoded.more) return;
  }
}

async function open(o: Ofctl, name: string): Promise<Session> {
  return Session.open(o, name);
}

export async function show(o: Ofctl, [name]: string[]): Promise<void> {
  const replies = new Replies(o, {});
  const session = await open(o, name!);
  await addParts(session, { type: "features-request" }, replies);
  if (session.version >= 4) await addParts(session, { type: "port-desc-request", port: 0xffff }, replies);
  session.close();
  const second = await open(o, name!);
  await addParts(second, { type: "get-config-request" }, replies);
  second.close();
  replies.end();
}

/** A command that prints the parts of one fixed request. */
export function simple(message: Message, needs?: (v: number) => void) {
  return async (o: Ofctl, [name]: string[]): Promise<void> => {
    const session = await open(o, name!);
    needs?.(session.version);
    await dumpParts(o, session, message, await outputNames(o, name!));
    session.close();
  };
}

export async function dumpTableFeatures(o: Ofctl, [name]: string[]): Promise<void> {
  const session = await open(o, name!);
  const names = await outputNames(o, name!);
  const options = { ports: names?.ports, tables: names?.tables };
  const tables: TableFeatures[] = [];
  let last: Decoded | undefined;
  for (const { received, decoded } of await session.parts({ type: "table-features-request", tables: [] })) {
    if (decoded instanceof OfpError || decoded.message.type !== "table-features-reply") {
      o.platform.stdout(messageOutput(o, received.bytes, { verbosity: verbosity(o) }));
      continue;
    }
    tables.push(...decoded.message.tables);
    last = decoded;
  }
  session.close();
  if (last === undefined) return;
  const whole = { ...last, message: { type: "table-features-reply" as const, tables } };
  o.platform.stdout(
    o.settings.json
      ? `${jsonText(decodedJson(whole, options))}\n`
      : `${formatTables(tableEntries([], tables), options).slice(1)}\n`,
  );
}

/** The flows' request and the connection that it goes over. */
async function flowRequest(
  o: Ofctl,
  args: readonly string[],
  type: "flow-request" | "aggregate-request",
): Promise<{ session: Session; message: Message }> {
  const name = args[0]!;
  const text = args.slice(1).join(",");
  const names = text === "" ? undefined : await inputNames(o, name);
  const { fm, usable } = parseFlow(text, -1, { ports: names?.ports, tables: names?.tables, log: parserLog });
  const session = await Session.open(o, name);
  const allowed = o.settings.protocols & usable;
  if (allowed === 0) {
    throw new Fatal(
      `none of the usable flow formats (${protocolsText(usable)}) is among the allowed flow formats (${protocolsText(o.settings.protocols)})`,
    );
  }
  await setDumpProtocol(session, allowed);
  const message: Message = {
    type,
    match: fm.match,
    cookie: fm.cookie,
    cookieMask: fm.cookieMask,
    table: fm.table,
    outPort: fm.outPort,
    outGroup: fm.outGroup,
  };
  return { session, message };
}

export async function dumpFlows(o: Ofctl, args: string[]): Promise<void> {
  const { settings } = o;
  const { session, message } = await flowRequest(o, args, "flow-request");
  const unsorted = settings.sort.length === 0 && settings.stats;
  if (unsorted && !settings.json && settings.names !== true && !o.platform.stdoutIsTerminal) {
    await dumpParts(o, session, message);
    session.close();
    return;
  }
  const flows: FlowStats[] = [];
  let last: Decoded | undefined;
  for (const { received, decoded } of await session.parts(message)) {
    if (decoded instanceof OfpError || decoded.message.type !== "flow-reply") {
      o.platform.stdout(messageOutput(o, received.bytes, { verbosity: verbosity(o) }));
      continue;
    }
    for (const s of decoded.message.flows) flows.push(s);
    last = decoded;
  }
  session.close();
  if (settings.sort.length > 0) flows.sort((a, b) => compareFlows(a, b, settings.sort));
  const names = await outputNames(o, args[0]!);
  const options = { ports: names?.ports, tables: names?.tables };
  if (settings.json) {
    if (last === undefined) return;
    const all = decodedJson({ ...last, message: { type: "flow-reply", flows } }, options);
    o.platform.stdout(`${jsonText(all)}\n`);
    return;
  }
  let out = "";
  for (const s of flows) {
    s.idleAge = -1;
    s.hardAge = -1;
    out += `${formatFlowStats(s, { ...options, paint: settings.paint }, settings.stats)}\n`;
    if (out.length > 65536) {
      o.platform.stdout(out);
      out = "";
    }
  }
  o.platform.stdout(out);
}

export async function dumpAggregate(o: Ofctl, args: string[]): Promise<void> {
  const { session, message } = await flowRequest(o, args, "aggregate-request");
  await dumpParts(o, session, message);
  session.close();
}

/** A port by number or name; the names come from the switch. */
export async function portNumber(o: Ofctl, switchName: string, text: string): Promise<number> {
  const simple = parsePort(text);
  if (simple !== undefined) return simple;
  const session = await Session.open(o, switchName);
  const ports = await fetchPorts(session);
  session.close();
  const found = ports.find((p) => p.name === text);
  if (found === undefined) throw new Fatal(`${switchName}: unknown port \`${text}'`);
  return found.port;
}

export async function dumpPorts(o: Ofctl, args: string[]): Promise<void> {
  const port = args[1] === undefined ? 0xffff : await portNumber(o, args[0]!, args[1]);
  const session = await open(o, args[0]!);
  await dumpParts(o, session, { type: "port-request", port }, await outputNames(o, args[0]!));
  session.close();
}

export async function dumpPortsDesc(o: Ofctl, args: string[]): Promise<void> {
  const port = args[1] === undefined ? 0xffff : await portNumber(o, args[0]!, args[1]);
  const session = await open(o, args[0]!);
  await dumpParts(o, session, { type: "port-desc-request", port }, await outputNames(o, args[0]!));
  session.close();
}

export async function queueStats(o: Ofctl, args: string[]): Promise<void> {
  let port = 0xffff;
  let queue = 0xffffffff;
  if (args[1] !== undefined && args[1].toUpperCase() !== "ALL") port = await portNumber(o, args[0]!, args[1]);
  if (args[2] !== undefined && args[2].toUpperCase() !== "ALL") queue = parseUint(args[2]) ?? 0xffffffff;
  const session = await open(o, args[0]!);
  await dumpParts(o, session, { type: "queue-request", port, queue }, await outputNames(o, args[0]!));
  session.close();
}

export async function queueGetConfig(o: Ofctl, args: string[]): Promise<void> {
  const all = args[1] === undefined || args[1].toUpperCase() === "ALL" || args[1].toUpperCase() === "ANY";
  const port = all ? 0xffff : await portNumber(o, args[0]!, args[1]!);
  const queue = args[2] === undefined ? 0xffffffff : (parseUint(args[2]) ?? 0xffffffff);
  const session = await open(o, args[0]!);
  if (session.version > 1 || !all) {
    await dumpParts(
      o,
      session,
      { type: "queue-get-config-request", port, queue },
      await outputNames(o, args[0]!),
    );
  } else {
    const list = await fetchPorts(session);
    const replies = new Replies(o, {});
    for (const p of list.filter((x) => x.port < 0xff00).sort((a, b) => a.port - b.port)) {
      await addParts(session, { type: "queue-get-config-request", port: p.port, queue }, replies);
    }
    replies.end();
  }
  session.close();
}

export async function getFrags(o: Ofctl, [name]: string[]): Promise<void> {
  const session = await open(o, name!);
  const config = await session.ask({ type: "get-config-request" }, "get-config-reply");
  const mode = FRAGS[config.frag]!;
  o.platform.stdout(o.settings.json ? `${JSON.stringify({ frag: mode })}\n` : `${mode}\n`);
  session.close();
}

export async function setFrags(o: Ofctl, [name, mode]: string[]): Promise<void> {
  const frag = FRAGS.indexOf(mode!);
  if (frag < 0) throw new Fatal(`${mode}: unknown fragment handling mode`);
  const session = await open(o, name!);
  const config = await session.ask({ type: "get-config-request" }, "get-config-reply");
  if (config.frag !== frag) {
    await session.noReply({ ...config, type: "set-config", frag });
    const now = await session.ask({ type: "get-config-request" }, "get-config-reply");
    if (now.frag !== frag) {
      throw new Fatal(
        `${name}: setting fragment handling mode failed (this switch probably doesn't support mode "${mode}")`,
      );
    }
  }
  session.close();
}

export async function probe(o: Ofctl, [name]: string[]): Promise<void> {
  const session = await open(o, name!);
  const reply = await session.transact({ type: "echo-request", payload: new Uint8Array(0) });
  if (reply.bytes.length !== 8) throw new Fatal("reply does not match request");
  session.close();
}

export async function ping(o: Ofctl, [name, size]: string[]): Promise<void> {
  const payload = size === undefined ? 64 : Number.parseInt(size, 10);
  if (!(payload >= 0 && payload <= 65527)) throw new Fatal(`payload must be between 0 and 65527 bytes`);
  const session = await open(o, name!);
  for (let i = 0; i < 10; i++) {
    const bytes = o.platform.random.bytes(payload);
    const started = o.platform.clock.now();
    const reply = await session.transact({ type: "echo-request", payload: bytes });
    const ms = o.platform.clock.now() - started;
    const body = reply.bytes.subarray(8);
    const xid = readHeaderAt(reply.bytes).xid;
    if (reply.bytes[1] !== 3 || body.length !== payload || body.some((b, at) => b !== bytes[at])) {
      o.platform.stdout(
        `Reply does not match request.  Request:\n${""}Reply:\n${messageText(o, reply.bytes, { verbosity: 2 })}`,
      );
    }
    o.platform.stdout(
      `${body.length} bytes from ${name}: xid=${xid.toString(16).padStart(8, "0")} time=${ms.toFixed(1)} ms\n`,
    );
  }
  session.close();
}

export async function benchmark(o: Ofctl, [name, sizeText, countText]: string[]): Promise<void> {
  const size = Number(sizeText);
  const count = Number(countText);
  if (!(size + 8 <= 65535)) throw new Fatal("payload must be between 0 and 65527 bytes");
  o.platform.stdout(
    `Sending ${count} packets * ${size + 8} bytes (with header) = ${count * (size + 8)} bytes total\n`,
  );
  const session = await open(o, name!);
  const payload = new Uint8Array(size);
  const started = o.platform.clock.now();
  for (let i = 0; i < count; i++) await session.transact({ type: "echo-request", payload });
  const seconds = Math.max(1e-9, (o.platform.clock.now() - started) / 1000);
  session.close();
  o.platform.stdout(
    `Finished in ${(seconds * 1000).toFixed(1)} ms (${Math.floor(count / seconds)} packets/s) (${Math.floor((count * (size + 8)) / seconds)} bytes/s)\n`,
  );
}
