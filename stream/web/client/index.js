// The JavaScript client, for browsers and Node. It needs nothing but a WebSocket.
//
//     const client = await connect("ws://127.0.0.1:8080/v1");
//     const book = await client.orderbook("BTC-USDT", { intervalMs: 100 });
//     for await (const frame of book) console.log(book.bestBid.price, book.bestAsk.price, book.seq, book.verified);

export { Client, connect } from "./client.js";
export { fromText, stepOf, toText } from "./decimal.js";
export { mix64, orderShare } from "./digest.js";
export { ClientError, Closed, ConnectionLost, Gap, RequestRefused, SignInRefused, TooSlow } from "./errors.js";
export { describe } from "./messages.js";
export { Balances, Book, ByOrder, Orders, Ticker, Trades } from "./mirrors.js";
export { decode, encode } from "./msgpack.js";
export { placing } from "./placing.js";
export { newKey } from "./requests.js";
