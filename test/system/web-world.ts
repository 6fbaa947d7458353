/** A switch on dummy ports, `ovsdbmonitor` beside it and Debian's Chromium before it, for web.test.ts and the page's bench. */
import { existsSync, readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { type Browser, chromium, type Page } from "playwright-core";
import { sleep, World } from "./world.ts";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));

/** The reason to skip browser tests here, or false. */
export function withoutBrowser(): string | false {
  return CHROMIUM === undefined ? "no chromium (scripts/test installs it)" : false;
}

export function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM!,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
}

/** Nothing of it is in a namespace: the dummy datapath has no devices, and browser and monitor meet on loopback. */
export class WebWorld extends World {
  startDummySwitch(): void {
    this.command("ovsbox", "up", "--enable-dummy=override", "--detach", "--no-chdir", "-vconsole:off");
  }

  /** Puts many ports into the database at once: ovs-vsctl takes a minute for thousands on a busy machine. */
  addPorts(bridge: string, names: readonly string[], type: string): void {
    // An argument has 128 kB at most.
    for (let at = 0; at < names.length; at += 300) {
      const some = names.slice(at, at + 300);
      const inserts = some.flatMap((name, i) => [
        { op: "insert", table: "Interface", "uuid-name": `i${i}`, row: { name, type } },
        {
          op: "insert",
          table: "Port",
          "uuid-name": `p${i}`,
          row: { name, interfaces: ["named-uuid", `i${i}`] },
        },
      ]);
      const ports = ["set", some.map((_, i) => ["named-uuid", `p${i}`])];
      const join = {
        op: "mutate",
        table: "Bridge",
        where: [["name", "==", bridge]],
        mutations: [["ports", "insert", ports]],
      };
      const reply = this.command(
        ...(["ovsdb-client", "-t", "60", "transact", `unix:${this.dir}/db.sock`] as const),
        JSON.stringify(["Open_vSwitch", ...inserts, join]),
      );
      if (/"error"/.test(reply)) throw new Error(reply.slice(-500));
    }
  }

  /** Returns where the page is. */
  startMonitor(...options: string[]): string {
    this.command(
      "ovsdbmonitor",
      ...["--detach", "--no-chdir", "--pidfile", "--log-file", "-vconsole:off", "--listen=127.0.0.1:0"],
      ...options,
    );
    return this.command("ovs-appctl", "-t", "ovsdbmonitor", "web/link").trim();
  }

  monitorLog(): string {
    return readFileSync(join(this.dir, "ovsdbmonitor.log"), "utf8");
  }

  endMonitor(): void {
    this.try("ovs-appctl", "-t", "ovsdbmonitor", "exit");
  }

  override async close(): Promise<void> {
    try {
      process.kill(Number(readFileSync(join(this.dir, "ovsdbmonitor.pid"), "utf8")), "SIGKILL");
    } catch {
      // Not running.
    }
    await super.close();
  }
}

/** Puts packets into dummy ports over one control connection. */
export class Traffic {
  readonly #socket: Socket;
  #id = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(world: World) {
    this.#socket = createConnection(join(world.dir, `ovs-vswitchd.${world.pid("ovs-vswitchd")}.ctl`));
    this.#socket.on("data", () => {});
    this.#socket.on("error", () => {});
  }

  packet(port: string, flow: string, length = 0): void {
    const params = length === 0 ? [port, flow] : [port, flow, "--len", String(length)];
    this.#socket.write(JSON.stringify({ method: "netdev-dummy/receive", params, id: this.#id++ }));
  }

  /** Calls `burst` again and again. */
  every(ms: number, burst: () => void): void {
    this.#timer = setInterval(burst, ms);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#socket.destroy();
  }
}

export function udp(from: number, to: number, ports: [number, number] = [40_000, 53]): string {
  const mac = (n: number): string => `50:54:00:00:00:${n.toString(16).padStart(2, "0")}`;
  return (
    `in_port(${from}),eth(src=${mac(from)},dst=${mac(to)}),eth_type(0x0800),` +
    `ipv4(src=10.0.0.${from},dst=10.0.0.${to},proto=17,tos=0,ttl=64,frag=no),udp(src=${ports[0]},dst=${ports[1]})`
  );
}

/** Whatever the page complains about. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") found.push(message.text());
  });
  page.on("pageerror", (error) => found.push(String(error)));
  return found;
}

export { sleep };
