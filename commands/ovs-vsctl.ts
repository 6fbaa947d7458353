/**
 * ovs-vsctl: configures the switch through its database (ovs-vsctl(8)). What it waits for is here; the commands in
 * ovs-vsctl/, what all ctl programs share in src/ovsdb/ctl/.
 */
import { runApplet } from "../src/lib/applet.ts";
import type { Platform } from "../src/lib/platform.ts";
import { type CtlApplet, ctlSettings, invoker, runCtlApplet } from "../src/ovsdb/ctl/applet.ts";
import { openVswitchSchema } from "../src/vswitch/schema/index.ts";
import { checkMoves, warnOfAddresses } from "./ovs-vsctl/addresses.ts";
import { COMMANDS } from "./ovs-vsctl/commands.ts";
import { rootRow } from "./ovs-vsctl/model.ts";
import { RECORD_IDS } from "./ovs-vsctl/records.ts";
import { checkInterfaces, waitApplied } from "./ovs-vsctl/wait.ts";
import { realPlatform } from "./platform.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => runCtlApplet(vsctl(platform, program), args));
}

function vsctl(platform: Platform, program: string): CtlApplet {
  const settings = ctlSettings(platform);
  let wait = true;
  return {
    platform,
    program,
    module: "vsctl",
    commands: COMMANDS,
    schema: openVswitchSchema,
    ids: RECORD_IDS,
    settings,
    options: [
      {
        long: "no-wait",
        help: "do not wait until ovs-vswitchd has applied the change",
        set: () => {
          wait = false;
        },
      },
    ],
    get comment() {
      return `ovs-vsctl${invoker()}`;
    },
    async help() {
      // Not loaded otherwise.
      const { helpText } = await import("./ovs-vsctl/help.ts");
      return helpText(program, COMMANDS);
    },
    prepare(needs) {
      needs.table("Open_vSwitch");
      if (!wait) return;
      needs.columns("Open_vSwitch", "cur_cfg");
      needs.written("Open_vSwitch", "next_cfg");
    },
    begin({ txn }) {
      if (txn.uuids("Open_vSwitch").next().done) {
        txn.verifyEmpty("Open_vSwitch");
        txn.insertRow("Open_vSwitch");
      }
    },
    finish(context) {
      if (wait) context.txn.increment("Open_vSwitch", rootRow(context), "next_cfg");
    },
    async committed(idl, result, context) {
      if (settings.dryRun) return 0;
      // Devices of another machine are not ours to look at, nor is this one's switch asked for with --no-wait.
      if (wait && settings.db.startsWith("unix:")) await warnOfAddresses(platform, program, context);
      if (!wait || result.increment === undefined) return 0;
      await waitApplied(platform, program, idl, result.increment);
      const fresh = (context.shared.get("fresh") ?? []) as string[];
      return checkMoves(platform, program, idl, context) || checkInterfaces(platform, program, idl, fresh);
    },
  };
}
