/** `ovsbox` itself, where no link names an applet: help, `ovsbox up`, what scripts ask for. Loaded for nothing else. */
import { Builtins, Cli, Command, Option, type Usage } from "clipanion";
import { VERSION } from "../src/lib/applet.ts";
import { APPLETS, SUBCOMMANDS } from "./applets.ts";

class Schema extends Command {
  static override paths = [["--schema"]];
  static override usage = Command.Usage({
    category: "Start",
    description: "print the schema of the switch's database, or of a VTEP's (--schema vtep)",
  });
  which = Option.String({ required: false });

  async execute(): Promise<number> {
    const { renderSchema } = await import("../src/vswitch/schema/render.ts");
    const schema =
      this.which === undefined || this.which === "vswitch"
        ? (await import("../src/vswitch/schema/index.ts")).openVswitchSchema
        : this.which === "vtep"
          ? (await import("../src/ovsdb/schemas/hardware-vtep.ts")).hardwareVtepSchema
          : undefined;
    if (schema === undefined) {
      this.context.stderr.write(`ovsbox: there is no schema "${this.which}" (vswitch, vtep)\n`);
      return 1;
    }
    this.context.stdout.write(renderSchema(schema));
    return 0;
  }
}

/** main.ts has taken all of these before it comes here: they stand in the help only. */
function listed(name: string, usage: Usage): typeof Command {
  return class extends Command {
    static override paths = [[name]];
    static override usage = Command.Usage(usage);
    args = Option.Proxy();

    async execute(): Promise<number> {
      return (await (SUBCOMMANDS[name] ?? APPLETS[name]!).load()).main(this.args, name);
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
  cli.register(Schema);
  for (const [name, { about, category, examples }] of Object.entries(SUBCOMMANDS))
    cli.register(listed(name, { category, description: about, examples }) as never);
  const category = 'Applets, also called through links of their names (the "ovs-" may be left out)';
  for (const [name, { about }] of Object.entries(APPLETS))
    cli.register(listed(name, { category, description: about }) as never);
  const [word] = args;
  if (word !== undefined && !["--schema", "--help", "-h", "--version", "-v"].includes(word)) {
    console.error(`ovsbox: unknown applet "${word}" (try "ovsbox --help")`);
    return Promise.resolve(1);
  }
  return cli.run(args.length === 0 ? ["--help"] : args, Cli.defaultContext);
}
