"""The channels of one account: its orders and its balances."""

from engine import Event, EventKind, Exchange, Order, OrderBook, OrderType, Reason
from stream.feed.channel import SIDES, LosslessChannel, Point
from stream.settings.config import Config
from stream.wire.channels import BALANCES, ORDERS
from stream.wire.codec import Shared
from stream.wire.frames import Balance, Balances, Orders, OrderUpdate

TYPES: dict[int, str] = {type: type.name.lower() for type in OrderType}
REASONS: dict[int, str] = {reason: reason.name.lower() if reason else "" for reason in Reason}

TAKER = 2    # Event.flags


def describe(update: OrderUpdate, order: Order) -> None:
    """Fill in what no event says about an open order."""
    update.type = TYPES[order.type]    # type: ignore[assignment]
    update.stop, update.displayed, update.expires, update.linked = order.stop, order.displayed, order.expires, order.linked


class OrdersChannel(LosslessChannel[OrderUpdate]):
    """Every event of one account's orders."""

    def __init__(self, account: int, exchange: Exchange, books: list[OrderBook], config: Config) -> None:
        super().__init__(ORDERS, config.account_events_kept, exchange.seq)
        self._account = account
        self._exchange = exchange
        self._books = books
        self._limits = {order.order: order.price for order in exchange.orders(account)}

    def add(self, event: Event, time: int) -> None:
        """Take in an event of one of the account's orders."""
        kind = EventKind(event.kind)
        if kind in (EventKind.ACCEPTED, EventKind.REPLACED):
            self._limits[event.order] = event.price
        limit = self._limits.get(event.order, event.price)
        if event.remaining == 0:
            self._limits.pop(event.order, None)
        update = OrderUpdate(
            seq=event.seq, time=time, event=kind.name.lower(), order=event.order, client_id=event.other,    # type: ignore[arg-type]
            instrument=self._books[event.instrument].instrument.name, side=SIDES[event.side],
            price=limit, remaining=event.remaining, filled=event.filled, value=event.value, reason=REASONS[event.reason],    # type: ignore[arg-type]
        )
        order = self._exchange.order(event.order)
        if order:
            describe(update, order)
        if kind is EventKind.FILLED:
            update.fill_price, update.fill_size, update.fee = event.price, event.size, event.fee
            update.liquidity = "taker" if event.flags & TAKER else "maker"
        elif kind in (EventKind.WAITING, EventKind.TRIGGERED):
            update.stop = event.price
        self._tail.append(event.seq, update)

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

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        orders = self._tail.since(prev)
        return None if orders is None else Shared(Orders(channel=self.name, epoch=at.epoch, prev=prev, seq=at.seq, orders=orders, server_time=at.now))


class BalancesChannel(LosslessChannel[Balance]):
    """Every change of one account's balances."""

    def __init__(self, account: int, exchange: Exchange, config: Config) -> None:
        super().__init__(BALANCES, config.account_events_kept, exchange.seq)
        self._account = account
        self._exchange = exchange
        self._assets = list(exchange.assets().items())

    def add(self, event: Event) -> None:
        """Take in a BALANCE of the account."""
        self._tail.append(event.seq, Balance(*self._assets[event.instrument], event.size, event.remaining))

    def snapshot(self, at: Point) -> Shared:
        balances = [
            Balance(*asset, *amounts)
            for asset, amounts in zip(self._assets, self._exchange.balances(self._account), strict=True)
            if any(amounts)
        ]
        return Shared(Balances(channel=self.name, epoch=at.epoch, prev=None, seq=at.seq, balances=balances, server_time=at.now))

    def since(self, prev: int, at: Point, batches: int = 0) -> Shared | None:
        balances = self._tail.since(prev)
        return None if balances is None else Shared(Balances(channel=self.name, epoch=at.epoch, prev=prev, seq=at.seq, balances=balances, server_time=at.now))
