"""An instrument's life in a running market: listed, delisted, listed again, its band and its reference changed."""

import logging
import random
from typing import Any

import pytest

from engine import Phase
from stream.wire.administration import Delist, Deposit, ListInstrument, SetBand, SetPhase, SetReference
from stream.wire.candles import CandlePage, ListCandles
from stream.wire.codes import ErrorCode
from stream.wire.frames import Balances, Book, Orders, Ticker
from stream.wire.messages import Cancel, Confirmed, Done, Error, Instruments, ListInstruments, Place, Subscribe
from tests.cluster.cluster import Cluster
from tests.journal.fake_disk import FakeDisk
from tests.market.journaled import after_a_power_cut, start
from tests.setting import CONFIG, START
from tests.venue.test_administration import admin, ask
from tests.venue.test_presence import sign_in, take_over
from tests.worlds import BOOK, TICKER, Desk, QuietMarket


@pytest.fixture
def market() -> QuietMarket:
    return QuietMarket()


def error_of(answers: list[Any]) -> Error:
    (error,) = [answer for answer in answers if isinstance(answer, Error)]
    return error


def place_many(desk: Desk, count: int) -> None:
    for price in range(1, count + 1):
        assert isinstance(desk.ask(Place, "BTC-USD", "buy", price, 1)[0], Done)


def test_a_delisted_instrument_is_cleared_and_its_past_stays(
    market: QuietMarket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "deltabook.audit")
    monkeypatch.setattr("stream.market.operations.CANCELS_AT_ONCE", 3)
    root, alice, bob = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    alice.ask(Subscribe, [BOOK, TICKER, "orders"], 0, 0)
    bob.ask(Place, "BTC-USD", "sell", 900, 1)
    alice.ask(Place, "BTC-USD", "buy", 900, 1)
    place_many(alice, 7)
    bob.ask(Place, "ETH-USD", "buy", 100, 1)
    alice.hear()
    assert root.ask(Delist, "BTC-USD") == [Confirmed(root.id)]
    assert error_of(alice.ask(Place, "BTC-USD", "buy", 5, 1)).code == ErrorCode.NOT_LISTED
    refused = error_of(root.ask(Delist, "BTC-USD", False))
    assert (refused.code, refused.message) == (ErrorCode.NOT_LISTED, "BTC-USD still has open orders, which are being cancelled: expected none")
    market.pass_time(100)
    assert market.exchange.order_count == 1
    cancelled = [update for frame in alice.hear() + alice.heard if isinstance(frame, Orders) for update in frame.orders if update.event == "cancelled"]
    assert len({update.order for update in cancelled}) == 7
    books, tickers = ([frame for frame in alice.heard if isinstance(frame, kind)] for kind in (Book, Ticker))
    assert tickers[-1].phase == "delisted"
    assert books[-1].digest == 0
    assert isinstance(alice.ask(Place, "ETH-USD", "sell", 100, 1)[0], Done)
    (page,) = alice.ask(ListCandles, "BTC-USD", "1m")
    assert isinstance(page, CandlePage)
    assert len(page.candles) == 1
    (listed,) = alice.ask(ListInstruments)
    assert isinstance(listed, Instruments)
    assert [terms.phase for terms in listed.instruments] == ["delisted", "trading"]
    assert error_of(root.ask(SetPhase, "BTC-USD", "trading")).code == ErrorCode.NOT_LISTED
    assert root.ask(Delist, "BTC-USD", False) == [Confirmed(root.id)]
    assert error_of(alice.ask(Place, "BTC-USD", "buy", 5, 1)).code == ErrorCode.HALTED
    assert error_of(root.ask(Delist, "BTC-USD", False)).message == "BTC-USD is listed: expected an instrument that is delisted"
    root.ask(SetPhase, "BTC-USD", "trading")
    assert any(isinstance(answer, Done) for answer in alice.ask(Place, "BTC-USD", "buy", 5, 1))
    told = [(record.request, record.outcome) for record in caplog.records]    # type: ignore[attr-defined]
    assert [request for request, _ in told] == ["delist", "delist", "set_phase", "delist", "delist", "set_phase"]
    assert [outcome == "done" for _, outcome in told] == [True, False, False, True, False, True]
    market.exchange.check()


def test_what_a_crash_has_left_of_a_delisted_instrument_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.market.operations.CANCELS_AT_ONCE", 2)
    disk = FakeDisk(random.Random(1))
    history, journal = start(disk, CONFIG, START)
    market = QuietMarket(history, journal)

    def sync(times: int) -> None:
        for _ in range(times):
            journal.sync()
            market.tick(market.now)

    root, alice = Desk(market), Desk(market)
    root.sign_in("root", "admin")
    alice.sign_in("alice")
    sync(4)
    for price in range(1, 8):
        alice.put(Place, "BTC-USD", "buy", price, 1)
    sync(2)
    root.put(Delist, "BTC-USD")
    sync(5)
    assert Confirmed(root.id) in root.hear()
    assert 0 < market.exchange.order_count < 7
    history, journal = start(after_a_power_cut(disk), CONFIG, START)
    market = QuietMarket(history, journal)
    assert market.exchange.book("BTC-USD").phase == Phase.DELISTED
    assert market.exchange.order_count > 0
    assert market.tick(market.now) <= market.now, "what is left is cancelled at once, though nobody asks for anything"
    sync(9)
    assert market.exchange.order_count == 0
    assert market.exchange.balances(market.account_of("alice"))[2][1] == 0


def test_an_instrument_is_delisted_by_way_of_a_gateway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.market.operations.CANCELS_AT_ONCE", 2)
    cluster = Cluster(2)
    root, alice = admin(cluster), sign_in(cluster, 1)
    place_many(alice, 7)
    clear, cluster.engine.operations.clear_delisted = cluster.engine.operations.clear_delisted, lambda: None    # type: ignore[method-assign]
    assert isinstance(ask(cluster, root, Delist, "BTC-USD"), Confirmed)
    cluster.gateways[0].replica.tick(cluster.now)
    assert clear
    take_over(cluster)    # before any order was cancelled
    assert cluster.engine.exchange.order_count == 7
    for _ in range(9):
        cluster.step()
    assert [market.exchange.order_count for market in (cluster.engine, *cluster.gateways)] == [0, 0, 0]
    assert error_of(alice.ask(Place, "BTC-USD", "buy", 5, 1)).code == ErrorCode.NOT_LISTED


def test_a_band_and_its_reference_are_set(market: QuietMarket) -> None:
    root, alice = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice")
    (placed,) = alice.ask(Place, "BTC-USD", "buy", 500, 1)
    assert root.ask(SetReference, "BTC-USD", 1_000) == [Confirmed(root.id)]
    assert root.ask(SetBand, "BTC-USD", 50_000) == [Confirmed(root.id)]
    refused = error_of(alice.ask(Place, "BTC-USD", "buy", 1_051, 1))
    assert (refused.code, refused.message) == (ErrorCode.PRICE_OUT_OF_BAND, "price 1051: expected at most 1050 ticks, in the band around 1000")
    (listed,) = alice.ask(ListInstruments)
    assert [terms.band for terms in listed.instruments] == [50_000, 0]
    assert isinstance(alice.ask(Cancel, placed.order)[0], Done)
    root.ask(SetBand, "BTC-USD", 0)
    assert isinstance(alice.ask(Place, "BTC-USD", "buy", 1_051, 1)[0], Done)
    assert error_of(root.ask(SetBand, "BTC-USD", 10**6)).code == ErrorCode.MALFORMED
    assert error_of(root.ask(SetReference, "BTC-USD", 1 << 60)).code == ErrorCode.PRICE_OUT_OF_RANGE
    assert error_of(root.ask(SetBand, "NO-SUCH", 1)).code == ErrorCode.UNKNOWN_INSTRUMENT


NEW = ("SOL-USD", "SOL", "USD", "0.01", "0.001", 9)


def test_a_new_instrument_is_listed_with_its_asset(market: QuietMarket, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "deltabook.audit")
    root, alice, bob = Desk(market).sign_in("root", "admin"), Desk(market).sign_in("alice"), Desk(market).sign_in("bob")
    assert error_of(alice.ask(Subscribe, ["orderbook:SOL-USD"])).code == ErrorCode.UNKNOWN_INSTRUMENT
    alice.ask(Subscribe, ["balances", "orders"])
    root.ask(SetPhase, "BTC-USD", "trading")    # the terms have changed at this very sequence
    market.instrument_terms()
    assert root.ask(ListInstrument, *NEW, price_max=10**6, taker_fee=500, band=100_000) == [Confirmed(root.id)]
    assert root.ask(ListInstrument, *NEW, price_max=10**6, taker_fee=500, band=100_000) == [Confirmed(root.id)], "the same once more"
    (listed,) = bob.ask(ListInstruments)
    terms = listed.instruments[2]
    assert (len(listed.instruments), terms.name, terms.tick, terms.base_decimals, terms.taker_fee, terms.band) == (3, "SOL-USD", "0.01", 9, 500, 100_000)
    assert (terms.price_max, terms.fills_max, terms.phase) == (10**6, 100_000, "trading")
    alice.ask(Subscribe, ["orderbook:SOL-USD", "trades:SOL-USD", "ticker:SOL-USD"], 0, 0)
    assert root.ask(Deposit, "bob", "SOL", 10**9) == [Confirmed(root.id)]
    alice.ask(Place, "SOL-USD", "buy", 150, 3)
    bob.ask(Place, "SOL-USD", "sell", 150, 2)
    market.pass_time(100)
    heard = alice.hear() + alice.heard
    assert [frame.bids for frame in heard if isinstance(frame, Book) and frame.bids][-1] == [150, 1]
    assert {balance.asset for frame in heard if isinstance(frame, Balances) for balance in frame.balances} >= {"SOL", "USD"}
    assert isinstance(bob.ask(ListCandles, "SOL-USD", "1m")[0], CandlePage)
    assert [record.outcome for record in caplog.records if record.request == "list_instrument"] == ["done"] * 2    # type: ignore[attr-defined]
    market.exchange.check()


def test_new_accounts_are_given_of_an_asset_that_came_later() -> None:
    market = QuietMarket(deposit={"SOL": "2"})
    root = Desk(market).sign_in("root", "admin")
    root.ask(ListInstrument, *NEW)
    Desk(market).sign_in("alice")
    assert market.exchange.balance(market.account_of("alice"), market.exchange.asset("SOL"))[0] == 2 * 10**9


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"base_decimals": None}, "asset 'SOL': there is none of that name"), ({"quote_decimals": 2}, "'USD' already has 6 decimals"),
        ({"instrument": "BTC-USD"}, "'BTC-USD' is in the journal with other terms"), ({"quote": "SOL", "quote_decimals": 9}, "same asset"),
        ({"lot": "0.0000000001"}, "one lot"), ({"hold_fee": 5, "taker_fee": 6}, "hold_fee 5"), ({"size_min": 2, "size_max": 1}, "size_min"),
        ({"maker_fee": -1}, "maker_fee -1"), ({"tick": "0"}, "tick 0"),
    ],
)
def test_an_instrument_that_cannot_be_listed(market: QuietMarket, changes: dict[str, Any], why: str) -> None:
    root = Desk(market).sign_in("root", "admin")
    fields = dict(zip(("instrument", "base", "quote", "tick", "lot", "base_decimals"), NEW, strict=True)) | changes
    before = market.exchange.state_hash()
    refused = error_of(root.ask(ListInstrument, **fields))
    assert (refused.code, why in refused.message) == (ErrorCode.BAD_LISTING, True), refused.message
    assert (market.exchange.state_hash(), list(market.exchange.assets())) == (before, list(CONFIG.assets))


def test_of_two_listings_of_a_name_at_once_the_first_counts(market: QuietMarket) -> None:
    root = Desk(market).sign_in("root", "admin")
    root.put(ListInstrument, *NEW)
    root.put(ListInstrument, *NEW, size_min=2)
    root.put(ListInstrument, "SOL-BTC", "SOL", "BTC", "0.01", "0.001")
    assert error_of(root.hear()).code == ErrorCode.BAD_LISTING    # its asset has no decimals yet
    market.tick(market.now)
    one, other = root.hear()
    assert one == Confirmed(root.id - 2)
    assert (other.id, other.code) == (root.id - 1, ErrorCode.BAD_LISTING)
    assert market.exchange.book("SOL-USD").instrument.size_min == 1


def test_a_listed_instrument_outlives_a_crash() -> None:
    disk = FakeDisk(random.Random(1))
    history, journal = start(disk, CONFIG, START)
    market = QuietMarket(history, journal)

    def sync(times: int) -> None:
        for _ in range(times):
            journal.sync()
            market.tick(market.now)

    root, alice = Desk(market), Desk(market)
    root.sign_in("root", "admin")
    alice.sign_in("alice")
    sync(4)
    root.put(ListInstrument, *NEW)
    sync(1)
    again = start(after_a_power_cut(FakeDisk(random.Random(2), disk.image())), CONFIG, START)[0]
    assert len(again.exchange.books) in (2, 3), "on disk or not"
    sync(3)
    assert Confirmed(root.id) in root.hear()
    alice.put(Place, "SOL-USD", "buy", 150, 3)
    sync(3)
    history, journal = start(after_a_power_cut(disk), CONFIG, START)
    assert history.exchange.state_hash() == market.exchange.state_hash()
    market = QuietMarket(history, journal)
    assert market.exchange.books[2].levels.depth()[0] == [150, 3]
    assert "orderbook:SOL-USD" in market.feed.public


@pytest.mark.parametrize("faults", [0, 0.3])
def test_an_instrument_listed_at_one_gateway_is_at_all(faults: float) -> None:
    cluster = Cluster(2, chance=random.Random(5), faults=faults)
    root, alice = admin(cluster), sign_in(cluster, 1)
    assert isinstance(ask(cluster, root, ListInstrument, *NEW), Confirmed)
    assert error_of([ask(cluster, root, ListInstrument, *NEW, size_min=2)]).code == ErrorCode.BAD_LISTING
    for _ in range(200):
        cluster.step(100)
    assert ["orderbook:SOL-USD" in market.feed.public for market in (cluster.engine, *cluster.gateways)] == [True] * 3
    assert isinstance(ask(cluster, alice, Place, "SOL-USD", "buy", 150, 3), Done)
    take_over(cluster)
    late = cluster.add_gateway() if not faults else cluster.gateways[1]
    assert isinstance(ask(cluster, alice, Place, "SOL-USD", "buy", 150, 3), Done)
    assert [terms.name for terms in late.instrument_terms()][2] == "SOL-USD"
    hashes = {market.exchange.state_hash() for market in (cluster.engine, *cluster.gateways)}
    assert len(hashes) == 1 or faults


def test_of_two_gateways_that_list_a_name_at_once_one_is_told_that_it_cannot_be() -> None:
    cluster = Cluster(2)
    one, other = admin(cluster, 0), admin(cluster, 1)
    one.put(ListInstrument, *NEW)
    other.put(ListInstrument, *NEW, size_min=2)
    for _ in range(5):
        cluster.step()
    answers = [answer for desk in (one, other) for answer in desk.hear() if getattr(answer, "id", 0) == desk.id]
    assert sorted(isinstance(answer, Confirmed) for answer in answers) == [False, True]
    assert [answer.code for answer in answers if isinstance(answer, Error)] == [ErrorCode.BAD_LISTING]
