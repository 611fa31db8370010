// The levels of a book: sizes by price, and the prices of a side in order.

import { Digest } from "./digest.js";

export const BID = 0;
export const ASK = 1;

/** One side. Its prices are put in order when somebody first asks for it, and kept in order from there; the best is the last. */
class Side {
  sizes = new Map();
  #prices = null;
  #sign;

  constructor(side) {
    this.#sign = side === BID ? 1 : -1;
  }

  get prices() {
    this.#prices ??= [...this.sizes.keys()].sort((one, other) => (one < other ? -this.#sign : this.#sign));
    return this.#prices;
  }

  set(price, size) {
    if (!this.sizes.has(price)) this.#prices?.splice(this.#place(price), 0, price);
    this.sizes.set(price, size);
  }

  delete(price) {
    this.sizes.delete(price);
    this.#prices?.splice(this.#place(price), 1);
  }

  #place(price) {
    const prices = this.#prices;
    let from = 0;
    let to = prices.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (this.#sign > 0 ? prices[middle] < price : prices[middle] > price) from = middle + 1;
      else to = middle;
    }
    return from;
  }
}

/** Both sides and their digest. Prices and sizes are numbers, and BigInts beyond 2^53. */
export class Levels {
  #sides = [new Side(BID), new Side(ASK)];
  digest = new Digest();

  /** Give a level a size, and return the one that it had. 0 removes it; removing what is not there does nothing. */
  set(side, price, size) {
    const levels = this.#sides[side];
    const old = levels.sizes.get(price) ?? 0;
    if (old === size) return old;
    if (old) this.digest.remove(side, price, old);
    if (size) {
      levels.set(price, size);
      this.digest.add(side, price, size);
    } else levels.delete(price);
    return old;
  }

  /** Take in a frame's levels if the digest is then `digest`; otherwise change nothing, and return false. */
  apply(bids, asks, digest) {
    const before = [];
    [bids, asks].forEach((flat, side) => {
      for (let i = 0; i < flat.length; i += 2) before.push(side, flat[i], this.set(side, flat[i], flat[i + 1]));
    });
    const right = this.digest.equals(digest);
    if (!right) for (let i = before.length - 3; i >= 0; i -= 3) this.set(before[i], before[i + 1], before[i + 2]);
    return right;
  }

  /** The size at a price, 0 for none. */
  size(side, price) {
    return this.#sides[side].sizes.get(price) ?? 0;
  }

  /** How many levels a side has. */
  count(side) {
    return this.#sides[side].sizes.size;
  }

  /** The best n levels of a side, all for Infinity, best first: [[price, size], ...]. */
  best(side, n = Infinity) {
    const { prices, sizes } = this.#sides[side];
    const best = [];
    for (let i = prices.length - 1; i >= 0 && best.length < n; i--) best.push([prices[i], sizes.get(prices[i])]);
    return best;
  }
}
