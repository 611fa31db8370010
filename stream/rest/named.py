"""Messages as objects: what the native protocol says in arrays, with the names of its fields.

Each struct of the wire has a twin here, of the same name and with the same fields, types and limits. A request has no `id`, for HTTP knows what answers what.
A digest is text, because it is larger than what many readers of JSON can count to.
"""

from collections.abc import Collection, Mapping
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import FieldInfo, fields

from stream.wire.fields import Message
from stream.wire.malformed import hints_of

DigestText = Annotated[str, Meta(pattern="^[0-9]{1,20}$", description="The 64-bit sum over all that is shown, as of `seq`, in decimal: it can be above 2^53.")]


def twin_of(hint: Any, nullable: bool = True) -> Any:
    """The type that stands for a type of the wire. Without `nullable`, what is not given is left out, and never null."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        return twin(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return Annotated[twin_of(arguments[0], nullable), *arguments[1:]]
    if origin in (Union, UnionType):
        return reduce(or_, (twin_of(each) for each in arguments if nullable or each is not type(None)))
    return origin[tuple(map(twin_of, arguments))] if origin and origin is not Literal else hint


def default_of(field: FieldInfo) -> Any:
    """What a field is if it is not given."""
    return field.default if field.default_factory is msgspec.NODEFAULT else msgspec.field(default_factory=field.default_factory)


@cache
def twin(kind: type[Struct], only: Collection[str] = (), nullable: bool = True) -> type[Struct]:
    """The struct that stands for one of the wire: with all of its fields but `id`, or only with some."""
    hints = hints_of(kind)
    tag = kind.__struct_config__.tag if not issubclass(kind, Message) else None
    made: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in fields(kind):
        if field.name in only if only else not (field.name == "id" and issubclass(kind, Message)):
            type = DigestText if field.name == "digest" else twin_of(hints[field.name], nullable)
            made.append((field.name, type) if field.required else (field.name, type, default_of(field)))
    return msgspec.defstruct(
        kind.__name__, made, namespace={"__doc__": kind.__doc__}, forbid_unknown_fields=bool(only), tag=tag, tag_field="tag" if tag else None, kw_only=True,
    )


def plain(value: Any) -> Any:
    """A message of the wire as JSON has it."""
    if isinstance(value, Struct):
        tag = value.__struct_config__.tag
        message = isinstance(value, Message)
        found: dict[str, Any] = {} if message or not tag else {"tag": tag}
        for name in value.__struct_fields__:
            each = getattr(value, name)
            if name == "digest":
                found[name] = str(each)
            elif name != "id" or not message:
                found[name] = plain(each)
        return found
    if isinstance(value, list):
        return [plain(each) for each in value] if value and isinstance(value[0], Struct) else value
    return value


def read_named(values: Mapping[str, str], kind: type[Struct]) -> dict[str, Any]:
    """The fields that are given as texts, by name. msgspec.ValidationError if they are not those of the struct."""
    return {name: getattr(read, name) for read in [msgspec.convert(values, kind, strict=False)] for name in values}
