"""Generates the reference of the protocol from the structs and codes that define it: `python -m stream.wire.reference`."""

import inspect
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from engine.levels import digest_of
from engine.queues import order_share
from stream.wire import administration, candles, frames, history, messages
from stream.wire.codes import CloseCode, Code, ErrorCode
from stream.wire.fields import Message, MessagePart
from stream.wire.messages import Answer, Frame, Reply, Request

INTRODUCTION = """# The protocol

`make docs` generates this page, and a test checks that it is current. `asyncapi.json`, beside this page, is an AsyncAPI 3 document of
the same messages. `tests/vectors` holds examples, byte for byte: what a server sends, and what a client must make of it.

A client opens a WebSocket at `/v1`. It names one of two subprotocols: with `deltabook.v1.msgpack`, the default, each binary message is
one MessagePack array; with `deltabook.v1.json`, each text message is the same array in JSON. The first element of an array is the
message's tag. The other elements are its fields, in the order below. Trailing fields with a default may be left out.

Every number is an integer. Prices are in ticks and sizes in lots of their instrument. Money is in the smallest units of its asset.
Times are in nanoseconds since 1970-01-01 UTC. Some numbers are larger than 2^53: read them as 64-bit integers.

`engine/REFERENCE.md` says exactly what the type and the options of an order do. `CONFIGURATION.md`, beside this page, says how to
set the intervals, the depths and the limits of a server.

Send a token in the `Authorization: Bearer` header of the handshake, or in a `login` message. Never put it into the URL.

## What a client does with a frame

Every frame of every channel has `epoch`, `prev` and `seq`. A client keeps its own `epoch` and `seq` for each channel. It follows
five rules, and the first one that fits decides; rule 5 comes after rule 1 and rule 4:

1. If `prev` is null, the frame is a snapshot. Forget what you have. Take the frame, its `epoch` and its `seq`.
2. If the `epoch` is not yours, or `prev` is above your `seq`, there is a gap. Subscribe again with `resume`.
3. If `seq` is not above yours, drop the frame.
4. Otherwise apply the frame, whatever your `seq` is, and take its `seq`. Size 0 removes a level. Ignore the removal of a level
   that you do not have. Ignore trades, order events and batches of a book by order that are not above your `seq`.
5. For books, and books by order, compare your digest with the frame's. If they differ, subscribe again without `resume`.

A frame that holds nothing is a heartbeat: the channel is complete up to its `seq`. The same five rules apply to it. If a channel
is silent for much longer than `heartbeat_ms`, it is lost. After `subscribed` with `recovered: none`, keep what you have.

## The digest

The digest is the sum, mod 2^64, of `mix(side, price, size)` over all levels of the book. If a depth is in force, it is the sum over
the levels of the window. `side` is 0 for bids and 1 for asks, and all arithmetic is unsigned and 64 bits wide:

    z = (2 * price + side) * 0x9E3779B97F4A7C15 + size * 0xC2B2AE3D27D4EB4F
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB
    mix = z ^ (z >> 31)

For example, a book with a single bid of 5 lots at 100 ticks has the digest {example}.

The digest of a book by order is the sum, mod 2^64, of one term for each order. `ahead` is the number of the order directly ahead of it in the queue of its
price, 0 for none; so the digest also proves the priority:

    term = mix(0, mix(side, price, size), mix(0, order, ahead))

For example, if that bid is one order with the number 7, the digest of the book by order is {by_order}. Add up the sizes at each price, and you have the
book of `orderbook:<instrument>` at the same `seq`, with its digest."""


def words_of(hint: Any) -> tuple[str, str]:
    """The type of a field in a few words, and its meaning."""
    description = ""
    while get_origin(hint) is Annotated:
        hint, *metas = get_args(hint)
        description = next((meta.description for meta in reversed(metas) if getattr(meta, "description", None)), "") or description
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [words_of(argument) for argument in arguments if argument is not types.NoneType]
        return " or ".join([words for words, _ in inner] + ["null"] * (types.NoneType in arguments)), description or inner[0][1]
    if origin is Literal:
        return " ".join(f"`{value}`" if value else '`""`' for value in arguments), description
    if origin is list:
        name, inner_description = words_of(arguments[0])
        return f"list of {name}", description or inner_description
    if origin is tuple:
        return f"[{', '.join(words_of(argument)[0] for argument in arguments if argument is not Ellipsis)}]", description
    if origin is dict:
        return f"map of {words_of(arguments[0])[0]} to {words_of(arguments[1])[0]}", description
    if inspect.isclass(hint) and issubclass(hint, MessagePart):
        return f"[{hint.__name__}](#{hint.__name__.lower()})", description
    return {int: "integer", str: "text", bool: "true or false"}.get(hint, getattr(hint, "__name__", str(hint))), description


def table(kind: type[Message] | type[MessagePart]) -> Iterator[str]:
    """The fields of a struct as a Markdown table."""
    hints = get_type_hints(kind, include_extras=True)
    yield "| field | type | meaning |"
    yield "|---|---|---|"
    for field in msgspec.structs.fields(kind):
        type_words, description = words_of(hints[field.name])
        default = ""
        if not field.required:
            value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
            default = f" Default: `{msgspec.json.encode(value).decode()}`."
        yield f"| `{field.name}` | {type_words} | {description}{default} |".replace("  ", " ")


def section(title: str, kinds: Iterable[Any]) -> Iterator[str]:
    """Messages and their fields, under one heading."""
    yield f"\n## {title}"
    for kind in kinds:
        yield f"\n### `{kind.__struct_config__.tag}`\n\n{inspect.cleandoc(kind.__doc__)}\n"
        yield from table(kind)


def codes(title: str, introduction: str, kind: type[Code]) -> Iterator[str]:
    """Numbered codes as a Markdown table."""
    yield f"\n## {title}\n\n{introduction}\n\n| code | name | what to do |\n|---|---|---|"
    for code in kind:
        yield f"| {int(code)} | `{code.name}` | {code.text} |"


def reference() -> str:
    """The whole reference, in Markdown."""
    named = vars(messages) | vars(administration) | vars(candles) | vars(history) | vars(frames)
    records = [each for each in named.values() if inspect.isclass(each) and issubclass(each, MessagePart) and each is not MessagePart]
    told = get_args(Frame)
    replies = get_args(Reply)
    others = [kind for kind in get_args(Answer) if kind not in (*told, *replies)]
    lines = [INTRODUCTION.format(example=digest_of([100, 5], []), by_order=order_share(7, 0, 0, 100, 5))]
    lines += section("What a client sends", get_args(Request))
    lines += section("What a server answers", replies)
    lines += section("Frames", told)
    lines += section("What else a server sends", others)
    lines += ["\n## Parts of messages\n\nThese are arrays inside messages. They have no tag, unless one is named."]
    for record in records:
        tag = record.__struct_config__.tag
        said = f"{inspect.cleandoc(record.__doc__ or '')}{f' The first element is its tag, `{tag}`.' if tag else ''}"
        lines += [f"\n### {record.__name__}\n\n{said}\n", *(table(record) if record.__struct_fields__ else ())]
    lines += codes("Errors", "These are the numbers of `error` messages. The [table of all errors](ERRORS.md) also says what was expected.", ErrorCode)
    comes_back = (
        "A client comes back after 4000 to 4499, with growing and jittered delays. "
        "After 4500 to 4999 it does not, except after 4501, with another token or none."
    )
    lines += codes("Close codes", comes_back, CloseCode)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(reference(), end="")
