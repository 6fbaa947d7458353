/** What takes long says so on a terminal, and leaves no trace when it is done; in scripts and pipes nothing is said. */
import type { Platform } from "./platform.ts";

/** Shorter work is not worth a word. */
const PATIENCE_MS = 1000;
const INTERVAL_MS = 500;
const CLEAR_LINE = "\r\u001b[K";

/** Resolves or rejects as `work` does. `what`: "restore: 40000 rows". */
export async function withProgress<T>(platform: Platform, what: string, work: Promise<T>): Promise<T> {
  if (!platform.stderrIsTerminal) return work;
  const { clock } = platform;
  const began = clock.now();
  let shown = false;
  const show = (): void => {
    shown = true;
    platform.stderr(`${CLEAR_LINE}${what} … ${Math.round((clock.now() - began) / 1000)} s`);
    timer = clock.background(INTERVAL_MS, show);
  };
  let timer = clock.background(PATIENCE_MS, show);
  try {
    return await work;
  } finally {
    timer.cancel();
    if (shown) platform.stderr(CLEAR_LINE);
  }
}
