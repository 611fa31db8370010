// Placing orders, by mouse and by keyboard.

import { fromText, newKey, stepOf, toText } from "../client/index.js";
import { $, put } from "./dom.js";

const TYPES = {
  limit: {}, post_only: { post_only: true }, market: { type: "market", time_in_force: "ioc" }, stop: { type: "stop" }, stop_limit: { type: "stop_limit" },
  take_profit: { type: "take_profit" }, take_profit_limit: { type: "take_profit_limit" },
};

/** What became of an order, of which so much is filled. */
const OUTCOMES = {
  open: (filled) => `The order is open, with ${filled} filled.`,
  waiting: () => "The order waits for its price.",
  filled: (filled) => `The order is filled: ${filled}.`,
  cancelled: (filled) => `The order ended with ${filled} filled.`,
};

export class OrderForm {
  #market;
  #notice;
  #form = $("order");

  constructor(market, notice) {
    this.#market = market;
    this.#notice = notice;
    this.#form.addEventListener("input", () => this.#draw());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#place();
    });
    market.addEventListener("chosen", () => {
      for (const id of ["price", "size", "stop"]) $(id).value = "";
      this.#draw();
    });
    document.addEventListener("keydown", (event) => this.#press(event));
    this.#draw();
  }

  /** Take a price over from a level of the book: whoever chooses an ask wants to buy. */
  take(price, side) {
    if (this.#market.subject === null) return $("token").focus();
    $("price").value = toText(price, this.#market.terms.tick);
    if (!["limit", "post_only", "stop_limit", "take_profit_limit"].includes($("kind").value)) $("kind").value = "limit";
    this.#choose(side ? "buy" : "sell");
    $("size").focus();
  }

  get #side() {
    return new FormData(this.#form).get("side");
  }

  #choose(side) {
    this.#form.elements.side.value = side;
    this.#draw();
  }

  #draw() {
    const kind = $("kind").value;
    for (const element of this.#form.querySelectorAll("[data-for]")) {
      const used = element.dataset.for.split(" ").includes(kind);
      element.hidden = !used;
      if (element.tagName === "INPUT") element.disabled = !used;
    }
    const side = this.#side;
    put($("place"), `${side === "buy" ? "Buy" : "Sell"} ${this.#market.terms?.base ?? ""}`);
    $("place").className = `main ${side}`;
    put($("value"), this.#value());
  }

  /** What the order comes to, exactly; nothing while that cannot be said. */
  #value() {
    const { terms } = this.#market;
    if ($("price").disabled) return "";
    try {
      const [price, size] = [BigInt(fromText($("price").value, terms.tick)), BigInt(fromText($("size").value, terms.lot))];
      const unit = BigInt(fromText(terms.tick, stepOf(terms.quote_decimals))) * BigInt(fromText(terms.lot, stepOf(terms.base_decimals)));
      const text = toText(price * size * unit, stepOf(terms.quote_decimals + terms.base_decimals));
      return `${text.replace(/\.?0+$/, "")} ${terms.quote}`;
    } catch {
      return "";
    }
  }

  async #place() {
    const { client, instrument } = this.#market;
    const text = (id) => ($(id).disabled || !$(id).value ? null : $(id).value);
    try {
      const done = await client.place(instrument, this.#side, text("price"), $("size").value, { ...TYPES[$("kind").value], stop: text("stop"), key: newKey() });
      this.#notice(OUTCOMES[done.status](`${done.filled} ${client.terms.get(instrument).base}`));
    } catch (error) {
      this.#notice(error);
    }
  }

  /** Single keys, where nothing is typed into. */
  #press(event) {
    const typing = event.target.closest("input:not([type=radio]), select, textarea");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || this.#market.subject === null) return;
    if (event.key === "b" || event.key === "s") {
      this.#choose(event.key === "b" ? "buy" : "sell");
      $("size").focus();
    } else if (event.key === "p") $("price").focus();
    else if (event.key === "x") this.#market.client.cancelAll().catch(this.#notice);
    else return;
    event.preventDefault();
  }
}
