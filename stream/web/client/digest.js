// The digest of a book, in unsigned 64-bit arithmetic. In halves of 32 bits, which cost a third of what BigInts do.

const TWO_32 = 2 ** 32;

/** The halves of the last product or mix. Module state, so that nothing is allocated. */
let high = 0;
let low = 0;

function multiply(aHigh, aLow, bHigh, bLow) {
  const a1 = aLow >>> 16;
  const a0 = aLow & 0xffff;
  const b1 = bLow >>> 16;
  const b0 = bLow & 0xffff;
  const bottom = a0 * b0;
  const one = a1 * b0;
  const other = a0 * b1;
  const middle = (bottom >>> 16) + (one & 0xffff) + (other & 0xffff);
  low = ((bottom & 0xffff) | (middle << 16)) >>> 0;
  high = (a1 * b1 + (one >>> 16) + (other >>> 16) + (middle >>> 16) + Math.imul(aHigh, bLow) + Math.imul(aLow, bHigh)) >>> 0;
}

const highOf = (count) => (typeof count === "bigint" ? Number((count >> 32n) & 0xffffffffn) : Math.floor(count / TWO_32) >>> 0);
const lowOf = (count) => (typeof count === "bigint" ? Number(count & 0xffffffffn) : count >>> 0);

/** Leave one level's share in `high` and `low`. */
function mix(side, price, size) {
  const priceLow = lowOf(price);
  multiply(((highOf(price) << 1) | (priceLow >>> 31)) >>> 0, ((priceLow << 1) | side) >>> 0, 0x9e3779b9, 0x7f4a7c15);
  const aHigh = high;
  const aLow = low;
  multiply(highOf(size), lowOf(size), 0xc2b2ae3d, 0x27d4eb4f);
  const sum = aLow + low;
  high = (aHigh + high + (sum >= TWO_32 ? 1 : 0)) >>> 0;
  low = sum >>> 0;
  multiply((high ^ (high >>> 30)) >>> 0, (low ^ ((low >>> 30) | (high << 2))) >>> 0, 0xbf58476d, 0x1ce4e5b9);
  multiply((high ^ (high >>> 27)) >>> 0, (low ^ ((low >>> 27) | (high << 5))) >>> 0, 0x94d049bb, 0x133111eb);
  low = (low ^ ((low >>> 31) | (high << 1))) >>> 0;
  high = (high ^ (high >>> 31)) >>> 0;
}

const whole = (high, low) => (BigInt(high) << 32n) | BigInt(low);

/** One level's share of a book's digest, which is the sum of all mod 2^64. Side is 0 for bids and 1 for asks. */
export function mix64(side, price, size) {
  mix(side, price, size);
  return whole(high, low);
}

/** One order's share of the digest of a book by orders. `ahead` is the number of the order directly ahead of it, 0 for none. */
export function orderShare(order, ahead, side, price, size) {
  return mix64(0, mix64(side, price, size), mix64(0, order, ahead));
}

/** A running sum of levels' or orders' shares. */
export class Digest {
  #high = 0;
  #low = 0;

  add(side, price, size) {
    mix(side, price, size);
    this.#plus();
  }

  remove(side, price, size) {
    mix(side, price, size);
    this.#minus();
  }

  /** Add a share that is known. */
  addShare(share) {
    high = highOf(share);
    low = lowOf(share);
    this.#plus();
  }

  removeShare(share) {
    high = highOf(share);
    low = lowOf(share);
    this.#minus();
  }

  #plus() {
    const sum = this.#low + low;
    this.#high = (this.#high + high + (sum >= TWO_32 ? 1 : 0)) >>> 0;
    this.#low = sum >>> 0;
  }

  #minus() {
    const difference = this.#low - low;
    this.#high = (this.#high - high - (difference < 0 ? 1 : 0)) >>> 0;
    this.#low = difference >>> 0;
  }

  get value() {
    return whole(this.#high, this.#low);
  }

  /** Whether the sum is this one, a number or a BigInt. */
  equals(value) {
    return highOf(value) === this.#high && lowOf(value) === this.#low;
  }
}
