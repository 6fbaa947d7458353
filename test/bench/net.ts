/**
 * Two network namespaces, each with a veth pair whose other end is in the root namespace, and the switches that join them:
 * ours, the peer's userspace datapath, the Linux bridge. Names carry the process number; `close` removes all of it.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { havePeer, type Maker, type Side, startSide } from "./side.ts";

export function sh(command: string, ...args: string[]): string {
  const r = spawnSync(command, args, { encoding: "utf8" });
  if (r.status !== 0) throw new Error(`${command} ${args.join(" ")}: ${r.stderr || r.error}`);
  return r.stdout;
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export interface Hosts {
  readonly namespaces: readonly [string, string];
  /** The root ends. */
  readonly ports: readonly [string, string];
  close(): void;
}

let serial = 0;

export function makeHosts(): Hosts {
  const id = `${process.pid % 100000}${String.fromCharCode(97 + serial++)}`;
  const namespaces = [`ob${id}1`, `ob${id}2`] as const;
  const ports = [`ov${id}1`, `ov${id}2`] as const;
  const close = () => {
    for (const name of ports) spawnSync("ip", ["link", "del", name]);
    for (const name of namespaces) spawnSync("ip", ["netns", "del", name]);
  };
  try {
    namespaces.forEach((namespace, i) => {
      sh("ip", "netns", "add", namespace);
      sh("ip", "link", "add", ports[i]!, "type", "veth", "peer", "name", "eth0", "netns", namespace);
      sh("ip", "link", "set", ports[i]!, "up");
      sh("ip", "-n", namespace, "addr", "add", `10.77.0.${i + 1}/24`, "dev", "eth0");
      sh("ip", "-n", namespace, "link", "set", "eth0", "up");
    });
  } catch (error) {
    close();
    throw error;
  }
  return { namespaces, ports, close };
}

export function inside(namespace: string, ...command: string[]): string {
  return sh("ip", "netns", "exec", namespace, ...command);
}

/** Packets that the host's end has received. */
export function received(namespace: string): number {
  return Number(inside(namespace, "cat", "/sys/class/net/eth0/statistics/rx_packets"));
}

export function macOf(namespace: string): string {
  return inside(namespace, "cat", "/sys/class/net/eth0/address").trim();
}

const traffic = fileURLToPath(new URL("./traffic.ts", import.meta.url));

/** Frames from the first host to the second: traffic.ts's FLOWS, SECONDS, RATE and FIRST; resolves to how many were sent. */
export function startTraffic(
  hosts: Hosts,
  flows: number,
  seconds: number,
  rate = 0,
  first = 0,
): Promise<number> {
  const target = macOf(hosts.namespaces[1]);
  const numbers = [flows, seconds, rate, first].map(String);
  const args = ["netns", "exec", hosts.namespaces[0], process.execPath, traffic, "eth0", target, ...numbers];
  return new Promise((resolve, reject) => {
    const child = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.on("data", (chunk) => {
      text += chunk;
    });
    child.on("error", reject);
    child.on("close", (status) =>
      status === 0 ? resolve(Number(text)) : reject(new Error(`traffic: exit status ${status}`)),
    );
  });
}

/** What is measured: something that forwards between two ports. */
export interface Subject {
  readonly name: string;
  /** CPU seconds used so far by its processes; NaN for the kernel's bridge, which has none. */
  cpuSeconds(): number;
  stop(): void;
}

export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

export function linuxBridge(hosts: Hosts): Subject {
  const name = `obr${process.pid % 100000}`;
  sh("ip", "link", "add", name, "type", "bridge");
  for (const port of hosts.ports) sh("ip", "link", "set", port, "master", name);
  sh("ip", "link", "set", name, "up");
  return { name: "Linux bridge", cpuSeconds: () => Number.NaN, stop: () => sh("ip", "link", "del", name) };
}

/** A switch with one bridge; its hosts are at ports 1 and 2. */
export interface SwitchSubject extends Subject {
  readonly side: Side;
  readonly bridge: string;
}

/** A bridge in a switch of its own. */
export function ovsSwitch(maker: Maker, hosts: Hosts, type = "netdev"): SwitchSubject {
  const side: Side = startSide(maker);
  const name = `ob${maker[0]}${type[0]}${process.pid % 100000}`;
  try {
    side.run("ovs-vsctl", "-t", "20", "add-br", name, "--", "set", "bridge", name, `datapath_type=${type}`);
    for (const port of hosts.ports) side.run("ovs-vsctl", "-t", "20", "add-port", name, port);
  } catch (error) {
    side.stop();
    throw error;
  }
  return {
    name: maker === "ours" ? `ovsbox (${type})` : "Open vSwitch (userspace)",
    side,
    bridge: name,
    cpuSeconds: () => side.cpuSeconds("ovs-vswitchd"),
    stop() {
      spawnSync(side.program("ovs-vsctl"), ["-t", "5", "del-br", name], { env: side.env });
      side.stop();
    },
  };
}

/** Our datapath alone with one flow each way: what the switch would add is left out. */
export function bareDatapath(hosts: Hosts): Subject {
  const file = fileURLToPath(new URL("./forwarder.ts", import.meta.url));
  const child: ChildProcess = spawn(process.execPath, [file, ...hosts.ports], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  return {
    name: "ovsbox datapath",
    cpuSeconds: () => cpuSecondsOf(child.pid!),
    stop: () => void child.kill("SIGKILL"),
  };
}

/** Waits until the two hosts reach each other. */
export async function reach(hosts: Hosts): Promise<void> {
  for (let i = 0; i < 50; i++) {
    const r = spawnSync("ip", [
      "netns",
      "exec",
      hosts.namespaces[0],
      "ping",
      "-c",
      "1",
      "-W",
      "1",
      "10.77.0.2",
    ]);
    if (r.status === 0) return;
    await sleep(100);
  }
  throw new Error("the hosts do not reach each other");
}

export interface Throughput {
  /** Arrived at the other host. */
  packets: number;
  kpps: number;
  /** CPU microseconds of the switch a packet. */
  cpu: number;
}

/** Frames from the first host to the second, as {@link startTraffic} sends them. */
export async function forward(
  hosts: Hosts,
  subject: Subject,
  flows: number,
  seconds: number,
  rate = 0,
  first = 0,
): Promise<Throughput> {
  const to = hosts.namespaces[1];
  const before = received(to);
  const cpuBefore = subject.cpuSeconds();
  await startTraffic(hosts, flows, seconds, rate, first);
  await sleep(200);
  const packets = received(to) - before;
  const cpu = ((subject.cpuSeconds() - cpuBefore) * 1e6) / packets;
  return { packets, kpps: packets / seconds / 1000, cpu };
}

/** A subject between two hosts of its own. */
export interface Lane<S extends Subject = Subject> {
  readonly who: string;
  readonly hosts: Hosts;
  readonly subject: S;
}

/**
 * Sets up ours (`bare`: without the switch), the peer where there is one, and the Linux bridge beside each other, so that
 * rounds can take turns and a noisy machine disturbs all alike; takes all down again.
 */
export function withLanes(bare: boolean, measure: (lanes: Lane[]) => Promise<void>): Promise<void> {
  return withSubjects<Subject>(
    {
      ours: (hosts) => (bare ? bareDatapath(hosts) : ovsSwitch("ours", hosts)),
      peer: (hosts) => ovsSwitch("peer", hosts),
      bridge: linuxBridge,
    },
    measure,
  );
}

/** Ours and the peer's, to be commanded by their programs. */
export function withSwitches(measure: (lanes: Lane<SwitchSubject>[]) => Promise<void>): Promise<void> {
  return withSubjects<SwitchSubject>(
    { ours: (hosts) => ovsSwitch("ours", hosts), peer: (hosts) => ovsSwitch("peer", hosts) },
    measure,
  );
}

/** The same for any subjects, by who they are; without a peer, "peer" is left out. */
export async function withSubjects<S extends Subject>(
  makers: Readonly<Record<string, (hosts: Hosts) => S>>,
  measure: (lanes: Lane<S>[]) => Promise<void>,
): Promise<void> {
  const closers: (() => void)[] = [];
  try {
    const lanes: Lane<S>[] = [];
    for (const [who, start] of Object.entries(makers)) {
      if (who === "peer" && !havePeer()) continue;
      const hosts = makeHosts();
      closers.unshift(hosts.close);
      const subject = start(hosts);
      closers.unshift(() => subject.stop());
      await reach(hosts);
      lanes.push({ who, hosts, subject });
    }
    await measure(lanes);
  } finally {
    for (const close of closers) close();
  }
}
