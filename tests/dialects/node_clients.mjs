// Unmodified clients of the venue from npm, each as a process of its own, which prints as client_books.py and client_traders.py do.
//
//     node node_clients.mjs books NAME HTTP WEBSOCKET SECONDS
//     node node_clients.mjs trade NAME HTTP WEBSOCKET KEY SECRET

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(`${process.cwd()}/build/dialect_clients/`);
const SHOWN = 10;
const [SYMBOL, UNIFIED, PRICE, SIZE, TRIES] = ["BTCUSD", "BTC/USD", 100, 1, 60];

const print = (...told) => console.log(JSON.stringify(told));
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const levels = (side) => side.slice(0, SHOWN).map(([price, size]) => [Number(price), Number(size)]);
const goOn = () => new Promise((resolve) => createInterface({ input: process.stdin }).once("line", resolve));

/** Do something as often as it takes, as a bot does whose venue is away. */
async function again(act) {
  for (let tries = 1; tries < TRIES; tries++) {
    try {
      return await act();
    } catch (error) {
      console.error(String(error));
      await sleep(500);
    }
  }
  return act();
}

/** What has been told, for one who asks for it in turn. */
class Told {
  #known = [];
  #asked = [];
  put(what) {
    if (this.#asked.length) this.#asked.shift()(what);
    else this.#known.push(what);
  }
  next() {
    return this.#known.length ? Promise.resolve(this.#known.shift()) : new Promise((resolve) => this.#asked.push(resolve));
  }
}

async function ccxt(http, websocket, key, secret) {
  const api = {
    public: `${http}/api/v3`, private: `${http}/api/v3`, sapi: `${http}/sapi/v1`,
    ws: { spot: `${websocket}/stream/ws`, "ws-api": { spot: `${websocket}/ws-api/v3` } },
  };
  const library = require("ccxt");
  const venue = new library.pro.binance({ apiKey: key, secret, urls: { api }, options: { fetchMarkets: { types: ["spot"] } } });
  await venue.loadHttpProxyAgent(); // which it wants before any plain ws:// address
  return { library, venue };
}

const node = (http, websocket, key, secret) =>
  require("binance-api-node").default({ apiKey: key, apiSecret: secret, httpBase: http, wsBase: `${websocket}/ws`, wsApi: `${websocket}/ws-api/v3` });

const books = {
  async ccxt(http, websocket, seconds) {
    const { venue } = await ccxt(http, websocket);
    for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
      const book = await venue.watchOrderBook("ETH/USDT");
      print(book.nonce, levels(book.bids), levels(book.asks));
    }
  },
  async "binance-api-node"(http, websocket, seconds) {
    const told = ({ lastUpdateId, bids, asks }) =>
      print(lastUpdateId, ...[bids, asks].map((side) => levels(side.map(({ price, quantity }) => [price, quantity]))));
    node(http, websocket).ws.partialDepth({ symbol: "ETHUSDT", level: SHOWN }, told);
    await sleep(seconds * 1000);
  },
};

const trade = {
  async ccxt(http, websocket, key, secret) {
    const { library, venue } = await ccxt(http, websocket, key, secret);
    await venue.loadMarkets();
    const told = new Told();
    const following = () => Object.entries(venue.clients).some(([url, client]) => url.includes("ws-api") && Object.keys(client.subscriptions).length);
    let over = false;
    (async () => {
      while (!over) for (const order of await venue.watchOrders(UNIFIED)) told.put([order.status, order.filled, order.clientOrderId]);
    })().catch((error) => console.error(String(error)));
    while (!following()) await sleep(50);
    await venue.fetchBalance();
    const order = await venue.createOrder(UNIFIED, "limit", "buy", SIZE, PRICE, { clientOrderId: "first-of-npm-ccxt" });
    print("placed", order.status, order.clientOrderId);
    print("event", ...(await told.next()));
    print("event", ...(await told.next()));
    print("open", (await venue.fetchOpenOrders(UNIFIED)).map((each) => [each.clientOrderId, each.filled]));
    print("cancelled", (await venue.cancelOrder(order.id, UNIFIED)).status);
    print("event", ...(await told.next()));
    await venue.createOrder(UNIFIED, "limit", "buy", 1e6, PRICE).catch((refused) => {
      if (refused instanceof library.InsufficientFunds) print("refused", refused.message);
    });
    const balance = await venue.fetchBalance();
    print("balance", balance.BTC.total, balance.USD.total);
    await goOn();
    over = true;
    const second = await again(() => venue.createOrder(UNIFIED, "limit", "buy", SIZE, PRICE, { clientOrderId: "second-of-npm-ccxt" }));
    const found = await venue.fetchOrder(second.id, UNIFIED);
    print("again", found.status, found.clientOrderId);
    const listening = again(() => venue.watchOrders(UNIFIED));
    while (!following()) await sleep(50);
    await venue.fetchBalance(); // which is answered behind the subscription
    await sleep(1000);
    await venue.cancelOrder(second.id, UNIFIED);
    print("event after", (await listening).at(-1).clientOrderId);
  },
  async "binance-api-node"(http, websocket, key, secret) {
    const client = node(http, websocket, key, secret);
    const named = { NEW: "open", PARTIALLY_FILLED: "open", CANCELED: "canceled" };
    const limit = { symbol: SYMBOL, side: "BUY", quantity: SIZE, price: PRICE };
    const follow = async () => {
      const told = new Told();
      await client.ws.user((event) => {
        if (event.eventType === "executionReport") {
          const { orderStatus, totalTradeQuantity, originalClientOrderId, newClientOrderId } = event;
          told.put([named[orderStatus], Number(totalTradeQuantity), originalClientOrderId || newClientOrderId]);
        }
      });
      return told;
    };
    const told = await follow();
    const order = await client.order({ ...limit, newClientOrderId: "first-of-npm-binance-api-node" });
    print("placed", named[order.status], order.clientOrderId);
    print("event", ...(await told.next()));
    print("event", ...(await told.next()));
    print("open", (await client.openOrders({ symbol: SYMBOL })).map((each) => [each.clientOrderId, Number(each.executedQty)]));
    print("cancelled", named[(await client.cancelOrder({ symbol: SYMBOL, orderId: order.orderId })).status]);
    print("event", ...(await told.next()));
    await client.order({ ...limit, quantity: 1e6 }).catch((refused) => print("refused", `${refused.code} ${refused.message}`));
    const { balances } = await client.accountInfo();
    print("balance", ...["BTC", "USD"].map((asset) => balances.find((each) => each.asset === asset)).map(({ free, locked }) => Number(free) + Number(locked)));
    await goOn();
    const second = await again(() => client.order({ ...limit, newClientOrderId: "second-of-npm-binance-api-node" }));
    const found = await client.getOrder({ symbol: SYMBOL, orderId: second.orderId });
    print("again", named[found.status], found.clientOrderId);
    const after = await again(follow);
    await client.cancelOrder({ symbol: SYMBOL, orderId: second.orderId });
    print("event after", (await after.next())[2]);
  },
};

const [what, name, ...rest] = process.argv.slice(2);
await { books, trade }[what][name.replace(/^npm-/, "")](...rest);
process.exit(0);
