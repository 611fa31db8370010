// A connection: channels that stay subscribed, and the return after a loss.

import { KeptConnection, socketClass } from "./connection.js";
import { ClientError, Closed, ConnectionLost, Gap, RequestRefused, SignInRefused } from "./errors.js";
import { read } from "./messages.js";
import { MIRRORS } from "./mirrors.js";
import { encode } from "./msgpack.js";
import { Outstanding } from "./outstanding.js";
import { scaleOf } from "./readings.js";
import { Requests } from "./requests.js";
import { addressOf, tokenOf } from "./token.js";

const RECOVERY_MS = 1000; // the shortest time between two recoveries of one channel, so that a server that is always wrong is not flooded
const TOKEN_AGAIN_MS = 5000; // the time to ask for a token again where there was none
const BAD_TOKEN = 201;
const NEVER_GRANTED = [100, 200, 202, 300, 301, 302, 303]; // refusals that asking again for the same channel would only repeat; any other one passes
const TOKEN_EXPIRED = 4001; // close codes
const REVOKED = 4501;
const OWN = ["orders", "balances"];

/**
 * One connection with many channels. It fires these events:
 * `state` ({state, reason}) when the connection is "connecting", "open", "lost" or "closed", and when `staleSince`, `pacingMs` or `signInRefused` change;
 * `frame` ({mirror, frame, verdict}), `gap` (a Gap) and `notice` (text for people);
 * `message` ({sent, bytes, fields}) for every message, as it is on the wire, but without tokens.
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
  signInRefused = null; // why the connection is one without the token
  #token;
  #signedIn = null; // the token of this connection
  #refused = null; // the token that the server did not take, or no longer
  #tokenLater;
  #connection = null;
  #outstanding;
  #options;
  #opening = null;
  #closedBy = null;
  #following = new Set(); // channels that are subscribed on this connection and have had no gap

  /** `token` is text, or a function that returns a fresh one (or a promise of it) for each connection. */
  constructor(url, { token = null, WebSocket = null, random = Math.random } = {}) {
    super();
    addressOf(url);
    this.url = url;
    this.#token = typeof token === "function" ? token : tokenOf(token);
    this.#options = { WebSocket, random };
    this.#outstanding = new Outstanding((bytes) => this.#connection.send(bytes), (fields, bytes) => this.#sent(fields, bytes));
  }

  /** Within how many ms a server that leaves has asked its clients to return; 0: it is not leaving. */
  get returnMs() {
    return this.#connection?.returnMs ?? 0;
  }

  /** Connect, and sign in. Rejects if that fails, or `signal` is aborted; later losses are made good. Node before 22 needs the package `ws`. */
  async open({ signal } = {}) {
    if (this.state !== "new" && this.state !== "closed") throw new ClientError(`the client is ${this.state}: expected a new client, which is opened only once`);
    signal?.throwIfAborted();
    const abort = () => this.#fail(signal.reason);
    signal?.addEventListener("abort", abort);
    this.#closedBy = null;
    this.mirrors.clear();
    this.#become("connecting");
    try {
      const WebSocket = this.#options.WebSocket ?? (await socketClass());
      if (this.#closedBy) throw this.#closedBy;
      this.#connection = new KeptConnection(this.url, WebSocket, this.#options.random, {
        heard: (fields, bytes) => this.#hear(fields, bytes),
        silent: () => this.#outstanding.ask("ping", [], true).catch(() => {}),
        survives: (code) => code === REVOKED && this.#signedIn !== null,
        lost: (error) => this.#lose(error),
        ended: (error) => this.#end(error),
      });
      return await new Promise((resolve, reject) => {
        this.#opening = { resolve, reject };
        this.#connection.dial();
      });
    } catch (error) {
      if (!this.#closedBy) this.#fail(error);
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
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
    this.#leftOff();
    this.#outstanding.lost(error);
    if (this.#signedIn !== null && (error.code === TOKEN_EXPIRED || error.code === REVOKED)) this.#refuseToken(this.#signedIn, new SignInRefused(error));
    this.#signedIn = null;
    this.#become("lost", error.message);
  }

  #leftOff() {
    clearTimeout(this.#tokenLater);
    this.#following.clear();
  }

  #fail(error) {
    this.#connection?.leave();
    this.#end(error);
  }

  #end(error) {
    this.#closedBy = error;
    this.#opening?.reject(error);
    this.#opening = null;
    this.#leftOff();
    this.#outstanding.lost(error);
    this.#outstanding.fail(error);
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
      await this.#resubscribe([...this.mirrors.values()].filter(({ channel }) => this.#signedIn !== null || !OWN.includes(channel)));
    } catch (error) {
      if (!here()) return;
      if (this.#opening) this.#fail(error);
      else this.#connection.abandon(error.message);
      return;
    }
    if (!here()) return;
    this.#outstanding.opened();
    this.#become("open", this.signInRefused?.message);
    this.#opening?.resolve(this);
    this.#opening = null;
  }

  // The token

  /** Sign in, if there is a token. On a return that is refused, own channels end and the public ones go on. */
  async #signIn(again = true) {
    const asked = typeof this.#token === "function";
    let token;
    try {
      token = tokenOf(asked ? await this.#token() : this.#token);
    } catch (error) {
      const none = new ClientError(`the function gave no token: ${error?.message ?? error}`);
      if (this.#opening) throw none;
      this.#without(none);
      this.#tokenLater = setTimeout(() => this.#signInLater(), TOKEN_AGAIN_MS);
      return;
    }
    if (token === null) return;
    if (token === this.#refused && !this.#opening) {
      this.#endOwn(this.signInRefused);
      return;
    }
    try {
      await this.#outstanding.ask("login", [token], true);
      this.#accept(token);
    } catch (error) {
      if (error.code !== BAD_TOKEN) throw error;
      if (asked && again) return this.#signIn(false);
      const refused = new SignInRefused(error);
      if (this.#opening) throw refused;
      this.#refuseToken(token, refused);
      this.#endOwn(refused);
    }
  }

  /** Sign in on a connection that goes on without. */
  async #signInLater() {
    const { socket } = this.#connection;
    try {
      await this.#signIn();
      if (this.#signedIn === null) return;
      await this.#resubscribe(OWN.map((channel) => this.mirrors.get(channel)).filter(Boolean));
      this.#tell("state", { state: this.state, reason: "" });
    } catch (error) {
      if (this.#connection.socket === socket && socket) this.#connection.abandon(error.message);
    }
  }

  #accept(token) {
    this.#signedIn = token;
    this.#refused = this.signInRefused = null;
  }

  /** The server does not take a token, or no longer. A function is asked for another one. */
  #refuseToken(token, why) {
    this.#refused = token;
    this.#without(why);
    if (typeof this.#token !== "function") this.#endOwn(why);
  }

  #without(why) {
    this.signInRefused = why;
    this.#outstanding.fail(new ConnectionLost(`it could not be sent again: ${why.message}`), true);
    this.#tell("notice", why.message);
    this.#tell("state", { state: this.state, reason: why.message });
  }

  #endOwn(why) {
    for (const channel of OWN) this.#drop(channel, why);
  }

  /** Sign in on the open connection, or renew its token. */
  async login(token) {
    const given = tokenOf(token);
    if (given === null) throw new ClientError("token: expected a token, got null");
    const answer = await this.request("login", given);
    this.#accept(given);
    if (typeof this.#token !== "function") this.#token = given;
    return answer;
  }

  /** Sign out: own channels end, and `cancelOnDisconnect` does not apply. */
  async logout() {
    await this.request("logout");
    this.#token = this.#signedIn = null;
    this.#endOwn(new Closed("signed out"));
  }

  // Messages

  #sent(fields, bytes) {
    const shown = fields[0] === "login" ? ["login", fields[1], "…"] : fields;
    this.#tell("message", { sent: true, bytes: shown === fields ? bytes : encode(shown), fields: shown });
  }

  #hear(fields, bytes) {
    this.#tell("message", { sent: false, bytes, fields });
    const message = read(fields);
    const mirror = message && this.mirrors.get(message.channel);
    if (message?.role === "frame") {
      if (mirror && mirror.tag !== message.tag) throw new ClientError(`${mirror.channel}: a frame of ${message.tag} came: expected ${mirror.tag}`);
      if (mirror) this.#follow(mirror, message);
    } else if (message?.role === "reply") this.#answer(message);
    else if (message?.tag === "welcome") {
      this.welcome = message;
      this.#outstanding.connected(message);
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
      const [, , , depth = null] = this.#outstanding.messageOf(reply.id) ?? [];
      for (const entry of reply.channels) {
        this.recoveries[entry.recovered] += 1;
        if (entry.tick) this.scales.set(entry.channel.split(":")[1], scaleOf(entry));
        const mirror = this.mirrors.get(entry.channel);
        if (mirror) {
          mirror.inForce = entry;
          if (mirror.heldDepth !== depth) mirror.forget(); // until the snapshot is here, there is nothing to resume from
          mirror.heldDepth = depth;
          this.#following.add(entry.channel);
        }
      }
    } else if (reply.tag === "unsubscribed" && !reply.id) {
      for (const channel of reply.channels) this.#drop(channel, new Closed(`the token does not allow ${channel}`));
    }
    if (!this.#outstanding.answer(reply) && reply.tag === "error") this.#tell("notice", reply.message);
  }

  #follow(mirror, frame) {
    const verdict = mirror.receive(frame);
    if (verdict === "mismatch") mirror.forget();
    if (mirror.tag === "orders" && mirror.items?.some((each) => !this.scales.has(each.instrument))) this.instruments().catch(() => {}); // one may be new
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

  /** Send a request; resolves to its reply. RequestRefused, ConnectionLost or Closed if there is none. */
  async request(tag, ...fields) {
    if (this.state === "new" || this.state === "closed") throw new Closed(this.#closedBy?.message ?? "the client is not open");
    return this.#outstanding.ask(tag, fields);
  }

  // Channels

  /**
   * Listen to channels; their mirrors. All are as of one sequence if they fit into one message, which some hundreds do. One that is subscribed already
   * takes on the new depth and interval. When `signal` is aborted nothing stays subscribed that was not before.
   */
  async subscribe(channels, { depth = null, intervalMs = null, signal = null } = {}) {
    for (const channel of channels) {
      const [kind, instrument] = channel.split(":");
      if (!Object.hasOwn(MIRRORS, kind) || OWN.includes(kind) === Boolean(instrument)) {
        throw new ClientError(`channel "${channel}": expected orderbook:, market_by_order:, trades: or ticker: and an instrument, orders or balances`);
      }
    }
    signal?.throwIfAborted();
    for (let others; (others = this.#askedFor(channels)).length; signal?.throwIfAborted()) await unlessAborted(signal, Promise.allSettled(others));
    const added = [...new Set(channels)].filter((channel) => !this.mirrors.has(channel));
    const mirrors = channels.map((channel) => this.mirrors.get(channel));
    if (!added.length && mirrors.every((mirror) => mirror.depth === depth && mirror.intervalMs === intervalMs)) return mirrors;
    const most = this.#outstanding.allowance.subscriptionsMax;
    if (this.mirrors.size + added.length > most) throw new ClientError(`expected at most ${most} channels on one connection; open another client for more`);
    channels.forEach((channel, i) => (mirrors[i] ??= this.#mirror(channel, depth, intervalMs)));
    const asking = unlessAborted(signal, this.#ask(mirrors, depth, intervalMs, false));
    for (const mirror of mirrors) mirror.asking = asking;
    try {
      await asking;
    } catch (error) {
      const stayed = added.filter((channel) => mirrors.includes(this.mirrors.get(channel)));
      for (const channel of stayed) this.#drop(channel, error);
      if (stayed.length) this.#leave(stayed).catch(() => {}); // with the connection they are gone, too
      const others = mirrors.filter((mirror) => this.mirrors.get(mirror.channel) === mirror);
      if (signal?.aborted && others.length) this.#resubscribe(others).catch(() => {}); // they may be on the new terms by now
      throw error;
    } finally {
      for (const mirror of mirrors) mirror.asking = null;
    }
    for (const mirror of mirrors) Object.assign(mirror, { depth, intervalMs });
    setTimeout(() => added.forEach((channel) => this.mirrors.get(channel)?.begun()), 0);
    return mirrors;
  }

  #mirror(channel, depth, intervalMs) {
    if (this.mirrors.has(channel)) return this.mirrors.get(channel);
    const mirror = Object.assign(new MIRRORS[channel.split(":")[0]](channel, this.scales), { depth, heldDepth: depth, intervalMs });
    mirror.expect();
    this.mirrors.set(channel, mirror);
    return mirror;
  }

  /** What others wait for who are subscribing to any of these channels. */
  #askedFor(channels) {
    return channels.map((channel) => this.mirrors.get(channel)?.asking).filter(Boolean);
  }

  /** Stop listening. Iterations over the channels end with Closed. */
  async unsubscribe(channels) {
    for (const channel of channels) this.#drop(channel, new Closed(`${channel} was unsubscribed`));
    try {
      await this.#leave(channels);
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error; // with the connection they are gone, too
    }
  }

  async #leave(channels) {
    for (const part of this.#outstanding.allowance.parts(channels)) await this.request("unsubscribe", part);
  }

  #drop(channel, why) {
    this.#following.delete(channel);
    this.mirrors.get(channel)?.fail(why);
    this.mirrors.delete(channel);
  }

  /** Subscribe to channels, each from where it is if it has the same depth, in as few messages as they fit into. */
  async #ask(mirrors, depth, intervalMs, first) {
    const resumes = new Map(mirrors.filter((mirror) => mirror.resume && mirror.heldDepth === depth).map((mirror) => [mirror.channel, mirror.resume]));
    const names = [...new Set(mirrors.map(({ channel }) => channel))];
    for (const part of this.#outstanding.allowance.parts(names, (channel) => resumes.has(channel))) {
      const resume = Object.fromEntries(part.filter((channel) => resumes.has(channel)).map((channel) => [channel, resumes.get(channel)]));
      if (this.state === "new" || this.state === "closed") throw this.#closedBy ?? new Closed("the client is not open");
      await this.#outstanding.ask("subscribe", [part, depth, intervalMs, resume], first);
    }
  }

  /** Subscribe again. A channel that the server no longer grants ends with its refusal, which is found by halving. */
  async #resubscribe(mirrors) {
    const groups = new Map();
    for (const mirror of mirrors) {
      const key = `${mirror.depth} ${mirror.intervalMs}`;
      groups.set(key, [...(groups.get(key) ?? []), mirror]);
    }
    for (const group of groups.values()) {
      try {
        await this.#ask(group, group[0].depth, group[0].intervalMs, true);
      } catch (error) {
        if (!NEVER_GRANTED.includes(error.code)) throw error;
        const half = Math.ceil(group.length / 2);
        if (group.length === 1) this.#drop(group[0].channel, error);
        else for (const part of [group.slice(0, half), group.slice(half)]) await this.#resubscribe(part);
      }
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** What a promise comes to, unless the signal is aborted before. */
function unlessAborted(signal, promise) {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

/** A connected client. When `signal` is aborted first, no connection stays. */
export function connect(url, { signal, ...options } = {}) {
  return new Client(url, options).open({ signal });
}
