/** What the daemons tell a service manager: a socket in python3 plays the manager. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import t from "tap";
import { cannotRun, World } from "./world.ts";

/** Prints each datagram that arrives, as one line. */
const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\\0"))
print("listening", flush=True)
while True: print(s.recv(4096).decode().replace("\\n", " "), flush=True)
`;

const CASES = [
  { name: "a detached daemon", socket: (dir: string) => `${dir}/notify`, monitor: false },
  { name: "an abstract socket and a monitor", socket: (dir: string) => `@${dir}/notify`, monitor: true },
];

for (const { name, socket, monitor } of CASES) {
  t.test(`ready, alive, stopping: ${name}`, { skip: cannotRun("python3") }, async (t) => {
    const world = new World();
    const path = socket(world.dir);
    // Abstract names belong to a network namespace.
    const listener = world.background("sw", "python3", "-c", LISTEN, path);
    const lines = createInterface({ input: listener.stdout! });
    const heard: string[] = [];
    lines.on("line", (line) => heard.push(line));
    try {
      await once(lines, "line");
      Object.assign(world.env, { NOTIFY_SOCKET: path, WATCHDOG_USEC: "200000" });
      world.startDatabase(...(monitor ? ["--monitor"] : []));
      const pid = world.pid("ovsdb-server");
      await world.until("told that it is ready", () => heard.some((line) => line.startsWith("READY=1")));
      const main = Number(/MAINPID=(\d+)/.exec(heard.find((line) => line.startsWith("READY=1"))!)![1]);
      if (monitor) t.not(main, pid, "the monitor is the service's main process");
      else t.equal(main, pid);
      const fed = (): number => heard.filter((line) => line === "WATCHDOG=1").length;
      const before = fed();
      await world.until("the watchdog is fed", () => fed() > before + 1);
      world.inside("sw", "ovs-appctl", "-t", "ovsdb-server", "exit");
      await world.until("told that it stops", () => heard.includes("STOPPING=1"));
    } finally {
      await world.close();
    }
  });
}
