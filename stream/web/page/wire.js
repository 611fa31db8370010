// How the stream fares: where it stands, what the server does for it; and buttons that treat it badly.

import { encode } from "../client/index.js";
import { $, make, put } from "./dom.js";
import { milliseconds } from "./tape.js";

const STALL_MS = 5000;
const FILLING_MS = 10; // between two requests for the latest trades, which fill the buffers between here and the server
const INTERVALS_MS = [0, 10, 50, 100, 250, 500, 1000];
const PING_MS = 2000;
const WINDOW_MS = 1000; // over which rates are measured

export class Wire {
  #market;
  #roundTrip = null;
  #since = performance.now();
  #counted = { frames: 0, changes: 0, bytes: 0, drawn: 0 };
  #rates = { frames: 0, changes: 0, bytes: 0, drawn: 0 };
  #shown = new Map();

  constructor(market, notice) {
    this.#market = market;
    const { client } = market;
    client.addEventListener("message", ({ detail }) => (this.#counted.bytes += detail.bytes.length));
    client.addEventListener("frame", ({ detail: { frame } }) => {
      this.#counted.frames += 1;
      if (frame.bids) this.#counted.changes += (frame.bids.length + frame.asks.length) / 2;
    });
    client.addEventListener("state", () => this.#tellState());
    market.addEventListener("draw", () => this.#draw());
    setInterval(() => this.#ping(), PING_MS);
    $("interval").append(...INTERVALS_MS.map((ms) => make("option", { value: ms, textContent: ms ? `${ms} ms` : "every change", selected: ms === market.intervalMs })));
    $("interval").addEventListener("change", () => market.follow(Number($("interval").value)).catch(notice));
    $("stall").addEventListener("click", () => this.#stall());
    $("cut").addEventListener("click", () => market.socket.cut());
  }

  async #ping() {
    if (this.#market.client.state !== "open") return;
    const began = performance.now();
    await this.#market.client.ping().then(() => (this.#roundTrip = performance.now() - began), () => (this.#roundTrip = null));
  }

  /** Read nothing, and ask for so much that the buffers fill. */
  #stall() {
    const { socket, instrument } = this.#market;
    // The id is that of a request that has been answered long ago: nobody waits for these.
    const request = encode(["subscribe", 1, [`trades:${instrument}`], null, null, {}]);
    socket.stall(request, STALL_MS / FILLING_MS, FILLING_MS);
    $("stall").disabled = true;
    setTimeout(() => ($("stall").disabled = false), STALL_MS);
  }

  #tellState() {
    const { state, staleSince, pacingMs } = this.#market.client;
    const text = {
      connecting: "connecting", lost: "connection lost, coming back", closed: "closed",
      open: staleSince ? "may have fallen behind" : pacingMs ? `live, at most every ${pacingMs} ms` : "live",
    }[state];
    put($("connection"), text);
    $("connection").className = `pill ${state === "open" && !staleSince ? "good" : "bad"}`;
  }

  #draw() {
    this.#counted.drawn += 1;
    const now = performance.now();
    if (now - this.#since > WINDOW_MS) {
      const seconds = (now - this.#since) / 1000;
      this.#rates = Object.fromEntries(Object.entries(this.#counted).map(([name, count]) => [name, Math.round(count / seconds)]));
      this.#counted = { frames: 0, changes: 0, bytes: 0, drawn: 0 };
      this.#since = now;
    }
    const { book, client } = this.#market;
    if (!book?.frame) return;
    const { mismatch, gap } = book.counts;
    this.#show("Sequence", book.seq ?? "–");
    this.#show("Digest", mismatch ? `${mismatch} mismatches` : book.verified ? "verified" : "–", mismatch ? "sell" : "buy");
    this.#show("Interval in force", book.inForce ? (book.inForce.interval_ms ? `${Math.max(book.inForce.interval_ms, client.pacingMs)} ms` : "every change") : "–");
    this.#show("Latency", this.#roundTrip === null ? "–" : `${(this.#roundTrip / 2).toFixed(1)} ms`);
    this.#show("Age of the book", `${Math.max(0, Date.now() - milliseconds(book.frame.server_time))} ms`);
    this.#show("Levels", book.levels.count(0) + book.levels.count(1));
    this.#show("Frames", `${this.#rates.frames} /s`);
    this.#show("Changes", `${this.#rates.changes} /s`);
    this.#show("Bytes", `${(this.#rates.bytes / 1000).toFixed(1)} kB/s`);
    this.#show("Drawn", `${this.#rates.drawn} /s`);
    this.#show("Conflated frames", book.merges);
    this.#show("Catch-up patches", book.patches);
    this.#show("Resumed by patch", client.recoveries.merged);
    this.#show("Connections", client.connections);
    this.#show("Gaps", gap);
    this.#show("Last recovery", book.inForce ? `${book.inForce.recovered}, ${book.inForce.reason}` : "–");
  }

  #show(name, value, colour = "") {
    let cell = this.#shown.get(name);
    if (!cell) {
      cell = make("dd");
      this.#shown.set(name, cell);
      $("stream").append(make("div", {}, make("dt", { textContent: name }), cell));
    }
    put(cell, String(value));
    if (cell.className !== colour) cell.className = colour;
  }
}
