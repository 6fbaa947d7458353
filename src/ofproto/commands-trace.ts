/** ofproto/trace and ofproto/trace-packet-out (ovs-vswitchd(8), "OFPROTO COMMANDS"). */
import type { CommandScope, OfprotoCommand } from "./commands.ts";
import { traceDocument, traceText } from "./trace.ts";
import { parseTraceRequest } from "./trace-request.ts";

export function traceCommands(scope: CommandScope): OfprotoCommand[] {
  return [
    {
      name: "ofproto/trace",
      usage: "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]",
      minArgs: 1,
      maxArgs: -1,
      run: (args) => traceText(parseTraceRequest(scope, args, false)),
      json: (args) => traceDocument(parseTraceRequest(scope, args, false)),
    },
    {
      name: "ofproto/trace-packet-out",
      usage: "[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] actions",
      minArgs: 2,
      maxArgs: -1,
      run: (args) => traceText(parseTraceRequest(scope, args, true)),
      json: (args) => traceDocument(parseTraceRequest(scope, args, true)),
    },
  ];
}
