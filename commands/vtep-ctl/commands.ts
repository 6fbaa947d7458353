/** All commands of vtep-ctl. */
import { commandTable } from "../../src/ovsdb/ctl/command.ts";
import { DATABASE_COMMANDS } from "../../src/ovsdb/ctl/database-commands.ts";
import { managerCommands } from "../../src/ovsdb/ctl/managers.ts";
import { MAC_COMMANDS } from "./mac-commands.ts";
import { SWITCH_COMMANDS } from "./switch-commands.ts";

export const COMMANDS = commandTable(
  SWITCH_COMMANDS,
  MAC_COMMANDS,
  managerCommands({ root: "Global", column: "managers", module: "vtep_ctl" }),
  DATABASE_COMMANDS,
);
