"""Bitstamp's order-by-order stream, checked against its trades with both order ids.

A created order is a limit order, or a market order if it trades and its price is 0; a deleted one is cancelled (or was filled and is
gone), a changed one has so much left after a fill. Very many created orders would cross the book and are deleted soon after, whole
and without a trade: so every order that the trades do not name as an aggressor is post-only. The stream can lose the end of an order:
one that is filled where the exchange passed it over counts as a difference and is removed.
"""

import csv
from decimal import Decimal
from pathlib import Path

from engine import MONEY_MAX, Commands, EventKind, Instrument, OrderType, Side, TimeInForce
from stream.replay import Check, Progress, ReplayReport, Stage, companion, read, scaled, silent

PRICE_DECIMALS, SIZE_DECIMALS = 2, 8
BTC_USD = Instrument("BTC-USD", "BTC", "USD", tick=Decimal("0.01"), lot=Decimal("0.00000001"), size_max=MONEY_MAX)
SIDES = {"bid": Side.BUY, "ask": Side.SELL}
AGGRESSORS_PERCENT = 97
"""So many aggressors, rounded down, have to trade as recorded; orders whose end was lost are in the way of others."""

Fill = tuple[int, int, int]
"""The maker's id, the price in ticks, the size in lots."""


def replay(path: Path, progress: Progress = silent) -> ReplayReport:
    """Run a `..._orders.csv` with its `..._trades.csv` beside it. Aggressors have to meet the same orders at the same prices, in order.

    ValueError for a row that is not of this kind, FileNotFoundError if there are no trades.
    """
    recorded = _recorded_fills(companion(path, "orders", "trades"))
    rows = _rows(path, {"id", "price", "volume", "action", "direction"})
    market = _Market()
    trades = equal = 0
    for index, row in enumerate(rows):
        order, size = int(row["id"]), scaled(row["volume"], SIZE_DECIMALS)
        match row["action"]:
            case "created":
                expected = recorded.get(order, [])
                fills = market.create(order, SIDES[row["direction"]], scaled(row["price"], PRICE_DECIMALS), size, aggressive=bool(expected))
                trades += len(fills)
                if expected:
                    equal += fills == expected
                    for maker in {maker for maker, _, _ in fills} - {maker for maker, _, _ in expected}:
                        market.change(maker, 0)
            case "changed":
                market.change(order, size)
            case "deleted":
                market.change(order, 0)
            case action:
                raise ValueError(f"{path}: unknown action {action!r} of order {order}")
        if not index % 1024:
            progress(index, len(rows))
    check = Check("aggressors traded as recorded", len(recorded), equal, len(recorded) * AGGRESSORS_PERCENT // 100)
    return market.stage.report("bitstamp", trades, (check,))


def _recorded_fills(path: Path) -> dict[int, list[Fill]]:
    """What each aggressor met."""
    fills: dict[int, list[Fill]] = {}
    for row in _rows(path, {"price", "amount", "buy_order_id", "sell_order_id", "side"}):
        taker, maker = ("buy", "sell") if row["side"] == "buy" else ("sell", "buy")
        fill = int(row[f"{maker}_order_id"]), scaled(row["price"], PRICE_DECIMALS), scaled(row["amount"], SIZE_DECIMALS)
        fills.setdefault(int(row[f"{taker}_order_id"]), []).append(fill)
    return fills


def _rows(path: Path, columns: set[str]) -> list[dict[str, str]]:
    rows = list(csv.DictReader(read(path).decode().splitlines()))
    if not rows or not columns <= rows[0].keys():
        raise ValueError(f"{path}: expected rows with the columns {', '.join(sorted(columns))}")
    return rows


class _Market:
    """The engine's book, and its ids of the recorded orders."""

    def __init__(self) -> None:
        self.stage = Stage(BTC_USD, {"BTC": SIZE_DECIMALS, "USD": PRICE_DECIMALS + SIZE_DECIMALS})
        self._orders: dict[int, int] = {}
        self._commands = Commands()

    def create(self, order: int, side: int, price: int, size: int, aggressive: bool) -> list[Fill]:
        """Place an order; what it met."""
        if aggressive and not price:
            self._commands.place(0, 0, side, 0, size, type=OrderType.MARKET, time_in_force=TimeInForce.IOC, client_id=order)
        else:
            self._commands.place(0, 0, side, price, size, post_only=not aggressive, client_id=order)
        self.stage.run(self._commands)
        first, *others = self.stage.exchange.events
        if first.kind == EventKind.ACCEPTED:
            self._orders[order] = first.order
        return [(event.client_id, event.price, event.size) for event in others if event.kind == EventKind.FILLED][::2]

    def change(self, order: int, left: int) -> None:
        """Leave at most `left` lots of an order, if it is open."""
        resting = self.stage.exchange.order(self._orders.get(order, 0))
        if resting and resting.remaining > left:
            self._commands.reduce(0, resting.order, resting.remaining - left)
            self.stage.run(self._commands)
        if not left:
            self._orders.pop(order, None)
