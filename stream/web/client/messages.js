// The protocol's messages: what the fields of each are called. The wire has them as arrays, with the tag first.

import { readingOf } from "./readings.js";

const FRAMES = {
  book: ["channel", "epoch", "prev", "seq", "bids", "asks", "digest", "batches", "engine_time", "server_time"],
  market_by_order: ["channel", "epoch", "prev", "seq", "batches", "digest", "engine_time", "server_time"],
  trades: ["channel", "epoch", "prev", "seq", "trades", "server_time"],
  ticker: ["channel", "epoch", "prev", "seq", "last", "last_size", "bid", "bid_size", "ask", "ask_size", "open", "high", "low", "volume", "value", "trades", "server_time", "phase", "indicative_price", "indicative_size", "volume_beyond", "value_beyond"],
  orders: ["channel", "epoch", "prev", "seq", "orders", "server_time"],
  balances: ["channel", "epoch", "prev", "seq", "balances", "server_time"],
};
const NOTICES = {
  welcome: ["server", "epoch", "seq", "time", "heartbeat_ms", "subject", "subscriptions_max", "message_bytes_max", "messages_per_s", "messages_burst", "under_way_max"],
  gap: ["channel", "epoch", "since", "seq"],
  pacing: ["interval_ms"],
  leaving: ["return_ms"],
  stale: ["since"],
};
const REPLIES = {
  logged_in: ["id", "subject", "scopes", "expires", "subscriptions_max", "message_bytes_max", "messages_per_s", "messages_burst", "under_way_max"],
  subscribed: ["id", "epoch", "seq", "channels"],
  unsubscribed: ["id", "channels"],
  subscriptions: ["id", "channels"],
  instrument_list: ["id", "instruments"],
  candle_page: ["id", "epoch", "seq", "candles"],
  pong: ["id", "time"],
  done: ["id", "seq", "order", "client_id", "status", "remaining", "filled", "value"],
  all_cancelled: ["id", "seq", "count"],
  order_page: ["id", "complete_since", "orders"],
  trade_page: ["id", "complete_since", "trades"],
  queued: ["id", "seq", "order", "number", "instrument", "side", "price", "size", "orders_ahead", "size_ahead"],
  connection_list: ["id", "connections", "unheard"],
  phase_changes: ["id", "changes"],
  confirmed: ["id"],
  error: ["id", "code", "message", "order"],
};
const REQUESTS = {
  login: ["id", "token"],
  subscribe: ["id", "channels", "depth", "interval_ms", "resume"],
  unsubscribe: ["id", "channels"],
  list: ["id"],
  instruments: ["id"],
  candles: ["id", "instrument", "interval", "since", "until", "count"],
  ping: ["id"],
  place: ["id", "instrument", "side", "price", "size", "type", "time_in_force", "post_only", "client_id", "slide", "quote", "stop", "display", "min_size", "expires", "linked", "self_trade", "key", "sent"],
  cancel: ["id", "order", "client_id", "key", "sent"],
  reduce: ["id", "order", "by", "client_id", "key", "sent"],
  replace: ["id", "order", "price", "size", "client_id", "stop", "key", "sent"],
  cancel_all: ["id", "instrument", "side", "key", "sent"],
  cancel_on_disconnect: ["id", "scope", "grace_ms"],
  dead_man: ["id", "timeout_ms"],
  order_history: ["id", "instrument", "after", "since", "until", "latest", "count"],
  trade_history: ["id", "instrument", "after", "order", "since", "until", "latest", "count"],
  queue_position: ["id", "order"],
  logout: ["id"],
};
const PARTS = {
  TERMS: ["name", "base", "quote", "tick", "lot", "base_decimals", "quote_decimals", "price_max", "size_min", "size_max", "maker_fee", "taker_fee", "notional_max", "orders_max", "band", "hold_fee", "day_end", "phase", "parts_max", "stops_max", "fills_max", "market_notional"],
  IN_FORCE: ["channel", "recovered", "reason", "depth", "interval_ms", "tick", "lot", "quote_decimals"],
  TRADE: ["seq", "time", "price", "size", "side"],
  ORDER: ["seq", "time", "event", "order", "client_id", "instrument", "side", "price", "remaining", "filled", "value", "fill_price", "fill_size", "fee", "liquidity", "type", "stop", "displayed", "expires", "linked", "reason"],
  CANDLE: ["start", "open", "high", "low", "close", "size", "value", "bought", "bought_value", "trades", "first", "last", "size_beyond", "value_beyond", "bought_beyond", "bought_value_beyond"],
  PAST_ORDER: ["order", "client_id", "instrument", "side", "type", "time_in_force", "post_only", "price", "size", "stop", "display", "expires", "filled", "value", "status", "reason", "time", "updated", "seq"],
  PAST_TRADE: ["seq", "trade", "order", "client_id", "instrument", "side", "price", "size", "value", "fee", "liquidity", "time"],
  BALANCE: ["asset", "decimals", "available", "held"],
};
const ALL = { ...FRAMES, ...NOTICES, ...REPLIES, ...REQUESTS };
const ROLES = new Map(Object.entries({ frame: FRAMES, notice: NOTICES, reply: REPLIES }).flatMap(([role, of]) => Object.keys(of).map((tag) => [tag, role])));

/** The classes of what is read, in decimals. */
export const READINGS = {
  ticker: readingOf(FRAMES.ticker, { last: "ticks" }), trade: readingOf(PARTS.TRADE), order: readingOf(PARTS.ORDER), balance: readingOf(PARTS.BALANCE),
  candle: readingOf(PARTS.CANDLE), past_order: readingOf(PARTS.PAST_ORDER), past_trade: readingOf(PARTS.PAST_TRADE), done: readingOf(REPLIES.done),
  queued: readingOf(REPLIES.queued),
};

/** Values under their names. */
function named(names, values) {
  const of = {};
  for (let i = 0; i < names.length; i++) of[names[i]] = values[i];
  return of;
}

const each = (names) => (rows) => rows.map((row) => named(names, row));
const readTerms = each(PARTS.TERMS);
const readInForce = each(PARTS.IN_FORCE);

export const readTrades = each(PARTS.TRADE);
export const readOrders = each(PARTS.ORDER);
export const readBalances = each(PARTS.BALANCE);

const REPLY_PARTS = {
  subscribed: { channels: readInForce }, subscriptions: { channels: readInForce }, instrument_list: { instruments: readTerms }, candle_page: { candles: each(PARTS.CANDLE) },
  order_page: { orders: each(PARTS.PAST_ORDER) }, trade_page: { trades: each(PARTS.PAST_TRADE) },
};
const FRAME_PARTS = { trades: { trades: readTrades }, orders: { orders: readOrders }, balances: { balances: readBalances } };

function withParts(message, parts = {}) {
  for (const [field, read] of Object.entries(parts)) message[field] = read(message[field]);
  return message;
}

/** A server's message with the names of its fields, its `tag`, and its `role`: "frame", "reply" or "notice"; null for one of a later protocol. */
export function read([tag, ...values]) {
  const role = ROLES.get(tag);
  return role ? withParts({ tag, role, ...named(ALL[tag], values) }, REPLY_PARTS[tag]) : null;
}

/** The key of a request's fields, 0 if it has none. */
export const keyOf = (tag, fields) => fields[(REQUESTS[tag]?.indexOf("key") ?? 0) - 1] ?? 0;

/** A request's message with when it was first sent, by the server's clock, behind its key. */
export const dated = (message, sent) => [...message.slice(0, REQUESTS[message[0]].indexOf("key") + 2), sent];

/** A whole message, of either side, with the names of its fields and of their parts: for people to read. */
export function describe([tag, ...values]) {
  const message = named(ALL[tag] ?? values.map((_, i) => `field ${i}`), values);
  return { message: tag, ...withParts(message, REPLY_PARTS[tag] ?? FRAME_PARTS[tag]) };
}
