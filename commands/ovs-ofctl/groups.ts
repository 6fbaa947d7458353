/** Groups: add-group(s), mod-group, del-groups, insert-buckets, remove-buckets, and their dumps. */
import { Fatal } from "../../src/lib/errors.ts";
import { encode } from "../../src/openflow/codec.ts";
import type { GroupMod } from "../../src/openflow/messages.ts";
import { parseUint } from "../../src/openflow/ports.ts";
import { P_ANY, protocolsText, protocolVersion, VERSION_NAMES } from "../../src/openflow/protocols.ts";
import {
  leadingGroupCommand,
  OFPGC_ADD,
  OFPGC_ADD_OR_MOD,
  OFPGC_DELETE,
  OFPGC_INSERT_BUCKET,
  OFPGC_MODIFY,
  OFPGC_REMOVE_BUCKET,
  parseGroup,
} from "../../src/openflow/text/group-parse.ts";
import { bundleMessages } from "./bundle.ts";
import { dumpParts } from "./dumps.ts";
import { atLine, readLines } from "./lines.ts";
import { messageOutput } from "./output.ts";
import { inputNames, openForFlowMods, outputNames, Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

const OFPG_ALL = 0xfffffffc;

/** Sends group_mods one by one, waiting after each, or all in a bundle. */
async function sendGroupMods(o: Ofctl, name: string, list: GroupMod[], usable: number): Promise<void> {
  if (o.settings.bundle) {
    await bundleMessages(o, name, list, usable);
    return;
  }
  const session = await openForFlowMods(o, name, usable);
  for (const gm of list) await session.noReply(gm);
  session.close();
}

/** `command` undefined: each line of the file may name one, else it adds. */
async function groupFile(o: Ofctl, name: string, file: string, command: number | undefined): Promise<void> {
  const names = (await inputNames(o, name)) ?? {};
  let usable = P_ANY;
  const list: GroupMod[] = [];
  for (const { text, line } of await readLines(o, file)) {
    const leading = command === undefined ? leadingGroupCommand(text) : undefined;
    const parsed = atLine(file, line, () =>
      parseGroup(leading?.rest ?? text, leading?.command ?? command ?? OFPGC_ADD, names),
    );
    usable &= parsed.usable;
    list.push(parsed.gm);
  }
  await sendGroupMods(o, name, list, usable);
}

async function groupCommand(o: Ofctl, [name, text]: string[], command: number): Promise<void> {
  if (text === "-") {
    await groupFile(o, name!, "-", command);
    return;
  }
  const { gm, usable } = parseGroup(text ?? "", command, (await inputNames(o, name!)) ?? {});
  await sendGroupMods(o, name!, [gm], usable);
}

export const addGroup = (o: Ofctl, args: string[]): Promise<void> => groupCommand(o, args, OFPGC_ADD);
export const addGroups = (o: Ofctl, [name, file]: string[]): Promise<void> =>
  groupFile(o, name!, file!, undefined);
export const modGroup = (o: Ofctl, args: string[]): Promise<void> =>
  groupCommand(o, args, o.settings.mayCreate ? OFPGC_ADD_OR_MOD : OFPGC_MODIFY);
export const delGroups = (o: Ofctl, args: string[]): Promise<void> => groupCommand(o, args, OFPGC_DELETE);
export const insertBuckets = (o: Ofctl, args: string[]): Promise<void> =>
  groupCommand(o, args, OFPGC_INSERT_BUCKET);
export const removeBuckets = (o: Ofctl, args: string[]): Promise<void> =>
  groupCommand(o, args, OFPGC_REMOVE_BUCKET);

export async function parseGroupCommand(o: Ofctl, [text]: string[]): Promise<void> {
  const { gm, usable } = parseGroup(text!, OFPGC_ADD, {});
  if (!o.settings.json) o.platform.stdout(`usable protocols: ${protocolsText(usable)}\n`);
  const wanted = usable & o.settings.protocols;
  if (wanted === 0) throw new Fatal("no usable protocol");
  const version = protocolVersion(wanted & -wanted);
  if (!o.settings.json) o.platform.stdout(`chosen version: ${VERSION_NAMES[version]}\n`);
  const bytes = encode(gm, version, { xid: 1 });
  o.platform.stdout(messageOutput(o, bytes, { verbosity: o.settings.verbosity }));
}

async function groupDump(
  o: Ofctl,
  args: string[],
  type: "group-request" | "group-desc-request",
): Promise<void> {
  const id =
    args[1] === undefined || args[1] === "all" ? OFPG_ALL : parseUint(args[1].replace(/^group_id=/, ""));
  if (id === undefined) throw new Fatal(`invalid group id ${args[1]}`);
  const session = await Session.open(o, args[0]!);
  await dumpParts(o, session, { type, groupId: id }, await outputNames(o, args[0]!));
  session.close();
}

export const dumpGroups = (o: Ofctl, args: string[]): Promise<void> =>
  groupDump(o, args, "group-desc-request");
export const dumpGroupStats = (o: Ofctl, args: string[]): Promise<void> =>
  groupDump(o, args, "group-request");
export async function dumpGroupFeatures(o: Ofctl, [name]: string[]): Promise<void> {
  const session = await Session.open(o, name!);
  await dumpParts(o, session, { type: "group-features-request" });
  session.close();
}
