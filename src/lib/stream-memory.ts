/** Streams inside the process: a pair, and a StreamFactory where `punix:`/`ptcp:` names meet (see design: "Stream"). */
import type { Clock } from "./clock.ts";
import type { Stream, StreamFactory } from "./stream.ts";

/** Two ends of one connection. Bytes arrive in a later turn of the loop, never inside `write`. */
export declare function memoryPair(clock: Clock, name?: string): [Stream, Stream];

/** Active names find passive ones listened to in the same network: unix:F with punix:F, tcp:H:P with ptcp:P. */
export declare class MemoryNetwork implements StreamFactory {
  constructor(clock: Clock);
  connect: StreamFactory["connect"];
  listen: StreamFactory["listen"];
}
