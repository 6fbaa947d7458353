/** A flow as a packet: headers from the flow's values, valid checksums, and a payload. */
import type { Flow } from "./layout.ts";

export interface ComposeOptions {
  /** Bytes of L7 payload; undefined for the original's 64 bytes. */
  readonly payloadLength?: number;
  readonly payload?: Uint8Array;
  /** Leaves the L4 checksum wrong on purpose (`--bad-csum`). */
  readonly badChecksum?: boolean;
}

export function composePacket(_flow: Flow, _options?: ComposeOptions): Uint8Array {
  throw new Error("not implemented");
}
