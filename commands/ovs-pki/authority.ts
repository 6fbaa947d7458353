/**
 * A certificate authority in a folder, file by file as `openssl ca` keeps one: cacert.pem, private/cakey.pem, index.txt
 * (a line for each certificate), serial (the next number), newcerts/NUMBER.pem.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { Fatal } from "../../src/lib/errors.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { type CaConfig, caConfigText, readCaConfig } from "./ca-config.ts";
import {
  makeCertificate,
  makeName,
  makeRequest,
  type NamePart,
  nameParts,
  readCertificate,
} from "./certificate.ts";
import { alternativeName, authorityKey, configuredExtensions, subjectKey } from "./extensions.ts";
import { readText, replaceFile } from "./files.ts";
import { isSignedBy, type PrivateKey, readKey } from "./keys.ts";
import { certificateText } from "./text.ts";
import type * as x509 from "./x509.ts";

export interface Authority {
  readonly folder: string;
  readonly config: CaConfig;
  readonly key: PrivateKey;
  /** Undefined while the authority is being made. */
  readonly certificate: x509.X509Certificate | undefined;
}

/** Never taken from a request: whether the certificate is an authority's, and the identifiers of keys, which are ours to say. */
const NOT_COPIED: ReadonlySet<string> = new Set(["2.5.29.19", "2.5.29.14", "2.5.29.35"]);

export const caCertificateFile = (folder: string): string => `${folder}/cacert.pem`;

/** Opens what {@link createAuthority}, or the original, made. Throws {@link Fatal}. */
export function openAuthority(folder: string): Authority {
  const file = caCertificateFile(folder);
  return { ...readAuthority(folder), certificate: readCertificate(readText(file), file) };
}

function readAuthority(folder: string): Authority {
  const keyFile = `${folder}/private/cakey.pem`;
  return {
    folder,
    config: readCaConfig(readText(`${folder}/ca.cnf`)),
    key: readKey(readText(keyFile), keyFile),
    certificate: undefined,
  };
}

export interface NewAuthority {
  readonly name: string;
  readonly subject: readonly NamePart[];
  readonly hash: string;
  /** As PEM. */
  newKey(): string;
}

/** Makes an authority, or what is missing of one; its certificate is made anew. */
export async function createAuthority(
  platform: Platform,
  folder: string,
  { name, subject, hash, newKey }: NewAuthority,
): Promise<void> {
  for (const sub of ["certs", "crl", "newcerts"]) mkdirSync(`${folder}/${sub}`, { recursive: true });
  mkdirSync(`${folder}/private`, { recursive: true, mode: 0o700 });
  const initial: [string, () => string, number?][] = [
    ["index.txt", () => ""],
    ["index.txt.attr", () => "unique_subject = no\n"],
    ["serial", () => "01\n"],
    ["crlnumber", () => "01\n"],
    ["ca.cnf", () => caConfigText(name, subject, hash)],
    ["private/cakey.pem", newKey, 0o600],
  ];
  for (const [file, text, mode] of initial)
    if (!existsSync(`${folder}/${file}`)) replaceFile(`${folder}/${file}`, text(), mode);
  const authority = readAuthority(folder);
  const request = await makeRequest(authority.key, authority.config.subject, []);
  replaceFile(`${folder}/careq.pem`, `${request.toString("pem")}\n`);
  const text = await issue(platform, authority, request, "careq.pem");
  replaceFile(caCertificateFile(folder), text);
}

/**
 * Signs a request and enters it in the books. Returns what belongs into the certificate's file. Throws {@link Fatal}
 * when the request is forged or the authority's policy is against it; nothing has changed then.
 */
export async function issue(
  platform: Platform,
  authority: Authority,
  request: x509.Pkcs10CertificateRequest,
  file: string,
): Promise<string> {
  const { folder, config, key, certificate } = authority;
  const spki = new Uint8Array(request.publicKey.rawData);
  if (!isSignedBy(new Uint8Array(request.rawData), spki))
    throw new Fatal(`${file}: signature does not match the request`);
  const own = certificate === undefined ? config.subject : nameParts(certificate.subjectName);
  const subject = applyPolicy(config, nameParts(request.subjectName), own, file);
  const extensions = configuredExtensions(
    certificate === undefined ? config.caExtensions : config.userExtensions,
  );
  if (config.copyExtensions)
    for (const asked of request.extensions)
      if (!NOT_COPIED.has(asked.type) && !extensions.some(({ type }) => type === asked.type))
        extensions.push(asked);
  extensions.push(await subjectKey(spki));
  if (certificate !== undefined) extensions.push(await authorityKey(key, certificate));

  using _lock = await lockFolder(platform, folder);
  checkUnique(folder, config, subject);
  const serial = nextSerial(folder);
  const issued = await makeCertificate(key, platform.clock.wall(), {
    subject,
    issuer: certificate?.subjectName ?? makeName(subject),
    serial,
    days: config.days,
    spki,
    extensions,
    hash: config.hash,
  });
  const text = certificateText(issued);
  replaceFile(`${folder}/newcerts/${serial}.pem`, text);
  enter(folder, issued, serial, subject);
  return text;
}

/** The certificate's name: what the policy lists of the request's, in the policy's order. */
function applyPolicy(
  config: CaConfig,
  asked: readonly NamePart[],
  own: readonly NamePart[],
  file: string,
): NamePart[] {
  const subject: NamePart[] = [];
  for (const { attribute, rule } of config.policy) {
    const found = asked.filter(([type]) => type === attribute);
    if (found.length === 0 && rule !== "optional")
      throw new Fatal(`${file}: the name lacks ${attribute}, which ca.cnf wants`);
    for (const [, value] of found)
      if (rule === "match" && !own.some((part) => part[0] === attribute && part[1] === value))
        throw new Fatal(`${file}: ${attribute} is "${value}", which is not the authority's`);
    subject.push(...found);
  }
  return subject;
}

/** One signature at a time, whoever else is at work in the folder: a serial number must not be given twice. */
async function lockFolder(platform: Platform, folder: string): Promise<Disposable> {
  for (;;) {
    const lock = platform.process.files.tryLock(`${folder}/ovs-pki.lock`, 0o600);
    if ("release" in lock) return { [Symbol.dispose]: () => lock.release() };
    await new Promise<void>((resolve) => platform.clock.after(50, resolve));
  }
}

/** Takes the next number; a number that is taken and not used is no harm. */
function nextSerial(folder: string): string {
  const file = `${folder}/serial`;
  const text = readText(file).trim();
  if (!/^[0-9A-Fa-f]+$/.test(text)) throw new Fatal(`${file}: "${text}" is no serial number`);
  const even = (hex: string): string => (hex.length % 2 === 0 ? hex : `0${hex}`).toUpperCase();
  replaceFile(`${file}.old`, readFileSync(file, "utf8"));
  replaceFile(file, `${even((BigInt(`0x${text}`) + 1n).toString(16))}\n`);
  return even(text);
}

/** A name in index.txt's form. */
function oneLine(subject: readonly NamePart[]): string {
  const printable = (value: string): string =>
    Array.from(Buffer.from(value), (byte) =>
      byte < 0x20 || byte > 0x7e
        ? `\\x${byte.toString(16).toUpperCase().padStart(2, "0")}`
        : String.fromCharCode(byte),
    ).join("");
  return subject
    .map(([type, value]) => `/${type === "E" ? "emailAddress" : type}=${printable(value)}`)
    .join("");
}

function checkUnique(folder: string, config: CaConfig, subject: readonly NamePart[]): void {
  const attributes = `${folder}/index.txt.attr`;
  // index.txt.attr has the last word, as for openssl ca.
  const [, said] = existsSync(attributes)
    ? (/unique_subject\s*=\s*(\w+)/.exec(readText(attributes)) ?? [])
    : [];
  if (!(said === undefined ? config.uniqueSubject : said === "yes")) return;
  const name = oneLine(subject);
  for (const line of readText(`${folder}/index.txt`).split("\n")) {
    const fields = line.split("\t");
    if (fields[0] === "V" && fields[5] === name)
      throw new Fatal(`there is a certificate for ${name} (serial ${fields[3]})`);
  }
}

/** Adds the line to index.txt: valid, until when, (when revoked), number, file, name. */
function enter(
  folder: string,
  certificate: x509.X509Certificate,
  serial: string,
  subject: readonly NamePart[],
): void {
  const digits = certificate.notAfter.toISOString().replaceAll(/[-:T]|\.\d+/g, "");
  const until = certificate.notAfter.getUTCFullYear() < 2050 ? digits.slice(2) : digits;
  const file = `${folder}/index.txt`;
  const before = readFileSync(file, "utf8");
  replaceFile(`${file}.old`, before);
  replaceFile(file, `${before}V\t${until}\t\t${serial}\tunknown\t${oneLine(subject)}\n`);
}

/** Signs a request with the key it was made with. */
export async function selfSign(
  platform: Platform,
  key: PrivateKey,
  request: x509.Pkcs10CertificateRequest,
  name: string,
): Promise<string> {
  const spki = new Uint8Array(request.publicKey.rawData);
  if (Buffer.compare(spki, key.spki) !== 0)
    throw new Fatal(`${name}-privkey.pem is not the key of ${name}-req.pem`);
  const certificate = await makeCertificate(key, platform.clock.wall(), {
    subject: nameParts(request.subjectName),
    issuer: request.subjectName,
    // Positive, so not above 7f.
    serial: Buffer.from(
      platform.random.bytes(20).map((byte, i) => (i === 0 ? (byte & 0x3f) | 0x40 : byte)),
    ).toString("hex"),
    days: 3650,
    spki,
    extensions: [alternativeName(name), await subjectKey(spki)],
    hash: "sha256",
  });
  return certificateText(certificate);
}
