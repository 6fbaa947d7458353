/**
 * The priority by which a device's queueing finds the class of a queue (`src/netdev/qos`): 1:N+1. Datapath keys and actions
 * hold the queue's number, as the original's userspace datapath has it; 0 leaves the choice to the device, whose default is
 * queue 0.
 */
export function queueClass(queue: number): number {
  return queue === 0 ? 0 : 0x10000 | ((queue + 1) & 0xffff);
}
