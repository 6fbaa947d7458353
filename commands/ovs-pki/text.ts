/** Requests and certificates for people to read, laid out as OpenSSL does, with the PEM block below. */

import { nameParts } from "./certificate.ts";
import { readBits, readInteger, readOid, readSequence } from "./der.ts";
import { SIGNATURES } from "./keys.ts";
import * as x509 from "./x509.ts";

/** What is indented under a heading: lines, or headings of their own. */
type Lines = readonly (string | Lines)[];

function indent(lines: Lines, depth: number): string {
  return lines
    .map((line) => (typeof line === "string" ? `${" ".repeat(4 * depth)}${line}\n` : indent(line, depth + 1)))
    .join("");
}

/** "0a:1b:..." in rows of `perRow`. */
function hexRows(bytes: Uint8Array, perRow: number): string[] {
  const pairs = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"));
  const rows: string[] = [];
  for (let i = 0; i < pairs.length; i += perRow) rows.push(pairs.slice(i, i + perRow).join(":"));
  return rows.map((row, i) => (i < rows.length - 1 ? `${row}:` : row));
}

const colons = (hex: string): string => (hex.toUpperCase().match(/../g) ?? []).join(":");

const nameText = (name: x509.Name): string =>
  nameParts(name)
    .map(([type, value]) => `${type === "E" ? "emailAddress" : type}=${value}`)
    .join(", ");

/** "Nov 29 08:36:08 2026 GMT" */
function dateText(date: Date): string {
  const [, , month, , time] = date.toUTCString().split(" ");
  const day = String(date.getUTCDate()).padStart(2);
  return `${month} ${day} ${time} ${date.getUTCFullYear()} GMT`;
}

const SIGNATURE_NAMES: Readonly<Record<string, (hash: string) => string>> = {
  rsa: (hash) => `${hash}WithRSAEncryption`,
  ecdsa: (hash) => `ecdsa-with-${hash.toUpperCase()}`,
  dsa: (hash) => `dsa_with_${hash.toUpperCase()}`,
};

function signatureName(oid: string): string {
  for (const [kind, hashes] of Object.entries(SIGNATURES))
    for (const [hash, known] of Object.entries(hashes))
      if (known === oid) return SIGNATURE_NAMES[kind]!(hash);
  return oid;
}

function number(title: string, value: Uint8Array): Lines {
  return [`${title}:`, hexRows(value, 15)];
}

/** OID of the key's algorithm to its name and lines. */
const KEYS: Readonly<
  Record<string, (algorithm: Uint8Array, key: Uint8Array) => { name: string; lines: Lines }>
> = {
  "1.2.840.113549.1.1.1": (_algorithm, key) => {
    const [modulus, exponent] = readSequence(key);
    const bits = readInteger(modulus).toString(2).length;
    const e = readInteger(exponent);
    return {
      name: "rsaEncryption",
      lines: [
        `Public-Key: (${bits} bit)`,
        ...number("Modulus", modulus!.body),
        `Exponent: ${e} (0x${e.toString(16)})`,
      ],
    };
  },
  "1.2.840.10045.2.1": (algorithm, key) => {
    const oid = readOid(readSequence(algorithm)[1]);
    const [short, nist, bits] = CURVES[oid] ?? [oid, oid, 4 * (key.length - 1)];
    return {
      name: "id-ecPublicKey",
      lines: [
        `Public-Key: (${bits} bit)`,
        ...number("pub", key),
        `ASN1 OID: ${short}`,
        `NIST CURVE: ${nist}`,
      ],
    };
  },
  "1.2.840.10040.4.1": (algorithm, key) => {
    const [p, q, g] = readSequence(readSequence(algorithm)[1]!.whole);
    return {
      name: "dsaEncryption",
      lines: [
        `Public-Key: (${readInteger(p).toString(2).length} bit)`,
        ...number("pub", key.subarray(key.length > 129 ? 4 : 2)),
        ...number("P", p!.body),
        ...number("Q", q!.body),
        ...number("G", g!.body),
      ],
    };
  },
};

const CURVES: Readonly<Record<string, [string, string, number]>> = {
  "1.2.840.10045.3.1.7": ["prime256v1", "P-256", 256],
  "1.3.132.0.34": ["secp384r1", "P-384", 384],
  "1.3.132.0.35": ["secp521r1", "P-521", 521],
};

function publicKeyLines(spki: Uint8Array): Lines {
  const [algorithm, key] = readSequence(spki);
  const oid = readOid(readSequence(algorithm!.whole)[0]);
  const { name, lines } = KEYS[oid]?.(algorithm!.whole, readBits(key)) ?? { name: oid, lines: [] };
  return ["Subject Public Key Info:", [`Public Key Algorithm: ${name}`, lines]];
}

const USAGES: readonly (readonly [number, string])[] = [
  [x509.KeyUsageFlags.digitalSignature, "Digital Signature"],
  [x509.KeyUsageFlags.nonRepudiation, "Non Repudiation"],
  [x509.KeyUsageFlags.keyEncipherment, "Key Encipherment"],
  [x509.KeyUsageFlags.dataEncipherment, "Data Encipherment"],
  [x509.KeyUsageFlags.keyAgreement, "Key Agreement"],
  [x509.KeyUsageFlags.keyCertSign, "Certificate Sign"],
  [x509.KeyUsageFlags.cRLSign, "CRL Sign"],
];

function extensionText(extension: x509.Extension): [title: string, value: string] {
  if (extension instanceof x509.BasicConstraintsExtension) {
    const length = extension.pathLength === undefined ? "" : `, pathlen:${extension.pathLength}`;
    return ["X509v3 Basic Constraints", `CA:${extension.ca ? "TRUE" : "FALSE"}${length}`];
  }
  if (extension instanceof x509.SubjectAlternativeNameExtension) {
    const names = extension.names.items.map(({ type, value }) => `${type.toUpperCase()}:${value}`);
    return ["X509v3 Subject Alternative Name", names.join(", ")];
  }
  if (extension instanceof x509.SubjectKeyIdentifierExtension)
    return ["X509v3 Subject Key Identifier", colons(extension.keyId)];
  if (extension instanceof x509.AuthorityKeyIdentifierExtension)
    return ["X509v3 Authority Key Identifier", colons(extension.keyId ?? "")];
  if (extension instanceof x509.KeyUsagesExtension) {
    const usages = USAGES.filter(([flag]) => extension.usages & flag).map(([, name]) => name);
    return ["X509v3 Key Usage", usages.join(", ")];
  }
  if (extension instanceof x509.ExtendedKeyUsageExtension)
    return ["X509v3 Extended Key Usage", extension.usages.join(", ")];
  return [extension.type, colons(Buffer.from(extension.value).toString("hex"))];
}

function extensionLines(extensions: readonly x509.Extension[]): Lines {
  return extensions.flatMap((extension): Lines => {
    const [title, value] = extensionText(extension);
    return [`${title}:${extension.critical ? " critical" : " "}`, [value]];
  });
}

/** Both are SEQUENCEs of what is signed, the algorithm and the signature. */
function signatureLines(der: ArrayBuffer): { name: string; lines: Lines } {
  const [, algorithm, signature] = readSequence(new Uint8Array(der));
  const name = signatureName(readOid(readSequence(algorithm!.whole)[0]));
  const bytes = readBits(signature);
  const [r, s] = name.startsWith("dsa") ? readSequence(bytes) : [];
  const value =
    r === undefined || s === undefined
      ? hexRows(bytes, 18)
      : [...number("r", r.body), ...number("s", s.body)];
  return { name, lines: [`Signature Algorithm: ${name}`, "Signature Value:", value] };
}

function serialLines(serial: string): Lines {
  const value = BigInt(`0x${serial}`);
  return value < 1n << 63n
    ? [`Serial Number: ${value} (0x${value.toString(16)})`]
    : ["Serial Number:", [colons(serial).toLowerCase()]];
}

export function requestText(request: x509.Pkcs10CertificateRequest): string {
  const lines: Lines = [
    "Certificate Request:",
    [
      "Data:",
      [
        "Version: 1 (0x0)",
        `Subject: ${nameText(request.subjectName)}`,
        ...publicKeyLines(new Uint8Array(request.publicKey.rawData)),
        "Attributes:",
        ["Requested Extensions:", extensionLines(request.extensions)],
      ],
      ...signatureLines(request.rawData).lines,
    ],
  ];
  return `${indent(lines, 0)}${request.toString("pem")}\n`;
}

export function certificateText(certificate: x509.X509Certificate): string {
  const signature = signatureLines(certificate.rawData);
  const lines: Lines = [
    "Certificate:",
    [
      "Data:",
      [
        "Version: 3 (0x2)",
        ...serialLines(certificate.serialNumber),
        `Signature Algorithm: ${signature.name}`,
        `Issuer: ${nameText(certificate.issuerName)}`,
        "Validity",
        [`Not Before: ${dateText(certificate.notBefore)}`, `Not After : ${dateText(certificate.notAfter)}`],
        `Subject: ${nameText(certificate.subjectName)}`,
        ...publicKeyLines(new Uint8Array(certificate.publicKey.rawData)),
        "X509v3 extensions:",
        extensionLines(certificate.extensions),
      ],
      ...signature.lines,
    ],
  ];
  return `${indent(lines, 0)}${certificate.toString("pem")}\n`;
}
