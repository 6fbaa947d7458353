/** What ovs-ctl's command line says (ovs-ctl(8)): one table of options, which fills a {@link Settings}. */
import { dirs } from "../../src/lib/dirs.ts";
import { Fatal } from "../../src/lib/errors.ts";
import type { OptionGroup, OptionSpec } from "../../src/lib/getopt.ts";

export type DaemonName = "ovsdb-server" | "ovs-vswitchd";

export interface DaemonSettings {
  /** Does this run concern it (--no-ovsdb-server, --no-ovs-vswitchd)? */
  run: boolean;
  /** Niceness; undefined: as we are. */
  priority: number | undefined;
  /** "valgrind", "strace" */
  wrapper: string | undefined;
  umask: number | undefined;
  /** Further options, as words. */
  options: string[];
}

export interface Settings {
  readonly daemons: Record<DaemonName, DaemonSettings>;
  systemId: string | undefined;
  systemType: string | undefined;
  systemVersion: string | undefined;
  /** "key=value" */
  readonly externalIds: string[];
  deleteBridges: boolean;
  deleteTransientPorts: boolean;
  ovsUser: string | undefined;
  daemonCwd: string;
  forceCorefiles: boolean;
  mlockall: boolean;
  monitor: boolean;
  selfConfinement: boolean;
  fullHostname: boolean;
  recordHostname: boolean;
  oomScore: number | undefined;
  ulimitCore: string;
  dbFile: string;
  dbSock: string;
  /** Undefined: the schema that is built in. */
  dbSchema: string | undefined;
  protocol: string;
  sport: string | undefined;
  dport: string | undefined;
}

export function defaultSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const places = dirs(env);
  const daemon = (): DaemonSettings => ({
    run: true,
    priority: -10,
    wrapper: undefined,
    umask: undefined,
    options: [],
  });
  return {
    daemons: { "ovsdb-server": daemon(), "ovs-vswitchd": daemon() },
    systemId: undefined,
    systemType: undefined,
    systemVersion: undefined,
    externalIds: [],
    deleteBridges: false,
    deleteTransientPorts: false,
    ovsUser: undefined,
    daemonCwd: "/",
    forceCorefiles: true,
    mlockall: true,
    monitor: true,
    selfConfinement: true,
    fullHostname: true,
    recordHostname: true,
    oomScore: undefined,
    ulimitCore: "unlimited",
    dbFile: `${places.db}/conf.db`,
    dbSock: `${places.run}/db.sock`,
    dbSchema: undefined,
    protocol: "gre",
    sport: undefined,
    dport: undefined,
  };
}

/** A pair `--x`, `--no-x`; the help stands at the one that is not the default. */
function toggle(long: string, byDefault: boolean, help: string, set: (on: boolean) => void): OptionSpec[] {
  return [
    { long, ...(byDefault ? {} : { help }), set: () => set(true) },
    { long: `no-${long}`, ...(byDefault ? { help } : {}), set: () => set(false) },
  ];
}

function value(long: string, metavar: string, help: string, set: (text: string) => void): OptionSpec {
  return { long, arg: "required", metavar, help, set: (text) => set(text!) };
}

function integer(option: string, text: string): number {
  if (!/^-?\d+$/.test(text)) throw new Fatal(`--${option}: "${text}" is not a number`);
  return Number(text);
}

function umask(option: string, text: string): number {
  if (!/^[0-7]{1,4}$/.test(text)) throw new Fatal(`--${option}: "${text}" is not an octal file mode`);
  return Number.parseInt(text, 8);
}

const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");

function daemonOptions(settings: Settings, name: DaemonName): OptionSpec[] {
  const daemon = settings.daemons[name];
  return [
    ...toggle(name, true, `leave ${name} alone`, (on) => {
      daemon.run = on;
    }),
    value(`${name}-priority`, "NICE", `${name}'s niceness (default: -10)`, (text) => {
      daemon.priority = text === "" ? undefined : integer(`${name}-priority`, text);
    }),
    value(`${name}-options`, "OPTIONS", `more options for ${name}`, (text) => {
      daemon.options = words(text);
    }),
    value(`${name}-umask`, "MODE", `${name}'s file mode creation mask`, (text) => {
      daemon.umask = umask(`${name}-umask`, text);
    }),
    value(`${name}-wrapper`, "WRAPPER", `run ${name} under valgrind or strace`, (text) => {
      if (!["valgrind", "strace", ""].includes(text))
        throw new Fatal(`--${name}-wrapper: unknown wrapper "${text}"`);
      daemon.wrapper = text || undefined;
    }),
  ];
}

export function ctlOptions(settings: Settings): OptionGroup[] {
  return [
    {
      title: "What this system is (start, restart, force-reload-kmod)",
      options: [
        value("system-id", "UUID", "this system's identity; random: made once and kept", (text) => {
          settings.systemId = text;
        }),
        value("system-type", "TYPE", 'kind of system (e.g. "KVM")', (text) => {
          settings.systemType = text;
        }),
        value("system-version", "VERSION", "its version", (text) => {
          settings.systemVersion = text;
        }),
        value("external-id", '"KEY=VALUE"', "add to the external-ids of Open_vSwitch", (text) => {
          settings.externalIds.push(text);
        }),
        ...toggle("full-hostname", true, "record the short host name", (on) => {
          settings.fullHostname = on;
        }),
        ...toggle("record-hostname", true, "do not record the host name at start", (on) => {
          settings.recordHostname = on;
        }),
      ],
    },
    {
      title: "What to start",
      options: [
        ...daemonOptions(settings, "ovsdb-server"),
        ...daemonOptions(settings, "ovs-vswitchd"),
        ...toggle("delete-bridges", false, "delete all bridges before ovs-vswitchd starts", (on) => {
          settings.deleteBridges = on;
        }),
        ...toggle(
          "delete-transient-ports",
          false,
          "delete ports with other_config:transient=true at start",
          (on) => {
            settings.deleteTransientPorts = on;
          },
        ),
      ],
    },
    {
      title: "How to start it",
      options: [
        value("ovs-user", '"USER[:GROUP]"', "run the daemons as that user", (text) => {
          settings.ovsUser = text || undefined;
        }),
        value("daemon-cwd", "DIR", "the daemons' working folder (default: /)", (text) => {
          settings.daemonCwd = text;
        }),
        ...toggle("monitor", true, "do not start a crashed daemon again", (on) => {
          settings.monitor = on;
        }),
        ...toggle("mlockall", true, "do not lock ovs-vswitchd into memory", (on) => {
          settings.mlockall = on;
        }),
        ...toggle("self-confinement", true, "let the daemons use sockets anywhere", (on) => {
          settings.selfConfinement = on;
        }),
        ...toggle("force-corefiles", true, "do not raise the limit of core dumps", (on) => {
          settings.forceCorefiles = on;
        }),
        // Our processes have no huge pages to leave out.
        { long: "dump-hugepages", help: "accepted, without a meaning", set: () => {} },
        value("ulimit-core", "LIMIT", "the limit to raise it to (default: unlimited)", (text) => {
          settings.ulimitCore = text;
        }),
        value("oom-score", "SCORE", "the daemons' oom_score_adj", (text) => {
          settings.oomScore = integer("oom-score", text);
        }),
      ],
    },
    {
      title: "Files",
      options: [
        value("db-file", "FILE", `database (default: ${settings.dbFile})`, (text) => {
          settings.dbFile = text;
        }),
        value("db-sock", "SOCKET", `its socket (default: ${settings.dbSock})`, (text) => {
          settings.dbSock = text;
        }),
        value("db-schema", "FILE", "its schema (default: built in)", (text) => {
          settings.dbSchema = text;
        }),
      ],
    },
    {
      title: "For enable-protocol",
      options: [
        value("protocol", "PROTOCOL", "protocol to let in (default: gre)", (text) => {
          settings.protocol = text;
        }),
        value("sport", "PORT", "source port (tcp, udp)", (text) => {
          settings.sport = text;
        }),
        value("dport", "PORT", "destination port (tcp, udp)", (text) => {
          settings.dport = text;
        }),
      ],
    },
  ];
}
