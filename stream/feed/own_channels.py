"""The channels of one account: its orders and its balances."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from engine import Exchange, Order, OrderBook, OrderType
from stream.feed.channel import SIDES, Channel, Point
from stream.feed.own_logs import BalanceLog, OrderLog
from stream.settings.config import Config
from stream.wire.channels import BALANCES, ORDERS
from stream.wire.codec import Shared, Written
from stream.wire.frames import Balance, Balances, Orders, OrderUpdate

TYPES: dict[int, str] = {type: type.name.lower() for type in OrderType}


def describe(update: OrderUpdate, order: Order) -> None:
    """Fill in what no event says about an open order."""
    update.type = TYPES[order.type]    # type: ignore[assignment]
    update.stop, update.displayed, update.expires, update.linked = order.stop, order.displayed, order.expires, order.linked


OwnLog = TypeVar("OwnLog", OrderLog, BalanceLog)


class OwnChannel(Channel, Generic[OwnLog]):
    """A channel that tells all of one account, in order."""

    lossless = True
    log: OwnLog

    @property
    def seq(self) -> int:
        return self.log.seq

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        frame = self.log.since(prev, at)
        return None if frame is None else Written(frame)


class OrdersChannel(OwnChannel[OrderLog]):
    """Every event of one account's orders."""

    def __init__(self, account: int, exchange: Exchange, books: Sequence[OrderBook], names: list[bytes], config: Config) -> None:
        """`names` are those of all instruments in MessagePack, and of those that are added."""
        super().__init__(ORDERS)
        self._account = account
        self._exchange = exchange
        self._books = books
        self.log = OrderLog(exchange, account, names, config.account_events_kept)

    def snapshot(self, at: Point) -> Shared:
        orders = []
        for order in self._exchange.orders(self._account):
            orders.append(OrderUpdate(
                seq=at.seq, time=at.engine_time, event="open", order=order.order, client_id=order.client_id,
                instrument=self._books[order.instrument].instrument.name, side=SIDES[order.side],
                price=order.price, remaining=order.remaining, filled=order.filled, value=order.value,
            ))
            describe(orders[-1], order)
        return Shared(Orders(channel=self.name, epoch=at.epoch, prev=None, seq=at.seq, orders=orders, server_time=at.now))


class BalancesChannel(OwnChannel[BalanceLog]):
    """Every change of one account's balances."""

    def __init__(self, account: int, exchange: Exchange, config: Config) -> None:
        super().__init__(BALANCES)
        self._account = account
        self._exchange = exchange
        self.log = BalanceLog(exchange, config.account_events_kept)

    def snapshot(self, at: Point) -> Shared:
        balances = [
            Balance(*asset, *amounts)
            for asset, amounts in zip(self._exchange.assets().items(), self._exchange.balances(self._account), strict=True)
            if any(amounts)
        ]
        return Shared(Balances(channel=self.name, epoch=at.epoch, prev=None, seq=at.seq, balances=balances, server_time=at.now))
