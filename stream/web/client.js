// The JavaScript client: books that prove themselves, own channels, orders, and a connection that comes back where it was.
// The protocol is in PROTOCOL.md; the field names below are those of its messages.

import { decode, encode } from "./msgpack.js";

const FRAMES = {
  book: ["channel", "epoch", "prev", "seq", "bids", "asks", "digest", "batches", "engine_time", "server_time"],
  trades: ["channel", "epoch", "prev", "seq", "trades", "server_time"],
  ticker: ["channel", "epoch", "prev", "seq", "last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume", "value", "trades", "server_time", "phase", "indicative_price", "indicative_size"],
  orders: ["channel", "epoch", "prev", "seq", "orders", "server_time"],
  balances: ["channel", "epoch", "prev", "seq", "balances", "server_time"],
};
const REPLIES = {
  logged_in: ["id", "subject", "scopes", "expires"],
  subscribed: ["id", "epoch", "seq", "channels"],
  unsubscribed: ["id", "channels"],
  subscriptions: ["id", "channels"],
  instrument_list: ["id", "instruments"],
  pong: ["id", "time"],
  done: ["id", "seq", "order", "client_id", "status", "remaining", "filled", "value"],
  all_cancelled: ["id", "seq", "count"],
  connection_list: ["id", "connections"],
  confirmed: ["id"],
  error: ["id", "code", "message", "order"],
};
const TERMS = ["name", "base", "quote", "tick", "lot", "base_decimals", "quote_decimals", "price_max", "size_min", "size_max", "maker_fee", "taker_fee", "notional_max", "orders_max", "band", "hold_fee", "day_end", "phase"];
const IN_FORCE = ["channel", "recovered", "reason", "depth", "interval_ms"];
const TRADE = ["seq", "time", "price", "size", "side"];
const ORDER = ["seq", "time", "event", "order", "client_id", "instrument", "side", "price", "remaining", "filled", "value", "fill_price", "fill_size", "fee", "liquidity", "type", "stop", "displayed", "expires", "linked", "reason"];
const BALANCE = ["asset", "decimals", "available", "held"];

// The options of an order, in the order of the fields of `place`, and what they are if not given.
const OPTIONS = {
  type: "limit", time_in_force: "gtc", post_only: false, client_id: 0,
  slide: false, quote: false, stop: 0, display: 0, min_size: 0, expires: 0, linked: 0, self_trade: "account",
};

const FINAL_FROM = 4500; // close codes from here on: do not come back

const named = (names, values) => Object.fromEntries(names.map((name, i) => [name, values[i]]));

/** One level's share of a book's digest, which is the sum of all mod 2^64. */
export function mix64(side, price, size) {
  const wrap = (value) => BigInt.asUintN(64, value);
  let z = wrap((2n * BigInt(price) + BigInt(side)) * 0x9e3779b97f4a7c15n + BigInt(size) * 0xc2b2ae3d27d4eb4fn);
  z = wrap((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
  z = wrap((z ^ (z >> 27n)) * 0x94d049bb133111ebn);
  return z ^ (z >> 31n);
}

/** So many steps ("0.01") as exact decimal text. */
export function toText(count, step) {
  const [whole, fraction = ""] = step.split(".");
  const digits = (BigInt(count) * BigInt(whole + fraction)).toString().padStart(fraction.length + 1, "0");
  return fraction ? `${digits.slice(0, -fraction.length)}.${digits.slice(-fraction.length)}` : digits;
}

/** How many steps a decimal text is, exactly. */
export function fromText(text, step) {
  const match = /^(\d+)(?:\.(\d*))?$/.exec(text.trim());
  if (!match) throw new Error(`"${text}": expected a decimal number`);
  const [whole, fraction = ""] = step.split(".");
  const given = (match[2] ?? "").replace(/0+$/, "");
  const digits = BigInt(match[1] + given.padEnd(fraction.length, "0"));
  if (given.length > fraction.length || digits % BigInt(whole + fraction)) throw new Error(`"${text}": expected a multiple of ${step}`);
  return Number(digits / BigInt(whole + fraction));
}

/** The step of an asset's units, as decimal text. */
export const stepOf = (decimals) => (decimals ? `0.${"1".padStart(decimals, "0")}` : "1");

/** The fields of `place`: prices and sizes are counts or decimal text, `expires` is ns since 1970 or a Date. */
export function placing(terms, side, price, size, options = {}) {
  for (const name in options) if (!(name in OPTIONS)) throw new Error(`${name}: there is no such option of an order`);
  const of = { ...OPTIONS, ...options };
  const count = (value, step) => (typeof value === "string" ? fromText(value, step) : value);
  of.stop = count(of.stop, terms.tick);
  of.display = count(of.display, terms.lot);
  of.min_size = count(of.min_size, terms.lot);
  if (of.expires instanceof Date) of.expires = BigInt(of.expires.getTime()) * 1_000_000n;
  const amount = count(size, of.quote ? stepOf(terms.quote_decimals) : terms.lot);
  return [terms.name, side, count(price, terms.tick), amount, ...Object.keys(OPTIONS).map((name) => of[name])];
}

/** A copy of one channel, and the five lines that every frame obeys. */
export class Mirror {
  constructor(channel) {
    this.channel = channel;
    this.epoch = this.seq = null;
    this.frame = null;
    this.counts = { snapshot: 0, applied: 0, heartbeat: 0, dropped: 0, gap: 0, mismatch: 0 };
  }

  /** What became of a frame: a key of `counts`. */
  receive(frame) {
    const verdict = this.#judge(frame);
    this.counts[verdict] += 1;
    if (verdict !== "dropped" && verdict !== "gap") this.frame = frame;
    return verdict;
  }

  #judge(frame) {
    if (frame.prev === null) {
      this.epoch = frame.epoch;
      this.seq = frame.seq;
      return this.take(frame, true) ? "snapshot" : "mismatch";
    }
    if (frame.epoch !== this.epoch || frame.prev > this.seq) return "gap";
    const tells = !this.isEmpty(frame);
    if (frame.seq < this.seq || (tells && frame.seq === this.seq)) return tells ? "dropped" : "heartbeat";
    this.seq = frame.seq;
    if (!this.take(frame, false)) return "mismatch";
    return tells ? "applied" : "heartbeat";
  }

  take() {
    return true;
  }

  isEmpty() {
    return false;
  }
}

export class Book extends Mirror {
  constructor(channel) {
    super(channel);
    this.sides = [new Map(), new Map()];
    this.digest = 0n;
    this.merges = 0;
    this.verified = false;
  }

  take(frame, fresh) {
    if (fresh) {
      this.sides = [new Map(), new Map()];
      this.digest = 0n;
    }
    [frame.bids, frame.asks].forEach((levels, side) => {
      for (let i = 0; i < levels.length; i += 2) this.#set(side, levels[i], levels[i + 1]);
    });
    if (frame.batches > 1) this.merges += 1;
    this.verified = this.digest === BigInt(frame.digest);
    return this.verified;
  }

  #set(side, price, size) {
    const levels = this.sides[side];
    const old = levels.get(price);
    if (old !== undefined) this.digest -= mix64(side, price, old);
    if (size) {
      levels.set(price, size);
      this.digest += mix64(side, price, size);
    } else levels.delete(price);
    this.digest = BigInt.asUintN(64, this.digest);
  }

  isEmpty(frame) {
    return !frame.bids.length && !frame.asks.length;
  }

  /** The best n levels of a side (0 bids, 1 asks), best first: [[price, size], ...]. */
  best(side, n) {
    const sign = side ? 1 : -1;
    return [...this.sides[side]].sort((one, other) => sign * (one[0] - other[0])).slice(0, n);
  }
}

export class Trades extends Mirror {
  latest = [];

  take(frame, fresh) {
    const trades = frame.trades.map((trade) => named(TRADE, trade));
    this.latest = (fresh ? trades : [...this.latest, ...trades]).slice(-200);
    return true;
  }

  isEmpty(frame) {
    return !frame.trades.length;
  }
}

export class Ticker extends Mirror {}

export class Orders extends Mirror {
  open = new Map();

  take(frame, fresh) {
    if (fresh) this.open.clear();
    for (const update of frame.orders.map((order) => named(ORDER, order))) {
      if (update.remaining) this.open.set(update.order, update);
      else this.open.delete(update.order);
    }
    return true;
  }

  isEmpty(frame) {
    return !frame.orders.length;
  }
}

export class Balances extends Mirror {
  assets = new Map();

  take(frame, fresh) {
    if (fresh) this.assets.clear();
    for (const balance of frame.balances.map((each) => named(BALANCE, each))) this.assets.set(balance.asset, balance);
    return true;
  }

  isEmpty(frame) {
    return !frame.balances.length;
  }
}

const MIRRORS = { orderbook: Book, trades: Trades, ticker: Ticker, orders: Orders, balances: Balances };

/** A connection. Dispatches the events `state` ("connected", "stale": what the server shows may have fallen behind, or "lost"), `frame` ({mirror, verdict}) and `notice` (text). */
export class Client extends EventTarget {
  constructor(url) {
    super();
    this.url = url;
    this.token = null;
    this.mirrors = new Map();
    this.terms = new Map();
    this.inForce = new Map();
    this.resumptions = { none: 0, merged: 0, snapshot: 0 };
    this.stale = false;
    this.delay = 200;
    this.id = 0;
    this.waiting = new Map();
  }

  connect() {
    this.socket = new WebSocket(this.url, "deltabook.v1.msgpack");
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (event) => this.#receive(decode(event.data));
    this.socket.onclose = (event) => this.#lost(event);
  }

  /** Send a request; resolves to its reply, and rejects with the server's words. */
  request(tag, ...fields) {
    const id = ++this.id;
    return new Promise((resolve, reject) => {
      if (this.socket?.readyState !== WebSocket.OPEN) return reject(new Error("not connected"));
      this.waiting.set(id, { resolve, reject });
      this.socket.send(encode([tag, id, ...fields]));
    });
  }

  async subscribe(channels, depth = null, intervalMs = null) {
    for (const channel of channels) {
      if (!this.mirrors.has(channel)) {
        const mirror = new MIRRORS[channel.split(":")[0]](channel);
        Object.assign(mirror, { depth, intervalMs });
        this.mirrors.set(channel, mirror);
      }
    }
    return this.#subscribe(channels.map((channel) => this.mirrors.get(channel)), false);
  }

  async unsubscribe(channels) {
    for (const channel of channels) this.mirrors.delete(channel);
    return this.request("unsubscribe", channels);
  }

  async login(token) {
    const answer = await this.request("login", token);
    this.token = token;
    return answer;
  }

  async instruments() {
    const answer = await this.request("instruments");
    for (const terms of answer.instruments.map((each) => named(TERMS, each))) this.terms.set(terms.name, terms);
    return [...this.terms.values()];
  }

  /** Place an order; the options are the other fields of `place`, by name. The instruments must have been asked for. */
  async place(instrument, side, price, size, options) {
    return this.request("place", ...placing(this.terms.get(instrument), side, price, size, options));
  }

  /** Give an order a new price in ticks and remaining size in lots, and one that waits a new trigger in ticks. */
  async replace(order, price, size, { client_id = 0, stop = 0 } = {}) {
    return this.request("replace", order, price, size, client_id, stop);
  }

  /** Cancel all own orders, of one instrument or of all, on one side or on both. */
  async cancelAll(instrument = null, side = null) {
    return this.request("cancel_all", instrument, side);
  }

  async #subscribe(mirrors, resuming) {
    const groups = new Map();
    for (const mirror of mirrors) {
      const key = `${mirror.depth} ${mirror.intervalMs}`;
      groups.set(key, [...(groups.get(key) ?? []), mirror]);
    }
    for (const group of groups.values()) {
      const known = group.filter((mirror) => resuming && mirror.seq !== null);
      const resume = Object.fromEntries(known.map((mirror) => [mirror.channel, [mirror.epoch, mirror.seq]]));
      await this.request("subscribe", group.map((mirror) => mirror.channel), group[0].depth, group[0].intervalMs, resume);
    }
  }

  async #begin() {
    this.delay = 200;
    try {
      if (this.token) await this.request("login", this.token);
    } catch (error) {
      this.token = null;
      for (const channel of ["orders", "balances"]) this.mirrors.delete(channel);
      this.#tell("notice", error.message);
    }
    await this.#subscribe([...this.mirrors.values()], true);
    this.#tell("state", this.stale ? "stale" : "connected");
  }

  #becomeStale(stale) {
    this.stale = stale;
    this.#tell("state", stale ? "stale" : "connected");
  }

  #lost(event) {
    for (const { reject } of this.waiting.values()) reject(new Error("the connection was lost"));
    this.waiting.clear();
    this.#tell("state", "lost");
    if (event.code >= FINAL_FROM) return this.#tell("notice", `the server said ${event.code}: ${event.reason}`);
    setTimeout(() => this.connect(), this.delay * (1 - Math.random() / 2));
    this.delay = Math.min(this.delay * 2, 15_000);
  }

  #receive([tag, ...values]) {
    if (tag === "welcome") {
      this.stale = false;
      this.#begin().catch((error) => this.#tell("notice", error.message));
    } else if (FRAMES[tag]) this.#follow(named(FRAMES[tag], values));
    else if (tag === "stale") this.#becomeStale(values[0] !== 0);
    else if (tag === "gap") this.#tell("notice", `a part of ${values[0]} is no longer at hand`);
    else this.#answer(tag, named(REPLIES[tag], values));
  }

  #answer(tag, reply) {
    if (tag === "subscribed") {
      for (const entry of reply.channels.map((each) => named(IN_FORCE, each))) {
        this.inForce.set(entry.channel, entry);
        this.resumptions[entry.recovered] += 1;
      }
    }
    const waiting = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if (tag === "error") {
      if (waiting) waiting.reject(new Error(`${reply.message} (${reply.code})`));
      else this.#tell("notice", reply.message);
    } else waiting?.resolve(reply);
  }

  #follow(frame) {
    const mirror = this.mirrors.get(frame.channel);
    if (!mirror) return;
    const verdict = mirror.receive(frame);
    if ((verdict === "gap" || verdict === "mismatch") && !mirror.recovering) this.#recover(mirror, verdict === "gap");
    this.#tell("frame", { mirror, verdict });
  }

  /** Subscribe again, at most once a second, so that a server that is always wrong is not flooded. */
  async #recover(mirror, resuming) {
    mirror.recovering = true;
    await this.#subscribe([mirror], resuming).catch(() => {});
    setTimeout(() => (mirror.recovering = false), 1000);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
