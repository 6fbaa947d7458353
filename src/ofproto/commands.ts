/**
 * The `ovs-appctl` commands of this folder: fdb/*, ofproto/*, bridge/dump-flows, upcall/*, revalidator/*, dpif/*, and those
 * of dpctl/* that are about flows. The daemon registers them with its unixctl server.
 */
import type { Json } from "../lib/json.ts";
import type { HIDDEN } from "../lib/unixctl.ts";
import type { Backer } from "./backer.ts";
import { dumpCommands } from "./commands-dump.ts";
import { fdbCommands } from "./commands-fdb.ts";
import { traceCommands } from "./commands-trace.ts";
import { upcallCommands } from "./commands-upcall.ts";
import { explainCommands } from "./explain-drops.ts";
import type { Ofproto } from "./ofproto.ts";

/** What a command handler gives back; a thrown CommandError is the error reply. */
export interface OfprotoCommand {
  name: string;
  /** HIDDEN: off the list of commands. */
  usage: string | typeof HIDDEN;
  minArgs: number;
  maxArgs: number;
  /** `args` without the command's name. Rejects with an Error whose message is the error reply's text. */
  run(args: readonly string[]): Promise<string> | string;
  /** The same for `ovs-appctl --format=json`, where there is more to it than a string. */
  json?: ((args: readonly string[]) => Promise<Json> | Json) | undefined;
}

/** The datapaths and bridges that exist when a command runs. */
export class CommandScope {
  readonly backers: () => Iterable<Backer>;

  constructor(backers: () => Iterable<Backer>) {
    this.backers = backers;
  }

  bridges(): Ofproto[] {
    const all: Ofproto[] = [];
    for (const backer of this.backers()) all.push(...backer.ofprotos.values());
    return all.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): Ofproto | undefined {
    for (const backer of this.backers()) {
      const found = backer.ofprotos.get(name);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Throws `error` when there is no such bridge. */
  bridge(name: string, error = "no such bridge"): Ofproto {
    const found = this.find(name);
    if (found === undefined) throw new Error(error);
    return found;
  }
}

/** `backers` is asked at each call for the datapaths that exist by then, in the order of their types. */
export function ofprotoCommands(backers: () => Iterable<Backer>): OfprotoCommand[] {
  const scope = new CommandScope(backers);
  return [
    ...fdbCommands(scope),
    ...dumpCommands(scope),
    ...upcallCommands(scope),
    ...traceCommands(scope),
    ...explainCommands(scope),
    // There are none yet.
    { name: "ofproto/list-tunnels", usage: "", minArgs: 0, maxArgs: 0, run: () => "" },
  ];
}
