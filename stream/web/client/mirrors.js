// A client's copy of each kind of channel, and the five rules that every frame obeys. Bytes, sockets and time stay outside.

import { Gap } from "./errors.js";
import { ASK, BID, Levels } from "./levels.js";
import { READINGS, readBalances, readOrders, readTrades } from "./messages.js";
import { Reader } from "./reader.js";
import { Queues } from "./queues.js";
import { BookFrame, known, levelsOf } from "./readings.js";

const TRADES_KEPT = 1000;

/** One channel. `seq` is how far it has come in the history `epoch`; null before the first snapshot. */
class Mirror {
  lossless = true;
  epoch = null;
  seq = null;
  frame = null;
  inForce = null;
  counts = { snapshot: 0, applied: 0, heartbeat: 0, dropped: 0, gap: 0, mismatch: 0 };
  #early = null; // what has come for those who begin to iterate as soon as it is subscribed
  #readers = new Set();
  #failure = null;

  /** `scales` has what a tick, a lot and a unit of an instrument are, by its name. */
  constructor(channel, scales = new Map()) {
    this.channel = channel;
    this.instrument = channel.split(":")[1];
    this.scales = scales;
  }

  get scale() {
    return known(this.scales, this.instrument);
  }

  /** What an iteration gives of a frame, in decimals. */
  read(frame) {
    return frame;
  }

  /** What a returning client tells of this channel, null if it has nothing. */
  get resume() {
    return this.seq === null ? null : [this.epoch, this.seq];
  }

  /** Ask for a snapshot at the next subscription. */
  forget() {
    this.epoch = this.seq = null;
  }

  /** Obey the five rules; what became of the frame, a key of `counts`. */
  receive(frame) {
    const before = this.resume;
    if (frame.prev !== null && frame.prev < this.seq && this.seq < frame.seq) frame = this.trim(frame);
    const verdict = this.#judge(frame);
    this.counts[verdict] += 1;
    if (verdict === "dropped" || verdict === "gap" || verdict === "mismatch") return verdict;
    this.frame = frame;
    // A returning client is told by the snapshot alone that something is missing.
    const moved = verdict === "snapshot" && before && (before[0] !== this.epoch || before[1] !== this.seq);
    if (moved && this.lossless) this.tell(new Gap(this.channel, frame.epoch, before[1], frame.seq));
    if (!this.lossless) this.tell(this.read(frame));
    else if (frame.prev !== null) for (const item of this.items) this.tell(item);
    return verdict;
  }

  #judge(frame) {
    if (frame.prev === null) {
      if (!this.take(frame, true)) return "mismatch";
      this.epoch = frame.epoch;
      this.seq = frame.seq;
      return "snapshot";
    }
    if (frame.epoch !== this.epoch || frame.prev > this.seq) return "gap";
    const tells = this.tells(frame);
    if (frame.seq < this.seq || (tells && frame.seq === this.seq)) return tells ? "dropped" : "heartbeat";
    if (!this.take(frame, false)) return "mismatch";
    this.seq = frame.seq;
    return tells ? "applied" : "heartbeat";
  }

  /** A frame that begins before `seq` and ends after it, without the events that are here already. */
  trim(frame) {
    return frame;
  }

  /** Give all who iterate an item. */
  tell(item) {
    for (const reader of this.#readers) reader.push(item);
  }

  /** Let all iterations end with an error, once they have had what came before. */
  fail(failure) {
    this.#failure = failure;
    for (const reader of this.#readers) reader.fail(failure);
  }

  /** Keep what comes from now on for iterations that begin until `begun`. */
  expect() {
    this.#early = new Reader(this.lossless);
    this.#readers.add(this.#early);
  }

  begun() {
    this.#readers.delete(this.#early);
    this.#early = null;
  }

  async *[Symbol.asyncIterator]() {
    const reader = this.#early?.fork() ?? new Reader(this.lossless);
    this.#readers.add(reader);
    if (this.#failure) reader.fail(this.#failure);
    else if (!this.lossless && this.frame && !this.#early) reader.push(this.read(this.frame));
    try {
      yield* reader.items();
    } finally {
      this.#readers.delete(reader);
    }
  }
}

/** An order book, which is always one that the server had. `verified` is whether the last frame that came made one. */
export class Book extends Mirror {
  tag = "book";
  lossless = false;
  levels = new Levels();
  verified = false;
  merges = 0; // frames that fold in several batches
  patches = 0; // frames made for this client alone: it had been slow, or away
  changes = 0; // levels in frames

  get bestBid() {
    return this.bids(1)[0] ?? null;
  }

  get bestAsk() {
    return this.asks(1)[0] ?? null;
  }

  /** The best n bids, all for Infinity, best first. */
  bids(n = Infinity) {
    return levelsOf(this.levels.best(BID, n), this.scale);
  }

  /** The best n asks. */
  asks(n = Infinity) {
    return levelsOf(this.levels.best(ASK, n), this.scale);
  }

  read(frame) {
    return new BookFrame(frame, this.scales, this.instrument);
  }

  take(frame, fresh) {
    const levels = fresh ? new Levels() : this.levels;
    this.verified = levels.apply(frame.bids, frame.asks, frame.digest);
    if (this.verified) {
      this.levels = levels;
      this.changes += (frame.bids.length + frame.asks.length) / 2;
      if (frame.batches > 1) this.merges += 1;
      if (!frame.batches && !fresh && this.tells(frame)) this.patches += 1;
    }
    return this.verified;
  }

  tells(frame) {
    return frame.bids.length > 0 || frame.asks.length > 0;
  }
}

const SIDES = { buy: BID, sell: ASK };
const APPLY = {
  add: (queues, [, order, side, price, size]) => queues.add(order, SIDES[side], price, size),
  reduce: (queues, [, order, size]) => queues.take(order, size),
  fill: (queues, [, order, size]) => queues.take(order, size),
  move: (queues, [, order, price, size]) => queues.move(order, price, size),
  delete: (queues, [, order]) => queues.delete(order),
  clear: (queues) => queues.clear(),
};

/** An order book order by order, always one that the server had. `verified` is whether the last frame that came made one. Each item is a batch of changes. */
export class ByOrder extends Mirror {
  tag = "market_by_order";
  queues = new Queues();
  verified = false;

  /** The orders at a price in ticks by priority: [[number, lots], ...]. */
  queue(side, price) {
    return this.queues.queue(SIDES[side], price);
  }

  /** How many orders, and how many lots, are ahead of the order with this public number; null if it is not in the book. */
  place(number) {
    return this.queues.place(number);
  }

  /** The best n bids that the orders add up to, all for Infinity, best first. */
  bids(n = Infinity) {
    return levelsOf(this.queues.levels.best(BID, n), this.scale);
  }

  /** The best n asks. */
  asks(n = Infinity) {
    return levelsOf(this.queues.levels.best(ASK, n), this.scale);
  }

  trim(frame) {
    return { ...frame, prev: this.seq, batches: frame.batches.filter(([seq]) => seq > this.seq) };
  }

  take(frame, fresh) {
    const queues = fresh ? new Queues() : this.queues;
    queues.begin();
    try {
      for (const [, , changes] of frame.batches) for (const change of changes) APPLY[change[0]](queues, change);
      this.verified = queues.digest.equals(frame.digest);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.verified = false;
    }
    if (this.verified) {
      queues.keep();
      this.queues = queues;
      this.items = frame.batches.map(([seq, time, changes]) => ({ seq, time, changes }));
    } else queues.rollBack();
    return this.verified;
  }

  tells(frame) {
    return frame.batches.length > 0;
  }
}

/** The trades of an instrument; `latest` holds the last thousand, oldest first, and `count` is how many came since the first snapshot. */
export class Trades extends Mirror {
  tag = "trades";
  latest = [];
  count = 0;

  trim(frame) {
    return { ...frame, prev: this.seq, trades: frame.trades.filter(([seq]) => seq > this.seq) };
  }

  take(frame, fresh) {
    this.items = readTrades(frame.trades).map((each) => new READINGS.trade(each, this.scales, this.instrument));
    if (fresh) this.latest = [];
    else this.count += this.items.length;
    this.latest.push(...this.items);
    if (this.latest.length > TRADES_KEPT) this.latest.splice(0, this.latest.length - TRADES_KEPT);
    return true;
  }

  tells(frame) {
    return frame.trades.length > 0;
  }
}

/** The latest ticker, in `latest`. */
export class Ticker extends Mirror {
  tag = "ticker";
  lossless = false;

  get latest() {
    return this.frame && this.read(this.frame);
  }

  read(frame) {
    return new READINGS.ticker(frame, this.scales, this.instrument);
  }

  take() {
    return true;
  }

  tells() {
    return true;
  }
}

/** One's own open orders by id, in `open`. */
export class Orders extends Mirror {
  tag = "orders";
  open = new Map();

  trim(frame) {
    return { ...frame, prev: this.seq, orders: frame.orders.filter(([seq]) => seq > this.seq) };
  }

  take(frame, fresh) {
    this.items = readOrders(frame.orders).map((each) => new READINGS.order(each, this.scales));
    if (fresh) this.open.clear();
    for (const update of this.items) {
      if (update.remaining_lots) this.open.set(update.order, update);
      else this.open.delete(update.order);
    }
    return true;
  }

  tells(frame) {
    return frame.orders.length > 0;
  }
}

/** One's own balances by asset, in `assets`. */
export class Balances extends Mirror {
  tag = "balances";
  assets = new Map();

  take(frame, fresh) {
    this.items = readBalances(frame.balances).map((each) => new READINGS.balance(each, this.scales));
    if (fresh) this.assets.clear();
    for (const balance of this.items) this.assets.set(balance.asset, balance);
    return true;
  }

  tells(frame) {
    return frame.balances.length > 0;
  }
}

export const MIRRORS = { orderbook: Book, market_by_order: ByOrder, trades: Trades, ticker: Ticker, orders: Orders, balances: Balances };
