/** Commands that need no switch: parse-flow(s), ofp-print, ofp-parse, parse-actions, parse-nxm and other test helpers. */
import fs from "node:fs";
import { W_VLAN0 } from "../../src/flow/layout.ts";
import { type Match, makeMatch, setMatchWord } from "../../src/flow/match.ts";
import { formatMatch } from "../../src/flow/match-text.ts";
import { normalizeMatch } from "../../src/flow/normalize.ts";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import {
  decodeActions,
  decodeInstructions,
  encodeActions,
  encodeInstructions,
  formatActions,
} from "../../src/openflow/actions/registry.ts";
import { keyValues } from "../../src/openflow/actions/row.ts";
import { encode, readHeaderAt, setXid } from "../../src/openflow/codec.ts";
import { errorNames, errorNumbers, OfpError } from "../../src/openflow/errors.ts";
import { readMatch10, readOfp11Match, writeMatch10, writeMatch11 } from "../../src/openflow/fixed-match.ts";
import { logDecodeError, logNormalization } from "../../src/openflow/log.ts";
import { OFPFC_ADD, type Version } from "../../src/openflow/messages.ts";
import { makeError } from "../../src/openflow/msg/core.ts";
import { readMatch, writeMatch, writeOxmMatch } from "../../src/openflow/oxm.ts";
import { protocolName, protocolsText, versionByName } from "../../src/openflow/protocols.ts";
import { hexDump } from "../../src/openflow/text/common.ts";
import { parseTlvs, tlvText } from "../../src/openflow/text/raw-match.ts";
import { Reader, Writer } from "../../src/openflow/wire.ts";
import { parserLog } from "./dumps.ts";
import { encodeFlows, type FlowSource, oneFlow, openFlowFile } from "./flow-file.ts";
import { MessagesOutput, messageOutput, messageText } from "./output.ts";
import { nextXid } from "./session.ts";
import type { Ofctl } from "./settings.ts";

/** The first that is allowed. */
function firstProtocol(protocols: number): number {
  return protocols & -protocols;
}

/** Prints the flow_mods as they would be sent in the first allowed protocol that can carry them all. */
function printFlowMods(o: Ofctl, source: FlowSource): void {
  const { bytes, protocol, usable } = encodeFlows(source, o.settings.protocols, firstProtocol);
  if (!o.settings.json) o.platform.stdout(`usable protocols: ${protocolsText(usable)}\n`);
  if (protocol === 0) throw new Fatal("no usable protocol");
  if (!o.settings.json) o.platform.stdout(`chosen protocol: ${protocolName(protocol)}\n`);
  const out = new MessagesOutput(o, { verbosity: o.settings.verbosity });
  for (let at = 0; at < bytes.length; ) {
    const { length } = readHeaderAt(bytes, at);
    const message = bytes.subarray(at, at + length);
    setXid(message, nextXid());
    out.add(message);
    at += length;
  }
  out.end();
}

export async function parseFlowCommand(o: Ofctl, [text]: string[]): Promise<void> {
  printFlowMods(o, oneFlow(text!, OFPFC_ADD, { log: parserLog }));
}

export async function parseFlows(o: Ofctl, [file]: string[]): Promise<void> {
  printFlowMods(o, await openFlowFile(o, file!, -2, { log: parserLog }));
}

/** Hex digits with white space between; "//" and "#" begin comments. */
function hexBytes(text: string): Uint8Array {
  const clean = text.replace(/(#|\/\/).*/g, "").replace(/\s+/g, "");
  return Uint8Array.from(clean.match(/[0-9a-fA-F]{2}/g) ?? [], (pair) => Number.parseInt(pair, 16));
}

export async function ofpPrint(o: Ofctl, [text, level]: string[]): Promise<void> {
  const options = { verbosity: level === undefined ? 2 : Number.parseInt(level, 10) };
  if (text !== "-") {
    const clean = text!.replace(/\s+/g, "");
    if (!/^([0-9a-fA-F]{2})*$/.test(clean)) throw new Fatal("trailing garbage following hex bytes");
    o.platform.stdout(messageOutput(o, hexBytes(text!), options));
    return;
  }
  const lines = new TextDecoder().decode(await o.platform.stdin()).split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    const bytes = hexBytes(line);
    if (bytes.length > 0 || line.trim() !== "") o.platform.stdout(messageOutput(o, bytes, options));
  }
}

export async function ofpParse(o: Ofctl, [file]: string[]): Promise<void> {
  let bytes: Uint8Array;
  try {
    bytes = file === "-" ? await o.platform.stdin() : fs.readFileSync(file!);
  } catch (error) {
    throw new Fatal(`${file}: open failed (${describeError(error)})`);
  }
  let at = 0;
  const out = new MessagesOutput(o, { verbosity: o.settings.verbosity + 2 });
  try {
    while (at + 8 <= bytes.length) {
      const { length } = readHeaderAt(bytes, at);
      if (length < 8) throw new Fatal(`${file}: bad length ${length} in header`);
      if (at + length > bytes.length) throw new Fatal(`${file}: unexpected end of file mid-message`);
      out.add(bytes.subarray(at, at + length));
      at += length;
    }
  } finally {
    out.end();
  }
  if (at < bytes.length) throw new Fatal(`${file}: unexpected end of file mid-header`);
}

/** Lines of hex on standard input, each decoded by `one`; empty lines answer with one. */
async function eachHexLine(o: Ofctl, one: (bytes: Uint8Array, table: number) => string): Promise<void> {
  const lines = new TextDecoder().decode(await o.platform.stdin()).split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    const clean = line.replace(/(#|\/\/).*/, "").trim();
    if (clean === "") {
      o.platform.stdout("\n");
      continue;
    }
    const numbered = /^(\d+),(.*)$/.exec(clean);
    o.platform.stdout(one(hexBytes(numbered?.[2] ?? clean), numbered === null ? 255 : Number(numbered[1])));
  }
}

/** Where two encodings differ, "12: 34 -> 56". */
function differences(a: Uint8Array, b: Uint8Array, prefix = ""): string {
  let out = "";
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    if (a[i] === b[i]) continue;
    const hex = (x: number | undefined): string =>
      x === undefined ? "(none)" : x.toString(16).padStart(2, "0");
    out += `${prefix}${String(i).padStart(2)}: ${hex(a[i])} -> ${hex(b[i])}\n`;
  }
  return out;
}

function versionArgument(text: string): Version {
  const version = versionByName(text);
  if (version === undefined) throw new Fatal(`unknown OpenFlow version \`${text}'`);
  return version;
}

export async function parseActionsCommand(o: Ofctl, [text]: string[], instructions = false): Promise<void> {
  const version = versionArgument(text!);
  const what = instructions ? "instructions" : "actions";
  await eachHexLine(o, (bytes, table) => {
    try {
      const list = instructions
        ? decodeInstructions(new Reader(bytes), version)
        : decodeActions(new Reader(bytes), version);
      if (list.some((a) => a.type === "goto_table" && table !== 255 && a.table <= table)) {
        throw new OfpError("OFPBIC_BAD_TABLE_ID");
      }
      const w = new Writer(256);
      if (instructions) encodeInstructions(list, w, version);
      else encodeActions(list, w, version);
      return `actions=${formatActions(list)}\n${differences(bytes, w.done())}`;
    } catch (error) {
      if (!(error instanceof OfpError)) throw error;
      logDecodeError(error);
      return `bad ${text} ${what}: ${error.ofp}\n`;
    }
  });
}

export const parseInstructionsCommand = (o: Ofctl, args: string[]): Promise<void> =>
  parseActionsCommand(o, args, true);

/** parse-nxm and parse-oxm: TLV text in, decoded and encoded again, TLV text out; comments and empty lines stay. */
async function parseTlv(o: Ofctl, version: number, strict: boolean): Promise<void> {
  const lines = new TextDecoder().decode(await o.platform.stdin()).split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    if (line.trim() === "" || line.startsWith("#")) {
      o.platform.stdout(`${line}\n`);
      continue;
    }
    const clean = line.replace(/#.*/, "").trim();
    const bytes = parseTlvs(clean);
    const cookie = { value: 0n, mask: 0n };
    try {
      const match = readMatch(new Reader(bytes), bytes.length, { loose: !strict, cookie });
      const w = new Writer(256);
      if (version >= 3) writeOxmMatch(w, match, version);
      else {
        writeMatch(w, match, version, cookie);
        w.pad(0);
      }
      const tlvs = new Writer(256);
      writeMatch(tlvs, match, version, cookie);
      o.platform.stdout(`${tlvText(tlvs.done().slice())}\n`);
      if (o.settings.verbosity > 0) o.platform.stdout(hexDump(w.done(), false, false));
    } catch (error) {
      if (!(error instanceof OfpError)) throw error;
      logDecodeError(error);
      o.platform.stdout(`nx_pull_match() returned error ${error.ofp}\n`);
    }
  }
}

export const parseNxm = (o: Ofctl): Promise<void> => parseTlv(o, 0, o.settings.strict);
export const parseNxMatch = parseNxm;
export async function parseOxm(o: Ofctl, [text]: string[]): Promise<void> {
  const version = versionArgument(text!);
  if (version < 3) throw new Fatal("OXM is not supported in this version");
  await parseTlv(o, version, o.settings.strict);
}

/** "x" stands for a digit that does not matter. */
function looseHex(text: string): Uint8Array {
  return hexBytes(text.replace(/x/g, "0"));
}

export async function parseOfp10Match(o: Ofctl): Promise<void> {
  const lines = new TextDecoder().decode(await o.platform.stdin()).split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    const clean = line.replace(/#.*/, "").trim();
    if (clean === "") continue;
    const bytes = looseHex(clean);
    if (bytes.length !== 40) throw new Fatal(`expected 40-byte match, got ${bytes.length} bytes`);
    const match = readMatch10(new Reader(bytes));
    const again = bytes10(match);
    let out = `${formatMatch(match)}\n${differences(bytes, again)}`;
    const changed = normalizeMatch(match);
    if (changed !== undefined) logNormalization(changed);
    out += differences(again, bytes10(match), "normal: ");
    o.platform.stdout(`${out}\n`);
  }
}

function bytes10(match: Match): Uint8Array {
  const w = new Writer(64);
  writeMatch10(w, match);
  return w.done().slice();
}

export async function parseOfp11Match(o: Ofctl): Promise<void> {
  const lines = new TextDecoder().decode(await o.platform.stdin()).split("\n");
  for (const line of lines) {
    const clean = line.replace(/#.*/, "").trim();
    if (clean === "") continue;
    const bytes = looseHex(clean);
    try {
      const match = readOfp11Match(new Reader(bytes));
      const w = new Writer(128);
      writeMatch11(w, match);
      o.platform.stdout(`${formatMatch(match)}\n${differences(bytes, w.done())}\n`);
    } catch (error) {
      if (!(error instanceof OfpError)) throw error;
      logDecodeError(error);
      o.platform.stdout(`bad ofp11_match: ${error.ofp}\n\n`);
    }
  }
}

export async function printError(o: Ofctl, [name]: string[]): Promise<void> {
  if (!errorNames().includes(name!)) throw new Fatal(`unknown error "${name}"`);
  for (let v = 1; v <= 6; v++) {
    const numbers = errorNumbers(name!, v as Version);
    if (numbers === undefined) continue;
    const vendor = numbers.vendor === 0 ? "0" : `0x${numbers.vendor.toString(16)}`;
    o.platform.stdout(`OpenFlow 1.${v - 1}: vendor ${vendor}, type ${numbers.type}, code ${numbers.code}\n`);
  }
}

export async function encodeErrorReply(o: Ofctl, [name, request]: string[]): Promise<void> {
  if (!errorNames().includes(name!)) throw new Fatal(`unknown error "${name}"`);
  const bytes = hexBytes(request!);
  if (bytes.length < 8) throw new Fatal("Request too short");
  const { version, xid } = readHeaderAt(bytes);
  const reply = encode(makeError(name!, version, bytes), version as Version, { xid });
  o.platform.stdout(hexDump(reply, false, false));
}

export async function encodeHello(o: Ofctl, [text]: string[]): Promise<void> {
  const bits = Number(text);
  const version = (31 - Math.clz32(bits)) as Version;
  const bytes = encode({ type: "hello", versions: bits, understood: true }, version, { xid: nextXid() });
  o.platform.stdout(hexDump(bytes, false, false));
  o.platform.stdout(messageText(o, bytes, { verbosity: 0 }));
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, "0");
}

/** A VLAN match through every form of it. */
export async function checkVlan(o: Ofctl, [tciText, maskText]: string[]): Promise<void> {
  const match = makeMatch();
  const mask = Number.parseInt(maskText!, 16);
  setMatchWord(match, W_VLAN0, Number.parseInt(tciText!, 16) & mask, mask);
  const tci = (m: Match): string =>
    `${hex(m.flow[W_VLAN0]! & 0xffff, 4)}/${hex(m.mask[W_VLAN0]! & 0xffff, 4)}`;
  let out = `${formatMatch(match)} -> ${tci(match)}\n`;
  const nxm = new Writer(64);
  writeMatch(nxm, match, 0);
  out += `NXM: ${tlvText(nxm.done())} -> ${tci(readMatch(new Reader(nxm.done()), nxm.pos))}\n`;
  const oxm = new Writer(64);
  writeMatch(oxm, match, 3);
  const back = readMatch(new Reader(oxm.done()), oxm.pos);
  const [value, bits] = [back.flow[W_VLAN0]!, back.mask[W_VLAN0]!];
  const pcp = bits & 0xe000 ? hex((value >>> 13) & 7, 2) : "--";
  out += `OXM: ${tlvText(oxm.done())} -> ${hex(value & 0x1fff, 4)}/${hex(bits & 0x1fff, 4)},${pcp}\n`;
  const of10 = bytes10(match);
  const r10 = new Reader(of10);
  const wild10 = r10.u32();
  out += `OF1.0: ${hex(r10.u16At(18), 4)}/${(wild10 >>> 1) & 1},${hex(of10[20]!, 2)}/${(wild10 >>> 20) & 1} -> ${tci(readMatch10(new Reader(of10)))}\n`;
  const w11 = new Writer(88);
  writeMatch11(w11, match);
  const of11 = w11.done();
  const wild11 = w11.view.getUint32(8);
  out += `OF1.1: ${hex(w11.view.getUint16(36), 4)}/${(wild11 >>> 1) & 1},${hex(of11[38]!, 2)}/${(wild11 >>> 2) & 1} -> ${tci(readOfp11Match(new Reader(of11)))}\n`;
  o.platform.stdout(out);
}

export async function parseKeyValue(o: Ofctl, args: string[]): Promise<void> {
  for (const text of args) {
    const items = keyValues(text).map(({ key, value }) => `${key}${value === "" ? "" : `=${value}`}`);
    o.platform.stdout(`${items.join(", ")}\n`);
  }
}
