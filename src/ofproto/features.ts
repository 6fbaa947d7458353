/**
 * What a datapath can do, as translation may assume it (ovs-vswitchd(8), dpif/set-dp-features): `boot` is the truth, `now` what
 * somebody has restricted it to for a test.
 */
export type FeatureValue = boolean | number;

interface FeatureRow {
  readonly name: string;
  readonly title: string;
  readonly value: FeatureValue;
}

const row = (name: string, title: string, value: FeatureValue): FeatureRow => ({ name, title, value });

/** In the order of dpif/show-dp-features. */
const FEATURES: readonly FeatureRow[] = [
  row("masked_set_action", "Masked set action", true),
  row("tnl_push_pop", "Tunnel push pop", false),
  row("ufid", "Ufid", true),
  row("trunc", "Truncate action", true),
  row("clone", "Clone action", true),
  row("sample_nesting", "Sample nesting", 10),
  row("ct_eventmask", "Conntrack eventmask", false),
  row("ct_clear", "Conntrack clear", false),
  row("max_hash_alg", "Max dp_hash algorithm", 1),
  row("check_pkt_len", "Check pkt length action", true),
  row("ct_timeout", "Conntrack timeout policy", false),
  row("explicit_drop_action", "Explicit Drop action", true),
  row("lb_output_action", "Optimized Balance TCP mode", false),
  row("ct_zero_snat", "Conntrack all-zero IP SNAT", false),
  row("add_mpls", "MPLS Label add", true),
  row("psample", "psample action", false),
  row("max_vlan_headers", "Max VLAN headers", 1),
  row("max_mpls_depth", "Max MPLS depth", 3),
  row("recirc", "Recirc", true),
  row("ct_state", "CT state", false),
  row("ct_zone", "CT zone", false),
  row("ct_mark", "CT mark", false),
  row("ct_label", "CT label", false),
  row("ct_state_nat", "CT state NAT", false),
  row("ct_orig_tuple", "CT orig tuple", false),
  row("ct_orig_tuple6", "CT orig tuple for IPv6", false),
  row("nd_ext", "IPv6 ND Extension", false),
];

export class Features {
  private readonly now = new Map<string, FeatureValue>(FEATURES.map(({ name, value }) => [name, value]));
  /** Of max_vlan_headers: other_config:vlan-limit. */
  vlanLimit = 2;

  has(name: string): boolean {
    return this.now.get(name) === true;
  }

  limit(name: string): number {
    return Number(this.now.get(name) ?? 0);
  }

  /** dpif/show-dp-features */
  show(): string {
    return FEATURES.map(({ name, title }) => {
      const value = this.value(name);
      return `${title}: ${value === true ? "Yes" : value === false ? "No" : value}\n`;
    }).join("");
  }

  /** dpif/set-dp-features without a feature. */
  list(): string {
    return FEATURES.map(
      ({ name, title, value }) =>
        `${name} (${title}) : [run time]:${this.value(name)}, [boot time]:${name === "max_vlan_headers" ? this.vlanLimit : value}\n`,
    ).join("");
  }

  one(name: string): string | undefined {
    const found = FEATURES.find((feature) => feature.name === name);
    if (found === undefined) return undefined;
    return `${name} (${found.title}) : [run time]:${this.value(name)}, [boot time]:${found.value}\n`;
  }

  /**
   * Returns an error text. Without `force` nothing can be switched on that the datapath does not have.
   */
  set(name: string, text: string, force: boolean): string | undefined {
    const found = FEATURES.find((feature) => feature.name === name);
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
