/** The page's WebSocket: watches that outlive a lost connection, and calls. */
import type { FromServer, Methods, Topic } from "../protocol.ts";
import { Store } from "./store.ts";

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8000;

interface Watch {
  readonly topic: Topic;
  readonly data: (data: unknown) => void;
  readonly failed: (error: string) => void;
}

interface Call {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

export type Link = "connecting" | "open" | "lost" | "locked";

export class Connection extends Store {
  link: Link = "connecting";
  #socket: WebSocket | undefined = undefined;
  readonly #watches = new Map<number, Watch>();
  readonly #calls = new Map<number, Call>();
  #next = 1;
  #waitMs = FIRST_WAIT_MS;

  /** Asks first whether a token is needed: a refused WebSocket does not say why. */
  async open(): Promise<void> {
    let status = 0;
    try {
      status = (await fetch("/session", { cache: "no-store" })).status;
    } catch {
      // The server is away.
    }
    if (status === 401) {
      this.#setLink("locked");
      return;
    }
    if (status !== 200) {
      this.#again();
      return;
    }
    const socket = new WebSocket(
      `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/socket`,
    );
    socket.onopen = () => {
      this.#socket = socket;
      this.#waitMs = FIRST_WAIT_MS;
      this.#setLink("open");
      for (const [id, { topic }] of this.#watches) this.#send({ watch: id, topic });
    };
    socket.onmessage = (event) => this.#receive(JSON.parse(event.data as string) as FromServer);
    socket.onclose = () => {
      this.#socket = undefined;
      const calls = [...this.#calls.values()];
      this.#calls.clear();
      for (const { reject } of calls) reject(new Error("the connection was lost"));
      this.#again();
    };
  }

  /** Shows the token. Resolves to what is wrong with it, or undefined. */
  async signIn(token: string): Promise<string | undefined> {
    const answer = await fetch("/session", { method: "POST", body: token });
    if (!answer.ok) return (await answer.text()).trim();
    this.#setLink("connecting");
    void this.open();
    return undefined;
  }

  /** Returns how to stop. */
  watch(topic: Topic, data: (data: unknown) => void, failed: (error: string) => void): () => void {
    const id = this.#next++;
    this.#watches.set(id, { topic, data, failed });
    if (this.link === "open") this.#send({ watch: id, topic });
    return () => {
      this.#watches.delete(id);
      if (this.link === "open") this.#send({ stop: id });
    };
  }

  call<M extends keyof Methods>(method: M, params: Methods[M]["params"]): Promise<Methods[M]["result"]> {
    if (this.link !== "open") return Promise.reject(new Error("not connected"));
    const id = this.#next++;
    this.#send({ call: id, method, params });
    return new Promise((resolve, reject) => {
      this.#calls.set(id, { resolve: resolve as (result: unknown) => void, reject });
    });
  }

  #again(): void {
    this.#setLink("lost");
    setTimeout(() => void this.open(), this.#waitMs);
    this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2);
  }

  #setLink(link: Link): void {
    this.link = link;
    this.changed();
  }

  #send(message: unknown): void {
    this.#socket?.send(JSON.stringify(message));
  }

  #receive(message: FromServer): void {
    if ("data" in message) {
      this.#watches.get(message.id)?.data(message.data);
      return;
    }
    const call = this.#calls.get(message.id);
    this.#calls.delete(message.id);
    if ("result" in message) call?.resolve(message.result);
    else if (call !== undefined) call.reject(new Error(message.error));
    else this.#watches.get(message.id)?.failed(message.error);
  }
}

export const connection = new Connection();
