/**
 * Whom a megaflow's packets are credited to, for 100 000 megaflows at once: lists of credits (rules, patch ports) are
 * paths in a trie, shared by all megaflows that took the same way; a megaflow holds one number.
 */
import type { Credit } from "./xlate/context.ts";

class CreditNode {
  readonly credit: Credit | undefined;
  readonly parent: CreditNode | undefined;
  readonly index: number;
  children: Map<Credit, CreditNode> | undefined = undefined;
  /** Megaflows that end here. */
  refs = 0;

  constructor(credit: Credit | undefined, parent: CreditNode | undefined, index: number) {
    this.credit = credit;
    this.parent = parent;
    this.index = index;
  }
}

export class CreditLists {
  private readonly nodes: (CreditNode | undefined)[] = [new CreditNode(undefined, undefined, 0)];
  private readonly free: number[] = [];

  /** The list's number, with one reference taken. */
  hold(credits: readonly Credit[]): number {
    let node = this.nodes[0]!;
    for (let i = 0; i < credits.length; i++) {
      const credit = credits[i]!;
      node.children ??= new Map();
      let child = node.children.get(credit);
      if (child === undefined) {
        const index = this.free.pop() ?? this.nodes.length;
        child = new CreditNode(credit, node, index);
        this.nodes[index] = child;
        node.children.set(credit, child);
      }
      node = child;
    }
    node.refs++;
    return node.index;
  }

  release(list: number): void {
    let node = this.nodes[list]!;
    node.refs--;
    while (node.parent !== undefined && node.refs === 0 && (node.children?.size ?? 0) === 0) {
      node.parent.children!.delete(node.credit!);
      this.nodes[node.index] = undefined;
      this.free.push(node.index);
      node = node.parent;
    }
  }

  push(list: number, packets: number, bytes: number, usedMs: number, tcpFlags: number): void {
    for (let node = this.nodes[list]; node !== undefined; node = node.parent) {
      node.credit?.credit(packets, bytes, usedMs, tcpFlags);
    }
  }

  /** The credits, last first. */
  *of(list: number): IterableIterator<Credit> {
    for (let node = this.nodes[list]; node !== undefined; node = node.parent) {
      if (node.credit !== undefined) yield node.credit;
    }
  }
}
