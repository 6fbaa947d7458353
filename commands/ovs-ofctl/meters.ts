/** Meters: add-meter, mod-meter, del-meter(s), dump-meter(s), meter-stats, meter-features. */
import type { Message } from "../../src/openflow/messages.ts";
import { USABLE_13_UP } from "../../src/openflow/protocols.ts";
import {
  OFPMC_ADD,
  OFPMC_DELETE,
  OFPMC_MODIFY,
  parseMeter,
  parseMeterId,
} from "../../src/openflow/text/meter-parse.ts";
import { dumpParts } from "./dumps.ts";
import { openForFlowMods } from "./session.ts";
import type { Ofctl } from "./settings.ts";

async function meterMod(o: Ofctl, name: string, message: Message): Promise<void> {
  const session = await openForFlowMods(o, name, USABLE_13_UP);
  await session.noReply(message);
  session.close();
}

export const addMeter = (o: Ofctl, args: string[]): Promise<void> =>
  meterMod(o, args[0]!, parseMeter(args[1]!, OFPMC_ADD));
export const modMeter = (o: Ofctl, args: string[]): Promise<void> =>
  meterMod(o, args[0]!, parseMeter(args[1]!, OFPMC_MODIFY));
export const delMeters = (o: Ofctl, args: string[]): Promise<void> => {
  const meterId = parseMeterId(args[1] ?? "");
  return meterMod(o, args[0]!, { type: "meter-mod", command: OFPMC_DELETE, flags: 0, meterId, bands: [] });
};

async function meterDump(o: Ofctl, args: string[], message: Message): Promise<void> {
  const session = await openForFlowMods(o, args[0]!, USABLE_13_UP);
  await dumpParts(o, session, message);
  session.close();
}

export const dumpMeters = (o: Ofctl, args: string[]): Promise<void> =>
  meterDump(o, args, { type: "meter-config-request", meterId: parseMeterId(args[1] ?? "") });
export const meterStats = (o: Ofctl, args: string[]): Promise<void> =>
  meterDump(o, args, { type: "meter-request", meterId: parseMeterId(args[1] ?? "") });
export const meterFeatures = (o: Ofctl, args: string[]): Promise<void> =>
  meterDump(o, args, { type: "meter-features-request" });
