/** TLS settings that `ssl:` and `pssl:` streams use. One mutable object: files are read when a stream is made, again when changed. */
export interface TlsConfig {
  privateKey: string | undefined;
  certificate: string | undefined;
  /** CA certificates that the peer's must descend from; "none" switches the check off. */
  caCert: string | undefined;
  /** Make `caCert` from the first peer's self-signed root when the file does not exist. */
  bootstrap: boolean;
  /** CA certificate to send to the peer. */
  peerCaCert: string | undefined;
  /** "TLSv1.2,TLSv1.3", "TLSv1.2+", "TLSv1.2-TLSv1.3" */
  protocols: string | undefined;
  ciphers: string | undefined;
  ciphersuites: string | undefined;
  serverName: string | undefined;
}

export function tlsConfig(): TlsConfig {
  return {
    privateKey: undefined,
    certificate: undefined,
    caCert: undefined,
    bootstrap: false,
    peerCaCert: undefined,
    protocols: undefined,
    ciphers: undefined,
    ciphersuites: undefined,
    serverName: undefined,
  };
}

/** The process's own, as the original has: command line options and the SSL table of the database write it. */
export const TLS: TlsConfig = tlsConfig();

export const OVSDB_PORT = 6640;
export const OPENFLOW_PORT = 6653;
