/** --sort and --rsort: orders flows by priority or by a field's value; flows without the field come last (or first). */
import { fieldByName, fieldByOxmName, getFieldBig, isFieldZero } from "../../src/flow/fields/index.ts";
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
      const inA = !isFieldZero(f, a.match.mask);
      const inB = !isFieldZero(f, b.match.mask);
      if (!inA || !inB) {
        if (inA !== inB) return inA ? -1 : 1;
        continue;
      }
      const x = getFieldBig(f, a.match.flow);
      const y = getFieldBig(f, b.match.flow);
      order = x < y ? -1 : x > y ? 1 : 0;
    }
    if (order !== 0) return descending ? -order : order;
  }
  return 0;
}
