/**
 * Groups (OpenFlow 1.1 section 4.4.1, 1.5.1 section 6.7): what a group_mod does to the table of them. A group is never
 * changed but replaced, so that a transaction takes a change back by putting the old one there again.
 */
import type { Ofpact } from "../openflow/actions.ts";
import { OFPG_ALL, OFPG_ANY, OFPG_MAX } from "../openflow/actions.ts";
import { OfpError } from "../openflow/errors.ts";
import type { Bucket, GroupMod, GroupProps } from "../openflow/messages.ts";
import { type Selection, setUpSelection } from "./select-group.ts";

export const GROUP_ALL = 0;
export const GROUP_SELECT = 1;
export const GROUP_INDIRECT = 2;
export const GROUP_FAST_FAILOVER = 3;

const ADD = 0;
const MODIFY = 1;
const DELETE = 2;
const INSERT_BUCKET = 3;
const REMOVE_BUCKET = 5;
const ADD_OR_MOD = 0x8000;

const BUCKET_FIRST = 0xfffffffd;
const BUCKET_LAST = 0xfffffffe;
const BUCKET_ALL = 0xffffffff;
/** Bucket ids end here. */
const BUCKET_MAX = 0xffffff00;

/** Packets that took a bucket. */
export class BucketState {
  readonly config: Bucket;
  packets = 0;
  bytes = 0;
  /** The actions as an action set executes them, made at first use. */
  ordered: readonly Ofpact[] | undefined = undefined;

  constructor(config: Bucket) {
    this.config = config;
  }

  credit(packets: number, bytes: number): void {
    this.packets += packets;
    this.bytes += bytes;
  }
}

export class Group {
  readonly id: number;
  readonly type: number;
  readonly props: GroupProps;
  readonly buckets: readonly BucketState[];
  readonly createdMs: number;
  /** Of select groups. */
  readonly selection: Selection | undefined;
  packets = 0;
  bytes = 0;

  /** `doing`: as {@link setUpSelection} logs it. */
  constructor(
    doing: string,
    id: number,
    type: number,
    props: GroupProps,
    buckets: readonly BucketState[],
    createdMs: number,
  ) {
    this.id = id;
    this.type = type;
    this.props = props;
    this.buckets = buckets;
    this.createdMs = createdMs;
    this.selection = type === GROUP_SELECT ? setUpSelection(doing, id, props, buckets) : undefined;
  }

  credit(packets: number, bytes: number): void {
    this.packets += packets;
    this.bytes += bytes;
  }
}

export interface GroupEvents {
  nowMs(): number;
  /** Takes a change back when the transaction fails. */
  onRollback(undo: () => void): void;
  /** Flows that used the group go with it. */
  groupDeleted(id: number): void;
}

export class GroupTable {
  private readonly groups = new Map<number, Group>();
  private readonly events: GroupEvents;

  constructor(events: GroupEvents) {
    this.events = events;
  }

  get(id: number): Group | undefined {
    return this.groups.get(id);
  }

  /** In the order of their numbers; OFPG_ALL for all, one that is not there is nothing. */
  select(id: number): Group[] {
    if (id !== OFPG_ALL) {
      const group = this.groups.get(id);
      return group === undefined ? [] : [group];
    }
    return [...this.groups.values()].sort((a, b) => a.id - b.id);
  }

  /** Throws OfpError. `mod`'s actions were checked. */
  apply(mod: GroupMod): void {
    switch (mod.command) {
      case ADD:
        this.add(mod);
        return;
      case MODIFY:
        this.modify(mod);
        return;
      case ADD_OR_MOD:
        if (this.groups.has(mod.groupId)) this.modify(mod);
        else this.add(mod);
        return;
      case DELETE:
        if (mod.groupId === OFPG_ALL) for (const id of [...this.groups.keys()]) this.remove(id);
        else this.remove(mod.groupId);
        return;
      case INSERT_BUCKET:
        this.insertBuckets(mod);
        return;
      case REMOVE_BUCKET:
        this.removeBuckets(mod);
        return;
      default:
        throw new OfpError("OFPGMFC_BAD_COMMAND");
    }
  }

  clear(): void {
    this.groups.clear();
  }

  private set(id: number, group: Group | undefined): void {
    const old = this.groups.get(id);
    this.put(id, group);
    this.events.onRollback(() => this.put(id, old));
  }

  private put(id: number, group: Group | undefined): void {
    if (group === undefined) this.groups.delete(id);
    else this.groups.set(id, group);
  }

  private add(mod: GroupMod): void {
    if (mod.groupId > OFPG_MAX) throw new OfpError("OFPGMFC_INVALID_GROUP");
    if (this.groups.has(mod.groupId)) throw new OfpError("OFPGMFC_GROUP_EXISTS");
    checkGroup(mod.groupType, mod.props);
    const buckets = mod.buckets.map((bucket) => new BucketState(bucket));
    const group = new Group(
      "Constructing",
      mod.groupId,
      mod.groupType,
      mod.props,
      buckets,
      this.events.nowMs(),
    );
    this.set(mod.groupId, group);
  }

  private modify(mod: GroupMod): void {
    if (mod.groupId > OFPG_MAX) throw new OfpError("OFPGMFC_INVALID_GROUP");
    const old = this.existing(mod.groupId);
    checkGroup(mod.groupType, mod.props);
    const buckets = mod.buckets.map((bucket) => new BucketState(bucket));
    if (mod.groupType === GROUP_SELECT) setUpSelection("Constructing", mod.groupId, mod.props, buckets);
    const group = new Group("Modifying", mod.groupId, mod.groupType, mod.props, buckets, old.createdMs);
    this.set(mod.groupId, group);
  }

  private remove(id: number): void {
    if (!this.groups.has(id)) return;
    this.events.groupDeleted(id);
    this.set(id, undefined);
  }

  private existing(id: number): Group {
    const group = this.groups.get(id);
    if (group === undefined) throw new OfpError("OFPGMFC_UNKNOWN_GROUP");
    return group;
  }

  private insertBuckets(mod: GroupMod): void {
    const old = this.existing(mod.groupId);
    const taken = new Set(old.buckets.map(({ config }) => config.bucketId));
    if (mod.buckets.some((bucket) => taken.has(bucket.bucketId))) throw new OfpError("OFPGMFC_BUCKET_EXISTS");
    const buckets = [...old.buckets];
    const at =
      mod.commandBucketId === BUCKET_FIRST
        ? 0
        : mod.commandBucketId === BUCKET_LAST || mod.commandBucketId === BUCKET_ALL
          ? buckets.length
          : bucketIndex(old, mod.commandBucketId) + 1;
    const fresh = mod.buckets.map((bucket) => new BucketState(bucket));
    buckets.splice(at, 0, ...fresh);
    this.replaceBuckets(old, buckets, fresh);
  }

  private removeBuckets(mod: GroupMod): void {
    const old = this.existing(mod.groupId);
    const { commandBucketId: id } = mod;
    let { buckets } = old;
    if (id === BUCKET_ALL) buckets = [];
    else if (id === BUCKET_FIRST || id === BUCKET_LAST) {
      buckets = id === BUCKET_FIRST ? buckets.slice(1) : buckets.slice(0, -1);
    } else {
      const gone = bucketIndex(old, id);
      buckets = buckets.filter((_, i) => i !== gone);
    }
    this.replaceBuckets(old, buckets, []);
  }

  /** `fresh`: those of them that are new. */
  private replaceBuckets(old: Group, buckets: readonly BucketState[], fresh: readonly BucketState[]): void {
    if (old.type === GROUP_INDIRECT && buckets.length !== 1) throw new OfpError("OFPGMFC_INVALID_GROUP");
    if (old.type === GROUP_SELECT) setUpSelection("Constructing", old.id, old.props, fresh);
    const group = new Group("Modifying", old.id, old.type, old.props, buckets, old.createdMs);
    group.packets = old.packets;
    group.bytes = old.bytes;
    this.set(old.id, group);
  }
}

function bucketIndex(group: Group, id: number): number {
  const at = id > BUCKET_MAX ? -1 : group.buckets.findIndex(({ config }) => config.bucketId === id);
  if (at < 0) throw new OfpError("OFPGMFC_UNKNOWN_BUCKET");
  return at;
}

/** Only select groups choose, and only by these methods. */
function checkGroup(type: number, props: GroupProps): void {
  if (type > GROUP_FAST_FAILOVER) throw new OfpError("OFPGMFC_BAD_TYPE");
  const { selectionMethod, selectionMethodParam, fields } = props;
  if (selectionMethod === "") {
    if (selectionMethodParam !== 0n || fields.length > 0) throw new OfpError("OFPBPC_BAD_VALUE");
    return;
  }
  if (type !== GROUP_SELECT) throw new OfpError("OFPBPC_BAD_VALUE");
  if (selectionMethod !== "hash" && selectionMethod !== "dp_hash") throw new OfpError("OFPBPC_BAD_VALUE");
  if (selectionMethod === "dp_hash" && fields.length > 0) throw new OfpError("OFPBPC_BAD_VALUE");
}

export function watchesNothing(bucket: Bucket): boolean {
  return bucket.watchPort === 0xffff && bucket.watchGroup === OFPG_ANY;
}
