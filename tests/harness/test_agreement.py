"""Price levels and the orders that add up to them are compared wherever both stand at one sequence."""

import pytest

from engine import IndexedQueues, PriceLevels
from engine.levels import digest_of
from stream.client.live import LiveBook, LiveByOrder
from stream.harness.agreement import Agreement
from stream.wire.frames import Book, MarketByOrder, OrderAdded, OrderBatch
from stream.wire.messages import InForce
from stream.wire.mirror import BookMirror, ByOrderMirror


class Pair:
    """Both channels of one book, fed by hand."""

    def __init__(self, depth: int = 0) -> None:
        self.book = LiveBook(BookMirror("orderbook:X"), depth, 0, {})
        self.book.in_force = InForce("orderbook:X", "snapshot", "new", depth, 0, 1, 1, 0)
        self.orders = LiveByOrder(ByOrderMirror("market_by_order:X"), None, None, {})
        self.levels, self.queues = PriceLevels(), IndexedQueues()
        self.agreement = Agreement(self.book, self.orders)

    def tell_levels(self, prev: int | None, seq: int, *bids: int) -> None:
        self.levels.apply(list(bids), [], seq)
        frame = Book("orderbook:X", 7, prev, seq, list(bids), [], self.levels.digest, 1, 0, 0)
        self.book.mirror.receive(frame)
        self.book.heard(frame)

    def tell_order(self, prev: int | None, seq: int, order: int, price: int, size: int) -> None:
        self.queues.add(order, 0, price, size)
        frame = MarketByOrder("market_by_order:X", 7, prev, seq, [OrderBatch(seq, 0, [OrderAdded(order, "buy", price, size)])], self.queues.digest, 0, 0)
        self.orders.mirror.receive(frame)
        self.orders.heard(frame)


@pytest.mark.parametrize("depth", [0, 1])
def test_they_are_compared_where_both_are(depth: int) -> None:
    pair = Pair(depth)
    pair.tell_levels(None, 5, 100, 3)
    assert pair.agreement.compared == 0
    pair.tell_order(None, 5, 1, 100, 3)
    pair.tell_order(5, 6, 2, 100, 2)
    assert (pair.agreement.compared, pair.agreement.differed) == (1, 0)
    pair.tell_levels(5, 6, 100, 5)
    assert (pair.agreement.compared, pair.agreement.differed) == (2, 0)
    pair.tell_levels(6, 7, 100, 6)
    pair.tell_order(6, 7, 3, 100, 2)    # which is one lot too many
    assert (pair.agreement.compared, pair.agreement.differed) == (3, 1)
    assert pair.book.digest == digest_of([100, 6], [])


def test_a_window_is_compared_with_the_best_levels() -> None:
    pair = Pair(1)
    pair.tell_levels(None, 5, 100, 3)
    pair.tell_order(None, 5, 1, 100, 3)
    pair.tell_order(5, 6, 2, 99, 2)
    pair.tell_levels(5, 6)
    assert (pair.agreement.compared, pair.agreement.differed) == (2, 0)
