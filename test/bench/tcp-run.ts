/** One run of iperf3 from the first host to the second, or back. */
import { spawn, spawnSync } from "node:child_process";
import { type Hosts, sleep } from "./net.ts";

/** Bits a second that arrived; 0 when the switch stalled. */
export async function tcpOnce(hosts: Hosts, seconds: number, reverse = false): Promise<number> {
  const inNamespace = (index: 0 | 1): string[] => ["netns", "exec", hosts.namespaces[index], "iperf3"];
  const server = spawn("ip", [...inNamespace(1), "-s", "-1"], { stdio: "ignore" });
  await sleep(300);
  const run = spawnSync(
    "ip",
    [
      ...inNamespace(0),
      ...["-c", "10.77.0.2", "-t", `${seconds}`, "-J", "--connect-timeout", "3000"],
      ...(reverse ? ["-R"] : []),
    ],
    { encoding: "utf8", timeout: (seconds + 10) * 1000 },
  );
  server.kill("SIGKILL");
  try {
    return JSON.parse(run.stdout).end.sum_received.bytes * (8 / seconds);
  } catch {
    return 0;
  }
}
