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
