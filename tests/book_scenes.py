"""What the conformance vectors of order books show, each as a scene that the server plays."""

from msgspec.structs import replace

from stream.wire.messages import Cancel
from tests.scene import Scene, scene
from tests.setting import START
from tests.worlds import BOOK

LATER = START + 3600 * 10**9


@scene("orderbook", BOOK)
def a_snapshot_and_its_deltas(scene: Scene) -> None:
    """A snapshot comes first; then each frame holds the levels that changed, with their new absolute sizes. Size 0 removes a level."""
    scene.place("buy", 100, 5)
    scene.place("sell", 110, 7)
    scene.give(*scene.subscribe(), "snapshot")
    order = scene.place("buy", 101, 3)
    scene.give(scene.frame(), "applied", "a new best bid")
    scene.place("buy", 101, 4)
    scene.give(scene.frame(), "applied", "a level grows")
    scene.trade(Cancel, order)
    scene.give(scene.frame(), "applied", "a level shrinks")
    scene.place("sell", 101, 4)
    scene.give(scene.frame(), "applied", "a trade takes a level away")


@scene("orderbook", BOOK)
def an_empty_book(scene: Scene) -> None:
    """An empty book has the digest 0: before its first level, and after its last."""
    scene.give(*scene.subscribe(), "snapshot")
    bid = scene.place("buy", 100, 5)
    scene.give(scene.frame(), "applied", "its first level")
    scene.trade(Cancel, bid)
    scene.give(scene.frame(), "applied", "empty again")
    scene.place("sell", 90, 5)
    scene.give(scene.frame(), "applied", "one side only")


@scene("orderbook", BOOK)
def many_levels_in_one_batch(scene: Scene) -> None:
    """One command may change many levels on both sides; the book is never crossed at the end of a frame."""
    for price in range(101, 106):
        scene.place("sell", price, price)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 104, 1000)
    scene.give(scene.frame(), "applied", "four asks are taken, and the rest becomes a bid")


@scene("orderbook", BOOK)
def heartbeats(scene: Scene) -> None:
    """A frame without levels says that nothing changed, and up to which sequence."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.give(scene.frame(510), "heartbeat", "the sequence has not moved")
    scene.place("buy", 100, 5, "ETH-USD")
    scene.give(scene.frame(510), "heartbeat", "another instrument has traded: the sequence moves, and the book does not")
    scene.place("buy", 99, 1)
    scene.give(scene.frame(), "applied")


@scene("orderbook", BOOK, 0, 100)
def conflated(scene: Scene) -> None:
    """A frame that folds in several batches may remove a level that the client never had: ignore that."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 101, 1)
    scene.give(scene.frame(1), "applied", "the first change after a quiet time comes at once")
    for price in (99, 98, 97):
        scene.place("buy", price, price)
    scene.trade(Cancel, scene.place("sell", 120, 9))
    scene.give(scene.frame(100), "applied", "four batches and more, and an ask that was born and died in between")
    order = scene.place("buy", 96, 5)
    scene.trade(Cancel, order)
    scene.give(scene.frame(100), "applied", "a level that is there no longer, and nothing else")


@scene("orderbook", BOOK)
def a_slow_client(scene: Scene) -> None:
    """Who does not read gets one merged frame for all that it missed, and no gap."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.stop_reading()
    for price in (101, 102, 103):
        scene.place("buy", price, 1)
    scene.place("sell", 103, 1)
    frames = scene.read_again()
    scene.give(*frames, "applied", "one frame since the last that was read")
    scene.place("sell", 130, 1)
    scene.give(scene.frame(), "applied")


@scene("orderbook", BOOK)
def a_return_to_what_is_current(scene: Scene) -> None:
    """`recovered: none`: nothing was missed, no frame comes, and the client keeps what it has."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    assert scene.come_back() == []
    scene.place("buy", 101, 5)
    scene.give(scene.frame(), "applied", "the first change after the return")


@scene("orderbook", BOOK)
def a_return_with_a_patch(scene: Scene) -> None:
    """`recovered: merged`: one frame since where the client was."""
    for price in (100, 99, 98):
        scene.place("buy", price, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 101, 5)
    scene.place("sell", 101, 2)
    scene.give(*scene.come_back(), "applied")
    scene.place("buy", 90, 5)
    scene.give(scene.frame(), "applied")


@scene("orderbook", BOOK)
def a_return_to_another_history(scene: Scene) -> None:
    """`recovered: snapshot`, for the server began anew: its sequences have nothing to do with those that the client knew."""
    for price in (100, 99, 98):
        scene.place("buy", price, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.open_market(LATER)
    scene.place("sell", 200, 1)
    scene.give(*scene.come_back(), "snapshot", "another epoch, and a lower sequence")
    scene.place("sell", 201, 1)
    scene.give(scene.frame(), "applied")


@scene("orderbook", BOOK)
def a_return_after_too_much(scene: Scene) -> None:
    """`recovered: snapshot`, for what was removed since is forgotten."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    for price in range(41, 90):
        scene.trade(Cancel, scene.place("buy", price, 1))
    scene.give(*scene.come_back(), "snapshot")


@scene("orderbook", BOOK)
def a_return_where_a_snapshot_is_shorter(scene: Scene) -> None:
    """`recovered: snapshot`, for a patch would be larger."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    for price in range(90, 95):
        scene.trade(Cancel, scene.place("buy", price, 1))
    scene.give(*scene.come_back(), "snapshot")


@scene("orderbook", BOOK, 0, 100)
def frames_of_two_connections(scene: Scene) -> None:
    """Any frame that reaches past the client's sequence from at or below it fits, whichever connection it came by."""
    scene.place("buy", 100, 5)
    first = scene.subscribe()[0]
    conflated = scene.client
    scene.interval_ms = 0
    (second,) = scene.subscribe(scene.connect())
    scene.give(first, "snapshot")
    scene.give(second, "snapshot", "the other connection's snapshot, of the same sequence")
    scene.place("buy", 101, 1)
    quick = [scene.frame(1)]
    scene.note(conflated.hear())
    for price in (102, 103):
        scene.place("buy", price, 1)
        quick += scene.frames(1)
    scene.market.pass_time(100)
    (merged,) = scene.note(conflated.hear())
    scene.give(quick[0], "applied")
    scene.give(quick[1], "applied")
    scene.give(merged, "applied", "from below the client's sequence to past it")
    scene.give(quick[2], "dropped", "what the merged frame held")
    scene.interval_ms = 100


@scene("orderbook", BOOK)
def a_lost_frame(scene: Scene) -> None:
    """A frame whose `prev` is above the client's sequence tells of a loss; a resumption heals it."""
    for price in (100, 99, 98):
        scene.place("buy", price, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 101, 1)
    scene.frame()
    scene.place("buy", 102, 1)
    scene.give(scene.frame(), "gap", "the frame before it never came")
    scene.give(*scene.ask_again(), "applied", "the answer to a subscription with `resume`")
    scene.place("buy", 103, 1)
    scene.give(scene.frame(), "applied")


@scene("orderbook", BOOK)
def a_loss_that_a_heartbeat_tells(scene: Scene) -> None:
    """When the last frame before a quiet time is lost, the heartbeat's `prev` says so."""
    for price in (100, 99, 98):
        scene.place("buy", price, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 101, 1)
    scene.frame()
    scene.give(scene.frame(510), "gap")
    scene.give(*scene.ask_again(), "applied")


@scene("orderbook", BOOK)
def duplicates_and_late_frames(scene: Scene) -> None:
    """A frame that does not reach past the client's sequence is dropped; one that comes too early is a gap, until those before it have come."""
    scene.place("buy", 100, 5)
    snapshot = scene.subscribe()[0]
    scene.give(snapshot, "snapshot")
    deltas = []
    for price in (101, 102, 103):
        scene.place("buy", price, 1)
        deltas += scene.frames()
    scene.give(deltas[0], "applied")
    scene.give(deltas[0], "dropped", "the same again")
    scene.give(deltas[2], "gap", "ahead of its time")
    scene.give(deltas[1], "applied", "late")
    scene.give(deltas[2], "applied", "the same frame as before, in its place now")
    scene.give(deltas[0], "dropped", "very late")
    scene.give(snapshot, "snapshot", "an old snapshot is taken like any")
    scene.give(deltas[2], "gap")
    scene.give(deltas[0], "applied")


@scene("orderbook", BOOK)
def a_wrong_digest(scene: Scene) -> None:
    """A frame that would make another book than the server's is not applied; the client forgets where it is, and asks for a snapshot."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 101, 1)
    good = scene.frame()
    scene.give(replace(good, bids=[101, 2]), "mismatch", "a size was changed on the way")
    scene.give(good, "gap", "without a snapshot nothing fits any more")
    scene.give(*scene.ask_again(), "snapshot")
    beat = scene.frame(510)
    scene.give(replace(beat, digest=beat.digest ^ 1), "mismatch", "a heartbeat proves the book too")
    scene.give(*scene.ask_again(), "snapshot")


@scene("orderbook", BOOK)
def a_wrong_digest_of_a_snapshot(scene: Scene) -> None:
    """A snapshot that does not prove itself is not taken either, and what the client had stays."""
    scene.place("buy", 100, 5)
    (good,) = scene.subscribe()
    scene.give(replace(good, bids=[100, 4]), "mismatch", "the first one")
    scene.give(good, "snapshot")
    scene.give(replace(good, seq=good.seq + 1, bids=[]), "mismatch", "a later one")
    scene.give(good, "snapshot")


@scene("orderbook", BOOK)
def a_level_missing(scene: Scene) -> None:
    """A change that got lost inside a frame shows in the digest, however far it is from the best price."""
    for price in range(50, 60):
        scene.place("buy", price, 1)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("sell", 58, 3)
    frame = scene.frame()
    assert len(frame.bids) == 4
    scene.give(replace(frame, bids=frame.bids[:2]), "mismatch")
    scene.give(*scene.ask_again(), "snapshot")


@scene("orderbook", BOOK)
def another_epoch_without_a_snapshot(scene: Scene) -> None:
    """A delta of another epoch is a gap, even where its sequences would fit."""
    scene.place("buy", 100, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 101, 1)
    good = scene.frame()
    scene.give(replace(good, epoch=good.epoch + 1), "gap")
    scene.give(replace(good, epoch=good.epoch - 1, bids=[]), "gap", "a heartbeat of it too")
    scene.give(good, "applied")


@scene("orderbook", BOOK)
def a_delta_before_any_snapshot(scene: Scene) -> None:
    """Who has nothing yet can use nothing but a snapshot."""
    scene.place("buy", 100, 5)
    (snapshot,) = scene.subscribe()
    scene.place("buy", 101, 5)
    delta = scene.frame()
    scene.give(delta, "gap")
    scene.give(snapshot, "snapshot")
    scene.give(delta, "applied")


@scene("orderbook", BOOK, 2)
def a_window(scene: Scene) -> None:
    """With depth 2 a frame says which levels enter and which leave: nothing is cut off or guessed. The digest is over the window."""
    for price, size in ((100, 1), (99, 2), (98, 3)):
        scene.place("buy", price, size)
    scene.give(*scene.subscribe(), "snapshot")
    best = scene.place("buy", 101, 4)
    scene.give(scene.frame(), "applied", "a better bid enters, the second leaves")
    scene.trade(Cancel, best)
    scene.give(scene.frame(), "applied", "it is gone, and the second is back, though it did not change itself")
    scene.place("buy", 98, 3)
    assert scene.frames() == []
    scene.give(scene.frame(510), "heartbeat", "below the window there was a change")
    scene.place("sell", 98, 2)
    scene.give(scene.frame(), "applied", "a trade at the edge: a level leaves, another one changes, a third enters")


@scene("orderbook", BOOK, 1)
def the_window_of_one_level(scene: Scene) -> None:
    """Depth 1 is the best bid and ask; either may be missing."""
    scene.give(*scene.subscribe(), "snapshot")
    ask = scene.place("sell", 110, 1)
    scene.give(scene.frame(), "applied", "an ask and no bid")
    scene.place("buy", 100, 1)
    scene.give(scene.frame(), "applied")
    scene.trade(Cancel, ask)
    scene.give(scene.frame(), "applied", "a bid and no ask")
    scene.place("sell", 100, 1)
    scene.give(scene.frame(), "applied", "neither")


@scene("orderbook", BOOK, 2)
def a_return_to_a_window(scene: Scene) -> None:
    """A window is never patched: `recovered: snapshot`, with the reason `window`. It may come twice, the second time at the next flush."""
    for price in (100, 99, 98):
        scene.place("buy", price, 1)
    scene.give(*scene.subscribe(), "snapshot")
    scene.place("buy", 101, 1)
    for frame in scene.come_back():
        scene.give(frame, "snapshot")
    scene.place("buy", 102, 1)
    for frame in scene.frames():
        scene.give(frame, "snapshot" if frame.prev is None else "applied")


@scene("orderbook", BOOK, 2, 100)
def joining_a_window_between_two_flushes(scene: Scene) -> None:
    """Who joins a window between two flushes gets a snapshot now and another one at the next flush, and the shared frames from there."""
    for price in (100, 99, 98):
        scene.place("buy", price, 1)
    scene.subscribe(scene.connect())
    for price in (101, 102):
        scene.place("buy", price, 1)
    scene.give(*scene.subscribe(scene.connect()), "snapshot")
    scene.place("buy", 103, 1)
    scene.give(scene.frame(100), "snapshot", "the next flush")
    scene.place("buy", 104, 1)
    scene.give(scene.frame(100), "applied", "the first frame that is shared")


@scene("orderbook", BOOK)
def a_return_to_a_history_that_lost_its_end(scene: Scene) -> None:
    """`recovered: snapshot`, for the client is ahead of the server. What it has never was."""
    scene.place("buy", 100, 5)
    scene.place("buy", 99, 5)
    scene.give(*scene.subscribe(), "snapshot")
    scene.open_market(START)
    scene.place("buy", 100, 5)
    scene.give(*scene.come_back(), "snapshot", "the same epoch, and a lower sequence")
