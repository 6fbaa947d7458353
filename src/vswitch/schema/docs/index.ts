/** Documentation of the whole Open_vSwitch schema, by table. Imported by generators and help only. */
import type { openVswitchSchema } from "../index.ts";
import { autoAttachDoc, bridgeDoc, flowTableDoc } from "./bridge.ts";
import { controllerDoc, managerDoc, sslDoc } from "./connection.ts";
import { ctTimeoutPolicyDoc, ctZoneDoc, datapathDoc } from "./datapath.ts";
import type { TableDoc } from "./doc.ts";
import { flowSampleCollectorSetDoc, ipfixDoc, netflowDoc, sflowDoc } from "./export.ts";
import { interfaceDoc } from "./interface.ts";
import { mirrorDoc } from "./mirror.ts";
import { openVswitchDoc } from "./open-vswitch.ts";
import { portDoc } from "./port.ts";
import { qosDoc, queueDoc } from "./qos.ts";

export const openVswitchDocs: { readonly [T in keyof (typeof openVswitchSchema)["tables"]]: TableDoc } = {
  Open_vSwitch: openVswitchDoc,
  Bridge: bridgeDoc,
  Port: portDoc,
  Interface: interfaceDoc,
  Flow_Table: flowTableDoc,
  QoS: qosDoc,
  Queue: queueDoc,
  Mirror: mirrorDoc,
  NetFlow: netflowDoc,
  sFlow: sflowDoc,
  IPFIX: ipfixDoc,
  Flow_Sample_Collector_Set: flowSampleCollectorSetDoc,
  Controller: controllerDoc,
  Manager: managerDoc,
  Datapath: datapathDoc,
  CT_Zone: ctZoneDoc,
  CT_Timeout_Policy: ctTimeoutPolicyDoc,
  SSL: sslDoc,
  AutoAttach: autoAttachDoc,
};
