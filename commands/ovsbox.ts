/** `ovsbox` itself, where no link names an applet: help, `ovsbox up`, what scripts ask for. Loaded for nothing else. */
import { Builtins, Cli, Command, Option } from "clipanion";
import { VERSION } from "../src/lib/applet.ts";
import { APPLETS } from "./applets.ts";

class Up extends Command {
  static override paths = [["up"]];
  static override usage = Command.Usage({
    category: "Start",
    description: "run database and switch in one process (its options: ovsbox up --help)",
    examples: [["In the background, as the system's switch", "ovsbox up --detach"]],
  });
  args = Option.Proxy();

  async execute(): Promise<number> {
    return (await import("./up.ts")).main(this.args);
  }
}

class Collect extends Command {
  static override paths = [["collect"]];
  static override usage = Command.Usage({
    category: "See",
    description: "receive sFlow, IPFIX and NetFlow and print it (its options: ovsbox collect --help)",
    examples: [["What an exporter sends here", "ovsbox collect ipfix --listen 127.0.0.1:4739"]],
  });
  args = Option.Proxy();

  async execute(): Promise<number> {
    return (await import("./collect.ts")).main(this.args);
  }
}

class Top extends Command {
  static override paths = [["top"]];
  static override usage = Command.Usage({
    category: "See",
    description: "rates of bridges and ports, busiest flows, drops, live (its options: ovsbox top --help)",
    examples: [["One report as text", "ovsbox top --once"]],
  });
  args = Option.Proxy();

  async execute(): Promise<number> {
    return (await import("./top.ts")).main(this.args);
  }
}

class Schema extends Command {
  static override paths = [["--schema"]];
  static override usage = Command.Usage({
    category: "Start",
    description: "print the Open_vSwitch database schema",
  });

  async execute(): Promise<number> {
    const { openVswitchSchema } = await import("../src/vswitch/schema/index.ts");
    const { renderSchema } = await import("../src/vswitch/schema/render.ts");
    this.context.stdout.write(renderSchema(openVswitchSchema));
    return 0;
  }
}

class Completion extends Command {
  static override paths = [["completion"]];
  static override usage = Command.Usage({
    category: "Start",
    description: "print what bash, zsh or fish needs to complete command lines",
    examples: [["In this bash", 'eval "$(ovsbox completion bash)"']],
  });
  shell = Option.String();

  async execute(): Promise<number> {
    const { SHELLS } = await import("./completion/scripts.ts");
    if (!Object.hasOwn(SHELLS, this.shell)) {
      this.context.stderr.write(
        `ovsbox: unknown shell "${this.shell}" (${Object.keys(SHELLS).join(", ")})\n`,
      );
      return 1;
    }
    this.context.stdout.write(SHELLS[this.shell]!(["ovsbox", ...Object.keys(APPLETS)]));
    return 0;
  }
}

/** main.ts has taken "up" and every applet's name before it comes here: these stand in the help only. */
function listed(name: string, about: string): typeof Command {
  return class extends Command {
    static override paths = [[name]];
    static override usage = Command.Usage({
      category: 'Applets, also called through links of their names (the "ovs-" may be left out)',
      description: about,
    });
    args = Option.Proxy();

    async execute(): Promise<number> {
      return (await APPLETS[name]!.load()).main(this.args, name);
    }
  } as unknown as typeof Command;
}

export function main(args: string[]): Promise<number> {
  const cli = new Cli({
    binaryLabel: "All of Open vSwitch as one executable",
    binaryName: "ovsbox",
    binaryVersion: VERSION,
    enableColors: process.stdout.isTTY === true,
  });
  cli.register(Builtins.HelpCommand);
  cli.register(Builtins.VersionCommand);
  cli.register(Up);
  cli.register(Collect);
  cli.register(Top);
  cli.register(Completion);
  cli.register(Schema);
  for (const [name, applet] of Object.entries(APPLETS)) cli.register(listed(name, applet.about) as never);
  const [word] = args;
  if (
    word !== undefined &&
    !["up", "collect", "top", "completion", "--schema", "--help", "-h", "--version", "-v"].includes(word)
  ) {
    console.error(`ovsbox: unknown applet "${word}" (try "ovsbox --help")`);
    return Promise.resolve(1);
  }
  return cli.run(args.length === 0 ? ["--help"] : args, Cli.defaultContext);
}
