/** State outside of the components, which say that they want to know of changes; told at most once a frame. */
import { useEffect, useMemo, useState } from "preact/hooks";

export class Store {
  /** Grows with each change. */
  version = 0;
  readonly #listeners = new Set<() => void>();
  #waiting = false;

  changed(): void {
    this.version++;
    if (this.#waiting) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}

/** Draws the component again when the store has changed. */
export function useStore<S extends Store>(store: S): S {
  const [, draw] = useState(0);
  useEffect(() => {
    draw(store.version);
    return store.subscribe(() => draw(store.version));
  }, [store]);
  return store;
}

/** A store that begins with the component, or with a change of `key`, and ends with it. */
export function useOwnStore<S extends Store & { start(): () => void }>(make: () => S, key: string): S {
  // Depends: `key` says all that `make` depends on
  const store = useMemo(make, [key]);
  useEffect(() => store.start(), [store]);
  return useStore(store);
}
