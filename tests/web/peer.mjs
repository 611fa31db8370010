// A server that is a script, for the JavaScript client in node, and time that a test turns on.

import { mock, test } from "node:test";

import { Client, decode, encode, mix64 } from "../../stream/web/client/index.js";

export const TIME = 1_700_000_000_000_000;
export const EPOCH = 1_700_000_000_000;
export const BOOK = "orderbook:BTC-USD";

/** The server's end of each connection, newest last; the test says what comes. */
export class Peer {
  static all = [];
  readyState = 0;
  bufferedAmount = 0;
  heard = [];

  constructor(url, subprotocol) {
    Object.assign(this, { url, subprotocol });
    Peer.all.push(this);
  }

  send(bytes) {
    this.heard.push(decode(bytes));
  }

  say(...message) {
    this.onmessage?.({ data: encode(message).buffer });
  }

  /** Say who it is, and with `limits` what it takes: subscriptions, bytes of a message, messages a second, and at once. */
  welcome(...limits) {
    this.readyState = 1;
    this.say("welcome", "deltabook", EPOCH, 0, TIME, 2000, null, ...limits);
  }

  /** The latest request of a kind: its fields behind the id, with the id. */
  asked(tag) {
    const [, id, ...fields] = this.heard.findLast(([each]) => each === tag);
    return { id, fields };
  }

  loggedIn() {
    this.say("logged_in", this.asked("login").id, "alice", ["market", "account", "trade"], 0);
  }

  refuse(tag, code, message) {
    this.say("error", this.asked(tag).id, code, message, 0);
  }

  /** Answer the latest `subscribe`: all of its channels are brought up to date in one way. */
  subscribed(recovered = "snapshot") {
    const { id, fields: [channels] } = this.asked("subscribe");
    this.say("subscribed", id, EPOCH, 0, channels.map((channel) => [channel, recovered, "new", 0, 100]));
  }

  lose(code = 1006, reason = "") {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  close() {
    this.readyState = 3;
  }

  get tags() {
    return this.heard.map(([tag]) => tag);
  }
}

export const latest = () => Peer.all.at(-1);
export const settled = () => new Promise(setImmediate);

/** A client of the script that has not begun. */
export function fresh(options = {}) {
  Peer.all = [];
  return new Client("ws://test/v1", { WebSocket: Peer, random: () => 0, ...options });
}

export async function opened(options = {}, limits = []) {
  const client = fresh(options);
  const opening = client.open();
  await settled();
  latest().welcome(...limits);
  if (options.token) {
    await settled();
    latest().loggedIn();
  }
  await opening;
  return client;
}

export async function returned(ms = 100, limits = []) {
  mock.timers.tick(ms);
  latest().welcome(...limits);
  await settled();
}

export async function withBook(client) {
  const subscribing = client.orderbook("BTC-USD", { intervalMs: 100 });
  latest().subscribed();
  const book = await subscribing;
  latest().say("book", BOOK, EPOCH, null, 5, [100, 5], [], mix64(0, 100, 5), 0, 0, 0);
  return book;
}

export function timed(name, body) {
  test(name, async () => {
    mock.timers.enable({ apis: ["setTimeout", "Date"], now: EPOCH });
    try {
      await body();
    } finally {
      mock.timers.reset();
    }
  });
}
