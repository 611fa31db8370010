"""What a client reads and writes: exact decimals, and counts under names that say what they count."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from stream import Lots, Ticks, Units
from stream.client import readings
from stream.client.counts import count
from stream.client.errors import ClientError
from stream.client.readings import KINDS, Balance, Book, Done, Level, Reading, Trade, scale
from stream.wire import fields, frames, messages
from stream.wire.scale import from_text

SCALES = {"BTC-USD": scale("0.05", "0.0001", 6)}
READINGS = [each for each in vars(readings).values() if isinstance(each, type) and issubclass(each, Reading) and each is not Reading]
COUNTED = {"ticks": [fields.Ticks], "lots": [fields.Lots], "units": [fields.Money, fields.Fee]}
LISTS = {"bids", "asks", "trades", "orders", "balances", "candles"}


@pytest.mark.parametrize("reading", READINGS, ids=lambda reading: reading.__name__)
def test_a_reading_has_all_that_the_wire_says(reading: type[Reading]) -> None:
    """Each field is there by its name; and what the wire counts is a decimal, with the count beside it."""
    for name, hint in reading.of.__annotations__.items():
        if name == "id" or name.endswith("_beyond"):
            continue
        assert hasattr(reading, name)
        metadata = getattr(hint, "__metadata__", ())
        kinds = [kind for kind, counted in COUNTED.items() if any(each.__metadata__[0] in metadata for each in counted)]
        assert [kind for kind in KINDS if f"{name}_{kind}" in reading.fields] == kinds
        assert name in (*reading.fields, *LISTS)


@given(st.integers(0, (1 << 63) - 1), st.integers(0, (1 << 63) - 1), st.sampled_from(["0.05", "1E-8", "25", "0.0001"]))
def test_decimals_are_exact_and_can_be_written_back(price: int, size: int, step: str) -> None:
    scales = {"X": scale(step, step, 6)}
    trade = Trade(frames.Trade(1, 2, price, size, "buy"), scales, "X")
    assert (trade.price_ticks, trade.size_lots) == (price, size)
    assert from_text(trade.price, step) == price    # type: ignore[arg-type]
    for given_back in (trade.price, trade.price_ticks, f"{trade.price:f}"):
        assert count("price", given_back, Ticks, Decimal(step)) == price


def test_a_total_beyond_a_word_is_whole() -> None:
    figures = dict.fromkeys(frames.Ticker.__struct_fields__, 1) | {"volume_beyond": 2}
    ticker = readings.Ticker(frames.Ticker(**figures), SCALES, "BTC-USD")    # type: ignore[arg-type]
    assert ticker.volume_lots == (2 << 63) + 1
    assert ticker.volume == ticker.volume_lots * Decimal("0.0001")


@pytest.mark.parametrize(("kind", "value", "told"), [
    (Ticks, 60000, 'price=60000: expected decimal text such as price="60000"; or price=Ticks(60000), which counts steps of 0.05'),
    (Ticks, 0, "price=0: expected decimal text"),
    (Ticks, Lots(3), r"price=Lots\(3\): expected decimal text"),
    (Lots, Units(3), r"price=Units\(3\): .* price=Lots\(3\)"),
    (Lots, True, "expected decimal text"),
    (Lots, 0.5, "a float is rarely exactly the number that it shows"),
    (Lots, "0.51", "expected a whole multiple of 0.05"),
])
def test_a_bare_number_is_refused_with_what_to_write(kind: type[int], value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("(60000)", r"\(60000\)")):
        count("price", value, kind, Decimal("0.05"))


def test_people_see_decimals_and_counts_where_there_is_no_scale() -> None:
    wire = frames.Trade(1, 2, 20, 5, "buy")
    assert str(Trade(wire, SCALES, "BTC-USD")) == "Trade(seq=1, time=2, price=1.00, size=0.0005, side=buy)"
    assert str(Trade(wire, {}, "BTC-USD")) == "Trade(seq=1, time=2, price_ticks=20, size_lots=5, side=buy)"
    assert str(Balance(frames.Balance("USD", 6, 5_000_000, 0), {}, "USD")) == "Balance(asset=USD, decimals=6, available=5.000000, held=0.000000)"
    assert Trade(wire, SCALES, "BTC-USD") == Trade(wire, {}, "BTC-USD")
    assert len({Trade(wire, SCALES, "BTC-USD"), Trade(wire, {}, "BTC-USD")}) == 1


def test_an_order_of_an_unknown_instrument_has_counts_and_says_so() -> None:
    done = Done(messages.Done(1, 2, 3, 4, "open", 5, 6, 7), SCALES, "")
    assert (done.remaining_lots, done.filled_lots, done.value_units) == (5, 6, 7)
    with pytest.raises(ClientError, match="pass the order itself instead of its id"):
        _ = done.remaining


def test_the_levels_of_a_frame() -> None:
    frame: Struct = frames.Book("orderbook:BTC-USD", 1, None, 2, [20, 5], [], 3, 1, 4, 5)
    assert Book(frame, SCALES, "BTC-USD").bids == [Level(Decimal("1.00"), Decimal("0.0005"), Ticks(20), Lots(5))]
    assert Book(frame, SCALES, "BTC-USD").asks == []
