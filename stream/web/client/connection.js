// A WebSocket that is kept: whenever it is lost, or an attempt fails in any way, it comes back, after a growing, jittered delay, until the server says not to.

import { Closed, ClientError, ConnectionLost } from "./errors.js";
import { decode } from "./msgpack.js";
import { addressOf } from "./token.js";

const SUBPROTOCOL = "deltabook.v1.msgpack";
const FINAL_FROM = 4500; // close codes from here on: do not come back
const DELAY_MS_FIRST = 100;
const DELAY_MS_MAX = 30_000; // the delay begins anew behind a connection that outlasts this
const WELCOME_MS = 10_000; // time for a connection to be there, with the server's welcome
const SILENCE_MS = 10_000; // after so long a server is pinged, and after as long again lost
const CLOSE_MS = 2000; // time for a server to take a goodbye
const CLOSED_MS = 100; // time for a socket that has failed to say that it is closed
const WRITE_BYTES_MAX = 1 << 22; // bytes of requests that wait for a server that does not read
const OPEN = 1; // a socket's readyState

/**
 * Its owner has `heard(fields, bytes)`, `silent()`, `survives(code)` for a final close code that is not final after all, `lost(error)`
 * and `ended(error)`, behind which nothing comes. An error that has a `code` is the server's own.
 */
export class KeptConnection {
  returnMs = 0; // the window over which a server that leaves asked its clients to return
  #url;
  #WebSocket;
  #random;
  #owner;
  #socket = null;
  #delay = DELAY_MS_FIRST;
  #began = 0;
  #returning;
  #watch;
  #welcomed = false;
  #heard = false;
  #failure = ""; // what the socket said of its failure, where it says anything

  constructor(url, WebSocket, random, owner) {
    this.#url = url;
    this.#WebSocket = WebSocket;
    this.#random = random;
    this.#owner = owner;
  }

  /** Which connection this is: another one after each loss, null while there is none. */
  get socket() {
    return this.#socket?.readyState === OPEN ? this.#socket : null;
  }

  dial() {
    this.#began = Date.now();
    this.#welcomed = false;
    this.#failure = "";
    let socket;
    try {
      socket = new this.#WebSocket(this.#url, SUBPROTOCOL);
    } catch (error) {
      return this.#owner.ended(new ClientError(`${addressOf(this.#url)}: ${error.name}: a connection to it is not possible from here`));
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#take(socket, data);
    socket.onerror = (event) => this.#fail(socket, event?.message || event?.error?.message || "");
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#watch = setTimeout(() => this.abandon(`no welcome within ${WELCOME_MS / 1000} seconds`), WELCOME_MS);
  }

  /** Send a message. ConnectionLost if there is no connection, ClientError if the server does not read. */
  send(bytes) {
    if (!this.socket) throw new ConnectionLost("not connected at the moment");
    if (this.socket.bufferedAmount > WRITE_BYTES_MAX) throw new ClientError("the server does not read: too many bytes of requests wait for it");
    this.socket.send(bytes);
  }

  /** Say goodbye, and do not come back. */
  leave() {
    const socket = this.#detach();
    socket?.close(1000);
    if (socket?.terminate) setTimeout(() => socket.terminate(), CLOSE_MS).unref?.();
  }

  /** Take the connection for lost, whatever the socket says. */
  abandon(why) {
    const socket = this.#detach();
    if (socket?.terminate) socket.terminate();
    else socket?.close();
    this.#lost(1006, why);
  }

  /** Hear no more of the socket. */
  #detach() {
    const socket = this.#socket;
    if (socket) {
      socket.onmessage = socket.onclose = null;
      socket.onerror = () => {};
    }
    this.#socket = null;
    clearTimeout(this.#watch);
    clearTimeout(this.#returning);
    this.#watch = this.#returning = null;
    return socket;
  }

  /** A socket has failed. `onclose` follows and says more, but not in Node 20 where there never was a connection. */
  #fail(socket, failure) {
    this.#failure = failure;
    setTimeout(() => {
      if (this.#socket === socket) this.abandon(failure);
    }, CLOSED_MS);
  }

  #lost(code, reason) {
    this.#detach();
    const said = code >= 3000 ? `the server said ${code} ${reason}`.trim() : reason || this.#failure;
    const lost = `the connection was lost${said && `: ${said}`}`;
    const text = this.#welcomed ? lost : `${addressOf(this.#url)}: ${said || "there is no WebSocket"}: is it a deltabook server, and the path right?`;
    if (code >= FINAL_FROM && !this.#owner.survives(code)) return this.#owner.ended(new Closed(text));
    if (Date.now() - this.#began > DELAY_MS_MAX) this.#delay = DELAY_MS_FIRST;
    const delay = Math.max(this.#delay * (1 - this.#random() / 2), this.returnMs * this.#random());
    this.#delay = Math.min(this.#delay * 2, DELAY_MS_MAX);
    this.returnMs = 0;
    this.#returning = setTimeout(() => this.dial(), delay);
    this.#owner.lost(Object.assign(new ConnectionLost(text), { code }));
  }

  #take(socket, data) {
    this.#heard = true;
    try {
      if (typeof data === "string") throw new ClientError(`a text message came: ${SUBPROTOCOL} has binary messages only`);
      const bytes = new Uint8Array(data);
      const fields = decode(bytes);
      if ((fields[0] === "welcome") === this.#welcomed) throw new ClientError(this.#welcomed ? "a second welcome" : `"${fields[0]}" before a welcome`);
      if (!this.#welcomed) this.#listen();
      this.#welcomed = true;
      this.#owner.heard(fields, bytes);
    } catch (error) {
      // Whatever it is: what a server sends must not end who keeps the connection.
      if (this.#socket === socket) this.abandon(`the server sent what cannot be read: ${error.message}`);
    }
  }

  /** A server that says nothing is pinged, one that does not answer that is lost. */
  #listen(silences = 0) {
    clearTimeout(this.#watch);
    this.#heard = false;
    this.#watch = setTimeout(() => {
      if (this.#heard) this.#listen();
      else if (silences) this.abandon("the server fell silent");
      else {
        this.#listen(1);
        this.#owner.silent();
      }
    }, SILENCE_MS);
  }
}

/** The class of a WebSocket: the global one, or that of the package `ws`. */
export async function socketClass() {
  if (globalThis.WebSocket) return globalThis.WebSocket;
  try {
    return (await import("ws")).WebSocket;
  } catch {
    throw new ClientError("there is no class WebSocket: run `npm install ws`, use Node 22, or pass a class in the option WebSocket");
  }
}
