/**
 * After the commit: waiting until vswitchd has applied what was written (`cur_cfg` reaches our `next_cfg`), and its
 * verdict on the interfaces that were made.
 */
import { dirs } from "../../src/lib/dirs.ts";
import type { Platform } from "../../src/lib/platform.ts";
import type { Idl } from "../../src/ovsdb/idl.ts";
import type { Integer } from "../../src/ovsdb/idl-types.ts";

/** EX_DATAERR: committed, but not all of it could be applied. */
const STATUS_NOT_APPLIED = 65;
/** Silence after which we look whether anybody is there to apply anything. */
const HINT_AFTER_MS = 3000;
const SWITCH_LOCK = "ovs_vswitchd";

export async function waitApplied(
  platform: Platform,
  program: string,
  idl: Idl,
  wanted: Integer,
): Promise<void> {
  const hint = platform.clock.background(HINT_AFTER_MS, () => void tellIfAlone(platform, program, idl));
  try {
    for (;;) {
      if (idl.state === "live") {
        for (const row of idl.table("Open_vSwitch")!.ordered()) {
          const curCfg = row.table.schema.byName.get("cur_cfg")!;
          if ((row.datum(curCfg).keys[0] as Integer) >= wanted) return;
        }
      }
      await idl.next();
    }
  } finally {
    hint.cancel();
  }
}

/** A running vswitchd holds a lock: whether somebody does is told by asking for it, and giving it back at once. */
async function tellIfAlone(platform: Platform, program: string, idl: Idl): Promise<void> {
  if (idl.state !== "live") return;
  idl.setLock(SWITCH_LOCK);
  while (!idl.isLocked && !idl.isLockContended && idl.state === "live") await idl.next();
  const alone = idl.isLocked;
  idl.setLock(undefined);
  if (!alone) return;
  platform.stderr(
    `${program}: ovs-vswitchd is not running (nobody holds the database's lock "${SWITCH_LOCK}"); the change is committed, waiting for ovs-vswitchd to apply it (--no-wait would not)\n`,
  );
}

/** Tells of new interfaces that vswitchd could not open. */
export function checkInterfaces(
  platform: Platform,
  program: string,
  idl: Idl,
  names: readonly string[],
): number {
  const table = idl.table("Interface");
  if (table === undefined || names.length === 0) return 0;
  const [name, ofport, error] = ["name", "ofport", "error"].map((column) => table.schema.byName.get(column)!);
  const rows = new Map([...table.ordered()].map((row) => [row.datum(name!).keys[0] as string, row]));
  let failed = false;
  for (const fresh of names) {
    const row = rows.get(fresh);
    const port = row?.datum(ofport!).keys[0] as number | undefined;
    if (row === undefined || (port !== undefined && port >= 0)) continue;
    const reason = row.datum(error!).keys[0] as string | undefined;
    const why = reason === undefined || reason === "" ? "" : `: ${reason}`;
    platform.stderr(
      `${program}: Error detected while setting up '${fresh}'${why}.  See ovs-vswitchd log for details.\n`,
    );
    failed = true;
  }
  if (!failed) return 0;
  platform.stderr(`${program}: The default log directory is "${dirs(platform.env).log}".\n`);
  return STATUS_NOT_APPLIED;
}
