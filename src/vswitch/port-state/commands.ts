/** `port-state/export` and `port-state/import`. */
import type { Clock } from "../../lib/clock.ts";
import { Fatal } from "../../lib/errors.ts";
import { formatJson, type Json, parseJson } from "../../lib/json.ts";
import type { UnixctlCommands } from "../../lib/unixctl.ts";
import type { Bridge } from "../bridge.ts";
import type { Vswitch } from "../vswitch.ts";
import { checkPortState } from "./document.ts";
import { exportPort } from "./export.ts";
import { importPort, reportJson, reportText } from "./import.ts";

const APPLIED_MS = 5000;
const LOOK_MS = 10;

export interface PortStateContext {
  readonly clock: Clock;
  readonly vswitch: Vswitch;
  /** Resolves when nothing is under way any more. */
  readonly settled: () => Promise<void>;
  /** Throws what node:fs throws. */
  readonly readFile: (path: string) => string;
}

export function registerPortStateCommands(commands: UnixctlCommands, context: PortStateContext): void {
  const { vswitch, settled } = context;
  const bridgeOf = (name: string): Bridge => {
    const bridge = vswitch.bridge(name);
    if (bridge === undefined) throw new Fatal("no such bridge");
    return bridge;
  };
  /** The switch says so by a port number, or by an error. */
  const applied = async (iface: string): Promise<void> => {
    const { clock } = context;
    for (const end = clock.now() + APPLIED_MS; clock.now() < end; ) {
      await settled();
      const row = [...vswitch.idl.rows("Interface")].find(({ name }) => name === iface);
      if (row?.ofport !== undefined) return;
      await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
    }
  };
  commands.register("port-state/export", "bridge port", 2, 2, async ([bridge, port], reply) => {
    await settled();
    const state = exportPort(vswitch.idl, bridgeOf(bridge!), port!) as unknown as Json;
    if (reply.format === "json") reply.okJson(state);
    else reply.ok(`${formatJson(state, { pretty: true })}\n`);
  });
  commands.register("port-state/import", "bridge file|json", 2, 2, async ([name, source], reply) => {
    const bridge = bridgeOf(name!);
    const state = checkPortState(parseDocument(source!, context.readFile));
    const report = await importPort({ idl: vswitch.idl, bridge, applied }, state);
    if (reply.format === "json") reply.okJson(reportJson(report));
    else reply.ok(reportText(state.port, report));
  });
}

function parseDocument(source: string, readFile: (path: string) => string): Json {
  let text = source;
  if (!source.trimStart().startsWith("{")) {
    if (!source.startsWith("/")) throw new Fatal(`${source}: the path of the file must be absolute`);
    try {
      text = readFile(source);
    } catch (error) {
      throw new Fatal(`${source}: ${(error as Error).message}`);
    }
  }
  try {
    return parseJson(text);
  } catch (error) {
    throw new Fatal(`port state: not JSON: ${(error as Error).message}`);
  }
}
