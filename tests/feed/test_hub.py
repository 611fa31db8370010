"""What is sent when: intervals, merging, windows, resumption, heartbeats."""

from typing import Any

from stream.wire.frames import Book, Ticker
from stream.wire.messages import Place, Subscribe
from tests.worlds import BOOK, TICKER, TRADES, Desk, QuietMarket


def books(desk: Desk) -> list[Book]:
    return [message for message in desk.hear() if isinstance(message, Book)]


def market_and_desks(interval: int = 0, depth: int = 0, **changes: Any) -> tuple[QuietMarket, Desk, Desk]:
    """A market, a trader, and a watcher of the book who has had his snapshot."""
    market = QuietMarket(**changes)
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    watcher.ask(Subscribe, [BOOK], depth, interval)
    market.pass_time(1)
    watcher.hear()
    return market, trader, watcher


def test_a_quiet_book_flushes_at_once_and_a_busy_one_once_an_interval() -> None:
    market, trader, watcher = market_and_desks(interval=100)
    trader.ask(Place, "BTC-USD", "buy", 100, 1)
    (first,) = books(watcher)
    assert (first.bids, first.batches) == ([100, 1], 1)
    for price in (101, 102, 103):
        market.pass_time(20)
        trader.ask(Place, "BTC-USD", "buy", price, 1)
        assert not books(watcher)
    market.pass_time(100)
    (second,) = books(watcher)
    assert (second.prev, second.batches, sorted(second.bids[::2])) == (first.seq, 3, [101, 102, 103])
    market.pass_time(100)
    trader.ask(Place, "BTC-USD", "buy", 104, 1)
    assert len(books(watcher)) == 1


def test_interval_zero_sends_every_batch() -> None:
    _, trader, watcher = market_and_desks(interval=0)
    for price in range(100, 110):
        trader.ask(Place, "BTC-USD", "buy", price, 1)
    frames = books(watcher)
    assert [frame.batches for frame in frames] == [1] * 10
    assert [frame.prev for frame in frames[1:]] == [frame.seq for frame in frames[:-1]]


def test_one_frame_is_encoded_for_all_who_are_in_step() -> None:
    market, trader, _ = market_and_desks()
    watchers = [Desk(market) for _ in range(10)]
    for watcher in watchers:
        watcher.ask(Subscribe, [BOOK], 0, 0)
    market.pass_time(1)
    for watcher in watchers:
        watcher.hear()
    made = market.hub.counters.frames_made
    trader.ask(Place, "BTC-USD", "buy", 100, 1)
    assert market.hub.counters.frames_made == made + 1
    assert len({id(watcher.session.out[0]) for watcher in watchers}) == 1


def test_a_stalled_client_gets_one_merged_frame_and_nothing_waits_for_it() -> None:
    market, trader, watcher = market_and_desks(interval=0)
    watcher.session.pause_writing(market.now)
    for round in range(50):
        trader.ask(Place, "BTC-USD", "buy", 100 + round % 3, 1)
    assert watcher.session.out == []
    watcher.session.resume_writing(market.now)
    (frame,) = books(watcher)
    assert frame.seq == market.exchange.seq
    assert sorted(frame.bids[::2]) == [100, 101, 102]
    assert frame.digest == market.exchange.book("BTC-USD").levels.digest
    trader.ask(Place, "BTC-USD", "buy", 99, 1)
    (following,) = books(watcher)
    assert (following.prev, following.bids) == (frame.seq, [99, 1])


def resumed(market: QuietMarket, epoch: int, seq: int, depth: int = 0) -> tuple[str, str, list[Any]]:
    subscribed, *frames = Desk(market).ask(Subscribe, [BOOK], depth, 0, {BOOK: (epoch, seq)})
    return subscribed.channels[0].recovered, subscribed.channels[0].reason, frames


def test_resumption_costs_as_little_as_the_past_allows() -> None:
    market, trader, _ = market_and_desks(tombstones_max=5)
    for price in range(100, 140):
        trader.ask(Place, "BTC-USD", "buy", price, 1, client_id=price)
    epoch, seq = market.point(market.now).epoch, market.exchange.seq
    assert resumed(market, epoch, seq) == ("none", "current", [])
    trader.ask(Place, "BTC-USD", "buy", 50, 7)
    recovered, reason, (patch,) = resumed(market, epoch, seq)
    assert (recovered, reason, patch.prev, patch.bids) == ("merged", "patch", seq, [50, 7])
    assert resumed(market, epoch - 1, seq)[:2] == ("snapshot", "epoch")
    assert resumed(market, epoch, seq + 1000)[:2] == ("snapshot", "ahead")
    assert resumed(market, epoch, seq, depth=5)[:2] == ("snapshot", "window")
    for price in range(60, 70):
        done = trader.ask(Place, "BTC-USD", "buy", price, 1)[0]
        market.exchange.cancel(0, done.order)
    assert resumed(market, epoch, seq)[:2] == ("snapshot", "forgotten")


def test_a_patch_that_is_larger_than_the_book_is_a_snapshot() -> None:
    market, trader, _ = market_and_desks()
    epoch, seq = market.point(market.now).epoch, market.exchange.seq
    for price in range(100, 120):
        done = trader.ask(Place, "BTC-USD", "buy", price, 1)[0]
        market.exchange.cancel(0, done.order)
    trader.ask(Place, "BTC-USD", "buy", 50, 1)
    assert resumed(market, epoch, seq)[:2] == ("snapshot", "larger")


def test_a_window_is_complete_as_sent() -> None:
    _, trader, watcher = market_and_desks(depth=5)
    for price in range(100, 110):
        trader.ask(Place, "BTC-USD", "buy", price, 1)
    frames = books(watcher)
    window: dict[int, int] = {}
    for frame in frames:
        for price, size in zip(frame.bids[::2], frame.bids[1::2], strict=True):
            if size:
                window[price] = size
            else:
                del window[price]
        assert len(window) <= 5
    assert window == dict.fromkeys(range(105, 110), 1)


def test_a_change_outside_of_a_window_is_not_sent() -> None:
    _, trader, watcher = market_and_desks(depth=1)
    trader.ask(Place, "BTC-USD", "buy", 100, 1)
    assert len(books(watcher)) == 1
    trader.ask(Place, "BTC-USD", "buy", 99, 1)
    assert not books(watcher)


def test_who_joins_a_window_between_two_flushes_gets_a_snapshot_now_and_at_the_next() -> None:
    market, trader, watcher = market_and_desks(depth=5, interval=100)
    trader.ask(Place, "BTC-USD", "buy", 100, 1)
    trader.ask(Place, "BTC-USD", "buy", 101, 1)
    late = Desk(market)
    assert late.ask(Subscribe, [BOOK], 5, 100)[1].bids == [101, 1, 100, 1]
    trader.ask(Place, "BTC-USD", "buy", 102, 1)
    market.pass_time(100)
    assert [frame.prev is None for frame in books(watcher)] == [False, False]
    assert [frame.prev is None for frame in books(late)] == [True]
    trader.ask(Place, "BTC-USD", "buy", 103, 1)
    market.pass_time(100)
    assert [frame.prev is None for frame in books(late)] == [False]


def test_quiet_channels_say_their_sequence_with_every_heartbeat() -> None:
    market, trader, watcher = market_and_desks(heartbeat_ms=500)
    watcher.ask(Subscribe, [TRADES])
    trader.ask(Place, "ETH-USD", "buy", 100, 1)
    watcher.hear()
    market.pass_time(1600)
    heard = watcher.hear()
    for channel in (BOOK, TRADES):
        frames = [frame for frame in heard if frame.channel == channel]
        assert len(frames) == 3
        assert {frame.seq for frame in frames} == {market.exchange.seq}
    assert {(tuple(frame.bids), tuple(frame.asks), frame.digest) for frame in heard if isinstance(frame, Book)} == {((), (), 0)}


def test_a_quiet_window_of_a_busy_book_has_its_heartbeat() -> None:
    market, trader, watcher = market_and_desks(depth=1, interval=100, heartbeat_ms=500)
    trader.ask(Place, "BTC-USD", "buy", 100, 1)
    market.pass_time(200)
    watcher.hear()
    for round in range(2000):
        trader.send(trader.codec.encode(Place(10_000 + round, "BTC-USD", "buy", 1 + round % 50, 1)))
        market.pass_time(1)
    frames = books(watcher)
    assert 3 <= len(frames) <= 5
    assert all(frame.bids == frame.asks == [] for frame in frames)


def test_a_turnover_beyond_64_bits_is_told_exactly() -> None:
    market = QuietMarket(deposit={"BTC": "400000000", "USD": "4000000000000"}, self_trade="allow")
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    watcher.ask(Subscribe, [TICKER], None, 0)
    for _ in range(10):
        trader.ask(Place, "BTC-USD", "sell", 10**6, 10**12)
        done = trader.ask(Place, "BTC-USD", "buy", 10**6, 10**12)[0]
        assert done.status == "filled"
    told = watcher.hear()[-1]
    assert told.value + (told.value_beyond << 63) == 10 * 10**18
    assert told.value_beyond == 1


def test_a_ticker_is_conflated_and_counts_a_day() -> None:
    market = QuietMarket(self_trade="allow")
    trader, watcher = Desk(market).sign_in("alice"), Desk(market)
    watcher.ask(Subscribe, [TICKER], None, 1000)
    for price in (100, 130, 90, 110):
        trader.ask(Place, "BTC-USD", "sell", price, 2)
        trader.ask(Place, "BTC-USD", "buy", price, 2)
        market.pass_time(1)
    market.pass_time(1000)
    last = watcher.hear()[-1]
    assert isinstance(last, Ticker)
    assert (last.open, last.high, last.low, last.last, last.volume, last.trades) == (100, 130, 90, 110, 8, 4)
    market.now += 25 * 3600 * 10**9
    market.tick(market.now)
    last = watcher.hear()[-1]
    assert (last.last, last.high, last.volume, last.trades) == (110, 0, 0, 0)


def test_an_accounts_past_is_kept_for_a_while() -> None:
    market = QuietMarket(account_resume_s=10)
    desk = Desk(market).sign_in("alice")
    subscribed = desk.ask(Subscribe, ["orders"])[0]
    epoch, seq = subscribed.epoch, subscribed.seq
    market.disconnect(desk.session, market.now)
    other = Desk(market).sign_in("alice")
    other.ask(Place, "BTC-USD", "buy", 100, 1)
    again = Desk(market).sign_in("alice")
    answer, frame = again.ask(Subscribe, ["orders"], resume={"orders": (epoch, seq)})
    assert (answer.channels[0].recovered, [update.event for update in frame.orders]) == ("merged", ["accepted"])
    market.disconnect(again.session, market.now)
    market.now += 11 * 10**9
    market.keep_house(market.now)
    late = Desk(market).sign_in("alice")
    assert late.ask(Subscribe, ["orders"], resume={"orders": (epoch, seq)})[0].channels[0].reason == "forgotten"
