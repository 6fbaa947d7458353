/**
 * Bundles of messages (OpenFlow 1.4.0 section 6.8; ONF extension 230 for 1.3): collected by connection, committed as one
 * change. Everything runs in one turn of the loop, so that no packet sees half of it, and a message that fails takes back
 * those before it.
 */
import { decode } from "../../openflow/codec.ts";
import { OfpError } from "../../openflow/errors.ts";
import type { BundleCtrl, Decoded } from "../../openflow/messages.ts";
import type { Connection } from "../connections/connection.ts";
import type { Handlers } from "./dispatch.ts";
import { checkFlowMod, startFlowMod } from "./flows.ts";
import { startGroupMod } from "./groups.ts";
import { checkPacketOut, startPacketOut } from "./packets.ts";
import { startPortMod } from "./ports.ts";

const OPEN = 0;
const CLOSE = 2;
const COMMIT = 4;
const DISCARD = 6;

/** A request's reply type is one more. */
const REPLY = 1;

interface Entry {
  decoded: Decoded;
  bytes: Uint8Array;
}

export interface Bundle {
  readonly id: number;
  readonly flags: number;
  closed: boolean;
  readonly entries: Entry[];
  /** The message that opened it, which a time-out is reported for. */
  readonly opener: Uint8Array;
  usedMs: number;
}

function forget(connection: Connection, bundle: Bundle): void {
  connection.bundles.delete(bundle.id);
}

function open(connection: Connection, id: number, flags: number, bytes: Uint8Array): Bundle {
  const now = connection.ofproto.clock.now();
  const bundle: Bundle = { id, flags, closed: false, entries: [], opener: bytes.slice(), usedMs: now };
  connection.bundles.set(id, bundle);
  watch(connection, bundle);
  return bundle;
}

/** A bundle that nothing is added to for a while is forgotten. */
function watch(connection: Connection, bundle: Bundle): void {
  const { clock } = connection.ofproto;
  const wait = bundle.usedMs + connection.ofproto.backer.bundleIdleMs - clock.now();
  clock.background(Math.max(1, wait), () => {
    if (connection.bundles.get(bundle.id) !== bundle || !connection.isOpen) return;
    if (clock.now() < bundle.usedMs + connection.ofproto.backer.bundleIdleMs) {
      watch(connection, bundle);
      return;
    }
    forget(connection, bundle);
    const xid = new DataView(bundle.opener.buffer, bundle.opener.byteOffset).getUint32(4);
    connection.sendError(new OfpError("OFPBFC_TIMEOUT"), bundle.opener, xid);
  });
}

function close(connection: Connection, bundle: Bundle | undefined, flags: number): void {
  if (bundle === undefined) throw new OfpError("OFPBFC_BAD_ID");
  if (bundle.closed) {
    forget(connection, bundle);
    throw new OfpError("OFPBFC_BUNDLE_CLOSED");
  }
  if (bundle.flags !== flags) {
    forget(connection, bundle);
    throw new OfpError("OFPBFC_BAD_FLAGS");
  }
  bundle.closed = true;
}

/** Applies all entries or none. Throws MSG_FAILED after the entry's own error was sent. */
function commit(connection: Connection, bundle: Bundle): void {
  const { ofproto } = connection;
  const finish: (() => void)[] = [];
  ofproto.flows.begin();
  for (const entry of bundle.entries) {
    ofproto.flows.actor = { connection, xid: entry.decoded.xid };
    try {
      start(connection, entry.decoded, finish);
    } catch (error) {
      ofproto.flows.rollback();
      ofproto.backer.changed();
      if (!(error instanceof OfpError)) throw error;
      connection.sendError(error, entry.bytes, entry.decoded.xid);
      throw new OfpError("OFPBFC_MSG_FAILED");
    }
  }
  ofproto.flows.commit();
  if (bundle.entries.some(({ decoded }) => decoded.message.type !== "flow-mod")) ofproto.backer.changed();
  else ofproto.backer.handleChanges();
  for (const done of finish) done();
}

/** Makes the change of one message, or prepares it: ports and packets cannot be taken back. */
function start(connection: Connection, { message }: Decoded, finish: (() => void)[]): void {
  switch (message.type) {
    case "flow-mod":
      startFlowMod(connection, message);
      return;
    case "group-mod":
      startGroupMod(connection, message);
      return;
    case "port-mod":
      finish.push(startPortMod(connection, message));
      return;
    case "packet-out":
      finish.push(startPacketOut(connection, message));
      return;
    default:
      throw new OfpError("OFPBFC_MSG_UNSUP");
  }
}

/** Refuses at once what can never be committed. */
function check(connection: Connection, { message }: Decoded): void {
  switch (message.type) {
    case "flow-mod":
      checkFlowMod(connection, message);
      return;
    case "packet-out":
      checkPacketOut(message);
      return;
    case "group-mod":
    case "port-mod":
      return;
    default:
      throw new OfpError("OFPBFC_MSG_UNSUP");
  }
}

async function control(
  connection: Connection,
  message: BundleCtrl,
  decoded: Decoded,
  bytes: Uint8Array,
): Promise<void> {
  const { bundleId, ctrl, flags } = message;
  const bundle = connection.bundles.get(bundleId);
  switch (ctrl) {
    case OPEN:
      if (bundle !== undefined) {
        forget(connection, bundle);
        throw new OfpError("OFPBFC_BAD_ID");
      }
      open(connection, bundleId, flags, bytes);
      break;
    case CLOSE:
      close(connection, bundle, flags);
      break;
    case COMMIT:
      if (bundle === undefined) throw new OfpError("OFPBFC_BAD_ID");
      forget(connection, bundle);
      if (bundle.flags !== flags) throw new OfpError("OFPBFC_BAD_FLAGS");
      commit(connection, bundle);
      await connection.ofproto.backer.settled();
      break;
    case DISCARD:
      if (bundle === undefined) throw new OfpError("OFPBFC_BAD_ID");
      forget(connection, bundle);
      break;
    default:
      throw new OfpError("OFPBFC_BAD_TYPE");
  }
  connection.send({ type: "bundle-control", bundleId, ctrl: ctrl + REPLY, flags: 0 }, decoded.xid);
}

export const BUNDLE_HANDLERS: Handlers = {
  "bundle-control": control,
  "bundle-add-message": (connection, message, _decoded, bytes) => {
    const { bundleId, flags } = message;
    const inner = message.message.slice();
    const decoded = decode(inner);
    if (decoded instanceof OfpError) throw decoded;
    check(connection, decoded);
    let bundle = connection.bundles.get(bundleId);
    if (bundle === undefined) bundle = open(connection, bundleId, flags, bytes);
    else if (bundle.closed) {
      forget(connection, bundle);
      throw new OfpError("OFPBFC_BUNDLE_CLOSED");
    } else if (bundle.flags !== flags) {
      forget(connection, bundle);
      throw new OfpError("OFPBFC_BAD_FLAGS");
    }
    bundle.usedMs = connection.ofproto.clock.now();
    bundle.entries.push({ decoded, bytes: inner });
  },
};
