/**
 * A whole switch in one thread and simulated time: bridges over a dummy datapath, with ports that record what leaves
 * them. For tests of what src/ofproto does with packets, rules and time.
 */

import type { Dpif } from "../../src/datapath/dpif.ts";
import type { Packet } from "../../src/datapath/packet.ts";
import { makePacket } from "../../src/datapath/packet.ts";
import { openLocalDpif } from "../../src/datapath/userspace/dpif-local.ts";
import { composePacket } from "../../src/flow/compose.ts";
import { parseExactFlow, parseMatch } from "../../src/flow/match-text.ts";
import { SimClock } from "../../src/lib/sim-clock.ts";
import type { Stream, StreamFactory, StreamServer } from "../../src/lib/stream.ts";
import { type DummyContext, DummyNetdev } from "../../src/netdev/dummy.ts";
import { patchProvider } from "../../src/netdev/patch.ts";
import { Backer, type BackerOptions } from "../../src/ofproto/backer.ts";
import { ofprotoCommands } from "../../src/ofproto/commands.ts";
import { Ofproto } from "../../src/ofproto/ofproto.ts";
import type { BundleConfig, OfprotoOptions } from "../../src/ofproto/types.ts";
import { parseActions } from "../../src/openflow/actions/registry.ts";
import type { FlowMod } from "../../src/openflow/messages.ts";

class NoStreams implements StreamFactory {
  connect(): Promise<Stream> {
    return Promise.reject(Object.assign(new Error("Connection refused"), { code: "ECONNREFUSED" }));
  }
  listen(): Promise<StreamServer> {
    return Promise.reject(new Error("no streams here"));
  }
}

/** A dummy port that keeps the frames it was sent. */
export class TestPort extends DummyNetdev {
  readonly sent: Uint8Array[] = [];

  override send(packet: Packet): void {
    this.sent.push(packet.data.slice(packet.offset, packet.offset + packet.length));
    super.send(packet);
  }
}

export const BUNDLE: Omit<BundleConfig, "name" | "ports"> = {
  vlanMode: "trunk",
  tag: undefined,
  trunks: [],
  cvlans: [],
  qinqEthtype: 0x88a8,
  priorityTags: "no",
  protected: false,
  queueDscp: new Map(),
};

export class SimSwitch {
  readonly clock = new SimClock();
  readonly dpif: Dpif;
  readonly backer: Backer;
  readonly bridges = new Map<string, Ofproto>();
  readonly ports = new Map<string, TestPort>();
  readonly logged: string[] = [];
  private readonly context: DummyContext;
  private readonly commands;

  constructor(options: Pick<BackerOptions, "realNow"> = {}) {
    const log = (module: string, level: string, message: string) =>
      this.logged.push(`${module}|${level}|${message}`);
    this.dpif = openLocalDpif({ type: "dummy", name: "ovs-dummy", clock: this.clock });
    this.backer = new Backer({ ...options, type: "dummy", dpif: this.dpif, clock: this.clock, log });
    this.context = {
      clock: this.clock,
      streams: new NoStreams(),
      files: { create: () => {}, append: () => {} },
      made: 0,
    };
    this.commands = new Map(ofprotoCommands(() => [this.backer]).map((command) => [command.name, command]));
  }

  /** A bridge with its LOCAL port. */
  async addBridge(
    name: string,
    streams: StreamFactory = new NoStreams(),
    rundir?: string,
    nextHopMac?: OfprotoOptions["nextHopMac"],
  ): Promise<Ofproto> {
    const ofproto = new Ofproto({
      name,
      backer: this.backer,
      clock: this.clock,
      streams,
      log: (module, level, message) => this.logged.push(`${module}|${level}|${message}`),
      rundir,
      random: () => 0.5,
      nextHopMac,
    });
    this.bridges.set(name, ofproto);
    await this.addPort(name, name);
    return ofproto;
  }

  async addPort(
    bridge: string,
    name: string,
    bundle: Partial<BundleConfig> = {},
    request?: number,
  ): Promise<number> {
    const ofproto = this.bridges.get(bridge)!;
    const port = new TestPort(name, "dummy", this.context);
    this.ports.set(name, port);
    const ofPort = await ofproto.portAdd(port, request);
    ofproto.setBundle(name, { ...BUNDLE, name, ports: [ofPort], ...bundle });
    return ofPort;
  }

  /** Two patch ports that name each other. */
  async join(bridgeA: string, nameA: string, bridgeB: string, nameB: string): Promise<void> {
    const provider = patchProvider(this.clock, () => "02:00:00:00:00:01");
    for (const [bridge, name, peer] of [
      [bridgeA, nameA, nameB],
      [bridgeB, nameB, nameA],
    ] as const) {
      const ofproto = this.bridges.get(bridge)!;
      const netdev = provider.open(name);
      netdev.setConfig(new Map([["peer", peer]]));
      const ofPort = await ofproto.portAdd(netdev, undefined);
      ofproto.setBundle(name, { ...BUNDLE, name, ports: [ofPort] });
    }
  }

  /** What ovs-appctl would print, or the error it would show. */
  async appctl(name: string, ...args: string[]): Promise<string> {
    try {
      return await this.commands.get(name)!.run(args);
    } catch (error) {
      return `error: ${(error as Error).message}`;
    }
  }

  /** A flow_mod from ovs-ofctl's syntax, "MATCH,... actions=...". */
  flowMod(bridge: string, text: string, command = 0, extra: Partial<FlowMod> = {}): void {
    this.bridges.get(bridge)!.flowMod(flowModOf(text, command, extra));
  }

  /** Hands a frame made from a flow's text to a port; returns which ports sent what. */
  receive(port: string, flow: string | Uint8Array): Map<string, Uint8Array[]> {
    const bytes = typeof flow === "string" ? frame(flow) : flow;
    const before = new Map([...this.ports].map(([name, each]) => [name, each.sent.length]));
    const data = new Uint8Array(bytes.length + 128);
    data.set(bytes, 128);
    this.ports.get(port)!.receive!(makePacket(data, 128, bytes.length));
    const out = new Map<string, Uint8Array[]>();
    for (const [name, each] of this.ports) {
      const sent = each.sent.slice(before.get(name));
      if (sent.length > 0) out.set(name, sent);
    }
    return out;
  }

  /** The names of the ports that a frame leaves by, in order of name. */
  outputs(port: string, flow: string | Uint8Array): string {
    return [...this.receive(port, flow).keys()].sort().join(" ");
  }

  async warp(ms: number): Promise<void> {
    await this.clock.warp(ms, Math.min(ms, 500));
    await this.backer.settled();
  }

  async close(): Promise<void> {
    for (const ofproto of this.bridges.values()) await ofproto.close(true);
    await this.backer.close();
    await this.dpif.close();
  }
}

export function frame(text: string): Uint8Array {
  const parsed = parseExactFlow(text);
  if ("error" in parsed) throw new Error(parsed.error);
  return composePacket(parsed.flow);
}

export function flowModOf(text: string, command: number, extra: Partial<FlowMod> = {}): FlowMod {
  const [head = "", actionText = ""] = text.split(/,?\s*actions=/);
  const attributes: Record<string, number> = {};
  const rest: string[] = [];
  for (const item of head.split(/[,\s]+/)) {
    const found = /^(priority|idle_timeout|hard_timeout|table|cookie)=(.*)$/.exec(item);
    if (found !== null) attributes[found[1]!] = Number(found[2]);
    else if (item !== "") rest.push(item);
  }
  const parsed = parseMatch(rest.join(","));
  if ("error" in parsed) throw new Error(parsed.error);
  const { priority = 32768, idle_timeout = 0, hard_timeout = 0, table, cookie = 0 } = attributes;
  return {
    type: "flow-mod",
    command,
    match: parsed.match,
    priority,
    cookie: 0n,
    cookieMask: 0n,
    newCookie: BigInt(cookie),
    modifyCookie: false,
    table: table ?? (command >= 3 ? 255 : 0),
    idleSec: idle_timeout,
    hardSec: hard_timeout,
    importance: 0,
    bufferId: 0xffffffff,
    outPort: 0xffff,
    outGroup: 0xffffffff,
    flags: 0,
    actions: actionText === "" || actionText === "drop" ? [] : parseActions(actionText).actions,
    ...extra,
  };
}
