/** `ovs-testcontroller`: a simple OpenFlow controller, ovs-testcontroller(8). Options here, the work in testcontroller/. */
import { runApplet, versionText } from "../src/lib/applet.ts";
import { helpOptions, tlsOptions } from "../src/lib/common-options.ts";
import { coverageStart } from "../src/lib/coverage.ts";
import { Daemon, daemonOptions } from "../src/lib/daemon.ts";
import { Exit, Fatal } from "../src/lib/errors.ts";
import { formatOptions, getopt, type OptionGroup } from "../src/lib/getopt.ts";
import type { Platform } from "../src/lib/platform.ts";
import type { Stream } from "../src/lib/stream.ts";
import { TLS } from "../src/lib/stream-config.ts";
import { isPassive } from "../src/lib/stream-name.ts";
import { UnixctlCommands, UnixctlServer } from "../src/lib/unixctl.ts";
import { vlog, vlogStart } from "../src/lib/vlog.ts";
import { vlogOptions } from "../src/lib/vlog-options.ts";
import { realPlatform } from "./platform.ts";
import { SwitchConnection } from "./testcontroller/connection.ts";
import type { SwitchSettings } from "./testcontroller/learning-switch.ts";
import {
  controllerOptions,
  defaultSettings,
  readFlowFiles,
  type Settings,
  settleMode,
  versionOptions,
} from "./testcontroller/options.ts";
import { openActive, openPassive } from "./testcontroller/targets.ts";

const MAX_SWITCHES = 16;
const MAX_LISTENERS = 16;

export async function main(args: string[], program: string): Promise<number> {
  const platform = realPlatform();
  // An end with a message may leave listeners behind, which would keep the process alive.
  return platform.exit(await runApplet(platform, program, () => run(platform, program, args)));
}

const METHODS = `where METHOD is any OpenFlow connection method.

Active OpenFlow connection methods:
  tcp:HOST[:PORT]         PORT (default: 6653) at remote HOST
  ssl:HOST[:PORT]         SSL/TLS PORT (default: 6653) at remote HOST
  unix:FILE               Unix domain socket named FILE
Passive OpenFlow connection methods:
  ptcp:[PORT][:IP]        listen to TCP PORT (default: 6653) on IP
  pssl:[PORT][:IP]        listen for SSL/TLS on PORT (default: 6653) on IP
  punix:FILE              listen on Unix domain socket FILE
`;

function optionGroups(platform: Platform, program: string, settings: Settings) {
  const daemon = daemonOptions(platform, program);
  const groups: OptionGroup[] = [
    pkiOptions(),
    daemon.group,
    versionOptions(settings),
    vlogOptions(),
    controllerOptions(settings),
  ];
  const print = (text: string): never => {
    platform.stdout(text);
    throw new Exit(0);
  };
  groups.push(
    helpOptions(
      () =>
        print(
          `${program}: OpenFlow controller\nusage: ${program} [OPTIONS] METHOD [METHOD]...\n${METHODS}${formatOptions(groups)}`,
        ),
      () => print(versionText(program, "OpenFlow versions 0x1:0x6")),
    ),
  );
  return { groups, daemon: daemon.values };
}

/** A controller takes no certificate on trust, so there is no --bootstrap-ca-cert. */
function pkiOptions(): OptionGroup {
  const { title, options } = tlsOptions(TLS);
  const warned = options.map((option) =>
    option.long !== "ca-cert"
      ? option
      : {
          ...option,
          set: (file: string | undefined) => {
            if (file === "none") {
              vlog("stream_ssl").warn("Peer certificate validation disabled (this is a security risk)");
            }
            option.set(file);
          },
        },
  );
  return { title, options: warned.filter(({ long }) => long !== "bootstrap-ca-cert") };
}

async function run(platform: Platform, program: string, args: string[]): Promise<number> {
  vlogStart(platform, program);
  const settings = defaultSettings();
  const { groups, daemon: daemonSettings } = optionGroups(platform, program, settings);
  const methods = getopt(program, groups, args);
  const complaint = settleMode(settings);
  if (complaint !== undefined) platform.stderr(`${program}: ${complaint}\n`);
  if (methods.length === 0) throw new Fatal("at least one vconn argument required; use --help for usage");
  const { flows, usable } = readFlowFiles(settings.flowFiles);
  const { mode, wildcards, defaultQueue, portQueues, mute } = settings;
  const maxIdleSec = settings.noflow ? undefined : settings.maxIdleSec;

  const daemon = new Daemon(platform, program, daemonSettings);
  const started = await daemon.start();
  if (started.role === "done") return started.status;

  const controller = new Controller(platform, settings.versions, {
    mode,
    maxIdleSec,
    wildcards,
    defaultQueue,
    portQueues,
    flows,
    usable,
    mute,
  });
  await controller.open(methods);
  const commands = new UnixctlCommands(program);
  const unixctl = await UnixctlServer.listen(platform, program, commands, settings.unixctl);
  coverageStart(platform.clock, commands);
  daemon.ready();
  return new Promise((resolve) => {
    controller.onIdle(() => {
      unixctl?.close();
      resolve(0);
    });
  });
}

/** Listeners and switches. It has nothing left to do when no listener and no switch is left. */
class Controller {
  readonly #platform: Platform;
  readonly #versions: number;
  readonly #settings: SwitchSettings;
  readonly #waiting: Stream[] = [];
  #switches = 0;
  #listeners = 0;
  #idle: (() => void) | undefined;

  constructor(platform: Platform, versions: number, settings: SwitchSettings) {
    this.#platform = platform;
    this.#versions = versions;
    this.#settings = settings;
  }

  /** Throws Fatal when there are too many methods, or none of them could be opened. */
  async open(methods: readonly string[]): Promise<void> {
    for (const method of methods) {
      if (isPassive(method)) await this.#listen(method);
      else await this.#connect(method);
    }
    if (this.#switches === 0 && this.#listeners === 0) {
      throw new Fatal("no active or passive switch connections");
    }
  }

  async #listen(method: string): Promise<void> {
    if (this.#listeners >= MAX_LISTENERS) throw new Fatal(`max ${MAX_LISTENERS} passive connections`);
    const server = await openPassive(this.#platform.streams, method, (stream) => this.#accept(stream));
    if (server !== undefined) this.#listeners++;
  }

  async #connect(method: string): Promise<void> {
    if (this.#switches >= MAX_SWITCHES) throw new Fatal(`max ${MAX_SWITCHES} switch connections`);
    const stream = await openActive(this.#platform.streams, method);
    if (stream !== undefined) this.#add(stream);
  }

  /** One switch too many waits until another has left. */
  #accept(stream: Stream): void {
    if (this.#switches < MAX_SWITCHES) this.#add(stream);
    else this.#waiting.push(stream);
  }

  #add(stream: Stream): void {
    this.#switches++;
    new SwitchConnection(stream, this.#versions, this.#settings, this.#platform.clock, () => {
      this.#switches--;
      const next = this.#waiting.shift();
      if (next !== undefined) this.#add(next);
      else this.#checkIdle();
    });
  }

  onIdle(run: () => void): void {
    this.#idle = run;
    this.#checkIdle();
  }

  #checkIdle(): void {
    if (this.#switches === 0 && this.#listeners === 0) this.#idle?.();
  }
}
