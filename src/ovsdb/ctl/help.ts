/** The text of --help, from the table of commands; each program adds what its commands are for. Loaded only for that. */
import type { Dirs } from "../../lib/dirs.ts";
import type { DatabaseSchema } from "../idl-types.ts";
import type { CommandTable, CtlCommand } from "./command.ts";
import type { RecordIds } from "./records.ts";

/** Title to commands and what each does. */
export type HelpSections = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** The commands of database-commands.ts. */
export const DATABASE_HELP: HelpSections = {
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

export interface HelpOf {
  readonly program: string;
  /** Behind the program's name. */
  readonly about: string;
  readonly sections: HelpSections;
  readonly commands: CommandTable;
  readonly schema: DatabaseSchema;
  readonly ids: RecordIds;
  /** Module of the log. */
  readonly module: string;
  /** Lines on the program's own options. */
  readonly options: string;
  readonly folders: Dirs;
}

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

export function ctlHelp(of: HelpOf): string {
  const { program, commands, folders } = of;
  let text = `${program}: ${of.about}\n`;
  text += `usage: ${program} [OPTIONS] COMMAND [ARG...] [-- [OPTIONS] COMMAND [ARG...]]...\n`;
  text += "All commands of one call are one transaction.\n";
  for (const [title, entries] of Object.entries({ ...of.sections, ...DATABASE_HELP })) {
    text += `\n${title}:\n`;
    for (const [name, about] of Object.entries(entries)) {
      text += `  ${usage(commands.get(name)!)}\n      ${about}\n`;
    }
  }
  text += '\nRecords are named by UUID (4 digits or more of it), "." (a table\'s only row), and:\n';
  for (const table of Object.keys(of.schema.tables).sort()) {
    for (const id of of.ids[table] ?? []) {
      if (id.kind === "name") text += `  ${table}: its ${id.column}\n`;
      else if (id.kind === "via")
        text += `  ${table}: the ${id.name} of the ${id.table} that has it as ${id.column}\n`;
    }
  }
  text += `
Options:
  --db=DATABASE          connection method of the database server, active or passive
                         (default: unix:${folders.run}/db.sock)
${of.options}  --retry                keep trying to connect
  -t, --timeout=SECS     end with SIGALRM after SECS seconds (also: OVS_CTL_TIMEOUT)
  --dry-run              change nothing
  --oneline              one line a command
  --[no-]leader-only     of a cluster's servers, talk to the leader only (default) or to any
  --[no-]shuffle-remotes try several servers in random (default) or in given order
  --no-syslog            same as --verbose=${of.module}:syslog:warn
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
