/** The packet of a trace, between the text that ofproto/trace takes and the fields of the form. */

/** Fields that have a place of their own in the form; the rest is text. */
export const FIELDS = [
  { name: "dl_src", label: "from MAC", hint: "50:54:00:00:00:01" },
  { name: "dl_dst", label: "to MAC", hint: "50:54:00:00:00:02" },
  { name: "dl_vlan", label: "VLAN", hint: "none" },
  { name: "nw_src", label: "from address", hint: "10.0.0.1" },
  { name: "nw_dst", label: "to address", hint: "10.0.0.2" },
  { name: "tp_src", label: "from port", hint: "" },
  { name: "tp_dst", label: "to port", hint: "" },
] as const;

export const PROTOCOLS = [
  "ip",
  "tcp",
  "udp",
  "sctp",
  "icmp",
  "arp",
  "ipv6",
  "tcp6",
  "udp6",
  "sctp6",
  "icmp6",
] as const;

export interface TraceFlow {
  /** "": any. */
  readonly protocol: string;
  /** By name; addresses under nw_src and nw_dst, ports and ICMP types under tp_src and tp_dst, whatever the protocol. */
  readonly fields: Readonly<Record<string, string>>;
  /** What has no place of its own. */
  readonly others: readonly string[];
}

/** At commas outside of parentheses. */
export function splitList(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === "(") depth++;
    else if (c === ")") depth--;
    else if (c === undefined || (c === "," && depth === 0)) {
      if (i > from) parts.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  return parts;
}

/** Other names of the form's fields. */
const SAME: Readonly<Record<string, string>> = {
  eth_src: "dl_src",
  eth_dst: "dl_dst",
  vlan_vid: "dl_vlan",
  ip_src: "nw_src",
  ip_dst: "nw_dst",
  ipv6_src: "nw_src",
  ipv6_dst: "nw_dst",
  arp_spa: "nw_src",
  arp_tpa: "nw_dst",
};

function formName(name: string): string {
  if (Object.hasOwn(SAME, name)) return SAME[name]!;
  const transport = /^(?:tcp|udp|sctp)_(src|dst)$/.exec(name);
  if (transport !== null) return `tp_${transport[1]}`;
  const icmp = /^icmp(?:v?6)?_(type|code)$/.exec(name);
  return icmp === null ? name : icmp[1] === "type" ? "tp_src" : "tp_dst";
}

function wireName(name: string, protocol: string): string {
  const six = protocol.endsWith("6") && protocol !== "";
  const end = name.slice(3);
  if (name === "nw_src" || name === "nw_dst") {
    if (six) return `ipv6_${end}`;
    if (protocol === "arp") return end === "src" ? "arp_spa" : "arp_tpa";
    return name;
  }
  if (name !== "tp_src" && name !== "tp_dst") return name;
  if (protocol.startsWith("icmp")) return `${six ? "icmpv6" : "icmp"}_${end === "src" ? "type" : "code"}`;
  // A packet has ports of one protocol; "tp_src" would be taken for TCP's.
  return `${protocol.replace("6", "") || "tcp"}_${end}`;
}

/** Of a flow's match as of a packet; what a mask leaves open is what the value says, as a packet has all bits. */
export function readFlow(flow: string): TraceFlow {
  let protocol = "";
  const fields: Record<string, string> = {};
  const others: string[] = [];
  for (const part of splitList(flow)) {
    const at = part.indexOf("=");
    if (at < 0 && (PROTOCOLS as readonly string[]).includes(part)) {
      protocol = part;
      continue;
    }
    const name = formName(at < 0 ? part : part.slice(0, at));
    if (name !== "in_port" && !FIELDS.some((field) => field.name === name)) others.push(part);
    else fields[name] = part.slice(at + 1);
  }
  return { protocol, fields, others };
}

export function writeFlow({ protocol, fields, others }: TraceFlow): string {
  const written = (name: string): string[] => {
    const value = fields[name]?.trim() ?? "";
    return value === "" ? [] : [`${wireName(name, protocol)}=${value}`];
  };
  const rest = FIELDS.flatMap(({ name }) => written(name));
  return [...written("in_port"), ...(protocol === "" ? [] : [protocol]), ...rest, ...others].join(",");
}

/** A packet that a flow's match takes. */
export function packetOf(match: string): string {
  const exact = (value: string): string => value.replace(/\/.*$/, "");
  const { protocol, fields, others } = readFlow(match);
  return writeFlow({
    protocol,
    fields: Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, exact(value)])),
    others: others.map(exact),
  });
}
