/** Frames for tests, made the slow and obvious way: plain arrays of bytes, checksums by full recomputation. */

export interface FrameSpec {
  tags: number[];
  /** MPLS label stack entries; the bottom's bit is the caller's. */
  labels?: number[];
  ip: 4 | 6;
  proto: "tcp" | "udp" | "icmp";
  src: number[];
  dst: number[];
  sport: number;
  dport: number;
  payload: number[];
  tos?: number;
  ttl?: number;
  /** Options of the TCP header, a multiple of 4 bytes. */
  options?: number[];
  sequence?: number;
  flags?: number;
  id?: number;
}

const be16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
const be32 = (value: number): number[] => [...be16(value >>> 16), ...be16(value & 0xffff)];

/** RFC 1071 over a list of bytes. */
export function sum(bytes: number[]): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return ~total & 0xffff;
}

const PROTO = { tcp: 6, udp: 17, icmp: 1 };

export function frame(spec: FrameSpec): number[] {
  const proto = spec.proto === "icmp" && spec.ip === 6 ? 58 : PROTO[spec.proto];
  const options = spec.options ?? [];
  let l4: number[];
  if (spec.proto === "tcp") {
    const offset = (20 + options.length) / 4;
    l4 = [...be16(spec.sport), ...be16(spec.dport), ...be32(spec.sequence ?? 1), ...be32(2), offset << 4];
    l4.push(spec.flags ?? 0x10, ...be16(1000), 0, 0, 0, 0, ...options, ...spec.payload);
  } else if (spec.proto === "udp") {
    l4 = [...be16(spec.sport), ...be16(spec.dport), ...be16(8 + spec.payload.length), 0, 0, ...spec.payload];
  } else l4 = [spec.ip === 4 ? 8 : 128, 0, 0, 0, 0, 1, 0, 1, ...spec.payload];
  let l3: number[];
  if (spec.ip === 4) {
    l3 = [
      0x45,
      spec.tos ?? 0,
      ...be16(20 + l4.length),
      ...be16(spec.id ?? 7),
      0x40,
      0,
      spec.ttl ?? 64,
      proto,
      0,
      0,
    ];
    l3.push(...spec.src.slice(0, 4), ...spec.dst.slice(0, 4));
  } else {
    const tos = spec.tos ?? 0;
    l3 = [0x60 | (tos >> 4), (tos & 15) << 4, 0, 0, ...be16(l4.length), proto, spec.ttl ?? 64];
    l3.push(...spec.src.slice(0, 16), ...spec.dst.slice(0, 16));
  }
  const bytes = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
  for (const tag of spec.tags) bytes.push(0x81, 0, ...be16(tag));
  if (spec.labels !== undefined) bytes.push(0x88, 0x47, ...spec.labels.flatMap(be32));
  else bytes.push(...(spec.ip === 4 ? [8, 0] : [0x86, 0xdd]));
  bytes.push(...l3, ...l4);
  return recompute(bytes);
}

export interface Layers {
  l3: number;
  l4: number;
  ip: 4 | 6;
  proto: number;
  /** Index of the transport checksum. */
  checksum: number;
}

/** Of a frame made by {@link frame}, with any number of tags and labels. */
export function layers(bytes: number[]): Layers {
  let at = 12;
  const isMpls = (): boolean => bytes[at] === 0x88 && bytes[at + 1] === 0x47;
  while (bytes[at] === 0x81 || (bytes[at] === 0x88 && !isMpls())) at += 4;
  let l3 = at + 2;
  let ip: 4 | 6 = bytes[at] === 8 ? 4 : 6;
  if (isMpls()) {
    do l3 += 4;
    while (l3 < bytes.length && (bytes[l3 - 2]! & 1) === 0);
    ip = bytes[l3]! >> 4 === 4 ? 4 : 6;
  }
  const l4 = l3 + (ip === 4 ? 20 : 40);
  const proto = bytes[l3 + (ip === 4 ? 9 : 6)]!;
  const checksum = l4 + (proto === 6 ? 16 : proto === 17 ? 6 : 2);
  return { l3, l4, ip, proto, checksum };
}

export function pseudoHeader(bytes: number[]): number[] {
  const { l3, l4, ip, proto } = layers(bytes);
  if (proto === 1) return [];
  const length = bytes.length - l4;
  const addresses = ip === 4 ? bytes.slice(l3 + 12, l3 + 20) : bytes.slice(l3 + 8, l3 + 40);
  return [...addresses, ...be32(length), 0, 0, 0, proto];
}

/** All checksums anew. */
export function recompute(bytes: number[]): number[] {
  const out = [...bytes];
  const { l3, l4, ip, proto, checksum } = layers(out);
  if (ip === 4) {
    out.splice(l3 + 10, 2, 0, 0);
    out.splice(l3 + 10, 2, ...be16(sum(out.slice(l3, l4))));
  }
  out.splice(checksum, 2, 0, 0);
  const value = sum([...pseudoHeader(out), ...out.slice(l4)]);
  out.splice(checksum, 2, ...be16(value === 0 && proto === 17 ? 0xffff : value));
  return out;
}

/** The same frame as the kernel hands it over with a partial checksum: the pseudo header's sum, not complemented. */
export function partial(bytes: number[]): number[] {
  const out = [...bytes];
  const { checksum } = layers(out);
  out.splice(checksum, 2, ...be16(~sum(pseudoHeader(out)) & 0xffff));
  return out;
}
