/** When to connect, probe, and give up: the state machine behind every session. Pure: time comes as an argument (ms). */
export type ReconnectState =
  | "VOID"
  | "LISTENING"
  | "BACKOFF"
  | "CONNECTING"
  | "ACTIVE"
  | "IDLE"
  | "RECONNECT";
/** What the owner has to do now. */
export type ReconnectAction = "connect" | "disconnect" | "probe" | undefined;
