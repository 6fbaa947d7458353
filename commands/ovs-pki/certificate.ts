/** Certificate requests and certificates, made and read through the X.509 library; keys and signatures are keys.ts's. */

import { Fatal } from "../../src/lib/errors.ts";
import { readPem } from "./der.ts";
import { type PrivateKey, SIGNATURES } from "./keys.ts";
import * as x509 from "./x509.ts";

/** A part of a distinguished name: "CN", "O"... and its text. */
export type NamePart = readonly [type: string, value: string];

/** Country is a PrintableString, all else UTF-8, as OpenSSL writes them: it compares names with their types. */
export function makeName(parts: readonly NamePart[]): x509.Name {
  return new x509.Name(
    parts.map(([type, value]) => ({
      [type]: [
        type === "C"
          ? { printableString: value }
          : type === "E"
            ? { ia5String: value }
            : { utf8String: value },
      ],
    })),
  );
}

export function nameParts(name: x509.Name): NamePart[] {
  return name
    .toJSON()
    .flatMap((set) =>
      Object.entries(set).flatMap(([type, values]) =>
        values.map((value): NamePart => [type, typeof value === "string" ? value : JSON.stringify(value)]),
      ),
    );
}

/**
 * The library takes keys and signatures from WebCrypto, which has no DSA and no SHA-512 with an RSA key that was read
 * for SHA-256. So it is given algorithms by their numbers, which it passes on as they are, and a crypto that is `key`.
 */
function signer(
  key: PrivateKey,
  hash: string,
): { crypto: Crypto; keys: CryptoKeyPair; algorithm: { name: string } } {
  const oid = SIGNATURES[key.kind][hash];
  if (oid === undefined) throw new Fatal(`message digest ${hash} is not supported`);
  const algorithm = { name: oid, ...(key.kind === "rsa" ? { parameters: Uint8Array.of(5, 0).buffer } : {}) };
  const subtle = {
    exportKey: async () => Uint8Array.from(key.spki).buffer,
    sign: async (_algorithm: unknown, _key: unknown, data: ArrayBuffer) =>
      Uint8Array.from(key.sign(hash, new Uint8Array(data))).buffer,
  };
  const half = { algorithm } as unknown as CryptoKey;
  return {
    crypto: { subtle, getRandomValues: crypto.getRandomValues.bind(crypto) } as unknown as Crypto,
    keys: { privateKey: half, publicKey: half },
    algorithm,
  };
}

/** A request for `subject`, signed with its own key. */
export function makeRequest(
  key: PrivateKey,
  subject: readonly NamePart[],
  extensions: x509.Extension[],
): Promise<x509.Pkcs10CertificateRequest> {
  const { crypto, keys, algorithm } = signer(key, "sha256");
  return x509.Pkcs10CertificateRequestGenerator.create(
    { name: makeName(subject), keys, signingAlgorithm: algorithm, extensions },
    crypto,
  );
}

export interface CertificateParams {
  readonly subject: readonly NamePart[];
  readonly issuer: x509.Name;
  /** Hexadecimal. */
  readonly serial: string;
  readonly days: number;
  readonly spki: Uint8Array;
  readonly extensions: x509.Extension[];
  /** "sha512" */
  readonly hash: string;
}

/** A certificate, valid from `now` (milliseconds) on, signed by `key`. */
export function makeCertificate(
  key: PrivateKey,
  now: number,
  { subject, issuer, serial, days, spki, extensions, hash }: CertificateParams,
): Promise<x509.X509Certificate> {
  const { crypto, keys, algorithm } = signer(key, hash);
  const notBefore = new Date(Math.floor(now / 1000) * 1000);
  return x509.X509CertificateGenerator.create(
    {
      subject: makeName(subject),
      issuer,
      serialNumber: serial,
      notBefore,
      notAfter: new Date(notBefore.getTime() + days * 86_400_000),
      publicKey: new x509.PublicKey(Uint8Array.from(spki)),
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      extensions,
    },
    crypto,
  );
}

/** The first request in a file. Throws {@link Fatal}. */
export function readRequest(text: string, file: string): x509.Pkcs10CertificateRequest {
  const [der] = readPem(/^(NEW )?CERTIFICATE REQUEST$/, text);
  return parsed(file, "certificate request", der, (bytes) => new x509.Pkcs10CertificateRequest(bytes));
}

/** The first certificate in a file. Throws {@link Fatal}. */
export function readCertificate(text: string, file: string): x509.X509Certificate {
  const [der] = readPem(/^(X509 |TRUSTED )?CERTIFICATE$/, text);
  return parsed(file, "certificate", der, (bytes) => new x509.X509Certificate(bytes));
}

function parsed<T extends x509.X509Certificate | x509.Pkcs10CertificateRequest>(
  file: string,
  what: string,
  der: Uint8Array | undefined,
  parse: (der: Uint8Array<ArrayBuffer>) => T,
): T {
  if (der === undefined) throw new Fatal(`${file}: no ${what} in it`);
  try {
    const value = parse(Uint8Array.from(der));
    // The library reads these when they are first asked for; what is wrong with them is to be said here.
    void [value.publicKey, value.subjectName, value.extensions];
    return value;
  } catch (error) {
    throw new Fatal(`${file}: ${what} cannot be read (${(error as Error).message})`);
  }
}
