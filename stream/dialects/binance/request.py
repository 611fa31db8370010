"""The parameters of a request over HTTP, and the answer."""

import re
from collections.abc import Callable
from functools import cache
from typing import NamedTuple
from urllib.parse import unquote_plus

import msgspec

from stream.dialects.binance.errors import (
    DUPLICATE_PARAMETER,
    EMPTY_PARAMETER,
    ILLEGAL_CHARACTERS,
    MISSING_PARAMETER,
    NOT_TEXT,
    TOO_MANY_PARAMETERS,
    UNREAD_PARAMETERS,
    ApiError,
)
from stream.server.http_message import Answer

PARAMETERS_MAX = 64
NUMBER = "^[0-9]{1,20}$"
SYMBOL = "^[A-Z0-9-_.]{1,20}$"

encode = msgspec.json.Encoder().encode


class Told(NamedTuple):
    """What a request is answered: a value or an error, what its address has used, when it may come back, and how many orders its account has placed."""

    what: object
    used: int = 0
    retry_after: int = 0
    counts: dict[str, int] = {}


def said(status: int, body: object, **headers: str) -> Answer:
    """An answer that says a value."""
    return Answer(status, encode(body), headers)


def refused(error: ApiError) -> Answer:
    """The answer that says an error."""
    return said(error.kind.status, words(error))


def words(error: ApiError) -> dict[str, object]:
    """An error as it is told."""
    return {"code": error.kind.code, "msg": error.text} | ({"data": error.data} if error.data else {})


def stamp(time: int, micro: bool) -> int:
    """A time in ns as clients read it: in milliseconds, or in microseconds if they ask for those."""
    return time // 1000 if micro else time // 10**6


def _unquoted(text: str) -> str:
    """A name or a value of a form."""
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise ApiError(NOT_TEXT) from None


@cache
def _match_of(legal: str) -> Callable[[str], object]:
    """What finds out whether a text is legal."""
    return re.compile(legal, re.ASCII).fullmatch


class Parameters:
    """The parameters of a request. Each one that is read counts as known; `finish` refuses those that nobody read."""

    def __init__(self, query: str, body: str = "") -> None:
        """ApiError if a parameter is there twice, in one of the two or in both."""
        self._values: dict[str, str] = {}
        self._read: set[str] = set()
        for text in filter(None, (query, body)):
            count = text.count("&") + 1
            if count > PARAMETERS_MAX:
                raise ApiError(TOO_MANY_PARAMETERS, PARAMETERS_MAX, count)
            quoted = "%" in text or "+" in text
            for part in filter(None, text.split("&")):
                name, _, value = part.partition("=")
                if quoted:
                    name, value = _unquoted(name), _unquoted(value)
                if name in self._values:
                    raise ApiError(DUPLICATE_PARAMETER, name)
                self._values[name] = value

    @classmethod
    def of(cls, values: dict[str, str]) -> "Parameters":
        """Those that came by name."""
        found = cls("")
        if len(values) > PARAMETERS_MAX:
            raise ApiError(TOO_MANY_PARAMETERS, PARAMETERS_MAX, len(values))
        found._values = values
        return found

    def optional(self, name: str, legal: str = "") -> str | None:
        """A parameter, None if it was not sent. ApiError if it is empty or does not match `legal`."""
        self._read.add(name)
        value = self._values.get(name)
        if value == "":
            raise ApiError(EMPTY_PARAMETER, name)
        if value is not None and legal and not _match_of(legal)(value):
            raise ApiError(ILLEGAL_CHARACTERS, name, legal)
        return value

    def mandatory(self, name: str, legal: str = "") -> str:
        """A parameter that must be there."""
        if not self._values.get(name):
            raise ApiError(MISSING_PARAMETER, name)
        value = self.optional(name, legal)
        assert value
        return value

    def number(self, name: str) -> int | None:
        """A whole number, None if it was not sent."""
        value = self.optional(name, NUMBER)
        return None if value is None else int(value)

    def finish(self) -> None:
        """ApiError if there are parameters that nobody read."""
        if not self._read.issuperset(self._values):
            if len(self._values) > len(self._read):
                raise ApiError(TOO_MANY_PARAMETERS, len(self._read), len(self._values))
            raise ApiError(UNREAD_PARAMETERS, len(self._read & self._values.keys()), len(self._values))
