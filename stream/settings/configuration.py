"""Generates the reference of a server's settings from the struct that defines them: `python -m stream.settings.configuration`."""

import inspect
import types
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from stream.settings.config import ENVIRONMENT_PREFIX, FLAGS, Config, FaultConfig, InstrumentConfig, KeyConfig, ScheduleConfig, settings

INTRODUCTION = """# The settings

`make docs` generates this page from the struct that the server reads, and a test checks that the page is current. You can set a setting in a TOML file
(`deltabook serve --config FILE`), in the environment, or with a flag. The environment overrides the file, and a flag overrides both. If a name or a value
is not allowed, the server says so and does not start. In the environment and after `--set`, write lists and tables as JSON:

| in the file | `intervals_ms = [0, 100]` |
|---|---|
| in the environment | `DELTABOOK_INTERVALS_MS='[0, 100]'` |
| as a flag | `--set 'intervals_ms=[0, 100]'` |

The name of a setting ends in its unit. If a setting has a flag of its own, `--set` sets it just as well. `deltabook serve --help` shows all of
this in short."""

TABLES: tuple[tuple[type[Struct], str], ...] = (
    (InstrumentConfig, "instruments"), (ScheduleConfig, "schedule"), (KeyConfig, "keys"), (FaultConfig, "faults"),
)
"""The structs that are tables in the file, and the settings that hold them."""

PLAIN = {int: "integer", float: "number", str: "text", bool: "true or false", Decimal: "decimal text"}


def bound_of(metas: Sequence[Any]) -> str:
    """The range of a number, in words."""
    low = next((meta.ge for meta in metas if getattr(meta, "ge", None) is not None), None)
    above = next((meta.gt for meta in metas if getattr(meta, "gt", None) is not None), None)
    high = next((meta.le for meta in metas if getattr(meta, "le", None) is not None), None)
    below = next((meta.lt for meta in metas if getattr(meta, "lt", None) is not None), None)
    if high is None and below is not None:
        high = below - 1
    if above is not None:
        return f" above {above}"
    if low is None:
        return ""
    return f" from {low}" if high is None or high >= 1 << 31 else f" from {low} to {high:,}"


def type_of(hint: Any) -> str:
    """A setting's type in a few words."""
    metas: list[Any] = []
    while get_origin(hint) is Annotated:
        hint, *more = get_args(hint)
        metas += more
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if argument is types.NoneType else type_of(argument) for argument in arguments)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return f"list of {type_of(arguments[0]).replace('integer', 'integers').replace('[table]', '[tables]')}"
    if origin is dict:
        return f"table of {type_of(arguments[1]).replace('integer', 'integers')}"
    if inspect.isclass(hint) and issubclass(hint, Struct):
        name = next(name for kind, name in TABLES if kind is hint)
        return f"[table](#a-table-of-{name})"
    return f"{PLAIN[hint]}{bound_of(metas)}"


def unit_of(name: str) -> str:
    """The unit that the name of a setting ends in, "" for none."""
    words = name.removesuffix("_max").split("_")
    if words[-2:] == ["per", "s"]:
        return "bytes per second" if "bytes" in words else "per second"
    if "bytes" in words:
        return "bytes"
    return {"ms": "milliseconds", "s": "seconds"}.get(words[-1], "")


def toml(value: Any) -> str:
    """A default value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return msgspec.json.encode(value).decode()


def flag_of(name: str) -> str:
    """How to give a setting on the command line."""
    if name == "sources":
        return f"`{FLAGS[name]} NAME`, once for each"
    if name == "faults":
        return f"`{FLAGS[name]} NAME=VALUE,...`"
    return f"`{FLAGS[name]} VALUE`" if name in FLAGS else f"`--set {name}=VALUE`"


def setting_lines() -> Iterator[str]:
    """The lines about every setting, each under a heading of its own."""
    hints = get_type_hints(Config, include_extras=True)
    for name, default, meaning in settings():
        value = msgspec.json.decode(default)
        is_table = any(name == table for _, table in TABLES) and value is None
        in_file = f"[`[{name}]`](#a-table-of-{name})" if is_table else f"`{name} = {'VALUE' if value is None else toml(value)}`"
        in_shell = value if isinstance(value, str) else f"'{default}'" if default[0] in "[{" else default
        variable = f"{ENVIRONMENT_PREFIX}{name.upper()}" + ("" if value is None else f"={in_shell}")
        unit = unit_of(name)
        yield f"\n### `{name}`\n\n{meaning}\n"
        yield f"| type | {type_of(hints[name])} |\n|---|---|"
        yield from [f"| unit | {unit} |"] if unit else []
        yield f"| default | {'none' if value is None else f'`{toml(value)}`'} |"
        yield f"| in the file | {in_file} |"
        yield f"| in the environment | `{variable}` |"
        yield f"| as a flag | {flag_of(name)} |"


def table_lines(kind: type[Struct], name: str) -> Iterator[str]:
    """The lines about a table and its fields."""
    hints = get_type_hints(kind, include_extras=True)
    yield f"\n### A table of `{name}`\n\n{inspect.cleandoc(kind.__doc__ or '')}\n"
    yield "| field | type | default | meaning |\n|---|---|---|---|"
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        metas = hint.__metadata__ if get_origin(hint) is Annotated else ()
        meaning = next((meta.description for meta in reversed(metas) if meta.description), "")
        default = "" if field.required else f"`{toml(msgspec.to_builtins(field.default))}`"
        yield f"| `{field.name}` | {type_of(hint)} | {default} | {meaning} |"


def configuration() -> str:
    """The whole reference, in Markdown."""
    lines = [INTRODUCTION, "\n## Settings", *setting_lines(), "\n## Tables"]
    for kind, name in TABLES:
        lines += table_lines(kind, name)
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(configuration(), end="")
