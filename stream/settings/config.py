"""Every setting and limit of a server, in one struct. Values come from a TOML file, then the environment, then the command line; the last one wins."""

import re
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine import FEE_SCALE, MONEY_MAX, Instrument
from stream.wire.fields import InstrumentName, ListedPhaseName, SelfTradeMode

Count = Annotated[int, Meta(ge=1, le=1 << 40)]
SourceName = Annotated[str, Meta(pattern="^(recorded|simulated|none|journal:.+)$")]
Milliseconds = Annotated[int, Meta(ge=0, le=1 << 31)]
Chance = Annotated[float, Meta(ge=0, le=1)]

ENVIRONMENT_PREFIX = "DELTABOOK_"

FLAGS = {
    "host": "--host", "port": "--port", "sources": "--source", "upstream": "--upstream", "journal": "--journal", "faults": "--faults", "role": "--role",
    "redis": "--redis", "workers": "--workers", "dialects": "--dialect", "rest_port": "--rest",
}
"""The settings that have a flag of their own. All others are set with `--set`."""


class ConfigError(Exception):
    """A setting cannot be read, or its value is not allowed."""


class KeyConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that tokens may be signed with. Each key has exactly one algorithm, so that a token cannot choose a different one."""

    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"]
    key: Annotated[str, Meta(description="The secret (HS256), or the public key as PEM.")] = ""
    file: Annotated[str, Meta(description="A file that holds the key, instead of `key`.")] = ""
    kid: Annotated[str, Meta(description="The key's id, if tokens name one.")] = ""


class InstrumentConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """An instrument that the server trades. `tick` and `lot` are decimal text."""

    name: InstrumentName
    base: Annotated[str, Meta(description="The asset that is bought and sold. It must be one of `assets`.")]
    quote: Annotated[str, Meta(description="The asset that prices are in. It must be one of `assets`.")]
    tick: Annotated[Decimal, Meta(description="The smallest step between prices, in the quote asset, such as `\"0.01\"`.")]
    lot: Annotated[Decimal, Meta(description="The smallest step between sizes, in the base asset, such as `\"0.0001\"`.")]
    price_max: Annotated[Count, Meta(description="The highest price, in ticks.")] = 1 << 40
    size_min: Annotated[Count, Meta(description="The smallest size of an order, in lots.")] = 1
    size_max: Annotated[Count, Meta(description="The largest size of an order, in lots.")] = 1 << 40
    maker_fee: Annotated[int, Meta(gt=-FEE_SCALE, lt=FEE_SCALE, description="The fee that a maker pays, in parts per million of the notional. Below 0 it is a rebate, at most `taker_fee`.")] = 0
    taker_fee: Annotated[int, Meta(ge=0, lt=FEE_SCALE, description="The fee that a taker pays, in parts per million of the notional.")] = 0
    notional_max: Annotated[int, Meta(ge=0, le=MONEY_MAX, description="The largest notional (price times size) of an order, in units of the quote asset. 0: no limit.")] = 0
    orders_max: Annotated[int, Meta(ge=0, lt=1 << 32, description="The most orders that may be open in the book. 0: no limit.")] = 0
    band: Annotated[int, Meta(ge=0, lt=FEE_SCALE, description="How far the limit of an order may be from the reference price, in parts per million of that price. 0: no limit.")] = 0
    hold_fee: Annotated[int, Meta(ge=0, lt=FEE_SCALE, description="The highest fee that may ever be set, in parts per million of the notional. Buy orders reserve money for it. 0: the higher of `maker_fee` and `taker_fee`.")] = 0
    day_end: Annotated[int, Meta(ge=0, lt=24 * 3600, description="When `day` orders end, in seconds after midnight UTC.")] = 0
    parts_max: Annotated[int, Meta(ge=1, le=1 << 20, description="The most parts in which an iceberg may be displayed, one after the other.")] = 1_000
    stops_max: Annotated[int, Meta(ge=1, le=1 << 20, description="The most stops that may wait in the book.")] = 50_000
    fills_max: Annotated[int, Meta(ge=1, le=1 << 20, description="The most orders that one order may meet. The orders that are met by the stops which it triggers count too.")] = 100_000
    market_notional: Annotated[bool, Meta(description="Whether `notional_max`, the instrument's and an account's, also applies to `market` orders. It is then compared with what they would trade.")] = True

    def instrument(self) -> Instrument:
        """The instrument as the engine takes it."""
        return Instrument(**msgspec.structs.asdict(self))


Role = Literal["all", "engine", "standby", "gateway"]


Day = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
DAYS: tuple[Day, ...] = get_args(Day)


class ScheduleConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A time at which instruments change to a phase, such as the opening and the end of trading, or the beginning of an auction. Of two lines at the same time
    the later one counts.
    """

    at: Annotated[str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$", description="The time of day, such as `\"09:00\"`.")]
    phase: Annotated[ListedPhaseName, Meta(description="The phase from then on. `trading` uncrosses an auction.")]
    days: Annotated[tuple[Day, ...], Meta(min_length=1, description="The days of the week.")] = DAYS
    time_zone: Annotated[str, Meta(description="The time zone of the time and the days, such as `\"Europe/Berlin\"`.")] = "UTC"
    instruments: Annotated[tuple[str, ...], Meta(description="The instruments; none: all of them.")] = ()


class FaultConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Faults that the server injects into the connection of every client, to test clients. Each chance, from 0 to 1, applies to each frame of a channel."""

    seed: Annotated[int, Meta(description="The same seed does the same to the same frames.")] = 1
    drop: Annotated[Chance, Meta(description="The chance that the frame is lost.")] = 0.0
    duplicate: Annotated[Chance, Meta(description="The chance that the frame arrives twice.")] = 0.0
    reorder: Annotated[Chance, Meta(description="The chance that the frame arrives after the channel's next frame.")] = 0.0
    corrupt: Annotated[Chance, Meta(description="The chance that a frame of a book says something else than the server sent.")] = 0.0
    cut: Annotated[Chance, Meta(description="The chance that the connection ends in the middle of the frame. It applies to every other message, too.")] = 0.0
    delay_ms: Annotated[Milliseconds, Meta(description="Every write is delayed by a random time, up to this long.")] = 0


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. The name of a setting ends in its unit."""

    host: Annotated[str, Meta(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="The TCP port to listen on. 0: any free port.")] = 8080
    sources: Annotated[tuple[SourceName, ...], Meta(description="Where orders come from, besides the clients: `recorded`, `simulated` or `none`. Or `journal:FOLDER`: the server plays the history of that journal again. Clients can then only watch, and there can be no other source.")] = ("none",)
    speed: Annotated[float, Meta(gt=0, description="How fast the recorded source, or a journal, is played. 1 is the original speed.")] = 1.0
    seed: Annotated[int, Meta(description="The seed of the simulated source.")] = 1
    rate: Annotated[Count, Meta(description="How many commands per second the simulated source sends for each of its instruments.")] = 50

    assets: Annotated[dict[str, Annotated[int, Meta(ge=0, le=18)]], Meta(description="The number of decimals of each asset.")] = {}
    instruments: Annotated[tuple[InstrumentConfig, ...], Meta(description="Instruments in addition to those of the sources.")] = ()

    schedule: Annotated[tuple[ScheduleConfig, ...], Meta(description="When the phases of instruments change. What was missed while no process ran is made up for at the start. Without a schedule the market is always open.")] = ()

    keys: Annotated[tuple[KeyConfig, ...], Meta(description="The keys that tokens may be signed with. If there are none, the server uses the development key in `key_file`.")] = ()
    key_file: Annotated[str, Meta(description="The file with the development key (HS256). The server makes it if there are no keys and it listens on a local address.")] = "data/development.key"
    jwks: Annotated[str, Meta(description="A file or URL with a JSON Web Key Set. Tokens may be signed with its keys too, and the server follows as keys are added and removed. A URL must be https; http is allowed on this machine only.")] = ""
    jwks_refresh_s: Annotated[Count, Meta(description="The server fetches the key set again this often.")] = 300
    jwks_retry_s: Annotated[Count, Meta(description="The shortest time between two fetches of the key set, if a token names a key that is not in it, or if the last fetch failed.")] = 10
    jwks_timeout_s: Annotated[Count, Meta(description="The time limit for fetching the key set, from the request to the last byte of the answer.")] = 5
    jwks_bytes_max: Annotated[Count, Meta(description="The largest size of a key set.")] = 1 << 20
    revocations_file: Annotated[str, Meta(description="The file with revoked tokens, one JSON object per line. The server reads it again when it changes, and the admin request `revoke` adds to it.")] = ""
    api_keys: Annotated[str, Meta(description="The file with API keys, one JSON object per line: `deltabook key` writes it. The server reads it again when it changes. It contains no secret. If there is no such file, there are no API keys.")] = "data/api_keys.jsonl"
    api_keys_master: Annotated[str, Meta(description="The file with the master key, from which the secrets of API keys for HMAC-SHA256 are derived: whoever has this file and that of `api_keys` has these secrets. `deltabook key create` makes it when it is first needed. If other users of the machine may read it, the server does not start. Keys for Ed25519 do not need it.")] = "data/api_keys.master"
    api_key_lifetime_s_max: Annotated[Count, Meta(description="The longest lifetime of an API key. Revocations are remembered for as long as this, or as `token_lifetime_s_max`, whichever is longer.")] = 366 * 24 * 3600
    issuer: Annotated[str, Meta(description="The only issuer whose tokens are accepted.")] = "deltabook"
    audience: Annotated[str, Meta(description="The audience that a token must be for.")] = "deltabook"
    token_lifetime_s_max: Annotated[Count, Meta(description="The longest lifetime of a token. Tokens with a longer lifetime are refused.")] = 30 * 24 * 3600
    clock_skew_s: Annotated[int, Meta(ge=0, description="How far the issuer's clock may differ from the server's.")] = 5
    public_needs_token: Annotated[bool, Meta(description="Whether order books, trades and tickers need a token with the scope `market`.")] = False
    deposit: Annotated[dict[str, str], Meta(description="What a new account is given, for demonstrations: a decimal amount for each asset.")] = {}
    self_trade: Annotated[SelfTradeMode, Meta(description="What happens instead when an account would trade with itself. An order may choose something else.")] = "cancel_newest"

    upstream: Annotated[str, Meta(pattern="^(wss?://.+)?$", description="The WebSocket address of another server, such as `ws://127.0.0.1:8080/v1`. This server then relays the public channels of the other one and has no market of its own.")] = ""
    upstream_token_file: Annotated[str, Meta(description="A file with a token for the upstream server. It is read at each connection.")] = ""
    upstream_interval_ms: Annotated[Milliseconds, Meta(description="The interval at which the relay follows the channels of the upstream server. 0: it gets every batch.")] = 0
    upstream_market_by_order: Annotated[bool, Meta(description="Whether the relay also follows every book by order. The upstream server then follows all its books by order, too.")] = True
    upstream_stale_ms: Annotated[int, Meta(ge=100, le=1 << 31, description="If the relay does not have all channels of the upstream server for this long, it tells its clients that what they see may have fallen behind.")] = 2000

    role: Annotated[Role, Meta(description="What this process does. `all`: one process is the whole market. With `redis`: an `engine` runs the orders, a `gateway` serves its clients, and a `standby` is an engine that never begins a new market.")] = "all"
    redis: Annotated[str, Meta(description="The Redis that joins the processes of a market, such as `redis://USER:PASSWORD@127.0.0.1:6379/0`. The scheme can also be `rediss:` for TLS or `redis+cluster:`, or the address `redis+sentinel://HOST:PORT,HOST:PORT/MASTER/0`. Options after `?` are `ssl_ca_certs`, `ssl_certfile` and `ssl_keyfile`, and for the sentinels themselves `sentinel_username`, `sentinel_password` and `sentinel_ssl=yes`.")] = ""
    cluster: Annotated[str, Meta(min_length=1, description="The market's name in Redis. With different names, several markets can share one Redis.")] = "market"
    node: Annotated[str, Meta(description="This process's name, for people to read. If it is empty, the host and the process id are used.")] = ""
    lease_ms: Annotated[int, Meta(ge=200, le=60_000, description="If an engine has not renewed its lease for this long, a standby may replace it.")] = 1500
    link_stale_ms: Annotated[int, Meta(ge=100, le=1 << 31, description="If a gateway hears nothing from the engine for this long, it tells its clients that what they see may have fallen behind.")] = 1500
    gateway_timeout_ms: Annotated[int, Meta(ge=500, le=1 << 31, description="If the engine hears nothing from a gateway for this long, it takes the gateway for dead. `cancel_on_disconnect` then treats the connections of its clients as ended.")] = 10_000
    command_patience_ms: Annotated[int, Meta(ge=100, le=1 << 31, description="A request that takes longer than this to get from a gateway to the engine is not carried out, unless it cancels a single order.")] = 5000
    link_bytes_kept: Annotated[Count, Meta(description="How many bytes of records the engine keeps, so that it can send them again if the link has lost some.")] = 64 << 20
    engine_socket: Annotated[str, Meta(description="The Unix socket of the engine whose clients this worker serves. `workers` sets it.")] = ""
    workers: Annotated[int, Meta(ge=0, le=256, description="The number of extra processes that serve the clients on one port, besides the process that runs the orders. 0: that process serves the clients itself.")] = 0
    dialect_workers: Annotated[int, Meta(ge=0, le=256, description="With `workers`: the number of further processes that serve clients of the `dialects`, and nobody else, so that these cost other clients nothing. 0: the workers serve them too.")] = 0

    dialects: Annotated[dict[str, Annotated[int, Meta(ge=0, le=65535)]], Meta(description="Other venues' protocols that the market is served in as well, and the TCP port of each: `{\"binance\": 9000, \"kraken\": 9001}`.")] = {}
    dialect_weight_per_minute: Annotated[Count, Meta(description="How much of the dialect's own request weight one address may use in a minute. Further requests are refused, with `Retry-After`.")] = 6000

    rest_port: Annotated[Annotated[int, Meta(ge=0, le=65535)] | None, Meta(description="The TCP port of the REST API, which says over plain HTTP what the native protocol says: its page is on `/`, its description on `/openapi.json`. Requests of one address with one token count as those of one connection. Null: there is none.")] = None

    intervals_ms: Annotated[tuple[Milliseconds, ...], Meta(min_length=1, description="The conflation classes: the intervals between frames that clients may choose.")] = (0, 10, 50, 100, 250, 500, 1000)
    interval_ms: Annotated[Milliseconds, Meta(description="The interval of a client that names none.")] = 100
    trade_flush_ms: Annotated[Milliseconds, Meta(description="After a trade, the changes of its book are sent after this time instead of the whole interval. 0: a trade does not shorten the interval.")] = 0
    depths: Annotated[tuple[Annotated[int, Meta(ge=1, le=10_000)], ...], Meta(description="The windows that clients may choose besides the full book, in levels per side.")] = (1, 5, 10, 20, 50, 100, 500)
    heartbeat_ms: Annotated[int, Meta(ge=100, description="A channel on which nothing happens sends an empty frame this often.")] = 2000
    tombstones_max: Annotated[int, Meta(ge=0, le=1 << 24, description="How many emptied levels a book remembers, for patches.")] = 16384
    trades_kept: Annotated[Count, Meta(description="How many trades an instrument remembers, for snapshots and patches.")] = 1000
    market_by_order_kept: Annotated[Count, Meta(description="How many changes of orders a book that is followed by order remembers, for patches. Each takes 56 bytes.")] = 50_000
    market_by_order_resume_s: Annotated[Count, Meta(description="How long a book is followed by order after the last subscription to `market_by_order:<instrument>` has ended.")] = 300
    market_by_order_always: Annotated[bool, Meta(description="Whether every book is followed by order from the start. A client can then also resume at a server at which nobody listened to the channel before. Otherwise it gets a snapshot there, and books to which nobody listens cost nothing.")] = False
    candles_kept: Annotated[int, Meta(ge=1440, le=1 << 20, description="How many candles of each interval, from a second to a month, an instrument remembers.")] = 1500
    trades_in_snapshot: Annotated[Count, Meta(description="How many of the latest trades a snapshot holds.")] = 100
    account_events_kept: Annotated[Count, Meta(description="How many order events and balance changes an account remembers, for patches.")] = 2000
    account_resume_s: Annotated[Count, Meta(description="How long an account's events are remembered after its last subscription has ended.")] = 300

    journal: Annotated[str, Meta(description="The folder of the journal. The server writes every command there before it runs the command. `none`: the market is in memory only.")] = "data/journal"
    journal_segment_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 32, description="The size of each file of the journal.")] = 32 << 20
    journal_reserve_bytes: Annotated[int, Meta(ge=0, description="If less than this is left on the journal's disk, the server takes only those requests of clients that cancel or reduce an open order. Each order can then be cancelled once and reduced once.")] = 256 << 20
    journal_snapshot_commands: Annotated[Count, Meta(description="How many commands there are between two snapshots of the state. This bounds how long a start takes.")] = 2_000_000
    journal_snapshots_kept: Annotated[int, Meta(ge=2, description="How many snapshots are kept, together with the records after the oldest of them.")] = 2

    history: Annotated[str, Meta(description="The file of the history of all accounts' orders and trades, an SQLite database, for `order_history` and `trade_history`. The process that has the journal writes it, behind the journal, and makes it again from the journal when it is missing. Empty: with `dialects` or `rest_port`, `history.sqlite` in the folder of the journal, or in memory where there is no journal; without them no history is kept.")] = ""
    history_orders_max: Annotated[Count, Meta(description="How many orders that have ended the history keeps, of all accounts together, with their fills. The oldest ones are forgotten; `complete_since` of the answers says since when nothing is missing.")] = 10_000_000

    orders_max: Annotated[Count, Meta(description="The most open orders in the exchange.")] = 1 << 20
    accounts_max: Annotated[Count, Meta(description="The most accounts in the exchange.")] = 1 << 20
    client_ids_max: Annotated[Count, Meta(description="How many client ids are remembered after their orders are done, in all accounts together.")] = 1 << 16

    lag_ms_max: Annotated[Count, Meta(description="If the event loop lags by more than this, the server counts as loaded.")] = 50
    load_patience_ms: Annotated[Count, Meta(description="How long the server must be loaded before it takes the next step of `loaded_intervals_ms`, and how long it must not be loaded before it goes back a step.")] = 1000
    loaded_intervals_ms: Annotated[tuple[Milliseconds, ...], Meta(min_length=1, description="The steps that the server takes under load. At each step it sends books and tickers no more often than this, and tells the clients so.")] = (50, 100, 250, 500, 1000)

    admin_host: Annotated[str, Meta(description="The address that `admin_port` listens on.")] = "127.0.0.1"
    admin_port: Annotated[Annotated[int, Meta(ge=0, le=65535)] | None, Meta(description="A separate port for administrators and for `/metrics`, with connections and limits of its own. The main port then does not answer `/metrics`. none: there is no such port. With `workers` it is the engine's port, and the connections on it are the engine's.")] = None

    handshakes_open_max: Annotated[Count, Meta(description="The most connections that may be in their handshake, from being accepted until it is done, or reading a page. When there are more, the server closes the oldest connection of the address that has the most.")] = 1000
    handshakes_open_per_address_max: Annotated[Count, Meta(description="The most of these connections from one address. When there are more, the server closes the oldest one of the address.")] = 200
    arrivals_per_s: Annotated[Count, Meta(description="How many connections of any kind per second may come from one address in the long run. Behind a trusted proxy, the requests of the address count. Further ones are answered with 429.")] = 500
    arrivals_burst: Annotated[Count, Meta(description="How many connections of any kind may come from one address at once.")] = 4000
    connections_for_admins: Annotated[Count, Meta(description="How many connections there may be in addition to `connections_max`, for handshakes with a token that has the scope `admin`.")] = 16
    connections_max: Annotated[Count, Meta(description="The most open connections. Further handshakes are answered with 503.")] = 10_000
    connections_per_address_max: Annotated[Count, Meta(description="The most open connections from one address (for IPv6, from one /64). If the file descriptors allow fewer connections than `connections_max`, this is lowered in proportion.")] = 2000
    connections_per_account_max: Annotated[Count, Meta(description="The most open connections of one account to one process: each worker and gateway counts its own.")] = 100
    handshakes_per_s: Annotated[Count, Meta(description="How many new connections per second one address may open in the long run.")] = 200
    handshakes_burst: Annotated[Count, Meta(description="How many new connections one address may open at once.")] = 2000
    sign_ins_per_s: Annotated[Count, Meta(description="How many tokens per second one address may send in the long run.")] = 50
    sign_ins_burst: Annotated[Count, Meta(description="How many tokens one address may send at once.")] = 500
    header_sign_ins_per_s: Annotated[Count, Meta(description="How many tokens per second may come in handshakes in the long run, from all addresses together. Further ones are answered with 503, but only from addresses that have sent a bad token before.")] = 1000
    header_sign_ins_burst: Annotated[Count, Meta(description="How many tokens may come in handshakes at once, from all addresses together.")] = 5000
    sign_in_timeout_s: Annotated[Count, Meta(description="How long a connection has to sign in or, where no token is needed, to subscribe.")] = 30
    idle_timeout_s: Annotated[Count, Meta(description="A client that has sent nothing for half of this time is pinged. If it still has sent nothing at the end of it, the connection is closed.")] = 60
    stall_timeout_s: Annotated[Count, Meta(description="How long a write may wait for a client that does not read, before the connection is closed.")] = 120
    trusted_proxies: Annotated[tuple[str, ...], Meta(description="Addresses and networks, such as `10.0.0.0/8`, whose `X-Forwarded-For` or `Forwarded` header the server believes. It takes the last entry; if that entry is a trusted proxy too, it takes the one before it.")] = ()
    origins: Annotated[tuple[str, ...], Meta(description="The origins of web pages that may connect, such as `https://example.com`. `*` allows all. The server's own page need not be listed if its host is an address, `localhost` or this machine's name.")] = ()
    subscriptions_max: Annotated[Count, Meta(description="The most subscriptions of one connection.")] = 1000
    message_bytes_max: Annotated[Count, Meta(description="The largest message that a client may send.")] = 64 * 1024
    anonymous_message_bytes_max: Annotated[Count, Meta(description="The largest message that a client may send before it has signed in.")] = 16 * 1024
    messages_per_s: Annotated[Count, Meta(description="How many messages per second one connection may send in the long run. Each fragment, each channel of a subscription, and every 4 KiB of an answer counts as a message.")] = 2000
    messages_burst: Annotated[Count, Meta(description="How many messages one connection may send at once. This bounds how long one client can make the others wait.")] = 200
    under_way_max: Annotated[Count, Meta(description="How many requests of one connection may be under way, that is, sent and not answered. Further ones are refused with 508 at once.")] = 1000
    unanswered_max: Annotated[Count, Meta(description="How many requests of all connections to one process may be under way, and how many commands a gateway or a worker may have that wait for the engine. Further requests are refused with 508 at once, but a connection that has none under way may have one. This bounds how long answers wait.")] = 1 << 13
    control_frames_per_s: Annotated[Count, Meta(description="How many pings, pongs and close frames per second one connection may send in the long run.")] = 10
    control_frames_burst: Annotated[Count, Meta(description="How many pings, pongs and close frames one connection may send at once.")] = 50
    bytes_per_s: Annotated[Count, Meta(description="How many bytes per second one connection may send in the long run.")] = 1 << 19
    bytes_burst: Annotated[Count, Meta(description="How many bytes one connection may send at once.")] = 1 << 20
    orders_per_s: Annotated[Count, Meta(description="How many requests to place, replace or reduce an order one account may send per second in the long run.")] = 5000
    orders_burst: Annotated[Count, Meta(description="How many requests to place, replace or reduce an order one account may send at once.")] = 1000
    cancels_per_s: Annotated[Count, Meta(description="How many requests to cancel one account may send per second in the long run.")] = 10_000
    cancels_burst: Annotated[Count, Meta(description="How many requests to cancel one account may send at once.")] = 2000
    errors_max: Annotated[Count, Meta(description="How many messages that cannot be read, or that come too fast, a client may send before the connection is closed. A refused token counts as five.")] = 20
    pending_bytes_max: Annotated[Count, Meta(description="How many bytes of replies may wait for a client that does not read, before the connection is closed.")] = 1 << 20
    write_bytes_max: Annotated[Count, Meta(description="If more than this would be sent to a client at once, the client gets the rest of its frames later, merged.")] = 1 << 18
    send_buffer_bytes: Annotated[Count, Meta(description="The size of the kernel's send buffer for each connection. A client that does not read is never sent more than this.")] = 64 * 1024
    receive_buffer_bytes: Annotated[Count, Meta(description="The size of the kernel's receive buffer for each connection.")] = 64 * 1024
    handshake_timeout_s: Annotated[Count, Meta(description="How long a client has to send the head of its handshake or request, and then again to read the page that answers it.")] = 5
    close_timeout_s: Annotated[Count, Meta(description="How long a client has to answer a close frame.")] = 2
    drain_timeout_s: Annotated[Count, Meta(description="When the server stops, how long clients have to read what they do not have yet.")] = 5
    return_window_ms: Annotated[Count, Meta(description="When the server stops, it tells the clients to come back at a random time within this.")] = 2000
    grace_s_max: Annotated[Count, Meta(description="The longest grace period of cancel-on-disconnect, and the longest dead-man timer.")] = 3600
    audit_interval_ms: Annotated[Milliseconds, Meta(description="How often the server rebuilds every book from the frames that it sends. If a digest differs, it raises an alarm. 0: never.")] = 1000
    faults: Annotated[FaultConfig | None, Meta(description="Injects faults into the connection of every client, to test clients: `{\"drop\": 0.01, \"duplicate\": 0.01, \"reorder\": 0.01, \"corrupt\": 0.01, \"cut\": 0.001, \"delay_ms\": 50, \"seed\": 7}`, or some of these. Each chance applies to each frame of a channel. The frame may be lost, arrive twice, or arrive after the next one, and the frame of a book, by levels or by orders, may be falsified. The connection may end in the middle of any message. Every write is delayed by up to `delay_ms`.")] = None

    @property
    def only_dialects(self) -> bool:
        """Whether this process is one of the `dialect_workers`. It does not serve our own protocol."""
        return bool(self.engine_socket and self.dialect_workers)

    @property
    def played(self) -> str:
        """The folder of the journal that is played again, "" if there is none. Raises ConfigError if there is another source as well."""
        folders = [name.removeprefix("journal:") for name in self.sources if name.startswith("journal:")]
        if folders and len(self.sources) > 1:
            raise ConfigError(f"sources {', '.join(self.sources)}: a journal cannot be played together with another source")
        return folders[0] if folders else ""


class Setting(NamedTuple):
    """A setting, its default as JSON, and its meaning."""

    name: str
    default: str
    meaning: str


def settings() -> list[Setting]:
    """Every setting, its default and its meaning."""
    hints = get_type_hints(Config, include_extras=True)
    lines = []
    for field in msgspec.structs.fields(Config):
        meanings = [meta.description for meta in hints[field.name].__metadata__ if meta.description]
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
        lines.append(Setting(field.name, msgspec.json.encode(default).decode(), meanings[-1]))
    return lines


def as_environment(config: Config) -> dict[str, str]:
    """The environment variables that give another process the same settings."""
    texts = msgspec.to_builtins(config, str_keys=True)
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in texts.items()}


def read_file(path: Path) -> dict[str, Any]:
    """The settings in a TOML file. Raises ConfigError if the file cannot be read."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings among the variables that begin with DELTABOOK_. Lists and tables are JSON. Raises ConfigError if such JSON cannot be read."""
    settings: dict[str, Any] = {}
    names = {field.name for field in msgspec.structs.fields(Config)}
    for variable, text in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
        if variable.startswith(ENVIRONMENT_PREFIX) and name in names:
            try:
                settings[name] = msgspec.json.decode(text) if text[:1] in ("[", "{") else text
            except msgspec.DecodeError as error:
                raise ConfigError(f"{variable}: {error}") from error
    return settings


def read_config(path: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration. The environment overrides the file, and flags override both. Raises ConfigError for a setting that is unknown or has a bad value."""
    stored = read_file(path) if path else {}
    above = read_environment(environment or {}) | dict(flags or {})
    try:
        return msgspec.convert(stored | above, Config, strict=False)
    except msgspec.ValidationError as error:
        named = re.search(r"`\$\.(\w+)|unknown field `(\w+)`", str(error))
        in_file = named and (named[1] or named[2]) in stored.keys() - above.keys()
        raise ConfigError(f"{f'{path}: ' if in_file else ''}{error}; `deltabook serve --help` lists the settings") from error
