/**
 * Linux bridges become switches. Nothing here answers to single events: whenever something has happened the links are read
 * anew and compared with what was taken over, and what differs is put right. So an event that was lost, came late, or was our
 * own makes no difference, and neither does a device that has gone and come again meanwhile.
 */

import type { Clock, Timer } from "../../src/lib/clock.ts";
import { describeError, Fatal } from "../../src/lib/errors.ts";
import { vlog } from "../../src/lib/vlog.ts";
import { type BridgeView, setBridgeStp, viewBridge } from "../../src/netdev/bridge-view.ts";
import { hostSettings, restoreHost, silenceHost } from "../../src/netdev/host-stack.ts";
import type { Link, LinkTable } from "../../src/netdev/rtnetlink.ts";
import { NAME_MAX } from "../ovs-brctl/devices.ts";
import type { Adoption, Database } from "./database.ts";
import { matches, type Settings } from "./settings.ts";

const log = vlog("brcompatd");

/** So long a burst of events may go on before it is acted on. */
const SETTLE_MS = 20;
/** What has failed is tried again after so long, then after twice that, and so on. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 60_000;

interface Failure {
  readonly until: number;
  readonly delay: number;
}

export class Adopter {
  readonly #clock: Clock;
  readonly #links: LinkTable;
  readonly #database: Database;
  readonly #settings: Settings;
  readonly #adopted = new Map<string, Adoption>();
  /** Given back by hand: not taken again. */
  readonly #released = new Set<string>();
  /** By the name of a bridge or port. */
  readonly #failures = new Map<string, Failure>();
  #timer: Timer | undefined;
  /** When it fires. */
  #due = 0;
  #leave: (() => void) | undefined;
  #loaded = false;

  constructor(clock: Clock, links: LinkTable, database: Database, settings: Settings) {
    this.#clock = clock;
    this.#links = links;
    this.#database = database;
    this.#settings = settings;
  }

  start(): void {
    this.#leave = this.#links.listen({
      changed: (name) => {
        // A switch's device has come (back): what waited for it need not wait on.
        for (const adoption of this.#adopted.values())
          if (adoption.name === name) this.#failures.delete(adoption.bridge);
        this.#soon(SETTLE_MS);
      },
    });
    this.#soon(0);
  }

  stop(): void {
    this.#leave?.();
    this.#timer?.cancel();
  }

  get adoptions(): Iterable<Adoption> {
    return this.#adopted.values();
  }

  /** In `ms` at the latest. */
  #soon(ms: number): void {
    const due = this.#clock.now() + ms;
    if (this.#timer !== undefined && this.#due <= due) return;
    this.#timer?.cancel();
    this.#due = due;
    this.#timer = this.#clock.background(ms, () => {
      this.#timer = undefined;
      this.reconcile();
    });
  }

  /** What earlier runs have taken over. Throws Fatal. */
  load(): void {
    if (this.#loaded) return;
    for (const adoption of this.#database.load()) {
      log.info(`${adoption.bridge}: ${adoption.name} does its work since an earlier run`);
      this.#adopted.set(adoption.bridge, adoption);
    }
    this.#loaded = true;
    this.#links.reload();
    for (const adoption of this.#adopted.values()) this.#takeUp(adoption);
  }

  /** A run may have ended between any two steps. */
  #takeUp(adoption: Adoption): void {
    if (adoption.releasing) {
      log.info(`${adoption.bridge}: going on with its release`);
      this.#giveBack(adoption);
      return;
    }
    for (const [name, { was }] of adoption.ports)
      adoption.ports.set(name, { index: this.#links.get(name)?.index ?? 0, was });
    const between = adoption.moving.filter((port) => this.#links.get(port)?.master === 0);
    this.#move(adoption, between);
  }

  reconcile(): void {
    this.#guard("database", () => this.load());
    if (!this.#loaded) return;
    this.#links.reload();
    for (const adoption of [...this.#adopted.values()]) {
      const shell = this.#links.get(adoption.bridge);
      if (adoption.shell === 0) adoption.shell = shell?.index ?? 0;
      // Another one of that name is taken over anew.
      if (shell?.kind === "bridge" && shell.index === adoption.shell)
        this.#guard(adoption.bridge, () => this.#follow(adoption, shell));
      else this.#guard(adoption.bridge, () => this.#gone(adoption));
    }
    for (const link of [...this.#links.links()]) {
      if (link.kind !== "bridge" || this.#adopted.has(link.name)) continue;
      if (this.#wanted(link.name)) this.#guard(link.name, () => this.#adopt(link));
    }
    const names = new Set([...this.#links.links()].map(({ name }) => name));
    for (const name of this.#released) if (!names.has(name)) this.#released.delete(name);
  }

  /** Runs it unless it failed a moment ago; what goes wrong is logged, and tried again later and later. */
  #guard(name: string, run: () => void): void {
    const now = this.#clock.now();
    const failure = this.#failures.get(name);
    if (failure !== undefined && failure.until > now) {
      this.#soon(failure.until - now);
      return;
    }
    try {
      run();
      this.#failures.delete(name);
    } catch (error) {
      if (!(error instanceof Fatal)) throw error;
      const delay = Math.min(failure === undefined ? RETRY_MS : failure.delay * 2, RETRY_MS_MAX);
      // The attempt may have taken long.
      this.#failures.set(name, { until: this.#clock.now() + delay, delay });
      log.warn(`${name}: ${error.message} (again in ${delay / 1000} s)`);
      this.#soon(delay);
    }
  }

  #wanted(bridge: string): boolean {
    const { mode, bridges, exclude } = this.#settings;
    if (mode === "observe" || this.#released.has(bridge)) return false;
    return bridges.some((glob) => matches(glob, bridge)) && !exclude.some((glob) => matches(glob, bridge));
  }

  #adopt(shell: Link): void {
    const { prefix, mode, datapathType, dryRun } = this.#settings;
    const bridge = shell.name;
    const name = prefix + bridge;
    if (name.length > NAME_MAX) throw new Fatal(`${name} would be longer than ${NAME_MAX} characters`);
    if (this.#links.get(name) !== undefined) throw new Fatal(`there is a device ${name} already`);
    const view = viewBridge(bridge, new Map());
    if (view === undefined) return;
    if (view.vlanFiltering && mode === "adopt")
      throw new Fatal("adopting a VLAN-aware bridge: not implemented");
    const members = this.#membersOf(shell, name);
    if (dryRun) {
      log.info(`${bridge}: would ${mode} it as ${name}, with ${members.join(", ") || "no members"}`);
      this.#released.add(bridge);
      return;
    }
    log.info(`${bridge}: ${mode} as ${name}`);
    const adoption: Adoption = {
      bridge,
      name,
      mode: mode === "attach" ? "attach" : "adopt",
      stp: view.stp,
      ports: new Map(),
      moving: [],
      shell: shell.index,
      releasing: false,
    };
    const mac = shell.mac ?? "";
    // A bridge without an address of its own takes its members', and would lose it with them.
    this.#must(bridge, this.#links.set(bridge, { mac }));
    try {
      this.#database.create(adoption, [
        ...(datapathType === "" ? [] : [`datapath_type=${datapathType}`]),
        `other_config:hwaddr=${JSON.stringify(mac)}`,
        ...(adoption.mode === "adopt" ? copiedSettings(view) : []),
      ]);
      this.#adopted.set(bridge, adoption);
      if (adoption.mode === "adopt") {
        // With one member left the kernel's spanning tree would only keep it waiting.
        if (view.stp) {
          log.warn(`${bridge}: spanning tree runs; ovs-vswitchd takes it over when it can`);
          setStp(bridge, false);
        }
        this.#join(adoption, shell);
        this.#move(adoption, members);
      } else this.#join(adoption, shell);
    } catch (error) {
      if (!(error instanceof Fatal)) throw error;
      this.#undo(adoption);
      throw error;
    }
  }

  /** Back to where it was, whatever still works. */
  #undo(adoption: Adoption): void {
    this.#adopted.delete(adoption.bridge);
    const steps = [
      () => this.#database.delete(adoption, false),
      () => {
        if (adoption.stp) setStp(adoption.bridge, true);
      },
    ];
    for (const step of steps) {
      try {
        step();
      } catch (error) {
        log.err(`${adoption.bridge}: ${describeError(error)}`);
      }
    }
    log.warn(`${adoption.bridge}: put back as it was`);
  }

  #must(name: string, error: string | undefined): void {
    if (error !== undefined) throw new Fatal(`${name}: ${error}`);
  }

  /** The switch's own port becomes the shell's only member. */
  #join(adoption: Adoption, shell: Link): void {
    const own = this.#links.refresh(adoption.name);
    if (own === undefined) throw new Fatal(`there is no device ${adoption.name}`);
    if (own.master === shell.index && (own.flags & 1) !== 0) return;
    this.#must(adoption.name, this.#links.set(adoption.name, { up: true, master: shell.index }));
  }

  #membersOf(shell: Link, own: string): string[] {
    return [...this.#links.links()]
      .filter(({ master, name }) => master === shell.index && name !== own)
      .map(({ name }) => name);
  }

  /** From the shell to the switch; back again when the switch does not take one. */
  #move(adoption: Adoption, names: readonly string[]): void {
    if (names.length === 0) return;
    for (const name of names) {
      const index = this.#links.get(name)?.index ?? 0;
      // One that was moved before, or was under way when a run ended, is silent already, and what it was is known.
      const old = adoption.ports.get(name);
      const known = old?.index === index ? old.was : undefined;
      adoption.ports.set(name, { index, was: known ?? hostSettings(name) });
    }
    adoption.moving = names;
    this.#database.write(adoption);
    try {
      for (const name of names) {
        silenceHost(name);
        this.#must(name, this.#links.set(name, { master: 0 }));
      }
      this.#database.addMoving(adoption);
      adoption.moving = [];
    } catch (error) {
      this.#return(adoption, names);
      throw error;
    }
    log.info(`${adoption.bridge}: moved ${names.join(", ")} to ${adoption.name}`);
  }

  #return(adoption: Adoption, names: readonly string[]): void {
    const members = names.map((name) => [name, adoption.ports.get(name)?.was ?? ""] as const);
    adoption.moving = [];
    try {
      for (const name of names) adoption.ports.delete(name);
      this.#database.deletePorts(adoption, names, false);
      this.#database.write(adoption);
    } catch (error) {
      log.err(`${adoption.bridge}: ${describeError(error)}`);
    }
    this.#enslave(adoption, members);
  }

  #enslave({ bridge }: Adoption, members: Iterable<readonly [name: string, was: string]>): void {
    const shell = this.#links.refresh(bridge);
    if (shell === undefined) return;
    for (const [name, was] of members) {
      // Gone, or a member of something else by now.
      const link = this.#links.refresh(name);
      if (link === undefined) continue;
      if (link.master === 0 || !this.#isBridge(link.master)) {
        const error = this.#links.set(name, { master: shell.index });
        if (error !== undefined) log.err(`${bridge}: cannot take ${name} back: ${error}`);
      }
      restoreHost(name, was);
    }
  }

  #isBridge(index: number): boolean {
    return [...this.#links.links()].some((link) => link.index === index && link.kind === "bridge");
  }

  /** Members that came, and that went. */
  #follow(adoption: Adoption, shell: Link): void {
    this.#join(adoption, shell);
    if (adoption.mode === "attach") return;
    const came = this.#membersOf(shell, adoption.name);
    const went: string[] = [];
    for (const [name, { index, was }] of adoption.ports) {
      if (came.includes(name)) continue;
      const link = this.#links.get(name);
      const same = link?.index === index;
      if (same && !this.#isBridge(link.master)) continue;
      if (same) restoreHost(name, was);
      went.push(name);
    }
    if (went.length > 0) {
      this.#database.deletePorts(adoption, went);
      for (const name of went) adoption.ports.delete(name);
      this.#database.write(adoption);
      log.info(`${adoption.bridge}: ${went.join(", ")} left`);
    }
    this.#move(adoption, came);
  }

  /** The Linux bridge was deleted. */
  #gone(adoption: Adoption): void {
    this.#database.delete(adoption);
    this.#adopted.delete(adoption.bridge);
    log.info(`${adoption.bridge}: gone, deleted ${adoption.name}`);
  }

  /** Gives a bridge back and leaves it alone from now on. Throws Fatal. */
  release(bridge: string): void {
    this.load();
    const adoption = this.#adopted.get(bridge);
    if (adoption === undefined) throw new Fatal(`${bridge}: not taken over`);
    this.#released.add(bridge);
    this.#giveBack(adoption);
  }

  /** All of them, at the end. */
  releaseAll(): void {
    for (const adoption of [...this.#adopted.values()]) {
      try {
        this.#giveBack(adoption);
      } catch (error) {
        log.err(`${adoption.bridge}: ${describeError(error)}`);
      }
    }
  }

  /** Takes one again that was given back. */
  adopt(bridge: string): void {
    if (this.#settings.mode === "observe") throw new Fatal("--mode=observe takes over nothing");
    this.#released.delete(bridge);
    this.#failures.delete(bridge);
    if (!this.#wanted(bridge)) throw new Fatal(`${bridge}: not among --bridges`);
    this.reconcile();
    if (!this.#adopted.has(bridge)) throw new Fatal(`${bridge}: not taken over, see the log`);
  }

  #giveBack(adoption: Adoption): void {
    const { bridge } = adoption;
    if (!adoption.releasing) {
      // What somebody has taken out of the switch is not ours to put back.
      const has = this.#database.ports(adoption.name);
      for (const name of adoption.ports.keys()) if (!has.has(name)) adoption.ports.delete(name);
      adoption.releasing = true;
      this.#database.write(adoption);
    }
    const names = [...adoption.ports.keys()];
    this.#database.deletePorts(adoption, names);
    if (adoption.stp && adoption.mode === "adopt") setStp(bridge, true);
    this.#enslave(
      adoption,
      [...adoption.ports].map(([name, { was }]) => [name, was]),
    );
    this.#database.delete(adoption);
    this.#adopted.delete(bridge);
    log.info(`${bridge}: given back with ${names.join(", ") || "no members"}`);
  }
}

function setStp(bridge: string, on: boolean): void {
  try {
    setBridgeStp(bridge, on);
  } catch (error) {
    log.warn(`${bridge}: cannot turn spanning tree ${on ? "on" : "off"}: ${describeError(error)}`);
  }
}

/** What the switch does as the Linux bridge did. */
function copiedSettings(view: BridgeView): string[] {
  const settings: string[] = [];
  if (view.ageingSec === 0) settings.push("flood_vlans=0");
  // What it is otherwise the kernel does not tell during a change of topology.
  else if (!view.topologyChange) settings.push(`other_config:mac-aging-time=${Math.round(view.ageingSec)}`);
  if (!view.stp) return settings;
  return [
    ...settings,
    "stp_enable=true",
    `other_config:stp-priority=${view.priority}`,
    `other_config:stp-hello-time=${Math.round(view.helloSec)}`,
    `other_config:stp-max-age=${Math.round(view.maxAgeSec)}`,
    `other_config:stp-forward-delay=${Math.round(view.forwardDelaySec)}`,
  ];
}
