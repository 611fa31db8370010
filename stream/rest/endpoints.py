"""What can be asked over HTTP: methods and paths, and the message of the native protocol that each of them is."""

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, get_args
from urllib.parse import parse_qsl, unquote

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from stream.rest.named import read_named, twin
from stream.wire import frames
from stream.wire.administration import AdminRequest, ListConnections, ListSchedule, MassCancel, PhaseChanges
from stream.wire.candles import CandlePage, ListCandles
from stream.wire.channels import ACCOUNT_SCOPE, ADMIN_SCOPE, BALANCES, BOOK, BY_ORDER, ORDERS, TICKER, TRADE_SCOPE, TRADES
from stream.wire.fields import InstrumentName, Message
from stream.wire.history import ListOrders, ListTrades, OrderPage, TradePage
from stream.wire.malformed import hints_of, options
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    Confirmed,
    Connections,
    DeadMan,
    Done,
    Instruments,
    ListInstruments,
    Ping,
    Place,
    Pong,
    Reduce,
    Replace,
    Subscribe,
)
from stream.wire.queue_position import AskQueuePosition, QueuePosition

PARAMETERS_MAX = 32

AT = re.compile(r" - at `\$\.?(.*)`$")


class Unreadable(Exception):
    """A request cannot be read; the text says where and what was expected."""


class Endpoint(NamedTuple):
    """A method and a path, the request that it is, and what answers it. Parts of the path in braces are fields of the request.

    For a `channel`, the answer is its state now. `without` are fields that are not asked for here, `scope` is what a token needs, `summary` says what it does.
    """

    method: str
    path: str
    kind: type[Message]
    reply: type[Message]
    scope: str = ""
    channel: str = ""
    without: tuple[str, ...] = ()
    summary: str = ""

    @property
    def named(self) -> tuple[str, ...]:
        """The fields in the path."""
        return tuple(re.findall(r"{(\w+)}", self.path))

    @property
    def has_body(self) -> bool:
        """Whether the other fields come as JSON in the body, and not in the query."""
        return self.method in ("POST", "PUT")

    @property
    def others(self) -> tuple[str, ...]:
        """The fields that are not in the path."""
        if self.channel:
            return ("depth",) if self.channel == BOOK else ()
        return tuple(field.name for field in fields(self.kind) if field.name not in ("id", *self.named, *self.without))

    def in_path(self) -> type[Struct]:
        """The struct of the fields in the path."""
        return twin(Instrumental if self.channel else self.kind, self.named, False)

    def elsewhere(self) -> type[Struct]:
        """The struct of the other fields."""
        return twin(self.kind, self.others, self.has_body)

    def read(self, found: dict[str, str], query: str, body: str) -> dict[str, Any]:
        """The fields of a request, by name. Raises Unreadable."""
        try:
            values = read_named(found, self.in_path()) if found else {}
            if self.has_body:
                if query:
                    raise Unreadable("expected no query: the fields come in the body, as JSON")
                if self.others:
                    read = msgspec.convert(whole(msgspec.json.decode(body)), self.elsewhere())
                    values |= {name: getattr(read, name) for name in self.others}
                return values
            given = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=PARAMETERS_MAX, errors="strict") if query else []
        except msgspec.ValidationError as error:
            raise Unreadable(self.explained(str(error))) from error
        except msgspec.DecodeError as error:
            raise Unreadable(f"body: expected an object in JSON: {error}") from error
        except (ValueError, RecursionError) as error:
            raise Unreadable(f"expected at most {PARAMETERS_MAX} parameters as name=value, joined by &, in UTF-8") from error
        texts = dict(given)
        if len(texts) < len(given):
            raise Unreadable("a parameter is given twice: expected each one once")
        strangers = texts.keys() - set(self.others)
        if strangers:
            raise Unreadable(f"parameter {min(strangers)[:40]!r}: expected {', '.join(self.others) or 'none'}")
        try:
            return values | (read_named(texts, self.elsewhere()) if texts or self.others else {})
        except msgspec.ValidationError as error:
            raise Unreadable(self.explained(str(error))) from error

    def explained(self, text: str) -> str:
        """What a decoder says about a value, in words of the protocol."""
        at = AT.search(text)
        name = at[1] if at else ""
        said = (text[: at.start()] if at else text).replace("`", "").replace("Object contains", "").replace("Object missing", "missing").strip()
        choices = options(hints_of(self.kind).get(name.partition("[")[0]))
        if choices and "enum" in said:
            said += f": expected one of {', '.join(choices)}"
        if "Expected int, got float" in said or "Expected int, got str" in said:
            said += ": a whole number of ticks, lots or units, not a decimal one"
        return f"{name}: {said}" if name else said


def whole(body: Any) -> Any:
    """An object in JSON, where 5.0 is the integer 5."""
    if not isinstance(body, dict):
        return body
    return {name: int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53 else value for name, value in body.items()}


class Instrumental(Message, tag="instrumental"):
    """The path to something of an instrument."""

    instrument: InstrumentName


def admin_endpoints() -> list[Endpoint]:
    """One for each request of administrators, under the name of its message."""
    replies: dict[type[Message], type[Message]] = {ListConnections: Connections, ListSchedule: PhaseChanges, MassCancel: AllCancelled}
    reading = ListConnections, ListSchedule
    return [
        Endpoint("GET" if kind in reading else "POST", f"/v1/admin/{kind.__struct_config__.tag}", kind, replies.get(kind, Confirmed), ADMIN_SCOPE)
        for kind in get_args(AdminRequest)
    ]


OF = "/v1/instruments/{instrument}"

ENDPOINTS = [
    Endpoint("GET", "/v1/time", Ping, Pong, summary="The server's time."),
    Endpoint("GET", "/v1/instruments", ListInstruments, Instruments, summary="All instruments and their terms."),
    Endpoint("GET", f"{OF}/book", Subscribe, frames.Book, channel=BOOK, summary="The order book as it is now; with `If-None-Match`, 304 if it is the same."),
    Endpoint("GET", f"{OF}/orders", Subscribe, frames.MarketByOrder, channel=BY_ORDER, summary="The orders in the book, one by one."),
    Endpoint("GET", f"{OF}/trades", Subscribe, frames.Trades, channel=TRADES, summary="The latest trades."),
    Endpoint("GET", f"{OF}/ticker", Subscribe, frames.Ticker, channel=TICKER, summary="The ticker."),
    Endpoint("GET", f"{OF}/candles", ListCandles, CandlePage, summary="Candles."),
    Endpoint("GET", "/v1/balances", Subscribe, frames.Balances, ACCOUNT_SCOPE, BALANCES, summary="The account's own balances."),
    Endpoint("GET", "/v1/orders", Subscribe, frames.Orders, ACCOUNT_SCOPE, ORDERS, summary="The account's own open orders."),
    Endpoint("POST", "/v1/orders", Place, Done, TRADE_SCOPE),
    Endpoint("DELETE", "/v1/orders", CancelAll, AllCancelled, TRADE_SCOPE),
    Endpoint("PUT", "/v1/orders/{order}", Replace, Done, TRADE_SCOPE, without=("client_id",)),
    Endpoint("DELETE", "/v1/orders/{order}", Cancel, Done, TRADE_SCOPE, without=("client_id",)),
    Endpoint("POST", "/v1/orders/{order}/reduce", Reduce, Done, TRADE_SCOPE, without=("client_id",)),
    Endpoint("DELETE", "/v1/client_orders/{client_id}", Cancel, Done, TRADE_SCOPE, without=("order",), summary="Cancel the order that has this client's id."),
    Endpoint("GET", "/v1/order_history", ListOrders, OrderPage, ACCOUNT_SCOPE),
    Endpoint("GET", "/v1/fills", ListTrades, TradePage, ACCOUNT_SCOPE),
    Endpoint("GET", "/v1/orders/{order}/queue_position", AskQueuePosition, QueuePosition, ACCOUNT_SCOPE),
    Endpoint("POST", "/v1/dead_man", DeadMan, Confirmed, TRADE_SCOPE),
    *admin_endpoints(),
]


class Routes:
    """Finds endpoints."""

    def __init__(self) -> None:
        self._by_shape: dict[tuple[str, ...], dict[str, Endpoint]] = {}
        for endpoint in ENDPOINTS:
            shape = tuple("" if part.startswith("{") else part for part in endpoint.path.split("/"))
            self._by_shape.setdefault(shape, {})[endpoint.method] = endpoint

    @cached_property
    def _places(self) -> set[tuple[int, ...]]:
        """Where the fields of paths are."""
        return {tuple(i for i, part in enumerate(shape) if i and not part) for shape in self._by_shape}

    def find(self, path: str) -> tuple[dict[str, Endpoint], dict[str, str]] | None:
        """The endpoints of a path by their methods, and the fields in it; None if there is no such path."""
        parts = path.split("/")
        for places in self._places:
            shape = tuple("" if i in places else part for i, part in enumerate(parts))
            endpoints = self._by_shape.get(shape)
            if endpoints:
                names = next(iter(endpoints.values())).named
                return endpoints, {name: unquote(parts[i]) for name, i in zip(names, places, strict=True)}
        return None


Then = Callable[[Any], None]
"""Called with the answer to a request: a message of the native protocol."""
