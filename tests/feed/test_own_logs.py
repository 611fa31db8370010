"""The logs of accounts' own events say, byte for byte, what msgspec makes of the events one by one."""

from collections import deque
from random import Random

import msgspec
import pytest

from engine import Event, EventKind, Exchange, OrderType, Reason
from stream.commands.results import OF_ORDERS
from stream.feed.channel import Point
from stream.feed.own_logs import BalanceLog, OrderLog, OwnLogs
from stream.wire.codec import MSGPACK
from stream.wire.frames import Balance, Balances, Orders, OrderUpdate
from tests.engine.random_flow import RandomFlow, new_exchange, new_oracle, submit

KEPT = 40
COMMANDS = 3000


class NaiveLog:
    """The same for one account: every event as an object, told by msgspec."""

    def __init__(self, exchange: Exchange, account: int) -> None:
        self.exchange, self.account = exchange, account
        self.orders: deque[tuple[int, OrderUpdate]] = deque()
        self.balances: deque[tuple[int, Balance]] = deque()
        self.floors = [exchange.seq, exchange.seq]
        self.limits = {order.order: order.price for order in exchange.orders(account)}

    def take(self, event: Event, time: int) -> None:
        if event.kind == EventKind.BALANCE:
            asset = list(self.exchange.assets().items())[event.asset]
            self.balances.append((event.seq, Balance(*asset, event.available, event.held)))
        else:
            self.orders.append((event.seq, self.update(event, time)))
        for which, log in enumerate((self.orders, self.balances)):
            if len(log) > KEPT:
                self.floors[which] = log.popleft()[0]

    def update(self, event: Event, time: int) -> OrderUpdate:
        kind = EventKind(event.kind)
        if kind in (EventKind.ACCEPTED, EventKind.REPLACED):
            self.limits[event.order] = event.price
        update = OrderUpdate(
            event.seq, time, kind.name.lower(), event.order, event.client_id, self.exchange.books[event.instrument].instrument.name,    # type: ignore[arg-type]
            "sell" if event.side else "buy", self.limits.get(event.order, event.price), event.remaining, event.filled, event.value,
            reason=Reason(event.reason).name.lower() if event.reason else "",    # type: ignore[arg-type]
        )
        if event.remaining == 0:
            self.limits.pop(event.order, None)
        if order := self.exchange.order(event.order):
            update.type = OrderType(order.type).name.lower()    # type: ignore[assignment]
            update.stop, update.displayed, update.expires, update.linked = order.stop, order.displayed, order.expires, order.linked
        if kind is EventKind.FILLED:
            update.fill_price, update.fill_size, update.fee, update.liquidity = event.price, event.size, event.fee, "taker" if event.flags & 2 else "maker"
        elif kind in (EventKind.WAITING, EventKind.TRIGGERED):
            update.stop = event.price
        return update

    def frames(self, prev: int, at: Point) -> list[bytes | None]:
        orders = Orders("orders", at.epoch, prev, at.seq, [update for seq, update in self.orders if seq > prev], at.now)
        balances = Balances("balances", at.epoch, prev, at.seq, [balance for seq, balance in self.balances if seq > prev], at.now)
        return [None if prev < floor else MSGPACK.frame(frame) for floor, frame in zip(self.floors, (orders, balances), strict=True)]


@pytest.mark.parametrize("seed", range(4))
def test_frames_are_what_msgspec_writes(seed: int) -> None:
    random = Random(seed)
    oracle, exchange = new_oracle(seed), new_exchange(seed)
    flow, own = RandomFlow(seed, oracle), OwnLogs(exchange)
    names = [msgspec.msgpack.encode(book.instrument.name) for book in exchange.books]
    kept: dict[int, tuple[OrderLog, BalanceLog, NaiveLog]] = {}
    lengths = set()
    for number in range(COMMANDS):
        command = flow.next()
        flow.saw(oracle.run(command))
        submit(exchange, command)
        if exchange.accounts and random.random() < 0.02:
            account = random.randrange(exchange.accounts)
            if account in kept and random.random() < 0.3:
                own.forget(account)
                del kept[account]
            elif account not in kept:
                logs = OrderLog(exchange, account, names, KEPT), BalanceLog(exchange, KEPT)
                kept[account] = *logs, NaiveLog(exchange, account)
                own.keep(account, ("orders", logs[0]), ("balances", logs[1]))    # type: ignore[arg-type]
        concerned = {}
        for event in exchange.events.select(OF_ORDERS | 1 << EventKind.BALANCE):
            if event.account in kept:
                kept[event.account][2].take(event, number)
                concerned["balances" if event.kind == EventKind.BALANCE else "orders"] = True
        assert set(own.apply(number)) == concerned.keys()    # type: ignore[comparison-overlap]
        at = Point(random.choice((0, 7, 1 << 40)), exchange.seq, number, random.choice((1, 1 << 60)))
        for orders, balances, naive in kept.values():
            prev = max(0, exchange.seq - random.choice((0, 1, 3, 30, 300)))
            frames = [orders.since(prev, at), balances.since(prev, at)]
            assert frames == naive.frames(prev, at)
            assert [orders.floor, balances.floor] == naive.floors
            lengths |= {len(frame) for frame in frames if frame}
    assert any(length < 126 for length in lengths)
    assert any(length > 126 for length in lengths)


def test_a_log_goes_on_where_another_was() -> None:
    oracle, exchange = new_oracle(1), new_exchange(1)
    flow, own = RandomFlow(1, oracle), OwnLogs(exchange)
    names = [msgspec.msgpack.encode(book.instrument.name) for book in exchange.books]

    def run(count: int) -> None:
        for number in range(count):
            command = flow.next()
            flow.saw(oracle.run(command))
            submit(exchange, command)
            own.apply(number)

    run(40)
    logs = OrderLog(exchange, 0, names, KEPT), BalanceLog(exchange, KEPT)
    own.keep(0, ("orders", logs[0]), ("balances", logs[1]))    # type: ignore[arg-type]
    run(1500)
    other = OrderLog(exchange, 0, names, KEPT), BalanceLog(exchange, KEPT)
    for one, another in zip(logs, other, strict=True):
        assert len(one.entries()) == KEPT
        another.restore(one.floor, one.entries())    # type: ignore[arg-type]
    own.keep(0, ("orders", other[0]), ("balances", other[1]))    # type: ignore[arg-type]
    twins = OwnLogs(exchange)
    twins.keep(0, ("orders", logs[0]), ("balances", logs[1]))    # type: ignore[arg-type]
    for number in range(200):
        command = flow.next()
        flow.saw(oracle.run(command))
        submit(exchange, command)
        own.apply(number)
        twins.apply(number)
        at = Point(1, exchange.seq, number, number)
        for one, another in zip(logs, other, strict=True):
            assert (one.floor, one.seq) == (another.floor, another.seq)
            assert one.since(one.floor, at) == another.since(one.floor, at)


def test_a_log_of_one_entry_keeps_the_latest() -> None:
    _, exchange = None, new_exchange(0)
    log = BalanceLog(exchange, 1)
    own = OwnLogs(exchange)
    exchange.open_account()
    own.keep(0, ("orders", OrderLog(exchange, 0, [], 1)), ("balances", log))    # type: ignore[arg-type]
    floor = log.floor
    for amount in (5, 6):
        exchange.deposit(0, 0, amount)
        own.apply(1)
    assert [balance.available for _, balance in log.entries()] == [11]
    assert log.since(floor, Point(0, 0, 0, 0)) is None
    assert log.since(log.floor, Point(0, 0, 0, 0)) is not None
