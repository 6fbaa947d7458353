/** The shape of the message registry's rows, and helpers that several messages share. */
import type { Match } from "../../flow/match.ts";
import type { Message, Version } from "../messages.ts";
import type { Reader, Writer } from "../wire.ts";

/**
 * Where a message's number is found: `msg` the header's type; `request` and `reply` the multipart type; `nx` and `onf`
 * an experimenter message's subtype; `nxrequest`, `nxreply`, `onfrequest`, `onfreply` an experimenter multipart's.
 */
export type Kind =
  | "msg"
  | "request"
  | "reply"
  | "nx"
  | "onf"
  | "nxrequest"
  | "nxreply"
  | "onfrequest"
  | "onfreply";

export interface EncodeOptions {
  /** Flow messages of 1.0 in Nicira's extended format. */
  nxm?: boolean;
  /** A flow_mod of 1.0 carries the table in its command's high byte. */
  tableIds?: boolean;
  /** The wire name, where a version has several forms (NXT_PACKET_IN, NXT_PACKET_IN2). */
  name?: string;
}

export interface DecodeOptions {
  /** As in EncodeOptions; default true. */
  tableIds?: boolean;
  /** Accept matches with unknown fields. */
  loose?: boolean;
  /** A match to use up for a flow_mod that nobody keeps: making one takes as long as the rest of decoding. */
  scratch?: Match | undefined;
}

export interface MessageRow<M extends Message = Message> {
  /** As printed: "OFPT_HELLO", "OFPST_FLOW reply". */
  readonly name: string;
  readonly type: M["type"];
  readonly kind: Kind;
  readonly number: number;
  readonly first: number;
  readonly last: number;
  /** Least length of the body; more is allowed in steps of `unit` (0: never). */
  readonly min: number;
  readonly unit: number;
  decode(r: Reader, version: Version, options: DecodeOptions): M;
  encode(m: M, w: Writer, version: Version, options: EncodeOptions): void;
}

export function message<M extends Message>(row: MessageRow<M>): MessageRow {
  return row as unknown as MessageRow;
}

/** A row for each version range of one message with one codec. */
export interface Shape<M extends Message> {
  type: M["type"];
  name: string;
  kind: Kind;
  decode: MessageRow<M>["decode"];
  encode: MessageRow<M>["encode"];
}

/** Rows of one codec: [number, first, last, min, unit] each. */
export function rows<M extends Message>(
  shape: Shape<M>,
  ...forms: readonly (readonly [number: number, first: number, last: number, min: number, unit: number])[]
): MessageRow[] {
  return forms.map(([number, first, last, min, unit]) =>
    message({ ...shape, number, first, last, min, unit }),
  );
}

/** Messages without a body. */
export function empty(
  name: string,
  type: Message["type"],
  kind: Kind,
  ...forms: readonly (readonly [number: number, first: number, last: number])[]
): MessageRow[] {
  return forms.map(([number, first, last]) => ({
    name,
    type,
    kind,
    number,
    first,
    last,
    min: 0,
    unit: 0,
    decode: () => ({ type }) as Message,
    encode() {},
  }));
}
