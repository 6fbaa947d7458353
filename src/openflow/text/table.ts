/** Tables in print: statistics and features with runs of alike tables folded (upstream: ofp-table). */
import { FIELDS } from "../../flow/fields/index.ts";
import type { TableDesc, TableFeatures, TableInstructions, TableMod, TableStats } from "../messages.ts";
import { quoteName } from "../ports.ts";
import { bitNames, hexNumber, type PrintOptions } from "./common.ts";

interface Entry {
  table: number;
  /** Name of its own, other than "tableN"... printed in quotes. */
  name: string;
  stats: TableStats | undefined;
  features: TableFeatures | undefined;
}

function heading(e: Entry, o: PrintOptions): string {
  const named = o.tables?.nameOf(e.table);
  const name = e.name !== "" ? e.name : (named ?? "");
  return `\n  table ${e.table}${name === "" ? "" : ` ("${name}")`}:`;
}

/** Fields in registry order, with common prefixes and ranges folded: "eth_{src,dst,type}", "reg0...reg7". */
export function foldNames(names: readonly string[]): string {
  const order = new Map(FIELDS.map((f) => [f.name, f.id]));
  const sorted = [...names].sort((a, b) => (order.get(a) ?? 0) - (order.get(b) ?? 0));
  const runs: string[] = [];
  for (let i = 0; i < sorted.length; ) {
    let end = i;
    const numbered = /^(.*?)(\d+)$/.exec(sorted[i]!);
    if (numbered !== null) {
      while (
        end + 1 < sorted.length &&
        sorted[end + 1] === `${numbered[1]}${Number(numbered[2]) + (end + 1 - i)}`
      ) {
        end++;
      }
    }
    runs.push(end > i + 1 ? `${sorted[i]}...${sorted[end]}` : sorted[i]!);
    if (end === i + 1) runs.push(sorted[end]!);
    i = end + 1;
  }
  return foldPrefixes(runs);
}

/** Neighbours that share what is before their first underscore are written once, recursively. */
function foldPrefixes(items: readonly string[]): string {
  const out: string[] = [];
  for (let i = 0; i < items.length; ) {
    const prefix = /^[^_]*_/.exec(items[i]!)?.[0];
    let end = i;
    if (prefix !== undefined) while (end + 1 < items.length && items[end + 1]!.startsWith(prefix)) end++;
    if (prefix === undefined || end === i) {
      out.push(items[i]!);
      i++;
      continue;
    }
    const rest = items.slice(i, end + 1).map((item) => strip(item, prefix));
    out.push(`${prefix}{${foldPrefixes(rest).split(" ").join(",")}}`);
    i = end + 1;
  }
  return out.join(" ");
}

/** Both ends of "c1...c4" lose the prefix. */
function strip(item: string, prefix: string): string {
  return item.slice(prefix.length).replace(`...${prefix}`, "...");
}

function tableRanges(tables: readonly number[]): string {
  if (tables.length === 0) return "";
  const out: string[] = [];
  for (let i = 0; i < tables.length; ) {
    let end = i;
    while (end + 1 < tables.length && tables[end + 1] === tables[end]! + 1) end++;
    out.push(end > i ? `${tables[i]}-${tables[end]}` : String(tables[i]));
    i = end + 1;
  }
  return out.join(",");
}

/** In the order in which 3.7 lists actions. */
const ACTION_ORDER = [
  "output",
  "group",
  "set_field",
  "set_vlan_vid",
  "set_vlan_pcp",
  "strip_vlan",
  "push_vlan",
  "mod_dl_src",
  "mod_dl_dst",
  "mod_nw_src",
  "mod_nw_dst",
  "mod_nw_tos",
  "mod_nw_ecn",
  "mod_nw_ttl",
  "mod_tp_src",
  "mod_tp_dst",
  "dec_ttl",
  "set_mpls_label",
  "set_mpls_tc",
  "set_mpls_ttl",
  "dec_mpls_ttl",
  "push_mpls",
  "pop_mpls",
  "set_queue",
];

function actionLines(names: readonly string[], fields: readonly string[], indent: string): string {
  let out = "";
  if (names.length > 0) {
    const sorted = [...names].sort((a, b) => ACTION_ORDER.indexOf(a) - ACTION_ORDER.indexOf(b));
    out += `${indent}actions: ${sorted.join(" ")}\n`;
  }
  if (fields.length > 0) out += `${indent}supported on Set-Field: ${foldNames(fields)}\n`;
  return out;
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Next tables are relative: "all above me" is the same for every table. */
function instructionsAlike(a: TableInstructions, b: TableInstructions | undefined): boolean {
  return b !== undefined && same({ ...a, next: [], instructions: [] }, { ...b, next: [], instructions: [] });
}

function instructionBlock(
  title: string,
  t: TableInstructions,
  previous: TableInstructions | undefined,
): string {
  let body = "";
  if (t.next.length > 0) body += `      next tables: ${tableRanges(t.next)}\n`;
  if (t.instructions.length > 0) body += `      instructions: ${t.instructions.join(" ")}\n`;
  const actions = [t.writeActions, t.applyActions, t.writeSetFields, t.applySetFields];
  if (actions.every((list) => list.length === 0)) return body === "" ? "" : `    ${title}:\n${body}`;
  // Without fields to set, as in 1.1, the actions are said again.
  if (t.writeSetFields.length > 0 && instructionsAlike(t, previous)) body += "      (same actions)\n";
  else if (same(t.writeActions, t.applyActions) && same(t.writeSetFields, t.applySetFields)) {
    const lines = actionLines(t.writeActions, t.writeSetFields, "        ");
    body += `      Write-Actions and Apply-Actions features:\n${lines}`;
  } else {
    body += `      Write-Actions features:\n${actionLines(t.writeActions, t.writeSetFields, "        ")}`;
    body += `      Apply-Actions features:\n${actionLines(t.applyActions, t.applySetFields, "        ")}`;
  }
  return `    ${title}:\n${body}`;
}

function matching(f: TableFeatures): string {
  const wild = f.wildcard.filter((name) => !f.mask.includes(name));
  const exact = f.match.filter((name) => !f.wildcard.includes(name) && !f.mask.includes(name));
  let out = "";
  if (f.mask.length > 0) out += `      arbitrary mask: ${foldNames(f.mask)}\n`;
  if (wild.length > 0) out += `      exact match or wildcard: ${foldNames(wild)}\n`;
  if (exact.length > 0) out += `      must exact match: ${foldNames(exact)}\n`;
  return out;
}

export const MISS = ["controller", "continue", "drop"];

function featureBlock(f: TableFeatures, p: TableFeatures | undefined): string {
  let out = "";
  if (f.metadataMatch !== 0n || f.metadataWrite !== 0n) {
    if (p !== undefined && p.metadataMatch === f.metadataMatch && p.metadataWrite === f.metadataWrite) {
      out +=
        f.metadataMatch === 0n
          ? ""
          : `    metadata: match=${hexNumber(f.metadataMatch)} write=${hexNumber(f.metadataWrite)}\n`;
    } else out += `    metadata: match=${hexNumber(f.metadataMatch)} write=${hexNumber(f.metadataWrite)}\n`;
  }
  if (
    f.missConfig > 0 ||
    (f.missConfig === 0 && f.stats !== undefined && f.nonmiss.instructions.length > 0)
  ) {
    out += `    config=${MISS[f.missConfig] ?? f.missConfig}\n`;
  }
  const supported = (yes: boolean): string => (yes ? "supported" : "not supported");
  if (f.eviction !== undefined) out += `    eviction: ${supported(f.eviction)}\n`;
  if (f.vacancy !== undefined) out += `    vacancy events: ${supported(f.vacancy)}\n`;
  out += `    max_entries=${f.maxEntries}\n`;
  // Without fields to set, as in 1.1, the instructions are said again.
  const again =
    p !== undefined &&
    f.nonmiss.writeSetFields.length > 0 &&
    same(relative(f, f.nonmiss), relative(p, p.nonmiss)) &&
    same(relative(f, f.miss), relative(p, p.miss));
  if (again) out += "    (same instructions)\n";
  else if (same(f.miss, f.nonmiss))
    out += instructionBlock("instructions (table miss and others)", f.nonmiss, p?.nonmiss);
  else {
    out += instructionBlock("instructions (other than table miss)", f.nonmiss, p?.nonmiss);
    out += instructionBlock("instructions (table miss)", f.miss, p?.miss);
  }
  const m = matching(f);
  if (p !== undefined && matching(p) === m) {
    if (m !== "") out += "    (same matching)\n";
  } else if (m !== "") out += `    matching:\n${m}`;
  return out;
}

/** The instructions with the next tables counted from the table's own number. */
function relative(f: TableFeatures, t: TableInstructions): unknown {
  return { ...t, next: nextKind(f.table, t.next) };
}

/** Whether all but number, name and statistics is alike; next tables count as "those above". */
function featuresAlike(a: TableFeatures, b: TableFeatures): boolean {
  const norm = (f: TableFeatures): unknown => {
    const { table, name, stats, nonmiss, miss, ...rest } = f;
    void [table, name, stats];
    return {
      ...rest,
      metadataMatch: String(rest.metadataMatch),
      metadataWrite: String(rest.metadataWrite),
      nonmiss: relative(f, nonmiss),
      miss: relative(f, miss),
    };
  };
  return same(norm(a), norm(b));
}

/** "above" when the list is every number from table + 1 up to its last. */
function nextKind(table: number, next: readonly number[]): string {
  if (next.length === 0) return "none";
  const contiguous = next[0] === table + 1 && next[next.length - 1] === table + next.length;
  return contiguous ? `above to ${next[next.length - 1]}` : next.join(",");
}

function statsLine(s: TableStats): string {
  return `    active=${s.active}, lookup=${s.lookups}, matched=${s.matched}\n`;
}

/** The tables of one message; one like the last is "ditto", and a run of such without names "tables 3...253: ditto". */
export function formatTables(entries: readonly Entry[], o: PrintOptions = {}): string {
  let out = "\n";
  /** An empty line comes before each, but not at the start and after a named one's "ditto". */
  let gap = "";
  let previous: Entry | undefined;
  for (let i = 0; i < entries.length; i++) {
    const e = entries[i]!;
    if (previous !== undefined && alike(e, previous)) {
      const name = nameOf(e, o);
      let end = i;
      while (name === "" && end + 1 < entries.length && isDitto(entries[end + 1]!, previous, o)) end++;
      const which = end > i ? `tables ${e.table}...${entries[end]!.table}` : `table ${e.table}`;
      out += `${gap}  ${which}${name === "" ? "" : ` ("${name}")`}: ditto\n`;
      gap = name === "" ? "\n" : "";
      i = end;
      continue;
    }
    out += `${gap}${heading(e, o).slice(1)}\n`;
    gap = "\n";
    if (e.stats !== undefined) out += statsLine(e.stats);
    if (e.features !== undefined) {
      const before = previous?.features;
      if (before !== undefined && featuresAlike(e.features, before)) out += "    (same features)\n";
      else out += featureBlock(e.features, before);
    }
    previous = e;
  }
  return out;
}

function isDitto(e: Entry, previous: Entry, o: PrintOptions): boolean {
  return alike(e, previous) && nameOf(e, o) === "";
}

function nameOf(e: Entry, o: PrintOptions): string {
  return e.name !== "" ? e.name : (o.tables?.nameOf(e.table) ?? "");
}

function alike(a: Entry, b: Entry): boolean {
  if (a.stats !== undefined && b.stats !== undefined) {
    const { active, lookups, matched } = a.stats;
    if (active !== b.stats.active || lookups !== b.stats.lookups || matched !== b.stats.matched) return false;
  }
  if (a.features !== undefined && b.features !== undefined) return featuresAlike(a.features, b.features);
  return true;
}

/** Entries of statistics (with features before 1.3) or of features alone. */
export function tableEntries(
  stats: readonly TableStats[],
  features: readonly TableFeatures[] | undefined,
): Entry[] {
  if (stats.length === 0 && features !== undefined) {
    return features.map((f) => ({ table: f.table, name: f.name, stats: undefined, features: f }));
  }
  return stats.map((s, i) => ({
    table: s.table,
    name: features?.[i]?.name ?? "",
    stats: s,
    features: features?.[i],
  }));
}

export function formatTableMod(m: TableMod, o: PrintOptions, version: number): string {
  const name = o.tables?.nameOf(m.table);
  let out = ` table_id=${m.table === 0xff ? "ALL" : name === undefined ? m.table : quoteName(name)}`;
  if (version < 4 && m.miss >= 0) out += `, flow_miss_config=${MISS[m.miss] ?? "Unknown"}`;
  if (m.eviction !== undefined) out += `, eviction=${m.eviction ? "on" : "off"}`;
  if (m.evictionFlags !== 0xffffffff) out += `, eviction_flags=${evictionFlags(m.evictionFlags)}`;
  if (m.vacancy !== undefined) {
    out += `, vacancy=${m.vacancy ? "on" : "off"}`;
    if (m.vacancy) out += ` vacancy:${m.vacancyDown},${m.vacancyUp}`;
  }
  return out;
}

export const EVICTION_FLAGS: readonly (readonly [bit: number, name: string])[] = [
  [1, "OTHER"],
  [2, "IMPORTANCE"],
  [4, "LIFETIME"],
];

function evictionFlags(flags: number): string {
  return bitNames(flags, EVICTION_FLAGS, "(None)", "|");
}

export function formatTableDesc(d: TableDesc, o: PrintOptions): string {
  const name = o.tables?.nameOf(d.table);
  let out = `\n  table ${name === undefined ? d.table : quoteName(name)}:\n`;
  out += `   eviction=${d.eviction ? "on" : "off"} eviction_flags=${evictionFlags(d.evictionFlags)}\n`;
  out += `   vacancy=${d.vacancy ? "on" : "off"}`;
  if (d.vacancy) out += ` vacancy_down=${d.vacancyDown}% vacancy_up=${d.vacancyUp}% vacancy=${d.vacancyNow}%`;
  return out;
}
