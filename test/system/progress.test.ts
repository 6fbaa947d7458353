/** Progress of long commands: on a terminal, and nowhere else. */
import { once } from "node:events";
import t from "tap";
import { cannotRun, sleep, withWorld } from "./world.ts";

t.test("what takes long says so on a terminal", { skip: cannotRun("script") }, async (t) => {
  await withWorld(async (world) => {
    world.startDatabase();
    const pid = world.pid("ovsdb-server");
    for (const terminal of [true, false]) {
      process.kill(pid, "SIGSTOP");
      const command = "ovs-appctl -t ovsdb-server -T 20 ovsdb-server/list-dbs";
      const words = terminal ? ["script", "-qec", command, "/dev/null"] : ["sh", "-c", command];
      const child = world.background("sw", ...words);
      let shown = "";
      for (const stream of [child.stdout!, child.stderr!]) stream.on("data", (chunk) => (shown += chunk));
      const ended = once(child, "close");
      if (terminal)
        await world.until("it says so", () => /ovsdb-server\/list-dbs … [1-9]\d* s/.test(shown), 10);
      else await sleep(1500);
      process.kill(pid, "SIGCONT");
      await ended;
      if (terminal) t.match(shown, /\r\u001b\[KOpen_vSwitch\r?\n/, "and takes it back");
      else t.match(shown, /^(_Server\n)?Open_vSwitch\n(_Server\n)?$/, "a script sees the answer alone");
    }
  });
});
