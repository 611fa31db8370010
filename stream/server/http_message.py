"""Requests over HTTP and their answers as plain data."""

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Request(NamedTuple):
    """What came. `query` and `body` are as they were sent; the names of `headers` are in small letters."""

    method: str
    path: str
    query: str = ""
    body: str = ""
    headers: Mapping[str, str] = {}
    address: str = ""


class Answer(NamedTuple):
    """What goes back: a body of some type, and headers besides those that every answer has."""

    status: int
    body: bytes
    headers: dict[str, str] = {}
    type: str = "application/json"


Reply = Callable[[Answer], None]
