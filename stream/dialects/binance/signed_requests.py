"""The requests that place, change and end orders: what each one takes, and what is done and answered.

Each function reads the parameters of a call and returns what is to be done once they have all been read and the account is known.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from stream.dialects.binance.errors import (
    AMEND_REJECTED,
    BAD_PARAMETER,
    BAD_QUANTITY,
    CANCEL_REJECTED,
    EITHER_PARAMETER,
    NO_ORDER,
    NOT_REPLACED,
    ORDER_REJECTED,
    REPLACED_IN_PART,
    ApiError,
)
from stream.dialects.binance.fees import commission
from stream.dialects.binance.market_requests import Asked
from stream.dialects.binance.new_order import CLIENT_ID, DECIMAL, NewOrder, OrderReader, choice, steps
from stream.dialects.binance.own_orders import Order
from stream.dialects.binance.refusals import refusal
from stream.dialects.binance.request import words
from stream.dialects.binance.symbols import Symbol
from stream.dialects.binance.tickets import number_of
from stream.dialects.binance.trader import Trader
from stream.dialects.order_counts import OrderCounts
from stream.wire.channels import TRADE_SCOPE
from stream.wire.messages import Cancel, CancelAll, Error, Reduce

Act = Callable[[], None]


class Call(NamedTuple):
    """One request of a trader. `say` answers it, with an error if that is what it is given; `guard` makes a callback that answers what it raises."""

    asked: Asked
    trader: Trader
    reader: OrderReader
    counts: OrderCounts
    say: Callable[[object], None]
    guard: Callable[[Callable[[Any], None]], Callable[[Any], None]]

    @property
    def now(self) -> int:
        """The time in ns."""
        return self.asked.now

    def refused(self, answer: Any, *rejected: Any) -> ApiError:
        """The error for a refusal of the venue."""
        return refusal(answer, self.asked.config.orders_per_s, *rejected)

    def order_named(self, number_name: str = "orderId", text_name: str = "origClientOrderId") -> tuple[int | None, str | None]:
        """The number and the client's id by which an order is named; at least one of them must be there."""
        number, text = self.asked.parameters.number(number_name), self.asked.parameters.optional(text_name, CLIENT_ID)
        if number is None and text is None:
            raise ApiError(EITHER_PARAMETER, text_name, number_name)
        if number is not None and number >= 1 << 63:
            raise ApiError(BAD_PARAMETER, number_name)
        return number, text


# New orders


def answer_to(call: Call, order: Order, response: str) -> dict[str, object]:
    """The answer to a new order."""
    micro = call.asked.micro
    said = order.names(order.created, micro)
    if response != "ACK":
        said |= order.outcome(micro, False)
    if response == "FULL":
        said["fills"] = [fill.fields() for fill in order.fills]
    return said


def place(call: Call, new: NewOrder, then: Callable[[Order], None], failed: Callable[[ApiError], None]) -> None:
    """Place an order, and have what became of it."""
    trader = call.trader

    def placed(answer: Any) -> None:
        if answer is None or isinstance(answer, Error):
            failed(call.refused(answer))
            return
        call.counts.add(trader.account, call.now)
        order = trader.orders.find(answer.order, None)
        if order is None:    # so much has happened since that it is forgotten
            raise ApiError(NO_ORDER)
        then(order)

    if not trader.place(new.ticket, new.fields, call.now, call.guard(placed)):
        failed(ApiError(ORDER_REJECTED, "Duplicate order sent."))


def order_place(call: Call) -> Act:
    """POST order."""
    new = call.reader.read(call.asked.parameters, call.asked.symbol, call.now)
    return lambda: place(call, new, lambda order: call.say(answer_to(call, order, new.response)), call.say)


def order_test(call: Call) -> Act:
    """POST order/test: whether it can be read. Nothing is placed."""
    parameters, symbol = call.asked.parameters, call.asked.symbol
    rates = parameters.optional("computeCommissionRates", "^(true|false)$") == "true"
    call.reader.read(parameters, symbol, call.now)
    if TRADE_SCOPE not in call.trader.claims.scopes:
        raise call.refused(Error(0, 202, ""))
    return lambda: call.say(commission(symbol) if rates else {})


def cancel(
    call: Call, symbol: Symbol, number: int | None, text: str | None, own: str, then: Callable[[Order], None], failed: Callable[[ApiError], None],
) -> None:
    """Cancel an order, and have what became of it. `own` is the client's id of this request."""
    trader = call.trader
    order = trader.orders.find(number, text)
    if order and (order.symbol is not symbol or not order.open):
        failed(ApiError(CANCEL_REJECTED, "Unknown order sent."))
        return

    def cancelled(answer: Any) -> None:
        gone = None if answer is None or isinstance(answer, Error) else trader.orders.find(answer.order, None)
        if gone is None:
            failed(call.refused(answer, CANCEL_REJECTED))
        else:
            then(gone)

    if order:
        trader.cancelling(order.number, own)
        trader.ask(Cancel, order=order.number, now=call.now, then=call.guard(cancelled))
    elif number is not None:
        failed(ApiError(CANCEL_REJECTED, "Unknown order sent."))
    else:
        trader.ask(Cancel, client_id=number_of(text or ""), now=call.now, then=call.guard(cancelled))


def cancelled_fields(call: Call, order: Order, own: str = "") -> dict[str, object]:
    """The answer to a request, whose client's id is `own`, that has cancelled an order, and with it all of its list."""
    list, micro = call.trader.orders.find_list(order.list, None), call.asked.micro
    return list.cancelled(own, micro) if list else order.cancelled(own, micro)


RESTRICTIONS = {"ONLY_NEW": "NEW", "ONLY_PARTIALLY_FILLED": "PARTIALLY_FILLED"}


def require_status(call: Call, restriction: str | None, number: int | None, text: str | None) -> None:
    """ApiError if an order may be cancelled only with another status than it has."""
    order = call.trader.orders.find(number, text)
    if restriction and order and order.status != RESTRICTIONS[restriction]:
        raise ApiError(CANCEL_REJECTED, "Order was not canceled due to cancel restrictions.")


def order_cancel(call: Call) -> Act:
    """DELETE order."""
    symbol, (number, text) = call.asked.symbol, call.order_named()
    own = call.reader.client_id(call.asked.parameters, "newClientOrderId", call.now)
    restriction = choice(call.asked.parameters, "cancelRestrictions", RESTRICTIONS)

    def act() -> None:
        require_status(call, restriction, number, text)
        cancel(call, symbol, number, text, own, lambda order: call.say(cancelled_fields(call, order, own)), call.say)

    return act


def cancel_open_orders(call: Call) -> Act:
    """DELETE openOrders."""
    symbol = call.asked.symbol

    def act() -> None:
        open = [order for order in call.trader.orders.open.values() if order.symbol is symbol]

        def cancelled(answer: Any) -> None:
            if answer is None or isinstance(answer, Error):
                raise call.refused(answer, CANCEL_REJECTED)
            gone = [order for order in open if order.status == "CANCELED"]
            if not gone:
                raise ApiError(CANCEL_REJECTED, "Unknown order sent.")
            call.say([cancelled_fields(call, order) for order in gone])

        call.trader.ask(CancelAll, symbol.terms.name, now=call.now, then=call.guard(cancelled))

    return act


def cancel_replace(call: Call) -> Act:
    """POST order/cancelReplace: the new order is placed once the old one is gone, or, if so asked, in any case."""
    parameters, symbol = call.asked.parameters, call.asked.symbol
    mode = parameters.mandatory("cancelReplaceMode")
    if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
        raise ApiError(BAD_PARAMETER, "cancelReplaceMode")
    number, text = call.order_named("cancelOrderId", "cancelOrigClientOrderId")
    own = call.reader.client_id(parameters, "cancelNewClientOrderId", call.now)
    restriction = choice(parameters, "cancelRestrictions", RESTRICTIONS)
    choice(parameters, "orderRateLimitExceededMode", ("DO_NOTHING", "CANCEL_ONLY"))
    new = call.reader.read(parameters, symbol, call.now)

    def act() -> None:
        told: dict[str, object] = {"cancelResult": "FAILURE", "newOrderResult": "NOT_ATTEMPTED", "cancelResponse": None, "newOrderResponse": None}

        def finish() -> None:
            results = told["cancelResult"], told["newOrderResult"]
            if results == ("SUCCESS", "SUCCESS"):
                call.say(told)
                return
            error = ApiError(REPLACED_IN_PART if "SUCCESS" in results else NOT_REPLACED)
            error.data = told
            call.say(error)

        def placed(order: Order) -> None:
            told.update(newOrderResult="SUCCESS", newOrderResponse=answer_to(call, order, new.response))
            finish()

        def not_placed(error: ApiError) -> None:
            told.update(newOrderResult="FAILURE", newOrderResponse=words(error))
            finish()

        def cancelled(order: Order) -> None:
            told.update(cancelResult="SUCCESS", cancelResponse=cancelled_fields(call, order, own))
            place(call, new, placed, not_placed)

        def not_cancelled(error: ApiError) -> None:
            told["cancelResponse"] = words(error)
            if mode == "ALLOW_FAILURE":
                place(call, new, placed, not_placed)
            else:
                finish()

        try:
            require_status(call, restriction, number, text)
        except ApiError as error:
            not_cancelled(error)
        else:
            cancel(call, symbol, number, text, own, cancelled, not_cancelled)

    return act


def amend(call: Call) -> Act:
    """PUT order/amend/keepPriority: make an order smaller, which keeps its place in the queue."""
    parameters, symbol = call.asked.parameters, call.asked.symbol
    number, text = call.order_named()
    size = steps(parameters.mandatory("newQty", DECIMAL), symbol.terms.lot, "LOT_SIZE", BAD_QUANTITY)
    if parameters.optional("newClientOrderId", CLIENT_ID) is not None:
        raise ApiError(BAD_PARAMETER, "newClientOrderId")    # an order keeps its id here

    def act() -> None:
        order = call.trader.orders.find(number, text)
        if order is None or not order.open or order.symbol is not symbol:
            raise ApiError(NO_ORDER)
        if not order.filled < size < order.size:
            raise ApiError(AMEND_REJECTED)

        def reduced(answer: Any) -> None:
            if answer is None or isinstance(answer, Error):
                raise call.refused(answer, CANCEL_REJECTED)
            sizes, ticket = symbol.size.text, order.ticket
            call.say({
                "transactTime": call.asked.stamp(order.updated), "executionId": order.seq, "amendedOrder": {
                    "symbol": symbol.name, "orderId": order.number, "orderListId": order.list, "origClientOrderId": ticket.text, "clientOrderId": ticket.text,
                    "price": symbol.price.text(order.price), "qty": sizes(order.size), "executedQty": sizes(order.filled), "preventedQty": sizes(0),
                    "quoteOrderQty": symbol.money.text(ticket.quote), "cumulativeQuoteQty": symbol.money.text(order.value), "status": order.status,
                    "timeInForce": ticket.time_in_force, "type": ticket.type, "side": order.side,
                    "workingTime": call.asked.stamp(order.working_since) if order.working_since else -1, "selfTradePreventionMode": ticket.self_trade,
                },
            })

        call.trader.ask(Reduce, order.number, order.size - size, now=call.now, then=call.guard(reduced))

    return act
