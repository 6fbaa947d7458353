/** Ports and queues: descriptions, status, port_mod, statistics, queue configuration. Rows of the message registry. */
import { OfpError } from "../errors.ts";
import {
  type PhyPort,
  type PortDescReply,
  type PortMod,
  type PortReply,
  type PortRequest,
  type PortStats,
  type PortStatus,
  type QueueGetConfigReply,
  type QueueGetConfigRequest,
  type QueueProps,
  type QueueReply,
  type QueueRequest,
  type QueueStats,
  UNKNOWN64,
} from "../messages.ts";
import { portFromWire, portToWire, readPort, writePort } from "../ports.ts";
import type { Reader, Writer } from "../wire.ts";
import { type MessageRow, message, rows } from "./row.ts";

/** Bits of a port's configuration that 1.1 and later have. */
const CONFIG_11 = 0x65;

function features10(bits: number): number {
  return (bits & 0x7f) | ((bits & 0xf80) << 4);
}

function featuresTo10(bits: number): number {
  return (bits & 0x7f) | ((bits >>> 4) & 0xf80);
}

/** kb/s of the fastest set feature bit. */
export function featuresSpeed(bits: number): number {
  if (bits & 0x200) return 1000000000;
  if (bits & 0x100) return 100000000;
  if (bits & 0x80) return 40000000;
  if (bits & 0x40) return 10000000;
  if (bits & 0x30) return 1000000;
  if (bits & 0x0c) return 100000;
  return bits & 0x03 ? 10000 : 0;
}

/** Up to the first NUL or newline. */
function portNameOf(r: Reader): string {
  return r.text(16).split("\n", 1)[0]!;
}

export function readPort10(r: Reader): PhyPort {
  const port = r.u16();
  const hwAddr = r.take(6);
  const name = portNameOf(r);
  const config = r.u32();
  const state = r.u32();
  const curr = features10(r.u32());
  const advertised = features10(r.u32());
  const supported = features10(r.u32());
  const peer = features10(r.u32());
  return {
    port,
    hwAddr,
    hwAddr64: undefined,
    name,
    config: config & 0x7f,
    state: state & 0x301,
    curr,
    advertised,
    supported,
    peer,
    currSpeed: featuresSpeed(curr),
    maxSpeed: featuresSpeed(supported),
  };
}

export function writePort10(w: Writer, p: PhyPort): void {
  w.u16(p.port);
  w.put(p.hwAddr);
  w.text(p.name, 16);
  w.u32(p.config & 0x7f);
  w.u32(p.state & 0x301);
  w.u32(featuresTo10(p.curr));
  w.u32(featuresTo10(p.advertised));
  w.u32(featuresTo10(p.supported));
  w.u32(featuresTo10(p.peer));
}

export function readPort11(r: Reader): PhyPort {
  const port = portFromWire(r.u32());
  r.skip(4);
  const hwAddr = r.take(6);
  r.skip(2);
  return {
    port,
    hwAddr,
    hwAddr64: undefined,
    name: portNameOf(r),
    config: r.u32() & CONFIG_11,
    state: r.u32() & 7,
    curr: r.u32() & 0xffff,
    advertised: r.u32() & 0xffff,
    supported: r.u32() & 0xffff,
    peer: r.u32() & 0xffff,
    currSpeed: r.u32(),
    maxSpeed: r.u32(),
  };
}

export function writePort11(w: Writer, p: PhyPort): void {
  w.u32(portToWire(p.port));
  w.u32(0);
  w.put(p.hwAddr);
  w.u16(0);
  w.text(p.name, 16);
  w.u32(p.config & CONFIG_11);
  w.u32(p.state & 7);
  for (const value of [p.curr, p.advertised, p.supported, p.peer]) w.u32(value);
  w.u32(p.currSpeed);
  w.u32(p.maxSpeed);
}

function readPort14(r: Reader): PhyPort {
  r.need(40, "OFPBRC_BAD_LEN");
  const start = r.pos;
  const port = portFromWire(r.u32());
  const length = r.u16();
  if (length < 40 || start + length > r.end) throw new OfpError("OFPBRC_BAD_LEN");
  r.skip(2);
  const hwAddr = r.take(6);
  r.skip(2);
  const name = portNameOf(r);
  const config = r.u32() & CONFIG_11;
  const state = r.u32() & 7;
  const out: PhyPort = {
    port,
    hwAddr,
    hwAddr64: undefined,
    name,
    config,
    state,
    curr: 0,
    advertised: 0,
    supported: 0,
    peer: 0,
    currSpeed: 0,
    maxSpeed: 0,
  };
  const body = r.sub(length - 40);
  for (const { type, data } of properties(body)) {
    if (type !== 0) continue;
    data.need(28, "OFPBPC_BAD_LEN");
    data.skip(4);
    out.curr = data.u32() & 0xffff;
    out.advertised = data.u32() & 0xffff;
    out.supported = data.u32() & 0xffff;
    out.peer = data.u32() & 0xffff;
    out.currSpeed = data.u32();
    out.maxSpeed = data.u32();
  }
  return out;
}

function writePort14(w: Writer, p: PhyPort): void {
  w.u32(portToWire(p.port));
  w.u16(72);
  w.u16(0);
  w.put(p.hwAddr);
  w.u16(0);
  w.text(p.name, 16);
  w.u32(p.config & CONFIG_11);
  w.u32(p.state & 7);
  w.u16(0);
  w.u16(32);
  w.u32(0);
  for (const value of [p.curr, p.advertised, p.supported, p.peer]) w.u32(value);
  w.u32(p.currSpeed);
  w.u32(p.maxSpeed);
}

/** Properties of 1.4: type, length, data, padded to 8. Throws OFPBPC_BAD_LEN. */
export function properties(r: Reader): { type: number; data: Reader }[] {
  const out: { type: number; data: Reader }[] = [];
  while (r.left > 0) {
    r.need(4, "OFPBPC_BAD_LEN");
    const type = r.u16();
    const length = r.u16();
    if (length < 4 || r.left + 4 < length) throw new OfpError("OFPBPC_BAD_LEN");
    out.push({ type, data: r.sub(length - 4) });
    r.skip(Math.min(r.left, ((length + 7) & ~7) - length));
  }
  return out;
}

/** Writes one property. */
export function property(w: Writer, type: number, body: () => void): void {
  const start = w.pos;
  w.u16(type);
  w.u16(0);
  body();
  w.setU16(start + 2, w.pos - start);
  w.pad(start);
}

function readAnyPort(r: Reader, version: number): PhyPort {
  return version === 1 ? readPort10(r) : version < 5 ? readPort11(r) : readPort14(r);
}

function writeAnyPort(w: Writer, p: PhyPort, version: number): void {
  if (version === 1) writePort10(w, p);
  else if (version < 5) writePort11(w, p);
  else writePort14(w, p);
}

const portStatus = rows<PortStatus>(
  {
    name: "OFPT_PORT_STATUS",
    type: "port-status",
    kind: "msg",
    decode(r, version) {
      const reason = r.u8();
      if (reason > 2) throw new OfpError("NXBRC_BAD_REASON");
      r.skip(7);
      return { type: "port-status", reason, port: readAnyPort(r, version) };
    },
    encode(m, w, version) {
      w.u8(m.reason);
      w.zeros(7);
      writeAnyPort(w, m.port, version);
    },
  },
  [12, 1, 1, 56, 0],
  [12, 2, 4, 72, 0],
  [12, 5, 6, 48, 1],
);

const portMod = rows<PortMod>(
  {
    name: "OFPT_PORT_MOD",
    type: "port-mod",
    kind: "msg",
    decode(r, version) {
      const port = readPort(r, version);
      if (version > 1) r.skip(4);
      const hwAddr = r.take(6);
      if (version > 1) r.skip(2);
      const config = r.u32();
      const mask = r.u32();
      let advertise = 0;
      if (version === 1) advertise = features10(r.u32());
      else if (version < 5) advertise = r.u32();
      else {
        for (const { type, data } of properties(r.sub(r.left)))
          if (type === 0 && data.left >= 4) advertise = data.u32();
      }
      return { type: "port-mod", port, hwAddr, hwAddr64: undefined, config, mask, advertise };
    },
    encode(m, w, version) {
      writePort(w, m.port, version);
      if (version > 1) w.u32(0);
      w.put(m.hwAddr);
      if (version > 1) w.u16(0);
      w.u32(version === 1 ? m.config : m.config & CONFIG_11);
      w.u32(version === 1 ? m.mask : m.mask & CONFIG_11);
      if (version === 1) {
        w.u32(featuresTo10(m.advertise));
        w.u32(0);
      } else if (version < 5) {
        w.u32(m.advertise);
        w.u32(0);
      } else if (m.advertise !== 0) property(w, 0, () => w.u32(m.advertise));
    },
  },
  [15, 1, 1, 24, 0],
  [16, 2, 4, 32, 0],
  [16, 5, 6, 24, 1],
);

const portDescRequest = rows<PortRequest>(
  {
    name: "OFPST_PORT_DESC request",
    type: "port-desc-request",
    kind: "request",
    decode(r, version) {
      return { type: "port-desc-request", port: version >= 6 ? portFromWire(r.u32()) : 0xffff };
    },
    encode(m, w, version) {
      if (version < 6) return;
      w.u32(portToWire(m.port));
      w.u32(0);
    },
  },
  [13, 1, 5, 0, 0],
  [13, 6, 6, 8, 0],
);

const portDescReply = rows<PortDescReply>(
  {
    name: "OFPST_PORT_DESC reply",
    type: "port-desc-reply",
    kind: "reply",
    decode(r, version) {
      const ports: PhyPort[] = [];
      while (r.left > 0) ports.push(readAnyPort(r, version));
      return { type: "port-desc-reply", ports };
    },
    encode(m, w, version) {
      for (const p of m.ports) writeAnyPort(w, p, version);
    },
  },
  [13, 1, 1, 0, 48],
  [13, 2, 4, 0, 64],
  [13, 5, 6, 0, 1],
);

const portRequest = rows<PortRequest>(
  {
    name: "OFPST_PORT request",
    type: "port-request",
    kind: "request",
    decode: (r, version) => ({ type: "port-request", port: readPort(r, version) }),
    encode(m, w, version) {
      writePort(w, m.port, version);
      w.zeros(version === 1 ? 6 : 4);
    },
  },
  [4, 1, 6, 8, 0],
);

function readPortStats(r: Reader, version: number): PortStats {
  let body = r;
  if (version >= 5) {
    r.need(80, "OFPBRC_BAD_LEN");
    const length = r.u16();
    if (length < 80 || r.left + 2 < length) throw new OfpError("OFPBRC_BAD_LEN");
    body = r.sub(length - 2);
    body.skip(2);
  }
  const port = readPort(body, version);
  if (version < 5) body.skip(version === 1 ? 6 : 4);
  let duration: PortStats["duration"];
  if (version >= 5) duration = { sec: body.u32(), nsec: body.u32() };
  const s: PortStats = {
    port,
    rxPackets: body.u64(),
    txPackets: body.u64(),
    rxBytes: body.u64(),
    txBytes: body.u64(),
    rxDropped: body.u64(),
    txDropped: body.u64(),
    rxErrors: body.u64(),
    txErrors: body.u64(),
    rxFrameErr: UNKNOWN64,
    rxOverErr: UNKNOWN64,
    rxCrcErr: UNKNOWN64,
    collisions: UNKNOWN64,
    duration,
    rfc2819: undefined,
    custom: [],
  };
  if (version < 5) {
    s.rxFrameErr = body.u64();
    s.rxOverErr = body.u64();
    s.rxCrcErr = body.u64();
    s.collisions = body.u64();
    if (version === 4) s.duration = { sec: body.u32(), nsec: body.u32() };
    return s;
  }
  for (const { type, data } of properties(body)) {
    if (type === 0) {
      data.need(36, "OFPBPC_BAD_LEN");
      data.skip(4);
      s.rxFrameErr = data.u64();
      s.rxOverErr = data.u64();
      s.rxCrcErr = data.u64();
      s.collisions = data.u64();
    } else if (type === 0xffff && data.left >= 8) {
      const experimenter = data.u32();
      const expType = data.u32();
      if (experimenter === INTEL_VENDOR && expType === 1) {
        if (data.left !== 4 + RFC2819_COUNTERS * 8) throw new OfpError("OFPBPC_BAD_LEN");
        data.skip(4);
        s.rfc2819 = Array.from({ length: RFC2819_COUNTERS }, () => data.u64());
      } else if (experimenter === INTEL_VENDOR && expType === 2) {
        data.need(4, "OFPBPC_BAD_LEN");
        data.skip(2);
        const count = data.u16();
        for (let i = 0; i < count; i++) {
          data.need(1, "OFPBPC_BAD_LEN");
          const size = data.u8();
          data.need(size + 8, "OFPBPC_BAD_LEN");
          const name = data.text(size);
          s.custom.push({ name, value: data.u64() });
        }
      }
    }
  }
  return s;
}

const INTEL_VENDOR = 0x0000aa01;
/** Of RFC 2819, in the order of Intel's extension: text/port.ts names them. */
const RFC2819_COUNTERS = 21;

export function writePortStats(w: Writer, s: PortStats, version: number): void {
  const start = w.pos;
  if (version >= 5) w.u32(0);
  writePort(w, s.port, version);
  if (version < 5) w.zeros(version === 1 ? 6 : 4);
  else writeDuration(w, s.duration);
  for (const value of [
    s.rxPackets,
    s.txPackets,
    s.rxBytes,
    s.txBytes,
    s.rxDropped,
    s.txDropped,
    s.rxErrors,
    s.txErrors,
  ]) {
    w.u64(value);
  }
  const errors = [s.rxFrameErr, s.rxOverErr, s.rxCrcErr, s.collisions];
  if (version < 5) {
    for (const value of errors) w.u64(value);
    if (version === 4) writeDuration(w, s.duration);
    return;
  }
  property(w, 0, () => {
    w.u32(0);
    for (const value of errors) w.u64(value);
  });
  if (s.rfc2819 !== undefined) {
    property(w, 0xffff, () => {
      w.u32(INTEL_VENDOR);
      w.u32(1);
      w.u32(0);
      for (const value of s.rfc2819!) w.u64(value);
    });
  }
  if (s.custom.length > 0) {
    property(w, 0xffff, () => {
      w.u32(INTEL_VENDOR);
      w.u32(2);
      w.u16(0);
      w.u16(s.custom.length);
      for (const { name, value } of s.custom) {
        const text = new TextEncoder().encode(name);
        w.u8(text.length);
        w.put(text);
        w.u64(value);
      }
    });
  }
  w.setU16(start, w.pos - start);
}

function writeDuration(w: Writer, d: { sec: number; nsec: number } | undefined): void {
  w.u32(d?.sec ?? 0xffffffff);
  w.u32(d?.nsec ?? 0xffffffff);
}

const portReply = rows<PortReply>(
  {
    name: "OFPST_PORT reply",
    type: "port-reply",
    kind: "reply",
    decode(r, version) {
      const ports: PortStats[] = [];
      while (r.left > 0) ports.push(readPortStats(r, version));
      return { type: "port-reply", ports };
    },
    encode(m, w, version) {
      for (const s of m.ports) writePortStats(w, s, version);
    },
  },
  [4, 1, 3, 0, 104],
  [4, 4, 4, 0, 112],
  [4, 5, 6, 0, 1],
);

const queueRequest = rows<QueueRequest>(
  {
    name: "OFPST_QUEUE request",
    type: "queue-request",
    kind: "request",
    decode(r, version) {
      const port = readPort(r, version, "OFPQOFC_BAD_PORT");
      if (version === 1) r.skip(2);
      const anyPort = version === 1 && port === 0xfffc ? 0xffff : port;
      return { type: "queue-request", port: anyPort, queue: r.u32() };
    },
    encode(m, w, version) {
      writePort(w, version === 1 && m.port === 0xffff ? 0xfffc : m.port, version);
      if (version === 1) w.u16(0);
      w.u32(m.queue);
    },
  },
  [5, 1, 6, 8, 0],
);

const queueReply = rows<QueueReply>(
  {
    name: "OFPST_QUEUE reply",
    type: "queue-reply",
    kind: "reply",
    decode(r, version) {
      const queues: QueueStats[] = [];
      while (r.left > 0) {
        let body = r;
        if (version >= 5) {
          r.need(48, "OFPBRC_BAD_LEN");
          const length = r.u16();
          if (length < 48 || r.left + 2 < length) throw new OfpError("OFPBRC_BAD_LEN");
          body = r.sub(length - 2);
          body.skip(6);
        }
        const port = readPort(body, version);
        if (version === 1) body.skip(2);
        const queue = body.u32();
        const txBytes = body.u64();
        const txPackets = body.u64();
        const txErrors = body.u64();
        let duration: QueueStats["duration"];
        if (version >= 4) {
          duration = { sec: body.u32(), nsec: body.u32() };
          if (duration.sec === 0xffffffff) duration = undefined;
        }
        queues.push({ port, queue, txBytes, txPackets, txErrors, duration });
      }
      return { type: "queue-reply", queues };
    },
    encode(m, w, version) {
      for (const q of m.queues) {
        if (version >= 5) {
          w.u16(48);
          w.zeros(6);
        }
        writePort(w, q.port, version);
        if (version === 1) w.u16(0);
        w.u32(q.queue);
        w.u64(q.txBytes);
        w.u64(q.txPackets);
        w.u64(q.txErrors);
        if (version >= 4) writeDuration(w, q.duration);
      }
    },
  },
  [5, 1, 3, 0, 32],
  [5, 4, 4, 0, 40],
  [5, 5, 6, 0, 1],
);

const queueConfigRequest: MessageRow[] = [
  ...rows<QueueGetConfigRequest>(
    {
      name: "OFPT_QUEUE_GET_CONFIG_REQUEST",
      type: "queue-get-config-request",
      kind: "msg",
      decode: (r, version) => ({
        type: "queue-get-config-request",
        port: readPort(r, version, "OFPQOFC_BAD_PORT"),
        queue: 0xffffffff,
      }),
      encode(m, w, version) {
        writePort(w, m.port, version);
        w.zeros(version === 1 ? 2 : 4);
      },
    },
    [20, 1, 1, 4, 0],
    [22, 2, 4, 8, 0],
  ),
  message<QueueGetConfigRequest>({
    name: "OFPST_QUEUE_DESC request",
    type: "queue-get-config-request",
    kind: "request",
    number: 15,
    first: 5,
    last: 6,
    min: 8,
    unit: 0,
    decode: (r) => ({ type: "queue-get-config-request", port: portFromWire(r.u32()), queue: r.u32() }),
    encode(m, w) {
      w.u32(portToWire(m.port));
      w.u32(m.queue);
    },
  }),
];

function readQueueProps(body: Reader, q: QueueProps, version: number): void {
  if (version >= 5) {
    for (const { type, data } of properties(body)) rate(q, type, data);
    return;
  }
  while (body.left >= 8) {
    const type = body.u16();
    const length = body.u16();
    if (length < 8 || body.left + 4 < length) throw new OfpError("OFPBRC_BAD_LEN");
    const data = body.sub(length - 4);
    data.skip(4);
    rate(q, type, data);
  }
}

function rate(q: QueueProps, type: number, data: Reader): void {
  if (data.left < 2) return;
  const value = data.u16();
  if (type === 1) q.minRate = value;
  else if (type === 2) q.maxRate = value;
}

const queueConfigReply: MessageRow[] = [
  ...rows<QueueGetConfigReply>(
    {
      name: "OFPT_QUEUE_GET_CONFIG_REPLY",
      type: "queue-get-config-reply",
      kind: "msg",
      decode(r, version) {
        const port = readPort(r, version);
        r.skip(version === 1 ? 6 : 4);
        const queues: QueueProps[] = [];
        while (r.left > 0) {
          const start = r.pos;
          r.need(version < 3 ? 8 : 16, "OFPBRC_BAD_LEN");
          const queue = r.u32();
          if (version >= 3) r.skip(4);
          const length = r.u16();
          r.skip(version < 3 ? 2 : 6);
          if (length < r.pos - start || start + length > r.end) throw new OfpError("OFPBRC_BAD_LEN");
          const q: QueueProps = { queue, port, minRate: undefined, maxRate: undefined };
          readQueueProps(r.sub(start + length - r.pos), q, version);
          queues.push(q);
        }
        return { type: "queue-get-config-reply", port, queues };
      },
      encode(m, w, version) {
        writePort(w, m.port, version);
        w.zeros(version === 1 ? 6 : 4);
        for (const q of m.queues) {
          const start = w.pos;
          w.u32(q.queue);
          if (version >= 3) w.u32(portToWire(q.port));
          const at = w.pos;
          w.u16(0);
          w.zeros(version < 3 ? 2 : 6);
          for (const [type, value] of [
            [1, q.minRate],
            [2, q.maxRate],
          ] as const) {
            if (value === undefined) continue;
            w.u16(type);
            w.u16(16);
            w.u32(0);
            w.u16(value);
            w.zeros(6);
          }
          w.setU16(at, w.pos - start);
        }
      },
    },
    [21, 1, 1, 8, 1],
    [23, 2, 4, 8, 1],
  ),
  message<QueueGetConfigReply>({
    name: "OFPST_QUEUE_DESC reply",
    type: "queue-get-config-reply",
    kind: "reply",
    number: 15,
    first: 5,
    last: 6,
    min: 0,
    unit: 1,
    decode(r, version) {
      const queues: QueueProps[] = [];
      while (r.left > 0) {
        r.need(16, "OFPBRC_BAD_LEN");
        const start = r.pos;
        const port = portFromWire(r.u32());
        const queue = r.u32();
        const length = r.u16();
        r.skip(6);
        if (length < 16 || start + length > r.end) throw new OfpError("OFPBRC_BAD_LEN");
        const q: QueueProps = { queue, port, minRate: undefined, maxRate: undefined };
        readQueueProps(r.sub(length - 16), q, version);
        queues.push(q);
      }
      return { type: "queue-get-config-reply", port: queues[0]?.port ?? 0, queues };
    },
    encode(m, w) {
      for (const q of m.queues) {
        const start = w.pos;
        w.u32(portToWire(q.port));
        w.u32(q.queue);
        const at = w.pos;
        w.u16(0);
        w.zeros(6);
        if (q.minRate !== undefined) property(w, 1, () => w.u32(q.minRate! << 16));
        if (q.maxRate !== undefined) property(w, 2, () => w.u32(q.maxRate! << 16));
        w.setU16(at, w.pos - start);
      }
    },
  }),
];

export const PORT_ROWS: readonly MessageRow[] = [
  ...portStatus,
  ...portMod,
  ...portDescRequest,
  ...portDescReply,
  ...portRequest,
  ...portReply,
  ...queueRequest,
  ...queueReply,
  ...queueConfigRequest,
  ...queueConfigReply,
];
