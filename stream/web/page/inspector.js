// The raw messages, as bytes and as what they mean.

import { describe } from "../client/index.js";
import { $, make, put, rows } from "./dom.js";

const KEPT = 400;
const SHOWN = 60;
const DRAW_MS = 250; // nobody reads faster
const BYTES_SHOWN = 2048;
const KINDS = ["all", "book", "trades", "ticker", "orders", "balances", "requests and replies"];
const FRAMES = new Set(KINDS.slice(1, -1));

export class Inspector {
  #kept = [];
  #running = false;
  #kind = "all";
  #chosen = null;

  constructor(client) {
    client.addEventListener("message", ({ detail }) => this.#running && this.#keep(detail));
    $("inspect-kind").append(...KINDS.map((kind) => make("option", { textContent: kind })));
    $("inspect-kind").addEventListener("change", () => {
      this.#kind = $("inspect-kind").value;
      this.#kept = [];
      this.#draw();
    });
    $("inspect").addEventListener("click", () => this.#toggle());
    setInterval(() => this.#running && this.#draw(), DRAW_MS);
  }

  #toggle() {
    this.#running = !this.#running;
    put($("inspect"), this.#running ? "Pause" : "Inspect");
    $("inspect").setAttribute("aria-pressed", String(this.#running));
    $("inspected").hidden = false;
  }

  #keep(message) {
    const [tag] = message.fields;
    const wanted = this.#kind === "all" || (FRAMES.has(this.#kind) ? tag === this.#kind : !FRAMES.has(tag));
    if (!wanted) return;
    this.#kept.push(message);
    if (this.#kept.length > KEPT) this.#kept.splice(0, KEPT / 2);
  }

  #draw() {
    const latest = this.#kept.slice(-SHOWN).reverse();
    const lines = rows($("frames"), latest.length, () => this.#line());
    latest.forEach((message, i) => {
      const button = lines[i].firstChild;
      button.message = message;
      const [tag, first, , prev, seq] = message.fields;
      const where = FRAMES.has(tag) ? `${first}  ${prev ?? "snapshot"} → ${seq}` : "";
      put(button, `${message.sent ? "→" : "←"} ${tag.padEnd(9)} ${String(message.bytes.length).padStart(6)} B  ${where}`);
      const chosen = String(message === this.#chosen);
      if (button.getAttribute("aria-pressed") !== chosen) button.setAttribute("aria-pressed", chosen);
    });
  }

  #line() {
    const button = make("button", { type: "button", className: "frame" });
    button.addEventListener("click", () => this.#choose(button.message));
    return make("li", {}, button);
  }

  #choose(message) {
    this.#chosen = message;
    put($("fields"), readable(describe(message.fields)));
    put($("hex"), hexOf(message.bytes));
    this.#draw();
  }
}

/** JSON with one line for each field, and one for each part of a list of parts. */
function readable(message) {
  const text = (value) => JSON.stringify(value, (_, item) => (typeof item === "bigint" ? item.toString() : item));
  const lines = Object.entries(message).map(([name, value]) => {
    const parts = Array.isArray(value) && typeof value[0] === "object" ? `[\n${value.map((part) => `    ${text(part)}`).join(",\n")}\n  ]` : text(value);
    return `  "${name}": ${parts}`;
  });
  return `{\n${lines.join(",\n")}\n}`;
}

function hexOf(bytes) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, BYTES_SHOWN); at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(47)}  ${letters}`);
  }
  return lines.join("\n") + (bytes.length > BYTES_SHOWN ? `\n… ${bytes.length - BYTES_SHOWN} bytes more` : "");
}
