/** The applets: names, what they are for, how each one's code is loaded. */

/** What a module under commands/ exports. `program` is the name to put before messages. Resolves to the exit status. */
export interface Applet {
  main(args: string[], program: string): Promise<number> | number;
}

export const APPLETS: Readonly<Record<string, { about: string; load: () => Promise<Applet> }>> = {
  "ovs-vswitchd": { about: "switch daemon", load: () => import("./ovs-vswitchd.ts") },
  "ovsdb-server": { about: "database server", load: () => import("./ovsdb-server.ts") },
  "ovsdb-client": { about: "talk to a database server", load: () => import("./ovsdb-client.ts") },
  "ovsdb-tool": { about: "work on database files", load: () => import("./ovsdb-tool.ts") },
  "ovs-vsctl": { about: "configure the switch through its database", load: () => import("./ovs-vsctl.ts") },
  "ovs-ofctl": { about: "talk OpenFlow to a switch", load: () => import("./ovs-ofctl.ts") },
  "ovs-dpctl": { about: "look into datapaths", load: () => import("./ovs-dpctl.ts") },
  "ovs-appctl": { about: "steer running daemons", load: () => import("./ovs-appctl.ts") },
  "ovs-pki": { about: "make keys and certificates", load: () => import("./ovs-pki.ts") },
  "ovs-brctl": {
    about: "Linux bridge's brctl on the switch (also: ovsbox brctl)",
    load: () => import("./ovs-brctl.ts"),
  },
  "ovs-brcompatd": {
    about: "see Linux bridges, or make switches of them",
    load: () => import("./ovs-brcompatd.ts"),
  },
  "ovs-testcontroller": {
    about: "simple OpenFlow controller",
    load: () => import("./ovs-testcontroller.ts"),
  },
  ovsdbmonitor: {
    about: "databases, flows and traffic in the browser, and metrics",
    load: () => import("./ovsdbmonitor.ts"),
  },
  "vtep-ctl": { about: "configure hardware VTEPs", load: () => import("./vtep-ctl.ts") },
  "ovs-pcap": { about: "print the packets of a capture file", load: () => import("./ovs-pcap.ts") },
  "ovs-ctl": { about: "start and stop the daemons", load: () => import("./ovs-ctl.ts") },
  "ovs-save": { about: "save flows and addresses over a restart", load: () => import("./ovs-save.ts") },
};

/** What `ovsbox WORD` does beside the applets. They answer to no link. */
export interface Subcommand {
  readonly category: "Start" | "See";
  readonly about: string;
  readonly examples: [string, string][];
  load(): Promise<Applet>;
}

export const SUBCOMMANDS: Readonly<Record<string, Subcommand>> = {
  up: {
    category: "Start",
    about: "run database and switch in one process (its options: ovsbox up --help)",
    examples: [["In the background, as the system's switch", "ovsbox up --detach"]],
    load: () => import("./up.ts"),
  },
  completion: {
    category: "Start",
    about: "print what bash, zsh or fish needs to complete command lines",
    examples: [["In this bash", 'eval "$(ovsbox completion bash)"']],
    load: () => import("./completion.ts"),
  },
  help: {
    category: "Start",
    about: "show the manual page of an applet, or another one",
    examples: [["How ovs-vsctl is used", "ovsbox help vsctl"]],
    load: () => import("./help.ts"),
  },
  man: {
    category: "Start",
    about: "print manual pages for man (its options: ovsbox man --help)",
    examples: [["For those who like it so", "ovsbox man ovs-vsctl | man -l -"]],
    load: () => import("./man.ts"),
  },
  collect: {
    category: "See",
    about: "receive sFlow, IPFIX and NetFlow and print it (its options: ovsbox collect --help)",
    examples: [["What an exporter sends here", "ovsbox collect ipfix --listen 127.0.0.1:4739"]],
    load: () => import("./collect.ts"),
  },
  snmp: {
    category: "See",
    about: "give the switch's ports to the host's snmpd (its options: ovsbox snmp --help)",
    examples: [["As a daemon", "ovsbox snmp --detach --pidfile --log-file"]],
    load: () => import("./snmp.ts"),
  },
  doctor: {
    category: "See",
    about: "look for what keeps the switch from working (its options: ovsbox doctor --help)",
    examples: [["What is wrong, if anything", "ovsbox doctor --quiet"]],
    load: () => import("./doctor.ts"),
  },
  top: {
    category: "See",
    about: "rates of bridges and ports, busiest flows, drops, live (its options: ovsbox top --help)",
    examples: [["One report as text", "ovsbox top --once"]],
    load: () => import("./top.ts"),
  },
};

export function appletName(word: string): string | undefined {
  for (const name of [word, `ovs-${word}`]) if (Object.hasOwn(APPLETS, name)) return name;
  return undefined;
}
