/**
 * Who may talk to the page's server. Three dangers, three checks:
 *
 * - a foreign name that is made to resolve to our address (DNS rebinding) makes a browser speak to us as to that name:
 *   `Host` must be a numeric address, "localhost", or a name that we were told is ours;
 * - a foreign page may open a WebSocket to us, and a browser lets it: `Origin`, where there is one, must be our own;
 * - whoever reaches us when we listen to more than loopback must show the token, once by the form, which leaves a cookie,
 *   or with each request as a bearer token (RFC 6750), as Prometheus does. It is compared in constant time.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { isIP } from "node:net";

export interface GuardOptions {
  /** Names, besides addresses and "localhost", by which browsers reach us. */
  readonly names: readonly string[];
  /** undefined: everybody who reaches us may look. */
  readonly token: string | undefined;
  /** Over TLS. */
  readonly secure: boolean;
  /** A random text that cannot be guessed. */
  readonly secret: () => string;
}

const COOKIE = "ovsdbmonitor";
/** Browsers that are signed in; the oldest is forgotten. */
const MAX_SESSIONS = 1000;

/** "[::1]:80" → "::1", "a.example:80" → "a.example"; undefined: no host. */
export function hostName(host: string): string | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]+))(?::\d+)?$/.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase();
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

function sameText(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

export class Guard {
  readonly #options: GuardOptions;
  readonly #names: ReadonlySet<string>;
  readonly #sessions = new Set<string>();

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#names = new Set(["localhost", ...options.names.map((name) => name.toLowerCase())]);
  }

  get needsToken(): boolean {
    return this.#options.token !== undefined;
  }

  /** Why the request must not be served at all; undefined: go on. */
  refusal(headers: Headers): string | undefined {
    const host = headers.get("host");
    const name = host === null ? undefined : hostName(host);
    if (name === undefined || (isIP(name) === 0 && !this.#names.has(name))) {
      return "this server is not known by that name (see --server-name)";
    }
    const origin = headers.get("origin");
    const own = `${this.#options.secure ? "https" : "http"}://${host!.toLowerCase()}`;
    if (origin !== null && origin !== own) return "a page from elsewhere may not talk to this server";
    return undefined;
  }

  isAuthorized(headers: Headers): boolean {
    const { token } = this.#options;
    if (token === undefined) return true;
    const bearer = /^Bearer\s+(.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
    if (bearer !== undefined) return sameText(bearer, token);
    const session = sessionOf(headers.get("cookie") ?? "");
    return session !== undefined && this.#sessions.has(session);
  }

  /** The cookie for a browser that has shown the token; undefined: the wrong one. */
  signIn(token: string): string | undefined {
    if (this.#options.token === undefined || !sameText(token, this.#options.token)) return undefined;
    if (this.#sessions.size >= MAX_SESSIONS) this.#sessions.delete(this.#sessions.values().next().value!);
    const session = this.#options.secret();
    this.#sessions.add(session);
    const flags = `HttpOnly; SameSite=Strict; Path=/${this.#options.secure ? "; Secure" : ""}`;
    return `${COOKIE}=${session}; ${flags}`;
  }
}

function sessionOf(cookies: string): string | undefined {
  for (const part of cookies.split(";")) {
    const [name, value] = part.trim().split("=");
    if (name === COOKIE) return value;
  }
  return undefined;
}
