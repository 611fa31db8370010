"""An engine and its gateways: what clients see of it, with and without faults between them."""

from stream.frames import Book
from stream.messages import Done, Place, Subscribe
from tests.cluster import Cluster
from tests.worlds import BOOK, Desk


def of_kind(messages, kind):
    return [message for message in messages if isinstance(message, kind)]


def test_an_order_on_one_gateway_is_seen_on_another() -> None:
    cluster = Cluster()
    alice, bob = Desk(cluster.gateways[0]), Desk(cluster.gateways[1])
    alice.sign_in("alice")
    bob.sign_in("bob")
    cluster.step()
    bob.ask(Subscribe, [BOOK], 0, 0)
    done = alice.ask(Place, "BTC-USD", "sell", 100, 5)
    cluster.step()
    done += alice.hear()
    assert [message.status for message in of_kind(done, Done)] == ["open"], alice.heard
    assert of_kind(bob.hear(), Book)[-1].asks == [100, 5]
    assert cluster.engine.exchange.state_hash() == cluster.gateways[0].exchange.state_hash() == cluster.gateways[1].exchange.state_hash()
