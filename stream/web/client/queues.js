// The orders of a book in their queues, by their public numbers.

import { Digest, orderShare } from "./digest.js";
import { Levels } from "./levels.js";

/** The orders of one book. Prices and sizes are numbers, and BigInts beyond 2^53. A change that does not fit throws, and `begin` and `rollBack` take changes back. */
export class Queues {
  levels = new Levels(); // what the orders add up to
  digest = new Digest();
  #orders = new Map(); // by number
  #queues = [new Map(), new Map()]; // by price: the first order and the last
  #undo = null;

  get count() {
    return this.#orders.size;
  }

  /** An order's side, price and size; null if it is not in the book. */
  find(number) {
    const order = this.#orders.get(number);
    return order ? { side: order.side, price: order.price, size: order.size } : null;
  }

  /** The orders at a price by priority: [[number, size], ...]. */
  queue(side, price) {
    const found = [];
    for (let order = this.#queues[side].get(price)?.first; order; order = order.behind) found.push([order.number, order.size]);
    return found;
  }

  /** How many orders, and how many lots, are ahead of an order; null if it is not in the book. O(orders ahead). */
  place(number) {
    let order = this.#orders.get(number);
    if (!order) return null;
    let [orders, size] = [0, 0n];
    while ((order = order.ahead)) {
      orders += 1;
      size += BigInt(order.size);
    }
    return { orders, size: size <= Number.MAX_SAFE_INTEGER ? Number(size) : size };
  }

  // Changes

  add(number, side, price, size) {
    if (this.#orders.has(number) || !(size > 0) || (side !== 0 && side !== 1)) throw new RangeError(`order ${number}: expected one that is not in the book`);
    this.#put({ number, side, price, size, ahead: this.#queues[side].get(price)?.last ?? null, behind: null });
    this.#undo?.push(() => this.#remove(this.#orders.get(number)));
  }

  /** Take lots off an order, which keeps its place; without any left it is gone. */
  take(number, by) {
    const order = this.#known(number);
    const left = plus(order.size, by, -1n);
    if (!(by > 0) || left < 0) throw new RangeError(`order ${number}: expected at most ${order.size} lots to be taken, got ${by}`);
    if (!left) return this.delete(number);
    const before = order.size;
    this.#resize(order, left);
    this.#undo?.push(() => this.#resize(this.#orders.get(number), before));
  }

  delete(number) {
    const order = this.#known(number);
    const { side, price, size } = order;
    const ahead = order.ahead?.number;
    this.#remove(order);
    this.#undo?.push(() => {
      const before = ahead === undefined ? null : this.#orders.get(ahead);
      this.#put({ number, side, price, size, ahead: before, behind: before ? before.behind : (this.#queues[side].get(price)?.first ?? null) });
    });
  }

  move(number, price, size) {
    const { side } = this.#known(number);
    this.delete(number);
    this.add(number, side, price, size);
  }

  clear() {
    for (const number of [...this.#orders.keys()]) this.delete(number);
  }

  begin() {
    this.#undo = [];
  }

  keep() {
    this.#undo = null;
  }

  rollBack() {
    const undo = this.#undo;
    this.#undo = null;
    while (undo.length) undo.pop()();
  }

  // What a change comes to

  #known(number) {
    const order = this.#orders.get(number);
    if (!order) throw new RangeError(`order ${number}: expected one that is in the book`);
    return order;
  }

  /** Put an order between those that it names. */
  #put(order) {
    const { side, price, ahead, behind } = order;
    const queue = this.#queues[side].get(price) ?? { first: null, last: null };
    this.#queues[side].set(price, queue);
    if (ahead) ahead.behind = order;
    else queue.first = order;
    if (behind) {
      this.#unshare(behind);
      behind.ahead = order;
      this.#share(behind);
    } else queue.last = order;
    this.#orders.set(order.number, order);
    this.#share(order);
    this.levels.set(side, price, plus(this.levels.size(side, price), order.size, 1n));
  }

  #remove(order) {
    const { side, price, ahead, behind } = order;
    const queue = this.#queues[side].get(price);
    this.#unshare(order);
    if (ahead) ahead.behind = behind;
    else queue.first = behind;
    if (behind) {
      this.#unshare(behind);
      behind.ahead = ahead;
      this.#share(behind);
    } else queue.last = ahead;
    if (!queue.first) this.#queues[side].delete(price);
    this.#orders.delete(order.number);
    this.levels.set(side, price, plus(this.levels.size(side, price), order.size, -1n));
  }

  #resize(order, size) {
    this.#unshare(order);
    this.levels.set(order.side, order.price, plus(plus(this.levels.size(order.side, order.price), order.size, -1n), size, 1n));
    order.size = size;
    this.#share(order);
  }

  #share({ number, ahead, side, price, size }) {
    this.digest.addShare(orderShare(number, ahead?.number ?? 0, side, price, size));
  }

  #unshare({ number, ahead, side, price, size }) {
    this.digest.removeShare(orderShare(number, ahead?.number ?? 0, side, price, size));
  }
}

/** One count plus or minus another, exactly: a number where that can be. */
function plus(one, other, sign) {
  const sum = Number(one) + Number(sign) * Number(other);
  if (typeof one === "number" && typeof other === "number" && Number.isSafeInteger(sum)) return sum;
  const exact = BigInt(one) + sign * BigInt(other);
  return exact <= Number.MAX_SAFE_INTEGER ? Number(exact) : exact;
}
