/** Bridges and their members: addbr, delbr, addif, delif. */
import { strerror } from "../../src/lib/errors.ts";
import { addRealBridge } from "../ovs-vsctl/bridge-commands.ts";
import { insertPort } from "../ovs-vsctl/port-commands.ts";
import type { Session } from "./command.ts";
import { isName, NAME_MAX } from "./devices.ts";

export function addBridge([name = ""]: readonly string[], session: Session): void {
  const { model } = session;
  // As long as a device's name can be: the kernel cuts it, too.
  const bridge = name.slice(0, NAME_MAX);
  if (!isName(bridge)) session.fail(`add bridge failed: ${strerror("EINVAL")}`);
  else if (session.exists(bridge))
    session.fail(`device ${bridge} already exists; can't create bridge with the same name`);
  else {
    model.verifyPorts();
    addRealBridge(model, bridge);
    model.fresh.push(bridge);
  }
}

export function deleteBridge([name = ""]: readonly string[], session: Session): void {
  const bridge = session.model.bridges.get(name);
  if (bridge !== undefined) {
    if (session.devices.isUp(name)) session.fail(`bridge ${name} is still up; can't delete it`);
    else session.model.deleteBridge(bridge);
  } else if (session.exists(name)) session.fail(`can't delete bridge ${name}: ${strerror("EPERM")}`);
  else session.fail(`bridge ${name} doesn't exist; can't delete it`);
}

/** Devices one after the other, up to the first that cannot be had. */
function eachDevice(
  [name = "", ...devices]: readonly string[],
  session: Session,
  run: (bridge: string, device: string) => string | undefined,
  verb: string,
): void {
  for (const device of devices) {
    let error: string | undefined;
    if (!session.exists(device)) error = `interface ${device} does not exist!`;
    else if (!session.exists(name)) error = `bridge ${name} does not exist!`;
    else if (!session.model.bridges.has(name)) error = `can't ${verb} ${name}: ${strerror("EOPNOTSUPP")}`;
    else error = run(name, device);
    if (error !== undefined) {
      session.fail(error.replace("@", device));
      return;
    }
  }
}

export function addDevices(args: readonly string[], session: Session): void {
  const { model, devices, context } = session;
  const add = (bridge: string, device: string): string | undefined => {
    if (model.bridges.has(device) || devices.isLinuxBridge(device))
      return `device ${device} is a bridge device itself; can't add a bridge device to a bridge device.`;
    if (model.interfaces.has(device) || model.ports.has(device) || devices.isLinuxPort(device))
      return `device ${device} is already a member of a bridge; can't add it to bridge ${bridge}.`;
    if (devices.isLoopback(device)) return `can't add ${device} to bridge ${bridge}: ${strerror("EINVAL")}`;
    model.verifyPorts();
    insertPort(context, { bridge, name: device, interfaces: [device], settings: [], fakeInterface: false });
    session.added.set(device, bridge);
    return undefined;
  };
  eachDevice(args, session, add, "add @ to bridge");
}

export function deleteDevices(args: readonly string[], session: Session): void {
  const { model } = session;
  const remove = (bridge: string, device: string): string | undefined => {
    const port = model.findPort(device);
    if (port?.bridge.name !== bridge) return `device ${device} is not a port of ${bridge}`;
    model.deletePort(port);
    return undefined;
  };
  eachDevice(args, session, remove, "delete @ from");
}
