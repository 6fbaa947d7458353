/** Named locks of RFC 7047 section 4.1.8: the first in a queue owns; "steal" goes to its head. */

export interface LockClient {
  /** Ownership came with time ("locked"), or went ("stolen"). */
  lockNotify(method: "locked" | "stolen", name: string): void;
}

export class Locks {
  readonly #queues = new Map<string, LockClient[]>();

  has(name: string, client: LockClient): boolean {
    return this.#queues.get(name)?.includes(client) ?? false;
  }

  owns(name: string, client: LockClient): boolean {
    return this.#queues.get(name)?.[0] === client;
  }

  /** True: owned at once. The client must not be in the queue already. */
  lock(name: string, client: LockClient): boolean {
    const queue = this.#queue(name);
    queue.push(client);
    return queue[0] === client;
  }

  steal(name: string, client: LockClient): void {
    const queue = this.#queue(name);
    const victim = queue[0];
    queue.unshift(client);
    victim?.lockNotify("stolen", name);
  }

  /** The client must be in the queue. */
  unlock(name: string, client: LockClient): void {
    const queue = this.#queues.get(name)!;
    const owned = queue[0] === client;
    queue.splice(queue.indexOf(client), 1);
    if (queue.length === 0) this.#queues.delete(name);
    else if (owned) queue[0]!.lockNotify("locked", name);
  }

  /** The client is gone. */
  forget(client: LockClient): void {
    for (const [name, queue] of [...this.#queues]) if (queue.includes(client)) this.unlock(name, client);
  }

  /** Names the client owns or waits for, for status columns. */
  namesOf(client: LockClient): { owned: string[]; waiting: string[]; lost: string[] } {
    const names = { owned: [] as string[], waiting: [] as string[], lost: [] as string[] };
    for (const [name, queue] of this.#queues) {
      if (queue[0] === client) names.owned.push(name);
      else if (queue.includes(client)) names.waiting.push(name);
    }
    return names;
  }

  #queue(name: string): LockClient[] {
    let queue = this.#queues.get(name);
    if (queue === undefined) this.#queues.set(name, (queue = []));
    return queue;
  }
}
