"""Lists of two orders of which one cancels the other (OCO): what places, ends and shows them.

The engine knows such a list as a linked pair. Its two orders are two commands: first the stop that limits a loss, then the other one, which names it.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from msgspec.structs import replace

from stream.account_history.database import Wanted
from stream.account_history.facts import OrderFact
from stream.dialects.binance.errors import (
    BAD_COMBINATION,
    BAD_TYPE,
    BOTH_LIMIT,
    CANCEL_REJECTED,
    LIMIT_NOT_ABOVE,
    LIMIT_NOT_BELOW,
    NO_LIST,
    NOT_IN_A_LIST,
    ORDER_REJECTED,
    ApiError,
)
from stream.dialects.binance.new_order import KINDS, RESPONSES, SELF_TRADES, SIDES, NewOrder, choice, fields_of, read_side
from stream.dialects.binance.own_account import id_in, read_history, window
from stream.dialects.binance.own_orders import NO_LIST as OF_NONE
from stream.dialects.binance.own_orders import Order, OrderList
from stream.dialects.binance.signed_requests import Act, Call, answer_to, cancel, cancelled_fields, place
from stream.dialects.binance.tickets import Ticket
from stream.wire.messages import Cancel

LOSS = "STOP_LOSS", "STOP_LOSS_LIMIT"
PROFIT = "LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"
"""The types of the two orders: of the one that limits a loss, and of the one that takes a profit."""

BAD_PRICES = "The relationship of the prices for the orders is not correct."


class Leg(NamedTuple):
    """One order of a list: its type, and the names of its parameters."""

    type: str
    text_name: str
    names: dict[str, str]


def _leg(call: Call, place: str) -> Leg:
    names = ("price", "stopPrice", "timeInForce", "icebergQty")
    return Leg(
        call.asked.parameters.mandatory(f"{place}Type"), f"{place}ClientOrderId",
        {"quantity": "quantity", **{name: f"{place}{name[0].upper()}{name[1:]}" for name in names}},
    )


def _require_types(side: str, above: str, below: str) -> None:
    """ApiError if two orders of these types make no list."""
    loss, profit = (below, above) if side == "SELL" else (above, below)
    for type in (above, below):
        if type not in LOSS + PROFIT:
            raise ApiError(NOT_IN_A_LIST if type in KINDS else BAD_TYPE)
    if above == below == "LIMIT_MAKER":
        raise ApiError(BOTH_LIMIT)
    if loss == "LIMIT_MAKER":
        raise ApiError(LIMIT_NOT_ABOVE if side == "SELL" else LIMIT_NOT_BELOW)
    if loss not in LOSS or profit not in PROFIT:
        raise ApiError(ORDER_REJECTED, BAD_PRICES)


def _require_prices(call: Call, side: str, loss: Ticket, profit: Ticket) -> None:
    """ApiError if the last trade's price is not between the prices at which the two orders begin to work."""
    last = call.asked.data.last_trade(call.asked.symbol)
    prices = [loss.stop, *([last.price] if last else []), profit.stop or profit.price]
    if prices != sorted(set(prices), reverse=side == "BUY"):
        raise ApiError(ORDER_REJECTED, BAD_PRICES)


# New lists


def place_pair(call: Call) -> Act:
    """POST orderList/oco."""
    side, above, below = read_side(call.asked.parameters), _leg(call, "above"), _leg(call, "below")
    _require_types(side, above.type, below.type)
    return _place(call, side, *((below, above) if side == "SELL" else (above, below)))


def place_older_pair(call: Call) -> Act:
    """POST order/oco: always a stop and an order that takes no liquidity."""
    stop = {
        "quantity": "quantity", "price": "stopLimitPrice", "stopPrice": "stopPrice", "timeInForce": "stopLimitTimeInForce", "icebergQty": "stopIcebergQty",
    }
    limit = {"quantity": "quantity", "price": "price", "icebergQty": "limitIcebergQty"}
    type = "STOP_LOSS" if call.asked.parameters.optional("stopLimitPrice") is None else "STOP_LOSS_LIMIT"
    side = read_side(call.asked.parameters)
    return _place(call, side, Leg(type, "stopClientOrderId", stop), Leg("LIMIT_MAKER", "limitClientOrderId", limit))


def _place(call: Call, side: str, loss: Leg, profit: Leg) -> Act:
    parameters, symbol, trader, reader = call.asked.parameters, call.asked.symbol, call.trader, call.reader
    text = reader.client_id(parameters, "listClientOrderId", call.now)
    self_trade = choice(parameters, "selfTradePreventionMode", SELF_TRADES)
    response = choice(parameters, "newOrderRespType", RESPONSES) or "RESULT"

    def read(leg: Leg) -> NewOrder:
        own = reader.client_id(parameters, leg.text_name, call.now)
        ticket = reader.ticket(parameters, leg.names, symbol, leg.type, own, self_trade, call.now, text)
        return NewOrder(ticket, fields_of(symbol, SIDES[side], ticket, self_trade), response)

    first, second = read(loss), read(profit)

    def say(order: Order) -> None:
        list = trader.orders.find_list(order.list, None)
        if list is None:    # so much has happened since that it is forgotten
            raise ApiError(NO_LIST)
        call.say(list.fields(call.asked.micro) | {"orderReports": [answer_to(call, each, response) for each in list.orders]})

    def first_placed(order: Order) -> None:
        def refused(error: ApiError) -> None:
            if order.working_since:    # it has been triggered in between, which is the end of the other one in any case
                say(order)
            else:
                trader.ask(Cancel, order=order.number, now=call.now, then=call.guard(lambda answer: call.say(error)))

        place(call, NewOrder(replace(second.ticket, list=order.number), second.fields | {"linked": order.number}, response), say, refused)

    def act() -> None:
        _require_prices(call, side, first.ticket, second.ticket)
        known = trader.orders.find_list(None, text)
        if known and known.open:
            raise ApiError(ORDER_REJECTED, "Duplicate order sent.")
        place(call, first, first_placed, call.say)

    return act


def cancel_list(call: Call) -> Act:
    """DELETE orderList."""
    symbol, (number, text) = call.asked.symbol, call.order_named("orderListId", "listClientOrderId")
    own = call.reader.client_id(call.asked.parameters, "newClientOrderId", call.now)

    def act() -> None:
        list = call.trader.orders.find_list(number, text)
        if list is None or list.symbol is not symbol or not list.open:
            raise ApiError(CANCEL_REJECTED, "Unknown order list sent.")
        order = next(order for order in list.orders if order.open)
        cancel(call, symbol, order.number, None, own, lambda order: call.say(cancelled_fields(call, order, own)), call.say)

    return act


# What is known of them


def _past(call: Call, facts: Sequence[OrderFact]) -> list[OrderList]:
    """The lists of the history. Pairs that were not placed as lists are none."""
    symbols = call.asked.data.symbols.all
    orders = [Order.of_past(symbols[fact.instrument], fact, call.reader.self_trade) for fact in facts]
    return [OrderList(number, list(of_list)) for number, of_list in groupby(orders, lambda order: order.list) if number != OF_NONE]


def list_status(call: Call) -> Act:
    """GET orderList. By its client's id, one that is open or has ended lately."""
    number, text = call.order_named("orderListId")

    def then(found: Sequence[OrderFact]) -> None:
        named = [each for each in _past(call, found) if each.number == number and text in (None, each.text)]
        if not named:
            raise ApiError(NO_LIST)
        call.say(named[0].fields(call.asked.micro))

    def act() -> None:
        known = call.trader.orders.find_list(number, text)
        if known:
            call.say(known.fields(call.asked.micro))
        elif number is None:
            raise ApiError(NO_LIST)
        else:
            read_history(call, False, Wanted(call.trader.account, after=max(0, number - 1), size=1, pairs=True), then)

    return act


def open_lists(call: Call) -> Act:
    """GET openOrderList."""
    return lambda: call.say([each.fields(call.asked.micro) for each in call.trader.orders.lists() if each.open])


def all_lists(call: Call) -> Act:
    """GET allOrderList."""
    first, (begin, until, limit) = id_in(call, "fromId"), window(call)
    if first is not None and (begin is not None or until):
        raise ApiError(BAD_COMBINATION)
    wanted = Wanted(0, after=max(0, (first or 0) - 1), since=begin or 0, until=until, latest=first is None and begin is None, size=limit, pairs=True)

    def act() -> None:
        read_history(call, False, wanted._replace(account=call.trader.account), lambda found: call.say([
            each.fields(call.asked.micro) for each in _past(call, found)
        ]))

    return act
