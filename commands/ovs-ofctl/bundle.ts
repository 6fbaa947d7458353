/** --bundle and bundle: flow_mods, group_mods and packet_outs as one change (OpenFlow 1.4 section 7.3.9; ONF extension for 1.3). */
import { Fatal } from "../../src/lib/errors.ts";
import { TextError } from "../../src/openflow/actions/registry.ts";
import { decode } from "../../src/openflow/codec.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import { type Message, OFP14, OFPFC_ADD } from "../../src/openflow/messages.ts";
import { P_ANY, USABLE_13_UP, versionProtocols } from "../../src/openflow/protocols.ts";
import { leadingCommand, parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { leadingGroupCommand, OFPGC_ADD, parseGroup } from "../../src/openflow/text/group-parse.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { parserLog } from "./dumps.ts";
import { atLine, readLines } from "./lines.ts";
import { messageText } from "./output.ts";
import { parsePacketOut } from "./packet-out.ts";
import { inputNames, nextXid, openForFlowMods, type Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

const ATOMIC_ORDERED = 3;
const OFPT_ERROR = 1;
const OPEN = 0;
const COMMIT = 4;

/** Bundles exist from OpenFlow 1.3 on: where -O allows nothing of that, 1.4 is spoken. */
function allowBundles(o: Ofctl): void {
  if ((o.settings.protocols & USABLE_13_UP) !== 0) return;
  o.settings.versions = 1 << OFP14;
  o.settings.protocols = versionProtocols(OFP14);
}

/** Opens a connection that can carry bundles. */
export function openForBundle(o: Ofctl, name: string, usable: number): Promise<Session> {
  allowBundles(o);
  return openForFlowMods(o, name, usable & USABLE_13_UP);
}

/** Sends the messages as one bundle over a connection of its own. */
export async function bundleMessages(
  o: Ofctl,
  name: string,
  messages: readonly Message[],
  usable: number,
): Promise<void> {
  const session = await openForBundle(o, name, usable);
  await sendBundle(session, messages);
  session.close();
}

/** Opens a bundle, adds the messages, commits. Errors are printed, each with the message it is for, and end the program. */
export async function sendBundle(session: Session, messages: readonly Message[]): Promise<void> {
  const bundleId = 0;
  await control(session, bundleId, OPEN);
  const w = new Writer(65536);
  const numbers = new Map<number, Message>();
  for (const message of messages) {
    const xid = nextXid();
    const inner = session.encode(message, { xid }).bytes;
    session.queue(
      w,
      { type: "bundle-add-message", bundleId, flags: ATOMIC_ORDERED, message: inner },
      { xid },
    );
    numbers.set(xid, message);
    if (w.pos > 262144) await session.flush(w);
  }
  const barrier = session.queue(w, { type: "barrier-request" });
  await session.flush(w);
  if (await printErrors(session, barrier, numbers)) throw refused(session);
  await control(session, bundleId, COMMIT, numbers);
}

/** Sends a request about the bundle and waits for its answer. */
async function control(
  session: Session,
  bundleId: number,
  ctrl: number,
  numbers = new Map<number, Message>(),
): Promise<void> {
  const request: Message = { type: "bundle-control", bundleId, ctrl, flags: ATOMIC_ORDERED };
  const xid = session.send(request);
  numbers.set(xid, request);
  if (await printErrors(session, xid, numbers)) throw refused(session);
}

function refused(session: Session): Fatal {
  return new Fatal(`talking to ${session.vconn.name} (Protocol error)`);
}

/** Reads until the answer to message `last`; prints the errors that come. True: there were some. */
async function printErrors(
  session: Session,
  last: number,
  numbers: ReadonlyMap<number, Message>,
): Promise<boolean> {
  const { platform, settings } = session.ofctl;
  const verbosity = settings.verbosity + 1;
  let failed = false;
  for (;;) {
    const reply = await session.receiveOrDie();
    if (reply.bytes[1] === OFPT_ERROR) {
      failed = true;
      const decoded = decode(reply.bytes);
      const sent = numbers.get(reply.xid);
      if (sent === undefined || decoded instanceof OfpError || decoded.message.type !== "error") {
        platform.stderr(messageText(session.ofctl, reply.bytes, { verbosity }));
      } else {
        const text = messageText(session.ofctl, session.encode(sent, { xid: reply.xid }).bytes, {
          verbosity,
        });
        platform.stderr(`Error ${decoded.message.error ?? "unknown error"} for: ${text}`);
      }
    }
    if (reply.xid === last) return failed;
  }
}

/** bundle SWITCH FILE: lines of "flow ...", "group ..." and "packet-out ...". */
export async function bundle(o: Ofctl, [name, file]: string[]): Promise<void> {
  const names = await inputNames(o, name!);
  const options = { ports: names?.ports, tables: names?.tables, log: parserLog };
  const messages: Message[] = [];
  let usable = P_ANY;
  for (const { text, line } of await readLines(o, file!)) {
    const { message, usable: set } = atLine(file!, line, () => {
      const [, word, rest] = /^(\S+)\s*(.*)$/.exec(text) as unknown as [string, string, string];
      if (word === "flow") {
        const leading = leadingCommand(rest);
        const { fm, usable } = parseFlow(leading?.rest ?? rest, leading?.command ?? OFPFC_ADD, options);
        return { message: fm, usable };
      }
      if (word === "group") {
        const leading = leadingGroupCommand(rest);
        const { gm, usable } = parseGroup(leading?.rest ?? rest, leading?.command ?? OFPGC_ADD, options);
        return { message: gm, usable };
      }
      if (word === "packet-out") return parsePacketOut(rest, options);
      throw new TextError(`Unsupported bundle message type: ${word}`);
    });
    usable &= set;
    messages.push(message);
  }
  await bundleMessages(o, name!, messages, usable);
}
