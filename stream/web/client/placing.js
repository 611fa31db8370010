// The fields of an order, out of counts, decimal text and dates.

import { fromText, stepOf } from "./decimal.js";
import { ClientError } from "./errors.js";

/** The options of an order, in the order of the fields of `place`, and what they are if not given. */
const OPTIONS = {
  type: "limit", time_in_force: "gtc", post_only: false, client_id: 0,
  slide: false, quote: false, stop: 0, display: 0, min_size: 0, expires: 0, linked: 0, self_trade: "account", key: 0,
};

/** A count of steps, out of itself or of decimal text. ClientError if it is neither. */
function count(name, value, step) {
  if (typeof value === "string") return fromText(value, step, name);
  if (typeof value === "bigint" || Number.isSafeInteger(value)) return value;
  const given = typeof value === "number" ? value : `a value of type ${typeof value}`;
  throw new ClientError(`${name}: expected a whole number of steps of ${step}, or decimal text such as "${step}", got ${given}`);
}

/** The fields of `place`: prices and sizes are counts or decimal text, `expires` is ns since 1970 or a Date. ClientError for what cannot be. */
export function placing(terms, side, price, size, options = {}) {
  for (const name in options) if (!(name in OPTIONS)) throw new ClientError(`${name}: there is no such option of an order; expected some of ${Object.keys(OPTIONS).join(", ")}`);
  const of = { ...OPTIONS, ...options };
  of.stop = count("stop", of.stop, terms.tick);
  for (const name of ["display", "min_size"]) of[name] = count(name, of[name], terms.lot);
  if (of.expires instanceof Date) of.expires = BigInt(of.expires.getTime()) * 1_000_000n;
  const amount = count("size", size, of.quote ? stepOf(terms.quote_decimals) : terms.lot);
  return [terms.name, side, count("price", price, terms.tick), amount, ...Object.keys(OPTIONS).map((name) => of[name])];
}
