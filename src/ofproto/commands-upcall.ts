/** upcall/* and revalidator/*: the keeping of megaflows. */
import { MAX_PORT_MASKS } from "../datapath/dpif.ts";
import { HIDDEN } from "../lib/unixctl.ts";
import type { Backer } from "./backer.ts";
import type { CommandScope, OfprotoCommand } from "./commands.ts";

function show(backer: Backer): string {
  return [
    `${backer.dpif.type}@${backer.dpif.name}:`,
    `  flows         : (current ${backer.ukeys.size}) (avg ${backer.averageFlows}) (max ${backer.maxFlows}) (limit ${backer.flowLimit})`,
    `  dump duration : ${backer.dumpDurationMs}ms`,
    `  ufid enabled : ${backer.ufidEnabled}`,
    // Not in the original, which has no limit.
    `  masks         : (current ${backer.dpif.maskCount()}) (limit ${MAX_PORT_MASKS} a port) (times reached ${backer.maskLimitHits})`,
    "",
    `  4: (keys ${backer.ukeys.size})`,
    "",
  ].join("\n");
}

export function upcallCommands(scope: CommandScope): OfprotoCommand[] {
  const each = async (work: (backer: Backer) => Promise<void> | void) => {
    for (const backer of scope.backers()) await work(backer);
  };
  const simple = (
    name: string,
    text: string,
    work: (backer: Backer) => Promise<void> | void,
  ): OfprotoCommand => ({
    name,
    usage: "",
    minArgs: 0,
    maxArgs: 0,
    run: async () => {
      await each(work);
      return text;
    },
  });
  return [
    {
      name: "upcall/show",
      usage: "",
      minArgs: 0,
      maxArgs: 0,
      run: () => [...scope.backers()].map(show).join("\n"),
    },
    {
      name: "upcall/set-flow-limit",
      usage: "flow-limit-number",
      minArgs: 1,
      maxArgs: 1,
      run: async (args) => {
        const limit = Number.parseInt(args[0]!, 10) || 0;
        await each((backer) => {
          backer.flowLimit = limit;
        });
        return `set flow_limit to ${limit}\n`;
      },
    },
    simple("upcall/disable-megaflows", "megaflows disabled\n", async (backer) => {
      backer.megaflowsEnabled = false;
      await backer.purge();
    }),
    simple("upcall/enable-megaflows", "megaflows enabled\n", async (backer) => {
      backer.megaflowsEnabled = true;
      await backer.purge();
    }),
    simple("upcall/disable-ufid", "Datapath dumping tersely using UFID disabled\n", (backer) => {
      backer.ufidEnabled = false;
    }),
    simple(
      "upcall/enable-ufid",
      "Datapath dumping tersely using UFID enabled for supported datapaths\n",
      (backer) => {
        backer.ufidEnabled = true;
      },
    ),
    simple("revalidator/wait", "", (backer) => backer.fullPass()),
    simple("revalidator/purge", "", (backer) => backer.purge()),
    { ...simple("revalidator/pause", "", (backer) => backer.pause()), usage: HIDDEN },
    { ...simple("revalidator/resume", "", (backer) => backer.resume()), usage: HIDDEN },
  ];
}
