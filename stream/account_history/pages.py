"""Pages of the history as the wire has them."""

from collections.abc import Callable, Sequence
from typing import cast

from stream.account_history.database import Wanted
from stream.account_history.facts import FillFact, OrderFact
from stream.account_history.recorder import Page, Question
from stream.wire.codes import ErrorCode
from stream.wire.fields import Message
from stream.wire.history import HistoryRequest, ListTrades, OrderPage, PastOrder, PastTrade, TradePage
from stream.wire.messages import Error


def question_of(account: int, instrument: int | None, request: HistoryRequest, names: Sequence[str], done: Callable[[Message], None]) -> Question:
    """The question behind a request about an account. `done` is called with the page, or with an error. `names` are those of the instruments by index."""
    trades = isinstance(request, ListTrades)

    def answered(found: Page | ErrorCode, since: int) -> None:
        if isinstance(found, ErrorCode):
            done(Error(request.id, found, found.text))
        elif trades:
            done(TradePage(request.id, since, [trade_of(fill, names) for fill in cast(Sequence[FillFact], found)]))
        else:
            done(OrderPage(request.id, since, [order_of(order, names) for order in cast(Sequence[OrderFact], found)]))

    order = request.order if isinstance(request, ListTrades) else 0
    return Question(trades, Wanted(account, instrument, request.after, order, request.since, request.until, request.latest, request.count), answered)


def order_of(fact: OrderFact, names: Sequence[str]) -> PastOrder:
    """An order as a client is told of it."""
    _, order, client_id, instrument, *others, _, _, _ = fact
    return PastOrder(order, client_id, names[instrument], *others)    # type: ignore[arg-type]


def trade_of(fact: FillFact, names: Sequence[str]) -> PastTrade:
    """A fill as a client is told of it."""
    _, seq, trade, order, client_id, instrument, *others = fact
    return PastTrade(seq, trade, order, client_id, names[instrument], *others)    # type: ignore[arg-type]
