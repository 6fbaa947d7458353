/** fdb/*: the MAC learning tables. */
import type { Json } from "../lib/json.ts";
import { formatMacWords, macToNumber, parseMac } from "../lib/mac.ts";
import type { MacEntry } from "../protocols/mac-learning.ts";
import type { CommandScope, OfprotoCommand } from "./commands.ts";
import type { Ofproto } from "./ofproto.ts";
import type { PortBundle } from "./port-bundle.ts";
import { OFPP_LOCAL } from "./types.ts";

type Entry = MacEntry<PortBundle>;

function portText(entry: Entry): string {
  const port = entry.port.ports[0];
  if (port === undefined) return "?";
  return port.ofPort === OFPP_LOCAL ? "LOCAL" : String(port.ofPort);
}

function macText({ mac }: Entry): string {
  return formatMacWords(Math.floor(mac / 0x1_0000_0000), (mac % 0x1_0000_0000) | 0);
}

function show(ofproto: Ofproto): string {
  const now = ofproto.clock.now();
  const lines = [" port  VLAN  MAC                Age"];
  for (const entry of ofproto.mac.entries()) {
    const mac = macText(entry);
    const age = entry.isStatic
      ? "  static"
      : `  ${String(Math.floor((now - entry.seenMs) / 1000)).padStart(3)}`;
    lines.push(`${portText(entry).padStart(5)}  ${String(entry.vlan).padStart(4)}  ${mac}${age}`);
  }
  return `${lines.join("\n")}\n`;
}

function showJson(ofproto: Ofproto): Json {
  const now = ofproto.clock.now();
  return [...ofproto.mac.entries()].map((entry) => ({
    port: entry.port.ports[0]?.ofPort ?? null,
    vlan: entry.vlan,
    mac: macText(entry),
    ...(entry.isStatic ? { static: true } : { age: Math.floor((now - entry.seenMs) / 1000) }),
  }));
}

function showStats(ofproto: Ofproto): string {
  const { mac, name } = ofproto;
  return [
    `Statistics for bridge "${name}":`,
    `  Current/maximum MAC entries in the table: ${mac.size}/${mac.maxEntries}`,
    `  Current static MAC entries in the table : ${mac.statics}`,
    `  Total number of learned MAC entries     : ${mac.learned}`,
    `  Total number of expired MAC entries     : ${mac.expired}`,
    `  Total number of evicted MAC entries     : ${mac.evicted}`,
    `  Total number of port moved MAC entries  : ${mac.moved}`,
    "",
  ].join("\n");
}

function add(ofproto: Ofproto, portName: string, vlanText: string, macText: string): string {
  const bundle = ofproto.portStateByName(portName)?.bundle;
  if (bundle === undefined) throw new Error("software error, odp port is present but no ofp port");
  const mac = parseMac(macText);
  if (mac === undefined) throw new Error("bad MAC address");
  const vlan = Number.parseInt(vlanText, 10);
  const old = ofproto.mac.lookup(macToNumber(mac), vlan & 0xfff);
  if (ofproto.mac.addStatic(macToNumber(mac), vlan & 0xfff, bundle, ofproto.clock.now()))
    ofproto.backer.changed();
  if (old === undefined) return "";
  return `Overriding already existing ${old.isStatic ? "static" : "dynamic"} entry on ${portText(old)}\n`;
}

function del(ofproto: Ofproto, vlanText: string, macText: string): string {
  const mac = parseMac(macText);
  if (mac === undefined) throw new Error("bad MAC address");
  const vlan = Number.parseInt(vlanText, 10);
  if (!(vlan >= 0 && vlan < 4096) || !ofproto.mac.delStatic(macToNumber(mac), vlan)) {
    throw new Error("could not find static mac entry");
  }
  ofproto.backer.changed();
  return "";
}

export function fdbCommands(scope: CommandScope): OfprotoCommand[] {
  const chosen = (args: readonly string[]) =>
    args[0] === undefined ? scope.bridges() : [scope.bridge(args[0])];
  return [
    {
      name: "fdb/add",
      usage: "bridge port vlan mac",
      minArgs: 4,
      maxArgs: 4,
      run: (args) => add(scope.bridge(args[0]!), args[1]!, args[2]!, args[3]!),
    },
    {
      name: "fdb/del",
      usage: "bridge vlan mac",
      minArgs: 3,
      maxArgs: 3,
      run: (args) => del(scope.bridge(args[0]!), args[1]!, args[2]!),
    },
    {
      name: "fdb/flush",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      run: (args) => {
        for (const ofproto of chosen(args)) ofproto.flushMacs();
        return "table successfully flushed";
      },
    },
    {
      name: "fdb/show",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 1,
      run: (args) => show(scope.bridge(args[0]!)),
      json: (args) => showJson(scope.bridge(args[0]!)),
    },
    {
      name: "fdb/stats-clear",
      usage: "[bridge]",
      minArgs: 0,
      maxArgs: 1,
      run: (args) => {
        for (const ofproto of chosen(args)) ofproto.mac.clearStats();
        return "statistics successfully cleared";
      },
    },
    {
      name: "fdb/stats-show",
      usage: "bridge",
      minArgs: 1,
      maxArgs: 1,
      run: (args) => showStats(scope.bridge(args[0]!)),
    },
  ];
}
