/** Groups from text: the group syntax of ovs-ofctl(8) (upstream: ofp-group). */
import { type Field, fieldByName, fieldByOxmName } from "../../flow/fields/index.ts";
import { type PortNames, parseFieldValue } from "../../flow/match-text.ts";
import { parsePlainActions, type TableNames, TextError } from "../actions/registry.ts";
import { keyValues, parseBig } from "../actions/row.ts";
import type { Bucket, GroupMod } from "../messages.ts";
import { noGroupProps } from "../msg/group.ts";
import { ones } from "../oxm.ts";
import { parsePort, parseUint } from "../ports.ts";
import { P_ANY, P_OF15_OXM, USABLE_NXM_OXM, USABLE_OF10 } from "../protocols.ts";

export const OFPGC_ADD = 0;
export const OFPGC_MODIFY = 1;
export const OFPGC_DELETE = 2;
export const OFPGC_INSERT_BUCKET = 3;
export const OFPGC_REMOVE_BUCKET = 5;
export const OFPGC_ADD_OR_MOD = 0x8000;

/** The words that may lead a line of a group file. */
const COMMAND_WORDS: Readonly<Record<string, number>> = {
  add: OFPGC_ADD,
  modify: OFPGC_MODIFY,
  add_or_mod: OFPGC_ADD_OR_MOD,
  delete: OFPGC_DELETE,
  insert_bucket: OFPGC_INSERT_BUCKET,
  remove_bucket: OFPGC_REMOVE_BUCKET,
};

/** The command that a line begins with, and the rest; undefined when it begins with none. */
export function leadingGroupCommand(text: string): { command: number; rest: string } | undefined {
  const word = /^\s*([a-z_]+)(?:\s+|$)/.exec(text);
  const command = word === null ? undefined : COMMAND_WORDS[word[1]!];
  return command === undefined ? undefined : { command, rest: text.slice(word![0].length) };
}

const TYPES: Readonly<Record<string, number>> = { all: 0, select: 1, indirect: 2, ff: 3, fast_failover: 3 };

/** Group properties: 1.5, and Open vSwitch's extension for 1.0. */
const WITH_PROPERTIES = P_OF15_OXM | USABLE_OF10;

/** What can carry `mask` as a mask of the field. */
function maskProtocols(field: Field, mask: bigint): number {
  const exact = mask === ones(field.bits) || mask === ones(field.bytes * 8);
  const cidr = field.of10 === "cidr" && ((~mask + 1n) & ones(field.bits) & (~mask & ones(field.bits))) === 0n;
  return (exact && field.of10 !== "no") || field.of10 === "full" || cidr ? P_ANY : USABLE_NXM_OXM;
}

/** Of a bucket whose text names no id. */
const NO_BUCKET_ID = 0xffffffff;

interface Names {
  ports?: PortNames | undefined;
  tables?: TableNames | undefined;
}

/** Group syntax of ovs-ofctl(8). */
export function parseGroup(text: string, command: number, names: Names): { gm: GroupMod; usable: number } {
  const gm: GroupMod = {
    type: "group-mod",
    command,
    groupType: 0,
    groupId: 0xfffffffc,
    commandBucketId: 0xffffffff,
    buckets: [],
    props: noGroupProps(),
  };
  let usable = P_ANY;
  let hadParameter = false;
  let hadType = false;
  let hadSelection = false;
  let hadCommandBucket = false;
  const at = text.search(/(?:^|[,\s])bucket[s]?=/);
  const head = at < 0 ? text : text.slice(0, at);
  for (const { key, value } of keyValues(head)) {
    if (key === "command_bucket_id") {
      usable &= WITH_PROPERTIES;
      hadCommandBucket = true;
      gm.commandBucketId = bucketId(value);
    } else if (key === "group_id") {
      if (value === "all") gm.groupId = 0xfffffffc;
      else {
        const id = parseUint(value);
        if (id === undefined) throw new TextError(`invalid numeric format ${value}`);
        if (id > 0xffffff00) throw new TextError(`invalid group id ${id}`);
        gm.groupId = id;
      }
    } else if (key === "type") {
      const type = TYPES[value];
      if (type === undefined) throw new TextError(`invalid group type ${value}`);
      gm.groupType = type;
      hadType = true;
    } else if (key === "selection_method") {
      if (value.length > 15) throw new TextError(`selection method is longer than 15 bytes long`);
      gm.props.selectionMethod = value;
      hadSelection = true;
      usable &= WITH_PROPERTIES;
    } else if (key === "selection_method_param") {
      hadParameter = true;
      gm.props.selectionMethodParam = parseBig(value) ?? 0n;
    } else if (key === "fields") {
      for (const item of keyValues(value)) {
        const field = fieldByName(item.key) ?? fieldByOxmName(item.key)?.field;
        if (field === undefined) throw new TextError(`: unknown field ${item.key}`);
        if (item.value === "") gm.props.fields.push({ field, value: ones(field.bytes * 8) });
        else {
          const parsed = parseFieldValue(field, item.value, names.ports);
          if ("error" in parsed) throw new TextError(parsed.error);
          usable &= maskProtocols(field, parsed.value);
          gm.props.fields.push({ field, value: parsed.value });
        }
      }
    } else throw new TextError(`unknown keyword ${key}`);
  }
  const wantsBuckets = command !== OFPGC_DELETE && command !== OFPGC_REMOVE_BUCKET;
  if (gm.groupId === 0xfffffffc && wantsBuckets) throw new TextError("must specify a group_id");
  const needsType = command === OFPGC_ADD || command === OFPGC_MODIFY || command === OFPGC_ADD_OR_MOD;
  if (needsType && !hadType) throw new TextError("must specify a type");
  if (gm.props.fields.length > 0 && gm.props.selectionMethod !== "hash") {
    throw new TextError('fields may only be specified with "selection_method=hash"');
  }
  if (gm.props.selectionMethod === "" && hadParameter) {
    throw new TextError('selection_method_param is only allowed with "selection_method"');
  }
  if (hadCommandBucket && command !== OFPGC_INSERT_BUCKET && command !== OFPGC_REMOVE_BUCKET) {
    throw new TextError("command bucket id is not needed");
  }
  if (at >= 0 && !wantsBuckets) throw new TextError("bucket is not needed");
  if (hadSelection && !needsType) throw new TextError("selection method is not needed");
  if (hadType && !needsType) throw new TextError("type is not needed");
  if (command === OFPGC_INSERT_BUCKET && !hadCommandBucket) {
    throw new TextError("must specify a command bucket id");
  }
  if (at >= 0) {
    // As in 3.7 only the buckets' actions count then: before 1.5 selection methods and bucket ids are left out.
    usable = P_ANY;
    const body = text.slice(at).replace(/^[,\s]/, "");
    for (const part of body.split(/(?:^|[,\s])bucket[s]?=/).filter((s) => s.trim() !== "")) {
      gm.buckets.push(
        parseBucket(part.replace(/,\s*$/, ""), gm, names, (set) => {
          usable &= set;
        }),
      );
    }
  }
  numberBuckets(gm.buckets);
  if (gm.groupType === 2 && gm.buckets.length > 1) {
    throw new TextError("Indirect groups can have at most one bucket.");
  }
  return { gm, usable };
}

function bucketId(text: string): number {
  if (text === "all") return 0xffffffff;
  if (text === "last") return 0xfffffffe;
  if (text === "first") return 0xfffffffd;
  const id = parseUint(text);
  if (id === undefined || id > 0xffffff00) throw new TextError(`invalid command bucket id ${id ?? text}`);
  return id;
}

/** Buckets without an id get, in order, the lowest that none of the others names. */
function numberBuckets(buckets: readonly Bucket[]): void {
  const taken = new Set(buckets.map((b) => b.bucketId));
  let next = 0;
  for (const b of buckets) {
    if (b.bucketId !== NO_BUCKET_ID) continue;
    while (taken.has(next)) next++;
    b.bucketId = next++;
  }
}

function parseBucket(text: string, gm: GroupMod, names: Names, narrow: (set: number) => void): Bucket {
  const b: Bucket = {
    bucketId: NO_BUCKET_ID,
    weight: gm.groupType === 1 ? 1 : 0,
    watchPort: 0xffff,
    watchGroup: 0xffffffff,
    actions: [],
  };
  const at = /(?:^|[,\s])actions?=/.exec(text);
  const head = at === null ? text : text.slice(0, at.index);
  let actionText = at === null ? "" : text.slice(at.index + at[0].length);
  const loose: string[] = [];
  for (const { key, value } of keyValues(head)) {
    if (key === "weight") {
      b.weight = parseUint(value) ?? -1;
      if (b.weight < 0 || b.weight > 0xffff) throw new TextError(`invalid weight "${value}"`);
    } else if (key === "watch_port") {
      const port = parsePort(value, names.ports);
      if (port === undefined || (port >= 0xff00 && port !== 0xffff))
        throw new TextError(`${value}: invalid watch_port`);
      b.watchPort = port;
    } else if (key === "watch_group") {
      b.watchGroup = parseUint(value) ?? 0xffffffff;
      if (b.watchGroup > 0xffffff00) throw new TextError(`invalid watch_group id ${b.watchGroup}`);
    } else if (key === "bucket_id") {
      const id = parseUint(value);
      if (id === undefined || id > 0xffffff00) throw new TextError(`invalid bucket_id id ${value}`);
      b.bucketId = id;
    } else loose.push(value === "" ? key : /[,(]/.test(value) ? `${key}(${value})` : `${key}:${value}`);
  }
  if (loose.length > 0) actionText = [...loose, actionText].filter((s) => s !== "").join(",");
  const parsed = parsePlainActions(actionText, { ports: names.ports, tables: names.tables });
  for (const a of parsed.actions) {
    if (
      a.type === "clear_actions" ||
      a.type === "write_actions" ||
      a.type === "write_metadata" ||
      a.type === "goto_table"
    ) {
      throw new TextError(`${a.type} instruction not allowed here`);
    }
  }
  narrow(parsed.usable);
  b.actions = parsed.actions;
  return b;
}
