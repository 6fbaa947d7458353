/** sFlow, IPFIX and NetFlow of real packets, read by our own collector and by tshark. */
import t from "tap";
import { cannotRun, World } from "./world.ts";

const skip = cannotRun("ping");
const noTshark = skip || cannotRun("ping", "tshark", "tcpdump");

/** Two hosts, a bridge, and a collector beside the switch, which prints a line of JSON a datagram. */
async function withCollector(
  body: (world: World, datagrams: () => Datagram[]) => Promise<void>,
): Promise<void> {
  const world = new World();
  try {
    world.startUp();
    world.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev");
    world.host("ha", "10.1.1.1/24");
    world.host("hb", "10.1.1.2/24");
    world.vsctl("add-port", "br0", "ha", "--", "add-port", "br0", "hb");
    const collector = world.background("sw", "ovsbox", "collect", "--format=json");
    let text = "";
    let ready = "";
    collector.stdout!.on("data", (chunk) => {
      text += chunk;
    });
    collector.stderr!.on("data", (chunk) => {
      ready += chunk;
    });
    await world.until("the collector listens", () => ready.includes("listening"));
    // Addresses are learned before anything is counted.
    world.ping("ha", "10.1.1.2");
    await body(world, () =>
      text
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Datagram),
    );
  } finally {
    await world.close();
  }
}

interface Datagram {
  protocol: string;
  records?: Record<string, number | string>[];
  samples?: { kind: string; records: Record<string, number | string>[] }[];
}

/** Sums of two fields over the records that `wanted` takes. */
function sums(
  datagrams: Datagram[],
  wanted: (r: Record<string, number | string>) => boolean,
  ...fields: string[]
) {
  const found = datagrams.flatMap((d) => d.records ?? []).filter(wanted);
  return fields.map((field) => found.reduce((sum, r) => sum + Number(r[field]), 0));
}

t.test("IPFIX and NetFlow count every packet, and say so when the exporter goes", { skip }, async (t) => {
  await withCollector(async (world, datagrams) => {
    world.vsctl(
      ...["--", "set", "Bridge", "br0", "ipfix=@i", "--", "--id=@i", "create", "IPFIX"],
      ...['targets="127.0.0.1:4739"', "obs_domain_id=123", "obs_point_id=456", "cache_active_timeout=60"],
      ...["cache_max_flows=13", "sampling=1", "other_config:enable-output-sampling=false"],
    );
    world.vsctl(
      ...["--", "--id=@n", "create", "NetFlow", 'targets="127.0.0.1:2055"', "active_timeout=60"],
      ...["--", "set", "Bridge", "br0", "netflow=@n"],
    );
    world.ping("ha", "10.1.1.2", 100);
    t.match(world.ofctl("dump-ipfix-bridge", "br0"), /sampled pkts=2\d\d, ipv4 ok=200, /);
    world.vsctl("--", "clear", "Bridge", "br0", "ipfix", "--", "clear", "Bridge", "br0", "netflow");
    const icmp = (type: number) => (r: Record<string, number | string>) =>
      r.icmpTypeIPv4 === type && r.protocolIdentifier === 1;
    const echo = (type: number) => (r: Record<string, number | string>) =>
      r.protocol === 1 && r.destination_port === type << 8;
    const ipfix = (type: number) => sums(datagrams(), icmp(type), "packetDeltaCount", "octetDeltaCount");
    const netflow = (type: number) => sums(datagrams(), echo(type), "packets");
    await world.until(
      "all records",
      () => ipfix(0)[0] === 100 && ipfix(8)[0] === 100 && netflow(0)[0] === 100,
    );
    t.strictSame(
      { requests: ipfix(8), replies: ipfix(0), netflow: [netflow(8), netflow(0)] },
      { requests: [100, 8400], replies: [100, 8400], netflow: [[100], [100]] },
    );
    t.match(world.ofctl("dump-ipfix-bridge", "br0"), /NXST_NOT_CONFIGURED/);
  });
});

t.test("sFlow sends headers and counters, as tshark reads them too", { skip: noTshark }, async (t) => {
  await withCollector(async (world, datagrams) => {
    const capture = world.background(
      "sw",
      "tcpdump",
      "-U",
      "-i",
      "lo",
      "-w",
      `${world.dir}/sflow.pcap`,
      "udp",
      "port",
      "6343",
    );
    let tcpdump = "";
    capture.stderr!.on("data", (chunk) => {
      tcpdump += chunk;
    });
    await world.until("tcpdump listens", () => tcpdump.includes("listening"));
    world.vsctl(
      ...[
        "--",
        "--id=@sflow",
        "create",
        "sflow",
        'target="127.0.0.1"',
        "header=128",
        "sampling=1",
        "polling=1",
      ],
      ...["agent=127.0.0.9", "--", "set", "bridge", "br0", "sflow=@sflow"],
    );
    const before = datagrams().length;
    world.inside("ha", "ping", "-c", "50", "-i", "0.01", "-s", "1000", "-q", "10.1.1.2");
    const samples = () =>
      datagrams()
        .slice(before)
        .flatMap((d) => d.samples ?? []);
    const frames = () =>
      samples()
        .flatMap((s) => s.records)
        .filter((r) => r.record === "raw_header" && r.frame_length === 1046);
    await world.until("100 samples", () => frames().length === 100);
    t.ok(
      frames().every((r) => (r.header as string).length === 256),
      "headers are cut",
    );
    const ports = () =>
      new Set(
        samples()
          .flatMap((s) => s.records)
          .filter((r) => r.record === "port_name")
          .map((r) => r.name),
      );
    await world.until("counters", () => ports().size > 0);
    capture.kill("SIGINT");
    const decoded = world.command(
      "tshark",
      "-r",
      `${world.dir}/sflow.pcap`,
      "-T",
      "fields",
      "-e",
      "sflow_245.agent",
      "-e",
      "sflow_245.numsamples",
    );
    t.match(decoded, /127\.0\.0\.9/, "tshark names the agent");
    world.vsctl("--", "clear", "Bridge", "br0", "sflow");
    t.equal(world.vsctl("list", "sflow").trim(), "", "gone with the last reference");
  });
});
