/** --bundle: flow_mods as one atomic change (OpenFlow 1.4 section 7.3.9; ONF extension for 1.3). */
import { Fatal } from "../../src/lib/errors.ts";
import { decode } from "../../src/openflow/codec.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import type { FlowMod, Message } from "../../src/openflow/messages.ts";
import { USABLE_13_UP } from "../../src/openflow/protocols.ts";
import { printMessage } from "../../src/openflow/text/print.ts";
import { Writer } from "../../src/openflow/wire.ts";
import { nextXid, openForFlowMods, type Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

const ATOMIC_ORDERED = 3;

export function bundleFlowMods(
  o: Ofctl,
  name: string,
  flows: readonly FlowMod[],
  usable: number,
): Promise<void> {
  return bundleMessages(o, name, flows, usable);
}

/** Opens a bundle, adds the messages, commits. An error is printed and ends the program with 1. */
export async function bundleMessages(
  o: Ofctl,
  name: string,
  messages: readonly Message[],
  usable: number,
): Promise<void> {
  if ((o.settings.protocols & USABLE_13_UP) === 0) {
    o.settings.versions = 0x70;
    o.settings.protocols = USABLE_13_UP;
  }
  const session = await openForFlowMods(o, name, usable & USABLE_13_UP);
  const bundleId = 0;
  await control(session, bundleId, 0);
  const w = new Writer(65536);
  for (const message of messages) {
    const xid = nextXid();
    const inner = session.encode(message, { xid }).bytes;
    session.queue(
      w,
      { type: "bundle-add-message", bundleId, flags: ATOMIC_ORDERED, message: inner },
      { xid },
    );
    if (w.pos > 262144) await session.flush(w);
  }
  await session.barrier(w, undefined);
  await control(session, bundleId, 4);
  session.close();
}

async function control(session: Session, bundleId: number, ctrl: number): Promise<void> {
  const reply = await session.transact({ type: "bundle-control", bundleId, ctrl, flags: ATOMIC_ORDERED });
  const decoded = decode(reply.bytes);
  if (!(decoded instanceof OfpError) && decoded.message.type === "bundle-control") return;
  const { platform } = session.ofctl;
  platform.stderr(printMessage(reply.bytes, { verbosity: session.ofctl.settings.verbosity + 1 }));
  const what = ctrl === 0 ? "bundle open" : "bundle commit";
  throw new Fatal(
    `${what} failed (${decoded instanceof OfpError ? decoded.ofp : errorName(decoded.message)})`,
  );
}

function errorName(m: Message): string {
  return m.type === "error" ? (m.error ?? "unknown error") : m.type;
}
