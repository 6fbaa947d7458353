/**
 * The JSON of commands that answer with a list, a table or an outline: `ovs-appctl --format=json` gives what a reader of
 * their text would take from it, so that both say the same. (Commands that know more than they print make their own.)
 */
import { blocks, parseCoverage, parseDatapaths, parseMegaflow, parseMemory } from "./control-text.ts";
import type { Json } from "./json.ts";

type Reader = (text: string) => Json;

const lines = (text: string): string[] => text.split("\n").filter((line) => line.trim() !== "");

const list: Reader = (text) => lines(text).map((line) => line.trim());

/** Without members that are undefined. */
const plain = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

/** Numbers and truth values as such; "Yes" and "No" stay the words that they are. */
function atom(text: string): Json {
  if (/^-?\d{1,15}(\.\d+)?$/.test(text)) return Number(text);
  if (text === "true" || text === "false") return text === "true";
  return text;
}

/** "key: value" lines, under headings that are less indented; what is neither is in "text". */
const outline: Reader = (text) => {
  type Node = { [key: string]: Json };
  const root: Node = {};
  const open: { indent: number; node: Node }[] = [{ indent: -1, node: root }];
  for (const line of lines(text)) {
    const indent = line.search(/\S/);
    while (open.length > 1 && open.at(-1)!.indent >= indent) open.pop();
    const { node } = open.at(-1)!;
    // A key may have colons, as a target has, but none that a space follows.
    const heading = /^\s*(.+?)\s*:$/.exec(line)?.[1];
    const [, key, value] = /^\s*(.+?)\s*:\s+(.*)$/.exec(line) ?? [];
    if (heading !== undefined) {
      const inner: Node = {};
      node[heading] = inner;
      open.push({ indent, node: inner });
    } else if (key !== undefined) node[key] = atom(value!);
    else node.text = node.text === undefined ? line.trim() : `${node.text as string}\n${line.trim()}`;
  }
  return root;
};

/** Columns under a first line that names them, each name over its column's first letter. */
function columns(names: readonly string[]): Reader {
  return (text) =>
    lines(text)
      .slice(2)
      .map((line) => {
        const words = line.trim().split(/\s+/);
        return Object.fromEntries(names.map((name, i) => [name, words[i]!])) as Json;
      });
}

const coverage: Reader = (text) =>
  Object.fromEntries(
    [...parseCoverage(text)].map(([name, { fiveSeconds, minute, hour, total }]) => [
      name,
      { "5s": fiveSeconds, "1m": minute, "1h": hour, total },
    ]),
  );

const megaflows: Reader = (text) =>
  lines(text).flatMap((line) => {
    const found = parseMegaflow(line);
    if (found === undefined) return [];
    const { ufid, key: flow, packets, bytes, usedSec, flags, dp, actions } = found;
    return [
      plain({ ufid, flow, packets, bytes, used: usedSec < 0 ? undefined : usedSec, flags, dp, actions }),
    ];
  });

const FLOW =
  /^(?:table_id=(\d+), )?(?:cookie=(\S+), )?duration=(\d+)s, n_packets=(\d+), n_bytes=(\d+), (?:priority=(\d+),?)?(.*?),?actions=(.*)$/;
const DEFAULT_PRIORITY = 32768;

const flows: Reader = (text) =>
  lines(text).flatMap((line) => {
    const match = FLOW.exec(line);
    if (match === null) return [];
    const [, table, cookie, duration, packets, bytes, priority, flow, actions] = match;
    return [
      plain({
        table: Number(table ?? 0),
        cookie,
        duration: Number(duration),
        packets: Number(packets),
        bytes: Number(bytes),
        priority: Number(priority ?? DEFAULT_PRIORITY),
        match: flow,
        actions,
      }),
    ];
  });

/** "name : (key value) (key value)" under each datapath. */
const upcalls: Reader = (text) => {
  const found: { [name: string]: Json } = {};
  for (const block of blocks(text)) {
    const name = /^(\S+):$/m.exec(block)?.[1];
    if (name === undefined) continue;
    const numbers = (label: string): { [key: string]: Json } => {
      const line = new RegExp(`^ +${label} *: (.*)$`, "m").exec(block)?.[1] ?? "";
      return Object.fromEntries(
        [...line.matchAll(/\(([a-z][a-z ]*?) (\d+)[^)]*\)/g)].map(([, key, value]) => [key!, Number(value)]),
      );
    };
    found[name] = {
      flows: numbers("flows"),
      masks: numbers("masks"),
      dump_duration_ms: Number(/dump duration : (\d+)ms/.exec(block)?.[1] ?? 0),
      ufid: /ufid enabled : true/.test(block),
    };
  }
  return found;
};

const patterns: Reader = (text) =>
  Object.fromEntries(
    lines(text)
      .slice(2)
      .map((line) => {
        const [, destination, prefix, format] = /^(\S+) +(.*?) {2,}(.*)$/.exec(line)!;
        return [destination!, { prefix: prefix!, format: format! }];
      }),
  );

const READERS: Readonly<Record<string, Reader>> = {
  "bond/list": list,
  "bridge/dump-flows": flows,
  "coverage/show": coverage,
  "dpctl/dump-dps": list,
  "dpctl/dump-flows": megaflows,
  "dpctl/get-flow": megaflows,
  "dpctl/show": (text) => plain(parseDatapaths(text)),
  "dpif-ebpf/show": outline,
  "dpif-netdev/pmd-stats-show": outline,
  "dpif/dump-dps": list,
  "dpif/dump-flows": megaflows,
  "dpif/show-dp-features": outline,
  "exports/show": outline,
  "fdb/stats-show": outline,
  "memory/show": (text) => Object.fromEntries(parseMemory(text)),
  "ofproto/list": list,
  "ofproto/list-tunnels": list,
  "ovsdb-server/get-sync-exclude-tables": list,
  "ovsdb-server/list-dbs": list,
  "ovsdb-server/list-remotes": list,
  "ovsdb-server/sync-status": outline,
  "qos/show": outline,
  "qos/show-types": (text) => lines(text).map((line) => line.replace(/^QoS type: /, "")),
  "upcall/show": upcalls,
  "vlog/list": columns(["module", "console", "syslog", "file"]),
  "vlog/list-pattern": patterns,
};

/** The JSON of a command's reply; undefined: it is a text, and no more. */
export function readReply(command: string, text: string): Json | undefined {
  return Object.hasOwn(READERS, command) ? READERS[command]!(text) : undefined;
}
