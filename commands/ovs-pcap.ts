/** `ovs-pcap`: the packets of a capture file in hex, one a line (ovs-pcap(1)). */
import { readFileSync } from "node:fs";
import { runApplet } from "../src/lib/applet.ts";
import { helpTextOptions } from "../src/lib/common-options.ts";
import { describeError, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import { readPcap } from "../src/netdev/pcap.ts";
import { realPlatform } from "./platform.ts";

export function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  return runApplet(platform, program, () => {
    const groups: OptionGroup[] = [
      helpTextOptions(
        platform,
        program,
        () =>
          `${program}: prints the packets of a capture file in hex\nusage: ${program} FILE\n${formatOptions(groups)}`,
      ),
    ];
    const [file, ...more] = getopt(program, groups, args);
    if (file === undefined || more.length > 0)
      throw new Fatal("exactly one non-option argument required; use --help for help");
    for (const packet of packetsOf(file)) platform.stdout(`${Buffer.from(packet).toString("hex")}\n`);
    return 0;
  });
}

function packetsOf(file: string): Uint8Array[] {
  let packets: Uint8Array[] | string;
  try {
    packets = readPcap(readFileSync(file));
  } catch (error) {
    throw new Fatal(`${file}: open failed (${describeError(error)})`);
  }
  if (typeof packets === "string") throw new Fatal(`${file}: ${packets}`);
  return packets;
}
