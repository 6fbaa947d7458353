/** X.509 extensions as an OpenSSL configuration writes them: `basicConstraints=critical,CA:true`. */

import { Fatal } from "../../src/lib/errors.ts";
import type { PrivateKey } from "./keys.ts";
import * as x509 from "./x509.ts";

/** OpenSSL's names of key usages to the library's flags. */
const KEY_USAGES: Readonly<Record<string, number>> = {
  digitalSignature: x509.KeyUsageFlags.digitalSignature,
  nonRepudiation: x509.KeyUsageFlags.nonRepudiation,
  keyEncipherment: x509.KeyUsageFlags.keyEncipherment,
  dataEncipherment: x509.KeyUsageFlags.dataEncipherment,
  keyAgreement: x509.KeyUsageFlags.keyAgreement,
  keyCertSign: x509.KeyUsageFlags.keyCertSign,
  cRLSign: x509.KeyUsageFlags.cRLSign,
};

type Maker = (words: readonly string[], critical: boolean) => x509.Extension | undefined;

const bad = (what: string): Fatal => new Fatal(`extension ${what} is not supported`);

const MAKERS: Readonly<Record<string, Maker>> = {
  basicConstraints: (words, critical) => {
    let ca = false;
    let length: number | undefined;
    for (const word of words) {
      const [name, value = ""] = word.split(":");
      if (name === "CA") ca = /^true$/i.test(value);
      else if (name === "pathlen" && /^\d+$/.test(value)) length = Number(value);
      else throw bad(`basicConstraints=${word}`);
    }
    return new x509.BasicConstraintsExtension(ca, length, critical);
  },
  keyUsage: (words, critical) => {
    let flags = 0;
    for (const word of words) {
      const flag = KEY_USAGES[word];
      if (flag === undefined) throw bad(`keyUsage=${word}`);
      flags |= flag;
    }
    return new x509.KeyUsagesExtension(flags, critical);
  },
  extendedKeyUsage: (words, critical) =>
    new x509.ExtendedKeyUsageExtension(
      words.map((word) => {
        const usage = x509.ExtendedKeyUsage[word as keyof typeof x509.ExtendedKeyUsage] as string | undefined;
        if (usage === undefined && !/^\d+(\.\d+)+$/.test(word)) throw bad(`extendedKeyUsage=${word}`);
        return usage ?? word;
      }),
      critical,
    ),
  // These two are in every certificate anyway.
  subjectKeyIdentifier: () => undefined,
  authorityKeyIdentifier: () => undefined,
};

/** What a section of ca.cnf asks for. Throws {@link Fatal} for what only OpenSSL can make. */
export function configuredExtensions(section: ReadonlyMap<string, string>): x509.Extension[] {
  const made: x509.Extension[] = [];
  for (const [name, value] of section) {
    const words = value.split(",").map((word) => word.trim());
    const critical = words[0] === "critical";
    const maker = MAKERS[name];
    if (maker === undefined) throw bad(name);
    const extension = maker(critical ? words.slice(1) : words, critical);
    if (extension !== undefined) made.push(extension);
  }
  return made;
}

/** `DNS:NAME`, by which IPsec and TLS clients look for the peer's name. */
export const alternativeName = (name: string): x509.Extension =>
  new x509.SubjectAlternativeNameExtension([{ type: "dns", value: name }]);

export const subjectKey = (spki: Uint8Array): Promise<x509.Extension> =>
  x509.SubjectKeyIdentifierExtension.create(new x509.PublicKey(Uint8Array.from(spki)));

export function authorityKey(key: PrivateKey, certificate?: x509.X509Certificate): Promise<x509.Extension> {
  const known = certificate?.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  return known === undefined
    ? x509.AuthorityKeyIdentifierExtension.create(new x509.PublicKey(Uint8Array.from(key.spki)))
    : Promise.resolve(new x509.AuthorityKeyIdentifierExtension(known));
}
