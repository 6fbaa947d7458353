/** Ends tracked connections, as NXT_CT_FLUSH and `dpctl/flush-conntrack` say which (upstream: lib/ct-dpif). */
import { type CtEntry, type CtTuple, type DpConntrack, isIcmp } from "../datapath/conntrack.ts";
import type { CtTuple as MatchTuple, NxtCtFlush } from "../openflow/messages.ts";

/** So many connections are looked at before other work gets its turn. */
const SLICE = 1024;

function isSet(tuple: MatchTuple): boolean {
  return Object.values(tuple).some((value) => value !== undefined);
}

/** Addresses of IPv4 come as IPv6 ones that stand for them. */
function plainAddress(bytes: Uint8Array): Uint8Array {
  const mapped = bytes.length === 16 && bytes.subarray(0, 10).every((byte) => byte === 0);
  return mapped && bytes[10] === 0xff && bytes[11] === 0xff ? bytes.subarray(12) : bytes;
}

const endsOf = (tuple: MatchTuple, proto: number): [number | undefined, number | undefined] =>
  isIcmp(proto)
    ? [tuple.icmpId ?? 0, ((tuple.icmpType ?? 0) << 8) | (tuple.icmpCode ?? 0)]
    : [tuple.srcPort, tuple.dstPort];

/** A side of a connection that is told in full. */
function wholeTuple(tuple: MatchTuple, proto: number): CtTuple | undefined {
  const { src, dst } = tuple;
  const [tpSrc, tpDst] = endsOf(tuple, proto);
  if (src === undefined || dst === undefined || proto === 0) return undefined;
  if (tpSrc === undefined || tpDst === undefined) return undefined;
  return { src: plainAddress(src), dst: plainAddress(dst), proto, tpSrc, tpDst };
}

function matchesTuple(tuple: CtTuple, wanted: MatchTuple, proto: number): boolean {
  const same = (want: Uint8Array | undefined, is: Uint8Array): boolean =>
    want === undefined || Buffer.compare(plainAddress(want), is) === 0;
  if (!same(wanted.src, tuple.src) || !same(wanted.dst, tuple.dst)) return false;
  if (!isSet(wanted) || proto === 0) return true;
  const [tpSrc, tpDst] = endsOf(wanted, proto);
  return (tpSrc ?? tuple.tpSrc) === tuple.tpSrc && (tpDst ?? tuple.tpDst) === tuple.tpDst;
}

function bigOf(bytes: Uint8Array | undefined): bigint | undefined {
  return bytes === undefined ? undefined : BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function matchesEntry(entry: CtEntry, m: NxtCtFlush): boolean {
  if (m.ipProto !== 0 && m.ipProto !== entry.orig.proto) return false;
  if (!matchesTuple(entry.orig, m.orig, m.ipProto) || !matchesTuple(entry.reply, m.reply, m.ipProto))
    return false;
  const markMask = m.mark === undefined ? 0 : (m.markMask ?? -1);
  if (((entry.mark ^ (m.mark ?? 0)) & markMask) !== 0) return false;
  const label = bigOf(m.label);
  if (label === undefined) return true;
  const labelMask = bigOf(m.labelMask) ?? (1n << 128n) - 1n;
  return ((entry.labels ^ label) & labelMask) === 0n;
}

const saysMark = (m: NxtCtFlush): boolean => m.mark !== undefined && m.markMask !== 0;
const saysLabel = (m: NxtCtFlush): boolean => m.label !== undefined && (bigOf(m.labelMask) ?? 1n) !== 0n;

/** Nothing is said of connections but their zone. */
export function meansAll(m: NxtCtFlush): boolean {
  return !saysMark(m) && !saysLabel(m) && m.ipProto === 0 && !isSet(m.orig) && !isSet(m.reply);
}

/** Ends the connections that are meant. Throws an errno error. */
export async function flushConntrack(
  conntrack: DpConntrack,
  m: NxtCtFlush,
  breathe: () => Promise<void>,
): Promise<void> {
  if (meansAll(m)) {
    conntrack.flush(m.zone, undefined);
    return;
  }
  const whole = saysMark(m) || saysLabel(m) || isSet(m.reply) ? undefined : wholeTuple(m.orig, m.ipProto);
  if (whole !== undefined) {
    conntrack.flush(m.zone, whole);
    return;
  }
  const doomed: CtEntry[] = [];
  let count = 0;
  for (const entry of conntrack.dump(m.zone)) {
    if (matchesEntry(entry, m)) doomed.push(entry);
    if (++count % SLICE === 0) await breathe();
  }
  for (const { zone, orig } of doomed) conntrack.flush(zone, orig);
}
