/** Is a certificate an authority's? The questions of `openssl verify`, and its numbers and words for what is wrong. */

import { isSignedBy } from "./keys.ts";
import * as x509 from "./x509.ts";

/** What is wrong with `certificate`, or undefined. */
export function faultOf(
  certificate: x509.X509Certificate,
  authorities: readonly x509.X509Certificate[],
  now: number,
): string | undefined {
  const issuers = authorities.filter(({ subject }) => subject === certificate.issuer);
  if (issuers.length === 0)
    return certificate.subject === certificate.issuer
      ? "error 18 at 0 depth lookup: self-signed certificate"
      : "error 20 at 0 depth lookup: unable to get local issuer certificate";
  const signed = new Uint8Array(certificate.rawData);
  const issuer = issuers.find(({ publicKey }) => isSignedBy(signed, new Uint8Array(publicKey.rawData)));
  if (issuer === undefined) return "error 7 at 0 depth lookup: certificate signature failure";
  if (!issuer.getExtension(x509.BasicConstraintsExtension)?.ca)
    return "error 79 at 1 depth lookup: invalid CA certificate";
  for (const [depth, { notBefore, notAfter }] of [certificate, issuer].entries()) {
    if (now < notBefore.getTime()) return `error 9 at ${depth} depth lookup: certificate is not yet valid`;
    if (now > notAfter.getTime()) return `error 10 at ${depth} depth lookup: certificate has expired`;
  }
  return undefined;
}
