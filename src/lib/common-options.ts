/** Option groups that many applets share: TLS files, -h and -V. (Logging: vlog-options.ts, daemon: daemon.ts.) */
import { versionText } from "./applet.ts";
import { Exit } from "./errors.ts";
import type { OptionGroup } from "./getopt.ts";
import type { Platform } from "./platform.ts";
import type { TlsConfig } from "./stream-config.ts";

/** Fills `config` (see `TLS` of stream-config.ts for the process-wide one). */
export function tlsOptions(config: TlsConfig): OptionGroup {
  return {
    title: "TLS options",
    options: [
      {
        short: "p",
        long: "private-key",
        arg: "required",
        metavar: "FILE",
        help: "file with our private key",
        set: (v) => {
          config.privateKey = v;
        },
      },
      {
        short: "c",
        long: "certificate",
        arg: "required",
        metavar: "FILE",
        help: "file with the certificate for it",
        set: (v) => {
          config.certificate = v;
        },
      },
      {
        short: "C",
        long: "ca-cert",
        arg: "required",
        metavar: "FILE",
        help: "file with the peer's CA certificate",
        set: (v) => {
          config.caCert = v;
          config.bootstrap = false;
        },
      },
      {
        long: "ssl-protocols",
        arg: "required",
        metavar: "PROTOCOLS",
        help: "versions of TLS to allow",
        set: (v) => {
          config.protocols = v;
        },
      },
      {
        long: "ssl-ciphers",
        arg: "required",
        metavar: "CIPHERS",
        help: "ciphers for TLSv1.2",
        set: (v) => {
          config.ciphers = v;
        },
      },
      {
        long: "ssl-ciphersuites",
        arg: "required",
        metavar: "SUITES",
        help: "cipher suites for TLSv1.3",
        set: (v) => {
          config.ciphersuites = v;
        },
      },
      {
        long: "ssl-server-name",
        arg: "required",
        metavar: "NAME",
        help: "name for Server Name Indication",
        set: (v) => {
          config.serverName = v;
        },
      },
      {
        long: "bootstrap-ca-cert",
        arg: "required",
        metavar: "FILE",
        help: "like --ca-cert, made from the peer's when absent",
        set: (v) => {
          config.caCert = v;
          config.bootstrap = true;
        },
      },
      {
        long: "peer-ca-cert",
        arg: "required",
        metavar: "FILE",
        help: "CA certificate to send to the peer",
        set: (v) => {
          config.peerCaCert = v;
        },
      },
    ],
  };
}

/** -h and -V; `print` ends the program. */
export function helpOptions(help: () => never, version: () => never): OptionGroup {
  return {
    title: "Other options",
    options: [
      { short: "h", long: "help", help: "show this text", set: () => help() },
      { short: "V", long: "version", help: "show the version", set: () => version() },
    ],
  };
}

/** The same for an applet whose help is a text, made when it is asked for. */
export function helpTextOptions(platform: Platform, program: string, text: () => string): OptionGroup {
  const print = (shown: string): never => {
    platform.stdout(shown);
    throw new Exit(0);
  };
  return helpOptions(
    () => print(text()),
    () => print(versionText(program)),
  );
}
