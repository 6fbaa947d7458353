/** `ovs-appctl dpif-ebpf/*`: how the eBPF datapath is doing, and what it has loaded. */
import { EbpfDpif } from "../datapath/ebpf/dpif.ts";
import { dumpPrograms, showEbpf } from "../datapath/ebpf/show.ts";
import { Fatal } from "../lib/errors.ts";
import type { UnixctlCommands } from "../lib/unixctl.ts";
import type { Datapaths } from "./datapaths.ts";

export function registerDpifEbpfCommands(commands: UnixctlCommands, datapaths: Datapaths): void {
  /** Those that there are, or the one of that name. */
  const find = (name: string | undefined): EbpfDpif[] => {
    const found = datapaths
      .all()
      .map(({ dpif }) => dpif)
      .filter((dpif) => dpif instanceof EbpfDpif)
      .filter((dpif) => name === undefined || name === dpif.name || name === `${dpif.type}@${dpif.name}`);
    if (found.length === 0)
      throw new Fatal(name === undefined ? "no eBPF datapath" : `${name}: no such eBPF datapath`);
    return found;
  };
  commands.register("dpif-ebpf/show", "[dp]", 0, 1, ([name], reply) => {
    reply.ok(find(name).map(showEbpf).join(""));
  });
  commands.register("dpif-ebpf/dump-program", "[program]", 0, 1, ([name], reply) => {
    const texts = find(undefined).map((dpif) => dumpPrograms(dpif, name));
    const text = texts.filter((each) => each !== undefined).join("\n");
    if (text === "") reply.error(`${name}: no such program`);
    else reply.ok(text);
  });
}
