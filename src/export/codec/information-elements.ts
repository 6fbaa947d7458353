/**
 * Fields of IPFIX and NetFlow 9 records: IANA's "IP Flow Information Export Information Elements" as far as a switch
 * fills them and collectors meet them, and VMware's (enterprise 6876) for tunnels. Numbers below 128 mean the same in
 * NetFlow 9 (RFC 3954 section 8, RFC 7012 section 4).
 */

/** How bytes become a value; unsigned numbers may be sent in fewer bytes than they have (RFC 7011 section 6.2). */
export type ElementType =
  | "unsigned"
  | "ipv4"
  | "ipv6"
  | "mac"
  | "string"
  | "octets"
  | "seconds"
  | "milliseconds";

export interface Element {
  name: string;
  /** 0: IANA's. */
  enterprise: number;
  id: number;
  /** Bytes as this program sends it; 65535 when it varies. */
  length: number;
  type: ElementType;
}

export const VMWARE = 6876;
/** A field length in a template that says that each record has its own (RFC 7011 section 7). */
export const VARIABLE = 65535;

/** [id, length, type] by name. */
const IANA = {
  octetDeltaCount: [1, 8, "unsigned"],
  packetDeltaCount: [2, 8, "unsigned"],
  deltaFlowCount: [3, 8, "unsigned"],
  protocolIdentifier: [4, 1, "unsigned"],
  ipClassOfService: [5, 1, "unsigned"],
  tcpControlBits: [6, 2, "unsigned"],
  sourceTransportPort: [7, 2, "unsigned"],
  sourceIPv4Address: [8, 4, "ipv4"],
  sourceIPv4PrefixLength: [9, 1, "unsigned"],
  ingressInterface: [10, 4, "unsigned"],
  destinationTransportPort: [11, 2, "unsigned"],
  destinationIPv4Address: [12, 4, "ipv4"],
  destinationIPv4PrefixLength: [13, 1, "unsigned"],
  egressInterface: [14, 4, "unsigned"],
  ipNextHopIPv4Address: [15, 4, "ipv4"],
  bgpSourceAsNumber: [16, 4, "unsigned"],
  bgpDestinationAsNumber: [17, 4, "unsigned"],
  postMCastPacketDeltaCount: [19, 8, "unsigned"],
  postMCastOctetDeltaCount: [20, 8, "unsigned"],
  flowEndSysUpTime: [21, 4, "unsigned"],
  flowStartSysUpTime: [22, 4, "unsigned"],
  postOctetDeltaCount: [23, 8, "unsigned"],
  postPacketDeltaCount: [24, 8, "unsigned"],
  minimumIpTotalLength: [25, 8, "unsigned"],
  maximumIpTotalLength: [26, 8, "unsigned"],
  sourceIPv6Address: [27, 16, "ipv6"],
  destinationIPv6Address: [28, 16, "ipv6"],
  flowLabelIPv6: [31, 4, "unsigned"],
  icmpTypeCodeIPv4: [32, 2, "unsigned"],
  samplingInterval: [34, 4, "unsigned"],
  samplingAlgorithm: [35, 1, "unsigned"],
  flowActiveTimeout: [36, 2, "unsigned"],
  flowIdleTimeout: [37, 2, "unsigned"],
  engineType: [38, 1, "unsigned"],
  engineId: [39, 1, "unsigned"],
  exportedMessageTotalCount: [41, 8, "unsigned"],
  exportedFlowRecordTotalCount: [42, 8, "unsigned"],
  samplerId: [48, 1, "unsigned"],
  samplerMode: [49, 1, "unsigned"],
  samplerRandomInterval: [50, 4, "unsigned"],
  minimumTTL: [52, 1, "unsigned"],
  maximumTTL: [53, 1, "unsigned"],
  sourceMacAddress: [56, 6, "mac"],
  vlanId: [58, 2, "unsigned"],
  ipVersion: [60, 1, "unsigned"],
  flowDirection: [61, 1, "unsigned"],
  destinationMacAddress: [80, 6, "mac"],
  interfaceName: [82, VARIABLE, "string"],
  interfaceDescription: [83, VARIABLE, "string"],
  octetTotalCount: [85, 8, "unsigned"],
  packetTotalCount: [86, 8, "unsigned"],
  droppedOctetDeltaCount: [132, 8, "unsigned"],
  droppedPacketDeltaCount: [133, 8, "unsigned"],
  droppedOctetTotalCount: [134, 8, "unsigned"],
  droppedPacketTotalCount: [135, 8, "unsigned"],
  flowEndReason: [136, 1, "unsigned"],
  observationPointId: [138, 4, "unsigned"],
  icmpTypeCodeIPv6: [139, 2, "unsigned"],
  selectorId: [302, 8, "unsigned"],
  exporterIPv4Address: [130, 4, "ipv4"],
  exporterIPv6Address: [131, 16, "ipv6"],
  exportingProcessId: [144, 4, "unsigned"],
  flowId: [148, 8, "unsigned"],
  observationDomainId: [149, 4, "unsigned"],
  flowStartSeconds: [150, 4, "seconds"],
  flowEndSeconds: [151, 4, "seconds"],
  flowStartMilliseconds: [152, 8, "milliseconds"],
  flowEndMilliseconds: [153, 8, "milliseconds"],
  flowStartDeltaMicroseconds: [158, 4, "unsigned"],
  flowEndDeltaMicroseconds: [159, 4, "unsigned"],
  systemInitTimeMilliseconds: [160, 8, "milliseconds"],
  droppedFlowRecordTotalCount: [163, 8, "unsigned"],
  ignoredPacketTotalCount: [164, 8, "unsigned"],
  ignoredOctetTotalCount: [165, 8, "unsigned"],
  notSentFlowTotalCount: [166, 8, "unsigned"],
  notSentPacketTotalCount: [167, 8, "unsigned"],
  notSentOctetTotalCount: [168, 8, "unsigned"],
  postPacketTotalCount: [172, 8, "unsigned"],
  postOctetTotalCount: [171, 8, "unsigned"],
  postMCastPacketTotalCount: [174, 8, "unsigned"],
  postMCastOctetTotalCount: [175, 8, "unsigned"],
  icmpTypeIPv4: [176, 1, "unsigned"],
  icmpCodeIPv4: [177, 1, "unsigned"],
  icmpTypeIPv6: [178, 1, "unsigned"],
  icmpCodeIPv6: [179, 1, "unsigned"],
  udpSourcePort: [180, 2, "unsigned"],
  udpDestinationPort: [181, 2, "unsigned"],
  tcpSourcePort: [182, 2, "unsigned"],
  tcpDestinationPort: [183, 2, "unsigned"],
  ipTTL: [192, 1, "unsigned"],
  ipTotalLength: [224, 8, "unsigned"],
  ipDiffServCodePoint: [195, 1, "unsigned"],
  ipPrecedence: [196, 1, "unsigned"],
  octetDeltaSumOfSquares: [198, 8, "unsigned"],
  octetTotalSumOfSquares: [199, 8, "unsigned"],
  tcpSynTotalCount: [218, 8, "unsigned"],
  tcpFinTotalCount: [219, 8, "unsigned"],
  tcpRstTotalCount: [220, 8, "unsigned"],
  tcpPshTotalCount: [221, 8, "unsigned"],
  tcpAckTotalCount: [222, 8, "unsigned"],
  tcpUrgTotalCount: [223, 8, "unsigned"],
  ethernetHeaderLength: [240, 1, "unsigned"],
  ethernetType: [256, 2, "unsigned"],
  dot1qVlanId: [243, 2, "unsigned"],
  dot1qPriority: [244, 1, "unsigned"],
  dot1qCustomerVlanId: [245, 2, "unsigned"],
  dot1qCustomerPriority: [246, 1, "unsigned"],
  ethernetTotalLength: [242, 2, "unsigned"],
  layer2OctetDeltaCount: [352, 8, "unsigned"],
  layer2OctetTotalCount: [353, 8, "unsigned"],
  ingressUnicastPacketTotalCount: [354, 8, "unsigned"],
  ingressMulticastPacketTotalCount: [355, 8, "unsigned"],
  ingressBroadcastPacketTotalCount: [356, 8, "unsigned"],
  egressUnicastPacketTotalCount: [357, 8, "unsigned"],
  egressBroadcastPacketTotalCount: [358, 8, "unsigned"],
  ingressInterfaceType: [368, 4, "unsigned"],
  egressInterfaceType: [369, 4, "unsigned"],
  layer2OctetDeltaSumOfSquares: [428, 8, "unsigned"],
  layer2OctetTotalSumOfSquares: [429, 8, "unsigned"],
  minimumLayer2TotalLength: [430, 8, "unsigned"],
  maximumLayer2TotalLength: [431, 8, "unsigned"],
} as const satisfies Record<string, readonly [number, number, ElementType]>;

const VMWARE_ELEMENTS = {
  tunnelType: [891, 1, "unsigned"],
  tunnelKey: [892, VARIABLE, "octets"],
  tunnelSourceIPv4Address: [893, 4, "ipv4"],
  tunnelDestinationIPv4Address: [894, 4, "ipv4"],
  tunnelProtocolIdentifier: [895, 1, "unsigned"],
  tunnelSourceTransportPort: [896, 2, "unsigned"],
  tunnelDestinationTransportPort: [897, 2, "unsigned"],
  virtualObsID: [898, VARIABLE, "string"],
} as const satisfies Record<string, readonly [number, number, ElementType]>;

export type ElementName = keyof typeof IANA | keyof typeof VMWARE_ELEMENTS;

function rows(
  table: Readonly<Record<string, readonly [number, number, ElementType]>>,
  enterprise: number,
): Element[] {
  return Object.entries(table).map(([name, [id, length, type]]) => ({ name, enterprise, id, length, type }));
}

const byName = new Map<string, Element>();
const byNumber = new Map<string, Element>();
for (const element of [...rows(IANA, 0), ...rows(VMWARE_ELEMENTS, VMWARE)]) {
  byName.set(element.name, element);
  byNumber.set(`${element.enterprise}/${element.id}`, element);
}

export function elementByName(name: ElementName): Element {
  return byName.get(name)!;
}

/** One that is not in the table is named by its numbers and read as bytes. */
export function elementByNumber(enterprise: number, id: number): Element {
  return (
    byNumber.get(`${enterprise}/${id}`) ?? {
      name: enterprise === 0 ? `element${id}` : `element${enterprise}/${id}`,
      enterprise,
      id,
      length: VARIABLE,
      type: "octets",
    }
  );
}
