// The depth chart: how much there is up to each price.

import { toText } from "../client/index.js";
import { Surface, ticks } from "./canvas.js";
import { $ } from "./dom.js";

const LEVELS = 150;
const FOOT = 18;

export class Depth {
  #market;

  constructor(market) {
    this.#market = market;
    const surface = new Surface($("depth-chart"), (...canvas) => this.#paint(...canvas));
    market.addEventListener("draw", () => surface.draw());
  }

  #paint(context, width, full, colours) {
    const { book, terms } = this.#market;
    if (!book?.frame) return;
    const [bids, asks] = [0, 1].map((side) => steps(book.levels.best(side, LEVELS)));
    if (!bids.length || !asks.length) return;
    const height = full - FOOT;
    const middle = (bids[0].price + asks[0].price) / 2;
    const reach = Math.max(1, Math.min(middle - bids.at(-1).price, asks.at(-1).price - middle));
    const inside = (levels) => levels.filter(({ price }) => Math.abs(price - middle) <= reach);
    const most = Math.max(...[bids, asks].map((levels) => inside(levels).at(-1)?.total ?? 0), 1) * 1.08;
    const x = (price) => (width * (price - middle + reach)) / (2 * reach);
    const y = (total) => height * (1 - total / most);
    paintSide(context, inside(bids), x, y, 0, height, colours.buy, colours.buyBar);
    paintSide(context, inside(asks), x, y, width, height, colours.sell, colours.sellBar);
    context.fillStyle = colours.dim;
    context.textAlign = "center";
    for (const price of ticks(middle - reach, middle + reach, width / 110)) {
      if (x(price) > 36 && x(price) < width - 36) context.fillText(toText(Math.round(price), terms.tick), x(price), height + FOOT / 2 + 2);
    }
    context.textAlign = "left";
    for (const total of ticks(0, most, 3).slice(1)) context.fillText(toText(Math.round(total), terms.lot), 4, y(total));
  }
}

function steps(levels) {
  let total = 0;
  return levels.map(([price, size]) => ({ price: Number(price), total: (total += Number(size)) }));
}

function paintSide(context, levels, x, y, edge, height, colour, fill) {
  if (!levels.length) return;
  context.beginPath();
  context.moveTo(x(levels[0].price), height);
  let before = height;
  for (const { price, total } of levels) {
    context.lineTo(x(price), before);
    before = y(total);
    context.lineTo(x(price), before);
  }
  context.lineTo(edge, before);
  context.lineTo(edge, height);
  context.fillStyle = fill;
  context.fill();
  context.strokeStyle = colour;
  context.stroke();
}
