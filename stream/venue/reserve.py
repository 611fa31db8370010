"""Decides what is still written while the disk has less left than the reserve: only what reduces open orders, and each such request once.

So clients cannot use up the rest of the disk: what they may send is bounded by the open orders, and no more orders are opened.
"""

from collections.abc import Callable
from typing import NamedTuple

from engine import Event, Exchange, Order
from stream.commands.results import Reply, Result
from stream.feed.hub import Refused
from stream.wire.codes import ErrorCode
from stream.wire.messages import Cancel, CancelAll, OrderRequest, Reduce

NOT_RUN_FROM = 100
"""Results with a reason from this number on come from the server: the engine has not run the command."""


class Open(NamedTuple):
    """The open orders of an account as of a sequence: by client id, and by instrument and side."""

    seq: int
    by_client_id: dict[int, int]
    places: set[tuple[str, str]]


class Reserve:
    """Lets requests through that reduce open orders. `spent` holds what was let through since the disk became nearly full."""

    def __init__(self, side_name: Callable[[Order], str]) -> None:
        self._side_name = side_name
        self._spent: set[tuple[object, ...]] = set()
        self._open: dict[int, Open] = {}

    def end(self) -> None:
        """There is room on the disk again."""
        if self._open or self._spent:
            self._spent, self._open = set(), {}

    def admit(self, exchange: Exchange, account: int, request: OrderRequest, done: Reply) -> Reply:
        """Wraps the reply of a request that may be written. Raises Refused for any other request. O(the account's orders) if no exchange id names an order."""
        target = self._target(exchange, account, request)
        if target is None or target in self._spent:
            raise Refused(ErrorCode.DISK_NEARLY_FULL)
        self._spent.add(target)

        def told(result: Result | None, outcome: Event | None) -> None:
            if result is None or result.reason >= NOT_RUN_FROM:
                self._spent.discard(target)
            done(result, outcome)

        return told

    def _target(self, exchange: Exchange, account: int, request: OrderRequest) -> tuple[object, ...] | None:
        """What a request would reduce, None for nothing."""
        match request:
            case CancelAll():
                where = self._opened(exchange, account).places
                found = any(request.instrument in (None, name) and request.side in (None, side) for name, side in where)
                return (account, request.instrument, request.side) if found else None
            case Cancel() | Reduce():
                number = request.order or self._opened(exchange, account).by_client_id.get(request.client_id, 0)
                order = exchange.order(number) if number else None
                if order is None or order.account != account or (isinstance(request, Reduce) and not request.by):
                    return None
                return type(request), number
        return None

    def _opened(self, exchange: Exchange, account: int) -> Open:
        found = self._open.get(account)
        if found is None or found.seq != exchange.seq:
            orders = exchange.orders(account)
            names = [book.instrument.name for book in exchange.books]
            by_client_id = {order.client_id: order.order for order in orders if order.client_id}
            found = self._open[account] = Open(exchange.seq, by_client_id, {(names[order.instrument], self._side_name(order)) for order in orders})
        return found
