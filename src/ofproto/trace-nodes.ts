/**
 * What ofproto/trace prints: a tree that translation fills in when somebody asks, and its layout as text (upstream:
 * `struct ofproto_trace_node`).
 *
 * A step that is the last thing its parent does continues at the parent's own depth, so that a chain of tables reads
 * as a list; anything else is indented below the step that caused it.
 */
import type { Json } from "../lib/json.ts";

export const OFT_BRIDGE = 0;
export const OFT_TABLE = 1;
export const OFT_ACTION = 2;
export const OFT_DETAIL = 3;
export const OFT_WARN = 4;
export const OFT_ERROR = 5;
export const OFT_BUCKET = 6;
export const OFT_THAW = 7;
export type TraceType = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7;

export interface TraceNode {
  type: TraceType;
  text: string;
  subs: TraceNode[];
}

/** Names of the types, for programs. */
const TYPE_NAMES = ["bridge", "table", "action", "detail", "warning", "error", "bucket", "thaw"] as const;

/** The tree for `--format=json`: each step with what it led to. */
export function traceJson(nodes: readonly TraceNode[]): Json[] {
  return nodes.map(({ type, text, subs }) => ({
    type: TYPE_NAMES[type],
    text,
    ...(subs.length === 0 ? {} : { steps: traceJson(subs) }),
  }));
}

const DECORATED: Readonly<Record<number, readonly [string, string]>> = {
  [OFT_DETAIL]: [" -> ", ""],
  [OFT_WARN]: [" >> ", ""],
  [OFT_ERROR]: [" >>>> ", " <<<<"],
};

/** Appends the tree's lines to `lines`. */
export function formatTrace(nodes: readonly TraceNode[], lines: string[]): void {
  formatNodes(nodes, 0, 0, false, lines);
}

/**
 * `place` is where bridges and tables of this list begin, in units of four spaces; `base` the depth that their own
 * steps count from (one more than `place` tells in a nested list); `inherited`: some ancestor has more to do.
 */
function formatNodes(
  nodes: readonly TraceNode[],
  place: number,
  base: number,
  inherited: boolean,
  lines: string[],
): void {
  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]!;
    const more = inherited || i < nodes.length - 1;
    switch (node.type) {
      case OFT_BRIDGE: {
        const indent = " ".repeat(place * 4);
        lines.push("", indent + node.text, indent + "-".repeat(node.text.length));
        formatNodes(node.subs, base, base, more, lines);
        break;
      }
      case OFT_THAW: {
        lines.push(" ".repeat((base + 1) * 4) + node.text);
        const last = node.subs.length - 1;
        for (const [at, { text }] of node.subs.entries())
          lines.push(" ".repeat((base + (at === last ? 2 : 3)) * 4) + text);
        break;
      }
      case OFT_TABLE:
        lines.push(" ".repeat(place * 4) + node.text);
        formatNodes(node.subs, base, base, more, lines);
        break;
      case OFT_BUCKET: {
        const own = detailPlace(place, base);
        lines.push(" ".repeat(own * 4) + node.text);
        formatNodes(node.subs, own + 1, own + 1, false, lines);
        break;
      }
      case OFT_ACTION:
        lines.push(" ".repeat((base + 1) * 4) + node.text);
        if (more) formatNodes(node.subs, base + 1, base + 2, false, lines);
        else formatNodes(node.subs, base, base, false, lines);
        break;
      default: {
        const [before, after] = DECORATED[node.type]!;
        // Details belong to the action above them: its children's list began one unit left of where it is itself.
        lines.push(" ".repeat(detailPlace(place, base) * 4) + before + node.text + after);
        formatNodes(node.subs, base, base, more, lines);
      }
    }
  }
}

/** Where the action stands whose list of children has this place and base. */
function detailPlace(place: number, base: number): number {
  return base > place ? place : base + 1;
}
