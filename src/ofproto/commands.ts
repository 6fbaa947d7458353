/**
 * The `ovs-appctl` commands of this folder: fdb/*, ofproto/*, bridge/dump-flows, upcall/*, revalidator/*, dpif/show,
 * dpif/dump-flows, dpctl/*. The daemon registers them with its unixctl server.
 */
import type { Backer } from "./backer.ts";

/** What a command handler gives back; a thrown CommandError is the error reply. */
export interface OfprotoCommand {
  name: string;
  usage: string;
  minArgs: number;
  maxArgs: number;
  /** `args` without the command's name. Rejects with an Error whose message is the error reply's text. */
  run(args: readonly string[]): Promise<string> | string;
}

/** `backers` is asked at each call for the datapaths that exist by then, in the order of their types. */
export function ofprotoCommands(_backers: () => Iterable<Backer>): OfprotoCommand[] {
  throw new Error("not implemented");
}
