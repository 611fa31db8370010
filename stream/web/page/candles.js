// What trades make of candles, in integers: prices in ticks, times in whole periods since 1970.

const CANDLES_MAX = 2000;
export const PERIODS_S = [1, 5, 15, 60];

/** The candles of one instrument, for each period. Trades that were added before are passed over. */
export class Candles {
  #seq = -1;
  #series = new Map(PERIODS_S.map((period) => [period, []]));

  add(trades) {
    for (const trade of trades) {
      if (trade.seq <= this.#seq) continue;
      this.#seq = trade.seq;
      const second = Number(BigInt(trade.time) / 1_000_000_000n);
      for (const [period, series] of this.#series) grow(series, Math.floor(second / period), trade);
    }
  }

  /** The candles of a period, oldest first; periods without trades have none. */
  of(period) {
    return this.#series.get(period);
  }
}

function grow(series, at, { price_ticks: price, size_lots: size }) {
  const last = series.at(-1);
  if (last && at <= last.at) {
    if (price > last.high) last.high = price;
    if (price < last.low) last.low = price;
    last.close = price;
    last.volume += BigInt(size);
  } else {
    series.push({ at, open: price, high: price, low: price, close: price, volume: BigInt(size) });
    if (series.length > CANDLES_MAX) series.shift();
  }
}
