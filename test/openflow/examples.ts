/** At least one message of every type, and an action of every type, for round trips and as seeds of hostile bytes. */
import { makeMatch } from "../../src/flow/match.ts";
import { encode, type Message, parseActions, type Version } from "../../src/openflow/index.ts";
import { matchInPort } from "../../src/openflow/msg/packet.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import { OFPGC_ADD, OFPGC_INSERT_BUCKET, parseGroup } from "../../src/openflow/text/group-parse.ts";
import { OFPMC_ADD, parseMeter } from "../../src/openflow/text/meter-parse.ts";

/** Each form of each action and instruction; a few need an OpenFlow version. */
export const ACTION_TEXTS: readonly string[] = [
  "drop",
  "output:1,NORMAL,FLOOD,ALL,LOCAL,IN_PORT,CONTROLLER:128",
  "output(port=1,max_len=100),output:NXM_NX_REG1[5..10],group:5",
  "enqueue:1:2,set_queue:3,pop_queue",
  "controller(reason=invalid_ttl,max_len=100,id=3,userdata=01.02,pause,meter_id=7)",
  "bundle(eth_src,0,hrw,ofport,members:4,8),bundle_load(symmetric_l4,60,active_backup,ofport,NXM_NX_REG0[0..15],members:1)",
  "load:0x5->NXM_NX_REG0[],load:1->NXM_NX_REG1[3..4],set_field:0x12345->metadata,set_field:0x1/0x3->reg2",
  "set_field:00:11:22:33:44:55->eth_src,set_field:fe80::1->tun_ipv6_src",
  "move:NXM_NX_REG0[]->NXM_NX_REG1[],push:NXM_NX_REG0[0..5],pop:NXM_NX_REG1[0..5]",
  "mod_vlan_vid:5,mod_vlan_pcp:3,strip_vlan,push_vlan:0x8100",
  "mod_dl_src:00:11:22:33:44:55,mod_dl_dst:00:11:22:33:44:66",
  "dec_ttl(1,2),push_mpls:0x8847,dec_mpls_ttl,set_mpls_label:5,set_mpls_tc:3,set_mpls_ttl:7,pop_mpls:0x0800",
  "delete_field:tun_metadata1,set_tunnel:5,set_tunnel64:0x1234567890",
  "fin_timeout(idle_timeout=5,hard_timeout=15),exit,ct_clear",
  "resubmit(,3),resubmit:7,resubmit(5,6,ct)",
  "learn(table=2,idle_timeout=10,fin_idle_timeout=3,cookie=0x5,send_flow_rem,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:0x7->NXM_NX_REG3[0..4],output:NXM_OF_IN_PORT[])",
  "learn(table=1,limit=4,result_dst=reg0[8],delete_learned,reg1=0x5)",
  "conjunction(5,1/2),conjunction(7,2/3)",
  "multipath(eth_src,50,modulo_n,1,0,NXM_NX_REG0[]),multipath(symmetric_l3,1,hrw,4,9,NXM_NX_REG1[0..7])",
  "note:11.e9.9a.ad.67.f3,sample(probability=12345,collector_set_id=1,obs_domain_id=2,obs_point_id=3,sampling_port=4,egress)",
  "ct(commit,force,zone=5,table=3,exec(load:0x1->NXM_NX_CT_MARK[]),alg=ftp),ct(zone=NXM_NX_REG0[0..15])",
  "ct(commit,nat(src=10.0.0.1-10.0.0.9:5-100,random,persistent)),ct(commit,nat(dst=fe80::1-fe80::9)),ct(nat)",
  "clone(output:1,clone(output:2),resubmit(,4)),check_pkt_larger(1500)->NXM_NX_REG0[0]",
];

/** Actions and instructions with the versions that have them. */
export const VERSIONED_ACTION_TEXTS: readonly (readonly [text: string, first: Version])[] = [
  [
    "encap(ethernet),encap(nsh(md_type=2,tlv(0x1000,10,0x12345678))),dec_nsh_ttl,decap,decap(packet_type(ns=0,type=0))",
    4,
  ],
  ["meter:3,output:1", 4],
  ["clear_actions,write_actions(output:1,group:3),write_metadata:0x12/0xff,goto_table:7", 2],
];

/** Actions that ask for a match. */
export const MATCHED_ACTION_TEXTS: readonly string[] = [
  "tcp,actions=mod_nw_src:1.2.3.4,mod_nw_dst:1.2.3.5,mod_nw_tos:32,mod_nw_ecn:1,mod_nw_ttl:9,mod_tp_src:5,mod_tp_dst:6",
  "sctp6,actions=set_field:fe80::2->ipv6_dst,set_field:7->sctp_dst,dec_ttl",
];

export const MATCH_TEXTS: readonly string[] = [
  "",
  "in_port=LOCAL,dl_type=0x05ff",
  "ip,nw_src=10.0.0.0/8,nw_tos=32,nw_ecn=1,nw_ttl=64,nw_frag=not_later",
  "tcp,dl_vlan=5,dl_vlan_pcp=3,tp_dst=80,tcp_flags=+syn-ack",
  "vlan_tci=0x1005/0x1fff",
  "vlan_tci=0,udp,tp_src=0x10/0xfff0",
  "udp6,ipv6_dst=fe80::1,ipv6_label=5,tp_src=53",
  "arp,arp_tpa=1.2.3.4,arp_op=1,arp_sha=00:01:02:03:04:05",
  "rarp,nw_src=1.2.3.4",
  "dl_src=00:11:22:33:44:55,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
  "reg0=0x5/0xff,reg31=7,metadata=0x1234,tun_id=7/0xff,pkt_mark=3",
  "icmp,icmp_type=8,icmp_code=0",
  "icmp6,icmp_type=135,nd_target=fe80::2,nd_sll=00:00:00:00:00:01",
  "icmp6,icmp_type=136,icmp_code=0,nd_tll=00:00:00:00:00:01,nd_options_type=2",
  "mpls,mpls_label=5,mpls_tc=3,mpls_bos=1",
  "sctp,tp_dst=5",
  "tun_src=1.2.3.4,tun_dst=1.2.3.0/24,tun_ipv6_src=::1,tun_flags=+oam,tun_gbp_id=3,tun_metadata0=0x1234,tun_metadata5=1/3",
  "ct_state=+trk+new-rel,ct_zone=5,ct_mark=1/3,ct_label=0x1234,ip,ct_nw_src=1.2.3.4,ct_nw_proto=6,ct_tp_src=5",
  "dl_type=0x894f,nsh_mdtype=1,nsh_spi=0x123456,nsh_c1=5/0xff",
  "packet_type=(1,0x800),nw_src=1.2.3.4",
  "recirc_id=4,dp_hash=5/7,conj_id=9,actset_output=3",
];

const MAC = Uint8Array.of(2, 0, 0, 0, 0, 9);
const BYTES = Uint8Array.of(1, 2, 3, 4, 5);
const DURATION = { sec: 5, nsec: 6_000_000 };
const PORT = {
  ...{
    port: 3,
    hwAddr: MAC,
    hwAddr64: undefined,
    name: "eth0",
    config: 1,
    state: 1,
    curr: 0x840,
    advertised: 1,
  },
  ...{ supported: 2, peer: 4, currSpeed: 0, maxSpeed: 0 },
};
const flow = (text: string) => parseFlow(text, 0).fm;
const SIMPLE = flow(
  "tcp,dl_vlan=5,tp_dst=80,cookie=0x1122334455667788,idle_timeout=3,priority=9,actions=output:1",
);
const MATCH = SIMPLE.match;
const FLOW = {
  ...{
    match: MATCH,
    cookie: 5n,
    table: 3,
    priority: 7,
    idleSec: 1,
    hardSec: 2,
    duration: DURATION,
    idleAge: 3,
  },
  ...{ hardAge: 4, packets: 8n, bytes: 9n, importance: 0, flags: 0, actions: SIMPLE.actions },
};
const GROUP = parseGroup("group_id=4,type=select,bucket=weight:3,1,bucket=2,3", OFPGC_ADD, {}).gm;
const HASHED = parseGroup(
  "group_id=4,type=select,selection_method=hash,selection_method_param=7,fields(eth_src,ip_src=255.0.0.0),bucket=bucket_id:3,1",
  OFPGC_ADD,
  {},
).gm;
const METER = parseMeter("meter=5,pktps,burst,bands=type=drop,rate=5,burst_size=3", OFPMC_ADD);
const instructions = (next: number[]) => ({
  ...{
    next,
    instructions: ["apply_actions", "goto_table"],
    writeActions: ["output"],
    writeSetFields: ["eth_src"],
  },
  ...{ applyActions: ["output"], applySetFields: ["eth_src"] },
});
const TABLE_STATS = { table: 2, active: 3, lookups: 4n, matched: 5n };
const TABLE_FEATURES = {
  ...{ table: 2, name: "two", metadataMatch: 15n, metadataWrite: 7n, missConfig: -1, eviction: undefined },
  ...{ vacancy: undefined, maxEntries: 100, nonmiss: instructions([3, 4]), miss: instructions([3]) },
  ...{ match: ["eth_src", "ip_src"], wildcard: ["eth_src"], mask: ["eth_src"], command: 0, stats: undefined },
};
const TABLE_DESC = {
  ...{
    table: 2,
    eviction: true,
    evictionFlags: 1,
    vacancy: true,
    vacancyDown: 10,
    vacancyUp: 20,
    vacancyNow: 15,
  },
};
const TLV = { optionClass: 0xffff, optionType: 1, optionLen: 8, index: 3 };
const IPFIX = {
  ...{
    collectorSetId: 1,
    totalFlows: 2n,
    currentFlows: 3n,
    pkts: 4n,
    ipv4Pkts: 5n,
    ipv6Pkts: 6n,
    errorPkts: 7n,
  },
  ...{ ipv4ErrorPkts: 8n, ipv6ErrorPkts: 9n, txPkts: 10n, txErrors: 11n },
};
const PACKET_IN = {
  ...{
    type: "packet-in" as const,
    reason: 1,
    table: 0,
    cookie: 0xffff_ffff_ffff_ffffn,
    match: matchInPort(4),
  },
  ...{ packet: new Uint8Array(20), totalLen: 20, bufferId: 0xffffffff, userdata: new Uint8Array(0) },
  continuation: undefined,
};
const ASYNC = {
  ...{ packetIn: [1, 2], portStatus: [3, 4], flowRemoved: [5, 6], roleStatus: [0, 0], tableStatus: [0, 0] },
  requestforward: [0, 0],
} as const;
const STATS_REQUEST = {
  match: MATCH,
  cookie: 5n,
  cookieMask: 7n,
  table: 3,
  outPort: 2,
  outGroup: 0xffffffff,
};
const TUPLE = {
  ...{ src: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1), dst: undefined, srcPort: 5 },
  ...{ dstPort: 6, icmpId: undefined, icmpType: undefined, icmpCode: undefined },
};
const NO_TUPLE = {
  ...{ src: undefined, dst: undefined, srcPort: undefined, dstPort: undefined, icmpId: undefined },
  ...{ icmpType: undefined, icmpCode: undefined },
};
const empty = (...types: string[]): Message[] => types.map((type) => ({ type }) as Message);

/** `version` counts for messages that hold another message. */
export function examples(version: Version): readonly Message[] {
  const inner = encode(SIMPLE, version, { xid: 7 });
  return [
    ...empty(
      "features-request",
      "get-config-request",
      "barrier-request",
      "barrier-reply",
      "get-async-request",
    ),
    ...empty("nxt-flow-monitor-paused", "nxt-flow-monitor-resumed", "nxt-tlv-table-request", "desc-request"),
    ...empty("table-request", "table-desc-request", "group-features-request", "meter-features-request"),
    ...empty("ipfix-bridge-request", "ipfix-flow-request", "nxt-flow-age"),
    { type: "hello", versions: 0x7e, understood: true },
    {
      ...{
        type: "error",
        error: "OFPBRC_BAD_TYPE",
        vendor: 0,
        errType: 1,
        errCode: 1,
        payload: inner.slice(0, 64),
      },
    },
    { type: "echo-request", payload: BYTES },
    { type: "echo-reply", payload: BYTES },
    {
      ...{
        type: "features-reply",
        datapathId: 0x1234n,
        nBuffers: 0,
        nTables: 254,
        auxiliaryId: 0,
        capabilities: 7,
      },
      ...{ actions: version === 1 ? 0xfff : 0, ports: version < 4 ? [PORT] : undefined },
    },
    { type: "get-config-reply", frag: 1, invalidTtlToController: undefined, missSendLen: 128 },
    { type: "set-config", frag: 3, invalidTtlToController: undefined, missSendLen: 0xffff },
    PACKET_IN,
    {
      type: "nxt-resume",
      packetIn: { ...PACKET_IN, table: 3, cookie: 9n, userdata: BYTES, continuation: BYTES },
    },
    {
      ...{ type: "packet-out", bufferId: 0xffffffff, match: matchInPort(4), actions: SIMPLE.actions },
      packet: new Uint8Array(20),
    },
    SIMPLE,
    {
      ...{
        type: "flow-removed",
        match: MATCH,
        priority: 7,
        cookie: 5n,
        reason: 1,
        table: 2,
        duration: DURATION,
      },
      ...{ idleSec: 3, hardSec: 4, packets: 5n, bytes: 6n },
    },
    { type: "port-status", reason: 2, port: PORT },
    { type: "port-mod", port: 3, hwAddr: MAC, hwAddr64: undefined, config: 1, mask: 1, advertise: 0x840 },
    {
      ...{
        type: "table-mod",
        table: 3,
        miss: version < 4 ? 1 : -1,
        eviction: version > 4 ? true : undefined,
      },
      ...{ evictionFlags: version > 4 ? 1 : 0xffffffff, vacancy: version > 4 ? true : undefined },
      ...{ vacancyDown: 10, vacancyUp: 20 },
    },
    { type: "role-request", role: 2, generationId: 5n },
    { type: "role-reply", role: 3, generationId: 5n },
    { type: "role-status", role: 2, reason: 1, generationId: 5n },
    { type: "set-async", ...(structuredClone(ASYNC) as object) } as Message,
    { type: "get-async-reply", ...(structuredClone(ASYNC) as object) } as Message,
    { type: "queue-get-config-request", port: 3, queue: 0xffffffff },
    { type: "queue-get-config-reply", port: 3, queues: [{ queue: 1, port: 3, minRate: 100, maxRate: 900 }] },
    GROUP,
    HASHED,
    parseGroup("group_id=4,command_bucket_id=last,bucket=bucket_id:9,1", OFPGC_INSERT_BUCKET, {}).gm,
    METER,
    { type: "bundle-control", bundleId: 4, ctrl: 0, flags: 3 },
    { type: "bundle-add-message", bundleId: 4, flags: 1, message: inner },
    { type: "requestforward", reason: 0, request: GROUP, requestXid: 9 },
    { type: "table-status", reason: 3, table: TABLE_DESC },
    { type: "flow-request", ...STATS_REQUEST },
    { type: "aggregate-request", ...STATS_REQUEST },
    { type: "flow-reply", flows: [FLOW, { ...FLOW, table: 4 }] },
    { type: "aggregate-reply", packets: 5n, bytes: 6n, flows: 7 },
    { type: "desc-reply", manufacturer: "a", hardware: "b", software: "c", serial: "d", description: "e" },
    {
      type: "table-reply",
      tables: [TABLE_STATS],
      features: version < 4 ? [{ ...TABLE_FEATURES, stats: TABLE_STATS }] : undefined,
    },
    { type: "table-features-request", tables: [] },
    { type: "table-features-reply", tables: [TABLE_FEATURES] },
    { type: "table-desc-reply", tables: [TABLE_DESC] },
    { type: "port-request", port: 0xffff },
    { type: "port-desc-request", port: 0xffff },
    {
      type: "port-reply",
      ports: [
        {
          ...{
            port: 3,
            rxPackets: 1n,
            txPackets: 2n,
            rxBytes: 3n,
            txBytes: 4n,
            rxDropped: 5n,
            txDropped: 6n,
          },
          ...{ rxErrors: 7n, txErrors: 8n, rxFrameErr: 9n, rxOverErr: 10n, rxCrcErr: 11n, collisions: 12n },
          ...{
            duration: version > 3 ? DURATION : undefined,
            rfc2819: version > 4 ? Array.from({ length: 21 }, (_, i) => BigInt(100 + i)) : undefined,
            custom: version > 4 ? [{ name: "rx_q0", value: 3n }] : [],
          },
        },
      ],
    },
    { type: "port-desc-reply", ports: [PORT, { ...PORT, port: 4 }] },
    { type: "queue-request", port: 3, queue: 4 },
    {
      type: "queue-reply",
      queues: [
        {
          ...{ port: 3, queue: 4, txBytes: 1n, txPackets: 2n, txErrors: 3n },
          duration: version > 3 ? DURATION : undefined,
        },
      ],
    },
    { type: "group-request", groupId: 4 },
    { type: "group-desc-request", groupId: 0xfffffffc },
    {
      type: "group-reply",
      groups: [
        {
          ...{ groupId: 4, refCount: 1, packets: 2n, bytes: 3n, buckets: [{ packets: 4n, bytes: 5n }] },
          duration: version > 3 || version === 1 ? DURATION : undefined,
        },
      ],
    },
    { type: "group-desc-reply", groups: [GROUP, HASHED].map(({ type: _, ...group }) => group) },
    {
      ...{ type: "group-features-reply", types: 15, capabilities: 7, maxGroups: [1, 2, 3, 4] },
      actions: [5, 6, 7, 8],
    },
    { type: "meter-request", meterId: 0xffffffff },
    { type: "meter-config-request", meterId: 3 },
    {
      type: "meter-reply",
      meters: [
        {
          ...{ meterId: 3, flowCount: 1, packets: 2n, bytes: 3n, duration: DURATION },
          bands: [{ packets: 4n, bytes: 5n }],
        },
      ],
    },
    { type: "meter-config-reply", meters: [{ meterId: 5, flags: METER.flags, bands: METER.bands }] },
    { type: "meter-features-reply", maxMeters: 5, bandTypes: 2, capabilities: 15, maxBands: 3, maxColor: 0 },
    {
      type: "flow-monitor-request",
      monitors: [
        {
          ...{ id: 3, command: 0, flags: 0x1f, outPort: 0xffff, outGroup: 0xffffffff, table: 2 },
          match: version >= 1 ? MATCH : makeMatch(),
        },
      ],
    },
    {
      type: "flow-monitor-reply",
      updates: [
        {
          ...{
            event: "added",
            reason: 0,
            table: 2,
            priority: 3,
            idleSec: 4,
            hardSec: 5,
            cookie: 6n,
            match: MATCH,
          },
          actions: SIMPLE.actions,
        },
        { event: "abbrev", xid: 9 },
      ],
    },
    { type: "ipfix-bridge-reply", stats: [{ ...IPFIX, collectorSetId: 0 }] },
    { type: "ipfix-flow-reply", stats: [IPFIX] },
    { type: "nxt-flow-mod-table-id", set: true },
    { type: "nxt-set-flow-format", format: 2 },
    { type: "nxt-set-packet-in-format", format: 1 },
    { type: "nxt-set-controller-id", controllerId: 5 },
    { type: "nxt-flow-monitor-cancel", id: 3 },
    { type: "nxt-tlv-table-mod", command: 0, maps: [TLV] },
    { type: "nxt-tlv-table-reply", maxSpace: 256, maxFields: 64, maps: [TLV] },
    { type: "nxt-ct-flush-zone", zone: 5 },
    {
      ...{ type: "nxt-ct-flush", ipProto: 6, zone: 5, mark: 1, markMask: 3, label: undefined },
      ...{ labelMask: undefined, orig: TUPLE, reply: NO_TUPLE },
    },
  ];
}

/** Flow_mods with every match, action and instruction that `version` can carry. */
export function flowExamples(version: Version): readonly Message[] {
  const actions = ACTION_TEXTS.map((text) => ({ ...SIMPLE, actions: parseActions(text).actions }));
  const led = VERSIONED_ACTION_TEXTS.filter(([, first]) => version >= first).map(([text]) =>
    flow(`actions=${text}`),
  );
  const matched = MATCHED_ACTION_TEXTS.map((text) => flow(text));
  const matches = MATCH_TEXTS.map((text) => flow(text === "" ? "actions=drop" : `${text},actions=drop`));
  return [...actions, ...led, ...matched, ...matches];
}
