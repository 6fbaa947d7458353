/** `ovsbox` itself: its help, the list of applets, the schema, and `ovsbox up`. */
import { APPLETS } from "./main.ts";

function help(): string {
  const lines = Object.entries(APPLETS).map(([name, applet]) => `  ${name.padEnd(20)} ${applet.about}`);
  return `ovsbox: all of Open vSwitch as one executable
usage: ovsbox APPLET [ARGUMENT]...      (or through a link that is named like the applet)
       ovsbox up [OPTION]...            database and switch in one process; see ovsbox up --help
       ovsbox --schema                  print the Open_vSwitch database schema
       ovsbox --applets                 print the applets' names

The "ovs-" of an applet's name may be left out: "ovsbox vsctl show".

Applets:
${lines.join("\n")}
`;
}

export async function main(args: string[]): Promise<number> {
  switch (args[0]) {
    case "up":
      return (await import("./up.ts")).main(args.slice(1));
    case "--schema": {
      const { openVswitchSchema } = await import("../src/vswitch/schema/index.ts");
      const { renderSchema } = await import("../src/vswitch/schema/render.ts");
      process.stdout.write(renderSchema(openVswitchSchema));
      return 0;
    }
    case undefined:
    case "-h":
    case "--help":
      process.stdout.write(help());
      return 0;
    default:
      console.error(`ovsbox: unknown applet "${args[0]}" (try "ovsbox --help")`);
      return 1;
  }
}
