// The fields of an order, out of counts, decimal text and dates.

import { fromText, stepOf } from "./decimal.js";

/** The options of an order, in the order of the fields of `place`, and what they are if not given. */
const OPTIONS = {
  type: "limit", time_in_force: "gtc", post_only: false, client_id: 0,
  slide: false, quote: false, stop: 0, display: 0, min_size: 0, expires: 0, linked: 0, self_trade: "account", key: 0,
};

const count = (value, step) => (typeof value === "string" ? fromText(value, step) : value);

/** The fields of `place`: prices and sizes are counts or decimal text, `expires` is ns since 1970 or a Date. */
export function placing(terms, side, price, size, options = {}) {
  for (const name in options) if (!(name in OPTIONS)) throw new TypeError(`${name}: there is no such option of an order`);
  const of = { ...OPTIONS, ...options };
  of.stop = count(of.stop, terms.tick);
  of.display = count(of.display, terms.lot);
  of.min_size = count(of.min_size, terms.lot);
  if (of.expires instanceof Date) of.expires = BigInt(of.expires.getTime()) * 1_000_000n;
  const amount = count(size, of.quote ? stepOf(terms.quote_decimals) : terms.lot);
  return [terms.name, side, count(price, terms.tick), amount, ...Object.keys(OPTIONS).map((name) => of[name])];
}
