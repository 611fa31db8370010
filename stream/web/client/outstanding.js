// Requests on their way: each waits for its turn, so that the server's limits are kept, and then for its one reply.

import { Allowance, costOf } from "./allowance.js";
import { ClientError, ConnectionLost, RequestRefused } from "./errors.js";
import { dated, keyOf } from "./messages.js";
import { encode } from "./msgpack.js";

const PATIENCE_MS = 5000; // a request with a key waits so long for a lost connection to come back
const LOOK_MS = 50; // an answer that comes makes the wait for the next turn shorter

/** This machine's clocks, in ms: one stands still while it sleeps, the other may be set. */
const clocks = () => [performance.now(), Date.now()];

/** `send(bytes)` sends a message, or throws why it cannot; `told(fields, bytes)` hears what was sent. */
export class Outstanding {
  allowance = new Allowance(null, 0);
  #send;
  #told;
  #id = 0;
  #asked = new Map(); // by id, in the order in which they were asked
  #connected = false; // there is a connection,
  #open = false; // and it is as the last one was: others than the client's own requests may go
  #timer;
  #welcome = null; // when it came, by our clocks, and what the server's said then, in ns

  constructor(send, told) {
    this.#send = send;
    this.#told = told;
  }

  /** Send a request as soon as it is its turn; resolves to its reply. Those that are `first` go while a connection is being made again. */
  async ask(tag, fields, first = false) {
    const id = ++this.#id;
    const message = [tag, id, ...fields];
    encode(message); // or it throws, before anything waits
    const key = keyOf(tag, fields);
    if (!this.#connected && !key) throw new ConnectionLost("not connected at the moment");
    return new Promise((resolve, reject) => {
      const request = { id, message, key, first, cost: costOf(tag, fields), began: clocks(), sent: false, patience: null, resolve, reject };
      this.#asked.set(id, request);
      if (key && !this.#open) this.#hold(request);
      this.#advance();
    });
  }

  /** There is a connection, and this is the server's welcome. */
  connected(welcome) {
    this.allowance = new Allowance(welcome, Date.now());
    this.#connected = true;
    this.#welcome = { at: clocks(), time: BigInt(["number", "bigint"].includes(typeof welcome.time) ? welcome.time : 0) };
  }

  /** All may go now. */
  opened() {
    this.#open = true;
    this.#advance();
  }

  /** The message of a request that waits for its reply. */
  messageOf(id) {
    return this.#asked.get(id)?.message;
  }

  /** A reply has come. Returns false if nobody waits for it. */
  answer(reply) {
    const request = this.#asked.get(reply.id);
    if (!request?.sent) return false;
    this.#asked.delete(reply.id);
    this.allowance.answered(request.cost, Date.now());
    if (reply.tag === "logged_in") this.allowance.signedIn(reply);
    if (reply.tag === "error") request.reject(new RequestRefused(reply));
    else request.resolve(reply);
    this.#advance();
    return true;
  }

  /** The connection is gone: requests with a key wait for the next one, the others fail, since nobody knows whether the server saw them. */
  lost(error) {
    this.#connected = this.#open = false;
    for (const request of this.#asked.values()) {
      if (!request.key) this.#refuse(request, error);
      else if (!request.patience) this.#hold(request);
      request.sent = false;
    }
  }

  /** All that wait, or those with a key alone, fail. */
  fail(error, keyedOnly = false) {
    for (const request of this.#asked.values()) if (request.key || !keyedOnly) this.#refuse(request, error);
  }

  /** Send those whose turn it is. */
  #advance() {
    clearTimeout(this.#timer);
    this.#timer = null;
    for (const request of this.#asked.values()) {
      if (!this.#connected) return;
      if (request.sent || !(this.#open || request.first)) continue;
      const wait = this.allowance.wait(Date.now());
      if (wait) {
        this.#timer = setTimeout(() => {
          this.#timer = null;
          this.#advance();
        }, Math.min(wait, LOOK_MS));
        return;
      }
      this.#dispatch(request);
    }
  }

  /** What the server's clock said at a time of ours, in ns; earlier where our own clocks do not agree on how long that is ago. */
  #serverTime(at) {
    const since = (then) => clocks().map((now, i) => now - then[i]);
    const ms = Math.min(...since(this.#welcome.at)) - Math.max(...since(at));
    return this.#welcome.time + BigInt(Math.floor(ms * 1e6));
  }

  #dispatch(request) {
    const message = request.key ? dated(request.message, this.#serverTime(request.began)) : request.message;
    const bytes = encode(message);
    clearTimeout(request.patience);
    request.patience = null;
    try {
      const most = this.allowance.messageBytesMax;
      if (bytes.length > most) throw new ClientError(`${message[0]}: the message has ${bytes.length} bytes, and the server takes at most ${most}`);
      this.#send(bytes);
    } catch (error) {
      this.#refuse(request, error);
      return;
    }
    request.sent = true;
    this.allowance.sent(request.cost);
    this.#told(message, bytes);
  }

  #hold(request) {
    request.patience = setTimeout(() => this.#refuse(request, new ConnectionLost("the connection did not come back in time")), PATIENCE_MS);
  }

  #refuse(request, error) {
    clearTimeout(request.patience);
    this.#asked.delete(request.id);
    request.reject(error);
  }
}
