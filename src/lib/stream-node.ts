/** Streams over node:net and (loaded when first used) node:tls. */
import type { Clock } from "./clock.ts";
import type { StreamFactory } from "./stream.ts";
import type { TlsConfig } from "./stream-config.ts";

export declare function nodeStreams(clock: Clock, tls?: TlsConfig): StreamFactory;
