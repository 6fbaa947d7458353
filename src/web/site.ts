/**
 * The web server's paths: the page and its parts, compiled into the executable; /session, where the token is shown;
 * /socket, the page's WebSocket; /metrics for Prometheus. Every request passes the guard first.
 */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import type { Clock } from "../lib/clock.ts";
import type { WebSocketHandler } from "../lib/http.ts";
import { vlog } from "../lib/vlog.ts";
import type { Guard } from "./guard.ts";

const log = vlog("web");

/** Texts of the page. */
export interface Assets {
  readonly html: string;
  readonly script: string;
  readonly style: string;
}

export interface SiteOptions {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly assets: Assets;
  /** A page has connected. */
  readonly connect: () => WebSocketHandler;
  /** Text for Prometheus. */
  readonly metrics: () => Promise<{ readonly type: string; readonly text: string }>;
}

/** A wrong token is answered this late. */
const WRONG_TOKEN_MS = 500;
/** Wrong tokens that may wait for their answers at a time; more are refused at once. */
const MAX_WRONG = 20;

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

interface File {
  readonly type: string;
  readonly text: string;
  readonly tag: string;
  zipped: Uint8Array<ArrayBuffer> | undefined;
}

export class Site {
  readonly #options: SiteOptions;
  readonly #files: ReadonlyMap<string, File>;
  #wrong = 0;

  constructor(options: SiteOptions) {
    this.#options = options;
    const { html, script, style } = options.assets;
    this.#files = new Map([
      ["/", file("text/html; charset=utf-8", html)],
      ["/page.js", file("text/javascript; charset=utf-8", script)],
      ["/page.css", file("text/css; charset=utf-8", style)],
    ]);
  }

  async answer(request: Request): Promise<Response | WebSocketHandler> {
    const { guard } = this.#options;
    const refusal = guard.refusal(request.headers);
    if (refusal !== undefined) return plain(403, refusal);
    let path: string;
    try {
      path = new URL(request.url).pathname;
    } catch {
      return plain(400, "bad request");
    }
    const { method } = request;
    if (path === "/session" && method === "POST") return this.#signIn(request);
    if (method !== "GET" && method !== "HEAD") return plain(405, "method not allowed");
    const found = this.#files.get(path);
    if (found !== undefined) return serve(found, request.headers);
    if (path !== "/session" && path !== "/socket" && path !== "/metrics") return plain(404, "not found");
    if (!guard.isAuthorized(request.headers)) {
      return plain(401, "the token is missing or wrong", {
        "www-authenticate": 'Bearer realm="ovsdbmonitor"',
      });
    }
    if (path === "/session") return plain(200, "signed in");
    if (path === "/socket") return this.#options.connect();
    const { type, text } = await this.#options.metrics();
    return new Response(text, { headers: { ...HEADERS, "content-type": type, "cache-control": "no-store" } });
  }

  async #signIn(request: Request): Promise<Response> {
    const { guard, clock } = this.#options;
    if (!guard.needsToken) return plain(200, "signed in");
    const cookie = guard.signIn((await request.text()).trim());
    if (cookie !== undefined) return plain(200, "signed in", { "set-cookie": cookie });
    log.warn("a wrong token was shown");
    if (this.#wrong >= MAX_WRONG) return plain(429, "too many wrong tokens; try again later");
    this.#wrong++;
    await new Promise<void>((resolve) => void clock.after(WRONG_TOKEN_MS, resolve));
    this.#wrong--;
    return plain(401, "the token is wrong");
  }
}

function plain(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${text}\n`, {
    status,
    headers: {
      ...HEADERS,
      "content-type": "text/plain; charset=utf-8",
      "cache-control": "no-store",
      ...headers,
    },
  });
}

function file(type: string, text: string): File {
  const tag = `"${createHash("sha256").update(text).digest("base64url").slice(0, 20)}"`;
  return { type, text, tag, zipped: undefined };
}

function serve(found: File, request: Headers): Response {
  const headers: Record<string, string> = {
    ...HEADERS,
    "content-type": found.type,
    "cache-control": "no-cache",
    etag: found.tag,
    vary: "accept-encoding",
  };
  if (request.get("if-none-match") === found.tag) return new Response(null, { status: 304, headers });
  if (!/\bgzip\b/.test(request.get("accept-encoding") ?? "")) return new Response(found.text, { headers });
  found.zipped ??= new Uint8Array(gzipSync(found.text));
  return new Response(found.zipped, { headers: { ...headers, "content-encoding": "gzip" } });
}
