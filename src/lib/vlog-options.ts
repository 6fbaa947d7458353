/** The logging options of every program: -v/--verbose, --log-file, --syslog-method, --syslog-target. */
import { Exit, Fatal } from "./errors.ts";
import type { OptionGroup } from "./getopt.ts";
import {
  VLL_DBG,
  vlogSetFile,
  vlogSetLevel,
  vlogSetSpec,
  vlogSetSyslogMethod,
  vlogSetSyslogTarget,
} from "./vlog.ts";

/** vlogStart comes before the options are parsed. */
export function vlogOptions(): OptionGroup {
  return {
    title: "Logging options",
    options: [
      {
        long: "verbose",
        short: "v",
        arg: "optional",
        metavar: "SPEC",
        help: "set log levels; without SPEC, log everything",
        set: (spec) => {
          if (spec === undefined) return vlogSetLevel(undefined, undefined, VLL_DBG);
          const error = vlogSetSpec(spec);
          if (error !== undefined) throw new Fatal(`processing "${spec}": ${error}`);
        },
      },
      {
        long: "log-file",
        arg: "optional",
        metavar: "FILE",
        help: "log to FILE (default: PROGRAM.log in the log folder)",
        set: (name) => {
          if (!vlogSetFile(name)) throw new Exit(1);
        },
      },
      {
        long: "syslog-method",
        arg: "required",
        metavar: "METHOD",
        help: "libc, null, unix:FILE or udp:IP:PORT",
        set: (method) => {
          if (!vlogSetSyslogMethod(method!)) throw new Fatal(`unsupported syslog method '${method}'`);
        },
      },
      {
        long: "syslog-target",
        arg: "required",
        metavar: "HOST:PORT",
        help: "send syslog messages there by UDP, too",
        set: (target) => vlogSetSyslogTarget(target!),
      },
    ],
  };
}
