// A WebSocket on a thread of its own, so that it can be treated badly: to stall it is to stop reading, while the page goes on.

export class ThreadSocket {
  readyState = WebSocket.CONNECTING;
  bufferedAmount = 0;
  onmessage = null;
  onclose = null;
  #thread = new Worker(new URL("socket_worker.js", import.meta.url));

  constructor(url, protocol) {
    this.#thread.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.onmessage?.({ data });
      else if (data === "open") this.readyState = WebSocket.OPEN;
      else this.#end(data.code, data.reason);
    };
    this.#thread.postMessage({ url, protocol });
  }

  send(bytes) {
    this.#thread.postMessage(bytes);
  }

  close(code = 1000) {
    this.readyState = WebSocket.CLOSING;
    this.#thread.postMessage({ close: code });
  }

  /** Send a request so many times, so far apart, and read nothing meanwhile. */
  stall(request, times, everyMs) {
    this.#thread.postMessage({ request, times, everyMs });
  }

  /** End the connection without a word. */
  cut() {
    this.#end(1006, "cut");
  }

  #end(code, reason) {
    this.#thread.terminate();
    this.readyState = WebSocket.CLOSED;
    this.onclose?.({ code, reason });
  }
}
