// The JavaScript client against a server that is a script, in node: `node --test tests/web/client.test.mjs`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mock, test } from "node:test";

import * as deltabook from "../../stream/web/client/index.js";
import { BOOK, EPOCH, fresh, latest, opened, Peer, returned, settled, TIME, timed, withBook } from "./peer.mjs";

const { Closed, ConnectionLost, Gap, mix64 } = deltabook;

timed("a request with a key is sent again on the next connection, and no other", async () => {
  const client = await opened();
  const plain = client.cancel(7);
  const keyed = client.cancel(8, { key: 99 });
  latest().lose();
  await assert.rejects(plain, ConnectionLost);
  const meanwhile = client.cancel(9, { key: 100 });
  await returned();
  assert.deepEqual(latest().heard.map((fields) => fields.slice(0, 5)), [["cancel", 2, 8, 0, 99], ["cancel", 3, 9, 0, 100]]);
  const [first, later] = latest().heard.map((fields) => fields[5]); // when they were first sent, by the clock of this server
  assert.ok(TIME - 60_000_000_000 < first && first <= later && later <= TIME, `${first} ${later}`);
  for (const [, id, order] of latest().heard) latest().say("done", id, 5, order, 0, "cancelled", 0, 0, 0);
  assert.equal((await keyed).order, 8);
  assert.equal((await meanwhile).status, "cancelled");
});

timed("a request with a key is not sent when the connection is late", async () => {
  const client = await opened();
  const keyed = client.cancel(8, { key: 99 });
  latest().lose();
  const outcome = assert.rejects(keyed, ConnectionLost);
  await returned(5_000);
  await outcome;
  assert.deepEqual(latest().heard, []);
});

timed("delays grow, are jittered, and respect the window of a server that leaves", async () => {
  let chance = 0;
  const client = await opened({ random: () => chance });
  const reconnects = async (ms) => {
    const { length } = Peer.all;
    mock.timers.tick(ms - 1);
    assert.equal(Peer.all.length, length);
    mock.timers.tick(1);
    assert.equal(Peer.all.length, length + 1);
  };
  latest().lose();
  await reconnects(100);
  latest().lose();
  await reconnects(200);
  chance = 1;
  latest().lose();
  await reconnects(200);
  latest().welcome();
  chance = 0.5;
  latest().say("leaving", 5_000);
  assert.equal(client.returnMs, 5_000);
  latest().lose(4002, "leaving");
  await reconnects(2_500);
});

timed("a final close code ends all, and nothing comes back", async () => {
  const client = await opened();
  const book = await withBook(client);
  const iterating = assert.rejects(async () => { for await (const _ of book); }, Closed);
  const pinging = assert.rejects(client.ping(), /4500 abuse/);
  await settled();
  latest().lose(4500, "abuse");
  await Promise.all([iterating, pinging]);
  mock.timers.tick(100_000);
  assert.equal(Peer.all.length, 1);
  await assert.rejects(client.ping(), Closed);
});

timed("a channel resumes from where it was", async () => {
  const client = await opened();
  const book = await withBook(client);
  latest().lose();
  await returned();
  assert.deepEqual(latest().heard, [["subscribe", 2, [BOOK], null, 100, { [BOOK]: [EPOCH, 5] }]]);
  latest().subscribed("merged");
  latest().say("book", BOOK, EPOCH, 5, 9, [100, 0, 101, 2], [], mix64(0, 101, 2), 0, 0, 0);
  assert.deepEqual([book.seq, book.levels.best(0), book.verified, book.patches], [9, [[101, 2]], true, 1]);
  assert.deepEqual(client.recoveries, { none: 0, merged: 1, snapshot: 1 });
});

timed("a gap is recovered with `resume`, a mismatch without, at most once a second", async () => {
  const client = await opened();
  const book = await withBook(client);
  latest().say("book", BOOK, EPOCH, 7, 8, [101, 2], [], 0, 1, 0, 0);
  latest().say("book", BOOK, EPOCH, 8, 9, [101, 3], [], 0, 1, 0, 0);
  mock.timers.tick(0);
  assert.deepEqual(latest().heard.slice(1), [["subscribe", 2, [BOOK], null, 100, { [BOOK]: [EPOCH, 5] }]]);
  latest().subscribed("merged");
  await settled();
  latest().say("book", BOOK, EPOCH, 5, 9, [101, 3], [], 1, 0, 0, 0);
  assert.deepEqual([book.counts.mismatch, book.verified, book.levels.best(0)], [1, false, [[100, 5]]]);
  mock.timers.tick(999);
  assert.equal(latest().heard.length, 2);
  mock.timers.tick(1);
  assert.deepEqual(latest().heard[2], ["subscribe", 3, [BOOK], null, 100, {}]);
});

timed("a silent server is pinged, and lost if it does not answer", async () => {
  const client = await opened();
  mock.timers.tick(9_999);
  assert.deepEqual(latest().tags, []);
  mock.timers.tick(1);
  assert.deepEqual(latest().tags, ["ping"]);
  latest().say("pong", 1, 0);
  mock.timers.tick(10_000);
  assert.equal(client.state, "open");
  mock.timers.tick(10_000);
  mock.timers.tick(10_000);
  assert.equal(client.state, "lost");
});

timed("what cannot be read, or is of another kind, ends the connection", async () => {
  const client = await opened();
  await withBook(client);
  latest().say("trades", BOOK, EPOCH, null, 6, [], 0);
  assert.equal(client.state, "lost");
  await returned();
  latest().onmessage({ data: new Uint8Array([0xc1]).buffer });
  assert.equal(client.state, "lost");
});

timed("an iteration of a lossless channel has all, and tells what is missing", async () => {
  const client = await opened();
  const subscribing = client.trades("BTC-USD");
  latest().subscribed();
  const trades = await subscribing;
  const had = [];
  const say = (prev, seq, ...prices) => latest().say("trades", "trades:BTC-USD", EPOCH, prev, seq, prices.map((price) => [seq, 0, price, 1, "buy"]), 0);
  say(null, 3, 10);
  say(3, 5, 11, 12);
  const iterating = (async () => { for await (const item of trades) had.push(item instanceof Gap ? [item.since, item.seq] : item.price_ticks); })();
  await settled();
  latest().say("gap", "trades:BTC-USD", EPOCH, 5, 8);
  say(null, 8, 20);
  say(8, 9, 21);
  client.close();
  await assert.rejects(iterating, Closed);
  assert.deepEqual(had, [11, 12, [5, 8], 21]);
});

// The conformance vectors

const VECTORS = new URL("../vectors/", import.meta.url);
const vectors = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, VECTORS)));
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));
const text = (value) => value.toString();
const ordered = (rows) => rows.sort(([one], [other]) => (one < other ? -1 : 1));

const STATES = {
  orderbook: (book) => ({ bids: book.levels.best(0).flat(), asks: book.levels.best(1).flat(), digest: text(book.levels.digest.value) }),
  market_by_order: ({ queues }) => ({
    orders: ["buy", "sell"].flatMap((side, at) => queues.levels.best(at).flatMap(([price]) => queues.queue(at, price).map((order) => [side, price, ...order]))),
    digest: text(queues.digest.value),
    levels_digest: text(queues.levels.digest.value),
  }),
  trades: (trades) => ({ trades: trades.latest.map(({ seq, price_ticks, size_lots, side }) => [seq, price_ticks, size_lots, side]) }),
  ticker: ({ frame }) => Object.fromEntries(
    ["last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume", "trades", "value", "phase"]
      .map((name) => [name, name === "value" ? text(frame.value) : frame[name]]),
  ),
  orders: (orders) => ({
    open: ordered([...orders.open.values()].map((each) => [each.order, each.client_id, each.side, each.price_ticks, each.remaining_lots, each.filled_lots])),
  }),
  balances: (balances) => ({
    balances: ordered([...balances.assets.values()].filter((each) => each.available_units || each.held_units)
      .map((each) => [each.asset, each.decimals, text(each.available_units), text(each.held_units)])),
  }),
};

for (const kind of Object.keys(STATES)) {
  for (const vector of vectors(kind)) {
    timed(`vector ${kind}: ${vector.name}`, async () => {
      const client = await opened();
      const subscribing = client.subscribe([vector.channel]);
      latest().subscribed();
      const [mirror] = await subscribing;
      let told = null;
      client.addEventListener("frame", ({ detail }) => (told = detail.verdict));
      client.addEventListener("gap", () => (told = "lost"));
      for (const step of vector.steps) {
        latest().onmessage({ data: bytes(step.msgpack).buffer });
        assert.equal(told, step.verdict, step.note);
        assert.deepEqual(mirror.resume, step.resume);
        if (Object.keys(step.state).length) assert.deepEqual(STATES[kind](mirror), step.state);
        else assert.equal(mirror.frame, null);
      }
    });
  }
}

timed("vector candles", async () => {
  for (const { steps } of vectors("candles")) {
    const client = await opened();
    for (const { msgpack, state } of steps) {
      client.scales.set("BTC-USD", { ticks: "0.01", lots: "0.0001", units: "0.000001" });
      const asking = client.candles("BTC-USD", "1m", { count: 10 });
      assert.deepEqual(latest().heard.at(-1).slice(2), ["BTC-USD", "1m", 0, 0, 10]);
      const [tag, , ...fields] = deltabook.decode(bytes(msgpack));
      latest().say(tag, latest().heard.at(-1)[1], ...fields);
      const { candles } = await asking;
      assert.deepEqual(candles.map((each) => [
        text(each.start), each.open_ticks, each.high_ticks, each.low_ticks, each.close_ticks,
        ...[each.size_lots, each.value_units, each.bought_lots, each.bought_value_units].map(text),
        each.trades, each.first, each.last,
      ]), state.candles);
    }
  }
});

timed("what is read is in decimals, with the counts beside it", async () => {
  const client = await opened();
  const subscribing = client.subscribe([BOOK, "trades:BTC-USD", "orders", "balances"], { intervalMs: 0 });
  const { id } = latest().asked("subscribe");
  const channels = [BOOK, "trades:BTC-USD", "orders", "balances"].map((channel) => [channel, "snapshot", "new", 0, 0, ...(channel.includes(":") ? ["0.01", "0.0001", 6] : [])]);
  latest().say("subscribed", id, EPOCH, 0, channels);
  const [book, trades, orders, balances] = await subscribing;
  latest().say("book", BOOK, EPOCH, null, 5, [6000000, 5], [], mix64(0, 6000000, 5), 0, 0, 0);
  latest().say("trades", "trades:BTC-USD", EPOCH, null, 5, [[5, 0, 6000001, 2n ** 60n, "buy"]], 0);
  latest().say("orders", "orders", EPOCH, null, 5, [[5, 0, "open", 7, 0, "ETH-USD", "buy", 100, 5, 0, 0, 0, 0, 0, "", "limit", 0, 5, 0, 0, ""]], 0);
  latest().say("balances", "balances", EPOCH, null, 5, [["USD", 6, 5000001, 0]], 0);
  assert.deepEqual(book.bestBid, { price: "60000.00", size: "0.0005", price_ticks: 6000000, size_lots: 5 });
  for await (const frame of book) { assert.deepEqual(frame.bids, [book.bestBid]); break; }
  assert.deepEqual([trades.latest[0].price, trades.latest[0].size, trades.latest[0].price_ticks], ["60000.01", "115292150460684.6976", 6000001]);
  assert.equal(balances.assets.get("USD").available, "5.000001");
  const order = orders.open.get(7);
  assert.equal(JSON.parse(JSON.stringify(order)).price_ticks, 100); // the instrument is not known yet
  assert.throws(() => order.price, /ETH-USD.*not known here/);
  assert.equal(latest().tags.at(-1), "instruments");
  client.scales.set("ETH-USD", { ticks: "0.5", lots: "1", units: "1" });
  assert.equal(JSON.parse(JSON.stringify(order)).price, "50.0");
  const replacing = client.replace(order, "60.5", "2");
  assert.deepEqual(latest().heard.at(-1).slice(2, 5), [7, 121, 2]);
  latest().say("done", latest().asked("replace").id, 6, 7, 0, "open", 2, 0, 0);
  assert.equal((await replacing).remaining, "2");
  await assert.rejects(client.reduce(7, "1"), /by: "1": expected { lots: ... }, or the order instead of its id, or its instrument/);
});

test("vector digest", () => {
  for (const { bids, asks, digest } of vectors("digest")) {
    const book = new deltabook.Book("orderbook:X");
    assert.equal(book.receive({ epoch: 1, prev: null, seq: 1, bids, asks, digest: BigInt(digest), batches: 0 }), "snapshot");
  }
});

timed("vector connection", async () => {
  for (const { steps } of vectors("connection")) {
    const client = fresh();
    const opening = client.open();
    await settled();
    latest().readyState = 1;
    for (const step of steps) {
      latest().onmessage({ data: bytes(step.msgpack).buffer });
      const known = { pacing_ms: client.pacingMs, stale_since: text(client.staleSince), return_ms: client.returnMs };
      assert.deepEqual(known, step.state);
    }
    await opening;
  }
});
