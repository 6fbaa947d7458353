/** Words and texts of `dpctl/*` about datapaths and ports, as the daemon and `ovs-dpctl` itself have them. */
import type { DpStats } from "../datapath/dpif.ts";
import type { NetdevStats } from "../netdev/netdev.ts";

export interface PortWords {
  name: string;
  type: string | undefined;
  number: number | undefined;
  options: Map<string, string>;
}

/** "NAME[,type=TYPE][,port_no=N][,KEY=VALUE...]" */
export function parsePort(text: string): PortWords {
  const [name, ...rest] = text.split(",");
  const options = new Map(
    rest.map((word) => {
      const at = word.indexOf("=");
      return at < 0 ? ([word, ""] as const) : ([word.slice(0, at), word.slice(at + 1)] as const);
    }),
  );
  const type = options.get("type");
  const number = options.get("port_no");
  options.delete("type");
  options.delete("port_no");
  return { name: name!, type, number: number === undefined ? undefined : Number(number), options };
}

function counter(stats: NetdevStats, name: keyof NetdevStats): string {
  return stats[name] < 0 ? "?" : String(stats[name]);
}

export function describeStats(stats: NetdevStats): string {
  const c = (name: keyof NetdevStats): string => counter(stats, name);
  return (
    `    RX packets:${c("rxPackets")} errors:${c("rxErrors")} dropped:${c("rxDropped")} overruns:${c("rxOverErrors")} frame:${c("rxFrameErrors")}\n` +
    `    TX packets:${c("txPackets")} errors:${c("txErrors")} dropped:${c("txDropped")} aborted:? carrier:?\n` +
    `    collisions:${c("collisions")}\n` +
    `    RX bytes:${c("rxBytes")}${scaled(stats.rxBytes)}  TX bytes:${c("txBytes")}${scaled(stats.txBytes)}\n` +
    "    UPCALL packets:? errors:?\n"
  );
}

/** " (1.5 MiB)" from one KiB on. */
function scaled(bytes: number): string {
  for (const [power, unit] of [
    [4, "TiB"],
    [3, "GiB"],
    [2, "MiB"],
    [1, "KiB"],
  ] as const)
    if (bytes >= 1024 ** power) return ` (${(bytes / 1024 ** power).toFixed(1)} ${unit})`;
  return "";
}

/** Lines of `show` that only the kernel's datapath has. */
export function describeMasks(stats: DpStats): string {
  const packets = stats.hits + stats.misses;
  const each = packets === 0 ? 0 : stats.maskHits / packets;
  const cached = packets === 0 ? 0 : (stats.cacheHits / packets) * 100;
  return (
    `  masks: hit:${stats.maskHits} total:${stats.masks} hit/pkt:${each.toFixed(2)}\n` +
    `  cache: hit:${stats.cacheHits} hit-rate:${cached.toFixed(2)}%\n`
  );
}
