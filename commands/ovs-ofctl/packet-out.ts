/** The text of packet-out: `in_port=PORT packet=HEX actions=...`, metadata fields allowed (upstream: ofp-packet's parser). */

import { W_IN_PORT } from "../../src/flow/layout.ts";
import { makeMatch, setMatchWord } from "../../src/flow/match.ts";
import { type PortNames, parseMatchItem } from "../../src/flow/match-text.ts";
import { parseActions, type TableNames, TextError } from "../../src/openflow/actions/registry.ts";
import { keyValues } from "../../src/openflow/actions/row.ts";
import { OFPP_NONE } from "../../src/openflow/actions.ts";
import { OFP_NO_BUFFER, type PacketOut } from "../../src/openflow/messages.ts";
import { packetFromHex } from "./packets.ts";

export function parsePacketOut(
  text: string,
  options: { ports?: PortNames | undefined; tables?: TableNames | undefined },
): { message: PacketOut; usable: number } {
  const found = /(?:^|[,\s])actions?=/.exec(text);
  if (found === null) {
    throw new TextError(/packet=/.test(text) ? "must specify an action" : "must specify packet");
  }
  const parsed = parseActions(text.slice(found.index + found[0].length), options);
  const match = makeMatch();
  setMatchWord(match, W_IN_PORT, OFPP_NONE, -1);
  let packet: Uint8Array | undefined;
  for (const { key, value } of keyValues(text.slice(0, found.index))) {
    if (key === "packet") {
      packet = packetFromHex(value, "packet: ");
      continue;
    }
    // packet_type(NS,TYPE) as well as packet_type=(NS,TYPE)
    const bare = key === "packet_type" && !value.startsWith("(");
    const given = bare ? `(${value})` : value;
    const problem = parseMatchItem(match, key, given === "" ? undefined : given, options.ports);
    if (problem === null) throw new TextError(`unknown keyword ${key}`);
    if (problem !== undefined) throw new TextError(problem);
  }
  if (packet === undefined) throw new TextError("must specify packet");
  return {
    message: { type: "packet-out", bufferId: OFP_NO_BUFFER, match, actions: parsed.actions, packet },
    usable: parsed.usable,
  };
}
