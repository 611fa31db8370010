"""The compiled reader of requests about orders takes what msgspec takes, and reads the same in it."""

import re
from random import Random
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Commands
from stream.wire.codec import MSGPACK, UNREADABLE
from stream.wire.fields import OrderTypeName, SelfTradeMode, TimeInForceName
from stream.wire.messages import Cancel, OrderRequest, Place, Reduce, Replace
from stream.wire.order_reader import order_in
from tests.orders import FIELDS, elements, required
from tests.wire.mutation import damaged

TYPES, TIMES = (get_args(get_args(name)[0]) for name in (OrderTypeName, TimeInForceName))
SELF_TRADES = ("account", *get_args(SelfTradeMode))


def by_msgspec(payload: bytes) -> Any:
    """The message, None if it cannot be read."""
    try:
        return MSGPACK.decode_request(payload)
    except UNREADABLE:
        return None


def command_of(request: OrderRequest) -> bytes:
    """The command without account, instrument and time, by its fields' names."""
    commands = Commands()
    match request:
        case Place():
            commands.place(
                0, 0, ("buy", "sell").index(request.side), request.price, request.size, TYPES.index(request.type), TIMES.index(request.time_in_force),
                request.post_only, request.client_id, 0, slide=request.slide, quote=request.quote, stop=request.stop, display=request.display,
                min_size=request.min_size, expires=request.expires, linked=request.linked, self_trade=SELF_TRADES.index(request.self_trade),
            )
        case Cancel():
            commands.cancel(0, request.order, request.client_id)
        case Reduce():
            commands.reduce(0, request.order, request.by, request.client_id)
        case Replace():
            commands.replace(0, request.order, request.price, request.size, request.client_id, stop=request.stop)
    return bytes(commands)


def check(payload: bytes) -> bool:
    """What is taken is what msgspec reads; whether it is taken."""
    taken = order_in(payload)
    if taken is None:
        return False
    request = by_msgspec(payload)
    assert isinstance(request, Place | Cancel | Reduce | Replace)
    assert taken == (request.id, getattr(request, "instrument", ""), request.key, command_of(request))
    return True


@given(elements())
def test_what_msgspec_writes_and_reads_is_taken(message: list[Any]) -> None:
    payload = msgspec.msgpack.encode(message)
    assert check(payload) == (by_msgspec(payload) is not None)


@given(elements(), elements(), st.integers(0, 1 << 32))
def test_nothing_is_taken_that_msgspec_refuses_or_reads_otherwise(message: list[Any], other: list[Any], seed: int) -> None:
    check(damaged(Random(seed), msgspec.msgpack.encode(message), msgspec.msgpack.encode(other)))


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("by", [-1, 0, 1])
def test_there_may_be_no_fewer_and_no_more_elements(kind: type[OrderRequest], by: int) -> None:
    full = msgspec.to_builtins(MSGPACK.decode_request(MSGPACK.encode(some(kind))))
    assert (order_in(msgspec.msgpack.encode(full[: 1 + required(kind) + by])) is not None) == (by >= 0)
    assert (order_in(msgspec.msgpack.encode([*full, 0][: len(full) + by])) is not None) == (by <= 0)


def some(kind: type[OrderRequest]) -> OrderRequest:
    return Place(1, "BTC-USD", "buy", 2, 3) if kind is Place else kind(1, 2, 3, 4) if kind is Replace else kind(1, 2, 3)    # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize("id", [1, (1 << 53) - 1, 0, 1 << 53])
def test_an_id_is_from_1_to_below_2_to_the_53(id: int) -> None:
    assert (order_in(msgspec.msgpack.encode(["cancel", id, 1])) is not None) == (0 < id < 1 << 53)


@pytest.mark.parametrize("name", ["A", "x" * 31, "x" * 32, "x" * 64, "A-z.0/9_", "", "x" * 65, "a b", "é", "A\n", "[", "`", "@", ":", ","])
def test_an_instruments_name_has_no_other_characters(name: str) -> None:
    payload = msgspec.msgpack.encode(["place", 1, name, "sell", 2, 3])
    assert check(payload) == bool(re.fullmatch("[A-Za-z0-9._/-]{1,64}", name))


@pytest.mark.parametrize("payload", [
    b"", b"\x90", b"\xdc", b"\xdc\x00", b"\xdc\x00\x00", b"\xdd\x00\x00\x00\x02", b"\x92", b"\x92\xa6cancel", b"\x92\xa6cance",
])
def test_a_message_that_ends_too_early_is_left_to_msgspec(payload: bytes) -> None:
    assert order_in(payload) is None


def test_a_number_may_be_longer_than_it_needs_to_be() -> None:
    assert check(b"\x93\xa6cancel\xcf" + (7).to_bytes(8) + b"\xcd" + (7).to_bytes(2))
    assert check(b"\xdc\x00\x03\xa6cancel\xcc\x07\xce" + (7).to_bytes(4))
