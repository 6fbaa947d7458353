/** Open vSwitch's own tables: TLV maps of tunnel options, flush of tracked connections. */

import { Fatal } from "../../src/lib/errors.ts";
import { TextError } from "../../src/openflow/actions/registry.ts";
import { keyValues } from "../../src/openflow/actions/row.ts";
import type { NxtCtFlush, TlvMap } from "../../src/openflow/messages.ts";
import { parseUint } from "../../src/openflow/ports.ts";
import { CtMatchError, parseCtFlush } from "../../src/openflow/text/ct-match.ts";
import { Session } from "./session.ts";
import type { Ofctl } from "./settings.ts";

function parseMaps(text: string): TlvMap[] {
  const out: TlvMap[] = [];
  for (const item of text.matchAll(/\{([^}]*)\}->tun_metadata(\d+)/g)) {
    const map: TlvMap = { optionClass: 0xffff, optionType: 0xff, optionLen: 0, index: Number(item[2]) };
    for (const { key, value } of keyValues(item[1]!)) {
      const number = parseUint(value);
      if (number === undefined) throw new TextError(`invalid ${key} "${value}"`);
      if (key === "class") map.optionClass = number;
      else if (key === "type") map.optionType = number;
      else if (key === "len") map.optionLen = number;
      else throw new TextError("invalid tlv mapping");
    }
    out.push(map);
  }
  if (out.length === 0 && text.trim() !== "") throw new TextError("invalid tlv mapping");
  return out;
}

export async function addTlvMap(o: Ofctl, [name, text]: string[]): Promise<void> {
  const maps = parseMaps(text!);
  const session = await Session.open(o, name!);
  await session.noReply({ type: "nxt-tlv-table-mod", command: 0, maps });
  session.close();
}

export async function delTlvMap(o: Ofctl, [name, text]: string[]): Promise<void> {
  const session = await Session.open(o, name!);
  await session.noReply({
    type: "nxt-tlv-table-mod",
    command: text === undefined ? 2 : 1,
    maps: text === undefined ? [] : parseMaps(text),
  });
  session.close();
}

export async function ctFlushZone(o: Ofctl, [name, text]: string[]): Promise<void> {
  const zone = parseUint(text!);
  if (zone === undefined || zone > 0xffff) throw new Fatal(`invalid zone "${text}"`);
  const session = await Session.open(o, name!);
  await session.noReply({ type: "nxt-ct-flush-zone", zone });
  session.close();
}

function parseMatch(args: readonly string[]): NxtCtFlush {
  try {
    return parseCtFlush(args);
  } catch (error) {
    if (!(error instanceof CtMatchError)) throw error;
    throw new Fatal(`Failed to parse CT match: ${error.message}`);
  }
}

export async function ctFlush(o: Ofctl, [name, ...args]: string[]): Promise<void> {
  const m = parseMatch(args);
  const session = await Session.open(o, name!);
  await session.noReply(m);
  session.close();
}
