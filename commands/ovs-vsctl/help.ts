/** `ovs-vsctl --help`: loaded only for that. */
import type { CommandTable } from "../../src/ovsdb/ctl/command.ts";
import { ctlHelp, type HelpSections } from "../../src/ovsdb/ctl/help.ts";
import { openVswitchSchema } from "../../src/vswitch/schema/index.ts";
import { RECORD_IDS } from "./records.ts";

export const SECTIONS: HelpSections = {
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
    "add-port":
      "add a network device to a bridge; --migrate-addresses: the bridge takes its place in the host's network, with --confirm for so many seconds unless confirmed",
    "add-bond": "add several network devices as one port",
    "del-port":
      "delete a port; --with-iface: or the one with this interface; --migrate-addresses: its addresses go back to it",
    confirm: "what add-port --confirm has moved stays",
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
};

export function helpText(program: string, commands: CommandTable): string {
  return ctlHelp({
    program,
    about: "configures Open vSwitch through its database",
    sections: SECTIONS,
    commands,
    schema: openVswitchSchema,
    ids: RECORD_IDS,
  });
}
