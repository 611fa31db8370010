"""An order's way through the market, without sockets and disk: from a message's bytes to what the connections have to write."""

from collections.abc import Callable
from decimal import Decimal
from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from stream.access.claims import Claims
from stream.market.market import Market
from stream.settings.config import Config, InstrumentConfig
from stream.venue.session import Session
from stream.wire.codec import JSON, MSGPACK, Codec
from stream.wire.messages import Cancel, Place, Request, Subscribe

CLIENTS = 20
INSTRUMENT = "BTC-USDT"
UNLIMITED = "messages_per_s", "messages_burst", "bytes_per_s", "bytes_burst", "orders_per_s", "orders_burst", "cancels_per_s", "cancels_burst"
BEGIN = 1_700_000_000 * 10**9
STEP = 10**6


def market() -> Market:
    """One instrument, and accounts that have enough to trade for ever."""
    config = Config(
        assets={"BTC": 8, "USDT": 6}, deposit={"BTC": "1000", "USDT": "1000000000"}, **dict.fromkeys(UNLIMITED, 1 << 40),    # type: ignore[arg-type]
        instruments=(InstrumentConfig(name=INSTRUMENT, base="BTC", quote="USDT", tick=Decimal("0.01"), lot=Decimal("0.0001")),),
    )
    return Market(config, [], [], BEGIN)


def signed_in(market: Market, codec: Codec) -> list[Session]:
    """Clients that follow their own orders and balances."""
    sessions = [market.connect(codec, BEGIN) for _ in range(CLIENTS)]
    for number, session in enumerate(sessions):
        session.begin(BEGIN, Claims(f"trader-{number}", frozenset({"market", "account", "trade"}), 1 << 40))
    for _ in range(3):
        market.tick(BEGIN)
    for session in sessions:
        session.receive(codec.encode(Subscribe(1, ["orders", "balances", f"ticker:{INSTRUMENT}"], interval_ms=1000)), BEGIN, "")
    market.tick(BEGIN)
    written(sessions)
    return sessions


def written(sessions: list[Session]) -> int:
    """Have every client read what there is; how many bytes."""
    return sum(len(session.take_out()) for session in sessions if session.out_bytes)


def place(client: int, k: int) -> Request:
    """An order that rests, then its cancel."""
    return Cancel(k + 1, client_id=k) if k % 2 else Place(k + 1, INSTRUMENT, "buy", 5_000_000 + client, 1, post_only=True, client_id=k + 1)


def trade(client: int, k: int) -> Request:
    """Orders that meet."""
    return Place(k + 1, INSTRUMENT, "sell" if client % 2 else "buy", 5_000_000, 1, client_id=k + 1)


@pytest.mark.parametrize("group", [1, 20, 400], ids="{} a group".format)
@pytest.mark.parametrize(("request_of", "codec"), [(place, MSGPACK), (trade, MSGPACK), (place, JSON)], ids=["place and cancel", "trade", "in json"])
def test_requests_to_bytes(benchmark: BenchmarkFixture, request_of: Callable[[int, int], Request], codec: Codec, group: int) -> None:
    """A group of requests, all of them answered and their events told; the time is that of the group."""
    venue = market()
    sessions = signed_in(venue, codec)
    numbers = count()

    def prepared() -> tuple[tuple[list[tuple[Session, bytes]], int], dict[str, object]]:
        first = next(numbers) * group
        requests = [(k % CLIENTS, k // CLIENTS) for k in range(first, first + group)]
        return ([(sessions[client], codec.encode(request_of(client, k))) for client, k in requests], BEGIN + first * STEP), {}

    def run(requests: list[tuple[Session, bytes]], now: int) -> None:
        for session, payload in requests:
            session.receive(payload, now, session.charge(len(payload), now))
        venue.tick(now)
        assert written(sessions) > 20 * len(requests)

    benchmark.pedantic(run, setup=prepared, rounds=4000 // group + 20)    # type: ignore[no-untyped-call]
