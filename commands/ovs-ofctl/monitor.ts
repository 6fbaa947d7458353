/** monitor and snoop: print what comes, until told to exit; controlled by unixctl (exit, ofctl/...). */
import fs from "node:fs";
import { Daemon } from "../../src/lib/daemon.ts";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { UnixctlCommands, UnixctlServer } from "../../src/lib/unixctl.ts";
import { TextError } from "../../src/openflow/actions/registry.ts";
import { decode, readHeaderAt } from "../../src/openflow/codec.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import type { FlowMonitorRequest } from "../../src/openflow/messages.ts";
import { emptyAsync } from "../../src/openflow/msg/nicira.ts";
import { parseUint } from "../../src/openflow/ports.ts";
import { P_ANY, versionProtocols } from "../../src/openflow/protocols.ts";
import type { PrintOptions } from "../../src/openflow/text/common.ts";
import { parseMonitor } from "../../src/openflow/text/flow-parse.ts";
import { messageOutput, messageText } from "./output.ts";
import { inputNames, openForFlowMods, outputNames, Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

export async function monitor(o: Ofctl, args: string[]): Promise<number> {
  const daemon = new Daemon(o.platform, o.program, o.settings.daemon!);
  const started = await daemon.start();
  if (started.role === "done") return started.status;
  const name = args[0]!;
  let missLen: number | undefined;
  let invalidTtl = false;
  const monitors: FlowMonitorRequest[] = [];
  let usable = P_ANY;
  for (const arg of args.slice(1)) {
    if (/^\d/.test(arg)) missLen = parseUint(arg) ?? 0;
    else if (arg === "invalid_ttl") invalidTtl = true;
    else if (arg.startsWith("watch:")) {
      const names = await inputNames(o, name);
      const parsed = parseMonitor(arg.slice(6), monitors.length + 1, {
        ports: names?.ports,
        tables: names?.tables,
      });
      usable &= parsed.usable;
      monitors.push(parsed.request);
    } else if (arg !== "resume") throw new Fatal(`${arg}: unsupported "monitor" argument`);
  }
  const resume = args.includes("resume");
  // Without it the switch sends no packets to begin with.
  if (resume) missLen ??= 0xffff;
  const session = monitors.length > 0 ? await openForFlowMods(o, name, usable) : await Session.open(o, name);
  if (missLen !== undefined) {
    const config = await session.ask({ type: "get-config-request" }, "get-config-reply");
    await session.noReply({
      ...config,
      type: "set-config",
      missSendLen: missLen,
      invalidTtlToController: invalidTtl || config.invalidTtlToController,
    });
  }
  if (invalidTtl && session.version >= 4) {
    const m = emptyAsync("set-async");
    m.packetIn = [7, 4];
    m.portStatus = [7, 7];
    m.flowRemoved = [15, 0];
    await session.noReply(m);
  }
  await setPacketInFormat(o, session);
  if (monitors.length > 0) {
    session.send({ type: "flow-monitor-request", monitors });
    const reply = await session.receiveOrDie();
    printReceived(o, reply.bytes);
  }
  await follow(o, session, daemon, resume);
  return 0;
}

async function setPacketInFormat(o: Ofctl, session: Session): Promise<void> {
  const wanted = o.settings.packetInFormat;
  if (wanted !== undefined) {
    if (!(await session.accepts({ type: "nxt-set-packet-in-format", format: wanted }))) {
      throw new Fatal(`failed to set packet in format to nx_packet_in (switch replied with error)`);
    }
    return;
  }
  // The richest format where the switch knows it: it alone carries continuations.
  await session.accepts({ type: "nxt-set-packet-in-format", format: 2 });
}

export async function snoop(o: Ofctl, [name]: string[]): Promise<number> {
  const daemon = new Daemon(o.platform, o.program, o.settings.daemon!);
  const started = await daemon.start();
  if (started.role === "done") return started.status;
  const session = await Session.open(o, name!, "snoop", 0x7e);
  await follow(o, session, daemon, false);
  return 0;
}

function printReceived(o: Ofctl, bytes: Uint8Array, names?: PrintOptions): void {
  const stamp = o.settings.timestamp ? `${timestamp(o)} ` : "";
  o.platform.stderr(stamp + messageOutput(o, bytes, { ...names, verbosity: o.settings.verbosity + 2 }));
}

function timestamp(o: Ofctl): string {
  return new Date(o.platform.clock.wall()).toISOString().replace("T", " ").replace("Z", "");
}

/** Prints all that comes; answers unixctl. Resolves when told to exit or when the switch goes away. */
async function follow(o: Ofctl, session: Session, daemon: Daemon, resume: boolean): Promise<void> {
  const commands = new UnixctlCommands(o.program);
  // In the background, too, what comes is told where standard error was.
  const errors = o.settings.daemon!.detach ? fs.openSync("/proc/self/fd/2", "a") : undefined;
  const say = (text: string): void =>
    errors === undefined ? o.platform.stderr(text) : void fs.writeSync(errors, text);
  let output = say;
  let stop: (() => void) | undefined;
  const stopped = new Promise<undefined>((resolve) => {
    stop = () => resolve(undefined);
  });
  let blocked = false;
  let unblock: (() => void) | undefined;
  commands.register("exit", "", 0, 0, (_args, reply) => {
    reply.ok();
    stop?.();
  });
  commands.register("ofctl/send", "OFMSG...", 1, -1, (args, reply) => {
    const out: string[] = [];
    for (const hex of args) {
      const bytes = messageFromHex(hex);
      if (typeof bytes === "string") {
        reply.error([...out, bytes].join("\n"));
        return;
      }
      output(`send: ${messageText(o, bytes, { verbosity: o.settings.verbosity })}`);
      session.vconn.send(bytes);
      out.push("sent");
    }
    reply.ok(out.join("\n"));
  });
  commands.register(
    "ofctl/packet-out",
    '"in_port=<port> packet=<hex data> actions=..."',
    1,
    1,
    async (args, reply) => {
      const { parsePacketOut } = await import("./packet-out.ts");
      try {
        const { message, usable } = parsePacketOut(args[0]!, {});
        const spoken = versionProtocols(session.version);
        if ((usable & spoken & -spoken) === 0) {
          throw new TextError("PACKET_OUT actions are incompatible with the OpenFlow connection.");
        }
        const { bytes } = session.encode(message);
        output(messageText(o, bytes, { verbosity: o.settings.verbosity }));
        session.vconn.send(bytes);
        reply.ok();
      } catch (error) {
        if (!(error instanceof TextError)) throw error;
        reply.error(error.message);
      }
    },
  );
  const waiting = new Map<number, () => void>();
  commands.register("ofctl/barrier", "", 0, 0, (_args, reply) => {
    const xid = session.send({ type: "barrier-request" });
    waiting.set(xid, () => reply.ok());
  });
  commands.register("ofctl/set-output-file", "FILE", 1, 1, async (args, reply) => {
    try {
      const fd = fs.openSync(args[0]!, "w");
      output = (text) => void fs.writeSync(fd, text);
      reply.ok();
    } catch (error) {
      reply.error(describeError(error));
    }
  });
  commands.register("ofctl/block", "", 0, 0, (_args, reply) => {
    if (blocked) reply.ok("already blocking");
    else {
      blocked = true;
      reply.ok();
    }
  });
  commands.register("ofctl/unblock", "", 0, 0, (_args, reply) => {
    if (!blocked) reply.ok("already unblocked");
    else {
      blocked = false;
      unblock?.();
      reply.ok();
    }
  });
  const server = await UnixctlServer.listen(o.platform, o.program, commands, o.settings.unixctl);
  daemon.ready();
  const names = await outputNames(o, session.name);
  for (;;) {
    if (blocked) {
      await new Promise<void>((resolve) => {
        unblock = resolve;
      });
    }
    const message = await Promise.race([session.receive(), stopped]);
    if (message === undefined) break;
    const answered = waiting.get(message.xid);
    const stamp = o.settings.timestamp ? `${timestamp(o)} ` : "";
    output(
      stamp +
        messageOutput(o, message.bytes, {
          ports: names?.ports,
          tables: names?.tables,
          verbosity: o.settings.verbosity + 2,
        }),
    );
    if (answered !== undefined) {
      waiting.delete(message.xid);
      answered();
    }
    if (resume) {
      const sent = resumePacket(session, message.bytes);
      if (sent !== undefined)
        say(`send: ${messageText(o, sent, { ...names, verbosity: o.settings.verbosity + 2 })}`);
    }
  }
  server?.close();
  session.close();
  daemon.exit(0);
}

/** A whole message in hexadecimal digits, blanks between them; else what is wrong with it. */
function messageFromHex(text: string): Uint8Array | string {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) return "Trailing garbage in hex data";
  const bytes = Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  if (bytes.length < 8) return "Message too short for OpenFlow";
  const { length } = readHeaderAt(bytes);
  return length === bytes.length ? bytes : "Message size does not match length in OpenFlow header";
}

/** Sends a packet that waits on its way; returns the message, if `bytes` is of such a packet. */
function resumePacket(session: Session, bytes: Uint8Array): Uint8Array | undefined {
  const decoded = decode(bytes);
  if (decoded instanceof OfpError || decoded.message.type !== "packet-in") return undefined;
  const m = decoded.message;
  if (m.continuation === undefined) return undefined;
  const resume = session.encode({ type: "nxt-resume", packetIn: m });
  session.vconn.send(resume.bytes);
  return resume.bytes;
}
