"""What the conformance vectors of books by orders show, each as a scene that the server plays."""

from msgspec.structs import replace

from engine import Phase
from stream.wire.frames import OrderAdded
from stream.wire.messages import Cancel, Reduce, Replace
from tests.scene import Scene, scene
from tests.setting import START

BY_ORDER = "market_by_order:BTC-USD"
LATER = START + 3600 * 10**9


@scene("market_by_order", BY_ORDER)
def every_kind_of_change(scene: Scene) -> None:
    """A snapshot in the order of priority; then what happens to each order, and where it is in its queue."""
    first, second, third = (scene.place("buy", 100, size) for size in (5, 6, 7))
    scene.place("sell", 110, 9, display=4)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 100, 8)
    scene.give(scene.frame(), "applied", "an order comes, behind all others")
    scene.trade(Reduce, second, 2)
    scene.give(scene.frame(), "applied", "an order is smaller, and keeps its place")
    scene.trade(Replace, first, 100, 9)
    scene.give(scene.frame(), "applied", "an order is larger, and behind all others")
    scene.trade(Replace, first, 101, 9)
    scene.give(scene.frame(), "applied", "and now at another price")
    scene.place("sell", 100, 12)
    scene.give(scene.frame(), "applied", "fills: one order is gone, another one smaller")
    scene.place("buy", 110, 5)
    scene.give(scene.frame(), "applied", "an iceberg shows its next part, under another number")
    scene.trade(Cancel, third)
    scene.give(scene.frame(), "applied", "an order is gone")
    scene.give(scene.frame(510), "heartbeat")


@scene("market_by_order", BY_ORDER)
def a_wrong_digest_of_the_orders(scene: Scene) -> None:
    """Leave the book as it was, and subscribe again without `resume`."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 100, 6)
    frame = scene.frame()
    scene.give(replace(frame, digest=(frame.digest + 1) % (1 << 64)), "mismatch")
    scene.give(*scene.ask_again(), "snapshot")


@scene("market_by_order", BY_ORDER)
def two_orders_that_change_places(scene: Scene) -> None:
    """The digest also proves the priority: the same orders in another order are another book."""
    scene.give(*scene.subscribe(), "snapshot")
    for size in (5, 5):
        scene.place("buy", 100, size)
    scene.frames()
    [frame] = scene.ask_again()
    batch = frame.batches[0]
    changes = [change for each in frame.batches for change in each.changes]
    assert all(isinstance(change, OrderAdded) for change in changes)
    scene.give(replace(frame, batches=[replace(batch, seq=frame.seq, changes=changes[::-1])]), "mismatch")
    scene.give(*scene.ask_again(), "snapshot")


@scene("market_by_order", BY_ORDER)
def changes_of_orders_that_are_not_there(scene: Scene) -> None:
    """A change that does not fit is a mismatch, whatever the digest says; nothing of its frame stays."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    order = scene.place("buy", 101, 6)
    [batch] = (frame := scene.frame()).batches
    scene.give(replace(frame, batches=[replace(batch, changes=[*batch.changes, *batch.changes])]), "mismatch", "an order twice")
    scene.give(*scene.ask_again(), "snapshot")
    scene.trade(Reduce, order, 1)
    [batch] = (frame := scene.frame()).batches
    [change] = batch.changes
    scene.give(replace(frame, batches=[replace(batch, changes=[replace(change, order=change.order % 1000 + 1)])]), "mismatch", "an unknown order")
    scene.give(*scene.ask_again(), "snapshot")


@scene("market_by_order", BY_ORDER)
def lost_repeated_and_swapped_frames(scene: Scene) -> None:
    """A lost frame is a gap, which a resumption heals without a snapshot; a frame that is repeated or late is dropped."""
    scene.place("buy", 90, 1)
    scene.give(*scene.subscribe(), "snapshot")
    frames = []
    for size in (5, 6, 7):
        scene.place("buy", 100, size)
        frames.append(scene.frame())
    scene.give(frames[0], "applied")
    scene.give(frames[0], "dropped", "the same again")
    scene.give(frames[2], "gap", "the one before it is lost")
    scene.give(*scene.ask_again(), "applied", "both, in their own batches")
    scene.give(frames[1], "dropped", "and here it is")


@scene("market_by_order", BY_ORDER, market_by_order_kept=4)
def returns(scene: Scene) -> None:
    """By what was missed; after too much of it, and to another history, by a snapshot."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 100, 6)
    scene.give(*scene.come_back(), "applied")
    for _ in range(6):
        scene.place("buy", 99, 1)
    scene.give(*scene.come_back(), "snapshot", "some of it is forgotten")
    scene.open_market(LATER)
    scene.place("sell", 200, 1)
    scene.give(*scene.come_back(), "snapshot", "another epoch")


@scene("market_by_order", BY_ORDER)
def an_auction(scene: Scene) -> None:
    """While a book collects for an auction its orders are not shown; then those that are left come anew."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.market.command("set_phase", 0, Phase.AUCTION)
    scene.give(scene.frame(1), "applied", "all orders are gone")
    for side, price, size in (("buy", 102, 5), ("sell", 101, 3)):
        scene.place(side, price, size)
        scene.give(scene.frame(), "heartbeat", "an order that is not shown")
    scene.market.command("set_phase", 0, Phase.TRADING)
    scene.give(scene.frame(1), "applied", "what the auction has left")
