/** The commands that set something: what they take, where the database keeps it, and how they fail. */
import { strerror } from "../../src/lib/errors.ts";
import { EMPTY_SET, makeDatum, scalar } from "../../src/ovsdb/datum.ts";
import type { Bridge } from "../ovs-vsctl/model.ts";
import type { Session } from "./command.ts";

const PORT_PRIORITY_MAX = 63;
/** A port has 6 bits of priority in Linux, 8 in the database, and shows the same identifier then. */
const PORT_PRIORITY_STEP = 4;

/** As strtod(3) begins to read it, undefined when it cannot. */
function leadingNumber(text: string): number | undefined {
  const [found] = /^\s*[+-]?(0x[0-9a-f]+|(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)/i.exec(text) ?? [];
  return found === undefined ? undefined : Number(found);
}

interface Setting {
  /** "set ageing time" */
  readonly what: string;
  /** Complaint on a value that is no number. */
  readonly bad: string;
  /** Whole seconds or units of the database; undefined: out of range. */
  read(value: number, session: Session, bridge: Bridge): number | undefined;
  write(session: Session, uuid: string, value: number): void;
}

const key =
  (table: string, name: string) =>
  (session: Session, uuid: string, value: number): void =>
    session.configure(table, uuid, { [name]: String(value) });

const within = (min: number, max: number) => (value: number) =>
  value >= min && value <= max ? value : undefined;

/** The database counts whole seconds. */
const seconds = (min: number, max: number) => (value: number) =>
  value >= min && value <= max ? Math.round(value) : undefined;

export const BRIDGE_SETTINGS = {
  setageing: {
    what: "set ageing time",
    bad: "bad ageing time value",
    read: (value) => Math.max(0, Math.round(value)),
    write: setAgeing,
  },
  setbridgeprio: {
    what: "set bridge priority",
    bad: "bad priority",
    read: (value) => Math.trunc(value) & 0xffff,
    write: key("Bridge", "stp-priority"),
  },
  setfd: {
    what: "set forward delay",
    bad: "bad forward delay value",
    // It is looked at while spanning tree runs only: scripts set 0 otherwise.
    read: (value, session, bridge) =>
      session.stpEnabled(bridge) ? seconds(2, 30)(value) : Math.max(0, Math.round(value)),
    write: key("Bridge", "stp-forward-delay"),
  },
  sethello: {
    what: "set hello timer",
    bad: "bad hello timer value",
    read: seconds(1, 10),
    write: key("Bridge", "stp-hello-time"),
  },
  setmaxage: {
    what: "set max age",
    bad: "bad max age value",
    read: seconds(6, 40),
    write: key("Bridge", "stp-max-age"),
  },
} as const satisfies Record<string, Setting>;

export const PORT_SETTINGS = {
  setpathcost: {
    what: "set path cost",
    bad: "bad path cost value",
    read: (value) => within(1, 65535)(Math.trunc(value)),
    write: key("Port", "stp-path-cost"),
  },
  setportprio: {
    what: "set port priority",
    bad: "bad path priority value",
    read: (value) => within(0, PORT_PRIORITY_MAX)(Math.trunc(value)),
    write: (session, uuid, value) =>
      session.configure("Port", uuid, { "stp-port-priority": String(value * PORT_PRIORITY_STEP) }),
  },
} as const satisfies Record<string, Setting>;

/** 0 makes a hub of a Linux bridge. The database has that as "do not learn", for frames without a VLAN here. */
function setAgeing(session: Session, uuid: string, value: number): void {
  const { context } = session;
  const floods = context.atoms("Bridge", uuid, "flood_vlans");
  if (value === 0) {
    context.set("Bridge", uuid, "flood_vlans", makeDatum([...floods, 0], undefined, "drop"));
    return;
  }
  if (floods.includes(0)) {
    const left = floods.filter((vlan) => vlan !== 0);
    context.set(
      "Bridge",
      uuid,
      "flood_vlans",
      left.length === 0 ? EMPTY_SET : makeDatum(left, undefined, "drop"),
    );
  }
  session.configure("Bridge", uuid, { "mac-aging-time": String(value) });
}

/** The bridge, or a complaint: spanning tree and ageing are a real bridge's, not a VLAN's. */
function realBridge(name: string, session: Session, what: string): Bridge | undefined {
  const bridge = session.model.bridges.get(name);
  if (bridge !== undefined && bridge.parent === undefined) return bridge;
  session.fail(`${what} failed: ${strerror(session.exists(name) ? "EOPNOTSUPP" : "ENODEV")}`);
  return undefined;
}

export function setOnBridge(setting: Setting, args: readonly string[], session: Session): void {
  const [name = "", text = ""] = args;
  const value = leadingNumber(text);
  if (value === undefined) {
    session.fail(setting.bad);
    return;
  }
  const bridge = realBridge(name, session, setting.what);
  if (bridge === undefined) return;
  const wanted = setting.read(value, session, bridge);
  if (wanted === undefined) {
    session.fail(`${setting.what} failed: ${strerror("ERANGE")}`);
    return;
  }
  setting.write(session, bridge.uuid, wanted);
}

export function setOnPort(setting: Setting, args: readonly string[], session: Session): void {
  const [name = "", device = "", text = ""] = args;
  const value = leadingNumber(text);
  if (value === undefined) {
    session.fail(setting.bad);
    return;
  }
  const fail = (code: string): void => session.fail(`${setting.what} failed: ${strerror(code)}`);
  const bridge = session.model.bridges.get(name);
  if (!session.exists(name) || !session.exists(device)) {
    fail("ENODEV");
    return;
  }
  const port = session.model.findPort(device);
  if (bridge === undefined || port?.bridge !== bridge) {
    fail("ENOENT");
    return;
  }
  const wanted = setting.read(value, session, bridge);
  if (wanted === undefined) {
    fail("ERANGE");
    return;
  }
  setting.write(session, port.uuid, wanted);
}

const SWITCH: Readonly<Record<string, boolean>> = {
  ...{ on: true, yes: true, 1: true },
  ...{ off: false, no: false, 0: false },
};

/** "on" or "off"; undefined with a complaint. */
function onOff(text: string, session: Session): boolean | undefined {
  const on = Object.hasOwn(SWITCH, text) ? SWITCH[text] : undefined;
  if (on === undefined) session.fail("expect on/off for argument");
  return on;
}

export function setStp([name = "", text = ""]: readonly string[], session: Session): void {
  const on = onOff(text, session);
  if (on === undefined) return;
  const bridge = realBridge(name, session, "set stp status");
  if (bridge !== undefined) session.context.set("Bridge", bridge.uuid, "stp_enable", scalar(on));
}

/** A switch sends nothing back where it came from. */
export function setHairpin([name = "", device = "", text = ""]: readonly string[], session: Session): void {
  if (onOff(text, session) === undefined) return;
  if (!session.exists(device)) {
    session.fail(`interface ${device} does not exist!`);
    return;
  }
  if (!session.exists(name)) {
    session.fail(`bridge ${name} does not exist!`);
    return;
  }
  const member = session.model.findPort(device)?.bridge.name === name;
  session.fail(
    `can't set ${device} to hairpin on bridge ${name}: ${strerror(member ? "EOPNOTSUPP" : "ENOENT")}`,
  );
}
