/** What ovs-pki does, command by command. All that needs the X.509 library loads it when it gets there. */
import { existsSync, mkdirSync, readSync } from "node:fs";
import { fatalErrno } from "../../src/lib/applet.ts";
import { Fatal } from "../../src/lib/errors.ts";
import type { Platform } from "../../src/lib/platform.ts";
import type { Authority } from "./authority.ts";
import type { NamePart } from "./certificate.ts";
import type { DsaParameters } from "./dsa.ts";
import { mustExist, mustNotExist, readText, replaceFile } from "./files.ts";
import { DEFAULT_BITS, type KeyKind } from "./keys.ts";

export interface PkiSettings {
  /** Where the authorities are. */
  dir: string;
  key: KeyKind;
  /** Undefined: as usual for the kind of key. */
  bits: number | undefined;
  /** Undefined: dsaparam.pem in `dir`. */
  dsaparam: string | undefined;
  batch: boolean;
  force: boolean;
  /** The name in the certificate is the NAME alone. */
  unique: boolean;
}

export interface PkiContext {
  readonly platform: Platform;
  readonly settings: PkiSettings;
  /** Writes a line to the log file. */
  log(text: string): void;
}

export interface PkiCommand {
  readonly args: string;
  readonly help: string;
  /** "exactly one argument": how many words must follow, for the complaint. */
  readonly wants: string;
  readonly min: number;
  readonly max: number;
  /** Resolves to the exit status. */
  run(context: PkiContext, args: readonly string[]): Promise<number> | number;
}

const ONE = { wants: "exactly one argument", min: 1, max: 1 } as const;
const ONE_OR_TWO = { wants: "one or two arguments", min: 1, max: 2 } as const;

export const COMMANDS: Readonly<Record<string, PkiCommand>> = {
  init: {
    args: "",
    wants: "no argument",
    min: 0,
    max: 0,
    help: "make the PKI: an authority for switches and one for controllers",
    run: init,
  },
  req: {
    args: "NAME",
    ...ONE,
    help: "make NAME-privkey.pem and a request for it, NAME-req.pem",
    run: request,
  },
  sign: { args: "NAME [TYPE]", ...ONE_OR_TWO, help: "sign NAME-req.pem: NAME-cert.pem", run: sign },
  "req+sign": { args: "NAME [TYPE]", ...ONE_OR_TWO, help: "both: all three files", run: requestAndSign },
  verify: { args: "NAME [TYPE]", ...ONE_OR_TWO, help: "check that NAME-cert.pem is valid", run: verify },
  fingerprint: { args: "FILE", ...ONE, help: "print the fingerprint of FILE", run: printFingerprint },
  "self-sign": {
    args: "NAME",
    ...ONE,
    help: "sign NAME-req.pem with NAME-privkey.pem itself: NAME-cert.pem",
    run: selfSign,
  },
};

/** The distinguished names that the original gives. */
const nameFor = (unit: string, common: string): NamePart[] => [
  ["C", "US"],
  ["ST", "CA"],
  ["L", "Palo Alto"],
  ["O", "Open vSwitch"],
  ["OU", unit],
  ["CN", common],
];

/** "2026 Nov 29 08:36:07", of the host's own time. */
function stamp(platform: Platform): string {
  const [, month, day, year, time] = new Date(platform.clock.wall()).toString().split(" ");
  return `${year} ${month} ${day} ${time}`;
}

const bitsOf = ({ key, bits }: PkiSettings): number => bits ?? DEFAULT_BITS[key];

async function init(context: PkiContext): Promise<number> {
  const { platform, settings, log } = context;
  const { dir, key, force } = settings;
  if (!force && existsSync(dir)) throw new Fatal(`${dir} already exists and --force not specified`);
  const [{ createAuthority }, { checkBits, generateKey }] = await Promise.all([
    import("./authority.ts"),
    import("./keys.ts"),
  ]);
  const bits = bitsOf(settings);
  checkBits(key, bits);
  try {
    mkdirSync(dir, { recursive: true });
  } catch (error) {
    throw fatalErrno(error, `cannot make ${dir}`);
  }
  if (key === "dsa" && !existsSync(`${dir}/dsaparam.pem`)) {
    platform.stderr("Generating DSA parameters, please wait...\n");
    const { dsaParametersPem, generateDsaParameters } = await import("./dsa.ts");
    replaceFile(`${dir}/dsaparam.pem`, dsaParametersPem(generateDsaParameters(bits)));
  }
  const parameters = key === "dsa" ? await dsaParameters(settings) : undefined;
  for (const name of ["controllerca", "switchca"]) {
    platform.stderr(`Creating ${name}...\n`);
    await createAuthority(platform, `${dir}/${name}`, {
      name,
      subject: nameFor(name, `OVS ${name} CA Certificate (${stamp(platform)})`),
      // OpenSSL does not take a certificate that DSA signs with SHA-512.
      hash: key === "dsa" ? "sha256" : "sha512",
      newKey: () => generateKey(key, bits, () => parameters!),
    });
    log(`made authority ${dir}/${name}`);
  }
  return 0;
}

async function dsaParameters({ dsaparam, dir }: PkiSettings): Promise<DsaParameters> {
  const file = dsaparam ?? `${dir}/dsaparam.pem`;
  mustExist(file);
  return (await import("./dsa.ts")).readDsaParameters(readText(file), file);
}

const MAX_COMMON_NAME = 64;

/** `NAME id:UUID`, so that two hosts of one name differ; the date where the UUID does not fit. */
function commonName({ platform, settings }: PkiContext, name: string): string {
  if (!/^[\x20-\x7e]+$/.test(name)) throw new Fatal("NAME must be of printable ASCII characters");
  const withUuid = `${name} id:${platform.random.uuid()}`;
  const chosen = settings.unique
    ? name
    : withUuid.length <= MAX_COMMON_NAME
      ? withUuid
      : `${name} id:${stamp(platform)}`;
  if (chosen.length > MAX_COMMON_NAME)
    throw new Fatal(
      `"${chosen}" is too long for a certificate's name (at most ${MAX_COMMON_NAME} characters)`,
    );
  return chosen;
}

async function request(context: PkiContext, [name = ""]: readonly string[]): Promise<number> {
  const { settings, log } = context;
  const { key, force } = settings;
  const keyFile = `${name}-privkey.pem`;
  const requestFile = `${name}-req.pem`;
  mustNotExist(keyFile, force);
  mustNotExist(requestFile, force);
  const common = commonName(context, name);
  const parameters = key === "dsa" ? await dsaParameters(settings) : undefined;
  const [{ makeRequest }, { alternativeName }, { checkBits, generateKey, readKey }, { requestText }] =
    await Promise.all([
      import("./certificate.ts"),
      import("./extensions.ts"),
      import("./keys.ts"),
      import("./text.ts"),
    ]);
  checkBits(key, bitsOf(settings));
  const pem = generateKey(key, bitsOf(settings), () => parameters!);
  const made = await makeRequest(readKey(pem, keyFile), nameFor("Open vSwitch certifier", common), [
    alternativeName(common),
  ]);
  replaceFile(keyFile, pem, 0o600);
  replaceFile(requestFile, requestText(made));
  log(`made ${keyFile} and ${requestFile} for ${common}`);
  return printFingerprint(context, [requestFile]);
}

const TYPES: readonly string[] = ["switch", "controller"];

/** The folder of the authority that signs certificates of `type`. */
function authorityFolder({ dir }: PkiSettings, type: string): string {
  if (!TYPES.includes(type)) throw new Fatal("type argument must be 'switch' or 'controller'");
  if (!existsSync(dir)) throw new Fatal(`${dir} does not exist (need to run 'init' or use '--dir'?)`);
  const folder = `${dir}/${type}ca`;
  if (!existsSync(folder)) throw new Fatal(`${folder} does not exist (need to run 'init'?)`);
  return folder;
}

async function authorityOf(settings: PkiSettings, type: string): Promise<Authority> {
  const folder = authorityFolder(settings, type);
  return (await import("./authority.ts")).openAuthority(folder);
}

async function sign(context: PkiContext, [name = "", type = "switch"]: readonly string[]): Promise<number> {
  const { settings } = context;
  const requestFile = `${name}-req.pem`;
  authorityFolder(settings, type);
  mustExist(requestFile);
  mustNotExist(`${name}-cert.pem`, settings.force);
  await printFingerprint(context, [requestFile]);
  if (!settings.batch) confirmFingerprint(context);
  return signRequest(context, name, type);
}

async function signRequest(
  { platform, settings, log }: PkiContext,
  name: string,
  type: string,
): Promise<number> {
  const authority = await authorityOf(settings, type);
  const [{ issue }, { readRequest }] = await Promise.all([
    import("./authority.ts"),
    import("./certificate.ts"),
  ]);
  const file = `${name}-req.pem`;
  const text = await issue(platform, authority, readRequest(readText(file), file), file);
  replaceFile(`${name}-cert.pem`, text);
  log(`signed ${name}-cert.pem by ${authority.folder}`);
  return 0;
}

function confirmFingerprint({ platform }: PkiContext): void {
  platform.stdout("Does fingerprint match? (yes/no)\n");
  if (readLine() === "yes") return;
  throw new Fatal("Match failure, aborting", 1, true);
}

/** One line of standard input, which may stay open behind it. */
function readLine(): string {
  const byte = Buffer.alloc(1);
  let line = "";
  try {
    while (readSync(0, byte, 0, 1, null) === 1 && byte[0] !== 0x0a) line += String.fromCharCode(byte[0]!);
  } catch {
    // No answer is none.
  }
  return line.trim();
}

async function requestAndSign(
  context: PkiContext,
  [name = "", type = "switch"]: readonly string[],
): Promise<number> {
  authorityFolder(context.settings, type);
  mustNotExist(`${name}-cert.pem`, context.settings.force);
  await request(context, [name]);
  return signRequest(context, name, type);
}

async function verify(context: PkiContext, [name = "", type = "switch"]: readonly string[]): Promise<number> {
  const { platform, settings } = context;
  const file = `${name}-cert.pem`;
  const folder = authorityFolder(settings, type);
  mustExist(file);
  const [{ faultOf }, { readCertificate }] = await Promise.all([
    import("./verify.ts"),
    import("./certificate.ts"),
  ]);
  const caFile = `${folder}/cacert.pem`;
  const authority = readCertificate(readText(caFile), caFile);
  const fault = faultOf(readCertificate(readText(file), file), [authority], platform.clock.wall());
  if (fault === undefined) {
    platform.stdout(`${file}: OK\n`);
    return 0;
  }
  platform.stderr(`${fault}\nerror ${file}: verification failed\n`);
  return 2;
}

async function printFingerprint({ platform }: PkiContext, [file = ""]: readonly string[]): Promise<number> {
  platform.stdout((await import("./fingerprint.ts")).fingerprint(file));
  return 0;
}

async function selfSign(
  { platform, settings, log }: PkiContext,
  [name = ""]: readonly string[],
): Promise<number> {
  const [requestFile, keyFile, certificateFile] = [
    `${name}-req.pem`,
    `${name}-privkey.pem`,
    `${name}-cert.pem`,
  ];
  mustExist(requestFile);
  mustExist(keyFile);
  mustNotExist(certificateFile, settings.force);
  const [authority, { readRequest }, { readKey }] = await Promise.all([
    import("./authority.ts"),
    import("./certificate.ts"),
    import("./keys.ts"),
  ]);
  const made = await authority.selfSign(
    platform,
    readKey(readText(keyFile), keyFile),
    readRequest(readText(requestFile), requestFile),
    name,
  );
  replaceFile(certificateFile, made);
  log(`self-signed ${certificateFile}`);
  return 0;
}
