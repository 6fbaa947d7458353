/** lock, steal, unlock: one request, then whatever the server tells about locks. */
import { describeError } from "../../src/lib/errors.ts";
import { formatJson, type Json } from "../../src/lib/json.ts";
import type { JsonRpcMessage } from "../../src/lib/jsonrpc.ts";
import { goBackground } from "./background.ts";
import type { Client, Command } from "./client.ts";

type Method = "lock" | "steal" | "unlock";

export function lockCommand(method: Method): Command["run"] {
  return (client) => run(client, method);
}

async function run(client: Client, method: Method): Promise<number> {
  const background = await goBackground(client, { keepErrors: false });
  if (typeof background === "number") return background;
  const { rpc } = client;
  let first = true;
  const printLine = (json: Json): void => background.print(`${formatJson(json, { sort: true })}\n`);
  const message = (received: JsonRpcMessage): void => {
    if (received.type === "request") {
      if (received.method === "echo") rpc.reply(received.id, received.params);
      return;
    }
    if (received.type === "notify") {
      background.print(`${received.method}\n`);
      printLine(received.params);
      return;
    }
    // A refusal is not shown, as in the original.
    if (received.type === "reply") printLine(received.result);
    if (first) background.ready();
    first = false;
  };
  for (const name of ["lock", "steal", "unlock"]) {
    background.commands.register(name, "LOCK", 1, 1, ([lock], reply) => {
      rpc.request(name, [lock!]);
      reply.ok();
    });
  }
  return new Promise(() => {
    rpc.handler = {
      message,
      close: (error) =>
        background.fail(`${client.server}: receive failed (${describeError(error ?? eof())})`),
    };
    rpc.request(method, [client.args[0]!]);
  });
}

function eof(): Error {
  return new Error("End of file");
}
