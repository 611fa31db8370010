"""What must hold however many orders are open: what is done in a crowd is done as with a few."""

from decimal import Decimal

import pytest

from engine import Commands, EventKind, Exchange, Instrument, OrderType, Side

CROWD = 16_384 + 64
"""More orders than those from which on the engine looks ahead."""


def crowded(instruments: int = 3) -> Exchange:
    exchange = Exchange()
    exchange.add_asset("BTC", 8)
    exchange.add_asset("USD", 2)
    for index in range(instruments):
        exchange.add_instrument(Instrument(f"BTC{index}-USD", "BTC", "USD", Decimal("0.01"), Decimal(1)))
    account = exchange.open_account()
    for asset in range(2):
        exchange.deposit(account, asset, 1 << 60)
    crowd = Commands()
    for number in range(CROWD):
        crowd.place(account, 0, Side.BUY, 1 + number % 100, 1)
    assert exchange.execute(crowd) == 0
    return exchange


@pytest.mark.parametrize("kind", [OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP])
@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("how", ["cancel", "reduce", "replace", "cancel_all"])
def test_a_stop_alone_in_its_book_is_cancelled_reduced_and_replaced(kind: OrderType, side: Side, how: str) -> None:
    exchange = crowded()
    if kind == OrderType.TRAILING_STOP:     # it needs a last trade, which leaves the book empty again
        for maker in Side:
            exchange.place(0, 1, maker, 500, 1)
        assert len(exchange.books[1].levels) == 0
    price = 5_000 if kind == OrderType.STOP_LIMIT else 0
    stop = exchange.place(0, 1, side, price, 2, type=kind, stop=5 if kind == OrderType.TRAILING_STOP else 50 if side == Side.SELL else 5_000)
    commands = Commands()
    match how:
        case "cancel":
            commands.cancel(0, stop)
        case "reduce":
            commands.reduce(0, stop, 1)
        case "replace":
            commands.replace(0, stop, price, 1)
        case "cancel_all":
            commands.cancel_all(0, 1)
    assert exchange.execute(commands) == 0
    assert (exchange.order(stop) is None) == (how in ("cancel", "cancel_all"))
    exchange.check()


def test_a_stop_in_a_book_that_was_emptied_is_cancelled() -> None:
    exchange = crowded()
    orders = [exchange.place(0, 1, Side.BUY, 10 * number, 1) for number in range(1, 200)]
    stops = [exchange.place(0, 1, Side.SELL, 0, 1, type=OrderType.STOP, stop=number) for number in range(1, 300)]
    commands = Commands()
    for order in orders + stops:
        commands.cancel(0, order)
    assert exchange.execute(commands) == 0
    assert exchange.order_count == CROWD
    assert len(exchange.events.select(1 << EventKind.CANCELLED)) == len(orders) + len(stops)
    exchange.check()
