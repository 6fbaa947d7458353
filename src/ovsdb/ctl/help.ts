/** The text of --help on commands, from their table; each program adds what they are for. Loaded only for that. */
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
}

/** `[--may-exist] add-br BRIDGE [PARENT VLAN]` */
export function usage({ name, syntax, options }: CtlCommand): string {
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
  const { program, commands } = of;
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
  return text;
}
