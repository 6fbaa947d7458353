/**
 * Which tunnel option each tun_metadata field of a bridge stands for (upstream: tun-metadata.c; NXT_TLV_TABLE_MOD), and
 * where in a flow's option area its bytes lie. Matches and actions come from controllers without places: they get them here.
 */
import { type Field, mustField } from "../flow/fields/index.ts";
import { FLOW_WORDS, type Flow, W_TUN_METADATA, W_TUN_METADATA_PRESENT } from "../flow/layout.ts";
import type { Match, TunMetadataSlot } from "../flow/match.ts";
import { markTunPresent, readTunBytes, writeTunBytes } from "../flow/tun-metadata.ts";
import type { Ofpact } from "../openflow/actions.ts";
import { OfpError } from "../openflow/errors.ts";
import type { NxtTlvTableMod, TlvMap } from "../openflow/messages.ts";

export const MAX_TLV_FIELDS = 64;
/** Bytes of all options together. */
export const MAX_TLV_SPACE = 256;
const MAX_OPTION = 124;

const ADD = 0;
const DELETE = 1;
const CLEAR = 2;

interface Entry extends TlvMap {
  /** Of the field's first byte in the option area. */
  readonly offset: number;
}

export class TlvTable {
  private readonly byIndex = new Map<number, Entry>();
  /** tun_metadataN as wide as its option, made when an action first names it. */
  private readonly fields = new Map<number, Field>();

  maps(): TlvMap[] {
    return [...this.byIndex.values()].sort((a, b) => a.index - b.index);
  }

  /** Throws OfpError and changes nothing. `isUsed`: some flow speaks of the field. */
  apply(mod: NxtTlvTableMod, isUsed: (index: number) => boolean): void {
    switch (mod.command) {
      case ADD:
        this.add(mod.maps);
        return;
      case DELETE:
        this.delete(mod.maps, isUsed);
        return;
      case CLEAR:
        if ([...this.byIndex.keys()].some(isUsed)) throw new OfpError("NXTTMFC_INVALID_TLV_DEL");
        this.byIndex.clear();
        this.fields.clear();
        return;
      default:
        throw new OfpError("NXTTMFC_BAD_COMMAND");
    }
  }

  private add(maps: readonly TlvMap[]): void {
    const added: Entry[] = [];
    for (const map of maps) {
      checkMap(map);
      if (added.some((other) => isSame(map, other))) throw new OfpError("NXTTMFC_DUP_ENTRY");
      const entries = [...this.byIndex.values()];
      if (entries.some((other) => isSame(map, other))) throw new OfpError("NXTTMFC_ALREADY_MAPPED");
      const offset = freeOffset([...entries, ...added], map.optionLen);
      if (offset === undefined) throw new OfpError("NXTTMFC_TABLE_FULL");
      added.push({ ...map, offset });
    }
    for (const entry of added) this.byIndex.set(entry.index, entry);
  }

  private delete(maps: readonly TlvMap[], isUsed: (index: number) => boolean): void {
    for (const map of maps) {
      checkMap(map);
      if (isUsed(map.index)) throw new OfpError("NXTTMFC_INVALID_TLV_DEL");
    }
    for (const { index } of maps) {
      this.byIndex.delete(index);
      this.fields.delete(index);
    }
  }

  private entry(index: number): Entry {
    const entry = this.byIndex.get(index);
    if (entry === undefined) throw new OfpError("NXFMFC_INVALID_TLV_FIELD");
    return entry;
  }

  /** `match` with its tun_metadata where this table has it; throws OfpError for fields that are not mapped. */
  place(match: Match): Match {
    const { tunMetadata } = match;
    if (tunMetadata === undefined || tunMetadata.length === 0) return match;
    const placed: Match = { flow: match.flow.slice(), mask: match.mask.slice(), tunMetadata: undefined };
    for (const row of [placed.flow, placed.mask]) {
      row.fill(0, W_TUN_METADATA, Math.min(W_TUN_METADATA + MAX_TLV_SPACE / 4, FLOW_WORDS));
      row.fill(0, W_TUN_METADATA_PRESENT, W_TUN_METADATA_PRESENT + 2);
    }
    const slots: TunMetadataSlot[] = [];
    for (const { field, offset, bytes, masked } of tunMetadata) {
      const entry = this.entry(field.index);
      const value = readTunBytes(match.flow, offset, bytes);
      const full = allOnes(entry.optionLen);
      // What was given whole is meant whole, however wide the option is.
      const mask = masked ? readTunBytes(match.mask, offset, bytes) : full;
      if (value > full) throw new OfpError("OFPBMC_BAD_VALUE");
      writeTunBytes(placed.flow, entry.offset, entry.optionLen, value & mask);
      writeTunBytes(placed.mask, entry.offset, entry.optionLen, mask & full);
      markTunPresent(placed, field);
      slots.push({ field, offset: entry.offset, bytes: entry.optionLen, masked });
    }
    placed.tunMetadata = slots;
    return placed;
  }

  /** Adds the options that `flow` has to `match`, for controllers to read. */
  addOptions(match: Match, flow: Flow): void {
    const slots: TunMetadataSlot[] = [];
    for (const { index, offset, optionLen } of this.byIndex.values()) {
      if (((flow[W_TUN_METADATA_PRESENT + (index >> 5)]! >>> (index & 31)) & 1) === 0) continue;
      const field = mustField(`tun_metadata${index}`);
      writeTunBytes(match.flow, offset, optionLen, readTunBytes(flow, offset, optionLen));
      writeTunBytes(match.mask, offset, optionLen, allOnes(optionLen));
      markTunPresent(match, field);
      slots.push({ field, offset, bytes: optionLen, masked: false });
    }
    if (slots.length > 0) match.tunMetadata = slots.sort((a, b) => a.field.index - b.field.index);
  }

  /** The actions with fields as wide as their options; throws OfpError for those that are not mapped or too narrow. */
  resolve(actions: readonly Ofpact[]): Ofpact[] {
    return actions.map((action) => (this.mayConcern(action) ? (this.resolved(action) as Ofpact) : action));
  }

  /** Most actions name no field: told quickly. */
  private mayConcern(action: Ofpact): boolean {
    return action.type !== "output" && action.type !== "group" && this.concerns(action);
  }

  private concerns(value: unknown): boolean {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
    if (Array.isArray(value)) return value.some((each) => this.concerns(each));
    for (const [key, each] of Object.entries(value)) {
      if (key === "field") {
        if ((each as Field | undefined)?.isTunMetadata === true) return true;
      } else if (this.concerns(each)) return true;
    }
    return false;
  }

  private resolved(value: unknown): unknown {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
    if (Array.isArray(value)) return value.map((each) => this.resolved(each));
    const out: Record<string, unknown> = {};
    for (const [key, each] of Object.entries(value)) out[key] = key === "field" ? each : this.resolved(each);
    const field = out.field as Field | undefined;
    if (field?.isTunMetadata === true) {
      const entry = this.entry(field.index);
      const end = Number(out.offset ?? 0) + Number(out.bits ?? 0);
      if (end > entry.optionLen * 8) throw new OfpError("OFPBAC_BAD_SET_LEN");
      out.field = this.fieldOf(field, entry.optionLen);
    }
    return out;
  }

  private fieldOf(field: Field, bytes: number): Field {
    let own = this.fields.get(field.index);
    if (own === undefined) {
      own = { ...field, bytes, bits: bytes * 8 };
      this.fields.set(field.index, own);
    }
    return own;
  }

  /** Some match or action of a flow has this field. */
  uses(match: Match, actions: readonly Ofpact[], index: number): boolean {
    return match.tunMetadata?.some(({ field }) => field.index === index) === true || namesTun(actions, index);
  }
}

function namesTun(value: unknown, index: number): boolean {
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  if (Array.isArray(value)) return value.some((each) => namesTun(each, index));
  for (const [key, each] of Object.entries(value)) {
    if (key === "field") {
      const field = each as Field | undefined;
      if (field?.isTunMetadata === true && field.index === index) return true;
    } else if (namesTun(each, index)) return true;
  }
  return false;
}

function checkMap({ index, optionLen }: TlvMap): void {
  if (index >= MAX_TLV_FIELDS) throw new OfpError("NXTTMFC_BAD_FIELD_IDX");
  if (optionLen === 0 || optionLen % 4 !== 0 || optionLen > MAX_OPTION)
    throw new OfpError("NXTTMFC_BAD_OPT_LEN");
}

function isSame(a: TlvMap, b: TlvMap): boolean {
  return a.index === b.index || (a.optionClass === b.optionClass && a.optionType === b.optionType);
}

function freeOffset(entries: readonly Entry[], size: number): number | undefined {
  let offset = 0;
  for (const entry of [...entries].sort((a, b) => a.offset - b.offset)) {
    if (entry.offset - offset >= size) break;
    offset = entry.offset + entry.optionLen;
  }
  return offset + size > MAX_TLV_SPACE ? undefined : offset;
}

function allOnes(bytes: number): bigint {
  return (1n << BigInt(bytes * 8)) - 1n;
}
