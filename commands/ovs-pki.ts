/** `ovs-pki`: keys, requests and certificates of a small public key infrastructure, in the folders of the original. */
import { appendFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { fatalErrno, runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { dirs } from "../src/lib/dirs.ts";
import { Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { COMMANDS, type PkiSettings } from "./ovs-pki/commands.ts";
import type { KeyKind } from "./ovs-pki/keys.ts";
import { realPlatform } from "./platform.ts";

const KINDS: readonly string[] = ["rsa", "dsa", "ecdsa"];

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, async () => {
    const settings: PkiSettings = {
      dir: platform.env.OVS_PKIDIR || "/var/lib/openvswitch/pki",
      key: "rsa",
      bits: undefined,
      dsaparam: undefined,
      batch: false,
      force: false,
      unique: false,
    };
    let logFile: string | undefined;
    const groups: OptionGroup[] = [
      ...pkiOptions(settings, (file) => {
        logFile = file;
      }),
      helpTextOptions(platform, program, () => usage(program, groups)),
    ];
    const [name, ...words] = getopt(program, groups, args);
    if (name === undefined) throw new Fatal("missing command name; use --help for help");
    if (!Object.hasOwn(COMMANDS, name)) throw new Fatal(`${name} command unknown; use --help for help`);
    const command = COMMANDS[name]!;
    if (words.length < command.min || words.length > command.max)
      throw new Fatal(`${name} must have ${command.wants}; use --help for help`);
    const log = (text: string): void => {
      const line = `${new Date(platform.clock.wall()).toISOString()}|${program}|${text}\n`;
      writeLog(logFile ?? `${dirs(platform.env).log}/ovs-pki.log`, line, logFile !== undefined);
    };
    return command.run({ platform, settings, log }, words);
  });
}

/** Without --log, whoever may not write there goes without. */
function writeLog(file: string, line: string, wanted: boolean): void {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o750 });
    appendFileSync(file, line);
  } catch (error) {
    if (wanted) throw fatalErrno(error, `cannot write ${file}`);
  }
}

function pkiOptions(settings: PkiSettings, setLog: (file: string | undefined) => void): OptionGroup[] {
  return [
    {
      title: "Options for init, req and req+sign",
      options: [
        {
          short: "k",
          long: "key",
          arg: "required",
          metavar: "TYPE",
          help: "kind of key: rsa (the default), ecdsa or dsa",
          set: (v = "") => {
            if (!KINDS.includes(v)) throw new Fatal("argument to -k or --key must be rsa, ecdsa or dsa");
            settings.key = v as KeyKind;
          },
        },
        {
          short: "B",
          long: "bits",
          arg: "required",
          metavar: "NBITS",
          help: "size of keys: 2048 or more (default 3072), with ecdsa\n256 (default), 384 or 521; with dsa only for init",
          set: (v = "") => {
            settings.bits = /^\d+$/.test(v) ? Number(v) : 0;
          },
        },
        {
          short: "D",
          long: "dsaparam",
          arg: "required",
          metavar: "FILE",
          help: "DSA parameters (default: dsaparam.pem in --dir)",
          set: (v) => {
            settings.dsaparam = v;
          },
        },
      ],
    },
    {
      title: "Option for sign",
      options: [
        {
          short: "b",
          long: "batch",
          help: "do not ask whether the fingerprint matches",
          set: () => {
            settings.batch = true;
          },
        },
      ],
    },
    {
      title: "Options for all commands",
      options: [
        {
          short: "d",
          long: "dir",
          arg: "required",
          metavar: "DIR",
          help: "folder of the PKI (default: $OVS_PKIDIR,\nor /var/lib/openvswitch/pki)",
          set: (v = "") => {
            settings.dir = v;
          },
        },
        {
          short: "f",
          long: "force",
          help: "go on though a file or folder exists",
          set: () => {
            settings.force = true;
          },
        },
        {
          short: "l",
          long: "log",
          arg: "required",
          metavar: "FILE",
          help: "log what is done here (default: ovs-pki.log among the logs)",
          set: setLog,
        },
        {
          short: "u",
          long: "unique",
          help: "NAME is unique: put no UUID behind it",
          set: () => {
            settings.unique = true;
          },
        },
      ],
    },
  ];
}

function usage(program: string, groups: readonly OptionGroup[]): string {
  let text = `${program}: manages a small public key infrastructure\nusage: ${program} [OPTIONS] COMMAND ARG...\n\nCommands:\n`;
  for (const [name, { args, help }] of Object.entries(COMMANDS))
    text += `  ${`${name} ${args}`.padEnd(26)}${help}\n`;
  return `${text}TYPE is switch (the default) or controller.\n${formatOptions(groups)}`;
}
