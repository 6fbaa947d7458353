/** Certificates for tests of TLS. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { type TlsConfig, tlsConfig } from "../../src/lib/stream-config.ts";

/** A CA and a certificate that it signed, in `folder`; undefined where there is no openssl. */
export function makePki(folder: string, name: string): TlsConfig | undefined {
  const file = (end: string): string => join(folder, `${name}-${end}`);
  const run = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "ignore" });
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  try {
    run(
      "req",
      "-x509",
      ...curve,
      "-days",
      "2",
      "-subj",
      `/CN=${name} ca`,
      "-keyout",
      file("cakey.pem"),
      "-out",
      file("ca.pem"),
    );
    run("req", ...curve, "-subj", `/CN=${name}`, "-keyout", file("key.pem"), "-out", file("req.pem"));
    run(
      "x509",
      "-req",
      "-in",
      file("req.pem"),
      "-CA",
      file("ca.pem"),
      "-CAkey",
      file("cakey.pem"),
      "-CAcreateserial",
      "-days",
      "2",
      "-out",
      file("cert.pem"),
    );
  } catch {
    return undefined;
  }
  return {
    ...tlsConfig(),
    privateKey: file("key.pem"),
    certificate: file("cert.pem"),
    caCert: file("ca.pem"),
  };
}
