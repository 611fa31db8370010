// Signing in, balances, and one's open orders.

import { $, make, put, rows } from "./dom.js";

const TOKEN = "token"; // what is kept for as long as the tab is open

export class Account {
  #market;
  #notice;

  constructor(market, notice) {
    this.#market = market;
    this.#notice = notice;
    market.addEventListener("draw", () => this.#draw());
    market.addEventListener("signed", () => this.#signed());
    $("sign-in").addEventListener("submit", (event) => {
      event.preventDefault();
      this.signIn($("token").value.trim());
    });
    $("sign-out").addEventListener("click", () => market.signOut().catch(notice));
    $("cancel-all").addEventListener("click", () => market.client.cancelAll().catch(notice));
  }

  /** Sign in again after the page was loaded again. */
  restore() {
    const token = sessionStorage.getItem(TOKEN);
    if (token) this.signIn(token);
  }

  async signIn(token) {
    try {
      await this.#market.signIn(token);
      sessionStorage.setItem(TOKEN, token);
      $("token").value = "";
      this.#notice("");
    } catch (error) {
      sessionStorage.removeItem(TOKEN);
      this.#notice(error);
    }
  }

  #signed() {
    const { subject } = this.#market;
    put($("who"), subject ?? "Trade");
    $("sign-in").hidden = subject !== null;
    for (const id of ["sign-out", "order", "own"]) $(id).hidden = subject === null;
    if (subject === null) sessionStorage.removeItem(TOKEN);
    else $("size").focus({ preventScroll: true });
  }

  #draw() {
    const { balances, orders } = this.#market;
    const lines = rows($("balances").tBodies[0], balances.length, () => line(3));
    balances.forEach(({ asset, available, held }, i) => {
      [asset, short(available), short(held)].forEach((text, n) => put(lines[i].cells[n], text));
    });
    const entries = rows($("orders").tBodies[0], orders.length, () => this.#orderLine());
    orders.forEach((order, i) => this.#drawOrder(entries[i], order));
    $("cancel-all").hidden = $("orders").hidden = !orders.length;
    $("no-orders").hidden = orders.length > 0;
  }

  #drawOrder(line, order) {
    const [what, price, rest] = line.cells;
    line.order = order;
    what.className = order.side;
    put(what, `${order.side} ${order.instrument}`);
    put(price, order.stop_ticks ? `at ${order.stop}` : order.price);
    put(rest, order.remaining);
    const label = `Cancel: ${order.side} ${rest.textContent} ${order.instrument} at ${price.textContent}`;
    const button = line.querySelector("button");
    if (button.getAttribute("aria-label") !== label) button.setAttribute("aria-label", label);
  }

  #orderLine() {
    const row = line(4);
    const button = make("button", { className: "quiet", type: "button", textContent: "Cancel" });
    button.addEventListener("click", () => this.#market.client.cancel(row.order.order).catch(this.#notice));
    row.cells[3].append(button);
    return row;
  }
}

const line = (cells) => make("tr", {}, ...Array.from({ length: cells }, () => make("td")));

/** An amount without the zeros at its end, but exact. */
function short(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
