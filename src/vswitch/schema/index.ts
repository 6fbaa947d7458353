/**
 * The Open_vSwitch database schema, as data: the one place from which the `.ovsschema` file (render.ts), the types of
 * the Idl, the manual page and help texts come. Documentation is kept apart (docs/), so that no command loads it.
 */
import type { DatabaseSchema } from "../../ovsdb/idl-types.ts";
import { autoAttach, bridge, flowTable } from "./bridge.ts";
import { controller, manager, ssl } from "./connection.ts";
import { ctTimeoutPolicy, ctZone, datapath } from "./datapath.ts";
import { flowSampleCollectorSet, ipfix, netflow, sflow } from "./export.ts";
import { interfaceTable } from "./interface.ts";
import { mirror } from "./mirror.ts";
import { openVswitch } from "./open-vswitch.ts";
import { port } from "./port.ts";
import { qos, queue } from "./qos.ts";

export const openVswitchSchema = {
  name: "Open_vSwitch",
  version: "8.8.0",
  /** POSIX cksum and length of the file that upstream ships for this version; tools compare it. */
  cksum: "2823623553 27869",
  tables: {
    Open_vSwitch: openVswitch,
    Bridge: bridge,
    Port: port,
    Interface: interfaceTable,
    Flow_Table: flowTable,
    QoS: qos,
    Queue: queue,
    Mirror: mirror,
    NetFlow: netflow,
    sFlow: sflow,
    IPFIX: ipfix,
    Flow_Sample_Collector_Set: flowSampleCollectorSet,
    Controller: controller,
    Manager: manager,
    Datapath: datapath,
    CT_Zone: ctZone,
    CT_Timeout_Policy: ctTimeoutPolicy,
    SSL: ssl,
    AutoAttach: autoAttach,
  },
} as const satisfies DatabaseSchema;

export type OpenVswitchSchema = typeof openVswitchSchema;
