/** An OpenFlow client of a simulated switch: it asks, and hears what comes back. */
import type { Stream } from "../../src/lib/stream.ts";
import { memoryPair } from "../../src/lib/stream-memory.ts";
import { decode, encode } from "../../src/openflow/codec.ts";
import { OfpError } from "../../src/openflow/errors.ts";
import type { Message, Version } from "../../src/openflow/messages.ts";
import { SimSwitch } from "./switch.ts";

const ATOMIC_ORDERED = 3;

/** A client on one end of a memory stream. */
export class Peer {
  readonly sim: SimSwitch;
  readonly version: Version;
  private readonly stream: Stream;
  private heard: Uint8Array = new Uint8Array(0);
  private xid = 100;

  constructor(sim: SimSwitch, version: Version) {
    this.sim = sim;
    this.version = version;
    const [mine, theirs] = memoryPair(sim.clock);
    this.stream = mine;
    mine.handler = {
      data: (bytes) => {
        const joined = new Uint8Array(this.heard.length + bytes.length);
        joined.set(this.heard);
        joined.set(bytes, this.heard.length);
        this.heard = joined;
      },
      drain: () => {},
      close: () => {},
    };
    sim.bridges.get("br0")!.connections.acceptService(theirs);
    mine.write(encode({ type: "hello", versions: 1 << version, understood: true }, version));
  }

  bytes(message: Message, xid: number): Uint8Array {
    return encode(message, this.version, { xid });
  }

  /** Sends, and returns what came back, an error as its name, with the xid as offset from this request's. */
  async ask(message: Message | Uint8Array): Promise<string[]> {
    const xid = this.xid++;
    this.stream.write(message instanceof Uint8Array ? message : this.bytes(message, xid));
    return (await this.listen()).map((answer) =>
      answer.type === "error"
        ? answer.error!
        : answer.type === "bundle-control"
          ? `bundle ${answer.ctrl}`
          : answer.type,
    );
  }

  async listen(): Promise<Message[]> {
    await this.sim.warp(1);
    await this.sim.warp(1);
    const out: Message[] = [];
    for (;;) {
      const length = (this.heard[2]! << 8) | this.heard[3]!;
      if (this.heard.length < 8 || this.heard.length < length) break;
      const decoded = decode(this.heard.slice(0, length));
      this.heard = this.heard.slice(length);
      if (decoded instanceof OfpError) throw decoded;
      if (decoded.message.type !== "hello") out.push(decoded.message);
    }
    return out;
  }

  async reply<T extends Message["type"]>(message: Message, type: T): Promise<Extract<Message, { type: T }>> {
    this.stream.write(this.bytes(message, this.xid++));
    const found = (await this.listen()).find((answer) => answer.type === type);
    return found as Extract<Message, { type: T }>;
  }

  /** Every message that comes back. */
  async replies(message: Message): Promise<Message[]> {
    this.stream.write(this.bytes(message, this.xid++));
    return this.listen();
  }

  bundle(ctrl: number, flags = ATOMIC_ORDERED, bundleId = 1): Promise<string[]> {
    return this.ask({ type: "bundle-control", bundleId, ctrl, flags });
  }

  add(message: Message, flags = ATOMIC_ORDERED, bundleId = 1): Promise<string[]> {
    return this.ask({ type: "bundle-add-message", bundleId, flags, message: this.bytes(message, this.xid) });
  }
}

/** A switch with one bridge of three ports and no flows, and a client that speaks `version`. */
export async function start(version: Version): Promise<{ sim: SimSwitch; peer: Peer }> {
  const sim = new SimSwitch();
  await sim.warp(1000);
  await sim.addBridge("br0");
  for (const name of ["p1", "p2", "p3"]) await sim.addPort("br0", name);
  sim.flowMod("br0", "", 3);
  return { sim, peer: new Peer(sim, version) };
}
