/**
 * The switches in the database, and in their external_ids the journal of what was taken over: written before devices are
 * touched, so that whoever comes next can finish or undo it. All goes through ovs-vsctl, as in the daemon of Open vSwitch 1.9.
 */
import { spawnSync } from "node:child_process";
import { Fatal } from "../../src/lib/errors.ts";
import { programPath } from "../programs.ts";

export interface Member {
  /** Of the device; another index is another device. */
  readonly index: number;
  /** The host's settings of it before (src/netdev/host-stack.ts). */
  readonly was: string;
}

/** One Linux bridge and the switch that does its work. */
export interface Adoption {
  readonly bridge: string;
  readonly name: string;
  readonly mode: "adopt" | "attach";
  /** The kernel's spanning tree ran on the bridge. */
  readonly stp: boolean;
  readonly ports: Map<string, Member>;
  /** Members under way from the Linux bridge to the switch. */
  moving: readonly string[];
  /** Index of the Linux bridge, 0 before it is known. */
  shell: number;
  /** A release has begun. */
  releasing: boolean;
}

const BRIDGE = "brcompat-bridge";
const MODE = "brcompat-mode";
const STP = "brcompat-stp";
const PORTS = "brcompat-ports";
const MOVING = "brcompat-moving";
const RELEASING = "brcompat-releasing";

/** `NAME=SETTINGS` */
function readMember(word: string): [string, Member] {
  const at = word.lastIndexOf("=");
  return [word.slice(0, at), { index: 0, was: word.slice(at + 1) }];
}

export class Database {
  readonly #program: string | undefined;
  readonly #timeoutSec: number;

  constructor(program: string | undefined, timeoutSec: number) {
    this.#program = program;
    this.#timeoutSec = timeoutSec;
  }

  /** Throws Fatal with what ovs-vsctl says. */
  #vsctl(...args: string[]): string {
    const { file, argv0 } =
      this.#program === undefined ? programPath("ovs-vsctl") : { file: this.#program, argv0: this.#program };
    const words = [`--timeout=${this.#timeoutSec}`, "-vconsole:warn", ...args];
    const run = spawnSync(file, words, { argv0, encoding: "utf8" });
    if (run.status === 0) return run.stdout;
    const why =
      run.signal === "SIGALRM"
        ? `no answer within ${this.#timeoutSec} s`
        : (run.stderr || run.error?.message || `status ${run.status}`).trim().split("\n")[0]!;
    throw new Fatal(why.startsWith("ovs-vsctl: ") ? why.slice(11) : why);
  }

  /** What earlier runs have left. */
  load(): Adoption[] {
    const text = this.#vsctl("--no-wait", "--format=json", "--columns=name,external_ids", "list", "Bridge");
    const { data } = JSON.parse(text) as { data: [string, ["map", [string, string][]]][] };
    return data.flatMap(([name, [, pairs]]) => {
      const ids = new Map(pairs);
      const bridge = ids.get(BRIDGE);
      if (bridge === undefined) return [];
      const words = (key: string): string[] => (ids.get(key) ?? "").split(" ").filter((word) => word !== "");
      return [
        {
          bridge,
          name,
          mode: ids.get(MODE) === "attach" ? "attach" : "adopt",
          stp: ids.get(STP) === "on",
          ports: new Map(words(PORTS).map(readMember)),
          moving: words(MOVING),
          shell: 0,
          releasing: ids.has(RELEASING),
        } as const,
      ];
    });
  }

  ports(name: string): Set<string> {
    return new Set(this.#vsctl("--no-wait", "list-ports", name).split("\n"));
  }

  create({ bridge, name, mode, stp }: Adoption, settings: readonly string[]): void {
    const ids = { [BRIDGE]: bridge, [MODE]: mode, [STP]: stp ? "on" : "off" };
    this.#vsctl(
      ...["add-br", name, "--", "set", "Bridge", name, ...settings],
      ...Object.entries(ids).map(([key, value]) => `external_ids:${key}=${JSON.stringify(value)}`),
      ...["--", "comment", `ovs-brcompatd: ${mode} ${bridge}`],
    );
  }

  /** The journal. */
  write({ name, ports, moving, releasing }: Adoption): void {
    const list = (names: Iterable<string>): string => JSON.stringify([...names].join(" "));
    this.#vsctl(
      ...[
        "--no-wait",
        "set",
        "Bridge",
        name,
        `external_ids:${PORTS}=${list([...ports].map(([port, { was }]) => `${port}=${was}`))}`,
      ],
      `external_ids:${MOVING}=${list(moving)}`,
      ...(releasing ? [`external_ids:${RELEASING}=yes`] : []),
    );
  }

  /** The ports under way arrive, and the journal says so in the same transaction. */
  addMoving({ name, moving }: Adoption): void {
    this.#vsctl(
      ...moving.flatMap((port) => ["--may-exist", "add-port", name, port, "--"]),
      ...["remove", "Bridge", name, "external_ids", MOVING],
    );
  }

  deletePorts({ name }: Adoption, ports: readonly string[], wait = true): void {
    if (ports.length === 0) return;
    this.#vsctl(
      ...(wait ? [] : ["--no-wait"]),
      ...ports.flatMap((port) => ["--", "--if-exists", "del-port", name, port]),
    );
  }

  delete({ name }: Adoption, wait = true): void {
    this.#vsctl(...(wait ? [] : ["--no-wait"]), "--if-exists", "del-br", name);
  }
}
