// The page: a market, and the panels that show it.

import { Account } from "./account.js";
import { Chart } from "./chart.js";
import { Depth } from "./depth.js";
import { $, make, put } from "./dom.js";
import { Inspector } from "./inspector.js";
import { Ladder } from "./ladder.js";
import { Market } from "./market.js";
import { OrderForm } from "./order_form.js";
import { drawTicker, drawTrades } from "./tape.js";
import { Wire } from "./wire.js";

const market = new Market(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1`);

globalThis.market = market; // for the browser's console

/** Tell people something: an error, text, or "" for nothing any more. */
const notice = (what) => put($("notice"), what instanceof Error ? what.message : what);

const account = new Account(market, notice);
const form = new OrderForm(market, notice);
new Ladder(market, (price, side) => form.take(price, side));
new Chart(market);
new Depth(market);
new Wire(market, notice);
new Inspector(market.client);
market.addEventListener("draw", () => {
  if (!market.terms) return;
  drawTicker(market);
  drawTrades(market);
});
market.addEventListener("chosen", () => {
  const names = [...market.client.terms.keys()];
  const tabs = names.map((name) => {
    const tab = make("button", { type: "button", textContent: name });
    tab.setAttribute("aria-pressed", String(name === market.instrument));
    tab.addEventListener("click", () => market.choose(name).catch(notice));
    return tab;
  });
  const focused = $("instruments").contains(document.activeElement);
  $("instruments").replaceChildren(...tabs);
  if (focused) tabs[names.indexOf(market.instrument)].focus();
});
market.client.addEventListener("notice", ({ detail }) => notice(detail));
market.client.addEventListener("state", ({ detail: { state, reason } }) => {
  if (state === "closed" && market.client.welcome) notice(`${reason}. Load the page again to come back.`);
});

try {
  await market.open();
  account.restore();
} catch (error) {
  if (market.client.state === "open") notice(error); // a connection that is lost says so by its state
}
