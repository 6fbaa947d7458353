/** OpenFlow over TLS: ovs-ofctl to a switch that listens, a switch to a controller, and what is told when it fails. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { DummySwitch, ours, sleep } from "../peers/dummy-switch.ts";
import { makePki } from "../sim/pki.ts";

const folder = mkdtempSync(join(tmpdir(), `ovsbox-ofctl-tls-${process.pid}-`));
const running: ChildProcess[] = [];
const pki = makePki(folder, "one");
const foreign = makePki(folder, "two");
const skip = !existsSync(ours("ovs-ofctl"))
  ? "no executable (scripts/build)"
  : pki === undefined
    ? "openssl is not installed"
    : false;
let mine: DummySwitch | undefined;

t.teardown(() => {
  for (const child of running) child.kill("SIGKILL");
  mine?.stop();
  rmSync(folder, { recursive: true, force: true });
});

/** A TCP port of 127.0.0.1 that nobody listens on. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

interface Material {
  privateKey?: string | undefined;
  certificate?: string | undefined;
  caCert?: string | undefined;
}

function tlsArgs({ privateKey, certificate, caCert }: Material): string[] {
  const pairs = [
    ["--private-key", privateKey],
    ["--certificate", certificate],
    ["--ca-cert", caCert],
  ] as const;
  return pairs.flatMap(([option, file]) => (file === undefined ? [] : [`${option}=${file}`]));
}

function ofctl(material: Material, ...args: string[]): { status: number | null; out: string; err: string } {
  const done = spawnSync(ours("ovs-ofctl"), ["-t", "10", ...tlsArgs(material), ...args], {
    env: { ...process.env, OVS_SYSLOG_METHOD: "null" },
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status: done.status, out: done.stdout, err: done.stderr.replace(/^.*Z\|\d+\|/gm, "") };
}

t.test("ovs-ofctl reaches a switch that listens by pssl:", { skip }, async (t) => {
  const port = await freePort();
  const target = `ssl:127.0.0.1:${port}`;
  mine = new DummySwitch(ours);
  await mine.start();
  mine.run("ovs-vsctl", "set-ssl", pki!.privateKey!, pki!.certificate!, pki!.caCert!);
  mine.run("ovs-vsctl", "-t", "20", "set-controller", "br0", `pssl:${port}:127.0.0.1`);
  let probe = ofctl(pki!, "probe", target);
  for (let i = 0; i < 100 && probe.status !== 0; i++) {
    await sleep(100);
    probe = ofctl(pki!, "probe", target);
  }
  t.same(probe, { status: 0, out: "", err: "" });
  t.equal(ofctl(pki!, "add-flow", target, "priority=3,tcp,actions=output:2").status, 0);
  t.match(ofctl(pki!, "--no-stats", "dump-flows", target).out, " priority=3,tcp actions=output:2\n");
  t.match(
    ofctl({ ...pki!, caCert: "none" }, "--no-stats", "dump-flows", target),
    { status: 0, err: "stream_ssl|WARN|Peer certificate validation disabled (this is a security risk)\n" },
    "a switch that is not asked who it is",
  );
  const failed = `ovs-ofctl: connecting to ${target} (Protocol error)\n`;
  const stranger = ofctl({ ...foreign!, caCert: pki!.caCert }, "dump-flows", target);
  t.not(stranger.status, 0, "a client of another CA is not let in");
  t.equal(stranger.out, "");
  const fooled = ofctl({ ...pki!, caCert: foreign!.caCert }, "dump-flows", target);
  t.equal(fooled.status, 1, "a switch of another CA is not trusted");
  t.ok(fooled.err.endsWith(failed), fooled.err);
  t.equal(ofctl(pki!, "probe", target).status, 0, "the switch listens still");
});

t.test("what is missing is told in the original's words", { skip }, async (t) => {
  const port = await freePort();
  const target = `ssl:127.0.0.1:${port}`;
  const end = `ovs-ofctl: connecting to ${target} (Protocol not available)\n`;
  const gone = "error:80000002:system library::No such file or directory";
  const garbage = join(folder, "garbage");
  writeFileSync(garbage, "garbage\n");
  const unset = (what: string): string => `stream_ssl|ERR|${what} must be configured to use SSL\n`;
  const cases: [what: string, material: Material, err: string | RegExp][] = [
    ["nothing given", {}, unset("Private key") + unset("Certificate") + unset("CA certificate") + end],
    ["no CA certificate", { ...pki!, caCert: undefined }, unset("CA certificate") + end],
    [
      "no such key",
      { ...pki!, privateKey: "/no/key" },
      `stream_ssl|ERR|SSL_use_PrivateKey_file: ${gone}\n${unset("Private key")}${end}`,
    ],
    [
      "no such certificate",
      { ...pki!, certificate: "/no/cert" },
      `stream_ssl|ERR|SSL_use_certificate_file: ${gone}\n${unset("Certificate")}${end}`,
    ],
    [
      "no such CA certificate",
      { ...pki!, caCert: "/no/ca" },
      `stream_ssl|ERR|failed to load client certificates from /no/ca: ${gone}\n` +
        `ovs-ofctl: connecting to ${target} (Protocol error)\n`,
    ],
    [
      "a key that is none",
      { ...pki!, privateKey: garbage },
      /^stream_ssl\|ERR\|SSL_use_PrivateKey_file: error:.*\nstream_ssl\|ERR\|Private key must be configured to use SSL\n.*\(Protocol not available\)\n$/,
    ],
    [
      "a key of another certificate",
      { ...pki!, privateKey: foreign?.privateKey },
      /^stream_ssl\|ERR\|Private key does not match certificate public key: error:.*\n.*\(Protocol not available\)\n$/,
    ],
    ["nobody there", pki!, `ovs-ofctl: connecting to ${target} (Connection refused)\n`],
  ];
  for (const [what, material, err] of cases) {
    const got = ofctl(material, "show", target);
    t.equal(got.status, 1, what);
    if (typeof err === "string") t.equal(got.err, err, what);
    else t.match(got.err, err, what);
  }
});

t.test("a switch reaches a controller that listens by pssl:", { skip }, async (t) => {
  const port = await freePort();
  const args = [...tlsArgs(pki!), "-vconsole:off", `pssl:${port}:127.0.0.1`];
  running.push(spawn(ours("ovs-testcontroller"), args, { env: mine!.env, stdio: "ignore" }));
  mine!.run("ovs-vsctl", "-t", "20", "set-controller", "br0", `ssl:127.0.0.1:${port}`);
  const connected = (): string =>
    mine!.run("ovs-vsctl", "--bare", "--columns=is_connected", "list", "controller").trim();
  for (let i = 0; i < 150 && connected() !== "true"; i++) await sleep(100);
  t.equal(connected(), "true");
});
