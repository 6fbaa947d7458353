/** Telling the service manager that started us how we are (sd_notify(3), sd_watchdog_enabled(3)). */
import type { DatagramSender, Platform } from "./platform.ts";

/** Connected at first use; undefined where no manager asked for news. */
function manager(platform: Platform): DatagramSender | undefined {
  const path = platform.env.NOTIFY_SOCKET;
  return path ? platform.process.datagram({ path }) : undefined;
}

/**
 * Start-up has succeeded and `pid` is the service's main process. A detached daemon is not the process that the manager
 * started: it says so by MAINPID.
 */
export function notifyServiceReady(platform: Platform, pid: number): void {
  const told = manager(platform);
  if (told === undefined) return;
  told.send(`READY=1\nMAINPID=${pid}`);
  platform.atExit(() => told.send("STOPPING=1"));
}

/** Feeds the manager's watchdog, where there is one, from this process's event loop: twice in each interval. */
export function feedWatchdog(platform: Platform): void {
  const usec = Number(platform.env.WATCHDOG_USEC);
  const told = usec > 0 ? manager(platform) : undefined;
  if (told === undefined) return;
  const feed = (): void => {
    told.send("WATCHDOG=1");
    platform.clock.background(usec / 2000, feed);
  };
  feed();
}
