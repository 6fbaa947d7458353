/**
 * A program for tests, run by Bun:
 * udp-flows.ts send ADDRESS FLOWS ROUNDS: sends ROUNDS numbered datagrams in each of FLOWS flows, all flows in turn.
 * udp-flows.ts receive ADDRESS FLOWS ROUNDS: prints "ready", and when all have come, or none for a second, how many came
 * and how many came after a later one of their flow: {"received": 100, "late": 0}.
 */
import { createSocket } from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";

const PORT = 7000;
const [, , role, address, flowsText, roundsText] = process.argv;
const [flows, rounds] = [Number(flowsText), Number(roundsText)];

async function send(): Promise<void> {
  const sockets = await Promise.all(
    Array.from({ length: flows }, async () => {
      const socket = createSocket("udp4");
      await new Promise<void>((resolve) => void socket.connect(PORT, address, resolve));
      return socket;
    }),
  );
  for (let round = 0; round < rounds; round++) {
    // Flows are set up by their first packets, which others may overtake meanwhile; later a burst must fit into queues.
    await sleep(round === 1 ? 500 : 2);
    const payload = Buffer.alloc(64);
    payload.writeUInt32BE(round);
    await Promise.all(
      sockets.map((socket) => new Promise<void>((resolve) => void socket.send(payload, () => resolve()))),
    );
  }
  for (const socket of sockets) socket.close();
}

function receive(): void {
  const socket = createSocket({ type: "udp4", recvBufferSize: 8 << 20 });
  const next = new Map<number, number>();
  let received = 0;
  let late = 0;
  const end = () => {
    console.log(JSON.stringify({ received, late }));
    process.exit(0);
  };
  let timer: NodeJS.Timeout | undefined;
  socket.on("message", (bytes, { port }) => {
    const sequence = bytes.readUInt32BE();
    if (sequence < (next.get(port) ?? 0)) late++;
    next.set(port, sequence + 1);
    clearTimeout(timer);
    if (++received === flows * rounds) end();
    timer = setTimeout(end, 1000);
  });
  socket.bind(PORT, address, () => console.log("ready"));
}

if (role === "send") await send();
else receive();
