/**
 * In-band control (upstream: in-band.c; "In-Band Control" in its design document): the way to a bridge's own controllers
 * leads through the bridge, so hidden rules of highest priority switch that traffic whatever the controllers' flows say.
 */
import { parseMatch } from "../flow/match-text.ts";
import { OFPP_NORMAL, type Ofpact } from "../openflow/actions.ts";
import type { Ofproto } from "./ofproto.ts";
import type { Rule } from "./rule.ts";

const PRIORITY = 180_000;

export interface InBandRemote {
  /** Dotted. */
  readonly address: string;
  readonly port: number;
}

/** Where `tcp:IP[:PORT]` and `ssl:` lead; undefined for names, IPv6 and what listens: no rules are made for them. */
export function inBandRemote(target: string, defaultPort: number): InBandRemote | undefined {
  const match = /^(?:tcp|ssl):(\d+\.\d+\.\d+\.\d+)(?::(\d+))?$/.exec(target);
  if (match === null) return undefined;
  return { address: match[1]!, port: match[2] === undefined ? defaultPort : Number(match[2]) };
}

/** What is to be switched, in the order of the design document; the place in the list is the priority. */
function texts(
  remotes: readonly InBandRemote[],
  localMac: string | undefined,
  hopMacs: ReadonlySet<string>,
): (readonly [number, string])[] {
  const rules: [number, string][] = [];
  if (localMac !== undefined) {
    rules.push([0, `udp,in_port=LOCAL,dl_src=${localMac},tp_src=68,tp_dst=67`]);
    rules.push([1, `arp,dl_dst=${localMac},arp_op=2`]);
    rules.push([2, `arp,dl_src=${localMac},arp_op=1`]);
  }
  for (const mac of hopMacs) {
    rules.push([3, `arp,dl_dst=${mac},arp_op=2`]);
    rules.push([4, `arp,dl_src=${mac},arp_op=1`]);
  }
  for (const address of new Set(remotes.map((remote) => remote.address))) {
    rules.push([5, `arp,arp_tpa=${address},arp_op=2`]);
    rules.push([6, `arp,arp_spa=${address},arp_op=1`]);
  }
  for (const { address, port } of remotes) {
    rules.push([7, `tcp,nw_dst=${address},tp_dst=${port}`]);
    rules.push([8, `tcp,nw_src=${address},tp_src=${port}`]);
  }
  return rules;
}

export class InBand {
  private readonly ofproto: Ofproto;
  private readonly rules = new Map<string, Rule>();

  constructor(ofproto: Ofproto) {
    this.ofproto = ofproto;
  }

  /**
   * Makes the hidden rules be those for `remotes`. `hopMacs`: of the gateways, or the remotes themselves, that packets for
   * them go to first. `queue`: for what they send, undefined for none.
   */
  update(
    remotes: readonly InBandRemote[],
    localMac: string | undefined,
    hopMacs: ReadonlySet<string>,
    queue: number | undefined,
  ): void {
    const wanted = new Map<string, readonly [number, string]>();
    if (remotes.length > 0) {
      for (const rule of texts(remotes, localMac, hopMacs)) wanted.set(`${queue} ${rule.join(" ")}`, rule);
    }
    let changed = false;
    for (const [key, rule] of this.rules) {
      if (wanted.has(key)) continue;
      this.ofproto.tables[0]!.remove(rule);
      this.rules.delete(key);
      changed = true;
    }
    for (const [key, [offset, text]] of wanted) {
      if (this.rules.has(key)) continue;
      const parsed = parseMatch(text);
      if ("error" in parsed) throw new Error(`${text}: ${parsed.error}`);
      const actions: Ofpact[] = [{ type: "output", port: OFPP_NORMAL, maxLen: 0 }];
      if (queue !== undefined) actions.unshift({ type: "set_queue", queue });
      this.rules.set(key, this.ofproto.addHiddenRule(parsed.match, PRIORITY + offset, actions));
      changed = true;
    }
    if (changed) this.ofproto.backer.changed();
  }
}
