/** `ovs-appctl --format=json`: what a reader would take from a command's text. */
import t from "tap";
import { readReply } from "../../src/lib/control-json.ts";

t.test("lists, tables and outlines", async (t) => {
  t.same(readReply("ofproto/list", "br0\nbr1\n"), ["br0", "br1"]);
  t.same(readReply("ofproto/list", ""), []);
  t.same(readReply("memory/show", "ports:3 udpif keys:7\n"), { ports: 3, "udpif keys": 7 });
  t.same(
    readReply(
      "coverage/show",
      "Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash=0:\n" +
        "flow_extract              1.2/sec     0.033/sec        0.0006/sec   total: 12\n3 events never hit\n",
    ),
    { flow_extract: { "5s": 1.2, "1m": 0.033, "1h": 0.0006, total: 12 } },
  );
  t.same(
    readReply(
      "vlog/list",
      "                 console    syslog    file\n                 -------    ------    ------\n" +
        "backtrace           OFF        ERR       INFO\n",
    ),
    [{ module: "backtrace", console: "OFF", syslog: "ERR", file: "INFO" }],
  );
  t.same(readReply("exports/show", "br0:\n  sFlow:\n    127.0.0.1:6343: 0 sent, 0 lost\nbr1:\n  no more\n"), {
    br0: { sFlow: { "127.0.0.1:6343": "0 sent, 0 lost" } },
    br1: { text: "no more" },
  });
  t.same(readReply("dpif/show-dp-features", "Ufid: Yes\nSample nesting: 10\n"), {
    Ufid: "Yes",
    "Sample nesting": 10,
  });
  t.same(
    readReply(
      "upcall/show",
      "netdev@ovs-netdev:\n  flows         : (current 2) (avg 1) (max 3) (limit 10000)\n  dump duration : 1ms\n" +
        "  ufid enabled : true\n  masks         : (current 0) (limit 256 a port) (times reached 4)\n\n  4: (keys 2)\n",
    ),
    {
      "netdev@ovs-netdev": {
        flows: { current: 2, avg: 1, max: 3, limit: 10000 },
        masks: { current: 0, limit: 256, "times reached": 4 },
        dump_duration_ms: 1,
        ufid: true,
      },
    },
  );
  t.equal(readReply("version", "1"), undefined);
  t.equal(readReply("toString", "1"), undefined);
});

t.test("flows", async (t) => {
  const key = "recirc_id(0),in_port(1),eth_type(0x0800)";
  const line = `${key}, packets:3, bytes:180, used:0.010s, flags:S., actions:2,3\n`;
  const flow = { flow: key, packets: 3, bytes: 180, used: 0.01, flags: "S.", actions: "2,3" };
  t.same(readReply("dpctl/dump-flows", `${line}${key}, packets:0, bytes:0, used:never, actions:drop\n`), [
    flow,
    { flow: key, packets: 0, bytes: 0, actions: "drop" },
  ]);
  t.same(readReply("dpif/dump-flows", `ufid:0123-45, ${line.replace("actions", "dp:ovs, actions")}`), [
    { ufid: "0123-45", dp: "ovs", ...flow },
  ]);
  t.same(
    readReply(
      "bridge/dump-flows",
      "duration=1s, n_packets=0, n_bytes=0, priority=0,actions=NORMAL\n" +
        "table_id=2, cookie=0x5, duration=7s, n_packets=1, n_bytes=60, tcp,in_port=1,actions=resubmit(,3),drop\n",
    ),
    [
      { table: 0, duration: 1, packets: 0, bytes: 0, priority: 0, match: "", actions: "NORMAL" },
      {
        table: 2,
        cookie: "0x5",
        duration: 7,
        packets: 1,
        bytes: 60,
        priority: 32768,
        match: "tcp,in_port=1",
        actions: "resubmit(,3),drop",
      },
    ],
  );
});
