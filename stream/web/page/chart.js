// The price chart: candles, volumes, the last price, and a cursor for pointer and arrow keys.

import { toText } from "../client/index.js";
import { Candles, PERIODS_S } from "./candles.js";
import { Surface, ticks } from "./canvas.js";
import { $, make, put } from "./dom.js";

const PITCH = 9; // pixels from one candle to the next
const AXIS = 74; // width of the price axis
const FOOT = 18; // height of the time axis
const MARGIN = 0.08; // of the height, free above and below the prices
const VOLUMES = 0.16; // of the height, for the volumes

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = (period, at) => clock.format(at * period * 1000);

export class Chart {
  #market;
  #candles = new Candles();
  #period = PERIODS_S[0];
  #surface;
  #cursor = null; // how many candles from the right

  constructor(market) {
    this.#market = market;
    this.#surface = new Surface($("candles"), (...canvas) => this.#paint(...canvas));
    market.addEventListener("chosen", () => {
      this.#candles = new Candles();
      this.#surface.draw();
    });
    market.addEventListener("draw", () => this.#draw());
    $("periods").append(...PERIODS_S.map((period) => this.#choice(period)));
    const canvas = $("candles");
    canvas.addEventListener("pointermove", ({ offsetX }) => this.#point(Math.floor((this.#surface.width - AXIS - offsetX) / PITCH)));
    canvas.addEventListener("pointerleave", () => this.#point(null));
    canvas.addEventListener("blur", () => this.#point(null));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: 1, ArrowRight: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      this.#point((this.#cursor ?? -1) + step);
    });
  }

  #choice(period) {
    const button = make("button", { textContent: period < 60 ? `${period} s` : `${period / 60} min` });
    button.setAttribute("aria-pressed", String(period === this.#period));
    button.addEventListener("click", () => {
      this.#period = period;
      for (const other of $("periods").children) other.setAttribute("aria-pressed", String(other === button));
      this.#surface.draw();
    });
    return button;
  }

  #point(cursor) {
    const count = this.#candles.of(this.#period).length;
    this.#cursor = cursor === null || cursor < 0 || !count ? null : Math.min(cursor, count - 1);
    $("candle").ariaLive = this.#cursor === null ? "off" : "polite"; // what is said of the latest candle changes with every trade
    this.#surface.draw();
  }

  #draw() {
    const { trades } = this.#market;
    if (trades) this.#candles.add(trades.latest);
    this.#surface.draw();
  }

  #paint(context, width, height, colours) {
    const { terms } = this.#market;
    const all = this.#candles.of(this.#period);
    const shown = all.slice(-Math.max(1, Math.floor((width - AXIS) / PITCH)));
    if (!terms || !shown.length) {
      put($("candle"), "No trades yet.");
      return;
    }
    const plot = scaled(shown, width - AXIS, height - FOOT);
    this.#paintAxes(context, plot, shown, terms, colours);
    shown.forEach((candle, i) => paintCandle(context, plot, candle, plot.x(shown.length - 1 - i), colours));
    const last = shown.at(-1);
    paintPrice(context, plot, last.close, toText(last.close, terms.tick), last.close >= last.open ? colours.buy : colours.sell, colours.panel);
    const chosen = shown[shown.length - 1 - (this.#cursor ?? 0)] ?? last;
    if (this.#cursor !== null) {
      context.strokeStyle = colours.dim;
      line(context, plot.x(this.#cursor), 0, plot.x(this.#cursor), plot.height);
    }
    const { open, high, low, close } = chosen;
    const figures = Object.entries({ O: open, H: high, L: low, C: close }).map(([name, price]) => `${name} ${toText(price, terms.tick)}`);
    put($("candle"), `${day(this.#period, chosen.at)}  ${figures.join("  ")}  V ${toText(chosen.volume, terms.lot)}`);
  }

  #paintAxes(context, plot, shown, terms, colours) {
    context.strokeStyle = colours.line;
    context.fillStyle = colours.dim;
    context.textAlign = "left";
    for (const price of ticks(plot.low, plot.high, plot.height / 48)) {
      line(context, 0, plot.y(price), plot.width, plot.y(price));
      if (Math.abs(plot.y(price) - plot.y(shown.at(-1).close)) > 16) context.fillText(toText(Math.round(price), terms.tick), plot.width + 6, plot.y(price));
    }
    context.textAlign = "center";
    const every = Math.ceil(90 / PITCH);
    for (let i = every; i < shown.length; i += every) {
      const { at } = shown[shown.length - 1 - i];
      if (plot.x(i) > 30) context.fillText(day(this.#period, at), plot.x(i), plot.height + FOOT / 2 + 2);
    }
  }
}

/** Where prices and candles are in a plot of so many pixels. */
function scaled(shown, width, height) {
  let low = Math.min(...shown.map((candle) => Number(candle.low)));
  let high = Math.max(...shown.map((candle) => Number(candle.high)));
  const room = Math.max(1, (high - low) * MARGIN);
  low -= room;
  high += room;
  const inner = height * (1 - VOLUMES);
  return {
    width, height, low, high,
    most: Math.max(1, ...shown.map((candle) => Number(candle.volume))),
    x: (fromRight) => Math.round(width - (fromRight + 0.5) * PITCH),
    y: (price) => Math.round(inner * (1 - (Number(price) - low) / (high - low))) + 0.5,
  };
}

function paintCandle(context, plot, { open, high, low, close, volume }, x, colours) {
  const rises = close >= open;
  const bar = Math.max(1, (Number(volume) / plot.most) * plot.height * VOLUMES);
  context.fillStyle = rises ? colours.buyBar : colours.sellBar;
  context.fillRect(x - PITCH / 2 + 1, plot.height - bar, PITCH - 2, bar);
  context.strokeStyle = context.fillStyle = rises ? colours.buy : colours.sell;
  line(context, x, plot.y(high), x, plot.y(low));
  const top = Math.min(plot.y(open), plot.y(close));
  context.fillRect(x - PITCH / 2 + 1, top - 0.5, PITCH - 2, Math.max(1, Math.abs(plot.y(open) - plot.y(close)) + 1));
}

function paintPrice(context, plot, price, text, colour, ground) {
  const y = plot.y(price);
  context.strokeStyle = context.fillStyle = colour;
  context.setLineDash([3, 3]);
  line(context, 0, y, plot.width, y);
  context.setLineDash([]);
  context.fillRect(plot.width, y - 8, AXIS, 16);
  context.fillStyle = ground;
  context.textAlign = "left";
  context.fillText(text, plot.width + 6, y);
}

function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}
