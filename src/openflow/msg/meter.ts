/** Meters, OpenFlow 1.3 up. Rows of the message registry; upstream: ofp-meter. */
import { OfpError } from "../errors.ts";
import type {
  MeterBand,
  MeterConfig,
  MeterConfigReply,
  MeterFeaturesReply,
  MeterMod,
  MeterReply,
  MeterRequest,
  MeterStats,
} from "../messages.ts";
import type { Reader, Writer } from "../wire.ts";
import { empty, type MessageRow, message } from "./row.ts";

function readBands(r: Reader): MeterBand[] {
  const bands: MeterBand[] = [];
  while (r.left > 0) {
    r.need(16, "OFPBRC_BAD_LEN");
    const bandType = r.u16();
    const length = r.u16();
    const rate = r.u32();
    const burst = r.u32();
    if (length !== 16)
      throw new OfpError(bandType === 1 || bandType === 2 ? "OFPBRC_BAD_LEN" : "OFPMMFC_BAD_BAND");
    if (bandType !== 1 && bandType !== 2) throw new OfpError("OFPMMFC_BAD_BAND");
    const precLevel = r.u8();
    r.skip(3);
    bands.push({ bandType, rate, burst, precLevel: bandType === 2 ? precLevel : 0 });
  }
  return bands;
}

function writeBands(w: Writer, bands: readonly MeterBand[]): void {
  for (const b of bands) {
    w.u16(b.bandType);
    w.u16(16);
    w.u32(b.rate);
    w.u32(b.burst);
    w.u8(b.precLevel);
    w.zeros(3);
  }
}

const meterMod = message<MeterMod>({
  name: "OFPT_METER_MOD",
  type: "meter-mod",
  kind: "msg",
  number: 29,
  first: 4,
  last: 6,
  min: 8,
  unit: 1,
  decode(r) {
    const command = r.u16();
    const flags = r.u16();
    const meterId = r.u32();
    if (command > 2) throw new OfpError("OFPMMFC_BAD_COMMAND");
    let bands: MeterBand[] = [];
    if (command === 2) {
      if (
        meterId > 0xffff0000 &&
        meterId !== 0xffffffff &&
        meterId !== 0xfffffffe &&
        meterId !== 0xfffffffd
      ) {
        throw new OfpError("OFPMMFC_INVALID_METER");
      }
    } else {
      if (meterId === 0 || meterId > 0xffff0000) {
        if (meterId !== 0xfffffffd && meterId !== 0xfffffffe) throw new OfpError("OFPMMFC_INVALID_METER");
      }
      if ((flags & 3) === 3) throw new OfpError("OFPMMFC_BAD_FLAGS");
      bands = readBands(r);
    }
    return { type: "meter-mod", command, flags, meterId, bands };
  },
  encode(m, w) {
    w.u16(m.command);
    w.u16(m.flags);
    w.u32(m.meterId);
    writeBands(w, m.bands);
  },
});

function request(type: MeterRequest["type"], name: string, number: number): MessageRow {
  return message<MeterRequest>({
    name,
    type,
    kind: "request",
    number,
    first: 4,
    last: 6,
    min: 8,
    unit: 0,
    decode: (r) => ({ type, meterId: r.u32() }),
    encode(m, w) {
      w.u32(m.meterId);
      w.u32(0);
    },
  });
}

const statsReply = message<MeterReply>({
  name: "OFPST_METER reply",
  type: "meter-reply",
  kind: "reply",
  number: 9,
  first: 4,
  last: 6,
  min: 0,
  unit: 1,
  decode(r) {
    const meters: MeterStats[] = [];
    while (r.left > 0) {
      r.need(40, "OFPBRC_BAD_LEN");
      const meterId = r.u32();
      const length = r.u16();
      if (length < 40 || r.left + 6 < length || (length - 40) % 16 !== 0)
        throw new OfpError("OFPBRC_BAD_LEN");
      const body = r.sub(length - 6);
      body.skip(6);
      const flowCount = body.u32();
      const packets = body.u64();
      const bytes = body.u64();
      const duration = { sec: body.u32(), nsec: body.u32() };
      const bands: MeterStats["bands"] = [];
      while (body.left >= 16) bands.push({ packets: body.u64(), bytes: body.u64() });
      meters.push({ meterId, flowCount, packets, bytes, duration, bands });
    }
    return { type: "meter-reply", meters };
  },
  encode(m, w) {
    for (const s of m.meters) {
      w.u32(s.meterId);
      w.u16(40 + s.bands.length * 16);
      w.zeros(6);
      w.u32(s.flowCount);
      w.u64(s.packets);
      w.u64(s.bytes);
      w.u32(s.duration.sec);
      w.u32(s.duration.nsec);
      for (const b of s.bands) {
        w.u64(b.packets);
        w.u64(b.bytes);
      }
    }
  },
});

const configReply = message<MeterConfigReply>({
  name: "OFPST_METER_CONFIG reply",
  type: "meter-config-reply",
  kind: "reply",
  number: 10,
  first: 4,
  last: 6,
  min: 0,
  unit: 1,
  decode(r) {
    const meters: MeterConfig[] = [];
    while (r.left > 0) {
      r.need(8, "OFPBRC_BAD_LEN");
      const length = r.u16();
      if (length < 8 || r.left + 2 < length) throw new OfpError("OFPBRC_BAD_LEN");
      const body = r.sub(length - 2);
      meters.push({ flags: body.u16(), meterId: body.u32(), bands: readBands(body) });
    }
    return { type: "meter-config-reply", meters };
  },
  encode(m, w) {
    for (const c of m.meters) {
      w.u16(8 + c.bands.length * 16);
      w.u16(c.flags);
      w.u32(c.meterId);
      writeBands(w, c.bands);
    }
  },
});

const featuresReply = message<MeterFeaturesReply>({
  name: "OFPST_METER_FEATURES reply",
  type: "meter-features-reply",
  kind: "reply",
  number: 11,
  first: 4,
  last: 6,
  min: 16,
  unit: 1,
  decode: (r) => ({
    type: "meter-features-reply",
    maxMeters: r.u32(),
    bandTypes: r.u32(),
    capabilities: r.u32(),
    maxBands: r.u8(),
    maxColor: r.u8(),
  }),
  encode(m, w) {
    w.u32(m.maxMeters);
    w.u32(m.bandTypes);
    w.u32(m.capabilities);
    w.u8(m.maxBands);
    w.u8(m.maxColor);
    w.u16(0);
  },
});

export const METER_ROWS: readonly MessageRow[] = [
  meterMod,
  request("meter-request", "OFPST_METER request", 9),
  request("meter-config-request", "OFPST_METER_CONFIG request", 10),
  ...empty("OFPST_METER_FEATURES request", "meter-features-request", "request", [11, 4, 6]),
  statsReply,
  configReply,
  featuresReply,
];
