/** Private keys and signatures: RSA and ECDSA by node:crypto, DSA by dsa.ts; one face for the three. */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from "node:crypto";
import { Fatal } from "../../src/lib/errors.ts";
import { readBits, readOid, readPem, readSequence } from "./der.ts";
import { DsaKey, type DsaParameters, generateDsaKey, verifyDsa } from "./dsa.ts";

export interface PrivateKey {
  readonly kind: KeyKind;
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  /** The signature in DER, as certificates hold it. `hash` is one of the names in {@link SIGNATURES}. */
  sign(hash: string, data: Uint8Array): Uint8Array;
}

export type KeyKind = "rsa" | "dsa" | "ecdsa";

/** Signature algorithms (RFC 4055, RFC 5758): kind of key and hash to OID. */
export const SIGNATURES: Readonly<Record<KeyKind, Readonly<Record<string, string>>>> = {
  rsa: {
    sha256: "1.2.840.113549.1.1.11",
    sha384: "1.2.840.113549.1.1.12",
    sha512: "1.2.840.113549.1.1.13",
  },
  ecdsa: { sha256: "1.2.840.10045.4.3.2", sha384: "1.2.840.10045.4.3.3", sha512: "1.2.840.10045.4.3.4" },
  dsa: {
    sha256: "2.16.840.1.101.3.4.3.2",
    sha384: "2.16.840.1.101.3.4.3.3",
    sha512: "2.16.840.1.101.3.4.3.4",
  },
};

const CURVES: Readonly<Record<number, string>> = { 256: "P-256", 384: "P-384", 521: "P-521" };

/** Bits of a key when none are asked for. */
export const DEFAULT_BITS: Readonly<Record<KeyKind, number>> = { rsa: 3072, dsa: 3072, ecdsa: 256 };

/** Throws {@link Fatal} for sizes that are too small or that no curve has. */
export function checkBits(kind: KeyKind, bits: number): void {
  if (kind === "ecdsa" && CURVES[bits] === undefined)
    throw new Fatal("argument to -B or --bits must be 256, 384 or 521 with ecdsa");
  if (kind !== "ecdsa" && !(bits >= 2048 && bits <= 16384))
    throw new Fatal("argument to -B or --bits must be at least 2048");
}

/** A new key as PEM, in PKCS #8. `parameters` are called for with DSA only. */
export function generateKey(kind: KeyKind, bits: number, parameters: () => DsaParameters): string {
  if (kind === "dsa") return generateDsaKey(parameters());
  const { privateKey } =
    kind === "rsa"
      ? generateKeyPairSync("rsa", { modulusLength: bits })
      : generateKeyPairSync("ec", { namedCurve: CURVES[bits]! });
  return privateKey.export({ type: "pkcs8", format: "pem" }) as string;
}

/** Reads a key without a password, in any form that OpenSSL writes. `file` is for the complaint. */
export function readKey(text: string, file: string): PrivateKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    const [dsa] = readPem(/^PRIVATE KEY$/, text);
    if (dsa !== undefined && readOid(readSequence(readSequence(dsa)[1]!.whole)[0]) === "1.2.840.10040.4.1")
      return dsaKey(dsa);
    throw new Fatal(`${file}: no private key that can be read without a password`);
  }
  const type = key.asymmetricKeyType;
  if (type === "dsa") return dsaKey(key.export({ type: "pkcs8", format: "der" }));
  if (type !== "rsa" && type !== "ec") throw new Fatal(`${file}: keys of type ${type} are not supported`);
  return {
    kind: type === "ec" ? "ecdsa" : "rsa",
    spki: createPublicKey(key).export({ type: "spki", format: "der" }),
    sign: (hash, data) => sign(hash, data, key),
  };
}

function dsaKey(der: Uint8Array): PrivateKey {
  const key = new DsaKey(der);
  return { kind: "dsa", spki: key.spki, sign: (hash, data) => key.sign(hash, data) };
}

/** Whether `der`, a certificate or a request, is signed by the owner of `spki`. */
export function isSignedBy(der: Uint8Array, spki: Uint8Array): boolean {
  const [signed, algorithm, signature] = readSequence(der);
  const oid = readOid(readSequence(algorithm!.whole)[0]);
  for (const [kind, hashes] of Object.entries(SIGNATURES))
    for (const [hash, known] of Object.entries(hashes))
      if (known === oid) return verified(kind as KeyKind, hash, signed!.whole, spki, readBits(signature));
  throw new Fatal(`unknown signature algorithm ${oid}`);
}

function verified(
  kind: KeyKind,
  hash: string,
  data: Uint8Array,
  spki: Uint8Array,
  signature: Uint8Array,
): boolean {
  try {
    if (kind === "dsa") return verifyDsa(hash, data, spki, signature);
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    return verify(hash, data, key, signature);
  } catch {
    // A key of another kind, or one that cannot be read.
    return false;
  }
}
