"""The parameters of a new order: what they mean to the engine, and its ticket."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from stream.dialects.binance.errors import (
    BAD_PARAMETER,
    BAD_PRICE,
    BAD_QUANTITY,
    BAD_SIDE,
    BAD_TIME_IN_FORCE,
    BAD_TYPE,
    FILTER,
    NOT_REQUIRED,
    ApiError,
    ErrorKind,
)
from stream.dialects.binance.request import Parameters
from stream.dialects.binance.symbols import Symbol
from stream.dialects.binance.tickets import Ticket
from stream.wire.scale import from_text

DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"
CLIENT_ID = r"^[\.A-Z\:/a-z0-9_-]{1,36}$"


class Kind(NamedTuple):
    """A type of order: its type in the engine, and which parameters it has."""

    type: str
    parameters: frozenset[str]
    post_only: bool = False


KINDS = {
    "LIMIT": Kind("limit", frozenset({"timeInForce", "quantity", "price", "icebergQty"})),
    "MARKET": Kind("market", frozenset({"quantity", "quoteOrderQty"})),
    "STOP_LOSS": Kind("stop", frozenset({"quantity", "stopPrice"})),
    "STOP_LOSS_LIMIT": Kind("stop_limit", frozenset({"timeInForce", "quantity", "price", "stopPrice"})),
    "TAKE_PROFIT": Kind("take_profit", frozenset({"quantity", "stopPrice"})),
    "TAKE_PROFIT_LIMIT": Kind("take_profit_limit", frozenset({"timeInForce", "quantity", "price", "stopPrice"})),
    "LIMIT_MAKER": Kind("limit", frozenset({"quantity", "price", "icebergQty"}), post_only=True),
}
OPTIONAL = frozenset({"icebergQty", "quoteOrderQty"})
OF_KINDS = {name: name for name in sorted(frozenset().union(*(kind.parameters for kind in KINDS.values())))}
"""What orders of all kinds have, by the names of the parameters that say it."""
TIMES_IN_FORCE = {"GTC": "gtc", "IOC": "ioc", "FOK": "fok"}
SIDES = {"BUY": "buy", "SELL": "sell"}
SELF_TRADES = {
    "NONE": "allow", "EXPIRE_TAKER": "cancel_newest", "EXPIRE_MAKER": "cancel_oldest", "EXPIRE_BOTH": "cancel_both", "DECREMENT": "decrement",
}
SELF_TRADE_NAMES = {name: said for said, name in SELF_TRADES.items()}
RESPONSES = "ACK", "RESULT", "FULL"


class NewOrder(NamedTuple):
    """An order to place: its ticket, the fields of the native request, and how much is to be answered."""

    ticket: Ticket
    fields: dict[str, Any]
    response: str


def choice(parameters: Parameters, name: str, choices: Any, error: ErrorKind = BAD_PARAMETER) -> str | None:
    """A parameter that is one of several words."""
    value = parameters.optional(name)
    if value is not None and value not in choices:
        raise ApiError(error, name)
    return value


def steps(text: str | None, step: str, filter: str, zero: ErrorKind) -> int:
    """A positive number of ticks or lots."""
    if text is None:
        return 0
    try:
        count = from_text(text, step)
    except ValueError:
        raise ApiError(FILTER, filter) from None
    if not count:
        raise ApiError(zero)
    return count


class OrderReader:
    """Reads new orders. `self_trade` is what is told of those that do not say it."""

    def __init__(self, self_trade: str) -> None:
        self.self_trade = self_trade
        self._made = 0

    def new_text(self, now: int) -> str:
        """A client's id for a request that has none."""
        self._made += 1
        return f"db-{now:x}-{self._made:x}"

    def client_id(self, parameters: Parameters, name: str, now: int) -> str:
        """The client's id, or a new one."""
        return parameters.optional(name, CLIENT_ID) or self.new_text(now)

    def read(self, parameters: Parameters, symbol: Symbol, now: int) -> NewOrder:
        """The order that a request describes. ApiError if it describes none."""
        side, type = read_side(parameters), parameters.mandatory("type")
        if type not in KINDS:
            raise ApiError(BAD_TYPE)
        self_trade = choice(parameters, "selfTradePreventionMode", SELF_TRADES)
        response = choice(parameters, "newOrderRespType", RESPONSES)
        text = self.client_id(parameters, "newClientOrderId", now)
        ticket = self.ticket(parameters, OF_KINDS, symbol, type, text, self_trade, now)
        return NewOrder(ticket, fields_of(symbol, SIDES[side], ticket, self_trade), response or ("FULL" if type in ("MARKET", "LIMIT") else "ACK"))

    def ticket(
        self, parameters: Parameters, names: Mapping[str, str], symbol: Symbol, type: str, text: str, self_trade: str | None, now: int, list_text: str = "",
    ) -> Ticket:
        """The ticket of an order of a type, whose parameters have these names. ApiError if they are not those of the type."""
        kind, terms = KINDS[type], symbol.terms
        said = {name: parameters.optional(sent, "" if name == "timeInForce" else DECIMAL) for name, sent in names.items()}
        for name, sent in names.items():
            if said[name] is not None and name not in kind.parameters:
                raise ApiError(NOT_REQUIRED, sent)
            if said[name] is None and name in kind.parameters - OPTIONAL and not (name == "quantity" and said.get("quoteOrderQty")):
                parameters.mandatory(sent)
        if said["quantity"] and said.get("quoteOrderQty"):
            raise ApiError(NOT_REQUIRED, "quoteOrderQty")
        time_in_force = said.get("timeInForce") or "GTC"
        if time_in_force not in TIMES_IN_FORCE:
            raise ApiError(BAD_TIME_IN_FORCE)
        if said["icebergQty"] and time_in_force != "GTC":
            raise ApiError(NOT_REQUIRED, names["icebergQty"])
        return Ticket(
            text, type, time_in_force, steps(said.get("price"), terms.tick, "PRICE_FILTER", BAD_PRICE),
            steps(said.get("quantity"), terms.lot, "LOT_SIZE", BAD_QUANTITY),
            steps(said.get("quoteOrderQty"), f"1e-{terms.quote_decimals}", "NOTIONAL", BAD_QUANTITY),
            steps(said.get("stopPrice"), terms.tick, "PRICE_FILTER", BAD_PRICE), steps(said.get("icebergQty"), terms.lot, "LOT_SIZE", BAD_QUANTITY),
            self_trade or self.self_trade, now, list_text,
        )


def read_side(parameters: Parameters) -> str:
    """The side of an order."""
    side = parameters.mandatory("side")
    if side not in SIDES:
        raise ApiError(BAD_SIDE)
    return side


def fields_of(symbol: Symbol, side: str, ticket: Ticket, self_trade: str | None) -> dict[str, Any]:
    """The fields of the native request."""
    kind = KINDS[ticket.type]
    return {
        "instrument": symbol.terms.name, "side": side, "price": ticket.price, "size": ticket.quote or ticket.size, "type": kind.type,
        "time_in_force": TIMES_IN_FORCE[ticket.time_in_force], "post_only": kind.post_only, "quote": bool(ticket.quote),
        "stop": ticket.stop, "display": ticket.display, "self_trade": SELF_TRADES[self_trade] if self_trade else "account",
    }

