/** Everything of src/lib that turns text into values and back: options, JSON, addresses, log lines, names. */
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import fc from "fast-check";
import t from "tap";
import { checksum, checksumUpdate16, checksumUpdate32 } from "../../src/lib/checksum.ts";
import { Fatal } from "../../src/lib/errors.ts";
import { getopt, listOptions, type OptionGroup } from "../../src/lib/getopt.ts";
import {
  formatIpv4Masked,
  formatIpv6,
  formatIpv6Masked,
  parseIpv4Masked,
  parseIpv6,
  parseIpv6Masked,
} from "../../src/lib/ip.ts";
import {
  formatJson,
  type Json,
  JsonError,
  JsonSplitter,
  parseJson,
  parseJsonSlowly,
} from "../../src/lib/json.ts";
import { formatMac, macFromNumber, macToNumber, parseMac } from "../../src/lib/mac.ts";
import { parseActive, parsePassive } from "../../src/lib/stream-name.ts";
import { formatUuid, isUuid, parseUuid, uuidFromRandom, uuidPrefix } from "../../src/lib/uuid.ts";
import {
  RateLimit,
  VLL_INFO,
  vlog,
  vlogReopenFile,
  vlogSetFile,
  vlogSetLevel,
  vlogSetRateLimit,
  vlogSetSpec,
  vlogSetSyslogMethod,
  vlogStart,
} from "../../src/lib/vlog.ts";
import { compilePattern, strftime } from "../../src/lib/vlog-pattern.ts";
import { listLevels } from "../../src/lib/vlog-unixctl.ts";
import { simPlatform } from "../sim/platform.ts";

const fatalText = (run: () => unknown): string => {
  try {
    run();
  } catch (error) {
    if (error instanceof Fatal || error instanceof JsonError) return error.message;
    throw error;
  }
  return "no error";
};

t.test("getopt", async (t) => {
  const seen: string[] = [];
  const spec = (name: string, short: string | undefined, arg: "none" | "required" | "optional") => ({
    long: name,
    ...(short === undefined ? {} : { short }),
    arg,
    set: (value: string | undefined) => void seen.push(value === undefined ? name : `${name}=${value}`),
  });
  const groups: OptionGroup[] = [
    {
      title: "Options",
      options: [
        spec("no-wait", undefined, "none"),
        spec("no-syslog", undefined, "none"),
        spec("timeout", "t", "required"),
        spec("verbose", "v", "optional"),
        spec("help", "h", "none"),
        spec("version", "V", "none"),
      ],
    },
  ];
  const parse = (args: string[], stopAtFirst = false): { seen: string[]; rest: string[] } => {
    seen.length = 0;
    const rest = getopt("prog", groups, args, { stopAtFirst });
    return { seen: [...seen], rest };
  };
  const good: [name: string, args: string[], seen: string[], rest: string[]][] = [
    ["permutes", ["a", "--help", "b", "-t5", "c"], ["help", "timeout=5"], ["a", "b", "c"]],
    ["ends at --", ["a", "--", "--help", "-x"], [], ["a", "--help", "-x"]],
    ["takes unique prefixes", ["--ti=3", "--no-w", "--hel"], ["timeout=3", "no-wait", "help"], []],
    ["takes the next word", ["--timeout", "--help", "-t", "-v"], ["timeout=--help", "timeout=-v"], []],
    [
      "optional arguments need =",
      ["--verbose", "x", "--verbose=y", "-v", "-vz"],
      ["verbose", "verbose=y", "verbose", "verbose=z"],
      ["x"],
    ],
    ["clusters", ["-hVt9"], ["help", "version", "timeout=9"], []],
    ["keeps a single dash", ["-", "--help"], ["help"], ["-"]],
    ["takes an empty value", ["--timeout=", "-t", ""], ["timeout=", "timeout="], []],
  ];
  for (const [name, args, wantSeen, wantRest] of good) {
    t.strictSame(parse(args), { seen: wantSeen, rest: wantRest }, name);
  }
  t.strictSame(
    parse(["-h", "cmd", "--help", "--", "x"], true),
    { seen: ["help"], rest: ["cmd", "--help", "--", "x"] },
    "stops at first",
  );
  const bad: [args: string[], text: string][] = [
    [["--foo"], "unrecognized option '--foo'"],
    [["--foo=3"], "unrecognized option '--foo=3'"],
    [["--no"], "option '--no' is ambiguous; possibilities: '--no-wait' '--no-syslog'"],
    [["--no-wait=3"], "option '--no-wait' doesn't allow an argument"],
    [["--timeout"], "option '--timeout' requires an argument"],
    [["--t"], "option '--timeout' requires an argument"],
    [["-hq"], "invalid option -- 'q'"],
    [["-t"], "option requires an argument -- 't'"],
  ];
  for (const [args, text] of bad)
    t.equal(
      fatalText(() => parse(args)),
      text,
      args.join(" "),
    );
  t.equal(
    listOptions(groups),
    "--no-wait\n--no-syslog\n--timeout=ARG\n-t ARG\n--verbose=ARG\n-v ARG\n--help\n-h\n--version\n-V\n",
    "--options",
  );
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => {
      assert.deepEqual(parse(["--", ...words]).rest, words);
    }),
    { numRuns: 20 },
  );
});

t.test("JSON", async (t) => {
  const exact: [text: string, value: Json][] = [
    ["[9007199254740993,-9223372036854775808]", [9007199254740993n, -9223372036854775808n]],
    ["[9007199254740991,1.5,-0.25,1e3]", [9007199254740991, 1.5, -0.25, 1000]],
    ['{"a":"1234567890123456789","b":[]}', { a: "1234567890123456789", b: [] }],
    ['["\\u0041\\ud83d\\ude00\\n\\/"]', ["A😀\n/"]],
    [' { "x" : [ true , false , null ] } ', { x: [true, false, null] }],
  ];
  for (const [text, value] of exact) {
    t.strictSame(parseJsonSlowly(text), value, `slowly: ${text}`);
    t.strictSame(parseJson(text), value, text);
  }
  t.equal(
    formatJson({ b: [1, 2n ** 63n], a: 'x\u0001"/' }),
    '{"b":[1,9223372036854775808],"a":"x\\u0001\\"/"}',
  );
  t.equal(
    formatJson({ b: [], a: { c: 1 } }, { pretty: true, sort: true }),
    '{\n  "a": {\n    "c": 1},\n  "b": []}',
  );
  const errors: [text: string, error: string][] = [
    ['{"a" 1}', "line 0, column 6, byte 6: syntax error parsing object expecting ':'"],
    ["[1,]", "line 0, column 3, byte 3: syntax error expecting value"],
    ["[1e500]", "line 0, column 6, byte 6: number outside valid range"],
    ['{"id":1,"a\n":1}', "line 0, column 10, byte 10: U+000A must be escaped in quoted string"],
    ['{"id":1,"\\ud800":1}', "line 0, column 15, byte 15: malformed escaped surrogate pair"],
    ["[0123]", "line 0, column 5, byte 5: leading zeros not allowed"],
    ["[1.]", "line 0, column 3, byte 3: decimal point must be followed by digit"],
    ['{"id":1,"\\x":1}', "line 0, column 11, byte 11: bad escape \\x"],
    ["{]", "line 0, column 1, byte 1: syntax error parsing object expecting string"],
  ];
  for (const [text, error] of errors)
    t.equal(
      fatalText(() => parseJson(text)),
      error,
      JSON.stringify(text),
    );
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify([value]);
      if (!/\d{16}/.test(text)) assert.deepEqual(parseJsonSlowly(text), JSON.parse(text));
      assert.equal(formatJson(parseJsonSlowly(text)), formatJson(parseJson(text)));
    }),
    { numRuns: 100 },
  );
  fc.assert(
    fc.property(
      fc.array(fc.dictionary(fc.string(), fc.jsonValue()), { maxLength: 5 }),
      fc.array(fc.nat(200)),
      (values, cuts) => {
        const texts = values.map((value) => JSON.stringify(value));
        const bytes = new TextEncoder().encode(texts.join(" \n"));
        const splitter = new JsonSplitter();
        const got: string[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          const chunk = bytes.slice(at, Math.min(bytes.length, at + cut));
          splitter.push(chunk, (text) => got.push(text));
          // The chunk is the splitter's for the call only.
          chunk.fill(0xa5);
          at += cut;
        }
        assert.deepEqual(got, texts);
        assert.equal(splitter.partial, false);
      },
    ),
    { numRuns: 200 },
  );
  const push = (splitter: JsonSplitter, ...texts: string[]): string =>
    fatalText(() => {
      for (const text of texts) splitter.push(new TextEncoder().encode(text), () => {});
    });
  for (const text of ["x", "]", '"a"', "{} 1"]) {
    t.match(push(new JsonSplitter(), text), /syntax error at beginning of input$/, `refuses ${text}`);
  }
  t.match(push(new JsonSplitter(), "[".repeat(1001)), /input exceeds maximum nesting depth 1000/);
  const small = ["[1]", '["12345', '"]', '["12345', "6789"];
  t.match(push(new JsonSplitter(10), ...small), /input exceeds maximum size of 10 bytes/);
  t.equal(push(new JsonSplitter(11), ...small), "no error");
});

t.test("addresses", async (t) => {
  const v4: [text: string, want: string | undefined][] = [
    ["10.0.0.1", "10.0.0.1"],
    ["10.0.0.1/32", "10.0.0.1"],
    ["255.255.255.255/8", "255.255.255.255/8"],
    ["1.2.3.4/255.255.0.0", "1.2.3.4/16"],
    ["1.2.3.4/255.0.255.0", "1.2.3.4/255.0.255.0"],
    ["1.2.3.4/0", "1.2.3.4/0"],
    ["1.2.3.4/33", undefined],
    ["1.2.3.256", undefined],
    ["1.2.3", undefined],
  ];
  for (const [text, want] of v4) {
    const parsed = parseIpv4Masked(text);
    t.equal(parsed && formatIpv4Masked(parsed.address, parsed.mask), want, text);
  }
  const v6: [text: string, want: string | undefined][] = [
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::ffff:1.2.3.4", "::ffff:1.2.3.4"],
    ["::1.2.3.4", "::1.2.3.4"],
    ["fe80::/10", "fe80::/10"],
    ["::1/ffff::", "::1/16"],
    ["::1/::ffff", "::1/::ffff"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["1:2:3:4:5:6:7", undefined],
    ["1::2::3", undefined],
    ["1:2:3:4:5:6:7:8::", undefined],
    ["::12345", undefined],
    ["::/129", undefined],
  ];
  for (const [text, want] of v6) {
    const parsed = parseIpv6Masked(text);
    t.equal(parsed && formatIpv6Masked(parsed.address, parsed.mask), want, text);
  }
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      assert.deepEqual(parseIpv6(formatIpv6(bytes)), bytes);
    }),
  );
  t.equal(formatMac(parseMac("A:b:0c:00:FF:1")!), "0a:0b:0c:00:ff:01");
  for (const text of ["", "1:2:3:4:5", "1:2:3:4:5:6:7", "g:0:0:0:0:0", "100:0:0:0:0:0"])
    t.equal(parseMac(text), undefined, text);
  t.equal(macToNumber(macFromNumber(0xfedcba987654)), 0xfedcba987654);
  const uuid = uuidFromRandom(new Uint8Array(16).fill(255));
  t.equal(uuid, "ffffffff-ffff-4fff-bfff-ffffffffffff");
  t.equal(formatUuid(parseUuid(uuid)!), uuid);
  t.equal(isUuid(`${uuid}0`), false);
  const prefixes: [string, number][] = [
    ["", 0],
    ["ffffffff-", 9],
    ["ffffffffa", 0],
    [uuid, 36],
    ["xyz", 0],
  ];
  for (const [text, want] of prefixes) t.equal(uuidPrefix(text), want, text);
});

t.test("checksums", async (t) => {
  // RFC 1071 section 3.
  t.equal(checksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7)), 0x220d);
  t.equal(checksum(Uint8Array.of(0x01)), 0xfeff, "odd length");
  t.equal(checksum(new Uint8Array(65535).fill(255)), 0x00ff, "long");
  // RFC 1624 section 4.
  t.equal(checksumUpdate16(0xdd2f, 0x5555, 0x3285), 0x0000);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 8, maxLength: 60 }), fc.nat(0xffffffff), (bytes, word) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const before = view.getUint32(0);
      const old = checksum(bytes);
      view.setUint32(0, word);
      const got = checksumUpdate32(old, before, word);
      const want = checksum(bytes);
      // ±0 of one's complement: both are right.
      assert.ok(got === want || (got + want === 0xffff && (got === 0 || want === 0)));
    }),
  );
});

t.test("connection names", async (t) => {
  const target = { path: "", host: "", port: 0 };
  const active: [name: string, want: object][] = [
    ["unix:a/b", { ...target, kind: "unix", path: "a/b" }],
    ["tcp:1.2.3.4", { ...target, kind: "tcp", host: "1.2.3.4", port: 6640 }],
    ["tcp:1.2.3.4:99", { ...target, kind: "tcp", host: "1.2.3.4", port: 99 }],
    ["ssl:[::1]:6", { ...target, kind: "ssl", host: "::1", port: 6 }],
    ["tcp:[::1]", { ...target, kind: "tcp", host: "::1", port: 6640 }],
    ["tcp:fe80::1", { ...target, kind: "tcp", host: "fe80::1", port: 6640 }],
  ];
  for (const [name, want] of active) t.strictSame(parseActive(name, 6640), want, name);
  const passive: [name: string, want: object][] = [
    ["ptcp:", { ...target, kind: "ptcp", port: 6640 }],
    ["ptcp:0:127.0.0.1", { ...target, kind: "ptcp", host: "127.0.0.1" }],
    ["pssl:1:[::1]", { ...target, kind: "pssl", host: "::1", port: 1 }],
    ["ptcp::1.2.3.4", { ...target, kind: "ptcp", host: "1.2.3.4", port: 6640 }],
    ["punix:x", { ...target, kind: "punix", path: "x" }],
  ];
  for (const [name, want] of passive) t.strictSame(parsePassive(name, 6640), want, name);
  for (const name of ["tcp:", "tcp:1.2.3.4:x", "tcp:1.2.3.4:70000", "tcp:[::1"]) {
    t.throws(() => parseActive(name, 6640), { code: "EINVAL" }, name);
  }
  for (const name of ["foo:1", "ptcp:1", ""])
    t.throws(() => parseActive(name, 6640), { code: "EAFNOSUPPORT" }, name);
});

t.test("log patterns", async (t) => {
  const record = {
    program: "prog",
    subprogram: "",
    module: "mod",
    level: 3,
    serial: 7,
    text: "hello",
    wallMs: Date.UTC(2026, 10, 2, 3, 4, 5, 67),
    elapsedMs: 1234.5,
    pid: 99,
    facility: 3,
    host: () => "host",
  };
  const cases: [pattern: string, want: string][] = [
    ["%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m", "2026-11-02T03:04:05.067Z|00007|mod|WARN|hello"],
    ["<%B> %D{%h %e %T} %E %A: ", "<28> Nov  2 03:04:05 host prog: "],
    ["%D|%-6p|%6p|%06p|%2m", "2026-11-02 03:04:05.067|WARN  |  WARN|00WARN|hello"],
    ["%P %r %t%T%n%%", "99 1234 main\n%"],
    ["%q%C %D{%j %s ##%%}", "qC 306 1793588645 06%"],
    ["no escape", "no escape"],
  ];
  for (const [pattern, want] of cases) t.equal(compilePattern(pattern)(record), want, pattern);
  t.equal(compilePattern("%t%T")({ ...record, subprogram: "monitor" }), "monitor(monitor)");
  t.equal(
    strftime("%a %A %b %B %C %d %D %F %I %k %l %p %R %u %w %y %Z", record.wallMs, true),
    "Mon Monday Nov November 20 02 11/02/26 2026-11-02 03  3  3 AM 03:04 1 1 26 GMT",
  );
});

t.test("vlog", async (t) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), `ovsbox-vlog-${process.pid}-`));
  t.teardown(() => fs.rmSync(folder, { recursive: true }));
  const log = vlog("test_one");
  const other = vlog("test_two");
  log.info("early");
  const platform = simPlatform({ OVS_LOGDIR: folder, OVS_SYSLOG_METHOD: "unix:/dev/null" });
  vlogStart(platform, "testprog");
  const taken = (): string => {
    const text = platform.out.stderr;
    platform.out.stderr = "";
    return text;
  };
  t.equal(
    taken(),
    "2026-01-02T03:04:05Z|00001|test_one|INFO|early\n",
    "what was logged before the start comes then",
  );
  t.strictSame(
    platform.out.datagrams,
    ["<133> Jan  2 03:04:05 simhost testprog: ovs|00001|test_one|INFO|early"],
    "syslog",
  );
  t.equal(vlogSetSpec("syslog:off"), undefined);

  const errors: [spec: string, text: string][] = [
    ["foo", 'no destination, level, or module "foo"'],
    ["foo:bar", 'no destination, level, or module "foo"'],
    ["console,syslog,file:dbg", "cannot specify multiple destinations"],
    ["test_one:console:err:dbg", "cannot specify multiple levels"],
    ["test_one,test_two:dbg", "cannot specify multiple modules"],
    ["PATTERN", "missing destination"],
    ["PATTERN:foo:bar", 'unknown destination "foo"'],
    ["FACILITY:x", "invalid facility"],
  ];
  for (const [spec, text] of errors) t.equal(vlogSetSpec(spec), text, spec);

  for (const spec of ["ANY:console:warn", "Test-One console DBG", "any", ",,", "FACILITY:local3"].slice(
    0,
    2,
  )) {
    t.equal(vlogSetSpec(spec), undefined, spec);
  }
  t.equal(log.isDbg(), true);
  t.equal(other.isEnabled(VLL_INFO), true, "the file's level still lets it pass");
  log.dbg("seen");
  other.info("not seen");
  other.warn("seen too");
  t.equal(
    taken(),
    "2026-01-02T03:04:05Z|00002|test_one|DBG|seen\n2026-01-02T03:04:05Z|00004|test_two|WARN|seen too\n",
  );
  t.match(listLevels(), /^test_one {10} DBG {8}OFF {7}INFO$/m);

  t.equal(vlogSetSpec("PATTERN:console:%c-%m"), undefined);
  t.equal(vlogSetFile("no-such-folder-here/x.log"), false);
  t.match(taken(), /vlog-failed to open \/no-such-folder-here\/x\.log /, "relative to the working folder");
  t.equal(vlogSetFile(`${folder}/x.log`), true);
  fs.renameSync(`${folder}/x.log`, `${folder}/old.log`);
  other.err("to the old file");
  t.equal(vlogReopenFile(), undefined);
  other.err("to the new file");
  t.match(
    fs.readFileSync(`${folder}/old.log`, "utf8"),
    /\.678Z\|0000\d\|test_two\|ERR\|to the old file\n.*closing log file\n$/,
  );
  t.match(fs.readFileSync(`${folder}/x.log`, "utf8"), /opened log file .*x\.log\n.*to the new file\n$/);
  t.equal(vlogSetFile("/nonexistent/x"), false);
  t.match(taken(), /vlog-failed to open \/nonexistent\/x for logging: No such file or directory\n$/);
  t.equal(vlogSetSyslogMethod("foo"), false);

  const limit = new RateLimit(60, 2);
  for (let i = 0; i < 5; i++) log.warnRl(limit, `m${i}`);
  t.equal(taken(), "test_one-m0\ntest_one-m1\n", "a burst of two");
  await platform.clock.warp(3000);
  log.warnRl(limit, "later");
  t.equal(
    taken(),
    "test_one-Dropped 3 log messages in last 3 seconds (most recently, 3 seconds ago) due to excessive rate\ntest_one-later\n",
  );
  vlogSetRateLimit("test_one", false);
  for (let i = 0; i < 5; i++) log.warnRl(limit, "x");
  t.equal(taken().split("\n").length, 6, "limits can be switched off");
  vlogSetLevel(undefined, undefined, 0);
});
