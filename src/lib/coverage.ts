/** Event counters shown by `coverage/show` (upstream: lib/coverage). `const counter = coverage("rev_reconfigure"); counter.count++`. */
export interface Counter {
  readonly name: string;
  count: number;
}
export declare function coverage(name: string): Counter;
