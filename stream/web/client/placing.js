// The fields of an order, out of counts, decimal text and dates.

import { fromText, stepOf } from "./decimal.js";
import { ClientError } from "./errors.js";

/** The options of an order, in the order of the fields of `place`, and what they are if not given. */
const OPTIONS = {
  type: "limit", time_in_force: "gtc", post_only: false, client_id: 0,
  slide: false, quote: false, stop: null, display: null, min_size: null, expires: 0, linked: 0, self_trade: "account", key: 0,
};

/** A count of steps, out of `{ ticks: 5 }` or decimal text. ClientError if it is neither; null counts as 0. */
function count(name, value, kind, step) {
  if (value === null || value === undefined) return 0;
  if (typeof value === "string") return fromText(value, step, name);
  const given = value[kind];
  if (typeof given === "bigint" || Number.isSafeInteger(given)) return given;
  const shown = typeof value === "object" ? JSON.stringify(value) : String(value);
  const bare = typeof value === "number" || typeof value === "bigint" ? shown : 1;
  throw new ClientError(`${name}: ${shown}: expected decimal text such as "${bare}", or { ${kind}: ${bare} }, which counts steps of ${step}`);
}

/** A count of an order that is there already; if its instrument is not known, only a count will do. */
export function changing(name, value, kind, scale) {
  if (!scale && typeof value === "string") throw new ClientError(`${name}: "${value}": expected { ${kind}: ... }, or the order instead of its id, or its instrument`);
  return count(name, value, kind, scale?.[kind] ?? kind);
}

/** The fields of `place`: prices and sizes are decimal text or counts, `expires` is ns since 1970 or a Date. ClientError for what cannot be. */
export function placing(terms, side, price, size, options = {}) {
  for (const name in options) if (!(name in OPTIONS)) throw new ClientError(`${name}: there is no such option of an order; expected some of ${Object.keys(OPTIONS).join(", ")}`);
  const of = { ...OPTIONS, ...options };
  of.stop = count("stop", of.stop, "ticks", terms.tick);
  for (const name of ["display", "min_size"]) of[name] = count(name, of[name], "lots", terms.lot);
  if (of.expires instanceof Date) of.expires = BigInt(of.expires.getTime()) * 1_000_000n;
  const amount = of.quote ? count("size", size, "units", stepOf(terms.quote_decimals)) : count("size", size, "lots", terms.lot);
  return [terms.name, side, count("price", price, "ticks", terms.tick), amount, ...Object.keys(OPTIONS).map((name) => of[name])];
}
