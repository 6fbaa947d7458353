/**
 * DSA (FIPS 186-4), which the engine's crypto library no longer has: what an old PKI made with --key=dsa needs to go on.
 * Plain big integers, not constant in time: for keys on a machine that only its administrator uses.
 */
import { createHash, generatePrimeSync, randomBytes } from "node:crypto";
import { Fatal } from "../../src/lib/errors.ts";
import {
  BIT_STRING,
  OCTET_STRING,
  readBits,
  readDer,
  readInteger,
  readPem,
  readSequence,
  SEQUENCE,
  writeDer,
  writeInteger,
  writePem,
} from "./der.ts";

/** 1.2.840.10040.4.1 */
const DSA_OID = Uint8Array.of(0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x38, 0x04, 0x01);
const VERSION_0 = writeInteger(0n);

export interface DsaParameters {
  readonly p: bigint;
  readonly q: bigint;
  readonly g: bigint;
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  base %= modulus;
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  return result;
}

/** From 1 to `limit` - 1, near enough to evenly: 64 bits more than needed are drawn (FIPS 186-4 B.1.1). */
function below(limit: bigint): bigint {
  const bytes = Math.ceil(limit.toString(16).length / 2) + 8;
  return (BigInt(`0x${randomBytes(bytes).toString("hex")}`) % (limit - 1n)) + 1n;
}

/** q of 256 bits, p of `bits` bits with q in p - 1, and a generator of the subgroup of q elements. */
export function generateDsaParameters(bits: number): DsaParameters {
  const q = generatePrimeSync(256, { bigint: true });
  const p = generatePrimeSync(bits, { bigint: true, add: 2n * q, rem: 1n });
  let g = 1n;
  for (let h = 2n; g === 1n; h++) g = power(h, (p - 1n) / q, p);
  return { p, q, g };
}

export const dsaParametersPem = ({ p, q, g }: DsaParameters): string =>
  writePem("DSA PARAMETERS", writeDer(SEQUENCE, ...[p, q, g].map(writeInteger)));

export function readDsaParameters(text: string, file: string): DsaParameters {
  const [der] = readPem(/^DSA PARAMETERS$/, text);
  if (der === undefined) throw new Fatal(`${file}: no DSA parameters`);
  const [p, q, g] = readSequence(der).map(readInteger);
  return { p: p!, q: q!, g: g! };
}

/** A new key in PKCS #8, as PEM. */
export function generateDsaKey(parameters: DsaParameters): string {
  const { p, q, g } = parameters;
  const algorithm = writeDer(SEQUENCE, DSA_OID, writeDer(SEQUENCE, ...[p, q, g].map(writeInteger)));
  const secret = writeDer(OCTET_STRING, writeInteger(below(q)));
  return writePem("PRIVATE KEY", writeDer(SEQUENCE, VERSION_0, algorithm, secret));
}

const parametersOf = (algorithm: Uint8Array): DsaParameters => {
  const [p, q, g] = readSequence(readSequence(algorithm)[1]!.whole).map(readInteger);
  return { p: p!, q: q!, g: g! };
};

/** The number of a digest that is signed: its leftmost bits, as many as q has. */
function digest(hash: string, data: Uint8Array, q: bigint): bigint {
  const bytes = createHash(hash).update(data).digest();
  const surplus = BigInt(Math.max(0, bytes.length * 8 - q.toString(2).length));
  return BigInt(`0x${bytes.toString("hex")}`) >> surplus;
}

const integerIn = (bytes: Uint8Array): bigint => readInteger(readDer(bytes)[0]);

export class DsaKey {
  readonly #parameters: DsaParameters;
  readonly #x: bigint;
  readonly spki: Uint8Array;

  /** PKCS #8 */
  constructor(der: Uint8Array) {
    const [, algorithm, secret] = readSequence(der);
    this.#parameters = parametersOf(algorithm!.whole);
    this.#x = integerIn(secret!.body);
    const { p, g } = this.#parameters;
    const y = writeInteger(power(g, this.#x, p));
    this.spki = writeDer(SEQUENCE, algorithm!.whole, writeDer(BIT_STRING, Uint8Array.of(0), y));
  }

  /** SEQUENCE of r and s (RFC 3279 section 2.2.2). */
  sign(hash: string, data: Uint8Array): Uint8Array {
    const { p, q, g } = this.#parameters;
    for (;;) {
      const k = below(q);
      const r = power(g, k, p) % q;
      // k to the power q - 2 is its inverse, q being prime.
      const s = (power(k, q - 2n, q) * (digest(hash, data, q) + this.#x * r)) % q;
      if (r > 0n && s > 0n) return writeDer(SEQUENCE, writeInteger(r), writeInteger(s));
    }
  }
}

export function verifyDsa(hash: string, data: Uint8Array, spki: Uint8Array, signature: Uint8Array): boolean {
  const [algorithm, key] = readSequence(spki);
  const { p, q, g } = parametersOf(algorithm!.whole);
  const y = integerIn(readBits(key));
  const [r = 0n, s = 0n] = readSequence(signature).map(readInteger);
  if (r <= 0n || r >= q || s <= 0n || s >= q) return false;
  const w = power(s, q - 2n, q);
  const u1 = (digest(hash, data, q) * w) % q;
  return ((power(g, u1, p) * power(y, (r * w) % q, p)) % p) % q === r;
}
