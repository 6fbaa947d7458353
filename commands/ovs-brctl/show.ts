/** The commands that print: show, showmacs, showstp. */
import { strerror } from "../../src/lib/errors.ts";
import type { Bridge } from "../ovs-vsctl/model.ts";
import type { Session } from "./command.ts";

const HEAD = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";

export function show(names: readonly string[], session: Session): void {
  const { model, devices } = session;
  let text = "";
  const all = [...model.bridges.values()].sort(
    (a, b) => devices.index(a.name) - devices.index(b.name) || (a.name < b.name ? -1 : 1),
  );
  for (const bridge of names.length === 0 ? all : names.map((name) => model.bridges.get(name) ?? name))
    if (typeof bridge === "string") complain(bridge, session);
    else text += bridgeLines(bridge, session);
  if (text !== "") session.print(HEAD + text);
}

function complain(name: string, session: Session): void {
  session.fail(session.exists(name) ? `device ${name} is not a bridge!` : `bridge ${name} does not exist!`);
}

function bridgeLines(bridge: Bridge, session: Session): string {
  const stp = session.stpEnabled(bridge) ? "yes" : "no";
  const members = session.ports(bridge).map(({ name }) => name);
  return `${bridge.name}\t\t${session.bridgeId(bridge)}\t${stp}\t\t${members.join("\n\t\t\t\t\t\t\t")}\n`;
}

const pad = (value: number | string, width: number): string => String(value).padStart(width);
/** Seconds, as all tables show them. */
const time = (sec: number): string => pad(sec.toFixed(2), 7);

/** Addresses of the ports themselves, and those learned; a VLAN's bridge has those of its VLAN. */
export function showMacs([name = ""]: readonly string[], session: Session): void {
  const bridge = session.model.bridges.get(name);
  if (bridge === undefined) {
    session.fail(`read of forward table failed: ${strerror(session.exists(name) ? "EOPNOTSUPP" : "ENODEV")}`);
    return;
  }
  session.afterwards(async (learned) => {
    const ports = session.ports(bridge).filter(({ number }) => number > 0);
    const numbers = new Set(ports.map(({ number }) => number));
    const rows = new Map(
      ports
        .filter(({ mac }) => mac !== "")
        .map(({ mac, number }) => [mac, { port: number, local: "yes", age: 0 }]),
    );
    const others = new Set([...bridge.children].map(({ vlan }) => vlan));
    for (const { port, vlan, mac, age } of await learned((bridge.parent ?? bridge).name)) {
      // Of a trunk each VLAN has its own.
      const here = bridge.parent === undefined ? !others.has(vlan) : vlan === bridge.vlan;
      const known = port !== null && (numbers.has(port) || (bridge.parent !== undefined && port < 0xff00));
      if (here && known && !rows.has(mac)) rows.set(mac, { port, local: "no", age: age ?? 0 });
    }
    session.print("port no\tmac addr\t\tis local?\tageing timer\n");
    for (const mac of [...rows.keys()].sort()) {
      const { port, local, age } = rows.get(mac)!;
      session.print(`${pad(port, 3)}\t${mac}\t${local}\t\t${time(age)}\n`);
    }
  });
}

/** Where a bridge or a port says nothing: the defaults of IEEE 802.1D. */
const DEFAULTS = { maxAge: 20, hello: 2, delay: 15, ageing: 300, pathCost: 19, portPriority: 128 };

export function showStp([name = ""]: readonly string[], session: Session): void {
  const bridge = session.model.bridges.get(name);
  if (bridge === undefined) {
    complain(name, session);
    return;
  }
  const { uuid } = bridge;
  const config = (key: string, fallback: number): number =>
    Number(session.value("Bridge", uuid, "other_config", key) ?? fallback);
  const status = (key: string): string | undefined => session.value("Bridge", uuid, "status", key);
  const id = session.bridgeId(bridge);
  const root = status("stp_designated_root") ?? id;
  const maxAge = time(config("stp-max-age", DEFAULTS.maxAge));
  const hello = time(config("stp-hello-time", DEFAULTS.hello));
  const delay = time(config("stp-forward-delay", DEFAULTS.delay));
  const floods = session.context.atoms("Bridge", uuid, "flood_vlans").includes(0);
  const ageing = floods ? 0 : config("mac-aging-time", DEFAULTS.ageing);
  const ports = session.ports(bridge);
  const rootPort = ports.find((port) => session.value("Port", port.uuid, "status", "stp_role") === "root");
  const rootNumber = rootPort?.number ?? 0;
  session.print(
    `${name}\n bridge id\t\t${id}\n designated root\t${root}\n` +
      ` root port\t\t${pad(rootNumber, 4)}\t\t\tpath cost\t\t${pad(status("stp_root_path_cost") ?? 0, 4)}\n` +
      ` max age\t\t${maxAge}\t\t\tbridge max age\t\t${maxAge}\n` +
      ` hello time\t\t${hello}\t\t\tbridge hello time\t${hello}\n` +
      ` forward delay\t\t${delay}\t\t\tbridge forward delay\t${delay}\n` +
      ` ageing time\t\t${time(ageing)}\n` +
      ` hello timer\t\t${time(0)}\t\t\ttcn timer\t\t${time(0)}\n` +
      ` topology change timer\t${time(0)}\t\t\tgc timer\t\t${time(0)}\n flags\t\t\t\n\n\n`,
  );
  for (const port of ports) {
    const own = (key: string, fallback: number): number =>
      Number(session.value("Port", port.uuid, "other_config", key) ?? fallback);
    const said = (key: string): string | undefined => session.value("Port", port.uuid, "status", key);
    const number = port.number & 0xff;
    const priority = own("stp-port-priority", DEFAULTS.portPriority);
    const portId = said("stp_port_id") ?? ((priority << 8) | number).toString(16).padStart(4, "0");
    const cost = own("stp-path-cost", DEFAULTS.pathCost);
    const state = said("stp_state") ?? (linkUp(port.name, session) ? "forwarding" : "disabled");
    session.print(
      `${port.name} (${port.number})\n port id\t\t${portId}\t\t\tstate\t\t${pad(state, 15)}\n` +
        ` designated root\t${root}\tpath cost\t\t${pad(cost, 4)}\n` +
        ` designated bridge\t${id}\tmessage age timer\t${time(0)}\n` +
        ` designated port\t${portId}\t\t\tforward delay timer\t${time(0)}\n` +
        ` designated cost\t${pad(0, 4)}\t\t\thold timer\t\t${time(0)}\n flags\t\t\t\n\n`,
    );
  }
}

function linkUp(port: string, { model, context }: Session): boolean {
  return [...(model.ports.get(port)?.interfaces ?? [])].some(
    ({ uuid }) => context.atom("Interface", uuid, "link_state") === "up",
  );
}
