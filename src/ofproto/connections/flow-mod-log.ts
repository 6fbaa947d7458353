/** A line in the log about the flow_mods of a connection, every ten seconds at most and when it ends. */
import type { Clock, Timer } from "../../lib/clock.ts";
import { OFPFC_ADD, OFPFC_DELETE, OFPFC_DELETE_STRICT } from "../../openflow/messages.ts";

const INTERVAL_MS = 10_000;

export class FlowModLog {
  private readonly clock: Clock;
  private readonly log: (text: string) => void;
  private adds = 0;
  private deletes = 0;
  private modifications = 0;
  private firstMs = 0;
  private timer: Timer | undefined = undefined;

  constructor(clock: Clock, log: (text: string) => void) {
    this.clock = clock;
    this.log = log;
  }

  count(command: number): void {
    if (this.timer === undefined) {
      this.firstMs = this.clock.now();
      this.timer = this.clock.background(INTERVAL_MS, () => this.flush());
    }
    if (command === OFPFC_ADD) this.adds++;
    else if (command === OFPFC_DELETE || command === OFPFC_DELETE_STRICT) this.deletes++;
    else this.modifications++;
  }

  /** Tells what was counted since the last time. */
  flush(): void {
    if (this.timer === undefined) return;
    this.timer.cancel();
    this.timer = undefined;
    const { adds, deletes, modifications } = this;
    const kinds = [
      [adds, "adds"],
      [deletes, "deletes"],
      [modifications, "modifications"],
    ] as const;
    const parts = kinds.filter(([n]) => n > 0).map(([n, name]) => `${n} ${name}`);
    const seconds = Math.floor((this.clock.now() - this.firstMs) / 1000);
    this.log(`${adds + deletes + modifications} flow_mods in the last ${seconds} s (${parts.join(", ")})`);
    this.adds = 0;
    this.deletes = 0;
    this.modifications = 0;
  }
}
