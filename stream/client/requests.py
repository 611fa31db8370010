"""The requests of a client about instruments and orders, as methods. They convert decimal text and dates to integers, exactly."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar, cast

from stream.client.errors import ClientError
from stream.wire.candles import CandlePage, IntervalName, ListCandles
from stream.wire.fields import Message
from stream.wire.history import ListOrders, ListTrades, OrderPage, TradePage
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    Confirmed,
    DeadMan,
    Done,
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
from stream.wire.scale import from_text

R = TypeVar("R", bound=Message)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Side = Literal["buy", "sell"]


def nanoseconds(time: int | datetime) -> int:
    """A time in ns since 1970. Raises TypeError if a datetime has no time zone."""
    return time if isinstance(time, int) else (time - EPOCH) // timedelta(microseconds=1) * 1000


class Requests(ABC):
    """The requests of a client. All of them raise RequestRefused if the server refuses, and ConnectionLost or Closed if no reply comes."""

    def __init__(self) -> None:
        self.terms: dict[str, InstrumentTerms] = {}

    @abstractmethod
    async def request(self, kind: Callable[..., Message], reply: type[R], *fields: Any, **named: Any) -> R:
        """Send a request, and return its reply."""

    async def instruments(self) -> dict[str, InstrumentTerms]:
        """Ask for the terms of every instrument, by name."""
        answer = await self.request(ListInstruments, Instruments)
        self.terms = {terms.name: terms for terms in answer.instruments}
        return self.terms

    async def ping(self) -> Pong:
        """Ask the server for a sign of life. The reply has the time on its clock."""
        return await self.request(Ping, Pong)

    async def candles(
        self, instrument: str, interval: IntervalName, *, since: int | datetime = 0, until: int | datetime = 0, count: int = 100,
    ) -> CandlePage:
        """Candles of an instrument, oldest first, those of quiet intervals too: the first ones since `since`, or without it the last ones before `until`.

        Times are in ns since 1970, or datetimes, and say when candles begin. At most 1000 candles.
        """
        return await self.request(
            ListCandles, CandlePage, instrument=instrument, interval=interval, since=nanoseconds(since), until=nanoseconds(until), count=count,
        )

    async def _count(self, instrument: str, unit: Literal["tick", "lot", "money"], value: int | str) -> int:
        """The number of ticks, lots or units of the quote asset, from that number or from decimal text."""
        if type(value) is int:
            return value
        terms = self.terms or await self.instruments()
        if instrument not in terms:
            raise ClientError(f"instrument {instrument!r}: the server has no instrument of that name")
        of = terms[instrument]
        return from_text(cast(str, value), {"tick": of.tick, "lot": of.lot, "money": f"1e-{of.quote_decimals}"}[unit])

    async def place(
        self, instrument: str, side: Side, price: int | str = 0, size: int | str = 0,
        type: Literal["limit", "market", "stop", "stop_limit", "trailing_stop", "take_profit", "take_profit_limit"] = "limit",
        time_in_force: Literal["gtc", "ioc", "fok", "gtd", "day"] = "gtc", post_only: bool = False, client_id: int = 0,
        *, slide: bool = False, quote: bool = False, stop: int | str = 0, display: int | str = 0, min_size: int | str = 0,
        expires: int | datetime = 0, linked: int = 0,
        self_trade: Literal["account", "allow", "cancel_newest", "cancel_oldest", "cancel_both", "decrement"] = "account", key: int = 0, sent: int = 0,
    ) -> Done:
        """Place an order, and return the order as it is after that. PROTOCOL.md says what the options mean.

        Prices (`price`, `stop`) are in ticks, and sizes (`size`, `display`, `min_size`) in lots; with `quote`, `size` is in units of the quote asset. All of
        them may also be decimal text, which is converted exactly; it raises ValueError if that is not possible. A market order without `price` trades at
        any price. `expires` is in ns since 1970, or a datetime.

        If the reply is lost, send the request again with the same `key`: a number but 0 that the account has not used. The server carries it out only once.
        The client tells the server when it first sent the request. If the server may have forgotten the key by now, it refuses the request (KEY_FORGOTTEN)
        and does not carry it out again. To send it again from another process, store `server_time()` together with the key, and pass it as `sent`.
        """
        return await self.request(
            Place, Done, instrument=instrument, side=side, price=await self._count(instrument, "tick", price),
            size=await self._count(instrument, "money" if quote else "lot", size), type=type, time_in_force=time_in_force,
            post_only=post_only, client_id=client_id, slide=slide, quote=quote, stop=await self._count(instrument, "tick", stop),
            display=await self._count(instrument, "lot", display), min_size=await self._count(instrument, "lot", min_size),
            expires=nanoseconds(expires), linked=linked, self_trade=self_trade, key=key, sent=sent,
        )

    async def cancel(self, order: int = 0, client_id: int = 0, *, key: int = 0, sent: int = 0) -> Done:
        """Cancel an order. Name it by the exchange's id, `order`, or by your own `client_id`."""
        return await self.request(Cancel, Done, order=order, client_id=client_id, key=key, sent=sent)

    async def reduce(self, order: int, by: int, client_id: int = 0, *, key: int = 0, sent: int = 0) -> Done:
        """Reduce an order by `by` lots. It keeps its place in the queue."""
        return await self.request(Reduce, Done, order=order, by=by, client_id=client_id, key=key, sent=sent)

    async def replace(self, order: int, price: int, size: int, client_id: int = 0, *, stop: int = 0, key: int = 0, sent: int = 0) -> Done:
        """Give an order a new price in ticks and a new remaining size in lots. `stop` gives a stop that waits a new trigger in ticks."""
        return await self.request(Replace, Done, order=order, price=price, size=size, client_id=client_id, stop=stop, key=key, sent=sent)

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
        return await self.request(
            ListOrders, OrderPage, instrument=instrument, after=after, since=nanoseconds(since), until=nanoseconds(until), latest=latest, count=count,
        )

    async def trade_history(
        self, instrument: str | None = None, *, after: int = 0, order: int = 0, since: int | datetime = 0, until: int | datetime = 0, latest: bool = False,
        count: int = 100,
    ) -> TradePage:
        """A page of the fills of own orders, or of one `order`, in the order in which they happened; for the next one, `after` is the last `seq`.

        The other parameters are those of `order_history`.
        """
        return await self.request(
            ListTrades, TradePage, instrument=instrument, after=after, order=order, since=nanoseconds(since), until=nanoseconds(until), latest=latest,
            count=count,
        )

    async def logout(self) -> None:
        """Sign out. The subscriptions to own channels end, and `cancel_on_disconnect` does not apply."""
        await self.request(Logout, Confirmed)

    async def cancel_all(self, instrument: str | None = None, side: Side | None = None, *, key: int = 0, sent: int = 0) -> int:
        """Cancel all own orders, in one instrument or in all, on one side or on both. Returns how many orders were cancelled."""
        return (await self.request(CancelAll, AllCancelled, instrument=instrument, side=side, key=key, sent=sent)).count
