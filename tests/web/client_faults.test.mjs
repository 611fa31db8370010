// The JavaScript client where things go wrong, against a server that is a script: handshakes, tokens, limits, readers, and what is given up.

import assert from "node:assert/strict";
import { mock, test } from "node:test";

import { Client, ClientError, Closed, connect, ConnectionLost, decode, encode, fromText, placing, RequestRefused, SignInRefused } from "../../stream/web/client/index.js";
import { BOOK, EPOCH, fresh, latest, opened, Peer, returned, settled, timed, withBook } from "./peer.mjs";

const SECRET = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.VerySecretSignature";
const iterate = async (mirror, items = []) => {
  for await (const item of mirror) items.push(item);
};

// Handshakes and endings

timed("whatever a handshake comes to is a refusal of the first connection, and one more attempt of a return", async () => {
  const ends = {
    "closed": (peer) => peer.lose(1006),
    "closed with a code": (peer) => peer.lose(1013, "try again later"),
    "an error and a close": (peer) => { peer.onerror({ message: "Unexpected server response: 503" }); peer.lose(1006); },
    "an error without a text": (peer) => { peer.onerror({}); peer.lose(1006); },
    "an error alone": (peer) => { peer.onerror({ message: "no" }); mock.timers.tick(100); },
    "nothing at all": () => mock.timers.tick(10_000),
    "a connection without a welcome": (peer) => { peer.readyState = 1; mock.timers.tick(10_000); },
    "another message first": (peer) => { peer.readyState = 1; peer.say("pong", 1, 0); },
    "no message": (peer) => peer.onmessage({ data: encode(5).buffer }),
    "a text": (peer) => peer.onmessage({ data: "hello" }),
    "a text that is a number": (peer) => peer.onmessage({ data: "5" }),
    "nothing in a message": (peer) => peer.onmessage({ data: new ArrayBuffer(0) }),
    "what cannot be read": (peer) => peer.onmessage({ data: new Uint8Array([0xc1]).buffer }),
  };
  for (const [name, end] of Object.entries(ends)) {
    const first = fresh();
    const opening = first.open();
    await settled();
    end(latest());
    await assert.rejects(opening, (error) => error instanceof ConnectionLost && error.message.startsWith("ws://test/v1: ") && error.message.length > 30, name);
    assert.equal(first.state, "closed", name);
    mock.timers.tick(100_000);
    assert.equal(Peer.all.length, 1, name);

    const client = await opened();
    const book = await withBook(client);
    const reasons = [];
    client.addEventListener("state", ({ detail: { state, reason } }) => reasons.push([state, reason]));
    latest().lose();
    mock.timers.tick(100);
    end(latest());
    assert.deepEqual(reasons.map(([state]) => state), ["lost", "lost"], name);
    assert.match(reasons[1][1], /^ws:\/\/test\/v1: .*is it a deltabook server/, name);
    await returned(200);
    latest().subscribed("none");
    await settled();
    assert.deepEqual([client.state, client.connections, book.levels.best(0)], ["open", 2, [[100, 5]]], name);
    client.close();
  }
});

timed("what ends a first connection is told as the socket tells it", async () => {
  const opening = fresh().open();
  await settled();
  latest().onerror({ message: "Unexpected server response: 429" });
  latest().lose(1006);
  await assert.rejects(opening, /Unexpected server response: 429/);
});

timed("an exception in what a server sends loses the connection, and nothing else", async () => {
  const client = await opened();
  const book = await withBook(client);
  const iterating = iterate(book);
  for (const message of [["book", BOOK, EPOCH, 5, 6, null, [], 0, 0, 0, 0], ["subscribed", 1, EPOCH, 0, [null]], ["trades", "trades:X"], ["welcome", "x", 1, 1, 1, 1, null], [], 7]) {
    const { length } = Peer.all;
    latest().onmessage({ data: encode(message).buffer });
    if (message.length === 2) continue; // a channel that nobody listens to
    if (message.length === 0) {
      assert.equal(client.state, "open"); // of a later protocol
      continue;
    }
    assert.equal(client.state, "lost", JSON.stringify(message));
    mock.timers.tick(30_000);
    assert.equal(Peer.all.length, length + 1);
    latest().welcome();
    await settled();
    latest().subscribed("none");
    await settled();
    assert.equal(client.state, "open");
  }
  client.close();
  await assert.rejects(iterating, Closed);
});

timed("every waiter hears why it ended, whoever ended it", async () => {
  const client = await opened();
  const book = await withBook(client);
  const waiting = [client.ping(), client.cancel(5, { key: 7 }), client.trades("BTC-USD"), iterate(book)];
  latest().lose(4500, "abuse");
  for (const [i, each] of waiting.entries()) await assert.rejects(each, /the server said 4500 abuse/, String(i));
  await assert.rejects(client.ping(), (error) => error instanceof Closed && /4500 abuse/.test(error.message));
  await assert.rejects(client.orderbook("BTC-USD"), /4500 abuse/);
  await assert.rejects(iterate(book), /4500 abuse/);
});

timed("a client is opened once, and again when it is closed", async () => {
  const client = fresh();
  const opening = client.open();
  await assert.rejects(client.open(), /the client is connecting: expected a new client, which is opened only once/);
  await settled();
  latest().lose();
  await assert.rejects(opening, ConnectionLost);
  const again = client.open();
  await settled();
  latest().welcome();
  await again;
  assert.equal(client.state, "open");
});

timed("close() while it connects ends that, and leaves no socket", async () => {
  for (const early of [true, false]) {
    const client = fresh();
    const opening = client.open();
    if (!early) await settled();
    client.close();
    await assert.rejects(opening, Closed);
    assert.ok(Peer.all.every(({ readyState }) => readyState === 3));
  }
});

test("an address that is none is told, without what may be secret in it", () => {
  for (const url of ["", "127.0.0.1:8080", "http://x/v1", `nonsense ${SECRET}`]) {
    assert.throws(() => new Client(url), (error) => error instanceof ClientError && /such as ws:/.test(error.message) && !error.message.includes(SECRET), url);
  }
});

timed("no secret of an address is in the text of an error", async () => {
  Peer.all = [];
  const opening = new Client(`ws://name:${SECRET}@test/v1?token=${SECRET}`, { WebSocket: Peer }).open();
  await settled();
  latest().lose();
  await assert.rejects(opening, (error) => error.message.startsWith("ws://test/v1: ") && !error.message.includes(SECRET));
  const WebSocket = class { constructor(url) { throw new SyntaxError(`cannot parse ${url}`); } };
  await assert.rejects(connect(`ws://test/v1?token=${SECRET}`, { WebSocket }), (error) => error instanceof ClientError && !error.message.includes(SECRET));
});

// Giving up

timed("an aborted connect leaves no socket, whenever it is", async () => {
  const moments = {
    "before": async () => {},
    "on its way": async () => settled(),
    "with a welcome": async () => { await settled(); latest().welcome(); },
    "while it signs in": async () => { await settled(); latest().welcome(); await settled(); },
  };
  for (const [name, moment] of Object.entries(moments)) {
    Peer.all = [];
    const given = new AbortController();
    const opening = connect("ws://test/v1", { WebSocket: Peer, token: "t", signal: given.signal });
    await moment();
    given.abort();
    await assert.rejects(opening, { name: "AbortError" }, name);
    assert.ok(Peer.all.every(({ readyState }) => readyState === 3), name);
    const { length } = Peer.all;
    mock.timers.tick(100_000);
    assert.equal(Peer.all.length, length, name);
  }
  await assert.rejects(connect("ws://test/v1", { WebSocket: Peer, signal: AbortSignal.abort() }), { name: "AbortError" });
});

timed("an abort behind the opening does nothing", async () => {
  Peer.all = [];
  const given = new AbortController();
  const opening = connect("ws://test/v1", { WebSocket: Peer, signal: given.signal });
  await settled();
  latest().welcome();
  const client = await opening;
  given.abort();
  assert.equal(client.state, "open");
});

timed("an aborted subscription is one on neither side", async () => {
  const client = await opened();
  const given = new AbortController();
  const subscribing = client.orderbook("BTC-USD", { signal: given.signal });
  given.abort(new Error("enough"));
  await assert.rejects(subscribing, /enough/);
  assert.deepEqual(latest().heard, [["subscribe", 1, [BOOK], null, null, {}], ["unsubscribe", 2, [BOOK]]]);
  latest().subscribed();
  latest().say("book", BOOK, EPOCH, null, 5, [], [], 0, 0, 0, 0);
  latest().say("unsubscribed", 2, [BOOK]);
  assert.equal(client.mirrors.size, 0);
  latest().lose();
  await returned();
  assert.deepEqual(latest().heard, []);
  await assert.rejects(client.orderbook("BTC-USD", { signal: AbortSignal.abort() }), { name: "AbortError" });
  assert.deepEqual([latest().heard, client.mirrors.size], [[], 0]);
});

timed("an aborted subscription takes nothing from who has the channel, or waits for it", async () => {
  const client = await opened();
  const book = await withBook(client);
  const given = new AbortController();
  const again = client.subscribe([BOOK, "trades:BTC-USD"], { intervalMs: 0, signal: given.signal });
  const other = client.subscribe(["trades:BTC-USD"]);
  given.abort();
  await assert.rejects(again, { name: "AbortError" });
  assert.equal(client.mirrors.get(BOOK), book);
  await settled();
  assert.deepEqual(latest().heard.slice(1).map(([tag, , channels]) => [tag, channels]), [
    ["subscribe", [BOOK, "trades:BTC-USD"]], ["unsubscribe", ["trades:BTC-USD"]], ["subscribe", [BOOK]], ["subscribe", ["trades:BTC-USD"]],
  ]);
  latest().subscribed();
  const [trades] = await other;
  assert.equal(client.mirrors.get("trades:BTC-USD"), trades);
});

timed("a refused subscription takes nothing from who waits for one of its channels", async () => {
  const client = await opened();
  const refused = client.subscribe([BOOK, "trades:NO-SUCH"]);
  const good = client.subscribe([BOOK]);
  latest().refuse("subscribe", 301, "there is none of that name");
  await assert.rejects(refused, RequestRefused);
  await settled();
  latest().subscribed();
  assert.equal(client.mirrors.get(BOOK), (await good)[0]);
});

timed("to unsubscribe while there is no connection is no failure", async () => {
  const client = await opened();
  const book = await withBook(client);
  const iterating = iterate(book);
  latest().lose();
  await client.unsubscribe([BOOK]);
  await assert.rejects(iterating, /was unsubscribed/);
  await returned();
  assert.deepEqual([latest().heard, client.mirrors.size], [[], 0]);
});

// Tokens

for (const [name, code] of [["expired", 4001], ["was revoked", 4501]]) {
  timed(`a token that ${name}: own channels say why, and public ones go on`, async () => {
    const client = await opened({ token: SECRET });
    const listening = client.subscribe(["orders", "balances", BOOK]);
    latest().subscribed();
    const [orders, balances, book] = await listening;
    latest().say("book", BOOK, EPOCH, null, 5, [], [], 0, 0, 0, 0);
    const told = [];
    client.addEventListener("state", ({ detail: { state, reason } }) => told.push([state, reason]));
    const ended = [orders, balances].map((own) => assert.rejects(iterate(own), (error) => error instanceof SignInRefused && error.code === code && /the token/.test(error.message)));
    await settled();
    latest().lose(code, `the token ${name}`);
    await Promise.all(ended);
    assert.equal(client.signInRefused.code, code);
    await returned();
    assert.deepEqual(latest().heard.map(([tag, , channels]) => [tag, channels]), [["subscribe", [BOOK]]]);
    latest().subscribed("none");
    await settled();
    assert.equal(client.state, "open");
    assert.ok(told.every(([, reason]) => reason.includes(`the token ${name}`)) && told.at(-1)[0] === "open", JSON.stringify(told));
    latest().say("book", BOOK, EPOCH, 5, 6, [], [], 0, 0, 0, 0);
    assert.equal(book.seq, 6);
    const signing = client.login("another.token.yet");
    await settled();
    latest().loggedIn();
    await signing;
    assert.equal(client.signInRefused, null);
    latest().lose();
    await returned(30_000);
    assert.deepEqual(latest().asked("login").fields, ["another.token.yet"]);
    client.close();
  });
}

timed("a token that is refused on a return ends own channels, and public ones go on", async () => {
  const client = await opened({ token: "t" });
  const listening = client.subscribe(["orders", BOOK]);
  latest().subscribed();
  const [orders, book] = await listening;
  const iterating = assert.rejects(iterate(orders), (error) => error instanceof SignInRefused && error.code === 201);
  await settled();
  latest().lose();
  await returned();
  assert.deepEqual(latest().tags, ["login"]);
  latest().refuse("login", 201, "expired");
  await iterating;
  await settled();
  assert.deepEqual([...client.mirrors.values()], [book]);
  latest().subscribed();
  await settled();
  assert.equal(client.state, "open");
  latest().lose();
  await returned(30_000);
  assert.deepEqual(latest().tags, ["subscribe"]); // what was refused is not sent again
});

timed("what is no fault of the token is one more attempt", async () => {
  for (const code of [204, 500, 505]) {
    const client = await opened({ token: "t" });
    const listening = client.subscribe(["orders"]);
    latest().subscribed();
    await listening;
    latest().lose();
    await returned();
    latest().refuse("login", code, "later");
    await settled();
    assert.equal(client.state, "lost");
    await returned(200);
    latest().loggedIn();
    await settled();
    latest().subscribed("none");
    await settled();
    assert.deepEqual([client.state, client.mirrors.size], ["open", 1]);
    client.close();
  }
});

for (const [name, give] of [["a function", (tokens) => () => tokens.shift()], ["an async function", (tokens) => async () => tokens.shift()]]) {
  timed(`${name} is asked for a fresh token, and own channels go on`, async () => {
    const client = await opened({ token: give(["one", "two", "three"]) });
    const listening = client.subscribe(["orders", BOOK]);
    latest().subscribed();
    const [orders] = await listening;
    latest().say("orders", "orders", EPOCH, null, 3, [], 0);
    latest().lose(4001, "expired");
    await returned();
    assert.deepEqual(latest().asked("login").fields, ["two"]);
    latest().refuse("login", 201, "not yet valid");
    await settled();
    assert.deepEqual(latest().asked("login").fields, ["three"]);
    latest().loggedIn();
    await settled();
    assert.deepEqual(latest().asked("subscribe").fields[0], ["orders", BOOK]);
    latest().subscribed("none");
    await settled();
    assert.deepEqual([client.state, client.signInRefused, client.mirrors.get("orders")], ["open", null, orders]);
  });
}

timed("a function that has no token now is asked again, and public channels go on meanwhile", async () => {
  const given = ["one", null, null, "two"];
  const token = () => given.shift() ?? Promise.reject(new Error("the issuer is away"));
  const client = await opened({ token });
  const listening = client.subscribe(["orders", BOOK]);
  latest().subscribed();
  const [orders] = await listening;
  latest().lose();
  await returned();
  assert.deepEqual(latest().heard.map(([tag, , channels]) => [tag, channels]), [["subscribe", [BOOK]]]);
  latest().subscribed("none");
  await settled();
  assert.equal(client.state, "open");
  assert.match(client.signInRefused.message, /the function gave no token: the issuer is away/);
  for (const _ of [1, 2]) {
    mock.timers.tick(5000);
    await settled();
  }
  assert.deepEqual(latest().asked("login").fields, ["two"]);
  latest().loggedIn();
  await settled();
  assert.deepEqual(latest().asked("subscribe").fields[0], ["orders"]);
  latest().subscribed("none");
  await settled();
  assert.deepEqual([client.signInRefused, client.mirrors.get("orders")], [null, orders]);
});

timed("a first connection whose token is refused, or is none, is refused", async () => {
  const first = fresh({ token: SECRET });
  const refused = first.open();
  await settled();
  latest().welcome();
  await settled();
  latest().refuse("login", 201, "expired");
  await assert.rejects(refused, (error) => error instanceof SignInRefused && error.code === 201);
  const failing = fresh({ token: () => { throw new Error("no file"); } });
  const none = failing.open();
  await settled();
  latest().welcome();
  await assert.rejects(none, /the function gave no token: no file/);
  assert.ok(Peer.all.every(({ readyState }) => readyState === 3));
});

timed("a token is in no text and no event, whatever is behind or in it", async () => {
  for (const behind of ["\n", " ", "\r\n\t"]) {
    const client = await opened({ token: SECRET + behind });
    assert.deepEqual(latest().asked("login").fields, [SECRET]);
    client.close();
  }
  const hides = (error) => error instanceof ClientError && error.message.startsWith("token: expected") && !error.message.includes("Secret");
  for (const token of [`${SECRET}\n${SECRET}`, `${SECRET} x`, `${SECRET}\u00e9`, `${SECRET}\ud800`, 5, [SECRET], { SECRET }, Symbol(SECRET)]) {
    assert.throws(() => new Client("ws://test/v1", { token }), hides);
    const client = await opened();
    await assert.rejects(client.login(token), hides);
    const asked = fresh({ token: () => token }).open();
    await settled();
    latest().welcome();
    await assert.rejects(asked, (error) => /the function gave no token: token: expected/.test(error.message) && !error.message.includes("Secret"));
  }
  const client = fresh({ token: SECRET });
  const events = [];
  for (const type of ["message", "state", "notice"]) client.addEventListener(type, ({ detail }) => events.push(JSON.stringify(detail), Buffer.from(detail.bytes ?? []).toString("latin1")));
  const opening = client.open();
  await settled();
  latest().welcome();
  await settled();
  latest().loggedIn();
  await opening;
  latest().lose(4001, "expired");
  assert.ok(events.some((text) => text.includes("login")));
  assert.ok(!events.some((text) => text.includes("Secret")));
});

// Within the server's limits

/** A server's count of what comes: whether anything ever was too much. */
class Counted extends Peer {
  static perMs = 2;
  static burst = 200;
  #level = Counted.burst;
  #at = Date.now();
  tooMuch = 0;

  send(bytes) {
    super.send(bytes);
    const [tag, , channels] = this.heard.at(-1);
    this.#level = Math.min(Counted.burst, this.#level + (Date.now() - this.#at) * Counted.perMs);
    this.#at = Date.now();
    this.tooMuch += this.#level < 1;
    this.#level -= 1 + (tag.endsWith("subscribe") ? channels.length : 0);
    this.longest = Math.max(this.longest ?? 0, bytes.length);
  }
}

const names = (count, kind = "orderbook") => Array.from({ length: count }, (_, i) => `${kind}:COIN${String(i).padStart(4, "0")}-USDT`);

/** Answer each subscription as it comes, for so long. */
async function answering(ms, frames = true) {
  const peer = latest();
  let answered = 0;
  for (let at = 0; at < ms; at += 25) {
    for (; answered < peer.heard.length; answered++) {
      const [tag, id, channels] = peer.heard[answered];
      if (tag === "subscribe") {
        peer.say("subscribed", id, EPOCH, 5, channels.map((channel) => [channel, "snapshot", "new", 0, 100]));
        for (const channel of frames ? channels : []) if (channel.startsWith("orderbook")) peer.say("book", channel, EPOCH, null, 1_700_000_000_000, [], [], 0, 0, 0, 0);
      } else if (tag === "unsubscribe") peer.say("unsubscribed", id, channels);
      else peer.say("done", id, 5, 1, 0, "open", 1, 0, 0);
    }
    mock.timers.tick(25);
    await settled();
  }
}

const LIMITS = [1000, 16 * 1024, 2000, 200];

timed("a thousand channels at once, and orders, and all are back, within every limit", async () => {
  const client = await opened({ WebSocket: Counted }, LIMITS);
  const subscribing = client.subscribe([...names(500), ...names(500, "trades")]);
  const orders = Array.from({ length: 300 }, (_, i) => client.cancel(i + 1));
  await answering(3000);
  assert.equal((await subscribing).length, 1000);
  assert.equal((await Promise.all(orders)).length, 300);
  const before = latest();
  latest().lose();
  await returned(100, LIMITS);
  await answering(3000);
  assert.equal(client.state, "open");
  const asked = latest().heard.filter(([tag]) => tag === "subscribe");
  assert.deepEqual(asked.flatMap(([, , channels]) => channels).sort(), [...names(500), ...names(500, "trades")].sort());
  assert.equal(asked.reduce((sum, [, , , , , resume]) => sum + Object.keys(resume).length, 0), 500);
  for (const peer of [before, latest()]) {
    assert.equal(peer.tooMuch, 0);
    assert.ok(peer.longest <= 16 * 1024, String(peer.longest));
  }
});

timed("hundreds of channels one by one, with an unsubscription between", async () => {
  const client = await opened({ WebSocket: Counted }, LIMITS);
  const each = names(300).map((channel) => client.subscribe([channel]));
  await answering(1500);
  await Promise.all(each);
  const leaving = client.unsubscribe(names(300));
  await answering(1000);
  await leaving;
  assert.deepEqual([latest().tooMuch, client.mirrors.size], [0, 0]);
});

timed("the limits are the server's own, and one that tells none has the usual ones", async () => {
  for (const [limits, most, bytes] of [[[3, 200, 2000, 200], 3, 200], [[], 1000, 16 * 1024], [[0, 0, 0, 0], 1000, 16 * 1024]]) {
    const client = await opened({}, limits);
    const subscribing = client.subscribe(names(most));
    await answering(1000);
    await subscribing;
    await assert.rejects(client.subscribe(names(most + 1)), new RegExp(`expected at most ${most} channels on one connection`));
    assert.equal(client.mirrors.size, most);
    await assert.rejects(client.request("list", "x".repeat(bytes)), new RegExp(`list: the message has \\d+ bytes, and the server takes at most ${bytes}`));
    assert.equal(client.state, "open");
    client.close();
  }
});

timed("longer messages may be sent by who has signed in", async () => {
  const client = await opened({}, [1000, 500, 2000, 200]);
  const signing = client.login("t");
  await settled();
  latest().say("logged_in", latest().asked("login").id, "alice", [], 0, 1000, 2000, 2000, 200);
  await signing;
  client.request("list", "x".repeat(1500)).catch(() => {});
  assert.deepEqual(latest().tags, ["login", "list"]);
});

timed("what one of many channels is refused for is found by halving, and the others are back", async () => {
  const client = await opened({}, LIMITS);
  const subscribing = client.subscribe(names(64));
  latest().subscribed();
  const mirrors = await subscribing;
  const ended = assert.rejects(iterate(mirrors[37]), RequestRefused);
  await settled();
  latest().lose();
  await returned(100, LIMITS);
  for (let answered = 0; answered < latest().heard.length; answered++) {
    const [, id, channels] = latest().heard[answered];
    if (channels.includes(mirrors[37].channel)) latest().say("error", id, 301, "no such instrument", 0);
    else latest().say("subscribed", id, EPOCH, 0, channels.map((channel) => [channel, "none", "current", 0, 100]));
    await settled();
  }
  await ended;
  assert.deepEqual([client.state, client.mirrors.size], ["open", 63]);
  assert.ok(latest().heard.length <= 2 * 6 + 1);
});

timed("a return that is told to be slower is one more attempt, and costs no channel", async () => {
  const client = await opened();
  await withBook(client);
  latest().lose();
  await returned();
  latest().refuse("subscribe", 101, "too many");
  await settled();
  assert.deepEqual([client.state, client.mirrors.size], ["lost", 1]);
});

timed("others' requests wait while a connection signs in and subscribes again", async () => {
  const client = await opened({ token: "t" });
  const listening = client.subscribe(["orders"]);
  latest().subscribed();
  await listening;
  latest().lose();
  await returned();
  const cancelling = client.cancel(5);
  await settled();
  assert.deepEqual(latest().tags, ["login"]);
  latest().loggedIn();
  await settled();
  latest().subscribed("none");
  await settled();
  assert.deepEqual(latest().tags, ["login", "subscribe", "cancel"]);
  latest().say("done", latest().asked("cancel").id, 5, 5, 0, "cancelled", 0, 0, 0);
  assert.equal((await cancelling).status, "cancelled");
});

// Several readers

timed("several iterations of one channel each get all of it, two subscriptions of it too", async () => {
  const client = await opened();
  const first = client.trades("BTC-USD");
  const second = client.trades("BTC-USD");
  latest().subscribed();
  const trades = await first;
  const had = [[], [], [], []];
  const say = (prev, seq, ...prices) => latest().say("trades", "trades:BTC-USD", EPOCH, prev, seq, prices.map((price) => [seq, 0, price, 1, "buy"]), 0);
  say(null, 3, 10);
  say(3, 5, 11);
  const iterating = [iterate(trades, had[0]), iterate(trades, had[1])];
  await settled();
  assert.equal(await second, trades);
  assert.deepEqual(latest().tags, ["subscribe"]); // another snapshot would hide what it holds
  mock.timers.tick(0);
  iterating.push(iterate(trades, had[2]));
  await settled();
  say(5, 6, 12, 13);
  client.close();
  for (const each of iterating) await assert.rejects(each, Closed);
  assert.deepEqual(had.map((items) => items.map((each) => each.price_ticks)), [[11, 12, 13], [11, 12, 13], [12, 13], []]);
});

timed("several iterations of a book each get the latest", async () => {
  const client = await opened();
  const book = await withBook(client);
  const had = [[], []];
  const iterating = had.map((items) => iterate(book, items));
  await settled();
  latest().say("book", BOOK, EPOCH, 5, 6, [], [], book.levels.digest.value, 0, 0, 0);
  await settled();
  client.close();
  for (const each of iterating) await assert.rejects(each, Closed);
  assert.deepEqual(had.map((items) => items.map(({ seq }) => seq)), [[5, 6], [5, 6]]);
});

timed("a subscription that takes on another interval goes on from where it is, and with another depth begins anew", async () => {
  const client = await opened();
  const book = await withBook(client);
  const faster = client.orderbook("BTC-USD", { intervalMs: 0 });
  assert.deepEqual(latest().asked("subscribe").fields, [[BOOK], null, 0, { [BOOK]: [EPOCH, 5] }]);
  latest().subscribed("none");
  assert.equal(await faster, book);
  client.orderbook("BTC-USD", { depth: 5 }).catch(() => {});
  assert.deepEqual(latest().asked("subscribe").fields, [[BOOK], 5, null, {}]);
});

timed("a copy is no point to resume from on other terms, though the line is cut before their snapshot", async () => {
  const client = await opened();
  const book = await withBook(client);
  const window = client.orderbook("BTC-USD", { depth: 5 });
  latest().subscribed();
  assert.equal(await window, book);
  latest().lose();
  await returned();
  assert.deepEqual(latest().asked("subscribe").fields, [[BOOK], 5, null, {}]);
});

timed("a subscription that is aborted leaves the terms of others", async () => {
  const client = await opened();
  await withBook(client);
  const abort = new AbortController();
  const window = client.orderbook("BTC-USD", { depth: 5, signal: abort.signal });
  abort.abort();
  await assert.rejects(window);
  await settled();
  latest().subscribed();
  assert.deepEqual(latest().asked("subscribe").fields.slice(0, 2), [[BOOK], null]);
});

// What cannot be is told at once

const TERMS = { name: "BTC-USD", tick: "0.05", lot: "0.001", quote_decimals: 2 };

test("prices and sizes that nobody can know are told with what is expected", () => {
  const wrong = [
    [[60000, "1"], /price: 60000: expected decimal text such as "60000", or { ticks: 60000 }, which counts steps of 0.05$/],
    [["1", 0.5], /size: 0.5: expected .* counts steps of 0.001$/], [["1", 5n], /size: 5: .* { lots: 5 }/], [[{ lots: 1 }, "1"], /price: {"lots":1}: .* { ticks: 1 }/],
    [[{ ticks: 2 ** 53 }, "1"], /price: /], [["0.07", "1"], /price "0.07": expected a multiple of 0.05$/], [[true, "1"], /price: true: expected/],
    [["1e400", "1"], /price "1e400": expected a decimal number as text, such as "0.05"$/], [["-5", "1"], /a decimal number/], [["", "1"], /a decimal number/],
    [["1", "1", { stop: 0.1 }], /stop: /], [["1", "1", { display: "0.0001" }], /display "0.0001": expected a multiple of 0.001/],
    [["1", "1", { no: 1 }], /no: there is no such option/],
  ];
  for (const [[price, size, options], words] of wrong) assert.throws(() => placing(TERMS, "buy", price, size, options), words);
  assert.deepEqual(placing(TERMS, "buy", "0.10", { lots: 2n ** 60n }).slice(2, 4), [2, 2n ** 60n]);
  assert.deepEqual(placing(TERMS, "buy", null, { units: 7 }, { quote: true }).slice(2, 4), [0, 7]);
  assert.equal(fromText("123456789012345678.05", "0.05"), 2469135780246913561n);
  assert.throws(() => fromText(5, "0.05"), /expected a decimal number as text/);
});

timed("a request that cannot be sent is told, and costs no connection", async () => {
  const client = await opened();
  for (const [value, words] of [[0.5, /0.5: expected a whole number; beyond 2\^53 use a BigInt/], ["\ud800", /lone surrogate/], [2n ** 64n, /64 bits/], [() => {}, /of type function/]]) {
    await assert.rejects(client.request("list", value), words);
  }
  await assert.rejects(client.subscribe(["nonsense:X"]), /channel "nonsense:X": expected orderbook:, market_by_order:, trades: or ticker:/);
  for (const channel of ["orderbook", "orderbook:", "orders:X", "__proto__:x", ""]) await assert.rejects(client.subscribe([channel]), ClientError, channel);
  assert.deepEqual([client.state, latest().heard, client.mirrors.size], ["open", [], 0]);
});

test("what is written is read as the same, in few bytes", () => {
  const values = [0, 127, 128, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, 2n ** 53n, 2n ** 64n - 1n, -1, -(2n ** 63n), "", "x".repeat(31), "x".repeat(32), "x".repeat(255), "x".repeat(256), "\u00e9".repeat(40_000)];
  values.push([], new Array(15).fill(1), new Array(16).fill(1), new Array(70_000).fill(1), {}, Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, i])), [null, true, false]);
  for (const value of values) assert.deepEqual(decode(encode(value)), value);
  assert.deepEqual(["a", "x".repeat(31), [1, 2], { a: 1 }].map((value) => encode(value).length), [2, 32, 3, 4]);
});
