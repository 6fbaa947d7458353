/** How rows of the hardware_vtep database are named on vtep-ctl's command lines, besides by UUID. */
import type { RecordIds } from "../../src/ovsdb/ctl/records.ts";

const NAME = { kind: "name", column: "name" } as const;

export const RECORD_IDS: RecordIds = {
  Global: [{ kind: "only" }],
  Logical_Router: [NAME],
  Logical_Switch: [NAME],
  Manager: [{ kind: "name", column: "target" }],
  Physical_Port: [NAME],
  Physical_Switch: [NAME],
};
