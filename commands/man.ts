/** `ovsbox man PAGE`: a manual page in the language of man(7); with --output all of them, for packages. */
import { mkdirSync, writeFileSync } from "node:fs";
import { runApplet, VERSION } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { makePage, PAGES, type PageName, pageNamed } from "./man/pages.ts";
import { troff } from "./man/troff.ts";
import { realPlatform } from "./platform.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, async () => {
    let output: string | undefined;
    let list = false;
    let wanted = false;
    const groups: OptionGroup[] = [
      {
        title: "Options",
        options: [
          {
            long: "list",
            help: "list the pages",
            set: () => {
              list = true;
            },
          },
          {
            long: "check",
            help: "tell what is explained nowhere, or explained and not there",
            set: () => {
              wanted = true;
            },
          },
          {
            long: "output",
            arg: "required",
            metavar: "FOLDER",
            help: "write all pages into FOLDER, as man1/NAME.1 and so on",
            set: (folder) => {
              output = folder;
            },
          },
        ],
      },
      helpTextOptions(
        platform,
        program,
        () =>
          `${program}: prints manual pages, to be read by man\nusage: ${program} [OPTIONS] [PAGE]\n${formatOptions(groups)}`,
      ),
    ];
    const [word, ...rest] = getopt(program, groups, args);
    if (rest.length > 0) throw new Fatal("one page at a time");
    if (wanted) {
      const wrong = await (await import("./man/check.ts")).check();
      platform.stdout(wrong.map((line) => `${line}\n`).join(""));
      return wrong.length === 0 ? 0 : 1;
    }
    if (list) platform.stdout(PAGES.map(({ name, section }) => `${name}.${section}\n`).join(""));
    else if (output !== undefined) for (const page of PAGES) await write(output, page);
    else if (word === undefined) throw new Fatal("which page? (--list shows them)");
    else {
      const page = pageNamed(word);
      if (page === undefined) throw new Fatal(`there is no page "${word}" (--list shows them)`);
      platform.stdout(troff(await makePage(page), `Open vSwitch ${VERSION}`));
    }
    return 0;
  });
}

async function write(folder: string, page: PageName): Promise<void> {
  const place = `${folder}/man${page.section}`;
  mkdirSync(place, { recursive: true });
  writeFileSync(
    `${place}/${page.name}.${page.section}`,
    troff(await makePage(page), `Open vSwitch ${VERSION}`),
  );
}
