"""The requests of a client about instruments and orders, as methods. They convert decimals and dates to integers, exactly, and replies to decimals."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar

from stream.client.counts import KINDS, Amount, Lots, Price, Size, Ticks, Units, count
from stream.client.errors import ClientError
from stream.client.readings import CandlePage, Done, OrderPage, OrderUpdate, PastOrder, QueuePosition, Scale, TradePage, scale
from stream.wire import candles, history, messages, queue_position
from stream.wire.candles import IntervalName, ListCandles
from stream.wire.fields import Message
from stream.wire.history import ListOrders, ListTrades
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    Confirmed,
    DeadMan,
    Instruments,
    InstrumentTerms,
    ListInstruments,
    Logout,
    Ping,
    Place,
    Pong,
    Reduce,
    Replace,
    Scope,
)
from stream.wire.queue_position import AskQueuePosition

R = TypeVar("R", bound=Message)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Side = Literal["buy", "sell"]

Order = int | Done | OrderUpdate | PastOrder
"""An order: the exchange's id of it, or what the client has read of it, which knows its instrument as well."""


def nanoseconds(time: int | datetime) -> int:
    """A time in ns since 1970. Raises TypeError if a datetime has no time zone."""
    return time if isinstance(time, int) else (time - EPOCH) // timedelta(microseconds=1) * 1000


def named(order: Order, instrument: str) -> str:
    """The instrument of an order, "" if it is not known."""
    return instrument if isinstance(order, int) else order.instrument


class Requests(ABC):
    """The requests of a client. All of them raise RequestRefused if the server refuses, and ConnectionLost or Closed if no reply comes."""

    def __init__(self) -> None:
        self.terms: dict[str, InstrumentTerms] = {}
        self.scales: dict[str, Scale] = {}

    @abstractmethod
    async def request(self, kind: Callable[..., Message], reply: type[R], *fields: Any, **named: Any) -> R:
        """Send a request, and return its reply."""

    async def instruments(self) -> dict[str, InstrumentTerms]:
        """Ask for the terms of every instrument, by name."""
        answer = await self.request(ListInstruments, Instruments)
        self.terms = {terms.name: terms for terms in answer.instruments}
        self.scales |= {terms.name: scale(terms.tick, terms.lot, terms.quote_decimals) for terms in answer.instruments}
        return self.terms

    async def learn(self, instruments: Collection[str]) -> None:
        """Know the scales of these instruments, as far as the server has them and can be asked. It is asked only if there is something to learn."""
        if not self.scales.keys() >= set(instruments):
            with suppress(ClientError):    # what is read has counts nevertheless
                await self.instruments()

    async def ping(self) -> Pong:
        """Ask the server for a sign of life. The reply has the time on its clock."""
        return await self.request(Ping, Pong)

    async def candles(
        self, instrument: str, interval: IntervalName, *, since: int | datetime = 0, until: int | datetime = 0, count: int = 100,
    ) -> CandlePage:
        """Candles of an instrument, oldest first, those of quiet intervals too: the first ones since `since`, or without it the last ones before `until`.

        Times are in ns since 1970, or datetimes, and say when candles begin. At most 1000 candles.
        """
        page = await self.request(
            ListCandles, candles.CandlePage, instrument=instrument, interval=interval, since=nanoseconds(since), until=nanoseconds(until), count=count,
        )
        await self.learn({instrument})
        return CandlePage(page, self.scales, instrument)

    async def _scale(self, instrument: str) -> Scale:
        if instrument not in self.scales:
            await self.instruments()
        if instrument not in self.scales:
            raise ClientError(f"instrument {instrument!r}: the server has no instrument of that name")
        return self.scales[instrument]

    async def _counts(self, instrument: str, kind: type[int], **values: Decimal | str | int | None) -> dict[str, int]:
        """The counts of these values, 0 for None."""
        found = dict.fromkeys(values, 0)
        for name, value in values.items():
            if value is None:
                continue
            if type(value) is kind:
                found[name] = count(name, value, kind, Decimal(1))
            elif not instrument:
                raise ValueError(f"{name}={value!r}: expected {name}={kind.__name__}(...), or the order itself instead of its id, or its instrument")
            else:
                found[name] = count(name, value, kind, (await self._scale(instrument))[list(KINDS.values()).index(kind)])
        return found

    async def _change(self, kind: Callable[..., Message], order: Order, instrument: str, **fields: Any) -> Done:
        id = order if isinstance(order, int) else order.order
        return Done(await self.request(kind, messages.Done, order=id, **fields), self.scales, named(order, instrument))

    async def place(
        self, instrument: str, side: Side, price: Price | None = None, size: Amount | None = None,
        type: Literal["limit", "market", "stop", "stop_limit", "trailing_stop", "take_profit", "take_profit_limit"] = "limit",
        time_in_force: Literal["gtc", "ioc", "fok", "gtd", "day"] = "gtc", post_only: bool = False, client_id: int = 0,
        *, slide: bool = False, quote: bool = False, stop: Price | None = None, display: Size | None = None, min_size: Size | None = None,
        expires: int | datetime = 0, linked: int = 0,
        self_trade: Literal["account", "allow", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"] = "account", key: int = 0, sent: int = 0,
    ) -> Done:
        """Place an order, and return the order as it is after that. PROTOCOL.md says what the options mean.

        Prices (`price`, `stop`) and sizes (`size`, `display`, `min_size`) are decimal text or Decimals, which are converted exactly, or counts: `Ticks(5)`,
        `Lots(5)`. A bare number raises ValueError, since nobody can know what it counts; so does what does not fit the tick or the lot. With `quote`, `size` is
        money, in decimals or `Units(5)`. A market order without `price` trades at any price. `expires` is in ns since 1970, or a datetime.

        If the reply is lost, send the request again with the same `key`: a number but 0 that the account has not used. The server carries it out only once.
        The client tells the server when it first sent the request. If the server may have forgotten the key by now, it refuses the request (KEY_FORGOTTEN)
        and does not carry it out again. To send it again from another process, store `server_time()` together with the key, and pass it as `sent`.
        """
        counts = await self._counts(instrument, Ticks, price=price, stop=stop) | await self._counts(instrument, Lots, display=display, min_size=min_size)
        counts |= await self._counts(instrument, Units if quote else Lots, size=size)
        done = await self.request(
            Place, messages.Done, instrument=instrument, side=side, type=type, time_in_force=time_in_force, post_only=post_only, client_id=client_id,
            slide=slide, quote=quote, expires=nanoseconds(expires), linked=linked, self_trade=self_trade, key=key, sent=sent, **counts,
        )
        return Done(done, self.scales, instrument)

    async def cancel(self, order: Order = 0, client_id: int = 0, *, instrument: str = "", key: int = 0, sent: int = 0) -> Done:
        """Cancel an order. Name it by `order`, which is the exchange's id or what the client has read of the order, or by your own `client_id`.

        With an id alone, and no `instrument`, the reply has counts and no decimals.
        """
        return await self._change(Cancel, order, instrument, client_id=client_id, key=key, sent=sent)

    async def reduce(self, order: Order, by: Size, client_id: int = 0, *, instrument: str = "", key: int = 0, sent: int = 0) -> Done:
        """Reduce an order by a size. It keeps its place in the queue. With an id alone, and no `instrument`, sizes are `Lots(5)`."""
        counts = await self._counts(named(order, instrument), Lots, by=by)
        return await self._change(Reduce, order, instrument, client_id=client_id, key=key, sent=sent, **counts)

    async def replace(
        self, order: Order, price: Price, size: Size, client_id: int = 0, *, stop: Price | None = None, instrument: str = "", key: int = 0, sent: int = 0,
    ) -> Done:
        """Give an order a new price and a new remaining size, and a stop that waits a new trigger. With an id alone they are counts, as in `reduce`."""
        counts = await self._counts(named(order, instrument), Ticks, price=price, stop=stop) | await self._counts(named(order, instrument), Lots, size=size)
        return await self._change(Replace, order, instrument, client_id=client_id, key=key, sent=sent, **counts)

    async def cancel_on_disconnect(self, scope: Scope, grace_ms: int = 0) -> None:
        """Set what happens to open orders when this connection ends without `logout`. It is for one connection: call it again after each reconnect."""
        await self.request(CancelOnDisconnect, Confirmed, scope, grace_ms)

    async def dead_man(self, timeout_ms: int) -> None:
        """Restart the account's dead-man timer. Unless the next call comes in time, the server cancels all of the account's open orders. 0 stops the timer."""
        await self.request(DeadMan, Confirmed, timeout_ms)

    async def order_history(
        self, instrument: str | None = None, *, after: int = 0, since: int | datetime = 0, until: int | datetime = 0, latest: bool = False, count: int = 100,
    ) -> OrderPage:
        """A page of own orders, open ones and those that are done, in the order in which they were placed; for the next one, `after` is the last order.

        `since` and `until` are in ns since 1970, or datetimes. With `latest` it is the last page, not the first. At most 1000 orders.
        """
        page = await self.request(
            ListOrders, history.OrderPage, instrument=instrument, after=after, since=nanoseconds(since), until=nanoseconds(until), latest=latest, count=count,
        )
        await self.learn({each.instrument for each in page.orders})
        return OrderPage(page, self.scales, "")

    async def trade_history(
        self, instrument: str | None = None, *, after: int = 0, order: int = 0, since: int | datetime = 0, until: int | datetime = 0, latest: bool = False,
        count: int = 100,
    ) -> TradePage:
        """A page of the fills of own orders, or of one `order`, in the order in which they happened; for the next one, `after` is the last `seq`.

        The other parameters are those of `order_history`.
        """
        page = await self.request(
            ListTrades, history.TradePage, instrument=instrument, after=after, order=order, since=nanoseconds(since), until=nanoseconds(until), latest=latest,
            count=count,
        )
        await self.learn({each.instrument for each in page.trades})
        return TradePage(page, self.scales, "")

    async def queue_position(self, order: Order) -> QueuePosition:
        """The place of an open own order in the queue of its price. Raises RequestRefused (NOT_QUEUED) if it is in none that is shown.

        To follow the place from there, listen to `market_by_order` and look at `place(position.number)`.
        """
        id = order if isinstance(order, int) else order.order
        position = await self.request(AskQueuePosition, queue_position.QueuePosition, order=id)
        await self.learn({position.instrument})
        return QueuePosition(position, self.scales, position.instrument)

    async def logout(self) -> None:
        """Sign out. The subscriptions to own channels end, and `cancel_on_disconnect` does not apply."""
        await self.request(Logout, Confirmed)

    async def cancel_all(self, instrument: str | None = None, side: Side | None = None, *, key: int = 0, sent: int = 0) -> int:
        """Cancel all own orders, in one instrument or in all, on one side or on both. Returns how many orders were cancelled."""
        return (await self.request(CancelAll, AllCancelled, instrument=instrument, side=side, key=key, sent=sent)).count
