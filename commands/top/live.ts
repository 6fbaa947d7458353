/** `ovsbox top` on a terminal. */
import { type Drawn, draw } from "../../src/export/top/layout.ts";
import { press, type View } from "../../src/export/top/view.ts";
import type { Timer } from "../../src/lib/clock.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { decodeKeys } from "../../src/lib/terminal/keys.ts";
import { ENTER_SCREEN, LEAVE_SCREEN, Screen } from "../../src/lib/terminal/screen.ts";
import type { Terminal } from "../../src/lib/terminal/terminal.ts";
import { VLF_CONSOLE, VLL_OFF, vlogSetLevel } from "../../src/lib/vlog.ts";
import { openTerminal } from "../../src/sys/terminal.ts";
import type { Follower } from "./follower.ts";

/** Signals that end it, with the terminal put back. */
const ENDING = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129, SIGQUIT: 131 } as const;
/** How long good news stays on the screen. */
const NEWS_MS = 10_000;

/** Resolves to the exit status when the user or a signal ends it. */
export function live(platform: Platform, follower: Follower, view: View): Promise<number> {
  // What the control socket's client logs would spoil the screen; the trouble is shown in its last line.
  vlogSetLevel(undefined, VLF_CONSOLE, VLL_OFF);
  const terminal = openTerminal((text) => platform.stdout(text));
  const session = new Session(platform, follower, terminal, view);
  platform.atExit(() => session.leave());
  return session.run();
}

class Session {
  readonly #platform: Platform;
  readonly #follower: Follower;
  readonly #terminal: Terminal;
  readonly #screen = new Screen();
  readonly #end = Promise.withResolvers<number>();
  #view: View;
  #drawn: Drawn = { lines: [], page: 1, count: 0 };
  #news: { text: string; untilMs: number } | undefined = undefined;
  #timer: Timer | undefined = undefined;
  #asking = false;
  #away = true;

  constructor(platform: Platform, follower: Follower, terminal: Terminal, view: View) {
    this.#platform = platform;
    this.#follower = follower;
    this.#terminal = terminal;
    this.#view = view;
  }

  run(): Promise<number> {
    const { process } = this.#platform;
    for (const [signal, status] of Object.entries(ENDING)) {
      process.onSignal(signal, () => this.#platform.exit(status));
    }
    process.onSignal("SIGCONT", () => this.#enter());
    this.#terminal.start(
      (text) => this.#input(text),
      () => this.#redraw(),
    );
    this.#enter();
    this.#wait();
    return this.#end.promise;
  }

  #enter(): void {
    this.#terminal.raw(true);
    if (this.#away) this.#terminal.write(ENTER_SCREEN);
    this.#away = false;
    this.#redraw();
  }

  /** The terminal as it was; also called at exit. */
  leave(): void {
    if (!this.#away) this.#terminal.write(LEAVE_SCREEN);
    this.#away = true;
    this.#terminal.end();
  }

  #wait(): void {
    this.#timer?.cancel();
    if (!this.#view.paused)
      this.#timer = this.#platform.clock.after(this.#view.intervalMs, () => void this.#ask());
  }

  async #ask(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    const text = await this.#follower.tryRound();
    this.#asking = false;
    const forMs = this.#follower.fresh ? NEWS_MS : Number.POSITIVE_INFINITY;
    if (text !== undefined) this.#news = { text, untilMs: this.#platform.clock.now() + forMs };
    this.#draw();
    this.#wait();
  }

  #input(text: string): void {
    for (const key of decodeKeys(text)) {
      const { view, wish } = press(this.#view, key, this.#drawn.page, this.#drawn.count);
      const before = this.#view;
      this.#view = view;
      if (wish === "quit") {
        this.#end.resolve(0);
        return;
      }
      if (wish === "suspend") {
        this.#suspend();
        return;
      }
      if (wish === "redraw") this.#screen.forget();
      if (view.paused !== before.paused || view.intervalMs !== before.intervalMs) this.#wait();
      // The next key may depend on what this one has put on the screen.
      this.#draw();
    }
  }

  /** Until SIGCONT. */
  #suspend(): void {
    this.#terminal.write(LEAVE_SCREEN);
    this.#away = true;
    this.#terminal.raw(false);
    this.#platform.process.kill(this.#platform.pid, "SIGSTOP");
  }

  #redraw(): void {
    this.#screen.forget();
    this.#draw();
  }

  #draw(): void {
    if (this.#away) return;
    const { clock, env } = this.#platform;
    if (this.#news !== undefined && clock.now() > this.#news.untilMs) this.#news = undefined;
    const { columns, rows } = this.#terminal;
    this.#drawn = draw(this.#follower.model.rows(), this.#view, {
      columns,
      rows,
      colour: (env.NO_COLOR ?? "") === "",
      time: new Date(clock.wall()).toTimeString().slice(0, 8),
      daemon: this.#follower.daemon,
      trouble: this.#news?.text,
    });
    const text = this.#screen.update(this.#drawn.lines, rows);
    if (text !== "") this.#terminal.write(text);
  }
}
