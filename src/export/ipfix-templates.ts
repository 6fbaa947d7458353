/**
 * The templates of IPFIX records, and which of them a packet's record takes: one for each kind of frame, network layer,
 * transport layer, whether it came through a tunnel, and direction. IDs are the original's, so that a collector sees no
 * change of an exporter's templates when it is replaced.
 */
import type { ElementName } from "./codec/information-elements.ts";
import { makeTemplate, type Template } from "./codec/ipfix.ts";

export const L2 = { ethernet: 0, vlan: 1 } as const;
export const L3 = { unknown: 0, ipv4: 1, ipv6: 2 } as const;
export const L4 = { unknown: 0, tcp: 1, udp: 2, sctp: 3, icmp: 4 } as const;

export interface RecordKind {
  l2: (typeof L2)[keyof typeof L2];
  l3: (typeof L3)[keyof typeof L3];
  /** `unknown` unless there is a network layer. */
  l4: (typeof L4)[keyof typeof L4];
  tunnel: boolean;
  egress: boolean;
}

const FIRST_ID = 256;
/** After the data templates of this and of later kinds. */
const EXPORTER_STATISTICS_ID = 462;

export function templateId({ l2, l3, l4, tunnel, egress }: RecordKind): number {
  return FIRST_ID + kindNumber(l2, l3, l4, tunnel, egress);
}

function kindNumber(
  l2: RecordKind["l2"],
  l3: RecordKind["l3"],
  l4: RecordKind["l4"],
  tunnel: boolean,
  egress: boolean,
): number {
  return l2 * 60 + l3 * 20 + l4 * 4 + (tunnel ? 2 : 0) + (egress ? 1 : 0);
}

const KINDS: readonly RecordKind[] = Object.values(L2).flatMap((l2) =>
  Object.values(L3).flatMap((l3) =>
    Object.values(L4).flatMap((l4) =>
      [false, true].flatMap((tunnel) => [false, true].map((egress) => ({ l2, l3, l4, tunnel, egress }))),
    ),
  ),
);

/** A kind, made in advance: there is one for each packet. */
export function recordKind(
  l2: RecordKind["l2"],
  l3: RecordKind["l3"],
  l4: RecordKind["l4"],
  tunnel: boolean,
  egress: boolean,
): RecordKind {
  return KINDS[kindNumber(l2, l3, l4, tunnel, egress)]!;
}

const IP: readonly ElementName[] = [
  "ipVersion",
  "ipTTL",
  "protocolIdentifier",
  "ipDiffServCodePoint",
  "ipPrecedence",
  "ipClassOfService",
];
const PORTS: readonly ElementName[] = ["sourceTransportPort", "destinationTransportPort"];

function elements({ l2, l3, l4, tunnel, egress }: RecordKind, virtualObsId: boolean): ElementName[] {
  const names: ElementName[] = [
    "observationPointId",
    "flowDirection",
    "sourceMacAddress",
    "destinationMacAddress",
    "ethernetType",
    "ethernetHeaderLength",
    "ingressInterface",
    "ingressInterfaceType",
    "interfaceName",
    "interfaceDescription",
  ];
  if (egress) {
    names.push("egressInterface", "egressInterfaceType", "interfaceName", "interfaceDescription");
  }
  if (l2 === L2.vlan) names.push("vlanId", "dot1qVlanId", "dot1qPriority");
  if (l3 !== L3.unknown) names.push(...IP);
  if (l3 === L3.ipv4) names.push("sourceIPv4Address", "destinationIPv4Address");
  if (l3 === L3.ipv6) names.push("sourceIPv6Address", "destinationIPv6Address", "flowLabelIPv6");
  if (l4 === L4.icmp && l3 === L3.ipv4) names.push("icmpTypeIPv4", "icmpCodeIPv4");
  else if (l4 === L4.icmp) names.push("icmpTypeIPv6", "icmpCodeIPv6");
  else if (l4 !== L4.unknown) names.push(...PORTS);
  if (tunnel) {
    names.push(
      "tunnelSourceIPv4Address",
      "tunnelDestinationIPv4Address",
      "tunnelProtocolIdentifier",
      "tunnelSourceTransportPort",
      "tunnelDestinationTransportPort",
      "tunnelType",
      "tunnelKey",
    );
  }
  if (virtualObsId) names.push("virtualObsID");
  names.push(
    "flowStartDeltaMicroseconds",
    "flowEndDeltaMicroseconds",
    "droppedPacketDeltaCount",
    "droppedPacketTotalCount",
    "packetDeltaCount",
    "packetTotalCount",
    "ingressUnicastPacketTotalCount",
    "ingressMulticastPacketTotalCount",
    "ingressBroadcastPacketTotalCount",
    "egressUnicastPacketTotalCount",
    "egressBroadcastPacketTotalCount",
    "postMCastPacketDeltaCount",
    "postMCastPacketTotalCount",
    "layer2OctetDeltaCount",
    "layer2OctetTotalCount",
    "flowEndReason",
  );
  if (l3 !== L3.unknown) {
    names.push(
      "droppedOctetDeltaCount",
      "droppedOctetTotalCount",
      "octetDeltaCount",
      "octetTotalCount",
      "octetDeltaSumOfSquares",
      "octetTotalSumOfSquares",
      "minimumIpTotalLength",
      "maximumIpTotalLength",
      "postMCastOctetDeltaCount",
      "postMCastOctetTotalCount",
    );
  }
  if (l4 === L4.tcp) {
    names.push(
      "tcpAckTotalCount",
      "tcpFinTotalCount",
      "tcpPshTotalCount",
      "tcpRstTotalCount",
      "tcpSynTotalCount",
      "tcpUrgTotalCount",
    );
  }
  return names;
}

/** All templates of data, by ID. */
export function dataTemplates(virtualObsId: boolean): ReadonlyMap<number, Template> {
  const templates = new Map<number, Template>();
  for (const kind of KINDS) {
    if (kind.l3 === L3.unknown && kind.l4 !== L4.unknown) continue;
    const id = templateId(kind);
    templates.set(id, makeTemplate(id, elements(kind, virtualObsId)));
  }
  return templates;
}

/** What the exporter says of itself (RFC 7011 section 4.3). */
export const exporterStatistics: Template = makeTemplate(
  EXPORTER_STATISTICS_ID,
  ["exportingProcessId", "notSentPacketTotalCount"],
  { scopeFields: 1 },
);
