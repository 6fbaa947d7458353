/**
 * node:fs, loaded at its first use: that costs 3 ms, a fifth of what `ovs-vsctl show` takes in all. Modules on every
 * client's way use this; those that a client loads for files alone import node:fs as usual.
 */
let loaded: typeof import("node:fs") | undefined;

export function fs(): typeof import("node:fs") {
  loaded ??= process.getBuiltinModule("node:fs");
  return loaded;
}

/** True when somebody has paid for it. */
export const fsLoaded = (): boolean => loaded !== undefined;
