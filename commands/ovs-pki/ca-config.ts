/**
 * `ca.cnf` of an authority: an OpenSSL configuration, so that `openssl ca` works in the folder too; and what we read of
 * one, ours or the original's.
 */
import type { NamePart } from "./certificate.ts";

/** Names in a policy to those of a distinguished name. */
const ATTRIBUTES: Readonly<Record<string, string>> = {
  countryName: "C",
  stateOrProvinceName: "ST",
  localityName: "L",
  organizationName: "O",
  organizationalUnitName: "OU",
  commonName: "CN",
  emailAddress: "E",
};

export interface CaConfig {
  readonly days: number;
  /** "sha512" */
  readonly hash: string;
  readonly uniqueSubject: boolean;
  readonly copyExtensions: boolean;
  /** In the order in which the certificate's name has them. */
  readonly policy: readonly { readonly attribute: string; readonly rule: string }[];
  /** The authority's own name. */
  readonly subject: readonly NamePart[];
  readonly caExtensions: ReadonlyMap<string, string>;
  readonly userExtensions: ReadonlyMap<string, string>;
}

/** The text for a new authority `name`, which signs with `hash`. */
export function caConfigText(name: string, subject: readonly NamePart[], hash: string): string {
  const dn = subject.map(([type, value]) => `${type} = ${value}`).join("\n");
  return `# Certificate authority "${name}", for ovs-pki and openssl ca

[ req ]
prompt = no
distinguished_name = req_distinguished_name

[ req_distinguished_name ]
${dn}

[ ca ]
default_ca = the_ca

[ the_ca ]
dir = .
certificate = $dir/cacert.pem
private_key = $dir/private/cakey.pem
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir/newcerts
default_days = 3650
default_crl_days = 30
default_md = ${hash}
policy = policy
copy_extensions = copy
unique_subject = no
email_in_dn = no
name_opt = ca_default
cert_opt = ca_default

# What a request's name must have: the authority's own (match), something (supplied), or not (optional)
[ policy ]
countryName = optional
stateOrProvinceName = optional
organizationName = match
organizationalUnitName = optional
commonName = supplied
emailAddress = optional

# Extensions of the authority's own certificate
[ ca_cert ]
basicConstraints = critical, CA:true
keyUsage = critical, keyCertSign, cRLSign

# Extensions of the certificates that it signs
[ usr_cert ]
basicConstraints = CA:false
`;
}

type Sections = Map<string, Map<string, string>>;

function readSections(text: string): Sections {
  const sections: Sections = new Map();
  let current = new Map<string, string>();
  sections.set("", current);
  for (const line of text.split("\n")) {
    const bare = line.replace(/#.*/, "").trim();
    const [, title] = /^\[\s*(.*?)\s*\]$/.exec(bare) ?? [];
    if (title !== undefined) {
      current = sections.get(title) ?? new Map();
      sections.set(title, current);
      continue;
    }
    const equals = bare.indexOf("=");
    if (equals > 0) current.set(bare.slice(0, equals).trim(), bare.slice(equals + 1).trim());
  }
  return sections;
}

export function readCaConfig(text: string): CaConfig {
  const sections = readSections(text);
  const section = (name: string | undefined): Map<string, string> => sections.get(name ?? "") ?? new Map();
  const ca = section(section("ca").get("default_ca"));
  const dn = section(section("req").get("distinguished_name"));
  const days = Number(ca.get("default_days") ?? 3650);
  return {
    days: Number.isFinite(days) ? days : 3650,
    hash: (ca.get("default_md") ?? "sha512").toLowerCase().replace("-", ""),
    uniqueSubject: ca.get("unique_subject") === "yes",
    copyExtensions: /^copy(all)?$/.test(ca.get("copy_extensions") ?? "none"),
    policy: [...section(ca.get("policy"))].map(([name, rule]) => ({
      attribute: ATTRIBUTES[name] ?? name,
      rule,
    })),
    subject: [...dn].map(([name, value]): NamePart => [ATTRIBUTES[name] ?? name, value]),
    caExtensions: section("ca_cert"),
    userExtensions: section("usr_cert"),
  };
}
