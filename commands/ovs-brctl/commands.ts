/** The commands of brctl. */
import type { BrctlCommand } from "./command.ts";
import { addBridge, addDevices, deleteBridge, deleteDevices } from "./members.ts";
import { BRIDGE_SETTINGS, PORT_SETTINGS, setHairpin, setOnBridge, setOnPort, setStp } from "./settings.ts";
import { show, showMacs, showStp } from "./show.ts";

const bridgeSetting = (name: keyof typeof BRIDGE_SETTINGS, arg: string, about: string): BrctlCommand => ({
  args: `BRIDGE ${arg}`,
  about,
  min: 2,
  writes: true,
  run: (args, session) => setOnBridge(BRIDGE_SETTINGS[name], args, session),
});

const portSetting = (name: keyof typeof PORT_SETTINGS, arg: string, about: string): BrctlCommand => ({
  args: `BRIDGE PORT ${arg}`,
  about,
  min: 3,
  writes: true,
  run: (args, session) => setOnPort(PORT_SETTINGS[name], args, session),
});

export const COMMANDS: Readonly<Record<string, BrctlCommand>> = {
  addbr: { args: "BRIDGE", about: "add bridge", min: 1, writes: true, plain: true, run: addBridge },
  delbr: { args: "BRIDGE", about: "delete bridge", min: 1, writes: true, plain: true, run: deleteBridge },
  addif: {
    args: "BRIDGE DEVICE",
    about: "add interface to bridge",
    min: 2,
    writes: true,
    plain: true,
    run: addDevices,
  },
  delif: {
    args: "BRIDGE DEVICE",
    about: "delete interface from bridge",
    min: 2,
    writes: true,
    run: deleteDevices,
  },
  hairpin: {
    args: "BRIDGE PORT {on|off}",
    about: "turn hairpin on/off",
    min: 3,
    writes: false,
    run: setHairpin,
  },
  setageing: bridgeSetting("setageing", "TIME", "set ageing time"),
  setbridgeprio: bridgeSetting("setbridgeprio", "PRIO", "set bridge priority"),
  setfd: bridgeSetting("setfd", "TIME", "set bridge forward delay"),
  sethello: bridgeSetting("sethello", "TIME", "set hello time"),
  setmaxage: bridgeSetting("setmaxage", "TIME", "set max message age"),
  setpathcost: portSetting("setpathcost", "COST", "set path cost"),
  setportprio: portSetting("setportprio", "PRIO", "set port priority"),
  show: { args: "[BRIDGE]", about: "show a list of bridges", min: 0, writes: false, run: show },
  showmacs: { args: "BRIDGE", about: "show a list of mac addrs", min: 1, writes: false, run: showMacs },
  showstp: { args: "BRIDGE", about: "show bridge stp info", min: 1, writes: false, run: showStp },
  stp: { args: "BRIDGE {on|off}", about: "turn stp on/off", min: 2, writes: true, run: setStp },
};

/** "addbr     \t<bridge>\t\tadd bridge", as bridge-utils lays it out. */
export function usageLine(name: string, pad: boolean): string {
  const { args, about } = COMMANDS[name]!;
  const words = args.replaceAll(/[A-Z]+/g, (word) => `<${word.toLowerCase()}>`).replace(/\[(.*)\]/, "[ $1 ]");
  const tabs = args.includes(" ") && !/^BRIDGE (TIME|PRIO)$/.test(args) ? "\t" : "\t\t";
  return pad ? `\t${name.padEnd(10)}\t${words}${tabs}${about}\n` : `${name} ${words}${tabs}${about}\n`;
}
