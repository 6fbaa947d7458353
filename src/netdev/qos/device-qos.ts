/**
 * The queueing of one device of the kernel, kept as its QoS row says (upstream: the traffic control part of
 * lib/netdev-linux). Queue N is class 1:N+1 of discipline 1:, below class 1:fffe that all of them share; a packet gets there
 * by its priority, which is the class's number.
 */
import type { Clock } from "../../lib/clock.ts";
import { strerror } from "../../lib/errors.ts";
import type { RouteSocket } from "../../sys/netlink.ts";
import type { NetdevQos, NetdevQueue, QosConfig } from "../netdev.ts";
import {
  decodeErrno,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  NLM_F_REQUEST,
  type Value,
} from "../netlink-message.ts";
import {
  type Details,
  DISCIPLINES,
  type Discipline,
  LINUX_QOS_TYPES,
  type LinkFacts,
  MAX_QUEUES,
  NOOP,
} from "./disciplines.ts";
import {
  decodeTc,
  encodeTc,
  RTM_DELQDISC,
  RTM_DELTCLASS,
  RTM_GETQDISC,
  RTM_GETTCLASS,
  RTM_NEWQDISC,
  RTM_NEWTCLASS,
  TC_H_ROOT,
  type TcMessage,
  type TcObject,
} from "./tc-message.ts";

const QDISC = 0x10000;
const SHARED_CLASS = QDISC | 0xfffe;
const EIO = 5;

const classOf = (queue: number): number => QDISC | (queue + 1);
const queueOf = (handle: number): number => (handle & 0xffff) - 1;

/** Speaks to the kernel about disciplines. */
export class TrafficControl {
  readonly #socket: RouteSocket;
  #sequence = 1;

  constructor(socket: RouteSocket) {
    this.#socket = socket;
  }

  /** 0, or an errno. */
  change(message: TcMessage): number {
    const flags = message.flags | NLM_F_REQUEST | NLM_F_ACK;
    return decodeErrno(this.#socket.transact(encodeTc({ ...message, flags }, this.#sequence++))) ?? EIO;
  }

  /** Disciplines or classes of a device. */
  dump(type: typeof RTM_GETQDISC | typeof RTM_GETTCLASS, ifindex: number): TcObject[] {
    const request = { type, flags: NLM_F_REQUEST | NLM_F_DUMP, ifindex, handle: 0, parent: 0 };
    const replies = this.#socket.transact(encodeTc(request, this.#sequence++));
    const wanted = type === RTM_GETQDISC ? RTM_NEWQDISC : RTM_NEWTCLASS;
    return decodeTc(replies, wanted).filter((object) => object.ifindex === ifindex);
  }

  close(): void {
    this.#socket.close();
  }
}

interface Installed {
  readonly ifindex: number;
  readonly type: string;
  readonly discipline: Discipline;
  readonly details: Details;
  readonly queues: ReadonlyMap<number, Details>;
  /** When each queue was made. */
  readonly sinceMs: ReadonlyMap<number, number>;
}

/** An errno that ends the making of something. */
class Refused extends Error {
  constructor(errno: number) {
    super(strerror(errno));
  }
}

export class DeviceQos {
  readonly #tc: TrafficControl;
  readonly #clock: Clock;
  #installed: Installed | undefined;
  /** The device and settings that were last asked for. */
  #asked = "";

  constructor(tc: TrafficControl, clock: Clock) {
    this.#tc = tc;
    this.#clock = clock;
  }

  /** What is at work. */
  get current(): NetdevQos | undefined {
    const installed = this.#installed;
    return installed && { type: installed.type, details: installed.details };
  }

  /** Makes it so; undefined takes away what there is. Returns an error's text, then the device has its default. */
  set(ifindex: number, link: LinkFacts, wanted: QosConfig | undefined): string | undefined {
    const asked = JSON.stringify([ifindex, link.mtu, link.speed, describe(wanted)]);
    if (asked === this.#asked) return undefined;
    this.#asked = asked;
    if (wanted?.type === NOOP) {
      // Whoever else has set it up may have done so long ago.
      if (this.#installed !== undefined) this.#clear(ifindex);
      return undefined;
    }
    if (wanted === undefined) {
      this.#clear(ifindex);
      return undefined;
    }
    const discipline = DISCIPLINES.get(wanted.type);
    if (discipline === undefined) {
      this.#clear(ifindex);
      return `QoS type ${wanted.type} is none of ${LINUX_QOS_TYPES.join(", ")}`;
    }
    try {
      this.#install(ifindex, link, wanted, discipline);
      return undefined;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#clear(ifindex);
      return `Failed to install new qdisc: ${error.message}`;
    }
  }

  #install(ifindex: number, link: LinkFacts, wanted: QosConfig, discipline: Discipline): void {
    const { kind, classes } = discipline;
    const details = discipline.details(wanted.settings, link);
    const options = discipline.options(details);
    const queues = new Map<number, Details>();
    if (classes !== undefined) {
      const configured = new Map([[0, new Map<string, string>()], ...wanted.queues]);
      for (const id of [...configured.keys()].sort((a, b) => a - b))
        if (id < MAX_QUEUES) queues.set(id, classes.details(configured.get(id)!, details, link));
    }
    const held = this.#installed;
    const before =
      held?.ifindex === ifindex && held.type === wanted.type ? held.sinceMs : new Map<number, number>();
    const now = this.#clock.now();
    const sinceMs = new Map([...queues.keys()].map((id) => [id, before.get(id) ?? now]));
    const root = this.#tc.dump(RTM_GETQDISC, ifindex).find(({ parent }) => parent === TC_H_ROOT);
    const present = root?.kind === kind && root.handle === QDISC;
    if (!present) {
      this.#clear(ifindex);
      this.#qdisc(ifindex, kind, NLM_F_CREATE | NLM_F_EXCL, options);
    } else if (classes === undefined) this.#qdisc(ifindex, kind, NLM_F_CREATE | NLM_F_REPLACE, options);
    if (classes !== undefined) {
      this.#class(ifindex, kind, SHARED_CLASS, QDISC, classes.root(details, link));
      for (const [id, queue] of queues)
        this.#class(ifindex, kind, classOf(id), SHARED_CLASS, classes.queue(queue, link));
      for (const { handle } of this.#classes(ifindex))
        if (!queues.has(queueOf(handle)))
          this.#tc.change({ type: RTM_DELTCLASS, flags: 0, ifindex, handle, parent: SHARED_CLASS });
    }
    this.#installed = { ifindex, type: wanted.type, discipline, details, queues, sinceMs };
  }

  #qdisc(ifindex: number, kind: string, flags: number, options: Value): void {
    const errno = this.#tc.change({
      type: RTM_NEWQDISC,
      flags,
      ifindex,
      handle: QDISC,
      parent: TC_H_ROOT,
      kind,
      options,
    });
    if (errno !== 0) throw new Refused(errno);
  }

  #class(ifindex: number, kind: string, handle: number, parent: number, options: Value): void {
    const errno = this.#tc.change({
      type: RTM_NEWTCLASS,
      flags: NLM_F_CREATE,
      ifindex,
      handle,
      parent,
      kind,
      options,
    });
    if (errno !== 0) throw new Refused(errno);
  }

  /** Those of queues. */
  #classes(ifindex: number): TcObject[] {
    return this.#tc.dump(RTM_GETTCLASS, ifindex).filter(({ parent }) => parent === SHARED_CLASS);
  }

  /** Back to what the kernel gives a device; that there was nothing else is no error. */
  #clear(ifindex: number): void {
    this.#installed = undefined;
    this.#tc.change({ type: RTM_DELQDISC, flags: 0, ifindex, handle: 0, parent: TC_H_ROOT });
  }

  /** The queues with their counters, in order of their numbers. */
  queues(): NetdevQueue[] {
    const installed = this.#installed;
    if (installed?.discipline.classes === undefined) return [];
    const { classes } = installed.discipline;
    const counted = new Map(
      this.#classes(installed.ifindex).map((object) => [queueOf(object.handle), object] as const),
    );
    return [...installed.queues].map(([id, details]) => ({
      id,
      minRate: details.get("min-rate"),
      maxRate: details.get("max-rate"),
      createdMs: installed.sinceMs.get(id),
      details: new Map([...details].filter(([key]) => !classes.hidden(details, key))),
      txPackets: counted.get(id)?.packets ?? -1,
      txBytes: counted.get(id)?.bytes ?? -1,
      txErrors: counted.get(id)?.drops ?? -1,
    }));
  }
}

function describe(wanted: QosConfig | undefined): unknown {
  return (
    wanted && [wanted.type, [...wanted.settings], [...wanted.queues].map(([id, queue]) => [id, [...queue]])]
  );
}
