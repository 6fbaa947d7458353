/** --detach for the commands that go on: standard output stays what it was, the control socket takes commands. */
import fs from "node:fs";
import { Daemon } from "../../src/lib/daemon.ts";
import { UnixctlCommands, UnixctlServer } from "../../src/lib/unixctl.ts";
import type { Client } from "./client.ts";

export interface Background {
  readonly commands: UnixctlCommands;
  /** Call after the first output. */
  ready(): void;
  print(text: string): void;
  /** `PROGRAM: text` on standard error, and the end. */
  fail(text: string): never;
  exit(status: number): never;
}

/** A number, the exit status, in the process that only starts the other one. `keepErrors`: standard error stays, too. */
export async function goBackground(
  client: Client,
  { socket, keepErrors = true }: { socket?: string | undefined; keepErrors?: boolean } = {},
): Promise<Background | number> {
  const { platform, program } = client;
  const daemon = new Daemon(platform, program, client.daemon);
  const started = await daemon.start();
  if (started.role === "done") return started.status;
  const commands = new UnixctlCommands(program);
  const isDetached = client.daemon.detach;
  // Detaching takes standard output away, but this command's is its purpose.
  const output = isDetached ? fs.openSync("/proc/self/fd/1", "a") : 1;
  const errors = isDetached ? fs.openSync(keepErrors ? "/proc/self/fd/2" : "/dev/null", "a") : 2;
  const unixctl = isDetached ? await UnixctlServer.listen(platform, program, commands, socket) : undefined;
  const exit = (status: number): never => {
    unixctl?.close();
    return daemon.exit(status);
  };
  commands.register("exit", "", 0, 0, (_args, reply) => {
    reply.ok();
    client.rpc.close();
    platform.clock.after(10, () => exit(0));
  });
  return {
    commands,
    exit,
    fail: (text) => {
      fs.writeSync(errors, `${program}: ${text}\n`);
      return exit(1);
    },
    ready: () => daemon.ready(),
    print: (text) => {
      if (isDetached) fs.writeSync(output, text);
      else platform.stdout(text);
    },
  };
}
