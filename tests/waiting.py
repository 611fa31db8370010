"""Waiting for what is expected, never for a time; what does not come is named, with what was there instead."""

import ast
import asyncio
import inspect
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

Answer = TypeVar("Answer")

WAIT_S = 30
"""Nothing that works takes as long, however busy the machine."""


async def until(holds: Callable[[], object], seconds: float = WAIT_S, every_s: float = 0.005) -> None:
    """Wait until a condition holds. AssertionError after so many seconds, with the condition's source and what each part of it was."""
    try:
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s for {described(holds)}") from None


async def until_answered(ask: Callable[[], Awaitable[Answer]], fits: Callable[[Answer], object], seconds: float = WAIT_S, every_s: float = 0.01) -> None:
    """Ask again and again until an answer fits. AssertionError after so many seconds, with both sources and the last answer."""
    answer: object = "none"
    try:
        async with asyncio.timeout(seconds):
            while not fits(answer := await ask()):
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise AssertionError(f"waited {seconds:g} s for an answer that fits: {source_of(ask)}, {source_of(fits)}, the last was {answer!r}") from None


def source_of(function: Callable[..., object]) -> str:
    """The source of a function, as far as it is known."""
    try:
        return " ".join(inspect.getsource(function).split())
    except (OSError, TypeError):
        return repr(function)


def described(holds: Callable[[], object]) -> str:
    """The source of a condition, and the values that are compared or joined in it as they are now."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(holds)).strip())
    except (OSError, TypeError, SyntaxError):
        return f"{holds!r}, which was {holds()!r}"
    conditions = [node for node in ast.walk(tree) if isinstance(node, ast.Lambda)]
    if len(conditions) != 1:    # a function, or several lambdas in one statement
        return f"{ast.unparse(tree)}, which was {holds()!r}"
    found = inspect.getclosurevars(holds)
    names = {**found.builtins, **found.globals, **found.nonlocals}
    body = conditions[0].body
    seen = ", ".join(f"{text} was {value_of(text, names)}" for text in dict.fromkeys(parts(body)))
    return f"`{ast.unparse(body)}`: {seen}"


def parts(node: ast.expr) -> Iterator[str]:
    """The source of what is looked at in an expression; constants tell nothing."""
    match node:
        case ast.BoolOp():
            for each in node.values:
                yield from parts(each)
        case ast.UnaryOp(op=ast.Not()):
            yield from parts(node.operand)
        case ast.Compare():
            for each in (node.left, *node.comparators):
                yield from parts(each)
        case ast.Constant():
            pass
        case _:
            yield ast.unparse(node)


def value_of(text: str, names: dict[str, object]) -> str:
    """What an expression is, or why it is nothing."""
    try:
        return repr(eval(text, dict(names)))
    except Exception as error:
        return repr(error)
