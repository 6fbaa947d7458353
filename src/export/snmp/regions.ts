/** What a sub-agent of the switch registers with the host's master. Pure. */
import type { Region } from "./agentx.ts";
import { DOT1D_BRIDGE } from "./bridge-mib.ts";
import { IF_ENTRY, IF_LAST, IF_NUMBER, IF_TABLE, IFX_ENTRY, IFX_LAST, IFX_TABLE } from "./if-mib.ts";

/** Before what the master and others serve at 127. */
const PRIORITY = 100;

/**
 * `whole` false: rows of ifTable and ifXTable one by one, so that they stand among those which the master has of the host, and
 * instead of them where it has the same ifIndex; true: the tables, so that the master's are not seen. BRIDGE-MIB is registered
 * in the default context if there is a bridge, and in a context of its name for each.
 */
export function regions(indexes: readonly number[], bridges: readonly string[], whole: boolean): Region[] {
  const context = "";
  const priority = PRIORITY;
  const found: Region[] = [];
  if (whole) {
    for (const oid of [IF_NUMBER, IF_TABLE, IFX_TABLE]) found.push({ oid, context, priority });
  } else {
    for (const index of indexes) {
      for (const [entry, upper] of [
        [IF_ENTRY, IF_LAST],
        [IFX_ENTRY, IFX_LAST],
      ] as const) {
        // The column's number is what varies.
        found.push({ oid: [...entry, 1, index], context, priority, place: entry.length + 1, upper });
      }
    }
  }
  if (bridges.length > 0) found.push({ oid: DOT1D_BRIDGE, context, priority });
  for (const name of bridges) found.push({ oid: DOT1D_BRIDGE, context: name, priority });
  return found;
}
