"""The events of an export are the channel's, and the book that they lead to is the engine's."""

import pytest

from stream.export.actions import actions_of
from stream.export.exporter import Exporter
from stream.export.order_events import ADD, CLEAR, DELETE, FILL, MOVE, REDUCE, ExportedBook
from stream.wire.frames import OrderBatch, OrderReduced
from tests.export.recorded import EventList, Twin, random_market


@pytest.mark.parametrize("instrument", range(4))
@pytest.mark.parametrize("whole", [{MOVE, CLEAR}, {CLEAR}, set()], ids=["whole", "moves apart", "all apart"])
def test_the_events_lead_to_the_books(instrument: int, whole: set[str]) -> None:
    found = random_market(instrument)
    writer, twin = EventList(whole), Twin()
    exporter = Exporter(writer)
    for batch, snapshot, book in zip(found.batches, found.snapshots, found.books, strict=True):
        before = len(writer.events)
        exporter.take(batch, snapshot)
        events = writer.events[before:]
        if CLEAR in whole:
            assert [event.last for event in events] == [False] * (len(events) - 1) + [True]
        for event, after in zip(events, writer.books[before:], strict=True):
            assert (event.seq, event.time, event.snapshot) == (batch.seq, batch.time, snapshot)
            if event.kind == CLEAR:
                twin.orders.clear()
            elif event.kind == ADD:
                twin.add(event.order, event.side, event.price, event.size)
            elif event.kind == MOVE:
                twin.modify(event.order, event.side, event.price, event.size)
            else:
                assert twin.orders[event.order][:2] == [event.side, event.price]
                twin.cancel(event.order, event.size)
            assert event.left == twin.orders.get(event.order, [0, 0, 0])[2]
            assert bool(event.trade) == (event.kind == FILL)
            assert twin.rows() == after
        assert twin.rows() == book
    assert exporter.events == len(writer.events)
    assert {event.kind for event in writer.events} == {ADD, REDUCE, FILL, DELETE} | whole


def test_every_kind_of_change_is_in_the_recording() -> None:
    assert random_market().seen().keys() == {ADD, REDUCE, MOVE, FILL, DELETE, CLEAR}
    assert sum(random_market().snapshots) > 1


def test_a_modify_only_makes_an_order_smaller() -> None:
    found = random_market()
    book, sizes = ExportedBook({CLEAR}), dict[int, int]()
    codes = set()
    for batch in found.batches:
        for event in book.take(batch):
            for action in actions_of(event):
                codes.add(action.code)
                if action.code == "A":
                    assert action.order not in sizes
                    sizes[action.order] = action.size
                elif action.code == "M":
                    assert 0 < action.size < sizes[action.order]
                    sizes[action.order] = action.size
                elif action.code == "C":
                    assert sizes.pop(action.order) >= action.size
                elif action.code == "R":
                    sizes.clear()
    assert codes == set("ACFMRT")


def test_time_never_goes_back() -> None:
    found = random_market()
    book = ExportedBook(())
    later = [event.time for batch in found.batches[:40] for event in book.take(OrderBatch(batch.seq, 2_000_000_000 - batch.seq, batch.changes))]
    assert later == sorted(later)


def test_a_batch_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="order 7: expected one that is in the book"):
        list(ExportedBook(()).take(OrderBatch(1, 1, [OrderReduced(7, 1)])))
