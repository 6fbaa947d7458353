/** eBPF programs in a guest whose kernel, Debian 12's 6.1, has no TCX links: they are attached by filters of tc. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { cannotBoot, runGuest } from "./guest.ts";

t.test("a bridge by programs before Linux 6.6", { skip: cannotBoot(), timeout: 650_000 }, async (t) => {
  const { output, status } = await runGuest({
    // Not openvswitch.
    modules: ["veth", "tun", "sch_ingress", "cls_bpf"],
    script: readFileSync(join(import.meta.dirname, "ebpf.sh"), "utf8"),
    timeoutMs: 600_000,
  });
  t.equal(status, 0, "the guest came to its end", { output });
  const parts = new Map(
    output
      .split(/^### /m)
      .slice(1)
      .map((text) => [text.slice(0, text.indexOf("\n")), text.slice(text.indexOf("\n") + 1)]),
  );
  const part = (name: string): string => parts.get(name) ?? `no part ${name}`;
  /** All of every ping of the part are answered. */
  const answered = (name: string, ...counts: number[]): boolean =>
    t.strictSame(
      [...part(name).matchAll(/(\d+) packets transmitted, (\d+) packets received/g)].map(([, a, b]) => [
        a,
        b,
      ]),
      counts.map((count) => [`${count}`, `${count}`]),
      name,
    );
  const status0 = '{datapath="forwarding by eBPF programs: no openvswitch module in this kernel"}\n';
  t.equal(part("status"), status0);
  answered("ping", 3, 3);
  answered("by-programs", 8, 4);
  const [before, after] = [...part("by-programs").matchAll(/packets by programs: (\d+)/g)].map(([, n]) =>
    Number(n),
  );
  t.ok(after! - before! >= 24, `${after! - before!} of the 24 packets by programs`);
  const [sent, got] = [...part("tcp").matchAll(/^[0-9a-f]{32}/gm)].map(String);
  t.equal(got, sent, "4 MB of TCP arrive as they were sent");
  answered("actions", 2, 4);
  t.match(part("actions"), /left to userspace: 0\n/);
  t.match(part("actions"), / police: id /);
  answered("labels", 2, 4);
  t.match(part("labels"), /left to userspace: 0\n/);
  t.match(part("labels"), / mask_\d+ mpls: 1 flows, /);
  t.notMatch(part("verifier"), "refused");
  t.match(part("verifier"), /flows in programs: 30, left to userspace: 0\n/);
  t.notMatch(part("verifier"), "not yet asked");
  answered("left-alone", 3, 4);
  answered("taken-over", 4);
  t.ok(part("taken-over").endsWith(status0));
  t.strictSame(
    part("cleaned-up").trim().split("\n"),
    ["lo", "h1-p", "h2-p", "h3-p", "h4-p"],
    "nothing is left",
  );
  t.notMatch(part("log"), /could not be|defect/);
});
