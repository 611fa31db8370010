"""A book by orders keeps the orders of each price in their order of arrival, and its digest tells any two such books apart."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import IndexedQueues, Side
from engine.levels import digest_of, mix64
from engine.queues import order_share

MASK = (1 << 64) - 1


class NaiveQueues:
    """All orders in one list, in the order in which they came to where they are."""

    def __init__(self) -> None:
        self.orders: list[tuple[int, int, int, int]] = []

    def find(self, order: int) -> int:
        return [each[0] for each in self.orders].index(order)

    def queue(self, side: int, price: int) -> list[tuple[int, int]]:
        return [(order, size) for order, *where, size in self.orders if where == [side, price]]

    def prices(self, side: int) -> list[int]:
        return sorted({price for _, at, price, _ in self.orders if at == side}, reverse=side == Side.BUY)

    def depth(self) -> tuple[list[int], list[int]]:
        bids, asks = ([n for price in self.prices(side) for n in (price, sum(size for _, size in self.queue(side, price)))] for side in Side)
        return bids, asks

    def digest(self) -> int:
        total = 0
        for side in Side:
            for price in self.prices(side):
                for (ahead, _), (order, size) in pairwise([(0, 0), *self.queue(side, price)]):
                    total += mix64(0, signed(mix64(side, price, size)), signed(mix64(0, order, ahead)))
        return total & MASK


def signed(number: int) -> int:
    return number - (1 << 64) if number >> 63 else number


Change = tuple[str, int, int, int, int]
changes = st.lists(st.tuples(
    st.sampled_from(["add", "add", "add", "take", "move", "delete", "clear", "begin", "keep", "roll_back"]),
    st.integers(0, 9), st.integers(0, 1), st.integers(-1, 3), st.integers(0, 5),
), max_size=60)


def change(queues: IndexedQueues, naive: NaiveQueues, kind: str, order: int, side: int, price: int, size: int) -> None:
    """One change of both. A bad one is refused, and changes nothing."""
    known = any(each[0] == order for each in naive.orders)
    good = {
        "add": not known and order > 0 and price >= 0 and size > 0, "move": known and price >= 0 and size > 0, "delete": known, "clear": True,
        "take": known and 0 < size <= naive.orders[naive.find(order)][3] if known else False,
    }[kind]
    arguments = {"add": (order, side, price, size), "move": (order, price, size), "delete": (order,), "clear": (), "take": (order, size)}[kind]
    if not good:
        with pytest.raises(ValueError, match="expected"):
            getattr(queues, kind)(*arguments)
        return
    getattr(queues, kind)(*arguments)
    if kind == "clear":
        naive.orders.clear()
        return
    before = naive.orders.pop(naive.find(order)) if known and kind != "take" else None
    if kind == "add":
        naive.orders.append((order, side, price, size))
    elif kind == "move":
        assert before
        naive.orders.append((order, before[1], price, size))
    elif kind == "take":
        at = naive.find(order)
        *where, had = naive.orders[at]
        naive.orders[at : at + 1] = [(*where, had - size)] if had > size else []    # type: ignore[list-item]


@given(changes)
def test_the_queues_are_those_of_the_twin(asked: list[Change]) -> None:
    queues, naive = IndexedQueues(), NaiveQueues()
    saved: list[tuple[int, int, int, int]] | None = None
    for kind, *arguments in asked:
        if kind == "begin":
            queues.begin()
            saved = list(naive.orders)
        elif kind == "keep":
            queues.keep()
            saved = None
        elif kind == "roll_back":
            if saved is not None:
                queues.roll_back()
                naive.orders, saved = saved, None
        else:
            change(queues, naive, kind, *arguments)
        queues.check()
        assert len(queues) == len(naive.orders)
        assert queues.digest == naive.digest()
        assert queues.depth() == naive.depth()
        assert queues.levels_digest == digest_of(*naive.depth())
        rows = [memoryview(queues.rows(side)).cast("q").tolist() for side in Side]
        for side in Side:
            queued = [(order, price, size) for price in naive.prices(side) for order, size in naive.queue(side, price)]
            assert list(zip(rows[side][::3], rows[side][1::3], rows[side][2::3], strict=True)) == queued
            for price in range(4):
                assert queues.queue(side, price) == naive.queue(side, price)
        for order in range(10):
            assert (order in queues) == any(each[0] == order for each in naive.orders)
            if order in queues:
                at = naive.orders[naive.find(order)]
                queue = naive.queue(at[1], at[2])
                ahead = queue[: queue.index((order, at[3]))]
                assert queues.find(order) == at[1:]
                assert queues.place(order) == (len(ahead), sum(size for _, size in ahead))
            else:
                assert queues.find(order) is None


def test_the_share_of_an_order_binds_all_that_is_said_of_it() -> None:
    shares = {order_share(*arguments) for arguments in (
        (1, 0, 0, 100, 5), (2, 0, 0, 100, 5), (1, 2, 0, 100, 5), (1, 0, 1, 100, 5), (1, 0, 0, 101, 5), (1, 0, 0, 100, 6),
    )}
    assert len(shares) == 6
