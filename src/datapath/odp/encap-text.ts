/** push_eth and push_nsh as text. */
import * as L from "../../flow/layout.ts";
import * as A from "./actions.ts";
import { ETH_ATTRIBUTE } from "./attributes.ts";
import { parseAttribute } from "./key-text.ts";

/** `src=00:00:00:00:00:01,dst=00:00:00:00:00:02` */
export function parsePushEth(inside: string, builder: A.OdpActionBuilder): boolean {
  const value = new Int32Array(L.FLOW_DP_WORDS);
  const mask = new Int32Array(L.FLOW_DP_WORDS);
  if (!parseAttribute(ETH_ATTRIBUTE, inside, value, mask)) return false;
  builder.emit(A.ODP_PUSH_ETH, value[L.W_ETH_DST_HI]!, value[L.W_ETH_DST_SRC]!, value[L.W_ETH_SRC_LO]!, 3);
  return true;
}

export function formatPushNsh(words: Int32Array, at: number): string {
  const base = words[at + A.NSH_BASE]!;
  const path = words[at + A.NSH_PATH]!;
  const mdType = (base >>> 8) & 0xff;
  const fields = [
    `flags=${base >>> 24}`,
    `ttl=${(base >>> 16) & 0xff}`,
    `mdtype=${mdType}`,
    `np=${base & 0xff}`,
    `spi=0x${(path >>> 8).toString(16)}`,
    `si=${path & 0xff}`,
  ];
  const hex = (word: number) => (words[at + A.NSH_CONTEXT + word]! >>> 0).toString(16);
  if (mdType === 1) for (let i = 0; i < 4; i++) fields.push(`c${i + 1}=0x${hex(i)}`);
  else {
    const bytes = words[at + A.NSH_MD2_LENGTH]!;
    let options = "";
    for (let i = 0; i < bytes >>> 2; i++) options += hex(i).padStart(8, "0");
    fields.push(`md2=0x${options}`);
  }
  return `push_nsh(${fields.join(",")})`;
}

const NUMBER = /^(0x[0-9a-f]+|\d+)$/i;

export function parsePushNsh(inside: string, builder: A.OdpActionBuilder): boolean {
  const values: Record<string, number> = {
    flags: 0,
    ttl: 63,
    mdtype: 1,
    np: 3,
    spi: 0,
    si: 255,
    c1: 0,
    c2: 0,
    c3: 0,
    c4: 0,
  };
  let options = "";
  for (const field of inside === "" ? [] : inside.split(",")) {
    const equals = field.indexOf("=");
    const name = field.slice(0, equals).trim();
    const text = field.slice(equals + 1).trim();
    if (name === "md2") {
      if (!/^0x([0-9a-f]{8})*$/i.test(text)) return false;
      options = text.slice(2);
    } else if (Object.hasOwn(values, name) && NUMBER.test(text)) values[name] = Number(text);
    else return false;
  }
  const { flags, ttl, mdtype, np, spi, si } = values as Record<
    "flags" | "ttl" | "mdtype" | "np" | "spi" | "si",
    number
  >;
  if (flags > 3 || ttl > 63 || np > 255 || spi > 0xffffff || si > 255) return false;
  if (mdtype !== 1 && mdtype !== 2) return false;
  const words = mdtype === 1 ? 4 : options.length / 8;
  const at = builder.emitBlank(A.ODP_PUSH_NSH, A.NSH_CONTEXT + words);
  const program = builder.words;
  program[at + A.NSH_BASE] = (flags << 24) | (ttl << 16) | (mdtype << 8) | np;
  program[at + A.NSH_PATH] = (spi << 8) | si;
  program[at + A.NSH_MD2_LENGTH] = mdtype === 1 ? 0 : words * 4;
  for (let i = 0; i < words; i++)
    program[at + A.NSH_CONTEXT + i] =
      mdtype === 1 ? values[`c${i + 1}`]! | 0 : Number.parseInt(options.slice(8 * i, 8 * i + 8), 16) | 0;
  return true;
}
