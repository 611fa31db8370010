"""Every setting and limit of a server, in one struct: from a TOML file, then the environment, then the command line."""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_type_hints

import msgspec
from msgspec import Meta, Struct

from engine import FEE_SCALE, MONEY_MAX, Instrument
from stream.wire.fields import InstrumentName, SelfTradeMode

Count = Annotated[int, Meta(ge=1, le=1 << 40)]
SourceName = Annotated[str, Meta(pattern="^(recorded|simulated|none|journal:.+)$")]
Milliseconds = Annotated[int, Meta(ge=0, le=1 << 31)]
Chance = Annotated[float, Meta(ge=0, le=1)]

ENVIRONMENT_PREFIX = "DELTABOOK_"

FLAGS = {
    "host": "--host", "port": "--port", "sources": "--source", "upstream": "--upstream", "journal": "--journal", "faults": "--faults", "role": "--role",
    "redis": "--redis", "workers": "--workers",
}
"""The settings that have a flag of their own; all others have `--set`."""


class ConfigError(Exception):
    """A setting cannot be read, or has a value that it may not have."""


class KeyConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A key that tokens may be signed with. One algorithm a key, so that no token can choose another one."""

    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"]
    key: Annotated[str, Meta(description="The secret (HS256), or the public key in PEM.")] = ""
    file: Annotated[str, Meta(description="A file that holds it instead.")] = ""
    kid: Annotated[str, Meta(description="The key's id, when tokens name one.")] = ""


class InstrumentConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """An instrument. `tick` and `lot` are decimal text."""

    name: InstrumentName
    base: Annotated[str, Meta(description="The asset that is bought and sold: one of `assets`.")]
    quote: Annotated[str, Meta(description="The asset that it is paid with: one of `assets`.")]
    tick: Annotated[Decimal, Meta(description="The step of prices, in units such as `\"0.01\"` of the quote asset.")]
    lot: Annotated[Decimal, Meta(description="The step of sizes, in units such as `\"0.0001\"` of the base asset.")]
    price_max: Annotated[Count, Meta(description="The highest price, in ticks.")] = 1 << 40
    size_min: Annotated[Count, Meta(description="The smallest order, in lots.")] = 1
    size_max: Annotated[Count, Meta(description="The largest order, in lots.")] = 1 << 40
    maker_fee: Annotated[int, Meta(ge=0, lt=FEE_SCALE, description="Parts per million of the notional.")] = 0
    taker_fee: Annotated[int, Meta(ge=0, lt=FEE_SCALE, description="Parts per million of the notional.")] = 0
    notional_max: Annotated[int, Meta(ge=0, le=MONEY_MAX, description="The most that price times size of an order may be, in units of the quote asset; 0: no limit.")] = 0
    orders_max: Annotated[int, Meta(ge=0, lt=1 << 32, description="Open orders in the book; 0: no limit.")] = 0
    band: Annotated[int, Meta(ge=0, lt=FEE_SCALE, description="How far from the reference price a limit may be, in parts per million of it; 0: no limit.")] = 0
    hold_fee: Annotated[int, Meta(ge=0, lt=FEE_SCALE, description="The highest fee that may ever be set, which buy orders reserve; 0: the higher of the two.")] = 0
    day_end: Annotated[int, Meta(ge=0, lt=24 * 3600, description="When `day` orders end, in seconds after midnight UTC.")] = 0
    parts_max: Annotated[int, Meta(ge=1, le=1 << 20, description="Parts in which an iceberg may show itself, one after the other.")] = 1_000
    stops_max: Annotated[int, Meta(ge=1, le=1 << 20, description="Stops that wait in the book.")] = 50_000
    fills_max: Annotated[int, Meta(ge=1, le=1 << 20, description="Orders that one order may meet, with those that the stops that it triggers meet.")] = 100_000
    market_notional: Annotated[bool, Meta(description="Whether `notional_max`, the instrument's and an account's, holds for `market` orders too, by what they would trade.")] = True

    def instrument(self) -> Instrument:
        """The instrument as the engine takes it."""
        return Instrument(**msgspec.structs.asdict(self))


Role = Literal["all", "engine", "standby", "gateway"]


class FaultConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How bad the line to every client is, to try clients on. Chances are for each frame of a channel."""

    seed: Annotated[int, Meta(description="The same seed does the same to the same frames.")] = 1
    drop: Annotated[Chance, Meta(description="It is lost.")] = 0.0
    duplicate: Annotated[Chance, Meta(description="It comes twice.")] = 0.0
    reorder: Annotated[Chance, Meta(description="It comes behind the channel's next one.")] = 0.0
    corrupt: Annotated[Chance, Meta(description="A book's says something else than the server did.")] = 0.0
    cut: Annotated[Chance, Meta(description="The connection ends in the middle of it; so it may with any other message.")] = 0.0
    delay_ms: Annotated[Milliseconds, Meta(description="Every write is late by a random time up to this.")] = 0


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. Names end in their unit."""

    host: Annotated[str, Meta(description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="TCP port to listen on; 0 takes any free one.")] = 8080
    sources: Annotated[tuple[SourceName, ...], Meta(description="Where orders come from beside the clients: `recorded`, `simulated`, `none`; or `journal:FOLDER`, whose history is played again, for watching alone.")] = ("none",)
    speed: Annotated[float, Meta(gt=0, description="How fast the recorded source, or a journal, plays, 1 being as it was.")] = 1.0
    seed: Annotated[int, Meta(description="Seed of the simulated source.")] = 1
    rate: Annotated[Count, Meta(description="Commands a second for each simulated instrument.")] = 50

    assets: Annotated[dict[str, Annotated[int, Meta(ge=0, le=18)]], Meta(description="Decimals of each asset.")] = {}
    instruments: Annotated[tuple[InstrumentConfig, ...], Meta(description="Instruments beside those of the sources.")] = ()

    keys: Annotated[tuple[KeyConfig, ...], Meta(description="Keys that tokens may be signed with. None: a development key in `key_file`.")] = ()
    key_file: Annotated[str, Meta(description="File of the development key (HS256), made when there are no keys and the address is local.")] = "data/development.key"
    jwks: Annotated[str, Meta(description="A file or URL (https; http only on this machine) with a JSON Web Key Set whose keys are good too, as they come and go.")] = ""
    jwks_refresh_s: Annotated[Count, Meta(description="It is fetched again this often.")] = 300
    jwks_retry_s: Annotated[Count, Meta(description="It is fetched no more often than this, when a token names a key that is not in it, or it could not be had.")] = 10
    jwks_timeout_s: Annotated[Count, Meta(description="Time for its whole answer, from asking to the last byte.")] = 5
    jwks_bytes_max: Annotated[Count, Meta(description="Size of a key set.")] = 1 << 20
    revocations_file: Annotated[str, Meta(description="Revoked tokens, one JSON object a line; read again when it changes, and added to by the admin request `revoke`.")] = ""
    issuer: Annotated[str, Meta(description="The only issuer whose tokens are accepted.")] = "deltabook"
    audience: Annotated[str, Meta(description="The audience that a token must be for.")] = "deltabook"
    token_lifetime_s_max: Annotated[Count, Meta(description="Tokens that live longer are refused.")] = 30 * 24 * 3600
    clock_skew_s: Annotated[int, Meta(ge=0, description="How far the issuer's clock may be off.")] = 5
    public_needs_token: Annotated[bool, Meta(description="Whether order books, trades and tickers need the scope `market`.")] = False
    deposit: Annotated[dict[str, str], Meta(description="What a new account is given, asset to decimal amount: for demonstrations.")] = {}
    self_trade: Annotated[SelfTradeMode, Meta(description="What happens instead of a trade of a user's account with itself, where an order does not say.")] = "cancel_newest"

    upstream: Annotated[str, Meta(pattern="^(wss?://.+)?$", description="The WebSocket address of a server whose public channels this one relays, such as `ws://127.0.0.1:8080/v1`, instead of having a market of its own.")] = ""
    upstream_token_file: Annotated[str, Meta(description="A file with a token for it, read at each connection.")] = ""
    upstream_interval_ms: Annotated[Milliseconds, Meta(description="The interval at which its channels are followed; 0: every batch.")] = 0
    upstream_stale_ms: Annotated[int, Meta(ge=100, le=1 << 31, description="Clients are told that what they see may have fallen behind after so long without all of its channels.")] = 2000

    role: Annotated[Role, Meta(description="`all`: one process is the whole market. With `redis`: an `engine` runs the orders, `gateway`s serve its clients, and a `standby` is an engine that never begins a new market.")] = "all"
    redis: Annotated[str, Meta(description="The Redis that joins them, such as `redis://USER:PASSWORD@127.0.0.1:6379/0`; with `rediss:` for TLS, `redis+cluster:`, or `redis+sentinel://HOST:PORT,HOST:PORT/MASTER/0`. What is behind `?` is `ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile`, and for the sentinels themselves `sentinel_username`, `sentinel_password`, `sentinel_ssl=yes`.")] = ""
    cluster: Annotated[str, Meta(min_length=1, description="The market's name there, so that several may share a Redis.")] = "market"
    node: Annotated[str, Meta(description="This process's name for people; none: its host and process id.")] = ""
    lease_ms: Annotated[int, Meta(ge=200, le=60_000, description="An engine that has not renewed its lease for so long may be replaced by a standby.")] = 1500
    link_stale_ms: Annotated[int, Meta(ge=100, le=1 << 31, description="Clients of a gateway are told that what they see may have fallen behind after so long without a sign of the engine.")] = 1500
    gateway_timeout_ms: Annotated[int, Meta(ge=500, le=1 << 31, description="A gateway without a sign of life for so long is gone: the engine ends its clients' connections for `cancel_on_disconnect`.")] = 10_000
    command_patience_ms: Annotated[int, Meta(ge=100, le=1 << 31, description="A request that takes longer than this from a gateway to the engine is not carried out, unless it cancels one order.")] = 5000
    unanswered_max: Annotated[Count, Meta(description="Commands of a gateway's clients that wait for the engine; beyond, requests are refused with 508.")] = 1 << 17
    link_bytes_kept: Annotated[Count, Meta(description="Bytes of records that an engine holds to tell them again when the link has lost some.")] = 64 << 20
    engine_socket: Annotated[str, Meta(description="The Unix socket of the engine whose clients this worker serves; set by `workers`.")] = ""
    workers: Annotated[int, Meta(ge=0, le=256, description="Processes that serve the clients on one port, beside the one that runs the orders; 0: that one serves them.")] = 0

    intervals_ms: Annotated[tuple[Milliseconds, ...], Meta(min_length=1, description="Conflation classes: the intervals that clients may choose.")] = (0, 10, 50, 100, 250, 500, 1000)
    interval_ms: Annotated[Milliseconds, Meta(description="The interval of a client that names none.")] = 100
    trade_flush_ms: Annotated[Milliseconds, Meta(description="A trade flushes its book after this time instead of the whole interval; 0: it does not.")] = 0
    depths: Annotated[tuple[Annotated[int, Meta(ge=1, le=10_000)], ...], Meta(description="The windows that clients may choose beside the full book, in levels a side.")] = (1, 5, 10, 20, 50, 100, 500)
    heartbeat_ms: Annotated[int, Meta(ge=100, description="A quiet channel sends an empty frame this often.")] = 2000
    tombstones_max: Annotated[int, Meta(ge=0, le=1 << 24, description="Emptied levels that a book remembers, for patches.")] = 16384
    trades_kept: Annotated[Count, Meta(description="Trades that an instrument remembers, for snapshots and patches.")] = 1000
    trades_in_snapshot: Annotated[Count, Meta(description="Latest trades that a snapshot holds.")] = 100
    account_events_kept: Annotated[Count, Meta(description="Order events and balance changes that an account remembers, for patches.")] = 2000
    account_resume_s: Annotated[Count, Meta(description="How long they are remembered after the account's last subscription ended.")] = 300

    journal: Annotated[str, Meta(description="The folder in which every command is on disk before it runs; `none` keeps the market in memory alone.")] = "data/journal"
    journal_segment_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 32, description="Size of the journal's files.")] = 32 << 20
    journal_reserve_bytes: Annotated[int, Meta(ge=0, description="With less than this left on its disk, nothing of clients is written but what cancels or reduces an order that is open, each order once.")] = 256 << 20
    journal_snapshot_commands: Annotated[Count, Meta(description="Commands between two snapshots of the state, which bound the time of a start.")] = 2_000_000
    journal_snapshots_kept: Annotated[int, Meta(ge=2, description="Snapshots that are kept, and with them the records behind the oldest.")] = 2

    orders_max: Annotated[Count, Meta(description="Open orders in the exchange.")] = 1 << 20
    accounts_max: Annotated[Count, Meta(description="Accounts in the exchange.")] = 1 << 20
    client_ids_max: Annotated[Count, Meta(description="Client ids that are remembered after their order is done, over all accounts.")] = 1 << 16

    lag_ms_max: Annotated[Count, Meta(description="Lag of the event loop from which the server counts as loaded.")] = 50
    load_patience_ms: Annotated[Count, Meta(description="How long it must be loaded, or no longer be, before the next step is taken.")] = 1000
    loaded_intervals_ms: Annotated[tuple[Milliseconds, ...], Meta(min_length=1, description="Steps under load: books and tickers are sent no more often than this; clients are told.")] = (50, 100, 250, 500, 1000)

    admin_host: Annotated[str, Meta(description="The address that `admin_port` is on.")] = "127.0.0.1"
    admin_port: Annotated[Annotated[int, Meta(ge=0, le=65535)] | None, Meta(description="A port of its own for `/metrics`, which the other one then does not answer, and for administrators, with connections and limits of their own; none: there is none. With `workers` it is the engine's, and those behind it are theirs.")] = None

    handshakes_open_max: Annotated[Count, Meta(description="Connections that are between accepting and the end of their handshake, or read a page; beyond, the oldest of the address that has most is closed.")] = 1000
    handshakes_open_per_address_max: Annotated[Count, Meta(description="Of these, those of one address; beyond, its oldest is closed.")] = 200
    arrivals_per_s: Annotated[Count, Meta(description="Connections of any kind a second from one address, and behind a trusted proxy its requests, in the long run; beyond, they are answered with 429.")] = 500
    arrivals_burst: Annotated[Count, Meta(description="Connections of any kind that may come at once from one address.")] = 4000
    connections_for_admins: Annotated[Count, Meta(description="Connections beyond `connections_max` for handshakes with a token that has the scope `admin`.")] = 16
    connections_max: Annotated[Count, Meta(description="Open connections; beyond, the handshake is answered with 503.")] = 10_000
    connections_per_address_max: Annotated[Count, Meta(description="Open connections from one address (of IPv6: one /64); fewer, in proportion, where descriptors allow fewer than `connections_max`.")] = 2000
    connections_per_account_max: Annotated[Count, Meta(description="Open connections of one account.")] = 100
    handshakes_per_s: Annotated[Count, Meta(description="New connections a second from one address, in the long run.")] = 200
    handshakes_burst: Annotated[Count, Meta(description="New connections that may come at once from one address.")] = 2000
    sign_ins_per_s: Annotated[Count, Meta(description="Tokens a second from one address, in the long run.")] = 50
    sign_ins_burst: Annotated[Count, Meta(description="Tokens that may come at once from one address.")] = 500
    header_sign_ins_per_s: Annotated[Count, Meta(description="Tokens a second in handshakes, from all addresses together; beyond, those from addresses that have shown a bad one are answered with 503.")] = 1000
    header_sign_ins_burst: Annotated[Count, Meta(description="Tokens in handshakes that may come at once.")] = 5000
    sign_in_timeout_s: Annotated[Count, Meta(description="Time for a connection to sign in or, where that needs no token, to subscribe.")] = 30
    idle_timeout_s: Annotated[Count, Meta(description="A client that has sent nothing for half of this is pinged, and closed at the end of it.")] = 60
    stall_timeout_s: Annotated[Count, Meta(description="Time that a write may wait for a client that does not read, before it is closed.")] = 120
    trusted_proxies: Annotated[tuple[str, ...], Meta(description="Addresses and networks, such as `10.0.0.0/8`, whose `X-Forwarded-For` or `Forwarded` is believed: the last entry, and behind one of them the one before it.")] = ()
    origins: Annotated[tuple[str, ...], Meta(description="Origins of web pages that may connect, such as `https://example.com`; `*` allows all. The server's own page may without being listed where it is at an address, `localhost` or this machine's name.")] = ()
    subscriptions_max: Annotated[Count, Meta(description="Subscriptions of one connection.")] = 1000
    message_bytes_max: Annotated[Count, Meta(description="Size of one message from a client.")] = 64 * 1024
    anonymous_message_bytes_max: Annotated[Count, Meta(description="Size of one message from a client that has not signed in.")] = 16 * 1024
    messages_per_s: Annotated[Count, Meta(description="Messages a second from one connection, in the long run. Fragments, each channel of a subscription, and every 4 KiB of an answer count as messages.")] = 2000
    messages_burst: Annotated[Count, Meta(description="Messages that may come at once, and so what one client can make the others wait for.")] = 200
    control_frames_per_s: Annotated[Count, Meta(description="Pings, pongs and close frames a second from one connection, in the long run.")] = 10
    control_frames_burst: Annotated[Count, Meta(description="Pings, pongs and close frames that may come at once.")] = 50
    bytes_per_s: Annotated[Count, Meta(description="Bytes a second from one connection, in the long run.")] = 1 << 19
    bytes_burst: Annotated[Count, Meta(description="Bytes that may come at once.")] = 1 << 20
    orders_per_s: Annotated[Count, Meta(description="Requests that place, replace or reduce a second from one account, in the long run.")] = 5000
    orders_burst: Annotated[Count, Meta(description="Requests that place, replace or reduce that may come at once.")] = 1000
    cancels_per_s: Annotated[Count, Meta(description="Requests that cancel a second from one account, in the long run.")] = 10_000
    cancels_burst: Annotated[Count, Meta(description="Requests that cancel that may come at once.")] = 2000
    errors_max: Annotated[Count, Meta(description="Messages that cannot be read or come too fast before the connection is closed. A refused token counts as five.")] = 20
    pending_bytes_max: Annotated[Count, Meta(description="Replies that wait for a client that does not read, before it is closed.")] = 1 << 20
    write_bytes_max: Annotated[Count, Meta(description="A client that is sent more than this at once gets the rest of its frames later, merged.")] = 1 << 18
    send_buffer_bytes: Annotated[Count, Meta(description="The kernel's send buffer of each connection: all that a client which does not read is ever sent.")] = 64 * 1024
    receive_buffer_bytes: Annotated[Count, Meta(description="The kernel's receive buffer of each connection.")] = 64 * 1024
    handshake_timeout_s: Annotated[Count, Meta(description="Time from the connection to the end of the handshake's or request's head, and then to read the page that is the answer.")] = 5
    close_timeout_s: Annotated[Count, Meta(description="Time for a client to answer a close frame.")] = 2
    drain_timeout_s: Annotated[Count, Meta(description="Time for clients to read what they miss when the server leaves.")] = 5
    return_window_ms: Annotated[Count, Meta(description="Clients of a server that leaves come back at a random time within this.")] = 2000
    grace_s_max: Annotated[Count, Meta(description="The longest grace period of cancel-on-disconnect, and the longest dead-man timer.")] = 3600
    audit_interval_ms: Annotated[Milliseconds, Meta(description="The server rebuilds every book from the frames that it sends, at this interval, and raises an alarm if a digest differs; 0: it does not.")] = 1000
    faults: Annotated[FaultConfig | None, Meta(description="Treat every client badly, to try clients: `{\"drop\": 0.01, \"duplicate\": 0.01, \"reorder\": 0.01, \"corrupt\": 0.01, \"cut\": 0.001, \"delay_ms\": 50, \"seed\": 7}`, or some of it. Chances are for each frame of a channel: it is lost, comes twice, or behind the next one, or (of a book) is falsified; the connection ends in the middle of any message; every write is late by up to so much.")] = None

    @property
    def played(self) -> str:
        """The folder of the journal that is played again; "" for none. ConfigError if there is another source too."""
        folders = [name.removeprefix("journal:") for name in self.sources if name.startswith("journal:")]
        if folders and len(self.sources) > 1:
            raise ConfigError(f"sources {', '.join(self.sources)}: a journal is played alone")
        return folders[0] if folders else ""


class Setting(NamedTuple):
    """One line about a setting. `default` is JSON."""

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
    """The variables that give another process the same settings."""
    texts = msgspec.to_builtins(config, str_keys=True)
    return {f"{ENVIRONMENT_PREFIX}{name.upper()}": value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in texts.items()}


def read_file(path: Path) -> dict[str, Any]:
    """The settings in a TOML file."""
    try:
        return tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """The settings among the variables that begin with DELTABOOK_. Lists and tables are JSON."""
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


def load(path: Path | None = None, environment: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """The configuration: the file's settings, overridden by the environment's, overridden by the flags'."""
    settings = (read_file(path) if path else {}) | read_environment(environment or {}) | dict(flags or {})
    try:
        return msgspec.convert(settings, Config, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{error}; the settings are listed by `deltabook serve --help`") from error
