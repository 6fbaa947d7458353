/** --sort and --rsort: orders flows by priority or by a field's value; flows without the field come last (or first). */
import {
  type Field,
  fieldByName,
  fieldByOxmName,
  getFieldBig,
  isFieldZero,
} from "../../src/flow/fields/index.ts";
import type { Match } from "../../src/flow/match.ts";
import { readTunBytes } from "../../src/flow/tun-metadata.ts";
import { Fatal } from "../../src/lib/errors.ts";
import type { FlowStats } from "../../src/openflow/messages.ts";

export function compareFlows(
  a: FlowStats,
  b: FlowStats,
  keys: readonly { field: string; descending: boolean }[],
): number {
  for (const { field, descending } of keys) {
    let order = 0;
    if (field === "" || field === "priority") order = a.priority - b.priority;
    else {
      const f = fieldByName(field) ?? fieldByOxmName(field)?.field;
      if (f === undefined) throw new Fatal(`${field}: unknown field name`);
      const x = valueIn(f, a.match);
      const y = valueIn(f, b.match);
      if (x === undefined || y === undefined) {
        if (x !== y) return x !== undefined ? -1 : 1;
        continue;
      }
      order = x < y ? -1 : x > y ? 1 : 0;
    }
    if (order !== 0) return descending ? -order : order;
  }
  // What the fields leave undecided goes by priority, the highest first.
  return keys.some(({ field }) => field === "" || field === "priority") ? 0 : b.priority - a.priority;
}

/** undefined when the match leaves the field open. */
function valueIn(field: Field, { flow, mask, tunMetadata }: Match): bigint | undefined {
  const slot = tunMetadata?.find((candidate) => candidate.field === field);
  if (slot !== undefined) return readTunBytes(flow, slot.offset, slot.bytes);
  return isFieldZero(field, mask) ? undefined : getFieldBig(field, flow);
}
