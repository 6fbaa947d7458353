/** Meters from text: the meter syntax of ovs-ofctl(8) (upstream: ofp-meter). */
import { TextError } from "../actions/registry.ts";
import { keyValues } from "../actions/row.ts";
import type { MeterBand, MeterMod } from "../messages.ts";
import { parseUint } from "../ports.ts";

export const OFPMC_ADD = 0;
export const OFPMC_MODIFY = 1;
export const OFPMC_DELETE = 2;
const KBPS = 1;
const PKTPS = 2;
const BURST = 4;
const FLAGS: Readonly<Record<string, number>> = { kbps: KBPS, pktps: PKTPS, burst: BURST, stats: 8 };
const OFPM_MAX = 0xffff0000;
const NAMED: Readonly<Record<string, number>> = {
  all: 0xffffffff,
  controller: 0xfffffffe,
  slowpath: 0xfffffffd,
};

function number(text: string): number {
  const value = parseUint(text);
  if (value === undefined) throw new TextError(`invalid numeric format ${text}`);
  return value;
}

function meterNumber(text: string): number {
  const named = NAMED[text];
  if (named !== undefined) return named;
  const id = number(text);
  if (id === 0 || id > OFPM_MAX) throw new TextError("invalid value for meter");
  return id;
}

/** "meter=ID" alone, as the commands that ask or delete take it. */
export function parseMeterId(text: string): number {
  let id = NAMED.all!;
  for (const { key, value } of keyValues(text)) {
    if (value === "") throw new TextError(`field ${key} missing value`);
    if (key !== "meter") throw new TextError(`unknown keyword ${key}`);
    id = meterNumber(value);
  }
  return id;
}

/** `command` OFPMC_ADD or OFPMC_MODIFY. */
export function parseMeter(text: string, command: number): MeterMod {
  const m: MeterMod = { type: "meter-mod", command, flags: 0, meterId: 0, bands: [] };
  const bands = /(?:^|[,\s])bands?=/.exec(text);
  if (bands === null) throw new TextError("must specify bands");
  for (const { key, value } of keyValues(text.slice(0, bands.index))) {
    const flag = FLAGS[key];
    if (flag !== undefined && value === "") m.flags |= flag;
    else if (flag !== undefined) throw new TextError(`field ${value} missing value`);
    else if (value === "") throw new TextError(`field ${key} missing value`);
    else if (key === "meter") m.meterId = meterNumber(value);
    else throw new TextError(`unknown keyword ${key}`);
  }
  if (m.meterId === 0) throw new TextError("must specify 'meter'");
  if ((m.flags & (KBPS | PKTPS)) === 0) {
    throw new TextError("meter must specify either 'kbps' or 'pktps'");
  }
  m.bands = parseBands(text.slice(bands.index + bands[0].length), (m.flags & BURST) !== 0);
  return m;
}

function parseBands(text: string, burst: boolean): MeterBand[] {
  const out: { band: MeterBand; rate: boolean; burst: boolean }[] = [];
  for (const { key, value } of keyValues(text)) {
    const last = out.at(-1);
    if (key === "type") {
      if (value !== "drop" && value !== "dscp_remark")
        throw new TextError(`field type unknown value ${value}`);
      const band = { bandType: value === "drop" ? 1 : 2, rate: 0, burst: 0, precLevel: 0 };
      out.push({ band, rate: false, burst: false });
    } else if (last === undefined) throw new TextError("band must start with the 'type' keyword");
    else if (key === "rate") {
      last.band.rate = number(value);
      last.rate = true;
    } else if (key === "burst_size") {
      last.band.burst = number(value);
      last.burst = true;
    } else if (key === "prec_level") {
      if (last.band.bandType !== 2) throw new TextError("Only 'dscp_remark' band may have 'prec_level'");
      const level = parseUint(value);
      if (level === undefined || level > 255) throw new TextError(`invalid prec_level "${value}"`);
      last.band.precLevel = level;
    } else throw new TextError(`unknown keyword ${key}`);
  }
  if (out.length === 0) throw new TextError("meter must have bands");
  for (const given of out) {
    if (!given.rate) throw new TextError("band must have 'rate'");
    if (burst && !given.burst) throw new TextError("band must have 'burst_size' when 'burst' flag is set");
    if (!burst && given.burst)
      throw new TextError("band may have 'burst_size' only when 'burst' flag is set");
  }
  return out.map(({ band }) => band);
}
