// A connection: requests and their replies, channels that stay subscribed, and the return after a loss.

import { KeptConnection } from "./connection.js";
import { ClientError, Closed, ConnectionLost, Gap, RequestRefused } from "./errors.js";
import { keyOf, read } from "./messages.js";
import { MIRRORS } from "./mirrors.js";
import { Requests } from "./requests.js";

const RECOVERY_MS = 1000; // the shortest time between two recoveries of one channel, so that a server that is always wrong is not flooded
const PATIENCE_MS = 5000; // a request with a key waits so long for a lost connection to come back
const TOO_MANY_SIGN_INS = 204;
const OWN = ["orders", "balances"];

/**
 * One connection with many channels. It fires these events:
 * `state` ({state, reason}) when the connection is "connecting", "open", "lost" or "closed", and when `staleSince` or `pacingMs` change;
 * `frame` ({mirror, frame, verdict}), `gap` (a Gap) and `notice` (text for people);
 * `message` ({sent, bytes, fields}) for every message, as it is on the wire.
 *
 * A lost connection keeps the subscriptions: the client returns after a growing, jittered delay and resumes each channel from its own
 * (epoch, seq). Requests under way fail, since nobody knows whether the server saw them; those with a `key` are sent again.
 */
export class Client extends Requests {
  state = "new";
  mirrors = new Map();
  recoveries = { none: 0, merged: 0, snapshot: 0 };
  connections = 0;
  welcome = null;
  pacingMs = 0; // under load the server sends books and tickers no more often than this
  staleSince = 0; // until when, in ns since 1970, what the server shows is complete, if it may have fallen behind
  #token;
  #connection = null;
  #options;
  #opening = null;
  #id = 0;
  #waiting = new Map();
  #following = new Set(); // channels that are subscribed on this connection and have had no gap

  /** `token` is text, or a function that returns a fresh one (or a promise of it) for each connection. */
  constructor(url, { token = null, WebSocket = null, random = Math.random } = {}) {
    super();
    this.url = url;
    this.#token = token;
    this.#options = { WebSocket, random };
  }

  /** Within how many ms a server that leaves has asked its clients to return; 0: it is not leaving. */
  get returnMs() {
    return this.#connection?.returnMs ?? 0;
  }

  /** Connect, and sign in. Rejects if that fails; later losses are made good. Node before 22 needs the package `ws`. */
  async open() {
    const WebSocket = this.#options.WebSocket ?? globalThis.WebSocket ?? (await import("ws").catch(lack)).WebSocket;
    this.#connection = new KeptConnection(this.url, WebSocket, this.#options.random, {
      heard: (fields, bytes) => this.#hear(fields, bytes),
      silent: () => this.ping().catch(() => {}),
      lost: (error) => this.#lose(error),
      ended: (error) => this.#end(error),
    });
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.#become("connecting");
      this.#connection.dial();
    });
  }

  /** Leave: all requests and iterations end with Closed. */
  close() {
    this.#fail(new Closed("the client is closed"));
  }

  // The connection

  #become(state, reason = "") {
    this.state = state;
    this.#tell("state", { state, reason });
  }

  #lose(error) {
    if (this.#opening) return this.#fail(error);
    this.#following.clear();
    for (const [id, request] of this.#waiting) {
      if (request.key && !request.timer) this.#hold(id, request);
      else if (!request.key) this.#refuse(id, error);
    }
    this.#become("lost", error.message);
  }

  #fail(error) {
    this.#connection?.leave();
    this.#end(error);
  }

  #end(error) {
    this.#opening?.reject(error);
    this.#opening = null;
    this.#following.clear();
    for (const id of [...this.#waiting.keys()]) this.#refuse(id, error);
    for (const mirror of this.mirrors.values()) mirror.fail(error);
    this.#become("closed", error.message);
  }

  async #begin() {
    this.connections += 1;
    this.pacingMs = this.staleSince = 0;
    const { socket } = this.#connection;
    const here = () => this.#connection.socket === socket;
    try {
      await this.#signIn();
      await this.#resubscribe([...this.mirrors.values()]);
    } catch (error) {
      if (!here()) return;
      if (this.#opening) this.#fail(error);
      else this.#connection.abandon(error.message);
      return;
    }
    if (!here()) return;
    this.#become("open");
    for (const request of this.#waiting.values()) if (request.timer) this.#send(request);
    this.#opening?.resolve(this);
    this.#opening = null;
  }

  /** Sign in. On a return that is refused, own channels end and the public ones go on. */
  async #signIn() {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    if (!token) return;
    try {
      await this.request("login", token);
    } catch (error) {
      const final = error instanceof RequestRefused && error.code !== TOO_MANY_SIGN_INS && typeof this.#token !== "function";
      if (this.#opening || !final) throw error;
      this.#token = null;
      this.#endOwn(error);
      for (const [id, request] of this.#waiting) if (request.key) this.#refuse(id, new ConnectionLost(`it could not be sent again: ${error.message}`));
      this.#tell("notice", error.message);
    }
  }

  #endOwn(why) {
    for (const channel of OWN) this.#drop(channel, why);
  }

  // Messages

  #hear(fields, bytes) {
    this.#tell("message", { sent: false, bytes, fields });
    const message = read(fields);
    const mirror = message && this.mirrors.get(message.channel);
    if (message?.role === "frame") {
      if (mirror && mirror.tag !== message.tag) this.#connection.abandon(`${mirror.channel}: a frame of ${message.tag} came`);
      else if (mirror) this.#follow(mirror, message);
    } else if (message?.role === "reply") this.#answer(message);
    else if (message?.tag === "welcome") {
      this.welcome = message;
      this.#begin();
    } else if (message?.tag === "gap") this.#miss(mirror, message);
    else if (message?.tag === "leaving") this.#connection.returnMs = message.return_ms;
    else if (message) {
      if (message.tag === "pacing") this.pacingMs = message.interval_ms;
      else this.staleSince = message.since;
      this.#tell("state", { state: this.state, reason: "" });
    }
  }

  #miss(mirror, { channel, epoch, since, seq }) {
    const gap = new Gap(channel, epoch, since, seq);
    mirror?.forget();
    mirror?.tell(gap);
    this.#tell("gap", gap);
  }

  #answer(reply) {
    if (reply.tag === "subscribed") {
      for (const entry of reply.channels) {
        this.recoveries[entry.recovered] += 1;
        const mirror = this.mirrors.get(entry.channel);
        if (mirror) {
          mirror.inForce = entry;
          this.#following.add(entry.channel);
        }
      }
    } else if (reply.tag === "unsubscribed" && !reply.id) {
      for (const channel of reply.channels) this.#drop(channel, new Closed(`the token does not allow ${channel}`));
    }
    const request = this.#waiting.get(reply.id);
    if (reply.tag === "error") {
      if (request) this.#refuse(reply.id, new RequestRefused(reply));
      else this.#tell("notice", reply.message);
    } else if (request) {
      this.#waiting.delete(reply.id);
      request.resolve(reply);
    }
  }

  #follow(mirror, frame) {
    const verdict = mirror.receive(frame);
    if (verdict === "mismatch") mirror.forget();
    if ((verdict === "gap" || verdict === "mismatch") && this.#following.delete(mirror.channel)) this.#recover(mirror);
    this.#tell("frame", { mirror, frame, verdict });
  }

  /** Subscribe to a channel again, unless a returning connection has done it already. */
  #recover(mirror) {
    const wait = Math.max(0, (mirror.recoveredAt ?? 0) + RECOVERY_MS - Date.now());
    setTimeout(() => {
      if (this.#following.has(mirror.channel) || this.mirrors.get(mirror.channel) !== mirror) return;
      mirror.recoveredAt = Date.now();
      this.#resubscribe([mirror]).catch(() => {
        if (this.#connection.socket) this.#following.add(mirror.channel); // the next gap asks again
      });
    }, wait);
  }

  // Requests

  /** Send a request; resolves to its reply. RequestRefused, ConnectionLost or Closed if there is none. */
  request(tag, ...fields) {
    if (this.state === "closed" || !this.#connection) return Promise.reject(new Closed("the client is not open"));
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      const request = { message: [tag, id, ...fields], key: keyOf(tag, fields), timer: null, resolve, reject };
      this.#waiting.set(id, request);
      if (request.key && this.state !== "open") this.#hold(id, request);
      else this.#send(request);
    });
  }

  #send(request) {
    clearTimeout(request.timer);
    request.timer = null;
    try {
      const bytes = this.#connection.send(request.message);
      this.#tell("message", { sent: true, bytes, fields: request.message });
    } catch (error) {
      this.#refuse(request.message[1], error);
    }
  }

  /** Keep a request for when the connection is back. */
  #hold(id, request) {
    request.timer = setTimeout(() => this.#refuse(id, new ConnectionLost("the connection did not come back in time")), PATIENCE_MS);
  }

  #refuse(id, error) {
    const request = this.#waiting.get(id);
    clearTimeout(request.timer);
    this.#waiting.delete(id);
    request.reject(error);
  }

  /** Sign in on the open connection, or renew its token. */
  async login(token) {
    const answer = await this.request("login", token);
    if (typeof this.#token !== "function") this.#token = token;
    return answer;
  }

  /** Sign out: own channels end, and `cancelOnDisconnect` does not apply. */
  async logout() {
    await this.request("logout");
    this.#token = null;
    this.#endOwn(new Closed("signed out"));
  }

  // Channels

  /** Listen to channels, all as of one sequence; their mirrors. One that is subscribed already takes on the new depth and interval. */
  async subscribe(channels, { depth = null, intervalMs = null } = {}) {
    const added = channels.filter((channel) => !this.mirrors.has(channel));
    for (const channel of added) {
      const Kind = MIRRORS[channel.split(":")[0]];
      if (!Kind) throw new ClientError(`channel "${channel}": there is no such kind`);
      this.mirrors.set(channel, Object.assign(new Kind(channel), { depth, intervalMs }));
    }
    const mirrors = channels.map((channel) => this.mirrors.get(channel));
    for (const channel of added) this.mirrors.get(channel).expect();
    try {
      await this.request("subscribe", channels, depth, intervalMs, {});
    } catch (error) {
      for (const channel of added) this.#drop(channel, error);
      throw error;
    }
    for (const mirror of mirrors) Object.assign(mirror, { depth, intervalMs });
    setTimeout(() => added.forEach((channel) => this.mirrors.get(channel)?.begun()));
    return mirrors;
  }

  /** Stop listening. Iterations over the channels end with Closed. */
  async unsubscribe(channels) {
    for (const channel of channels) this.#drop(channel, new Closed(`${channel} was unsubscribed`));
    return this.request("unsubscribe", channels);
  }

  #drop(channel, why) {
    this.#following.delete(channel);
    this.mirrors.get(channel)?.fail(why);
    this.mirrors.delete(channel);
  }

  /** Subscribe again, each channel from where it is. One that the server no longer grants ends with its refusal. */
  async #resubscribe(mirrors) {
    const groups = new Map();
    for (const mirror of mirrors) {
      const key = `${mirror.depth} ${mirror.intervalMs}`;
      groups.set(key, [...(groups.get(key) ?? []), mirror]);
    }
    for (const group of groups.values()) {
      const resume = Object.fromEntries(group.filter((mirror) => mirror.resume).map((mirror) => [mirror.channel, mirror.resume]));
      try {
        await this.request("subscribe", group.map((mirror) => mirror.channel), group[0].depth, group[0].intervalMs, resume);
      } catch (error) {
        if (!(error instanceof RequestRefused)) throw error;
        if (group.length === 1) this.#drop(group[0].channel, error);
        else for (const mirror of group) await this.#resubscribe([mirror]);
      }
    }
  }

  /** An order book: in full (depth 0, the default), or its best levels. */
  async orderbook(instrument, options) {
    return (await this.subscribe([`orderbook:${instrument}`], options))[0];
  }

  /** An instrument's trades. */
  async trades(instrument) {
    return (await this.subscribe([`trades:${instrument}`]))[0];
  }

  /** An instrument's ticker. */
  async ticker(instrument, options) {
    return (await this.subscribe([`ticker:${instrument}`], options))[0];
  }

  /** One's own orders. */
  async orders() {
    return (await this.subscribe(["orders"]))[0];
  }

  /** One's own balances. */
  async balances() {
    return (await this.subscribe(["balances"]))[0];
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function lack() {
  throw new ClientError("there is no WebSocket: take Node 22, `node --experimental-websocket`, or the option WebSocket with the class of the package `ws`");
}

/** A connected client. */
export function connect(url, options) {
  return new Client(url, options).open();
}
