/**
 * Bridges, ports and interfaces by name, as ovs-vsctl sees them: a port with `fake_bridge` and a tag is a bridge of its
 * own, and ports of the real bridge with that tag are its ports (ovs-vsctl(8), "Linux VLAN Bridging Compatibility").
 */
import { Fatal } from "../../src/lib/errors.ts";
import { vlog } from "../../src/lib/vlog.ts";
import type { CtlContext } from "../../src/ovsdb/ctl/context.ts";
import type { Needs } from "../../src/ovsdb/ctl/needs.ts";
import { type Datum, makeDatum, scalar } from "../../src/ovsdb/datum.ts";

export interface Bridge {
  readonly name: string;
  /** Row of a real bridge; a fake one has its parent's. */
  readonly uuid: string;
  readonly parent: Bridge | undefined;
  /** 0 for a real bridge. */
  readonly vlan: number;
  readonly ports: Set<Port>;
  readonly children: Set<Bridge>;
}

export interface Port {
  readonly name: string;
  readonly uuid: string;
  readonly bridge: Bridge;
  readonly interfaces: Set<Interface>;
}

export interface Interface {
  readonly name: string;
  readonly uuid: string;
  readonly port: Port;
}

export function needModel(needs: Needs): void {
  needs.columns("Open_vSwitch", "bridges");
  needs.columns("Bridge", "name", "controller", "fail_mode", "ports");
  needs.columns("Port", "name", "fake_bridge", "tag", "interfaces");
  needs.columns("Interface", "name", "ofport", "error");
  needs.written("Port", "bond_fake_iface");
  needs.written("Interface", "type");
}

export function refSet(uuids: Iterable<string>): Datum {
  return makeDatum([...uuids], undefined, "drop");
}

export class Model {
  readonly context: CtlContext;
  /** Of the only row of Open_vSwitch. */
  readonly root: string;
  readonly bridges = new Map<string, Bridge>();
  readonly ports = new Map<string, Port>();
  readonly interfaces = new Map<string, Interface>();

  /** The one of this attempt. */
  static of(context: CtlContext): Model {
    let model = context.shared.get("model") as Model | undefined;
    if (model === undefined) {
      model = new Model(context);
      context.shared.set("model", model);
      context.invalidate = () => context.shared.delete("model");
    }
    return model;
  }

  constructor(context: CtlContext) {
    this.context = context;
    this.root = rootRow(context);
    context.txn.verifyColumn("Open_vSwitch", this.root, "bridges");
    const refs = context.refs("Open_vSwitch", this.root, "bridges", "Bridge");
    for (const uuid of refs) this.#loadBridge(uuid);
    for (const uuid of refs) this.#loadPorts(uuid);
  }

  #loadBridge(uuid: string): void {
    const { context } = this;
    const name = context.text("Bridge", uuid, "name");
    if (this.bridges.has(name)) {
      warn(`${name}: database contains duplicate bridge name`);
      return;
    }
    const bridge = this.addBridge(name, uuid, undefined, 0);
    for (const port of context.refs("Bridge", uuid, "ports", "Port")) {
      const vlan = this.#fakeVlan(port);
      if (vlan === undefined) continue;
      const fake = context.text("Port", port, "name");
      if (this.bridges.has(fake)) warn(`${fake}: database contains duplicate bridge name`);
      else this.addBridge(fake, uuid, bridge, vlan);
    }
  }

  /** The VLAN if the port stands for a fake bridge. */
  #fakeVlan(port: string): number | undefined {
    if (this.context.atom("Port", port, "fake_bridge") !== true) return undefined;
    const tag = this.context.atom("Port", port, "tag");
    return tag === undefined || (tag as number) < 0 || (tag as number) > 4095 ? undefined : (tag as number);
  }

  #loadPorts(uuid: string): void {
    const { context } = this;
    const bridge = this.bridges.get(context.text("Bridge", uuid, "name"));
    if (bridge?.uuid !== uuid) return;
    for (const port of context.refs("Bridge", uuid, "ports", "Port")) {
      const name = context.text("Port", port, "name");
      const known = this.ports.get(name);
      if (known !== undefined) {
        if (known.uuid === port) {
          warn(`${name}: port is in multiple bridges (${known.bridge.name} and ${bridge.name})`);
        } else warn(`${name}: database contains duplicate port name`);
        continue;
      }
      if (this.#fakeVlan(port) !== undefined && this.bridges.get(name)?.uuid !== uuid) continue;
      const tag = context.atom("Port", port, "tag");
      const child = [...bridge.children].find(({ vlan }) => vlan === tag);
      const owner = this.addPort(name, port, child ?? bridge);
      for (const iface of context.refs("Port", port, "interfaces", "Interface")) {
        const ifaceName = context.text("Interface", iface, "name");
        const other = this.interfaces.get(ifaceName);
        if (other === undefined) this.addInterface(ifaceName, iface, owner);
        else if (other.uuid === iface) {
          warn(`${ifaceName}: interface is in multiple ports (${other.port.name} and ${name})`);
        } else warn(`${ifaceName}: database contains duplicate interface name`);
      }
    }
  }

  /** Others must not add or move ports or interfaces meanwhile. */
  verifyPorts(): void {
    const { txn } = this.context;
    for (const uuid of txn.uuids("Bridge")) txn.verifyColumn("Bridge", uuid, "ports");
    for (const uuid of txn.uuids("Port")) txn.verifyColumn("Port", uuid, "interfaces");
  }

  addBridge(name: string, uuid: string, parent: Bridge | undefined, vlan: number): Bridge {
    const bridge: Bridge = { name, uuid, parent, vlan, ports: new Set(), children: new Set() };
    parent?.children.add(bridge);
    this.bridges.set(name, bridge);
    return bridge;
  }

  addPort(name: string, uuid: string, bridge: Bridge): Port {
    const port: Port = { name, uuid, bridge, interfaces: new Set() };
    bridge.ports.add(port);
    this.ports.set(name, port);
    return port;
  }

  addInterface(name: string, uuid: string, port: Port): Interface {
    const iface: Interface = { name, uuid, port };
    port.interfaces.add(iface);
    this.interfaces.set(name, iface);
    return iface;
  }

  bridge(name: string): Bridge {
    const bridge = this.bridges.get(name);
    if (bridge === undefined) throw new Fatal(`no bridge named ${name}`);
    return bridge;
  }

  realBridge(name: string): Bridge {
    const bridge = this.bridge(name);
    if (bridge.parent !== undefined) throw new Fatal(`${name} is a fake bridge`);
    return bridge;
  }

  /** A port that is not a bridge's local one. */
  findPort(name: string): Port | undefined {
    const port = this.ports.get(name);
    return port === undefined || port.name === port.bridge.name ? undefined : port;
  }

  port(name: string): Port {
    const port = this.findPort(name);
    if (port === undefined) throw new Fatal(`no port named ${name}`);
    return port;
  }

  findInterface(name: string): Interface | undefined {
    const iface = this.interfaces.get(name);
    return iface === undefined || iface.name === iface.port.bridge.name ? undefined : iface;
  }

  interface(name: string): Interface {
    const iface = this.findInterface(name);
    if (iface === undefined) throw new Fatal(`no interface named ${name}`);
    return iface;
  }

  /** Bridges, ports and interfaces share one space of names. */
  checkConflicts(name: string, what: string): void {
    this.verifyPorts();
    if (this.bridges.has(name)) {
      throw new Fatal(`${what} because a bridge named ${name} already exists`);
    }
    const port = this.ports.get(name);
    if (port !== undefined) {
      throw new Fatal(`${what} because a port named ${name} already exists on bridge ${port.bridge.name}`);
    }
    const iface = this.interfaces.get(name);
    if (iface !== undefined) {
      const on = iface.port.bridge.name;
      throw new Fatal(`${what} because an interface named ${name} already exists on bridge ${on}`);
    }
  }

  /** Puts a new port's row into its bridge's. */
  linkPort(bridge: Bridge, port: string): void {
    const ports = this.context.txn.read("Bridge", bridge.uuid, "ports").keys as readonly string[];
    this.context.set("Bridge", bridge.uuid, "ports", refSet([...ports, port]));
  }

  deletePort(port: Port): void {
    const { uuid } = port.bridge;
    const ports = this.context.txn.read("Bridge", uuid, "ports").keys as readonly string[];
    this.context.set("Bridge", uuid, "ports", refSet(ports.filter((ref) => ref !== port.uuid)));
    for (const iface of port.interfaces) {
      this.context.txn.deleteRow("Interface", iface.uuid);
      this.interfaces.delete(iface.name);
    }
    this.context.txn.deleteRow("Port", port.uuid);
    this.ports.delete(port.name);
    port.bridge.ports.delete(port);
  }

  deleteBridge(bridge: Bridge): void {
    for (const child of [...bridge.children]) this.deleteBridge(child);
    for (const port of [...bridge.ports]) this.deletePort(port);
    if (bridge.parent === undefined) {
      const refs = this.context.txn.read("Open_vSwitch", this.root, "bridges").keys as readonly string[];
      this.context.set(
        "Open_vSwitch",
        this.root,
        "bridges",
        refSet(refs.filter((ref) => ref !== bridge.uuid)),
      );
      this.context.txn.deleteRow("Bridge", bridge.uuid);
    } else bridge.parent.children.delete(bridge);
    this.bridges.delete(bridge.name);
  }

  /** Inserts a row of Interface with `type`, "" for the default. */
  insertInterface(name: string, type: string): string {
    const { txn } = this.context;
    const uuid = txn.insertRow("Interface");
    txn.write("Interface", uuid, "name", scalar(name));
    if (type !== "") txn.write("Interface", uuid, "type", scalar(type));
    return uuid;
  }

  /** Names of interfaces made in this run: vswitchd's verdict on them is waited for. */
  get fresh(): string[] {
    const { shared } = this.context;
    let names = shared.get("fresh") as string[] | undefined;
    if (names === undefined) shared.set("fresh", (names = []));
    return names;
  }
}

/** The row of Open_vSwitch, which `begin` has made if there was none. */
export function rootRow(context: CtlContext): string {
  const [root] = context.txn.uuids("Open_vSwitch");
  return root!;
}

function warn(text: string): void {
  vlog("vsctl").warn(text);
}
