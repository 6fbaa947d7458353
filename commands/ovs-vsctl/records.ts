/** How rows of the Open_vSwitch database are named on ovs-vsctl's command lines, besides by UUID. */
import type { RecordIds } from "../../src/ovsdb/ctl/records.ts";

const NAME = { kind: "name", column: "name" } as const;
const ofBridge = (column: string) => ({ kind: "via", table: "Bridge", name: "name", column }) as const;

export const RECORD_IDS: RecordIds = {
  AutoAttach: [ofBridge("auto_attach")],
  Bridge: [NAME],
  Controller: [ofBridge("controller")],
  Flow_Sample_Collector_Set: [{ kind: "name", column: "id" }],
  Flow_Table: [NAME],
  IPFIX: [ofBridge("ipfix")],
  Interface: [NAME],
  Manager: [{ kind: "name", column: "target" }],
  Mirror: [NAME],
  NetFlow: [ofBridge("netflow")],
  Open_vSwitch: [{ kind: "only" }],
  Port: [NAME],
  QoS: [{ kind: "via", table: "Port", name: "name", column: "qos" }],
  SSL: [{ kind: "only" }],
  sFlow: [ofBridge("sflow")],
};
