/** Action programs in the kernel, one for each list of actions, shared by the megaflows that have it. */
import type { EbpfObjects, LoadedProgram } from "./objects.ts";
import { type ActionHost, actionKey, compileActions } from "./programs/actions.ts";
import { FIRST_ACTION_SLOT, PROGRAM_SLOTS } from "./programs/layout.ts";
import type { Lookup } from "./programs/places.ts";
import { NO_SHORTCUT, type Shortcut } from "./shortcuts.ts";

/** What a megaflow's value says of its actions. */
export interface Action {
  /** 0 for none. */
  readonly slot: number;
  readonly ifindex: number;
  /** To the far end of that device, for frames to its address. */
  readonly shortcut: Shortcut;
  readonly program: Held | undefined;
}

/** A packet that has just found its flow may still be on its way to a program that the flow has no more: so many rest. */
const PROGRAMS_RESTING = 64;

/** A program, while anybody uses it. */
interface Held {
  readonly key: string;
  readonly slot: number;
  readonly loaded: LoadedProgram;
  users: number;
}

export class ActionPrograms {
  readonly #objects: EbpfObjects;
  readonly #held = new Map<string, Held>();
  /** Without users, those first that have been so for longest. */
  readonly #resting: Held[] = [];
  readonly #free: number[] = [];
  #used = FIRST_ACTION_SLOT;

  constructor(objects: EbpfObjects) {
    this.#objects = objects;
  }

  /** A text says why the actions are left to user space. Give back with {@link release}. */
  take(program: Int32Array, lookup: Lookup, host: ActionHost): Action | string {
    const compiled = compileActions(program, lookup, host);
    switch (compiled.kind) {
      case "userspace":
        return compiled.reason;
      case "drop":
        return { slot: 0, ifindex: 0, shortcut: NO_SHORTCUT, program: undefined };
      case "output":
        return { slot: 0, ifindex: compiled.ifindex, shortcut: NO_SHORTCUT, program: undefined };
      default:
        break;
    }
    const key = actionKey(program, lookup);
    let held = this.#held.get(key);
    if (held === undefined) {
      const slot = this.#takeSlot();
      if (slot === 0) return "too many action programs";
      try {
        held = { key, slot, loaded: this.#objects.load(`actions_${slot}`, compiled.lines), users: 0 };
        this.#objects.setSlot(slot, held.loaded.program);
      } catch (error) {
        this.#free.push(slot);
        throw error;
      }
      this.#held.set(key, held);
    }
    held.users++;
    return { slot: held.slot, ifindex: 0, shortcut: NO_SHORTCUT, program: held };
  }

  /** Takes once more what has been taken before; false when its program has gone since. */
  retake({ program }: Action): boolean {
    if (program === undefined) return true;
    if (program.users === 0) return false;
    program.users++;
    return true;
  }

  release({ program: held }: Action): void {
    if (held === undefined || --held.users > 0) return;
    this.#held.delete(held.key);
    this.#resting.push(held);
    if (this.#resting.length > PROGRAMS_RESTING) this.#dispose(this.#resting.shift()!);
  }

  /** 0 when there is none. */
  #takeSlot(): number {
    if (this.#free.length === 0 && this.#used === PROGRAM_SLOTS && this.#resting.length > 0)
      this.#dispose(this.#resting.shift()!);
    return this.#free.pop() ?? (this.#used < PROGRAM_SLOTS ? this.#used++ : 0);
  }

  #dispose({ slot, loaded }: Held): void {
    this.#objects.clearSlot(slot);
    loaded.program.close();
    this.#free.push(slot);
  }

  get size(): number {
    return this.#held.size;
  }

  loaded(): LoadedProgram[] {
    return [...this.#held.values()].sort((a, b) => a.slot - b.slot).map(({ loaded }) => loaded);
  }

  close(): void {
    for (const { loaded } of [...this.#held.values(), ...this.#resting]) loaded.program.close();
    this.#held.clear();
    this.#resting.length = 0;
  }
}
