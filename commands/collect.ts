/** `ovsbox collect`: a collector of sFlow, IPFIX and NetFlow for people. */
import { type CollectedProtocol, Collector } from "../src/export/codec/collector.ts";
import { toJson, toLines, totalsLine } from "../src/export/codec/describe.ts";
import { CodecError } from "../src/export/codec/layout.ts";
import { extractFlow, OFS_WORDS } from "../src/flow/extract.ts";
import { FLOW_WORDS } from "../src/flow/layout.ts";
import { formatFlow } from "../src/flow/match-text.ts";
import { fatalErrno, runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { nodeDatagrams } from "../src/lib/datagram-node.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import { splitAddress } from "../src/lib/stream-name.ts";
import { realPlatform } from "./platform.ts";

const PROGRAM = "ovsbox collect";
const DEFAULT_PORTS: Readonly<Record<CollectedProtocol, number>> = {
  sflow: 6343,
  ipfix: 4739,
  netflow: 2055,
};

interface Settings {
  listen: string | undefined;
  json: boolean;
  count: number;
}

export function main(args: string[]): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, PROGRAM, () => run(platform, args));
}

function options(platform: Platform, settings: Settings): OptionGroup[] {
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        {
          long: "listen",
          arg: "required",
          metavar: "[ADDRESS:]PORT",
          help: "receive there (default: all addresses, ports 6343, 4739 and 2055)",
          set: (value) => void (settings.listen = value),
        },
        {
          long: "format",
          arg: "required",
          metavar: "text|json",
          help: "a line of JSON a datagram, instead of text",
          set: (value) => {
            if (value !== "text" && value !== "json") throw new Fatal(`unknown output format "${value}"`);
            settings.json = value === "json";
          },
        },
        {
          long: "count",
          short: "c",
          arg: "required",
          metavar: "N",
          help: "end after N datagrams",
          set: (value) => {
            settings.count = Number(value);
            if (!Number.isInteger(settings.count) || settings.count < 1)
              throw new Fatal(`bad count "${value}"`);
          },
        },
      ],
    },
    helpTextOptions(
      platform,
      PROGRAM,
      () =>
        `${PROGRAM}: shows what a collector of sFlow, IPFIX and NetFlow gets\n` +
        `usage: ${PROGRAM} [OPTIONS] [sflow|ipfix|netflow]\n` +
        "Prints each datagram decoded, then running totals; ^C ends. The protocol is told by a datagram's first bytes,\n" +
        "and others than the one that is named are reported as not understood. Templates of IPFIX and NetFlow 9 are\n" +
        "learned from each exporter; data whose template has not come yet, and datagrams or records that are missing\n" +
        "by their sequence numbers, are counted and said. Point a bridge at it, for example, by\n" +
        '  ovs-vsctl -- --id=@s create sFlow targets=\\"127.0.0.1\\" sampling=64 -- set bridge br0 sflow=@s\n' +
        formatOptions(groups),
    ),
  ];
  return groups;
}

async function run(platform: Platform, args: string[]): Promise<number> {
  const settings: Settings = { listen: undefined, json: false, count: Number.POSITIVE_INFINITY };
  const words = getopt(PROGRAM, options(platform, settings), args);
  if (words.length > 1) throw new Fatal("at most one non-option argument accepted; use --help for usage");
  const only = words[0] as CollectedProtocol | undefined;
  if (only !== undefined && !Object.hasOwn(DEFAULT_PORTS, only)) {
    throw new Fatal(`"${only}" is none of sflow, ipfix, netflow`);
  }
  const collector = new Collector(only);
  const stop = Promise.withResolvers<number>();
  const receive = (bytes: Uint8Array, from: string): void => {
    show(platform, settings, collector, bytes, from);
    if (collector.totals.datagrams >= settings.count) stop.resolve(0);
  };
  const listeners = [];
  for (const { host, port } of places(settings.listen, only)) {
    try {
      listeners.push(await nodeDatagrams.listen(host, port, receive));
    } catch (error) {
      throw fatalErrno(error, `${host}:${port}: cannot listen`);
    }
  }
  platform.stderr(`listening on UDP ${listeners.map((listener) => listener.port).join(", ")}\n`);
  platform.process.onSignal("SIGINT", () => stop.resolve(0));
  platform.process.onSignal("SIGTERM", () => stop.resolve(0));
  const status = await stop.promise;
  for (const listener of listeners) listener.close();
  if (settings.json) platform.stdout(`${JSON.stringify({ totals: collector.totals })}\n`);
  return platform.exit(status);
}

function places(
  listen: string | undefined,
  only: CollectedProtocol | undefined,
): { host: string; port: number }[] {
  if (listen === undefined) {
    const ports = only === undefined ? Object.values(DEFAULT_PORTS) : [DEFAULT_PORTS[only]];
    return ports.map((port) => ({ host: "0.0.0.0", port }));
  }
  const address = /^\d+$/.test(listen) ? { host: "0.0.0.0", port: listen } : splitAddress(listen);
  const port = address?.port === "" ? DEFAULT_PORTS[only ?? "sflow"] : Number(address?.port);
  if (address === undefined || !(port >= 0 && port < 65536)) {
    throw new Fatal(`${listen}: bad address (expected [ADDRESS:]PORT)`);
  }
  return [{ host: address.host, port }];
}

function show(
  platform: Platform,
  settings: Settings,
  collector: Collector,
  bytes: Uint8Array,
  from: string,
): void {
  let lines: string[];
  try {
    const decoded = collector.receive(bytes, from);
    if (settings.json) {
      platform.stdout(`${JSON.stringify(toJson(decoded, from))}\n`);
      return;
    }
    lines = toLines(decoded, from, describeFrame);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
    if (settings.json) {
      platform.stdout(`${JSON.stringify({ from, error: error.message })}\n`);
      return;
    }
    lines = [`from ${from}: ${error.message}`];
  }
  lines.push(`total: ${totalsLine(collector.totals)}`);
  platform.stdout(`${lines.join("\n")}\n`);
}

/** The headers of a sampled frame, as ovs-ofctl would print them. */
function describeFrame(frame: Uint8Array): string {
  const flow = new Int32Array(FLOW_WORDS);
  extractFlow(frame, 0, frame.length, flow, new Int32Array(OFS_WORDS));
  return formatFlow(flow);
}
