/** `vtep-ctl --help`: loaded only for that. */
import type { CommandTable } from "../../src/ovsdb/ctl/command.ts";
import { ctlHelp, type HelpSections } from "../../src/ovsdb/ctl/help.ts";
import { hardwareVtepSchema } from "../../src/ovsdb/schemas/hardware-vtep.ts";
import { RECORD_IDS } from "./records.ts";

const macs = (side: string, whose: string): HelpSections[string] => ({
  [`add-ucast-${side}`]: `lead a unicast address ${whose} to the tunnel end IP (ENCAP: vxlan_over_ipv4)`,
  [`del-ucast-${side}`]: "forget a unicast address",
  [`add-mcast-${side}`]: `lead a multicast address ${whose} also to the tunnel end IP`,
  [`del-mcast-${side}`]: "no longer to this tunnel end",
  [`clear-${side}-macs`]: "forget all addresses of a logical switch",
  [`list-${side}-macs`]: "addresses of a logical switch and their tunnel ends",
});

export const SECTIONS: HelpSections = {
  Overview: {
    show: "the configuration as a tree; --filter=TABLE(WORD|WORD),... shows matching rows only",
  },
  "Physical switches": {
    "add-ps": "create a physical switch, without ports",
    "del-ps": "delete a physical switch and its ports",
    "list-ps": "names of physical switches",
    "ps-exists": "exit with status 2 if there is no such physical switch",
    "list-ports": "names of a physical switch's ports",
    "add-port": "add a port to a physical switch",
    "del-port": "remove a port from a physical switch",
  },
  "Logical switches": {
    "add-ls": "create a logical switch",
    "del-ls": "delete a logical switch, which nothing may be bound to",
    "list-ls": "names of logical switches",
    "ls-exists": "exit with status 2 if there is no such logical switch",
    "bind-ls": "what comes on a port with this VLAN (0: without) belongs to a logical switch",
    "unbind-ls": "remove the binding of a VLAN",
    "list-bindings": "VLANs of a port and their logical switches",
    "set-replication-mode": "who copies broadcasts: service_node or source_node",
    "get-replication-mode": "who copies broadcasts",
  },
  "Logical routers": {
    "add-lr": "create a logical router",
    "del-lr": "delete a logical router",
    "list-lr": "names of logical routers",
    "lr-exists": "exit with status 2 if there is no such logical router",
  },
  "Local MAC addresses": macs("local", "learned by the hardware"),
  "Remote MAC addresses": macs("remote", "told by the controller"),
  Managers: {
    "get-manager": "targets of database managers",
    "del-manager": "no more managers",
    "set-manager": "database managers",
  },
};

export function helpText(program: string, commands: CommandTable): string {
  return ctlHelp({
    program,
    about: "configures the database of a hardware VTEP",
    sections: SECTIONS,
    commands,
    schema: hardwareVtepSchema,
    ids: RECORD_IDS,
  });
}
