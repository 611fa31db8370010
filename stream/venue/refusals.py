"""The texts of refusals: why the engine refused a command, and what was expected."""

from engine import FEE_SCALE, Event, Exchange, OrderBook, OrderType, Reason
from stream.wire.codes import ErrorCode
from stream.wire.messages import OrderRequest, Place, Reduce, Replace


def explain(exchange: Exchange, request: OrderRequest, event: Event) -> str:
    """The text of a refusal. It has numbers if they are those of the instrument. Otherwise it is the text of the error code."""
    order = exchange.order(event.order)
    books = exchange.books
    index = order.instrument if order else event.instrument
    numbers = _in_numbers(exchange, books[index], request, event) if index < len(books) else ""
    return numbers or ErrorCode(400 + event.reason).text


def _in_numbers(exchange: Exchange, book: OrderBook, request: OrderRequest, event: Event) -> str:
    """What was expected of a command for a book, "" if no number says it."""
    order, terms = exchange.order(event.order), book.instrument
    side = order.side if order else event.side
    match Reason(event.reason), request:
        case Reason.PRICE_OUT_OF_RANGE, Place() | Replace():
            return _price_in_range(book, request, event.price, order.type if order else OrderType.LIMIT)
        case Reason.PRICE_OUT_OF_BAND, _:
            distance = book.reference * book.band // FEE_SCALE
            expected = f"at least {book.reference - distance}" if side else f"at most {book.reference + distance}"
            return f"price {event.price}: expected {expected} ticks, in the band around {book.reference}"
        case Reason.SIZE_TOO_SMALL, Reduce():
            return f"size {event.size}: expected at least 1 lot"
        case (Reason.SIZE_TOO_SMALL | Reason.SIZE_TOO_LARGE), Place(quote=True):
            return ""
        case Reason.SIZE_TOO_SMALL, _ if event.size < terms.size_min:
            return f"size {event.size}: expected at least {terms.size_min} lots"
        case Reason.SIZE_TOO_LARGE, _ if event.size > terms.size_max:
            return f"size {event.size}: expected at most {terms.size_max} lots"
        case Reason.NOTIONAL_TOO_LARGE, _ if 0 < terms.notional_max < event.price * event.size * book.tick_value:
            return f"price times size is {event.price * event.size * book.tick_value} units of {terms.quote}: expected at most {terms.notional_max}"
        case Reason.TOO_MANY_PARTS, Place():
            return f"display {request.display}: expected at least {-(-event.size // terms.parts_max)} lots, so that it shows in {terms.parts_max} parts at most"
        case Reason.TOO_MANY_STOPS, _:
            return f"{terms.stops_max} stops wait in {terms.name}: expected fewer"
        case Reason.TOO_MANY_FILLS, _:
            return f"the order could meet more than {terms.fills_max} orders: expected a smaller size"
        case Reason.INSUFFICIENT_FUNDS, _:
            return f"not enough {terms.base if side else terms.quote} available"
        case Reason.ALREADY_EXPIRED, Place():
            return f"expires {request.expires}: expected later than {exchange.clock}"
    return ""


def _price_in_range(book: OrderBook, request: Place | Replace, price: int, waits_as: int) -> str:
    """The text that names what is out of range: the price, the trigger, or the first trigger of a trailing stop."""
    highest = book.instrument.price_max
    type = OrderType[request.type.upper()] if isinstance(request, Place) else waits_as
    has_limit = type in (OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
    if price > highest or (price == 0 and has_limit):
        return f"price {price}: expected 1 to {highest} ticks"
    if 1 <= request.stop <= highest:
        return f"stop {request.stop}: expected a trigger of 1 to {highest} ticks, so far from the last trade's {book.last}"
    return f"stop {request.stop}: expected 1 to {highest} ticks"
