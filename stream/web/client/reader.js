// One iteration over a channel.

import { TooSlow } from "./errors.js";

const ITEMS_MAX = 100_000;

/** What waits for one `for await`: of a lossless channel every item, of the others the latest. */
export class Reader {
  #items = [];
  #failure = null;
  #wake = null;

  constructor(lossless) {
    this.lossless = lossless;
  }

  /** Another one, with what waits here. */
  fork() {
    const reader = new Reader(this.lossless);
    reader.#items = [...this.#items];
    return reader;
  }

  push(item) {
    if (this.#failure) return; // what comes now would hide that something is missing
    if (!this.lossless) this.#items.length = 0;
    this.#items.push(item);
    if (this.#items.length > ITEMS_MAX) {
      this.#items.length = 0;
      this.fail(new TooSlow(`more than ${ITEMS_MAX} items waited`));
    }
    this.#wake?.();
  }

  /** Let the iteration end with an error, once it has had what came before. */
  fail(failure) {
    this.#failure = failure;
    this.#wake?.();
  }

  async *items() {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (this.#items.length) continue;
      if (this.#failure) throw this.#failure;
      await new Promise((resolve) => (this.#wake = resolve));
    }
  }
}
