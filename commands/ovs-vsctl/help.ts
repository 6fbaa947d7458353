/** `ovs-vsctl --help`: loaded only for that. */
import type { Dirs } from "../../src/lib/dirs.ts";
import type { CommandTable, CtlCommand } from "../../src/ovsdb/ctl/command.ts";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { RECORD_IDS } from "./records.ts";

/** Title to commands and what each does. */
const SECTIONS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Switch: {
    init: "make the root row if the database is empty",
    show: "the configuration as a tree; --filter=TABLE(WORD|WORD),... shows matching rows only",
    "emer-reset": "back to a plain learning switch: no controllers, managers, SSL, mirrors, exporters",
  },
  Bridges: {
    "add-br": "create a bridge; with PARENT and VLAN a fake one on that VLAN",
    "del-br": "delete a bridge, its fake bridges and all their ports",
    "list-br": "names of bridges",
    "br-exists": "exit with status 2 if there is no such bridge",
    "br-to-vlan": "VLAN of a fake bridge, 0 for a real one",
    "br-to-parent": "parent of a fake bridge, a real bridge itself",
    "br-set-external-id": "set external id KEY, or without VALUE remove it",
    "br-get-external-id": "show external id KEY, or all",
  },
  "Ports and bonds": {
    "list-ports": "names of a bridge's ports, without its local port",
    "add-port": "add a network device to a bridge",
    "add-bond": "add several network devices as one port",
    "del-port": "delete a port; --with-iface: or the one with this interface",
    "port-to-br": "the bridge that has the port",
    "add-bond-iface": "add an interface to a port",
    "del-bond-iface": "remove an interface from its port",
  },
  Interfaces: {
    "list-ifaces": "names of all interfaces of a bridge's ports",
    "iface-to-br": "the bridge that has the interface",
  },
  "Controllers, managers, SSL": {
    "get-controller": "targets of a bridge's OpenFlow controllers",
    "del-controller": "no more controllers",
    "set-controller": "controllers of a bridge",
    "get-fail-mode": "what a bridge does without its controller",
    "del-fail-mode": "default fail mode",
    "set-fail-mode": '"standalone" or "secure"',
    "get-manager": "targets of database managers",
    "del-manager": "no more managers",
    "set-manager": "database managers",
    "get-ssl": "files for SSL/TLS",
    "del-ssl": "no more SSL/TLS",
    "set-ssl": "files for SSL/TLS; --bootstrap: fetch CA-CERT from the peer",
  },
  "Auto-attach": {
    "add-aa-mapping": "BRIDGE I-SID VLAN: map a service to a VLAN",
    "del-aa-mapping": "BRIDGE I-SID VLAN: remove the mapping",
    "get-aa-mapping": "mappings of a bridge",
  },
  "Connection tracking": {
    "add-zone-tp": "DATAPATH zone=N KEY=SECONDS...: timeouts of a zone",
    "del-zone-tp": "DATAPATH zone=N: default timeouts",
    "list-zone-tp": "DATAPATH: timeouts of all zones",
    "set-zone-limit": "DATAPATH ZONE|default LIMIT: most connections in a zone",
    "del-zone-limit": "DATAPATH ZONE|default: no limit",
    "list-zone-limits": "DATAPATH: all limits",
    "list-dp-cap": "DATAPATH: what it can do",
  },
  "Any table": {
    list: "all or some records",
    find: "records that meet all conditions (= != < > <= >= {=} {!=} {<} {>} {<=} {>=} {in} {not-in})",
    get: "values of columns",
    set: "set columns, or keys of map columns",
    add: "add to sets and maps",
    remove: "take out of sets and maps",
    clear: "empty columns",
    create: "a new record; --id=@NAME names it for the other commands",
    destroy: "delete records",
    "wait-until": "wait until the record exists and the conditions hold",
    comment: "words for the database's log",
  },
};

function usage({ name, syntax, options }: CtlCommand): string {
  const flags = (options ?? []).map((option) => `[${option.endsWith("=") ? `${option}ARG` : option}]`);
  const words = syntax.split(" ").filter((word) => word !== "");
  const args = words.map((word) => {
    const text = word.slice(1).replace("?:KEY", "[:KEY]").replace("?KEY=", "[KEY=]");
    if (word.startsWith("?")) return `[${text}]`;
    if (word.startsWith("*")) return `[${text}]...`;
    return word.startsWith("+") ? `${text}...` : text;
  });
  return [...flags, name, ...args].join(" ");
}

export function helpText(program: string, commands: CommandTable, folders: Dirs): string {
  let text = `${program}: configures Open vSwitch through its database\n`;
  text += `usage: ${program} [OPTIONS] COMMAND [ARG...] [-- [OPTIONS] COMMAND [ARG...]]...\n`;
  text += "All commands of one call are one transaction.\n";
  for (const [title, entries] of Object.entries(SECTIONS)) {
    text += `\n${title}:\n`;
    for (const [name, about] of Object.entries(entries)) {
      text += `  ${usage(commands.get(name)!)}\n      ${about}\n`;
    }
  }
  text += "\nRecords are named by UUID (4 digits or more of it), and:\n";
  for (const table of Object.keys(openVswitchSchema.tables).sort()) {
    for (const id of RECORD_IDS[table] ?? []) {
      if (id.kind === "only") text += `  ${table}: "." (its only row)\n`;
      else if (id.kind === "name") text += `  ${table}: its ${id.column}\n`;
      else text += `  ${table}: the ${id.name} of the ${id.table} that has it as ${id.column}\n`;
    }
  }
  text += `
Options:
  --db=DATABASE          connection method of the database server, active or passive
                         (default: unix:${folders.run}/db.sock)
  --no-wait              do not wait until ovs-vswitchd has applied the change
  --retry                keep trying to connect
  -t, --timeout=SECS     end with SIGALRM after SECS seconds (also: OVS_CTL_TIMEOUT)
  --dry-run              change nothing
  --oneline              one line a command
  --[no-]leader-only     of a cluster's servers, talk to the leader only (default) or to any
  --[no-]shuffle-remotes try several servers in random (default) or in given order
  --no-syslog            same as --verbose=vsctl:syslog:warn
  --commands, --options  lists for completion
  -h, --help             this text
  -V, --version          version of program and schema

Output of list and find:
  -f, --format=FORMAT    table, list (default), html, csv or json
  -d, --data=FORMAT      cells as string (default), bare or json
  --no-headings          without the heading row
  --pretty               JSON with one member a line
  --bare                 same as --format=list --data=bare --no-headings
  --max-column-width=N   cut columns of format table at N bytes

Logging:
  -v, --verbose[=SPEC]   log levels by module and destination
  --log-file[=FILE]      log to FILE (default: ${folders.log}/${program}.log)
  --syslog-method=METHOD libc, null, unix:FILE or udp:IP:PORT
  --syslog-target=HOST:PORT

SSL/TLS:
  -p, --private-key=FILE, -c, --certificate=FILE, -C, --ca-cert=FILE (or none)
  --bootstrap-ca-cert=FILE, --peer-ca-cert=FILE, --ssl-server-name=NAME
  --ssl-protocols=PROTOCOLS, --ssl-ciphers=CIPHERS, --ssl-ciphersuites=SUITES
`;
  return text;
}
