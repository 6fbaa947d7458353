/** Commands about packets and captures: compose-packet, parse-packet, parse-pcap, ofp-parse-pcap. */
import fs from "node:fs";
import { composePacket } from "../../src/flow/compose.ts";
import { extractFlow, OFS_L2_PAD, OFS_L4, OFS_WORDS } from "../../src/flow/extract.ts";
import { getFieldBig, mustField } from "../../src/flow/fields/index.ts";
import { FLOW_WORDS, W_ETH_TYPE, W_IN_PORT, W_NW, W_TP } from "../../src/flow/layout.ts";
import { fieldOnes, formatFieldValue, formatFlow, parseExactFlow } from "../../src/flow/match-text.ts";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { vlog } from "../../src/lib/vlog.ts";
import { pcapHeader, pcapRecord, readPcap } from "../../src/netdev/pcap.ts";
import { readHeaderAt } from "../../src/openflow/codec.ts";
import { parseUint } from "../../src/openflow/ports.ts";
import { hexDump } from "../../src/openflow/text/common.ts";
import { packetText } from "../../src/openflow/text/packet.ts";
import { messageOutput } from "./output.ts";
import type { Ofctl } from "./settings.ts";

const log = vlog("pcap");

/** A packet in hex, white space and dots allowed between. Throws Fatal with `prefix` before the reason. */
export function packetFromHex(text: string, prefix = ""): Uint8Array {
  const digits = text.replace(/[\s.]/g, "").replace(/^0x/, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new Fatal(`${prefix}Trailing garbage in packet data`);
  const packet = Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  if (packet.length < 14) throw new Fatal(`${prefix}Packet data too short for Ethernet`);
  return packet;
}

/** compose-packet FLOW [L7]: the packet as a hex dump, bare hex or a capture. */
export async function composePacketCommand(o: Ofctl, [text, l7]: string[]): Promise<void> {
  const { bare, pcap, badCsum } = o.settings;
  if (bare && pcap) throw new Fatal("--bare and --pcap are mutually exclusive (Operation not permitted)");
  if (pcap && o.platform.stdoutIsTerminal)
    throw new Fatal("not writing pcap data to a terminal; redirect it");
  const parsed = parseExactFlow(text!);
  if ("error" in parsed) throw new Fatal(parsed.error);
  if (l7 !== undefined && !/^([0-9a-fA-F]{2})*$/.test(l7)) {
    throw new Fatal(`${l7}: trailing garbage in packet data`);
  }
  const payload = l7 === undefined ? undefined : Buffer.from(l7, "hex");
  const packet = composePacket(parsed.flow, { payload, badChecksum: badCsum });
  if (pcap) {
    o.platform.stdout(pcapHeader());
    o.platform.stdout(pcapRecord(packet, o.platform.clock.wall()));
  } else if (bare) o.platform.stdout(Buffer.from(packet).toString("hex"));
  else o.platform.stdout(hexDump(packet, false));
}

/** parse-packet: standard input, raw, as one packet. */
export async function parsePacket(o: Ofctl): Promise<void> {
  o.platform.stdout(`${packetText(await o.platform.stdin(), { paint: o.settings.paint })}\n`);
}

function openPcap(file: string): Uint8Array[] {
  let packets: Uint8Array[] | string;
  try {
    packets = readPcap(fs.readFileSync(file));
  } catch (error) {
    log.warn(`${file}: failed to open pcap file for reading (${describeError(error)})`);
    throw new Fatal(`${file}: open failed (${describeError(error)})`);
  }
  if (typeof packets !== "string") return packets;
  if (packets === "End of file") log.warn("failed to read pcap header: End of file");
  else log.warn(packets);
  throw new Fatal(`${file}: open failed (${packets === "End of file" ? packets : "Protocol error"})`);
}

interface Extracted {
  flow: Int32Array;
  /** Offset of the transport header, -1 for none. */
  l4: number;
  /** Where the network layer's packet ends: Ethernet pads short ones. */
  end: number;
}

function extract(packet: Uint8Array): Extracted {
  const flow = new Int32Array(FLOW_WORDS);
  const offsets = new Int32Array(OFS_WORDS);
  flow[W_IN_PORT] = 0xffff;
  extractFlow(packet, 0, packet.length, flow, offsets);
  return { flow, l4: offsets[OFS_L4]!, end: packet.length - offsets[OFS_L2_PAD]! };
}

export async function parsePcap(o: Ofctl, files: string[]): Promise<void> {
  for (const file of files) {
    for (const packet of openPcap(file)) o.platform.stdout(`${formatFlow(extract(packet).flow)}\n`);
  }
}

const DEFAULT_PORTS = [6633, 6653];
/** Bytes of one direction of a connection that wait for an earlier segment or for the rest of a message. */
const WAITING_MAX = 1 << 20;

/** One direction of a TCP connection, put in order. */
class TcpStream {
  #next: number | undefined;
  #early = new Map<number, Uint8Array>();
  #bytes: Uint8Array = new Uint8Array(0);
  #waiting = 0;

  /** Takes a segment; returns the whole messages that it completes. */
  segment(sequence: number, data: Uint8Array, restart: boolean): Uint8Array[] {
    if (restart || this.#next === undefined) {
      this.#early.clear();
      this.#bytes = new Uint8Array(0);
      this.#waiting = 0;
      this.#next = (sequence + (restart ? 1 : 0)) >>> 0;
      if (restart) return [];
    }
    if (data.length > 0 && this.#waiting + data.length <= WAITING_MAX) {
      this.#early.set(sequence, data);
      this.#waiting += data.length;
    }
    for (let found = this.#take(); found !== undefined; found = this.#take()) {
      this.#bytes = Buffer.concat([this.#bytes, found]);
    }
    return this.#messages();
  }

  /** What follows directly in the early segments. */
  #take(): Uint8Array | undefined {
    for (const [sequence, data] of this.#early) {
      const seen = (this.#next! - sequence) | 0;
      if (seen < 0) continue;
      this.#early.delete(sequence);
      this.#waiting -= data.length;
      if (seen >= data.length) continue;
      this.#next = (sequence + data.length) >>> 0;
      return data.subarray(seen);
    }
    return undefined;
  }

  #messages(): Uint8Array[] {
    const out: Uint8Array[] = [];
    let at = 0;
    while (this.#bytes.length - at >= 8) {
      const { length } = readHeaderAt(this.#bytes, at);
      if (length < 8) {
        // No OpenFlow: nothing after it can be told apart.
        at = this.#bytes.length;
        break;
      }
      if (this.#bytes.length - at < length) break;
      out.push(this.#bytes.slice(at, at + length));
      at += length;
    }
    this.#bytes = this.#bytes.subarray(at);
    return out;
  }
}

function endpoint(flow: Int32Array, side: "src" | "dst", port: number): string {
  const field = mustField((flow[W_ETH_TYPE]! & 0xffff) === 0x0800 ? `ip_${side}` : `ipv6_${side}`);
  return `${formatFieldValue(field, getFieldBig(field, flow), fieldOnes(field))}.${port}`;
}

/** ofp-parse-pcap FILE [PORT...]: the OpenFlow messages in a capture's TCP connections. */
export async function ofpParsePcap(o: Ofctl, [file, ...rest]: string[]): Promise<void> {
  const ports = new Set(rest.length === 0 ? DEFAULT_PORTS : rest.map((text) => parseUint(text) ?? 0));
  const streams = new Map<string, TcpStream>();
  let first = true;
  for (const packet of openPcap(file!)) {
    const { flow, l4, end } = extract(packet);
    if ((flow[W_NW]! & 0xff) !== 6 || l4 < 0 || packet.length < l4 + 20) continue;
    const source = flow[W_TP]! >>> 16;
    const target = flow[W_TP]! & 0xffff;
    if (!ports.has(source) && !ports.has(target)) continue;
    const name = `${endpoint(flow, "src", source)} > ${endpoint(flow, "dst", target)}`;
    let stream = streams.get(name);
    if (stream === undefined) {
      stream = new TcpStream();
      streams.set(name, stream);
    }
    const view = new DataView(packet.buffer, packet.byteOffset + l4, packet.length - l4);
    const data = packet.subarray(l4 + (view.getUint8(12) >>> 4) * 4, end);
    for (const message of stream.segment(view.getUint32(4), data, (view.getUint8(13) & 2) !== 0)) {
      const text = messageOutput(o, message, { verbosity: o.settings.verbosity + 1 });
      o.platform.stdout(o.settings.json ? text : `${first ? "" : "\n"}${name}:\n${text}`);
      first = false;
    }
  }
}
