/**
 * Entry of the one executable: picks the applet from argv[0] (`ovs-vsctl`, a symlink) or from the first word
 * (`ovsbox ovs-vsctl ...`, `ovsbox vsctl ...`). Only the chosen applet's code is loaded.
 */

import { APPLETS, appletName, SUBCOMMANDS } from "./applets.ts";

async function run(): Promise<number> {
  const invoked = (process.argv0.split("/").at(-1) ?? "").replace(/^\./, "");
  // A link named "brctl", too.
  const called = invoked === "ovsbox" ? undefined : appletName(invoked);
  if (called !== undefined) return (await APPLETS[called]!.load()).main(process.argv.slice(2), invoked);
  const word = process.argv[2] ?? "";
  if (word === "--applets") {
    // For scripts/build and packages, which make the links.
    console.log(Object.keys(APPLETS).join("\n"));
    return 0;
  }
  // Not through ovsbox.ts: clipanion opens the standard streams, and a daemon would hold its caller's for ever.
  if (Object.hasOwn(SUBCOMMANDS, word))
    return (await SUBCOMMANDS[word]!.load()).main(process.argv.slice(3), `ovsbox ${word}`);
  if (word === "--complete") {
    // For the shells' completions: index of the word, then the words.
    const { complete } = await import("./completion/complete.ts");
    const words = await complete(process.argv.slice(4), Number(process.argv[3]));
    console.log(words.join("\n"));
    return 0;
  }
  const name = appletName(word);
  if (name !== undefined) return (await APPLETS[name]!.load()).main(process.argv.slice(3), name);
  return (await import("./ovsbox.ts")).main(process.argv.slice(2));
}

process.exitCode = await run();
