/** Capture files in libpcap's classic format (draft-ietf-opsawg-pcap): what dummy devices write and `options:rx_pcap` names. */

export const PCAP_MAGIC = 0xa1b2c3d4;
const LINKTYPE_ETHERNET = 1;

/** The 24-byte file header, little-endian, microseconds. */
export function pcapHeader(): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PCAP_MAGIC, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, 1518, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return bytes;
}

/** One packet's record. `wallMs`: milliseconds since 1970. */
export function pcapRecord(packet: Uint8Array, wallMs: number): Uint8Array {
  const bytes = new Uint8Array(16 + packet.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(wallMs / 1000), true);
  view.setUint32(4, Math.floor((wallMs % 1000) * 1000), true);
  view.setUint32(8, packet.length, true);
  view.setUint32(12, packet.length, true);
  bytes.set(packet, 16);
  return bytes;
}

const PCAP_MAGIC_NSEC = 0xa1b23c4d;

/** The packets of a capture file of either byte order; one cut short at the end is left out. A text: what is wrong. */
export function readPcap(bytes: Uint8Array): Uint8Array[] | string {
  if (bytes.length < 24) return "End of file";
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = [PCAP_MAGIC, PCAP_MAGIC_NSEC].includes(view.getUint32(0, true));
  if (!little && ![PCAP_MAGIC, PCAP_MAGIC_NSEC].includes(view.getUint32(0))) {
    const magic = view.getUint32(0, true).toString(16).padStart(8, "0");
    return `bad magic 0x${magic} reading pcap file (expected 0xa1b2c3d4, 0xa1b23c4d, 0xd4c3b2a1, or 0x4d3cb2a1)`;
  }
  const packets: Uint8Array[] = [];
  for (let at = 24; at + 16 <= bytes.length; ) {
    const length = view.getUint32(at + 8, little);
    at += 16;
    if (length > bytes.length - at) break;
    packets.push(bytes.subarray(at, at + length));
    at += length;
  }
  return packets;
}
