/** `ovsbox` itself: the list of applets. */
import { APPLETS } from "./main.ts";

export function main(args: string[]): number {
  if (args[0] === "--help" || args[0] === "-h") {
    for (const [name, applet] of Object.entries(APPLETS)) console.log(`  ${name.padEnd(20)} ${applet.about}`);
    return 0;
  }
  console.error(`ovsbox: unknown applet "${args[0]}" (try "ovsbox --help")`);
  return 1;
}
