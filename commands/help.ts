/** `ovsbox help PAGE`: a manual page on the terminal, through a pager where there is one. */
import { spawnSync } from "node:child_process";
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { makePage, PAGES, pageNamed } from "./man/pages.ts";
import { plain } from "./man/plain.ts";
import { realPlatform } from "./platform.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, async () => {
    const groups: OptionGroup[] = [
      helpTextOptions(platform, program, () => {
        const names = PAGES.map(({ name }) => `  ${name}\n`).join("");
        return `${program}: shows a manual page\nusage: ${program} PAGE\n\nPages ("ovs-" may be left out):\n${names}${formatOptions(groups)}`;
      }),
    ];
    const words = getopt(program, groups, args);
    // As without a word at all.
    if (words.length === 0) return (await import("./ovsbox.ts")).main(["--help"]);
    const page = words.length === 1 ? pageNamed(words[0]!) : undefined;
    if (page === undefined)
      throw new Fatal(`there is no page "${words.join(" ")}" (${program} --help lists them)`);
    const terminal = platform.stdoutIsTerminal;
    const width = Math.min(terminal ? process.stdout.columns || 80 : 80, 100);
    const text = plain(await makePage(page), width, terminal && !platform.env.NO_COLOR);
    if (!terminal || !paged(text, platform.env.MANPAGER || platform.env.PAGER || "less -R"))
      platform.stdout(text);
    return 0;
  });
}

/** False where there is no such program. */
function paged(text: string, pager: string): boolean {
  const run = spawnSync(
    "sh",
    ["-c", `command -v ${pager.split(" ")[0]} >/dev/null || exit 127; exec ${pager}`],
    {
      input: text,
      stdio: ["pipe", "inherit", "inherit"],
    },
  );
  return run.error === undefined && run.status !== 127;
}
