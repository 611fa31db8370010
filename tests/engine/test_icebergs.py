"""Orders that show only a part."""

import pytest

from engine import EventKind, Exchange, Reason, TimeInForce
from tests.conftest import BUY, MAKER, OTHER, SELL, TAKER, WIDE, check, depth, kinds, new_exchange, queue, refused, told, trades


def test_only_a_part_shows(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, SELL, 100, 10, display=3)
    assert kinds(exchange) == [EventKind.ACCEPTED, EventKind.DISPLAYED]
    assert depth(exchange) == ([], [100, 3])
    found = exchange.order(order)
    assert found
    assert (found.remaining, found.displayed, exchange.balance(MAKER, 0)[1]) == (10, 3, 100_000)


def test_what_shows_next_comes_last_in_its_queue(exchange: Exchange) -> None:
    iceberg = exchange.place(MAKER, 0, SELL, 100, 10, display=3)
    other = exchange.place(OTHER, 0, SELL, 100, 4)
    exchange.place(TAKER, 0, BUY, 100, 5)
    assert trades(exchange) == [(iceberg, 100, 3), (other, 100, 2)]
    [displayed] = told(exchange, EventKind.DISPLAYED)
    assert (displayed.order, displayed.size, displayed.remaining) == (iceberg, 3, 7)
    assert queue(exchange, SELL, 100) == [(other, 2), (iceberg, 7)]
    assert depth(exchange) == ([], [100, 5])


def test_one_taker_can_have_all_of_it(exchange: Exchange) -> None:
    iceberg = exchange.place(MAKER, 0, SELL, 100, 8, display=3)
    other = exchange.place(OTHER, 0, SELL, 100, 1)
    exchange.place(TAKER, 0, BUY, 100, 9, time_in_force=TimeInForce.FOK)
    assert trades(exchange) == [(iceberg, 100, 3), (other, 100, 1), (iceberg, 100, 3), (iceberg, 100, 2)]
    assert [event.size for event in told(exchange, EventKind.DISPLAYED)] == [3, 2]
    assert depth(exchange) == ([], [])


def test_as_a_taker_it_is_as_any(exchange: Exchange, asks: list[int]) -> None:
    order = exchange.place(TAKER, 0, BUY, 100, 20, display=2)
    assert trades(exchange) == [(asks[0], 100, 5), (asks[1], 100, 7)]
    assert depth(exchange)[0] == [100, 2]
    assert queue(exchange, BUY, 100) == [(order, 8)]


def test_a_display_of_all_hides_nothing(exchange: Exchange) -> None:
    for display in (5, 6):
        order = exchange.place(MAKER, 0, BUY, 50, 5, display=display)
        assert kinds(exchange) == [EventKind.ACCEPTED]
        assert exchange.orders(MAKER)[0].displayed == 5
        exchange.cancel(MAKER, order)


def test_reduce_takes_from_the_hidden_part_first(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, BUY, 50, 10, display=3)
    exchange.place(OTHER, 0, BUY, 50, 1)
    for by, shown in ((4, 3), (3, 3), (1, 2)):
        exchange.reduce(MAKER, order, by)
        assert depth(exchange)[0] == [50, shown + 1]
    assert queue(exchange, BUY, 50)[0] == (order, 2)
    assert exchange.balance(MAKER, 1)[1] == 100


def test_a_smaller_size_at_its_price_keeps_its_place(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, BUY, 50, 10, display=3)
    exchange.place(OTHER, 0, BUY, 50, 1)
    exchange.replace(MAKER, order, 50, 5)
    assert (queue(exchange, BUY, 50)[0], depth(exchange)[0]) == ((order, 5), [50, 4])
    exchange.replace(MAKER, order, 50, 6)
    assert (queue(exchange, BUY, 50)[1], depth(exchange)[0]) == ((order, 6), [50, 4])
    assert [event.size for event in told(exchange, EventKind.DISPLAYED)] == [3]


def test_cancel_releases_what_does_not_show_too(exchange: Exchange) -> None:
    order = exchange.place(MAKER, 0, SELL, 100, 10, display=3)
    exchange.cancel(MAKER, order)
    [cancelled] = told(exchange, EventKind.CANCELLED)
    assert (cancelled.size, exchange.balance(MAKER, 0)[1]) == (10, 0)


def test_what_counts_as_liquidity(exchange: Exchange) -> None:
    exchange.place(MAKER, 0, SELL, 100, 10, display=1)
    with refused(Reason.UNFILLABLE):
        exchange.place(TAKER, 0, BUY, 100, 11, time_in_force=TimeInForce.FOK)
    exchange.place(TAKER, 0, BUY, 100, 10, time_in_force=TimeInForce.FOK)


@pytest.mark.parametrize("options", [{"time_in_force": 1}, {"time_in_force": 2}, {"type": 1}])
def test_an_iceberg_needs_to_stay(exchange: Exchange, options: dict[str, int]) -> None:
    with refused(Reason.UNKNOWN_OPTION):
        exchange.place(MAKER, 0, BUY, 100, 10, display=3, **options)    # type: ignore[arg-type]


def test_what_shows_is_at_least_an_order(exchange: Exchange) -> None:
    exchange.add_instrument(exchange.books[0].instrument._replace(name="large", size_min=5))
    for display in (-1, 4):
        with refused(Reason.SIZE_TOO_SMALL):
            exchange.place(MAKER, 1, BUY, 100, 10, display=display)
    exchange.place(MAKER, 1, BUY, 100, 10, display=5)


def test_what_comes_to_rest_shows_no_more_than_there_is(exchange: Exchange, asks: list[int]) -> None:
    """4 lots are left of 16: a display of 5 shows them all, without a word; one of 4 as well."""
    for display in (5, 4):
        order = exchange.place(TAKER, 0, BUY, 100, 16, display=display)
        assert (told(exchange, EventKind.DISPLAYED), depth(exchange)[0]) == ([], [100, 4])
        exchange.cancel(TAKER, order)
        exchange.place(MAKER, 0, SELL, 100, 12)


def test_a_part_that_is_partly_used_stays_in_its_place(exchange: Exchange) -> None:
    iceberg = exchange.place(MAKER, 0, SELL, 100, 10, display=3)
    other = exchange.place(OTHER, 0, SELL, 100, 1)
    exchange.place(TAKER, 0, BUY, 100, 2)
    assert (told(exchange, EventKind.DISPLAYED), queue(exchange, SELL, 100), depth(exchange)) == ([], [(iceberg, 8), (other, 1)], ([], [100, 2]))


def test_at_a_new_price_it_shows_a_whole_part(exchange: Exchange) -> None:
    """One lot of the part at 100 is left when the order moves; at 101 it shows three again."""
    iceberg = exchange.place(MAKER, 0, SELL, 100, 10, display=3)
    exchange.place(TAKER, 0, BUY, 100, 2)
    exchange.replace(MAKER, iceberg, 101, 8)
    [displayed] = told(exchange, EventKind.DISPLAYED)
    assert (displayed.order, displayed.price, displayed.size, depth(exchange)) == (iceberg, 101, 3, ([], [101, 3]))
    exchange.replace(MAKER, iceberg, 102, 2)
    assert (told(exchange, EventKind.DISPLAYED), depth(exchange)) == ([], ([], [102, 2]))
    exchange.replace(MAKER, iceberg, 102, 9)
    assert depth(exchange) == ([], [102, 3])


def test_the_last_part_may_be_smaller_than_an_order(exchange: Exchange) -> None:
    exchange.add_instrument(exchange.books[0].instrument._replace(name="large", size_min=5))
    exchange.place(MAKER, 1, SELL, 100, 12, display=5)
    exchange.place(TAKER, 1, BUY, 100, 10)
    assert [event.size for event in told(exchange, EventKind.DISPLAYED)] == [5, 2]
    assert exchange.books[1].levels.depth() == ([], [100, 2])


def test_each_part_is_a_fill_of_its_own() -> None:
    """The fee is that of the whole order: 3 % of 3, 3 and 2 lots at 10 are nothing each, but of 8 lots they are 2."""
    exchange = new_exchange(WIDE._replace(taker_fee=30_000), btc=8, usd=1_000)
    exchange.place(0, 0, SELL, 10, 8, display=3)
    exchange.place(1, 0, BUY, 10, 8)
    assert [event.size for event in told(exchange, EventKind.TRADE)] == [3, 3, 2]
    assert (exchange.balance(1, 1), exchange.fees(1)) == ((918, 0), 2)
    check(exchange)
