// The ticker strip, and the latest trades.

import { toText } from "../client/index.js";
import { $, make, put, rows } from "./dom.js";

const TRADES = 30;
const TITLE_MS = 500; // between two titles of the window
const count = new Intl.NumberFormat();
const percent = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });
let titled = 0;
const time = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });

export const milliseconds = (nanoseconds) => Number(BigInt(nanoseconds) / 1_000_000n);

export function drawTicker(market) {
  const { terms, instrument } = market;
  const ticker = market.ticker?.frame;
  if (!ticker) {
    for (const value of $("ticker").querySelectorAll("dd")) put(value, "–");
    return;
  }
  for (const name of ["last", "bid", "ask", "high", "low"]) put($(name), ticker[name] ? toText(ticker[name], terms.tick) : "–");
  const change = ticker.open ? (Number(ticker.last) / Number(ticker.open) - 1) * 100 : 0;
  const shown = percent.format(change);
  put($("change"), `${shown} %`);
  $("change").className = { "+": "buy", "-": "sell" }[shown[0]] ?? "";
  put($("volume"), `${toText(ticker.volume, terms.lot)} ${terms.base}`);
  put($("trade-count"), count.format(ticker.trades));
  put($("phase"), ticker.phase);
  if (performance.now() - titled > TITLE_MS) {
    titled = performance.now();
    document.title = `${ticker.last ? toText(ticker.last, terms.tick) : "–"} ${instrument} · deltabook`;
  }
}

export function drawTrades(market) {
  const latest = market.trades?.latest.slice(-TRADES).reverse() ?? [];
  const elements = rows($("trades"), latest.length, () => make("li", { className: "row" }, ...[0, 1, 2].map(() => make("span"))));
  latest.forEach((trade, i) => {
    const [price, size, when] = elements[i].children;
    price.className = trade.side;
    put(price, trade.price);
    put(size, trade.size);
    put(when, time.format(milliseconds(trade.time)));
  });
}
