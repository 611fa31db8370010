// What one asks of a server about instruments, channels and orders, as methods. Decimal text and dates become integers here, exactly, and what
// comes back can be read in decimals.

import { ClientError } from "./errors.js";
import { READINGS } from "./messages.js";
import { changing, placing } from "./placing.js";
import { scaleOf } from "./readings.js";

/** A number for a request that nobody has used: any of 2^53 - 1. */
export function newKey() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high & 0x1fffff) * 2 ** 32 + low || 1;
}

/** The exchange's id of an order, 0 for none. */
const idOf = (order) => order?.order ?? order ?? 0;

/**
 * The requests of a client, whatever carries them: `request(tag, ...fields)` sends one and resolves to its reply, `subscribe(channels, options)`
 * resolves to the copies of channels.
 * Where there is a `key` in the options, the request is carried out once, however often it is sent.
 */
export class Requests extends EventTarget {
  terms = new Map();
  scales = new Map(); // what a tick, a lot and a unit are, by instrument

  /** The terms of every instrument, by name. */
  async instruments() {
    const answer = await this.request("instruments");
    this.terms = new Map(answer.instruments.map((terms) => [terms.name, terms]));
    for (const [name, terms] of this.terms) this.scales.set(name, scaleOf(terms));
    return this.terms;
  }

  /** Candles of an instrument, oldest first: the first ones since a time, or the last ones before `until`. Times are in ns, and say when candles begin. */
  async candles(instrument, interval, { since = 0, until = 0, count = 100 } = {}) {
    const page = await this.request("candles", instrument, interval, since, until, count);
    if (!this.scales.has(instrument)) await this.instruments();
    return { ...page, candles: page.candles.map((each) => new READINGS.candle(each, this.scales, instrument)) };
  }

  /** An order book: in full (depth 0, the default), or its best levels. */
  async orderbook(instrument, options) {
    return (await this.subscribe([`orderbook:${instrument}`], options))[0];
  }

  /** An order book order by order. */
  async marketByOrder(instrument, options) {
    return (await this.subscribe([`market_by_order:${instrument}`], options))[0];
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
    if (!this.terms.size) await this.instruments(); // an order may be of any of them
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
   * Place an order. Prices and sizes are decimal text, which is converted exactly, or counts: `{ ticks: 5 }`, `{ lots: 5 }`, and for a size of money
   * `{ units: 5 }`. A bare number is refused, since nobody can know what it counts. The options are the other fields of `place`, by name.
   */
  async place(instrument, side, price, size, options) {
    const terms = this.terms.get(instrument) ?? (await this.instruments()).get(instrument);
    if (!terms) throw new ClientError(`instrument "${instrument}": the server has no instrument of that name`);
    return this.#done(this.request("place", ...placing(terms, side, price, size, options)), instrument);
  }

  /** Cancel an order, named by the exchange's id or by one's own; or give what was read of it, so that the reply has decimals. */
  async cancel(order, { client_id = 0, instrument = "", key = 0 } = {}) {
    return this.#done(this.request("cancel", idOf(order), client_id, key), order?.instrument ?? instrument);
  }

  /** Take a size off an order, which keeps its place. With an id alone, and no `instrument`, it is `{ lots: 5 }`. */
  async reduce(order, by, { client_id = 0, instrument = "", key = 0 } = {}) {
    const named = order?.instrument ?? instrument;
    return this.#done(this.request("reduce", idOf(order), changing("by", by, "lots", this.scales.get(named)), client_id, key), named);
  }

  /** Give an order a new price and remaining size, and one that waits a new trigger. With an id alone, and no `instrument`, they are counts. */
  async replace(order, price, size, { client_id = 0, stop = null, instrument = "", key = 0 } = {}) {
    const named = order?.instrument ?? instrument;
    const scale = this.scales.get(named);
    const counts = [changing("price", price, "ticks", scale), changing("size", size, "lots", scale)];
    return this.#done(this.request("replace", idOf(order), ...counts, client_id, changing("stop", stop, "ticks", scale), key), named);
  }

  async #done(asking, instrument) {
    return Object.assign(new READINGS.done(await asking, this.scales, instrument), { instrument });
  }

  /** Cancel all own orders, of one instrument or of all, on one side or on both; how many there were. */
  async cancelAll(instrument = null, side = null, { key = 0 } = {}) {
    return (await this.request("cancel_all", instrument, side, key)).count;
  }

  /** A page of one's own orders, open ones and those that are done, as they were placed; for the next one `after` is the last order. Times are in ns. */
  async orderHistory(instrument = null, { after = 0, since = 0, until = 0, latest = false, count = 100 } = {}) {
    return this.#page(await this.request("order_history", instrument, after, since, until, latest, count), "orders", READINGS.past_order);
  }

  /** A page of the fills of one's own orders, or of one `order`, as they happened; for the next one `after` is the last `seq`. */
  async tradeHistory(instrument = null, { after = 0, order = 0, since = 0, until = 0, latest = false, count = 100 } = {}) {
    return this.#page(await this.request("trade_history", instrument, after, order, since, until, latest, count), "trades", READINGS.past_trade);
  }

  /** The place of an open own order in the queue of its price; `number` is what it is called on `market_by_order:<instrument>`. */
  async queuePosition(order) {
    const position = await this.request("queue_position", idOf(order));
    if (!this.scales.has(position.instrument)) await this.instruments();
    return new READINGS.queued(position, this.scales);
  }

  async #page(page, name, Reading) {
    if (page[name].some((each) => !this.scales.has(each.instrument))) await this.instruments();
    return { ...page, [name]: page[name].map((each) => new Reading(each, this.scales)) };
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
