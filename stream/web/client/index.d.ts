/**
 * The JavaScript client of deltabook. PROTOCOL.md says what the fields of messages mean. A field that is counted there is here twice: `price` is exact
 * decimal text, `price_ticks` the count.
 */

/** An integer: a number, or a bigint if it is beyond 2^53, so that it is never rounded. */
export type Integer = number | bigint;
/** Decimal text, which is converted exactly, or a count that says what it counts. A bare number is refused. */
export type Price = string | { ticks: Integer };
export type Size = string | { lots: Integer };
/** For `quote`, a size is money, which is counted in units of the quote asset. */
export type Amount = Size | { units: Integer };
export type Side = "buy" | "sell";
export type Phase = "trading" | "halt" | "auction" | "delisted";
export type Verdict = "snapshot" | "applied" | "heartbeat" | "dropped" | "gap" | "mismatch";
/** A level of a book: exact decimal text, and the counts. */
export interface Level {
  price: string;
  size: string;
  price_ticks: number;
  size_lots: Integer;
}

/** The base class of what a client throws. */
export class ClientError extends Error {}
/** The connection was lost. A request that was under way may or may not have reached the server. It is safe to send it again only if it has a `key`. */
export class ConnectionLost extends ClientError {}
/** The client was closed, the channel was unsubscribed, or the server told the client not to come back. */
export class Closed extends ClientError {}
/** A reader was too slow: too many items of a lossless channel waited for it. */
export class TooSlow extends ClientError {}
/** The server does not accept the token: it has expired, it was revoked, or the server does not know it. `code` is the error's number or the close code. */
export class SignInRefused extends ConnectionLost {
  readonly code: number;
}
/** The server refused a request. `code` is the number of the error, and `order` is the order that it is about (0 for none). */
export class RequestRefused extends ClientError {
  readonly code: number;
  readonly order: Integer;
}
/** A gap: it stands for events of a lossless channel between two sequences, which the server no longer had. */
export class Gap {
  readonly channel: string;
  readonly epoch: number;
  readonly since: number;
  readonly seq: number;
}

export interface Frame {
  channel: string;
  epoch: number;
  prev: number | null;
  seq: number;
  server_time: Integer;
}
export interface BookFrame extends Frame {
  /** Sizes are absolute; size 0 removes the level. */
  readonly bids: Level[];
  readonly asks: Level[];
  /** Price, size, price, size, and so on. */
  bids_ticks_lots: Integer[];
  asks_ticks_lots: Integer[];
  digest: Integer;
  batches: number;
  engine_time: Integer;
}
export interface TickerFrame extends Frame {
  readonly last: string;
  last_ticks: Integer;
  readonly last_size: string;
  last_size_lots: Integer;
  readonly bid: string;
  bid_ticks: Integer;
  readonly bid_size: string;
  bid_size_lots: Integer;
  readonly ask: string;
  ask_ticks: Integer;
  readonly ask_size: string;
  ask_size_lots: Integer;
  readonly open: string;
  open_ticks: Integer;
  readonly high: string;
  high_ticks: Integer;
  readonly low: string;
  low_ticks: Integer;
  readonly volume: string;
  volume_lots: Integer;
  readonly value: string;
  value_units: Integer;
  trades: number;
  phase: Phase;
  readonly indicative_price: string;
  indicative_price_ticks: Integer;
  readonly indicative_size: string;
  indicative_size_lots: Integer;
}
export interface Trade {
  seq: number;
  time: Integer;
  readonly price: string;
  price_ticks: Integer;
  readonly size: string;
  size_lots: Integer;
  side: Side;
}
export interface OrderUpdate {
  seq: number;
  time: Integer;
  event: "open" | "accepted" | "waiting" | "triggered" | "displayed" | "filled" | "cancelled" | "reduced" | "replaced";
  order: Integer;
  client_id: Integer;
  instrument: string;
  side: Side;
  readonly price: string;
  price_ticks: Integer;
  readonly remaining: string;
  remaining_lots: Integer;
  readonly filled: string;
  filled_lots: Integer;
  readonly value: string;
  value_units: Integer;
  readonly fill_price: string;
  fill_price_ticks: Integer;
  readonly fill_size: string;
  fill_size_lots: Integer;
  readonly fee: string;
  fee_units: Integer;
  liquidity: "" | "maker" | "taker";
  type: "limit" | "market" | "stop" | "stop_limit" | "trailing_stop" | "take_profit" | "take_profit_limit";
  readonly stop: string;
  stop_ticks: Integer;
  readonly displayed: string;
  displayed_lots: Integer;
  expires: Integer;
  linked: Integer;
  reason: "" | "requested" | "unfilled" | "expired" | "self_trade" | "linked" | "insufficient_funds" | "price_out_of_band";
}
/** The trades of one interval, which begins at `start`, in ns. What is `bought` is the takers' part. */
export interface Candle {
  start: Integer;
  readonly open: string;
  open_ticks: Integer;
  readonly high: string;
  high_ticks: Integer;
  readonly low: string;
  low_ticks: Integer;
  readonly close: string;
  close_ticks: Integer;
  readonly size: string;
  size_lots: Integer;
  readonly value: string;
  value_units: Integer;
  readonly bought: string;
  bought_lots: Integer;
  readonly bought_value: string;
  bought_value_units: Integer;
  trades: number;
  first: number;
  last: number;
}
export type Interval = "1s" | "1m" | "3m" | "5m" | "15m" | "30m" | "1h" | "2h" | "4h" | "6h" | "8h" | "12h" | "1d" | "3d" | "1w" | "1M";
/** One's own order as it is now, or as it was when it was done. */
export interface PastOrder {
  order: Integer;
  client_id: Integer;
  instrument: string;
  side: Side;
  type: "limit" | "market" | "stop" | "stop_limit" | "trailing_stop" | "take_profit" | "take_profit_limit";
  time_in_force: "gtc" | "ioc" | "fok" | "gtd" | "day";
  post_only: boolean;
  readonly price: string;
  price_ticks: Integer;
  readonly size: string;
  size_lots: Integer;
  readonly stop: string;
  stop_ticks: Integer;
  readonly display: string;
  display_lots: Integer;
  expires: Integer;
  readonly filled: string;
  filled_lots: Integer;
  readonly value: string;
  value_units: Integer;
  status: "open" | "waiting" | "filled" | "cancelled";
  reason: string;
  time: Integer;
  updated: Integer;
  seq: number;
}
/** One fill of one's own order; `trade` is the sequence of the trade. */
/** The place of an own order in the queue of its price at `seq`. */
export interface QueuePosition {
  seq: number;
  order: Integer;
  /** What the order is called on `market_by_order`. */
  number: number;
  instrument: string;
  side: Side;
  readonly price: string;
  price_ticks: Integer;
  readonly size: string;
  size_lots: Integer;
  orders_ahead: number;
  readonly size_ahead: string;
  size_ahead_lots: Integer;
}
export interface PastTrade {
  seq: number;
  trade: number;
  order: Integer;
  client_id: Integer;
  instrument: string;
  side: Side;
  readonly price: string;
  price_ticks: Integer;
  readonly size: string;
  size_lots: Integer;
  readonly value: string;
  value_units: Integer;
  readonly fee: string;
  fee_units: Integer;
  liquidity: "maker" | "taker";
  time: Integer;
}
export interface PageOptions {
  after?: Integer;
  since?: Integer;
  until?: Integer;
  latest?: boolean;
  count?: number;
}
export interface Balance {
  asset: string;
  decimals: number;
  readonly available: string;
  available_units: Integer;
  readonly held: string;
  held_units: Integer;
}
export interface InForce {
  channel: string;
  recovered: "none" | "merged" | "snapshot";
  reason: "new" | "current" | "patch" | "epoch" | "forgotten" | "ahead" | "larger" | "window";
  depth: number;
  interval_ms: number;
  tick?: string;
  lot?: string;
  quote_decimals?: number;
}
export interface Terms {
  name: string;
  base: string;
  quote: string;
  /** Decimal text, like `lot`. All other prices and sizes are counted in ticks and lots. */
  tick: string;
  lot: string;
  base_decimals: number;
  quote_decimals: number;
  price_max: number;
  size_min: Integer;
  size_max: Integer;
  maker_fee: number;
  taker_fee: number;
  notional_max: Integer;
  orders_max: number;
  parts_max: number;
  stops_max: number;
  fills_max: number;
  market_notional: boolean;
  band: number;
  hold_fee: number;
  day_end: number;
  phase: Phase;
}
/** How much the server takes from the connection; undefined if the server does not say. */
export interface Limits {
  subscriptions_max?: number;
  message_bytes_max?: number;
  messages_per_s?: number;
  messages_burst?: number;
  under_way_max?: number;
}
export interface Welcome extends Limits {
  server: string;
  epoch: number;
  seq: number;
  time: Integer;
  heartbeat_ms: number;
  subject: string | null;
}
export interface LoggedIn extends Limits {
  id: number;
  subject: string;
  scopes: string[];
  expires: number;
}
export interface Done {
  id: number;
  seq: number;
  order: Integer;
  client_id: Integer;
  /** "" if the request did not say. Then only the counts can be read. */
  instrument: string;
  status: "open" | "waiting" | "filled" | "cancelled";
  readonly remaining: string;
  remaining_lots: Integer;
  readonly filled: string;
  filled_lots: Integer;
  readonly value: string;
  value_units: Integer;
}

/**
 * A client's copy of one channel. Iterate over it, or look at it at any time. Any number of iterations each get what comes once they have
 * begun; those that begin right behind the subscription, with nothing awaited in between, get all since then.
 */
interface Mirror<F extends Frame, Item> extends AsyncIterable<Item> {
  readonly channel: string;
  readonly epoch: number | null;
  /** The sequence up to which the copy is complete; null before the first snapshot. */
  readonly seq: number | null;
  readonly frame: F | null;
  /** Counts of what became of the frames so far. */
  readonly counts: Record<Verdict, number>;
  readonly inForce: InForce | null;
  readonly resume: [epoch: number, seq: number] | null;
  /** Apply the five rules of the protocol to a frame. */
  receive(frame: F): Verdict;
  /** Ask for a snapshot at the next subscription. */
  forget(): void;
}

/** The levels of a book, in ticks and lots. Side 0 is the bids, side 1 the asks. */
export interface Levels {
  size(side: 0 | 1, price: number): Integer;
  count(side: 0 | 1): number;
  /** The best n levels of a side, best first; all levels without n. */
  best(side: 0 | 1, n?: number): [price: number, size: Integer][];
  readonly digest: { readonly value: bigint; equals(value: Integer): boolean };
}

/** An order book. An iteration gets the latest frame; frames that it skipped are in the book. */
export class Book implements Mirror<BookFrame, BookFrame> {
  constructor(channel: string);
  readonly levels: Levels;
  readonly bestBid: Level | null;
  readonly bestAsk: Level | null;
  /** The best n bids, best first; all of them without n. */
  bids(n?: number): Level[];
  asks(n?: number): Level[];
  /** Whether the last frame led to a book with the server's digest. A frame that does not is not applied. */
  readonly verified: boolean;
  /** How many frames hold several batches, merged. */
  readonly merges: number;
  /** How many frames were made for this client only, because it was slow or away. */
  readonly patches: number;
  /** How many levels there were in the frames. */
  readonly changes: number;
}
export interface Book extends Mirror<BookFrame, BookFrame> {}

/** What one of the engine's batches changed, each change as the wire has it. */
export interface OrderBatch {
  seq: number;
  time: Integer;
  changes: (string | Integer)[][];
}

/** An order book order by order. An iteration gets every batch of changes in order, and a Gap where the server no longer had some. */
export class ByOrder implements Mirror<Frame & { batches: unknown[] }, OrderBatch | Gap> {
  constructor(channel: string);
  /** Whether the last frame led to the orders, and their priority, that the server has. A frame that does not is not applied. */
  readonly verified: boolean;
  /** The orders at a price in ticks by priority. */
  queue(side: Side, price: Integer): [number: number, lots: Integer][];
  /** How many orders, and how many lots, are ahead of the order with this number; null if it is not in the book. O(orders ahead). */
  place(number: number): { orders: number; size: Integer } | null;
  /** The best n bids that the orders add up to, best first; all of them without n. */
  bids(n?: number): Level[];
  asks(n?: number): Level[];
}
export interface ByOrder extends Mirror<Frame & { batches: unknown[] }, OrderBatch | Gap> {}

/** The trades of an instrument. An iteration gets every trade in order, and a Gap where the server no longer had some. */
export class Trades implements Mirror<Frame & { trades: Integer[][] }, Trade | Gap> {
  constructor(channel: string);
  /** The last thousand trades, oldest first. */
  readonly latest: Trade[];
  /** How many trades have come since the first snapshot. */
  readonly count: number;
}
export interface Trades extends Mirror<Frame & { trades: Integer[][] }, Trade | Gap> {}

export class Ticker implements Mirror<TickerFrame, TickerFrame> {
  constructor(channel: string);
  readonly latest: TickerFrame | null;
}
export interface Ticker extends Mirror<TickerFrame, TickerFrame> {}

/** The account's own orders. */
export class Orders implements Mirror<Frame & { orders: unknown[][] }, OrderUpdate | Gap> {
  constructor(channel: string);
  /** The open orders, by id. */
  readonly open: Map<Integer, OrderUpdate>;
}
export interface Orders extends Mirror<Frame & { orders: unknown[][] }, OrderUpdate | Gap> {}

/** The account's own balances. */
export class Balances implements Mirror<Frame & { balances: unknown[][] }, Balance | Gap> {
  constructor(channel: string);
  readonly assets: Map<string, Balance>;
}
export interface Balances extends Mirror<Frame & { balances: unknown[][] }, Balance | Gap> {}

export interface Options {
  /**
   * A token, or what returns a fresh one for each connection. When the server takes a token no longer, the connection goes on without for the
   * public channels; own ones end with SignInRefused, if a function has no other one either.
   */
  token?: string | (() => string | Promise<string>) | null;
  /** The class of the socket. The default is the global WebSocket, or that of the package `ws` if there is none. */
  WebSocket?: unknown;
  /** The source of random numbers for the jitter. */
  random?: () => number;
}
export interface Abortable {
  /** If it is aborted before the call is done, nothing stays here or at the server, and its reason is thrown. */
  signal?: AbortSignal | null;
}
export interface SubscribeOptions extends Abortable {
  /** The number of levels on each side, 0 for the full book; the server's default if it is not given. */
  depth?: number | null;
  /** The shortest time between two frames, 0 for every change; the server's default if it is not given. */
  intervalMs?: number | null;
}
export interface OrderOptions {
  type?: "limit" | "market" | "stop" | "stop_limit" | "trailing_stop" | "take_profit" | "take_profit_limit";
  time_in_force?: "gtc" | "ioc" | "fok" | "gtd" | "day";
  post_only?: boolean;
  client_id?: Integer;
  slide?: boolean;
  /** For a market order: the size is an amount of money. */
  quote?: boolean;
  stop?: Price | null;
  display?: Size | null;
  min_size?: Size | null;
  /** Nanoseconds since 1970, or a Date. */
  expires?: Integer | Date;
  linked?: Integer;
  self_trade?: "account" | "allow" | "cancel_newest" | "cancel_oldest" | "cancel_both" | "decrement";
  key?: Integer;
}
/**
 * Where there is a key (see `newKey`), the request is carried out once, however often it is sent: the client sends it again when a lost connection is back in time,
 * and says when it first did, so that a server that may have forgotten it refuses it.
 */
export interface Keyed {
  key?: Integer;
}
export interface ClientEvents {
  /** The connection's state, `staleSince`, `pacingMs` or `signInRefused` has changed. */
  state: { state: "connecting" | "open" | "lost" | "closed"; reason: string };
  frame: { mirror: Book | Trades | Ticker | Orders | Balances; frame: Frame; verdict: Verdict };
  gap: Gap;
  notice: string;
  /** Every message as it is on the wire, but without tokens. */
  message: { sent: boolean; bytes: Uint8Array; fields: unknown[] };
}

/** An order: the exchange's id of it, or what was read of it, which says its instrument, so that decimals can be used. */
export type Order = Integer | { order: Integer; instrument: string };

export class Client extends EventTarget {
  constructor(url: string, options?: Options);
  readonly url: string;
  readonly state: "new" | ClientEvents["state"]["state"];
  readonly mirrors: Map<string, Book | Trades | Ticker | Orders | Balances>;
  readonly terms: Map<string, Terms>;
  /** What one tick, one lot and one unit of the quote asset are, as decimal text, by instrument. */
  readonly scales: Map<string, { ticks: string; lots: string; units: string }>;
  readonly welcome: Welcome | null;
  /** How many connections were opened. */
  readonly connections: number;
  /** How many subscriptions were brought up to date, by the way it was done. */
  readonly recoveries: Record<InForce["recovered"], number>;
  /** Under load, the server sends books and tickers no more often than this, in ms. */
  readonly pacingMs: number;
  /** If the server may have fallen behind: the time up to which it is complete, in ns since 1970. 0: it is up to date. */
  readonly staleSince: Integer;
  /** Why the connection goes on without the token; null if it does not. */
  readonly signInRefused: ClientError | null;
  /** A server that shuts down asks its clients to come back within this time, in ms; 0: it is not shutting down. */
  readonly returnMs: number;
  addEventListener<K extends keyof ClientEvents>(type: K, listener: (event: Event & { detail: ClientEvents[K] }) => void, options?: boolean | AddEventListenerOptions): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  /** Connect and sign in. Rejects if that fails; after a later loss the client reconnects. Node before 22 needs the package `ws`. */
  open(options?: Abortable): Promise<Client>;
  /** Close the connection. All requests and iterations end with Closed. */
  close(): void;
  /** Send any request, with all its fields, as soon as the limits allow. Resolves to its reply; rejects with RequestRefused, ConnectionLost or Closed. */
  request(tag: string, ...fields: unknown[]): Promise<Record<string, unknown>>;
  /** Subscribe to channels, all as of one sequence if they fit into one message, as some hundreds do. */
  subscribe(channels: string[], options?: SubscribeOptions): Promise<(Book | Trades | Ticker | Orders | Balances)[]>;
  unsubscribe(channels: string[]): Promise<unknown>;
  orderbook(instrument: string, options?: SubscribeOptions): Promise<Book>;
  marketByOrder(instrument: string, options?: SubscribeOptions): Promise<ByOrder>;
  trades(instrument: string, options?: SubscribeOptions): Promise<Trades>;
  ticker(instrument: string, options?: SubscribeOptions): Promise<Ticker>;
  orders(options?: SubscribeOptions): Promise<Orders>;
  balances(options?: SubscribeOptions): Promise<Balances>;
  login(token: string): Promise<LoggedIn>;
  logout(): Promise<void>;
  instruments(): Promise<Map<string, Terms>>;
  /** They hold every trade up to `seq`: to go on from them, take in the later ones of the channel. At most 1000 candles. */
  candles(instrument: string, interval: Interval, options?: { since?: Integer; until?: Integer; count?: number }): Promise<{ id: number; epoch: number; seq: number; candles: Candle[] }>;
  ping(): Promise<{ id: number; time: Integer }>;
  place(instrument: string, side: Side, price: Price | null, size: Amount, options?: OrderOptions): Promise<Done>;
  cancel(order: Order | null, options?: Keyed & { client_id?: Integer; instrument?: string }): Promise<Done>;
  reduce(order: Order, by: Size, options?: Keyed & { client_id?: Integer; instrument?: string }): Promise<Done>;
  replace(order: Order, price: Price, size: Size, options?: Keyed & { client_id?: Integer; instrument?: string; stop?: Price | null }): Promise<Done>;
  /** Resolves to the number of orders that were cancelled. */
  cancelAll(instrument?: string | null, side?: Side | null, options?: Keyed): Promise<number>;
  /** For the next page, `after` is the last order of this one. Times are in ns since 1970. At most 1000 orders. */
  orderHistory(instrument?: string | null, options?: PageOptions): Promise<{ id: number; complete_since: Integer; orders: PastOrder[] }>;
  /** For the next page, `after` is the `seq` of the last fill of this one. */
  queuePosition(order: Integer | { order: Integer }): Promise<QueuePosition>;
  tradeHistory(instrument?: string | null, options?: PageOptions & { order?: Integer }): Promise<{ id: number; complete_since: Integer; trades: PastTrade[] }>;
  cancelOnDisconnect(scope: "off" | "connection" | "session", graceMs?: number): Promise<void>;
  deadMan(timeoutMs: number): Promise<void>;
}

/** A connected client. */
export function connect(url: string, options?: Options & Abortable): Promise<Client>;

/** A number of steps ("0.01") as decimal text. */
export function toText(count: Integer, step: string): string;
/** How many steps a decimal text is. Throws RangeError if it is not decimal text, or not a multiple of the step. */
export function fromText(text: string, step: string): Integer;
/** The step of an asset's units, as decimal text. */
export function stepOf(decimals: number): string;
/** The share of one order in the digest of a book by orders; `ahead` is the order directly ahead of it, 0 for none. */
export function orderShare(order: Integer, ahead: Integer, side: 0 | 1, price: Integer, size: Integer): bigint;
/** The share of one level in the digest of a book. The digest is the sum of all shares, mod 2^64. */
export function mix64(side: 0 | 1, price: Integer, size: Integer): bigint;
/** A new number for a request, which nobody has used. */
export function newKey(): number;
/** The fields of `place`. */
export function placing(terms: Terms, side: Side, price: Price | null, size: Amount, options?: OrderOptions): unknown[];
/** A whole message with the names of its fields, for people to read. */
export function describe(message: unknown[]): Record<string, unknown>;
/** Read one MessagePack value. */
export function decode(bytes: Uint8Array | ArrayBuffer): unknown;
/** Write one MessagePack value. */
export function encode(value: unknown): Uint8Array;
