/** `ovsbox` itself: the list of applets, and `ovsbox up`. */
import { APPLETS } from "./main.ts";

export async function main(args: string[]): Promise<number> {
  if (args[0] === "up") return (await import("./up.ts")).main(args.slice(1));
  if (args[0] === "--help" || args[0] === "-h") {
    console.log(`  ${"up".padEnd(20)} database and switch in one process`);
    for (const [name, applet] of Object.entries(APPLETS)) console.log(`  ${name.padEnd(20)} ${applet.about}`);
    return 0;
  }
  console.error(`ovsbox: unknown applet "${args[0]}" (try "ovsbox --help")`);
  return 1;
}
