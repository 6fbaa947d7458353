/** `ovs-appctl netdev-dummy/*`: packets into dummy devices, their admin state, addresses and connections. */
import { Fatal } from "../lib/errors.ts";
import { parseIpv4, parseIpv6 } from "../lib/ip.ts";
import type { UnixctlCommands } from "../lib/unixctl.ts";
import { DummyNetdev } from "./dummy.ts";
import type { NetdevRegistry } from "./registry.ts";

export interface DummyCommandsContext {
  registry: NetdevRegistry;
  /** A datapath key in text to a packet of `length` bytes (undefined: as it comes). Throws {@link Fatal} with the reply's text. */
  compose: (text: string, length: number | undefined) => Uint8Array;
  /** Resolves when what a command has set in motion has come to rest. */
  settled: () => Promise<void>;
}

function hexPacket(text: string): Uint8Array | undefined {
  const digits = text.replaceAll(/\s/g, "");
  if (digits.length < 28 || digits.length % 2 !== 0 || !/^[0-9a-f]*$/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g)!, (pair) => Number.parseInt(pair, 16));
}

function unsigned(text: string | undefined, name: string): number {
  if (text === undefined || !/^\d+$/.test(text)) throw new Fatal(`Bad value for ${name}`);
  return Number(text);
}

export function registerDummyCommands(commands: UnixctlCommands, context: DummyCommandsContext): void {
  const { registry } = context;
  const dummy = (name: string): DummyNetdev | undefined => {
    const netdev = registry.get(name);
    return netdev instanceof DummyNetdev ? netdev : undefined;
  };
  const dummies = (): DummyNetdev[] => registry.netdevs().filter((n) => n instanceof DummyNetdev);

  commands.register(
    "netdev-dummy/receive",
    "name [--qid queue_id] packet|flow [--len packet_len]",
    2,
    -1,
    async (args, reply) => {
      const netdev = dummy(args[0]!);
      if (netdev === undefined) return reply.error("no such dummy netdev");
      let at = 1;
      if (args[at] === "--qid" && args.length > 3) {
        if (args[at + 1] === undefined) return reply.error("too few arguments");
        unsigned(args[at + 1], "queue id");
        at += 2;
      }
      for (; at < args.length; at++) {
        const text = args[at]!;
        let packet = hexPacket(text);
        if (packet === undefined) {
          let length: number | undefined;
          if (args[at + 1] === "--len") {
            if (args[at + 2] === undefined) return reply.error("too few arguments");
            length = unsigned(args[at + 2], "packet length");
            at += 2;
          }
          packet = context.compose(text, length);
        }
        netdev.input(packet);
      }
      await context.settled();
      reply.ok();
    },
  );

  commands.register("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2, async (args, reply) => {
    const state = args.at(-1);
    if (state !== "up" && state !== "down") return reply.error("Invalid Admin State");
    const chosen = args.length > 1 ? [dummy(args[0]!)] : dummies();
    for (const netdev of chosen) {
      if (netdev === undefined) return reply.error("Unknown Dummy Interface");
      netdev.setAdminUp(state === "up");
    }
    await context.settled();
    reply.ok("OK");
  });

  commands.register("netdev-dummy/conn-state", "[netdev]", 0, 1, (args, reply) => {
    if (args.length > 0) {
      const netdev = dummy(args[0]!);
      if (netdev === undefined) return reply.error(`${args[0]}: unknown device`);
      return reply.ok(`${netdev.name}: ${netdev.conn.state()}\n`);
    }
    const lines = dummies()
      .filter((netdev) => netdev.conn.state() !== "unknown")
      .map((netdev) => `${netdev.name}: ${netdev.conn.state()}\n`);
    reply.ok(lines.join(""));
  });

  commands.register("netdev-dummy/ip4addr", "[netdev] ipaddr/mask-prefix-len", 2, 2, (args, reply) => {
    const netdev = dummy(args[0]!);
    if (netdev === undefined) return reply.error("Unknown Dummy Interface");
    const [ip, prefix] = args[1]!.split("/");
    const address = parseIpv4(ip!);
    if (address === undefined) return reply.error(`${args[1]}: invalid IP address`);
    if (prefix !== undefined && !/^(\d|[12]\d|3[0-2])$/.test(prefix))
      return reply.error(`${args[1]}: network prefix bits not between 0 and 32`);
    netdev.ipv4 = { address, prefix: prefix === undefined ? 32 : Number(prefix) };
    reply.ok("OK");
  });

  commands.register("netdev-dummy/ip6addr", "[netdev] ip6addr", 2, 2, (args, reply) => {
    const netdev = dummy(args[0]!);
    if (netdev === undefined) return reply.error("Unknown Dummy Interface");
    const [ip, prefix] = args[1]!.split("/");
    const address = parseIpv6(ip!);
    if (address === undefined) return reply.error(`${args[1]}: invalid IPv6 address`);
    netdev.ipv6.push({ address, prefix: prefix === undefined ? 128 : Number(prefix) });
    reply.ok("OK");
  });
}
