// What all panels look at: the client, the chosen instrument, and the channels' copies.

import { Client } from "../client/index.js";
import { ThreadSocket } from "./socket.js";

const RETRY_MS = 2000; // between attempts to connect at all
const LAST = "instrument"; // what is kept in the browser's storage

/** Fires `draw` at most once an animation frame and only after something came, `chosen` for another instrument, and `signed` in or out. */
export class Market extends EventTarget {
  instrument = null;
  terms = null;
  intervalMs = 100;
  socket = null;
  subject = null;
  #due = false;

  constructor(url) {
    super();
    const keep = (socket) => (this.socket = socket);
    const WebSocket = class extends ThreadSocket {
      constructor(...where) {
        super(...where);
        keep(this);
      }
    };
    this.client = new Client(url, { WebSocket });
    this.client.addEventListener("frame", () => this.touch());
    this.client.addEventListener("state", () => this.#tend());
  }

  /** After a return: what was asked for while there was no connection, and who is still signed in. */
  #tend() {
    this.touch();
    if (this.client.state !== "open") return;
    if (this.instrument && !this.book) this.follow(this.intervalMs).catch(() => {});
    if (this.subject !== null && !this.client.mirrors.has("orders")) this.#sign(null);
  }

  #sign(subject) {
    this.subject = subject;
    this.#tell("signed");
    this.touch();
  }

  get book() {
    return this.client.mirrors.get(`orderbook:${this.instrument}`);
  }

  get trades() {
    return this.client.mirrors.get(`trades:${this.instrument}`);
  }

  get ticker() {
    return this.client.mirrors.get(`ticker:${this.instrument}`);
  }

  get orders() {
    return [...(this.client.mirrors.get("orders")?.open.values() ?? [])];
  }

  get balances() {
    return [...(this.client.mirrors.get("balances")?.assets.values() ?? [])];
  }

  /** Draw in the next animation frame. */
  touch() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#tell("draw");
    });
  }

  /** Connect, however long it takes, and choose an instrument: the last one if there still is one of its name. */
  async open() {
    let names = null;
    while (!names) {
      try {
        if (this.client.state === "new" || this.client.state === "closed") await this.client.open();
        names = [...(await this.client.instruments()).keys()];
      } catch {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
    if (names.length) await this.choose(names.find((name) => name === localStorage.getItem(LAST)) ?? names[0]);
  }

  async choose(name) {
    const before = this.#channels();
    this.instrument = name;
    this.terms = this.client.terms.get(name);
    localStorage.setItem(LAST, name);
    this.#tell("chosen");
    this.touch();
    if (before.length) this.client.unsubscribe(before).catch(() => {}); // a lost connection has unsubscribed all
    await this.follow(this.intervalMs);
  }

  /** Listen to the instrument's channels at an interval. */
  async follow(intervalMs) {
    this.intervalMs = intervalMs;
    await this.client.subscribe(this.#channels(), { depth: 0, intervalMs });
  }

  #channels() {
    return this.instrument ? ["orderbook", "trades", "ticker"].map((kind) => `${kind}:${this.instrument}`) : [];
  }

  async signIn(token) {
    const { subject } = await this.client.login(token);
    try {
      await this.client.subscribe(["orders", "balances"]);
    } catch (error) {
      await this.signOut();
      throw error;
    }
    this.#sign(subject);
  }

  /** Sign out, and take another connection: this one keeps its subject, and would refuse somebody else's token. */
  async signOut() {
    await this.client.logout();
    this.socket.cut();
    this.#sign(null);
  }

  #tell(type) {
    this.dispatchEvent(new Event(type));
  }
}
