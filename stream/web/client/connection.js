// A WebSocket that is kept: whenever it is lost it comes back, after a growing, jittered delay, until the server says not to.

import { Closed, ClientError, ConnectionLost } from "./errors.js";
import { decode, encode } from "./msgpack.js";

const SUBPROTOCOL = "deltabook.v1.msgpack";
const FINAL_FROM = 4500; // close codes from here on: do not come back
const DELAY_MS_FIRST = 100;
const DELAY_MS_MAX = 30_000; // the delay begins anew behind a connection that outlasts this
const SILENCE_MS = 10_000; // after so long a server is pinged, and after as long again lost
const WRITE_BYTES_MAX = 1 << 22; // bytes of requests that wait for a server that does not read
const OPEN = 1; // a socket's readyState

/** Its owner has `heard(fields, bytes)`, `silent()`, `lost(error)` and `ended(error)`, behind which nothing comes. */
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
  #heard = false;

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
    const socket = new this.#WebSocket(this.#url, SUBPROTOCOL);
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#take(new Uint8Array(data));
    socket.onerror = () => {}; // `onclose` follows, and says as much
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#listen();
  }

  /** Send a message; the bytes that it is. ConnectionLost if there is no connection, ClientError if the server does not read. */
  send(message) {
    if (!this.socket) throw new ConnectionLost("not connected at the moment");
    if (this.socket.bufferedAmount > WRITE_BYTES_MAX) throw new ClientError("the server does not read");
    const bytes = encode(message);
    this.socket.send(bytes);
    return bytes;
  }

  /** Say goodbye, and do not come back. */
  leave() {
    this.#detach()?.close(1000);
  }

  /** Take the connection for lost, whatever the socket says. */
  abandon(why) {
    this.#detach()?.close();
    this.#lost(1006, why);
  }

  /** Hear no more of the socket. */
  #detach() {
    const socket = this.#socket;
    if (socket) socket.onmessage = socket.onclose = null;
    this.#socket = null;
    clearTimeout(this.#watch);
    clearTimeout(this.#returning);
    return socket;
  }

  #lost(code, reason) {
    this.#detach();
    const said = code >= 4000 ? `: the server said ${code} ${reason}` : reason && `: ${reason}`;
    if (code >= FINAL_FROM) return this.#owner.ended(new Closed(`the connection was lost${said}`));
    if (Date.now() - this.#began > DELAY_MS_MAX) this.#delay = DELAY_MS_FIRST;
    const delay = Math.max(this.#delay * (1 - this.#random() / 2), this.returnMs * this.#random());
    this.#delay = Math.min(this.#delay * 2, DELAY_MS_MAX);
    this.returnMs = 0;
    this.#returning = setTimeout(() => this.dial(), delay);
    this.#owner.lost(new ConnectionLost(`the connection was lost${said}`));
  }

  #take(bytes) {
    this.#heard = true;
    let fields;
    try {
      fields = decode(bytes);
    } catch (error) {
      return this.abandon(`the server sent what cannot be read: ${error.message}`);
    }
    this.#owner.heard(fields, bytes);
  }

  /** A server that says nothing is pinged, one that does not answer that is lost. */
  #listen(silences = 0) {
    this.#heard = false;
    this.#watch = setTimeout(() => {
      if (this.#heard) this.#listen();
      else if (silences) this.abandon("the server fell silent");
      else {
        this.#owner.silent();
        this.#listen(1);
      }
    }, SILENCE_MS);
  }
}
