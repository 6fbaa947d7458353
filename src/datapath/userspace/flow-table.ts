/**
 * Masked megaflow tables found by tuple space search. Hot path: {@link FlowTable.lookup}.
 *
 * What? A megaflow is a key under a mask; all flows with one mask live in one subtable, an open-addressed hash table
 * over the words that the mask touches. A lookup asks one subtable after the other. Megaflows do not overlap (or agree
 * where they do), so the first hit is the answer and there are no priorities.
 *
 * - A mask is a list of (word, bits) with the zero words left out: half the cost of hashing all of them.
 * - Masked keys lie in chunks that are added and never copied; only the index (one word a slot, and its hash) is
 *   rebuilt as a subtable grows.
 * - Each ingress port has a list of the subtables that have flows of it: nobody asks in vain for another port's masks,
 *   and a port may have {@link MAX_PORT_MASKS} of them. That bounds what a sender does who crafts packets to multiply masks.
 * - A list is kept roughly in order of hits: a subtable that has more than its neighbour changes places with it, and
 *   counts are halved now and then, so that the order follows the traffic.
 *
 * A flow is a number below MAX_FLOWS that the owner chooses. In main the same class mirrors the worker's tables.
 */
import { FLOW_DP_WORDS, type Flow, W_IN_PORT } from "../../flow/layout.ts";
import { MAX_PORT_MASKS } from "../dpif.ts";

const CHUNK_SHIFT = 8;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;
const FIRST_SLOTS = 16;
/** Hits of one subtable after which all counts are halved. */
const HITS_HALVED = 1 << 24;

/** A mask without its zero words. */
export interface CompactMask {
  count: number;
  readonly words: Int32Array;
  readonly bits: Int32Array;
}

export function makeCompactMask(): CompactMask {
  return { count: 0, words: new Int32Array(FLOW_DP_WORDS), bits: new Int32Array(FLOW_DP_WORDS) };
}

export function compactMask(mask: Flow, out: CompactMask): void {
  let count = 0;
  for (let word = 0; word < FLOW_DP_WORDS; word++) {
    const bits = mask[word]!;
    if (bits === 0) continue;
    out.words[count] = word;
    out.bits[count++] = bits;
  }
  out.count = count;
}

function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x9e3779b1);
  return h ^ (h >>> 15);
}

/** Never 0, which means an empty slot. */
function finish(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return h === 0 ? 1 : h;
}

/** All flows under one mask. */
export class Subtable {
  readonly count: number;
  readonly words: Int32Array;
  readonly bits: Int32Array;
  size = 0;
  /** Hash of each slot's key, 0 for an empty slot. */
  private hashes = new Int32Array(FIRST_SLOTS);
  /** Row of each slot. */
  private rows = new Int32Array(FIRST_SLOTS);
  /** Masked keys, `count` words a row. */
  private readonly chunks: Int32Array[] = [];
  /** Flow of each row; of a free row the next free one. */
  private readonly flowChunks: Int32Array[] = [];
  private freeRow = -1;
  private usedRows = 0;

  constructor(mask: CompactMask) {
    this.count = mask.count;
    this.words = mask.words.slice(0, mask.count);
    this.bits = mask.bits.slice(0, mask.count);
  }

  sameMask(mask: CompactMask): boolean {
    if (mask.count !== this.count) return false;
    for (let i = 0; i < this.count; i++) {
      if (mask.words[i] !== this.words[i] || mask.bits[i] !== this.bits[i]) return false;
    }
    return true;
  }

  hash(key: Flow): number {
    const words = this.words;
    const bits = this.bits;
    let h = 0;
    for (let i = 0, n = this.count; i < n; i++) h = mix(h, key[words[i]!]! & bits[i]!);
    return finish(h);
  }

  /** The flow whose masked key equals `key` under the mask, or -1. */
  find(key: Flow): number {
    const hash = this.hash(key);
    const hashes = this.hashes;
    const last = hashes.length - 1;
    for (let slot = hash & last; hashes[slot] !== 0; slot = (slot + 1) & last) {
      if (hashes[slot] !== hash) continue;
      const row = this.rows[slot]!;
      if (this.equals(row, key)) return this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)]!;
    }
    return -1;
  }

  private equals(row: number, key: Flow): boolean {
    const chunk = this.chunks[row >> CHUNK_SHIFT]!;
    const words = this.words;
    const bits = this.bits;
    const n = this.count;
    let at = (row & (CHUNK_ROWS - 1)) * n;
    for (let i = 0; i < n; i++, at++) if (chunk[at] !== (key[words[i]!]! & bits[i]!)) return false;
    return true;
  }

  /** Adds a key that is not there yet; returns its row. */
  insert(key: Flow, flow: number): number {
    if ((this.size + 1) * 2 > this.hashes.length) this.grow();
    let row = this.freeRow;
    if (row >= 0) this.freeRow = this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)]!;
    else {
      row = this.usedRows++;
      if (row >> CHUNK_SHIFT === this.chunks.length) {
        this.chunks.push(new Int32Array(CHUNK_ROWS * this.count));
        this.flowChunks.push(new Int32Array(CHUNK_ROWS));
      }
    }
    const chunk = this.chunks[row >> CHUNK_SHIFT]!;
    let at = (row & (CHUNK_ROWS - 1)) * this.count;
    for (let i = 0; i < this.count; i++) chunk[at++] = key[this.words[i]!]! & this.bits[i]!;
    this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)] = flow;
    this.place(this.hash(key), row);
    this.size++;
    return row;
  }

  private place(hash: number, row: number): void {
    const last = this.hashes.length - 1;
    let slot = hash & last;
    while (this.hashes[slot] !== 0) slot = (slot + 1) & last;
    this.hashes[slot] = hash;
    this.rows[slot] = row;
  }

  /** Of a row that is in use. */
  remove(row: number): void {
    const last = this.hashes.length - 1;
    let slot = this.rowHash(row) & last;
    while (this.hashes[slot] === 0 || this.rows[slot] !== row) slot = (slot + 1) & last;
    // Moves later entries of the run back over the hole, so that no tombstone is needed.
    for (let next = (slot + 1) & last; this.hashes[next] !== 0; next = (next + 1) & last) {
      const home = this.hashes[next]! & last;
      if (((next - home) & last) >= ((next - slot) & last)) {
        this.hashes[slot] = this.hashes[next]!;
        this.rows[slot] = this.rows[next]!;
        slot = next;
      }
    }
    this.hashes[slot] = 0;
    this.flowChunks[row >> CHUNK_SHIFT]![row & (CHUNK_ROWS - 1)] = this.freeRow;
    this.freeRow = row;
    this.size--;
  }

  /** The ingress port of a row's flow, or {@link ANY_PORT}. */
  portOf(row: number): number {
    return matchesPort(this)
      ? this.chunks[row >> CHUNK_SHIFT]![(row & (CHUNK_ROWS - 1)) * this.count]!
      : ANY_PORT;
  }

  private rowHash(row: number): number {
    const chunk = this.chunks[row >> CHUNK_SHIFT]!;
    let at = (row & (CHUNK_ROWS - 1)) * this.count;
    let h = 0;
    for (let i = 0; i < this.count; i++) h = mix(h, chunk[at++]!);
    return finish(h);
  }

  private grow(): void {
    const hashes = this.hashes;
    const rows = this.rows;
    this.hashes = new Int32Array(hashes.length * 2);
    this.rows = new Int32Array(hashes.length * 2);
    for (let slot = 0; slot < hashes.length; slot++) {
      if (hashes[slot] !== 0) this.place(hashes[slot]!, rows[slot]!);
    }
  }
}

const EMPTY = new Subtable(makeCompactMask());
/** Has no mask that a flow could have. */
const NONE = new Subtable({ count: 1, words: Int32Array.of(-1), bits: Int32Array.of(0) });

/** A subtable as one ingress port sees it. */
class Ranked {
  readonly table: Subtable;
  /** Flows of this port. */
  flows = 0;
  hits = 0;

  constructor(table: Subtable) {
    this.table = table;
  }
}

/** The port of flows that do not match on the whole in_port; their subtables are asked last, whatever the port. */
const ANY_PORT = -2;
const NO_PORT = -3;

export class FlowTable {
  /** One for each mask. */
  readonly subtables: Subtable[] = [];
  size = 0;
  /** Subtables that lookups have asked, since the start. */
  lookedAt = 0;
  private readonly byHash = new Map<number, Subtable[]>();
  /** Of each port, in the order of search. */
  private readonly byPort = new Map<number, Ranked[]>([[ANY_PORT, []]]);
  private readonly anyPort: Ranked[] = this.byPort.get(ANY_PORT)!;
  /** The port of the latest lookup and what it sees: packets come in batches. */
  private lastPort = NO_PORT;
  private lastRanked: Ranked[] = [];
  private readonly tableOf: Subtable[] = [];
  /** Of the latest flow that was added: the next one often has the same mask. */
  private latest = NONE;
  /** Row + 1 of each flow; 0 for none, so that memory of flows that never were is never touched. */
  private readonly rowOf: Int32Array;
  private readonly scratch = makeCompactMask();

  constructor(maxFlows: number) {
    this.rowOf = new Int32Array(maxFlows);
  }

  has(flow: number): boolean {
    return this.rowOf[flow]! > 0;
  }

  /** The flow that `key` belongs to, or -1. */
  lookup(key: Flow): number {
    const port = key[W_IN_PORT]!;
    if (port !== this.lastPort) this.turnTo(port);
    const flow = this.search(this.lastRanked, key);
    return flow < 0 && this.anyPort.length > 0 ? this.search(this.anyPort, key) : flow;
  }

  private turnTo(port: number): void {
    this.lastPort = port;
    this.lastRanked = this.byPort.get(port) ?? [];
  }

  private search(ranked: Ranked[], key: Flow): number {
    for (let i = 0; i < ranked.length; i++) {
      const each = ranked[i]!;
      const flow = each.table.find(key);
      if (flow < 0) continue;
      this.lookedAt += i + 1;
      if (++each.hits > HITS_HALVED) for (const other of ranked) other.hits >>>= 1;
      if (i > 0 && each.hits > ranked[i - 1]!.hits) {
        ranked[i] = ranked[i - 1]!;
        ranked[i - 1] = each;
      }
      return flow;
    }
    this.lookedAt += ranked.length;
    return -1;
  }

  /** Whether a flow can be added without giving its port more than MAX_PORT_MASKS masks. */
  hasRoom(key: Flow, mask: Flow): boolean {
    const ranked = this.byPort.get(mask[W_IN_PORT] === -1 ? key[W_IN_PORT]! : ANY_PORT);
    if (ranked === undefined || ranked.length < MAX_PORT_MASKS) return true;
    compactMask(mask, this.scratch);
    const table = this.subtableOf(this.scratch);
    return table !== undefined && ranked.some((each) => each.table === table);
  }

  /** The flow with exactly this mask and, under it, this key, or -1. */
  findExact(key: Flow, mask: CompactMask): number {
    const table = this.subtableOf(mask);
    return table === undefined ? -1 : table.find(key);
  }

  private subtableOf(mask: CompactMask): Subtable | undefined {
    if (this.latest.sameMask(mask)) return this.latest;
    const same = this.byHash.get(maskHash(mask));
    if (same !== undefined) for (const table of same) if (table.sameMask(mask)) return table;
    return undefined;
  }

  /** The key must not be there under this mask, and the flow not be in use. */
  insert(flow: number, key: Flow, mask: CompactMask): void {
    const table = this.subtableOf(mask) ?? this.addSubtable(mask);
    this.latest = table;
    this.rowOf[flow] = table.insert(key, flow) + 1;
    this.tableOf[flow] = table;
    this.size++;

    const port = portOf(key, mask);
    let ranked = this.byPort.get(port);
    if (ranked === undefined) {
      ranked = [];
      this.byPort.set(port, ranked);
      this.lastPort = NO_PORT;
    }
    let at = 0;
    while (at < ranked.length && ranked[at]!.table !== table) at++;
    if (at === ranked.length) ranked.push(new Ranked(table));
    ranked[at]!.flows++;
  }

  private addSubtable(mask: CompactMask): Subtable {
    const table = new Subtable(mask);
    this.subtables.push(table);
    const hash = maskHash(mask);
    const same = this.byHash.get(hash);
    if (same === undefined) this.byHash.set(hash, [table]);
    else same.push(table);
    return table;
  }

  remove(flow: number): void {
    const row = this.rowOf[flow]! - 1;
    if (row < 0) return;
    const table = this.tableOf[flow]!;
    const port = table.portOf(row);
    table.remove(row);
    this.rowOf[flow] = 0;
    this.tableOf[flow] = EMPTY;
    this.size--;

    const ranked = this.byPort.get(port)!;
    const at = ranked.findIndex((each) => each.table === table);
    if (--ranked[at]!.flows === 0) ranked.splice(at, 1);
    if (ranked.length === 0 && port !== ANY_PORT) {
      this.byPort.delete(port);
      this.lastPort = NO_PORT;
    }
    if (table.size === 0) this.dropSubtable(table);
  }

  private dropSubtable(table: Subtable): void {
    if (this.latest === table) this.latest = NONE;
    this.subtables.splice(this.subtables.indexOf(table), 1);
    const hash = maskHash(table);
    const same = this.byHash.get(hash)!.filter((other) => other !== table);
    if (same.length > 0) this.byHash.set(hash, same);
    else this.byHash.delete(hash);
  }

  /** The mask of a flow in use. */
  maskOf(flow: number, mask: Flow): void {
    mask.fill(0, 0, FLOW_DP_WORDS);
    const table = this.tableOf[flow]!;
    for (let i = 0; i < table.count; i++) mask[table.words[i]!] = table.bits[i]!;
  }
}

function matchesPort(mask: CompactMask): boolean {
  return mask.count > 0 && mask.words[0] === W_IN_PORT && mask.bits[0] === -1;
}

function portOf(key: Flow, mask: CompactMask): number {
  return matchesPort(mask) ? key[W_IN_PORT]! : ANY_PORT;
}

function maskHash({ count, words, bits }: CompactMask): number {
  let hash = count;
  for (let i = 0; i < count; i++) hash = mix(mix(hash, words[i]!), bits[i]!);
  return finish(hash);
}
