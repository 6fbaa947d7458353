/**
 * The table of the NSDI 2015 paper on Open vSwitch that switches on one technique of the classifier at a time
 * (Pfaff et al., "The Design and Implementation of Open vSwitch", section 7.2): how many megaflows, and of how many
 * masks, a million connections leave behind. Deterministic; beside each number stands the paper's.
 *
 * The paper names its four rules, not its packets. Here every packet is a TCP packet with two random ports: one in nine
 * goes to 11.1.0.1, one in 5000 to 9.1.1.1, where ports matter, the others to 9.1.1.2; an ARP and an IPv6 packet stand
 * for what else a network carries. There is no limit to the megaflows.
 */
import { fileURLToPath } from "node:url";
import { compactMask, FlowTable, makeCompactMask } from "../../src/datapath/userspace/flow-table.ts";
import { Classifier, type ClassifierOptions } from "../../src/flow/classifier/classifier.ts";
import {
  FLOW_WORDS,
  W_ETH_TYPE,
  W_IN_PORT,
  W_IPV4_DST,
  W_IPV4_SRC,
  W_NW,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_TP,
} from "../../src/flow/layout.ts";
import { parseMatch } from "../../src/flow/match-text.ts";

const PACKETS = 1_000_000;
/** Highest priority first. */
const RULES = [
  "arp",
  "ip,ip_dst=11.1.1.1/16",
  "tcp,ip_dst=9.1.1.1,tcp_src=10,tcp_dst=10",
  "ip,ip_dst=9.1.1.1/24",
];

type Technique = NonNullable<ClassifierOptions["without"]>[number];
const ALL: readonly Technique[] = ["priorities", "tries", "stages", "ports"];

interface Row {
  readonly name: string;
  readonly techniques: readonly Technique[];
  readonly paper: { readonly flows: number; readonly masks: number };
}

/** The trie of ports is part of the last stage, and of prefix tracking. */
const ROWS: readonly Row[] = [
  { name: "none", techniques: [], paper: { flows: 905_758, masks: 3 } },
  { name: "priority sorting", techniques: ["priorities"], paper: { flows: 794_124, masks: 4 } },
  { name: "prefix tracking", techniques: ["tries", "ports"], paper: { flows: 13, masks: 10 } },
  { name: "staged lookup", techniques: ["stages", "ports"], paper: { flows: 14, masks: 13 } },
  { name: "all", techniques: ALL, paper: { flows: 15, masks: 14 } },
];

export interface NsdiResult {
  readonly name: string;
  readonly flows: number;
  readonly masks: number;
  readonly paper: Row["paper"];
}

/** What a translation always matches on, as XlateContext.begin and megaflowMask have it. */
function always(mask: Int32Array, type: number): void {
  mask[W_IN_PORT] = -1;
  mask[W_RECIRC_ID] = -1;
  mask[W_PACKET_TYPE] = -1;
  mask[W_ETH_TYPE] = 0xffff;
  if (type !== 0x0806) mask[W_NW] = mask[W_NW]! | (0xff000000 | 0);
  // An IPv6 packet has no IPv4 address.
  if (type === 0x86dd) mask[W_IPV4_DST] = 0;
}

function makeClassifier(techniques: readonly Technique[]): Classifier {
  const classifier = new Classifier({ without: ALL.filter((each) => !techniques.includes(each)) });
  RULES.forEach((text, index) => {
    const parsed = parseMatch(text);
    if ("error" in parsed) throw new Error(parsed.error);
    classifier.insert(parsed.match, RULES.length - index);
  });
  return classifier;
}

function measure({ name, techniques, paper }: Row, packets: number): NsdiResult {
  const classifier = makeClassifier(techniques);
  const cache = new FlowTable(packets * 2);
  const flow = new Int32Array(FLOW_WORDS);
  const mask = new Int32Array(FLOW_WORDS);
  const compact = makeCompactMask();
  let flows = 0;
  const see = () => {
    if (cache.lookup(flow) >= 0) return;
    mask.fill(0);
    classifier.lookup(flow, mask);
    always(mask, flow[W_ETH_TYPE]!);
    compactMask(mask, compact);
    cache.insert(flows++, flow, compact);
  };
  let seed = 1;
  const random = () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed;
  };
  flow[W_IN_PORT] = 1;
  flow[W_IPV4_SRC] = 0x0a000001;
  flow[W_IPV4_DST] = 0x09010102;
  flow[W_ETH_TYPE] = 0x0806;
  flow[W_NW] = 1;
  see();
  flow[W_IPV4_SRC] = 0;
  flow[W_IPV4_DST] = 0;
  flow[W_ETH_TYPE] = 0x86dd;
  flow[W_NW] = 6;
  see();
  flow[W_IPV4_SRC] = 0x0a000001;
  flow[W_ETH_TYPE] = 0x0800;
  for (let i = 0; i < packets; i++) {
    flow[W_TP] = random();
    flow[W_IPV4_DST] = i % 9 === 0 ? 0x0b010001 : i % 5000 === 1 ? 0x09010101 : 0x09010102;
    see();
  }
  return { name, flows, masks: cache.subtables.length, paper };
}

export function nsdiTable(): NsdiResult[] {
  return ROWS.map((row) => measure(row, PACKETS));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  console.log("| techniques | megaflows | paper | masks | paper |\n|---|---|---|---|---|");
  for (const { name, flows, masks, paper } of nsdiTable())
    console.log(`| ${name} | ${flows} | ${paper.flows} | ${masks} | ${paper.masks} |`);
}
