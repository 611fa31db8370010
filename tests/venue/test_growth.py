"""What a server keeps is what is alive: each kind of request, many times, leaves no more behind than a few of them did.

`make growth REQUESTS=1000000` sends a million of each kind, and looks at the process's memory as well as at Python's objects.
"""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from engine import Exchange
from stream.commands import results
from stream.venue import announcements
from stream.wire.administration import (
    AdminRequest,
    Delist,
    Deposit,
    Disconnect,
    Freeze,
    ListConnections,
    ListInstrument,
    ListSchedule,
    MassCancel,
    PayFees,
    Revoke,
    SetBand,
    SetFees,
    SetLimits,
    SetPhase,
    SetReference,
    SetTier,
    Withdraw,
)
from stream.wire.candles import ListCandles
from stream.wire.history import ListOrders, ListTrades
from stream.wire.messages import (
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    DeadMan,
    ListInstruments,
    ListSubscriptions,
    Login,
    Logout,
    Ping,
    Place,
    Reduce,
    Replace,
    Request,
    Subscribe,
    Unsubscribe,
)
from stream.wire.queue_position import AskQueuePosition
from tests.cluster.cluster import Cluster
from tests.setting import CONFIG, START, token
from tests.venue.test_presence import sign_in
from tests.worlds import BOOK, MILLISECOND, TICKER, TRADES, Desk, QuietMarket

REQUESTS = int(os.environ.get("DELTABOOK_REQUESTS", "500"))
WARM_UP = 500
MANY = 100_000
"""So many requests are seen in the memory of the process, whatever else it does."""

OPEN_MAX = 10
GROWN_BLOCKS_MAX = 400
GROWN_BYTES_MAX = 2 << 20
HOUR_MS = 3_600_000

EVERYTHING = "market account trade admin"
TOKEN = token("alice", START, EVERYTHING)
UNLIMITED = {
    f"{name}_{unit}": 10**9 for name in ("messages", "bytes", "orders", "cancels", "handshakes", "sign_ins") for unit in ("per_s", "burst")
} | {"errors_max": 10**9, "client_ids_max": 100}

Scene = Callable[[Desk, int], None]


def place(desk: Desk, number: int, **named: Any) -> None:
    """An order that ends the one before."""
    desk.put(Place, "BTC-USD", ("buy", "sell")[number % 2], 100, 5, client_id=number, self_trade="cancel_oldest", **named)


def place_and(kind: type[Any], *fields: Any) -> Scene:
    def scene(desk: Desk, number: int) -> None:
        desk.put(Place, "BTC-USD", "buy", 100, 5, client_id=number)
        desk.put(kind, *fields, **({"client_id": number} if kind is Cancel else {}))

    return scene


def reduce(desk: Desk, number: int) -> None:
    if number % 1000 == 0:
        desk.put(CancelAll)
        desk.put(Place, "BTC-USD", "buy", 1, 2000, client_id=1)
    desk.put(Reduce, 0, 1, 1)


def replace(desk: Desk, number: int) -> None:
    if number == 0:
        desk.put(Place, "BTC-USD", "buy", 100, 5, client_id=1)
    desk.put(Replace, 0, 100 + number % 7, 5 + number % 3, 1)


def subscribe(desk: Desk, number: int) -> None:
    depth, interval_ms = CONFIG.depths[number % len(CONFIG.depths)], CONFIG.intervals_ms[number // 7 % len(CONFIG.intervals_ms)]
    desk.put(Subscribe, [BOOK, TRADES, TICKER, "orders", "balances"][number % 5 :], depth, interval_ms, {BOOK: (number, number)})


def subscribe_and_leave(desk: Desk, number: int) -> None:
    subscribe(desk, number)
    desk.put(Unsubscribe, [BOOK, TRADES, TICKER, "orders", "balances"])


def guard(desk: Desk, number: int) -> None:
    desk.put(CancelOnDisconnect, ("connection", "session", "off")[number // 50 % 3], number % HOUR_MS)
    place_and(Cancel)(desk, number)


def log_out(desk: Desk, number: int) -> None:
    guard(desk, number)
    desk.put(Logout)
    desk.put(Login, TOKEN)


def disconnect(desk: Desk, number: int) -> None:
    other = Desk(desk.market)
    other.sign_in("bob")
    desk.put(Disconnect, *(("bob",) if number % 2 else ("", other.session.number)))
    desk.market.tick(desk.market.now)
    assert other.session.closed
    desk.market.disconnect(other.session, desk.market.now)


def place_and_mass_cancel(desk: Desk, number: int) -> None:
    place(desk, number)
    desk.put(MassCancel, *(("alice",), ("", "BTC-USD"), ())[number % 3])


SCENES: dict[Any, Scene] = {
    Login: lambda desk, number: desk.put(Login, TOKEN),
    Subscribe: subscribe,
    Unsubscribe: subscribe_and_leave,
    ListSubscriptions: lambda desk, number: desk.put(ListSubscriptions),
    ListInstruments: lambda desk, number: desk.put(ListInstruments),
    ListCandles: lambda desk, number: desk.put(ListCandles, "BTC-USD", "1m"),
    Ping: lambda desk, number: desk.put(Ping),
    Place: lambda desk, number: place(desk, number, key=number + 1),
    Cancel: place_and(Cancel),
    Reduce: reduce,
    Replace: replace,
    CancelAll: place_and(CancelAll),
    CancelOnDisconnect: guard,
    DeadMan: lambda desk, number: desk.put(DeadMan, HOUR_MS - number % 1000 if number % 5 else 0),
    ListOrders: lambda desk, number: desk.put(ListOrders),
    ListTrades: lambda desk, number: desk.put(ListTrades, latest=True),
    AskQueuePosition: lambda desk, number: desk.put(AskQueuePosition, number),
    Logout: log_out,
    SetPhase: lambda desk, number: desk.put(SetPhase, "BTC-USD", ("halt", "auction", "trading")[number % 3]),
    ListInstrument: lambda desk, number: desk.put(ListInstrument, "BTC-ETH", "BTC", "ETH", ("0.01", "0.02")[number % 2], "0.0001"),
    Delist: lambda desk, number: desk.put(Delist, "ETH-USD", bool(number % 2)),
    SetBand: lambda desk, number: desk.put(SetBand, "BTC-USD", number % 9 * 100_000),
    SetReference: lambda desk, number: desk.put(SetReference, "BTC-USD", number % 9 * 50),
    SetLimits: lambda desk, number: desk.put(SetLimits, "alice", number % 9),
    MassCancel: place_and_mass_cancel,
    Freeze: lambda desk, number: desk.put(Freeze, "alice", bool(number % 2), True),
    Deposit: lambda desk, number: desk.put(Deposit, "alice", "USD", 1, number + 1),
    Withdraw: lambda desk, number: desk.put(Withdraw, "alice", "USD", 1, number + 1),
    PayFees: lambda desk, number: desk.put(PayFees, "alice", "USD", 1, number + 1),
    SetFees: lambda desk, number: desk.put(SetFees, "BTC-USD", number % 8, -(number % 3), 5),
    SetTier: lambda desk, number: desk.put(SetTier, "alice", number % 8),
    Disconnect: disconnect,
    Revoke: lambda desk, number: desk.put(Revoke, *(("mallory",) if number % 2 else ("", "evil"))),
    ListConnections: lambda desk, number: desk.put(ListConnections),
    ListSchedule: lambda desk, number: desk.put(ListSchedule),
}


def come_and_go(desk: Desk, number: int, *requests: tuple[Any, ...], subject: str = "") -> None:
    """A connection of a moment, from an address of its own."""
    other = Desk(desk.market, address=f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}")
    if subject:
        other.put(Login, token(subject, START))
    for kind, *fields in requests:
        other.put(kind, *fields)
    if number % 2:
        desk.market.tick(desk.market.now)
    desk.market.disconnect(other.session, desk.market.now)


def listen_to_a_busy_market(desk: Desk, number: int) -> None:
    place(desk, number)
    come_and_go(desk, number, (Subscribe, [BOOK, TRADES, TICKER], (0, 5)[number % 2], (0, 1000)[number // 2 % 2]))


LIVES: dict[str, Scene] = {
    "says nothing": come_and_go,
    "listens": listen_to_a_busy_market,
    "signs in": lambda desk, number: come_and_go(desk, number, (Subscribe, ["orders", "balances", BOOK]), subject="carol"),
    "guards its orders": lambda desk, number: come_and_go(
        desk, number, (CancelAll,), (CancelOnDisconnect, ("connection", "session")[number // 2 % 2], 0), (Place, "BTC-USD", "sell", 200, 1),
        (DeadMan, HOUR_MS), subject="carol",    # who comes back before the session's orders are cancelled, and so keeps them
    ),
    "is refused": lambda desk, number: come_and_go(
        desk, number, (Login, TOKEN[: -number % 7 - 1]), (Subscribe, [f"orderbook:{number}"]), (Place, str(number), "buy", 1, 1),
    ),
}


def memory() -> int:
    """Bytes of this process that are no file's."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) << 10


def judge(run: Callable[[int], None], exchange: Exchange, requests: int) -> None:
    """Run it so often to warm up, and as often as it is asked for; nothing may be kept of the latter, nor may it leave more and more orders open."""

    def kept() -> tuple[int, int]:
        gc.collect()
        assert exchange.order_count < OPEN_MAX
        return sys.getallocatedblocks(), memory() if requests >= MANY else 0

    for number in range(WARM_UP):
        run(number)
    before = kept()
    for number in range(WARM_UP, WARM_UP + requests):
        run(number)
    blocks, grown = (after - was for after, was in zip(kept(), before, strict=True))
    assert blocks < GROWN_BLOCKS_MAX, f"{blocks / requests:.2f} objects a request"
    assert grown < GROWN_BYTES_MAX, f"{grown / requests:.1f} bytes a request"


def test_every_kind_of_request_is_tried() -> None:
    assert SCENES.keys() == {*get_args(Request)} | {*get_args(AdminRequest)}


@pytest.mark.parametrize("scene", [*SCENES.values(), *LIVES.values()], ids=[*(kind.__name__ for kind in SCENES), *LIVES])
def test_nothing_is_kept_of_what_is_over(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "KEYS_MAX", 100)
    monkeypatch.setattr(results, "KEY_TIME", 0)
    monkeypatch.setattr(announcements, "CLOSED_KEPT_MAX", 50)
    market = QuietMarket(**UNLIMITED)
    desk = Desk(market).sign_in("alice", EVERYTHING)
    bob = Desk(market).sign_in("bob")
    bob.put(Subscribe, [BOOK, TRADES, TICKER, "orders", "balances"], 5, 0)

    def run(number: int) -> None:
        scene(desk, number)
        if number % 4 == 0:
            market.now += MILLISECOND // 100
            market.tick(market.now)
            market.keep_house(market.now)
            for each in (desk, bob):
                each.session.take_out()
            market.traffic.take_waiting()

    judge(run, market.exchange, REQUESTS)


@pytest.mark.parametrize("what", [CancelOnDisconnect, DeadMan, Disconnect, Revoke, ListConnections, "guards its orders"])
def test_nothing_is_kept_at_any_process_of_a_market(what: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "CLOSED_KEPT_MAX", 50)
    cluster = Cluster(2, **UNLIMITED)
    desk = sign_in(cluster, 0)
    sign_in(cluster, 1, "bob")
    desk.put(Login, TOKEN)
    scene = (SCENES | LIVES)[what]

    def run(number: int) -> None:
        scene(desk, number)
        if number % 4 == 0:
            cluster.step()
            cluster.link.kept.clear()
            for gateway in cluster.gateways:
                for session in gateway.sessions:
                    session.take_out()
                gateway.traffic.take_waiting()

    for subject in ("bob", "carol"):
        come_and_go(desk, 1, subject=subject)
        cluster.step(100)
    judge(run, cluster.engine.exchange, REQUESTS)
