// The order book: the best levels of both sides, with bars for the depth, and one's own orders.

import { toText } from "../client/index.js";
import { $, make, put, rows } from "./dom.js";

const LEVELS = 14;
const ASK = 1;

/** Draws the book of a market; `take(price, side)` is told which level was chosen, and on which side of the book it is. */
export class Ladder {
  #market;
  #take;
  #seen = new Map(); // what was shown last: side and price -> size

  constructor(market, take) {
    this.#market = market;
    this.#take = take;
    market.addEventListener("draw", () => this.#draw());
    market.addEventListener("chosen", () => this.#seen.clear());
    $("ladder").addEventListener("keydown", (event) => this.#move(event));
  }

  #row(side) {
    const row = make("button", { className: "row", type: "button", tabIndex: -1 }, ...["bar", "", "", ""].map((className) => make("span", { className })));
    row.addEventListener("click", () => this.#take(row.price, side));
    return row;
  }

  #draw() {
    const { book, terms } = this.#market;
    $("ladder").inert = !book?.frame; // what it shows may be of another instrument
    if (!book?.frame) return;
    const sides = [0, 1].map((side) => totals(book.levels.best(side, LEVELS)));
    const most = Math.max(1, ...sides.map((levels) => Number(levels.at(-1)?.total ?? 0)));
    const mine = this.#mine();
    const seen = new Map();
    sides.forEach((levels, side) => this.#drawSide(side, levels, most, mine, seen));
    this.#seen = seen;
    const [[bid], [ask]] = sides;
    const both = bid && ask;
    put($("spread"), both ? `spread ${toText(BigInt(ask.price) - BigInt(bid.price), terms.tick)}` : "");
    const last = this.#market.ticker?.frame?.last;
    put($("middle-last"), last ? toText(last, terms.tick) : "–");
    if (!$("ladder").querySelector('[tabindex="0"]') && $("bids").firstChild) $("bids").firstChild.tabIndex = 0;
  }

  #drawSide(side, levels, most, mine, seen) {
    const { terms } = this.#market;
    const elements = rows($(side === ASK ? "asks" : "bids"), levels.length, () => this.#row(side));
    levels.forEach(({ price, size, total }, i) => {
      const row = elements[i];
      const [bar, ...cells] = row.children;
      const key = `${side} ${price}`;
      const own = mine.get(key);
      row.price = price;
      bar.style.transform = `scaleX(${Number(total) / most})`;
      [toText(price, terms.tick), toText(size, terms.lot), toText(total, terms.lot)].forEach((text, n) => put(cells[n], text));
      row.classList.toggle("changed", this.#seen.size > 0 && this.#seen.get(key) !== size);
      row.classList.toggle("own", own !== undefined);
      const label = `${side === ASK ? "ask" : "bid"} ${cells[0].textContent}, size ${cells[1].textContent}${own ? `, of it own ${toText(own, terms.lot)}` : ""}`;
      if (row.getAttribute("aria-label") !== label) row.setAttribute("aria-label", label);
      row.title = own ? `own: ${toText(own, terms.lot)}` : "";
      seen.set(key, size);
    });
  }

  /** What one's own orders show at each level. */
  #mine() {
    const mine = new Map();
    for (const order of this.#market.orders) {
      if (order.instrument !== this.#market.instrument || !order.displayed_lots) continue;
      const key = `${order.side === "sell" ? ASK : 0} ${order.price_ticks}`;
      mine.set(key, BigInt(mine.get(key) ?? 0) + BigInt(order.displayed_lots));
    }
    return mine;
  }

  /** Arrow keys move along the levels, from the highest price to the lowest. */
  #move(event) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const levels = [...[...$("asks").children].reverse(), ...$("bids").children];
    const from = levels.indexOf(document.activeElement);
    const to = levels[Math.min(Math.max(from + step, 0), levels.length - 1)];
    for (const level of levels) level.tabIndex = level === to ? 0 : -1;
    to?.focus();
  }
}

function totals(levels) {
  let total = 0n;
  return levels.map(([price, size]) => ({ price, size, total: (total += BigInt(size)) }));
}
