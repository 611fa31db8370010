// A canvas that is as sharp as the screen, and has the colours of the style sheet.

const THEME = matchMedia("(prefers-color-scheme: dark)");

/** `draw(context, width, height, colours)` is called with sizes in CSS pixels, on a clean canvas. */
export class Surface {
  #canvas;
  #context;
  #draw;
  #colours;
  #width = 0;
  #height = 0;

  constructor(canvas, draw) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d");
    this.#draw = draw;
    const restyle = () => {
      this.#colours = coloursOf(canvas);
      this.draw();
    };
    restyle();
    THEME.addEventListener("change", restyle);
    new ResizeObserver(([{ contentRect }]) => this.#resize(contentRect)).observe(canvas);
  }

  get width() {
    return this.#width;
  }

  #resize({ width, height }) {
    this.#width = width;
    this.#height = height;
    this.#canvas.width = Math.round(width * devicePixelRatio);
    this.#canvas.height = Math.round(height * devicePixelRatio);
    this.#context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    this.#context.font = "11px ui-sans-serif, system-ui, sans-serif";
    this.#context.textBaseline = "middle";
    this.draw();
  }

  draw() {
    if (!this.#width || !this.#height) return;
    this.#context.clearRect(0, 0, this.#width, this.#height);
    this.#draw(this.#context, this.#width, this.#height, this.#colours);
  }
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  const names = ["line", "dim", "text", "panel", "accent", "buy", "sell", "buy-bar", "sell-bar"];
  return Object.fromEntries(names.map((name) => [name.replace("-b", "B"), style.getPropertyValue(`--${name}`).trim()]));
}

/** Round numbers from `low` to `high`, about `count` of them: 1, 2 or 5 times a power of ten apart. */
export function ticks(low, high, count) {
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high; value += step) found.push(value);
  return found;
}
