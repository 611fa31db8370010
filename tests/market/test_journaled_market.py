"""A market whose commands are on disk before they run: what a client sees of it, and what is there after the power was gone."""

import random
from typing import Any

import msgspec
import pytest

from stream.commands.directory import KeptAccount
from stream.journal import snapshots
from stream.market.history import recover
from stream.server.pages import page
from stream.settings.config import ConfigError
from stream.sources.recorded import RecordedSource
from stream.sources.simulated import SimulatedSource
from stream.wire.codes import ErrorCode
from stream.wire.frames import Trades
from stream.wire.messages import (
    AllCancelled,
    Cancel,
    CancelAll,
    CancelOnDisconnect,
    Confirmed,
    DeadMan,
    Done,
    Error,
    LoggedIn,
    Login,
    Place,
    Reduce,
    Stale,
    Subscribe,
    Subscribed,
)
from tests.journal.fake_disk import FakeDisk
from tests.journal.journals import FOLDER
from tests.market.journaled import after_a_power_cut, after_a_stop, start
from tests.setting import CONFIG, START, token
from tests.worlds import BOOK, MILLISECOND, TRADES, Desk, QuietMarket

S = 1000 * MILLISECOND


class JournaledMarket:
    """A market and its disk."""

    def __init__(self) -> None:
        self.disk = FakeDisk(random.Random(1))
        self.now = START
        self.restart()

    def restart(self) -> None:
        """Begin with what is on the disk."""
        history, self.journal = start(self.disk, CONFIG, self.now)
        self.market = QuietMarket(history, self.journal, max(self.now, history.time))

    def crash(self) -> None:
        """The power goes and comes back."""
        self.now = self.market.now
        self.disk = after_a_power_cut(self.disk)
        self.restart()

    def stop(self) -> None:
        """A clean stop, which leaves a snapshot."""
        self.settle()
        market, writer = self.market, self.journal.writer
        snapshots.write(self.disk, FOLDER, market.state(writer.seq, writer.crc, market.now))
        self.now = market.now
        self.disk = after_a_stop(self.disk)
        self.restart()

    def settle(self) -> None:
        """Let the disk have everything, and the market answer."""
        while True:
            self.market.tick(self.market.now)
            if not self.journal.waiting:
                return
            self.journal.sync()

    def desk(self, subject: str = "") -> Desk:
        desk = Desk(self.market)
        if subject:
            assert isinstance(self.ask(desk, Login, token(subject, self.market.now, "market account trade")), LoggedIn)
        return desk

    def ask(self, desk: Desk, *request: object, **named: object) -> object:
        """Ask, and have the one answer."""
        heard = desk.ask(*request, **named)    # type: ignore[arg-type]
        self.settle()
        (answer,) = (message for message in heard + desk.hear() if not isinstance(message, Stale))
        return answer


@pytest.fixture
def journaled() -> JournaledMarket:
    return JournaledMarket()


def test_nothing_is_told_before_it_is_on_disk(journaled: JournaledMarket) -> None:
    alice, watcher = journaled.desk("alice"), journaled.desk()
    watcher.ask(Subscribe, [BOOK], interval_ms=0)
    assert alice.ask(Place, "BTC-USD", "buy", 100, 5) == []
    journaled.market.tick(journaled.market.now)
    assert watcher.hear() == alice.hear() == []
    assert not journaled.market.exchange.order_count
    journaled.journal.sync()
    journaled.market.tick(journaled.market.now)
    assert isinstance(alice.hear()[0], Done)
    assert watcher.hear()[0].bids == [100, 5]


def test_while_a_group_is_synced_the_next_one_gathers(journaled: JournaledMarket) -> None:
    alice = journaled.desk("alice")
    groups = journaled.market.sequencer.groups
    for price in range(10):
        alice.ask(Place, "BTC-USD", "buy", 100 + price, 1)
    journaled.settle()
    assert len(alice.hear()) == 10
    assert journaled.market.sequencer.groups == groups + 2


def test_all_is_there_after_a_crash(journaled: JournaledMarket) -> None:
    alice = journaled.desk("alice")
    done = journaled.ask(alice, Place, "BTC-USD", "buy", 100, 5, client_id=7)
    before, epoch = journaled.market.exchange.state_hash(), journaled.market.point(0).epoch
    journaled.now += 50 * S
    journaled.crash()
    assert (journaled.market.exchange.state_hash(), journaled.market.point(0).epoch) == (before, epoch)
    alice = journaled.desk("alice")
    assert journaled.market.exchange.accounts == 1
    cancelled = journaled.ask(alice, Cancel, client_id=7)
    assert isinstance(done, Done)
    assert isinstance(cancelled, Done)
    assert cancelled.order == done.order


def test_a_request_with_a_key_is_carried_out_once(journaled: JournaledMarket) -> None:
    alice = journaled.desk("alice")
    placed = journaled.ask(alice, Place, "BTC-USD", "buy", 100, 50, key=1)
    assert isinstance(placed, Done)
    alice.ask(Reduce, placed.order, 10, key=2)
    alice.ask(Reduce, placed.order, 10, key=2)    # before the first is on disk
    journaled.settle()
    first, second = alice.hear()
    assert (first.remaining, second.remaining) == (40, 40)
    for restart in (journaled.crash, journaled.stop, journaled.crash):
        restart()
        alice = journaled.desk("alice")
        repeated = journaled.ask(alice, Place, "BTC-USD", "buy", 100, 50, key=1)
        assert isinstance(repeated, Done)
        assert (repeated.order, repeated.remaining, repeated.seq) == (placed.order, 50, placed.seq)
        again = journaled.ask(alice, Reduce, placed.order, 10, key=2)
        assert isinstance(again, Done)
        assert (again.order, again.remaining, again.seq) == (first.order, 40, first.seq)
    assert journaled.market.exchange.order_count == 1
    bob = journaled.desk("bob")
    assert isinstance(journaled.ask(bob, Place, "BTC-USD", "buy", 99, 1, key=1), Done)    # a key is an account's own
    assert journaled.market.exchange.order_count == 2


def test_a_refusal_is_remembered_too(journaled: JournaledMarket) -> None:
    alice = journaled.desk("alice")
    first = journaled.ask(alice, Cancel, 99, key=5)
    journaled.crash()
    second = journaled.ask(journaled.desk("alice"), Cancel, 99, key=5)
    assert isinstance(first, Error)
    assert isinstance(second, Error)
    assert first.code == second.code == ErrorCode.UNKNOWN_ORDER
    cancelled = journaled.ask(journaled.desk("alice"), CancelAll, key=6)
    assert isinstance(cancelled, AllCancelled)
    assert cancelled.count == 0


@pytest.mark.parametrize("calls", [1, 2])
def test_a_failed_disk_is_told_and_nothing_more_is_taken(journaled: JournaledMarket, calls: int) -> None:
    alice, watcher = journaled.desk("alice"), journaled.desk()
    resting = journaled.ask(alice, Place, "BTC-USD", "buy", 100, 5)
    assert isinstance(resting, Done)
    seq = journaled.market.exchange.seq
    journaled.disk.fail = journaled.disk.calls + calls    # the write, or the sync
    under_way = alice.ask(Place, "BTC-USD", "buy", 101, 5)
    gathered = alice.ask(Cancel, resting.order)
    assert under_way == gathered == []
    journaled.settle()
    *answers, stale = alice.hear()
    assert [message.code for message in answers] == [ErrorCode.OUTCOME_UNKNOWN] * 2
    assert stale == Stale(journaled.market.point(0).engine_time)
    for request in ((Place, "BTC-USD", "buy", 100, 5), (Cancel, resting.order), (CancelAll,)):
        answer = journaled.ask(alice, *request)
        assert isinstance(answer, Error)
        assert answer.code == ErrorCode.FROZEN
    unknown = journaled.ask(alice, DeadMan, 1000)
    assert isinstance(unknown, Error)
    assert unknown.code == ErrorCode.OUTCOME_UNKNOWN
    newcomer = journaled.ask(watcher, Login, token("carol", journaled.market.now))
    assert isinstance(newcomer, Error)
    assert newcomer.code == ErrorCode.FROZEN
    assert journaled.market.exchange.seq == seq
    assert {page(path, journaled.market, False).status for path in ("/health", "/ready")} == {503}
    journaled.disk.fail = None
    journaled.crash()
    assert journaled.market.exchange.seq >= seq
    assert journaled.market.exchange.order(resting.order)


def test_with_little_room_only_what_cancels_or_reduces_is_taken(journaled: JournaledMarket) -> None:
    alice = journaled.desk("alice")
    resting = journaled.ask(alice, Place, "BTC-USD", "buy", 100, 5)
    assert isinstance(resting, Done)
    journaled.journal.low = True
    refused = journaled.ask(alice, Place, "BTC-USD", "buy", 101, 5)
    assert isinstance(refused, Error)
    assert refused.code == ErrorCode.DISK_NEARLY_FULL
    newcomer = journaled.ask(Desk(journaled.market), Login, token("carol", journaled.market.now))
    assert isinstance(newcomer, Error)
    assert newcomer.code == ErrorCode.DISK_NEARLY_FULL
    assert isinstance(journaled.ask(alice, Reduce, resting.order, 1), Done)
    assert isinstance(journaled.ask(alice, Cancel, resting.order), Done)


def test_deadlines_outlive_a_crash(journaled: JournaledMarket) -> None:
    alice, bob, carol, dave = (journaled.desk(name) for name in ("alice", "bob", "carol", "dave"))
    for desk in (alice, bob, carol, dave):
        assert isinstance(journaled.ask(desk, Place, "BTC-USD", "buy", 100, 1), Done)
    assert isinstance(journaled.ask(alice, DeadMan, 3000), Confirmed)
    assert isinstance(journaled.ask(bob, CancelOnDisconnect, "session", 5000), Confirmed)
    assert isinstance(journaled.ask(carol, CancelOnDisconnect, "connection"), Confirmed)
    for count, seconds in ((4, 0), (3, 0.001), (2, 3), (1, 5)):    # carol's go at once, alice's after 3 s, bob's 5 s after the server was back
        if count == 4:
            journaled.crash()
            assert journaled.market.exchange.order_count == count
        else:
            journaled.market.now = journaled.now + int(seconds * S)
            journaled.settle()
            assert journaled.market.exchange.order_count == count
    journaled.market.now += 3600 * S
    journaled.settle()
    assert journaled.market.exchange.order_count == 1


def test_who_comes_back_in_time_keeps_his_orders(journaled: JournaledMarket) -> None:
    bob = journaled.desk("bob")
    assert isinstance(journaled.ask(bob, Place, "BTC-USD", "buy", 100, 1), Done)
    assert isinstance(journaled.ask(bob, CancelOnDisconnect, "session", 5000), Confirmed)
    journaled.crash()
    journaled.settle()
    journaled.desk("bob")
    journaled.market.now += 10 * S
    journaled.settle()
    assert journaled.market.exchange.order_count == 1


@pytest.mark.parametrize("way", ["crash", "stop"])
def test_who_returns_is_patched(journaled: JournaledMarket, way: str) -> None:
    alice, watcher = journaled.desk("alice"), journaled.desk()
    watcher.ask(Subscribe, [BOOK, TRADES])
    epoch = journaled.market.point(0).epoch
    seen = journaled.market.exchange.seq
    for price in (100, 101):
        assert isinstance(journaled.ask(alice, Place, "BTC-USD", "buy", price, 5), Done)
    bob = journaled.desk("bob")
    assert isinstance(journaled.ask(bob, Place, "BTC-USD", "sell", 101, 2), Done)
    getattr(journaled, way)()
    watcher = journaled.desk()
    subscribed, book, trades = watcher.ask(Subscribe, [BOOK, TRADES], resume={BOOK: (epoch, seen), TRADES: (epoch, seen)})
    assert isinstance(subscribed, Subscribed)
    assert [entry.recovered for entry in subscribed.channels] == ["merged", "merged"]
    assert sorted(zip(book.bids[::2], book.bids[1::2], strict=True)) == [(100, 5), (101, 3)]
    assert isinstance(trades, Trades)
    assert [(trade.price, trade.size) for trade in trades.trades] == [(101, 2)]


@pytest.mark.parametrize(("changes", "what"), [
    ({"instruments": tuple(msgspec.structs.replace(terms, maker_fee=5) for terms in CONFIG.instruments)}, "maker_fee 100"),
    ({"assets": CONFIG.assets | {"BTC": 4}}, "'BTC' already has 8 decimals"),
])
def test_terms_that_differ_from_the_journals_are_refused(journaled: JournaledMarket, changes: dict[str, Any], what: str) -> None:
    disk = after_a_stop(journaled.disk)
    with pytest.raises(ConfigError, match=what):
        recover(disk, FOLDER, msgspec.structs.replace(CONFIG, **changes), [], START)


def test_an_instrument_can_be_added(journaled: JournaledMarket) -> None:
    config = msgspec.structs.replace(CONFIG, instruments=(*CONFIG.instruments, msgspec.structs.replace(CONFIG.instruments[0], name="BTC-EUR", quote="ETH")))
    disk = journaled.disk
    for _ in range(2):    # the second time it is in the journal
        disk = after_a_stop(disk)
        history = recover(disk, FOLDER, config, [], START)
        assert [book.instrument.name for book in history.exchange.books] == ["BTC-USD", "ETH-USD", "BTC-EUR"]
        assert "orderbook:BTC-EUR" in history.feed.public


def test_sources_come_back_with_their_accounts() -> None:
    disk = FakeDisk(random.Random(1))
    first = recover(disk, FOLDER, CONFIG, [SimulatedSource()], START)
    count, orders = first.exchange.accounts, first.exchange.order_count
    disk = after_a_stop(disk)
    second = recover(disk, FOLDER, CONFIG, [SimulatedSource()], START)
    assert (second.exchange.accounts, second.exchange.order_count) == (count, orders)
    third = recover(after_a_stop(disk), FOLDER, CONFIG, [RecordedSource(), SimulatedSource()], START)
    assert third.exchange.accounts == count + 2
    third.exchange.check()


@pytest.mark.parametrize("way", ["crash", "stop"])
def test_own_orders_and_balances_are_patched_too(journaled: JournaledMarket, way: str) -> None:
    alice = journaled.desk("alice")
    alice.ask(Subscribe, ["orders", "balances"])
    journaled.settle()
    (_, orders, _), epoch = alice.hear() or alice.heard[-3:], journaled.market.point(0).epoch
    alice.ask(Place, "BTC-USD", "buy", 100, 5)
    journaled.settle()
    bob = journaled.desk("bob")
    journaled.ask(bob, Place, "BTC-USD", "sell", 100, 5)
    getattr(journaled, way)()
    alice = journaled.desk("alice")
    resume = dict.fromkeys(("orders", "balances"), (epoch, orders.seq))
    subscribed, own, balances = alice.ask(Subscribe, ["orders", "balances"], resume=resume)
    assert [entry.recovered for entry in subscribed.channels] == ["merged", "merged"]
    assert [update.event for update in own.orders] == ["accepted", "filled"]
    assert balances.balances
    journaled.market.now += 2 * CONFIG.account_resume_s * S
    alice.market.disconnect(alice.session, journaled.market.now - 2 * CONFIG.account_resume_s * S)
    journaled.market.keep_house(journaled.market.now)
    journaled.settle()
    assert not [key for key in journaled.market.sequencer.directory if isinstance(key, KeptAccount)]
