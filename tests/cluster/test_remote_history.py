"""The history of accounts at gateways: they have what the engine's process keeps, whatever is lost or doubled between them."""

import random
import threading
from typing import Any

import pytest

from stream.account_history.database import Database, Position, Wanted
from stream.account_history.recorder import Question, Recorder
from stream.cluster.remote_history import QUESTIONS_MAX, RemoteHistory
from stream.commands.directory import OrderTicket
from stream.feed.hub import Refused
from stream.wire.codes import ErrorCode
from stream.wire.history import ListOrders, ListTrades, OrderPage, TradePage
from stream.wire.messages import Error, Place
from tests.cluster.cluster import Cluster
from tests.cluster.test_cluster import desk
from tests.worlds import Desk

PATIENCE_S = 30


class Recorded(Cluster):
    """An engine with a history, and its gateways."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.news = threading.Event()
        self.database = Database(":memory:")
        self.database.begin(Position(1, self.engine.exchange.seq, 17))
        self.engine.recorder = Recorder(self.database, (), self.news.set)

    def ask(self, client: Desk, *request: Any, **named: Any) -> Any:
        """Ask at a gateway, and have the one answer."""
        client.ask(*request, **named)
        while not (answers := [each for each in client.heard if getattr(each, "id", 0) == client.id]):
            self.news.wait(0.01)
            self.news.clear()
            self.step(100)
            client.hear()
        return answers[0]

    def close(self) -> None:
        assert self.engine.recorder
        self.engine.recorder.close()


@pytest.mark.parametrize("faults", [0, 0.3])
def test_a_gateway_has_the_history_of_its_engine(faults: float) -> None:
    cluster = Recorded(chance=random.Random(1), link_stale_ms=60_000, command_patience_ms=60_000)
    alice, bob = desk(cluster, 0, "alice"), desk(cluster, 1, "bob")
    alice.market.sequencer.remember(OrderTicket(alice.session.account, 7), b"said at a gateway")
    cluster.link.faults = faults
    resting = cluster.ask(alice, Place, "BTC-USD", "sell", 100, 5, client_id=7)
    taken = cluster.ask(bob, Place, "BTC-USD", "buy", 101, 3, time_in_force="ioc")
    for _ in range(10):
        hers, his = cluster.ask(alice, ListOrders), cluster.ask(bob, ListTrades)
        assert isinstance(hers, OrderPage)
        assert isinstance(his, TradePage)
        assert [(each.order, each.client_id, each.filled) for each in hers.orders] == [(resting.order, 7, 3)]
        assert [(each.order, each.size, each.liquidity) for each in his.trades] == [(taken.order, 3, "taker")]
        assert hers.complete_since == 17
    assert cluster.ask(alice, ListOrders, "NO-SUCH").code == ErrorCode.UNKNOWN_INSTRUMENT
    found: list[Any] = []
    alice.market.read_history(Question(False, Wanted(alice.session.account), lambda page, since: found.extend(page)))    # type: ignore[arg-type]
    while not found:
        cluster.news.wait(0.01)
        cluster.news.clear()
        cluster.step(100)
    assert [each.ticket for each in found] == [b"said at a gateway"]
    cluster.close()


def test_without_an_engine_or_a_history_a_gateway_says_so() -> None:
    cluster = Recorded(command_patience_ms=2000, link_stale_ms=60_000)
    alice = desk(cluster, 0, "alice")
    cluster.link.ends[0].cut = True
    assert cluster.ask(alice, ListOrders).code == ErrorCode.NO_ENGINE
    cluster.link.ends[0].cut = False
    assert isinstance(cluster.ask(alice, ListOrders), OrderPage)
    cluster.close()
    cluster.engine.recorder = None
    assert cluster.ask(alice, ListOrders).code == ErrorCode.NO_HISTORY
    far = Recorded(command_patience_ms=2000)
    bob = desk(far, 0, "bob")
    far.link.ends[0].cut = True
    for _ in range(30):
        far.step(200)
    bob.hear()
    [refused] = bob.ask(ListTrades)
    assert (type(refused), refused.code) == (Error, ErrorCode.NO_ENGINE), "it knows by now"
    far.close()


def test_only_so_many_questions_wait() -> None:
    sent: list[Any] = []
    history = RemoteHistory(5, sent.append, 10**9)
    question = Question(False, Wanted(1), lambda found, since: None)
    for _ in range(QUESTIONS_MAX):
        history.ask(question)
    with pytest.raises(Refused) as refused:
        history.ask(question)
    assert refused.value.code == ErrorCode.TOO_MANY_WAITING
    assert len(sent) == QUESTIONS_MAX
