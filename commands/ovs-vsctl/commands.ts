/** All commands of ovs-vsctl. */
import { commandTable } from "../../src/ovsdb/ctl/command.ts";
import { DATABASE_COMMANDS } from "../../src/ovsdb/ctl/database-commands.ts";
import { ADDRESS_COMMANDS } from "./addresses.ts";
import { BRIDGE_COMMANDS } from "./bridge-commands.ts";
import { PORT_COMMANDS } from "./port-commands.ts";
import { SWITCH_COMMANDS } from "./switch-commands.ts";
import { ZONE_COMMANDS } from "./zone-commands.ts";

export const COMMANDS = commandTable(
  SWITCH_COMMANDS,
  BRIDGE_COMMANDS,
  PORT_COMMANDS,
  ADDRESS_COMMANDS,
  ZONE_COMMANDS,
  DATABASE_COMMANDS,
);
