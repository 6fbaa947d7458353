/**
 * vtep-ctl: configures the database of a hardware VTEP (vtep-ctl(8), vtep(5)). The commands are in vtep-ctl/, what all
 * ctl programs share in src/ovsdb/ctl/.
 */
import { runApplet } from "../src/lib/applet.ts";
import type { Platform } from "../src/lib/platform.ts";
import { type CtlApplet, ctlSettings, runCtlApplet } from "../src/ovsdb/ctl/applet.ts";
import { hardwareVtepSchema } from "../src/ovsdb/schemas/hardware-vtep.ts";
import { realPlatform } from "./platform.ts";
import { COMMANDS } from "./vtep-ctl/commands.ts";
import { RECORD_IDS } from "./vtep-ctl/records.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => runCtlApplet(vtepCtl(platform, program), args));
}

function vtepCtl(platform: Platform, program: string): CtlApplet {
  return {
    platform,
    program,
    module: "vtep_ctl",
    commands: COMMANDS,
    schema: hardwareVtepSchema,
    ids: RECORD_IDS,
    settings: ctlSettings(platform),
    options: [],
    comment: "vtep-ctl",
    async help() {
      // Not loaded otherwise.
      const { helpText } = await import("./vtep-ctl/help.ts");
      return helpText(program, COMMANDS);
    },
    prepare(needs) {
      needs.table("Global");
    },
    begin({ txn }) {
      if (txn.uuids("Global").next().done) {
        txn.verifyEmpty("Global");
        txn.insertRow("Global");
      }
    },
    finish() {},
    committed: async () => 0,
  };
}
