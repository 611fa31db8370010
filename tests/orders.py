"""Requests about orders for tests, out of hypothesis and out of a `Random`: good ones, ones that the engine refuses, and ones that nobody can read."""

from random import Random
from typing import Any, get_args

import msgspec
from hypothesis import strategies as st

from stream.wire.fields import Message, OrderTypeName, SelfTradeMode, SideName, TimeInForceName
from stream.wire.messages import Cancel, CancelAll, Place, Reduce, Replace

ID_MAX, COUNT_MAX = (1 << 53) - 1, (1 << 63) - 1
EDGES = sorted({(1 << bits) + by for bits in (0, 5, 7, 8, 16, 32, 53, 62) for by in (-1, 0, 1)} | {COUNT_MAX})
"""Around where an integer takes another byte, or is too large."""

IDS = st.one_of(st.sampled_from([edge for edge in EDGES if edge <= ID_MAX]), st.integers(0, ID_MAX))
COUNTS = st.one_of(st.sampled_from(EDGES), st.integers(0, COUNT_MAX))
NAMES = st.text("ABCXYZabcxyz0189._/-", min_size=1, max_size=64)
SIDES, TYPES, TIMES = (st.sampled_from(get_args(get_args(name)[0])) for name in (SideName, OrderTypeName, TimeInForceName))
SELF_TRADES = st.sampled_from(("account", *get_args(SelfTradeMode)))

FIELDS: dict[type[Message], list[st.SearchStrategy[Any]]] = {
    Place: [
        IDS, NAMES, SIDES, COUNTS, COUNTS, TYPES, TIMES, st.booleans(), IDS, st.booleans(), st.booleans(), COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, SELF_TRADES,
        IDS, COUNTS,
    ],
    Cancel: [IDS, COUNTS, IDS, IDS, COUNTS],
    Reduce: [IDS, COUNTS, COUNTS, IDS, IDS, COUNTS],
    Replace: [IDS, COUNTS, COUNTS, COUNTS, IDS, COUNTS, IDS, COUNTS],
}


def required(kind: type[Message]) -> int:
    """How many fields must be there."""
    return sum(field.required for field in msgspec.structs.fields(kind))


@st.composite
def elements(draw: st.DrawFn) -> list[Any]:
    """The elements of a request, of which the last ones may be left out."""
    kind = draw(st.sampled_from(list(FIELDS)))
    fields = FIELDS[kind][: draw(st.integers(required(kind), len(FIELDS[kind])))]
    return [kind.__struct_config__.tag, *(draw(field) for field in fields)]


def some_request(random: Random, id: int, names: tuple[str, ...]) -> Message:
    """A request of somebody who trades wildly around one price, with few client ids, so that many orders are met, named twice, or gone."""
    client_id = random.choice((0, random.randrange(1, 30)))
    order = 0 if client_id or random.random() < 0.5 else (random.randrange(1, 40) << 24) + random.randrange(1, 12)
    price, size = random.choice((0, 100 + random.randrange(-5, 6), 1 << 62)), random.choice((0, 1, 5, 40, 1 << 61))
    match random.randrange(9):
        case 0:
            return Cancel(id, order, client_id)
        case 1:
            return Reduce(id, order, random.choice((0, 1, 7)), client_id)
        case 2:
            return Replace(id, order, price, size, client_id, random.choice((0, 0, 90, 1 << 60)))
        case 3 if random.random() < 0.1:
            return CancelAll(id, random.choice((None, *names)))
        case 4:
            return Place(
                id, random.choice(names), random.choice(("buy", "sell")), price, size, random.choice(get_args(get_args(OrderTypeName)[0])),
                random.choice(get_args(get_args(TimeInForceName)[0])), random.random() < 0.2, client_id, random.random() < 0.2, random.random() < 0.2,
                random.choice((0, 95, 105)), random.choice((0, 0, 2)), random.choice((0, 0, 3)), random.choice((0, 1, 1 << 61)), random.choice((0, 1)),
                random.choice(("account", *get_args(SelfTradeMode))), random.choice((0, 0, 0, random.randrange(1, 20))),
            )
    return Place(id, random.choice((*names, "NONE")[: len(names) + (random.random() < 0.05)]), random.choice(("buy", "sell")), 100 + random.randrange(-5, 6),
                 random.choice((1, 5, 40)), post_only=random.random() < 0.2, client_id=client_id)
