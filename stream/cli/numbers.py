"""Numbers of the command line, each with the bounds that it makes sense in."""

from argparse import ArgumentTypeError
from math import inf


def number(text: str, expected: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text}: expected {expected}") from None


def share(text: str) -> float:
    """A share of 1."""
    expected = "a share from 0 to 1"
    value = number(text, expected)
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text}: expected {expected}")
    return value


def positive(text: str) -> float:
    """A number above 0."""
    expected = "a number above 0"
    value = number(text, expected)
    if not 0 < value < inf:
        raise ArgumentTypeError(f"{text}: expected {expected}")
    return value


def whole(text: str, least: int = 0) -> int:
    """A whole number from 0 on, or from another one."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ArgumentTypeError(f"{text}: expected a whole number from {least} on")
    return value


def counted(text: str) -> int:
    """A whole number from 1 on."""
    return whole(text, 1)
