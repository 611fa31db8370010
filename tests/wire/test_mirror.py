"""The five rules, on frames that come late, twice, merged, or not at all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from engine import PriceLevels
from stream.wire.frames import Book, Orders, OrderUpdate, Trade, Trades
from stream.wire.mirror import BookMirror, Mirror, OrdersMirror, TradesMirror, Verdict

CHANNEL = "orderbook:X"
EPOCH = 7


def frame(levels: PriceLevels, prev: int | None, seq: int) -> Book:
    """The frame that a server makes of a book."""
    bids, asks = levels.depth() if prev is None else levels.changes_since(prev) or ([], [])
    return Book(CHANNEL, EPOCH, prev, seq, bids, asks, levels.digest, 1, 0, 0)


changes = some.lists(some.tuples(some.integers(0, 1), some.integers(1, 12), some.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=200, deadline=None)
@given(changes, some.data())
def test_whatever_is_merged_or_repeated_the_book_is_right(steps: list[tuple[int, int, int]], data: some.DataObject) -> None:
    """A client that stands anywhere takes any frame that spans its point, and drops what it has."""
    levels, mirror = PriceLevels(), BookMirror(CHANNEL)
    assert mirror.receive(frame(levels, None, 0)) is Verdict.SNAPSHOT
    points = [0]
    for seq, (side, price, size) in enumerate(steps, 1):
        levels.set(side, price + 100 * side, size, seq)
        points.append(seq)
        prev = data.draw(some.sampled_from(points[:-1]))
        behind = mirror.seq
        verdict = mirror.receive(frame(levels, prev, seq))
        if prev > behind:
            assert verdict is Verdict.GAP
            assert mirror.seq == behind
        else:
            assert verdict in (Verdict.APPLIED, Verdict.HEARTBEAT)
            assert mirror.levels.depth() == levels.depth()
            assert mirror.verified
            assert mirror.receive(frame(levels, prev, seq)) in (Verdict.DROPPED, Verdict.HEARTBEAT)
            assert mirror.levels.depth() == levels.depth()


def test_another_epoch_is_a_gap_and_its_snapshot_a_new_beginning() -> None:
    levels, mirror = PriceLevels(), BookMirror(CHANNEL)
    levels.set(0, 5, 5, 10)
    mirror.receive(frame(levels, None, 10))
    other = Book(CHANNEL, EPOCH + 1, 10, 11, [6, 1], [], 0, 1, 0, 0)
    assert mirror.receive(other) is Verdict.GAP
    fresh = Book(CHANNEL, EPOCH + 1, None, 3, [], [], 0, 0, 0, 0)
    assert mirror.receive(fresh) is Verdict.SNAPSHOT
    assert (mirror.resume, len(mirror.levels)) == ((EPOCH + 1, 3), 0)


def test_a_wrong_digest_is_told() -> None:
    mirror = BookMirror(CHANNEL)
    assert mirror.receive(Book(CHANNEL, EPOCH, None, 3, [5, 5], [], 12345, 0, 0, 0)) is Verdict.MISMATCH
    assert not mirror.verified
    assert mirror.resume is None


def test_a_wrong_frame_leaves_the_book_as_it_was() -> None:
    levels, mirror = PriceLevels(), BookMirror(CHANNEL)
    levels.set(0, 5, 5, 10)
    mirror.receive(frame(levels, None, 10))
    for wrong in (Book(CHANNEL, EPOCH, 10, 12, [5, 6, 4, 1], [7, 1], 12345, 1, 0, 0), Book(CHANNEL, EPOCH, None, 12, [], [], 12345, 0, 0, 0)):
        assert mirror.receive(wrong) is Verdict.MISMATCH
        assert (mirror.levels.depth(), mirror.resume, mirror.verified) == (([5, 5], []), (EPOCH, 10), False)
    levels.set(1, 7, 1, 12)
    assert mirror.receive(frame(levels, 10, 12)) is Verdict.APPLIED
    assert mirror.verified
    mirror.forget()
    assert mirror.resume is None


def test_a_heartbeat_moves_the_sequence_and_nothing_else() -> None:
    levels, mirror = PriceLevels(), BookMirror(CHANNEL)
    levels.set(0, 5, 5, 10)
    mirror.receive(frame(levels, None, 10))
    for seq in (10, 15):
        assert mirror.receive(Book(CHANNEL, EPOCH, 10, seq, [], [], levels.digest, 0, 0, 0)) is Verdict.HEARTBEAT
    assert mirror.seq == 15
    assert mirror.receive(Book(CHANNEL, EPOCH, 16, 20, [], [], levels.digest, 0, 0, 0)) is Verdict.GAP


def test_trades_are_kept_in_order() -> None:
    mirror: Mirror[Trades] = TradesMirror("trades:X", kept=3)
    assert isinstance(mirror, TradesMirror)
    trades = [Trade(seq, 0, seq, 1, "buy") for seq in range(1, 6)]
    mirror.receive(Trades("trades:X", EPOCH, None, 2, trades[:2], 0))
    mirror.receive(Trades("trades:X", EPOCH, 2, 5, trades[2:], 0))
    assert list(mirror.latest) == trades[2:]
    assert mirror.count == 3


def test_open_orders_are_those_with_a_rest() -> None:
    mirror = OrdersMirror("orders")
    update = [OrderUpdate(seq, 0, "accepted", seq, 0, "X", "buy", 5, 10, 0, 0) for seq in (1, 2)]
    mirror.receive(Orders("orders", EPOCH, None, 2, update, 0))
    mirror.receive(Orders("orders", EPOCH, 2, 3, [OrderUpdate(3, 0, "filled", 1, 0, "X", "buy", 5, 0, 10, 50)], 0))
    assert mirror.open.keys() == {2}


def test_of_events_that_come_again_only_the_new_ones_are_taken() -> None:
    trades, orders = TradesMirror("trades:X"), OrdersMirror("orders")
    trades.receive(Trades("trades:X", EPOCH, None, 3, [], 0))
    orders.receive(Orders("orders", EPOCH, None, 3, [], 0))
    assert trades.receive(Trades("trades:X", EPOCH, 1, 5, [Trade(seq, 0, 5, 1, "buy") for seq in (2, 3, 4, 5)], 0)) is Verdict.APPLIED
    updates = [OrderUpdate(seq, 0, "accepted", seq, 0, "X", "buy", 5, 10, 0, 0) for seq in (2, 3, 4, 5)]
    assert orders.receive(Orders("orders", EPOCH, 1, 5, updates, 0)) is Verdict.APPLIED
    assert [trade.seq for trade in trades.latest] == list(orders.open) == [4, 5]
    assert trades.receive(Trades("trades:X", EPOCH, 1, 6, [Trade(5, 0, 5, 1, "buy")], 0)) is Verdict.HEARTBEAT
    assert trades.seq == 6


def test_a_frame_of_another_kind_of_channel_is_an_error() -> None:
    with pytest.raises(ValueError, match="got Trades"):
        BookMirror(CHANNEL).receive(Trades(CHANNEL, EPOCH, None, 1, [], 0))    # type: ignore[arg-type]
