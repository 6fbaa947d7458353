/**
 * What a datapath can do, as translation may assume it (ovs-vswitchd(8), dpif/set-dp-features): `boot` is the truth, `now` what
 * somebody has restricted it to for a test.
 */
export type FeatureValue = boolean | number;

interface FeatureRow {
  readonly name: string;
  readonly title: string;
  readonly value: FeatureValue;
  /** What the log calls it when a datapath is opened; scripts look for these lines. */
  readonly logged: string | undefined;
}

const row = (name: string, title: string, value: FeatureValue, logged?: string): FeatureRow => ({
  name,
  title,
  value,
  logged,
});

/** In the order of dpif/show-dp-features. */
const FEATURES: readonly FeatureRow[] = [
  row("masked_set_action", "Masked set action", true),
  row("tnl_push_pop", "Tunnel push pop", false),
  row("ufid", "Ufid", true, "unique flow ids"),
  row("trunc", "Truncate action", true, "truncate action"),
  row("clone", "Clone action", true, "clone action"),
  row("sample_nesting", "Sample nesting", 10, "Max sample nesting level probed as"),
  row("ct_eventmask", "Conntrack eventmask", false, "eventmask in conntrack action"),
  row("ct_clear", "Conntrack clear", false, "ct_clear action"),
  row("max_hash_alg", "Max dp_hash algorithm", 1, "Max dp_hash algorithm probed to be"),
  row("check_pkt_len", "Check pkt length action", true, "check_pkt_len action"),
  row("ct_timeout", "Conntrack timeout policy", false, "timeout policy in conntrack action"),
  row("explicit_drop_action", "Explicit Drop action", true, "explicit drop action"),
  row("lb_output_action", "Optimized Balance TCP mode", false),
  row("ct_zero_snat", "Conntrack all-zero IP SNAT", false, "ct_zero_snat"),
  row("add_mpls", "MPLS Label add", true, "add_mpls action"),
  row("psample", "psample action", false, "psample action"),
  row("max_vlan_headers", "Max VLAN headers", 1, "VLAN header stack length probed as"),
  row("max_mpls_depth", "Max MPLS depth", 3, "MPLS label stack length probed as"),
  row("recirc", "Recirc", true, "recirculation"),
  row("ct_state", "CT state", false, "ct_state"),
  row("ct_zone", "CT zone", false, "ct_zone"),
  row("ct_mark", "CT mark", false, "ct_mark"),
  row("ct_label", "CT label", false, "ct_label"),
  row("ct_state_nat", "CT state NAT", false, "ct_state_nat"),
  row("ct_orig_tuple", "CT orig tuple", false, "ct_orig_tuple"),
  row("ct_orig_tuple6", "CT orig tuple for IPv6", false, "ct_orig_tuple6"),
  row("nd_ext", "IPv6 ND Extension", false, "IPv6 ND Extensions"),
];

export class Features {
  private readonly rows: readonly FeatureRow[];
  private readonly now: Map<string, FeatureValue>;
  /** Of max_vlan_headers: other_config:vlan-limit. */
  vlanLimit = 2;

  /** `given`: what the datapath says of itself, by name. */
  constructor(given: ReadonlyMap<string, FeatureValue> = new Map()) {
    this.rows = FEATURES.map((row) => ({ ...row, value: given.get(row.name) ?? row.value }));
    this.now = new Map(this.rows.map(({ name, value }) => [name, value]));
  }

  /** What the log says of a datapath when it is opened. */
  announcement(): string[] {
    return this.rows.flatMap(({ value, logged }) => {
      if (logged === undefined) return [];
      if (typeof value === "number") return [`${logged} ${value}`];
      return [`Datapath ${value ? "supports" : "does not support"} ${logged}`];
    });
  }

  has(name: string): boolean {
    return this.now.get(name) === true;
  }

  limit(name: string): number {
    return Number(this.now.get(name) ?? 0);
  }

  /** dpif/show-dp-features */
  show(): string {
    return this.rows
      .map(({ name, title }) => {
        const value = this.value(name);
        return `${title}: ${value === true ? "Yes" : value === false ? "No" : value}\n`;
      })
      .join("");
  }

  /** dpif/set-dp-features without a feature. */
  list(): string {
    return this.rows
      .map(
        ({ name, title, value }) =>
          `${name} (${title}) : [run time]:${this.value(name)}, [boot time]:${name === "max_vlan_headers" ? this.vlanLimit : value}\n`,
      )
      .join("");
  }

  one(name: string): string | undefined {
    const found = this.rows.find((feature) => feature.name === name);
    if (found === undefined) return undefined;
    return `${name} (${found.title}) : [run time]:${this.value(name)}, [boot time]:${found.value}\n`;
  }

  /**
   * Returns an error text. Without `force` nothing can be switched on that the datapath does not have.
   */
  set(name: string, text: string, force: boolean): string | undefined {
    const found = this.rows.find((feature) => feature.name === name);
    if (found === undefined) return "Unexpected support field";
    if (typeof found.value === "boolean") {
      const value = text.toLowerCase() === "true" ? true : text.toLowerCase() === "false" ? false : undefined;
      if (value === undefined) return "Boolean value expected";
      if (value && !found.value && !force) return "Can not enable features not supported by the datapath";
      this.now.set(name, value);
      return undefined;
    }
    const value = /^\d+$/.test(text) ? Number(text) : undefined;
    if (value === undefined) return "Integer number expected";
    if (value > found.value && !force) return "Can not set value beyond the datapath capability";
    this.now.set(name, value);
    return undefined;
  }

  private value(name: string): FeatureValue {
    return name === "max_vlan_headers" ? this.vlanLimit : this.now.get(name)!;
  }
}
