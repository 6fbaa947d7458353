/** As much of tap as the contract of Dpif needs, for a guest where tap itself does not run. Prints a line for each check. */
import { isDeepStrictEqual } from "node:util";
import type { Checks } from "../datapath/contract.ts";

/** tap's `match`: what `want` has, `got` has; texts may be described by patterns. */
function matches(got: unknown, want: unknown): boolean {
  if (want instanceof RegExp) return want.test(String(got));
  if (typeof want !== "object" || want === null) return Object.is(got, want);
  if (typeof got !== "object" || got === null) return false;
  return Object.entries(want).every(([name, part]) => matches((got as Record<string, unknown>)[name], part));
}

class RunnerTest implements Checks {
  readonly path: string;
  readonly #print: (line: string) => void;
  readonly #teardowns: (() => unknown)[] = [];
  #queue: Promise<unknown> = Promise.resolve();

  constructor(path: string, print: (line: string) => void) {
    this.path = path;
    this.#print = print;
  }

  #check(good: boolean, what: string | undefined, got?: unknown, want?: unknown): boolean {
    const name = `${this.path} > ${what ?? "as it should be"}`;
    if (good) this.#print(`ok - ${name}`);
    else this.#print(`not ok - ${name}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
    return good;
  }

  test(name: string, run: (t: Checks) => Promise<unknown>): void {
    this.#queue = this.#queue.then(async () => {
      const test = new RunnerTest(this.path === "" ? name : `${this.path} > ${name}`, this.#print);
      try {
        await run(test);
        await test.done();
      } catch (error) {
        test.#check(false, (error as Error).stack?.replaceAll("\n", " | ") ?? String(error));
      }
      for (const teardown of test.#teardowns) await teardown();
    });
  }

  /** All tests within are over. */
  done(): Promise<unknown> {
    return this.#queue;
  }

  teardown(run: () => unknown): void {
    this.#teardowns.push(run);
  }
  ok(value: unknown, what?: string): boolean {
    return this.#check(Boolean(value), what, value, "something");
  }
  notOk(value: unknown, what?: string): boolean {
    return this.#check(!value, what, value, "nothing");
  }
  equal(got: unknown, want: unknown, what?: string): boolean {
    return this.#check(Object.is(got, want), what, got, want);
  }
  not(got: unknown, want: unknown, what?: string): boolean {
    return this.#check(!Object.is(got, want), what, got, "another");
  }
  strictSame(got: unknown, want: unknown, what?: string): boolean {
    return this.#check(isDeepStrictEqual(got, want), what, got, want);
  }
  match(got: unknown, want: unknown, what?: string): boolean {
    return this.#check(matches(got, want), what, got, want);
  }
  async rejects(promise: Promise<unknown>, want: { code: string }, what?: string): Promise<boolean> {
    const got = await promise.then(
      () => "no error",
      (error: unknown) => error,
    );
    return this.#check(matches(got, want), what, String(got), want);
  }
}

export function makeRunner(print: (line: string) => void): RunnerTest {
  return new RunnerTest("", print);
}
