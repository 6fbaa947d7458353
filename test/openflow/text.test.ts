/** OpenFlow as text: groups and meters parsed, messages as JSON. What the original refuses, it refuses in these words. */
import t from "tap";
import { W_IN_PORT, W_PACKET_TYPE } from "../../src/flow/layout.ts";
import { makeMatch, setMatchWord } from "../../src/flow/match.ts";
import { splitFlowItems } from "../../src/flow/match-parse.ts";
import { parseMatch } from "../../src/flow/match-text.ts";
import { parseActions } from "../../src/openflow/actions/registry.ts";
import { decode, encode, type Message, OfpError, TextError, type Version } from "../../src/openflow/index.ts";
import { matchInPort } from "../../src/openflow/msg/packet.ts";
import { protocolsText } from "../../src/openflow/protocols.ts";
import { formatFlowStats } from "../../src/openflow/text/flow.ts";
import { parseFlow } from "../../src/openflow/text/flow-parse.ts";
import {
  OFPGC_ADD,
  OFPGC_INSERT_BUCKET,
  OFPGC_MODIFY,
  parseGroup,
} from "../../src/openflow/text/group-parse.ts";
import {
  decodedJson,
  type JsonObject,
  jsonText,
  mergeJson,
  messageJson,
} from "../../src/openflow/text/json.ts";
import { OFPMC_ADD, parseMeter, parseMeterId } from "../../src/openflow/text/meter-parse.ts";
import { printMessage } from "../../src/openflow/text/print.ts";
import { formatTables } from "../../src/openflow/text/table.ts";
import { examples } from "./examples.ts";

t.test("learn: a constant or field that fits not is told with the whole argument", async (t) => {
  const cases: [text: string, why: string][] = [
    [
      "reg0[]=zz",
      "reg0[] value zz cannot be parsed as a subfield (zz: unknown field `zz') or an immediate value (zz: bad syntax for reg0 value)",
    ],
    [
      "reg0[0..3]=17",
      "reg0[0..3] value 17 cannot be parsed as a subfield (17: unknown field `17') or an immediate value (table=1,reg0[0..3]=17: value 0x11 does not fit into 4 bits)",
    ],
    [
      "reg0[0..3]=z",
      "reg0[0..3] value z cannot be parsed as a subfield (z: unknown field `z') or an immediate value (table=1,reg0[0..3]=z: cannot parse integer value)",
    ],
    [
      "reg0=5/7",
      "reg0 value 5/7 cannot be parsed as a subfield (5/7: unknown field `5/7') or an immediate value (5/7: wildcards not allowed here)",
    ],
    ["eth_type=reg0[]", "bit widths of eth_type (32) and reg0[] (16) differ"],
    ["vlan_tci[0..3]x=4", "unknown keyword vlan_tci[0..3]x"],
  ];
  for (const [spec, why] of cases)
    t.throws(
      () => parseActions(`learn(table=1,${spec})`, {}),
      new TextError(`table=1,${spec}: ${why}`),
      spec,
    );
});

t.test("groups and meters: refusals", async (t) => {
  const group = (command: number) => (text: string) => parseGroup(text, command, {});
  const meter = (text: string) => parseMeter(text, OFPMC_ADD);
  const cases: [(text: string) => unknown, string, string][] = [
    [group(OFPGC_ADD), "type=all", "must specify a group_id"],
    [group(OFPGC_MODIFY), "group_id=1", "must specify a type"],
    [group(OFPGC_ADD), "group_id=1,type=foo", "invalid group type foo"],
    [group(OFPGC_ADD), "group_id=1,type=all,foo=1", "unknown keyword foo"],
    [
      group(OFPGC_ADD),
      "group_id=1,type=all,fields(ip_src)",
      'fields may only be specified with "selection_method=hash"',
    ],
    [group(OFPGC_ADD), "group_id=1,type=all,command_bucket_id=all", "command bucket id is not needed"],
    [
      group(OFPGC_ADD),
      "group_id=1,type=indirect,bucket=1,bucket=2",
      "Indirect groups can have at most one bucket.",
    ],
    [group(OFPGC_INSERT_BUCKET), "group_id=1,bucket=1", "must specify a command bucket id"],
    [meter, "meter=1", "must specify bands"],
    [meter, "kbps,band=type=drop,rate=5", "must specify 'meter'"],
    [meter, "meter=1,band=type=drop,rate=5", "meter must specify either 'kbps' or 'pktps'"],
    [meter, "meter=1,kbps,bands=", "meter must have bands"],
    [meter, "meter=1,kbps,band=type=drop", "band must have 'rate'"],
    [meter, "meter=1,kbps,band=rate=5", "band must start with the 'type' keyword"],
    [
      meter,
      "meter=1,kbps,burst,band=type=drop,rate=5",
      "band must have 'burst_size' when 'burst' flag is set",
    ],
    [
      meter,
      "meter=1,kbps,band=type=drop,rate=5,prec_level=1",
      "Only 'dscp_remark' band may have 'prec_level'",
    ],
    [parseMeterId, "foo=1", "unknown keyword foo"],
  ];
  for (const [parse, text, want] of cases) t.throws(() => parse(text), new TextError(want), text);
});

t.test("groups and meters: what is parsed is printed in the same words", async (t) => {
  const print = (m: Message, version: Version) =>
    printMessage(encode(m, version)).split("\n").slice(1).join("\n").trim();
  const cases: [Message, Version, string][] = [
    [
      parseGroup(
        "group_id=3,type=ff,bucket=watch_port:1,actions=2,bucket=watch_group:5,output:4",
        OFPGC_ADD,
        {},
      ).gm,
      4,
      "ADD group_id=3,type=ff,bucket=watch_port:1,actions=output:2,bucket=watch_group:5,actions=output:4",
    ],
    [
      parseGroup(
        "group_id=1,type=select,selection_method=hash,fields(nw_proto,ip_src=255.0.0.0),bucket=weight:5,1",
        OFPGC_ADD,
        {},
      ).gm,
      6,
      "ADD group_id=1,type=select,selection_method=hash,fields(ip_src=255.0.0.0,nw_proto),bucket=bucket_id:0,weight:5,actions=output:1",
    ],
    [
      parseMeter(
        "meter=5,pktps,burst,bands=type=drop,rate=5,burst_size=3,type=dscp_remark,rate=8,burst_size=1,prec_level=2",
        OFPMC_ADD,
      ),
      4,
      "type=drop rate=5 burst_size=3\ntype=dscp_remark rate=8 burst_size=1 prec_level=2",
    ],
  ];
  for (const [m, version, want] of cases) t.equal(print(m, version), want);
});

/** As the documentation of json.ts says. */
function json(m: Message, version: Version): JsonObject {
  const decoded = decode(encode(m, version, { xid: 7, nxm: version === 1 }), { tableIds: true });
  if (decoded instanceof OfpError) throw decoded;
  return decodedJson(decoded);
}

const EMPTY = { type: "flow-reply", flows: [] } as const;

t.test("JSON: flows", async (t) => {
  const { fm } = parseFlow(
    "table=3,priority=7,tcp,in_port=LOCAL,nw_src=10.0.0.0/8,vlan_tci=0x1005/0x1fff,tp_dst=80,cookie=0x1122334455667788,send_flow_rem,actions=learn(table=2,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]),clone(output:1,output:2),resubmit(,5)",
    0,
  );
  t.equal(
    jsonText(
      json(
        {
          ...EMPTY,
          flows: [
            {
              ...{ match: fm.match, cookie: fm.newCookie, table: 3, priority: 7, idleSec: 5, hardSec: 0 },
              ...{
                duration: { sec: 3, nsec: 250_000_000 },
                idleAge: -1,
                hardAge: -1,
                packets: 1n << 60n,
                bytes: 9n,
              },
              ...{ importance: 0, flags: fm.flags, actions: fm.actions },
            },
          ],
        },
        5,
      ),
    ),
    '{"type":"flow-reply","version":"OpenFlow14","xid":7,"flows":[{' +
      '"match":{"tcp":true,"in_port":"LOCAL","dl_vlan":5,"nw_src":"10.0.0.0/8","tp_dst":80},' +
      '"cookie":"0x1122334455667788","table":3,"priority":7,"idle_timeout":5,"hard_timeout":0,"duration":3.25,' +
      '"packets":1152921504606846976,"bytes":9,"importance":0,"flags":["send_flow_rem"],"actions":[' +
      '"learn(table=2,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])","clone(output:1,output:2)","resubmit(,5)"]}]}',
  );
});

t.test("JSON: a match is its text taken apart", async (t) => {
  for (const text of [
    "",
    "tcp6,ipv6_src=::1,tp_src=0x10/0xfff0",
    "arp,arp_tpa=1.2.3.4",
    "reg3=0x5/0xff,ct_state=+trk-new",
  ]) {
    const { fm } = parseFlow(`${text},actions=drop`, 0);
    const match = json({ ...fm, table: 0 }, 4).match as JsonObject;
    const back = Object.entries(match).map(([key, value]) => (value === true ? key : `${key}=${value}`));
    t.same(parseMatch(back.join(",")), parseMatch(text), text);
    t.same(
      splitFlowItems(text).map(({ key }) => key),
      Object.keys(match).toSorted((a, b) => text.indexOf(a) - text.indexOf(b)),
    );
  }
});

t.test("JSON: names instead of numbers", async (t) => {
  const cases: [Message, Version, object][] = [
    [
      {
        type: "port-desc-reply",
        ports: [
          {
            ...{
              port: 3,
              hwAddr: Uint8Array.of(2, 0, 0, 0, 0, 1),
              hwAddr64: undefined,
              name: "eth0",
              config: 1 | 64,
            },
            ...{
              state: 4,
              curr: 0x840,
              advertised: 0,
              supported: 0,
              peer: 0,
              currSpeed: 10_000_000,
              maxSpeed: 0,
            },
          },
        ],
      },
      4,
      {
        ports: [
          {
            ...{ port: 3, hw_addr: "02:00:00:00:00:01", name: "eth0", config: ["PORT_DOWN", "NO_PACKET_IN"] },
            ...{ state: ["LIVE"], curr: ["10GB-FD", "COPPER"], curr_speed: 10_000_000 },
          },
        ],
      },
    ],
    [
      parseMeter("meter=5,pktps,bands=type=drop,rate=5", OFPMC_ADD),
      4,
      { command: "add", flags: ["pktps"], meter_id: 5, bands: [{ band_type: "drop", rate: 5 }] },
    ],
    [
      parseGroup(
        "group_id=1,type=select,selection_method=hash,fields(ip_src=255.0.0.0),bucket=weight:5,1",
        OFPGC_ADD,
        {},
      ).gm,
      6,
      {
        ...{ command: "add", group_type: "select", buckets: [{ weight: 5, actions: ["output:1"] }] },
        props: { selection_method: "hash", fields: ["ip_src=255.0.0.0"] },
      },
    ],
    [{ type: "role-reply", role: 2, generationId: 9n }, 4, { role: "primary", generation_id: 9n }],
    [
      { type: "get-config-reply", frag: 1, invalidTtlToController: false, missSendLen: 128 },
      1,
      { frag: "drop" },
    ],
    [
      {
        ...{
          type: "packet-in",
          reason: 1,
          table: 2,
          cookie: 0x10n,
          match: matchInPort(4),
          packet: new Uint8Array(14),
        },
        ...{ totalLen: 14, bufferId: 0xffffffff, userdata: new Uint8Array(0), continuation: undefined },
      },
      4,
      { reason: "action", table: 2, cookie: "0x10", match: { in_port: 4 }, packet: "00".repeat(14) },
    ],
    [
      {
        type: "bundle-add-message",
        bundleId: 1,
        flags: 3,
        message: encode(parseFlow("actions=drop", 0).fm, 5, { xid: 7 }),
      },
      5,
      { flags: ["atomic", "ordered"], message: { type: "flow-mod", command: "add", actions: [] } },
    ],
  ];
  for (const [m, version, want] of cases) t.match(json(m, version), want, m.type);
});

t.test("JSON: parts are merged; what cannot be decoded says so", async (t) => {
  const all: JsonObject = { type: "x", ports: [1], n: 1 };
  mergeJson(all, { type: "y", ports: [2], n: 2, more: true });
  t.same(all, { type: "x", ports: [1, 2], n: 1, more: true });
  t.same(messageJson(Uint8Array.of(1, 250, 0, 8, 0, 0, 0, 1)), {
    type: "undecodable",
    error: "OFPBRC_BAD_TYPE",
    bytes: "01fa000800000001",
  });
});

t.test("port statistics of RFC 2819 and custom ones", async (t) => {
  const [example] = examples(5).filter((m) => m.type === "port-reply");
  const ports = (rfc2819: bigint[] | undefined): string => {
    const reply = { ...example!, ports: [{ ...example!.ports[0]!, rfc2819 }] };
    return printMessage(encode(reply, 5, { xid: 7 }))
      .split("\n")
      .slice(4)
      .join("\n");
  };
  const unknown = 0xffff_ffff_ffff_ffffn;
  const custom = "           CUSTOM Statistics\n                      rx_q0=3,\n";
  t.equal(ports(new Array(21).fill(unknown)), custom);
  const some = new Array(21).fill(unknown);
  some[0] = 5n;
  some[20] = 6n;
  t.equal(ports(some), `           rx rfc2819 1_to_64_packets=5, rx_jabber_errors=6, \n${custom}`);
  some[14] = 7n;
  some[16] = 8n;
  t.match(ports(some), "           tx rfc2819 multicast_packets=7, broadcast_packets=8, \n");
  const bytes = encode({ ...example!, ports: [{ ...example!.ports[0]!, rfc2819: some.slice(5) }] }, 5, {
    xid: 7,
  });
  t.equal((decode(bytes) as OfpError).ofp, "OFPBPC_BAD_LEN", "16 counters");
});

t.test("what a flow's words leave of the protocols", async (t) => {
  const cases: [flow: string, usable: string][] = [
    ["vlan_tci=0x1005/0x1fff,actions=drop", "NXM,OXM"],
    ["vlan_tci=0x1005,actions=drop", "any"],
    ["dl_vlan=5,actions=drop", "any"],
    ["actions=set_field:5->metadata", "NXM,OXM,OpenFlow11"],
    ["actions=set_field:5->reg1", "NXM,OXM"],
    ["actions=load:5->NXM_NX_REG1[]", "any"],
    ["tcp,actions=set_field:5->tcp_src", "any"],
    ["actions=goto_table:7", "any"],
  ];
  for (const [flow, usable] of cases) t.equal(protocolsText(parseFlow(flow, 0).usable), usable, flow);
  t.throws(() => parseFlow("ip,actions=resubmit(,3,ct)", 0), /OFPBAC_MATCH_INCONSISTENT/);
  t.throws(() => parseFlow("ct_state=+trk,ip,actions=resubmit(,3,ct)", 0), /OFPBAC_MATCH_INCONSISTENT/);
  t.ok(parseFlow("ct_state=+trk+est,ip,actions=resubmit(,3,ct)", 0));
});

t.test("actions print as the original prints them", async (t) => {
  const cases: [text: string, version: Version, want: string][] = [
    ["goto_table:7", 1, "resubmit(,7)"],
    ["goto_table:7", 4, "goto_table:7"],
    ["write_metadata:0x12", 1, "write_metadata:0x12"],
    ["write_metadata:0x12/0xff,goto_table:7", 1, "load:0x12->OXM_OF_METADATA[0..7],resubmit(,7)"],
    ["write_metadata:0x12,goto_table:7", 1, "load:0x12->OXM_OF_METADATA[],resubmit(,7)"],
    ["clone(drop)", 4, "clone(drop)"],
    ["decap(packet_type(ns=0,type=0))", 4, "decap(packet_type(ns=0,type=0))"],
    [
      "ct(commit,exec(set_field:1->ct_mark),nat(src=1.2.3.4),zone=3)",
      4,
      "ct(commit,zone=3,exec(set_field:0x1->ct_mark,nat(src=1.2.3.4)))",
    ],
    ["ct(commit,nat(src),nat(dst))", 4, "ct(commit,nat(src),exec(nat(dst)))"],
  ];
  for (const [text, version, want] of cases) {
    const { fm } = parseFlow(`ip,actions=${text}`, 0);
    t.match(printMessage(encode(fm, version, { xid: 7, nxm: true })), `actions=${want}\n`, text);
  }
});

t.test("a masked VLAN keeps its mask: fixed matches would turn it into another", async (t) => {
  const cases: [text: string, want: string][] = [
    ["vlan_tci=0", "any"],
    ["vlan_tci=0/0xffff", "any"],
    ["vlan_tci=0/0x1fff", "NXM,OXM"],
    ["vlan_tci=0x1005/0x1fff", "NXM,OXM"],
    ["vlan_tci=0x1000/0x1000", "NXM,OXM"],
    ["vlan_vid=0x1005/0x1fff", "NXM,OXM"],
    ["dl_vlan=5", "any"],
    ["vlan_pcp=2", "any"],
  ];
  for (const [text, want] of cases)
    t.equal(protocolsText(parseFlow(`${text},actions=drop`, 0).usable), want, text);
});

t.test("a packet that begins with its IP header is printed as such", async (t) => {
  const packet = Buffer.from("4500002012344000ff1155670a0000140a00001e006400c8000cea78ffffffff", "hex");
  const match = makeMatch();
  setMatchWord(match, W_PACKET_TYPE, 0x10800, -1);
  setMatchWord(match, W_IN_PORT, 0xfffd, -1);
  const lines = printMessage(
    encode({ type: "packet-out", bufferId: 0xffffffff, match, actions: [], packet }, 6, { xid: 1 }),
  ).split("\n");
  t.match(lines[0], /packet_type=\(1,0x800\),in_port=CONTROLLER actions=drop data_len=32$/);
  t.match(lines[1], /^packet_type=\(1,0x800\),nw_src=10\.0\.0\.20,.*tp_dst=200 udp_csum:ea78$/);
});

t.test("tables like the one before: with a name one by one, without in runs", async (t) => {
  const entry = (table: number, name: string, active = 0) => ({
    table,
    name,
    stats: { table, active, lookups: 0n, matched: 0n },
    features: undefined,
  });
  const names = ["", "one", "two", "", "", "five", "", "seven", "eight", "", ""];
  const entries = [...names.map((name, table) => entry(table, name)), entry(11, "x", 1), entry(12, "", 1)];
  t.equal(
    formatTables(entries),
    `
  table 0:
    active=0, lookup=0, matched=0

  table 1 ("one"): ditto
  table 2 ("two"): ditto
  tables 3...4: ditto

  table 5 ("five"): ditto
  table 6: ditto

  table 7 ("seven"): ditto
  table 8 ("eight"): ditto
  tables 9...10: ditto

  table 11 ("x"):
    active=1, lookup=0, matched=0

  table 12: ditto
`,
  );
});

t.test("a flow of table 0 says so when that table has a name", async (t) => {
  const { fm } = parseFlow("in_port=2,actions=output:1", 0);
  const flow = {
    ...{
      match: fm.match,
      priority: 32768,
      cookie: 0n,
      table: 0,
      duration: { sec: 1, nsec: 0 },
      actions: fm.actions,
    },
    ...{ idleSec: 0, hardSec: 0, idleAge: -1, hardAge: -1, importance: 0, flags: 0, packets: 0n, bytes: 0n },
  };
  const named = { numberOf: () => undefined, nameOf: (table: number) => (table === 0 ? "zero" : undefined) };
  t.equal(formatFlowStats(flow, {}, false), " in_port=2 actions=output:1");
  t.equal(formatFlowStats(flow, { tables: named }, false), " table=zero, in_port=2 actions=output:1");
});
