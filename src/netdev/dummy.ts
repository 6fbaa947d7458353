/**
 * Dummy devices: ports that live in this thread, for tests without a kernel (upstream: lib/netdev-dummy). Packets come in
 * by `netdev-dummy/receive` (dummy-commands.ts) or a stream (dummy-conn.ts), and go to statistics, capture files, a stream.
 */
import type { Packet } from "../datapath/packet.ts";
import type { Clock } from "../lib/clock.ts";
import { formatIpv4 } from "../lib/ip.ts";
import { parseMac } from "../lib/mac.ts";
import type { StreamFactory } from "../lib/stream.ts";
import { BaseNetdev, noStats, plainPacket } from "./base.ts";
import { DummyConn } from "./dummy-conn.ts";
import type { LocalPort, Netdev, NetdevConfig, NetdevProvider, NetdevQueue, NetdevStats } from "./netdev.ts";
import { pcapHeader, pcapRecord } from "./pcap.ts";
import type { NetdevRegistry } from "./registry.ts";

/** Appends to files, which capture options name. */
export interface CaptureFiles {
  /** Starts `path` anew with `header`; throws an errno error. */
  create(path: string, header: Uint8Array): void;
  append(path: string, bytes: Uint8Array): void;
}

export interface DummyContext {
  clock: Clock;
  streams: StreamFactory;
  files: CaptureFiles;
  /** Number of devices made so far: their addresses differ by it. */
  made: number;
}

const QUEUES: readonly NetdevQueue[] = [
  {
    id: 0,
    minRate: undefined,
    maxRate: undefined,
    txPackets: -1,
    txBytes: -1,
    txErrors: -1,
    createdMs: undefined,
    details: new Map(),
  },
];

export class DummyNetdev extends BaseNetdev implements LocalPort {
  override readonly local: LocalPort = this;
  receive: ((packet: Packet) => void) | undefined = undefined;
  readonly #context: DummyContext;
  readonly conn: DummyConn;
  #mac: string;
  #mtu = 1500;
  #up = true;
  #ifindex: number | undefined;
  #options: NetdevConfig = new Map();
  #rxPcap: string | undefined;
  #txPcap: string | undefined;
  /** Address as of netdev-dummy/ip4addr, host order, and its prefix length. */
  ipv4: { address: number; prefix: number } | undefined;
  ipv6: { address: Uint8Array; prefix: number }[] = [];
  readonly #stats: NetdevStats = { ...noStats(), rxPackets: 0, txPackets: 0, rxBytes: 0, txBytes: 0 };
  readonly #custom = new Map<string, number>();

  constructor(name: string, type: string, context: DummyContext) {
    super(name, type, context.clock);
    this.#context = context;
    const n = context.made++;
    const hex = (value: number): string => (value & 255).toString(16).padStart(2, "0");
    this.#mac = `aa:55:${hex(0xaa + (n >> 24))}:${hex(0x55 + (n >> 16))}:${hex(n >> 8)}:${hex(n)}`;
    for (const key of ["rx_custom_packets_1", "rx_custom_packets_2"]) this.#custom.set(key, 0);
    for (const key of ["rx_q0_bytes", "rx_q0_packets", "tx_q0_bytes", "tx_q0_packets"])
      this.#custom.set(key, 0);
    this.conn = new DummyConn(name, context, (bytes) => this.input(bytes));
  }

  /** One queue that counts nothing, as if a QoS were there. */
  override queues(): readonly NetdevQueue[] {
    return QUEUES;
  }

  // Packets.

  /** A packet has arrived on the wire. It is lost when the device is down or nobody listens. */
  input(bytes: Uint8Array): void {
    if (!this.#up || this.receive === undefined) return;
    this.#stats.rxPackets++;
    this.#stats.rxBytes += bytes.length;
    this.#bump("rx_q0", bytes.length);
    if (this.#rxPcap !== undefined) this.#capture(this.#rxPcap, bytes);
    this.receive(plainPacket(bytes));
  }

  send(packet: Packet): void {
    const length = packet.length;
    if (!this.#up || length < 14) return;
    const bytes = packet.data.subarray(packet.offset, packet.offset + length);
    const tagged = bytes[12] === 0x81 && bytes[13] === 0x00;
    if (length > this.#mtu + (tagged ? 18 : 14)) return;
    this.#stats.txPackets++;
    this.#stats.txBytes += length;
    this.#bump("tx_q0", length);
    if (this.#txPcap !== undefined) this.#capture(this.#txPcap, bytes);
    this.conn.send(bytes);
    this.#answerArp(bytes);
  }

  #bump(queue: string, bytes: number): void {
    this.#custom.set(`${queue}_packets`, this.#custom.get(`${queue}_packets`)! + 1);
    this.#custom.set(`${queue}_bytes`, this.#custom.get(`${queue}_bytes`)! + bytes);
  }

  #capture(path: string, bytes: Uint8Array): void {
    try {
      this.#context.files.append(path, pcapRecord(bytes, this.#context.clock.wall()));
    } catch {
      // A full disk must not stop the switch.
    }
  }

  /** Our address is asked for: the answer comes in as if the neighbour's host had sent it. */
  #answerArp(bytes: Uint8Array): void {
    if (this.ipv4 === undefined || bytes.length < 42 || bytes[12] !== 0x08 || bytes[13] !== 0x06) return;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (view.getUint16(20) !== 1 || view.getUint32(38) !== this.ipv4.address) return;
    const own = parseMac(this.#mac)!;
    const reply = new Uint8Array(64);
    const out = new DataView(reply.buffer);
    reply.set(bytes.subarray(6, 12), 0);
    reply.set(own, 6);
    reply.set(bytes.subarray(12, 20), 12);
    out.setUint16(20, 2);
    reply.set(own, 22);
    out.setUint32(28, this.ipv4.address);
    reply.set(bytes.subarray(22, 32), 32);
    this.#context.clock.soon(() => this.input(reply));
  }

  // Configuration.

  override ifindex(): number | undefined {
    return this.#ifindex;
  }
  override etherAddr(): string {
    return this.#mac;
  }
  override setEtherAddr(address: string): string | undefined {
    if (address !== this.#mac) {
      this.#mac = address;
      this.changed();
    }
    return undefined;
  }
  override mtu(): number {
    return this.#mtu;
  }
  override setMtu(mtu: number): string | undefined {
    if (mtu < 68 || mtu > 65535) return "Invalid argument";
    if (mtu !== this.#mtu) {
      this.#mtu = mtu;
      this.changed();
    }
    return undefined;
  }
  override adminUp(): boolean {
    return this.#up;
  }
  override setAdminUp(up: boolean): string | undefined {
    if (up !== this.#up) {
      this.#up = up;
      this.changed();
    }
    return undefined;
  }
  override carrier(): boolean {
    return this.#up;
  }
  override stats(): NetdevStats {
    return this.#stats;
  }
  override customStats(): ReadonlyMap<string, number> {
    return this.#custom;
  }
  override status(): Map<string, string> {
    const status = new Map<string, string>();
    for (const name of [
      "tx_geneve_tso_offload",
      "tx_gre_tso_offload",
      "tx_ip_csum_offload",
      "tx_out_ip_csum_offload",
      "tx_out_udp_csum_offload",
      "tx_sctp_csum_offload",
      "tx_tcp_csum_offload",
      "tx_tcp_seg_offload",
      "tx_udp_csum_offload",
      "tx_vxlan_tso_offload",
    ])
      status.set(name, "false");
    return status;
  }

  override setConfig(options: NetdevConfig): string | undefined {
    this.#options = options;
    const index = Number.parseInt(options.get("ifindex") ?? "", 10);
    this.#ifindex = Number.isNaN(index) ? undefined : index;
    const both = options.get("pcap");
    const rx = both ?? options.get("rx_pcap");
    const tx = both ?? options.get("tx_pcap");
    for (const path of new Set([rx, tx])) {
      if (path === undefined || path === this.#rxPcap || path === this.#txPcap) continue;
      try {
        this.#context.files.create(path, pcapHeader());
      } catch {
        // As with a capture that fails later.
      }
    }
    this.#rxPcap = rx;
    this.#txPcap = tx;
    this.conn.configure(options.get("pstream"), options.get("stream"));
    this.changed();
    return undefined;
  }

  override config(): Map<string, string> {
    const config = new Map<string, string>();
    if (this.#ifindex !== undefined) config.set("ifindex", String(this.#ifindex));
    for (const key of ["pstream", "stream"]) {
      const value = this.#options.get(key);
      if (value !== undefined) config.set(key, value);
    }
    if (this.type === "dummy-pmd") {
      config.set("n_rxq", this.#options.get("n_rxq") ?? "1");
      config.set("n_txq", this.#options.get("n_txq") ?? "1");
      config.set("numa_id", this.#options.get("numa_id") ?? "0");
    }
    return config;
  }

  /** "10.0.0.1/24", for the messages of commands. */
  get ipv4Text(): string | undefined {
    return this.ipv4 === undefined ? undefined : `${formatIpv4(this.ipv4.address)}/${this.ipv4.prefix}`;
  }

  override close(): void {
    super.close();
    this.conn.close();
    this.receive = undefined;
  }
}

export function dummyProvider(type: string, context: DummyContext): NetdevProvider {
  return { type, open: (name: string): Netdev => new DummyNetdev(name, type, context) };
}

/** "": beside the real types; "system": system devices are dummies too; "override": all but tunnels and patch ports are. */
export type DummyMode = "" | "system" | "override";

/** What `--enable-dummy` does to the registry. */
export function enableDummy(registry: NetdevRegistry, mode: DummyMode, context: DummyContext): void {
  for (const type of ["dummy", "dummy-internal", "dummy-pmd"])
    registry.register(dummyProvider(type, context));
  if (mode === "system" || mode === "override") registry.register(dummyProvider("system", context));
  if (mode === "override")
    for (const type of ["tap", "internal"]) registry.register(dummyProvider(type, context));
}
