/** Actions that send packets: output, controller, enqueue, group, bundle. Rows of the action registry. */
import {
  type BundleAction,
  type ControllerAction,
  type Enqueue,
  type GroupAction,
  type HashFields,
  OFPP_CONTROLLER,
  OFPP_IN_PORT,
  OFPP_LOCAL,
  OFPP_MAX,
  type Output,
  type OutputReg,
  type OutputTrunc,
} from "../actions.ts";
import { OfpError } from "../errors.ts";
import { formatPort, parsePort, portFromWire, writePort } from "../ports.ts";
import {
  type ActionRow,
  begin,
  beginNx,
  checkSubfield,
  dottedHex,
  end,
  formatSubfield,
  hexBytes,
  keyValues,
  long,
  mustBeZero,
  nx,
  nxHeaderBytes,
  of,
  offsetBits,
  parseSubfield,
  readFieldHeader,
  readLongFieldHeader,
  restZero,
  row,
  showPort,
  subfieldOf,
  TextError,
  u16,
  u32,
  within,
  writeNxFieldHeader,
} from "./row.ts";

/** A packet can be sent there. */
export function isOutputPort(p: number): boolean {
  return p < OFPP_MAX || (p >= OFPP_IN_PORT && p <= OFPP_LOCAL);
}

function checkOutputPort(p: number): void {
  if (!isOutputPort(p)) throw new OfpError("OFPBAC_BAD_OUT_PORT");
}

const output: ActionRow<Output> = {
  types: ["output"],
  wire: [
    of("OUTPUT", 0, 1, 1, 8, (r) => {
      const p = r.u16();
      checkOutputPort(p);
      return { type: "output", port: p, maxLen: r.u16() };
    }),
    of("OUTPUT", 0, 2, 6, 16, (r) => {
      const p = portFromWire(r.u32());
      const maxLen = r.u16();
      checkOutputPort(p);
      return { type: "output", port: p, maxLen };
    }),
  ],
  encode(a, w, version) {
    const start = begin(w, 0);
    writePort(w, a.port, version);
    w.u16(a.maxLen);
    end(w, start);
  },
  format(a, c) {
    if (a.port < OFPP_MAX) return `output:${showPort(a.port, c)}`;
    if (a.port === OFPP_CONTROLLER) return `CONTROLLER:${a.maxLen}`;
    return formatPort(a.port, c.ports);
  },
  words: {
    output(arg, c) {
      if (arg.startsWith("port=") || arg.includes("max_len=")) {
        parseTrunc(arg, c);
        return;
      }
      const p = parsePort(arg, c.ports);
      if (p !== undefined)
        c.out.push({ type: "output", port: p, maxLen: p === OFPP_CONTROLLER ? 0xffff : 0 });
      else {
        let src: OutputReg["src"];
        try {
          src = parseSubfield(arg);
        } catch {
          throw new TextError(`${arg}: output to unknown port`);
        }
        c.out.push({ type: "output_reg", src, maxLen: 0xffff });
      }
    },
  },
};

function parseTrunc(arg: string, c: Parameters<ActionRow["words"][string]>[1]): void {
  let p: number | undefined;
  let maxLen = 0;
  for (const { key, value } of keyValues(arg)) {
    if (key === "port") {
      p = parsePort(value, c.ports);
      if (p === undefined) throw new TextError(`output to unknown truncate port: ${value}`);
      if (p >= OFPP_MAX && p !== OFPP_LOCAL && p !== OFPP_IN_PORT) {
        throw new TextError(`output to unsupported truncate port: ${value}`);
      }
    } else if (key === "max_len") {
      maxLen = u32(value);
      if (maxLen < 14)
        throw new TextError("max_len 0 is less than the minimum value 14".replace(" 0 ", ` ${maxLen} `));
    } else {
      throw new TextError(`invalid key '${key}' in output_trunc argument`);
    }
  }
  c.out.push({ type: "output_trunc", port: p ?? 0, maxLen });
}

const outputReg: ActionRow<OutputReg> = {
  types: ["output_reg"],
  wire: [
    nx("OUTPUT_REG", 15, 24, (r) => {
      const packed = r.u16();
      const field = readFieldHeader(r);
      const maxLen = r.u16();
      mustBeZero(r, 6, "OFPBAC_BAD_ARGUMENT");
      return { type: "output_reg", src: checkSubfield(subfieldOf(field, packed), false), maxLen };
    }),
    nx("OUTPUT_REG2", 32, 24, (r) => {
      const packed = r.u16();
      const maxLen = r.u16();
      const field = readLongFieldHeader(r);
      restZero(r);
      return { type: "output_reg", src: checkSubfield(subfieldOf(field, packed), false), maxLen };
    }),
  ],
  encode(a, w) {
    if (nxHeaderBytes(a.src.field) === 4) {
      const start = beginNx(w, 15);
      w.u16(offsetBits(a.src));
      writeNxFieldHeader(w, a.src.field);
      w.u16(a.maxLen);
      w.zeros(6);
      end(w, start);
    } else {
      const start = beginNx(w, 32);
      w.u16(offsetBits(a.src));
      w.u16(a.maxLen);
      writeNxFieldHeader(w, a.src.field);
      w.zeros(Math.max(0, 24 - (w.pos - start)));
      end(w, start);
    }
  },
  format: (a) => `output:${formatSubfield(a.src)}`,
  words: {},
};

const outputTrunc: ActionRow<OutputTrunc> = {
  types: ["output_trunc"],
  wire: [
    nx("OUTPUT_TRUNC", 39, 16, (r) => {
      const p = r.u16();
      const maxLen = r.u32();
      if (maxLen < 14) throw new OfpError("OFPBAC_BAD_ARGUMENT");
      if (p >= OFPP_MAX && p !== OFPP_IN_PORT && p !== OFPP_LOCAL) throw new OfpError("OFPBAC_BAD_OUT_PORT");
      return { type: "output_trunc", port: p, maxLen };
    }),
  ],
  encode(a, w) {
    const start = beginNx(w, 39);
    w.u16(a.port);
    w.u32(a.maxLen);
    end(w, start);
  },
  format: (a, c) => `output(port=${showPort(a.port, c)},max_len=${a.maxLen})`,
  words: {},
};

const group: ActionRow<GroupAction> = {
  types: ["group"],
  wire: [
    of("GROUP", 22, 2, 6, 8, (r) => ({ type: "group", groupId: r.u32() })),
    within(
      1,
      1,
      nx("GROUP", 40, 16, (r) => {
        r.skip(2);
        return { type: "group", groupId: r.u32() };
      }),
    ),
  ],
  encode(a, w, version) {
    if (version >= 2) {
      const start = begin(w, 22);
      w.u32(a.groupId);
      end(w, start);
    } else {
      const start = beginNx(w, 40);
      w.u16(0);
      w.u32(a.groupId);
      end(w, start);
    }
  },
  format: (a) => `group:${a.groupId}`,
  words: {
    group(arg, c) {
      c.out.push({ type: "group", groupId: u32(arg) });
    },
  },
};

/** Inside the switch: a flow that matches everything at the lowest priority sent it; a table without a match did. */
export const OFPR_EXPLICIT_MISS = 6;
export const OFPR_IMPLICIT_MISS = 7;

function reasonText(reason: number): string {
  return reason === OFPR_EXPLICIT_MISS || reason === OFPR_IMPLICIT_MISS
    ? ""
    : (REASONS[reason] ?? `${reason}`);
}

export const REASONS = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];

function plainController(): ControllerAction {
  return {
    type: "controller",
    maxLen: 0xffff,
    controllerId: 0,
    reason: 1,
    meterId: 0,
    pause: false,
    userdata: new Uint8Array(0),
  };
}

const controller: ActionRow<ControllerAction> = {
  types: ["controller"],
  wire: [
    nx("CONTROLLER", 20, 16, (r) => {
      const maxLen = r.u16();
      const controllerId = r.u16();
      const reason = r.u8();
      return { ...plainController(), maxLen, controllerId, reason };
    }),
    long(
      nx("CONTROLLER2", 37, 16, (r) => {
        mustBeZero(r, 6);
        return readController2(r);
      }),
    ),
  ],
  encode(a, w) {
    if (a.userdata.length === 0 && !a.pause && a.meterId === 0) {
      const start = beginNx(w, 20);
      w.u16(a.maxLen);
      w.u16(a.controllerId);
      w.u8(a.reason);
      end(w, start);
      return;
    }
    const start = beginNx(w, 37);
    w.zeros(6);
    if (a.maxLen !== 0xffff) prop(w, 0, () => w.u32(a.maxLen << 16));
    if (a.controllerId !== 0) prop(w, 1, () => w.u32(a.controllerId << 16));
    if (a.reason !== 1) prop(w, 2, () => w.u8(a.reason));
    if (a.userdata.length > 0) prop(w, 3, () => w.put(a.userdata));
    if (a.pause) prop(w, 4, () => {});
    if (a.meterId !== 0) prop(w, 5, () => w.u32(a.meterId));
    end(w, start);
  },
  format(a) {
    if (a.reason === 1 && a.controllerId === 0 && a.userdata.length === 0 && !a.pause && a.meterId === 0) {
      return `CONTROLLER:${a.maxLen}`;
    }
    const parts: string[] = [];
    if (a.reason !== 1) parts.push(`reason=${reasonText(a.reason)}`);
    if (a.maxLen !== 0xffff) parts.push(`max_len=${a.maxLen}`);
    if (a.controllerId !== 0) parts.push(`id=${a.controllerId}`);
    if (a.userdata.length > 0) parts.push(`userdata=${dottedHex(a.userdata)}`);
    if (a.pause) parts.push("pause");
    if (a.meterId !== 0) parts.push(`meter_id=${a.meterId}`);
    return `controller(${parts.join(",")})`;
  },
  words: {
    controller(arg, c) {
      if (!arg.includes("=") && (arg === "" || /^\d|^0x/.test(arg))) {
        c.out.push({
          type: "output",
          port: OFPP_CONTROLLER,
          maxLen: arg === "" ? 0xffff : u16(arg, "max_len"),
        });
        return;
      }
      const a = plainController();
      for (const { key, value } of keyValues(arg)) {
        if (key === "reason") {
          a.reason = REASONS.indexOf(value);
          if (a.reason < 0) throw new TextError(`unknown reason "${value}"`);
        } else if (key === "max_len") a.maxLen = u16(value, "max_len");
        else if (key === "id") a.controllerId = u16(value, "id");
        else if (key === "userdata") a.userdata = hexBytes(value);
        else if (key === "pause") a.pause = true;
        else if (key === "meter_id") a.meterId = u32(value);
        else throw new TextError(`unknown key "${key}" parsing controller action`);
      }
      if (a.reason === 1 && a.controllerId === 0 && a.userdata.length === 0 && !a.pause && a.meterId === 0) {
        c.out.push({ type: "output", port: OFPP_CONTROLLER, maxLen: a.maxLen });
      } else c.out.push(a);
    },
    CONTROLLER(arg, c) {
      this.controller!(arg, c);
    },
  },
};

function prop(w: Parameters<ActionRow["encode"]>[1], type: number, body: () => void): void {
  const start = w.pos;
  w.u16(type);
  w.u16(0);
  body();
  w.setU16(start + 2, w.pos - start);
  w.pad(start);
}

/** Least lengths of the values: max_len, controller id, reason, userdata, pause and meter. */
const CONTROLLER_PROPS = [2, 2, 1, 0, 0, 4];

function readController2(r: Parameters<NonNullable<ActionRow["wire"][0]>["decode"]>[0]): ControllerAction {
  const a = plainController();
  while (r.left > 0) {
    r.need(4, "OFPBPC_BAD_LEN");
    const type = r.u16();
    const length = r.u16();
    if (length < 4 || r.left + 4 < length) throw new OfpError("OFPBPC_BAD_LEN");
    const body = r.sub(length - 4);
    r.skip(Math.min(r.left, ((length + 7) & ~7) - length));
    body.need(CONTROLLER_PROPS[type] ?? 0, "OFPBPC_BAD_LEN");
    if (type === 0) a.maxLen = body.u16();
    else if (type === 1) a.controllerId = body.u16();
    else if (type === 2) a.reason = body.u8();
    else if (type === 3) a.userdata = body.take(body.left);
    else if (type === 4) a.pause = true;
    else if (type === 5) a.meterId = body.u32();
    else throw new OfpError("OFPBPC_BAD_TYPE");
  }
  return a;
}

const enqueue: ActionRow<Enqueue> = {
  types: ["enqueue"],
  wire: [
    of("ENQUEUE", 11, 1, 1, 16, (r) => {
      const p = r.u16();
      r.skip(6);
      if (p >= OFPP_MAX && p !== OFPP_IN_PORT && p !== OFPP_LOCAL) throw new OfpError("OFPBAC_BAD_OUT_PORT");
      return { type: "enqueue", port: p, queue: r.u32() };
    }),
  ],
  encode(a, w, version) {
    if (version === 1) {
      const start = begin(w, 11);
      w.u16(a.port);
      w.zeros(6);
      w.u32(a.queue);
      end(w, start);
      return;
    }
    let start = begin(w, 21);
    w.u32(a.queue);
    end(w, start);
    start = begin(w, 0);
    writePort(w, a.port, version);
    w.u16(0xffff);
    end(w, start);
    start = beginNx(w, 5);
    w.zeros(6);
    end(w, start);
  },
  format: (a, c) => `enqueue:${showPort(a.port, c)}:${a.queue}`,
  words: {
    enqueue(arg, c) {
      const match = /^("(?:[^"\\]|\\.)*"|[^:,]*)[:,](.*)$/.exec(arg);
      if (match === null) {
        throw new TextError('"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"');
      }
      const p = parsePort(match[1]!, c.ports);
      if (p === undefined) throw new TextError(`${match[1]}: enqueue to unknown port`);
      c.out.push({ type: "enqueue", port: p, queue: u32(match[2]!) });
    },
  },
};

export const HASH_FIELDS: readonly HashFields[] = [
  "eth_src",
  "symmetric_l4",
  "symmetric_l3l4",
  "symmetric_l3l4+udp",
  "nw_src",
  "nw_dst",
  "symmetric_l3",
];
const BUNDLE_ALGORITHMS = ["active_backup", "hrw"] as const;

const bundle: ActionRow<BundleAction> = {
  types: ["bundle"],
  wire: [
    long(nx("BUNDLE", 12, 32, (r) => readBundle(r, false))),
    long(nx("BUNDLE_LOAD", 13, 32, (r) => readBundle(r, true))),
  ],
  encode(a, w) {
    const start = beginNx(w, a.dst === undefined ? 12 : 13);
    w.u16(BUNDLE_ALGORITHMS.indexOf(a.algorithm));
    w.u16(HASH_FIELDS.indexOf(a.fields));
    w.u16(a.basis);
    w.u32(0x00000002);
    w.u16(a.members.length);
    w.u16(a.dst === undefined ? 0 : offsetBits(a.dst));
    if (a.dst === undefined) w.u32(0);
    else writeNxFieldHeader(w, a.dst.field);
    w.zeros(Math.max(0, 32 - (w.pos - start)));
    for (const member of a.members) w.u16(member);
    end(w, start);
  },
  format(a, c) {
    const dst = a.dst === undefined ? "" : `${formatSubfield(a.dst)},`;
    const members = a.members.map((p) => showPort(p, c)).join(",");
    const name = a.dst === undefined ? "bundle" : "bundle_load";
    return `${name}(${a.fields},${a.basis},${a.algorithm},ofport,${dst}members:${members})`;
  },
  words: {
    bundle: (arg, c) => parseBundle(arg, c, false),
    bundle_load: (arg, c) => parseBundle(arg, c, true),
  },
};

type R = Parameters<NonNullable<ActionRow["wire"][0]>["decode"]>[0];

function readBundle(r: R, load: boolean): BundleAction {
  const algorithm = BUNDLE_ALGORITHMS[r.u16()];
  const fields = HASH_FIELDS[r.u16()];
  const basis = r.u16();
  const memberType = r.u32();
  const count = r.u16();
  const packed = r.u16();
  if (r.left - 8 < count * 2) throw new OfpError("OFPBAC_BAD_LEN");
  if (algorithm === undefined || fields === undefined || memberType !== 2 || count > 2048) {
    throw new OfpError("OFPBAC_BAD_ARGUMENT");
  }
  let dst: BundleAction["dst"];
  if (load) {
    dst = checkSubfield(subfieldOf(readFieldHeader(r), packed), true);
    if (dst.bits < 16) throw new OfpError("OFPBAC_BAD_ARGUMENT");
    r.skip(4);
  } else {
    if (packed !== 0) throw new OfpError("OFPBAC_BAD_ARGUMENT");
    mustBeZero(r, 8, "OFPBAC_BAD_ARGUMENT");
  }
  const members: number[] = [];
  for (let i = 0; i < count; i++) members.push(r.u16());
  return { type: "bundle", fields, basis, algorithm, dst, members };
}

function parseBundle(arg: string, c: Parameters<ActionRow["words"][string]>[1], load: boolean): void {
  const name = load ? "bundle_load" : "bundle";
  const marker = /(?:members|slaves):/.exec(arg);
  const head = (marker === null ? arg : arg.slice(0, marker.index)).split(/[, ]+/).filter((s) => s !== "");
  if (head.length < (load ? 5 : 4)) throw new TextError(`${arg}: not enough arguments to ${name} action`);
  if (marker === null) {
    const word = head[load ? 5 : 4];
    throw new TextError(
      word === undefined
        ? `${arg}: not enough arguments to ${name} action`
        : `${arg}: missing member delimiter, expected \`members', got \`${word.split(":", 1)[0]}'`,
    );
  }
  const fields = head[0] as HashFields;
  if (!HASH_FIELDS.includes(fields)) throw new TextError(`${arg}: unknown fields \`${head[0]}'`);
  const algorithm = head[2] as BundleAction["algorithm"];
  if (!BUNDLE_ALGORITHMS.includes(algorithm)) throw new TextError(`${arg}: unknown algorithm \`${head[2]}'`);
  if (head[3] !== "ofport") throw new TextError(`${arg}: unknown member_type \`${head[3]}'`);
  const members: number[] = [];
  for (const word of arg.slice(marker.index + marker[0].length).split(/[, []+|\]/)) {
    if (word === "") continue;
    const p = parsePort(word, c.ports);
    if (p === undefined) throw new TextError(`${word}: bad port number`);
    members.push(p);
  }
  const dst = load ? parseSubfield(head[4]!) : undefined;
  if (dst !== undefined && !dst.field.writable)
    throw new TextError(`${arg}: experimenter OXM field '${head[4]}' not supported`);
  c.out.push({ type: "bundle", fields, basis: Number(head[1]), algorithm, dst, members });
}

export const OUTPUT_ROWS: readonly ActionRow[] = [
  row(output),
  row(outputReg),
  row(outputTrunc),
  row(group),
  row(controller),
  row(enqueue),
  row(bundle),
];
