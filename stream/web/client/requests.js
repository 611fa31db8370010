// What one asks of a server about instruments, channels and orders, as methods. Decimal text and dates become integers here, exactly.

import { ClientError } from "./errors.js";
import { placing } from "./placing.js";

/** A number for a request that nobody has used: any of 2^53 - 1. */
export function newKey() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0x1fffff) * 2 ** 32 + low || 1;
}

/**
 * The requests of a client, whatever carries them: `request(tag, ...fields)` sends one and resolves to its reply, `subscribe(channels, options)`
 * resolves to the copies of channels.
 * Where there is a `key` in the options, the request is carried out once, however often it is sent.
 */
export class Requests extends EventTarget {
  terms = new Map();

  /** The terms of every instrument, by name. */
  async instruments() {
    const answer = await this.request("instruments");
    this.terms = new Map(answer.instruments.map((terms) => [terms.name, terms]));
    return this.terms;
  }

  /** Candles of an instrument, oldest first: the first ones since a time, or the last ones before `until`. Times are in ns, and say when candles begin. */
  async candles(instrument, interval, { since = 0, until = 0, count = 100 } = {}) {
    return this.request("candles", instrument, interval, since, until, count);
  }

  /** An order book: in full (depth 0, the default), or its best levels. */
  async orderbook(instrument, options) {
    return (await this.subscribe([`orderbook:${instrument}`], options))[0];
  }

  /** An instrument's trades. */
  async trades(instrument, options) {
    return (await this.subscribe([`trades:${instrument}`], options))[0];
  }

  /** An instrument's ticker. */
  async ticker(instrument, options) {
    return (await this.subscribe([`ticker:${instrument}`], options))[0];
  }

  /** One's own orders. */
  async orders(options) {
    return (await this.subscribe(["orders"], options))[0];
  }

  /** One's own balances. */
  async balances(options) {
    return (await this.subscribe(["balances"], options))[0];
  }

  /** Ask for a sign of life. */
  async ping() {
    return this.request("ping");
  }

  /**
   * Place an order. Prices are ticks and sizes are lots, with `quote` units of the quote asset; or decimal text, which is converted
   * exactly. The options are the other fields of `place`, by name.
   */
  async place(instrument, side, price, size, options) {
    const terms = this.terms.get(instrument) ?? (await this.instruments()).get(instrument);
    if (!terms) throw new ClientError(`instrument "${instrument}": the server has no instrument of that name`);
    return this.request("place", ...placing(terms, side, price, size, options));
  }

  /** Cancel an order, named by the exchange's id or by one's own. */
  async cancel(order, { client_id = 0, key = 0 } = {}) {
    return this.request("cancel", order ?? 0, client_id, key);
  }

  /** Take lots off an order, which keeps its place. */
  async reduce(order, by, { client_id = 0, key = 0 } = {}) {
    return this.request("reduce", order, by, client_id, key);
  }

  /** Give an order a new price in ticks and remaining size in lots, and one that waits a new trigger in ticks. */
  async replace(order, price, size, { client_id = 0, stop = 0, key = 0 } = {}) {
    return this.request("replace", order, price, size, client_id, stop, key);
  }

  /** Cancel all own orders, of one instrument or of all, on one side or on both; how many there were. */
  async cancelAll(instrument = null, side = null, { key = 0 } = {}) {
    return (await this.request("cancel_all", instrument, side, key)).count;
  }

  /** A page of one's own orders, open ones and those that are done, as they were placed; for the next one `after` is the last order. Times are in ns. */
  async orderHistory(instrument = null, { after = 0, since = 0, until = 0, latest = false, count = 100 } = {}) {
    return this.request("order_history", instrument, after, since, until, latest, count);
  }

  /** A page of the fills of one's own orders, or of one `order`, as they happened; for the next one `after` is the last `seq`. */
  async tradeHistory(instrument = null, { after = 0, order = 0, since = 0, until = 0, latest = false, count = 100 } = {}) {
    return this.request("trade_history", instrument, after, order, since, until, latest, count);
  }

  /** Say what happens to one's open orders when this connection ends without `logout`: "off", "connection" or "session". Say it again after a return. */
  async cancelOnDisconnect(scope, graceMs = 0) {
    await this.request("cancel_on_disconnect", scope, graceMs);
  }

  /** Start one's dead-man timer anew: unless the next call comes in time, all of the account's open orders are cancelled. 0 stops it. */
  async deadMan(timeoutMs) {
    await this.request("dead_man", timeoutMs);
  }
}
