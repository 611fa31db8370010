// What is read, in decimals: `price` is exact decimal text, and `price_ticks` the count on the wire. No text is made until it is asked for.

import { stepOf, toText } from "./decimal.js";
import { ClientError } from "./errors.js";

/** What the wire counts in ticks, in lots, and in units of an asset. */
const COUNTED = {
  ticks: ["price", "fill_price", "stop", "bid", "ask", "open", "high", "low", "close", "indicative_price"],
  lots: ["size", "size_ahead", "remaining", "filled", "fill_size", "displayed", "display", "last_size", "bid_size", "ask_size", "volume", "bought", "indicative_size"],
  units: ["value", "fee", "available", "held", "bought_value"],
};
const KINDS = new Map(Object.entries(COUNTED).flatMap(([kind, names]) => names.map((name) => [name, kind])));

/** What one tick, one lot and one unit of the quote asset are, as decimal text. */
export const scaleOf = ({ tick, lot, quote_decimals }) => ({ ticks: tick, lots: lot, units: stepOf(quote_decimals) });

/** The scale of an instrument. ClientError if it is not known. */
export function known(scales, instrument) {
  const scale = scales.get(instrument);
  if (!scale) throw new ClientError(`instrument "${instrument}": its terms are not known here: read the counts, such as filled_lots, or pass the order instead of its id`);
  return scale;
}

/** Levels of a book, out of [price, size] in ticks and lots. */
export function levelsOf(pairs, { ticks, lots }) {
  return pairs.map(([price, size]) => ({ price: toText(price, ticks), size: toText(size, lots), price_ticks: price, size_lots: size }));
}

/** The class of what has these fields: counts of ticks, lots and units, and the others as the wire has them. `more` says what else is counted. */
export function readingOf(fields, more = {}) {
  const kinds = new Map([...KINDS, ...Object.entries(more)]);
  const names = fields.filter((name) => !name.endsWith("_beyond"));
  const counted = new Set(names.filter((name) => kinds.has(name)));
  const text = (reading, name) => toText(reading[`${name}_${kinds.get(name)}`], reading.scale[kinds.get(name)]);

  class Reading {
    #scales;
    #instrument;

    constructor(wire, scales, instrument = wire.instrument) {
      for (const name of names) {
        const beyond = wire[`${name}_beyond`];
        if (!counted.has(name)) this[name] = wire[name];
        else this[`${name}_${kinds.get(name)}`] = beyond ? BigInt(wire[name]) + (BigInt(beyond) << 63n) : wire[name];
      }
      this.#scales = scales;
      this.#instrument = instrument;
    }

    get scale() {
      return this.decimals === undefined ? known(this.#scales, this.#instrument) : { units: stepOf(this.decimals) };
    }

    /** What JSON and consoles show: decimals, or counts if there is no scale. */
    toJSON() {
      const counts = this.decimals === undefined && !this.#scales.has(this.#instrument);
      return counts ? { ...this } : Object.fromEntries(names.map((name) => [name, this[name]]));
    }

    [Symbol.for("nodejs.util.inspect.custom")]() {
      return this.toJSON();
    }
  }

  for (const name of counted) Object.defineProperty(Reading.prototype, name, { get() { return text(this, name); } });
  return Reading;
}

/** A frame of a book: its levels are made when they are asked for. Sizes are absolute; size 0 removes the level. */
export class BookFrame {
  #scales;
  #instrument;

  constructor({ bids, asks, ...said }, scales, instrument) {
    Object.assign(this, said, { bids_ticks_lots: bids, asks_ticks_lots: asks });
    this.#scales = scales;
    this.#instrument = instrument;
  }

  get bids() {
    return this.#levels(this.bids_ticks_lots);
  }

  get asks() {
    return this.#levels(this.asks_ticks_lots);
  }

  #levels(flat) {
    return levelsOf(Array.from({ length: flat.length / 2 }, (_, i) => flat.slice(2 * i, 2 * i + 2)), known(this.#scales, this.#instrument));
  }
}
