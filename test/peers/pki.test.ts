/**
 * ovs-pki beside the peer's: each works in folders that the other made, `openssl verify` judges the certificates, and
 * daemons of both sides meet over TLS with them.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import t from "tap";
import { BIN, PEERS, peer, withoutPeer } from "../system/bin.ts";
import { DummySwitch, ours, SWITCH_PROGRAMS, theirs } from "./dummy-switch.ts";

const root = mkdtempSync(join(tmpdir(), `ovsbox-peers-pki-${process.pid}-`));
const running = new Set<ChildProcess>();
t.teardown(() => {
  for (const child of running) child.kill("SIGKILL");
  rmSync(root, { recursive: true, force: true });
});

const noOpenssl = spawnSync("openssl", ["version"]).status !== 0 && "no openssl";
const skip = withoutPeer("ovs-pki") || noOpenssl;

type Who = "ours" | "theirs";

interface Run {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** A folder to work in, fresh. */
function place(name: string): string {
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true });
  return dir;
}

function pki(who: Who, cwd: string, words: string[], input = "", env: NodeJS.ProcessEnv = process.env): Run {
  const args = ["-l", join(cwd, "log"), ...words];
  return who === "ours"
    ? spawnSync(join(BIN, "ovs-pki"), args, { cwd, input, env, encoding: "utf8" })
    : spawnSync("sh", [peer("ovs-pki")!, ...args], { cwd, input, env, encoding: "utf8" });
}

/** What `openssl verify` says of NAME-cert.pem, strictly (RFC 5280). */
function opensslVerify(cwd: string, authority: string, name: string, strict = true): string {
  const args = ["verify", ...(strict ? ["-x509_strict"] : []), "-CAfile", `${authority}/cacert.pem`];
  const run = spawnSync("openssl", [...args, `${name}-cert.pem`], { cwd, encoding: "utf8" });
  return (run.stdout + run.stderr).trim();
}

t.test("one makes the folder, both sign in it and verify", { skip }, async (t) => {
  for (const maker of ["ours", "theirs"] as const) {
    const dir = place(`both-${maker}`);
    t.equal(pki(maker, dir, ["-d", "pki", "init"]).status, 0, `${maker} init`);
    for (const signer of ["ours", "theirs"] as const) {
      for (const type of ["switch", "controller"]) {
        const name = `${signer}-${type}`;
        const run = pki(signer, dir, ["-d", "pki", "-b", "req+sign", name, type]);
        t.equal(run.status, 0, `${name} in a folder of ${maker}: ${run.stderr}`);
        for (const judge of ["ours", "theirs"] as const) {
          const ok = pki(judge, dir, ["-d", "pki", "verify", name, type]);
          t.match(ok, { status: 0, stdout: `${name}-cert.pem: OK\n` }, `${judge} verify ${name}`);
          const other = type === "switch" ? "controller" : "switch";
          const no = pki(judge, dir, ["-d", "pki", "verify", name, other]);
          t.match(no, { status: 2, stderr: /error 20 at 0 depth lookup/ }, `${judge} refuses ${name}`);
        }
        // The peer's own authorities lack what strictness wants.
        t.equal(opensslVerify(dir, `pki/${type}ca`, name, maker === "ours"), `${name}-cert.pem: OK`);
      }
    }
    const index = readFileSync(join(dir, "pki/switchca/index.txt"), "utf8").trimEnd().split("\n");
    t.same(
      index.map((line) => line.split("\t")[3]),
      ["01", "02", "03"],
      "serial numbers",
    );
    for (const line of index)
      t.match(line, /^V\t\d{12}Z\t\t\d\d\tunknown\t\/C=US\/ST=CA\/O=Open vSwitch\/OU=.*\/CN=.*$/);
    t.equal(readFileSync(join(dir, "pki/switchca/serial"), "utf8"), "04\n");
  }
});

t.test("requests of one are signed by the other, on another machine", { skip }, async (t) => {
  for (const [requester, signer] of [
    ["ours", "theirs"],
    ["theirs", "ours"],
  ] as const) {
    const dir = place(`request-${requester}`);
    t.equal(pki(signer, dir, ["-d", "pki", "init"]).status, 0);
    const made = pki(requester, dir, ["-u", "-d", "none", "req", "box"]);
    t.equal(made.status, 0, "a request needs no folder");
    // Both compute the fingerprint that is read out over the telephone.
    const seen = pki(signer, dir, ["-d", "pki", "sign", "box"], "yes\n");
    t.equal(seen.status, 0, seen.stderr);
    t.ok(seen.stdout.startsWith(made.stdout), "same fingerprint");
    t.equal(opensslVerify(dir, "pki/switchca", "box", signer === "ours"), "box-cert.pem: OK");
    const subject = spawnSync(
      "openssl",
      ["x509", "-in", "box-cert.pem", "-noout", "-subject", "-nameopt", "RFC2253"],
      {
        cwd: dir,
        encoding: "utf8",
      },
    );
    t.match(subject.stdout, "CN=box,OU=Open vSwitch certifier,O=Open vSwitch,ST=CA,C=US");
    for (const file of ["box-cert.pem", "box-req.pem", "box-privkey.pem"]) {
      const [a, b] = [pki("ours", dir, ["fingerprint", file]), pki("theirs", dir, ["fingerprint", file])];
      t.equal(a.stdout, b.stdout, `fingerprint of ${file}`);
    }
  }
});

t.test("kinds of keys, each judged by OpenSSL", { skip: noOpenssl }, async (t) => {
  const kinds: [name: string, options: string[], says: RegExp][] = [
    ["rsa", [], /Public-Key: \(3072 bit\)/],
    ["rsa2048", ["-B", "2048"], /Public-Key: \(2048 bit\)/],
    ["p256", ["-k", "ecdsa"], /NIST CURVE: P-256/],
    ["p384", ["--key=ecdsa", "--bits=384"], /NIST CURVE: P-384/],
    ["p521", ["-kecdsa", "-B521"], /NIST CURVE: P-521/],
    ["dsa", ["-k", "dsa", "-B", "2048"], /dsaEncryption/],
  ];
  for (const [name, options, says] of kinds) {
    const dir = place(`kind-${name}`);
    t.equal(pki("ours", dir, ["-d", "pki", ...options, "init"]).status, 0, `${name} init`);
    t.equal(pki("ours", dir, ["-d", "pki", ...options, "req+sign", "one"]).status, 0, `${name} req+sign`);
    t.equal(opensslVerify(dir, "pki/switchca", "one"), "one-cert.pem: OK", name);
    const text = spawnSync(
      "openssl",
      ["x509", "-in", "one-cert.pem", "-noout", "-text", "-nameopt", "sep_comma_plus_space"],
      {
        cwd: dir,
        encoding: "utf8",
      },
    ).stdout;
    t.match(text, says);
    // What we print above the PEM block is what OpenSSL prints, but for blanks at the ends of lines.
    const ours = readFileSync(join(dir, "one-cert.pem"), "utf8").replace(/-----BEGIN.*/s, "");
    const even = (all: string): string => all.replaceAll(/ +$/gm, "").replaceAll("subject=", "");
    t.equal(even(ours), even(text), `${name} text`);
    t.equal(pki("ours", dir, ["-f", "self-sign", "one"]).status, 0, `${name} self-sign`);
    const self = spawnSync("openssl", ["verify", "-CAfile", "one-cert.pem", "one-cert.pem"], {
      cwd: dir,
      encoding: "utf8",
    });
    t.equal(self.stdout, "one-cert.pem: OK\n", `${name} self-signed`);
  }
});

t.test("complaints", { skip }, async (t) => {
  const dirs = { ours: place("complaints-ours"), theirs: place("complaints-theirs") };
  for (const who of ["ours", "theirs"] as const) {
    pki(who, dirs[who], ["-d", "pki", "init"]);
    pki(who, dirs[who], ["-d", "pki", "-b", "req+sign", "one"]);
  }
  const lines = `-d pki
-d pki nonsense
-d pki init
-d pki req
-d pki req one
-d pki req a b
-d pki sign
-d pki -b sign one other
-d pki verify
-d pki verify none
-d pki verify one other
-d none verify one
-d pki fingerprint
-d pki self-sign one
-d pki self-sign none
-d pki --key=dsa req two
-d pki -B 512 req two
-d pki --nonsense
-d pki -V`.split("\n");
  const say = (who: Who, words: string[]): Run => {
    const run = pki(who, dirs[who], words);
    const stderr = run.stderr.replace(/^(sh: )?\S*ovs-pki: /gm, "ovs-pki: ").replaceAll(dirs[who], "DIR");
    return { status: run.status, stdout: run.stdout.replace(/ \d+\.\d+\.\d+$/m, " N"), stderr };
  };
  for (const line of lines) {
    const [ours, theirs] = [say("ours", line.split(" ")), say("theirs", line.split(" "))];
    // The peer's own parser of options, and how large a key has to be (1024 in 3.1, 2048 in 3.7), are not ours.
    if (line.includes("--nonsense") || line.includes("512")) t.equal(ours.status, theirs.status, line);
    else t.same(ours, theirs, line);
  }
  const ours = (words: string[], input = ""): Run => pki("ours", dirs.ours, ["-d", "pki", ...words], input);
  t.match(ours(["-B", "1024", "req", "x"]), { status: 1, stderr: /at least 2048/ });
  t.match(ours(["-k", "ecdsa", "-B", "300", "req", "x"]), { status: 1, stderr: /256, 384 or 521/ });
  t.match(ours(["-k", "rot13", "req", "x"]), { status: 1, stderr: /must be rsa, ecdsa or dsa/ });
  t.match(ours(["req", "x".repeat(65)]), { status: 1, stderr: /too long/ });
  t.match(ours(["req", "x\ny"]), { status: 1, stderr: /printable ASCII/ });
  t.equal(ours(["-k", "ecdsa", "req", "y".repeat(40)]).status, 0, "a name for which a UUID is too long");
  for (const answer of ["no\n", "y\n", ""])
    t.match(ours(["-f", "sign", "one"], answer), { status: 1, stderr: "Match failure, aborting\n" }, answer);
  writeFileSync(
    join(dirs.ours, "bad-req.pem"),
    readFileSync(join(dirs.ours, "one-req.pem"), "utf8").replace(/^MI.{6}/m, "MIAAAAAA"),
  );
  t.match(
    ours(["-b", "sign", "bad"]),
    { status: 1, stderr: /^ovs-pki: bad-req.pem: .*\n$/ },
    "a broken request",
  );
  writeFileSync(join(dirs.ours, "empty-req.pem"), "");
  t.match(ours(["-b", "sign", "empty"]), {
    status: 1,
    stderr: "ovs-pki: empty-req.pem: no certificate request in it\n",
  });
  pki("ours", dirs.ours, ["-k", "ecdsa", "req", "other"]);
  writeFileSync(join(dirs.ours, "mixed-req.pem"), readFileSync(join(dirs.ours, "one-req.pem")));
  writeFileSync(join(dirs.ours, "mixed-privkey.pem"), readFileSync(join(dirs.ours, "other-privkey.pem")));
  t.match(ours(["self-sign", "mixed"]), { status: 1, stderr: /mixed-privkey.pem is not the key of/ });
  t.notOk(existsSync(join(dirs.ours, "mixed-cert.pem")), "and nothing is left behind");
  t.equal(
    readFileSync(join(dirs.ours, "pki/switchca/serial"), "utf8"),
    "03\n",
    "no number is spent on what is refused",
  );
});

t.test("an authority's ca.cnf is followed", { skip: noOpenssl }, async (t) => {
  const dir = place("config");
  pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "init"]);
  const file = join(dir, "pki/switchca/ca.cnf");
  const original = readFileSync(file, "utf8");
  const sign = (name: string): Run => pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "-u", "req+sign", name]);
  const text = (name: string): string =>
    spawnSync("openssl", ["x509", "-in", `${name}-cert.pem`, "-noout", "-text"], {
      cwd: dir,
      encoding: "utf8",
    }).stdout;
  writeFileSync(
    file,
    original
      .replace("default_days = 3650", "default_days = 30")
      .replace("default_md = sha512", "default_md = sha384")
      .replace(
        "[ usr_cert ]",
        "[ usr_cert ]\nextendedKeyUsage = clientAuth, serverAuth\nkeyUsage = critical, digitalSignature",
      ),
  );
  t.equal(sign("one").status, 0);
  t.match(text("one"), /ecdsa-with-SHA384/);
  t.match(
    text("one"),
    /X509v3 Extended Key Usage: \n +TLS Web Client Authentication, TLS Web Server Authentication/,
  );
  t.match(text("one"), /X509v3 Key Usage: critical\n +Digital Signature/);
  const [, from, until] = /Not Before: (.*)\n\s+Not After : (.*)/.exec(text("one"))!;
  t.equal(Date.parse(until!) - Date.parse(from!), 30 * 86_400_000, "30 days");
  writeFileSync(
    file,
    original.replace("organizationName = match", "organizationName = match\nlocalityName = match"),
  );
  t.match(sign("two"), { status: 1, stderr: /L is "Palo Alto", which is not the authority's/ }, "policy");
  writeFileSync(file, original.replace("[ usr_cert ]", "[ usr_cert ]\nnsComment = hello"));
  t.match(sign("three"), { status: 1, stderr: /extension nsComment is not supported/ });
  writeFileSync(file, original);
  writeFileSync(join(dir, "pki/switchca/index.txt.attr"), "unique_subject = yes\n");
  t.match(pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "-u", "-f", "-b", "sign", "one"]), {
    status: 1,
    stderr: /there is a certificate for .*CN=one \(serial 02\)/,
  });
});

t.test("requests that are broken, or want to be authorities", { skip: noOpenssl }, async (t) => {
  const dir = place("hostile");
  pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "init"]);
  pki("ours", dir, ["-k", "ecdsa", "req", "good"]);
  const text = readFileSync(join(dir, "good-req.pem"), "utf8");
  const der = Buffer.from(/REQUEST-----\n([^-]*)-----END/.exec(text)![1]!, "base64");
  for (let length = 0; length < der.length; length += Math.ceil(der.length / 25)) {
    const block = `-----BEGIN CERTIFICATE REQUEST-----\n${der.subarray(0, length).toString("base64")}\n-----END CERTIFICATE REQUEST-----\n`;
    writeFileSync(join(dir, "cut-req.pem"), block);
    const run = pki("ours", dir, ["-d", "pki", "-b", "sign", "cut"]);
    t.match(run, { status: 1, stderr: /^ovs-pki: .*\n$/ }, `cut to ${length} bytes`);
    if (!/^ovs-pki: [^\n]*\n$/.test(run.stderr)) t.fail(run.stderr);
  }
  const config = `[req]
prompt = no
distinguished_name = dn
req_extensions = ext
[dn]
C = US
O = Open vSwitch
CN = mallory
[ext]
basicConstraints = critical, CA:true
subjectKeyIdentifier = 01:02
subjectAltName = DNS:mallory, IP:192.0.2.1
`;
  writeFileSync(join(dir, "cnf"), config);
  const args = ["req", "-newkey", "rsa:2048", "-nodes", "-config", "cnf", "-keyout", "mallory-privkey.pem"];
  t.equal(spawnSync("openssl", [...args, "-out", "mallory-req.pem"], { cwd: dir }).status, 0);
  // Also where nothing in ca.cnf stands against it.
  const cnf = join(dir, "pki/switchca/ca.cnf");
  writeFileSync(cnf, readFileSync(cnf, "utf8").replace("basicConstraints = CA:false\n", ""));
  t.equal(pki("ours", dir, ["-d", "pki", "-b", "sign", "mallory"]).status, 0);
  const shown = spawnSync("openssl", ["x509", "-in", "mallory-cert.pem", "-noout", "-text"], {
    cwd: dir,
    encoding: "utf8",
  });
  t.notMatch(shown.stdout, /CA:TRUE/);
  t.notMatch(shown.stdout, /01:02\n/);
  t.match(shown.stdout, /DNS:mallory, IP Address:192.0.2.1/, "what may be asked for is given");
  t.equal(opensslVerify(dir, "pki/switchca", "mallory"), "mallory-cert.pem: OK");
});

t.test("keys are nobody else's, whatever the umask; no openssl is needed", async (t) => {
  const dir = place("modes");
  const script = `umask 000; for words in init 'req+sign one' 'req two' 'self-sign two'; do ${join(BIN, "ovs-pki")} -l log -d pki -k ecdsa $words || exit 1; done`;
  const run = spawnSync("/bin/sh", ["-c", script], { cwd: dir, env: { PATH: "/nowhere" }, encoding: "utf8" });
  t.equal(run.status, 0, run.stderr);
  const modes: string[] = [];
  for (const name of readdirSync(dir, { recursive: true, encoding: "utf8" }).sort())
    if (/privkey|private/.test(name))
      modes.push(`${name} ${(statSync(join(dir, name)).mode & 0o777).toString(8)}`);
  t.same(modes, [
    "one-privkey.pem 600",
    "pki/controllerca/private 700",
    "pki/controllerca/private/cakey.pem 600",
    "pki/switchca/private 700",
    "pki/switchca/private/cakey.pem 600",
    "two-privkey.pem 600",
  ]);
});

t.test("signing at once gives each certificate its number", async (t) => {
  const dir = place("at-once");
  pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "init"]);
  const words = ["-l", "log", "-d", "pki", "-k", "ecdsa", "req+sign"];
  const all = ["a", "b", "c", "d", "e", "f"].map(
    (name) =>
      new Promise<number | null>((resolve) => {
        spawn(join(BIN, "ovs-pki"), [...words, name], { cwd: dir, stdio: "ignore" }).on("close", resolve);
      }),
  );
  t.same(await Promise.all(all), [0, 0, 0, 0, 0, 0]);
  const numbers = readFileSync(join(dir, "pki/switchca/index.txt"), "utf8").trimEnd().split("\n");
  t.same(
    numbers.map((line) => line.split("\t")[3]),
    ["01", "02", "03", "04", "05", "06", "07"],
  );
});

t.test(
  "daemons meet with these certificates",
  { skip: skip || withoutPeer("ovsdb-server", "ovsdb-client") },
  async (t) => {
    const program = (who: Who, name: string): string => (who === "ours" ? join(BIN, name) : peer(name)!);
    for (const [maker, kind] of [
      ["ours", "rsa"],
      ["ours", "ecdsa"],
      ["theirs", "rsa"],
    ] as const) {
      const dir = place(`tls-${maker}-${kind}`);
      pki(maker, dir, ["-d", "pki", "-k", kind, "init"]);
      pki(maker, dir, ["-d", "pki", "-k", kind, "-b", "req+sign", "server", "controller"]);
      pki(maker, dir, ["-d", "pki", "-k", kind, "-b", "req+sign", "client", "switch"]);
      pki(maker, dir, ["-d", "pki", "-k", kind, "req", "self"]);
      pki(maker, dir, ["-d", "pki", "-k", kind, "self-sign", "self"]);
      const options = (name: string, authority: string): string[] => [
        `--private-key=${dir}/${name}-privkey.pem`,
        `--certificate=${dir}/${name}-cert.pem`,
        `--ca-cert=${dir}/pki/${authority}/cacert.pem`,
      ];
      for (const side of ["ours", "theirs"] as const) {
        const other = side === "ours" ? "theirs" : "ours";
        const env = { ...process.env, OVS_RUNDIR: dir, OVS_LOGDIR: dir, OVS_DBDIR: dir };
        const [db, log] = [join(dir, `${side}.db`), join(dir, `${side}.log`)];
        const schema = join(PEERS!, "usr/share/openvswitch/vswitch.ovsschema");
        spawnSync(program(side, "ovsdb-tool"), ["create", db, schema], { env });
        const server = spawn(
          program(side, "ovsdb-server"),
          [
            `--log-file=${log}`,
            "-vconsole:off",
            "--remote=pssl:0:127.0.0.1",
            "--unixctl=none",
            ...options("server", "switchca"),
            db,
          ],
          { env, stdio: "ignore" },
        );
        running.add(server);
        const port = (): string | undefined =>
          existsSync(log) ? /listening on port (\d+)/.exec(readFileSync(log, "utf8"))?.[1] : undefined;
        for (let i = 0; i < 400 && port() === undefined; i++)
          await new Promise((resolve) => setTimeout(resolve, 25));
        const ask = (...words: string[]): Run =>
          spawnSync(
            program(other, "ovsdb-client"),
            ["-t", "5", "-vconsole:off", ...words, "list-dbs", `ssl:127.0.0.1:${port()}`],
            {
              env,
              encoding: "utf8",
            },
          );
        const name = `${kind} of ${maker}, server ${side}, client ${other}`;
        t.match(ask(...options("client", "controllerca")), { status: 0, stdout: /^Open_vSwitch$/m }, name);
        t.not(ask(...options("self", "controllerca")).status, 0, `${name}: a certificate that nobody signed`);
        t.not(ask(...options("client", "switchca")).status, 0, `${name}: a server of the wrong authority`);
        server.kill("SIGKILL");
        running.delete(server);
      }
    }
  },
);

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });

t.test(
  "switches meet controllers with these certificates",
  { skip: skip || withoutPeer("ovs-testcontroller", ...SWITCH_PROGRAMS) },
  async (t) => {
    const dir = place("openflow");
    pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "init"]);
    pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "req+sign", "controller", "controller"]);
    pki("ours", dir, ["-d", "pki", "-k", "ecdsa", "req+sign", "switch", "switch"]);
    for (const [name, ofSwitch, ofController] of [
      ["our switch, their controller", ours, theirs],
      ["their switch, our controller", theirs, ours],
    ] as const) {
      const world = new DummySwitch(ofSwitch);
      try {
        await world.start();
        const port = await freePort();
        const controller = spawn(
          ofController("ovs-testcontroller"),
          [
            `pssl:${port}:127.0.0.1`,
            `--private-key=${dir}/controller-privkey.pem`,
            `--certificate=${dir}/controller-cert.pem`,
            `--ca-cert=${dir}/pki/switchca/cacert.pem`,
            "--unixctl=none",
          ],
          { env: world.env, stdio: "ignore" },
        );
        running.add(controller);
        const files = ["switch-privkey.pem", "switch-cert.pem", "pki/controllerca/cacert.pem"];
        world.run("ovs-vsctl", "set-ssl", ...files.map((file) => join(dir, file)));
        world.run("ovs-vsctl", "set-controller", "br0", `ssl:127.0.0.1:${port}`);
        world.run("ovs-vsctl", "-t", "20", "wait-until", "controller", ".", "is_connected=true");
        t.pass(name);
        // A controller that the authority of switches has signed is none.
        world.run(
          "ovs-vsctl",
          "set-ssl",
          ...files.slice(0, 2).map((file) => join(dir, file)),
          join(dir, "pki/switchca/cacert.pem"),
        );
        world.run("ovs-vsctl", "del-controller", "br0");
        world.run("ovs-vsctl", "set-controller", "br0", `ssl:127.0.0.1:${port}`);
        world.run("ovs-vsctl", "-t", "20", "wait-until", "controller", ".", "status:last_error!=nothing");
        t.match(
          world.run("ovs-vsctl", "get", "controller", ".", "is_connected"),
          "false",
          `${name}: not with the wrong one`,
        );
        controller.kill("SIGKILL");
        running.delete(controller);
      } finally {
        world.stop();
      }
    }
  },
);
