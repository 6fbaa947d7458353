/** The text of packet-out: `in_port=PORT packet=HEX actions=...`, metadata fields allowed (upstream: ofp-packet's parser). */

import { W_IN_PORT } from "../../src/flow/layout.ts";
import { makeMatch, setMatchWord } from "../../src/flow/match.ts";
import { type PortNames, parseMatchItem } from "../../src/flow/match-text.ts";
import { parsePlainActions, type TableNames, TextError } from "../../src/openflow/actions/registry.ts";
import { keyValues } from "../../src/openflow/actions/row.ts";
import { OFPP_CONTROLLER } from "../../src/openflow/actions.ts";
import { matchProtocols } from "../../src/openflow/match-protocols.ts";
import { OFP_NO_BUFFER, type PacketOut } from "../../src/openflow/messages.ts";
import { parsePort } from "../../src/openflow/ports.ts";
import { packetFromHex } from "./packets.ts";

export function parsePacketOut(
  text: string,
  options: { ports?: PortNames | undefined; tables?: TableNames | undefined },
): { message: PacketOut; usable: number } {
  const found = /(?:^|[,\s])actions?=/.exec(text);
  const actions = found === null ? "" : text.slice(found.index + found[0].length);
  const match = makeMatch();
  setMatchWord(match, W_IN_PORT, OFPP_CONTROLLER, -1);
  let packet: Uint8Array | undefined;
  for (const { key, value } of keyValues(text.slice(0, found?.index))) {
    if (value === "") throw new TextError(`field ${key} missing value`);
    if (key === "in_port") {
      const port = parsePort(value, options.ports);
      if (port === undefined) throw new TextError(`${value} is not a valid OpenFlow port`);
      setMatchWord(match, W_IN_PORT, port, -1);
      continue;
    }
    if (key === "packet") {
      packet = packetFromHex(value, "packet: ");
      continue;
    }
    // packet_type(NS,TYPE) as well as packet_type=(NS,TYPE)
    const bare = key === "packet_type" && !value.startsWith("(");
    const given = bare ? `(${value})` : value;
    const problem = parseMatchItem(match, key, given, options.ports);
    if (problem === null) throw new TextError(`unknown keyword ${key}`);
    if (problem !== undefined) throw new TextError(problem);
  }
  if (packet === undefined) throw new TextError("must specify packet");
  const parsed = parsePlainActions(actions, options);
  return {
    message: { type: "packet-out", bufferId: OFP_NO_BUFFER, match, actions: parsed.actions, packet },
    usable: parsed.usable & matchProtocols(match),
  };
}
