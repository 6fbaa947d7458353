/** Actions and instructions that steer the pipeline. Rows of the action registry (learn and ct are in ./learn.ts, ./ct.ts). */
import {
  type Bare,
  type Clone,
  type Conjunction,
  type FinTimeout,
  type GotoTable,
  type HashFields,
  type MeterAction,
  type Multipath,
  type Note,
  OFPP_IN_PORT,
  OFPP_NONE,
  type Resubmit,
  type Sample,
  type Subfield,
  type WriteActions,
  type WriteMetadata,
} from "../actions.ts";
import { OfpError } from "../errors.ts";
import { parsePort } from "../ports.ts";
import { USABLE_11_UP, USABLE_13_UP } from "../protocols.ts";
import type { Reader, Writer } from "../wire.ts";
import { HASH_FIELDS } from "./output.ts";
import {
  type ActionRow,
  begin,
  beginNx,
  checkSubfield,
  dottedHex,
  end,
  formatSubfield,
  hex,
  keyValues,
  long,
  mustBeZero,
  needPlainHeader,
  nx,
  of,
  offsetBits,
  type ParseContext,
  parseBig,
  parseSubfield,
  readFieldHeader,
  row,
  showPort,
  showTable,
  subfieldOf,
  TextError,
  table,
  u16,
  u32,
  writeNxFieldHeader,
} from "./row.ts";

const resubmit: ActionRow<Resubmit> = {
  types: ["resubmit"],
  wire: [
    nx("RESUBMIT", 1, 16, (r) => ({ type: "resubmit", port: r.u16(), table: 0xff, withCtOrig: false })),
    nx("RESUBMIT_TABLE", 14, 16, (r) => {
      const port = r.u16();
      const t = r.u8();
      mustBeZero(r, 3, "OFPBAC_BAD_ARGUMENT");
      return { type: "resubmit", port, table: t, withCtOrig: false };
    }),
    nx("RESUBMIT_TABLE_CT", 44, 16, (r) => {
      const port = r.u16();
      const t = r.u8();
      mustBeZero(r, 3, "OFPBAC_BAD_ARGUMENT");
      return { type: "resubmit", port, table: t, withCtOrig: true };
    }),
  ],
  encode(a, w) {
    const start = beginNx(w, a.withCtOrig ? 44 : a.table === 0xff ? 1 : 14);
    w.u16(a.port);
    w.u8(a.withCtOrig || a.table !== 0xff ? a.table : 0);
    w.zeros(3);
    end(w, start);
  },
  format(a, c) {
    if (a.port !== OFPP_IN_PORT && a.table === 0xff && !a.withCtOrig)
      return `resubmit:${showPort(a.port, c)}`;
    const port = a.port === OFPP_IN_PORT ? "" : showPort(a.port, c);
    const t = a.table === 0xff ? "" : showTable(a.table, c);
    return `resubmit(${port},${t}${a.withCtOrig ? ",ct" : ""})`;
  },
  words: {
    resubmit(arg, c) {
      const parts = arg.split(",");
      const portText = parts[0]!.trim();
      let port = OFPP_IN_PORT;
      if (portText !== "") {
        const parsed = parsePort(portText, c.ports);
        if (parsed === undefined) throw new TextError(`${portText}: resubmit to unknown port`);
        port = parsed;
      }
      let t = 0xff;
      const tableText = parts[1]?.trim() ?? "";
      if (tableText !== "") {
        const value = Number(tableText);
        const named = c.tables?.numberOf(tableText);
        if (named !== undefined) t = named;
        else if (Number.isInteger(value) && value >= 0 && value <= 255) t = value;
        else throw new TextError(`${tableText}: resubmit to unknown table`);
      }
      const ctText = parts[2]?.trim() ?? "";
      if (ctText !== "" && ctText !== "ct") throw new TextError(`${ctText}: unknown parameter`);
      if (port === OFPP_IN_PORT && t === 255) {
        throw new TextError('at least one "in_port" or "table" must be specified on resubmit');
      }
      c.out.push({ type: "resubmit", port, table: t, withCtOrig: ctText === "ct" });
    },
  },
};

const finTimeout: ActionRow<FinTimeout> = {
  types: ["fin_timeout"],
  wire: [nx("FIN_TIMEOUT", 19, 16, (r) => ({ type: "fin_timeout", idleSec: r.u16(), hardSec: r.u16() }))],
  encode(a, w) {
    const start = beginNx(w, 19);
    w.u16(a.idleSec);
    w.u16(a.hardSec);
    w.u16(0);
    end(w, start);
  },
  format(a) {
    const parts: string[] = [];
    if (a.idleSec !== 0) parts.push(`idle_timeout=${a.idleSec}`);
    if (a.hardSec !== 0) parts.push(`hard_timeout=${a.hardSec}`);
    return `fin_timeout(${parts.join(",")})`;
  },
  words: {
    fin_timeout(arg, c) {
      const a: FinTimeout = { type: "fin_timeout", idleSec: 0, hardSec: 0 };
      for (const { key, value } of keyValues(arg)) {
        if (key === "idle_timeout") a.idleSec = u16(value, key);
        else if (key === "hard_timeout") a.hardSec = u16(value, key);
        else throw new TextError(`invalid key '${key}' in 'fin_timeout' argument`);
      }
      c.out.push(a);
    },
  },
};

const conjunction: ActionRow<Conjunction> = {
  types: ["conjunction"],
  wire: [
    nx("CONJUNCTION", 34, 16, (r) => {
      const clause = r.u8();
      const nClauses = r.u8();
      const id = r.u32();
      if (nClauses < 2 || nClauses > 64 || clause >= nClauses) throw new OfpError("NXBAC_BAD_CONJUNCTION");
      return { type: "conjunction", id, clause, nClauses };
    }),
  ],
  encode(a, w) {
    const start = beginNx(w, 34);
    w.u8(a.clause);
    w.u8(a.nClauses);
    w.u32(a.id);
    end(w, start);
  },
  format: (a) => `conjunction(${a.id},${a.clause + 1}/${a.nClauses})`,
  words: {
    conjunction(arg, c) {
      const match = /^\s*(\d+)\s*,\s*(\d+)\s*\/\s*(\d+)\s*$/.exec(arg);
      if (match === null) throw new TextError('"conjunction" syntax is "conjunction(id,i/n)"');
      const id = Number(match[1]);
      const clause = Number(match[2]);
      const nClauses = Number(match[3]);
      if (nClauses < 2) throw new TextError("conjunction must have at least 2 clauses");
      if (nClauses > 64) throw new TextError("conjunction must have at most 64 clauses");
      if (clause < 1) throw new TextError("clause index must be positive");
      if (clause > nClauses)
        throw new TextError("clause index must be less than or equal to number of clauses");
      c.out.push({ type: "conjunction", id, clause: clause - 1, nClauses });
    },
  },
};

const MULTIPATH_ALGORITHMS = ["modulo_n", "hash_threshold", "hrw", "iter_hash"] as const;

const multipath: ActionRow<Multipath> = {
  types: ["multipath"],
  wire: [
    long(
      nx("MULTIPATH", 10, 32, (r) => {
        const fields = HASH_FIELDS[r.u16()];
        const basis = r.u16();
        r.skip(2);
        const algorithm = MULTIPATH_ALGORITHMS[r.u16()];
        const maxLink = r.u16();
        const arg = r.u32();
        r.skip(2);
        const packed = r.u16();
        const dst = checkSubfield(subfieldOf(readFieldHeader(r), packed), true);
        if (fields === undefined || algorithm === undefined) throw new OfpError("OFPBAC_BAD_ARGUMENT");
        if (dst.bits < 16 && maxLink + 1 > 2 ** dst.bits) throw new OfpError("OFPBAC_BAD_ARGUMENT");
        return { type: "multipath", fields, basis, algorithm, maxLink, arg, dst };
      }),
    ),
  ],
  encode(a, w) {
    const start = beginNx(w, 10);
    w.u16(HASH_FIELDS.indexOf(a.fields));
    w.u16(a.basis);
    w.u16(0);
    w.u16(MULTIPATH_ALGORITHMS.indexOf(a.algorithm));
    w.u16(a.maxLink);
    w.u32(a.arg);
    w.u16(0);
    w.u16(offsetBits(a.dst));
    writeNxFieldHeader(w, a.dst.field);
    end(w, start);
  },
  format: (a) =>
    `multipath(${a.fields},${a.basis},${a.algorithm},${a.maxLink + 1},${a.arg},${formatSubfield(a.dst)})`,
  words: {
    multipath(arg, c) {
      const parts = arg.split(/[, ]+/).filter((s) => s !== "");
      if (parts.length < 6) throw new TextError(`${arg}: not enough arguments to multipath action`);
      const fields = parts[0] as HashFields;
      if (!HASH_FIELDS.includes(fields)) throw new TextError(`${arg}: unknown fields \`${parts[0]}'`);
      const algorithm = parts[2] as Multipath["algorithm"];
      if (!MULTIPATH_ALGORITHMS.includes(algorithm))
        throw new TextError(`${arg}: unknown algorithm \`${parts[2]}'`);
      const links = Number.parseInt(parts[3]!, 10);
      if (!(links >= 1 && links <= 65536))
        throw new TextError(`${arg}: n_links ${links} is not in valid range 1 to 65536`);
      const dst = parseSubfield(parts[5]!);
      needPlainHeader(dst.field, arg);
      if (!dst.field.writable) throw new TextError(`${dst.field.name} is read-only`);
      if (dst.bits < 16 && links > 2 ** dst.bits) {
        throw new TextError(
          `${arg}: ${dst.bits}-bit destination field has ${2 ** dst.bits} possible values, less than specified n_links ${links}`,
        );
      }
      c.out.push({
        type: "multipath",
        fields,
        basis: Number(parts[1]),
        algorithm,
        maxLink: links - 1,
        arg: Number(parts[4]),
        dst,
      });
    },
  },
};

const note: ActionRow<Note> = {
  types: ["note"],
  wire: [long(nx("NOTE", 8, 16, (r) => ({ type: "note", data: r.take(r.left) })))],
  encode(a, w) {
    const start = beginNx(w, 8);
    w.put(a.data);
    if (a.data.length === 0) w.zeros(6);
    end(w, start);
  },
  format: (a) => `note:${dottedHex(a.data)}`,
  words: {
    note(arg, c) {
      const digits = arg.replace(/\./g, "");
      if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new TextError("bad hex digit in `note' argument");
      const bytes = (digits.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16));
      while (bytes.length % 8 !== 6) bytes.push(0);
      c.out.push({ type: "note", data: Uint8Array.from(bytes) });
    },
  },
};

const sample: ActionRow<Sample> = {
  types: ["sample"],
  wire: [
    nx("SAMPLE", 29, 24, (r) => readSample(r, 1)),
    nx("SAMPLE2", 38, 32, (r) => readSample(r, 2)),
    nx("SAMPLE3", 41, 32, (r) => readSample(r, 3)),
    long(nx("SAMPLE4", 51, 40, (r) => readSample(r, 4))),
  ],
  encode(a, w) {
    const fields = typeof a.obsDomain !== "number" || typeof a.obsPoint !== "number";
    const ports = a.samplingPort !== OFPP_NONE || a.direction !== 0;
    const start = beginNx(w, fields ? 51 : a.direction !== 0 ? 41 : ports ? 38 : 29);
    w.u16(a.probability);
    w.u32(a.collectorSetId);
    if (fields) {
      writeObservation(w, a.obsDomain);
      writeObservation(w, a.obsPoint);
    } else {
      w.u32(a.obsDomain as number);
      w.u32(a.obsPoint as number);
    }
    if (fields || ports) {
      w.u16(a.samplingPort);
      w.u8(a.direction);
      w.zeros(5);
    }
    end(w, start);
  },
  format(a, c) {
    const observation = (v: number | Subfield): string =>
      typeof v === "number" ? String(v) : formatSubfield(v);
    let text = `sample(probability=${a.probability},collector_set_id=${a.collectorSetId},obs_domain_id=${observation(a.obsDomain)},obs_point_id=${observation(a.obsPoint)}`;
    if (a.samplingPort !== OFPP_NONE) text += `,sampling_port=${showPort(a.samplingPort, c)}`;
    if (a.direction === 1) text += ",ingress";
    if (a.direction === 2) text += ",egress";
    return `${text})`;
  },
  words: { sample: parseSample },
};

function readSample(r: Reader, form: number): Sample {
  const probability = r.u16();
  const collectorSetId = r.u32();
  const obsDomain = form === 4 ? readObservation(r) : r.u32();
  const obsPoint = form === 4 ? readObservation(r) : r.u32();
  let samplingPort = OFPP_NONE;
  let direction = 0;
  if (form >= 2) {
    samplingPort = r.u16();
    if (form === 2) mustBeZero(r, 6);
    else {
      direction = r.u8();
      mustBeZero(r, 5);
    }
    if (direction > 2) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  }
  if (probability === 0) throw new OfpError("OFPBAC_BAD_ARGUMENT");
  return { type: "sample", probability, collectorSetId, obsDomain, obsPoint, samplingPort, direction };
}

function readObservation(r: Reader): number | Subfield {
  if (r.left >= 8 && r.u32At(r.pos) === 0) {
    r.skip(4);
    return r.u32();
  }
  const field = readFieldHeader(r);
  const packed = r.u16();
  mustBeZero(r, 2);
  return checkSubfield(subfieldOf(field, packed), false);
}

function writeObservation(w: Writer, v: number | Subfield): void {
  if (typeof v === "number") {
    w.u32(0);
    w.u32(v);
    return;
  }
  writeNxFieldHeader(w, v.field);
  w.u16(offsetBits(v));
  w.u16(0);
}

function parseSample(arg: string, c: ParseContext): void {
  const a: Sample = {
    type: "sample",
    probability: 0,
    collectorSetId: 0,
    obsDomain: 0,
    obsPoint: 0,
    samplingPort: OFPP_NONE,
    direction: 0,
  };
  const observation = (key: string, text: string): number | Subfield => {
    if (parseBig(text) !== undefined) return u32(text);
    const s = parseSubfield(text);
    if (s.bits > 32) throw new TextError(`size of ${key} field (${s.bits}) exceeds maximum (32)`);
    return s;
  };
  for (const { key, value } of keyValues(arg)) {
    if (key === "probability") {
      a.probability = u16(value, "probability");
      if (a.probability === 0) throw new TextError(`invalid probability value "${value}"`);
    } else if (key === "collector_set_id") a.collectorSetId = u32(value);
    else if (key === "obs_domain_id") a.obsDomain = observation(key, value);
    else if (key === "obs_point_id") a.obsPoint = observation(key, value);
    else if (key === "sampling_port") {
      const p = parsePort(value, c.ports);
      if (p === undefined) throw new TextError(`${value}: unknown port`);
      a.samplingPort = p;
    } else if (key === "ingress") a.direction = 1;
    else if (key === "egress") a.direction = 2;
    else throw new TextError(`invalid key "${key}" in "sample" argument`);
  }
  if (a.probability === 0) throw new TextError('non-zero "probability" must be specified on sample');
  c.out.push(a);
}

const clone: ActionRow<Clone> = {
  types: ["clone"],
  wire: [
    long(
      nx("CLONE", 42, 16, (r, c) => {
        r.skip(6);
        return { type: "clone", actions: c.nested(r, "clone") };
      }),
    ),
  ],
  encode(a, w, version) {
    const start = beginNx(w, 42);
    w.zeros(6);
    encodeNested?.(a.actions, w, version);
    end(w, start);
  },
  format: (a, c) => `clone(${c.actions(a.actions)})`,
  words: {
    clone(arg, c) {
      c.out.push({ type: "clone", actions: c.nested(arg, "clone") });
    },
  },
};

/** Set by the registry. */
let encodeNested: ((list: Clone["actions"], w: Writer, version: number) => void) | undefined;
export function setNestedEncoder(encode: NonNullable<typeof encodeNested>): void {
  encodeNested = encode;
}

// Instructions. Their wire forms are in instructions.ts, but for what has an action form too.

const meter: ActionRow<MeterAction> = {
  types: ["meter"],
  wire: [of("METER", 29, 6, 6, 8, (r) => ({ type: "meter", meterId: r.u32() }))],
  encode(a, w, version) {
    if (version < 6) return;
    const start = begin(w, 29);
    w.u32(a.meterId);
    end(w, start);
  },
  format: (a) => `meter:${a.meterId}`,
  words: {
    meter(arg, c) {
      c.usable &= USABLE_13_UP;
      c.out.push({ type: "meter", meterId: u32(arg) });
    },
  },
};

const clearActions: ActionRow<Bare> = {
  types: ["clear_actions"],
  wire: [],
  encode() {},
  format: () => "clear_actions",
  words: {
    clear_actions(_arg, c) {
      c.usable &= USABLE_11_UP;
      c.out.push({ type: "clear_actions" });
    },
  },
};

const writeActions: ActionRow<WriteActions> = {
  types: ["write_actions"],
  wire: [],
  encode() {},
  format: (a, c) => `write_actions(${c.actions(a.actions)})`,
  words: {
    write_actions(arg, c) {
      c.usable &= USABLE_11_UP;
      c.out.push({ type: "write_actions", actions: c.nested(arg, "write_actions") });
    },
  },
};

const writeMetadata: ActionRow<WriteMetadata> = {
  types: ["write_metadata"],
  wire: [
    nx("WRITE_METADATA", 22, 32, (r) => {
      mustBeZero(r, 6);
      const metadata = r.u64();
      return { type: "write_metadata", metadata, mask: r.u64() };
    }),
  ],
  encode(a, w) {
    const start = beginNx(w, 22);
    w.zeros(6);
    w.u64(a.metadata);
    w.u64(a.mask);
    end(w, start);
  },
  format(a) {
    const mask = a.mask === 0xffff_ffff_ffff_ffffn ? "" : `/${hex(a.mask)}`;
    return `write_metadata:${hex(a.metadata)}${mask}`;
  },
  words: {
    write_metadata(arg, c) {
      c.usable &= USABLE_11_UP | 12;
      const [valueText, maskText] = arg.split("/") as [string, string?];
      const metadata = parseBig(valueText);
      const mask = maskText === undefined ? 0xffff_ffff_ffff_ffffn : parseBig(maskText);
      if (metadata === undefined) throw new TextError(`invalid numeric format ${valueText}`);
      if (mask === undefined) throw new TextError(`invalid numeric format ${maskText}`);
      c.out.push({ type: "write_metadata", metadata, mask });
    },
  },
};

const gotoTable: ActionRow<GotoTable> = {
  types: ["goto_table"],
  wire: [],
  // An action list, as 1.0 has it, says the same so.
  encode(a, w, version) {
    if (version > 1) return;
    resubmit.encode({ type: "resubmit", port: OFPP_IN_PORT, table: a.table, withCtOrig: false }, w, version);
  },
  format: (a, c) => `goto_table:${showTable(a.table, c)}`,
  words: {
    goto_table(arg, c) {
      c.out.push({ type: "goto_table", table: table(arg, c) });
    },
  },
};

export const CONTROL_ROWS: readonly ActionRow[] = [
  row(resubmit),
  row(finTimeout),
  row(conjunction),
  row(multipath),
  row(note),
  row(sample),
  row(clone),
  row(meter),
  row(clearActions),
  row(writeActions),
  row(writeMetadata),
  row(gotoTable),
];
