"""An account's orders as clients are told them: what each one's ticket says, and what has become of it.

Open ones are known from the channel of own orders. Those that have ended come from the account's history; only the latest are remembered here, for the
answers to requests that have ended them.
"""

from typing import NamedTuple

from stream.account_history.facts import FillFact, OrderFact
from stream.dialects.binance.request import stamp
from stream.dialects.binance.symbols import Symbol
from stream.dialects.binance.tickets import Ticket, decode_ticket, text_of
from stream.wire.frames import OrderUpdate

ENDED_MAX = 1000
"""How many orders that have ended are remembered for each key."""

TYPES = {
    "limit": "LIMIT", "market": "MARKET", "stop": "STOP_LOSS", "stop_limit": "STOP_LOSS_LIMIT", "trailing_stop": "STOP_LOSS", "take_profit": "TAKE_PROFIT",
    "take_profit_limit": "TAKE_PROFIT_LIMIT",
}
WITHOUT_PRICE = "MARKET", "STOP_LOSS", "TAKE_PROFIT"
SIDES = {"buy": "BUY", "sell": "SELL"}
NO_LIST = -1


def status_of(event: str, reason: str, filled: int, remaining: int) -> str:
    """The status of an order after an event that may have ended it."""
    if event == "cancelled":
        return {"requested": "CANCELED", "self_trade": "EXPIRED_IN_MATCH"}.get(reason, "EXPIRED")
    return "FILLED" if not remaining else "PARTIALLY_FILLED" if filled else "NEW"


class Fill(NamedTuple):
    """A fill of an order. `trade` is the id of the trade; `value` and `fee` are in units of the quote asset."""

    trade: int
    order: "Order"
    price: int
    size: int
    value: int
    fee: int
    maker: bool
    time: int

    def fields(self) -> dict[str, object]:
        """As the answer to a new order tells it."""
        return {**self._amounts(), "tradeId": self.trade}

    def _amounts(self) -> dict[str, object]:
        symbol = self.order.symbol
        return {
            "price": symbol.price.text(self.price), "qty": symbol.size.text(self.size), "commission": symbol.money.text(self.fee),
            "commissionAsset": symbol.terms.quote,
        }


def past_trade(symbol: Symbol, fact: FillFact, micro: bool) -> dict[str, object]:
    """A fill of the history as `myTrades` tells it."""
    return {
        "symbol": symbol.name, "id": fact.trade, "orderId": fact.order, "orderListId": NO_LIST, "price": symbol.price.text(fact.price),
        "qty": symbol.size.text(fact.size), "commission": symbol.money.text(fact.fee), "commissionAsset": symbol.terms.quote,
        "quoteQty": symbol.money.text(fact.value), "time": stamp(fact.time, micro), "isBuyer": fact.side == "buy", "isMaker": fact.liquidity == "maker",
        "isBestMatch": True,
    }


class Order:
    """One order. Sizes are in lots, prices in ticks, `value` in units of the quote asset, times in ns. `size` is what was asked for."""

    __slots__ = (
        "created", "filled", "fills", "list", "number", "price", "remaining", "seq", "side", "size", "status", "stop", "symbol", "ticket", "updated", "value",
        "working_since",
    )

    def __init__(self, symbol: Symbol, update: OrderUpdate, ticket: Ticket | None, self_trade: str) -> None:
        self.symbol = symbol
        self.number = update.order
        self.side = SIDES[update.side]
        self.created = ticket.time if ticket else update.time
        self.ticket = ticket or Ticket(
            text_of(update.client_id), TYPES[update.type], "GTD" if update.expires else "GTC", update.price, update.remaining + update.filled, 0, update.stop,
            0, self_trade, update.time,
        )
        waits = self.ticket.type.startswith(("STOP", "TAKE")) and update.event in ("accepted", "open", "waiting") and update.type != "limit"
        self.working_since = 0 if waits else update.time
        self.status = "PARTIALLY_FILLED" if update.filled else "NEW"
        self.list = self.ticket.list or self.number if self.ticket.list_text else NO_LIST
        self.fills: list[Fill] = []
        self.price = self.size = self.remaining = self.filled = self.value = self.stop = self.updated = self.seq = 0
        self.take(update)
        self.size = update.remaining + update.filled

    @classmethod
    def of_past(cls, symbol: Symbol, fact: OrderFact, self_trade: str) -> "Order":
        """An order of the history."""
        ticket = decode_ticket(fact.ticket) if fact.ticket else Ticket(
            text_of(fact.client_id), "LIMIT_MAKER" if fact.post_only else TYPES[fact.type], fact.time_in_force.upper(), fact.price, fact.size, 0, fact.stop,
            fact.display, self_trade, fact.time,
        )
        update = OrderUpdate(
            fact.seq, fact.updated, "open", fact.order, fact.client_id, symbol.terms.name, fact.side, fact.price, fact.size - fact.filled, fact.filled,    # type: ignore[arg-type]
            fact.value, 0, 0, 0, "", fact.type, fact.stop, fact.display, fact.expires, 0,    # type: ignore[arg-type]
        )
        order = cls(symbol, update, ticket, self_trade)
        order.status = status_of(fact.status, fact.reason, fact.filled, fact.size - fact.filled)
        order.created, order.working_since = fact.time, fact.working_since
        return order

    def take(self, update: OrderUpdate) -> None:
        """Take in what every event says."""
        self.price = 0 if self.ticket.type in WITHOUT_PRICE else update.price
        self.stop = update.stop or self.stop or self.ticket.stop
        self.remaining, self.filled, self.value = update.remaining, update.filled, update.value
        self.updated, self.seq = update.time, update.seq

    @property
    def open(self) -> bool:
        """Whether it rests or waits."""
        return self.status in ("NEW", "PARTIALLY_FILLED")

    def outcome(self, micro: bool, full: bool) -> dict[str, object]:
        """What has become of it, as the answers to requests about it say it."""
        symbol, ticket = self.symbol, self.ticket
        said: dict[str, object] = {
            "price": symbol.price.text(self.price), "origQty": symbol.size.text(self.size), "executedQty": symbol.size.text(self.filled),
            "origQuoteOrderQty": symbol.money.text(ticket.quote), "cummulativeQuoteQty": symbol.money.text(self.value),
            "status": self.status, "timeInForce": ticket.time_in_force, "type": ticket.type, "side": self.side,
        }
        if self.stop or full:
            said["stopPrice"] = symbol.price.text(self.stop)
        if ticket.display or full:
            said["icebergQty"] = symbol.size.text(ticket.display)
        if full:
            said |= {"time": stamp(self.created, micro), "updateTime": stamp(self.updated, micro), "isWorking": bool(self.working_since)}
        return said | {
            "workingTime": stamp(self.working_since, micro) if self.working_since else -1, "selfTradePreventionMode": ticket.self_trade,
        }

    def fields(self, micro: bool) -> dict[str, object]:
        """As requests for orders are answered."""
        return {"symbol": self.symbol.name, "orderId": self.number, "orderListId": self.list, "clientOrderId": self.ticket.text, **self.outcome(micro, True)}

    def names(self, time: int, micro: bool) -> dict[str, object]:
        """How the answer to a new order begins."""
        return {
            "symbol": self.symbol.name, "orderId": self.number, "orderListId": self.list, "clientOrderId": self.ticket.text, "transactTime": stamp(time, micro),
        }

    def cancelled(self, text: str, micro: bool) -> dict[str, object]:
        """The answer to a cancel whose own id is `text`, "" if it has none."""
        return {
            "symbol": self.symbol.name, "origClientOrderId": self.ticket.text, "orderId": self.number, "orderListId": self.list,
            "clientOrderId": text or self.ticket.text,
            "transactTime": stamp(self.updated, micro), **self.outcome(micro, False),
        }


class OrderList(NamedTuple):
    """Orders of which one cancels the other, in the order in which they were placed. Its number is that of the first."""

    number: int
    orders: list[Order]

    @property
    def text(self) -> str:
        """The client's id of the list."""
        return self.orders[0].ticket.list_text

    @property
    def symbol(self) -> Symbol:
        """The symbol of its orders."""
        return self.orders[0].symbol

    @property
    def open(self) -> bool:
        """Whether any of its orders is."""
        return any(order.open for order in self.orders)

    @property
    def status(self) -> tuple[str, str]:
        """What the venue calls the types of the list's status and of its orders'."""
        return ("EXEC_STARTED", "EXECUTING") if self.open else ("ALL_DONE", "ALL_DONE")

    def fields(self, micro: bool) -> dict[str, object]:
        """As requests for lists are answered."""
        type, of_orders = self.status
        return {
            "orderListId": self.number, "contingencyType": "OCO", "listStatusType": type, "listOrderStatus": of_orders, "listClientOrderId": self.text,
            "transactionTime": stamp(self.orders[-1].created, micro), "symbol": self.symbol.name,
            "orders": [{"symbol": order.symbol.name, "orderId": order.number, "clientOrderId": order.ticket.text} for order in self.orders],
        }

    def cancelled(self, text: str, micro: bool) -> dict[str, object]:
        """The answer to a cancel whose own id is `text`, "" if it has none."""
        return self.fields(micro) | {"orderReports": [order.cancelled(text, micro) for order in self.orders]}


class Orders:
    """The open orders of an account, and the latest of those that have ended."""

    def __init__(self) -> None:
        self.open: dict[int, Order] = {}
        self.ended: dict[int, Order] = {}
        self._named: dict[str, Order] = {}
        self._listed: dict[int, dict[int, Order]] = {}

    def add(self, order: Order) -> None:
        """Another open one."""
        self.open[order.number] = order
        self._named[order.ticket.text] = order
        if order.list != NO_LIST:
            self._listed.setdefault(order.list, {})[order.number] = order

    def end(self, order: Order) -> None:
        """One has ended. The oldest of those is forgotten if there are too many."""
        self.open.pop(order.number, None)
        self.ended[order.number] = order
        if len(self.ended) > ENDED_MAX:
            oldest = self.ended.pop(next(iter(self.ended)))
            if self._named.get(oldest.ticket.text) is oldest:
                del self._named[oldest.ticket.text]
            if oldest.list != NO_LIST:
                self._listed[oldest.list].pop(oldest.number, None)
                if not self._listed[oldest.list]:
                    del self._listed[oldest.list]

    def lists(self) -> list[OrderList]:
        """The lists that are known, in the order of their numbers. Those that have ended are there as long as their orders."""
        return [OrderList(number, self._of(number)) for number in sorted(self._listed)]

    def find_list(self, number: int | None, text: str | None) -> OrderList | None:
        """The list with a number, or else the latest one with a client's id."""
        if number is not None:
            found = OrderList(number, self._of(number)) if number in self._listed else None
            return found if found and text in (None, found.text) else None
        return next((each for each in reversed(self.lists()) if each.text == text), None)

    def _of(self, number: int) -> list[Order]:
        return [order for _, order in sorted(self._listed[number].items())]

    def find(self, number: int | None, text: str | None) -> Order | None:
        """The order with a number, or else the latest one with a client's id."""
        if number is not None:
            found = self.open.get(number) or self.ended.get(number)
            return found if found and text in (None, found.ticket.text) else None
        return self._named.get(text or "")
