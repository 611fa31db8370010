"""The texts about messages that cannot be read: what was wrong and what was expected, in words of the protocol instead of those of the decoder."""

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import fields

from stream.wire.messages import Request

KINDS: dict[str, type[msgspec.Struct]] = {kind.__struct_config__.tag: kind for kind in get_args(Request)}

LONE_SURROGATE = re.compile(rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|[c-fC-F][0-9a-fA-F]{2})")
"""Half of a surrogate pair of UTF-16, or the start of a pair. It is only searched for in messages that cannot be read."""

AT_FIELD = re.compile(r" - at `\$\[(\d+)\](.*)`$")

SHOWN_MAX = 40
"""How many characters of what a client sent an error text shows."""


hints_of = cache(partial(get_type_hints, include_extras=True))


def options(hint: Any) -> list[str]:
    """The texts that a field may have, if the protocol lists them."""
    if get_origin(hint) is Literal:
        return [str(option) for argument in get_args(hint) for option in (options(argument) or [argument])]
    return [text for part in get_args(hint) if get_origin(part) or get_args(part) for text in options(part)]


def shape(tag: str, kind: type[msgspec.Struct]) -> str:
    """The elements of a message. Those that may be left out are in brackets."""
    names = [f"[{field.name}]" if not field.required else field.name for field in fields(kind)]
    return f"expected {', '.join([repr(tag), *names])}"


def explain(error: Exception, payload: bytes, elements_of: Callable[[bytes], list[msgspec.Raw]], decode: Callable[..., Any]) -> str:
    """The text for the sender of a message. `elements_of` splits the message, `decode` reads one element."""
    text = str(error)
    if isinstance(error, RecursionError):
        return "too deep: expected an array of texts and integers, some of them in a list"
    if isinstance(error, UnicodeDecodeError) or "UTF-8" in text:    # the first from older versions of msgspec, the second from newer ones
        return f"a text is not UTF-8: {text}"
    if not payload:
        return "nothing, where a message was expected (the input is truncated)"
    if "truncated" in text and LONE_SURROGATE.search(payload):
        return "a text has half of a surrogate pair, such as \\ud800: expected whole characters"
    try:
        elements = elements_of(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    if not elements:
        return f"an empty array: expected a message such as {shape('ping', KINDS['ping']).removeprefix('expected ')}"
    try:
        tag = decode(elements[0], type=str)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return f"$[0], the message's tag: expected a text, one of {', '.join(KINDS)}"
    if tag not in KINDS:
        return f"there is no message {tag[:SHOWN_MAX]!r} - at `$[0]`: expected one of {', '.join(KINDS)}"
    return explain_field(text, tag, len(elements), decode, elements)


def explain_field(text: str, tag: str, count: int, decode: Callable[..., Any], elements: list[msgspec.Raw]) -> str:
    """What is wrong with an element of a message whose tag is known, or with the number of its elements."""
    kind = KINDS[tag]
    names = [field.name for field in fields(kind)]
    at = AT_FIELD.search(text)
    if not at:
        return f"{tag}: {shape(tag, kind)}; got {count} elements" if "of at" in text else f"{tag}: {text}"
    number, inside = int(at[1]), at[2]
    name = names[number - 1] if 0 < number <= len(names) else "?"
    said = text[: at.start()].replace("`", "")
    hint = hints_of(kind).get(name)
    choices = options(hint)
    if choices and "enum" in said:
        said = f"{said}: expected one of {', '.join(choices)}"
    if "Expected int, got float" in said or "Expected int, got str" in said:
        what = {"price": " of ticks", "stop": " of ticks", "size": " of lots", "display": " of lots", "min_size": " of lots"}.get(name, "")
        said += f": a whole number{what}, not a decimal one"
    elif "null" in said and elements[number : number + 1]:
        said += ": only what stands in brackets may be left out"
    return f"{tag}, {name} - at `$[{number}]{inside}`: {said}"
