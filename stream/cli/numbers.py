"""Numbers on the command line, each checked against its bounds. The functions raise ArgumentTypeError for a bad number."""

from argparse import ArgumentTypeError
from math import inf


def number(text: str, expected: str) -> float:
    """Any number."""
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text}: expected {expected}") from None


def share(text: str) -> float:
    """A share, from 0 to 1."""
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
    """A whole number of at least `least`."""
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ArgumentTypeError(f"{text}: expected a whole number of at least {least}")
    return value


def counted(text: str) -> int:
    """A whole number of at least 1."""
    return whole(text, 1)
