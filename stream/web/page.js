// The ladder page: subscribes, and draws what its mirrors hold, at most once an animation frame.

import { Client, stepOf, toText } from "./client.js";

const LEVELS = 13;
const TRADES = 28;
const INTERVAL_MS = 100;

const $ = (id) => document.getElementById(id);
const client = new Client(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1`);
let instrument = null;
let terms = null;
let stale = true;
let seen = new Map(); // what the ladder showed last: side and price -> size

const mirror = (kind) => client.mirrors.get(`${kind}:${instrument}`);
const own = (kind) => client.mirrors.get(kind);
const notice = (text) => ($("notice").textContent = text);

// Rows are made once and filled again

function rows(parent, count, make) {
  while (parent.children.length < count) parent.append(make());
  while (parent.children.length > count) parent.lastChild.remove();
  return [...parent.children];
}

function ladderRow() {
  const row = document.createElement("button");
  row.className = "row";
  row.type = "button";
  row.append(...["bar", "", "", ""].map((name) => Object.assign(document.createElement("span"), { className: name })));
  row.addEventListener("click", () => {
    $("price").value = row.children[1].textContent;
    $("size").focus();
  });
  return row;
}

function tradeRow() {
  const row = document.createElement("div");
  row.className = "row";
  row.append(...[0, 1, 2].map(() => document.createElement("span")));
  return row;
}

function tableRow(cells) {
  const row = document.createElement("tr");
  row.append(...Array.from({ length: cells }, () => document.createElement("td")));
  return row;
}

// Drawing

function drawSide(book, side, most) {
  const parent = $(side ? "asks" : "bids");
  const levels = book.best(side, LEVELS);
  const mine = new Set([...(own("orders")?.open.values() ?? [])].filter((order) => order.instrument === instrument && order.type === "limit").map((order) => order.price));
  let total = 0;
  rows(parent, levels.length, ladderRow).forEach((row, i) => {
    const [price, size] = levels[i];
    total += Number(size);
    const [bar, ...cells] = row.children;
    bar.style.transform = `scaleX(${most ? Number(size) / most : 0})`;
    [toText(price, terms.tick), toText(size, terms.lot), toText(Math.round(total), terms.lot)].forEach((text, n) => (cells[n].textContent = text));
    row.setAttribute("aria-label", `${side ? "ask" : "bid"} ${cells[0].textContent}, size ${cells[1].textContent}`);
    const key = `${side} ${price}`;
    row.classList.toggle("changed", seen.size > 0 && seen.get(key) !== size);
    row.classList.toggle("own", mine.has(price));
  });
  return levels.map(([price, size]) => [`${side} ${price}`, size]);
}

function drawBook() {
  const book = mirror("orderbook");
  if (!book?.frame) return;
  const shown = [book.best(0, LEVELS), book.best(1, LEVELS)];
  const most = Math.max(0, ...shown.flat().map(([, size]) => Number(size)));
  seen = new Map([...drawSide(book, 0, most), ...drawSide(book, 1, most)]);
  const [[bid], [ask]] = shown;
  const spread = bid && ask ? toText(ask[0] - bid[0], terms.tick) : "–";
  $("spread").textContent = spread;
  const last = mirror("ticker")?.frame?.last;
  $("middle").replaceChildren(last ? toText(last, terms.tick) : "–", Object.assign(document.createElement("small"), { textContent: `spread ${spread}` }));
}

function drawTrades() {
  const trades = (mirror("trades")?.latest ?? []).slice(-TRADES).reverse();
  rows($("trades"), trades.length, tradeRow).forEach((row, i) => {
    const { price, size, side, time } = trades[i];
    const [first, second, third] = row.children;
    first.className = side;
    first.textContent = toText(price, terms.tick);
    second.textContent = toText(size, terms.lot);
    third.textContent = new Date(Number(BigInt(time) / 1_000_000n)).toLocaleTimeString([], { hour12: false });
  });
}

function drawTicker() {
  const ticker = mirror("ticker")?.frame;
  if (!ticker) return;
  for (const name of ["last", "high", "low"]) $(name).textContent = ticker[name] ? toText(ticker[name], terms.tick) : "–";
  $("volume").textContent = `${toText(ticker.volume, terms.lot)} ${terms.base}`;
  const change = ticker.open ? (Number(ticker.last) / Number(ticker.open) - 1) * 100 : 0;
  $("change").textContent = `${change >= 0 ? "+" : "−"}${Math.abs(change).toFixed(2)} %`;
  $("change").className = change >= 0 ? "buy" : "sell";
  $("phase").textContent = ticker.phase;
  document.title = `${toText(ticker.last, terms.tick)} ${instrument} · deltabook`;
}

function drawAccount() {
  const balances = own("balances") ? [...own("balances").assets.values()] : [];
  rows($("balances").tBodies[0], balances.length, () => tableRow(3)).forEach((row, i) => {
    const { asset, decimals, available, held } = balances[i];
    [asset, toText(available, stepOf(decimals)), toText(held, stepOf(decimals))].forEach((text, n) => (row.cells[n].textContent = text));
  });
  const orders = own("orders") ? [...own("orders").open.values()] : [];
  rows($("orders").tBodies[0], orders.length, orderRow).forEach((row, i) => {
    const order = orders[i];
    const of = client.terms.get(order.instrument);
    row.order = order.order;
    row.cells[0].textContent = `${order.side} ${order.instrument}`;
    row.cells[0].className = order.side;
    row.cells[1].textContent = order.type === "limit" ? toText(order.price, of.tick) : `stop ${toText(order.stop, of.tick)}`;
    row.cells[2].textContent = toText(order.remaining, of.lot);
  });
}

function orderRow() {
  const row = tableRow(4);
  const button = Object.assign(document.createElement("button"), { className: "quiet", textContent: "Cancel" });
  button.addEventListener("click", () => client.request("cancel", row.order, 0).catch((error) => notice(error.message)));
  row.cells[3].append(button);
  return row;
}

function drawStream() {
  const book = mirror("orderbook");
  if (!book?.frame) return;
  const latency = Date.now() - Number(BigInt(book.frame.server_time) / 1_000_000n);
  const wrong = book.counts.mismatch;
  const figures = {
    Sequence: book.seq,
    Digest: wrong ? `${wrong} mismatches` : book.verified ? "verified" : "–",
    Interval: `${client.inForce.get(book.channel)?.interval_ms ?? "–"} ms`,
    Levels: book.sides[0].size + book.sides[1].size,
    Frames: book.counts.applied,
    "Merged frames": book.merges,
    Resumptions: `${client.resumptions.merged} by patch`,
    "Age by own clock": `${latency} ms`,
  };
  const parent = $("stream");
  if (!parent.children.length) {
    for (const name of Object.keys(figures)) {
      const item = document.createElement("div");
      item.append(Object.assign(document.createElement("dt"), { textContent: name }), document.createElement("dd"));
      parent.append(item);
    }
  }
  Object.values(figures).forEach((value, i) => (parent.children[i].lastChild.textContent = value));
}

function draw() {
  if (!stale) return;
  stale = false;
  drawBook();
  drawTrades();
  drawTicker();
  drawAccount();
  drawStream();
}

function redraw() {
  if (stale) return;
  stale = true;
  requestAnimationFrame(draw);
}

// What the user does

async function choose(name) {
  const before = instrument;
  instrument = name;
  terms = client.terms.get(name);
  seen = new Map();
  for (const button of $("instruments").children) button.setAttribute("aria-pressed", String(button.textContent === name));
  if (before) await client.unsubscribe(channelsOf(before));
  await client.subscribe(channelsOf(name), 0, INTERVAL_MS);
}

const channelsOf = (name) => ["orderbook", "trades", "ticker"].map((kind) => `${kind}:${name}`);

$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const { subject } = await client.login($("token").value.trim());
    await client.subscribe(["orders", "balances"]);
    $("account-title").textContent = subject;
    $("sign-in").hidden = true;
    $("signed-in").hidden = false;
    notice("");
  } catch (error) {
    notice(error.message);
  }
});

$("order").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  try {
    const [price, size, stop, display] = ["price", "size", "stop", "display"].map((name) => $(name).value.trim() || 0);
    const type = stop ? (price ? "stop_limit" : "stop") : price ? "limit" : "market";
    await client.place(instrument, form.get("side"), price, size, { type, time_in_force: type === "market" ? "ioc" : "gtc", stop, display });
    notice("");
  } catch (error) {
    notice(error.message);
  }
});

$("cancel-all").addEventListener("click", () => client.cancelAll().catch((error) => notice(error.message)));

// The connection

client.addEventListener("frame", redraw);
client.addEventListener("notice", (event) => notice(event.detail));
client.addEventListener("state", async (event) => {
  $("connection").textContent = { connected: "live", stale: "may have fallen behind", lost: "connection lost, coming back" }[event.detail];
  $("connection").className = `pill ${event.detail === "connected" ? "good" : "bad"}`;
  if (event.detail !== "lost" && !instrument) {
    const all = await client.instruments();
    $("instruments").replaceChildren(
      ...all.map(({ name }) => {
        const button = Object.assign(document.createElement("button"), { textContent: name });
        button.addEventListener("click", () => choose(name).catch((error) => notice(error.message)));
        return button;
      }),
    );
    if (all.length) await choose(all[0].name);
    stale = false;
  }
});
client.connect();
