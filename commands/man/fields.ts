/** ovs-fields(7): what the registry of match fields says, under the words of the source. */
import { FIELDS } from "../../src/flow/fields/index.ts";
import type { Field, FieldFormat, Membership, Prerequisite } from "../../src/flow/fields/types.ts";
import { type Block, type Section, sections, type Term, terms } from "./document.ts";

const FORMATS: Readonly<Record<FieldFormat, string>> = {
  decimal: "decimal",
  hex: "hexadecimal",
  eth: "MAC address",
  ipv4: "IPv4 address",
  ipv6: "IPv6 address",
  port10: "port",
  port: "port",
  frag: "words",
  tun_flags: "flags",
  tcp_flags: "flags",
  ct_state: "flags",
  packet_type: "packet type",
};

/** What has to be matched as well, as it is written in a flow. */
const NEEDS: Readonly<Record<Prerequisite, string>> = {
  none: "",
  ethernet: "an Ethernet packet",
  vlan: "`vlan_tci=0x1000/0x1000` (a VLAN tag)",
  mpls: "`mpls` or `mplsm`",
  ipv4: "`ip`",
  ipv6: "`ipv6`",
  ip: "`ip` or `ipv6`",
  arp: "`arp` or `rarp`",
  nsh: "`eth_type=0x894f`",
  ct: "a tracked packet of that version of IP",
  tcp: "`tcp` or `tcp6`",
  udp: "`udp` or `udp6`",
  sctp: "`sctp` or `sctp6`",
  icmpv4: "`icmp`",
  icmpv6: "`icmp6`",
  nd: "`icmp6,icmp_type=135` or `136`, `icmp_code=0`",
  nd_solicit: "`icmp6,icmp_type=135,icmp_code=0`",
  nd_advert: "`icmp6,icmp_type=136,icmp_code=0`",
};

const FIXED: Readonly<Record<Membership, string | undefined>> = {
  no: undefined,
  exact: "exactly",
  cidr: "with CIDR masks",
  full: "with any mask",
};

const VERSIONS = ["", "1.0", "1.1", "1.2", "1.3", "1.4", "1.5"];

/** Fields that come in dozens are told by their first. */
export const lastOf = (field: Field): Field =>
  field.index < 0
    ? field
    : FIELDS.findLast(
        ({ name, index }) => index >= 0 && name.replace(/\d+$/, "") === field.name.replace(/\d+$/, ""),
      )!;

export const TOLD: readonly Field[] = FIELDS.filter(({ index }) => index <= 0);

function facts(field: Field, alone: boolean): Block[] {
  const size =
    field.bits % 8 === 0 && field.bits >= 8
      ? `${field.bits} bits`
      : `${field.bits} bit${field.bits === 1 ? "" : "s"}`;
  const first = [
    `${size}, ${FORMATS[field.format]}`,
    field.maskable ? "may be masked" : "no masks",
    field.writable ? "may be set" : "cannot be set",
    ...(field.prereq === "none" ? [] : [`needs ${NEEDS[field.prereq]}`]),
  ];
  const headers = field.headers.map(({ name, number, ofVersion, since }) => {
    const of = ofVersion === 0 ? "" : `, OpenFlow ${VERSIONS[ofVersion]}`;
    return `${name} (${number}${of}; since Open vSwitch ${since})`;
  });
  const last = lastOf(field);
  if (last !== field && headers.length > 0)
    headers.push(`to ${last.headers[0]!.name} (${last.headers[0]!.number})`);
  const fixed = (["of10", "of11"] as const).flatMap((key) =>
    FIXED[field[key]] === undefined ? [] : [`OpenFlow 1.${key === "of10" ? 0 : 1} ${FIXED[field[key]]}`],
  );
  const lines = [`${alone ? "" : `**${field.name}**: `}${first.join("; ")}.`];
  if (fixed.length > 0) lines.push(`In the fixed match of ${fixed.join(", ")}.`);
  lines.push(
    headers.length > 0 ? `On the wire: ${headers.join(", ")}.` : "It has no number of its own on the wire.",
  );
  return [{ kind: "paragraph", text: lines.join(" ") }];
}

function fieldTerm({ terms: names, body }: Term): Term {
  const fields = names.map((name) => TOLD.find((field) => field.name === name));
  if (fields.some((field) => field === undefined)) return { terms: names, body };
  return {
    terms: fields.map((field) => {
      const last = lastOf(field!);
      const also = field!.alias === undefined ? "" : `, **${field!.alias}**`;
      return `**${field!.name}**${also}${last === field ? "" : ` to **${last.name}**`}`;
    }),
    body: [...body, ...fields.flatMap((field) => facts(field!, fields.length === 1))],
  };
}

export const fieldsPage = (source: readonly Block[]): Section[] =>
  sections(source).map(({ title, blocks }) => ({
    title,
    blocks: blocks.map((block) => (block.kind === "terms" ? terms(block.items.map(fieldTerm)) : block)),
  }));
