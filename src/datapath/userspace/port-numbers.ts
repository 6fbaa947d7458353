/** Which number a port of the datapath gets. Number 0 is the datapath's own. */
import { osError } from "../../lib/errors.ts";
import type { DpPort, OdpPort } from "../dpif.ts";
import { MAX_PORTS } from "./buckets.ts";

/**
 * `wanted` where given (throws EBUSY when taken); else, with `name`, the number in it, as the original's dummy datapaths
 * do so that tests can foretell it ("p3" is 3, "br1" is 101); else the lowest free one. Throws EFBIG when all are taken.
 */
export function chooseOdpPort(
  taken: ReadonlyMap<OdpPort, DpPort>,
  wanted: OdpPort | undefined,
  name: string | undefined,
): OdpPort {
  if (wanted !== undefined) {
    if (wanted < 0 || wanted >= MAX_PORTS) throw osError("EINVAL", "portAdd");
    if (taken.has(wanted)) throw osError("EBUSY", "portAdd");
    return wanted;
  }
  const digits = name === undefined ? null : /\d+/.exec(name);
  if (digits !== null) {
    const number = Number(digits[0]) + (name!.startsWith("br") ? 100 : 0);
    if (number > 0 && number < MAX_PORTS && !taken.has(number)) return number;
  }
  for (let port = 1; port < MAX_PORTS; port++) if (!taken.has(port)) return port;
  throw osError("EFBIG", "portAdd");
}
