"""A market whose commands are on disk before they run: what a client sees of it, and what is there after the power was gone."""

import random
from typing import Any

import msgspec
import pytest

from stream.commands.directory import KeptAccount
from stream.journal import snapshots
from stream.journal.snapshots import State
from stream.market.history import recover, remembering
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


class Venue:
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
        market, log = self.market, self.journal.log
        state = State(market.exchange, remembering(market.feed, market.sequencer.directory), market.sequencer.results, log.epoch, log.seq, log.crc, market.now)
        snapshots.write(self.disk, FOLDER, state)
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
def venue() -> Venue:
    return Venue()


def test_nothing_is_told_before_it_is_on_disk(venue: Venue) -> None:
    alice, watcher = venue.desk("alice"), venue.desk()
    watcher.ask(Subscribe, [BOOK], interval_ms=0)
    assert alice.ask(Place, "BTC-USD", "buy", 100, 5) == []
    venue.market.tick(venue.market.now)
    assert watcher.hear() == alice.hear() == []
    assert not venue.market.exchange.order_count
    venue.journal.sync()
    venue.market.tick(venue.market.now)
    assert isinstance(alice.hear()[0], Done)
    assert watcher.hear()[0].bids == [100, 5]


def test_while_a_group_is_synced_the_next_one_gathers(venue: Venue) -> None:
    alice = venue.desk("alice")
    groups = venue.market.sequencer.groups
    for price in range(10):
        alice.ask(Place, "BTC-USD", "buy", 100 + price, 1)
    venue.settle()
    assert len(alice.hear()) == 10
    assert venue.market.sequencer.groups == groups + 2


def test_all_is_there_after_a_crash(venue: Venue) -> None:
    alice = venue.desk("alice")
    done = venue.ask(alice, Place, "BTC-USD", "buy", 100, 5, client_id=7)
    before, epoch = venue.market.exchange.state_hash(), venue.market.point(0).epoch
    venue.now += 50 * S
    venue.crash()
    assert (venue.market.exchange.state_hash(), venue.market.point(0).epoch) == (before, epoch)
    alice = venue.desk("alice")
    assert venue.market.exchange.accounts == 1
    cancelled = venue.ask(alice, Cancel, client_id=7)
    assert isinstance(done, Done)
    assert isinstance(cancelled, Done)
    assert cancelled.order == done.order


def test_a_request_with_a_key_is_carried_out_once(venue: Venue) -> None:
    alice = venue.desk("alice")
    placed = venue.ask(alice, Place, "BTC-USD", "buy", 100, 50, key=1)
    assert isinstance(placed, Done)
    alice.ask(Reduce, placed.order, 10, key=2)
    alice.ask(Reduce, placed.order, 10, key=2)    # before the first is on disk
    venue.settle()
    first, second = alice.hear()
    assert (first.remaining, second.remaining) == (40, 40)
    for restart in (venue.crash, venue.stop, venue.crash):
        restart()
        alice = venue.desk("alice")
        repeated = venue.ask(alice, Place, "BTC-USD", "buy", 100, 50, key=1)
        assert isinstance(repeated, Done)
        assert (repeated.order, repeated.remaining, repeated.seq) == (placed.order, 50, placed.seq)
        again = venue.ask(alice, Reduce, placed.order, 10, key=2)
        assert isinstance(again, Done)
        assert (again.order, again.remaining, again.seq) == (first.order, 40, first.seq)
    assert venue.market.exchange.order_count == 1
    bob = venue.desk("bob")
    assert isinstance(venue.ask(bob, Place, "BTC-USD", "buy", 99, 1, key=1), Done)    # a key is an account's own
    assert venue.market.exchange.order_count == 2


def test_a_refusal_is_remembered_too(venue: Venue) -> None:
    alice = venue.desk("alice")
    first = venue.ask(alice, Cancel, 99, key=5)
    venue.crash()
    second = venue.ask(venue.desk("alice"), Cancel, 99, key=5)
    assert isinstance(first, Error)
    assert isinstance(second, Error)
    assert first.code == second.code == ErrorCode.UNKNOWN_ORDER
    cancelled = venue.ask(venue.desk("alice"), CancelAll, key=6)
    assert isinstance(cancelled, AllCancelled)
    assert cancelled.count == 0


@pytest.mark.parametrize("calls", [1, 2])
def test_a_failed_disk_is_told_and_nothing_more_is_taken(venue: Venue, calls: int) -> None:
    alice, watcher = venue.desk("alice"), venue.desk()
    resting = venue.ask(alice, Place, "BTC-USD", "buy", 100, 5)
    assert isinstance(resting, Done)
    seq = venue.market.exchange.seq
    venue.disk.fail = venue.disk.calls + calls    # the write, or the sync
    under_way = alice.ask(Place, "BTC-USD", "buy", 101, 5)
    gathered = alice.ask(Cancel, resting.order)
    assert under_way == gathered == []
    venue.settle()
    *answers, stale = alice.hear()
    assert [message.code for message in answers] == [ErrorCode.OUTCOME_UNKNOWN] * 2
    assert stale == Stale(venue.market.point(0).engine_time)
    for request in ((Place, "BTC-USD", "buy", 100, 5), (Cancel, resting.order), (CancelAll,)):
        answer = venue.ask(alice, *request)
        assert isinstance(answer, Error)
        assert answer.code == ErrorCode.FROZEN
    unknown = venue.ask(alice, DeadMan, 1000)
    assert isinstance(unknown, Error)
    assert unknown.code == ErrorCode.OUTCOME_UNKNOWN
    newcomer = venue.ask(watcher, Login, token("carol", venue.market.now))
    assert isinstance(newcomer, Error)
    assert newcomer.code == ErrorCode.FROZEN
    assert venue.market.exchange.seq == seq
    assert {page(path, venue.market, False).status for path in ("/health", "/ready")} == {503}
    venue.disk.fail = None
    venue.crash()
    assert venue.market.exchange.seq >= seq
    assert venue.market.exchange.order(resting.order)


def test_with_little_room_only_what_cancels_or_reduces_is_taken(venue: Venue) -> None:
    alice = venue.desk("alice")
    resting = venue.ask(alice, Place, "BTC-USD", "buy", 100, 5)
    assert isinstance(resting, Done)
    venue.journal.low = True
    refused = venue.ask(alice, Place, "BTC-USD", "buy", 101, 5)
    assert isinstance(refused, Error)
    assert refused.code == ErrorCode.DISK_NEARLY_FULL
    newcomer = venue.ask(Desk(venue.market), Login, token("carol", venue.market.now))
    assert isinstance(newcomer, Error)
    assert newcomer.code == ErrorCode.DISK_NEARLY_FULL
    assert isinstance(venue.ask(alice, Reduce, resting.order, 1), Done)
    assert isinstance(venue.ask(alice, Cancel, resting.order), Done)


def test_deadlines_outlive_a_crash(venue: Venue) -> None:
    alice, bob, carol, dave = (venue.desk(name) for name in ("alice", "bob", "carol", "dave"))
    for desk in (alice, bob, carol, dave):
        assert isinstance(venue.ask(desk, Place, "BTC-USD", "buy", 100, 1), Done)
    assert isinstance(venue.ask(alice, DeadMan, 3000), Confirmed)
    assert isinstance(venue.ask(bob, CancelOnDisconnect, "session", 5000), Confirmed)
    assert isinstance(venue.ask(carol, CancelOnDisconnect, "connection"), Confirmed)
    for count, seconds in ((4, 0), (3, 0.001), (2, 3), (1, 5)):    # carol's go at once, alice's after 3 s, bob's 5 s after the server was back
        if count == 4:
            venue.crash()
            assert venue.market.exchange.order_count == count
        else:
            venue.market.now = venue.now + int(seconds * S)
            venue.settle()
            assert venue.market.exchange.order_count == count
    venue.market.now += 3600 * S
    venue.settle()
    assert venue.market.exchange.order_count == 1


def test_who_comes_back_in_time_keeps_his_orders(venue: Venue) -> None:
    bob = venue.desk("bob")
    assert isinstance(venue.ask(bob, Place, "BTC-USD", "buy", 100, 1), Done)
    assert isinstance(venue.ask(bob, CancelOnDisconnect, "session", 5000), Confirmed)
    venue.crash()
    venue.settle()
    venue.desk("bob")
    venue.market.now += 10 * S
    venue.settle()
    assert venue.market.exchange.order_count == 1


@pytest.mark.parametrize("way", ["crash", "stop"])
def test_who_returns_is_patched(venue: Venue, way: str) -> None:
    alice, watcher = venue.desk("alice"), venue.desk()
    watcher.ask(Subscribe, [BOOK, TRADES])
    epoch = venue.market.point(0).epoch
    seen = venue.market.exchange.seq
    for price in (100, 101):
        assert isinstance(venue.ask(alice, Place, "BTC-USD", "buy", price, 5), Done)
    bob = venue.desk("bob")
    assert isinstance(venue.ask(bob, Place, "BTC-USD", "sell", 101, 2), Done)
    getattr(venue, way)()
    watcher = venue.desk()
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
def test_terms_that_differ_from_the_journals_are_refused(venue: Venue, changes: dict[str, Any], what: str) -> None:
    disk = after_a_stop(venue.disk)
    with pytest.raises(ConfigError, match=what):
        recover(disk, FOLDER, msgspec.structs.replace(CONFIG, **changes), [], START)


def test_an_instrument_can_be_added(venue: Venue) -> None:
    config = msgspec.structs.replace(CONFIG, instruments=(*CONFIG.instruments, msgspec.structs.replace(CONFIG.instruments[0], name="BTC-EUR", quote="ETH")))
    history = recover(after_a_stop(venue.disk), FOLDER, config, [], START)
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
def test_own_orders_and_balances_are_patched_too(venue: Venue, way: str) -> None:
    alice = venue.desk("alice")
    alice.ask(Subscribe, ["orders", "balances"])
    venue.settle()
    (_, orders, _), epoch = alice.hear() or alice.heard[-3:], venue.market.point(0).epoch
    alice.ask(Place, "BTC-USD", "buy", 100, 5)
    venue.settle()
    bob = venue.desk("bob")
    venue.ask(bob, Place, "BTC-USD", "sell", 100, 5)
    getattr(venue, way)()
    alice = venue.desk("alice")
    resume = dict.fromkeys(("orders", "balances"), (epoch, orders.seq))
    subscribed, own, balances = alice.ask(Subscribe, ["orders", "balances"], resume=resume)
    assert [entry.recovered for entry in subscribed.channels] == ["merged", "merged"]
    assert [update.event for update in own.orders] == ["accepted", "filled"]
    assert balances.balances
    venue.market.now += 2 * CONFIG.account_resume_s * S
    alice.market.disconnect(alice.session, venue.market.now - 2 * CONFIG.account_resume_s * S)
    venue.market.keep_house(venue.market.now)
    venue.settle()
    assert not [key for key in venue.market.sequencer.directory if isinstance(key, KeptAccount)]
