"""What the conformance vectors of all other channels show, each as a scene that the server plays."""

from stream.wire.messages import Cancel
from tests.scene import Scene, scene
from tests.worlds import TICKER, TRADES


@scene("trades", TRADES)
def every_trade_in_order(scene: Scene) -> None:
    """The snapshot holds the latest trades; each frame after it those since, one for each fill."""
    scene.place("sell", 100, 1)
    scene.place("buy", 100, 1)
    scene.give(*scene.subscribe(), "snapshot")
    for price in (101, 102, 103):
        scene.place("sell", price, 2)
    scene.place("buy", 103, 5)
    scene.give(scene.frame(), "applied", "one order, three trades")
    scene.give(scene.frame(510), "heartbeat")
    scene.place("sell", 90, 1)
    assert scene.frames() == []
    scene.place("buy", 90, 1)
    scene.give(scene.frame(), "applied")


@scene("trades", TRADES)
def trades_while_away(scene: Scene) -> None:
    """A returning client gets all trades that it missed; one that asks for nothing new is not sent any twice."""
    scene.give(*scene.subscribe(), "snapshot", "there was no trade yet")
    for price in (100, 101):
        scene.place("sell", price, 1)
        scene.place("buy", price, 1)
    scene.give(*scene.come_back(), "applied")
    scene.place("sell", 99, 1)
    scene.place("buy", 99, 1)
    frame = scene.frame()
    scene.give(frame, "applied")
    scene.give(frame, "dropped", "the same again")


@scene("trades", TRADES)
def a_lost_trade(scene: Scene) -> None:
    """A gap is healed by a resumption, without losing a trade."""
    scene.give(*scene.subscribe(), "snapshot")
    frames = []
    for price in (100, 101, 102):
        scene.place("sell", price, 1)
        scene.place("buy", price, 1)
        frames += scene.frames()
    scene.give(frames[0], "applied")
    scene.give(frames[2], "gap")
    scene.give(*scene.ask_again(), "applied")


@scene("trades", TRADES)
def trades_of_two_connections(scene: Scene) -> None:
    """A frame may hold trades that the client has by another connection: it takes those above its sequence."""
    (snapshot,) = scene.subscribe()
    scene.give(snapshot, "snapshot")
    slow = scene.connect()
    scene.subscribe(slow)
    scene.stop_reading()
    quick = scene.connect()
    scene.subscribe(quick)
    frames = []
    for price in (100, 101, 102):
        scene.place("sell", price, 1)
        scene.place("buy", price, 1)
        frames += scene.frames()
        if price == 101:
            slow.session.resume_writing(scene.market.now)
            [merged] = slow.hear()
            slow.session.pause_writing(scene.market.now)
    scene.give(frames[0], "applied")
    scene.give(merged, "applied", "two trades, of which one is new")
    scene.give(frames[1], "dropped")
    scene.give(frames[2], "applied")


@scene("trades", TRADES, trades_kept=3)
def trades_that_are_forgotten(scene: Scene) -> None:
    """Who was too slow for a lossless channel is told from where to where something is missing, and gets a snapshot."""
    scene.give(*scene.subscribe(), "snapshot")
    scene.stop_reading()
    for price in range(100, 106):
        scene.place("sell", price, 1)
        scene.place("buy", price, 1)
    gap, snapshot = scene.read_again()
    scene.give(gap, "lost", "a message of its own: `since` and `seq` bound what is missing")
    scene.give(snapshot, "snapshot")


@scene("ticker", TICKER)
def a_ticker(scene: Scene) -> None:
    """Every frame is a snapshot."""
    scene.give(*scene.subscribe(), "snapshot", "0 stands for none")
    scene.place("buy", 100, 5)
    scene.give(scene.frame(), "snapshot")
    scene.place("sell", 100, 2)
    scene.give(scene.frame(), "snapshot", "a trade")
    scene.market.command("set_phase", 0, 2)
    scene.market.tick(scene.market.now)
    scene.give(scene.frame(), "snapshot", "an auction")
    scene.give(scene.frame(510), "snapshot", "a heartbeat is a snapshot as well")


@scene("orders", "orders")
def own_orders(scene: Scene) -> None:
    """An update with nothing remaining ends an order; any other is how it stands."""
    scene.place("buy", 100, 5, client_id=77)
    scene.give(*scene.subscribe(), "snapshot")
    order = scene.place("buy", 101, 5)
    scene.give(scene.frame(), "applied", "accepted")
    scene.place("sell", 101, 2)
    scene.give(scene.frame(), "applied", "filled in part, by one's own other order, which is filled whole")
    scene.trade(Cancel, order)
    scene.give(scene.frame(), "applied", "cancelled")
    scene.give(scene.frame(510), "heartbeat")
    scene.place("sell", 100, 5)
    scene.give(*scene.come_back(), "applied", "filled while away")


@scene("balances", "balances")
def own_balances(scene: Scene) -> None:
    """A frame holds the assets that changed, each as it is now."""
    scene.give(*scene.subscribe(), "snapshot")
    order = scene.place("buy", 100, 5)
    scene.give(scene.frame(), "applied", "money is held for an order")
    scene.trade(Cancel, order)
    scene.give(scene.frame(), "applied", "and released")
    scene.place("sell", 100, 5)
    scene.give(scene.frame(), "applied", "an asset is held")
    scene.place("buy", 100, 2)
    scene.give(scene.frame(), "applied", "a trade, with oneself")
    assert scene.come_back() == []
    scene.give(scene.frame(510), "heartbeat", "nothing was missed")
