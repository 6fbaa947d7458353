/** JSON-RPC, sessions and unixctl: one set of tests over memory, unix, tcp and tls streams. */
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import t from "tap";
import { coverageStart } from "../../src/lib/coverage.ts";
import type { Json } from "../../src/lib/json.ts";
import {
  decodeMessage,
  encodeMessage,
  JsonRpc,
  JsonRpcFailure,
  type JsonRpcMessage,
} from "../../src/lib/jsonrpc.ts";
import { JsonRpcSession } from "../../src/lib/jsonrpc-session.ts";
import { memoryCommands } from "../../src/lib/memory.ts";
import type { Platform } from "../../src/lib/platform.ts";
import { Reconnect } from "../../src/lib/reconnect.ts";
import { recordedPlatform } from "../../src/lib/recording.ts";
import { InFlight, SimClock, timeCommands } from "../../src/lib/sim-clock.ts";
import type { Stream, StreamFactory } from "../../src/lib/stream.ts";
import { tlsConfig } from "../../src/lib/stream-config.ts";
import { MemoryNetwork } from "../../src/lib/stream-memory.ts";
import { nodeStreams } from "../../src/lib/stream-node.ts";
import { UnixctlCommands, UnixctlServer } from "../../src/lib/unixctl.ts";
import { VLL_OFF, vlogSetLevel } from "../../src/lib/vlog.ts";
import { makePki } from "../sim/pki.ts";
import { nodeClock, simPlatform } from "../sim/platform.ts";

vlogSetLevel(undefined, undefined, VLL_OFF);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), `ovsbox-streams-${process.pid}-`));
t.teardown(() => fs.rmSync(folder, { recursive: true }));

interface Transport {
  name: string;
  streams: StreamFactory;
  passive: string;
  active(port: number | undefined): string;
  remoteName: RegExp;
  skip?: string;
}

const pki = makePki(folder, "one");
const foreign = makePki(folder, "two");
const plain = nodeStreams({ clock: nodeClock, rundir: folder });
const secure = nodeStreams({ clock: nodeClock, rundir: folder, tls: pki ?? tlsConfig() });
const longName = `${"d".repeat(100)}/sock`;
fs.mkdirSync(path.join(folder, "d".repeat(100)));

const transports: Transport[] = [
  {
    name: "memory",
    streams: new MemoryNetwork(nodeClock),
    passive: "punix:m",
    active: () => "unix:m",
    remoteName: /^unix:m$/,
  },
  {
    name: "unix",
    streams: plain,
    passive: "punix:u.sock",
    active: () => "unix:u.sock",
    remoteName: /^unix#\d+$/,
  },
  {
    name: "unix, long path",
    streams: plain,
    passive: `punix:${longName}`,
    active: () => `unix:${longName}`,
    remoteName: /^unix#\d+$/,
  },
  {
    name: "tcp",
    streams: plain,
    passive: "ptcp:0:127.0.0.1",
    active: (port) => `tcp:127.0.0.1:${port}`,
    remoteName: /^tcp:127\.0\.0\.1:\d+$/,
  },
  {
    name: "tcp6",
    streams: plain,
    passive: "ptcp:0:[::1]",
    active: (port) => `tcp:[::1]:${port}`,
    remoteName: /^tcp:\[::1\]:\d+$/,
  },
  {
    name: "tls",
    streams: secure,
    passive: "pssl:0:127.0.0.1",
    active: (port) => `ssl:127.0.0.1:${port}`,
    remoteName: /^ssl:127\.0\.0\.1:\d+$/,
    ...(pki === undefined ? { skip: "openssl is not installed" } : {}),
  },
];

/** A server that echoes, refuses "fail", and tells on "bye" by closing. */
function serve(stream: Stream): JsonRpc {
  const rpc: JsonRpc = new JsonRpc(stream, {
    message: (message) => {
      if (message.type === "notify") rpc.notify("told", message.params);
      else if (message.type === "request" && message.method === "fail")
        rpc.error(message.id, { error: "refused" });
      else if (message.type === "request" && message.method === "bye") rpc.close();
      else if (message.type === "request") rpc.reply(message.id, message.params);
    },
    close: () => {},
  });
  return rpc;
}

const closing = (rpc: JsonRpc, messages: JsonRpcMessage[] = []): Promise<Error | undefined> =>
  new Promise((resolve) => {
    rpc.handler = { message: (message) => void messages.push(message), close: resolve };
  });

for (const { name, streams, passive, active, remoteName, skip } of transports) {
  t.test(`jsonrpc over ${name}`, { skip: skip ?? false }, async (t) => {
    const names: string[] = [];
    const server = await streams.listen(passive, (stream) => {
      names.push(stream.name);
      serve(stream);
    });
    const to = active(server.port);
    const rpc = new JsonRpc(await streams.connect(to));
    t.equal(rpc.name, to);
    const told: JsonRpcMessage[] = [];
    const closed = closing(rpc, told);
    t.strictSame(await rpc.transact("echo", [1, "é😀", 2n ** 62n]), [1, "é😀", 2n ** 62n]);
    await t.rejects(rpc.transact("fail", []), new JsonRpcFailure({ error: "refused" }));
    rpc.notify("tell", ["me"]);
    const big = "x".repeat(3_000_000);
    const answers = await Promise.all([1, 2, 3].map((i) => rpc.transact("echo", [i, big])));
    t.strictSame(
      answers.map((answer) => (answer as Json[])[0]),
      [1, 2, 3],
      "large messages in order",
    );
    t.strictSame(
      answers.map((answer) => ((answer as Json[])[1] as string).length),
      [3_000_000, 3_000_000, 3_000_000],
    );
    t.strictSame(told, [{ type: "notify", method: "told", params: ["me"] }]);
    t.equal(rpc.backlog, 0);
    await t.rejects(rpc.transact("bye", []), { code: "EOF" }, "what waits is told of the end");
    t.equal(await closed, undefined, "an orderly close is no error");
    t.match(names, [remoteName]);

    const broken = new JsonRpc(await streams.connect(to));
    const brokenClosed = closing(broken);
    broken.sendText('{"id":0,"method":3,"params":[]}');
    t.equal(await brokenClosed, undefined, "the peer hangs up on malformed messages");
    server.close();
    if (name.startsWith("unix"))
      t.equal(fs.existsSync(path.join(folder, passive.slice(6))), false, "the socket file goes");
    await t.rejects(streams.connect(to), { code: /^(ENOENT|ECONNREFUSED)$/ });
  });
}

t.test("unix sockets", async (t) => {
  fs.writeFileSync(path.join(folder, "stale"), "");
  const umask = process.umask(0o027);
  t.teardown(() => process.umask(umask));
  const server = await plain.listen("punix:stale", () => {});
  t.equal(
    fs.statSync(path.join(folder, "stale")).mode & 0o777,
    0o750,
    "0770 less the umask, an old file replaced",
  );
  t.equal(process.umask(), 0o027);
  server.close();
  await t.rejects(
    plain.listen("punix:no/such/folder", () => {}),
    { code: /^(ENOENT|EACCES)$/ },
  );
  await t.rejects(plain.connect("foo:bar"), { code: "EAFNOSUPPORT" });
  const taken = await plain.listen("ptcp:0:127.0.0.1", () => {});
  await t.rejects(
    plain.listen(`ptcp:${taken.port}:127.0.0.1`, () => {}),
    { code: "EADDRINUSE" },
  );
  taken.close();
});

t.test("tls membership", { skip: pki === undefined ? "openssl is not installed" : false }, async (t) => {
  await t.rejects(
    nodeStreams({ clock: nodeClock, rundir: folder, tls: tlsConfig() }).connect("ssl:127.0.0.1:1"),
    { code: "ENOPROTOOPT" },
    "keys must be configured",
  );
  const accepted: Stream[] = [];
  const server = await secure.listen("pssl:0:127.0.0.1", (stream) => accepted.push(stream));
  t.teardown(() => server.close());
  const stranger = nodeStreams({
    clock: nodeClock,
    rundir: folder,
    tls: { ...foreign!, caCert: pki!.caCert },
  });
  const outcome = await stranger.connect(`ssl:127.0.0.1:${server.port}`).then(
    (stream) =>
      new Promise<string>((resolve) => (stream.handler = { data: () => {}, close: () => resolve("closed") })),
    () => "refused",
  );
  t.match(outcome, /closed|refused/);
  t.equal(accepted.length, 0, "a client of another CA is not let in");
  const fooled = nodeStreams({ clock: nodeClock, rundir: folder, tls: { ...pki!, caCert: foreign!.caCert } });
  await t.rejects(fooled.connect(`ssl:127.0.0.1:${server.port}`), "a server of another CA is not trusted");

  // The peer sends its CA certificate; the first connection keeps it and ends, the second one is checked.
  const generous = nodeStreams({
    clock: nodeClock,
    rundir: folder,
    tls: { ...pki!, peerCaCert: pki!.caCert },
  });
  const second = await generous.listen("pssl:0:127.0.0.1", (stream) => serve(stream));
  t.teardown(() => second.close());
  const boot = path.join(folder, "boot.pem");
  const fresh = nodeStreams({
    clock: nodeClock,
    rundir: folder,
    tls: { ...pki!, caCert: boot, bootstrap: true },
  });
  const picky = nodeStreams({
    clock: nodeClock,
    rundir: folder,
    tls: {
      ...pki!,
      protocols: "TLSv1.3",
      ciphers: "DEFAULT:@SECLEVEL=2:!ECDHE-ECDSA-AES256-GCM-SHA384",
      ciphersuites: "TLS_CHACHA20_POLY1305_SHA256",
    },
  });
  const guests: Stream[] = [];
  const modern = await picky.listen("pssl:0:127.0.0.1", (stream) => guests.push(stream));
  t.teardown(() => modern.close());
  const old = nodeStreams({ clock: nodeClock, rundir: folder, tls: { ...pki!, protocols: "TLSv1.2" } });
  await t.rejects(old.connect(`ssl:127.0.0.1:${modern.port}`), { code: "EPROTO" }, "no version in common");
  const guest = await secure.connect(`ssl:127.0.0.1:${modern.port}`);
  while (guests.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  t.equal(guests[0]!.peerName, "one", "the common name of the client's certificate");
  t.equal(guest.peerName, "one");
  guest.destroy();
  const narrow = nodeStreams({
    clock: nodeClock,
    rundir: folder,
    tls: { ...pki!, ciphersuites: "TLS_NO_SUCH_SUITE" },
  });
  await t.rejects(narrow.connect(`ssl:127.0.0.1:${modern.port}`), { code: "EPROTO" }, "no cipher suite");

  await t.rejects(fresh.connect(`ssl:127.0.0.1:${second.port}`), { code: "EPROTO" });
  const rpc = new JsonRpc(await fresh.connect(`ssl:127.0.0.1:${second.port}`));
  t.strictSame(await rpc.transact("echo", [1]), [1]);
  t.equal(
    fs.readFileSync(boot, "utf8").replace(/\s/g, ""),
    fs.readFileSync(pki!.caCert!, "utf8").replace(/\s/g, ""),
  );
  rpc.destroy();
});

t.test("protocol ranges of TLS", async (t) => {
  const { parseProtocols } = await import("../../src/lib/stream-tls.ts");
  const cases: [text: string, range: string][] = [
    ["TLSv1.2", "TLSv1.2 TLSv1.2"],
    ["TLSv1.3,TLSv1.2", "TLSv1.2 TLSv1.3"],
    ["TLSv1.2 TLSv1.3,", "TLSv1.2 TLSv1.3"],
    ["TLSv1.3-TLSv1.2", "TLSv1.2 TLSv1.3"],
    ["TLSv1.3+", "TLSv1.3 TLSv1.3"],
    ["TLSv1.2+", "TLSv1.2 TLSv1.3"],
    ["", "TLSv1.2 TLSv1.3"],
    ["TLSv1.2-TLSv1.3,TLSv1.3+", "bad TLSv1.2-TLSv1.3,TLSv1.3"],
    ["TLSv1.2+TLSv1.3", "bad TLSv1.2+TLSv1.3"],
    ["TLSv1.2,TLSv1.1", "bad TLSv1.1"],
    ["TLSv1.2-", "bad "],
  ];
  for (const [text, want] of cases) {
    const range = parseProtocols(text);
    t.equal(typeof range === "string" ? `bad ${range}` : `${range.min} ${range.max}`, want, text);
  }
});

t.test("messages", async (t) => {
  const good: [text: string, message: JsonRpcMessage][] = [
    ['{"id":0,"method":"m","params":[1]}', { type: "request", method: "m", params: [1], id: 0 }],
    ['{"id":null,"method":"m","params":[]}', { type: "notify", method: "m", params: [] }],
    ['{"id":"x","result":{},"error":null}', { type: "reply", result: {}, id: "x" }],
    ['{"id":1,"error":"e"}', { type: "error", error: "e", id: 1 }],
  ];
  for (const [text, message] of good) {
    t.strictSame(decodeMessage(JSON.parse(text)), message, text);
    t.equal(encodeMessage(message), text);
  }
  t.strictSame(decodeMessage({ id: 1, error: "e", result: null }), { type: "error", error: "e", id: 1 });
  const bad: [text: string, error: string][] = [
    ["[1]", "message is not a JSON object"],
    ['{"id":0,"method":3,"params":[]}', "method is not a JSON string"],
    ['{"id":0,"method":"foo","params":{}}', '"params" must be JSON array'],
    ['{"id":0,"method":"foo"}', 'request must have "params"'],
    ['{"id":0,"method":"version","params":[],"zip":1}', 'message has unexpected member "zip"'],
    ['{"id":2,"error":"a","result":1}', 'reply must not have "error"'],
    ['{"id":2,"method":"a","params":[],"error":"a"}', 'error must not have "method"'],
    ["{}", 'notification must have "method"'],
  ];
  for (const [text, error] of bad) t.throws(() => decodeMessage(JSON.parse(text)), { message: error }, text);
});

t.test("reconnect", async (t) => {
  const r = new Reconnect(0);
  r.enable(0);
  t.equal(r.run(0), "connect", "at once, the first time");
  const waits: number[] = [];
  let now = 0;
  for (let i = 0; i < 6; i++) {
    r.connecting(now);
    r.connectFailed(now);
    waits.push(r.deadline() - now);
    t.equal(r.run(now), undefined);
    now = r.deadline();
    t.equal(r.run(now), "connect");
  }
  t.strictSame(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
  r.connecting(now);
  r.connected(now);
  t.equal(r.deadline(), now + 5000);
  r.activity(now + 4000);
  t.equal(r.run(now + 5000), undefined, "traffic puts the probe off");
  t.equal(r.run(now + 9000), "probe");
  t.equal(r.state, "IDLE");
  t.equal(r.run(now + 13_999), undefined);
  t.equal(r.run(now + 14_000), "disconnect");
  const once = new Reconnect(0);
  once.triesLeft = 1;
  once.enable(0);
  once.connecting(0);
  once.connectFailed(0);
  t.equal(once.state, "VOID", "gives up");
  t.equal(once.deadline(), Number.POSITIVE_INFINITY);
});

t.test("session in simulated time", async (t) => {
  const clock = new SimClock();
  const network = new MemoryNetwork(clock);
  const events: string[] = [];
  const session = new JsonRpcSession(
    { streams: network, clock, remotes: ["tcp:h:1"], probeMs: 5000 },
    {
      connected: () => events.push(`up ${clock.now()}`),
      message: (message) => events.push(message.type),
      disconnected: () => events.push(`down ${clock.now()}`),
    },
  );
  await clock.warp(3000, 100);
  t.strictSame(events.splice(0), ["down 0", "down 1000", "down 3000"], "tries, waits 1 s, 2 s");
  let probes = 0;
  let answer = true;
  let peer: JsonRpc | undefined;
  await network.listen("ptcp:1", (stream) => {
    const rpc: JsonRpc = new JsonRpc(stream, {
      message: (message) => {
        if (message.type !== "request") return;
        probes++;
        if (answer) rpc.reply(message.id, message.params);
      },
      close: () => {},
    });
    peer = rpc;
  });
  await clock.warp(4000, 100);
  t.strictSame(events.splice(0), ["up 7000"]);
  await clock.warp(20_000, 100);
  t.equal(probes, 4, "one probe in 5 s of silence, and life goes on");
  const [greeting] = await Promise.all([peer!.transact("echo", ["hi"]), clock.warp(200, 100)]);
  t.strictSame(greeting, ["hi"], "answers the peer's probes");
  answer = false;
  await clock.warp(11_000, 100);
  t.match(events.splice(0), [/^down/, /^up/], "a peer that does not answer is left, then tried again");
  session.close();
});

t.test("warped time", async (t) => {
  const inFlight = new InFlight((run) => void setImmediate(run));
  const clock = new SimClock(nodeClock, inFlight);
  clock.stop();
  const start = clock.now();
  t.equal(start % 1, 0, "whole milliseconds: a warp of a second is a second");
  const seen: string[] = [];
  const note = (what: string): void => void seen.push(`${what} ${Math.round(clock.now() - start)}`);
  clock.after(150, () => {
    note("a");
    clock.after(10, () => note("b"));
    // Work that outlives the timer's own turn.
    void inFlight.track(new Promise<void>((resolve) => setTimeout(resolve, 20)).then(() => note("c")));
  });
  clock.after(500, () => note("d"));
  clock.after(100, () => note("never")).cancel();
  await clock.warp(400, 100);
  t.strictSame(seen, ["a 200", "c 200", "b 300"], "each step comes to rest before the next");
  await clock.warp(100);
  t.strictSame(seen.slice(3), ["d 500"]);
  t.equal(clock.wall() > 0 && clock.stopped, true);
});

t.test("unixctl", async (t) => {
  const platform = simPlatform({ OVS_RUNDIR: "/run" }, { clock: new SimClock(nodeClock) });
  const commands = new UnixctlCommands("testd");
  coverageStart(platform.clock, commands);
  memoryCommands(commands, [(add) => add("cells", 3), (add) => add("atoms", 1), (add) => add("cells", 4)]);
  timeCommands(commands, platform.clock);
  commands.register("test/later", "[a] b", 1, 2, async (args, reply) => {
    await new Promise((resolve) => setTimeout(resolve, 5));
    reply.ok(args.join("+"));
  });
  commands.register("test/json", "", 0, 0, (_args, reply) => {
    if (reply.format === "json") reply.okJson({ a: 1 });
    else reply.ok("a is 1\n");
  });
  const server = (await UnixctlServer.listen(platform, "testd", commands))!;
  t.equal(server.path, "/run/testd.4711.ctl");
  const rpc = new JsonRpc(await platform.streams.connect(`unix:${server.path}`));
  const ask = async (method: string, ...params: Json[]): Promise<Json> => {
    try {
      return await rpc.transact(method, params);
    } catch (error) {
      return (error as JsonRpcFailure).error;
    }
  };
  const cases: [question: [string, ...Json[]], answer: Json][] = [
    [["version"], "testd (Open vSwitch) 3.7.1"],
    [["foo"], '"foo" is not a valid command (use "list-commands" to see a list of valid commands)'],
    [["version", "x"], '"version" command takes at most 0 arguments'],
    [["test/later"], '"test/later" command requires at least 1 arguments'],
    [["test/later", "1", "2"], "1+2"],
    [["memory/show"], "atoms:1 cells:7\n"],
    [["coverage/read-counter", "foo"], "No such counter"],
    [["vlog/set", "bogus"], 'no destination, level, or module "bogus"'],
    [["vlog/reopen"], "Logging to file not configured"],
    [["vlog/disable-rate-limit", "bogus"], "unknown module"],
    [["test/json"], "a is 1\n"],
    [["set-options", "--format"], "option '--format' requires an argument"],
    [["set-options", "--format", "xml"], "option format has invalid value xml"],
    [["set-options", "--foo", "xml"], "unrecognized option '--foo'"],
    [["set-options", "--format", "json"], { reply: "", "reply-format": "plain" }],
    [["test/json"], { a: 1 }],
    [["test/later", "1"], { reply: "1", "reply-format": "plain" }],
    [["time/stop"], { reply: "", "reply-format": "plain" }],
    [["time/warp", "100", "50"], { reply: "warped", "reply-format": "plain" }],
    [["time/warp", "0"], "invalid MSECS"],
  ];
  for (const [[method, ...params], answer] of cases) {
    t.strictSame(await ask(method, ...params), answer, [method, ...params].join(" "));
  }
  const both = await Promise.all([ask("test/later", "first"), ask("version")]);
  t.match(both, [{ reply: "first" }, { reply: /^testd/ }], "requests are served in order");
  const ended = closing(rpc);
  rpc.notify("version", []);
  await ended;
  t.pass("a notification ends the connection");
  t.equal(await UnixctlServer.listen(platform, "testd", commands, "none"), undefined);
  await t.rejects(UnixctlServer.listen(platform, "testd", commands), /could not initialize control socket/);
  server.close();
});

t.test("a recorded run, replayed", async (t) => {
  const at = path.join(folder, "recording");
  fs.mkdirSync(at);
  t.throws(() => recordedPlatform(simPlatform(), { record: at, replay: at }, () => {}), /mutually exclusive/);
  t.throws(
    () => recordedPlatform(simPlatform(), { record: undefined, replay: at }, () => {}),
    /failed to open/,
  );
  const nowhere = { record: path.join(at, "x"), replay: undefined };
  t.throws(() => recordedPlatform(simPlatform(), nowhere, () => {}), /failed to create/);
  t.equal(
    recordedPlatform(undefined!, { record: undefined, replay: undefined }, () => {}),
    undefined,
  );

  /** Echoes, counts silences, dies of "bye". Says all that it sees. */
  const program = async ({ streams, clock, random }: Platform, seen: string[]): Promise<void> => {
    const start = clock.now();
    seen.push(random.uuid(), `${random.bytes(3)}`, `${random.u32()}`);
    await streams.connect("unix:nobody").catch((error: Error) => seen.push(`refused ${error.message}`));
    let left!: () => void;
    const done = new Promise<void>((resolve) => {
      left = resolve;
    });
    const server = await streams.listen("punix:recorded", (stream) => {
      seen.push(`accepted ${stream.name} ${stream.kind}`);
      const timer = clock.after(20, () => seen.push("silence"));
      stream.handler = {
        data: (bytes) => {
          seen.push(`${stream.name} ${Buffer.from(bytes).toString("latin1")}`);
          stream.write(bytes);
        },
        close: (error) => {
          timer.cancel();
          seen.push(`closed ${error?.message}`);
          if (seen.some((line) => line.endsWith("bye"))) left();
        },
      };
    });
    await done;
    server.close();
    seen.push(clock.now() - start >= 20 ? "late" : "early");
  };
  const streams = nodeStreams({ clock: nodeClock, rundir: folder });
  const world: Platform = { ...simPlatform(), clock: nodeClock, streams };
  const first: string[] = [];
  const running = program(
    recordedPlatform(world, { record: at, replay: undefined }, () => {}),
    first,
  );
  const visit = async (text: string, ms: number): Promise<void> => {
    const stream = await streams.connect("unix:recorded");
    stream.handler = { data: () => stream.end(), close: () => {} };
    await new Promise((resolve) => setTimeout(resolve, ms));
    stream.write(Buffer.from(text, "latin1"));
  };
  while (!first.some((line) => line.startsWith("refused"))) await new Promise((r) => setTimeout(r, 5));
  await visit("\xff\xfe", 0);
  await visit("bye", 60);
  await running;
  t.match(first.slice(3), [/^refused/, /^accepted .* unix$/], "the first run");
  t.ok(first.includes("silence") && first.includes("late"));

  const second: string[] = [];
  let ended!: () => void;
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  const nothing: Platform = { ...simPlatform({}, { seed: 99 }), clock: nodeClock };
  void program(recordedPlatform(nothing, { record: undefined, replay: at }, ended), second);
  await end;
  t.strictSame(second, first, "the second sees the same, without a peer");
  fs.writeFileSync(path.join(at, "session.replay"), "junk\n");
  t.throws(() => recordedPlatform(nothing, { record: undefined, replay: at }, ended), /not a recording/);
});
