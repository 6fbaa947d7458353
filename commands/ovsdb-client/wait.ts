/** wait: until a database is added to, connected in, or removed from a server. */
import { Fatal } from "../../src/lib/errors.ts";
import type { Json, JsonObject } from "../../src/lib/json.ts";
import { JsonRpcSession } from "../../src/lib/jsonrpc-session.ts";
import type { Client } from "./client.ts";

const STATES: readonly string[] = ["added", "connected", "removed"];
const COLUMNS = ["name", "model", "connected"];

/** Watches the `_Server` database; its first contents and each change tell whether the time has come. */
export function wait(client: Client): Promise<number> {
  const [database, state] = client.args as [string, string];
  if (!STATES.includes(state)) throw new Fatal(`${state}: unknown state`);
  const rows = new Map<string, JsonObject>();
  return new Promise((resolve, reject) => {
    const check = (): void => {
      const row = [...rows.values()].find((candidate) => candidate.name === database);
      const reached =
        state === "removed"
          ? row === undefined
          : row !== undefined && (state === "added" || row.connected === true);
      if (!reached) return;
      session.close();
      resolve(0);
    };
    const absorb = (updates: Json): void => {
      const table = (updates as JsonObject).Database as JsonObject | undefined;
      for (const [uuid, update] of Object.entries(table ?? {})) {
        const { new: row } = update as JsonObject;
        if (row === undefined) rows.delete(uuid);
        else rows.set(uuid, { ...rows.get(uuid), ...(row as JsonObject) });
      }
      check();
    };
    const session = new JsonRpcSession(
      { streams: client.platform.streams, clock: client.platform.clock, remotes: client.server.split(",") },
      {
        connected: () => {
          rows.clear();
          session.request("set_db_change_aware", [true]);
          monitorId = session.request("monitor", ["_Server", "wait", { Database: { columns: COLUMNS } }]);
        },
        message: (message) => {
          if (message.type === "notify" && message.method === "update") absorb(message.params[1]!);
          else if (message.type === "reply" && message.id === monitorId) absorb(message.result);
          else if (message.type === "error")
            reject(new Fatal("database server does not support this command"));
        },
        disconnected: () => {},
      },
    );
    let monitorId: Json | undefined;
  });
}
