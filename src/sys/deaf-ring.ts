/** A packet socket that sends only, where a ring is asked for: no frame ever waits in it. */
import { PacketSender } from "./packet-sender.ts";

export class DeafRing extends PacketSender {
  readonly headroom: number = 0;
  readonly data = new Uint8Array(0);
  readonly address: number = 0;
  readonly frame: number = -1;
  readonly frameLength: number = 0;
  readonly frameTag: number = 0;
  readonly frameAction: boolean = false;
  readonly frameOperand: number = 0;
  readonly group: number = -1;
  readonly ready: boolean = false;
  cut = 0;

  constructor(name: string) {
    super(name);
    this.bindDeaf();
  }

  next(): boolean {
    return false;
  }

  receiveLarge(_address: number, _room: number): number {
    return -1;
  }

  discardLarge(): void {}

  release(): void {}
}
